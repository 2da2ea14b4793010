"""Which notebook of which student counts: a folder, a tree of nbgrader's, or the zip that Moodle and Canvas export.

===========================================  =====================================================================
``ada/01-attention.ipynb``                   a folder for each student
``submitted/ada/01-attention/….ipynb``       nbgrader's tree
``Ada Byron_1234_assignsubmission_file/…``   Moodle: full name, participant's number; with or without folders
``byronada_LATE_56_789_01-attention.ipynb``  Canvas: name, LATE, user's number, file's number, file
``anon_x1Yz2_789_01-attention.ipynb``        Canvas, where marking is anonymous
===========================================  =====================================================================

The LMS's schemes are taken from their sources: Moodle's ``mod_assign\\downloader`` (where the name of a group without a
number may stand for the student's), and Canvas's ``ContentZipper`` (where the numbers of files grow with time). Nothing
is unpacked to disk. Links are not followed, and whatever is no readable file is reported, not graded.
"""

import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

LARGEST = 50 << 20  # bytes of one notebook
LARGEST_ZIP = 4 << 30  # bytes of all notebooks of one zip
JUNK = {"__MACOSX", ".ipynb_checkpoints", ".DS_Store"}  # what programs leave
MOODLE = re.compile(r"(?P<name>.+?)(_(?P<number>\d+))?_assignsubmission_(file|onlinetext)_?(?P<file>.*)", re.DOTALL)
CANVAS = re.compile(r"(?P<name>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?P<upload>\d+)_(?P<file>.+)", re.DOTALL)
CANVAS_ANONYMOUS = re.compile(r"(?P<late>LATE_)?(?P<name>anon_[^_]+)_(?P<upload>\d+)_(?P<file>.+)", re.DOTALL)


@dataclass(frozen=True)
class File:
    """One submitted notebook, as it came. `problem` says why it cannot be read."""

    student: str
    name: str  # of the file
    data: bytes = b""
    when: float = 0.0  # when it was saved, as far as known; later ones count
    upload: int = 0  # grows from file to file, where the LMS counts
    late: bool = False
    number: str = ""  # the LMS's own number of the student
    problem: str | None = None


@dataclass
class Collection:
    """All that was found: the notebooks, what is no notebook, and which system it came from."""

    files: list[File] = field(default_factory=list)
    others: list[File] = field(default_factory=list)  # no notebooks: a problem where a student handed in nothing else
    ignored: list[str] = field(default_factory=list)
    ownerless: bool = False  # whether there are notebooks that belong to nobody
    system: str = "folder"  # or "Moodle", "Canvas"


def collect(place: Path) -> Collection:
    """Everything below a folder, or in a zip.

    Raises:
        ValueError: there is nothing of the kind at `place`.
    """
    if place.is_dir():
        collection = _read(_in_folder(place))
    elif place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as opened:
            collection = _read(_unwrapped(list(_in_zip(opened))))
    elif not place.exists():
        raise ValueError(f"{place} does not exist: name a folder of submissions, or a zip from Moodle or Canvas")
    else:
        raise ValueError(f"{place} is neither a folder nor a zip: name a folder of submissions, or the LMS's zip")
    if not collection.files:
        loose = "; whose are those that lie in no student's folder?" if collection.ownerless else ""
        raise ValueError(
            f"no student's notebook (.ipynb) in {place}{loose}; expected STUDENT/NOTEBOOK.ipynb, or an LMS's zip"
        )
    owners = {(file.student, file.number) for file in collection.files}
    collection.files += [file for file in collection.others if (file.student, file.number) not in owners]
    return collection


def _read(entries: Iterable[tuple]) -> Collection:
    collection = Collection()
    for parts, when, read in entries:
        if not JUNK.intersection(parts):
            _add(collection, parts, when, read)
    return collection


def _add(collection: Collection, parts: tuple[str, ...], when: float, read) -> None:
    where = "/".join(parts)
    if any(part in ("..", "") or part.startswith("/") for part in parts):
        collection.ignored.append(f"{where}: a path that leads out of the zip")
        return
    facts = _whose(parts)
    system = facts.pop("system", None) if facts else None
    if not parts[-1].lower().endswith(".ipynb"):
        collection.ignored.append(f"{where}: not a notebook")
        if facts:
            collection.others.append(File(problem="not a notebook (.ipynb)", when=when, **facts))
        return
    if facts is None:
        collection.ownerless = True
        collection.ignored.append(f"{where}: whose is it? Expected STUDENT/NOTEBOOK.ipynb")
        return
    collection.system = system or collection.system
    try:
        data, problem = read(), None
    except _Unreadable as error:
        data, problem = b"", str(error)
    collection.files.append(File(data=data, problem=problem, when=when, **facts))


def _whose(parts: tuple[str, ...]) -> dict | None:
    """The student and what else the names say."""
    for i, part in enumerate(parts):
        if match := MOODLE.fullmatch(part):
            name = match["file"] if i == len(parts) - 1 else parts[-1]
            return {"student": match["name"], "number": match["number"] or "", "name": name, "system": "Moodle"}
    if len(parts) == 1 and (match := CANVAS_ANONYMOUS.fullmatch(parts[0]) or CANVAS.fullmatch(parts[0])):
        return {
            "student": match["name"],
            "number": match.groupdict().get("number", ""),
            "name": match["file"],
            "late": bool(match["late"]),
            "upload": int(match["upload"]),
            "system": "Canvas",
        }
    if parts[0] == "submitted":
        parts = parts[1:]
    if len(parts) < 2:
        return None
    return {"student": parts[0], "name": parts[-1]}


def _unwrapped(entries: list[tuple]) -> list[tuple]:
    """Without the one folder that a zip made by hand has on top, if each notebook still says whose it is."""
    tops = {parts[0] for parts, *_ in entries if not JUNK.intersection(parts)}
    notebooks = [parts for parts, *_ in entries if parts[-1].lower().endswith(".ipynb")]
    inside = all(len(parts) > 1 and _whose(parts[1:]) for parts in notebooks)
    if len(tops) != 1 or not inside or MOODLE.fullmatch(*tops):
        return entries
    return [(parts[1:] or parts, *rest) for parts, *rest in entries]


class _Unreadable(Exception):
    """Why a file is not read."""


def _in_folder(folder: Path) -> Iterator[tuple]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_notebook = path.name.lower().endswith(".ipynb")
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) and not is_notebook:
            continue

        def read(path: Path = path, status=status) -> bytes:
            if stat.S_ISLNK(status.st_mode):
                raise _Unreadable("a link, not a file")
            if not stat.S_ISREG(status.st_mode):
                raise _Unreadable("a folder with the name of a notebook" if path.is_dir() else "no ordinary file")
            if status.st_size > LARGEST:
                raise _Unreadable(f"{status.st_size >> 20} MB; a notebook may have {LARGEST >> 20}")
            try:
                return path.read_bytes()
            except OSError as error:
                raise _Unreadable(error.strerror or str(error)) from error

        yield parts, status.st_mtime, read


def _in_zip(opened: zipfile.ZipFile) -> Iterator[tuple]:
    total = 0
    for info in opened.infolist():
        if info.is_dir():
            continue

        def read(info: zipfile.ZipInfo = info) -> bytes:
            nonlocal total
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _Unreadable("a link, not a file")
            try:
                with opened.open(info) as file:  # the size that the zip states may be a lie: count
                    data = file.read(LARGEST + 1)
            except Exception as error:  # damaged, encrypted, an unknown method
                raise _Unreadable(f"cannot be unpacked: {error}") from error
            if len(data) > LARGEST or total + len(data) > LARGEST_ZIP:
                raise _Unreadable(f"more than {LARGEST >> 20} MB when unpacked")
            total += len(data)
            return data

        name = info.filename.replace("\\", "/")
        parts = tuple(name.split("/")) if name.startswith("/") else PurePosixPath(name).parts
        yield parts, _seconds(info), read


def _seconds(info: zipfile.ZipInfo) -> float:
    import calendar

    try:
        return float(calendar.timegm((*info.date_time, 0, 0, 0)))
    except (ValueError, OverflowError):
        return 0.0

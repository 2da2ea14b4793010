"""Which notebook of which student counts: a folder, a tree of nbgrader's, or the zip that Moodle and Canvas export.

===========================================  =====================================================================
``ada/01-attention.ipynb``                   a folder for each student
``submitted/ada/01-attention/….ipynb``       nbgrader's tree
``Ada Byron_1234_assignsubmission_file_/…``  Moodle: full name, participant number
``byronada_LATE_56_789_01-attention.ipynb``  Canvas: name, LATE, user's number, submission's number, file, ``-1`` …
===========================================  =====================================================================

Nothing is unpacked to disk. Links are not followed, and whatever is no readable file is reported, not graded.
"""

import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

LARGEST = 50 << 20  # bytes of one notebook
LARGEST_ZIP = 4 << 30  # bytes of all notebooks of one zip
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(file|onlinetext)_?(?P<file>.*)", re.DOTALL)
CANVAS = re.compile(
    r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<number>\d+)_(?P<submission>\d+)_(?P<file>.+?)(-(?P<again>\d+))?\.ipynb",
    re.DOTALL,
)


@dataclass(frozen=True)
class File:
    """One submitted notebook, as it came. `problem` says why it cannot be read."""

    student: str
    name: str  # of the file
    data: bytes = b""
    when: float = 0.0  # when it was saved, as far as known; later ones count
    again: int = 0  # the how-manieth repetition, where the LMS counts
    late: bool = False
    number: str = ""  # the LMS's own number of the student
    problem: str | None = None


@dataclass
class Collection:
    """All that was found: the notebooks, what is no notebook, and which system it came from."""

    files: list[File] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    system: str = "folder"  # or "Moodle", "Canvas"


def collect(place: Path) -> Collection:
    """Everything below a folder, or in a zip.

    Raises:
        ValueError: there is nothing of the kind at `place`.
    """
    if place.is_dir():
        entries = _in_folder(place)
    elif place.is_file() and zipfile.is_zipfile(place):
        entries = _in_zip(place)
    elif not place.exists():
        raise ValueError(f"{place} does not exist: name a folder of submissions, or a zip from Moodle or Canvas")
    else:
        raise ValueError(f"{place} is neither a folder nor a zip: name a folder of submissions, or the LMS's zip")
    collection = Collection()
    for parts, when, read in entries:
        _add(collection, parts, when, read)
    if not collection.files:
        raise ValueError(f"no notebook (.ipynb) in {place}; expected STUDENT/NOTEBOOK.ipynb, or an LMS's zip")
    return collection


def _add(collection: Collection, parts: tuple[str, ...], when: float, read) -> None:
    where = "/".join(parts)
    if any(part in ("..", "") or part.startswith("/") for part in parts):
        collection.ignored.append(f"{where}: a path that leads out of the zip")
        return
    if any(part == "__MACOSX" or part == ".ipynb_checkpoints" for part in parts):
        return  # copies that programs make
    if not parts[-1].lower().endswith(".ipynb"):
        collection.ignored.append(f"{where}: not a notebook")
        return
    facts = _whose(parts)
    if facts is None:
        collection.ignored.append(f"{where}: whose is it? Expected STUDENT/NOTEBOOK.ipynb")
        return
    if facts.pop("system", None):
        collection.system = "Canvas" if "again" in facts else "Moodle"
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
            return {"student": match["name"], "number": match["number"], "name": name, "system": True}
    if match := CANVAS.fullmatch(parts[-1]):
        return {
            "student": match["name"],
            "number": match["number"],
            "name": f"{match['file']}.ipynb",
            "late": bool(match["late"]),
            "again": int(match["again"] or 0),
            "system": True,
        }
    if parts[0] == "submitted":
        parts = parts[1:]
    if len(parts) < 2:
        return None
    return {"student": parts[0], "name": parts[-1]}


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


def _in_zip(archive: Path) -> Iterator[tuple]:
    total = 0
    with zipfile.ZipFile(archive) as opened:
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
                total += len(data)
                if len(data) > LARGEST or total > LARGEST_ZIP:
                    raise _Unreadable(f"more than {LARGEST >> 20} MB when unpacked")
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

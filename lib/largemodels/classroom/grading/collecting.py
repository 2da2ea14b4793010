"""What was handed in: a folder, a tree of nbgrader's, or the zip of a learning management system.

`layouts` says whose a file is. Nothing is unpacked to disk; a zip within a zip is opened where it lies. Links are not
followed, and whatever is no readable file is reported, not graded.
"""

import io
import itertools
import os
import re
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from . import filenames, layouts

LARGEST = 50 << 20  # bytes of one notebook
LARGEST_ZIP = 4 << 30  # bytes of all notebooks of one zip
LARGEST_INNER = 400 << 20  # and of a zip in it
MOST_ZIPS = 50  # within one that was handed in
JUNK = {"__MACOSX", ".ipynb_checkpoints", ".DS_Store"}  # what programs leave
DEEPEST = 50  # folders within folders
MOST_IN_ZIP = 100_000  # files of one zip
O_BINARY = getattr(os, "O_BINARY", 0)  # Windows


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
    system: str = "folder"  # or "Moodle", "Canvas", …
    guesses: list[str] = field(default_factory=list)  # what had to be guessed of all of it


Entry = tuple[tuple[str, ...], float, Callable[[], bytes]]  # a path, when it was saved, and how to read it


def collect(place: Path, names: str | None = None, encoding: str | None = None) -> Collection:
    """Everything below a folder, or in a zip.

    `names`: a regular expression that finds ``(?P<name>…)`` or ``(?P<number>…)``, or both, in a path, where the layout
    is one that nobody thought of. `encoding`: of names whose encoding a zip does not state.

    Raises:
        ValueError: there is nothing of the kind at `place`, or `names` or `encoding` are none.
    """
    pattern = _pattern(names)
    if place.is_dir():
        collection = _read(list(_in_folder(place)), pattern, encoding)
    elif place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as opened:
            collection = _read(list(_in_zip(opened)), pattern, encoding)
    elif not place.exists():
        raise ValueError(f"{place} does not exist: name a folder of submissions, or a zip from Moodle or Canvas")
    else:
        raise ValueError(f"{place} is neither a folder nor a zip: name a folder of submissions, or the LMS's zip")
    if not collection.files:
        loose = "; whose are those that lie in no student's folder?" if collection.ownerless else ""
        others = f"; there is {collection.ignored[0]}" if collection.ignored and not loose else ""
        raise ValueError(
            f"no student's notebook (.ipynb) in {place}{loose}{others}; expected STUDENT/NOTEBOOK.ipynb, or an LMS's "
            "zip; --names tells how to read other paths"
        )
    owners = {(file.student, file.number) for file in collection.files}
    collection.files += [file for file in collection.others if (file.student, file.number) not in owners]
    return collection


def _pattern(names: str | None) -> re.Pattern | None:
    if names is None:
        return None
    try:
        pattern = re.compile(names)
    except re.error as error:
        raise ValueError(f"--names {names!r} is no regular expression: {error}") from error
    if not {"name", "number"} & set(pattern.groupindex):
        raise ValueError(f"--names {names!r} must hold (?P<name>…) or (?P<number>…), or both")
    return pattern


def _read(entries: list[Entry], names: re.Pattern | None, encoding: str | None) -> Collection:
    collection = Collection()
    entries = [entry for entry in _opened(_in_text(entries, encoding, collection)) if _is_of_somebody(entry[0])]
    inside = []
    for entry in entries:
        if any(part in ("..", "") or part.startswith("/") for part in entry[0]):
            collection.ignored.append(f"{'/'.join(entry[0])}: a path that leads out of the zip")
        else:
            inside.append(entry)
    notebooks = [parts for parts, *_ in inside if _is_notebook(parts)]
    whose, not_asked = layouts.whose(notebooks, names), layouts.outside_exercises(notebooks)
    for parts, when, read in inside:
        if parts in not_asked:
            collection.ignored.append(f"{'/'.join(parts)}: of a whole clone of the course only exercises/ counts")
        else:
            _add(collection, parts, when, read, whose(parts))
    return collection


def _is_of_somebody(parts: tuple[str, ...]) -> bool:
    """Not what programs leave, nor an entry of a zip that is called ".", which has no parts."""
    return bool(parts) and not JUNK.intersection(parts)


def _is_notebook(parts: tuple[str, ...]) -> bool:
    """By its name. macOS leaves a ``._x.ipynb`` beside each ``x.ipynb`` on disks that are not its own."""
    return parts[-1].lower().endswith(".ipynb") and not parts[-1].startswith("._")


def _in_text(entries: list[Entry], encoding: str | None, collection: Collection) -> list[Entry]:
    """The entries with all names as text: those that are bytes, or hold bytes that are no UTF-8, are decoded together."""
    unknown = [i for i, (parts, *_) in enumerate(entries) if any(_raw(part) is not None for part in parts)]
    if not unknown:
        return entries
    raw = [b"/".join(os.fsencode(part) for part in entries[i][0]) for i in unknown]
    found, guess = filenames.decoded(raw, encoding)
    if guess:
        collection.guesses.append(f"Names of files were read as {guess}; --encoding NAME chooses another encoding.")
    for i, text in zip(unknown, found, strict=True):
        entries[i] = (tuple(text.split("/")), *entries[i][1:])
    return entries


def _raw(part: str) -> bytes | None:
    """The bytes of a name that Python could not read; None of one that it could."""
    return None if part.isprintable() or not any("\udc80" <= c <= "\udcff" for c in part) else os.fsencode(part)


def _opened(entries: Iterable[Entry]) -> Iterator[Entry]:
    """With what lies in zips in the place of the zips."""
    for parts, when, read in entries:
        if not _is_zip(parts):
            yield parts, when, read
            continue
        try:
            yield from _unzipped(parts, when, read(), itertools.count(1))
        except Exception:  # unreadable, damaged, or no zip: told as what it is, no notebook
            yield parts, when, read


def _unzipped(parts: tuple[str, ...], when: float, data: bytes, count: Iterator[int]) -> list[Entry]:
    """The notebooks, and the names of all else, in a zip that lies in a collection; `count` counts the zips in it."""
    if next(count) > MOST_ZIPS:
        raise _Unreadable(f"more than {MOST_ZIPS} zips in a zip")
    found: list[Entry] = []
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        for names, saved, read in _in_text(list(_in_zip(inner, LARGEST_INNER)), None, Collection()):
            where = (*parts, *names)
            if _is_zip(names):
                found += _unzipped(where, saved or when, read(), count)
            else:
                found.append((where, saved or when, _read_now(read) if _is_notebook(names) else bytes))
    return found


def _is_zip(parts: tuple[str, ...]) -> bool:
    return bool(parts) and parts[-1].lower().endswith(".zip")


def _read_now(read: Callable[[], bytes]) -> Callable[[], bytes]:
    """What `read` gives or raises, found before the zip is closed, so that no zip is held in memory."""
    try:
        data = read()
    except _Unreadable as error:
        problem = str(error)

        def fail() -> bytes:
            raise _Unreadable(problem)

        return fail
    return lambda: data


def _add(collection: Collection, parts: tuple[str, ...], when: float, read, facts: dict | None) -> None:
    where = "/".join(parts)
    system = facts.pop("system", None) if facts else None
    facts = facts and {"when": when} | facts
    if not _is_notebook(parts):
        collection.ignored.append(f"{where}: not a notebook")
        if facts:
            collection.others.append(File(problem="not a notebook (.ipynb)", **facts))
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
    collection.files.append(File(data=data, problem=problem, **facts))


class _Unreadable(Exception):
    """Why a file is not read."""


def _in_folder(folder: Path) -> Iterator[Entry]:
    """Every file, by its path; of what lies too deep, or cannot be looked into, the folder."""
    waiting: list[Path] = [folder]
    while waiting:
        within = waiting.pop()
        parts = within.relative_to(folder).parts
        try:
            with os.scandir(within) as found:
                entries = sorted(found, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            yield (*parts, f"… ({error.strerror or error})"), 0.0, bytes
            continue
        for entry in reversed(entries):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            is_notebook = entry.name.lower().endswith(".ipynb")
            if entry.is_symlink() and entry.is_dir():
                yield (*parts, entry.name, "… (a link to a folder: copy the folder itself here)"), 0.0, bytes
            elif not stat.S_ISDIR(status.st_mode) or is_notebook:
                yield (*parts, entry.name), status.st_mtime, partial(_read_file, Path(entry.path))
        folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        if folders and len(parts) >= DEEPEST:
            yield (*parts, f"… (folders more than {DEEPEST} deep are not looked into)"), 0.0, bytes
        else:
            waiting += folders


def _read_file(path: Path) -> bytes:
    """An ordinary file, which no link leads to: who hands in by a shared folder may change it meanwhile."""
    if path.is_symlink():
        raise _Unreadable("a link, not a file")
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | O_BINARY)
    except OSError as error:
        folder = path.is_dir()  # Windows does not open folders
        raise _Unreadable("a folder with the name of a notebook" if folder else error.strerror or str(error)) from error
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        os.close(opened)
        folder = stat.S_ISDIR(status.st_mode)
        raise _Unreadable("a folder with the name of a notebook" if folder else "no ordinary file")
    with open(opened, "rb") as file:
        if status.st_size > LARGEST:
            raise _Unreadable(f"{status.st_size >> 20} MB; a notebook may have {LARGEST >> 20}")
        try:
            return file.read(LARGEST + 1)
        except OSError as error:
            raise _Unreadable(error.strerror or str(error)) from error


def _in_zip(opened: zipfile.ZipFile, most: int = LARGEST_ZIP) -> Iterator[tuple]:
    total = 0
    if len(opened.infolist()) > MOST_IN_ZIP:
        yield (f"… (of {len(opened.infolist()):,} files {MOST_IN_ZIP:,} are read)",), 0.0, bytes
    for info in opened.infolist()[:MOST_IN_ZIP]:
        if not info.filename or info.is_dir():
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
            if len(data) > LARGEST or total + len(data) > most:
                raise _Unreadable(f"more than {LARGEST >> 20} MB when unpacked")
            total += len(data)
            return data

        name = _name(info).replace("\\", "/")
        parts = tuple(name.split("/")) if name.startswith("/") else PurePosixPath(name).parts
        yield parts, _seconds(info), read


def _name(info: zipfile.ZipInfo) -> str:
    """As it stands in the zip; bytes whose encoding is not stated, and that are no ASCII, as Python keeps such bytes."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        raw = info.filename.encode("cp437")  # what zipfile made of them
    except UnicodeEncodeError:
        return info.filename
    return raw.decode("utf-8", "surrogateescape")


def _seconds(info: zipfile.ZipInfo) -> float:
    """A zip states local time."""
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0

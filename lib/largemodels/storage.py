"""Files that are written completely or not at all, and a cache of such files.

    with replacing(path) as part:  # whoever reads `path` sees what it was, or all that was written to `part`
        part.write_text("…")

What is slow to make and always the same is kept on disk from one notebook to the next:

    topics = cached("topics", [source, code], make)

`make` is called the first time; later its result is read from a file, as long as `source` and `code` are what they were.
The file's name holds their digest, so that another version of either has another file and none is ever out of date. What
cannot be read or written, or was damaged, is made anew: a cache is there to save time, never to fail. It may be deleted
at any time.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """The name of a new file beside `path`, to be written in the ``with`` block; at its end it takes the place of `path`.

    An exception, a kill or a power cut in between leaves the older file as it was.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # of its own, should two write at once
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name with nothing in it
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Replace the file `path` at once, by these bytes, or this text in UTF-8 (a lone surrogate becomes \\udXXX)."""
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)


def folder() -> Path:
    """Where it is: `LARGEMODELS_CACHE`, or `.cache` beside the course's `exercises` folder."""
    if chosen := os.environ.get("LARGEMODELS_CACHE"):
        return Path(chosen)
    course = Path(__file__).parents[2]
    return (course if (course / "exercises").is_dir() else Path.cwd()) / ".cache"


def cached(name: str, made_from: Iterable[bytes], make: Callable[[], Any]) -> Any:
    """The result of `make`, which JSON can hold (lists, strings, numbers), from the disk if it is there.

    Args:
        name: the beginning of the file's name.
        made_from: everything that the result depends on, the code that makes it included.
        make: makes it.
    """
    path = folder() / f"{name}-{digest(made_from)[:32]}.json"
    try:
        checksum, content = path.read_bytes().split(b"\n", 1)
        if checksum.decode() == digest([content]):
            return json.loads(content)
    except (OSError, ValueError):
        pass  # not there yet, not to be read, or not whole
    result = make()
    content = json.dumps(result).encode()
    with suppress(OSError):
        write_whole(path, digest([content]).encode() + b"\n" + content)
    return result


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 of the parts and of where each ends."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()

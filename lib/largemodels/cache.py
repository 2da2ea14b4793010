"""What is slow to make and always the same, kept on disk from one notebook to the next.

    topics = cached("topics", [source, code], make)

`make` is called the first time; later its result is read from a file, as long as `source` and `code` are what they were.
The file's name holds their digest, so that another version of either has another file and none is ever out of date. It
is written beside its place and moved there when it is complete: a notebook that reads while another writes sees all of
it or nothing. What cannot be read or written, or was damaged, is made anew: a cache is there to save time, never to
fail. It may be deleted at any time.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


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
    _write(path, digest([content]).encode() + b"\n" + content)
    return result


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 of the parts and of where each ends."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def _write(path: Path, content: bytes) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = file.name
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)

"""Finished results, one small file each, named by the content they follow from.

A file is there whole or not at all, whenever the program is killed, and a result is found again as long as the answer,
the exercise and the hidden seeds stay the same.
"""

import json
import os
import secrets
import tempfile
from pathlib import Path

from .judging import Verdict


def write_whole(path: Path, data: str | bytes) -> None:
    """Replace a file at once: whoever reads it sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode("utf-8") if isinstance(data, str) else data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Store:
    """Results in `folder`, which need not exist yet."""

    def __init__(self, folder: Path):
        self.folder = folder

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> Verdict | None:
        try:
            return Verdict.from_json(json.loads(self._path(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, key: str, verdict: Verdict) -> None:
        write_whole(self._path(key), json.dumps(verdict.as_json(), ensure_ascii=False))


def hidden_seeds(path: Path, count: int) -> tuple[int, ...]:
    """The seeds of the hidden cases: drawn once for a class, then read from this file, which belongs to the grader."""
    try:
        seeds = tuple(int(line) for line in path.read_text(encoding="utf-8").split())
        if len(seeds) == count:
            return seeds
    except (OSError, ValueError):
        pass
    seeds = tuple(1_000 + secrets.randbelow(2**31 - 1_000) for _ in range(count))
    write_whole(path, "".join(f"{seed}\n" for seed in seeds))
    return seeds

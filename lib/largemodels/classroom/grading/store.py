"""Finished results, one small file each, named by the content they follow from.

A file is there whole or not at all, whenever the program is killed, and a result is found again as long as the answer,
the exercise and the hidden seeds stay the same.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ...storage import write_whole
from .judging import Verdict


@dataclass(frozen=True)
class Kept:
    """How a result came about that was found in an earlier run. Empty where that was not noted."""

    date: str
    walls: str


class Store:
    """Results in `folder`, which need not exist yet; `walls` is what answers run behind now."""

    def __init__(self, folder: Path, walls: str = ""):
        self.folder, self.walls = folder, walls

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> tuple[Verdict, Kept] | None:
        try:
            values = json.loads(self._path(key).read_text(encoding="utf-8"))
            kept = Kept(values.pop("date", ""), values.pop("behind", ""))
            return Verdict.from_json(values), kept
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def put(self, key: str, verdict: Verdict) -> None:
        values = verdict.as_json() | {"date": date.today().isoformat(), "behind": self.walls}
        write_whole(self._path(key), json.dumps(values, ensure_ascii=False))

    def forget(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)


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

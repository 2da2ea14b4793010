"""Remember what has been solved, one small file per exercise, so that a restart of the kernel loses nothing."""

import html
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..language import padded, say
from ..storage import write_whole
from .exercise import Exercise
from .report import Report

latest: dict[str, Report] = {}  # by exercise: what its check showed last in this session


def folder() -> Path:
    """Where progress is kept: `LARGEMODELS_PROGRESS`, or `.progress` beside the course's `exercises` folder."""
    if chosen := os.environ.get("LARGEMODELS_PROGRESS"):
        return Path(chosen)
    course = Path(__file__).parents[3]
    return (course if (course / "exercises").is_dir() else Path.cwd()) / ".progress"


def remember(exercise: Exercise, report: Report) -> None:
    """Keep the best result so far and the number of attempts; never fails a check."""
    latest[exercise.id] = report
    if report.status == "not attempted":
        return
    before = _read(exercise.id)
    record = {"points": max(report.points, before.get("points", 0)), "attempts": before.get("attempts", 0) + 1}
    with suppress(OSError):  # a read-only course folder: the verdict matters more than its memory
        write_whole(folder() / f"{exercise.id}.json", json.dumps(record))


def lost() -> str | None:
    """Why nothing can be kept, and what to do about it; None if all is well."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return say(
            "Nothing new is kept here: {place} cannot be written ({reason}). Checks work all the same. To keep your "
            "progress, set LARGEMODELS_PROGRESS to a folder of your own before you start Jupyter.",
            place=place,
            reason=error.strerror or error,
        )


def _read(id: str) -> dict:
    try:
        return json.loads((folder() / f"{id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


@dataclass(frozen=True)
class Progress:
    """How far a reader has come; shows itself as a table."""

    exercises: tuple[Exercise, ...]

    def rows(self) -> Iterator[tuple[str, str, float, float, int]]:
        """(id, title, points, points possible, attempts) for each exercise."""
        for exercise in self.exercises:
            record = _read(exercise.id)
            yield exercise.id, say(exercise.title), record.get("points", 0), exercise.points, record.get("attempts", 0)

    def __repr__(self) -> str:
        lines = [
            f"{_mark(points, most, attempts)} {id:<5} {padded(title, 45)} {points:>4g} / {most:<4g} "
            + say("attempts: {count}", count=attempts)
            for id, title, points, most, attempts in self.rows()
        ]
        return "\n".join([*lines, self._total(), *filter(None, [lost()])])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{_mark(points, most, attempts)}</td><td style='text-align:left'>{id}</td>"
            f"<td style='text-align:left'>{html.escape(title)}</td>"
            f"<td>{points:g} / {most:g}</td><td>{attempts}</td></tr>"
            for id, title, points, most, attempts in self.rows()
        )
        head = (
            f"<tr><th></th><th></th><th style='text-align:left'>{say('exercise')}</th><th>{say('points')}</th>"
            f"<th>{say('attempts')}</th></tr>"
        )
        problem = f"<div>⚠ {html.escape(reason)}</div>" if (reason := lost()) else ""
        return f"<table>{head}{rows}</table><b>{self._total()}</b>{problem}"

    def _total(self) -> str:
        rows = list(self.rows())
        points, most = (sum(row[i] for row in rows) for i in (2, 3))
        return say("{points:g} of {most:g} points", points=points, most=most)


def _mark(points: float, most: float, attempts: int) -> str:
    return "✓" if points == most else "…" if attempts else "○"

"""How long the course takes: what the chapters say of their reading and the exercises of their solving.

The table stands in ``START.ipynb`` and ``README.md``; ``python -m largemodels release`` puts it there.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from ..language import later, say
from .exercise import Exercise

HEAD = (later("chapter"), later("reading"), later("exercises"), later("together"))
READING = re.compile(r"\*\*Time\*\* about (\d+) minutes to read")


def hours(course: Path, exercises: Iterable[Exercise]) -> dict[str, tuple[int, int]]:
    """For each chapter, such as "1" or "A", the minutes of reading and of its exercises.

    Raises:
        ValueError: a chapter that does not say how long it takes to read.
    """
    exercises = list(exercises)
    found = {}
    for source in sorted(course.glob("chapters/text/*-*.md")):
        chapter = source.stem.split("-")[0].lstrip("0")
        minutes = sum(exercise.minutes for exercise in exercises if exercise.id.split(".")[0] == chapter)
        found[chapter] = reading_minutes(source), minutes
    return found


def reading_minutes(source: Path) -> int:
    """What the head of a chapter says of itself.

    Raises:
        ValueError: it does not.
    """
    reading = READING.search(source.read_text(encoding="utf-8"))
    if not reading:
        raise ValueError(f'{source.name} must say "**Time** about … minutes to read", in whole minutes')
    return int(reading[1])


def hours_table(course: Path, exercises: Iterable[Exercise]) -> str:
    """The same as a Markdown table, with a last row for all of it."""
    found = hours(course, exercises)
    rows = [(f"{chapter}", *minutes) for chapter, minutes in found.items()]
    everything = say("all")
    rows.append((f"**{everything}**", *(sum(column) for column in zip(*found.values(), strict=True))))
    lines = [f"| {name} | {clock(read)} | {clock(solve)} | {clock(read + solve)} |" for name, read, solve in rows]
    head = " | ".join(map(say, HEAD))
    return "\n".join([f"| {head} |", "|:--|--:|--:|--:|", *lines])


def clock(minutes: int) -> str:
    """As a table shows a time: 75 is "1 h 15"."""
    if not minutes:
        return "–"
    return say("{hours} h {minutes:02d}", hours=minutes // 60, minutes=minutes % 60)

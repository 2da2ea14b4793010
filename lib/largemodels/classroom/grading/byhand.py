"""What an instructor gave by hand: points, comments and days of lateness, in ``manual.csv``.

The file is the instructor's. It is made once, read at every run, and never written again. A row that cannot be taken as
it stands is left out and told; it stops nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .tables import as_spreadsheet, read_number, read_table, write_table

COLUMNS = {
    "student": ("name", "number", "login", "学生", "姓名", "学号"),
    "exercise": ("id", "题目", "练习"),
    "points": ("grade", "mark", "分数", "得分"),
    "comment": ("comments", "feedback", "评语"),
}
LATE = re.compile(r"late[ -](\w+)", re.IGNORECASE)
REUSED = re.compile(r"\[([^\[\]\n]{1,60})\]")


@dataclass(frozen=True)
class Given:
    """Points, or a comment, or both."""

    points: float | None
    comment: str


@dataclass(frozen=True)
class HandGraded:
    """What no program can judge, a reflection 思考 say: its points come from ``manual.csv`` alone."""

    id: str
    title: str
    points: float


@dataclass(frozen=True)
class ByHand:
    """One row that counts. `exercise` is an id or, for days of lateness, ``late CHAPTER``."""

    line: int
    student: object
    exercise: str
    given: Given


def write_empty(path: Path, rows: Iterable[Sequence[str]] = ()) -> None:
    """Make the file; `rows` are students and exercises whose points are to be filled in."""
    write_table(path, [tuple(COLUMNS), *((student, exercise, "", "") for student, exercise in rows)], mark=True)


def read(
    path: Path,
    find: Callable[[str], list],
    items: Mapping[str, object],
    others: Iterable[str] = (),
    comments: Mapping[str, str] | None = None,
) -> tuple[list[ByHand], list[str]]:
    """The rows that count, and what is to be said of the others.

    `find` gives the students whom a cell may mean; `items` are the exercises of this gradebook, by id, with their
    `points`; `others` the ids of exercises that are none of it; `comments` texts that ``[name]`` stands for.

    Raises:
        ValueError: it is no table of this kind.
    """
    rows, problems = [], []
    for row in read_table(path, COLUMNS, ("student", "exercise", "points")):
        where = f"{path.name}, line {row.line}"
        if not (row["points"] or row["comment"]):  # a row that waits for its points
            continue
        try:
            made = _row(row, find, items, set(others))
            comment, unknown = _expanded(row["comment"], comments or {})
        except _Told as problem:
            problems.append(f"{where}: {problem}; this row is left out")
            continue
        if made:
            rows.append(ByHand(row.line, *made[:2], Given(made[2], comment)))
            problems += [f"{where}: there is no comment [{name}] in comments.csv" for name in unknown]
    return rows, problems


class _Told(Exception):
    """Why a row is left out."""


def _row(row, find, items, others: set[str]) -> tuple[object, str, float | None] | None:
    """Student, exercise and points; None for an exercise of another gradebook."""
    late = LATE.fullmatch(row["exercise"])
    if late:
        id = f"late {late[1]}"
        chapters = {known.split(".")[0] for known in (*items, *others)}
        if late[1] not in chapters:
            raise _Told(f"there is no chapter {late[1]!r}; there are {', '.join(sorted(chapters))}")
    else:
        id = _exercise(row["exercise"], set(items) | others)
        if id not in items:
            return None
    students = find(row["student"])
    if len(students) != 1:
        remedy = "give the number" if students else "correct the name, or add a row to roster.csv"
        raise _Told(f"{len(students)} students are called {row['student']!r}: {remedy}")
    points = read_number(row["points"])
    if row["points"] and points is None:
        raise _Told(f"points must be a number, got {row['points']!r}")
    if late and (points is None or points < 0):
        raise _Told(f"days of lateness must be a number from 0, got {row['points']!r}")
    if not late and points is not None and not 0 <= points <= items[id].points:
        raise _Told(f"{id} has 0 to {items[id].points:g} points, got {row['points']}")
    return students[0], id, points


def _exercise(text: str, known: set[str]) -> str:
    """The id that a cell means: alone, or with words around it, as at the head of a column of ``grades.csv``."""
    words = [word.strip(".,:;·()[]").replace(",", ".") for word in text.split()]
    found = next((word for word in words if word in known), None)
    if found is None:
        raise _Told(f"there is no exercise {text!r}")
    # A spreadsheet that was given 4.10 saves 4.1: alone, as a bare number, it may be either.
    longer = [id for id in known if id != found and as_spreadsheet(id) == found]
    if longer and len(words) == 1:
        ways = " or ".join(f"'ex {id}'" for id in (found, *longer))
        raise _Told(f"{found} is also what a spreadsheet makes of {' or '.join(longer)}: write {ways}")
    return found


def _expanded(comment: str, comments: Mapping[str, str]) -> tuple[str, list[str]]:
    """The comment with each ``[name]`` replaced by its text, and the names that have none."""
    by_name = {name.casefold(): text for name, text in comments.items()}
    unknown = []

    def text(match: re.Match) -> str:
        if by_name and match[1].casefold() not in by_name:
            unknown.append(match[1])
        return by_name.get(match[1].casefold(), match[0])

    return REUSED.sub(text, comment), unknown


def read_comments(path: Path) -> dict[str, str]:
    """Texts to be used again, from ``comments.csv``: two columns, name and text. None where there is no such file."""
    if not path.exists():
        return {}
    return {row["name"]: row["text"] for row in read_table(path, {"name": (), "text": ("comment",)}, ("name", "text"))}

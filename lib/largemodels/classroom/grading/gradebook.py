"""The class's points: what was handed in, what counts of it, what it is worth, and what an instructor added by hand."""

import csv
import io
import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..exercise import Exercise
from . import extracting
from .collecting import Collection, File
from .extracting import CodeCell, Notebook, Unreadable
from .judging import Verdict
from .store import write_whole

MANUAL_COLUMNS = ("student", "exercise", "points", "comment")


@dataclass(frozen=True)
class Submission:
    """The notebook of one student for one chapter that counts."""

    file: File
    notebook: Notebook
    notes: tuple[str, ...]

    @property
    def chapter(self) -> str:
        return self.notebook.chapter


@dataclass(frozen=True)
class Manual:
    """Points or a comment that an instructor gave by hand."""

    points: float | None
    comment: str


@dataclass
class Student:
    """One row of the gradebook."""

    name: str
    number: str = ""
    submissions: dict[str, Submission] = field(default_factory=dict)  # by chapter
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by exercise
    manual: dict[str, Manual] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # files that could not be read: they need attention

    def points(self, exercise: str) -> float | None:
        """None for an exercise of a chapter that was not handed in, or that could not be graded."""
        if (given := self.manual.get(exercise)) and given.points is not None:
            return given.points
        verdict = self.verdicts.get(exercise)
        return verdict.points if verdict and verdict.status != "attention" else None

    def total(self, exercises: Iterable[str]) -> float | None:
        """None where nothing was handed in, or nothing that could be read."""
        points = [points for id in exercises if (points := self.points(id)) is not None]
        return sum(points) if points else None


def choose(collection: Collection, exercises: Mapping[str, Exercise]) -> list[Student]:
    """For each student and chapter the latest notebook; what cannot be read becomes a problem of that student."""
    students: dict[tuple[str, str], Student] = {}
    found: dict[tuple[str, str], dict[str, list[tuple[File, Notebook]]]] = {}
    for file in collection.files:
        owner = (clean(file.student), file.number)
        student = students.setdefault(owner, Student(*owner))
        try:
            if file.problem:
                raise Unreadable(file.problem)
            notebook = extracting.read(file.data, exercises)
        except Unreadable as error:
            student.problems.append(f"{clean(file.name)}: {error}")
            continue
        found.setdefault(owner, {}).setdefault(notebook.chapter, []).append((file, notebook))
    for owner, chapters in found.items():
        for chapter, handed_in in sorted(chapters.items()):
            handed_in.sort(key=lambda pair: (pair[0].upload, pair[0].when, pair[0].name))
            file, notebook = handed_in[-1]
            notes = list(notebook.notes)
            if len(handed_in) > 1:
                notes.insert(0, f"{len(handed_in)} notebooks handed in; the latest counts: {clean(file.name)}")
            if file.late:
                notes.insert(0, "handed in late")
            students[owner].submissions[chapter] = Submission(file, notebook, tuple(notes))
    return [students[owner] for owner in sorted(students)]


def released_cells(course: Path, chapter: str) -> list[CodeCell]:
    """The code cells of the notebook that was given out; none if it is not there."""
    number = f"{int(chapter):02d}" if chapter.isdecimal() else chapter
    path = next(iter(sorted((course / "exercises").glob(f"{number}-*.ipynb"))), None)
    return extracting.code_cells(path.read_bytes()) if path else []


def clean(text: str) -> str:
    """Without control characters, and marks that turn the direction of writing round, which hide what a name is."""
    kept = (c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return "".join(kept).strip() or "(no name)"


# -------------------------------------------------------------------------------------------------------------- tables


def safe(text: object) -> str:
    """A cell of a table that no spreadsheet takes for a formula."""
    text = clean(str(text)) if text != "" else ""
    is_number = text.replace(".", "", 1).replace("-", "", 1).isdecimal()
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not is_number else text


def write_table(path: Path, rows: Iterable[Iterable[object]], *, mark: bool = False) -> None:
    """`mark`: a byte-order mark, by which Excel knows Chinese."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([safe(cell) for cell in row] for row in rows)
    write_whole(path, text.getvalue().encode("utf-8-sig" if mark else "utf-8"))


def columns(students: list[Student], exercises: Mapping[str, Exercise]) -> list[str]:
    """The exercises of all chapters that somebody handed in."""
    chapters = {chapter for student in students for chapter in student.submissions}
    return [id for id in exercises if id.split(".")[0] in chapters]


def number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def write_grades(path: Path, students: list[Student], exercises: Mapping[str, Exercise]) -> None:
    """One row for each student, one column for each exercise."""
    ids = columns(students, exercises)
    rows: list[list[object]] = [["student", "number", *ids, "total", "of", "notes"]]
    most = sum(exercises[id].points for id in ids)
    for student in students:
        notes = [f"needs attention: {problem}" for problem in student.problems]
        notes += [note for submission in student.submissions.values() for note in submission.notes]
        notes += [
            f"needs attention: {id}: {v.message.splitlines()[0]}"
            for id, v in student.verdicts.items()
            if v.status == "attention"
        ]
        points = [number(student.points(id)) for id in ids]
        rows.append([student.name, student.number, *points, number(student.total(ids)), number(most), "; ".join(notes)])
    write_table(path, rows, mark=True)


# ------------------------------------------------------------------------------------------------------------- by hand


def read_manual(path: Path, students: list[Student], exercises: Mapping[str, Exercise]) -> None:
    """Add the points and comments of ``manual.csv``; the file is made, empty, where it is missing.

    Raises:
        ValueError: it is no such table, or a row names nobody, no exercise, or points that are no number.
    """
    if not path.exists():
        write_table(path, [MANUAL_COLUMNS], mark=True)
        return
    by_name: dict[str, list[Student]] = {}
    for student in students:
        for name in {student.name, student.number, safe(student.name)} - {""}:
            by_name.setdefault(name, []).append(student)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8: save it as 'CSV UTF-8'") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not set(MANUAL_COLUMNS) <= set(rows.fieldnames or ()):
        raise ValueError(f"{path}: the first line must be {','.join(MANUAL_COLUMNS)} (with commas)")
    for line, row in enumerate(rows, 2):
        name, id, points = (row[column] or "" for column in MANUAL_COLUMNS[:3])
        if len(by_name.get(name, ())) != 1:
            raise ValueError(
                f"{path}, line {line}: {len(by_name.get(name, ()))} students are called {name!r}; give the number"
            )
        if id not in exercises:
            raise ValueError(f"{path}, line {line}: there is no exercise {id!r}")
        try:
            given = float(points) if points.strip() else None
        except ValueError:
            given = math.nan
        if given is not None and not math.isfinite(given):
            raise ValueError(f"{path}, line {line}: points must be a number, got {points!r}")
        by_name[name][0].manual[id] = Manual(given, row["comment"] or "")

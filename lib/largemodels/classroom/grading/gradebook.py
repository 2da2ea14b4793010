"""The class's points: who handed in what, what counts of it, what it is worth, and what an instructor gave by hand."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ...language import edition_folder, say, speaking
from ..exercise import Exercise
from . import byhand, extracting
from .byhand import Given, HandGraded
from .collecting import Collection, File
from .extracting import CodeCell, Notebook, Unreadable
from .judging import Verdict
from .roster import Person, Roster, plain
from .rules import Rules
from .shown import shown_name
from .store import Kept
from .tables import head, number, read_number, safe, write_table


@dataclass(frozen=True)
class Submission:
    """The notebook of one student for one chapter that counts."""

    file: File
    notebook: Notebook
    notes: tuple[str, ...]

    @property
    def chapter(self) -> str:
        return self.notebook.chapter


@dataclass
class Student:
    """One row of the gradebook. `number` is the roster's or, for who is not on it, the LMS's."""

    name: str
    number: str = ""
    person: Person | None = None
    submissions: dict[str, Submission] = field(default_factory=dict)  # by chapter
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by exercise
    kept: dict[str, Kept] = field(default_factory=dict)  # when and how those verdicts were found that are not new
    manual: dict[str, Given] = field(default_factory=dict)
    days: dict[str, float] = field(default_factory=dict)  # days of lateness given by hand, by chapter
    problems: list[str] = field(default_factory=list)  # they need attention
    unread: list[File] = field(default_factory=list)  # those of the problems that are files

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

    def lms_number(self, chapter: str | None = None) -> str:
        """The number by which the LMS knows the student, who may have another one in each of Moodle's assignments."""
        files = [s.file for name, s in self.submissions.items() if chapter in (None, name)] + self.unread
        return next((file.number for file in files if file.number), "" if self.person else self.number)

    @property
    def called(self) -> set[str]:
        """All that the student may be called in a table."""
        person = self.person or Person(self.name)
        names = {self.name, safe(self.name), self.number, self.lms_number(), person.name, person.number, person.login}
        return names - {""}

    @property
    def attention(self) -> list[str]:
        """All that somebody must look at before this row can stand."""
        failed = [f"{id}: {v.message.splitlines()[0]}" for id, v in self.verdicts.items() if v.status == "attention"]
        return self.problems + [f for f in failed if self.points(f.split(":")[0]) is None]


@dataclass
class Gradebook:
    """A class and what counts of its work. Going through it gives its students."""

    students: list[Student]
    exercises: Mapping[str, Exercise]  # those that count
    rules: Rules = field(default_factory=Rules)
    problems: list[str] = field(default_factory=list)  # that are no one student's

    def __iter__(self) -> Iterator[Student]:
        return iter(self.students)

    def __len__(self) -> int:
        return len(self.students)

    @cached_property
    def items(self) -> dict[str, Exercise | HandGraded]:
        """All that has points, chapter by chapter: exercises, then what is graded by hand."""
        every = {**self.exercises, **{item.id: item for item in self.rules.by_hand}}
        chapters = list(dict.fromkeys(map(chapter_of, every)))
        return {id: every[id] for chapter in chapters for id in every if chapter_of(id) == chapter}

    @property
    def chapters(self) -> list[str]:
        """Those of which somebody handed in anything, or has points."""
        handed_in = {chapter for student in self for chapter in student.submissions}
        handed_in |= {chapter_of(id) for student in self for id in student.manual}
        return [chapter for chapter in dict.fromkeys(map(chapter_of, self.items)) if chapter in handed_in]

    def ids(self, chapter: str | None = None) -> list[str]:
        chapters = self.chapters if chapter is None else [chapter]
        return [id for id in self.items if chapter_of(id) in chapters]

    def most(self, ids: Iterable[str]) -> float:
        """All points that these are worth, by their weights."""
        return sum(self.items[id].points * self.rules.weights.get(id, 1.0) for id in ids)

    # ------------------------------------------------------------------------------------- what counts in the end

    def days_late(self, student: Student, chapter: str) -> float | None:
        """None where the chapter was handed in late, and nobody knows how late."""
        if chapter in student.days:
            return student.days[chapter]
        submission = student.submissions.get(chapter)
        if submission is None or chapter not in self.rules.due:
            return 0
        if submission.file.upload:  # Canvas says whether, not when
            return None if submission.file.late and self.rules.per_day else 0
        return self.rules.days_late(chapter, submission.file.when, student.person and student.person.extension)

    def chapter_points(self, student: Student, chapter: str) -> float | None:
        """By weights, and less what lateness costs: reflections and points given by hand are late like all else."""
        points = [
            value * self.rules.weights.get(id, 1.0)
            for id in self.ids(chapter)
            if (value := student.points(id)) is not None
        ]
        days = self.days_late(student, chapter)
        return sum(points) * self.rules.share(days) if points and days is not None else None

    def total(self, student: Student) -> float | None:
        points = [p for chapter in self.chapters if (p := self.chapter_points(student, chapter)) is not None]
        return sum(points) if points else None

    def percent(self, student: Student) -> float | None:
        """The term's result. What was not handed in counts 0; None while anything of the student's needs attention."""
        if student.attention:
            return None
        shares = {}
        for chapter in self.chapters:
            if most := self.most(self.ids(chapter)):
                earned = self.chapter_points(student, chapter) or 0.0
                shares[chapter] = (earned / most, self.rules.chapter_weight(chapter, most))
        return self.rules.percent(shares)

    # ------------------------------------------------------------------------------------------------- by hand

    def find(self, text: str) -> list[Student]:
        """The students who are called so; failing that, whose name a spreadsheet took for this number: 12e4, say."""
        name, value = plain(text), read_number(text)
        called = [student for student in self if name and name in map(plain, student.called)]
        return called or [s for s in self if value is not None and value in map(read_number, s.called)]

    def to_be_graded(self) -> list[tuple[Student, str]]:
        """Students, and what has to be graded by hand of a chapter that they handed in."""
        return [
            (student, item.id)
            for student in self
            for item in self.rules.by_hand
            if chapter_of(item.id) in student.submissions and student.points(item.id) is None
        ]

    def add_by_hand(self, path: Path, others: Iterable[str], comments: Mapping[str, str]) -> None:
        """Add what ``manual.csv`` gives; make it where it is missing.

        Raises:
            ValueError: it is no such table.
        """
        if not path.exists():
            waiting = [(student.number or student.name, id) for student, id in self.to_be_graded()]
            byhand.write_empty(path, ((name, f"ex {id}") for name, id in waiting))
            return
        rows, problems = byhand.read(path, self.find, self.items, others, comments)
        self.problems += problems
        for row in rows:
            late = row.exercise.removeprefix("late ") if row.exercise.startswith("late ") else None
            if row.exercise in row.student.manual or late in row.student.days:
                problem = f"{row.student.name} has {row.exercise} more than once; this row counts"
                self.problems.append(f"{path.name}, line {row.line}: {problem}")
            if late is not None:
                row.student.days[late] = row.given.points
                continue
            row.student.manual[row.exercise] = row.given

    def tell_lateness(self) -> None:
        """Make those problems of their students of whom nobody knows how late they were."""
        for student in self:
            for chapter in student.submissions:
                if self.days_late(student, chapter) is None:
                    student.problems.append(
                        f"chapter {chapter} was handed in late, and the file does not tell how late: "
                        f"give the days in manual.csv, as exercise 'late {chapter}'"
                    )


def chapter_of(id: str) -> str:
    return id.split(".")[0]


# ------------------------------------------------------------------------------------------------------ who, and what


def choose(collection: Collection, exercises: Mapping[str, Exercise], roster: Roster | None = None) -> list[Student]:
    """For each student and chapter the latest notebook; what cannot be read becomes a problem of that student.

    With a roster there is a row for everybody on it, in its order, and others follow.
    """
    students: dict[object, Student] = {}
    for person in roster.people if roster else ():
        students[person] = Student(shown_name(person.name), person.number, person)
    found: dict[object, dict[str, list[tuple[File, Notebook]]]] = {}
    for file in collection.files:
        owner, student = _owner(file, roster)
        student = students.setdefault(owner, student)
        try:
            if file.problem:
                raise Unreadable(file.problem)
            notebooks = extracting.read(file.data, exercises)
        except Unreadable as error:
            student.problems.append(f"{shown_name(file.name)}: {error}")
            student.unread.append(file)
            continue
        for notebook in notebooks:
            found.setdefault(owner, {}).setdefault(notebook.chapter, []).append((file, notebook))
    for owner, chapters in found.items():
        for chapter, handed_in in sorted(chapters.items()):
            handed_in.sort(key=lambda pair: (pair[0].upload, pair[0].when, pair[0].name))
            file, notebook = handed_in[-1]
            with speaking(notebook.language):
                notes = (*_notes(file, [file for file, _ in handed_in]), *notebook.notes)
            students[owner].submissions[chapter] = Submission(file, notebook, notes)
    known = [students[person] for person in roster.people] if roster else []
    return known + sorted((s for s in students.values() if s.person is None), key=lambda s: (s.name, s.number))


def _owner(file: File, roster: Roster | None) -> tuple[object, Student]:
    """Whose a file is, and the row that is theirs if there is none yet."""
    name, number = shown_name(file.student), shown_name(file.number) if file.number else ""
    people = roster.whose(name, file.number) if roster else []
    if len(people) == 1:
        return people[0], Student(shown_name(people[0].name), people[0].number, people[0])
    student = Student(name, number)
    if roster:
        fits = f"{len(people)} people on the roster fit this name" if people else "not on the roster"
        called = f"{name} {number}".strip()
        student.problems.append(f"{fits}: write {called!r} into the column 'also' of whose it is, or add a row")
    return (name, number), student


def _notes(counts: File, handed_in: list[File]) -> Iterator[str]:
    """What is worth knowing of the file that counts, among those for the same chapter."""
    if counts.late:
        yield say("handed in late")
    if len(owners := {shown_name(f"{file.student} {file.number}".strip()) for file in handed_in}) > 1:
        yield say("handed in under several names: {names}", names=", ".join(sorted(owners)))
    if len(handed_in) > 1:
        name = shown_name(counts.name)
        yield say("{count} notebooks handed in; the latest counts: {name}", count=len(handed_in), name=name)


def released_cells(course: Path, chapter: str, language: str) -> list[CodeCell]:
    """The code cells of the notebook that was given out; none if it is not there."""
    place = course / "exercises" / edition_folder(language)
    number = f"{int(chapter):02d}" if chapter.isdecimal() else chapter
    path = next(iter(sorted(place.glob(f"{number}-*.ipynb"))), None)
    return extracting.code_cells(path.read_bytes()) if path else []


# -------------------------------------------------------------------------------------------------------------- tables


def write_grades(path: Path, book: Gradebook) -> None:
    """One row for each student, one column for each exercise; with rules, what each chapter is worth in the end."""
    ids, chapters = book.ids(), book.chapters
    has_roster, has_rules = any(student.person for student in book), book.rules != Rules()
    columns = ["student", "number", *(["login", "section"] if has_roster else [])]
    columns += [head(id, book.items[id].title) for id in ids]
    if has_rules:
        columns += [name for c in chapters for name in (f"days late, chapter {c}", f"chapter {c}")]
    columns += ["total", "of", *(["percent"] if has_rules else []), "notes"]
    rows: list[list[object]] = [columns]
    for student in book:
        notes = [f"needs attention: {problem}" for problem in student.attention]
        notes += [note for submission in student.submissions.values() for note in submission.notes]
        if student.person and not student.submissions and not student.problems:
            notes.append("nothing handed in")
        person = student.person or Person(student.name)
        row = [student.name, student.number, *([person.login, person.section] if has_roster else [])]
        row += [number(student.points(id)) for id in ids]
        if has_rules:
            for chapter in chapters:
                row += [number(book.days_late(student, chapter)), number(book.chapter_points(student, chapter))]
        row += [number(book.total(student)), number(book.most(ids))]
        if has_rules:
            percent = book.percent(student)
            row.append("" if percent is None else f"{percent:.1f}")
        rows.append([*row, "; ".join(notes)])
    write_table(path, rows, mark=True)

"""Tables that Moodle and Canvas import.

Moodle: *Grade → Upload grading worksheet* of an assignment that has offline grading worksheets switched on; a student
is known by "Participant" and the number in the name of the downloaded file, another one in each assignment. Canvas:
*Grades → Import*; a student is known by the number in the name of the downloaded file, and an assignment of that name
is made or found.
"""

from pathlib import Path

from .gradebook import Gradebook
from .tables import number, write_table


def write_moodle(folder: Path, book: Gradebook) -> list[str]:
    """A grading worksheet or, where students have other numbers in another chapter, one for each; their names."""
    chapters: list[str | None] = [None]
    numbers = [{s.lms_number(chapter) for chapter in s.submissions} for s in book]
    if any(len(known) > 1 for known in numbers):
        chapters = [*book.chapters]
    names = []
    for chapter in chapters:
        names.append("moodle.csv" if chapter is None else f"moodle-{chapter}.csv")
        _worksheet(folder / names[-1], book, chapter)
    return names


def _worksheet(path: Path, book: Gradebook, chapter: str | None) -> None:
    ids = book.ids(chapter)
    rows: list[list[object]] = [
        ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments"]
    ]
    for student in book:
        comments = [f"{id}: {number(p)}" for id in ids if (p := student.points(id)) is not None]
        for late in [chapter] if chapter else book.chapters:
            if days := book.days_late(student, late):
                comments.append(f"{number(days)} days late, of which {100 * book.rules.share(days):.0f} % count")
        participant = student.lms_number(chapter)
        total = book.chapter_points(student, chapter) if chapter else book.total(student)
        identifier = f"Participant {participant}" if participant else ""
        rows.append([identifier, student.name, number(total), number(book.most(ids)), "", ", ".join(comments)])
    write_table(path, rows)


def write_canvas(path: Path, book: Gradebook) -> None:
    """A gradebook with one assignment for each chapter."""
    chapters = book.chapters
    columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    rows: list[list[object]] = [[*columns, *(f"Exercises {chapter}" for chapter in chapters)]]
    rows.append(["Points Possible", "", "", "", "", *(number(book.most(book.ids(chapter))) for chapter in chapters)])
    for student in book:
        login, section = (student.person.login, student.person.section) if student.person else ("", "")
        points = [number(book.chapter_points(student, chapter)) for chapter in chapters]
        rows.append([student.name, student.lms_number(), "", login, section, *points])
    write_table(path, rows)

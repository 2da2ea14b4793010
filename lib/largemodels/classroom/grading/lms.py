"""Tables that Moodle and Canvas import.

Moodle: *Grade → Upload grading worksheet* of an assignment that has offline grading worksheets switched on; a student
is known by "Participant" and the number in the name of the downloaded file. Canvas: *Grades → Import*; a student is
known by the number in the name of the downloaded file, and an assignment of that name is made or found.
"""

from collections.abc import Mapping
from pathlib import Path

from ..exercise import Exercise
from .gradebook import Student, columns, number, write_table


def write_moodle(path: Path, students: list[Student], exercises: Mapping[str, Exercise]) -> None:
    """A grading worksheet."""
    ids = columns(students, exercises)
    most = sum(exercises[id].points for id in ids)
    rows: list[list[object]] = [
        ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments"]
    ]
    for student in students:
        comment = ", ".join(f"{id}: {number(p)}" for id in ids if (p := student.points(id)) is not None)
        identifier = f"Participant {student.number}" if student.number else ""
        rows.append([identifier, student.name, number(student.total(ids)), number(most), "", comment])
    write_table(path, rows)


def write_canvas(path: Path, students: list[Student], exercises: Mapping[str, Exercise]) -> None:
    """A gradebook with one assignment for each chapter."""
    ids = columns(students, exercises)
    chapters = list(dict.fromkeys(id.split(".")[0] for id in ids))
    of = {chapter: [id for id in ids if id.split(".")[0] == chapter] for chapter in chapters}
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    rows: list[list[object]] = [[*head, *(f"Exercises {chapter}" for chapter in chapters)]]
    most = [number(sum(exercises[id].points for id in of[chapter])) for chapter in chapters]
    rows.append(["Points Possible", "", "", "", "", *most])
    for student in students:
        rows.append([student.name, student.number, "", "", "", *(number(student.total(of[c])) for c in chapters)])
    write_table(path, rows)

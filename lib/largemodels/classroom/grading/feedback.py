"""A page for each student and notebook: their code, the verdict on it, points, and hints."""

import hashlib
import re
from pathlib import Path

from ...language import say, speaking
from ...storage import write_whole
from ..exercise import Exercise
from . import prose
from .byhand import HandGraded
from .gradebook import Gradebook, Student, chapter_of
from .pages import page
from .tables import number

OURS = re.compile(r".+(-[0-9a-f]{8}-\w+|_\d+_assignsubmission_file_exercises-\w+)\.html")  # as `file_name` makes them


def folder_name(student: Student) -> str:
    """A name that every file system takes, one for each student however they are called."""
    owner = f"{student.name}\0{student.number}"
    digest = hashlib.sha256(owner.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{_plain(student)}-{digest[:8]}"


def file_name(student: Student, chapter: str, system: str) -> str:
    """As in `folder_name`; Moodle takes a zip of feedback files, and knows by names of its own whose they are."""
    if system == "Moodle" and (participant := student.lms_number(chapter)):
        return f"{_plain(student)}_{participant}_assignsubmission_file_exercises-{chapter}.html"
    return f"{folder_name(student)}-{chapter}.html"


def _plain(student: Student) -> str:
    return re.sub(r"[\W_]+", "-", student.name).strip("-")[:40] or "student"


def write_feedback(folder: Path, book: Gradebook, system: str = "folder") -> None:
    """Write everybody's pages; those of people who are gone go. Pages that somebody else has put there stay."""
    written = set()
    for student in book:
        for chapter in student.submissions:
            path = folder / file_name(student, chapter, system)
            write_whole(path, feedback(student, chapter, book))
            written.add(path)
    for path in folder.glob("*.html"):
        if path not in written and OURS.fullmatch(path.name):
            path.unlink()


def feedback(student: Student, chapter: str, book: Gradebook) -> str:
    with speaking(student.submissions[chapter].notebook.language):
        return _feedback(student, chapter, book)


def _feedback(student: Student, chapter: str, book: Gradebook) -> str:
    ids = [id for id in book.ids(chapter) if id in student.verdicts or isinstance(book.items[id], HandGraded)]
    submission, days = student.submissions[chapter], book.days_late(student, chapter)
    return page(
        "feedback.html",
        chapter=chapter,
        student=student,
        points=number(book.chapter_points(student, chapter)),
        most=number(book.most(ids)),
        days=days,
        share=f"{100 * book.rules.share(days or 0):.0f}",
        notes=submission.notes,
        items=[_item(student, book.items[id]) for id in ids],
    )


def _item(student: Student, item: Exercise | HandGraded) -> dict:
    """What the page shows of one exercise."""
    verdict = student.verdicts.get(item.id)
    status = verdict.status if verdict else "graded by hand"
    hints = [say(hint) for hint in item.hints] if verdict and status != "passed" else []
    return {
        "id": item.id,
        "title": say(item.title),
        "status": status,
        "points": student.points(item.id),
        "most": item.points,
        "verdict": verdict,
        "given": student.manual.get(item.id),
        "code": _code(student, item) if verdict else "",
        "hints": hints,
    }


def _code(student: Student, exercise: Exercise) -> str:
    """The cells that answer it."""
    cells = [c for c in student.submissions[chapter_of(exercise.id)].notebook.cells if not c.is_check]
    own = [c for c in cells if c.exercise == exercise.id or exercise.name in c.names[0]]
    return "\n\n".join(cell.source for cell in own)


def write_by_hand(path: Path, book: Gradebook, course: Path) -> None:
    """A page for whoever grades by hand: what each student wrote in words. None where nothing is graded so."""
    if not book.rules.by_hand:
        path.unlink(missing_ok=True)
        return
    known, items = prose.given(course), []
    for item in book.rules.by_hand:
        answers = [
            {
                "name": student.name,
                "number": student.number,
                "points": student.points(item.id),
                "words": prose.own(submission.file.data, known),
            }
            for student in book
            if (submission := student.submissions.get(chapter_of(item.id)))
        ]
        items.append((item, answers))
    write_whole(path, page("by-hand.html", items=items))

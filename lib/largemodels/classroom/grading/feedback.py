"""A page for each student and notebook: their code, the verdict on it, points, and hints. One file, no network."""

import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path

from ..exercise import Exercise
from ..report import Report, StageResult
from .gradebook import Student, Submission, number
from .judging import Verdict
from .store import write_whole

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem }
pre { background: #f6f6f4; padding: .7rem; overflow-x: auto; font-size: .85rem; line-height: 1.4 }
table { border-collapse: collapse } td, th { padding: .25rem .8rem; text-align: left; border-bottom: 1px solid #ddd }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.note { background: #fff8e1; padding: .5rem .8rem; border-left: 4px solid #b08900 }
code { background: #f0f0ee; padding: 0 .2em } img { max-width: 100% } details { margin: .5rem 0 }
"""
# Nothing in a page may run or be fetched, whatever a student's code contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, body: str) -> str:
    """A complete HTML page."""
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def file_name(student: Student, chapter: str, system: str) -> str:
    """A name that every file system takes, one for each student however they are called.

    Moodle takes a zip of feedback files, and knows by their names whose they are.
    """
    plain = re.sub(r"[\W_]+", "-", student.name).strip("-")[:40] or "student"
    if system == "Moodle" and student.number:
        return f"{plain}_{student.number}_assignsubmission_file_exercises-{chapter}.html"
    owner = f"{student.name}\0{student.number}"
    return f"{plain}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}-{chapter}.html"


def write_feedback(folder: Path, student: Student, exercises: Mapping[str, Exercise], system: str = "folder") -> None:
    """Write the pages of one student."""
    for chapter, submission in student.submissions.items():
        write_whole(folder / file_name(student, chapter, system), feedback(student, submission, exercises))


def feedback(student: Student, submission: Submission, exercises: Mapping[str, Exercise]) -> str:
    ids = [id for id in exercises if id.split(".")[0] == submission.chapter and id in student.verdicts]
    most = sum(exercises[id].points for id in ids)
    title = f"Exercises {submission.chapter}"
    parts = [f"<h1>{title} · <bdi>{html.escape(student.name)}</bdi></h1>"]
    parts.append(f"<p><b>{number(student.total(ids))} of {number(most)} points</b></p>")
    parts += [f"<p class='note'>{html.escape(note)}</p>" for note in submission.notes]
    rows = "".join(
        f"<tr><td>{id}</td><td>{html.escape(exercises[id].title)}</td><td>{student.verdicts[id].status}</td>"
        f"<td class='n'>{number(student.points(id))} / {number(exercises[id].points)}</td></tr>"
        for id in ids
    )
    parts.append(f"<table><tr><th></th><th>exercise</th><th></th><th class='n'>points</th></tr>{rows}</table>")
    parts += [_section(student, submission, exercises[id]) for id in ids]
    return page(f"{title} · {student.name}", "\n".join(parts))


def _section(student: Student, submission: Submission, exercise: Exercise) -> str:
    verdict = student.verdicts[exercise.id]
    parts = [f"<h2>{exercise.id} {html.escape(exercise.title)}</h2>", _verdict(verdict, exercise)]
    if (given := student.manual.get(exercise.id)) and (given.comment or given.points is not None):
        points = f"{number(given.points)} points, given by hand. " if given.points is not None else ""
        parts.append(f"<p class='note'>{points}{html.escape(given.comment)}</p>")
    cells = [c for c in submission.notebook.cells if not c.is_check]
    own = [c for c in cells if c.exercise == exercise.id or exercise.name in c.names[0]]
    code = "\n\n".join(cell.source for cell in own)[:20_000]
    if code:
        parts.append(f"<pre>{html.escape(code)}</pre>")
    if verdict.status != "passed" and exercise.hints:
        hints = "".join(f"<li>{html.escape(hint)}</li>" for hint in exercise.hints)
        parts.append(f"<details><summary>Hints</summary><ol>{hints}</ol></details>")
    return "\n".join(parts)


def _verdict(verdict: Verdict, exercise: Exercise) -> str:
    """What `check` shows in the notebook."""
    if verdict.status == "attention":
        return "<p class='note'>This answer could not be graded automatically. Your instructor has been told.</p>"
    stages = tuple(StageResult(*stage) for stage in verdict.stages)
    heading = f"{exercise.id} {exercise.title}"
    report = Report(
        heading, verdict.points, verdict.max_points, verdict.status, verdict.message, stages, verdict.printed
    )
    return report._repr_html_()

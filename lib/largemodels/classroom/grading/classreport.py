"""A page for the instructor: points, hardest exercises, commonest mistakes, slow and identical answers."""

import ast
import base64
import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from ...language import languages, say, speaking
from ...storage import write_whole
from ..exercise import LOOKS_LIKE, Exercise
from .extracting import CodeCell
from .gradebook import Gradebook
from .pages import page
from .tables import number

LONG_ENOUGH = 40  # nodes of a syntax tree: shorter answers are alike by chance
SLOWEST = 10


def write_report(path: Path, book: Gradebook, stubs: Iterable[CodeCell], facts: list[str], ignored: list[str]) -> None:
    """`stubs`: the released notebooks' cells, which all have in common; `facts`: how the grading was done;
    `ignored`: what else lay among the submissions.
    """
    ids = [id for id in book.ids() if id in book.exercises]
    content = page(
        "report.html",
        facts=facts,
        attention=[("", problem) for problem in book.problems] + [(s.name, what) for s in book for what in s.attention],
        notes=_notes(book),
        absent=[s.name for s in book if s.person and not s.submissions and not s.unread],
        to_be_graded=[(student.name, id) for student, id in book.to_be_graded()],
        ignored=ignored,
        kept=_kept(book),
        distribution=_distribution(book),
        hardest=_hardest(book, ids) if ids else None,
        mistakes=_mistakes(book, ids),
        slowest=_slowest(book),
        identical=_identical(book, ids, stubs),
    )
    write_whole(path, content)


def _picture(figure, text: str) -> dict[str, str]:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110, bbox_inches="tight")
    return {"text": text, "data": Markup(base64.b64encode(data.getvalue()).decode())}


def _notes(book: Gradebook) -> list[tuple[str, str]]:
    """What is worth knowing of files, and of answers that were not judged where their check stands."""
    notes = [(s.name, note) for s in book for submission in s.submissions.values() for note in submission.notes]
    return notes + [(s.name, f"{id}: {v.note}") for s in book for id, v in s.verdicts.items() if v.note]


def _kept(book: Gradebook) -> list[tuple]:
    """How many results are of which day, and of which walls."""
    counts = Counter((kept.date or "?", kept.walls or "?") for student in book for kept in student.kept.values())
    return [(count, *how) for how, count in sorted(counts.items())]


def _distribution(book: Gradebook) -> dict[str, str] | None:
    from ... import plots

    totals = [total for student in book if (total := book.total(student)) is not None]
    most = book.most(book.ids())
    if not totals or not most:
        return None
    counts = [0] * 10
    for total in totals:
        counts[max(0, min(9, int(10 * total / most)))] += 1
    labels = [f"{i * 10}–{i * 10 + 10}" for i in range(10)]
    figure = plots.bars(
        counts, labels, xlabel=say("points, in % of {most}", most=number(most)), ylabel=say("students"), annotate=".0f"
    )
    figure.axes[0].yaxis.get_major_locator().set_params(integer=True)  # there is no half student
    middle = sorted(totals)[len(totals) // 2]
    text = say("{count} students; half of them have {points} points or more.", count=len(totals), points=number(middle))
    return _picture(figure, text)


def _hardest(book: Gradebook, ids: list[str]) -> dict:
    from ... import plots

    rows = []
    for id in ids:
        given = [student.verdicts[id] for student in book if id in student.verdicts]
        verdicts = [verdict for verdict in given if verdict.status != "attention"]
        tried = [verdict for verdict in verdicts if verdict.status != "not attempted"]
        points = [points for student in book if (points := student.points(id)) is not None]
        share = sum(points) / (len(points) * book.exercises[id].points) if points else 0
        passed = sum(verdict.status == "passed" for verdict in verdicts)
        rows.append((share, id, say(book.exercises[id].title), len(tried), passed, f"{share:.0%}"))
    rows.sort()
    figure = plots.bars(
        [100 * row[0] for row in rows],
        [row[1] for row in rows],
        xlabel=say("exercise"),
        ylabel=say("mean points in %"),
        annotate=".0f",
    )
    picture = _picture(figure, say("Mean of the points for each exercise, hardest first"))
    return {"picture": picture, "rows": [row[1:] for row in rows]}


def _mistakes(book: Gradebook, ids: list[str]) -> list[tuple[str, list[tuple]]]:
    found = []
    for id in ids:
        known = _mistakes_of(book.exercises[id])
        wrong = [s.verdicts[id].message for s in book if id in s.verdicts and s.verdicts[id].status == "wrong"]
        counts = Counter(known.get(message, say("something else")) for message in wrong)
        if counts:
            rows = [(count, message) for message, count in counts.most_common(6)]
            found.append((f"{id} {say(book.exercises[id].title)}", rows))
    return found


def _mistakes_of(exercise: Exercise) -> dict[str, str]:
    """By what a student is told of a known mistake, in any language, its message in the language of this report."""
    known = {}
    for misconception in exercise.misconceptions:
        for spoken in languages():
            with speaking(spoken):
                told = say(misconception.message), say(LOOKS_LIKE) + say(misconception.message)
            known |= dict.fromkeys(told, say(misconception.message))
    return known


def _slowest(book: Gradebook) -> list[tuple[str, str, str]]:
    rows = [(v.seconds, s.name, id) for s in book for id, v in s.verdicts.items()]
    return [(name, id, f"{seconds:.2f}") for seconds, name, id in sorted(rows, reverse=True)[:SLOWEST]]


def _identical(book: Gradebook, ids: list[str], stubs: Iterable[CodeCell]) -> list[tuple[str, int, str]]:
    """Answers with the same syntax tree, once names, comments and layout are taken away."""
    given = {shape(cell.code) for cell in stubs}
    rows = []
    for id in ids:
        if book.exercises[id].kind not in ("implement", "repair"):
            continue
        same: dict[str, list[str]] = defaultdict(list)
        for student in book:
            if submission := student.submissions.get(id.split(".")[0]):
                cells = [
                    c for c in submission.notebook.cells if book.exercises[id].name in c.names[0] and not c.is_check
                ]
                text = "".join(shape(cell.code) for cell in cells[-1:])
                if text and text not in given:
                    same[text].append(student.name)
        rows += [(id, len(names), ", ".join(names)) for names in same.values() if len(names) > 1]
    return sorted(rows, key=lambda row: (row[1], row[0]))


def shape(code: str) -> str:
    """A syntax tree with its names numbered in the order in which they come; empty for code that is short or broken,
    or nested so deep that it cannot be written down."""
    try:
        return _shape(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _shape(tree: ast.Module) -> str:
    nodes = list(ast.walk(tree))
    if len(nodes) < LONG_ENOUGH:
        return ""
    numbers: dict[str, str] = {}
    for node in nodes:
        for attribute in ("id", "arg"):
            if isinstance(name := getattr(node, attribute, None), str):
                setattr(node, attribute, numbers.setdefault(name, f"n{len(numbers)}"))
    return ast.dump(tree)

"""A page for the instructor: points, hardest exercises, commonest mistakes, slow and identical answers."""

import ast
import base64
import html
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..exercise import Exercise
from ..report import marked_up
from .extracting import CodeCell
from .feedback import page
from .gradebook import Student, columns, number
from .store import write_whole

LONG_ENOUGH = 40  # nodes of a syntax tree: shorter answers are alike by chance
SLOWEST = 10


def write_report(
    path: Path,
    students: list[Student],
    exercises: Mapping[str, Exercise],
    stubs: Iterable[CodeCell],
    facts: list[str],
    ignored: list[str],
) -> None:
    """`stubs`: the released notebooks' cells, which all have in common; `facts`: how the grading was done;
    `ignored`: what else lay among the submissions.
    """
    ids = columns(students, exercises)
    parts = ["<h1>Class report</h1>", *(f"<p>{html.escape(fact)}</p>" for fact in facts)]
    parts += [_attention(students), _ignored(ignored)]
    if ids:
        parts += [_distribution(students, ids, exercises), _hardest(students, ids, exercises)]
    parts += [_mistakes(students, ids, exercises), _slowest(students), _identical(students, ids, exercises, stubs)]
    write_whole(path, page("Class report", "\n".join(parts)))


def _table(head: list[str], rows: Iterable[Iterable[object]]) -> str:
    """Columns whose name begins with # hold numbers."""
    kinds = [" class='n'" if name.startswith("#") else "" for name in head]
    lines = "".join(f"<th{kind}>{html.escape(name.lstrip('#'))}</th>" for name, kind in zip(head, kinds, strict=True))
    for row in rows:
        cells = (f"<td{kind}><bdi>{marked_up(str(c))}</bdi></td>" for c, kind in zip(row, kinds, strict=True))
        lines += f"</tr>\n<tr>{''.join(cells)}"
    return f"<table><tr>{lines}</tr></table>"


def _picture(figure, text: str) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110, bbox_inches="tight")
    encoded = base64.b64encode(data.getvalue()).decode()
    return f"<img alt='{html.escape(text)}' src='data:image/png;base64,{encoded}'>"


def _attention(students: list[Student]) -> str:
    rows = [(student.name, problem) for student in students for problem in student.problems]
    rows += [
        (s.name, f"{id}: {v.message}") for s in students for id, v in s.verdicts.items() if v.status == "attention"
    ]
    rows += [(s.name, note) for s in students for submission in s.submissions.values() for note in submission.notes]
    if not rows:
        return "<p>Every file could be read, and every answer could be run.</p>"
    return "<h2>Needs attention</h2>" + _table(["student", "what"], rows)


def _ignored(files: list[str]) -> str:
    if not files:
        return ""
    rows = "".join(f"<li><bdi>{html.escape(file)}</bdi></li>" for file in files[:1_000])
    return f"<details><summary>Left alone, since they are no notebooks or nobody's: {len(files)}</summary><ul>{rows}</ul></details>"


def _distribution(students: list[Student], ids: list[str], exercises: Mapping[str, Exercise]) -> str:
    from ... import plots

    totals = [total for student in students if (total := student.total(ids)) is not None]
    if not totals:
        return ""
    most = sum(exercises[id].points for id in ids)
    counts = [0] * 10
    for total in totals:
        counts[max(0, min(9, int(10 * total / most)))] += 1
    labels = [f"{i * 10}–{i * 10 + 10}" for i in range(10)]
    figure = plots.bars(counts, labels, xlabel=f"points, in % of {number(most)}", ylabel="students", annotate=".0f")
    figure.axes[0].yaxis.get_major_locator().set_params(integer=True)  # there is no half student
    middle = sorted(totals)[len(totals) // 2]
    text = f"{len(totals)} students; half of them have {number(middle)} points or more."
    return f"<h2>Points</h2><p>{text}</p>{_picture(figure, text)}"


def _hardest(students: list[Student], ids: list[str], exercises: Mapping[str, Exercise]) -> str:
    from ... import plots

    rows = []
    for id in ids:
        given = [student.verdicts[id] for student in students if id in student.verdicts]
        verdicts = [verdict for verdict in given if verdict.status != "attention"]
        tried = [verdict for verdict in verdicts if verdict.status != "not attempted"]
        points = [points for student in students if (points := student.points(id)) is not None]
        share = sum(points) / (len(points) * exercises[id].points) if points else 0
        passed = sum(verdict.status == "passed" for verdict in verdicts)
        rows.append((share, id, exercises[id].title, len(tried), passed, f"{share:.0%}"))
    rows.sort()
    figure = plots.bars(
        [100 * row[0] for row in rows],
        [row[1] for row in rows],
        xlabel="exercise",
        ylabel="mean points in %",
        annotate=".0f",
    )
    picture = _picture(figure, "Mean of the points for each exercise, hardest first")
    head = ["exercise", "", "#attempted", "#passed", "#mean of the points"]
    return "<h2>Exercises, hardest first</h2>" + picture + _table(head, [row[1:] for row in rows])


def _mistakes(students: list[Student], ids: list[str], exercises: Mapping[str, Exercise]) -> str:
    parts = ["<h2>Commonest mistakes</h2>"]
    for id in ids:
        known = {misconception.message for misconception in exercises[id].misconceptions}
        wrong = [s.verdicts[id].message for s in students if id in s.verdicts and s.verdicts[id].status == "wrong"]
        counts = Counter(message if message in known else "something else" for message in wrong)
        if counts:
            rows = [(count, message) for message, count in counts.most_common(6)]
            parts.append(f"<h3>{id} {html.escape(exercises[id].title)}</h3>" + _table(["#students", "mistake"], rows))
    return "\n".join(parts) if len(parts) > 1 else ""


def _slowest(students: list[Student]) -> str:
    rows = [(v.seconds, s.name, id) for s in students for id, v in s.verdicts.items()]
    rows = [(name, id, f"{seconds:.2f}") for seconds, name, id in sorted(rows, reverse=True)[:SLOWEST]]
    return "<h2>Slowest answers</h2>" + _table(["student", "exercise", "#seconds"], rows)


def _identical(
    students: list[Student], ids: list[str], exercises: Mapping[str, Exercise], stubs: Iterable[CodeCell]
) -> str:
    """Answers with the same syntax tree, once names, comments and layout are taken away."""
    given = {shape(cell.code) for cell in stubs}
    rows = []
    for id in ids:
        if exercises[id].kind not in ("implement", "repair"):
            continue
        same: dict[str, list[str]] = defaultdict(list)
        for student in students:
            if submission := student.submissions.get(id.split(".")[0]):
                cells = [c for c in submission.notebook.cells if exercises[id].name in c.names[0] and not c.is_check]
                text = "".join(shape(cell.code) for cell in cells[-1:])
                if text and text not in given:
                    same[text].append(student.name)
        rows += [(id, len(names), ", ".join(names)) for names in same.values() if len(names) > 1]
    if not rows:
        return ""
    rows.sort(key=lambda row: (row[1], row[0]))
    note = "The same code up to names, comments and layout. Short exercises have few different right answers: look before you ask."
    return f"<h2>Identical answers</h2><p>{note}</p>" + _table(["exercise", "#students", "who"], rows)


def shape(code: str) -> str:
    """A syntax tree with its names numbered in the order in which they come; empty for code that is short or broken."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    nodes = list(ast.walk(tree))
    if len(nodes) < LONG_ENOUGH:
        return ""
    numbers: dict[str, str] = {}
    for node in nodes:
        for attribute in ("id", "arg"):
            if isinstance(name := getattr(node, attribute, None), str):
                setattr(node, attribute, numbers.setdefault(name, f"n{len(numbers)}"))
    return ast.dump(tree)

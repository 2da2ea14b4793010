"""From a text source to a notebook that has not been run yet.

A text source is a MyST Markdown notebook under ``chapters/text/`` or ``solutions/text/``. What it may contain:

**Cells.** ``+++`` alone on a line starts a new Markdown cell; a code cell is a fence with optional tags::

    ```{code-cell} ipython3
    :tags: [answer-1.1]

    def scores(query, key):
        ### BEGIN SOLUTION
        return query @ key.T
        ### END SOLUTION
    ```

**Solutions** stand between these markers, in cells tagged ``answer-…``. In ``exercises/`` a solution becomes
``raise NotImplementedError  # your code here``; outside a function each name that it assigns stays, as
``name = None  # your answer here``. Where the student starts from given code instead, as in a repair exercise, that
code follows directly, commented out; ``solutions/`` do not show it::

    ### BEGIN SOLUTION
    merged = heads.transpose(1, 2).flatten(2)
    ### END SOLUTION
    ### BEGIN GIVEN
    # merged = heads.flatten(2)
    ### END GIVEN

**Tags.** On a code cell ``nbval-ignore-output``: its output differs from run to run (a time, a training, a widget).
On the code cells of an exercise ``answer-1.1`` and ``check-1.1``, once each; they get nbgrader's metadata. On any cell
of a solution ``solution-only``: left out of ``exercises/``; a Markdown cell is tagged by ``+++ {"tags": ["…"]}``.

**Handing in.** The last two cells of each of the ``exercises/`` are added here.

**Other languages.** The first Markdown cell ends with a link to the same notebook in each other language that has it; it
is added here.

**Placeholders** in Markdown, filled from the exercise's declaration: ``<!-- exercise: 1.1 -->`` (heading),
``<!-- options: 1.1 -->`` (what a *choose* exercise offers), ``<!-- hints: 1.1 -->`` (folded). ``<!-- hours: all -->``
is the table of how long everything takes.
"""

import ast
import hashlib
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from ..course.lab import front_page
from ..language import ENGLISH, NAMES, edition_folder, languages, later, say, speaking
from .exercise import Exercise
from .hours import hours_table

METADATA = {  # as JupyterLab writes it, but for Python's version: see `course.files`
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}
HANDING_IN = later("""## Handing in

Save the notebook, then run this cell. It reads the saved file as grading will, shows what it finds beside what your checks \
showed, and writes the file to hand in, for which it needs your student number once: `hand_in(number="2026001")`. Nothing is \
sent anywhere.""")
MARKER = re.compile(r"(\s*)### (BEGIN|END) (SOLUTION|GIVEN)\s*")
KINDS = (later("implement"), later("repair"), later("predict"), later("choose"))
LIKE_A_MARKER = re.compile(r"\s*(###\s*(BEGIN|END)\b|#+\s*(BEGIN|END)\s+(SOLUTION|GIVEN)\b).*", re.IGNORECASE)
PLACEHOLDER = re.compile(r"<!--\s*([\w-]+):\s*(\S+)\s*-->")
EXERCISE_TAG = re.compile(r"(answer|check)-(.+)")


class SourceError(Exception):
    """Something in a text source that must be put right; the message names the file and the line."""


@dataclass(frozen=True)
class Target:
    """One notebook to make, and the text it is made from."""

    source: Path
    path: Path
    kind: Literal["chapter", "solution", "exercise"]
    language: str = ENGLISH

    @property
    def original(self) -> Path:
        """The English text that this one was written from; itself, if it is that."""
        return self.source if self.language == ENGLISH else self.source.parents[1] / self.source.name

    @property
    def twins(self) -> "list[Target]":
        """The same notebook in the other languages that have it."""
        same = [target for target in targets(self.original.parents[2]) if target.original == self.original]
        return [target for target in same if target.kind == self.kind and target.language != self.language]

    @property
    def keeps_outputs(self) -> bool:
        """Whether the notebook is run before it is given away. The front page asks the *reader's* machine."""
        return self.kind != "exercise" and self.source.stem != "START"


def targets(course: Path) -> list[Target]:
    """Every notebook that the course should have; the front pages lie at its root."""
    found = []
    for language in languages():
        edition = edition_folder(language)
        for source in sorted((course / "chapters/text" / edition).glob("*.md")):
            path = course / "chapters" / edition / f"{source.stem}.ipynb"
            if source.stem == "START":
                path = course / front_page(language)
            found.append(Target(source, path, "chapter", language))
        for source in sorted((course / "solutions/text" / edition).glob("*.md")):
            name = f"{source.stem}.ipynb"
            found.append(Target(source, course / "solutions" / edition / name, "solution", language))
            found.append(Target(source, course / "exercises" / edition / name, "exercise", language))
    return found


def build(target: Target, exercises: Mapping[str, Exercise]) -> NotebookNode:
    """The notebook of `target`, not yet run.

    Raises:
        SourceError: the text uses a marker, tag or placeholder wrongly.
    """
    from jupytext.myst import myst_to_notebook

    text = target.source.read_text(encoding="utf-8")
    try:
        parsed = myst_to_notebook(text, add_source_map=True)
    except Exception as error:  # a tag list that is no YAML, for example; jupytext does not say which errors it raises
        raise SourceError(f"{target.source}: {error}") from error
    cells, ids = [], set()
    with speaking(target.language):
        for cell, line in zip(parsed.cells, parsed.metadata.source_map, strict=True):
            context = _Context(target, text, max(line, 1), exercises)
            if made := _make_cell(cell, context):
                made.id = _cell_id(made, context, ids)
                cells.append(made)
        if target.kind == "exercise":
            for made in _handing_in():
                made.id = _cell_id(made, _Context(target, text, 1, exercises), ids)
                cells.append(made)
    _link_to_twins(cells, target)
    edition = {} if target.language == ENGLISH else {"largemodels": {"language": target.language}}
    return nbformat.v4.new_notebook(cells=cells, metadata=METADATA | edition)


def _link_to_twins(cells: list[NotebookNode], target: Target) -> None:
    """Lead from the head of a notebook to its other editions. (The cell's id stays: its own text is what it was.)"""
    head = next((cell for cell in cells if cell.cell_type == "markdown"), None)
    links = [
        f"[{NAMES[twin.language]}]({Path(os.path.relpath(twin.path, target.path.parent)).as_posix()})"
        for twin in target.twins
    ]
    if head and links:
        head.source += f"\n\n{' · '.join(links)}"


def _handing_in() -> list[NotebookNode]:
    """What ends every exercise notebook."""
    return [
        nbformat.v4.new_markdown_cell(say(HANDING_IN)),
        nbformat.v4.new_code_cell("from largemodels.classroom import hand_in\n\nhand_in()"),
    ]


@dataclass(frozen=True)
class _Context:
    """What the making of one cell needs to know; `line` is where the cell begins."""

    target: Target
    text: str
    line: int
    exercises: Mapping[str, Exercise]

    def error(self, problem: str, at: str) -> SourceError:
        """`at` is a piece of the line to blame."""
        lines = self.text.splitlines()[self.line - 1 :]
        number = next((i for i, line in enumerate(lines, self.line) if at in line), self.line)
        return SourceError(f"{self.target.source}:{number}: {problem}")

    def exercise(self, id: str, at: str) -> Exercise:
        if id not in self.exercises:
            raise self.error(f"there is no exercise {id!r}; there are {', '.join(self.exercises)}", at)
        return self.exercises[id]


def _make_cell(cell: NotebookNode, context: _Context) -> NotebookNode | None:
    """The cell as this kind of notebook shows it; None if it does not."""
    tags = cell.metadata.get("tags", [])
    exercise_tags = [tag for tag in tags if _is_exercise_tag(tag, cell, context)]
    if "solution-only" in tags and context.target.kind == "exercise":
        return None
    metadata = {"tags": tags} if tags else {}
    if cell.cell_type == "markdown":
        return nbformat.v4.new_markdown_cell(_fill_placeholders(cell.source, context), metadata=metadata)
    for tag in exercise_tags:
        metadata["nbgrader"] = _nbgrader_metadata(tag, context)
    return nbformat.v4.new_code_cell(_code(cell.source, exercise_tags, context), metadata=metadata)


def _is_exercise_tag(tag: str, cell: NotebookNode, context: _Context) -> bool:
    """Whether `tag` makes the cell part of an exercise; refuses tags that mean nothing here."""
    is_code, is_chapter = cell.cell_type == "code", context.target.kind == "chapter"
    if (match := EXERCISE_TAG.fullmatch(tag)) and is_code and not is_chapter:
        context.exercise(match[2], at=tag)
        return True
    if (tag == "nbval-ignore-output" and is_code) or (tag == "solution-only" and not is_chapter):
        return False
    raise context.error(f"the tag {tag!r} has no meaning on a {cell.cell_type} cell of a {context.target.kind}", tag)


def _nbgrader_metadata(tag: str, context: _Context) -> dict:
    part, id = EXERCISE_TAG.fullmatch(tag).groups()
    # A dot is allowed neither here nor in the id of a cell.
    metadata = {"schema_version": 3, "grade_id": tag.replace(".", "-"), "task": False}
    if part == "answer":
        return metadata | {"solution": True, "grade": False, "locked": False}
    return metadata | {"solution": False, "grade": True, "locked": True, "points": context.exercises[id].points}


def _cell_id(cell: NotebookNode, context: _Context, taken: set[str]) -> str:
    """An id that stays as long as the cell's source does, whatever is inserted before it."""
    id = cell.metadata.get("nbgrader", {}).get("grade_id")
    if id in taken:
        tag = cell.metadata.tags[0]
        raise context.error(f"there is another cell tagged {tag!r}", tag)
    count = 0
    while id is None or id in taken:  # the same source may stand in a notebook twice
        name = f"{context.target.path.stem} {cell.cell_type} {count} {cell.source}"
        id, count = hashlib.sha256(name.encode()).hexdigest()[:12], count + 1
    taken.add(id)
    return id


# ---------------------------------------------------------------------------------------------------------- solutions


@dataclass(frozen=True)
class Block:
    """Lines of a code cell: ordinary ones, a solution, or the code that is given in its place."""

    kind: Literal["PLAIN", "SOLUTION", "GIVEN"]
    indent: str
    lines: tuple[str, ...]


def _code(source: str, exercise_tags: list[str], context: _Context) -> str:
    blocks = list(_blocks(source, context))
    has_markers = any(block.kind != "PLAIN" for block in blocks)
    is_answer = any(tag.startswith("answer-") for tag in exercise_tags)
    if has_markers and not is_answer:
        raise context.error("solution markers belong in a cell tagged answer-…", "### BEGIN")
    if is_answer and not has_markers:
        raise context.error("an answer needs ### BEGIN SOLUTION and ### END SOLUTION", exercise_tags[0])
    if not is_answer:
        return source
    for before, block in zip([None, *blocks], blocks, strict=False):
        if block.kind == "GIVEN" and (before is None or before.kind != "SOLUTION"):
            raise context.error("### BEGIN GIVEN must follow ### END SOLUTION on the next line", "### BEGIN GIVEN")
    return _unsolved(blocks, context) if context.target.kind == "exercise" else _solved(blocks)


def _blocks(source: str, context: _Context) -> Iterator[Block]:
    """Cut a cell at its markers."""
    kind, indent, lines = "PLAIN", "", []
    for line in source.splitlines():
        marker = MARKER.fullmatch(line)
        if not marker and not LIKE_A_MARKER.fullmatch(line):
            lines.append(line)
            continue
        edge = f"{marker[2]} {marker[3]}" if marker else line
        expected = ("BEGIN SOLUTION", "BEGIN GIVEN") if kind == "PLAIN" else (f"END {kind}",)
        if edge not in expected:
            raise context.error(f"expected ### {' or ### '.join(expected)}, found {line.strip()!r}", line)
        if lines:
            yield Block(kind, indent, tuple(lines))
        kind, indent, lines = ("PLAIN" if kind != "PLAIN" else marker[3]), marker[1], []
    if kind != "PLAIN":
        raise context.error(f"### BEGIN {kind} is never followed by ### END {kind}", f"### BEGIN {kind}")
    if lines:
        yield Block(kind, indent, tuple(lines))


def _solved(blocks: list[Block]) -> str:
    """The cell with its solution, without given code; the markers stay, nbgrader reads them too."""
    lines = []
    for block in blocks:
        if block.kind == "PLAIN":
            lines += block.lines
        elif block.kind == "SOLUTION":
            lines += [f"{block.indent}### BEGIN SOLUTION", *block.lines, f"{block.indent}### END SOLUTION"]
    return "\n".join(lines).strip("\n")


def _unsolved(blocks: list[Block], context: _Context) -> str:
    """The cell as the student gets it."""
    lines = []
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.kind == "PLAIN":
            lines += block.lines
        elif block.kind == "GIVEN":
            lines += [_uncomment(line, context) for line in block.lines]
        elif following is None or following.kind != "GIVEN":
            lines += _stub(block, context)
    source = "\n".join(lines).strip("\n")
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise context.error(f"without its solution this cell is not Python: {error}", "### BEGIN") from error
    if any(isinstance(node, ast.Raise) for node in _outside_functions(tree)):
        raise context.error(
            "an indented solution must lie in a function, else its stub stops the notebook", "### BEGIN"
        )
    return source


def _uncomment(line: str, context: _Context) -> str:
    indent, _, code = line.partition("#")
    if indent.strip() or (code and not code.startswith(" ")):
        raise context.error(f"given code must be commented out with '# ', found {line.strip()!r}", line)
    return indent + code[1:] if code else ""


def _stub(block: Block, context: _Context) -> list[str]:
    """What stands in a solution's place."""
    if block.indent:
        return [f"{block.indent}raise NotImplementedError  # {say('your code here')}"]
    names = []
    for statement in ast.parse("\n".join(block.lines)).body:
        places = getattr(statement, "targets", [getattr(statement, "target", None)])  # a = b = …, or a: int = …
        nodes = [node for place in places if place for node in ast.walk(place)]
        names += [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    if not names:
        problem = "a solution outside a function must assign a name, or be followed by ### BEGIN GIVEN"
        raise context.error(problem, "### BEGIN SOLUTION")
    return [f"{name} = None  # {say('your answer here')}" for name in dict.fromkeys(names)]


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)


# ------------------------------------------------------------------------------------------------------- placeholders


def _fill_placeholders(source: str, context: _Context) -> str:
    def fill(match: re.Match) -> str:
        text, name, id = match[0], match[1], match[2]
        if (name, id) == ("hours", "all"):
            return hours_table(context.target.original.parents[2], context.exercises.values())
        if name not in PLACEHOLDERS:
            raise context.error(f"{text} is no placeholder; there are {', '.join(PLACEHOLDERS)}", text)
        return PLACEHOLDERS[name](context.exercise(id, at=text))

    return PLACEHOLDER.sub(fill, source)


def _heading(exercise: Exercise) -> str:
    stars = "★" * exercise.stars + "☆" * (3 - exercise.stars)
    points = say("1 point") if exercise.points == 1 else say("{points:g} points", points=exercise.points)
    minutes = say("about {minutes} minutes", minutes=exercise.minutes)
    title = say("Exercise {id} · {title}", id=exercise.id, title=say(exercise.title))
    return f"## {title}\n\n*{say(exercise.kind)}* · {stars} · {minutes} · {points}"


def _hints(exercise: Exercise) -> str:
    """Folded; the blank lines let JupyterLab render Markdown and formulas inside."""
    return "\n\n".join(
        f"<details>\n<summary>{say('Hint {number}', number=number)}</summary>\n\n"
        f"{textwrap.dedent(say(hint)).strip()}\n\n</details>"
        for number, hint in enumerate(exercise.hints, 1)
    )


def _options(exercise: Exercise) -> str:
    return "\n".join(f"- **{letter}.** {say(text)}" for letter, text in exercise.options.items())


PLACEHOLDERS = {"exercise": _heading, "options": _options, "hints": _hints}

"""What of a notebook is run, and where its answers stand.

A notebook is run in order, as *Restart & Run All* does, and an answer is judged where its check stands: wherever a cell
calls `check` for it. Where no cell does, it stands behind the cell that holds the answer. Such cells are known by the
numbers of the exercises in their metadata or, where a program has dropped these, by the names that they define.

What is slow, crashes or is missing must cost only the exercises that need it. For these there is a selection: the
cells that define the answer, those that bind the names which these use, and so on.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ...language import ENGLISH, languages, say, speaking
from ..exercise import Exercise
from . import cellcode
from .cellcode import Names
from .isolating import Cell

MOST_CELLS = 20_000
MOST_LINES, MOST_CHARACTERS = 30_000, 2_000_000  # of all code cells
SPEAKS = re.compile(r"^use_language\(\s*[\"'](\w+)[\"']\s*\)", re.MULTILINE)
GRADE_ID = re.compile(r"(answer|check)-(\d+|[A-Z])-(\d+)")


class Unreadable(Exception):
    """Why a file is no notebook that can be graded."""


@dataclass(frozen=True)
class CodeCell:
    """A code cell, what its metadata say it answers ("1.2"), and whether it came with the notebook."""

    index: int
    source: str
    exercise: str | None = None
    is_check: bool = False

    @cached_property
    def code(self) -> str:
        """The source as Python, without what only notebooks understand."""
        return cellcode.python(self.source)

    @cached_property
    def names(self) -> Names:
        return cellcode.names(self.code)


@dataclass(frozen=True)
class Notebook:
    """The code of one submission, the number of the chapter whose exercises it answers, and its language."""

    chapter: str
    cells: tuple[CodeCell, ...]
    notes: tuple[str, ...] = ()  # what an instructor should know about the file
    language: str = ENGLISH


def read(data: bytes, exercises: Mapping[str, Exercise]) -> list[Notebook]:
    """Take a file apart; two chapters in one file are two notebooks with the same cells.

    Raises:
        Unreadable: it is no notebook, or none of this course.
    """
    cells = code_cells(data)
    return [_notebook(chapter, cells, exercises) for chapter in _chapters(cells, exercises)]


def _notebook(chapter: str, cells: list[CodeCell], exercises: Mapping[str, Exercise]) -> Notebook:
    wanted = [id for id in exercises if _chapter_of(id) == chapter]
    marked = [cell.exercise for cell in cells if cell.exercise in wanted and not cell.is_check]
    notes, spoken = [], language_of(cells)
    with speaking(spoken):
        if twice := [id for id in wanted if marked.count(id) > 1]:
            ids = ", ".join(twice)
            notes.append(say("answer cells more than once: {ids}; what stands at the check counts", ids=ids))
        if not marked:
            notes.append(say("the cells' metadata are lost; answers were found by their names"))
    return Notebook(chapter, tuple(cells), tuple(notes), spoken)


def code_cells(data: bytes) -> list[CodeCell]:
    """All code cells, whatever version of the format and whatever else is wrong with the file."""
    if not data.strip():
        raise Unreadable("the file is empty")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not a notebook: {_instead(data) or str(error)[:120]}") from error
    if not isinstance(raw, dict):
        raise Unreadable("not a notebook: no object in the file")
    found = raw.get("cells")
    if not isinstance(found, list):  # before version 4 of the format
        sheets = raw.get("worksheets")
        sheets = sheets if isinstance(sheets, list) else []
        found = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    if not found:
        raise Unreadable("a notebook without cells")
    if len(found) > MOST_CELLS:
        raise Unreadable(f"{len(found):,} cells; at most {MOST_CELLS:,} are read")
    cells = [made for index, cell in enumerate(found, 1) if (made := _code_cell(index, cell))]
    lines, characters = (
        sum(count(cell.source) for cell in cells) for count in (lambda text: text.count("\n") + 1, len)
    )
    if lines > MOST_LINES or characters > MOST_CHARACTERS:
        most = f"at most {MOST_LINES:,} and {MOST_CHARACTERS:,} are read"
        raise Unreadable(f"{lines:,} lines and {characters:,} characters of code; {most}")
    return cells


def _instead(data: bytes) -> str | None:
    """What lies in the place of a notebook, if it is one of the usual things, and what to do about it."""
    head = data[:1_000].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:4]:
        return "it is in UTF-16 or UTF-32; save it as UTF-8"
    if b"\n<<<<<<< " in data or head.startswith(b"<<<<<<< "):
        return "it holds the marks of a merge, <<<<<<<; have the student settle it in git"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; have the student hand in the file itself, which `git lfs pull` fetches"
    if head[:1] == b"<":
        return "it is a web page; have the student hand in the notebook itself, saved as .ipynb"
    return None


def _code_cell(index: int, cell: Any) -> CodeCell | None:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return None
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else cell.get("id")
    match = GRADE_ID.fullmatch(grade_id) if isinstance(grade_id, str) else None
    if not match:
        return CodeCell(index, source)
    return CodeCell(index, source, f"{match[2]}.{match[3]}", match[1] == "check")


def language_of(cells: list[CodeCell]) -> str:
    """The language that the notebook's own code asks for, as `use_language` reads it."""
    asked = [match[1] for cell in cells if (match := SPEAKS.search(cell.source))]
    return next((code for code in asked if code in languages()), ENGLISH)


def _chapters(cells: list[CodeCell], exercises: Mapping[str, Exercise]) -> list[str]:
    """The chapter that most cells say they belong to, or define the names of; and others that are there by half."""
    chapters = {_chapter_of(id) for id in exercises}
    marked = [cell.exercise for cell in cells if cell.exercise and not cell.is_check]
    if marked and not chapters.intersection(map(_chapter_of, marked)):
        of = [_chapter_of(id) for id in marked]
        raise Unreadable(f"it is of chapter {max(of, key=of.count)}, which is not graded here")
    by_name = [id for cell in cells for id, e in exercises.items() if e.name in cell.names.bound]
    found = [id for id in marked if id in exercises or _chapter_of(id) in chapters] or by_name
    if not found:
        raise Unreadable("no exercise of this course in it: neither metadata nor names of answers")
    votes = Counter(_chapter_of(id) for id in found)
    first = max(votes, key=votes.get)
    here = {id for id in (*found, *by_name) if id in exercises}
    most = Counter(map(_chapter_of, exercises))
    return [first, *(c for c in most if c != first and 2 * sum(_chapter_of(id) == c for id in here) > most[c])]


def _chapter_of(id: str) -> str:
    return id.split(".")[0]


# ---------------------------------------------------------------------------------------------------- where checks stand


@dataclass(frozen=True)
class Checks:
    """Which cells check which exercises, as far as their text tells, and which may check one."""

    of: Mapping[str, tuple[int, ...]]  # exercise → positions
    last: int  # position of the last cell that may check anything; -1 where none does


def find_checks(notebook: Notebook, exercises: Mapping[str, Exercise]) -> Checks:
    """By whatever name `check` was imported, and whatever else stands in the cell."""
    by_name = {exercise.name: id for id, exercise in exercises.items()}
    aliases, of, last = {"check"}, {}, -1
    for position, cell in enumerate(notebook.cells):
        if not any(alias in cell.code for alias in aliases):
            continue
        for node in ast.walk(_tree(cell.code)):
            match node:
                case ast.ImportFrom(module=str(module)) if module.startswith("largemodels"):
                    aliases |= {alias.asname or alias.name for alias in node.names if alias.name == "check"}
                case ast.Assign(value=ast.Name() | ast.Attribute()) if _called(node.value) in aliases:
                    aliases |= {target.id for target in node.targets if isinstance(target, ast.Name)}
                case ast.Call() if _called(node.func) in aliases:
                    last = position
                    if id := _checked(node, by_name):
                        of.setdefault(id, []).append(position)
                case ast.Call(args=arguments) if any(_called(argument) in aliases for argument in arguments):
                    last = position  # map(check, …)
    return Checks({id: tuple(positions) for id, positions in of.items()}, last)


def _tree(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except cellcode.BROKEN:
        return ast.Module([], [])


def _called(function: ast.AST) -> str | None:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


def _checked(call: ast.Call, by_name: Mapping[str, str]) -> str | None:
    """The exercise that a call of `check` names, or whose name its answer has."""
    named = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "exercise")]
    match named:
        case [ast.Constant(value=str(id))]:
            return id
        case [_]:
            return None
    return by_name.get(_called(call.args[0]) or "") if call.args else None


def in_order(notebook: Notebook, exercises: Mapping[str, Exercise], released: list[CodeCell]) -> tuple[Cell, ...]:
    """The notebook's cells up to the last check, with a check of each of `exercises` that has none of its own."""
    checks = find_checks(notebook, exercises)
    asks: dict[int, list[str]] = {}
    for id, exercise in exercises.items():
        if id not in checks.of and (answers := answer_cells(exercise, notebook, released)):
            place = _place(exercise, notebook, exercises, notebook.cells.index(answers[-1]))
            asks.setdefault(place, []).append(id)
    end = max([checks.last, *asks])
    return tuple(
        Cell(cell.index, cell.code, tuple(asks.get(position, ())))
        for position, cell in enumerate(notebook.cells[: end + 1])
    )


def _place(exercise: Exercise, notebook: Notebook, exercises: Mapping[str, Exercise], answer: int) -> int:
    """The position of the last cell that may still belong to an answer at position `answer`: helpers often follow."""
    others = {other.name for id, other in exercises.items() if id != exercise.id}
    place = answer
    for position in range(answer + 1, len(notebook.cells)):
        cell = notebook.cells[position]
        if (cell.exercise and cell.exercise != exercise.id) or cell.names.bound & {*others, exercise.name}:
            break
        place = position
    return place


def answer_cells(exercise: Exercise, notebook: Notebook, released: list[CodeCell]) -> list[CodeCell]:
    """The cells that hold the answer: what the student wrote where there is anything, else the stub.

    A cell that merely gives the name another value, such as ``output, attention = attention(q, k, v)``, is none where
    there is a cell that says it is one, or a definition.
    """
    cells = written(exercise, notebook, released) or _candidates(exercise, notebook)
    function = exercise.cases is not None
    plain = [cell for cell in cells if exercise.name in cell.names.bound and exercise.name not in cell.names.used]
    for better in (
        [cell for cell in cells if function and exercise.name in cell.names.defined],
        [cell for cell in cells if cell.exercise == exercise.id],
        plain,
    ):
        if better:
            return better
    return cells


def written(exercise: Exercise, notebook: Notebook, released: list[CodeCell]) -> list[CodeCell]:
    """The cells that may hold the answer and are no stubs as given out."""
    stubs = {cell.source.strip() for cell in released if cell.exercise}
    return [cell for cell in _candidates(exercise, notebook) if cell.source.strip() not in stubs]


def _candidates(exercise: Exercise, notebook: Notebook) -> list[CodeCell]:
    return [
        cell
        for cell in notebook.cells
        if exercise.name in cell.names.bound or (cell.exercise == exercise.id and not cell.is_check)
    ]


# ----------------------------------------------------------------------------------------------- what an answer needs


def cells_for(exercise: Exercise, notebook: Notebook, released: list[CodeCell]) -> tuple[Cell, ...]:
    """The cells that an answer consists of, the released notebook's helpers first, and its check at the end.

    Of the cells that bind a name, those count that stand before the answer's check, as when the notebook runs; only
    where there are none, those after it, which then come first.
    """
    answers = answer_cells(exercise, notebook, released)
    if not answers:
        return ()
    order = {id(cell): position for position, cell in enumerate(notebook.cells)}
    positions = find_checks(notebook, {exercise.id: exercise}).of.get(exercise.id, ())
    place = max(positions, default=-1)
    before = [cell for cell in answers if order[id(cell)] <= place]
    if not before:  # no check, or a check that stands above the answer
        place = _place(exercise, notebook, {exercise.id: exercise}, order[id(answers[-1])])
    answers = before or answers
    given = [cell for cell in released if not cell.exercise]
    known = {cell.source.strip() for cell in given}
    own = [cell for cell in notebook.cells if cell.source.strip() not in known]
    own = [cell for cell in own if exercise.name not in cell.names.bound or cell in answers]
    needed = _needed(given, own, answers, lambda cell: order[id(cell)] <= place)
    first = [cell for cell in own if cell in needed and order[id(cell)] > place]
    then = [cell for cell in own if cell in needed and order[id(cell)] <= place]
    chosen = [Cell(0, cell.code) for cell in given if cell in needed]
    chosen += [Cell(cell.index, cell.code) for cell in (*first, *then)]
    return (*chosen[:-1], replace(chosen[-1], asks=(exercise.id,)))


def every_cell(exercise: Exercise, notebook: Notebook, released: list[CodeCell]) -> tuple[Cell, ...]:
    """All cells, for an answer that lacked a name."""
    given = [Cell(0, cell.code) for cell in released if not cell.exercise]
    own = [Cell(cell.index, cell.code) for cell in notebook.cells if not cell.is_check]
    cells = (*given, *own)
    return (*cells[:-1], replace(cells[-1], asks=(exercise.id,))) if cells else ()


def _needed(
    given: list[CodeCell], own: list[CodeCell], answers: list[CodeCell], is_before: Callable[[CodeCell], bool]
) -> set[CodeCell]:
    binding: dict[str, list[CodeCell]] = {}
    for cell in own:
        for name in cell.names.bound | cell.names.touched:
            binding.setdefault(name, []).append(cell)
    helping: dict[str, list[CodeCell]] = {}
    for cell in given:
        for name in cell.names.bound:
            helping.setdefault(name, []).append(cell)
    needed, waiting = set(), list(answers)
    while waiting:
        cell = waiting.pop()
        if cell in needed:
            continue
        needed.add(cell)
        for name in cell.names.used | {"*"}:
            found = binding.get(name, [])
            waiting += helping.get(name, [])
            waiting += [other for other in found if is_before(other)] or found
    return needed

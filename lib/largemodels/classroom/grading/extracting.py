"""The student's own code in a notebook, exercise by exercise.

A notebook is known by the numbers of the exercises in its cells' metadata or, where a program has dropped them, by the
names that its cells define. An exercise then needs the cells that bind its name, those that bind the names which these
use, and so on, in the order of the notebook, as *Run All* would run them. Check cells, outputs, points and other
metadata are never used; before the student's cells come the released notebook's own ones (imports, helpers).
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..exercise import Exercise
from .isolating import Cell

MOST_CELLS = 20_000
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
        """The source without what only notebooks understand."""
        return plain_python(self.source)

    @cached_property
    def names(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Names that the cell binds or changes, those that it uses, and those that it only touches."""
        try:
            return _names(ast.parse(self.code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return frozenset(), frozenset(), frozenset()


@dataclass(frozen=True)
class Notebook:
    """The code of one submission, and the number of the chapter whose exercises it answers."""

    chapter: str
    cells: tuple[CodeCell, ...]
    notes: tuple[str, ...] = ()  # what an instructor should know about the file


def read(data: bytes, exercises: Mapping[str, Exercise]) -> Notebook:
    """Take a notebook apart.

    Raises:
        Unreadable: it is no notebook, or none of this course.
    """
    cells = code_cells(data)
    chapter = _chapter(cells, exercises)
    marked = [cell.exercise for cell in cells if cell.exercise and not cell.is_check]
    wanted = [id for id in exercises if _chapter_of(id) == chapter]
    notes = []
    if len(marked) != len(set(marked)):
        twice = sorted(
            {id for id in marked if marked.count(id) > 1}, key=wanted.index if set(marked) <= set(wanted) else None
        )
        notes.append(f"answer cells more than once: {', '.join(twice)}; the last definition counts, as in the notebook")
    if not marked:
        notes.append("the cells' metadata are lost; answers were found by their names")
    return Notebook(chapter, tuple(cells), tuple(notes))


def code_cells(data: bytes) -> list[CodeCell]:
    """All code cells, whatever version of the format and whatever else is wrong with the file."""
    if not data.strip():
        raise Unreadable("the file is empty")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not a notebook: {str(error)[:120]}") from error
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
    return [made for index, cell in enumerate(found, 1) if (made := _code_cell(index, cell))]


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


def _chapter(cells: list[CodeCell], exercises: Mapping[str, Exercise]) -> str:
    """The chapter that most cells say they belong to, or define the names of."""
    chapters = {_chapter_of(id) for id in exercises}
    marked = [_chapter_of(cell.exercise) for cell in cells if cell.exercise]
    if marked and not chapters.intersection(marked):
        raise Unreadable(f"it is of chapter {max(marked, key=marked.count)}, which is not graded here")
    by_name = [_chapter_of(id) for cell in cells for id, e in exercises.items() if e.name in cell.names[0]]
    votes = [chapter for chapter in marked if chapter in chapters] or by_name
    if not votes:
        raise Unreadable("no exercise of this course in it: neither metadata nor names of answers")
    return max(dict.fromkeys(votes), key=votes.count)


def _chapter_of(id: str) -> str:
    return id.split(".")[0]


# ----------------------------------------------------------------------------------------------- what an answer needs


def cells_for(exercise: Exercise, notebook: Notebook, released: list[CodeCell]) -> tuple[Cell, ...]:
    """The cells that an answer consists of: the released notebook's helpers first, then the student's."""
    stubs = {cell.source.strip() for cell in released if cell.exercise}
    given = [cell for cell in released if not cell.exercise]
    known = {cell.source.strip() for cell in given}
    own = [cell for cell in notebook.cells if not cell.is_check and cell.source.strip() not in known]
    answers = [cell for cell in own if cell.exercise == exercise.id or exercise.name in cell.names[0]]
    written = [cell for cell in answers if cell.source.strip() not in stubs]
    if written:  # a stub that somebody copied away and left behind defines nothing
        own = [cell for cell in own if cell not in answers or cell in written]
    needed = _needed([*given, *own], written or answers)
    lines = [(cell in given, cell) for cell in [*given, *own] if cell in needed]
    return tuple(Cell(0 if is_given else cell.index, cell.code) for is_given, cell in lines)


def every_cell(notebook: Notebook, released: list[CodeCell]) -> tuple[Cell, ...]:
    """All cells, for an answer that lacked a name."""
    given = [Cell(0, cell.code) for cell in released if not cell.exercise]
    return (*given, *(Cell(cell.index, cell.code) for cell in notebook.cells if not cell.is_check))


def _needed(cells: list[CodeCell], answers: list[CodeCell]) -> set[CodeCell]:
    binding: dict[str, list[CodeCell]] = {}
    for cell in cells:
        for name in cell.names[0] | cell.names[2]:
            binding.setdefault(name, []).append(cell)
    needed, waiting = set(), list(answers)
    while waiting:
        cell = waiting.pop()
        if cell not in needed:
            needed.add(cell)
            waiting += [other for name in cell.names[1] | {"*"} for other in binding.get(name, ())]
    return needed


def _names(tree: ast.Module) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    bound, used, touched = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            used.add(node.id)
    for statement in _top_level(tree.body):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound.add(statement.name)
            case ast.Import() | ast.ImportFrom():
                bound |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
            case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
                touched |= _base(function)  # cache.append(…)
        for node in ast.walk(statement) if not isinstance(statement, ast.FunctionDef | ast.ClassDef) else ():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
                touched |= _base(node)  # config.width = …
    return frozenset(bound), frozenset(used), frozenset(touched - {"torch", "math", "plt", "np", "os", "sys"})


def _top_level(body: list[ast.stmt]):
    """Statements that run when the cell runs, those inside ``if``, ``with``, ``try`` and loops included."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _top_level(handler.body)


def _base(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def plain_python(source: str) -> str:
    """Without magics (``%…``, ``%%…``, ``!…``, ``…?``), which only a notebook's kernel understands."""
    try:
        ast.parse(source)
        return source
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    if match := re.match(r"\s*%%(\w+).*\n?", source):
        return source[match.end() :] if match[1] in ("time", "timeit", "capture", "prun") else ""
    return re.sub(r"(?m)^(\s*)(?:[%!].*|\?.*|[\w.]+\?+\s*)$", r"\1pass", source)

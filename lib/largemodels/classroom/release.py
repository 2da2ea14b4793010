"""Make the notebooks from their text sources: ``python -m largemodels release``.

The text sources, MyST Markdown notebooks, are the only files edited; every notebook is made from one of them.

===================================  ==================================================================
``chapters/text/START.md``           ``START.ipynb``, executed
``chapters/text/01-attention.md``    ``chapters/01-attention.ipynb``, executed
``solutions/text/01-attention.md``   ``solutions/01-attention.ipynb``, executed;
                                     ``exercises/01-attention.ipynb``, without solutions and outputs
===================================  ==================================================================

**Cells.** ``+++`` alone on a line starts a new Markdown cell, and a code cell is a fence with optional tags::

    ```{code-cell} ipython3
    :tags: [answer-1.3]

    def scores(query, key):
        ### BEGIN SOLUTION
        return query @ key.T
        ### END SOLUTION
    ```

**Solutions** stand in cells tagged ``answer-…``, between markers as above. In ``exercises/`` they become
``raise NotImplementedError  # your code here`` inside a function; outside one, each name that they assign stays, as
``name = None  # your answer here``. Where the student starts from given code instead, as in a repair exercise, that code
follows directly, commented out::

    ### BEGIN SOLUTION
    merged = heads.transpose(1, 2).flatten(2)
    ### END SOLUTION
    ### BEGIN GIVEN
    # merged = heads.flatten(2)
    ### END GIVEN

**Tags.** On code cells: ``answer-1.3`` and ``check-1.3``, the cells of an exercise, which also get nbgrader's metadata;
``nbval-ignore-output``, an output that differs from run to run (a time, a training, a widget). On any cell of a solution:
``solution-only``, left out of ``exercises/``.

**Placeholders** on a line of their own in Markdown, filled from the exercise's declaration: ``<!-- exercise: 1.3 -->``
(its heading), ``<!-- options: 1.3 -->`` (what a *choose* exercise offers), ``<!-- hints: 1.3 -->`` (folded).
"""

import argparse
import ast
import hashlib
import json
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from .exercise import Exercise

COURSE = Path(__file__).parents[3]
METADATA = {  # no version numbers: they differ from machine to machine
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
MARKER = re.compile(r"(\s*)### (BEGIN|END) (SOLUTION|GIVEN)\s*")
LIKE_A_MARKER = re.compile(r"\s*#+\s*(BEGIN|END)\b.*")
PLACEHOLDER = re.compile(r"<!--\s*(exercise|hints|options):\s*(\S+)\s*-->")
EXERCISE_TAG = re.compile(r"(answer|check)-(.+)")
WIDGET = "application/vnd.jupyter.widget-view+json"


class ReleaseError(Exception):
    """Something in a text source that must be put right first; the message says where."""


@dataclass(frozen=True)
class Target:
    """One notebook to make, and the text it is made from."""

    source: Path
    path: Path
    kind: Literal["chapter", "solution", "exercise"]


def targets(course: Path) -> list[Target]:
    """Every notebook that the course should have."""
    found = []
    for source in sorted(course.glob("chapters/text/*.md")):
        folder = course if source.stem == "START" else course / "chapters"
        found.append(Target(source, folder / f"{source.stem}.ipynb", "chapter"))
    for source in sorted(course.glob("solutions/text/*.md")):
        found.append(Target(source, course / "solutions" / f"{source.stem}.ipynb", "solution"))
        found.append(Target(source, course / "exercises" / f"{source.stem}.ipynb", "exercise"))
    return found


# From the text to a notebook ----------------------------------------------------------------------------------------


def build(target: Target, exercises: Mapping[str, Exercise]) -> NotebookNode:
    """The notebook of `target`, not yet executed."""
    from jupytext.myst import myst_to_notebook

    text = target.source.read_text(encoding="utf-8")
    try:
        parsed = myst_to_notebook(text, add_source_map=True)
    except Exception as error:  # jupytext lets its parsers' own errors through
        raise ReleaseError(f"{target.source}: {error}") from error
    cells, ids = [], set()
    for cell, start in zip(parsed.cells, parsed.metadata.source_map, strict=True):
        made = _make_cell(cell, _Place(target.source, text, start), target.kind, exercises)
        if made is None:
            continue
        made.id = _cell_id(made, target.path.stem, ids)
        cells.append(made)
    return nbformat.v4.new_notebook(cells=cells, metadata=METADATA)


@dataclass(frozen=True)
class _Place:
    """Where a cell stands in the text, so that an error can name the line."""

    source: Path
    text: str
    start: int

    def error(self, problem: str, line: str = "") -> ReleaseError:
        lines = self.text.splitlines()
        number = next((i for i, other in enumerate(lines[self.start :], self.start + 1) if line in other), self.start)
        return ReleaseError(f"{self.source}:{number}: {problem}")


def _make_cell(cell: NotebookNode, place: _Place, kind: str, exercises: Mapping[str, Exercise]) -> NotebookNode | None:
    """The cell as a notebook of this kind shows it; None if it does not."""
    tags = cell.metadata.get("tags", [])
    names = [_check_tag(tag, cell, place, kind, exercises) for tag in tags]
    if "solution-only" in tags and kind == "exercise":
        return None
    metadata = {"tags": tags} if tags else {}
    if cell.cell_type == "markdown":
        return nbformat.v4.new_markdown_cell(_fill_placeholders(cell.source, place, exercises), metadata=metadata)
    source, is_answer = cell.source, any(tag.startswith("answer-") for tag in tags)
    blocks = list(_blocks(source, place))
    if any(block.kind != "PLAIN" for block in blocks) != is_answer:
        raise place.error("solution markers belong in a cell tagged answer-…, and such a cell needs them")
    if is_answer:
        source = _unsolved(blocks, place) if kind == "exercise" else _solved(blocks)
    for name in filter(None, names):
        metadata["nbgrader"] = _nbgrader_metadata(name, exercises)
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def _check_tag(tag: str, cell: NotebookNode, place: _Place, kind: str, exercises: Mapping[str, Exercise]) -> str | None:
    """Refuse a tag that means nothing here; return it if it is an exercise's."""
    exercise_tag = EXERCISE_TAG.fullmatch(tag)
    if exercise_tag and kind != "chapter" and cell.cell_type == "code":
        _find(exercise_tag[2], exercises, place, tag)
        return tag
    if (tag == "nbval-ignore-output" and cell.cell_type == "code") or (tag == "solution-only" and kind != "chapter"):
        return None
    raise place.error(f"the tag {tag!r} has no meaning on a {cell.cell_type} cell of a {kind}", tag)


def _find(id: str, exercises: Mapping[str, Exercise], place: _Place, line: str) -> Exercise:
    if id not in exercises:
        raise place.error(f"there is no exercise {id!r}; there are {', '.join(exercises)}", line)
    return exercises[id]


def _nbgrader_metadata(tag: str, exercises: Mapping[str, Exercise]) -> dict:
    part, id = EXERCISE_TAG.fullmatch(tag).groups()
    common = {"schema_version": 3, "grade_id": _grade_id(tag), "task": False}
    if part == "answer":
        return common | {"solution": True, "grade": False, "locked": False}
    return common | {"solution": False, "grade": True, "locked": True, "points": exercises[id].points}


def _grade_id(tag: str) -> str:
    return tag.replace(".", "-")  # neither nbgrader nor nbformat allows a dot in an id


def _cell_id(cell: NotebookNode, stem: str, taken: set[str]) -> str:
    """An id that stays as long as the cell's source does, whatever is inserted before it."""
    id, count = cell.metadata.get("nbgrader", {}).get("grade_id"), 0
    if id in taken:
        raise ReleaseError(f"{stem}: two cells are tagged {id}")
    while id is None or id in taken:
        id = hashlib.sha256(f"{stem} {cell.cell_type} {count} {cell.source}".encode()).hexdigest()[:12]
        count += 1
    taken.add(id)
    return id


# Solutions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Lines of a code cell: ordinary ones, a solution, or the code given in its place."""

    kind: Literal["PLAIN", "SOLUTION", "GIVEN"]
    indent: str
    lines: tuple[str, ...]


def _blocks(source: str, place: _Place) -> Iterator[Block]:
    """Cut a cell at its markers."""
    kind, indent, lines = "PLAIN", "", []
    for line in source.splitlines():
        marker = MARKER.fullmatch(line)
        if not marker and not LIKE_A_MARKER.fullmatch(line):
            lines.append(line)
            continue
        edge = marker and (marker[2], marker[3])
        if edge not in ([("BEGIN", "SOLUTION"), ("BEGIN", "GIVEN")] if kind == "PLAIN" else [("END", kind)]):
            wanted = "### BEGIN SOLUTION or ### BEGIN GIVEN" if kind == "PLAIN" else f"### END {kind}"
            raise place.error(f"expected {wanted}, found {line.strip()!r}", line)
        if lines or kind != "PLAIN":
            yield Block(kind, indent, tuple(lines))
        kind, indent, lines = ("PLAIN" if edge[0] == "END" else edge[1]), marker[1], []
    if kind != "PLAIN":
        raise place.error(f"### BEGIN {kind} is never ended by ### END {kind}", f"### BEGIN {kind}")
    if lines:
        yield Block(kind, indent, tuple(lines))


def _solved(blocks: list[Block]) -> str:
    """The cell with its solution (the markers stay, nbgrader reads them too) and without given code."""
    lines = []
    for block in blocks:
        if block.kind == "PLAIN":
            lines += block.lines
        elif block.kind == "SOLUTION":
            lines += [f"{block.indent}### BEGIN SOLUTION", *block.lines, f"{block.indent}### END SOLUTION"]
    return "\n".join(lines).strip("\n")


def _unsolved(blocks: list[Block], place: _Place) -> str:
    """The cell as the student gets it."""
    lines = []
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.kind == "PLAIN":
            lines += block.lines
        elif block.kind == "GIVEN":
            lines += [_uncomment(line, place) for line in block.lines]
        elif following is None or following.kind != "GIVEN":
            lines += _stub(block, place)
    source = "\n".join(lines).strip("\n")
    for node in ast.parse(source).body:
        stops = any(isinstance(inner, ast.Raise) for inner in _outside_functions(node))
        if stops:
            raise place.error("a solution is in a class or a block but not in a function: its stub would stop the cell")
    return source


def _uncomment(line: str, place: _Place) -> str:
    indent, _, code = line.partition("#")
    if line.strip() and (indent.strip() or (code and not code.startswith(" "))):
        raise place.error(f"given code must be commented out with '# ', found {line.strip()!r}", line)
    return indent + code[1:] if code else ""


def _stub(block: Block, place: _Place) -> list[str]:
    """What stands in a solution's place."""
    if block.indent:
        return [f"{block.indent}raise NotImplementedError  # your code here"]
    names = [
        name.id
        for statement in ast.parse("\n".join(block.lines)).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for name in ast.walk(statement)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    ]
    if not names:
        raise place.error(
            "a solution outside a function must assign a name, or be followed by ### BEGIN GIVEN", "### BEGIN SOLUTION"
        )
    return [f"{name} = None  # your answer here" for name in dict.fromkeys(names)]


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)


# Placeholders -------------------------------------------------------------------------------------------------------


def _fill_placeholders(source: str, place: _Place, exercises: Mapping[str, Exercise]) -> str:
    def fill(match: re.Match) -> str:
        exercise = _find(match[2], exercises, place, match[0])
        return {"exercise": _heading, "hints": _hints, "options": _options}[match[1]](exercise)

    return PLACEHOLDER.sub(fill, source)


def _heading(exercise: Exercise) -> str:
    stars = "★" * exercise.stars + "☆" * (3 - exercise.stars)
    points = f"{exercise.points:g} point{'s' * (exercise.points != 1)}"
    facts = f"*{exercise.kind}* · {stars} · about {exercise.minutes} minutes · {points}"
    return f"## Exercise {exercise.id} · {exercise.title}\n\n{facts}"


def _hints(exercise: Exercise) -> str:
    """Folded; the blank lines let Markdown and formulas inside be rendered."""
    return "\n\n".join(
        f"<details>\n<summary>Hint {number}</summary>\n\n{textwrap.dedent(hint).strip()}\n\n</details>"
        for number, hint in enumerate(exercise.hints, 1)
    )


def _options(exercise: Exercise) -> str:
    return "\n".join(f"- **{letter}.** {text}" for letter, text in exercise.options.items())


# Outputs ------------------------------------------------------------------------------------------------------------


def execute(notebook: NotebookNode, path: Path, *, threads: int | None = None) -> None:
    """Run every cell, in the folder of `path` as JupyterLab does, and keep the outputs in `notebook`.

    Raises:
        ReleaseError: a cell raised an exception or stopped the kernel.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from tqdm import tqdm

    total = len(_to_run(notebook))
    layout = "{desc}: {n_fmt}/{total_fmt} cells |{bar}| {elapsed}"
    with (
        tqdm(total=total, desc=f"{path.parent.name}/{path.name}", bar_format=layout) as bar,
        tempfile.TemporaryDirectory() as progress,
    ):
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=None,
            resources={"metadata": {"path": str(path.parent)}},
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],  # the kernel's own warnings would break the progress bar
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute(env=kernel_environment(progress, threads))
        except CellExecutionError as error:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            raise ReleaseError(f"{path}: {plain}") from None
        except DeadKernelError:
            cell = _to_run(notebook)[bar.n]
            raise ReleaseError(f"{path}: the kernel died in the cell\n{cell.source}") from None
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel added its versions
    _tidy_outputs(notebook)


def kernel_environment(progress: str, threads: int | None = None) -> dict[str, str]:
    """The environment in which outputs come out the same: progress of its own, and figures shown in the notebook."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    environment["LARGEMODELS_PROGRESS"] = progress
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment


def _to_run(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def _tidy_outputs(notebook: NotebookNode) -> None:
    """A widget needs a kernel: say so in its place, and leave out progress bars, which are widgets as well."""
    for cell in _to_run(notebook):
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            if WIDGET not in data:
                kept.append(output)
            elif not re.search(r"\d+%\|", data.get("text/plain", "")):
                output.data = nbformat.from_dict({"text/plain": "(run this cell to use the interactive figure)"})
                kept.append(output)
        cell.outputs = kept


def reuse_outputs(notebook: NotebookNode, path: Path) -> bool:
    """Take the outputs stored at `path`, if they come from one run, top to bottom, of these very code cells."""
    try:
        stored = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except Exception:  # missing, or not a notebook in one of nbformat's many ways
        return False
    before, now = _to_run(stored), _to_run(notebook)
    if [cell.source for cell in before] != [cell.source for cell in now]:
        return False
    if [cell.execution_count for cell in before] != list(range(1, len(now) + 1)):
        return False
    for old, new in zip(before, now, strict=True):
        new.outputs, new.execution_count = old.outputs, old.execution_count
    _tidy_outputs(notebook)
    return True


# The command --------------------------------------------------------------------------------------------------------


def release(
    course: Path,
    exercises: Mapping[str, Exercise],
    names: list[str] | None = None,
    *,
    execute_all: bool = False,
    jobs: int = 1,
) -> list[Path]:
    """Make the notebooks that differ from their sources; return those that were written."""
    chosen = _chosen(targets(course), names or [])
    built = [(target, build(target, exercises)) for target in chosen]  # every mistake in a text shows before any wait
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    work = partial(_finish, execute_all=execute_all, threads=threads)
    if jobs == 1:
        written = [work(target, notebook) for target, notebook in built]
    else:
        with ThreadPoolExecutor(jobs) as pool:  # each notebook runs in a kernel process of its own
            written = list(pool.map(work, *zip(*built, strict=True)))
    return [path for path in written if path is not None]


def _finish(target: Target, notebook: NotebookNode, *, execute_all: bool, threads: int | None) -> Path | None:
    if target.kind == "exercise":
        _refuse_to_overwrite_work(target.path)
    elif execute_all or not reuse_outputs(notebook, target.path):
        execute(notebook, target.path, threads=threads)
    return target.path if write(notebook, target.path) else None


def stale(course: Path, exercises: Mapping[str, Exercise]) -> list[str]:
    """What `release` would change, in words; executes nothing."""
    problems = []
    wanted = targets(course)
    for target in wanted:
        notebook = build(target, exercises)
        name, source = (path.relative_to(course).as_posix() for path in (target.path, target.source))
        if not target.path.exists():
            problems.append(f"{name} is missing ({source})")
        elif (target.kind != "exercise" and not reuse_outputs(notebook, target.path)) or _differs(
            notebook, target.path
        ):
            problems.append(f"{name} differs from {source}")
    present = [path for folder in ("chapters", "solutions", "exercises") for path in course.glob(f"{folder}/*.ipynb")]
    for path in sorted(set(present) - {target.path for target in wanted}):
        problems.append(f"{path.relative_to(course).as_posix()} has no text source")
    return problems


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write the notebook whole or not at all, and only if it differs from what is there; return whether it did."""
    if not _differs(notebook, path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(_as_text(notebook), encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _as_text(notebook: NotebookNode) -> str:
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def _differs(notebook: NotebookNode, path: Path) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != _as_text(notebook)


def _refuse_to_overwrite_work(path: Path) -> None:
    """An exercise that someone has run may hold their answers."""
    with suppress(OSError, ValueError, KeyError):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        if any(cell.get("execution_count") for cell in cells):
            raise ReleaseError(f"{path} has been worked in: move it elsewhere, then release again")


def _chosen(all_targets: list[Target], names: list[str]) -> list[Target]:
    for name in names:
        if not any(_is_named(target, name) for target in all_targets):
            known = ", ".join(dict.fromkeys(target.source.stem for target in all_targets)) or "none"
            raise ReleaseError(f"there is no text source called {name!r}; there are: {known}")
    return [target for target in all_targets if not names or any(_is_named(target, name) for name in names)]


def _is_named(target: Target, name: str) -> bool:
    """By the beginning of its name (01), or by the path of its text source."""
    return target.source.stem.startswith(name) or target.source == Path(name).resolve()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", help="the beginning of a name (01), or the path of a text source; all unless given"
    )
    parser.add_argument("--all", action="store_true", help="execute again even where the stored outputs belong")
    parser.add_argument("--check", action="store_true", help="execute nothing; fail if a notebook is not up to date")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="notebooks to execute at a time (default: 1)")


def main(arguments: argparse.Namespace) -> int:
    from .exercises import exercises

    try:
        if arguments.check:
            problems = stale(COURSE, exercises)
            if problems:
                print(*problems, "To bring them up to date: python -m largemodels release", sep="\n", file=sys.stderr)
            return 1 if problems else 0
        written = release(COURSE, exercises, arguments.names, execute_all=arguments.all, jobs=arguments.jobs)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    for path in written:
        print(f"written: {path.relative_to(COURSE).as_posix()}")
    if not written:
        print("everything is up to date")
    return 0

"""Make the notebooks from their text sources: ``python -m largemodels release``.

The text sources are the only files edited (`sources` documents what they may contain); every notebook is made from one:

===================================  =====================================================================
``chapters/text/START.md``           ``START.ipynb``, without outputs
``chapters/text/01-attention.md``    ``chapters/01-attention.ipynb``, with outputs
``solutions/text/01-attention.md``   ``solutions/01-attention.ipynb``, with outputs;
                                     ``exercises/01-attention.ipynb``, without solutions and without outputs
===================================  =====================================================================

The tables of ``README.md`` and ``docs/`` that say something of the course are made from it, too (`shelf.pages`).

Those under ``text/zh`` give the Chinese edition, in folders ``zh``. What the course says by itself is translated in
``lib/largemodels/locale``, and compiled here (`editions.messages`); `editions.steps` knows which translated cells are behind.

A notebook is run again only when its code cells have changed, so that a corrected sentence costs no waiting. When the
library has changed, ``--all`` runs everything; the tests find outputs that no longer reproduce.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..course.lab import course_folder, training_settings
from ..explorers.paged import PAGE
from ..language import ENGLISH, forget_catalogues, later, say, speaking
from ..storage import write_whole
from .editions.messages import outdated
from .editions.steps import behind, mark, translated
from .exercise import Exercise
from .shelf.pages import PageError, filled_pages, stale_pages
from .sources import SourceError, Target, build, targets

COURSE = Path(__file__).parents[3]
WIDGET = "application/vnd.jupyter.widget-view+json"
INTERACTIVE = later("(interactive: run this cell to use it)")


class ReleaseError(Exception):
    """A notebook that cannot be made; the message says why."""


def release(
    course: Path,
    exercises: Mapping[str, Exercise],
    names: list[str] | None = None,
    *,
    execute_all: bool = False,
    jobs: int = 1,
) -> list[Path]:
    """Make the notebooks that differ from their sources, `jobs` at a time, and the pages; return what was written."""
    if jobs < 1:
        raise ReleaseError(f"at least 1 job is needed, got {jobs}")
    chosen = choose(targets(course), names or [])
    for path, content in outdated(course, exercises).items():
        write_whole(path, content)
    forget_catalogues()
    pages = filled_pages(course, exercises)
    notebooks = [build(target, exercises) for target in chosen]  # a mistake in any text shows before the first wait
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    make = partial(_make, execute_all=execute_all, threads=threads)
    if jobs == 1:
        written = [make(target, notebook) for target, notebook in zip(chosen, notebooks, strict=True)]
    else:
        with ThreadPoolExecutor(jobs) as pool:  # threads suffice: each notebook runs in a kernel process of its own
            written = list(pool.map(make, chosen, notebooks))
    for path, text in pages.items():
        write_whole(path, text)
    return [path for path in written if path] + list(pages)


def _make(target: Target, notebook: NotebookNode, *, execute_all: bool, threads: int | None) -> Path | None:
    target.path.parent.mkdir(parents=True, exist_ok=True)  # an edition's first notebook
    if target.kind == "exercise":
        _refuse_to_overwrite_work(target.path)
    elif target.keeps_outputs and (execute_all or not reuse_outputs(notebook, target.path)):
        with speaking(target.language):
            execute(notebook, target.path, threads=threads)
    return target.path if write(notebook, target.path) else None


def stale(course: Path, exercises: Mapping[str, Exercise]) -> list[str]:
    """What `release` would change and what should not be there, in words; runs nothing."""
    problems = []
    wanted = targets(course)
    for target in wanted:
        name, source = (path.relative_to(course).as_posix() for path in (target.path, target.source))
        notebook = build(target, exercises)
        fits = not target.keeps_outputs or reuse_outputs(notebook, target.path)
        if not target.path.exists():
            problems.append(f"{name} is missing; its source is {source}")
        elif not fits or _differs(notebook, target.path):
            problems.append(f"{name} differs from {source}")
    folders = ("chapters", "solutions", "exercises", *(f"{name}/*" for name in ("chapters", "solutions", "exercises")))
    present = {path for folder in folders for path in course.glob(f"{folder}/*.ipynb")}
    extra = sorted(present - {target.path for target in wanted})
    problems += [f"{path.relative_to(course).as_posix()} has no text source" for path in extra]
    for path in outdated(course, exercises):
        problems.append(f"{path.relative_to(course).as_posix()} does not hold what the course says")
    for target in translated(wanted):
        problems += behind(target)
    return problems + stale_pages(course, exercises)


def choose(available: list[Target], names: list[str]) -> list[Target]:
    """The targets that are named: by the beginning of a file's name, such as 01 or zh/01, or by the path of a text source."""

    def fits(target: Target, name: str) -> bool:
        edition = "" if target.language == ENGLISH else f"{target.language}/"
        return f"{edition}{target.source.stem}".startswith(name) or target.source == Path(name).resolve()

    for name in names:
        if not any(fits(target, name) for target in available):
            known = ", ".join(dict.fromkeys(target.source.stem for target in available if target.language == ENGLISH))
            raise ReleaseError(f"there is no text source called {name!r}; there are: {known}")
    return [target for target in available if not names or any(fits(target, name) for name in names)]


# ------------------------------------------------------------------------------------------------------------ outputs


def execute(notebook: NotebookNode, path: Path, *, threads: int | None = None) -> None:
    """Run every cell, in the folder of `path` as JupyterLab does, and keep the outputs in `notebook`.

    Raises:
        ReleaseError: a cell raised an exception or ended the kernel.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from tqdm import tqdm

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=None,
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,
        shutdown_kernel="immediate",
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # the kernel's own warnings would break the bar
    )
    cells = [(i, cell) for i, cell in enumerate(notebook.cells) if _has_code(cell)]
    layout = "{desc}: {n_fmt}/{total_fmt} cells |{bar:30}| {elapsed}"
    with (
        tempfile.TemporaryDirectory() as progress,
        tqdm(total=len(cells), desc=f"{path.parent.name}/{path.name}", bar_format=layout) as bar,
        client.setup_kernel(env=kernel_environment(progress, threads)),
    ):
        for count, (i, cell) in enumerate(cells, 1):
            try:
                client.execute_cell(cell, i, execution_count=count)
            except CellExecutionError as error:
                raise ReleaseError(f"{path}: {_without_colours(str(error))}") from None
            except DeadKernelError:
                raise ReleaseError(f"{path}: the kernel died while it ran the cell\n{cell.source}") from None
            bar.update()
    _tidy_outputs(notebook)


def kernel_environment(progress: str, threads: int | None = None) -> dict[str, str]:
    """The environment in which outputs come out the same: an empty folder for `progress`, figures inside the notebook."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    environment["LARGEMODELS_PROGRESS"] = progress
    environment |= training_settings()
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment


def reuse_outputs(notebook: NotebookNode, path: Path) -> bool:
    """Take the outputs stored at `path` if they come from these very code cells, run once from top to bottom."""
    try:
        stored = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except Exception:  # missing, or damaged in one of the many ways in which nbformat complains
        return False
    before, now = ([cell for cell in cells if _has_code(cell)] for cells in (stored.cells, notebook.cells))
    same = [cell.source for cell in before] == [cell.source for cell in now]
    if not same or [cell.execution_count for cell in before] != list(range(1, len(now) + 1)):
        return False
    for cell, old in zip(now, before, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    _tidy_outputs(notebook)
    return True


def _has_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _tidy_outputs(notebook: NotebookNode) -> None:
    """Widgets mean nothing without a kernel: say so in their place, and keep what lets some of them live in the book.

    Drop progress bars, which differ from run to run.
    """
    for cell in filter(_has_code, notebook.cells):
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            if data.keys() <= {WIDGET, "text/plain"} and re.search(r"\d%\|", data.get("text/plain", "")):
                continue
            if WIDGET in data:
                page = {PAGE: data[PAGE]} if PAGE in data else {}
                output.data = nbformat.from_dict({"text/plain": say(INTERACTIVE)} | page)
            kept.append(output)
        cell.outputs = kept


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# ------------------------------------------------------------------------------------------------------------ writing


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write the notebook whole or not at all, and only if it differs from what is there; return whether it did."""
    if not _differs(notebook, path):
        return False
    write_whole(path, _as_text(notebook))
    return True


def _differs(notebook: NotebookNode, path: Path) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != _as_text(notebook)


def _as_text(notebook: NotebookNode) -> str:
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def _refuse_to_overwrite_work(path: Path) -> None:
    """An exercise that someone has run may hold their answers."""
    with suppress(OSError, ValueError, KeyError):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        if any(cell.get("execution_count") for cell in cells):
            raise ReleaseError(f"{path} has been worked in: move it elsewhere, then release again")


# -------------------------------------------------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", help="the beginning of a name (01, zh/01) or the path of a text source; else all"
    )
    parser.add_argument("--all", action="store_true", help="run all cells again, even where the code has not changed")
    parser.add_argument("--check", action="store_true", help="run nothing; fail if a notebook is not up to date")
    parser.add_argument(
        "--translated",
        action="store_true",
        help="run nothing; remember that the named translations say, cell by cell, what the English says now",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many notebooks to run at a time (1)")


def main(arguments: argparse.Namespace) -> int:
    from .exercises import exercises

    try:
        course_folder()  # or say what to do
        if arguments.check:
            problems = stale(COURSE, exercises)
            if problems:
                print(*problems, "bring them up to date with: python -m largemodels release", sep="\n", file=sys.stderr)
            return 1 if problems else 0
        if arguments.translated:
            for target in translated(choose(targets(COURSE), arguments.names)):
                mark(target)
                print(f"in step with the English: {target.source.relative_to(COURSE).as_posix()}")
            return 0
        written = release(COURSE, exercises, arguments.names, execute_all=arguments.all, jobs=arguments.jobs)
    except (SourceError, PageError, ReleaseError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the notebooks finished so far are whole, the next release makes the others", file=sys.stderr)
        return 130
    for path in written:
        print(f"written: {path.relative_to(COURSE).as_posix()}")
    if not written:
        print("all notebooks and pages are up to date")
    return 0

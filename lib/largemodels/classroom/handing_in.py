"""`hand_in()`, the last cell of an exercise notebook: what grading will see of it, and the file to hand in.

What is graded is the *saved* file. It is taken apart and run here as the grader does it, in the same process behind the
same walls, on the cases that `check` uses. Grading adds others, so that an answer which fits only those gets less.
Nothing is sent anywhere.
"""

import html
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..language import padded, say
from ..storage import write_whole
from .grading.extracting import CodeCell, Notebook, Unreadable, code_cells, read
from .grading.isolating import Isolation
from .grading.judging import Judge, Verdict, grade_notebook
from .progress import folder, latest
from .report import marked_up

NUMBER = re.compile(r"\w[\w.@+-]{0,39}")
PLACE = "hand-in"  # the folder, beside the notebook, for the files to hand in


@dataclass(frozen=True)
class Row:
    """One exercise: what its check showed in this session, None where it has not run, and what grading sees."""

    verdict: Verdict
    title: str
    shown: float | None

    @property
    def graded(self) -> float:
        return self.verdict.points

    @property
    def differs(self) -> bool:
        return self.shown is not None and self.shown != self.graded


@dataclass(frozen=True)
class HandIn:
    """What grading will see, the warnings, and the file that was written, if any; shows itself as a table."""

    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    source: Path | None = None
    saved: str = ""  # when `source` was saved, by the clock
    path: Path | None = None  # the file to hand in
    todo: str = ""  # why there is none

    def __repr__(self) -> str:
        lines = [self._head(self.source.name)] if self.rows else []
        for row in self.rows:
            shown = "–" if row.shown is None else f"{row.shown:g}"
            facts = say(
                "shown {shown:>4}   graded {graded:g} of {most:g}",
                shown=shown,
                graded=row.graded,
                most=row.verdict.max_points,
            )
            mark = say(" ← differs") if row.differs else ""
            lines.append(f"{row.verdict.exercise:<5} {padded(row.title, 45)} {facts}{mark}")
            lines += [f"      {_first_line(row.verdict)}"] if _needs_words(row) else []
        lines += [self._total()] if self.rows else []
        lines += [say("Careful: {warning}", warning=warning) for warning in self.warnings]
        return "\n".join([*lines, self._end()])

    def _repr_html_(self) -> str:
        parts = []
        if self.rows:
            parts.append(self._head(f"<code>{html.escape(self.source.name)}</code>"))
            head = (
                f"<th></th><th style='text-align:left'>{say('exercise')}</th><th>{say('the check showed')}</th>"
                f"<th>{say('grading sees')}</th><th></th>"
            )
            parts.append(f"<table><tr>{head}</tr>{''.join(map(_html_row, self.rows))}</table>")
            parts.append(f"<b>{self._total()}</b>")
        parts += [f"<div>⚠ {html.escape(warning)}</div>" for warning in self.warnings]
        return "".join(parts) + f"<div>{html.escape(self._end())}</div>"

    def _head(self, name: str) -> str:
        return say("What grading will see of {name}, saved at {time}:", name=name, time=self.saved)

    def _total(self) -> str:
        points, most = sum(row.graded for row in self.rows), sum(row.verdict.max_points for row in self.rows)
        return say(
            "{points:g} of {most:g} points, on the cases that the checks use; grading adds others.",
            points=points,
            most=most,
        )

    def _end(self) -> str:
        if self.path:
            return say("Written: {path}. Hand in this file.", path=self.path)
        return say("No file was written: {reason}", reason=self.todo)


def _needs_words(row: Row) -> bool:
    return row.verdict.status == "attention" or row.differs or bool(row.verdict.note)


def _first_line(verdict: Verdict) -> str:
    return f"{verdict.message.splitlines()[0] if verdict.message else ''} {f'({verdict.note})' if verdict.note else ''}".strip()


def _html_row(row: Row) -> str:
    mark = {"passed": "✓", "wrong": "✗", "not attempted": "○"}.get(row.verdict.status, "⚠")
    shown = "–" if row.shown is None else f"{row.shown:g}"
    words = marked_up(_first_line(row.verdict)) if _needs_words(row) else ""
    bold = "font-weight:bold" if row.differs else ""
    return (
        f"<tr style='{bold}'><td>{mark}</td><td style='text-align:left'>{row.verdict.exercise} {html.escape(row.title)}</td>"
        f"<td>{shown}</td><td>{row.graded:g} / {row.verdict.max_points:g}</td><td style='text-align:left'>{words}</td></tr>"
    )


def hand_in(number: str | int | None = None, *, notebook: str | Path | None = None) -> HandIn:
    """Show what grading will see of this notebook as it is *saved*, and write the file to hand in.

    Save the notebook first: what you typed since then is in the browser, and neither here nor in the file.

    Args:
        number: your student number, which becomes part of the file's name; it is remembered.
        notebook: the notebook's file, where it cannot be found by itself.

    Raises:
        ValueError: `number` cannot be part of a file's name, or `notebook` is no such file.
    """
    if os.environ.get("NBGRADER_EXECUTION"):  # nbgrader runs the notebook, which is handed in already
        return HandIn(todo=say("nbgrader is at work."))
    number = _number(number)
    executed = _executed()
    path = _given(notebook) if notebook is not None else find_notebook(executed)
    if path is None:
        here = 'hand_in(notebook="exercises/01-attention.ipynb")'
        return HandIn(todo=say("this notebook's file was not found. Save it, and say where it is: {call}", call=here))
    from .exercises import exercises

    try:
        data = path.read_bytes()
        read_as = read(data, exercises)
    except OSError as error:
        return HandIn(todo=say("{path} cannot be read: {reason}", path=path, reason=error.strerror or error))
    except Unreadable as error:
        return HandIn(todo=say("{path}: {reason}. Is it the notebook that you mean?", path=path, reason=error))
    rows = tuple(row for made in read_as for row in _graded(made, exercises))
    warnings = tuple(warnings_about(data, executed))
    saved = time.strftime("%H:%M:%S", time.localtime(path.stat().st_mtime))
    found = {"rows": rows, "warnings": warnings, "source": path, "saved": saved}
    if all(row.verdict.status == "not attempted" for row in rows):
        return HandIn(**found, todo=say("nothing is answered yet in the saved notebook."))
    if number is None:
        return HandIn(**found, todo=say('say once who you are: hand_in(number="2026001"), with your student number.'))
    target = path.parent / PLACE / f"{'-'.join(f'{int(made.chapter):02d}' for made in read_as)}-{number}.ipynb"
    try:
        write_whole(target, data)
    except OSError as error:
        reason = error.strerror or error
        todo = say(
            "{target} cannot be written ({reason}). Hand in {path} itself.", target=target, reason=reason, path=path
        )
        return HandIn(**found, todo=todo)
    return HandIn(**found, path=target)


def _graded(notebook: Notebook, exercises: Mapping[str, Any]) -> Iterator[Row]:
    """As the grader does it, without its hidden cases. The notebook that was given out may be this very file."""
    ids = [id for id in exercises if id.split(".")[0] == notebook.chapter]
    try:
        with Isolation() as isolation:
            verdicts = grade_notebook(Judge(exercises, hidden=()), isolation.run, notebook, ids, [])
    except (RuntimeError, OSError) as error:
        problem = say("this could not be tried here: {reason}", reason=error)
        verdicts = {id: Verdict(id, "attention", 0, exercises[id].points, problem) for id in ids}
    for id in ids:
        yield Row(verdicts[id], say(exercises[id].title), latest[id].points if id in latest else None)


def _number(given: str | int | None) -> str | None:
    """The student's number: the given one, which is kept, or the one that was kept."""
    kept = folder() / "number.txt"
    if given is None:
        with suppress(OSError, UnicodeDecodeError):
            text = kept.read_text(encoding="utf-8").strip()
            return text if NUMBER.fullmatch(text) else None
        return None
    text = str(given).strip()
    if not NUMBER.fullmatch(text):
        raise ValueError(
            say(
                "the number {number!r} cannot be part of a file's name: at most 40 letters, digits and the signs . @ + -, "
                'as in hand_in(number="2026001")',
                number=text[:60],
            )
        )
    with suppress(OSError):  # then it is asked for again; `progress` says why
        write_whole(kept, text + "\n")
    return text


# --------------------------------------------------------------------------------------------------- the saved notebook


def _executed() -> list[str]:
    """What was run in this session, at its place in time: what JupyterLab shows as [5] is the item 5."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return [str(source) for source in (shell.user_ns.get("In") or [])] if shell else []


def _given(notebook: str | Path) -> Path:
    path = Path(notebook).expanduser()
    if not path.is_file():
        raise ValueError(say("there is no file {path}; the current folder is {here}", path=path, here=Path.cwd()))
    return path.resolve()


def find_notebook(executed: list[str]) -> Path | None:
    """The saved file: where Jupyter or VS Code says it is, else the one in the current folder that holds what was run."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    told = [os.environ.get("JPY_SESSION_NAME"), shell and shell.user_ns.get("__vsc_ipynb_file__")]
    for name in filter(None, told):
        for path in (Path(name), Path.cwd() / Path(name).name):
            if path.suffix == ".ipynb" and path.is_file():
                return path.resolve()
    run = {_bare(source) for source in executed} - {""}
    best, most = None, 0
    for path in sorted(Path.cwd().glob("*.ipynb")):
        with suppress(OSError, Unreadable):
            share = len(run & {_bare(cell.source) for cell in code_cells(path.read_bytes())})
            if share > most:
                best, most = path, share
    return best.resolve() if best and 2 * most > len(run) else None


def warnings_about(data: bytes, executed: list[str]) -> Iterator[str]:
    """What differs between the saved file and what was run in this session, in words."""
    saved = json.loads(data.decode("utf-8-sig")).get("cells") or []
    counts = [cell.get("execution_count") for cell in saved if isinstance(cell, dict)]
    last = max((count for count in counts if isinstance(count, int) and count < len(executed)), default=0)
    cells = code_cells(data)
    in_file = {_bare(cell.source) for cell in cells}
    if any(_bare(source) not in in_file for source in executed[last + 1 : -1] if _bare(source)):
        yield say(
            "you have run cells that are not in the saved file as you ran them. Save the notebook, then run this again."
        )
    run = {_bare(source) for source in executed}
    if unrun := [cell for cell in cells if executed and _bare(cell.source) and _bare(cell.source) not in run]:
        yield say(
            "cells that have not been run since the kernel started: {cells}. Restart & Run All shows what they do.",
            cells=_named(unrun),
        )


def _named(cells: list[CodeCell]) -> str:
    names = []
    for cell in filter(lambda cell: cell.exercise, cells):
        names.append(say("check {id}", id=cell.exercise) if cell.is_check else say("answer {id}", id=cell.exercise))
    if others := len(cells) - len(names):
        names.append(say("{count} more", count=others) if names else say("{count} of your own", count=others))
    return ", ".join(names)


def _bare(source: str) -> str:
    """Without what an editor may add or take away."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())

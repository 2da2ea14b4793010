"""From what an answer returned to points and a message, in the grader's own process.

An answer is judged on the visible cases (seed 0) and on hidden ones, and each stage counts only if it is right on all.
A message about numbers comes from the visible cases, which a student can repeat in the notebook; of the hidden ones it
says no more than that they differ, or which known mistake they show.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import Tensor

from ...language import language, later, say, speaking
from ..exercise import Case, Exercise, Outcome, run, same
from ..report import Report, StageResult
from . import extracting
from .extracting import CodeCell, Notebook
from .isolating import Cell, Job, Question, Result, Run
from .protocol import encode
from .shown import shown

VISIBLE = 0  # the seed of the cases that `check` uses in the notebook
OWN_SECONDS = 120.0  # for a reference, or a known mistake, on a busy machine
MOST_SKIPPED = 3  # cells that are left out, one after the other, since they end the process
OTHERS = later("right on the cases that the notebook checks, wrong on others: does your answer fit only some inputs?")
AGAIN = later(
    "called twice with the same inputs, your function gave two different answers; does it keep something from call to call?"
)


class Unable(RuntimeError):
    """The grader cannot do its own part; that is no student's fault."""


@dataclass(frozen=True)
class Verdict:
    """What one answer is worth; plain enough for a JSON file."""

    exercise: str
    status: str  # passed, wrong, not attempted; attention: the grader could not do its work
    points: float
    max_points: float
    message: str
    stages: tuple[tuple[str, float, float], ...] = ()
    printed: str = ""
    seconds: float = 0.0
    walls: tuple[str, ...] = ()
    note: str = ""  # how it was come by, where not by running the notebook up to the check

    @staticmethod
    def from_json(values: dict) -> "Verdict":
        stages = tuple(tuple(stage) for stage in values["stages"])
        return Verdict(**{**values, "stages": stages, "walls": tuple(values["walls"])})

    @staticmethod
    def attention(exercise: Exercise, error: BaseException) -> "Verdict":
        """The grader could not do its work: never a silent 0."""
        message = shown(f"The grader could not judge this answer: {type(error).__name__}: {error}", 2_000)
        return Verdict(exercise.id, "attention", 0, exercise.points, message)

    def as_json(self) -> dict:
        return asdict(self)


class Judge:
    """Knows the hidden seeds. One for all threads: what references gave is computed once, by one thread at a time."""

    def __init__(self, exercises: Mapping[str, Exercise], hidden: tuple[int, ...]):
        self.exercises, self.seeds = exercises, (VISIBLE, *hidden)
        self._lock = threading.RLock()
        self._cases: dict[tuple[str, int], list[Case]] = {}
        self._remembered: dict[tuple[int, int, str], Outcome] = {}  # the errors in them are told in some language

    def job(self, cells: tuple[Cell, ...], ids: Iterable[str]) -> Job:
        return Job(cells, {id: self.question(id) for id in ids}, language=language())

    def question(self, id: str) -> Question:
        """All calls of all seeds, and the first once more: an answer must not keep count."""
        exercise = self.exercises[id]
        calls = [case.arguments for seed in self.seeds for case in self.cases(id, seed)] if exercise.cases else []
        return Question(
            name=exercise.name,
            function=exercise.cases is not None,
            points=exercise.points,
            calls=tuple(calls + calls[:1]),
            visible=len(self.cases(id, VISIBLE)),
            refused=exercise.refused if exercise.kind in ("implement", "repair") else (),
            seconds=exercise.seconds * len(self.seeds),
        )

    def cases(self, id: str, seed: int) -> list[Case]:
        with self._lock:
            if (id, seed) not in self._cases:
                self._cases[id, seed] = self.exercises[id].cases_of(seed)
            return self._cases[id, seed]

    def verdict(self, id: str, result: Result) -> Verdict:
        """Judge what came back.

        Raises:
            Unable: something went wrong that is no fault of the answer.
        """
        with self._lock:
            try:
                report = self._report(self.exercises[id], result)
            except Unable:
                raise
            except Exception as error:  # whatever it is, it is not the student's
                raise Unable(f"judging ended in {type(error).__name__}: {error}") from error
        stages = tuple((stage.title, stage.points, stage.max_points) for stage in report.stages)
        return Verdict(
            exercise=id,
            status=report.status,
            points=report.points,
            max_points=report.max_points,
            message=shown(report.message),
            stages=stages,
            printed=shown(result.printed),
            seconds=round(result.seconds, 3),
            walls=tuple(result.walls),
        )

    def _report(self, exercise: Exercise, result: Result) -> Report:
        if result.kind.startswith("ready made: "):
            return exercise.refuse(result.kind.removeprefix("ready made: "))
        if result.in_cell is not None:
            return exercise.wrong(say("Cell {cell}: {what}", cell=result.in_cell, what=result.fate))
        if result.fate and not result.kind:
            return exercise.wrong(result.fate)
        if result.kind == "missing" and result.errors:
            cell, kind, message = result.errors[-1]
            what = say("Cell {cell} stopped with {kind}: {message}", cell=cell, kind=kind, message=message)
            return exercise.wrong(what)
        if result.kind == "missing":
            what = say("none of your cells defines `{name}`; an answer keeps the name it was given", name=exercise.name)
            return exercise.wrong(what)
        if result.kind == "blank":
            return exercise.grade(None)
        if exercise.cases is None and result.kind != "value":
            return exercise.grade(type)  # anything that can be called is told the same
        if exercise.cases is None:
            if not result.outcomes or result.outcomes[0].error:
                return exercise.wrong(result.fate or result.outcomes[0].error or "")
            return exercise.grade(result.outcomes[0].value)
        if result.kind != "function":
            return exercise.wrong(say("this exercise asks for a function, got {seen}", seen=result.kind))
        return self._combined(exercise, self._reports(exercise, result))

    def _reports(self, exercise: Exercise, result: Result) -> list[Report]:
        """One for each seed; where the process was stopped, the calls that were left have failed."""
        outcomes, reports = list(result.outcomes), []
        cases = [self.cases(exercise.id, seed) for seed in self.seeds]
        stopped = Outcome(error=result.fate or say("your code was stopped"))
        total = sum(map(len, cases))
        outcomes += [stopped] * (total + 1 - len(outcomes))
        if not outcomes[0].error and not same(outcomes[0], outcomes[total]):
            outcomes[0] = Outcome(error=result.fate if outcomes[total].error and result.fate else say(AGAIN))
        for of_seed in cases:
            reports.append(exercise.judge(of_seed, outcomes[: len(of_seed)], run=self._run))
            del outcomes[: len(of_seed)]
            if reports[-1].status == "not attempted":
                break
        return reports

    def _combined(self, exercise: Exercise, reports: list[Report]) -> Report:
        worst = next((report for report in reports if not report.passed), reports[0])
        if worst.passed or worst.status == "not attempted":
            return worst
        stages = tuple(
            StageResult(say(stage.title), min(r.stages[i].points for r in reports if r.stages), stage.points)
            for i, stage in enumerate(exercise.stages)
        )
        message = worst.message
        known = any(say(m.message) in message for m in exercise.misconceptions)
        if worst is not reports[0] and not known:
            first = next(s for s, seen in zip(exercise.stages, stages, strict=True) if not seen.passed)
            message = first.told(say(OTHERS))
        return replace(worst, stages=stages, points=sum(stage.points for stage in stages), message=message)

    def _run(self, answer: Any, cases: list[Case], seconds: float) -> tuple[list[Outcome], bool, str]:
        """Like `exercise.run` for the exercises' own answers, each run once for each case, however long it takes."""
        names = {id(case): (id(answer), id(case), language()) for case in cases}
        missing = [case for case in cases if names[id(case)] not in self._remembered]
        if missing:
            outcomes, in_time, _ = run(answer, missing, max(OWN_SECONDS, seconds))
            if not in_time:
                raise Unable(f"the exercise's own answers took more than {OWN_SECONDS:g} seconds")
            for case, outcome in zip(missing, outcomes, strict=False):
                self._remembered[names[id(case)]] = outcome
        known = [self._remembered[names[id(case)]] for case in cases if names[id(case)] in self._remembered]
        return known, True, ""

    def fingerprint(self, id: str) -> str:
        """Changes when anything changes that a verdict on this exercise depends on, in the language that is spoken here."""
        exercise = self.exercises[id]
        content = [self.seeds, {**vars(exercise), "alternatives": None, "hints": None}, exercise.refused]
        content.append([say(text) for kind, text in exercise.says() if kind != "hint"])
        if exercise.cases:
            with self._lock:
                for seed in self.seeds:
                    outcomes, _, _ = self._run(exercise.reference, self.cases(id, seed), exercise.seconds)
                    content.append([(encode(outcome.value), outcome.error) for outcome in outcomes])
        return fingerprint(content)


def fingerprint(value: Any) -> str:
    """A hash of content: of functions the compiled code, and what it refers to in the exercises' own modules."""
    digest, seen = hashlib.sha256(), set()

    def add(value: Any) -> None:
        if is_dataclass(value) and not isinstance(value, type):
            value = (type(value).__name__, vars(value))
        if isinstance(value, Tensor):
            add(encode(value))
        elif isinstance(value, Mapping):
            add([*value.items()])
        elif isinstance(value, list | tuple | frozenset | set):
            digest.update(b"(%d" % len(value))
            for item in sorted(value, key=repr) if isinstance(value, frozenset | set) else value:
                add(item)
        elif isinstance(value, CodeType):
            add((value.co_code, value.co_names, value.co_varnames, value.co_consts))
        elif isinstance(value, FunctionType):
            if value in seen:
                return
            seen.add(value)
            add((value.__name__, value.__code__, value.__defaults__, value.__kwdefaults__))
            add([_contents(cell) for cell in value.__closure__ or ()])
            if value.__module__.startswith("largemodels.classroom"):
                names = [name for name in value.__code__.co_names if name in value.__globals__]
                add([(name, value.__globals__[name]) for name in names])
        elif isinstance(value, bytes):
            digest.update(value)
        elif isinstance(value, ModuleType | type):
            digest.update(value.__name__.encode())
        elif isinstance(value, str | int | float | complex | bool | None):
            digest.update(f"{type(value).__name__}:{value!r};".encode())
        else:
            digest.update(type(value).__name__.encode())

    add(value)
    return digest.hexdigest()


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def key(judge_fingerprint: str, patience: float, *parts: tuple[CodeCell, ...]) -> str:
    """The name under which a result is kept that follows from these cells."""
    content = [4, judge_fingerprint, patience]
    content += [[(cell.index, cell.source, cell.exercise, cell.is_check) for cell in cells] for cells in parts]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------- one notebook

Runner = Callable[[Job], Run]
SELECTED = later("judged with the cells that it needs")
EVERYTHING = later("judged after all cells of the notebook had run")


def grade_notebook(
    judge: Judge, runner: Runner, notebook: Notebook, ids: Iterable[str], released: list[CodeCell]
) -> dict[str, Verdict]:
    """Run a notebook in order and judge each exercise's answer where its check stands.

    An exercise whose check was not come to, or after cells that failed, gets a second chance with the cells that its
    answer needs; the better of the two counts. The verdicts are in the notebook's language.
    """
    with speaking(notebook.language):
        return _grade_notebook(judge, runner, notebook, list(ids), released)


def _grade_notebook(
    judge: Judge, runner: Runner, notebook: Notebook, ids: list[str], released: list[CodeCell]
) -> dict[str, Verdict]:
    asked = {id: judge.exercises[id] for id in ids}
    results, skipped = _run_in_order(judge, runner, extracting.in_order(notebook, asked, released), ids)
    verdicts = {}
    for id in ids:
        try:
            verdict, clean = _where_it_stands(judge, id, results[id])
            if verdict is None or not (verdict.status == "passed" or (clean and not skipped)):
                verdict = _second_chance(judge, runner, notebook, released, id, verdict, skipped)
        except Unable as error:
            verdict = Verdict.attention(asked[id], error)
        verdicts[id] = verdict
    return verdicts


def _run_in_order(
    judge: Judge, runner: Runner, cells: tuple[Cell, ...], ids: list[str]
) -> tuple[dict[str, list[Result]], dict[int, str]]:
    """What the checks saw, and the cells that had to be left out, with the reason.

    What ends the process, a cell or an answer, ends it at every run: the notebook is run again without it.
    """
    stopped: dict[str, Result] = {}
    skipped: dict[int, str] = {}
    results: dict[str, list[Result]] = {}
    while cells:
        run = runner(judge.job(cells, [id for id in ids if id not in stopped]))
        for id in ids:
            results[id] = [result for result in run.results if result.exercise == id] or results.get(id, [])
        if run.fate is None or len(skipped) >= MOST_SKIPPED:
            break
        if run.at:
            stopped[run.at] = results[run.at][-1]
        elif run.in_cell is not None:
            skipped[run.in_cell] = run.fate
        else:
            break
        cells = _without(cells, skipped, stopped)
    return {id: [stopped[id]] if id in stopped else results.get(id, []) for id in ids}, skipped


def _without(cells: tuple[Cell, ...], skipped: Mapping[int, str], stopped: Mapping[str, Result]) -> tuple[Cell, ...]:
    return tuple(
        replace(
            cell,
            code="" if cell.index in skipped else cell.code,
            asks=tuple(id for id in cell.asks if id not in stopped),
        )
        for cell in cells
    )


def _where_it_stands(judge: Judge, id: str, results: list[Result]) -> tuple[Verdict | None, bool]:
    """The verdict of the notebook's checks, and whether nothing went wrong on the way to it.

    Of several checks of a function the best counts, as `progress` shows it; of a value that is chosen or predicted the
    last, or one could try them all.
    """
    results = [result for result in results if result.own] or results
    if judge.exercises[id].cases is None:
        results = results[-1:]
    judged = [(judge.verdict(id, result), result) for result in results]
    if not judged:
        return None, False
    verdict, result = max(judged, key=lambda pair: (pair[0].points, pair[0].status != "not attempted"))
    failed = any(outcome.error and re.search("NameError|MemoryError", outcome.error) for outcome in result.outcomes)
    lost = result.kind in ("missing", "blank") or verdict.status == "not attempted" or (result.fate and not result.late)
    return verdict, not (result.errors or failed or lost)


def _second_chance(
    judge: Judge,
    runner: Runner,
    notebook: Notebook,
    released: list[CodeCell],
    id: str,
    first: Verdict | None,
    skipped: Mapping[int, str],
) -> Verdict:
    """The better of what the notebook showed, if anything, and what the answer is worth by itself."""
    exercise = judge.exercises[id]
    if first and first.status == "not attempted" and not extracting.written(exercise, notebook, released):
        return first
    cells = extracting.cells_for(exercise, notebook, released)
    verdict = replace(grade(judge, runner, id, cells), note=say(SELECTED))
    if verdict.status == "wrong" and "NameError" in verdict.message:
        everything = extracting.every_cell(exercise, notebook, released)
        again = grade(judge, runner, id, everything)
        verdict = replace(again, note=say(EVERYTHING)) if again.points > verdict.points else verdict
    if first and first.status != "not attempted" and first.points >= verdict.points:
        return first
    if skipped and verdict.points:
        cell, fate = next(iter(skipped.items()))
        note = say("{note}; cell {cell}: {what}", note=verdict.note, cell=cell, what=fate)
        verdict = replace(verdict, note=note)
    return verdict


def grade(judge: Judge, runner: Runner, id: str, cells: tuple[Cell, ...]) -> Verdict:
    """Judge the answer to one exercise where `cells` ask for it."""
    if not cells:
        return judge.verdict(id, Result(id, kind="missing"))
    run = runner(judge.job(cells, [id]))
    return judge.verdict(id, run.results[-1] if run.results else run.stopped(id))

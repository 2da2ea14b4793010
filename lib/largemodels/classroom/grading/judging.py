"""From what an answer returned to points and a message, in the grader's own process.

An answer is judged on the visible cases (seed 0) and on hidden ones, and each stage counts only if it is right on all.
A message about numbers comes from the visible cases, which a student can repeat in the notebook; of the hidden ones it
says no more than that they differ, or which known mistake they show.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import Tensor

from ..exercise import Case, Exercise, Outcome, run, same
from ..report import Report, StageResult
from .isolating import Cell, Job, Result
from .protocol import encode

VISIBLE = 0  # the seed of the cases that `check` uses in the notebook
OWN_SECONDS = 120.0  # for a reference, or a known mistake, on a busy machine
OTHERS = "right on the cases that the notebook checks, wrong on others: does your answer fit only some inputs?"
AGAIN = "called twice with the same inputs, your function gave two different answers; does it keep something from call to call?"


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
    alone: bool = True  # whether it follows from the answer's own cells, without the rest of the notebook

    @staticmethod
    def from_json(values: dict) -> "Verdict":
        stages = tuple(tuple(stage) for stage in values["stages"])
        return Verdict(**{**values, "stages": stages, "walls": tuple(values["walls"])})

    def as_json(self) -> dict:
        return asdict(self)


class Judge:
    """Knows the hidden seeds. One for all threads: what references gave is computed once, by one thread at a time."""

    def __init__(self, exercises: Mapping[str, Exercise], hidden: tuple[int, ...]):
        self.exercises, self.seeds = exercises, (VISIBLE, *hidden)
        self._lock = threading.RLock()
        self._cases: dict[tuple[str, int], list[Case]] = {}
        self._remembered: dict[tuple[int, int], Outcome] = {}

    def job(self, id: str, cells: tuple[Cell, ...]) -> Job:
        """All calls of all seeds, in one process, and the first once more: an answer must not keep count."""
        exercise = self.exercises[id]
        calls = [case.arguments for seed in self.seeds for case in self.cases(id, seed)] if exercise.cases else []
        return Job(
            cells=cells,
            name=exercise.name,
            function=exercise.cases is not None,
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
            Unable: there is nothing to compare it with.
        """
        with self._lock:
            try:
                report = self._report(self.exercises[id], result)
            except Unable:
                raise
            except Exception as error:  # a value of a shape that no comparison expects
                problem = f"your answer has a form that cannot be compared ({type(error).__name__}: {error})"[:500]
                report = self._zero(self.exercises[id], problem)
        stages = tuple((stage.title, stage.points, stage.max_points) for stage in report.stages)
        return Verdict(
            exercise=id,
            status=report.status,
            points=report.points,
            max_points=report.max_points,
            message=report.message,
            stages=stages,
            printed=result.printed,
            seconds=round(result.seconds, 3),
            walls=tuple(result.walls),
        )

    def _report(self, exercise: Exercise, result: Result) -> Report:
        if result.kind.startswith("ready made: "):
            return exercise.refuse(result.kind.removeprefix("ready made: "))
        if result.in_cell is not None:
            return self._zero(exercise, f"Cell {result.in_cell}: {result.fate}")
        if result.fate and not result.kind:
            return self._zero(exercise, result.fate)
        if result.kind == "missing" and result.errors:
            cell, kind, message = result.errors[-1]
            return self._zero(exercise, f"Cell {cell} stopped with {kind}: {message}")
        if result.kind == "missing":
            return self._zero(
                exercise, f"none of your cells defines `{exercise.name}`; an answer keeps the name it was given"
            )
        if result.kind == "blank":
            return exercise.grade(None)
        if exercise.cases is None:
            if not result.outcomes or result.outcomes[0].error:
                return self._zero(exercise, result.fate or result.outcomes[0].error or "")
            return exercise.grade(result.outcomes[0].value)
        if result.kind != "function":
            return self._zero(exercise, f"this exercise asks for a function, got {result.kind}")
        return self._combined(exercise, self._reports(exercise, result))

    def _reports(self, exercise: Exercise, result: Result) -> list[Report]:
        """One for each seed; where the process was stopped, the calls that were left have failed."""
        outcomes, reports = list(result.outcomes), []
        cases = [self.cases(exercise.id, seed) for seed in self.seeds]
        stopped = Outcome(error=result.fate or "your code was stopped")
        total = sum(map(len, cases))
        if not (outcomes and not outcomes[0].attempted):
            outcomes += [stopped] * (total + 1 - len(outcomes))
            if not outcomes[0].error and not same(outcomes[0], outcomes[total]):
                outcomes[0] = Outcome(error=result.fate if outcomes[total].error and result.fate else AGAIN)
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
            StageResult(stage.title, min(r.stages[i].points for r in reports if r.stages), stage.points)
            for i, stage in enumerate(exercise.stages)
        )
        message = worst.message
        if worst is not reports[0] and message not in {m.message for m in exercise.misconceptions}:
            first = next(s for s, seen in zip(exercise.stages, stages, strict=True) if not seen.passed)
            message = f"{first.title}: {OTHERS}" + (f"\nWhere to look: {first.look}" if first.look else "")
        return replace(worst, stages=stages, points=sum(stage.points for stage in stages), message=message)

    def _zero(self, exercise: Exercise, message: str) -> Report:
        stages = tuple(StageResult(stage.title, 0, stage.points) for stage in exercise.stages)
        return Report(f"{exercise.id} {exercise.title}", 0, exercise.points, "wrong", message, stages)

    def _run(self, answer: Any, cases: list[Case], seconds: float) -> tuple[list[Outcome], bool, str]:
        """Like `exercise.run` for the exercises' own answers, each run once for each case, however long it takes."""
        missing = [case for case in cases if (id(answer), id(case)) not in self._remembered]
        if missing:
            outcomes, in_time, _ = run(answer, missing, max(OWN_SECONDS, seconds))
            if not in_time:
                raise Unable(f"the exercise's own answers took more than {OWN_SECONDS:g} seconds")
            for case, outcome in zip(missing, outcomes, strict=False):
                self._remembered[id(answer), id(case)] = outcome
        known = [self._remembered[id(answer), id(case)] for case in cases if (id(answer), id(case)) in self._remembered]
        return known, True, ""

    def fingerprint(self, id: str) -> str:
        """Changes when anything changes that a verdict on this exercise depends on."""
        exercise = self.exercises[id]
        content = [self.seeds, {**vars(exercise), "alternatives": None, "hints": None}, exercise.refused]
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


def key(judge_fingerprint: str, patience: float, *codes: tuple[Cell, ...]) -> str:
    """The name under which a result is kept that follows from these cells."""
    content = [2, judge_fingerprint, patience, [[(cell.index, cell.code) for cell in cells] for cells in codes]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


Runner = Callable[[Job], Result]


def grade(
    judge: Judge, runner: Runner, id: str, cells: tuple[Cell, ...], every: Callable[[], tuple[Cell, ...]]
) -> Verdict:
    """Run one answer and judge it. One that lacks a name is tried again with all cells of its notebook."""
    result = runner(judge.job(id, cells)) if cells else Result(kind="blank")
    verdict = judge.verdict(id, result)
    lacks = any(kind == "NameError" for _, kind, _ in result.errors) or "NameError" in verdict.message
    if verdict.status == "wrong" and lacks:
        again = judge.verdict(id, runner(judge.job(id, every())))
        verdict = replace(again if again.points > verdict.points else verdict, alone=False)
    return verdict

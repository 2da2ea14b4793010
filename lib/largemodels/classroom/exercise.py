"""One declaration per exercise; checking, hints, grading and tests all come from it.

An exercise knows how to make `cases` from a seed, the `reference` answer, the `misconceptions` that people really have
(each a small wrong answer with the message it deserves) and the `alternatives` that must pass. An answer is run on
the cases; where it parts from the reference, the misconception that gives the same results names the mistake.
"""

import copy
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from .comparing import difference, plain, shape_difference
from .ready_made import ReadyMade, library_parts, refused, torch_parts
from .report import Report, StageResult
from .running import one_thread, run_limited


@dataclass(frozen=True)
class Case:
    """One call of the answer: its arguments, and the stage it counts for."""

    stage: str
    arguments: tuple = ()


@dataclass(frozen=True)
class Stage:
    """One thing the answer must get right, in the order in which to look at them."""

    name: str
    title: str
    points: float
    look: str = ""  # where to look when no misconception fits
    select: Callable[[Any], Any] = lambda value: value  # the part of the returned value that this stage judges
    compare: Callable[[Any, Any], str | None] = difference


@dataclass(frozen=True)
class Misconception:
    """A mistake people really make: the wrong `answer` it leads to, and the `message` that this answer deserves."""

    answer: Any
    message: str


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a value, or the text of an error; and which arguments it changed."""

    value: Any = None
    error: str | None = None
    attempted: bool = True
    changed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exercise:
    """See the module's docstring; ids are "chapter.number"."""

    id: str
    title: str
    kind: Literal["implement", "repair", "predict", "choose"]
    name: str  # what the notebook calls the answer
    stages: tuple[Stage, ...]
    reference: Any
    misconceptions: tuple[Misconception, ...]
    minutes: int
    stars: int
    hints: tuple[str, ...]
    success: str  # what to say to a right answer: something worth taking along
    cases: Callable[[int], Iterable[Case]] | None = None  # from a seed; None where the answer is a plain value
    alternatives: tuple = ()
    given: Any = None  # for kind "repair": an answer that does what the given code does
    options: Mapping[str, str] = field(default_factory=dict)  # letter → text, for kind "choose"
    ready_made: tuple[str, ...] | None = None  # what an answer may not call; None: whatever the reference is made of
    seconds: float = 5.0  # for all cases together

    @property
    def points(self) -> float:
        return sum(stage.points for stage in self.stages)

    @property
    def refused(self) -> tuple[str, ...]:
        """Dotted names of the library's and PyTorch's own versions of what is to be written here."""
        if self.ready_made is not None:
            return self.ready_made
        parts = library_parts(self.reference)
        # Of several parts PyTorch's versions are tools: a whole block may well be built with torch's layer norm.
        return parts + torch_parts(parts) if len(parts) == 1 else parts

    def grade(self, answer: Any, seed: int = 0) -> Report:
        """Run `answer` on the cases of `seed` and say what it is worth; whatever it does, this returns a report."""
        if is_blank(answer):
            return self._not_attempted()
        if self.cases is not None and not callable(answer):
            return self._wrong(f"this exercise asks for a function, got {answer!r} ({type(answer).__name__})")
        if self.kind == "choose":
            answer = str(answer).strip().upper()
            if answer not in self.options:
                return self._wrong(f"choose one of the letters {', '.join(self.options)}; got {answer!r}")
        cases = self.cases_of(seed)
        with refused(self.refused):
            outcomes, _, printed = run(answer, cases, self.seconds)
        return self.judge(cases, outcomes, printed)

    def judge(
        self, cases: list[Case], outcomes: list["Outcome"], printed: str = "", run: Callable | None = None
    ) -> Report:
        """The verdict on what an answer gave on `cases`; fewer outcomes than cases: it was stopped.

        `run` may be a function like this module's that remembers what the reference and the misconceptions gave.
        """
        run = run or globals()["run"]
        if not outcomes:
            return self._wrong(self._too_slow(), printed=printed)
        if not outcomes[0].attempted:
            return self._not_attempted()
        outcomes = outcomes + [Outcome(error=self._too_slow())] * (len(cases) - len(outcomes))
        if self.given is not None and all(map(same, outcomes, run(self.given, cases, self.seconds)[0])):
            return self._not_attempted("Nothing is repaired yet: this gives what the code that you were given gives.")
        return self._judge(cases, outcomes, printed, run)

    def refuse(self, name: str) -> Report:
        """The verdict on an answer that is `name` itself."""
        return self._wrong(f"your answer is `{name}`, which is what this exercise asks you to write")

    def cases_of(self, seed: int) -> list[Case]:
        """The calls of an answer; for a plain value, one for each stage."""
        if self.cases is None:
            return [Case(stage.name) for stage in self.stages]
        return list(self.cases(seed))

    def _judge(self, cases: list[Case], outcomes: list[Outcome], printed: str, run: Callable) -> Report:
        expected, _, _ = run(self.reference, cases, self.seconds)
        failures = [self._failure(*triple) for triple in zip(cases, outcomes, expected, strict=True)]
        results, first = [], ""
        for stage in self.stages:
            wrong = [
                failure for case, failure in zip(cases, failures, strict=True) if failure and case.stage == stage.name
            ]
            results.append(StageResult(stage.title, 0 if wrong else stage.points, stage.points))
            if wrong and not first:
                end = "" if wrong[0].endswith(("?", "!", ".")) else "."
                first = f"{stage.title}: {wrong[0]}{end}" + (f"\nWhere to look: {stage.look}" if stage.look else "")
        if not first:
            return self._report("passed", self.success, tuple(results), printed)
        message = self._diagnosis(cases, outcomes, failures, run) or first
        return self._report("wrong", message, tuple(results), printed)

    def _failure(self, case: Case, seen: Outcome, expected: Outcome) -> str | None:
        """What is wrong with one outcome, in words; None if nothing is."""
        if seen.error:
            return seen.error
        if seen.changed:
            return f"your code changed its argument number {seen.changed[0] + 1} in place; leave the inputs as they are"
        if wrong_length := _length_difference(seen.value, expected.value):
            return wrong_length
        stage = self._stage(case.stage)
        return stage.compare(stage.select(seen.value), stage.select(expected.value))

    def _diagnosis(
        self, cases: list[Case], outcomes: list[Outcome], failures: list[str | None], run: Callable
    ) -> str | None:
        """The message of the misconception that goes wrong in the same way.

        Best is one with the same result in every case that failed; else one with the same result in the first stage
        that failed, judged by what that stage looks at: an answer may hold two mistakes, and the first is told first.
        """
        wrong = [i for i, failure in enumerate(failures) if failure]
        first = next(stage for stage in self.stages if any(cases[i].stage == stage.name for i in wrong))
        in_first = [i for i in wrong if cases[i].stage == first.name]

        def agrees(misconception: Misconception, indices: list[int], select: Callable[[Any], Any] = whole) -> bool:
            theirs, _, _ = run(misconception.answer, [cases[i] for i in indices], self.seconds)
            return len(theirs) == len(indices) and all(
                same(outcomes[i], outcome, select) for i, outcome in zip(indices, theirs, strict=True)
            )

        candidate = None
        for misconception in self.misconceptions:
            if not agrees(misconception, in_first[:1], first.select):
                continue  # most misconceptions part from the answer at once, and cost one case
            if agrees(misconception, wrong):
                return misconception.message
            if candidate is None and agrees(misconception, in_first, first.select):
                candidate = misconception.message
        return candidate

    def _stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def _too_slow(self) -> str:
        return f"your code was stopped after {self.seconds:g} seconds; does a loop never end?"

    def _not_attempted(
        self, message: str = "Nothing to check yet: write your answer in the cell above and run it."
    ) -> Report:
        return self._report("not attempted", message)

    def _wrong(self, message: str, printed: str = "") -> Report:
        return self._report("wrong", message, tuple(StageResult(s.title, 0, s.points) for s in self.stages), printed)

    def _report(self, status: str, message: str, stages: tuple[StageResult, ...] = (), printed: str = "") -> Report:
        points = sum(stage.points for stage in stages)
        return Report(f"{self.id} {self.title}", points, self.points, status, message, stages, printed)


def run(answer: Any, cases: list[Case], seconds: float) -> tuple[list[Outcome], bool, str]:
    """Run `answer` on each case; return the outcomes so far, whether all came in time, and what was printed."""
    outcomes: list[Outcome] = []

    def work() -> None:
        with torch.random.fork_rng(devices=[]):  # an answer that draws random numbers leaves the notebook's alone
            for case in cases:
                torch.manual_seed(0)
                outcomes.append(call(answer, case))
                if not outcomes[-1].attempted:
                    break

    with one_thread():  # for threads started now, too
        in_time, printed = run_limited(work, seconds=seconds)
    return list(outcomes), in_time, printed


def call(answer: Any, case: Case) -> Outcome:
    """One call of an answer, with copies of the arguments; a plain value is its own outcome."""
    if not callable(answer):
        return _value_outcome(answer)
    arguments = copy.deepcopy(case.arguments)
    try:
        value = answer(*arguments)
    except NotImplementedError:
        return Outcome(attempted=False)
    except ReadyMade as error:
        return Outcome(error=str(error))
    except (Exception, SystemExit) as error:
        return Outcome(error=f"your code stopped with {_describe(error)}")
    if value is None:
        return Outcome(error="your function returned None; is a `return` missing?")
    changed = tuple(
        i
        for i, (before, after) in enumerate(zip(case.arguments, arguments, strict=True))
        if difference(plain(after), plain(before))
    )
    outcome = _value_outcome(value)
    return Outcome(outcome.value, outcome.error, changed=changed)


def is_blank(answer: Any) -> bool:
    """None, ``...``, or a tuple of nothing else: what stands in an exercise before it is answered."""
    if isinstance(answer, tuple) and answer:
        return all(map(is_blank, answer))
    return answer is None or answer is Ellipsis


def _value_outcome(value: Any) -> Outcome:
    try:
        return Outcome(plain(value))
    except TypeError as error:
        return Outcome(error=f"your answer is {error}; a tensor, a number, or a tuple of them is expected")


def _describe(error: BaseException) -> str:
    """The error and the student's own line it came from."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if "largemodels" not in f.filename]
    line = f" in the line `{own[0].line}`" if own and own[0].line else ""
    return f"{type(error).__name__}: {error}{line}"


def whole(value: Any) -> Any:
    return value


def same(one: Outcome, other: Outcome, select: Callable[[Any], Any] = whole) -> bool:
    """Whether two outcomes are the same mistake, in the part that `select` takes from their values."""
    if one.error or other.error:
        kind = [(outcome.error or "").split(" in the line ")[0] for outcome in (one, other)]
        return kind[0] == kind[1]
    if one.changed != other.changed or _length_difference(one.value, other.value):
        return False
    return difference(select(one.value), select(other.value)) is None


def _length_difference(seen: Any, expected: Any) -> str | None:
    """A tuple of the wrong length cannot be taken apart: say so before a stage selects from it."""
    if isinstance(expected, tuple) and (not isinstance(seen, tuple) or len(seen) != len(expected)):
        return shape_difference(seen, expected)
    return None

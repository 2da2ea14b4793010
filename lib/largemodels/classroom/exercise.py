"""One declaration per exercise; checking, hints, grading and tests all come from it.

An exercise knows how to make `cases` from a seed, the `reference` answer, the `misconceptions` that people really have
(each a small wrong answer with the message it deserves) and the `alternatives` that must pass. An answer is run on
the cases; where it parts from the reference, the misconception that gives the same results names the mistake.

A message is true or silent. A misconception is *told* if its results are the answer's in every case, right and wrong
ones alike. It is told as what the answer *looks like* if that holds for the first stage that failed, if that is the
first that it fails itself, and if no other known mistake gives the same there. Otherwise the stage says what it saw.
"""

import copy
import dis
import inspect
import itertools
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor

from ..language import later, say
from .comparing import difference, shape_difference
from .reading import fitted, letter_in, plain, shown
from .ready_made import ReadyMade, library_parts, refused, told, torch_parts
from .report import Report, StageResult
from .running import OutOfTime, one_thread, run_limited

LOOKS_LIKE = later("This looks like a known mistake. ")
ANOTHER_ORDER = later("All that you return is right, but in another order: what does the statement name first?")
LEFT_OVER = later(
    "`raise NotImplementedError` is still there on the way that this call takes: what belongs in its place?"
)
IN_THE_LINE = later(" in the line ")


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
    follows: Callable[[Any], Any] | None = (
        None  # what the part should be, given the parts before it as they were answered
    )

    def failure(self, seen: Any, expected: Any) -> str | None:
        """What is wrong with this stage's part of a value; nothing, if it follows rightly from a mistake before it."""
        part = self.select(seen)
        wrong = self.compare(part, self.select(expected))
        if not wrong or self.follows is None:
            return wrong
        with suppress(TypeError, ValueError, OverflowError):  # the parts before may be no numbers
            if not self.compare(part, self.follows(seen)):
                return None
        return wrong

    def told(self, wrong: str) -> str:
        """What a student hears of a failure: the stage, what is wrong, and where to look."""
        end = "" if wrong.endswith(("?", "!", ".", "？", "！", "。")) else say(".")
        told = say("{stage}: {wrong}", stage=say(self.title), wrong=wrong) + end
        return told + ("\n" + say("Where to look: {place}", place=say(self.look)) if self.look else "")


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

    def read_as(self, expected: "Outcome") -> "Outcome":
        """The same with its value in the expected one's form (see `reading.fitted`)."""
        return replace(self, value=fitted(self.value, expected.value))


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
    ready_made: tuple[str, ...] | None = None  # what an answer may not call; None: what the reference is made of
    seconds: float = 5.0  # for all cases together

    @property
    def points(self) -> float:
        return sum(stage.points for stage in self.stages)

    def says(self) -> Iterator[tuple[str, str]]:
        """Every text that a student may meet, each with what it is."""
        yield "title", self.title
        for stage in self.stages:
            yield "stage", stage.title
            if stage.look:
                yield "where to look", stage.look
        for misconception in self.misconceptions:
            yield "mistake", misconception.message
        for hint in self.hints:
            yield "hint", hint
        for text in self.options.values():
            yield "option", text
        yield "success", self.success

    @property
    def refused(self) -> tuple[str, ...]:
        """Dotted names of the library's and PyTorch's own versions of what is to be written here."""
        if self.ready_made is not None:
            return self.ready_made
        if self.kind == "repair":  # whatever repairs it
            return ()
        parts = library_parts(self.reference)
        # Of several parts PyTorch's versions are tools: a whole block may well be built with torch's layer norm.
        return parts + torch_parts(parts) if len(parts) == 1 else parts

    def grade(self, answer: Any, seed: int = 0) -> Report:
        """Run `answer` on the cases of `seed` and say what it is worth; whatever it does, this returns a report."""
        if is_blank(answer):
            return self.not_attempted()
        if self.cases is not None and not callable(answer):
            return self.wrong(
                say(
                    "this exercise asks for a function, got {seen} ({kind})",
                    seen=shown(answer),
                    kind=type(answer).__name__,
                )
            )
        if self.cases is None and callable(answer):
            return self.wrong(
                say("this exercise asks for a value, got a function or a class; are its brackets () missing?")
            )
        if self.kind == "choose":
            letter = letter_in(answer)
            if letter not in self.options:
                letters = ", ".join(self.options)
                return self.wrong(
                    say("choose one of the letters {letters}; got {seen}", letters=letters, seen=shown(answer))
                )
            answer = letter
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
            return self.wrong(self._too_slow(), printed=printed)
        if not any(outcome.attempted for outcome in outcomes):
            return self.not_attempted()
        expected, _, _ = run(self.reference, cases, self.seconds)
        outcomes = outcomes + [Outcome(error=self._too_slow())] * (len(cases) - len(outcomes))
        outcomes = [seen.read_as(right) for seen, right in zip(outcomes, expected, strict=True)]
        if self.given is not None and all(map(same, outcomes, run(self.given, cases, self.seconds)[0])):
            return self.not_attempted(
                say("Nothing is repaired yet: this gives what the code that you were given gives.")
            )
        return self._judge(cases, outcomes, expected, printed, run)

    def refuse(self, name: str) -> Report:
        """The verdict on an answer that is `name` itself."""
        return self.wrong(told(name, is_it=True))

    def cases_of(self, seed: int) -> list[Case]:
        """The calls of an answer; for a plain value, one for each stage."""
        if self.cases is None:
            return [Case(stage.name) for stage in self.stages]
        return list(self.cases(seed))

    def _judge(
        self, cases: list[Case], outcomes: list[Outcome], expected: list[Outcome], printed: str, run: Callable
    ) -> Report:
        failures = [self._failure(*triple) for triple in zip(cases, outcomes, expected, strict=True)]
        results, first = [], ""
        for stage in self.stages:
            wrong = [
                failure for case, failure in zip(cases, failures, strict=True) if failure and case.stage == stage.name
            ]
            results.append(StageResult(say(stage.title), 0 if wrong else stage.points, stage.points))
            if wrong and not first:
                first = stage.told(wrong[0])
        if not first:
            return self._report("passed", say(self.success), tuple(results), printed)
        message = self._diagnosis(cases, outcomes, expected, failures, run) or first
        return self._report("wrong", message, tuple(results), printed)

    def _failure(self, case: Case, seen: Outcome, expected: Outcome) -> str | None:
        """What is wrong with one outcome, in words; None if nothing is."""
        if not seen.attempted:
            return say(LEFT_OVER)
        if seen.error:
            return seen.error
        if seen.changed:
            return say(
                "your code changed its argument `{name}` in place; leave the inputs as they are",
                name=self._argument(seen.changed[0]),
            )
        if wrong_length := _length_difference(seen.value, expected.value):
            return wrong_length
        try:
            return self._stage(case.stage).failure(seen.value, expected.value)
        except Exception as error:  # a value of a form that no comparison expects
            return say("your answer has a form that cannot be compared ({kind})", kind=type(error).__name__)

    def _argument(self, index: int) -> str:
        """What the statement calls an argument; the reference calls it the same."""
        return [*inspect.signature(self.reference).parameters][index]

    def _diagnosis(
        self,
        cases: list[Case],
        outcomes: list[Outcome],
        expected: list[Outcome],
        failures: list[str | None],
        run: Callable,
    ) -> str | None:
        """The message of the misconception that goes wrong in the same way, if that can be told.

        An answer may hold two mistakes; the first is told first, so that the first stage that failed decides.
        """
        failed = {case.stage for case, failure in zip(cases, failures, strict=True) if failure}
        first = next(stage for stage in self.stages if stage.name in failed)
        of_first = [i for i, case in enumerate(cases) if case.stage == first.name]
        of_first.sort(key=lambda i: failures[i] is None)  # most misconceptions part from the answer at once
        others = [i for i, case in enumerate(cases) if case.stage != first.name]
        before = {stage.name for stage in self.stages[: self.stages.index(first)]}

        def right(misconception: Misconception, i: int) -> bool:
            theirs = run(misconception.answer, [cases[i]], self.seconds)[0]
            return bool(theirs) and not self._failure(cases[i], theirs[0].read_as(expected[i]), expected[i])

        def alike(misconception: Misconception, i: int) -> bool:
            """Whether case i gave what it gives with the misconception, in the part that its stage judges.

            What the stage calls equal, by its own tolerance, is equal: a rounded mistake is the same mistake.
            """
            theirs = run(misconception.answer, [cases[i]], self.seconds)[0]
            if not theirs:
                return False
            their = theirs[0].read_as(expected[i])
            if bool(failures[i]) != bool(self._failure(cases[i], their, expected[i])):
                return False
            stage = self._stage(cases[i].stage)
            return same(outcomes[i], their, stage.select, stage.compare)

        candidates = set()
        for misconception in self.misconceptions:
            if all(alike(misconception, i) for i in of_first):
                if all(alike(misconception, i) for i in others):
                    return say(misconception.message)
                if all(right(misconception, i) for i in others if cases[i].stage in before):
                    candidates.add(misconception.message)
        if self._in_another_order(cases, outcomes, expected):
            return say(ANOTHER_ORDER)
        if len(candidates) != 1 or all(_says_little(outcomes[i], first.select) for i in of_first if failures[i]):
            return None
        (message,) = candidates
        return say(LOOKS_LIKE) + say(message)

    def _in_another_order(self, cases: list[Case], outcomes: list[Outcome], expected: list[Outcome]) -> bool:
        """Whether all that a function returns is right, each value in another's place."""
        lengths = {len(value) if isinstance(value := outcome.value, tuple) else 0 for outcome in outcomes}
        several = expected and any(isinstance(part, Tensor | tuple) for part in _parts(expected[0].value))
        if not several or len(lengths) != 1 or not 2 <= (length := lengths.pop()) <= 4:
            return False
        for order in itertools.permutations(range(length)):
            moved = (replace(seen, value=tuple(seen.value[i] for i in order)) for seen in outcomes)
            triples = zip(cases, moved, expected, strict=True)
            if not any(self._failure(case, seen.read_as(right), right) for case, seen, right in triples):
                return True
        return False

    def _stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def _too_slow(self) -> str:
        return say("your code was stopped after {seconds:g} seconds; does a loop never end?", seconds=self.seconds)

    def not_attempted(self, message: str | None = None) -> Report:
        """The verdict where there is no answer to judge, or only an older one than the cell shows."""
        nothing = say("Nothing to check yet: write your answer in the cell above and run it.")
        return self._report("not attempted", message or nothing)

    def wrong(self, message: str, printed: str = "") -> Report:
        """The verdict on an answer of which no stage can be judged."""
        return self._report(
            "wrong", message, tuple(StageResult(say(s.title), 0, s.points) for s in self.stages), printed
        )

    def _report(self, status: str, message: str, stages: tuple[StageResult, ...] = (), printed: str = "") -> Report:
        points = sum(stage.points for stage in stages)
        return Report(f"{self.id} {say(self.title)}", points, self.points, status, message, stages, printed)


def run(answer: Any, cases: list[Case], seconds: float) -> tuple[list[Outcome], bool, str]:
    """Run `answer` on each case; return the outcomes so far, whether all came in time, and what was printed."""
    outcomes: list[Outcome] = []

    def work() -> None:
        with torch.random.fork_rng(devices=[]):  # an answer that draws random numbers leaves the notebook's alone
            for case in cases:
                seed_afresh()
                outcomes.append(call(answer, case))

    with one_thread():  # for threads started now, too
        in_time, printed = run_limited(work, seconds=seconds)
    return list(outcomes), in_time, printed


def seed_afresh() -> None:
    """The numbers that an answer draws are the same for everybody.

    (`torch.manual_seed` asks every kind of device, and for each that sleeps it notes the whole stack.)
    """
    torch.default_generator.manual_seed(0)


def call(answer: Any, case: Case) -> Outcome:
    """One call of an answer, with copies of the arguments; a plain value is its own outcome."""
    if not callable(answer):
        return _value_outcome(answer)
    arguments = copy.deepcopy(case.arguments)
    try:
        value = answer(*arguments)
    except OutOfTime:
        raise
    except ReadyMade as error:
        return Outcome(error=str(error))
    except BaseException as error:  # SystemExit, KeyboardInterrupt and whatever else it raises are the answer's own
        if isinstance(error, NotImplementedError) and _is_stub(error.__traceback__):
            return Outcome(attempted=False)
        return Outcome(error=say("your code stopped with {error}", error=_describe(error)))
    if value is None:
        return Outcome(error=say("your function returned None; is a `return` missing?"))
    changed = tuple(i for i, pair in enumerate(zip(case.arguments, arguments, strict=True)) if _differ(*pair))
    outcome = _value_outcome(value)
    return Outcome(outcome.value, outcome.error, changed=changed)


def _differ(before: Any, after: Any) -> bool:
    try:
        return bool(difference(plain(after), plain(before)))
    except Exception:  # it is no plain value any more
        return True


def is_blank(answer: Any, depth: int = 0) -> bool:
    """None, ``...``, or a tuple or list of nothing else: what stands in an exercise before it is answered."""
    if isinstance(answer, tuple | list) and answer and depth < 4:
        return all(is_blank(item, depth + 1) for item in answer)
    return answer is None or answer is Ellipsis


def _value_outcome(value: Any) -> Outcome:
    try:
        return Outcome(plain(value))
    except TypeError as error:
        return Outcome(
            error=say("your answer is {kind}; a tensor, a number, or a tuple of them is expected", kind=error)
        )
    except Exception as error:
        return Outcome(
            error=say(
                "your answer is a {kind} that cannot be read ({error})",
                kind=type(value).__name__,
                error=type(error).__name__,
            )
        )


def _describe(error: BaseException) -> str:
    """The error and the student's own innermost line on the way to it."""
    try:
        text = f": {error}" if str(error) else ""
    except Exception:  # an exception whose own text raises one
        text = ""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    line = f"{say(IN_THE_LINE)}`{own[-1].line}`" if own and own[-1].line else ""
    return f"{type(error).__name__}{text[:1_000]}{line}"


_NOT_OWN = (
    *{str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    str(Path(torch.__file__).resolve().parent),
    str(Path(__file__).resolve().parents[1]),
    "<frozen ",
    "<__array_function__",
)


def is_own(filename: str) -> bool:
    """Whether a line of this file is the reader's, not Python's, a library's or the course's."""
    return not filename.startswith(_NOT_OWN) and not str(Path(filename).resolve()).startswith(_NOT_OWN)


def _is_stub(trace: TracebackType | None) -> bool:
    """Whether an exception was raised by the reader's own ``raise``; PyTorch raises NotImplementedError too."""
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None or not is_own(trace.tb_frame.f_code.co_filename):
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def whole(value: Any) -> Any:
    return value


def same(
    one: Outcome,
    other: Outcome,
    select: Callable[[Any], Any] = whole,
    compare: Callable[[Any, Any], str | None] = difference,
) -> bool:
    """Whether two outcomes are the same mistake, in the part that `select` takes from their values."""
    if one.error or other.error:
        kind = [(outcome.error or "").split(say(IN_THE_LINE))[0] for outcome in (one, other)]
        return kind[0] == kind[1]
    if one.attempted != other.attempted or one.changed != other.changed or _length_difference(one.value, other.value):
        return False
    try:
        parts = select(one.value), select(other.value)
        return difference(*parts) is None or compare(*parts) is None
    except Exception:
        return False


def _parts(value: Any) -> tuple:
    return value if isinstance(value, tuple) else ()


def _says_little(outcome: Outcome, select: Callable[[Any], Any]) -> bool:
    """Whether many mistakes end in this result: zeros, or another number everywhere, or none."""
    try:
        value = select(outcome.value)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return False
        return len(value.nan_to_num().unique()) < 2 <= value.numel()  # NaN is not equal to itself
    except Exception:
        return False


def _length_difference(seen: Any, expected: Any) -> str | None:
    """A tuple of the wrong length cannot be taken apart: say so before a stage selects from it."""
    if isinstance(expected, tuple) and (not isinstance(seen, tuple) or len(seen) != len(expected)):
        return shape_difference(seen, expected)
    return None

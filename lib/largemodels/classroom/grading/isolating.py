"""The grader's end of the processes that run students' code: start them, talk to them, stop them in time.

An `Isolation` serves one thread. It keeps one server process, from which a fresh child is forked for each answer; where
processes cannot be forked, it starts a fresh one each time, which costs the loading of torch.
"""

import contextlib
import json
import math
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...language import ENGLISH, say
from ..exercise import Outcome
from . import sandbox
from .protocol import Gone, OutOfTime, ProtocolError, Receiver, encode, send
from .sandbox import Choice, Limits
from .watching import used

START = Path(__file__).resolve().with_name("start.py")
START_SECONDS = 600.0  # on a busy machine
MUCH_MEMORY = 600 << 20  # bytes; Python and torch have a third of it
HANGS_UP = 10.0  # seconds in which a process that has closed its connection should have ended
MOST_CHECKS = 10  # of one exercise in one notebook; what later ones show is not asked
MOST_ERRORS = 1_000


@dataclass(frozen=True)
class Cell:
    """A code cell, its number in the notebook, and exercises whose answers are judged when it has run, as though a
    check of each were its last line."""

    index: int
    code: str
    asks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What an exercise asks of its answer: the name in the notebook, and the arguments of each call."""

    name: str
    function: bool
    points: float = 0.0
    calls: tuple[tuple, ...] = ()
    visible: int = 1  # so many calls are the notebook's own; what later ones print would show hidden cases
    refused: tuple[str, ...] = ()
    seconds: float = 5.0  # for all calls


@dataclass(frozen=True)
class Job:
    """Cells to run, one after the other, and what is asked, by exercise, where a check of it stands."""

    cells: tuple[Cell, ...]
    questions: Mapping[str, Question]
    seconds: float = math.inf  # for all of it
    language: str = ENGLISH  # in which errors are told


@dataclass
class Result:
    """What came back at one check. `kind` is what the answer is; `fate` says in words what stopped it, if anything."""

    exercise: str = ""
    own: bool = True  # the notebook's check, and not one that a `Cell` asks for
    kind: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[tuple[int, str, str]] = field(default_factory=list)  # (cell, type, message) of all cells before it
    printed: str = ""
    fate: str | None = None
    late: bool = False  # whether it was stopped since its time was up
    in_cell: int | None = None  # where the process was stopped, if it had not come to the check
    seconds: float = 0.0
    walls: list[str] = field(default_factory=list)


@dataclass
class Run:
    """What came back of a job: the results in the order of the checks, and what stopped the process, if anything."""

    results: list[Result] = field(default_factory=list)
    errors: list[tuple[int, str, str]] = field(default_factory=list)
    fate: str | None = None
    late: bool = False
    waited: bool = False  # what was up was the time for waiting, not that for computing
    in_cell: int | None = None  # the cell that ran when the process was stopped
    at: str | None = None  # the exercise whose check it had come to
    seconds: float = 0.0
    used: float = 0.0  # of the job's seconds
    walls: list[str] | None = None  # None: its code did not come to run

    def stopped(self, exercise: str) -> Result:
        """What a check that was not come to is told."""
        return Result(exercise, errors=self.errors, fate=self.fate, in_cell=self.in_cell, walls=self.walls or [])


class Interrupted(RuntimeError):
    """What happened says nothing about the answer: it is to be tried again."""


class Waited(OutOfTime):
    """The time is up by the clock, though not all of the processor time is used."""


Clock = Callable[[], tuple[float, float]]  # a process's seconds of processor time, and those of everyone's clock


class Allowance:
    """What is left of some seconds of processor time, and of `idle` times as many by the clock, for code that waits."""

    def __init__(self, seconds: float, idle: float, clock: Clock):
        self.seconds, self.idle, self.clock = seconds, idle, clock
        self.spent, self.begun = (0.0, 0.0), clock()

    def left(self) -> float:
        processor, wall = self._times()
        if wall >= self.idle * self.seconds and processor < self.seconds:
            raise Waited
        return min(self.seconds - processor, self.idle * self.seconds - wall)

    def used(self) -> float:
        processor, wall = self._times()
        return max(processor, wall / self.idle)

    def pause(self) -> None:
        self.spent = self._times()

    def resume(self) -> None:
        self.begun = self.clock()

    def _times(self) -> tuple[float, float]:
        times = zip(self.clock(), self.begun, self.spent, strict=True)
        return tuple(now - begun + spent for now, begun, spent in times)


class Isolation:
    """Runs jobs, one after the other, each in a process of its own. Use it in a ``with`` statement.

    `again`: whether what may be the machine's fault is `Interrupted`, since there will be another try in more quiet.
    """

    def __init__(self, limits: Limits | None = None, choice: Choice = "auto", *, again: bool = False):
        self.limits, self.choice, self.again = limits or Limits(), sandbox.choose(choice), again
        # Removed at the latest when Python ends: a cluster's worker never leaves the `with` statement.
        self.scratch = Path(tempfile.mkdtemp(prefix="largemodels-grading-")).resolve()
        self._cleanup = weakref.finalize(self, _remove, self.scratch)
        self.readable = sandbox.readable(self.limits.hidden)
        self.server: subprocess.Popen | None = None
        self.control: socket.socket | None = None

    def __enter__(self) -> "Isolation":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._cleanup()

    def run(self, job: Job) -> Run:
        """Run `job`; whatever its code does, this returns in time.

        Raises:
            RuntimeError: its code did not come to run, or was killed from outside, so whatever happened is not its doing.
        """
        if self.choice != "process" and not self.control:
            self._start()
        begun = time.monotonic()
        result = self._run_alone(job) if self.choice == "process" else self._run_forked(job)
        result.seconds = time.monotonic() - begun
        if result.fate and result.walls is None:
            raise RuntimeError(f"before the first cell: {result.fate}")
        if result.waited and self.again and _may_starve():
            raise Interrupted("it waited until its time was up, on a machine that has more to do than it can")
        if result.at and result.fate:
            result.results[-1].fate, result.results[-1].late = result.fate, result.late
        return result

    @property
    def all_used(self) -> str:
        return say(
            "not run to its end: all cells and answers of this notebook together used their {seconds:g} seconds; does a "
            "loop never end?",
            seconds=self.limits.notebook_seconds,
        )

    # ------------------------------------------------------------------------------------------------ the processes

    def _config(self, **place: Any) -> dict:
        return place | {
            "packages": sandbox.packages(),
            "readable": [str(path) for path in self.readable],
            "limits": asdict(self.limits),
            "choice": self.choice,
        }

    def _popen(self, config: dict, **options: Any) -> subprocess.Popen:
        wrapping = sandbox.bubblewrap(self.scratch, self.readable) if self.choice == "bubblewrap" else []
        command = [*wrapping, sandbox.PYTHON, "-I", str(START), json.dumps(config)]
        with open(self.scratch / "log", "wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.scratch,
                env=sandbox.environment(self.scratch),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **options,
            )

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        config = self._config(fd=theirs.fileno(), scratch=str(self.scratch))
        self.server = self._popen(config, pass_fds=(theirs.fileno(),), start_new_session=True)
        self.control = ours
        theirs.close()
        try:
            Receiver(ours, time.monotonic() + START_SECONDS).header()
        except (Gone, OutOfTime) as error:
            self._stop()
            log = (self.scratch / "log").read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise RuntimeError(f"the process that runs students' code did not start ({self.choice}):\n{log}") from error

    def _stop(self) -> None:
        if self.control:
            self.control.close()
        if self.server:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            for left in self.scratch.iterdir():  # by a server that was stopped in the middle of a job
                if left.is_dir():
                    _remove(left)
        self.server = self.control = None

    def _run_forked(self, job: Job) -> Run:
        result, ended = self._try_forked(job)
        if ended is None and result.fate == "ended":  # the server is gone, which no answer can bring about
            result, ended = self._try_forked(job)
        if result.fate == "ended":
            if ended is None:
                raise Interrupted("the process that starts students' code was killed twice")
            result.fate = self._how_it_ended(ended["ended"], ended["why"])
        elif result.late and ended and ended["memory"] > MUCH_MEMORY:  # filling it may have taken the time
            result.fate += f" It had taken {ended['memory'] / 1e9:.1f} GB of memory by then."
        return result

    def _try_forked(self, job: Job) -> tuple[Run, dict | None]:
        """The result, and what the server says of the process; None if the server is gone."""
        if not self.control:
            self._start()
        ours, theirs = socket.socketpair()
        result = Run(fate="ended")
        with ours:
            try:
                with theirs:
                    socket.send_fds(self.control, [b"f"], [theirs.fileno()])
                result = self._talk(ours, job, self._clock)
                self.control.sendall(b"e" if result.fate == "ended" else b"r")
                return result, Receiver(self.control, time.monotonic() + START_SECONDS).header()
            except (OSError, Gone, OutOfTime):
                self._stop()
                return result, None

    def _clock(self) -> tuple[float, float]:
        self.control.sendall(b"t")
        return _times(Receiver(self.control, time.monotonic() + START_SECONDS).header()["used"])

    def _run_alone(self, job: Job) -> Run:
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        token = secrets.token_hex(16)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(START_SECONDS)
            config = self._config(port=listener.getsockname()[1], token=token, scratch=str(scratch))
            process = self._popen(config)
            try:
                connection, _ = listener.accept()
                with connection:
                    if Receiver(connection, time.monotonic() + START_SECONDS).read(len(token)) != token.encode():
                        raise Gone("another program answered")
                    result = self._talk(connection, job, lambda: _times(used(process.pid)))
                if result.fate == "ended":
                    with contextlib.suppress(subprocess.TimeoutExpired):  # it has only closed its connection
                        process.wait(HANGS_UP)
            except (TimeoutError, Gone) as error:
                log = (self.scratch / "log").read_text(encoding="utf-8", errors="replace")[-2_000:]
                raise RuntimeError(f"the process that runs students' code did not start:\n{log}") from error
            finally:
                ended = process.poll()
                process.kill()
                process.wait()
        _remove(scratch)
        if result.fate == "ended":
            result.fate = self._how_it_ended(ended, None)
        return result

    def _how_it_ended(self, code: int | None, why: tuple[str, dict] | None) -> str:
        """In words; `code` is the exit code, or minus the signal, and None if it only closed its connection."""
        if why:
            return say("your code was stopped: {why}", why=say(why[0], **why[1]))
        if code is None:
            return say("your code closed its connection to the grader")
        own = say("your code ended the whole Python process")
        if code >= 0:
            return own + say(" (exit code {code})", code=code)
        if os.name == "posix" and code == -signal.SIGKILL and (self.again or sandbox.is_filtered(self.choice)):
            raise Interrupted("it was killed from outside (SIGKILL): for lack of memory, or by somebody")
        with contextlib.suppress(ValueError):
            return f"{own} ({signal.Signals(-code).name})"
        return own

    # --------------------------------------------------------------------------------------------- the conversation

    def _talk(self, connection: socket.socket, job: Job, clock: Clock) -> Run:
        run = Run()
        receiver = Receiver(connection, time.monotonic() + START_SECONDS)
        asked = {
            id: {key: getattr(question, key) for key in ("name", "function", "points", "refused")}
            for id, question in job.questions.items()
        }
        try:
            send(connection, {"cells": len(job.cells), "questions": asked, "language": job.language})
            for cell in job.cells:
                send(connection, asdict(cell))
            whole = Allowance(job.seconds, self.limits.idle, clock)
            try:
                self._follow(connection, receiver, job, run, clock, whole)
            finally:
                run.used = whole.used()
        except OutOfTime as error:
            run.late, run.waited = True, isinstance(error, Waited)
            if run.used >= job.seconds:
                run.fate = self.all_used
            elif run.at is not None:
                seconds = job.questions[run.at].seconds * self.limits.patience
                run.fate = say(
                    "your code was stopped after {seconds:g} seconds; does a loop never end?", seconds=seconds
                )
            elif run.in_cell is not None:
                one, all_cells = self.limits.cell_seconds, self.limits.cells_seconds
                run.fate = say(
                    "this cell was stopped after {one:g} seconds, or {all:g} with those before it; does a loop never end?",
                    one=one,
                    all=all_cells,
                )
            else:
                raise RuntimeError(f"the process did not begin within {START_SECONDS:g} seconds") from None
        except (Gone, OSError):
            run.fate = "ended"
        except ProtocolError:  # without what it sent, which may be a hidden case
            run.fate = say("your code sent something else than an answer")
        return run

    def _follow(
        self, connection: socket.socket, receiver: Receiver, job: Job, run: Run, clock: Clock, whole: Allowance
    ) -> None:
        """Go through the notebook with the process: time its cells, and ask where it says that a check stands."""
        together = one = Allowance(self.limits.cells_seconds, self.limits.idle, clock)
        for_checks: dict[str, Allowance] = {}
        checks: Counter[str] = Counter()

        def watch(*allowances: Allowance) -> None:
            receiver.more = lambda: min(allowance.left() for allowance in (*allowances, whole))
            receiver.deadline = 0.0  # at once: how much of them is left?

        while True:
            match receiver.header():
                case {"ready": True, "walls": list(walls)} if run.walls is None:
                    run.walls = [str(wall)[:40] for wall in walls[:8]]
                case {"cell": int(index)} if run.walls is not None:
                    run.in_cell = index
                    one = Allowance(self.limits.cell_seconds, self.limits.idle, clock)
                    watch(one, together)
                case {"failed": entry} if len(run.errors) < MOST_ERRORS:
                    run.errors.append(_error(entry))
                case {"check": str(id), "is": str(kind), "own": bool(own)} if id in job.questions and kind:
                    checks[id] += 1
                    if checks[id] <= MOST_CHECKS:
                        one.pause(), together.pause()
                        question, run.at = job.questions[id], id
                        result = Result(id, own, kind[:300], errors=list(run.errors), walls=run.walls or [])
                        run.results.append(result)
                        if id in for_checks:  # all checks of an exercise together have the time of one
                            for_checks[id].resume()
                        else:
                            seconds = question.seconds * self.limits.patience
                            for_checks[id] = Allowance(seconds, self.limits.idle, clock)
                        watch(for_checks[id])
                        begun = time.monotonic()
                        _ask(connection, receiver, question, result)
                        result.seconds, run.at = time.monotonic() - begun, None
                        for_checks[id].pause()
                        one.resume(), together.resume()
                        watch(one, together)
                    send(connection, {"go": True})
                case {"end": True} if run.walls is not None:
                    run.in_cell = None
                    return
                case _:
                    raise ProtocolError("a message that means nothing here")


class OneNotebook:
    """Runs the jobs of one notebook, however often it has to be run again: together they have `notebook_seconds`."""

    def __init__(self, isolation: Isolation):
        self.isolation, self.left = isolation, isolation.limits.notebook_seconds

    def __call__(self, job: Job) -> Run:
        if self.left <= 0:
            return Run(fate=self.isolation.all_used)
        run = self.isolation.run(replace(job, seconds=self.left))
        self.left -= run.used
        return run


def _ask(connection: socket.socket, receiver: Receiver, question: Question, result: Result) -> None:
    """Have an answer called, and take down what it gave."""
    if result.kind == "value":
        _receive_outcome(receiver, result, 0, shown=True)
    for i, arguments in enumerate(question.calls if result.kind == "function" else ()):
        tree, blobs = encode(arguments)
        send(connection, {"arguments": tree}, blobs)
        _receive_outcome(receiver, result, len(arguments), shown=i < question.visible)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        sandbox.remove(folder)


def _may_starve() -> bool:
    """Whether a process may only seem to wait: more of them want a processor than there are, and the system does not
    tell, as Linux does (`watching.used`), for how long one was ready."""
    if os.path.exists("/proc/self/schedstat"):
        return False
    return not hasattr(os, "getloadavg") or os.getloadavg()[0] > (os.cpu_count() or 1)


def _times(used: tuple[float, float]) -> tuple[float, float]:
    """By everyone's clock the time does not count in which a process was ready and others had the processors."""
    processor, waited = used
    return processor, time.monotonic() - waited


def _error(entry: Any) -> tuple[int, str, str]:
    match entry:
        case [int(cell), str(kind), str(message)]:
            return cell, kind[:100], message[:500]
    raise ProtocolError("an error that is none")


def _receive_outcome(receiver: Receiver, result: Result, arguments: int, *, shown: bool) -> None:
    header = receiver.header()
    match header:
        case {"value": tree, "error": None | str() as error, "attempted": bool(attempted), "changed": list(changed)}:
            value = receiver.value(tree)
            if not all(type(index) is int and 0 <= index < arguments for index in changed):
                raise ProtocolError("an argument that there is not")
            if error is not None:
                value, error = None, error[:2_000] or say("your code stopped")
            result.outcomes.append(Outcome(value, error, attempted, tuple(changed[:arguments])))
            if shown:
                result.printed = str(header.get("printed", ""))[:4_000]
        case _:
            raise ProtocolError("a message that means nothing here")

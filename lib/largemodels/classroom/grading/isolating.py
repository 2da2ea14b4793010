"""The grader's end of the processes that run students' code: start them, talk to them, stop them in time.

An `Isolation` serves one thread. It keeps one server process, from which a fresh child is forked for each answer; where
processes cannot be forked, it starts a fresh one each time, which costs the loading of torch.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..exercise import Outcome
from . import sandbox
from .protocol import Gone, OutOfTime, ProtocolError, Receiver, encode, send
from .sandbox import SECRET, Choice, Limits

START = Path(__file__).with_name("start.py")
START_SECONDS = 120.0


@dataclass(frozen=True)
class Cell:
    """A code cell, and its number in the notebook."""

    index: int
    code: str


@dataclass(frozen=True)
class Job:
    """One answer to run: the cells that define it, its name there, and the arguments of each call."""

    cells: tuple[Cell, ...]
    name: str
    function: bool
    calls: tuple[tuple, ...] = ()
    visible: int = 1  # so many calls are the notebook's own; what later ones print would show hidden cases
    refused: tuple[str, ...] = ()
    seconds: float = 5.0  # for all calls


@dataclass
class Result:
    """What came back. `kind` is what the name stands for; `fate` says in words what stopped the process, if anything."""

    kind: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[tuple[int, str, str]] = field(default_factory=list)  # (cell, type, message)
    printed: str = ""
    fate: str | None = None
    in_cell: int | None = None  # where it was when it was stopped, if it had not come to the calls
    seconds: float = 0.0
    walls: list[str] = field(default_factory=list)


Clock = Callable[[], tuple[float, float]]  # a process's seconds of processor time, and those of everyone's clock


class Allowance:
    """What is left of some seconds of processor time, and of `idle` times as many by the clock, for code that waits."""

    def __init__(self, seconds: float, idle: float, clock: Clock):
        self.seconds, self.idle, self.clock, self.begun = seconds, idle, clock, clock()

    def left(self) -> float:
        processor, wall = (now - then for now, then in zip(self.clock(), self.begun, strict=True))
        return min(self.seconds - processor, self.idle * self.seconds - wall)


class Isolation:
    """Runs jobs, one after the other, each in a process of its own. Use it in a ``with`` statement."""

    def __init__(self, limits: Limits | None = None, choice: Choice = "auto"):
        self.limits, self.choice = limits or Limits(), sandbox.choose(choice)
        # Removed at the latest when Python ends: a cluster's worker never leaves the `with` statement.
        self._folder = tempfile.TemporaryDirectory(prefix="largemodels-grading-", ignore_cleanup_errors=True)
        self.scratch = Path(self._folder.name).resolve()
        self.server: subprocess.Popen | None = None
        self.control: socket.socket | None = None

    def __enter__(self) -> "Isolation":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._folder.cleanup()

    def run(self, job: Job) -> Result:
        """Run `job`; whatever its code does, this returns a result in time.

        Raises:
            RuntimeError: its code did not come to run, so whatever happened is not its doing.
        """
        if self.choice != "process" and not self.control:
            self._start()
        begun = time.monotonic()
        result = self._run_alone(job) if self.choice == "process" else self._run_forked(job)
        result.seconds = time.monotonic() - begun
        if result.fate and not result.kind and result.in_cell is None:
            raise RuntimeError(f"before the first cell: {result.fate}")
        return result

    # ------------------------------------------------------------------------------------------------ the processes

    def _config(self, **place: Any) -> dict:
        return place | {
            "packages": sandbox.packages(),
            "readable": [str(path) for path in sandbox.without(sandbox.readable(), SECRET)],
            "limits": asdict(self.limits),
            "choice": self.choice,
        }

    def _popen(self, config: dict, **options: Any) -> subprocess.Popen:
        wrapping = sandbox.bubblewrap(self.scratch) if self.choice == "bubblewrap" else []
        command = [*wrapping, sys.executable, "-I", str(START), json.dumps(config)]
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
        self.server = self.control = None

    def _run_forked(self, job: Job) -> Result:
        result, ended = self._try_forked(job)
        if (
            ended is None and result.fate == "ended"
        ):  # the server is gone: a fresh one shows whether the answer is to blame
            result, ended = self._try_forked(job)
        if result.fate == "ended":
            result.fate = _how_it_ended(ended or {}, self.limits)
        return result

    def _try_forked(self, job: Job) -> tuple[Result, dict | None]:
        """The result, and what the server says of the process; None if the server is gone."""
        if not self.control:
            self._start()
        ours, theirs = socket.socketpair()
        result = Result(fate="ended")
        with ours:
            try:
                with theirs:
                    socket.send_fds(self.control, [b"f"], [theirs.fileno()])
                result = self._talk(ours, job, self._clock)
                self.control.sendall(b"r")
                return result, Receiver(self.control, time.monotonic() + START_SECONDS).header()
            except (OSError, Gone, OutOfTime):
                self._stop()
                return result, None

    def _clock(self) -> tuple[float, float]:
        self.control.sendall(b"t")
        used = Receiver(self.control, time.monotonic() + START_SECONDS).header()["seconds"]
        return time.monotonic() if used is None else used, time.monotonic()

    def _run_alone(self, job: Job) -> Result:
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
                    result = self._talk(connection, job, lambda: (time.monotonic(),) * 2)
            except (TimeoutError, Gone) as error:
                log = (self.scratch / "log").read_text(encoding="utf-8", errors="replace")[-2_000:]
                raise RuntimeError(f"the process that runs students' code did not start:\n{log}") from error
            finally:
                ended = process.poll()
                process.kill()
                process.wait()
        shutil.rmtree(scratch, ignore_errors=True)
        if result.fate == "ended":
            result.fate = _how_it_ended({} if ended is None else {"ended": ended}, self.limits)
        return result

    # --------------------------------------------------------------------------------------------- the conversation

    def _talk(self, connection: socket.socket, job: Job, clock: Clock) -> Result:
        result = Result()
        receiver = Receiver(connection, time.monotonic() + START_SECONDS)
        seconds = job.seconds * self.limits.patience
        try:
            send(
                connection,
                {
                    "cells": [asdict(cell) for cell in job.cells],
                    "name": job.name,
                    "function": job.function,
                    "refused": job.refused,
                },
            )
            self._wait_for_cells(receiver, result, clock)
            receiver.deadline = time.monotonic() + seconds
            receiver.more = Allowance(seconds, self.limits.idle, clock).left
            calls = job.calls if result.kind == "function" else ()
            if result.kind == "value":
                _receive_outcome(receiver, result, 0, shown=True)
            for i, arguments in enumerate(calls):
                tree, blobs = encode(arguments)
                send(connection, {"arguments": tree}, blobs)
                _receive_outcome(receiver, result, len(arguments), shown=i < job.visible)
                if not result.outcomes[-1].attempted:
                    break
        except OutOfTime:
            if result.in_cell is not None:
                one, all_cells = self.limits.cell_seconds, self.limits.cells_seconds
                result.fate = (
                    f"this cell was stopped after {one:g} seconds, or {all_cells:g} with those before it; "
                    "does a loop never end?"
                )
            elif result.kind:
                result.fate = f"your code was stopped after {seconds:g} seconds; does a loop never end?"
            else:
                raise RuntimeError(f"the process did not begin within {START_SECONDS:g} seconds") from None
        except (Gone, OSError):
            result.fate = "ended"
        except ProtocolError:  # without what it sent, which may be a hidden case
            result.fate = "your code sent something else than an answer"
        return result

    def _wait_for_cells(self, receiver: Receiver, result: Result, clock: Clock) -> None:
        together = Allowance(self.limits.cells_seconds, self.limits.idle, clock)
        while True:
            match receiver.header():
                case {"cell": int(index)}:
                    result.in_cell = index
                    one = Allowance(self.limits.cell_seconds, self.limits.idle, clock)
                    receiver.more = lambda one=one: min(one.left(), together.left())
                    receiver.deadline = 0.0  # at once: how much of them is left?
                case {"ready": True, "is": str(kind), "errors": list(errors), "walls": list(walls)} if kind:
                    result.in_cell = None
                    result.kind, result.walls = kind[:300], [str(wall)[:40] for wall in walls[:8]]
                    result.errors = [_error(entry) for entry in errors[:1_000]]
                    return
                case _:
                    raise ProtocolError("a message that means nothing here")


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
                value, error = None, error[:2_000] or "your code stopped"
            result.outcomes.append(Outcome(value, error, attempted, tuple(changed[:arguments])))
            if shown:
                result.printed = str(header.get("printed", ""))[:4_000]
        case _:
            raise ProtocolError("a message that means nothing here")


def _how_it_ended(ended: dict, limits: Limits) -> str:
    code = ended.get("ended")
    if ended.get("full"):
        return f"your code was stopped: it wrote more than {limits.scratch >> 20} MB, or {limits.files} files"
    if isinstance(code, int) and code < 0:
        with contextlib.suppress(ValueError):
            return f"your code ended the whole Python process ({signal.Signals(-code).name})"
    return "your code ended the whole Python process" + (f" (exit code {code})" if isinstance(code, int) else "")

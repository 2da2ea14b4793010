"""The process that runs students' code: it is handed cells and arguments, and hands back what the answers returned.

Where processes can be forked, one *server* loads torch once and forks a child for each answer; the child closes itself
in (`sandbox`) before the first line of a student's code runs. The server has never used more than one thread, since a
fork takes only one along.
"""

import contextlib
import gc
import json
import linecache
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ...language import say, speaking
from ..exercise import Case, Outcome, call, is_blank, seed_afresh
from ..reading import shown as described
from ..ready_made import ready_made_name, refused, told
from ..report import Report
from ..running import LimitedText
from .likenotebook import Cells, stand_in
from .protocol import ProtocolError, Receiver, encode, send
from .sandbox import enclose, remove
from .watching import Watch, memory, used

PRELOADED = (
    "math",
    "numpy",
    "torch.nn.functional",
    "largemodels.attention",
    "largemodels.blocks",
    "largemodels.positions",
)
MISSING = object()
PRINTED = 2_000  # characters of a student's output that are kept
HANGS_UP = 10.0  # seconds in which a process that has closed its connection should have ended


def serve(config: dict) -> None:
    """Answer the grader until it hangs up. `config` is what `isolating` wrote."""
    torch.set_num_threads(1)
    for name in PRELOADED:
        __import__(name)
    torch.ones(2, 2) @ torch.ones(2, 2)  # the first product sets up the arithmetic libraries
    if "port" in config:
        connection = socket.create_connection(("127.0.0.1", config["port"]))
        connection.sendall(config["token"].encode())
        _close_standard_streams()
        _collect_garbage_from_now_on()
        answer(connection, config, config["scratch"])
        os._exit(0)
    control = socket.socket(fileno=config["fd"])
    _set_dumpable(False)
    send(control, {"ready": True})
    _collect_garbage_from_now_on()
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            os._exit(0)
        _fork(control, descriptors[0], config)


def _collect_garbage_from_now_on() -> None:
    """`start` has switched it off. What is there by now stays: a child that looked through it would copy its pages."""
    gc.freeze()
    gc.enable()


def _fork(control: socket.socket, descriptor: int, config: dict) -> None:
    """One answer: fork, tell the time when asked, wait for the grader's word that it is over, stop what is left, report."""
    scratch = Path(tempfile.mkdtemp(dir=config["scratch"]))
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            control.close()
            here.close()
            server = there.detach()
            del here, there  # an answer finds its own connection, and nothing else
            os.setsid()
            _die_with_parent()
            _set_dumpable(True)
            _close_standard_streams()
            os.chdir(scratch)
            answer(socket.socket(fileno=descriptor), config, str(scratch), server)
        finally:
            os._exit(0)
    os.close(descriptor)
    there.close()
    watch = Watch(child, scratch, config["limits"], control, here)
    times = 0.0, 0.0
    while (word := watch.word()) == b"t":
        with contextlib.suppress(OSError):  # it has ended
            times = used(child)
        send(control, {"used": times})
    taken = memory(child)
    status = _wait(child, HANGS_UP) if word == b"e" else None
    hung_up = word == b"e" and status is None
    for target in (child, -child):  # and its group, where something could be started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signal.SIGKILL)
    if not word:  # the grader is gone
        os._exit(0)
    if status is None:
        _, status = os.waitpid(child, 0)
    watch.close()
    with contextlib.suppress(OSError):
        remove(scratch)
    send(control, {"ended": None if hung_up else os.waitstatus_to_exitcode(status), "why": watch.why, "memory": taken})


def _wait(child: int, seconds: float) -> int | None:
    """How a child has ended; None if it has not, and only closed its connection."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return status
        time.sleep(0.01)
    return None


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)


def _set_dumpable(whether: bool) -> None:
    """A process that is not dumpable keeps its memory to itself, also from others of the same user."""
    if sys.platform.startswith("linux"):
        import ctypes

        set_dumpable = 4
        ctypes.CDLL(None).prctl(set_dumpable, int(whether), 0, 0, 0)


def _close_standard_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


# ------------------------------------------------------------------------------------------------ one student's answer


def answer(connection: socket.socket, config: dict, scratch: str, server: int | None = None) -> None:
    """Run the notebook's cells; at each check, call the answer on each case that the grader sends."""
    receiver = Receiver(connection)
    job = receiver.header()
    cells = [receiver.header() for _ in range(job["cells"])]
    os.environ.update(dict.fromkeys(("HOME", "TMPDIR", "TEMP", "MPLCONFIGDIR"), scratch), MPLBACKEND="Agg")
    walls = enclose(config["limits"], scratch, config["readable"], config["choice"], server)
    send(connection, {"ready": True, "walls": walls})
    printed = LimitedText(0)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        _Notebook(connection, receiver, job["questions"], job["language"]).run(cells)
    send(connection, {"end": True})


class _Notebook:
    """The names of a notebook that runs, and the `check` that its cells call.

    That check judges nothing, since nothing is known here: it lets the grader call the answer *as it is at this
    moment*, and then says that all is well, so that code which goes on from a check's report does go on.
    """

    def __init__(self, connection: socket.socket, receiver: Receiver, questions: dict[str, dict], language: str):
        self.connection, self.receiver, self.questions = connection, receiver, questions
        self.language = language  # in which errors are told, whatever the notebook's own code asks for
        self.by_name = {question["name"]: id for id, question in questions.items() if question["function"]}
        self.asking = threading.RLock()  # a notebook may check in a thread
        self.module = ModuleType("__main__")

    def run(self, cells: list[dict]) -> None:
        """Each cell as a notebook would, going on after an error: the definitions that stand, stand."""
        sys.modules["__main__"] = self.module
        sys.path.insert(0, "")  # a notebook imports what lies beside it, such as a file that a cell has written
        stand_in(self.module, self.check, ipython=any("IPython" in cell["code"] for cell in cells))
        notebook = Cells(self.module.__dict__)
        for cell in cells:
            with self.asking:
                send(self.connection, {"cell": cell["index"]})
            name = f"<cell {cell['index']}>"
            linecache.cache[name] = (len(cell["code"]), None, cell["code"].splitlines(True), name)
            try:
                notebook.run(cell["code"], name)
            except BaseException as error:  # SystemExit among them
                with self.asking:
                    send(self.connection, {"failed": [cell["index"], type(error).__name__, str(error)[:500]]})
            for id in cell["asks"]:
                name = self.questions[id]["name"]
                self._ask(id, self.module.__dict__.get(name, MISSING), own=False)

    def check(self, answer: Any, exercise: Any = None) -> Report:
        """What stands in the place of `classroom.check`, and finds the exercise as it does."""
        id = self.by_name.get(getattr(answer, "__name__", None)) if exercise is None else exercise
        if not isinstance(id, str) or id not in self.questions:
            return Report(str(id), 0, 0, "passed", "")
        self._ask(id, answer, own=True)
        points = self.questions[id]["points"]
        return Report(id, points, points, "passed", "")

    def _ask(self, id: str, answer: Any, *, own: bool) -> None:
        question, printed = self.questions[id], LimitedText(PRINTED)
        with (
            self.asking,
            speaking(self.language),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            refused(tuple(question["refused"])) as calls,
            torch.random.fork_rng(devices=[]),
        ):
            kind = _kind(answer, question)
            send(self.connection, {"check": id, "is": kind, "own": own})
            if kind == "value":
                _send_outcome(self.connection, call(answer, Case("")), printed)
            while "go" not in (header := self.receiver.header()):
                arguments = self.receiver.value(header["arguments"])
                before = len(calls)
                seed_afresh()
                outcome = call(answer, Case("", arguments))
                if len(calls) > before and not outcome.error:  # the answer has caught the exception
                    outcome = Outcome(error=told(calls[-1]))
                _send_outcome(self.connection, outcome, printed)


def _kind(value: Any, question: dict) -> str:
    """What is given as an answer."""
    if value is MISSING:
        return "missing"
    if name := ready_made_name(value, tuple(question["refused"])):
        return f"ready made: {name}"
    if is_blank(value):
        return "blank"
    if callable(value) == question["function"]:
        return "function" if question["function"] else "value"
    return f"{described(value)[:80]} ({type(value).__name__})"


def _send_outcome(connection: socket.socket, outcome: Outcome, printed: LimitedText) -> None:
    try:
        tree, blobs = encode(outcome.value)
        error = outcome.error
    except ProtocolError as problem:
        tree, blobs, error = None, [], say("your answer is {kind}", kind=problem)
    header = {"value": tree, "error": error and error[:2_000], "attempted": outcome.attempted}
    header |= {"changed": list(outcome.changed), "printed": str(printed)[: 2 * PRINTED]}
    if len(json.dumps(header)) > 1 << 20:
        header |= {"value": None, "error": say("your answer is too large")}
        blobs = []
    send(connection, header, blobs)

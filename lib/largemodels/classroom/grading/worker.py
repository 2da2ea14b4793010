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
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ..exercise import Case, Outcome, call, is_blank
from ..ready_made import ready_made_name, refused
from ..running import LimitedText
from .protocol import Gone, ProtocolError, Receiver, encode, send
from .sandbox import enclose

PRELOADED = (
    "math",
    "numpy",
    "torch.nn.functional",
    "largemodels.attention",
    "largemodels.blocks",
    "largemodels.positions",
)
PRINTED = 2_000  # characters of a student's output that are kept
WATCH_SECONDS = 0.1


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
        answer(connection, config, config["scratch"])
        os._exit(0)
    control = socket.socket(fileno=config["fd"])
    _hide_from_children()
    send(control, {"ready": True})
    gc.freeze()  # a child's garbage collection need not copy pages of objects that stay
    for job in range(1 << 40):
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            os._exit(0)
        _fork(control, descriptors[0], config, Path(config["scratch"]) / str(job))


def _fork(control: socket.socket, descriptor: int, config: dict, scratch: Path) -> None:
    """One answer: fork, tell the time when asked, wait for the grader's word that it is over, stop what is left, report."""
    scratch.mkdir()
    child = os.fork()
    if child == 0:
        try:
            control.close()
            os.setsid()
            _die_with_parent()
            _close_standard_streams()
            os.chdir(scratch)
            answer(socket.socket(fileno=descriptor), config, str(scratch))
        finally:
            os._exit(0)
    os.close(descriptor)
    full = False
    control.settimeout(WATCH_SECONDS)
    while True:
        try:
            word = control.recv(1)
        except TimeoutError:
            word = None
        if not full and _too_full(scratch, config["limits"]):
            full = True
            os.kill(child, signal.SIGKILL)
        if word == b"t":
            send(control, {"seconds": _processor_seconds(child)})
        elif word == b"":  # the grader is gone
            os.kill(child, signal.SIGKILL)
            os._exit(0)
        elif word:
            break
    control.settimeout(None)
    for target in (child, -child):  # and its group, where something could be started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    shutil.rmtree(scratch, ignore_errors=True)
    ended = os.waitstatus_to_exitcode(status)
    send(control, {"ended": ended, "full": full})


def _processor_seconds(process: int) -> float | None:
    """What another process has used so far; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    return time.clock_gettime((~process << 3) | 2)  # the clock that clock_getcpuclockid(3) names


def _too_full(scratch: Path, limits: dict) -> bool:
    total = count = 0
    for folder, _, files in os.walk(scratch):
        count += 1 + len(files)
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
        if total > limits["scratch"] or count > limits["files"]:
            return True
    return False


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)


def _hide_from_children() -> None:
    """A process that is not dumpable keeps its memory to itself, also from others of the same user."""
    if sys.platform.startswith("linux"):
        import ctypes

        set_dumpable = 4
        ctypes.CDLL(None).prctl(set_dumpable, 0, 0, 0, 0)


def _close_standard_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


# ------------------------------------------------------------------------------------------------ one student's answer


def answer(connection: socket.socket, config: dict, scratch: str) -> None:
    """Run the cells, then the answer on each case that the grader sends."""
    receiver = Receiver(connection)
    job = receiver.header()
    os.environ.update(dict.fromkeys(("HOME", "TMPDIR", "TEMP", "MPLCONFIGDIR"), scratch))
    walls = enclose(config["limits"], scratch, config["readable"], config["choice"])
    printed = LimitedText(PRINTED)
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        refused(tuple(job["refused"])) as calls,
    ):
        namespace, errors = _run_cells(job["cells"], connection)
        value = namespace.get(job["name"])
        report: dict[str, Any] = {
            "ready": True,
            "errors": errors,
            "walls": walls,
            "is": _kind(value, job) if job["name"] in namespace else "missing",
        }
        send(connection, report)
        if report["is"] == "value":
            _send_outcome(connection, call(value, Case("")), printed)
        while True:
            try:
                header = receiver.header()
            except Gone:
                return
            arguments = receiver.value(header["arguments"])
            before = len(calls)
            torch.manual_seed(0)
            outcome = call(value, Case("", arguments))
            if len(calls) > before and not outcome.error:  # the answer has caught the exception
                outcome = Outcome(error=f"your code calls `{calls[-1]}`, which is what this exercise asks you to write")
            _send_outcome(connection, outcome, printed)


def _run_cells(cells: list[dict], connection: socket.socket) -> tuple[dict, list]:
    """Run each cell as a notebook would, going on after an error; return the names, and the errors by cell."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    errors = []
    for cell in cells:
        send(connection, {"cell": cell["index"]})
        name = f"<cell {cell['index']}>"
        linecache.cache[name] = (len(cell["code"]), None, cell["code"].splitlines(True), name)
        try:
            exec(compile(cell["code"], name, "exec"), module.__dict__)
        except BaseException as error:  # SystemExit among them
            errors.append([cell["index"], type(error).__name__, str(error)[:500]])
    return module.__dict__, errors


def _kind(value: Any, job: dict) -> str:
    """What the notebook calls by the exercise's name."""
    if job["name"] and (name := ready_made_name(value, tuple(job["refused"]))):
        return f"ready made: {name}"
    if is_blank(value):
        return "blank"
    if job["function"]:
        return "function" if callable(value) else f"{str(value)[:80]!r} ({type(value).__name__})"
    return "value"


def _send_outcome(connection: socket.socket, outcome: Outcome, printed: LimitedText) -> None:
    try:
        tree, blobs = encode(outcome.value)
        error = outcome.error
    except ProtocolError as problem:
        tree, blobs, error = None, [], f"your answer is {problem}"
    header = {"value": tree, "error": error and error[:2_000], "attempted": outcome.attempted}
    header |= {"changed": list(outcome.changed), "printed": str(printed)[: 2 * PRINTED]}
    if len(json.dumps(header)) > 1 << 20:
        header |= {"value": None, "error": "your answer is too large"}
        blobs = []
    send(connection, header, blobs)

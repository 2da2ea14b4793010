"""Run a student's code for a limited time with limited output, inside the notebook's own kernel.

The code runs in a thread of its own, so that an endless loop or a flood of text costs one check and never
the kernel. This is a guard against accidents, not against malice: grading a class uses separate processes.
"""

import ctypes
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch

from ..language import say

IMPORT_SECONDS = 120.0  # as long as an import may take, on top of the answer's own time


@contextmanager
def one_thread() -> Iterator[None]:
    """torch computes on one thread. The tensors of an exercise are tiny, and on a busy machine several threads take a
    hundred times as long for them, because each waits for the others after every operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class OutOfTime(BaseException):
    """Raised inside the student's thread; a BaseException, so that ``except Exception`` lets it through."""


class LimitedText(io.TextIOBase):
    """Keeps the first `limit` characters that are written and counts the rest."""

    def __init__(self, limit: int):
        self.limit, self.total, self.kept = limit, 0, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.kept += text[: max(0, self.limit - self.total)]
        self.total += len(text)
        return len(text)

    def __str__(self) -> str:
        if self.total <= self.limit:
            return self.kept
        cut = say("… cut after {kept:,} of {total:,} characters", kept=self.limit, total=self.total)
        return f"{self.kept}\n{cut}"


def run_limited(work: Callable[[], None], *, seconds: float, characters: int = 2_000) -> tuple[bool, str]:
    """Call `work` for at most `seconds`; return whether it finished, and what it printed (cut to `characters`).

    An import is never cut short, since half of a module would stay behind in the kernel, and does not count.

    An exception that `work` lets through is raised here.
    """
    ended: list[BaseException | None] = []  # one entry when `work` has ended: its exception, if any

    def body() -> None:
        try:
            work()
            ended.append(None)
        except OutOfTime:
            pass
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=body, daemon=True)
    printed = LimitedText(characters)
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            thread.start()
            thread.join(seconds)
            if _wait_for_import(thread):
                thread.join(seconds)
        finally:  # also when the reader presses the stop button while we wait
            _stop(thread)
    if ended and ended[0] is not None:
        raise ended[0]
    return bool(ended), str(printed)


def _wait_for_import(thread: threading.Thread) -> bool:
    """Wait until `thread` imports nothing; return whether it did when it was called."""
    end = time.monotonic() + IMPORT_SECONDS
    waited = False
    while thread.is_alive() and _imports(thread) and time.monotonic() < end:
        waited = True
        thread.join(0.02)
    return waited


def _imports(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident)
    while frame:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _stop(thread: threading.Thread) -> None:
    # Asked more than once: a bare `except:` in a loop may swallow the first requests.
    for _ in range(20):
        _wait_for_import(thread)
        if not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
        thread.join(0.05)

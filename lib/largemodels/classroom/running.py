"""Run a student's code for a limited time with limited output, inside the notebook's own kernel.

The code runs in a thread of its own, so that an endless loop or a flood of text costs one check and never
the kernel. This is a guard against accidents, not against malice: grading a class uses separate processes.
"""

import ctypes
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch


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
        return f"{self.kept}\n… cut after {self.limit:,} of {self.total:,} characters"


def run_limited(work: Callable[[], None], *, seconds: float, characters: int = 2_000) -> tuple[bool, str]:
    """Call `work` for at most `seconds`; return whether it finished, and what it printed (cut to `characters`).

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
        finally:  # also when the reader presses the stop button while we wait
            _stop(thread)
    if ended and ended[0] is not None:
        raise ended[0]
    return bool(ended), str(printed)


def _stop(thread: threading.Thread) -> None:
    # Asked more than once: a bare `except:` in a loop may swallow the first requests.
    for _ in range(20):
        if not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
        thread.join(0.05)

"""Everything that has to be run: on this machine's processors, or on a Dask cluster.

An answer's verdict follows from its content alone, so neither the number of workers nor the order matters.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .isolating import Cell, Isolation
from .judging import Judge, Verdict, grade
from .sandbox import Choice, Limits


@dataclass(frozen=True)
class Task:
    """One answer to run, and the names under which its verdict is kept: by its own cells, and by the whole notebook."""

    answer_key: str
    notebook_key: str
    exercise: str
    cells: tuple[Cell, ...]
    every: tuple[Cell, ...]


Done = Callable[[Task, Verdict], None]


def attention(judge: Judge, task: Task, error: BaseException) -> Verdict:
    """The grader could not do its work: never a silent 0."""
    points = judge.exercises[task.exercise].points
    message = f"The grader could not run this answer: {type(error).__name__}: {error}"[:2_000]
    return Verdict(task.exercise, "attention", 0, points, message)


def run_here(
    tasks: Iterable[Task],
    judge: Judge,
    done: Done,
    *,
    known: Callable[[Task], Verdict | None],
    workers: int,
    limits: Limits,
    choice: Choice,
) -> None:
    """Run `tasks` on `workers` threads, each with a server process of its own; `done` is called by one at a time.

    What is `known` when a task's turn comes, since another student gave the same answer, is not run again.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    lock, stop, failures = threading.Lock(), threading.Event(), []

    def work() -> None:
        try:
            with Isolation(limits, choice) as isolation:
                while not stop.is_set():
                    try:
                        task = waiting.get_nowait()
                    except queue.Empty:
                        return
                    try:
                        verdict = known(task) or grade(
                            judge, isolation.run, task.exercise, task.cells, lambda task=task: task.every
                        )
                    except Exception as error:
                        verdict = attention(judge, task, error)
                    with lock:
                        done(task, verdict)
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # short, so that Ctrl-C is heard
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def run_on_dask(
    tasks: Iterable[Task], judge: Judge, done: Done, *, address: str, limits: Limits, choice: Choice
) -> None:
    """Run `tasks` on the cluster whose scheduler is at `address`; its machines need the course installed.

    Raises:
        RuntimeError: `distributed` is not installed.
        OSError: nobody answers there.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise RuntimeError("--dask needs dask.distributed: pip install 'largemodels[grading]'") from error
    with Client(address) as client:
        futures = {}
        for task in tasks:
            future = client.submit(_on_worker, task, judge.seeds[1:], limits, choice, pure=False, retries=2)
            futures[future.key] = task
            futures[future.key, "future"] = future  # held, or the cluster forgets it
        pending = [value for name, value in futures.items() if isinstance(name, tuple)]
        for future in as_completed(pending):
            task = futures[future.key]
            if future.status == "finished":
                verdict = Verdict.from_json(future.result())
            else:
                verdict = attention(judge, task, future.exception() or RuntimeError(future.status))
            done(task, verdict)
            future.release()


_own = threading.local()
_judges: dict[tuple, Judge] = {}


def _on_worker(task: Task, hidden: tuple[int, ...], limits: Limits, choice: Choice) -> dict[str, Any]:
    """One task in a cluster's worker: its thread keeps a server process from task to task."""
    from ..exercises import exercises

    judge = _judges.setdefault(hidden, Judge(exercises, hidden))
    if getattr(_own, "settings", None) != (limits, choice):
        _own.settings, _own.isolation = (limits, choice), Isolation(limits, choice)
    return grade(judge, _own.isolation.run, task.exercise, task.cells, lambda: task.every).as_json()

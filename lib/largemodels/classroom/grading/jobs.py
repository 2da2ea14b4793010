"""Everything that has to be run: on this machine's processors, or on a Dask cluster.

A notebook's verdicts follow from its content alone, so neither the number of workers nor the order matters.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .extracting import CodeCell, Notebook
from .isolating import Isolation, OneNotebook
from .judging import Judge, Verdict, grade_notebook
from .sandbox import Choice, Limits


@dataclass(frozen=True)
class Task:
    """One notebook to run, the exercises to judge in it, and the names under which their verdicts are kept."""

    notebook: Notebook
    released: list[CodeCell]
    keys: dict[str, str]  # by exercise


Verdicts = dict[str, Verdict]  # by exercise
Done = Callable[[Task, Verdicts], None]


def _attention(judge: Judge, task: Task, error: BaseException) -> Verdicts:
    return {id: Verdict.attention(judge.exercises[id], error) for id in task.keys}


def run_here(
    tasks: Iterable[Task],
    judge: Judge,
    done: Done,
    *,
    workers: int,
    limits: Limits,
    choice: Choice,
) -> None:
    """Run `tasks` on `workers` threads, each with a server process of its own; `done` is called by one at a time.

    What the grader could not do, or what the machine may have spoilt, is done again when all else is finished, alone.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    again: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    lock, stop, failures = threading.Lock(), threading.Event(), []

    def work(tasks: queue.SimpleQueue[Task], first: bool) -> None:
        try:
            with Isolation(limits, choice, again=first) as isolation:
                while not stop.is_set():
                    try:
                        task = tasks.get_nowait()
                    except queue.Empty:
                        return
                    try:
                        verdicts = grade_notebook(
                            judge, OneNotebook(isolation), task.notebook, task.keys, task.released
                        )
                    except Exception as error:
                        verdicts = _attention(judge, task, error)
                    if first and any(verdict.status == "attention" for verdict in verdicts.values()):
                        again.put(task)
                        continue
                    with lock:
                        done(task, verdicts)
        except BaseException as error:
            failures.append(error)
            stop.set()

    _on_threads([threading.Thread(target=work, args=(waiting, True), daemon=True) for _ in range(workers)], stop)
    if not failures:
        _on_threads([threading.Thread(target=work, args=(again, False), daemon=True)], stop)
    if failures:
        raise failures[0]


def _on_threads(threads: list[threading.Thread], stop: threading.Event) -> None:
    """Run them to their end; `stop` is set when this thread is interrupted."""
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # short, so that Ctrl-C is heard
    except BaseException:
        stop.set()
        for thread in started:
            thread.join()
        raise


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
                verdicts = {id: Verdict.from_json(values) for id, values in future.result().items()}
            else:
                verdicts = _attention(judge, task, future.exception() or RuntimeError(future.status))
            done(task, verdicts)
            future.release()


_own = threading.local()
_judges: dict[tuple, Judge] = {}


def _on_worker(task: Task, hidden: tuple[int, ...], limits: Limits, choice: Choice) -> dict[str, Any]:
    """One task in a cluster's worker: its thread keeps a server process from task to task."""
    from ..exercises import exercises

    judge = _judges.setdefault(hidden, Judge(exercises, hidden))
    if getattr(_own, "settings", None) != (limits, choice):
        _own.settings, _own.isolation = (limits, choice), Isolation(limits, choice)
    verdicts = grade_notebook(judge, OneNotebook(_own.isolation), task.notebook, task.keys, task.released)
    return {id: verdict.as_json() for id, verdict in verdicts.items()}

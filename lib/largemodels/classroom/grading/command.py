"""The command line of grading: ``python -m largemodels grade SUBMISSIONS --out GRADES``."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ..exercise import Exercise
from . import extracting, sandbox
from .classreport import write_report
from .collecting import collect
from .feedback import write_feedback
from .gradebook import Student, choose, columns, read_manual, released_cells, write_grades
from .jobs import Task, run_here, run_on_dask
from .judging import Judge, Verdict, key
from .lms import write_canvas, write_moodle
from .sandbox import Limits
from .store import Store, hidden_seeds

COURSE = Path(__file__).parents[4]
HIDDEN_SEEDS = 2
WALLS = {
    "bubblewrap": "bubblewrap, Landlock, a filter of system calls, limits of memory and time",
    "kernel": "Landlock, a filter of system calls, limits of memory and time (bubblewrap is not installed or may not run)",
    "limits": "limits of memory and time only: students' code can read files and use the network",
    "process": "a time-out only: students' code can do what you can do on this machine",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("submissions", type=Path, help="a folder STUDENT/NOTEBOOK.ipynb, nbgrader's, or an LMS's zip")
    parser.add_argument("--out", type=Path, required=True, help="the folder for grades, feedback and results so far")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="answers run at a time (default: %(default)s)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help="send the work to this dask.distributed scheduler")
    parser.add_argument(
        "--sandbox",
        default="auto",
        choices=["auto", *WALLS],
        help="the walls around students' code (default: the best)",
    )
    parser.add_argument(
        "--patience", type=float, default=2.0, help="times an exercise's seconds (default: %(default)g)"
    )


def main(arguments: argparse.Namespace) -> int:
    from ..exercises import exercises

    try:
        if arguments.workers < 1:
            raise ValueError(f"at least 1 worker is needed, got {arguments.workers}")
        limits = Limits(patience=arguments.patience)
        students = grade_class(
            arguments.submissions,
            arguments.out,
            exercises,
            workers=arguments.workers,
            limits=limits,
            choice=arguments.sandbox,
            dask=arguments.dask,
            progress=True,
        )
    except (ValueError, RuntimeError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    problems = sum(len(s.problems) + sum(v.status == "attention" for v in s.verdicts.values()) for s in students)
    print(
        f"{len(students)} students; {problems or 'nothing'} needs attention. Start with {arguments.out / 'report.html'}"
    )
    return 0


def grade_class(
    submissions: Path,
    out: Path,
    exercises: Mapping[str, Exercise],
    *,
    workers: int = 1,
    limits: Limits | None = None,
    choice: sandbox.Choice = "auto",
    dask: str | None = None,
    course: Path = COURSE,
    progress: bool = False,
) -> list[Student]:
    """Grade everything in `submissions` and write all files to `out`; what is finished there is not run again.

    Raises:
        ValueError: nothing to grade, or a mistake in ``manual.csv``.
    """
    begun, limits, choice = time.monotonic(), limits or Limits(), sandbox.choose(choice)
    collection = collect(submissions)
    students = choose(collection, exercises)
    read_manual(out / "manual.csv", students, exercises)
    judge = Judge(exercises, hidden_seeds(out / ".results" / "seeds.txt", HIDDEN_SEEDS))
    store = Store(out / ".results")
    chapters = {chapter for student in students for chapter in student.submissions}
    released = {chapter: released_cells(course, chapter) for chapter in sorted(chapters)}
    waiting: dict[str, tuple[Task, list[Student]]] = {}  # the same answer of two students is run once
    kept = 0
    prints = {id: judge.fingerprint(id) for id in columns(students, exercises)}
    for student in students:
        for chapter, submission in student.submissions.items():
            every = extracting.every_cell(submission.notebook, released[chapter])
            for id in (id for id in prints if id.split(".")[0] == chapter):
                cells = extracting.cells_for(exercises[id], submission.notebook, released[chapter])
                name = key(prints[id], cells, every if cells else None, limits.patience)
                if verdict := store.get(name):
                    student.verdicts[id], kept = verdict, kept + 1
                else:
                    waiting.setdefault(name, (Task(name, id, cells, every), []))[1].append(student)
    _run(waiting, judge, store, workers=workers, limits=limits, choice=choice, dask=dask, progress=progress)
    ran = sum(len(owners) for _, owners in waiting.values())
    facts = [
        f"{len(students)} students, {ran} answers run and {kept} taken from earlier runs, "
        f"in {time.monotonic() - begun:.0f} seconds.",
        f"Students' code ran in: {WALLS[choice]}.",
        *(f"Not graded: {ignored}" for ignored in collection.ignored[:50]),
    ]
    write_grades(out / "grades.csv", students, exercises)
    write_moodle(out / "moodle.csv", students, exercises)
    write_canvas(out / "canvas.csv", students, exercises)
    for student in students:
        write_feedback(out / "feedback", student, exercises)
    write_report(out / "report.html", students, exercises, [c for cells in released.values() for c in cells], facts)
    return students


def _run(waiting, judge: Judge, store: Store, *, workers, limits, choice, dask, progress) -> None:
    from tqdm import tqdm

    if not waiting:
        return
    with tqdm(total=len(waiting), unit="answer", desc="grading", disable=not progress) as bar:

        def done(task: Task, verdict: Verdict) -> None:
            if verdict.status != "attention":
                store.put(task.key, verdict)
            for student in waiting[task.key][1]:
                student.verdicts[task.exercise] = verdict
            bar.update()

        tasks = [task for task, _ in waiting.values()]
        if dask:
            run_on_dask(tasks, judge, done, address=dask, limits=limits, choice=choice)
        else:
            run_here(tasks, judge, done, workers=min(workers, len(tasks)), limits=limits, choice=choice)

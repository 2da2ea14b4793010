"""The command line of grading: ``python -m largemodels grade SUBMISSIONS --out GRADES``."""

import argparse
import math
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


EXAMPLES = """
examples:
  python -m largemodels grade submissions.zip --out grades
  python -m largemodels grade submissions.zip --out grades --workers 8

Run it again whenever you like: what is finished is not run again. docs/grading.md tells the rest.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "submissions",
        type=Path,
        metavar="SUBMISSIONS",
        help="the zip that Moodle or Canvas gives, a folder of STUDENT/NOTEBOOK.ipynb, or nbgrader's `submitted`",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="GRADES", help="the folder for grades, feedback and results so far"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="answers run at a time (default: %(default)s, one for each processor)",
    )
    parser.add_argument(
        "--chapters", metavar="1,2", help="grade these chapters, and name notebooks of others (default: all)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help="send the work to this dask.distributed scheduler")
    parser.add_argument(
        "--sandbox",
        default="auto",
        choices=["auto", *WALLS],
        metavar="WALLS",
        help=f"the walls around students' code: {', '.join(WALLS)} (default: the best that this machine has)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=2.0,
        metavar="TIMES",
        help="how many times the seconds that the notebook allows an answer (default: %(default)g)",
    )


def main(arguments: argparse.Namespace) -> int:
    from ..exercises import exercises

    try:
        if arguments.workers < 1:
            raise ValueError(f"at least 1 worker is needed, got {arguments.workers}")
        if not 0 < arguments.patience < math.inf:
            raise ValueError(f"--patience must be a number above 0, got {arguments.patience:g}")
        limits = Limits(patience=arguments.patience)
        students = grade_class(
            arguments.submissions,
            arguments.out,
            _of_chapters(exercises, arguments.chapters),
            workers=arguments.workers,
            limits=limits,
            choice=arguments.sandbox,
            dask=arguments.dask,
            progress=True,
        )
    except (ValueError, RuntimeError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What is finished is kept: the same command goes on from there.", file=sys.stderr)
        return 130
    problems = sum(len(s.problems) + sum(v.status == "attention" for v in s.verdicts.values()) for s in students)
    print(
        f"Students: {len(students)}. Needs attention: {problems or 'nothing'}. Start with {arguments.out / 'report.html'}"
    )
    return 0


def _of_chapters(exercises: Mapping[str, Exercise], wanted: str | None) -> dict[str, Exercise]:
    chapters = list(dict.fromkeys(id.split(".")[0] for id in exercises))
    chosen = [chapter.strip() for chapter in wanted.split(",")] if wanted else chapters
    if unknown := [chapter for chapter in chosen if chapter not in chapters]:
        raise ValueError(f"--chapters: no exercises of {', '.join(unknown)!r}; there are {', '.join(chapters)}")
    return {id: exercise for id, exercise in exercises.items() if id.split(".")[0] in chosen}


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
        ValueError: nothing to grade, `out` can be no folder or lies in the submissions, or a mistake in ``manual.csv``.
        OSError: `out` cannot be written.
    """
    begun, limits, choice = time.monotonic(), limits or Limits(), sandbox.choose(choice)
    if out.resolve().is_relative_to(submissions.resolve()):
        raise ValueError(f"{out} lies in {submissions}, among the submissions: name a folder elsewhere")
    collection = collect(submissions)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out} cannot be the folder for the grades: {error.strerror}") from error
    students = choose(collection, exercises)
    read_manual(out / "manual.csv", students, exercises)
    judge = Judge(exercises, hidden_seeds(out / ".results" / "seeds.txt", HIDDEN_SEEDS))
    store = Store(out / ".results")
    chapters = {chapter for student in students for chapter in student.submissions}
    released = {chapter: released_cells(course, chapter) for chapter in sorted(chapters)}
    waiting: dict[str, tuple[Task, list[Student]]] = {}
    kept = 0
    prints = {id: judge.fingerprint(id) for id in columns(students, exercises)}
    for student in students:
        for chapter, submission in student.submissions.items():
            every = extracting.every_cell(submission.notebook, released[chapter])
            for id in (id for id in prints if id.split(".")[0] == chapter):
                cells = extracting.cells_for(exercises[id], submission.notebook, released[chapter])
                answer, whole = (key(prints[id], limits.patience, *codes) for codes in ([cells], [cells, every]))
                if verdict := store.get(answer) or store.get(whole):
                    student.verdicts[id], kept = verdict, kept + 1
                else:
                    waiting.setdefault(whole, (Task(answer, whole, id, cells, every), []))[1].append(student)
    _run(waiting, judge, store, workers=workers, limits=limits, choice=choice, dask=dask, progress=progress)
    ran = sum(len(owners) for _, owners in waiting.values())
    facts = [
        f"{len(students)} students, {ran} answers graded and {kept} taken from earlier runs, "
        f"in {time.monotonic() - begun:.0f} seconds.",
        f"Students' code ran in: {WALLS[choice]}.",
    ]
    write_grades(out / "grades.csv", students, exercises)
    write_moodle(out / "moodle.csv", students, exercises)
    write_canvas(out / "canvas.csv", students, exercises)
    for student in students:
        write_feedback(out / "feedback", student, exercises, collection.system)
    stubs = [cell for cells in released.values() for cell in cells]
    write_report(out / "report.html", students, exercises, stubs, facts, collection.ignored)
    return students


def _run(waiting, judge: Judge, store: Store, *, workers, limits, choice, dask, progress) -> None:
    from tqdm import tqdm

    if not waiting:
        return
    with tqdm(total=len(waiting), unit="answer", desc="grading", disable=not progress) as bar:

        def done(task: Task, verdict: Verdict) -> None:
            if verdict.status != "attention":
                store.put(task.answer_key if verdict.alone else task.notebook_key, verdict)
            for student in waiting[task.notebook_key][1]:
                student.verdicts[task.exercise] = verdict
            bar.update()

        def known(task: Task) -> Verdict | None:
            return store.get(task.answer_key)

        tasks = [task for task, _ in waiting.values()]
        if dask:
            run_on_dask(tasks, judge, done, address=dask, limits=limits, choice=choice)
        else:
            workers = min(workers, len(tasks))
            run_here(tasks, judge, done, known=known, workers=workers, limits=limits, choice=choice)

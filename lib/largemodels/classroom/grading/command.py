"""The command line of grading: ``python -m largemodels grade SUBMISSIONS --out GRADES``."""

import argparse
import fnmatch
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...language import ENGLISH, languages, later, say, speaking, use_language
from ..exercise import Exercise
from . import sandbox
from .byhand import read_comments
from .classreport import write_report
from .collecting import Collection, collect
from .exporting import export
from .feedback import write_by_hand, write_feedback
from .gradebook import Gradebook, Student, chapter_of, choose, released_cells, write_grades
from .jobs import Task, Verdicts, run_here, run_on_dask
from .judging import Judge, key
from .lms import write_canvas, write_moodle
from .memory import Memory
from .roster import Roster, read_roster
from .rules import Rules, read_rules
from .sandbox import Limits
from .store import Store, hidden_seeds

COURSE = Path(__file__).parents[4]
HIDDEN_SEEDS = 2
ATTENTION = 3  # the exit status where something needs attention; argparse takes 2 for itself
WALLS = {
    "bubblewrap": later("bubblewrap, Landlock, a filter of system calls, limits of memory and time"),
    "kernel": later(
        "Landlock, a filter of system calls, limits of memory and time (bubblewrap is not installed or may not run)"
    ),
    "limits": later("limits of memory and time only: students' code can read files and use the network"),
    "process": later("a time-out only: students' code can do what you can do on this machine"),
}


EXAMPLES = """
examples:
  python -m largemodels grade submissions.zip --out grades
  python -m largemodels grade submissions.zip --out grades --workers 8

Run it again whenever you like: what is finished is not run again, and other submissions, of another chapter say, are
added. Exit status: 0 all is well, 1 nothing was graded, 3 something needs attention. docs/grading.md tells the rest.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "submissions",
        type=Path,
        nargs="+",
        metavar="SUBMISSIONS",
        help="the zip that an LMS gives, a folder of STUDENT/NOTEBOOK.ipynb, or nbgrader's `submitted`; one or more",
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
    parser.add_argument(
        "--roster", type=Path, metavar="FILE", help="who belongs to the class (default: GRADES/roster.csv, if there)"
    )
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="due dates, lateness, weights (default: GRADES/rules.toml, if there)"
    )
    parser.add_argument(
        "--names",
        metavar="REGEX",
        help="whose a file is, by (?P<name>…) or (?P<number>…) in its path, where the layout is an unknown one",
    )
    parser.add_argument("--encoding", metavar="NAME", help="of names in zips that do not state it: gbk, shift_jis, …")
    parser.add_argument(
        "--again",
        action="append",
        default=[],
        metavar="STUDENT/EXERCISE",
        help="run this answer again, though its result is kept; * stands for all, and the option may be repeated",
    )
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="write students' own code there, for JPlag or MOSS"
    )
    parser.add_argument(
        "--only-these",
        action="store_true",
        help="forget what earlier runs brought into GRADES from other places",
    )
    parser.add_argument(
        "--language",
        default=ENGLISH,
        choices=languages(),
        help="of the class report; a student's page is in the language of the notebook handed in (default: %(default)s)",
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

    use_language(arguments.language)
    try:
        if arguments.workers < 1:
            raise ValueError(f"at least 1 worker is needed, got {arguments.workers}")
        if not 0 < arguments.patience < math.inf:
            raise ValueError(f"--patience must be a number above 0, got {arguments.patience:g}")
        book = grade_class(
            arguments.submissions,
            arguments.out,
            _of_chapters(exercises, arguments.chapters, _memory(arguments.out).chapters()),
            workers=arguments.workers,
            limits=Limits(patience=arguments.patience),
            choice=arguments.sandbox,
            dask=arguments.dask,
            progress=True,
            roster=arguments.roster,
            rules=arguments.rules,
            again=arguments.again,
            only_these=arguments.only_these,
            names=arguments.names,
            encoding=arguments.encoding,
            export_to=arguments.export,
        )
    except (ValueError, RuntimeError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What is finished is kept: the same command goes on from there.", file=sys.stderr)
        return 130
    problems = len(book.problems) + sum(len(student.attention) for student in book)
    print(
        f"Students: {len(book)}. Needs attention: {problems or 'nothing'}. Start with {arguments.out / 'report.html'}"
    )
    for problem in book.problems:
        print(f"  {problem}")
    return ATTENTION if problems else 0


def _of_chapters(exercises: Mapping[str, Exercise], wanted: str | None, graded: Iterable[str]) -> dict[str, Exercise]:
    """The exercises of the chapters that are wanted, and of those that the gradebook has already."""
    chapters = list(dict.fromkeys(map(chapter_of, exercises)))
    chosen = [chapter.strip() for chapter in wanted.split(",")] if wanted else chapters
    if unknown := [chapter for chapter in chosen if chapter not in chapters]:
        raise ValueError(f"--chapters: no exercises of {', '.join(unknown)!r}; there are {', '.join(chapters)}")
    return {id: exercise for id, exercise in exercises.items() if chapter_of(id) in {*chosen, *graded}}


def grade_class(
    submissions: Path | Sequence[Path],
    out: Path,
    exercises: Mapping[str, Exercise],
    *,
    workers: int = 1,
    limits: Limits | None = None,
    choice: sandbox.Choice = "auto",
    dask: str | None = None,
    course: Path = COURSE,
    progress: bool = False,
    roster: Path | None = None,
    rules: Path | None = None,
    again: Sequence[str] = (),
    only_these: bool = False,
    names: str | None = None,
    encoding: str | None = None,
    export_to: Path | None = None,
) -> Gradebook:
    """Grade all `submissions` and write all files to `out`; what is finished there is not run again.

    `roster` and `rules` are read from `out` where they are not named and lie there. `again`: answers to run again,
    ``STUDENT/EXERCISE``. `only_these`: forget what earlier runs brought from other places. `names` and `encoding`: see
    `collect`. `export_to`: write students' own code there.

    Raises:
        ValueError: nothing to grade, `out` can be no folder, it or `export_to` lies in the submissions, or a mistake in
            ``manual.csv``, in the roster or the rules, or in `again`.
        OSError: `out` cannot be written.
    """
    begun, limits, choice = time.monotonic(), limits or Limits(), sandbox.choose(choice)
    places = [submissions] if isinstance(submissions, Path) else list(submissions)
    for place in places:
        for ours in filter(None, (out, export_to)):
            if ours.resolve().is_relative_to(place.resolve()):
                raise ValueError(f"{ours} lies in {place}, among the submissions: name a folder elsewhere")
    limits = replace(limits, hidden=tuple(str(place.resolve()) for place in (*places, out)))
    collections = [collect(place, names, encoding) for place in places]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out} cannot be the folder for the grades: {error.strerror}") from error
    memory = _memory(out)
    earlier = [] if only_these else memory.others(places)
    everything = _together([*collections, *(Collection(files=files, system=system) for system, files in earlier)])
    book = _open_book(out, everything, exercises, roster, rules)
    if only_these:
        memory.forget(places)
    _remember(memory, places, collections, book)

    judge = Judge(book.exercises, hidden_seeds(out / ".results" / "seeds.txt", HIDDEN_SEEDS))
    store = Store(out / ".results", WALLS[choice])
    submissions = [submission for student in book for submission in student.submissions.values()]
    editions = sorted({(submission.chapter, submission.notebook.language) for submission in submissions})
    released = {edition: released_cells(course, *edition) for edition in editions}
    waiting: dict[str, tuple[Task, list[Student]]] = {}
    kept = ran = 0
    prints = {edition: _fingerprints(judge, *edition) for edition in editions}
    repeated = _repeated(again, book, [id for id in book.exercises if any(id in found for found in prints.values())])
    handed_in = []
    for student in book:
        for chapter, submission in student.submissions.items():
            edition = chapter, submission.notebook.language
            cells, given = submission.notebook.cells, tuple(released[edition])
            keys = {id: key(found, limits.patience, cells, given) for id, found in prints[edition].items()}
            handed_in.append((student, submission, keys))
            for id in keys:
                if (student.name, student.number, id) in repeated:
                    store.forget(keys[id])
    for student, submission, keys in handed_in:
        missing = {}
        for id, name in keys.items():
            if found := store.get(name):
                student.verdicts[id], student.kept[id] = found
            else:
                missing[id] = name
        kept, ran = kept + len(keys) - len(missing), ran + len(missing)
        if missing:
            given = released[submission.chapter, submission.notebook.language]
            task = Task(submission.notebook, given, missing)
            waiting.setdefault(" ".join(missing.values()), (task, []))[1].append(student)
    _run(waiting, judge, store, workers=workers, limits=limits, choice=choice, dask=dask, progress=progress)
    facts = [
        say(
            "{students} students, {ran} answers graded and {kept} taken from earlier runs, in {seconds:.0f} seconds.",
            students=len(book),
            ran=ran,
            kept=kept,
            seconds=time.monotonic() - begun,
        ),
        say("Students' code ran in: {walls}.", walls=say(WALLS[choice])),
        *(guess for collection in collections for guess in collection.guesses),
    ]
    write_grades(out / "grades.csv", book)
    write_moodle(out, book)
    write_canvas(out / "canvas.csv", book)
    write_feedback(out / "feedback", book, everything.system)
    if export_to:
        export(export_to, book, released)
    write_by_hand(out / "by-hand.html", book, course)
    stubs = [cell for cells in released.values() for cell in cells]
    write_report(out / "report.html", book, stubs, facts, everything.ignored)
    return book


def _fingerprints(judge: Judge, chapter: str, language: str) -> dict[str, str]:
    """Of a chapter's exercises, as they are judged in this language."""
    with speaking(language):
        return {id: judge.fingerprint(id) for id in judge.exercises if chapter_of(id) == chapter}


def _memory(out: Path) -> Memory:
    return Memory(out / ".results" / "submissions")


def _together(collections: list[Collection]) -> Collection:
    """Several collections as one; it is the system's from which any of them came."""
    return Collection(
        files=[file for collection in collections for file in collection.files],
        ignored=[file for collection in collections for file in collection.ignored],
        system=next((c.system for c in collections if c.system != "folder"), "folder"),
    )


def _open_book(
    out: Path, collection: Collection, exercises: Mapping[str, Exercise], roster: Path | None, rules: Path | None
) -> Gradebook:
    """The gradebook with all that people, not programs, put into it."""
    from ..exercises import exercises as every

    roster, rules = (
        named or (found if (found := out / name).exists() else None)
        for named, name in ((roster, "roster.csv"), (rules, "rules.toml"))
    )
    counted = read_rules(rules, {**every, **exercises}) if rules else Rules()
    chosen = {id: exercises[id] for id in counted.counted(exercises)}
    students = choose(collection, chosen, Roster(read_roster(roster)) if roster else None)
    book = Gradebook(students, chosen, counted)
    book.add_by_hand(out / "manual.csv", every, read_comments(out / "comments.csv"))
    book.tell_lateness()
    return book


def _remember(memory: Memory, places: list[Path], collections: list[Collection], book: Gradebook) -> None:
    """Keep the files that count, for runs with other places."""
    counting = [(chapter, submission.file) for student in book for chapter, submission in student.submissions.items()]
    counting += [("", file) for student in book for file in student.unread]
    for place, collection in zip(places, collections, strict=True):
        own = {id(file) for file in collection.files}
        memory.put(place, collection.system, [pair for pair in counting if id(pair[1]) in own])
    memory.tidy()


def _repeated(again: Iterable[str], book: Gradebook, ids: Iterable[str]) -> set[tuple[str, str, str]]:
    """Students and exercises to run again: ``ada/1.2``, ``*/1.2``, ``ada/*``."""
    chosen = set()
    for text in again:
        name, _, pattern = text.rpartition("/")
        students = list(book) if name == "*" else book.find(name)
        matching = fnmatch.filter(ids, pattern)
        if not students or not matching:
            missing = "student" if not students else "exercise"
            raise ValueError(f"--again {text}: no such {missing}; write STUDENT/EXERCISE, as in ada/1.2 or '*/1.2'")
        chosen |= {(student.name, student.number, id) for student in students for id in matching}
    return chosen


def _run(waiting, judge: Judge, store: Store, *, workers, limits, choice, dask, progress) -> None:
    from tqdm import tqdm

    if not waiting:
        return
    with tqdm(total=len(waiting), unit="notebook", desc="grading", disable=not progress) as bar:

        def done(task: Task, verdicts: Verdicts) -> None:
            for id, verdict in verdicts.items():
                if verdict.status != "attention":
                    store.put(task.keys[id], verdict)
                for student in waiting[" ".join(task.keys.values())][1]:
                    student.verdicts[id] = verdict
            bar.update()

        tasks = [task for task, _ in waiting.values()]
        if dask:
            run_on_dask(tasks, judge, done, address=dask, limits=limits, choice=choice)
        else:
            workers = min(workers, len(tasks))
            run_here(tasks, judge, done, workers=workers, limits=limits, choice=choice)

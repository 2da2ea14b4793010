"""What a reader waits for: imports, checks of exercises, whole chapters."""

import subprocess
import sys
import time
from collections.abc import Iterator

from .measuring import Comparison, Competitor, compare

IMPORTS = {"import largemodels.gpt": "import largemodels.gpt, largemodels.training", "import torch": "import torch"}


def imports(repetitions: int) -> Iterator[Comparison]:
    """Seconds until Python has loaded the library and ended, beside torch alone."""

    def runner(code: str):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    competitors = [Competitor(name, runner(code)) for name, code in IMPORTS.items()]
    yield compare("import (goal: 0.2 s more than torch)", competitors, repetitions=repetitions)


def checks(repetitions: int) -> Iterator[Comparison]:
    """Seconds that `check` takes for each exercise: a right answer and the wrong one that takes longest."""
    from largemodels.classroom import exercises

    for id, exercise in exercises.items():
        times = {"right answer": [], "slowest wrong answer": []}
        for _ in range(repetitions):
            times["right answer"].append(_seconds(lambda e=exercise: e.grade(e.reference)))
            wrong = [_seconds(lambda e=exercise, m=m: e.grade(m.answer)) for m in exercise.misconceptions]
            times["slowest wrong answer"].append(max(wrong))
        yield Comparison(f"check {id} · {exercise.title} (goal: below 0.5 s)", seconds=times)


def chapters(repetitions: int) -> Iterator[Comparison]:
    """Seconds that each chapter takes from its first cell to its last, in a kernel of its own."""
    from largemodels.classroom.exercises import exercises
    from largemodels.classroom.release import COURSE, execute
    from largemodels.classroom.sources import build, targets

    for target in targets(COURSE):
        if target.path.parent.name == "chapters":
            times = [_seconds(lambda t=target: execute(build(t, exercises), t.path)) for _ in range(repetitions)]
            yield Comparison(f"chapter {target.path.stem}", seconds={"all cells": times})


def _seconds(work) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin

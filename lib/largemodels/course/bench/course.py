"""What a reader waits for: imports, checks of exercises, explorers, whole chapters."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator

from .measuring import Waits, wait

IMPORTS = {
    "import torch": "import torch",
    "import torch, largemodels": "import torch, largemodels",
    "import largemodels.gpt, .training": "import largemodels.gpt, largemodels.training",
}
BEYOND_TORCH = "the last, beyond the first"
PROMISES = {"a minute": 60, "two minutes": 120, "90 seconds": 90}


def imports(repetitions: int) -> Iterator[Waits]:
    """Seconds for Python to start, import, and end; the imports take turns."""
    seconds = {name: [] for name in IMPORTS}
    for _ in range(repetitions):
        for name, code in IMPORTS.items():
            seconds[name].append(wait(lambda c=code: subprocess.run([sys.executable, "-c", c], check=True)))
    # The least of each: what else the machine does can only add to it.
    first, *_, last = map(min, seconds.values())
    yield Waits("import", {**seconds, BEYOND_TORCH: [last - first]}, {BEYOND_TORCH: 0.2})


def checks(repetitions: int) -> Iterator[Waits]:
    """Seconds that `check` takes, for every right and wrong answer that is known of each exercise.

    Each answer is checked once before: the first use of some parts of torch has to load them.
    """
    from largemodels.classroom import exercises

    chapters: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for id, exercise in exercises.items():
        wrong = [misconception.answer for misconception in exercise.misconceptions]
        answers = [exercise.reference, *exercise.alternatives, *wrong]
        times = [[wait(lambda e=exercise, a=a: e.grade(a)) for a in answers] for _ in range(repetitions + 1)]
        chapters[id.split(".")[0]][f"{id} {exercise.title}"] = [min(each) for each in zip(*times[1:], strict=True)]
    for chapter, seconds in chapters.items():
        yield Waits(f"check, chapter {chapter}: right and wrong answers", seconds, dict.fromkeys(seconds, 0.5))


def explorers(repetitions: int) -> Iterator[Waits]:
    """Seconds from a change of a widget to the picture that answers it, in the kernel."""
    from .exploring import ACTIONS

    seconds = {}
    for name, make in ACTIONS.items():
        act = make()
        act(0)  # the first may load something
        seconds[name] = [wait(lambda a=act, i=i: a(i)) for i in range(1, repetitions + 1)]
    yield Waits("explorers, a key press", seconds, dict.fromkeys(seconds, 0.2))


def chapters(repetitions: int) -> Iterator[Waits]:
    """Seconds that each chapter takes from its first cell to its last, in a kernel of its own; and all of them."""
    from largemodels.classroom.exercises import exercises
    from largemodels.classroom.release import COURSE, execute
    from largemodels.classroom.sources import build, targets

    total = [0.0] * repetitions
    for target in targets(COURSE):
        if target.path.parent.name != "chapters":
            continue
        times = [wait(lambda t=target: execute(build(t, exercises), t.path)) for _ in range(repetitions)]
        promise = promised(target.source.read_text(encoding="utf-8"))
        yield Waits(f"chapter {target.path.stem}", {"all cells": times}, {"all cells": promise} if promise else {})
        if target.path.stem[:2].isdigit():
            total = [sum(pair) for pair in zip(total, times, strict=True)]
    yield Waits("the numbered chapters together", {"all cells": total}, {"all cells": 600})


def promised(text: str) -> int | None:
    """The seconds that a chapter promises to stay under, in its first lines."""
    promise = re.search(rf"under ({'|'.join(PROMISES)}) to run", text)
    return PROMISES[promise[1]] if promise else None

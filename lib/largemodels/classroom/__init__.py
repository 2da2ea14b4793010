"""What a reader calls in an exercise notebook: `check` an answer, look at the `progress`."""

import difflib
from typing import Any

from .exercises import exercises
from .progress import Progress, remember
from .ready_made import ready_made_name
from .report import Report

__all__ = ["check", "exercises", "progress"]


def check(answer: Any, exercise: str | None = None) -> Report:
    """Say whether an answer is right, and if not, which mistake it looks like.

    Args:
        answer: the function or value you wrote.
        exercise: the exercise's number, "1.2"; not needed for a function that keeps the name it has in the notebook.

    Raises:
        ValueError: the answer cannot be matched to an exercise.
    """
    chosen = exercises[_find(answer) if exercise is None else _known(exercise)]
    name = ready_made_name(answer, chosen.refused)
    report = chosen.refuse(name) if name else chosen.grade(answer)
    remember(chosen, report)
    return report


def progress(chapter: int | str | None = None) -> Progress:
    """The state of all exercises, or of one chapter's: ``progress(1)``."""
    chosen = [e for e in exercises.values() if chapter is None or e.id.split(".")[0] == str(chapter)]
    if not chosen:
        chapters = sorted({id.split(".")[0] for id in exercises})
        raise ValueError(f"there are no exercises for chapter {chapter!r}; choose from {', '.join(chapters)}")
    return Progress(tuple(chosen))


def _find(answer: Any) -> str:
    names = {exercise.name: id for id, exercise in exercises.items() if exercise.cases is not None}
    name = getattr(answer, "__name__", None)
    if name in names:
        return names[name]
    if name is None:
        raise ValueError(f'an answer like {answer!r} does not say which exercise it is for: write check(answer, "1.3")')
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? Or name" if close else "name"
    raise ValueError(f'no exercise asks for a function called {name!r}; {hint} the exercise: check({name}, "1.2")')


def _known(exercise: str) -> str:
    if exercise not in exercises:
        raise ValueError(f"there is no exercise {exercise!r}; there are {', '.join(exercises)}")
    return exercise

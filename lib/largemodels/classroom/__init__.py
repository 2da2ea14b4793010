"""What a reader calls in an exercise notebook: `check` an answer, look at the `progress`, `hand_in` what is done."""

import difflib
from typing import Any

from ..language import say
from .cells import watched
from .exercises import exercises
from .handing_in import hand_in
from .progress import Progress, remember
from .reading import shown
from .ready_made import ready_made_name
from .report import Report

__all__ = ["check", "exercises", "hand_in", "progress"]

_cells = watched(exercise.name for exercise in exercises.values())


def check(answer: Any, exercise: str | None = None) -> Report:
    """Say whether an answer is right, and if not, which mistake it looks like.

    Args:
        answer: the function or value you wrote.
        exercise: the exercise's number, "1.2"; not needed for a function that keeps the name it has in the notebook.

    Raises:
        ValueError: the answer cannot be matched to an exercise.
    """
    chosen = exercises[_find(answer) if exercise is None else _known(exercise)]
    if reason := _cells.left_behind(chosen.name, answer):
        report = chosen.not_attempted(reason)
    elif name := ready_made_name(answer, chosen.refused):
        report = chosen.refuse(name)
    else:
        report = chosen.grade(answer)
    remember(chosen, report)
    return report


def progress(chapter: int | str | None = None) -> Progress:
    """The state of all exercises, or of one chapter's: ``progress(1)``."""
    chosen = [e for e in exercises.values() if chapter is None or e.id.split(".")[0] == str(chapter)]
    if not chosen:
        chapters = sorted({id.split(".")[0] for id in exercises})
        raise ValueError(
            say(
                "there are no exercises for chapter {chapter!r}; choose from {chapters}",
                chapter=chapter,
                chapters=", ".join(chapters),
            )
        )
    return Progress(tuple(chosen))


def _find(answer: Any) -> str:
    names = {exercise.name: id for id, exercise in exercises.items() if exercise.cases is not None}
    try:
        name = answer.__name__
    except Exception:
        name = None
    if not isinstance(name, str):
        raise ValueError(
            say(
                'an answer like {seen} does not say which exercise it is for: write check(answer, "1.3")',
                seen=shown(answer),
            )
        )
    if name in names:
        return names[name]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        raise ValueError(
            say(
                "no exercise asks for a function called {name!r}; did you mean {close!r}? Or name the exercise: "
                'check({name}, "1.2")',
                name=name,
                close=close[0],
            )
        )
    raise ValueError(
        say('no exercise asks for a function called {name!r}; name the exercise: check({name}, "1.2")', name=name)
    )


def _known(exercise: Any) -> str:
    if isinstance(exercise, int | float):
        raise ValueError(
            say('write the exercise\'s number in quotes, as a number 4.10 is 4.1: check(…, "{id}")', id=exercise)
        )
    if not isinstance(exercise, str):
        raise ValueError(
            say('the answer comes first, then the exercise: check(answer, "1.3"); got {seen}', seen=shown(exercise))
        )
    if exercise not in exercises:
        raise ValueError(say("there is no exercise {id!r}; there are {all}", id=exercise, all=", ".join(exercises)))
    return exercise

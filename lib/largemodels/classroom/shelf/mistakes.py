"""The mistakes that the exercises know, as a list to teach from."""

import re
from collections.abc import Iterable

from ...language import say
from ..exercise import Exercise

IN_CODE = re.compile(r"(`[^`]*`)")


def mistakes_list(exercises: Iterable[Exercise]) -> str:
    """Under each exercise what students are told who make one of its mistakes; what is said of several, once."""
    parts, chapter = [], ""
    for exercise in exercises:
        if chapter != (chapter := exercise.id.split(".")[0]):
            heading = say("Chapter {number}", number=chapter)
            parts.append(f"## {heading}")
        messages = dict.fromkeys(_shown(say(mistake.message)) for mistake in exercise.misconceptions)
        parts.append(f"### {exercise.id} {say(exercise.title)}")
        parts.append("\n".join(f"- {message}" for message in messages))
    return "\n\n".join(parts)


def _shown(message: str) -> str:
    """On one line; a token such as <s> is no tag of HTML."""
    parts = IN_CODE.split(" ".join(message.split()))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)

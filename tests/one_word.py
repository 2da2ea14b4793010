"""A language in which every word is 话 and every mark is full-width: what stays English in it was not marked."""

import gettext
import re
from functools import cache
from pathlib import Path

from largemodels import language
from largemodels.classroom.editions.messages import marked

LIBRARY = Path(language.__file__).parent
MARKS = {", ": "，", "; ": "；", ": ": "：", ". ": "。"}


class OneWord(gettext.NullTranslations):
    """Knows what is marked in the library, and nothing else."""

    def gettext(self, message: str) -> str:
        if message not in _marked():
            return message
        parts = re.split(r"(\{[^{}]*\})", message)  # the names of values stay
        return "".join(part if part.startswith("{") else _in_one_word(part) for part in parts)


def _in_one_word(text: str) -> str:
    for mark, wide in MARKS.items():
        text = text.replace(mark, wide)
    return re.sub(r"[A-Za-z][A-Za-z'’-]*", "话", re.sub(r"\.$", "。", text))


@cache
def _marked() -> frozenset[str]:
    return frozenset(text for text, _ in marked(LIBRARY))


def english_in(text: str, names=()) -> list[str]:
    """Words and marks of English, but for these names."""
    words = [word for word in re.findall(r"[A-Za-z][A-Za-z'’-]+", text) if word not in names]
    return words + re.findall(r"[,;:.] (?!…)", text)

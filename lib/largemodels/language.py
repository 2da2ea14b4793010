"""In which language the course speaks: English, or one that has a catalogue under ``locale``.

A notebook says it once, in its first code cell: ``use_language("zh")``. Everything that is shown to people passes
`say`, which looks it up in the catalogue (gettext); what the catalogue lacks is said in English.
"""

from __future__ import annotations  # course.py asks this module also on Pythons older than the course's

import gettext
import locale
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from unicodedata import east_asian_width

LOCALE = Path(__file__).parent / "locale"
DOMAIN = "largemodels"
ENGLISH = "en"
NAMES = {ENGLISH: "English", "zh": "中文版"}  # what an edition is called in itself
ASKED = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")  # as gettext does
WINDOWS = {"english": ENGLISH, "chinese": "zh"}

_notebook = ENGLISH  # a notebook's own code may run in any thread of its kernel
_here: ContextVar[str | None] = ContextVar("language", default=None)


def languages() -> tuple[str, ...]:
    """Those that there are, English first."""
    return ENGLISH, *sorted(path.name for path in LOCALE.glob("*") if path.is_dir())


def edition_folder(code: str) -> str:
    """Where an edition lies, below the folders of the chapters, exercises and solutions; English lies in them."""
    return "." if code == ENGLISH else code


def of_machine() -> str:
    """The language in which this machine speaks to its user, if the course speaks it, else English.

    That is told by the variables that gettext reads: LANGUAGE, which may be a list such as "de:zh_CN", LC_ALL, LC_MESSAGES
    or LANG. Where none is set, as on Windows, Python's own locale counts: "zh_CN" or "Chinese (Simplified)_China".
    """
    told = next(filter(None, map(os.environ.get, ASKED)), None) or locale.getlocale()[0] or ""
    for name in told.split(":"):
        word = re.split(r"[_.@ -]", name.lower())[0]
        code = WINDOWS.get(word, word)
        if code in languages():
            return code
    return ENGLISH


def use_language(code: str) -> None:
    """From now on speak this language in the whole process.

    Raises:
        ValueError: there is no catalogue for `code`.
    """
    global _notebook
    _notebook = _known(code)


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak another language for a while, in this thread alone: a class hands in notebooks of several.

    Raises:
        ValueError: there is no catalogue for `code`.
    """
    token = _here.set(_known(code))
    try:
        yield
    finally:
        _here.reset(token)


def language() -> str:
    """The language that is spoken here, such as "en" or "zh"."""
    return _here.get() or _notebook


def say(message: str, /, **values: object) -> str:
    """`message` in the language that is spoken here, with ``{name}`` filled from `values`."""
    spoken = _catalogue(language()).gettext(message) if message else message
    return spoken.format(**values) if values else spoken


def later(message: str) -> str:
    """Marks a text that is kept in English and passes `say` when it is shown."""
    return message


class Spoken(Mapping[str, str]):
    """Texts under names, marked by `later`; looked up, each is in the language that is spoken then."""

    def __init__(self, texts: Mapping[str, str]):
        self._texts = texts

    def __getitem__(self, name: str) -> str:
        return say(self._texts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def padded(text: str, width: int) -> str:
    """`text` filled up with spaces to `width` columns of a terminal, where a Chinese character takes two."""
    return text + " " * max(0, width - sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text))


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    path = LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.mo"
    if not path.exists():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


def forget_catalogues() -> None:
    """Read them again when something is said: they have been made anew."""
    _catalogue.cache_clear()


def _known(code: str) -> str:
    if code not in languages():
        raise ValueError(f"the course does not speak {code!r}; choose from {', '.join(languages())}")
    return code

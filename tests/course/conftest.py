"""What the tests of the course's commands share."""

import gettext
import re

import pytest

from largemodels import language


class Marked(gettext.NullTranslations):
    """A language in which every message stands between « and »."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"


@pytest.fixture
def unmarked(monkeypatch):
    """The process speaks a language "xx" of marks; returns what is left of a text without what passed `say`."""
    monkeypatch.setattr(language, "languages", lambda: ("en", "xx"))
    monkeypatch.setattr(language, "_catalogue", lambda code: Marked() if code == "xx" else gettext.NullTranslations())
    language.use_language("xx")

    def without_marks(text: str) -> str:
        while (shorter := re.sub("«[^«»]*»", "", text)) != text:
            text = shorter
        return text

    yield without_marks
    language.use_language("en")

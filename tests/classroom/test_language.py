"""The language that the course speaks: what is looked up, what falls back, and that threads do not mix."""

import gettext
import threading
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from largemodels import language
from largemodels.language import Spoken, padded, say, speaking, use_language


@pytest.fixture
def catalogue(monkeypatch):
    """A language "xx" that knows three messages."""
    made = Catalog(locale="zh")
    made.add("wrong", "错")
    made.add("{points:g} of {most:g} points", "{most:g} 分中得 {points:g} 分")
    made.add("say(message)", "")
    buffer = BytesIO()
    write_mo(buffer, made)
    buffer.seek(0)
    spoken = gettext.GNUTranslations(buffer)
    monkeypatch.setattr(language, "languages", lambda: ("en", "xx"))
    monkeypatch.setattr(language, "_catalogue", lambda code: spoken if code == "xx" else gettext.NullTranslations())


def test_english_is_said_as_it_stands():
    assert say("wrong") == "wrong"
    assert say("{points:g} of {most:g} points", points=2.5, most=5) == "2.5 of 5 points"
    assert say("a set {1, 2} of ½ %") == "a set {1, 2} of ½ %"  # nothing to fill: braces mean themselves
    assert say("") == ""


def test_another_language_orders_its_words_itself(catalogue):
    with speaking("xx"):
        assert say("wrong") == "错"
        assert say("{points:g} of {most:g} points", points=2.5, most=5) == "5 分中得 2.5 分"
        assert language.language() == "xx"
    assert say("wrong") == "wrong"


def test_what_a_catalogue_lacks_is_said_in_english(catalogue):
    with speaking("xx"):
        assert say("no such message") == "no such message"
        assert say("say(message)") == "say(message)"  # there, and not translated
        assert say("") == ""  # and not the catalogue's header


def test_texts_under_names_are_said_when_they_are_looked_up(catalogue):
    texts = Spoken({"a": "wrong", "b": "no such message"})
    with speaking("xx"):
        assert dict(texts) == {"a": "错", "b": "no such message"}
    assert (texts["a"], len(texts), "c" in texts) == ("wrong", 2, False)


def test_a_notebook_speaks_for_all_its_threads_and_one_of_a_grader_for_itself(catalogue):
    said = []
    try:
        use_language("xx")
        thread = threading.Thread(target=lambda: said.append(say("wrong")))
        thread.start(), thread.join()
        with speaking("en"):
            said.append(say("wrong"))
            thread = threading.Thread(target=lambda: said.append(say("wrong")))
            thread.start(), thread.join()
    finally:
        use_language("en")
    assert said == ["错", "wrong", "错"]


def test_an_unknown_language_is_told_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"does not speak 'tlh'; choose from en"):
        use_language("tlh")
    with pytest.raises(ValueError, match="choose from"), speaking("../../etc"):
        pass
    assert language.language() == "en"


def test_columns_are_filled_by_what_a_terminal_shows():
    assert padded("ab", 4) == "ab  "
    assert padded("注意", 6) == "注意  "
    assert padded("注意", 3) == "注意"

"""The English–Chinese corpus: rules of both languages, what is held out, and the reader's own pairs."""

import itertools
import re
from functools import cache

import pytest
from one_word import english_in

from largemodels.corpora import translation
from largemodels.corpora.lexicon import ACTIONS, INTRANSITIVE, MASS, NOUNS, STATES
from largemodels.corpora.translation import (
    CONSTRUCTIONS,
    HELD_OUT_CONSTRUCTIONS,
    Pair,
    as_words,
    read_pairs,
    translation_pairs,
)


@cache  # made when a test asks, not by every process that collects the tests
def training():
    return translation_pairs(20_000, seed=0)


@cache
def held_out():
    return translation_pairs(2_000, seed=0, split="test")


def with_construction(*names):
    return [pair for pair in training() + held_out() if set(names) <= pair.constructions]


def test_tens_of_thousands_are_distinct_and_the_same_each_time():
    assert len({pair.english for pair in training()}) == len(training())
    assert translation_pairs(500, seed=0) == training()[:500]
    assert translation_pairs(50, seed=1) != training()[:50]


def test_the_lecture_is_in_it():
    assert str(training()[0]) == "Dogs like balls .  →  狗 喜欢 球 。"


def test_a_few_hundred_words_and_no_unknown_word_in_the_test_set():
    for language, low, high in (("english", 300, 600), ("chinese", 200, 400)):
        known, asked = (
            {w for p in pairs for w in getattr(p, language).lower().split()} for pairs in (training(), held_out())
        )
        assert low < len(known) < high
        assert asked <= known


def test_one_sentence_has_one_translation():
    translations = {}
    for pair in training() + held_out():
        assert translations.setdefault(pair.english.lower(), pair.chinese) == pair.chinese


def test_held_out_constructions_never_meet_in_training():
    assert not {pair.english for pair in training()} & {pair.english for pair in held_out()}
    for combination in HELD_OUT_CONSTRUCTIONS:
        assert not any(combination <= pair.constructions for pair in training())
        assert any(combination <= pair.constructions for pair in held_out())


def test_some_verbs_and_objects_meet_only_in_the_test_set():
    """Read off the sentences themselves: 'buy … table' and so on, in plain past statements."""
    pattern = re.compile(r"^\w+ (\w+) (?:the|a|an) (\w+) \.$")
    met = [{m.groups() for pair in pairs if (m := pattern.match(pair.english))} for pairs in (training(), held_out())]
    assert len(met[1] - met[0]) > 5
    assert not any(pair.held_out for pair in training())
    assert all(pair.held_out for pair in held_out())


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_every_construction_can_be_filtered(construction):
    pairs = translation_pairs(20, seed=5, construction=construction)
    assert all(construction in pair.constructions for pair in pairs)


def test_measure_words_stand_between_number_and_noun_and_fit_it():
    measures = {noun.chinese: noun.measure for noun in NOUNS}
    checked = 0
    for pair in with_construction("existence"):
        if "adjective" not in pair.constructions:
            number, measure, noun = pair.chinese.split()[-4:-1]
            assert measures[noun] == measure
            assert number in "一 两 三 四 五 六 十"
            checked += 1
    assert checked > 500


def test_time_and_place_stand_before_the_verb_in_chinese_and_after_it_in_english():
    verbs = {verb.past: verb.chinese for verb in (*ACTIONS, *INTRANSITIVE)}
    checked = 0
    for pair in with_construction("past", "time", "place"):
        english, chinese = pair.english.split(), pair.chinese.split()
        verb = next((word for word in english if word in verbs), None)
        if verb and {"relative", "negation"}.isdisjoint(pair.constructions):
            assert chinese.index("在") < chinese.index(verbs[verb])
            assert min(english.index(w) for w in ("in", "on", "by", "at") if w in english) > english.index(verb)
            checked += 1
    assert checked > 100


def test_questions_and_negation_keep_their_particles():
    for pair in training() + held_out():
        assert pair.english.endswith("?") == pair.chinese.endswith("？")
        assert ("yes-no question" in pair.constructions) == pair.chinese.endswith("吗 ？")
        denied = re.search(r"\b(not)\b", pair.english) is not None
        assert denied == ("negation" in pair.constructions) == bool(re.search(r"(^| )[不没] ", pair.chinese))
        if "没" in pair.chinese.split():  # what did not happen has no 了
            assert "了" not in pair.chinese.split()


def test_states_have_no_past_and_drinks_no_measure():
    states = {verb.chinese for verb in STATES}
    drinks = {noun.chinese for noun in NOUNS if noun.kind in MASS}
    for pair in training() + held_out():
        words = pair.chinese.split()
        for word, following in itertools.pairwise(words):
            assert not (word in states and following == "了")
            assert not (word == "杯" and following in drinks)


def test_relative_clauses_precede_their_noun():
    """The 的 of the clause stands before the noun that English puts before *that*."""
    for pair in with_construction("relative"):
        noun = re.search(r"(\w+) that \w+", pair.english.replace("that that", "that"))[1]
        chinese = next((n.chinese for n in NOUNS if noun in (n.singular, n.plural)), None)
        if chinese:
            assert " 的 " in pair.chinese[: pair.chinese.rindex(chinese)]


def test_own_pairs_from_a_file(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("\ufeffI  read .\t我 看 书 。\n\nYes .\t是 。\r\n", encoding="utf-8")
    assert read_pairs(path) == [Pair("I read .", "我 看 书 。"), Pair("Yes .", "是 。")]


def test_malformed_lines_are_all_named_by_number(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("a\t甲\nno tab here\nb\t\nc\t丙\textra\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"(?s)line 2: 'no tab here'.*line 3.*line 4") as error:
        read_pairs(path)
    assert "line 1" not in str(error.value)


def test_a_sentence_as_people_type_it_becomes_words():
    assert as_words("The teacher’s dog, my cat's  box?") == "the teacher 's dog , my cat 's box ?"
    for pair in training()[:500]:  # what the corpus has is in that form already, but for its first letter
        assert as_words(pair.english) == pair.english.lower()
        typed = pair.english.replace(" 's", "'s").replace(" .", ".").replace(" ?", "?")
        assert as_words(typed) == pair.english.lower()


def test_any_part_of_a_held_out_combination_is_known_from_training():
    for combination in HELD_OUT_CONSTRUCTIONS:
        for fewer in itertools.combinations(combination, len(combination) - 1):
            assert sum(set(fewer) <= pair.constructions for pair in training()) > 50


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match='"train" or "test", got \'dev\''):
        translation_pairs(1, seed=0, split="dev")
    with pytest.raises(ValueError, match="unknown construction 'subjunctive'; choose from measure"):
        translation_pairs(1, seed=0, construction="subjunctive")
    assert translation_pairs(0, seed=0) == []
    assert translation.LECTURE in translation_pairs(1, seed=9)


def test_asking_for_more_than_there_is_ends_with_a_clear_error(monkeypatch):
    monkeypatch.setattr(translation.Grammar, "_is_held_out", lambda self: False)
    with pytest.raises(ValueError, match="only 0 of 3 different sentences found; ask for fewer"):
        translation_pairs(3, seed=0, split="test")


def test_constructions_are_explained_in_the_language_of_the_notebook(one_word):
    assert [text for text in CONSTRUCTIONS.values() if english_in(text)] == []

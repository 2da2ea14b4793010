"""English sentences with their Chinese translations, from a grammar that knows both word orders.

A sentence is first chosen as a meaning (who does what, when, where, asked or denied) and then said twice. The two
languages differ as they really do: time and place stand before the verb in Chinese, numbers need a measure word,
possession and relative clauses stand before the noun with 的, questions keep their word order with 吗 or with the
question word in place, 不 and 没 deny different things, and articles and plurals vanish.

    >>> print(translation_pairs(1, seed=0)[0])
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from largemodels.language import Spoken, later
from largemodels.lines import read_lines

from .lexicon import (
    ACTIONS,
    ADJECTIVES,
    ANIMAL_OBJECTS,
    ANIMAL_VERBS,
    COLOURS,
    FREQUENCIES,
    FUTURE_TIMES,
    HABITUAL_TIMES,
    INTRANSITIVE,
    MASS,
    NOUNS,
    NUMBERS,
    PAST_TIMES,
    PLACES,
    PRONOUNS,
    PUNCTUAL_VERBS,
    RELATIONS,
    SPOTS,
    STATES,
    Adjective,
    Adverbial,
    Noun,
    Verb,
)

CONSTRUCTIONS = Spoken(
    {
        "measure": later("a number, *a*, *this* or *that* with its measure word: 两 本 书"),
        "adjective": later("an adjective before its noun"),
        "possessive": later("possession with 的: 老师 的 狗"),
        "relative": later("a relative clause, before the noun in Chinese: 男孩 喜欢 的 狗"),
        "time": later("a time adverbial, before the verb in Chinese"),
        "place": later("a place adverbial, before the verb in Chinese"),
        "frequency": later("often, always, sometimes"),
        "past": later("the past, with 了"),
        "future": later("will, 会"),
        "progressive": later("is doing, 正在"),
        "modal": later("can 能"),
        "negation": later("不, or 没 for the past"),
        "yes-no question": later("吗 at the end"),
        "who question": later("谁 where the subject stands"),
        "what question": later("什么 where the object stands"),
        "where question": later("在 哪里 where the place stands"),
        "when question": later("什么时候 where the time stands"),
        "how many question": later("几 before the measure word"),
        "quality": later("a thing is …: 很"),
        "comparison": later("bigger than: 比 before the adjective"),
        "location": later("a thing is somewhere: 在"),
        "existence": later("there is …: the place comes first, with 有"),
    }
)

# Constructions that never meet in a training sentence, only in a test sentence: two of them, or three of which any two
# are known together. (Hold out all of relative + negation, and a model concludes that where there is a relative clause
# nothing is ever denied: then it is the data that are wrong.)
HELD_OUT_CONSTRUCTIONS = (
    frozenset({"measure", "where question"}),
    frozenset({"possessive", "comparison", "measure"}),
    frozenset({"relative", "negation", "measure"}),
    frozenset({"relative", "future", "adjective"}),
    frozenset({"place", "modal", "adjective"}),
    frozenset({"possessive", "yes-no question", "adjective"}),
)
HELD_OUT_SHARE = 12  # one in so many pairs of a verb and its object, or a noun and its adjective


@dataclass(frozen=True)
class Pair:
    """One sentence in both languages, as words separated by spaces, and the constructions it uses."""

    english: str
    chinese: str
    constructions: frozenset[str] = frozenset()
    held_out: bool = False

    def __str__(self) -> str:
        return f"{self.english}  →  {self.chinese}"


def translation_pairs(
    n: int,
    *,
    seed: int,
    split: Literal["train", "test"] = "train",
    construction: str | None = None,
) -> list[Pair]:
    """`n` different sentence pairs.

    The lecture's *Dogs like balls* is the first training sentence. Test sentences each contain something that no
    training sentence has: a verb with an object, a noun with an adjective, or two or three constructions, that have
    never been seen together (see `HELD_OUT_CONSTRUCTIONS`). Their words are all known from training.

    Args:
        n: how many.
        seed: the same seed gives the same sentences.
        split: "train" or "test".
        construction: only sentences with this one (see `CONSTRUCTIONS`).

    Raises:
        ValueError: an unknown split or construction, or more sentences than can be found.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    if construction is not None and construction not in CONSTRUCTIONS:
        raise ValueError(f"unknown construction {construction!r}; choose from {', '.join(CONSTRUCTIONS)}")
    grammar = Grammar(random.Random(seed))
    found = {LECTURE.english: LECTURE} if split == "train" and construction is None and n else {}
    tries = 0
    while len(found) < n:
        pair = grammar.sentence()
        tries += 1
        if pair.held_out == (split == "test") and (construction is None or construction in pair.constructions):
            found.setdefault(pair.english, pair)
        if tries > 1_000 + 400 * n:
            raise ValueError(
                f"only {len(found)} of {n} different sentences found; ask for fewer or for all constructions"
            )
    return list(found.values())


def read_pairs(path: str | Path) -> list[Pair]:
    """Your own pairs: one a line, English, a tab, Chinese, words separated by spaces; blank lines are passed over.

    Raises:
        ValueError: lines that are not two non-empty texts with one tab between them, all named by number; a file that
            is not UTF-8.
    """
    pairs, wrong = [], []
    for number, line in enumerate(read_lines(path), 1):
        fields = [" ".join(field.split()) for field in line.split("\t")]
        if len(fields) == 2 and all(fields):
            pairs.append(Pair(fields[0], fields[1]))
        elif line.strip():
            wrong.append(f"line {number}: {line.strip()[:60]!r}")
    if wrong:
        raise ValueError(f"{path}: expected English, one tab, Chinese, but found\n" + "\n".join(wrong))
    return pairs


def as_words(sentence: str) -> str:
    """An English sentence as `tokenizers.Words` wants it: in small letters, with spaces before 's and punctuation.

    >>> as_words("The teacher's dog likes balls.")
    "the teacher 's dog likes balls ."
    """
    return " ".join(re.sub(r"('s\b|[.,?!])", r" \1 ", sentence.lower().replace("’", "'")).split())


LECTURE = Pair("Dogs like balls .", "狗 喜欢 球 。")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase said in both languages."""

    english: str
    chinese: str
    noun: Noun | None  # None for a pronoun
    third_person: bool  # the English verb takes an s
    copula: str  # is, are, am

    @property
    def is_animal(self) -> bool:
        return self.noun is not None and self.noun.kind == "animal"


class Grammar:
    """Draws sentences. `used` and `mixed` collect what one sentence contains."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.used: set[str] = set()
        self.mixed: list[str] = []  # pairs of words that have met: some are held out from training

    def sentence(self) -> Pair:
        kinds: dict[Callable[[], tuple[str, str]], int] = {
            self._clause: 10,
            self._question: 6,
            self._quality: 2,
            self._comparison: 1,
            self._location: 1,
            self._existence: 2,
        }
        self.used, self.mixed = set(), []
        (kind,) = self.rng.choices(list(kinds), list(kinds.values()))
        english, chinese = kind()
        english = english[0].upper() + english[1:]
        return Pair(english, chinese, frozenset(self.used), self._is_held_out())

    def _is_held_out(self) -> bool:
        if any(pair <= self.used for pair in HELD_OUT_CONSTRUCTIONS):
            return True
        return any(hashlib.sha256(words.encode()).digest()[0] % HELD_OUT_SHARE == 0 for words in self.mixed)

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    # ------------------------------------------------------------------------------------------------- noun phrases

    def _noun(self, kinds: Iterable[str]) -> Noun:
        kinds = set(kinds)
        return self.rng.choice([noun for noun in NOUNS if noun.kind in kinds])

    def _subject(self, kinds: Iterable[str] = ("person", "animal"), *, simple: bool = False) -> Phrase:
        if "person" in kinds and self._chance(0.3):
            subject, _, _, chinese = self.rng.choice(PRONOUNS)
            copula = {"I": "am", "he": "is", "she": "is"}.get(subject, "are")
            return Phrase(subject, chinese, None, subject in ("he", "she"), copula)
        return self._noun_phrase(self._noun(kinds), simple=simple)

    def _object(self, verb: Verb, subject: Phrase) -> Phrase:
        kinds = set(verb.objects) & ANIMAL_OBJECTS if subject.is_animal else verb.objects
        noun = self._noun(kinds)
        if noun.kind == "person" and self._chance(0.3):
            _, object_form, _, chinese = self.rng.choice(PRONOUNS)
            return Phrase(object_form, chinese, None, False, "")
        self.mixed.append(f"{verb.base} {noun.singular}")
        return self._noun_phrase(noun)

    def _noun_phrase(self, noun: Noun, *, simple: bool = False) -> Phrase:
        """With determiner, and perhaps an adjective, an owner or a relative clause; `simple`: without the last two."""
        plural = noun.kind not in MASS and self._chance(0.35)
        english, chinese = (noun.plural if plural else noun.singular), noun.chinese
        adjective = self._adjective(noun) if self._chance(0.25) else None
        if adjective:
            self.used.add("adjective")
            self.mixed.append(f"{adjective.english} {noun.singular}")
            english, chinese = f"{adjective.english} {english}", f"{adjective.before_noun} {chinese}"
        ownable = noun.kind not in ("person", "building") or noun.singular in RELATIONS
        if not simple and ownable and self._chance(0.18):
            english, chinese = self._owned(english, chinese)
        else:
            english, chinese = self._determined(noun, plural, english, chinese)
            first = "relative" not in self.used  # two in one sentence are hard to follow
            if not simple and first and english.startswith("the ") and self._chance(0.45):
                english, chinese = self._with_relative_clause(noun, english, chinese)
        return Phrase(english, chinese, noun, not plural, "are" if plural else "is")

    def _adjective(self, noun: Noun) -> Adjective | None:
        fitting = [adjective for adjective in ADJECTIVES + COLOURS if noun.kind in adjective.kinds]
        return self.rng.choice(fitting) if fitting else None

    def _owned(self, english: str, chinese: str) -> tuple[str, str]:
        self.used.add("possessive")
        if self._chance(0.6):
            _, _, possessive, owner = self.rng.choice(PRONOUNS)
            return f"{possessive} {english}", f"{owner} 的 {chinese}"
        person = self._noun(["person"])
        return f"the {person.singular} 's {english}", f"{person.chinese} 的 {chinese}"

    def _determined(self, noun: Noun, plural: bool, english: str, chinese: str) -> tuple[str, str]:
        if noun.kind in MASS or self._chance(0.45):
            bare = (plural and self._chance(0.4)) or (noun.kind in MASS and self._chance(0.5))
            return english if bare else f"the {english}", chinese
        self.used.add("measure")
        if plural:
            word, number = self.rng.choice([*NUMBERS, ("these", "这些"), ("those", "那些")])
            measure = "" if word in ("these", "those") else f" {noun.measure}"
            return f"{word} {english}", f"{number}{measure} {chinese}"
        article = "an" if english[0] in "aeiou" else "a"
        word, number = self.rng.choice([(article, "一"), (article, "一"), ("this", "这"), ("that", "那")])
        return f"{word} {english}", f"{number} {noun.measure} {chinese}"

    def _with_relative_clause(self, noun: Noun, english: str, chinese: str) -> tuple[str, str]:
        """The dog that the boy likes: 男孩 喜欢 的 狗."""
        verbs = [verb for verb in ACTIONS + STATES if noun.kind in verb.objects]
        verb, subject = self.rng.choice(verbs), self._subject(["person"], simple=True)
        self.used.add("relative")
        self.mixed.append(f"{verb.base} {noun.singular}")
        form = (verb.third if subject.third_person else verb.base) if verb.stative else verb.past
        return f"{english} that {subject.english} {form}", f"{subject.chinese} {verb.chinese} 的 {chinese}"

    # ------------------------------------------------------------------------------------------------------ clauses

    def _clause(self) -> tuple[str, str]:
        """A statement, perhaps denied."""
        english, chinese = self._predicate(self._subject(), negated=self._chance(0.25), asked=False)
        return f"{english} .", f"{chinese} 。"

    def _question(self) -> tuple[str, str]:
        kind = self.rng.choice(["yes-no", "yes-no", "who", "what", "where", "when", "how many"])
        self.used.add(f"{kind} question")
        if kind == "yes-no":
            english, chinese = self._predicate(self._subject(simple=True), negated=False, asked=True)
            return f"{english} ?", f"{chinese} 吗 ？"
        if kind == "who":
            who = Phrase("who", "谁", None, True, "is")
            english, chinese = self._predicate(who, negated=self._chance(0.2), asked=False)
            return f"{english} ?", f"{chinese} ？"
        subject = self._subject(["person"], simple=True)
        if kind in ("what", "how many"):
            english, chinese = self._object_question(subject, kind)
        else:
            english, chinese = self._adverbial_question(subject, kind)
        return f"{english} ?", f"{chinese} ？"

    def _object_question(self, subject: Phrase, kind: str) -> tuple[str, str]:
        """What did the boy eat yesterday? How many books does she want?"""
        verb = self.rng.choice(ACTIONS + STATES)
        asked, chinese_asked = "what", "什么"
        if kind == "what" and set(verb.objects) <= {"person", "animal"}:  # one meets somebody, not something
            asked, chinese_asked = "whom", "谁"
        if kind == "how many":
            countable = set(verb.objects) - MASS
            if not countable:  # nobody asks how many waters
                return self._object_question(subject, kind)
            noun = self._noun(countable)
            self.mixed.append(f"{verb.base} {noun.singular}")
            asked, chinese_asked = f"how many {noun.plural}", f"几 {noun.measure} {noun.chinese}"
        if verb.stative:
            helper = "does" if subject.third_person else "do"
            return (
                f"{asked} {helper} {subject.english} {verb.base}",
                f"{subject.chinese} {verb.chinese} {chinese_asked}",
            )
        self.used.add("past")
        time_english, time_chinese = self._time(PAST_TIMES, 0.4)
        english = f"{asked} did {subject.english} {verb.base}{time_english}"
        return english, f"{subject.chinese}{time_chinese} {verb.chinese} 了 {chinese_asked}"

    def _adverbial_question(self, subject: Phrase, kind: str) -> tuple[str, str]:
        """Where does the boy read? When will she visit the museum?"""
        verb, object_ = self._verb_and_object(subject)
        tail, chinese_tail = f"{verb.base}{object_[0]}", f"{verb.chinese}{object_[1]}"
        if kind == "when":
            self.used.add("future")
            return f"when will {subject.english} {tail}", f"{subject.chinese} 什么时候 会 {chinese_tail}"
        helper = "does" if subject.third_person else "do"
        return f"where {helper} {subject.english} {tail}", f"{subject.chinese} 在 哪里 {chinese_tail}"

    def _verb_and_object(self, subject: Phrase) -> tuple[Verb, tuple[str, str]]:
        """An action with its object in both languages, each with a space before it, or with nothing."""
        able = [verb for verb in (INTRANSITIVE if self._chance(0.25) else ACTIONS) if self._can(subject, verb)]
        verb = self.rng.choice(able)
        if not verb.objects:
            return verb, ("", "")
        object_ = self._object(verb, subject)
        return verb, (f" {object_.english}", f" {object_.chinese}")

    def _can(self, subject: Phrase, verb: Verb) -> bool:
        return not subject.is_animal or verb.base in ANIMAL_VERBS

    def _time(self, times: list[Adverbial], probability: float) -> tuple[str, str]:
        """A time adverbial in both languages, each with a space before it, or nothing."""
        if "relative" in self.used or not self._chance(probability):  # else it might belong to the relative clause
            return "", ""
        self.used.add("time")
        time = self.rng.choice(times)
        return f" {time.english}", f" {time.chinese}"

    def _place(self, probability: float) -> tuple[str, str]:
        if "relative" in self.used or not self._chance(probability):
            return "", ""
        self.used.add("place")
        place = self.rng.choice(PLACES)
        return f" {place.english}", f" 在 {place.chinese}"

    def _predicate(self, subject: Phrase, *, negated: bool, asked: bool) -> tuple[str, str]:
        """Subject, verb, object and adverbials, in one of the tenses; `asked` puts English into question order."""
        if negated:
            self.used.add("negation")
        tense = self.rng.choice(["state", "habit", "past", "past", "future", "progressive", "modal"])
        if tense == "state":
            verb = self.rng.choice(STATES)
            object_ = self._object(verb, subject)
            return self._state(subject, verb, object_, negated=negated, asked=asked)

        verb, (object_english, object_chinese) = self._verb_and_object(subject)
        if tense == "habit":
            return self._habit(subject, verb, object_english, object_chinese, negated=negated, asked=asked)
        if tense == "progressive" and verb.base not in PUNCTUAL_VERBS:
            self.used.add("progressive")
            helper, main = subject.copula, f"{verb.participle}{object_english}"
            chinese = f"{'没 在' if negated else '正在'} {verb.chinese}{object_chinese}"
            return self._with_helper(subject, helper, main, negated, asked), f"{subject.chinese} {chinese}"

        place_english, place_chinese = self._place(0.3)
        if tense in ("past", "progressive"):
            self.used.add("past")
            time_english, time_chinese = self._time(PAST_TIMES, 0.5)
            tail = f"{object_english}{place_english}{time_english}"
            if negated or asked:
                english = self._with_helper(subject, "did", f"{verb.base}{tail}", negated, asked)
            else:
                english = f"{subject.english} {verb.past}{tail}"
            # 了 follows the verb, or the whole of 跑步; what did not happen has none.
            done = "" if negated else " 了"
            chinese = f"{' 没' if negated else ''}{place_chinese} {verb.chinese}{done}{object_chinese}"
            return english, f"{subject.chinese}{time_chinese}{chinese}"

        if tense == "future":
            self.used.add("future")
            helper, modal = "will", "会"
        else:
            self.used.add("modal")
            helper, modal = "can", "能"
        time_english, time_chinese = self._time(FUTURE_TIMES, 0.5)
        main = f"{verb.base}{object_english}{place_english}{time_english}"
        chinese = f"{time_chinese}{' 不' if negated else ''} {modal}{place_chinese} {verb.chinese}{object_chinese}"
        return self._with_helper(subject, helper, main, negated, asked), f"{subject.chinese}{chinese}"

    def _state(self, subject: Phrase, verb: Verb, object_: Phrase, *, negated: bool, asked: bool) -> tuple[str, str]:
        """He likes it, he does not like it, does he like it."""
        if negated or asked:
            helper = "does" if subject.third_person else "do"
            english = self._with_helper(subject, helper, f"{verb.base} {object_.english}", negated, asked)
        else:
            english = f"{subject.english} {verb.third if subject.third_person else verb.base} {object_.english}"
        return english, f"{subject.chinese}{' 不' if negated else ''} {verb.chinese} {object_.chinese}"

    def _habit(
        self, subject: Phrase, verb: Verb, object_english: str, object_chinese: str, *, negated: bool, asked: bool
    ) -> tuple[str, str]:
        """The teacher often reads in the park; a habit is denied with 不."""
        place_english, place_chinese = self._place(0.3)
        tail = f"{object_english}{place_english}"
        often = None
        time_english = time_chinese = ""
        if not negated and self._chance(0.5):
            self.used.add("frequency")
            often = self.rng.choice(FREQUENCIES)
        else:
            time_english, time_chinese = self._time(HABITUAL_TIMES, 0.5)
        often_english, often_chinese = (f"{often.english} ", f" {often.chinese}") if often else ("", "")
        if negated or asked:
            helper = "does" if subject.third_person else "do"
            main = f"{often_english}{verb.base}{tail}{time_english}"
            english = self._with_helper(subject, helper, main, negated, asked)
        else:
            form = verb.third if subject.third_person else verb.base
            english = f"{subject.english} {often_english}{form}{tail}{time_english}"
        denied = " 不" if negated else ""
        chinese = f"{time_chinese}{often_chinese}{denied}{place_chinese} {verb.chinese}{object_chinese}"
        return english, f"{subject.chinese}{chinese}"

    def _with_helper(self, subject: Phrase, helper: str, main: str, negated: bool, asked: bool) -> str:
        if asked:
            return f"{helper} {subject.english} {main}"
        return f"{subject.english} {helper}{' not' if negated else ''} {main}"

    # ------------------------------------------------------------------------------------------ being, and being there

    def _quality(self) -> tuple[str, str]:
        """The house is big: 房子 很 大; not big: 不 大; is it big? 大 吗."""
        self.used.add("quality")
        noun = self._noun({noun.kind for noun in NOUNS} - MASS)
        subject = self._noun_phrase(noun)
        adjective = self.rng.choice([adjective for adjective in ADJECTIVES if noun.kind in adjective.kinds])
        self.mixed.append(f"{adjective.english} {noun.singular}")
        mood = self.rng.choice(["statement", "statement", "negation", "yes-no question"])
        if mood != "statement":
            self.used.add(mood)
        if mood == "yes-no question":
            return (
                f"{subject.copula} {subject.english} {adjective.english} ?",
                f"{subject.chinese} {adjective.chinese} 吗 ？",
            )
        if mood == "negation":
            return (
                f"{subject.english} {subject.copula} not {adjective.english} .",
                f"{subject.chinese} 不 {adjective.chinese} 。",
            )
        return (
            f"{subject.english} {subject.copula} very {adjective.english} .",
            f"{subject.chinese} 很 {adjective.chinese} 。",
        )

    def _comparison(self) -> tuple[str, str]:
        """The cat is bigger than the dog: 猫 比 狗 大."""
        self.used.add("comparison")
        kind = self.rng.choice(["person", "animal", "vehicle", "text", "building"])
        adjective = self.rng.choice([adjective for adjective in ADJECTIVES if kind in adjective.kinds])
        one, other = self._noun_phrase(self._noun([kind]), simple=True), self._noun_phrase(self._noun([kind]))
        english = f"{one.english} {one.copula} {adjective.comparative} than {other.english} ."
        return english, f"{one.chinese} 比 {other.chinese} {adjective.chinese} 。"

    def _location(self) -> tuple[str, str]:
        """The book is on the table: 书 在 桌子 上."""
        self.used.add("location")
        subject, spot = self._noun_phrase(self._noun(["animal", "text", "thing"])), self.rng.choice(SPOTS)
        mood = self.rng.choice(["statement", "statement", "negation", "yes-no question"])
        if mood != "statement":
            self.used.add(mood)
        if mood == "yes-no question":
            return f"{subject.copula} {subject.english} {spot.english} ?", f"{subject.chinese} 在 {spot.chinese} 吗 ？"
        denied_english, denied = (" not", " 不") if mood == "negation" else ("", "")
        english = f"{subject.english} {subject.copula}{denied_english} {spot.english} ."
        return english, f"{subject.chinese}{denied} 在 {spot.chinese} 。"

    def _existence(self) -> tuple[str, str]:
        """There are two dogs in the park: 公园 里 有 两 只 狗."""
        self.used |= {"existence", "measure"}
        noun = self._noun(["person", "animal", "text", "thing"])
        spot = self.rng.choice(PLACES if noun.kind in ("person", "animal") else SPOTS)
        plural = self._chance(0.5)
        number_english, number = self.rng.choice(NUMBERS) if plural else ("a", "一")
        name, chinese = (noun.plural if plural else noun.singular), noun.chinese
        adjective = self._adjective(noun) if self._chance(0.3) else None
        if adjective:
            self.used.add("adjective")
            self.mixed.append(f"{adjective.english} {noun.singular}")
            name, chinese = f"{adjective.english} {name}", f"{adjective.before_noun} {chinese}"
        if not plural and name[0] in "aeiou":
            number_english = "an"
        copula = "are" if plural else "is"
        things = f"{number} {noun.measure} {chinese}"
        return f"there {copula} {number_english} {name} {spot.english} .", f"{spot.chinese} 有 {things} 。"

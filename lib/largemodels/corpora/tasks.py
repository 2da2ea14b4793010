"""Tasks to be learned from a prompt: tables from words to answers, some tables kept back for testing.

A task says what stands behind the arrow for each of twelve English words. A prompt 提示 shows some of it and asks for
one answer more, which is all that the model has to write:

    把英文翻译成密码:        the description 任务描述; it may be missing
    dog => bomi             an example 例子
    egg => zela             another
    dog =>                  the question

=============  ====================  ====================================================================
family         description           a task is
=============  ====================  ====================================================================
``translate``  把英文翻译成中文:       the Chinese of each word: one task, always the same
``code``       把英文翻译成密码:       a secret code: a made-up word for each word
``sort``       给词语分类:             a letter for each *kind* of word: animals, food, people, technical terms
=============  ====================  ====================================================================

Codes and sortings are new in every prompt, so that nobody can know them beforehand; and one in four of all tables is
kept out of training altogether.

Everything is a function of a seed or of a generator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from largemodels.lines import split_lines
from largemodels.seeds import seeded
from largemodels.tokenizers import Tokenizer

from .lexicon import NOUNS

KINDS = {
    "animal": ("dog", "cat", "horse"),
    "food": ("apple", "egg", "cake"),
    "person": ("teacher", "doctor", "farmer"),
    "term": ("Large Model", "Pre-train", "Finetune"),
}
WORDS = tuple(word for words in KINDS.values() for word in words)
CHINESE = {noun.singular: noun.chinese for noun in NOUNS if noun.singular in WORDS}
CHINESE |= {"Large Model": "大模型", "Pre-train": "预训练", "Finetune": "微调"}
CODE_WORDS = tuple(onset + rime for onset in "bdgjknpz" for rime in ("ax", "omi", "ubu", "ela", "iko", "onk"))
LETTERS = tuple("ABCDEFGHIJKLMNOP")
DESCRIPTIONS = {"translate": "把英文翻译成中文:", "code": "把英文翻译成密码:", "sort": "给词语分类:"}

WORDS_IN_PROMPT = 8  # a prompt of ``translate`` or ``code`` is about so many of the words
HELD_OUT = 4  # one in so many codes and sortings belongs to the test

Split = Literal["train", "test"]


# --------------------------------------------------------------------------------------------------- text and tokens


def prompt(description: str, examples: Sequence[tuple[str, str]], question: str) -> str:
    """A prompt as people write it, one line for each part: description, ``word => answer``, ``word =>``.

    Zero-, one- and few-shot prompts differ in the number of `examples` only. An empty description is left out.
    """
    lines = [description] if description else []
    return "\n".join([*lines, *(f"{word} => {answer}" for word, answer in examples), f"{question} =>"])


class PromptTokenizer(Tokenizer):
    """Prompts to token ids and back. A line ``dog => bomi`` is two tokens: the arrow belongs to the word before it.

    The first token is the description. Where a prompt has none, `encode` begins with the special token ``<bos>``.
    """

    def __init__(self):
        answers = (*(CHINESE[word] for word in WORDS), *CODE_WORDS, *LETTERS)
        super().__init__(
            ["<bos>", *DESCRIPTIONS.values(), *(f"{word} =>" for word in WORDS), *answers], special=["<bos>"]
        )

    def _encode(self, text: str) -> list[int]:
        pieces = []
        for line in filter(None, (line.strip() for line in split_lines(text))):
            word, arrow, answer = (part.strip() for part in line.partition("=>"))
            pieces += [f"{word} =>", *([answer] if answer else [])] if arrow else [line]
        if "<bos>" in pieces:
            raise ValueError(
                "<bos> is no text; leave the line out: a prompt without a description begins with it anyway"
            )
        described = bool(pieces) and pieces[0] in DESCRIPTIONS.values()
        return [self.id(piece) for piece in (pieces if described else ["<bos>", *pieces])]

    def _join(self, tokens: list[str]) -> str:
        return "".join(token + (" " if token.endswith("=>") else "\n") for token in tokens).strip()


_TOKENIZER = PromptTokenizer()
_FIRST_WORD, _FIRST_CHINESE, _FIRST_CODE, _FIRST_LETTER = (
    _TOKENIZER.id(token) for token in (f"{WORDS[0]} =>", CHINESE[WORDS[0]], CODE_WORDS[0], LETTERS[0])
)
_KIND = torch.tensor([kind for kind, words in enumerate(KINDS.values()) for _ in words])  # of each word


# -------------------------------------------------------------------------------------------------------------- tasks


def tables(family: str, n: int, split: Split, generator: torch.Generator, *, variety: int | None = None) -> Tensor:
    """`n` tasks of a family: the id of the answer to each word, ``(n, words)``.

    Args:
        family: a key of `DESCRIPTIONS`.
        n: how many.
        split: from which side; "train" and "test" have no code and no sorting in common.
        generator: draws them.
        variety: how many different tasks of this family there are in the world, the same for every generator; no limit
            unless given.

    Raises:
        ValueError: an unknown family or split.
    """
    if split not in ("train", "test"):
        raise ValueError(f'a split is "train" or "test", got {split!r}')
    if family not in _TABLES:
        raise ValueError(f"no family of tasks is called {family!r}; choose one of {', '.join(_TABLES)}")
    if variety is None:
        return _TABLES[family](n, split, generator)
    world = _TABLES[family](variety, split, seeded(variety))
    return world[torch.randint(variety, (n,), generator=generator)]


def _translations(n: int, split: Split, generator: torch.Generator) -> Tensor:
    return (_FIRST_CHINESE + torch.arange(len(WORDS))).repeat(n, 1)


def _codes(n: int, split: Split, generator: torch.Generator) -> Tensor:
    return _FIRST_CODE + _fresh(n, len(WORDS), len(CODE_WORDS), split, generator)


def _sortings(n: int, split: Split, generator: torch.Generator) -> Tensor:
    return _FIRST_LETTER + _fresh(n, len(KINDS), len(LETTERS), split, generator)[:, _KIND]


_TABLES: dict[str, Callable[[int, Split, torch.Generator], Tensor]] = {
    "translate": _translations,
    "code": _codes,
    "sort": _sortings,
}


def _fresh(n: int, items: int, answers: int, split: Split, generator: torch.Generator) -> Tensor:
    """A different answer for each item, at random, ``(n, items)``, drawn again until all belong to the split."""
    table = torch.empty(n, items, dtype=torch.long)
    wrong = torch.ones(n, dtype=torch.bool)
    while wrong.any():
        table[wrong] = torch.rand(int(wrong.sum()), answers, generator=generator).argsort(dim=-1)[:, :items]
        wrong = _held_out(table) != (split == "test")
    return table


def _held_out(table: Tensor) -> Tensor:
    """Whether a task is one of the test, ``(n, items)`` to ``(n,)``: one in `HELD_OUT`, by a hash of the whole table."""
    hashed = torch.zeros(len(table), dtype=torch.long)
    for answer in table.T:
        hashed = (hashed * 1_000_003 + answer + 1) % 2_147_483_647
    return hashed % HELD_OUT == 0


# ------------------------------------------------------------------------------------------------ training and testing

MIXTURE = {"translate": 0.2, "code": 0.4, "sort": 0.4}


def training_sequences(n: int, generator: torch.Generator, *, lines: int = 16, variety: int | None = None) -> Tensor:
    """`n` texts of `lines` examples each, ``(n, 1 + 2·lines)``: every text has a task of its own, half a description.

    Families are mixed as in `MIXTURE`. The words of a text are drawn, with repetition, from `WORDS_IN_PROMPT`.

    Args:
        variety: how many different tasks of each family there are, see `tables`.
    """
    family = torch.multinomial(torch.tensor([*MIXTURE.values()]), n, replacement=True, generator=generator)
    table = torch.empty(n, len(WORDS), dtype=torch.long)
    for number, name in enumerate(MIXTURE):
        rows = family == number
        table[rows] = tables(name, int(rows.sum()), "train", generator, variety=variety)
    pick = torch.randint(WORDS_IN_PROMPT, (n, lines), generator=generator)
    word = _shuffled_words(n, generator).gather(1, pick)
    described = torch.rand(n, generator=generator) < 0.5
    return _sequence(torch.where(described, 1 + family, 0), word, table.gather(1, word))


def batches(
    size: int = 64, *, lines: int = 16, variety: int | None = None
) -> Callable[[int, torch.Generator], tuple[Tensor, Tensor]]:
    """For `training.train`: in each step new `training_sequences`, and the same texts one token later."""

    def batch(step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        tokens = training_sequences(size, generator, lines=lines, variety=variety)
        return tokens[:, :-1], tokens[:, 1:]

    return batch


@dataclass(frozen=True)
class Prompts:
    """Questions of one kind, with as many examples each.

    Attributes:
        tokens: ``(n, 2 + 2·shots)``, description or ``<bos>``, examples, question.
        answers: ``(n,)``, the token that is right.
        choices: ids of all answers of the family, ``(choices,)``.
    """

    tokens: Tensor
    answers: Tensor
    choices: Tensor


def prompts(
    family: str,
    shots: int,
    n: int = 500,
    *,
    seed: int,
    split: Split = "test",
    described: bool = True,
    shuffled: bool = False,
    variety: int | None = None,
) -> Prompts:
    """`n` prompts with `shots` examples of different words, each prompt with a task of its own.

    A code can be known only where it was shown, so the question of a ``code`` is one of its eight words, shown or not.
    In the other families it is a word that no example shows.

    Args:
        family: a key of `DESCRIPTIONS`.
        shots: 0 to 8.
        n: number of prompts.
        seed: of everything random.
        split: which tasks.
        described: whether the prompt begins with the description.
        shuffled: the control: each example gets the answer of an example in another prompt. What the answers look like
            stays, what they have to do with the words is gone.
        variety: how many different tasks there are, see `tables`.

    Raises:
        ValueError: an unknown family or split, more examples than words, fewer than two prompts to shuffle.
    """
    if not 0 <= shots <= WORDS_IN_PROMPT:
        raise ValueError(f"a prompt has 0 to {WORDS_IN_PROMPT} examples of different words, got shots={shots}")
    if shuffled and n < 2:
        raise ValueError(f"answers are exchanged between prompts, so there must be at least 2 to shuffle, got n={n}")
    generator = seeded(seed)
    table = tables(family, n, split, generator, variety=variety)
    order = _shuffled_words(n, generator)
    word = order[:, :shots]
    number = torch.randint(WORDS_IN_PROMPT, (n,), generator=generator)  # which of its words a code is asked
    question = order.gather(1, number[:, None] if family == "code" else torch.full((n, 1), WORDS_IN_PROMPT))
    answer = table.gather(1, word)
    if shuffled:  # from the prompt some places further on, by another number of places in each column
        places = 1 + torch.rand(n - 1, generator=generator).argsort()[:shots]
        answer = answer.gather(0, (torch.arange(n)[:, None] + places) % n)
    first = torch.full((n,), 1 + list(DESCRIPTIONS).index(family) if described else 0)
    tokens = torch.cat([_sequence(first, word, answer), _FIRST_WORD + question], dim=1)
    return Prompts(tokens, table.gather(1, question)[:, 0], _choices(family))


def _choices(family: str) -> Tensor:
    begin, size = {
        "translate": (_FIRST_CHINESE, len(WORDS)),
        "code": (_FIRST_CODE, len(CODE_WORDS)),
        "sort": (_FIRST_LETTER, len(LETTERS)),
    }[family]
    return torch.arange(begin, begin + size)


def _shuffled_words(n: int, generator: torch.Generator) -> Tensor:
    """All words in an order of its own for each prompt, ``(n, words)``."""
    return torch.rand(n, len(WORDS), generator=generator).argsort(dim=-1)


def _sequence(first: Tensor, word: Tensor, answer: Tensor) -> Tensor:
    """``(n,)``, ``(n, lines)`` and ``(n, lines)`` to tokens ``(n, 1 + 2·lines)``."""
    lines = torch.stack([_FIRST_WORD + word, answer], dim=-1).flatten(1)
    return torch.cat([first[:, None], lines], dim=1)

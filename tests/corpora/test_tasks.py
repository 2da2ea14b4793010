"""Tasks of in-context learning: what is in a prompt, what is held out, and what the controls change."""

import math
from collections import Counter

import pytest
import torch

from largemodels.corpora import tasks
from largemodels.corpora.lexicon import NOUNS
from largemodels.tokenizers import Tokenizer

TOKENIZER = tasks.PromptTokenizer()
FRESH = ("code", "sort")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def lines(tokens):
    """A prompt's examples as pairs of strings, and its question, read from its text."""
    text = TOKENIZER.decode(tokens).splitlines()
    arrows = [line.split(" =>") for line in text if "=>" in line]
    return [(word, answer.strip()) for word, answer in arrows[:-1]], arrows[-1][0]


# --------------------------------------------------------------------------------------------------------------- text


def test_a_prompt_looks_as_on_the_slide():
    text = tasks.prompt("把英文翻译成中文:", [("Pre-train", "预训练"), ("Finetune", "微调")], "Large Model")
    assert text == "把英文翻译成中文:\nPre-train => 预训练\nFinetune => 微调\nLarge Model =>"
    assert tasks.prompt("", [], "dog") == "dog =>"


@pytest.mark.parametrize("family", tasks.DESCRIPTIONS)
@pytest.mark.parametrize("described", [True, False])
def test_text_and_tokens_say_the_same(family, described):
    for tokens in tasks.prompts(family, 5, 20, seed=1, described=described).tokens:
        examples, question = lines(tokens)
        text = tasks.prompt(tasks.DESCRIPTIONS[family] if described else "", examples, question)
        assert TOKENIZER.decode(tokens) == text
        assert TOKENIZER.encode(text) == tokens.tolist()


def test_tokenizer_names_what_it_does_not_know():
    assert len(set(TOKENIZER.tokens)) == len(TOKENIZER)
    assert all(TOKENIZER.id(token) == i for i, token in enumerate(TOKENIZER.tokens))
    assert TOKENIZER.encode("\n  dog=>狗 \n\n cat =>") == TOKENIZER.encode("dog => 狗\ncat =>")
    assert TOKENIZER.encode("") == [TOKENIZER.id("<bos>")]
    with pytest.raises(ValueError, match=r"'docter =>' is not a token of this PromptTokenizer.*doctor =>"):
        TOKENIZER.encode("docter => 狗")
    with pytest.raises(ValueError, match=r"token id 999 is not in the vocabulary"):
        TOKENIZER.decode([0, 999])
    with pytest.raises(ValueError, match="<bos> is no text"):
        TOKENIZER.encode("<bos>\ndog =>")


def test_its_tokenizer_is_one_like_the_others():
    assert isinstance(TOKENIZER, Tokenizer)
    assert TOKENIZER.special == ("<bos>",)
    assert TOKENIZER.decode([0, TOKENIZER.id("dog =>")], special=True) == "<bos>\ndog =>"
    with pytest.raises(TypeError, match="a text is a str"):
        TOKENIZER.encode(["dog =>"])


def test_the_dictionary_is_that_of_the_lexicon_and_the_slide():
    dictionary = {noun.singular: noun.chinese for noun in NOUNS} | {"Pre-train": "预训练", "Finetune": "微调"}
    table = tasks.tables("translate", 3, "test", generator())
    assert (table == table[0]).all()
    told = dict(zip(tasks.WORDS, (TOKENIZER.tokens[i] for i in table[0]), strict=True))
    assert told == {word: dictionary.get(word, "大模型") for word in tasks.WORDS}


# -------------------------------------------------------------------------------------------------------------- tasks


def test_codes_have_a_word_for_each_word_and_sortings_a_letter_for_each_kind():
    for table in tasks.tables("code", 200, "train", generator()).tolist():
        assert len(set(table)) == len(tasks.WORDS)
        assert {TOKENIZER.tokens[i] for i in table} <= set(tasks.CODE_WORDS)
    kind_of = [kind for kind, words in tasks.KINDS.items() for _ in words]
    for table in tasks.tables("sort", 200, "train", generator()).tolist():
        letters = set(zip(kind_of, (TOKENIZER.tokens[i] for i in table), strict=True))
        assert len(letters) == len({letter for _, letter in letters}) == len(tasks.KINDS)


@pytest.mark.slow
def test_every_sorting_is_of_training_or_of_test_and_none_of_both():
    """There are 16·15·14·13 of them, so all can be seen."""
    seen = {
        split: {tuple(t) for t in tasks.tables("sort", 150_000, split, generator()).tolist()}
        for split in ("train", "test")
    }
    possible = math.perm(16, 4)
    assert not seen["train"] & seen["test"]
    assert len(seen["train"] | seen["test"]) == pytest.approx(possible, rel=0.03)
    assert len(seen["test"]) == pytest.approx(possible / tasks.HELD_OUT, rel=0.05)


@pytest.mark.parametrize("family", FRESH)
def test_what_is_held_out_cannot_be_told_from_a_single_line(family):
    """Each answer stands beside each word equally often in test tasks (chi-square, far from its 99.9 % quantile)."""
    table = tasks.tables(family, 2_000, "test", generator(3))
    for column in table.T:
        counts = torch.tensor(list(Counter(column.tolist()).values()), dtype=torch.double)
        expected = len(table) / (48 if family == "code" else 16)
        chi_square = ((counts - expected) ** 2 / expected).sum().item()
        assert chi_square < (85.4 if family == "code" else 37.7)  # scipy.stats.chi2.ppf(0.999, 47 or 15)


def test_training_texts_hold_training_tasks_and_follow_from_the_generator():
    texts = tasks.training_sequences(400, generator(5))
    assert texts.shape == (400, 33)
    assert torch.equal(texts, tasks.training_sequences(400, generator(5)))
    assert not torch.equal(texts, tasks.training_sequences(400, generator(6)))
    families = Counter(texts[:, 0].tolist())
    assert 150 < families[0] < 250  # half have no description
    for text in texts.tolist():
        table = dict(zip(text[1::2], text[2::2], strict=True))
        assert all(table[word] == answer for word, answer in zip(text[1::2], text[2::2], strict=True))
        assert len(table) <= tasks.WORDS_IN_PROMPT


def test_little_variety_means_few_tasks():
    texts = tasks.training_sequences(3000, generator(1), variety=2)
    dog = TOKENIZER.id("dog =>")
    codes = {TOKENIZER.id(word) for word in tasks.CODE_WORDS}
    answers = {y for text in texts.tolist() for x, y in zip(text[1::2], text[2::2], strict=True) if x == dog}
    assert len(answers & codes) == 2
    asked = tasks.prompts("code", 8, 300, seed=9, split="train", variety=2).tokens.tolist()
    assert {y for text in asked for x, y in zip(text[1:-1:2], text[2:-1:2], strict=True) if x == dog} == answers & codes


def test_batches_ask_for_the_next_token():
    inputs, targets = tasks.batches(4, lines=3)(0, generator())
    assert inputs.shape == targets.shape == (4, 6)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


# ------------------------------------------------------------------------------------------------------------ prompts


@pytest.mark.parametrize("shots", [0, 1, 4, 8])
def test_how_often_the_answer_can_be_found_in_the_prompt(shots):
    n = 4000
    for family, share in (
        ("code", shots / 8),
        ("sort", 1 - math.comb(9, shots) / math.comb(11, shots)),  # two of eleven other words are of the same kind
        ("translate", 0),
    ):
        prompts = tasks.prompts(family, shots, n, seed=2)
        assert prompts.tokens.shape == (n, 2 + 2 * shots)
        found = (prompts.tokens == prompts.answers[:, None]).any(1).double().mean().item()
        assert found == pytest.approx(share, abs=4 * math.sqrt(0.25 / n)), family


@pytest.mark.parametrize("family", FRESH)
def test_shuffled_examples_keep_their_look_and_lose_their_sense(family):
    n = 2000
    plain, shuffled = (tasks.prompts(family, 8, n, seed=4, shuffled=shuffled) for shuffled in (False, True))
    assert torch.equal(plain.answers, shuffled.answers)
    assert torch.equal(plain.tokens[:, ::2].sort(0).values, shuffled.tokens[:, ::2].sort(0).values)  # same answers
    assert torch.equal(plain.tokens[:, 1::2], shuffled.tokens[:, 1::2])  # same words
    changed = (plain.tokens[:, 2::2] != shuffled.tokens[:, 2::2]).double().mean().item()
    assert changed == pytest.approx(1 - 1 / len(plain.choices), abs=0.02)


def test_two_shuffled_columns_come_from_different_prompts():
    plain, shuffled = (tasks.prompts("code", 8, 50, seed=4, shuffled=shuffled) for shuffled in (False, True))
    rows_of = {token: set((plain.tokens == token).any(1).nonzero()[:, 0].tolist()) for token in range(len(TOKENIZER))}
    for row in shuffled.tokens[:, 2::2].tolist():
        assert not set.intersection(*(rows_of[token] for token in row))


def test_prompts_are_functions_of_their_seed():
    one, same, other = (tasks.prompts("code", 3, 10, seed=seed).tokens for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_question_and_the_examples_of_a_sorting_are_different_words():
    for tokens in tasks.prompts("sort", 8, 200, seed=0).tokens:
        examples, question = lines(tokens)
        assert len({word for word, _ in examples} | {question}) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "spell", "shots": 1}, "'spell'; choose one of translate, code, sort"),
        ({"family": "code", "shots": 9}, "0 to 8 examples of different words, got shots=9"),
        ({"family": "code", "shots": -1}, "got shots=-1"),
        ({"family": "code", "shots": 1, "split": "dev"}, "got 'dev'"),
        ({"family": "code", "shots": 1, "n": 1, "shuffled": True}, "at least 2 to shuffle, got n=1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tasks.prompts(seed=0, **arguments)

"""Byte-level BPE against Hugging Face's `tokenizers`, trained on the same text; lossless for every text there is."""

import random
import time
import unicodedata
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from largemodels.corpora.english import documents
from largemodels.tokenizers import BPE
from largemodels.tokenizers.bpe import SHOWN, split_words

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FEW = st.text("aab 'sé字\n", max_size=40)  # few characters, so that much is to merge
GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")  # src/encoder.py
SAMPLES = [
    "I'll take 2 dogs,  please\n\n\tOK?  ",
    "大模型网络结构 ½ ² Ⅷ ٣",
    "e\u0301 (a combining accent), 👩\u200d👧 (a family), ﷽, \u0085\u2028\xa0\x1c.",
    "it's It'S we'RE 'twas ''ll",
    "",
]


def theirs(texts, merges, special=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + 256 + merges,
        min_frequency=2,
        special_tokens=[*special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokens_of(tokenizer):
    return [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]


@pytest.fixture(scope="module")
def texts():
    return [document.text for document in documents()][::5]


@pytest.fixture(scope="module")
def trained(texts):
    return BPE.train(texts, 1000, special=["[PAD]", "[MASK]"])


@pytest.mark.slow
def test_same_vocabulary_and_ids_as_hugging_face(texts, trained):
    expected = theirs(texts, 1000, special=["[PAD]", "[MASK]"])
    assert trained.tokens == tokens_of(expected)
    for text in [*documents("test"), *SAMPLES]:
        text = getattr(text, "text", text)
        assert trained.encode(text) == expected.encode(text).ids


@settings(max_examples=300, deadline=None)
@given(st.lists(FEW, min_size=1, max_size=4), st.integers(0, 30), FEW)
def test_ties_are_broken_as_hugging_face_does(texts, merges, text):
    """Short texts, in which almost every merge is one of many equally frequent ones."""
    found, expected = BPE.train(texts, merges), theirs(texts, merges)
    # Merges that make a token that is there already count as merges here, and not there.
    tokens = tokens_of(expected)
    assert found.tokens == tokens[: len(found)]
    if len(tokens) == len(found):
        assert found.encode(text) == expected.encode(text).ids


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_nothing_is_lost(trained, text):
    ids = trained.encode(text)
    assert trained.decode(ids) == text
    assert b"".join(bytes(SHOWN.index(c) for c in trained.tokens[i]) for i in ids) == text.encode("utf-8")


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_words_are_those_of_gpt2(text):
    text = "".join(c for c in text if unicodedata.category(c) != "Cn")  # younger than this Python's Unicode tables
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert split_words(text) == [text[begin:end] for _, (begin, end) in split] == GPT2.findall(text)


@pytest.mark.parametrize("text", SAMPLES)
def test_samples(trained, text):
    assert trained.decode(trained.encode(text)) == text
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert split_words(text) == [text[begin:end] for _, (begin, end) in split]


def test_the_classic_example():
    """The words of Sennrich, Haddow & Birch 2016, algorithm 1, and the first merges that can be counted by hand."""
    text = " ".join(["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3)
    merges = BPE.train([text], 4).merges
    assert merges[:3] == [("e", "s"), ("es", "t"), ("l", "o")]
    assert merges[3] == ("lo", "w")


def test_no_merge_crosses_words():
    merged = BPE.train(["ab ab ab ab ab"] * 10, 50)
    assert {token for token in merged.tokens if len(token) > 1} == {"ab", "Ġab"}
    assert len(merged.encode("ab ab")) == 2


def test_a_character_cut_in_two_is_shown_as_such(trained):
    ids = trained.encode("狗")
    assert len(ids) == 3
    assert trained.decode(ids[:2]) == "�"
    assert trained.decode([*ids, 1, *ids], special=True) == "狗[MASK]狗"
    assert trained.decode([*ids, 1, *ids]) == "狗狗"


def test_merges_are_all_that_has_to_be_kept(trained, texts):
    again = BPE(trained.merges, trained.special)
    assert again.tokens == trained.tokens
    assert again.encode(texts[7]) == trained.encode(texts[7])


@st.composite
def any_merges(draw):
    """Merges of three letters in any order, more than one of which may make the same token."""
    merges, tokens = [], ["a", "b", "c"]
    for _ in range(draw(st.integers(0, 12))):
        pair = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        merges.append(pair)
        tokens = [*dict.fromkeys([*tokens, "".join(pair)])]
    return merges


@settings(max_examples=300, deadline=None)
@given(any_merges(), st.text("abc", max_size=30))
def test_merges_are_applied_as_they_were_learned(merges, word):
    """One after the other over the whole word: the definition."""
    tokenizer, pieces = BPE(merges), [*word]
    while known := [pair for pair in pairwise(pieces) if pair in merges]:
        left, right = first = min(known, key=merges.index)
        i = 0
        while i < len(pieces) - 1:
            if (pieces[i], pieces[i + 1]) == first:
                pieces[i : i + 2] = [left + right]
            i += 1
    assert [tokenizer.tokens[i] for i in tokenizer.encode(word)] == pieces


class Counting(dict):
    """A dictionary that counts what it is asked."""

    asked = 0

    def get(self, key, default=None):
        self.asked += 1
        return super().get(key, default)


def test_the_work_for_a_long_word_grows_with_its_length():
    """A word of Chinese has no spaces: 8,000 characters, 24,000 bytes."""
    draw = random.Random(0)
    word = "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(8000))
    tokenizer = BPE.train([word] * 2, 500)
    expected = theirs([word] * 2, 500)
    assert tokenizer.encode(word) == expected.encode(word).ids
    tokenizer = BPE(tokenizer.merges)
    tokenizer._ranks = Counting(tokenizer._ranks)
    ids = tokenizer.encode(word)
    assert len(ids) < 22_000  # there is something to merge
    assert tokenizer._ranks.asked < 5 * 24_000


def test_training_on_one_long_word():
    draw = random.Random(0)
    word = "".join(draw.choice("abcdefgh") for _ in range(20_000))
    found, expected = BPE.train([word], 300), theirs([word], 300)
    assert found.tokens == tokens_of(expected)
    assert found.encode(word) == expected.encode(word).ids


@pytest.mark.slow
def test_training_is_fast_enough():
    """2 MB and 4,000 merges in under 30 s on one core."""
    text = "\n".join(document.text for document in documents())
    draw = random.Random(0)  # more text of the same kind, with words of its own
    words = text.split()
    more = " ".join(word if draw.random() < 0.9 else word[::-1] for word in draw.sample(words, len(words)))
    texts = [text, more]
    assert sum(map(len, texts)) > 2_000_000
    begin = time.process_time()
    found = BPE.train(texts, 4000)
    assert time.process_time() - begin < 30
    assert found.tokens == tokens_of(theirs(texts, 4000))


def test_bad_input_is_refused_clearly(trained):
    with pytest.raises(ValueError, match=r"character 2 of the text is a lone surrogate \(U\+DC00\)"):
        trained.encode("ab\udc00")
    with pytest.raises(ValueError, match=r"character 0 of the text is a lone surrogate"):
        BPE.train(["\ud800"], 10)
    with pytest.raises(ValueError, match="merges must be at least 0, got -1"):
        BPE.train(["a"], -1)
    with pytest.raises(ValueError, match="'ab' and 'c' comes before the merge that makes one of them"):
        BPE([("ab", "c"), ("a", "b")])
    with pytest.raises(ValueError, match="token id 1258 is not in the vocabulary of 1258"):
        trained.decode([1258])

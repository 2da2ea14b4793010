"""Tokenizers of words and characters, and what all tokenizers have in common."""

import pytest
import tokenizers
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from largemodels.tokenizers import BPE, Characters, Official, WordPiece, Words, train_once
from largemodels.tokenizers.wordpiece import SPECIAL

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ENGLISH = ["dogs like cats", "cats like small dogs"]


@given(TEXTS)
def test_characters_lose_nothing(text):
    tokenizer = Characters.train([text, "a"], special=["<pad>"])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) == len(text)
    assert len(tokenizer) == len({*text, "a"}) + 1


@given(TEXTS)
def test_words_lose_only_the_kind_of_space(text):
    assume(not {"<pad>", "<bos>", "<eos>"} & {*text.split()})
    tokenizer = Words.train([text, "a"])
    assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())


@pytest.mark.parametrize("kind", [Words, Characters])
def test_special_tokens_have_the_first_ids_and_no_text(kind):
    tokenizer = kind.train(ENGLISH, special=("<pad>", "<cls>"), unknown="<unk>")
    assert tokenizer.tokens[:3] == ["<pad>", "<cls>", "<unk>"]
    assert [tokenizer.id(token) for token in tokenizer.tokens] == [*range(len(tokenizer))]
    ids = [tokenizer.id("<cls>"), *tokenizer.encode("dogs like"), 0, 0]
    assert tokenizer.decode(ids) == "dogs like"
    assert tokenizer.decode(torch.tensor(ids)) == "dogs like"
    assert "<cls>" in tokenizer.decode(ids, special=True)
    # a text that spells a special token is a text
    assert tokenizer.id("<cls>") not in tokenizer.encode("<cls> dogs")


def test_the_most_frequent_come_first():
    tokenizer = Words.train(["b a b", "c b a d"], special=())
    assert tokenizer.tokens == ["b", "a", "c", "d"]
    assert Words.train(["b a b", "c b a d"], size=4, special=("<pad>",), unknown="<unk>").tokens == [
        "<pad>",
        "<unk>",
        "b",
        "a",
    ]


def test_unknown_words():
    strict, lenient = Words.train(ENGLISH), Words.train(ENGLISH, unknown="<unk>")
    with pytest.raises(ValueError, match=r"the word 'dog' is not in the vocabulary of 7 tokens \(near it: 'dogs'"):
        strict.encode("cats like dog")
    assert lenient.decode(lenient.encode("cats like dog")) == "cats like <unk>"
    with pytest.raises(ValueError, match="the character 'z'"):
        Characters.train(ENGLISH).encode("zoo")
    with pytest.raises(ValueError, match=r"'dgs' is not a token .*'dogs'"):
        strict.id("dgs")


def test_chinese_words_stand_between_spaces():
    tokenizer = Words.train(["我 喜欢 狗", "狗 不 喜欢 猫"])
    assert tokenizer.decode(tokenizer.encode("猫 喜欢 狗")) == "猫 喜欢 狗"
    with pytest.raises(ValueError, match="喜欢狗"):
        tokenizer.encode("猫 喜欢狗")


@pytest.mark.parametrize("kind", [Words, Characters])
def test_bad_input_is_refused_clearly(kind):
    tokenizer = kind.train(ENGLISH)
    with pytest.raises(TypeError, match="a text is a str, got list"):
        tokenizer.encode(["dogs"])
    with pytest.raises(ValueError, match=r"character 5 of the text is a lone surrogate \(U\+D83D\)"):
        tokenizer.encode("dogs \ud83d like")
    with pytest.raises(
        ValueError, match=rf"token id {len(tokenizer)} is not in the vocabulary of {len(tokenizer)} tokens"
    ):
        tokenizer.decode([0, len(tokenizer)])
    with pytest.raises(ValueError, match="token id -1 "):
        tokenizer.decode([-1])
    with pytest.raises(ValueError, match="the texts are empty"):
        kind.train(["", ""])
    with pytest.raises(ValueError, match="'a' stands in the vocabulary twice"):
        kind(["a", "b", "a"])
    with pytest.raises(ValueError, match="size=1 has no room beside its 2 special tokens"):
        kind.train(ENGLISH, size=1, special=("<pad>", "<eos>"))


LEARNERS = {Words: {}, Characters: {}, BPE: {"merges": 3}, WordPiece: {"size": 60}}


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_single_text_is_no_texts_to_learn_from(kind):
    """Its characters would be texts of one letter each, and no word or merge would be found in them."""
    with pytest.raises(TypeError, match=r"put a single one into a list: \[text\]"):
        kind.train("dogs like cats", **LEARNERS[kind])
    with pytest.raises(TypeError, match="a text is a str, got NoneType"):
        kind.train(["dogs", None], **LEARNERS[kind])
    if kind in (BPE, WordPiece):
        with pytest.raises(TypeError, match="put a single one into a list"):
            train_once(kind, "dogs like cats", **LEARNERS[kind])


@pytest.mark.parametrize("ids", [[[1, 2]], torch.ones(2, 3, dtype=torch.long), ["dogs"], [None]], ids=str)
def test_ids_of_several_texts_are_decoded_one_by_one(ids):
    with pytest.raises(TypeError, match="a tensor with one axis; decode several texts one by one"):
        Words.train(ENGLISH).decode(ids)


def official_byte_level():
    theirs = tokenizers.ByteLevelBPETokenizer()
    theirs.train_from_iterator(["dogs like small cats"] * 3, vocab_size=262, show_progress=False)
    return Official(theirs._tokenizer)


def official_unigram():
    pieces = ["<unk>", "▁dog", "s", "▁like", "▁small", "▁cat", "▁", ","]
    theirs = tokenizers.Tokenizer(tokenizers.models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    theirs.decoder = tokenizers.decoders.Metaspace()
    return Official(theirs)


@pytest.mark.parametrize(
    ("tokenizer", "marks_apart"),
    [
        (Words.train(["dogs , like small cats"]), True),
        (WordPiece([*SPECIAL, "dog", "##s", ",", "like", "small", "cat"]), True),
        (BPE.train(["dogs like small cats"] * 3, 9), True),
        (official_byte_level(), True),
        (official_unigram(), False),  # SentencePiece leaves a comma with its word
        (Characters.train(["dogs, like small cats"]), True),
    ],
    ids=["words", "wordpiece", "bpe", "official bpe", "official unigram", "characters"],
)
def test_tokens_that_begin_a_word(tokenizer, marks_apart):
    text = "dogs , like small cats" if isinstance(tokenizer, Words) else "dogs, like small cats"
    begins = tokenizer.begins_word()
    assert len(begins) == len(tokenizer)
    words = []
    for number, token in enumerate(tokenizer.encode(text)):
        if begins[token] or number == 0:
            words.append([])
        words[-1].append(token)
    found = [tokenizer.decode(word).strip() for word in words]
    assert found == (["dogs", ",", "like", "small", "cats"] if marks_apart else ["dogs,", "like", "small", "cats"])

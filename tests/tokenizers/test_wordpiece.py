"""WordPiece against Hugging Face's `tokenizers`, and their tokenizers behind our interface."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from largemodels.corpora.english import documents
from largemodels.tokenizers import BPE, Official, WordPiece
from largemodels.tokenizers.wordpiece import SPECIAL, normalize, split_words

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FEW = st.text("aab éÉ狗,", min_size=1, max_size=40).filter(str.strip)


def theirs(texts, size, lowercase=True):
    """Their trainer numbers ##-characters in an order that differs from run to run, so these are given to it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    normal = [tokenizer.normalizer.normalize_str(text) for text in texts]
    words = {word for text in normal for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    characters = sorted({c for word in words for c in word}) + sorted({f"##{c}" for word in words for c in word[1:]})
    first = [*SPECIAL, *characters]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(size, len(first)), min_frequency=2, special_tokens=first, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    # A fresh one, in which single characters are no special tokens.
    fresh = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    fresh.normalizer, fresh.pre_tokenizer, fresh.decoder = (
        tokenizer.normalizer,
        tokenizer.pre_tokenizer,
        tokenizer.decoder,
    )
    fresh.add_special_tokens([*SPECIAL])
    return fresh, vocabulary


@pytest.fixture(scope="module")
def texts():
    return [document.text for document in documents("test")]


@pytest.fixture(scope="module")
def trained(texts):
    return WordPiece.train(texts, 1000)


@pytest.mark.parametrize("lowercase", [True, False])
def test_same_vocabulary_and_ids_as_hugging_face(texts, lowercase):
    found = WordPiece.train(texts, 800, lowercase=lowercase)
    expected, vocabulary = theirs(texts, 800, lowercase)
    assert found.tokens == vocabulary
    assert len(found) == 800
    for text in [*texts[:100], "Un café, s'il vous plaît! 我喜欢狗 [MASK] 狗", "x" * 101, "x" * 100, ""]:
        expected.encode_special_tokens = True
        assert found.encode(text) == expected.encode(text, add_special_tokens=False).ids


@settings(max_examples=200, deadline=None)
@given(st.lists(FEW, min_size=1, max_size=4), st.integers(30, 50), FEW)
def test_ties_are_broken_as_hugging_face_does(texts, size, text):
    found, (expected, vocabulary) = WordPiece.train(texts, size), theirs(texts, size)
    assert found.tokens == vocabulary
    assert found.encode(text) == expected.encode(text, add_special_tokens=False).ids


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.booleans())
def test_words_are_those_of_bert(text, lowercase):
    # `tokenizers` goes by older tables: it does not know younger punctuation, nor all blocks of Chinese characters.
    text = "".join(c for c in text if unicodedata.category(c) == unicodedata.ucd_3_2_0.category(c) != "Cn")
    normalizer, splitter = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    found = normalize(text, lowercase)
    assert found == normalizer.normalize_str(text)
    assert split_words(found) == [word for word, _ in splitter.pre_tokenize_str(found)]


def test_the_longest_piece_is_taken():
    tokenizer = WordPiece([*SPECIAL, "em", "embed", "##bed", "##ding", "##d", "##ing", "##s"])
    cut = [tokenizer.tokens[i] for i in tokenizer.encode("Embeddings")]
    assert cut == ["embed", "##ding", "##s"]
    assert tokenizer.decode(tokenizer.encode("embeddings")) == "embeddings"
    assert tokenizer.decode(tokenizer.encode("embed embex")) == "embed [UNK]"


def test_an_official_vocabulary_has_its_special_tokens_anywhere():
    tokenizer = WordPiece(["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"])
    assert tokenizer.encode("ab [CLS]") == [6, 7, 2, 2, 2]
    assert tokenizer.decode([3, 6, 7, 4, 0]) == "ab"


def test_official_tokenizers_have_the_same_interface(texts, trained):
    expected, _ = theirs(texts, 1000)
    official = Official(expected)
    assert official.tokens == trained.tokens
    assert len(official) == len(trained)
    assert official.id("[MASK]") == trained.id("[MASK]")
    assert {*official.special} == {*trained.special}
    for text in [*texts[:20], "a [MASK] b"]:
        ids = official.encode(text)
        assert ids == trained.encode(text)
        assert official.decode([2, *ids, 3]) == " ".join(split_words(normalize(text))) == trained.decode([2, *ids, 3])
    byte_level = BPE.train(texts[:50], 50, special=["<mask>"])
    wrapped = Tokenizer(
        models.BPE({token: i for i, token in enumerate(byte_level.tokens)}, byte_level.merges),
    )
    wrapped.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrapped.decoder = decoders.ByteLevel()
    wrapped.add_special_tokens(["<mask>"])
    official = Official(wrapped)
    for text in [*texts[:20], "大模型 <mask>"]:
        assert official.encode(text) == byte_level.encode(text)
        assert official.decode([0, *official.encode(text)]) == text


def test_bad_input_is_refused_clearly(trained):
    with pytest.raises(ValueError, match="no special token '\\[MASK\\]'"):
        WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"])
    with pytest.raises(ValueError, match="the texts contain no words"):
        WordPiece.train(["", " \n"], 100)
    with pytest.raises(ValueError, match=r"size=8 is too small: 10 tokens"):
        WordPiece.train(["ab cab"], 8)
    with pytest.raises(ValueError, match="lone surrogate"):
        trained.encode("\udc00")
    with pytest.raises(ValueError, match="'##zzz' is not a token"):
        trained.id("##zzz")

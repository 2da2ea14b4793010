"""The tokenizers of checkpoints, against transformers, SentencePiece and files made here."""

import json
import shutil
from pathlib import Path

import pytest
import tokenizers
import transformers

from largemodels.gpt import GPT, GPTConfig
from largemodels.pretrained import load_tokenizer, save
from largemodels.pretrained.tokenization import read_sentencepiece

SENTENCEPIECE = Path(__file__).parent / "sentencepiece"
EXPECTED = json.loads((SENTENCEPIECE / "expected.json").read_text(encoding="utf-8"))
TEXTS = [
    "The dogs like the balls, and the balls like the dogs.",
    "  Café, naïve; 狗喜欢球! 😀 \n\t<mask> [MASK] x",
    "don't won't I'll 1234 <|endoftext|> </s>",
    "",
]


def byte_level() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A small byte-level vocabulary and its merges, trained here."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(TEXTS * 3, vocab_size=300, min_frequency=2, show_progress=False)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def write_bpe(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def assert_same(ours: tokenizers.Tokenizer, theirs: transformers.PreTrainedTokenizerBase) -> None:
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
        assert ours.encode(text, add_special_tokens=False).ids == theirs(text, add_special_tokens=False)["input_ids"]
    pair = theirs(TEXTS[0], TEXTS[1])
    assert ours.encode(TEXTS[0], TEXTS[1]).ids == pair["input_ids"]
    if "token_type_ids" in pair:
        assert ours.encode(TEXTS[0], TEXTS[1]).type_ids == pair["token_type_ids"]


# ------------------------------------------------------------------------------------------- vocabularies and merges


@pytest.mark.parametrize(
    "settings", [{}, {"do_lower_case": False}, {"do_lower_case": True, "strip_accents": False}], ids=str
)
def test_wordpiece_from_its_vocabulary(settings, tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "The", "dog", "##s", "like", "ball", "and", ",", "."]
    words += ["cafe", "café", "na", "##ive", "##ïve", "狗", "球", "don", "'", "t", "1", "##2", "x", "i", "##ll", "ll"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    ours = load_tokenizer(tmp_path)
    theirs = transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)}, **settings)
    assert_same(ours, theirs)
    assert ours.encode("The dogs").tokens[1] == ("The" if settings == {"do_lower_case": False} else "the")
    assert ours.decode(ours.encode("the dogs like the ball").ids) == "the dogs like the ball"


def test_byte_level_bpe_of_gpt2(tmp_path):
    vocabulary, merges = byte_level()
    vocabulary["<|endoftext|>"] = len(vocabulary)
    write_bpe(tmp_path, vocabulary, merges)
    ours = load_tokenizer(tmp_path)
    assert_same(ours, transformers.GPT2Tokenizer(vocab=vocabulary, merges=merges))
    for text in TEXTS:
        assert ours.decode(ours.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("space_first", [False, True])
def test_byte_level_bpe_of_roberta_and_bart(space_first, tmp_path):
    vocabulary, merges = byte_level()
    vocabulary = {token: i + 4 for token, i in vocabulary.items()} | {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    vocabulary["<mask>"] = len(vocabulary)
    write_bpe(tmp_path, vocabulary, merges)
    settings = {"add_prefix_space": space_first}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    ours = load_tokenizer(tmp_path)
    mask = tokenizers.AddedToken("<mask>", lstrip=True, normalized=False)
    theirs = transformers.RobertaTokenizer(vocab=vocabulary, merges=merges, mask_token=mask, **settings)
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"]
    assert ours.encode(TEXTS[0], TEXTS[1]).ids == theirs(TEXTS[0], TEXTS[1])["input_ids"]
    assert ours.encode("a <mask> b").ids.count(vocabulary["<mask>"]) == 1


def test_bpe_of_gpt1(tmp_path):
    tokenizer = tokenizers.CharBPETokenizer(lowercase=True)
    tokenizer.train_from_iterator(TEXTS * 3, vocab_size=90, min_frequency=1, show_progress=False)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    write_bpe(tmp_path, model["vocab"], merges)
    ours = load_tokenizer(tmp_path)
    assert_same(ours, transformers.OpenAIGPTTokenizer(vocab=model["vocab"], merges=merges))
    assert ours.decode(ours.encode("The dogs like").ids) == "the dogs like"


# ------------------------------------------------------------------------------------------------------ SentencePiece


@pytest.mark.parametrize("name", ["t5", "albert"])
def test_pieces_and_scores_are_those_that_sentencepiece_reads(name):
    pieces, normalization = read_sentencepiece(SENTENCEPIECE / f"{name}.model")
    assert [piece for piece, _, _ in pieces] == EXPECTED[name]["pieces"]
    assert [score for _, score, _ in pieces] == EXPECTED[name]["scores"]
    assert normalization


def sentencepiece_folder(name: str, folder: Path, **settings) -> Path:
    shutil.copy(SENTENCEPIECE / f"{name}.model", folder / "spiece.model")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def test_tokens_of_t5_are_those_of_sentencepiece(tmp_path):
    ours = load_tokenizer(sentencepiece_folder("t5", tmp_path))
    for text, ids in zip(EXPECTED["texts"], EXPECTED["t5"]["ids"], strict=True):
        assert ours.encode(text).ids == [*ids, 1]
    size = len(EXPECTED["t5"]["pieces"])
    assert ours.token_to_id("<extra_id_99>") == size
    assert ours.token_to_id("<extra_id_0>") == size + 99 == ours.get_vocab_size() - 1
    assert ours.encode("the <extra_id_0> is").ids.count(size + 99) == 1
    assert ours.decode(ours.encode(EXPECTED["texts"][0]).ids) == EXPECTED["texts"][0]


def test_tokens_of_albert_are_those_of_sentencepiece(tmp_path):
    folder = sentencepiece_folder("albert", tmp_path, do_lower_case=False, keep_accents=True)
    ours = load_tokenizer(folder)
    first, last = EXPECTED["albert"]["pieces"].index("[CLS]"), EXPECTED["albert"]["pieces"].index("[SEP]")
    for text, ids in zip(EXPECTED["texts"], EXPECTED["albert"]["ids"], strict=True):
        assert ours.encode(text).ids == [first, *ids, last]
    pair = ours.encode("a", "b")
    second = pair.ids.index(last) + 1
    assert pair.type_ids == [0] * second + [1] * (len(pair.ids) - second)
    assert ours.encode("a [MASK] b").ids.count(ours.token_to_id("[MASK]")) == 1
    # What ALBERT does before SentencePiece: lower case, no accents, straight quotes.
    lowered = load_tokenizer(sentencepiece_folder("albert", tmp_path))
    assert lowered.encode("ThÉ ``tést''").ids == ours.encode('the "test"').ids


def test_the_normal_pipeline_around_unigram_is_that_of_transformers(tmp_path):
    for name, kind in (("t5", transformers.T5Tokenizer), ("albert", transformers.AlbertTokenizer)):
        ours = load_tokenizer(sentencepiece_folder(name, tmp_path))
        pieces, table = read_sentencepiece(SENTENCEPIECE / f"{name}.model")
        vocabulary = [(piece, score) for piece, score, _ in pieces]
        if name == "t5":
            vocabulary += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(100))]
        assert_same(ours, kind(vocab=vocabulary, _spm_precompiled_charsmap=table))


# ----------------------------------------------------------------------------------------- tokenizer.json, and saving


def make_tokenizer() -> tokenizers.Tokenizer:
    vocabulary, merges = byte_level()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def test_tokenizer_json_comes_first_and_neither_truncates_nor_pads(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "vocab.txt").write_text("[UNK]\n", encoding="utf-8")
    ours = load_tokenizer(tmp_path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in TEXTS:
        assert ours.encode(text).ids == tokenizer.encode(text).ids


def test_a_saved_tokenizer_opens_in_transformers(tmp_path):
    tokenizer = make_tokenizer()
    model = GPT(GPTConfig(vocab_size=tokenizer.get_vocab_size(), d_model=12, num_layers=1, num_heads=2))
    save(model, tmp_path, tokenizer=tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == tokenizer.encode(text).ids == load_tokenizer(tmp_path).encode(text).ids
        assert theirs.decode(theirs(text)["input_ids"]) == text


# ---------------------------------------------------------------------------------------------------------- bad input


def test_no_files_that_a_tokenizer_can_be_made_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json, vocab\.txt"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"merges\.txt, is missing"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "spiece.model"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[UNK", b"\x0a\xff\xff\xff\xff\x0f"])
def test_damaged_files(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("cut", [1, 10, 1000, 3000])
def test_truncated_sentencepiece_model(cut, tmp_path):
    whole = (SENTENCEPIECE / "t5.model").read_bytes()
    (tmp_path / "spiece.model").write_bytes(whole[:cut])
    with pytest.raises(ValueError, match=r"spiece\.model"):
        load_tokenizer(tmp_path)


def test_a_sentencepiece_model_of_another_kind(tmp_path):
    bpe = b"\x0a\x03\x0a\x01a" + b"\x12\x02\x18\x02"  # one piece; trainer_spec with model_type 2
    (tmp_path / "spiece.model").write_bytes(bpe)
    with pytest.raises(ValueError, match="not a unigram model"):
        load_tokenizer(tmp_path)
    no_space_first = b"\x0a\x03\x0a\x01a" + b"\x1a\x02\x18\x00"  # normalizer_spec with add_dummy_prefix false
    (tmp_path / "spiece.model").write_bytes(no_space_first)
    with pytest.raises(ValueError, match=r"spiece\.model .* no space before a text"):
        load_tokenizer(tmp_path)

"""The files of tokenizers as other people write them: line ends, marks, settings, added tokens, and what is no such file."""

import json
import shutil
from pathlib import Path

import pytest
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from largemodels.bart import BART, BARTConfig
from largemodels.bert import BERT, BERTConfig
from largemodels.gpt import GPT, GPTConfig
from largemodels.pretrained import load_tokenizer, save
from largemodels.tokenizers import Official

SENTENCEPIECE = Path(__file__).parent / "sentencepiece"
EXPECTED = json.loads((SENTENCEPIECE / "expected.json").read_text(encoding="utf-8"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# str.splitlines breaks at all of these, open(…) at \r besides \n.
NO_LINE_ENDS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def write(folder: Path, name: str, content: str | dict | list[str]) -> None:
    """A file as it stands there: a text, JSON, or lines."""
    if isinstance(content, list):
        content = "\n".join(content) + "\n"
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    (folder / name).write_bytes(text.encode())


def write_bert(folder: Path, words: list[str], special: list[str] = SPECIAL, **options) -> None:
    write(folder, "vocab.txt", special + words)
    write(folder, "config.json", {"model_type": "bert"})
    write(folder, "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"} | options)


def ids(folder: Path, text: str) -> list[int]:
    return load_tokenizer(folder).encode(text, add_special_tokens=False).ids


# ------------------------------------------------------------------------------------------------------ lines and marks


@pytest.mark.parametrize("character", NO_LINE_ENDS, ids=repr)
def test_only_a_line_feed_ends_a_line_of_vocab_txt(character, tmp_path):
    write(tmp_path, "vocab.txt", [*SPECIAL, character, f"x{character}y", "dog", "ball"])
    assert ids(tmp_path, "dog ball") == [7, 8]
    assert load_tokenizer(tmp_path).id_to_token(5) == character


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1), unique=True))
def test_ids_of_a_vocabulary_are_those_of_transformers(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("vocab")
    write_bert(folder, [*(word for word in words if word not in SPECIAL), "dog"])
    ours = load_tokenizer(folder).get_vocab(with_added_tokens=True)
    assert ours == transformers.models.bert.tokenization_bert.load_vocab(folder / "vocab.txt")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_files_that_an_editor_has_saved(mark, end, last, tmp_path):
    lines = [*SPECIAL, "dog", "\u2028", "ball"]
    write(tmp_path, "vocab.txt", mark + end.join(lines) + end * last)
    write(tmp_path, "tokenizer_config.json", mark + '{"do_lower_case":' + end + "false}" + end)
    assert ids(tmp_path, "dog ball Ball") == [5, 7, 1]
    (tmp_path / "vocab.txt").unlink()
    write(tmp_path, "vocab.json", mark + json.dumps({"a": 0, "b": 1, "ab": 2, "\u2028": 3, "a\u2028": 4}))
    write(tmp_path, "merges.txt", mark + end.join(["#version: 0.2", "a b"]) + end * last)
    assert ids(tmp_path, "abab") == [2, 2]
    text = load_tokenizer(tmp_path).to_str()
    (tmp_path / "merges.txt").unlink()
    write(tmp_path, "tokenizer.json", mark + text.replace("\n", end))
    assert ids(tmp_path, "abab") == [2, 2]


@pytest.mark.parametrize("character", [*NO_LINE_ENDS, "\u3000", "\xa0"], ids=repr)
def test_only_a_line_feed_ends_a_merge_and_only_a_space_divides_it(character, tmp_path):
    """In the manner of GPT-1, whose tokens are characters and no bytes."""
    tokens = ["<unk>", "a", "b</w>", "c</w>", character, f"{character}b</w>", f"a{character}", "ab</w>", "c"]
    write(tmp_path, "vocab.json", {token: i for i, token in enumerate(tokens)})
    write(tmp_path, "merges.txt", ["#version: 0.2", f"a {character}", f"{character} b</w>", "a b</w>"])
    assert ids(tmp_path, "ab c") == [7, 3]
    merges = json.loads(load_tokenizer(tmp_path).to_str())["model"]["merges"]
    assert merges == [["a", character], [character, "b</w>"], ["a", "b</w>"]]


# -------------------------------------------------------------------------------------------------------- special names


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("described", [False, True])
def test_special_tokens_with_other_names(file, described, tmp_path):
    names = {
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    }
    flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "__type": "AddedToken"}
    if file == "special_tokens_map.json":
        del flags["__type"]  # only the other file has it
    values = {role: {"content": name} | flags if described else name for role, name in names.items()}
    write_bert(tmp_path, ["dog", "ball"], special=[*names.values()])
    write(tmp_path, file, values | {"tokenizer_class": "BertTokenizer"})
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("dog ball cat", "<mask> dog </s>", ""):
        assert ours.encode(text).ids == theirs(text)["input_ids"]
    assert ours.encode("dog", "ball").ids == theirs("dog", "ball")["input_ids"] == [2, 5, 3, 6, 3]
    assert ours.encode("dog", "ball").type_ids == [0, 0, 0, 1, 1]
    assert ours.decode([2, 5, 4, 3], skip_special_tokens=True) == "dog"


def test_special_tokens_with_other_names_that_nobody_tells(tmp_path):
    write(tmp_path, "vocab.txt", ["<pad>", "<unk>", "<s>", "</s>", "dog"])
    told = r'vocab\.txt has no \[UNK\], \[CLS\], \[SEP\].*it has <pad>, <unk>, <s>, </s>.*tokenizer_config\.json.*"unk_token"'
    with pytest.raises(ValueError, match=told):
        load_tokenizer(tmp_path)
    write(tmp_path, "tokenizer_config.json", {"unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"})
    assert ids(tmp_path, "dog cat") == [4, 1]
    write(tmp_path, "tokenizer_config.json", {"unk_token": "<unknown>", "cls_token": "<s>", "sep_token": "</s>"})
    with pytest.raises(ValueError, match=r"vocab\.txt has no <unknown>"):
        load_tokenizer(tmp_path)


def test_special_tokens_of_a_sentencepiece_model_that_are_not_there(tmp_path):
    shutil.copy(SENTENCEPIECE / "t5.model", tmp_path / "spiece.model")
    write(tmp_path, "tokenizer_config.json", {"eos_token": "<eos>"})
    with pytest.raises(ValueError, match=r"spiece\.model has no <eos>.*<pad>, </s>, <unk>"):
        load_tokenizer(tmp_path)


# --------------------------------------------------------------------------------------------------------- added tokens


ADDED = {"covid": 7, "[NEW]": 8}


def test_added_tokens_of_an_older_checkpoint(tmp_path):
    write_bert(tmp_path, ["dog", "ball"])
    write(tmp_path, "added_tokens.json", ADDED)
    write(tmp_path, "special_tokens_map.json", {"additional_special_tokens": ["[NEW]"]})
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("dog covid ball", "dog[NEW]ball", "covid dog [NEW]"):
        assert ours.encode(text).ids == theirs(text)["input_ids"]
    assert ours.token_to_id("covid") == 7
    assert ours.decode([5, 7, 8]) == "dog covid"
    assert Official(ours).special == (*SPECIAL, "[NEW]")


def describe(tokens: dict[str, int], special: set[str]) -> dict[str, dict]:
    flags = {"lstrip": False, "rstrip": False, "single_word": False}
    return {
        str(i): {"content": token, "special": token in special, "normalized": token not in special} | flags
        for token, i in tokens.items()
    }


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json"])
def test_added_tokens_of_a_newer_checkpoint(form, tmp_path):
    """Beside a tokenizer.json, too: it may have been written before they were added."""
    known = {token: i for i, token in enumerate(SPECIAL)}
    write_bert(tmp_path, ["dog", "ball"], added_tokens_decoder=describe(known | ADDED, {*SPECIAL, "[NEW]"}))
    if form == "tokenizer.json":
        plain = tmp_path / "plain"
        plain.mkdir()
        write_bert(plain, ["dog", "ball"])
        load_tokenizer(plain).save(str(tmp_path / "tokenizer.json"))
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("dog covid ball", "dog[NEW]ball", "covid dog [NEW] [MASK]", "COVID"):
        assert ours.encode(text).ids == theirs(text)["input_ids"]
    assert (ours.token_to_id("covid"), ours.token_to_id("[NEW]")) == (7, 8)


def test_added_tokens_keep_their_ids(tmp_path):
    write_bert(tmp_path, ["[unused0]", "dog"])
    write(tmp_path, "added_tokens.json", {"covid": 5, "late": 12, "later": 13})
    ours = load_tokenizer(tmp_path)
    assert ours.encode("covid dog late later", add_special_tokens=False).ids == [5, 6, 12, 13]
    write(tmp_path, "added_tokens.json", {"dog": 9})
    with pytest.raises(ValueError, match=r"added_tokens\.json gives 'dog' the id 9.*6.*do not belong together"):
        load_tokenizer(tmp_path)


def test_an_added_token_far_beyond_the_vocabulary(tmp_path):
    write_bert(tmp_path, ["dog"])
    write(tmp_path, "added_tokens.json", {"<new>": 30_000})
    assert ids(tmp_path, "dog <new>") == [5, 30_000]
    write(tmp_path, "added_tokens.json", {"<new>": 2**32})
    with pytest.raises(
        ValueError, match=r"added_tokens.json gives '<new>' the id 4294967296, but .* ends at 5; .*one check"
    ):
        load_tokenizer(tmp_path)


def test_a_word_that_stands_in_the_vocabulary_twice_leaves_the_other_ids_alone(tmp_path):
    write_bert(tmp_path, ["dog", "dog", "ball"])
    write(tmp_path, "added_tokens.json", {"covid": 8})
    assert ids(tmp_path, "dog ball covid") == [6, 7, 8]
    (tmp_path / "added_tokens.json").unlink()
    write(tmp_path, "special_tokens_map.json", {"bos_token": "<bos>"})
    assert ids(tmp_path, "dog ball<bos>") == [6, 7, 8]


def test_a_role_whose_token_is_new_makes_a_token_as_in_transformers(tmp_path):
    vocabulary = {"a": 0, "b": 1, "<|endoftext|>": 2}
    write(tmp_path, "vocab.json", vocabulary)
    write(tmp_path, "merges.txt", ["#version: 0.2"])
    write(tmp_path, "config.json", {"model_type": "gpt2"})
    write(tmp_path, "special_tokens_map.json", {"pad_token": "[PAD]", "eos_token": "<|endoftext|>"})
    write(tmp_path, "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours.encode("ab[PAD]a<|endoftext|>").ids == theirs("ab[PAD]a<|endoftext|>")["input_ids"] == [0, 1, 3, 0, 2]


def test_a_mask_that_takes_no_space_or_takes_one(tmp_path):
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "a", "Ġ", "<mask>"])}
    write(tmp_path, "vocab.json", vocabulary)
    write(tmp_path, "merges.txt", [])
    assert ids(tmp_path, "a <mask>") == [4, 6]
    for lstrip, expected in ((True, [4, 6]), (False, [4, 5, 6])):
        mask = {"content": "<mask>", "lstrip": lstrip, "rstrip": False, "normalized": False, "single_word": False}
        write(tmp_path, "special_tokens_map.json", {"mask_token": mask})
        assert ids(tmp_path, "a <mask>") == expected


# ------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("accents", [None, True, False])
@pytest.mark.parametrize("chinese", [True, False])
def test_case_and_accents_beside_a_tokenizer_json(lower, accents, chinese, tmp_path):
    words = ["dog", "Dog", "cafe", "café", "Café", "Cafe", "狗", "球", "狗球"]
    options = {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    write_bert(tmp_path, words)
    load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))  # lower case
    write_bert(tmp_path, words, **options)
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("Dog dog Café café Cafe 狗球", "DOG [MASK]"):
        assert ours.encode(text).ids == theirs(text)["input_ids"]
    (tmp_path / "tokenizer.json").unlink()
    assert load_tokenizer(tmp_path).encode("Dog Café 狗球").ids == ours.encode("Dog Café 狗球").ids


def test_without_settings_a_tokenizer_json_has_the_word(tmp_path):
    write_bert(tmp_path, ["dog", "Dog"], do_lower_case=False)
    load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, "tokenizer_config.json", {"model_max_length": 512})
    assert ids(tmp_path, "Dog") == [6]


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend"])
@pytest.mark.parametrize("written", [True, False])
def test_beside_a_class_for_any_kind_a_tokenizer_json_has_the_word(written, name, tmp_path):
    """tokenizer_config.json keeps the choices of the class that was there before, and `transformers` does not read them."""
    write_bert(tmp_path, ["dog", "Dog", "cafe", "café", "狗", "狗球"], do_lower_case=written, strip_accents=written)
    load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    left = {"do_lower_case": not written, "strip_accents": not written, "tokenize_chinese_chars": False}
    write(tmp_path, "tokenizer_config.json", {"tokenizer_class": name} | left)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("Dog dog café 狗球", "DOG [MASK]"):
        assert load_tokenizer(tmp_path).encode(text).ids == theirs(text)["input_ids"]

    written_byte_level = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "Ġ": 1, "Ġa": 2}, [("Ġ", "a")]))
    written_byte_level.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=written)
    written_byte_level.save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, "tokenizer_config.json", {"tokenizer_class": name, "add_prefix_space": not written})
    assert ids(tmp_path, "a") == transformers.AutoTokenizer.from_pretrained(tmp_path)("a")["input_ids"]


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
def test_alberts_case_beside_a_tokenizer_json(written, asked, tmp_path):
    shutil.copy(SENTENCEPIECE / "albert.model", tmp_path / "spiece.model")
    write(tmp_path, "tokenizer_config.json", {"do_lower_case": written})
    both = {text: ids(tmp_path, text) for text in ("The test", "the test")}
    load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    options = {} if asked is None else {"do_lower_case": asked}
    write(tmp_path, "tokenizer_config.json", {"tokenizer_class": "AlbertTokenizer"} | options)
    lowered = written if asked is None else asked
    assert (ids(tmp_path, "The test") == both["the test"]) == lowered


@pytest.mark.parametrize("asked", [True, False, None])
def test_a_space_before_the_text_beside_a_tokenizer_json(asked, tmp_path):
    write(tmp_path, "vocab.json", {"a": 0, "Ġ": 1, "Ġa": 2})
    write(tmp_path, "merges.txt", ["Ġ a"])
    load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, "tokenizer_config.json", {"add_prefix_space": asked})
    assert ids(tmp_path, "a a") == ([2, 2] if asked else [0, 2])


# -------------------------------------------------------------------------------------------------------- SentencePiece


@pytest.mark.parametrize("name", ["t5", "albert", "marks", "bytes"])
def test_pieces_are_those_of_sentencepiece(name, tmp_path):
    """User-defined pieces, control pieces that a text spells, bytes for what has no piece."""
    shutil.copy(SENTENCEPIECE / f"{name}.model", tmp_path / "spiece.model")
    write(tmp_path, "tokenizer_config.json", {"do_lower_case": False, "keep_accents": True})
    ours = Official(load_tokenizer(tmp_path))
    assert ours.tokens[: len(EXPECTED[name]["pieces"])] == EXPECTED[name]["pieces"]
    texts = EXPECTED["texts"] + EXPECTED["spelled"]
    for text, expected in zip(texts, EXPECTED[name]["ids"] + EXPECTED[name]["spelled"], strict=True):
        assert ours.encode(text) == expected, text


def test_user_defined_pieces_make_no_spaces(tmp_path):
    shutil.copy(SENTENCEPIECE / "marks.model", tmp_path / "spiece.model")
    tokenizer = load_tokenizer(tmp_path)
    tokens = tokenizer.encode("pi (is) 3.14-2", add_special_tokens=False).tokens
    assert "".join(tokens) == "▁pi▁(is)▁3.14-2"
    assert {"(", ")", ".", "-"} < {*tokens}
    text = "a well-known fact (yes)... no"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert not [t for t in tokenizer.get_added_tokens_decoder().values() if not t.special]


def test_bytes_are_written_and_read(tmp_path):
    shutil.copy(SENTENCEPIECE / "bytes.model", tmp_path / "spiece.model")
    tokenizer = load_tokenizer(tmp_path)
    for text in ("漢字 are 😀 well", "a <0x41> b"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert "<0xF0>" in tokenizer.encode("😀").tokens
    assert "<0x41>" not in tokenizer.encode("a <0x41> b").tokens


# --------------------------------------------------------------------------------------------------------------- saving


def test_roles_are_saved(tmp_path):
    write_bert(tmp_path, ["a", "b"])
    model = BERT(BERTConfig(vocab_size=7, max_length=8, d_model=4, num_layers=1, num_heads=1))
    ours = load_tokenizer(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(save(model, tmp_path / "saved", tokenizer=ours))
    names = [theirs.pad_token, theirs.unk_token, theirs.cls_token, theirs.sep_token, theirs.mask_token]
    assert names == SPECIAL
    batch = theirs(["a b a", "b [MASK]"], padding=True)
    assert batch["input_ids"] == [[2, 5, 6, 5, 3], [2, 6, 4, 3, 0]]
    assert load_tokenizer(tmp_path / "saved").encode("b [MASK]").ids == [2, 6, 4, 3]


def test_roles_of_roberta_and_bart_are_saved_with_the_space_that_the_mask_takes(tmp_path):
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "a", "Ġ", "<mask>"])}
    write(tmp_path, "vocab.json", vocabulary)
    write(tmp_path, "merges.txt", [])
    ours = load_tokenizer(tmp_path)
    model = BART(BARTConfig(vocab_size=7, d_model=4, num_heads=1, num_encoder_layers=1, num_decoder_layers=1))
    theirs = transformers.AutoTokenizer.from_pretrained(save(model, tmp_path / "saved", tokenizer=ours))
    assert (theirs.bos_token, theirs.eos_token, theirs.cls_token, theirs.sep_token) == ("<s>", "</s>", "<s>", "</s>")
    assert (theirs.pad_token, theirs.unk_token, theirs.mask_token) == ("<pad>", "<unk>", "<mask>")
    assert theirs("a <mask>")["input_ids"] == ours.encode("a <mask>").ids == [0, 4, 6, 2]


@pytest.mark.parametrize(
    ("special", "roles"),
    [
        (["<|endoftext|>"], {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}),
        (["<pad>", "<eos>"], {"pad_token": "<pad>", "eos_token": "<eos>"}),
        (["[BOS]", "[EOS]", "<|pad|>"], {"bos_token": "[BOS]", "eos_token": "[EOS]", "pad_token": "<|pad|>"}),
        (["<extra_id_0>", "<s>NOTUSED"], {}),
    ],
    ids=str,
)
def test_roles_are_told_from_names(special, roles, tmp_path):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(special)
    model = GPT(GPTConfig(vocab_size=tokenizer.get_vocab_size(), d_model=12, num_layers=1, num_heads=2))
    save(model, tmp_path, tokenizer=tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    found = {role: token for role, token in theirs.special_tokens_map.items() if role.endswith("_token")}
    assert found == roles
    assert theirs(f"a {special[0]} a")["input_ids"] == load_tokenizer(tmp_path).encode(f"a {special[0]} a").ids


# ------------------------------------------------------------------------------------------------------- no such files

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ba1e\nsize 466062\n"
INSTEAD = {
    "git lfs pull": POINTER,
    "web page": b"\n<!DOCTYPE html><html><body>huggingface</body></html>",
    "a server's answer": b"Entry not found",
    "server's answer": b'{"error":"Repository not found"}',
    "'Invalid username or password.'": b"Invalid username or password.",
}


@pytest.mark.parametrize("told", INSTEAD)
@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "spiece.model", "vocab.json", "merges.txt"])
def test_what_was_saved_in_place_of_a_file(name, told, tmp_path):
    if name == "merges.txt":
        write(tmp_path, "vocab.json", {"a": 0})
    if name == "vocab.json":
        write(tmp_path, "merges.txt", [])
    (tmp_path / name).write_bytes(INSTEAD[told])
    with pytest.raises(ValueError, match=rf"{name}.*{told}"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"])
def test_settings_that_are_none(name, tmp_path):
    write_bert(tmp_path, ["dog"])
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(ValueError, match=rf"{name}.*git lfs pull"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("tokenizer_config.json", {"do_lower_case": "yes"}, "do_lower_case must be true or false, got 'yes'"),
        ("tokenizer_config.json", {"unk_token": 5}, r"unk_token must name a token, \"\[PAD\]\".*got 5"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": "a"}}, "added_tokens_decoder: 'x' is not a token id"),
        ("special_tokens_map.json", {"pad_token": {"lstrip": True}}, "pad_token must name a token"),
        ("added_tokens.json", {"a": "b"}, "'b' is not a token id"),
        ("added_tokens.json", {"a": -1}, "-1 is not a token id"),
    ],
    ids=str,
)
def test_settings_with_something_else_in_them(name, content, told, tmp_path):
    write_bert(tmp_path, ["dog"])
    write(tmp_path, name, content)
    with pytest.raises(ValueError, match=rf"{name}.*{told}"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": ["a b"],
                "continuing_subword_prefix": "##",
            }
        },
    ],
    ids=["normalizer", "model"],
)
def test_a_tokenizer_json_at_which_tokenizers_gives_up(part, tmp_path):
    """It panics, as Rust has it: no `Exception` in Python, so that only a BaseException would catch it."""
    whole = json.loads(tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, [])).to_str())
    write(tmp_path, "tokenizer.json", whole | part)
    with pytest.raises(ValueError, match=r"tokenizer.json is not a tokenizer that can be read .*download it again"):
        load_tokenizer(tmp_path)


def test_merges_that_are_none_or_belong_to_another_vocabulary(tmp_path):
    write(tmp_path, "vocab.json", {"a": 0, "b": 1})
    write(tmp_path, "merges.txt", ["#version: 0.2", "a b"])
    with pytest.raises(ValueError, match=r"merges\.txt merges 'a' and 'b', but vocab\.json.*do not belong together"):
        load_tokenizer(tmp_path)
    write(tmp_path, "merges.txt", ["a b c"])
    with pytest.raises(ValueError, match=r"merges\.txt, line 1: a merge is two tokens.*got 'a b c'"):
        load_tokenizer(tmp_path)
    write(tmp_path, "merges.txt", [])
    write(tmp_path, "vocab.json", {"a": "0"})
    with pytest.raises(ValueError, match=r"vocab\.json must give a whole number"):
        load_tokenizer(tmp_path)

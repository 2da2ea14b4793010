"""The tokenizers of official checkpoints, run by Hugging Face's `tokenizers`.

A recent checkpoint brings ``tokenizer.json``, which says everything. An older one brings only the vocabulary, and what
is done around it stood in each model's code; it stands here now:

============================  ===============================  ==================
file                          tokenizer                        checkpoints
============================  ===============================  ==================
vocab.txt                     WordPiece                        BERT
vocab.json, merges.txt        byte-level BPE                   GPT-2, GPT-Neo, RoBERTa, BART
vocab.json, merges.txt        BPE with an end-of-word mark     GPT-1
spiece.model                  SentencePiece, unigram           T5, ALBERT
============================  ===============================  ==================
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from .files import Source, read_json, replacing, write_json

SETTINGS = "tokenizer_config.json"


def load_tokenizer(folder_or_repo_id: str | os.PathLike) -> Tokenizer:
    """The tokenizer of a checkpoint: ``.encode(text).ids`` gives token ids, ``.decode(ids)`` the text.

    It neither truncates nor pads; `enable_truncation` and `enable_padding` let it.

    Raises:
        FileNotFoundError: no such folder, or no file in it that a tokenizer can be made from.
        ConnectionError: no such folder, and no network to look for a repository of this name.
        ValueError: a damaged file.
    """
    source = Source(folder_or_repo_id)
    path = source.first("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
    if path is None:
        raise FileNotFoundError(
            f"{source.name} holds none of the files that a tokenizer can be made from: tokenizer.json, vocab.txt, "
            "vocab.json with merges.txt, spiece.model"
        )
    settings_path = None if path.name == "tokenizer.json" else source.first(SETTINGS)
    settings = read_json(settings_path) if settings_path else {}
    try:
        if path.name == "tokenizer.json":
            tokenizer = Tokenizer.from_file(str(path))
        elif path.name == "vocab.txt":
            tokenizer = _wordpiece(path, settings)
        elif path.name == "vocab.json":
            merges = source.first("merges.txt")
            if merges is None:
                raise FileNotFoundError(f"{path} is one half of a tokenizer; the other, merges.txt, is missing")
            tokenizer = _bpe(path, merges, settings)
        else:
            tokenizer = _unigram(path, settings)
    except FileNotFoundError:
        raise
    except Exception as error:  # `tokenizers` raises nothing more specific
        raise ValueError(f"{path} is not a tokenizer that can be read ({error}); download it again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, and what `transformers` needs to open it."""
    with replacing(folder / "tokenizer.json") as part:
        tokenizer.save(str(part))
    write_json(folder, SETTINGS, {"tokenizer_class": "PreTrainedTokenizerFast"})


# ------------------------------------------------------------------------------------------------- WordPiece and BPE


def _wordpiece(path: Path, settings: dict[str, Any]) -> Tokenizer:
    """BERT's. Source: Devlin et al. 2018 (arXiv 1810.04805) and the authors' tokenization.py."""
    tokens = path.read_text(encoding="utf-8").splitlines()
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    _mark_special(tokenizer, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer.post_processor = _between(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def _bpe(vocabulary: Path, merges: Path, settings: dict[str, Any]) -> Tokenizer:
    """GPT-1's if words end with </w>, otherwise byte-level.

    Sources: Sennrich, Haddow & Birch 2016 (arXiv 1508.07909); byte-level: Radford et al. 2019, section 2.2.
    """
    tokens = read_json(vocabulary)
    pairs = [tuple(line.split()) for line in merges.read_text(encoding="utf-8").splitlines()]
    pairs = [pair for pair in pairs if len(pair) == 2 and pair[0] != "#version:"]
    if any(token.endswith("</w>") for token in tokens):
        tokenizer = Tokenizer(models.BPE(tokens, pairs, unk_token="<unk>", end_of_word_suffix="</w>"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
        _mark_special(tokenizer, "<unk>")
        return tokenizer
    tokenizer = Tokenizer(models.BPE(tokens, pairs))
    space_first = settings.get("add_prefix_space", False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space_first)
    tokenizer.decoder = decoders.ByteLevel()
    _mark_special(tokenizer, "<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>")
    if "<mask>" in tokens:  # takes the space before it, so that "a <mask>" is two tokens
        tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    if "<s>" in tokens and "</s>" in tokens:
        ends = (("</s>", tokens["</s>"]), ("<s>", tokens["<s>"]))
        tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=space_first)
    return tokenizer


def _mark_special(tokenizer: Tokenizer, *tokens: str) -> None:
    """These, where the vocabulary has them, are found in a text before it is cut into words."""
    found = [token for token in tokens if tokenizer.token_to_id(token) is not None]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in found])


def _between(tokenizer: Tokenizer, start: str, end: str) -> processors.TemplateProcessing:
    """One text as [CLS] … [SEP], two as [CLS] … [SEP] … [SEP], the second with segment 1."""
    return processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )


# ------------------------------------------------------------------------------------------------------ SentencePiece

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # kinds of pieces


def _unigram(path: Path, settings: dict[str, Any]) -> Tokenizer:
    """T5's and ALBERT's. Source: Kudo 2018 (arXiv 1804.10959); Kudo & Richardson 2018 (arXiv 1808.06226)."""
    pieces, normalization = read_sentencepiece(path)
    names = [piece for piece, _, _ in pieces]
    scores = [(piece, score) for piece, score, _ in pieces]
    albert = "[CLS]" in names
    if not albert:  # T5's sentinels follow, the first one last
        count = settings.get("extra_ids", 100)
        scores += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(count))]
    unknown = next((i for i, (_, _, kind) in enumerate(pieces) if kind == UNKNOWN), None)
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=unknown))

    steps = [normalizers.Precompiled(normalization)] if normalization else []
    if albert:
        steps = [*_albert_normalizers(settings), *steps, normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    marks = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), marks])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")

    special = [piece for piece, _, kind in pieces if kind in (UNKNOWN, CONTROL)]
    sentinels = [piece for piece, _ in scores[len(pieces) :]]
    _mark_special(tokenizer, *special, *sentinels)
    own = [piece for piece, _, kind in pieces if kind == USER_DEFINED and piece != "[MASK]"]
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in own])
    if albert:
        tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
        tokenizer.post_processor = _between(tokenizer, "[CLS]", "[SEP]")
    else:
        end = ("</s>", tokenizer.token_to_id("</s>"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[end]
        )
    return tokenizer


def _albert_normalizers(settings: dict[str, Any]) -> list[normalizers.Normalizer]:
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.get("do_lower_case", True):
        steps += [normalizers.Lowercase()]
    return steps


def read_sentencepiece(path: Path) -> tuple[list[tuple[str, float, int]], bytes]:
    """The pieces with their scores and kinds, and the table by which texts are normalised.

    A SentencePiece model is a Protocol Buffers message; the numbers are those of its fields in sentencepiece_model.proto.
    """
    pieces, normalization = [], b""
    for number, value in _message(path.read_bytes()):
        if number == 1:
            piece = dict(_message(value))
            score = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
            pieces.append((piece[1].decode("utf-8"), score, piece.get(3, 1)))
        elif number == 2 and dict(_message(value)).get(3, 1) != 1:
            raise ValueError("it is not a unigram model, the only kind that T5 and ALBERT have")
        elif number == 3:
            normalization = dict(_message(value)).get(2, b"")
    if not pieces:
        raise ValueError("it holds no pieces")
    return pieces, normalization


def _message(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a Protocol Buffers message: number and value, a whole number or bytes."""
    position = 0

    def varint() -> int:
        nonlocal position
        result = shift = 0
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while position < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"a field of kind {kind} at byte {position}")
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        if position + length > len(data):
            raise ValueError(f"it ends in the middle of a field, at byte {len(data)}")
        yield key >> 3, data[position : position + length]
        position += length

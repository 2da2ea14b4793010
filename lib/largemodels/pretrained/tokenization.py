"""The tokenizers of official checkpoints, run by Hugging Face's `tokenizers`.

A recent checkpoint brings ``tokenizer.json``, which says nearly everything. An older one brings only the vocabulary, and
what is done around it stood in each model's code; it stands here now:

============================  ===============================  ==================
file                          tokenizer                        checkpoints
============================  ===============================  ==================
vocab.txt                     WordPiece                        BERT
vocab.json, merges.txt        byte-level BPE                   GPT-2, GPT-Neo, RoBERTa, BART
vocab.json, merges.txt        BPE with an end-of-word mark     GPT-1
spiece.model                  SentencePiece, unigram           T5, ALBERT
============================  ===============================  ==================

Beside either there may be ``tokenizer_config.json``, ``special_tokens_map.json`` and ``added_tokens.json``: see `settings`.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from largemodels.lines import read_lines
from largemodels.storage import replacing

from .files import Source, damaged, mistaken, read_json, write_json
from .sentencepiece import BYTE, CONTROL, UNKNOWN, read_sentencepiece, unigram_scores
from .settings import SETTINGS, Settings


def load_tokenizer(folder_or_repo_id: str | os.PathLike) -> Tokenizer:
    """The tokenizer of a checkpoint: ``.encode(text).ids`` gives token ids, ``.decode(ids)`` the text.

    It neither truncates nor pads; `enable_truncation` and `enable_padding` let it. A special token that stands in a text
    is found, as with `transformers`; `tokenizers.Official` takes every text for text.

    Raises:
        FileNotFoundError: no such folder, or no file in it that a tokenizer can be made from.
        ConnectionError: no such folder, and no network to look for a repository of this name.
        ValueError: a damaged file, or files that contradict each other.
    """
    source = Source(folder_or_repo_id)
    path = source.first("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
    if path is None:
        raise FileNotFoundError(
            f"{source.name} holds none of the files that a tokenizer can be made from: tokenizer.json, vocab.txt, "
            "vocab.json with merges.txt, spiece.model"
        )
    settings = Settings(source)
    try:
        if path.name == "tokenizer.json":
            tokenizer = _described(path, settings)
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
    except BaseException as error:  # `tokenizers` raises nothing more specific
        if str(path.parent) in str(error) or not (isinstance(error, Exception) or _is_panic(error)):
            raise  # it names the file already, or has nothing to do with it
        raise ValueError(f"{path} is not a tokenizer that can be read ({error}); {damaged(path)}") from None
    _add_tokens(tokenizer, settings)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _is_panic(error: BaseException) -> bool:
    """Whether Rust, in which `tokenizers` is written, gave up: that is no `Exception` to Python."""
    return type(error).__name__ == "PanicException"


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, and what `transformers` needs to open it: which token is there for what."""
    with replacing(folder / "tokenizer.json") as part:
        tokenizer.save(str(part))
    write_json(folder, SETTINGS, {"tokenizer_class": "PreTrainedTokenizerFast"} | roles_of(tokenizer))


def roles_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """Which special token plays which role, told from their names: [PAD], <pad> and <|pad|> fill up shorter texts.

    ``{"pad_token": {"content": "[PAD]", …}, …}``, as tokenizer_config.json has it. RoBERTa's <s> and </s> begin and end a
    text as BERT's [CLS] and [SEP] do; GPT-2's <|endoftext|> is everything at once.
    """
    found = {}
    for _, token in sorted(tokenizer.get_added_tokens_decoder().items()):
        name = re.fullmatch(r"\W*?(/?\w+?)\W*", token.content)
        if token.special and name and name[1].lower() in ROLES_BY_NAME:
            description = {"__type": "AddedToken", "content": token.content, "special": True}
            description |= {flag: getattr(token, flag) for flag in ("lstrip", "rstrip", "normalized", "single_word")}
            for role in ROLES_BY_NAME[name[1].lower()]:
                found.setdefault(role, description)
    return found


ROLES_BY_NAME = {
    "pad": ("pad_token",),
    "unk": ("unk_token",),
    "unknown": ("unk_token",),
    "cls": ("cls_token",),
    "sep": ("sep_token",),
    "mask": ("mask_token",),
    "bos": ("bos_token",),
    "eos": ("eos_token",),
    "s": ("bos_token", "cls_token"),
    "/s": ("eos_token", "sep_token"),
    "endoftext": ("bos_token", "eos_token", "unk_token"),
}


# ----------------------------------------------------------------------------------------------------- tokenizer.json


def _described(path: Path, settings: Settings) -> Tokenizer:
    """What tokenizer.json describes, with the choices that tokenizer_config.json makes anew.

    `transformers` lets the latter win, so whoever published both has seen them work together that way. Its class for
    tokenizers of any kind makes no choices: there tokenizer.json has the word, whatever else an older class has left.
    """
    description = read_json(path)
    if settings.options.get("tokenizer_class") in ANY_KIND:
        return Tokenizer.from_str(json.dumps(description))
    options, lowercase = settings.options, settings.get("do_lower_case")
    normalizer = description.get("normalizer")
    steps = _steps(normalizer, "normalizers")
    kinds = [step.get("type") for step in steps]
    for step in steps:
        if step.get("type") == "BertNormalizer":
            names = {"lowercase": "do_lower_case", "handle_chinese_chars": "tokenize_chinese_chars"}
            step |= {ours: settings.get(theirs, step[ours]) for ours, theirs in names.items()}
            step |= {"strip_accents": options["strip_accents"]} if "strip_accents" in options else {}
    if lowercase is False and "Lowercase" in kinds:
        kept = [step for step in steps if step.get("type") != "Lowercase"]
        description["normalizer"] = {"type": "Sequence", "normalizers": kept}
    elif (
        lowercase and not {"Lowercase", "BertNormalizer"} & {*kinds} and "Albert" in str(options.get("tokenizer_class"))
    ):
        place = kinds.index("Precompiled") if "Precompiled" in kinds else len(kinds)
        steps = [*steps[:place], {"type": "Lowercase"}, *steps[place:]]
        description["normalizer"] = {"type": "Sequence", "normalizers": steps}
    for step in _steps(description.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "ByteLevel":
            step["add_prefix_space"] = settings.get("add_prefix_space", step["add_prefix_space"])
    return Tokenizer.from_str(json.dumps(description))


ANY_KIND = ("PreTrainedTokenizerFast", "TokenizersBackend")  # the older and the newer name


def _steps(described: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer: one, or those of a sequence."""
    return [] if described is None else described.get(name, [described])


# ------------------------------------------------------------------------------------------------- WordPiece and BPE


def _wordpiece(path: Path, settings: Settings) -> Tokenizer:
    """BERT's. Source: Devlin et al. 2018 (arXiv 1810.04805) and the authors' tokenization.py."""
    tokens = settings.renamed(read_lines(path))
    names = {role: settings.token(role, f"[{role.removesuffix('_token').upper()}]") for role in BERT_ROLES}
    missing = [role for role in ("unk_token", "cls_token", "sep_token") if names[role] not in tokens]
    if missing:
        _refuse_names(path, {role: names[role] for role in missing}, tokens)
    unknown, cls, sep = (names[role] for role in ("unk_token", "cls_token", "sep_token"))
    vocabulary = {token: i for i, token in enumerate(tokens)}  # of equal lines the last one counts
    vocabulary |= {f"<no token has id {i}>": i for i, token in enumerate(tokens) if vocabulary[token] != i}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    _mark_special(tokenizer, settings, *names.values())
    tokenizer.post_processor = _between(tokenizer, cls, sep)
    return tokenizer


BERT_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def _refuse_names(path: Path, missing: dict[str, str], tokens: Iterable[str]) -> None:
    """What to do if the vocabulary has no [UNK]: its file is not a vocabulary, or its special tokens have other names."""
    if instead := mistaken(path):
        raise ValueError(f"{path} is no vocabulary; {instead}")
    like_these = [token for token in tokens if re.fullmatch(r"[\[<].*\w.*[\]>]", token)]
    if not like_these:
        raise ValueError(f"{path} has no special tokens such as {', '.join(missing.values())}; {damaged(path)}")
    example = ", ".join(f'"{role}": "…"' for role in missing)
    raise ValueError(
        f"{path} has no {', '.join(missing.values())}; if its special tokens have other names (it has "
        f"{', '.join(like_these[:8])}), put them into {path.with_name(SETTINGS)}: {{{example}}}"
    )


def _bpe(vocabulary: Path, merges: Path, settings: Settings) -> Tokenizer:
    """GPT-1's if words end with </w>, otherwise byte-level.

    Sources: Sennrich, Haddow & Birch 2016 (arXiv 1508.07909); byte-level: Radford et al. 2019, section 2.2.
    """
    tokens, pairs = read_json(vocabulary), _read_merges(merges)
    if not all(type(i) is int and i >= 0 for i in tokens.values()):
        raise ValueError(f"{vocabulary} must give a whole number, the id, for each token; {damaged(vocabulary)}")
    strange = next((pair for pair in pairs for token in (*pair, "".join(pair)) if token not in tokens), None)
    if strange:
        why = mistaken(merges) or "the two files do not belong together: take both from one checkpoint"
        raise ValueError(
            f"{merges} merges {strange[0]!r} and {strange[1]!r}, but {vocabulary.name} does not have both and what they "
            f"become; {why}"
        )
    if any(token.endswith("</w>") for token in tokens):
        unknown = settings.token("unk_token", "<unk>")
        if unknown not in tokens:
            _refuse_names(vocabulary, {"unk_token": unknown}, tokens)
        tokenizer = Tokenizer(models.BPE(tokens, pairs, unk_token=unknown, end_of_word_suffix="</w>"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
        _mark_special(tokenizer, settings, unknown)
        return tokenizer
    tokenizer = Tokenizer(models.BPE(tokens, pairs))
    space_first = settings.get("add_prefix_space", False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space_first)
    tokenizer.decoder = decoders.ByteLevel()
    cls, sep = settings.token("cls_token", "<s>"), settings.token("sep_token", "</s>")
    mask = settings.token("mask_token", "<mask>")
    _mark_special(tokenizer, settings, "<|endoftext|>", cls, "<pad>", sep, "<unk>")
    _mark_special(tokenizer, settings, mask, lstrip=True)
    if cls in tokens and sep in tokens:
        ends = ((sep, tokens[sep]), (cls, tokens[cls]))
        tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=space_first)
    return tokenizer


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """A merge in each line, the two parts with a space between; the first line may tell the version."""
    pairs = []
    for number, line in enumerate(read_lines(path), 1):
        pair = tuple(line.split(" "))
        if not line or (number == 1 and line.startswith("#version")):
            continue
        if len(pair) != 2 or not all(pair):
            raise ValueError(
                f"{path}, line {number}: a merge is two tokens with a space between, got {line[:60]!r}; {damaged(path)}"
            )
        pairs.append(pair)
    return pairs


def _mark_special(tokenizer: Tokenizer, settings: Settings, *tokens: str, lstrip: bool = False) -> None:
    """These, where the vocabulary has them, are found in a text before it is cut into words.

    With `lstrip` they take the space before them, so that "a <mask>" is two tokens, if the settings say nothing else.
    """
    found = [token for token in tokens if tokenizer.token_to_id(token) is not None]
    plain = {token: AddedToken(token, normalized=False, lstrip=lstrip) for token in found}
    tokenizer.add_special_tokens([settings.described.get(token, plain[token]) for token in found])


def _between(tokenizer: Tokenizer, start: str, end: str) -> processors.TemplateProcessing:
    """One text as [CLS] … [SEP], two as [CLS] … [SEP] … [SEP], the second with segment 1."""
    parts = {"start": start, "end": end}
    ids = [{"id": name, "ids": [tokenizer.token_to_id(token)], "tokens": [token]} for name, token in parts.items()]
    return processors.TemplateProcessing(
        single=["start", "$A", "end"], pair=["start", "$A", "end", "$B:1", "end:1"], special_tokens=ids
    )


# ------------------------------------------------------------------------------------------------------ SentencePiece


def _unigram(path: Path, settings: Settings) -> Tokenizer:
    """T5's and ALBERT's. Source: Kudo 2018 (arXiv 1804.10959); Kudo & Richardson 2018 (arXiv 1808.06226)."""
    pieces, normalization = read_sentencepiece(path)
    names = settings.renamed([piece for piece, _, _ in pieces])
    kinds = [kind for _, _, kind in pieces]
    scores = unigram_scores(pieces)
    cls, sep, mask = (settings.token(f"{role}_token", f"[{role.upper()}]") for role in ("cls", "sep", "mask"))
    albert = cls in names and sep in names
    if not albert:  # T5's sentinels follow, the first one last
        sentinels = [f"<extra_id_{i}>" for i in reversed(range(settings.get("extra_ids", 100)))]
        names, scores = names + sentinels, scores + [0.0] * len(sentinels)
    unknown = kinds.index(UNKNOWN) if UNKNOWN in kinds else None
    in_bytes = BYTE in kinds
    model = models.Unigram(list(zip(names, scores, strict=True)), unk_id=unknown, byte_fallback=in_bytes)
    tokenizer = Tokenizer(model)

    steps = [normalizers.Precompiled(normalization)] if normalization else []
    if albert:
        steps = [*_albert_normalizers(settings), *steps, normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    words = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    if in_bytes:  # a text that spells <0x41> is no byte: "<" is cut off
        words.append(pre_tokenizers.Split(Regex("<(?=0x[0-9A-F]{2}>)"), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    spaces = decoders.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), spaces]) if in_bytes else spaces

    special = [name for name, kind in zip(names, kinds, strict=False) if kind in (UNKNOWN, CONTROL)]
    _mark_special(tokenizer, settings, *special, *names[len(pieces) :])
    if albert:
        _mark_special(tokenizer, settings, mask, lstrip=True)
        tokenizer.post_processor = _between(tokenizer, cls, sep)
        return tokenizer
    end = settings.token("eos_token", "</s>")
    if end not in names:
        _refuse_names(path, {"eos_token": end}, names)
    ends = {"id": "end", "ids": [tokenizer.token_to_id(end)], "tokens": [end]}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "end"], pair=["$A", "end", "$B", "end"], special_tokens=[ends]
    )
    return tokenizer


def _albert_normalizers(settings: Settings) -> list[normalizers.Normalizer]:
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.get("do_lower_case", True):
        steps += [normalizers.Lowercase()]
    return steps


# ------------------------------------------------------------------------------------------------------- added tokens


def _add_tokens(tokenizer: Tokenizer, settings: Settings) -> None:
    """The tokens that were added later: those with an id of their own, then those that only a role or a list names."""
    for i, token in sorted(settings.added.items()):
        if tokenizer.token_to_id(token.content) is None:
            free = _next_id(tokenizer)
            if i - free > MOST_MISSING:
                raise ValueError(
                    f"{settings.added_in} gives {token.content!r} the id {i}, but the vocabulary beside it ends at "
                    f"{free - 1}; the files do not belong together: take all of them from one checkpoint"
                )
            # So that the tokens keep their ids, there must be no gap.
            tokenizer.add_special_tokens([f"<no token has id {missing}>" for missing in range(free, i)])
        tokenizer.add_tokens([token])
        found = tokenizer.token_to_id(token.content)
        if found != i:
            raise ValueError(
                f"{settings.added_in} gives {token.content!r} the id {i}, but in the vocabulary beside it, that is the "
                f"id of {tokenizer.id_to_token(i)!r} (and {found} that of {token.content!r}); the files do not belong "
                "together: take all of them from one checkpoint"
            )
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    tokenizer.add_special_tokens([token for token in settings.special if token.content not in known])


MOST_MISSING = 1_000_000  # ids between the vocabulary and what was added to it; the largest vocabularies have fewer


def _next_id(tokenizer: Tokenizer) -> int:
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())

"""Official checkpoints in this library's models, and back.

`load` gives a model of ours with the weights of a checkpoint, `load_tokenizer` the tokenizer that belongs to it, and
`save` writes a folder that `transformers` opens. A checkpoint is a folder with ``config.json``, which tells the model
type and its sizes, and ``model.safetensors``, the weights by name; or the name of a repository on the Hugging Face Hub,
whose files are fetched once. Who has no network puts them into a folder ``weights/gpt2`` by hand; `on_this_machine` tells
whether they are there.

=============  ===========  ======================================================================
model type     our model    for example
=============  ===========  ======================================================================
openai-gpt     `GPT`        openai-community/openai-gpt
gpt2           `GPT`        openai-community/gpt2, gpt2-medium, gpt2-large, gpt2-xl
gpt_neo        `GPT`        EleutherAI/gpt-neo-125m, gpt-neo-1.3B, gpt-neo-2.7B
bert           `BERT`       google-bert/bert-base-uncased, bert-large-uncased, bert-base-chinese
albert         `BERT`       albert/albert-base-v2, albert-large-v2, albert-xlarge-v2, albert-xxlarge-v2
roberta        `BERT`       FacebookAI/roberta-base, roberta-large
bart           `BART`       facebook/bart-base, bart-large
t5             `T5`         google-t5/t5-small, t5-base, t5-large; google/t5-v1_1-small, t5-v1_1-base
=============  ===========  ======================================================================

How it works: `mapping` says what is known of a model type, `gpt`, `bert`, `bart` and `t5` are the tables (where each of
our parameters stands in a checkpoint, and which of its configuration's fields mean which of ours), `files` reads and
writes, `tokenization` makes tokenizers, and `parity` measures that the models agree with `transformers`.
"""

import os
import re
import warnings
from collections.abc import Callable, Collection
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from largemodels.bars import progress_bar
from largemodels.blocks import sizes_only
from largemodels.language import say

from . import bart, bert, gpt, t5
from .files import CONFIG, Checkpoint, Source, on_this_machine, read_json, write_json, write_tensors
from .mapping import Family, Fields, Row
from .tokenization import load_tokenizer, save_tokenizer

__all__ = ["FAMILIES", "load", "load_tokenizer", "on_this_machine", "save"]

FAMILIES: dict[str, Family] = {
    family.model_type: family for module in (gpt, bert, bart, t5) for family in module.FAMILIES
}


# ------------------------------------------------------------------------------------------------------------- loading


def load(
    folder_or_repo_id: str | os.PathLike,
    *,
    head: str | None = "pretraining",
    model_type: str | None = None,
    dtype: torch.dtype | None = torch.float32,
    device: str | torch.device = "cpu",
    strict: bool = True,
) -> nn.Module:
    """A model of this library with the weights of a checkpoint, ready to use (dropout is off, `model.eval()`).

    The model is built without memory for its weights, and then takes each tensor as it comes out of the mapped file:
    at no time is there more than one copy of the weights besides the model's own.

    Args:
        folder_or_repo_id: a folder with config.json and the weights, or a repository's name, "openai-community/gpt2".
        head: what is to stand on the body of a BERT, ALBERT or RoBERTa. "pretraining": the head that predicts tokens.
            None: nothing; the model gives a vector for each token, and keeps the pooler for a `SequenceClassifier`.
            "classifier": that of a fine-tuned checkpoint, in a `SequenceClassifier` or `TokenClassifier`.
        model_type: what the checkpoint is, a key of `FAMILIES`, if config.json does not tell or tells otherwise.
        dtype: of all parameters; None keeps what the checkpoint has.
        device: where to put them.
        strict: refuse a checkpoint that lacks some of the model's weights, or holds others, or whose config.json has
            fields of an unknown meaning. With ``strict=False`` such weights start at random, others are left out,
            such fields are ignored, and a warning tells which.

    Raises:
        FileNotFoundError: no such folder, a file is missing from it.
        ConnectionError: no such folder, and no network to look for a repository of this name.
        ValueError: a model type or a feature that is not implemented here, a damaged file, a pickle that holds
            anything but tensors, weights of a wrong shape, weights that contradict config.json, and see `strict`.
    """
    source = Source(folder_or_repo_id)
    path = source.first(CONFIG)
    if path is None:
        raise FileNotFoundError(f"{source.name} holds no {CONFIG}, which tells what kind of model the weights are for")
    fields = Fields(read_json(path), str(path))
    family = _family(fields, model_type)
    checkpoint = Checkpoint(source)
    names = _full_names(checkpoint.headers, family)
    try:
        build, rows = _plan(family, fields, {name: checkpoint.headers[names[name]].shape for name in names}, head)
    except ValueError as error:
        raise error if fields.file in str(error) else ValueError(f"{fields.file}: {error}") from None
    strange = [f"{name} = {value!r}" for name, value in fields.unknown().items()]
    _refuse(strange, f"{fields.file} has fields that are unknown here, and so not done", strict)

    found = {row.theirs: [names[name] for name in row.find(names)] for row in rows}
    missing = [row.theirs for row in rows if not found[row.theirs] and not row.absent_is_zero]
    placed = {name for row in rows for name in (row.theirs, *row.copies, row.otherwise)}
    unused = [name for name in sorted(names) if name not in placed and not _matches(name, family.constants)]
    if head != "pretraining":  # the heads that are there were not asked for, nor is a pooler
        unused = [name for name in unused if name.startswith(family.prefix) and ".pooler." not in name]
    unused = [names[name] for name in unused]
    needs = f"{source.name} lacks weights that a model of type {family.model_type} needs"
    _refuse(missing, needs, strict, _other_head(family, head, missing, unused))
    _refuse(unused, f"{source.name} holds weights that have no place in the model its {CONFIG} describes", strict)

    if missing:
        with torch.device(device):
            model = build()
    else:
        with sizes_only():
            model = build()
    weights = _read_weights(model, rows, found, checkpoint, dtype, torch.device(device))
    model.load_state_dict(weights, strict=not missing, assign=True)
    if missing and dtype is not None:
        model.to(dtype)
    return model.eval()


def _plan(
    family: Family, fields: Fields, shapes: dict[str, tuple[int, ...]], head: str | None
) -> tuple[Callable[[], nn.Module], list[Row]]:
    """What builds the model, and the table of its weights."""
    if head not in ("pretraining", "classifier", None):
        raise ValueError(f'head must be "pretraining", "classifier" or None, got {head!r}')
    config = family.read(fields, shapes.keys())
    if head == "pretraining":
        config = family.pretraining(config)
    elif family.body is None or family.classifier is None:
        raise ValueError(
            f"a model of type {family.model_type} is not divided into body and head here; leave head={head!r} out"
        )
    elif head is None:
        config = family.body(config)
    else:
        build, rows = family.classifier(config, fields, shapes)
        return build, list(rows)
    return partial(family.model, config), list(family.rows(config))


def _other_head(family: Family, head: str | None, missing: Collection[str], unused: Collection[str]) -> str:
    """How to load a checkpoint that lacks nothing but the head of pre-training."""
    if family.body is None or head != "pretraining" or not all(_matches(name, family.heads) for name in missing):
        return ""
    fine_tuned = any(name.startswith("classifier.") for name in unused)
    instead = 'head="classifier" or ' * fine_tuned + "head=None for the body alone"
    return f"; it has no head of pre-training: load it with {instead}"


def _family(fields: Fields, asked: str | None) -> Family:
    told = fields.get("model_type")
    if asked is not None and asked not in FAMILIES:
        raise ValueError(f"model_type = {asked!r} is not implemented here; implemented are {', '.join(FAMILIES)}")
    if asked is None and told is None:
        raise ValueError(
            f"{fields.file} does not tell the model_type, as the oldest files do not; if you know it, tell it: "
            f"load(…, model_type=…) with one of {', '.join(FAMILIES)}"
        )
    if asked is None and (not isinstance(told, str) or told not in FAMILIES):
        raise ValueError(
            f"{fields.file}: model_type = {told!r} is not implemented here; implemented are {', '.join(FAMILIES)}"
        )
    return FAMILIES[asked or told]


# What wraps a model puts its own name into those of the weights: DataParallel, torch.compile, FSDP, checkpointing.
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


def _full_names(names: Collection[str], family: Family) -> dict[str, str]:
    """From names as the tables have them to names as the checkpoint has them."""
    plain = {name: ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in names}
    # Who trains with a class of their own often calls the model in it model. (BART's names begin so by themselves.)
    if any(name.startswith(f"model.{family.prefix}") for name in plain.values()):
        plain = {name: short.removeprefix("model.") for name, short in plain.items()}
    bare = not any(name.startswith(family.prefix) for name in plain.values())  # the body alone was saved
    full = {}
    for name, short in plain.items():
        new = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", short))
        if bare and not _matches(new, family.heads):
            new = family.prefix + new
        if new in full:
            raise ValueError(f"{name} and {full[new]} are two names of the same weights; the checkpoint is damaged")
        full[new] = name
    return full


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


MOST_TOLD = 20  # names in a message


def _refuse(names: list[str], why: str, strict: bool, hint: str = "") -> None:
    names = [*names[:MOST_TOLD], f"and {len(names) - MOST_TOLD} more"] if len(names) > MOST_TOLD else names
    if names and strict:
        raise ValueError(f"{why}: {', '.join(names)}{hint} (load them with strict=False to go on all the same)")
    if names:
        warnings.warn(f"{why}: {', '.join(names)}", stacklevel=3)


def _read_weights(
    model: nn.Module,
    rows: list[Row],
    found: dict[str, list[str]],
    checkpoint: Checkpoint,
    dtype: torch.dtype | None,
    device: torch.device,
) -> dict[str, Tensor]:
    """The model's state, read from the checkpoint's tensors; all shapes are checked before the first is read."""
    state = model.state_dict(keep_vars=True)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    row_of = {name: row for row in rows for name in found[row.theirs]}
    for name, row in row_of.items():
        header = checkpoint.headers[name]
        if header.shape != row.shape(shapes):
            raise ValueError(
                f"{header.file}: {name} has the shape {header.shape}, but {CONFIG} asks for {row.shape(shapes)}"
            )
        if not header.is_float:
            raise ValueError(f"{header.file}: {name} does not hold floating-point numbers, as weights must")

    values = {
        name: torch.zeros(shapes[name], dtype=dtype, device=device)
        for row in rows
        if row.absent_is_zero and not found[row.theirs]
        for name in row.ours
    }
    for name, tensor in progress_bar(checkpoint.read(row_of), total=len(row_of), desc=say("weights"), delay=2):
        for ours, part in zip(row_of[name].ours, row_of[name].to_ours(tensor), strict=True):
            # `empty_like`: in memory, too, it lies as the model wants it.
            value = torch.empty_like(state[ours], dtype=dtype or part.dtype, device=device).copy_(part)
            if ours not in values:
                values[ours] = value
            elif not torch.equal(values[ours], value):
                raise ValueError(
                    f"{checkpoint.headers[name].file}: {' and '.join(found[row_of[name].theirs])} differ, but by {CONFIG} "
                    "they are the same weights; if each is meant to have its own, set tie_word_embeddings to false there"
                )
    checkpoint.close()

    # A tensor that stands in several places of the model is to be one tensor there again.
    filled = {
        id(state[name]): nn.Parameter(value) if isinstance(state[name], nn.Parameter) else value
        for name, value in values.items()
    }
    return {name: filled[id(tensor)] for name, tensor in state.items() if id(tensor) in filled}


# -------------------------------------------------------------------------------------------------------------- saving


def save(
    model: nn.Module, folder: str | os.PathLike, *, tokenizer: Tokenizer | None = None, **config_fields: Any
) -> Path:
    """Write a model of this library into a folder that `load` and `transformers` open.

    Args:
        model: a `GPT`, `BERT`, `BART` or `T5` whose configuration one of the model types can express.
        folder: made if need be; what it holds under the same names is replaced.
        tokenizer: written with it.
        config_fields: further fields of config.json, ``eos_token_id=2`` for example: `transformers` generates by them.

    Returns:
        The folder.

    Raises:
        ValueError: no model type has all choices of this configuration; the message names those that fail.
    """
    family, fields = _expressed(model)
    weights = model.state_dict()
    tensors = {}
    for row in family.rows(model.config):
        tensors[row.theirs] = row.to_theirs([weights[name].cpu() for name in row.ours])
        if row.otherwise is not None:
            tensors[row.otherwise] = tensors[row.theirs].clone()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    start = {"model_type": family.model_type, "architectures": [family.architecture(model.config)], "dtype": dtype}
    write_tensors(folder, tensors)
    write_json(folder, CONFIG, start | fields | config_fields)
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder)
    return folder


def _expressed(model: nn.Module) -> tuple[Family, dict[str, Any]]:
    """The model type that can express the model's configuration, and the fields of config.json."""
    families = [family for family in FAMILIES.values() if type(model) is family.model]
    if not families:
        names = sorted({family.model.__name__ for family in FAMILIES.values()})
        raise TypeError(f"only {', '.join(names)} can be saved for others to open, got {type(model).__name__}")
    failures = []
    for family in families:
        fields = family.write(model.config)
        try:
            # What reads back as the same configuration was expressed in full.
            names = {row.theirs for row in family.rows(model.config)}
            back = family.read(Fields(dict(fields), CONFIG), names)
        except ValueError as error:
            failures.append(f"{family.model_type} ({error})")
            continue
        wanted, got = _comparable(model.config, family), _comparable(back, family)
        differing = [f"{name} = {value!r}" for name, value in wanted.items() if got[name] != value]
        if not differing:
            return family, fields
        failures.append(f"{family.model_type} ({', '.join(differing)})")
    raise ValueError(
        f"no model type can express this configuration, but for what is in brackets: {'; '.join(failures)}"
    )


def _comparable(config: Any, family: Family) -> dict[str, Any]:
    """The fields that decide what the model computes."""
    fields = {name: value for name, value in asdict(config).items() if name not in family.start_fields}
    return fields | {"d_ff": fields["d_ff"] or 4 * fields["d_model"]}

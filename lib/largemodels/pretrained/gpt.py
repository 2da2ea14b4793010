"""GPT-1, GPT-2 and GPT-Neo: where their checkpoints keep what our `GPT` needs."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from largemodels.gpt import GPT, GPTConfig

from .mapping import ACTIVATIONS, MAX_LAYERS, Family, Fields, Row, layer, weight

# --------------------------------------------------------------------------------------------------------------- names


@dataclass(frozen=True)
class Names:
    """What one of the three calls what all three have.

    Attributes:
        fields: of config.json, from ours to theirs; d_ff only where it may be told.
        dropouts: the two fields that our one `dropout` stands for, on the embeddings and on the sublayers.
        default_dropout: without these fields, and without the one of the attention weights.
        activations: from theirs to ours.
        tokens, positions: the tables of the embeddings.
        conv1d: whether the layers are OpenAI's Conv1D, which keeps its matrix the other way round and has query, key and
            value in one, or torch's.
        last_norm: whether a norm follows the last block.
    """

    fields: Mapping[str, str]
    dropouts: tuple[str, str]
    default_dropout: float
    activations: Mapping[str, str]
    tokens: str
    positions: str
    conv1d: bool
    last_norm: bool


OPENAI = {
    "vocab_size": "vocab_size",
    "max_length": "n_positions",
    "d_model": "n_embd",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "norm_eps": "layer_norm_epsilon",
    "tied_head": "tie_word_embeddings",
    "attention_dropout": "attn_pdrop",
}
NAMES_GPT2 = Names(
    fields=OPENAI | {"activation": "activation_function", "d_ff": "n_inner"},
    dropouts=("embd_pdrop", "resid_pdrop"),
    default_dropout=0.1,
    activations=ACTIVATIONS,
    tokens="transformer.wte",
    positions="transformer.wpe",
    conv1d=True,
    last_norm=True,
)
NAMES_GPT1 = Names(
    fields=OPENAI | {"activation": "afn"},
    dropouts=("embd_pdrop", "resid_pdrop"),
    default_dropout=0.1,
    # Its "gelu" is the approximation that GPT-2 calls "gelu_new".
    activations={"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"},
    tokens="transformer.tokens_embed",
    positions="transformer.positions_embed",
    conv1d=True,
    last_norm=False,
)
NAMES_GPT_NEO = Names(
    fields={
        "vocab_size": "vocab_size",
        "max_length": "max_position_embeddings",
        "d_model": "hidden_size",
        "num_layers": "num_layers",
        "num_heads": "num_heads",
        "norm_eps": "layer_norm_epsilon",
        "tied_head": "tie_word_embeddings",
        "attention_dropout": "attention_dropout",
        "activation": "activation_function",
        "d_ff": "intermediate_size",
    },
    dropouts=("embed_dropout", "resid_dropout"),
    default_dropout=0.0,
    activations=ACTIVATIONS,
    tokens="transformer.wte",
    positions="transformer.wpe",
    conv1d=False,
    last_norm=True,
)


def rows(names: Names, config: GPTConfig) -> Iterator[Row]:
    """The table of weights."""
    yield weight(names.tokens, "embedding", copies=["lm_head"] if config.tied_head else [])
    yield weight(names.positions, "positions")
    if not config.tied_head:
        yield weight("lm_head", "head")
    for i in range(config.num_layers):
        theirs, ours = f"transformer.h.{i}", f"stack.blocks.{i}"
        if names.conv1d:
            query_key_value = (f"{ours}.attention.{name}" for name in ("query", "key", "value"))
            yield from layer(f"{theirs}.attn.c_attn", *query_key_value, transposed=True)
            yield from layer(f"{theirs}.attn.c_proj", f"{ours}.attention.output", transposed=True)
        else:
            yield weight(f"{theirs}.attn.attention.q_proj", f"{ours}.attention.query")
            yield weight(f"{theirs}.attn.attention.k_proj", f"{ours}.attention.key")
            yield weight(f"{theirs}.attn.attention.v_proj", f"{ours}.attention.value")
            yield from layer(f"{theirs}.attn.attention.out_proj", f"{ours}.attention.output")
        yield from layer(f"{theirs}.ln_1", f"{ours}.attention_norm")
        yield from layer(f"{theirs}.mlp.c_fc", f"{ours}.feed_forward.up", transposed=names.conv1d)
        yield from layer(f"{theirs}.mlp.c_proj", f"{ours}.feed_forward.down", transposed=names.conv1d)
        yield from layer(f"{theirs}.ln_2", f"{ours}.feed_forward_norm")
    if names.last_norm:
        yield from layer("transformer.ln_f", "stack.norm")


# -------------------------------------------------------------------------------------------------------- configuration


def read_common(names: Names, fields: Fields) -> dict[str, Any]:
    """What all three have."""
    theirs = names.fields
    dropouts = {name: fields.number(name, names.default_dropout) for name in names.dropouts}
    return {
        "vocab_size": fields.integer(theirs["vocab_size"]),
        "max_length": fields.integer(theirs["max_length"]),
        "d_model": fields.integer(theirs["d_model"]),
        "num_layers": fields.layers(theirs["num_layers"]),
        "num_heads": fields.integer(theirs["num_heads"]),
        "d_ff": fields.integer(theirs["d_ff"], optional=True) if "d_ff" in theirs else None,
        "activation": fields.choice(theirs["activation"], default_activation(names), names.activations),
        "norm_eps": fields.number(theirs["norm_eps"], 1e-5),
        "tied_head": fields.flag(theirs["tied_head"], True),
        "dropout": fields.same(**dropouts),
        "attention_dropout": fields.number(theirs["attention_dropout"], names.default_dropout),
    }


def default_activation(names: Names) -> str:
    """All three use the approximation of GELU, whatever they call it."""
    return next(theirs for theirs, ours in names.activations.items() if ours == "gelu_new")


def write_common(names: Names, config: GPTConfig) -> dict[str, Any]:
    found = {theirs: getattr(config, ours) for ours, theirs in names.fields.items()}
    by_ours = {ours: theirs for theirs, ours in reversed(names.activations.items())}
    activation = names.fields["activation"]
    found[activation] = by_ours.get(found[activation], found[activation])
    return found | dict.fromkeys(names.dropouts, config.dropout)


def end_of_text(config: GPTConfig) -> dict[str, Any]:
    """GPT-2's special token, if the vocabulary can be GPT-2's; `transformers` would take it for granted otherwise."""
    token = 50256 if config.vocab_size > 50256 else None
    return {"bos_token_id": token, "eos_token_id": token}


def read_gpt2(fields: Fields, tensors: Collection[str]) -> GPTConfig:
    fields.only(add_cross_attention=False)
    fields.get("reorder_and_upcast_attn")  # the order of two operations in half precision, the same function
    return GPTConfig(
        **read_common(NAMES_GPT2, fields),
        attention_scale=None if fields.flag("scale_attn_weights", True) else 1.0,
        scale_by_layer=fields.flag("scale_attn_by_inverse_layer_idx", False),
    )


def write_gpt2(config: GPTConfig) -> dict[str, Any]:
    scales = {
        "scale_attn_weights": config.attention_scale is None,
        "scale_attn_by_inverse_layer_idx": config.scale_by_layer,
    }
    return write_common(NAMES_GPT2, config) | scales | end_of_text(config)


def read_gpt1(fields: Fields, tensors: Collection[str]) -> GPTConfig:
    fields.get("n_special")  # how many of the tokens were added for a task; vocab_size counts them
    return GPTConfig(**read_common(NAMES_GPT1, fields), norm_first=False, scaled_init=False)


def read_gpt_neo(fields: Fields, tensors: Collection[str]) -> GPTConfig:
    common = read_common(NAMES_GPT_NEO, fields)
    return GPTConfig(**common, bands=read_bands(fields), attention_scale=1.0, attention_bias=False)


def read_bands(fields: Fields) -> tuple[int | None, ...]:
    """From [[["global", "local"], 12]], twelve times one after the other, to one band for each block, cut to a period."""
    window, num_layers = fields.integer("window_size", 256), fields.layers("num_layers")
    types = fields.get("attention_types", [[["global", "local"], 12]])
    try:
        kinds = (kind for pattern, times in types for _ in range(times) for kind in pattern)
        kinds = list(islice(kinds, MAX_LAYERS + 1))
        bands = [{"global": None, "local": window}[kind] for kind in kinds]
    except (TypeError, ValueError, KeyError):
        raise ValueError(
            f'{fields.file}: attention_types must look like [[["global", "local"], {num_layers // 2}]], got {types!r}'
        ) from None
    if len(bands) != num_layers:
        raise ValueError(f"{fields.file}: attention_types does not name as many blocks as num_layers = {num_layers}")
    fields.only(attention_layers=kinds)  # the same, written out
    period = next(n for n in range(1, num_layers + 1) if all(bands[i] == bands[i % n] for i in range(num_layers)))
    return tuple(bands[:period])


def write_gpt_neo(config: GPTConfig) -> dict[str, Any]:
    widths = {band for band in config.bands if band is not None}
    kinds = ["global" if config.bands[i % len(config.bands)] is None else "local" for i in range(config.num_layers)]
    bands = {"window_size": min(widths, default=256), "attention_types": [[kinds, 1]], "attention_layers": kinds}
    return write_common(NAMES_GPT_NEO, config) | bands | end_of_text(config)


# ----------------------------------------------------------------------------------------------------------- the three


def family(
    model_type: str,
    names: Names,
    architecture: str,
    read: Callable[[Fields, Collection[str]], GPTConfig],
    write: Callable[[GPTConfig], dict[str, Any]],
) -> Family:
    return Family(
        model_type=model_type,
        model=GPT,
        architecture=lambda config: architecture,
        read=read,
        write=write,
        rows=partial(rows, names),
        prefix="transformer.",
        heads=(r"lm_head\..*",),
        constants=(r"transformer\.h\.\d+\.attn\.(attention\.)?(bias|masked_bias)",),  # causal masks
        start_fields=("init_std", "scaled_init"),
    )


FAMILIES = [
    family("gpt2", NAMES_GPT2, "GPT2LMHeadModel", read_gpt2, write_gpt2),
    family("openai-gpt", NAMES_GPT1, "OpenAIGPTLMHeadModel", read_gpt1, partial(write_common, NAMES_GPT1)),
    family("gpt_neo", NAMES_GPT_NEO, "GPTNeoForCausalLM", read_gpt_neo, write_gpt_neo),
]

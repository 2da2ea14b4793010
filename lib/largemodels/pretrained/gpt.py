"""GPT-1, GPT-2 and GPT-Neo: where their checkpoints keep what our `GPT` needs."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from largemodels.gpt import GPT, GPTConfig

from .mapping import ACTIVATIONS, MAX_LAYERS, Family, Fields, Row, layer, weight

# --------------------------------------------------------------------------------------------------------------- GPT-2


def read_gpt2(fields: Fields, names: Collection[str]) -> GPTConfig:
    fields.only(add_cross_attention=False)
    fields.get("reorder_and_upcast_attn")  # the order of two operations in half precision, the same function
    return GPTConfig(
        vocab_size=fields.integer("vocab_size"),
        max_length=fields.integer("n_positions"),
        d_model=fields.integer("n_embd"),
        num_layers=fields.layers("n_layer"),
        num_heads=fields.integer("n_head"),
        d_ff=fields.integer("n_inner", optional=True),
        activation=fields.choice("activation_function", "gelu_new", ACTIVATIONS),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        attention_scale=None if fields.flag("scale_attn_weights", True) else 1.0,
        scale_by_layer=fields.flag("scale_attn_by_inverse_layer_idx", False),
        tied_head=fields.flag("tie_word_embeddings", True),
        dropout=fields.same(embd_pdrop=fields.number("embd_pdrop", 0.1), resid_pdrop=fields.number("resid_pdrop", 0.1)),
        attention_dropout=fields.number("attn_pdrop", 0.1),
    )


def write_gpt2(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.max_length,
        "n_embd": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": config.d_ff,
        "activation_function": config.activation,
        "layer_norm_epsilon": config.norm_eps,
        "scale_attn_weights": config.attention_scale is None,
        "scale_attn_by_inverse_layer_idx": config.scale_by_layer,
        "tie_word_embeddings": config.tied_head,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        **end_of_text(config),
    }


def end_of_text(config: GPTConfig) -> dict[str, Any]:
    """GPT-2's special token, if the vocabulary can be GPT-2's; `transformers` would take it for granted otherwise."""
    token = 50256 if config.vocab_size > 50256 else None
    return {"bos_token_id": token, "eos_token_id": token}


def rows_gpt2(config: GPTConfig) -> Iterator[Row]:
    yield from embeddings("transformer.wte", "transformer.wpe", config)
    yield from conv1d_blocks(config)
    yield from layer("transformer.ln_f", "stack.norm")


def embeddings(tokens: str, positions: str, config: GPTConfig) -> Iterator[Row]:
    yield weight(tokens, "embedding", copies=["lm_head"] if config.tied_head else [])
    yield weight(positions, "positions")
    if not config.tied_head:
        yield weight("lm_head", "head")


def conv1d_blocks(config: GPTConfig) -> Iterator[Row]:
    """The blocks of GPT-1 and GPT-2. OpenAI's Conv1D is a linear layer that keeps its matrix the other way round."""
    for i in range(config.num_layers):
        theirs, ours = f"transformer.h.{i}", f"stack.blocks.{i}"
        query_key_value = (f"{ours}.attention.{name}" for name in ("query", "key", "value"))
        yield from layer(f"{theirs}.attn.c_attn", *query_key_value, transposed=True)
        yield from layer(f"{theirs}.attn.c_proj", f"{ours}.attention.output", transposed=True)
        yield from layer(f"{theirs}.ln_1", f"{ours}.attention_norm")
        yield from layer(f"{theirs}.mlp.c_fc", f"{ours}.feed_forward.up", transposed=True)
        yield from layer(f"{theirs}.mlp.c_proj", f"{ours}.feed_forward.down", transposed=True)
        yield from layer(f"{theirs}.ln_2", f"{ours}.feed_forward_norm")


# --------------------------------------------------------------------------------------------------------------- GPT-1

# Its "gelu" is the approximation that GPT-2 calls "gelu_new".
GPT1_ACTIVATIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"}


def read_gpt1(fields: Fields, names: Collection[str]) -> GPTConfig:
    fields.get("n_special")  # how many of the tokens were added for a task; vocab_size counts them
    return GPTConfig(
        vocab_size=fields.integer("vocab_size"),
        max_length=fields.integer("n_positions"),
        d_model=fields.integer("n_embd"),
        num_layers=fields.layers("n_layer"),
        num_heads=fields.integer("n_head"),
        activation=fields.choice("afn", "gelu", GPT1_ACTIVATIONS),
        norm_first=False,
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        tied_head=fields.flag("tie_word_embeddings", True),
        dropout=fields.same(embd_pdrop=fields.number("embd_pdrop", 0.1), resid_pdrop=fields.number("resid_pdrop", 0.1)),
        attention_dropout=fields.number("attn_pdrop", 0.1),
        scaled_init=False,
    )


def write_gpt1(config: GPTConfig) -> dict[str, Any]:
    activations = {ours: theirs for theirs, ours in GPT1_ACTIVATIONS.items()}
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.max_length,
        "n_embd": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "afn": activations.get(config.activation, config.activation),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
    }


def rows_gpt1(config: GPTConfig) -> Iterator[Row]:
    yield from embeddings("transformer.tokens_embed", "transformer.positions_embed", config)
    yield from conv1d_blocks(config)


# ------------------------------------------------------------------------------------------------------------- GPT-Neo


def read_gpt_neo(fields: Fields, names: Collection[str]) -> GPTConfig:
    resid_dropout = fields.number("resid_dropout", 0.0)
    return GPTConfig(
        vocab_size=fields.integer("vocab_size"),
        max_length=fields.integer("max_position_embeddings"),
        d_model=fields.integer("hidden_size"),
        num_layers=fields.layers("num_layers"),
        num_heads=fields.integer("num_heads"),
        d_ff=fields.integer("intermediate_size", optional=True),
        activation=fields.choice("activation_function", "gelu_new", ACTIVATIONS),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        bands=read_bands(fields),
        attention_scale=1.0,
        attention_bias=False,
        tied_head=fields.flag("tie_word_embeddings", True),
        dropout=fields.same(embed_dropout=fields.number("embed_dropout", 0.0), resid_dropout=resid_dropout),
        attention_dropout=fields.number("attention_dropout", 0.0),
    )


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
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_length,
        "hidden_size": config.d_model,
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "intermediate_size": config.d_ff,
        "activation_function": config.activation,
        "layer_norm_epsilon": config.norm_eps,
        "window_size": min(widths, default=256),
        "attention_types": [[kinds, 1]],
        "attention_layers": kinds,
        "tie_word_embeddings": config.tied_head,
        "embed_dropout": config.dropout,
        "resid_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        **end_of_text(config),
    }


def rows_gpt_neo(config: GPTConfig) -> Iterator[Row]:
    yield from embeddings("transformer.wte", "transformer.wpe", config)
    for i in range(config.num_layers):
        theirs, ours = f"transformer.h.{i}", f"stack.blocks.{i}"
        yield weight(f"{theirs}.attn.attention.q_proj", f"{ours}.attention.query")
        yield weight(f"{theirs}.attn.attention.k_proj", f"{ours}.attention.key")
        yield weight(f"{theirs}.attn.attention.v_proj", f"{ours}.attention.value")
        yield from layer(f"{theirs}.attn.attention.out_proj", f"{ours}.attention.output")
        yield from layer(f"{theirs}.ln_1", f"{ours}.attention_norm")
        yield from layer(f"{theirs}.mlp.c_fc", f"{ours}.feed_forward.up")
        yield from layer(f"{theirs}.mlp.c_proj", f"{ours}.feed_forward.down")
        yield from layer(f"{theirs}.ln_2", f"{ours}.feed_forward_norm")
    yield from layer("transformer.ln_f", "stack.norm")


# ----------------------------------------------------------------------------------------------------------- the three

CAUSAL_MASKS = (r"transformer\.h\.\d+\.attn\.(attention\.)?(bias|masked_bias)",)
RANDOM_START = ("init_std", "scaled_init")

FAMILIES = [
    Family(
        model_type="gpt2",
        model=GPT,
        architecture=lambda config: "GPT2LMHeadModel",
        read=read_gpt2,
        write=write_gpt2,
        rows=rows_gpt2,
        prefix="transformer.",
        heads=(r"lm_head\..*",),
        constants=CAUSAL_MASKS,
        start_fields=RANDOM_START,
    ),
    Family(
        model_type="openai-gpt",
        model=GPT,
        architecture=lambda config: "OpenAIGPTLMHeadModel",
        read=read_gpt1,
        write=write_gpt1,
        rows=rows_gpt1,
        prefix="transformer.",
        heads=(r"lm_head\..*",),
        constants=CAUSAL_MASKS,
        start_fields=RANDOM_START,
    ),
    Family(
        model_type="gpt_neo",
        model=GPT,
        architecture=lambda config: "GPTNeoForCausalLM",
        read=read_gpt_neo,
        write=write_gpt_neo,
        rows=rows_gpt_neo,
        prefix="transformer.",
        heads=(r"lm_head\..*",),
        constants=CAUSAL_MASKS,
        start_fields=RANDOM_START,
    ),
]

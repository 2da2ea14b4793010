"""T5, versions 1.0 and 1.1: where its checkpoints keep what our `T5` needs."""

from collections.abc import Collection, Iterator
from typing import Any

from largemodels.t5 import T5, T5Config

from .mapping import ACTIVATIONS, Family, Fields, Row, weight


def read_t5(fields: Fields, names: Collection[str]) -> T5Config:
    fields.only(is_decoder=False)
    fields.get("n_positions")  # how long the texts were in pre-training; no part of the model depends on it
    activation, gated = read_feed_forward(fields)
    num_encoder_layers = fields.layers("num_layers")
    return T5Config(
        vocab_size=fields.integer("vocab_size"),
        d_model=fields.integer("d_model"),
        num_heads=fields.integer("num_heads"),
        d_head=fields.integer("d_kv"),
        num_encoder_layers=num_encoder_layers,
        num_decoder_layers=fields.layers("num_decoder_layers", num_encoder_layers),
        d_ff=fields.integer("d_ff"),
        activation=activation,
        gated=gated,
        num_buckets=fields.integer("relative_attention_num_buckets", 32),
        max_distance=fields.integer("relative_attention_max_distance", 128),
        norm_eps=fields.number("layer_norm_epsilon", 1e-6),
        tied_head=read_tied_head(fields, names),
        dropout=fields.number("dropout_rate", 0.1),
    )


def read_feed_forward(fields: Fields) -> tuple[str, bool]:
    """The name "gated-gelu" means the approximation of GELU, "gelu" does not; newer files say all of it in two more fields."""
    gate, _, name = fields.choice("feed_forward_proj", "relu", FEED_FORWARDS).rpartition("-")
    activation = fields.choice("dense_act_fn", "gelu_new" if (gate, name) == ("gated", "gelu") else name, ACTIVATIONS)
    return activation, fields.flag("is_gated_act", gate == "gated")


FEED_FORWARDS = {name: name for activation in ACTIVATIONS for name in (activation, f"gated-{activation}")}


def read_tied_head(fields: Fields, names: Collection[str]) -> bool:
    """Version 1.0 has one matrix for embeddings and output and a factor before it, 1.1 has two and no factor.

    Files of 1.1 say so by tie_word_embeddings = false, or, of late, by scale_decoder_outputs = false.
    """
    tied = fields.flag("tie_word_embeddings", True)
    scaled = fields.flag("scale_decoder_outputs", tied)
    if scaled and not tied:
        raise ValueError(
            f"{fields.file}: tie_word_embeddings = false with scale_decoder_outputs = true is not implemented here"
        )
    if not scaled and "lm_head.weight" not in names:
        raise ValueError(
            f"{fields.file}: an output that is not scaled (scale_decoder_outputs or tie_word_embeddings = false) needs "
            "a matrix of its own, but the checkpoint has no lm_head.weight"
        )
    return scaled


def write_t5(config: T5Config) -> dict[str, Any]:
    # "gated-gelu" is the one name for two things.
    activation = "gelu" if config.gated and config.activation == "gelu_new" else config.activation
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "num_heads": config.num_heads,
        "d_kv": config.d_head,
        "num_layers": config.num_encoder_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "d_ff": config.d_ff,
        "feed_forward_proj": f"gated-{activation}" if config.gated else activation,
        "dense_act_fn": config.activation,
        "is_gated_act": config.gated,
        "relative_attention_num_buckets": config.num_buckets,
        "relative_attention_max_distance": config.max_distance,
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
        "scale_decoder_outputs": config.tied_head,
        "dropout_rate": config.dropout,
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
    }


def rows_t5(config: T5Config) -> Iterator[Row]:
    copies = ["encoder.embed_tokens", "decoder.embed_tokens"]
    yield weight("shared", "embedding", copies=[*copies, "lm_head"] if config.tied_head else copies)
    if not config.tied_head:
        yield weight("lm_head", "head")
    for side, positions, num_layers in (
        ("encoder", "source_positions", config.num_encoder_layers),
        ("decoder", "target_positions", config.num_decoder_layers),
    ):
        # The first block keeps the table of positions that all of its side share.
        yield weight(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias", positions)
        for i in range(num_layers):
            yield from block(f"{side}.block.{i}.layer", f"{side}.blocks.{i}", config, side == "decoder")
        yield weight(f"{side}.final_layer_norm", f"{side}.norm")


def block(theirs: str, ours: str, config: T5Config, cross_attention: bool) -> Iterator[Row]:
    """A block's sublayers are numbered, each with its norm."""
    yield from attention(f"{theirs}.0.SelfAttention", f"{ours}.attention")
    yield weight(f"{theirs}.0.layer_norm", f"{ours}.attention_norm")
    if cross_attention:
        yield from attention(f"{theirs}.1.EncDecAttention", f"{ours}.cross_attention")
        yield weight(f"{theirs}.1.layer_norm", f"{ours}.cross_attention_norm")
    last = 2 if cross_attention else 1
    if config.gated:
        yield weight(f"{theirs}.{last}.DenseReluDense.wi_0", f"{ours}.feed_forward.gate")
        yield weight(f"{theirs}.{last}.DenseReluDense.wi_1", f"{ours}.feed_forward.up")
    else:
        yield weight(f"{theirs}.{last}.DenseReluDense.wi", f"{ours}.feed_forward.up")
    yield weight(f"{theirs}.{last}.DenseReluDense.wo", f"{ours}.feed_forward.down")
    yield weight(f"{theirs}.{last}.layer_norm", f"{ours}.feed_forward_norm")


def attention(theirs: str, ours: str) -> Iterator[Row]:
    yield weight(f"{theirs}.q", f"{ours}.query")
    yield weight(f"{theirs}.k", f"{ours}.key")
    yield weight(f"{theirs}.v", f"{ours}.value")
    yield weight(f"{theirs}.o", f"{ours}.output")


FAMILIES = [
    Family(
        model_type="t5",
        model=T5,
        architecture=lambda config: "T5ForConditionalGeneration",
        read=read_t5,
        write=write_t5,
        rows=rows_t5,
        # The official files hold a table of positions for the attention to the source, which reads none.
        constants=(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",),
        start_fields=(),
    )
]

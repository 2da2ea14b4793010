"""BART: where its checkpoints keep what our `BART` needs."""

from collections.abc import Collection, Iterator
from typing import Any

from largemodels.bart import BART, BARTConfig

from .mapping import ACTIVATIONS, Family, Fields, Row, layer, weight


def read_bart(fields: Fields, names: Collection[str]) -> BARTConfig:
    fields.only(
        is_decoder=False,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        # What an early version could also do, and BART does not.
        normalize_before=False,
        normalize_embedding=True,
        add_final_layer_norm=False,
        add_bias_logits=False,
        static_position_embeddings=False,
        extra_pos_embeddings=2,
    )
    num_encoder_layers = fields.layers("encoder_layers")
    fields.get("num_hidden_layers")  # the encoder's once more
    heads = {name: fields.integer(name) for name in ("encoder_attention_heads", "decoder_attention_heads")}
    widths = {name: fields.integer(name) for name in ("encoder_ffn_dim", "decoder_ffn_dim")}
    return BARTConfig(
        vocab_size=fields.integer("vocab_size"),
        max_length=fields.integer("max_position_embeddings"),
        d_model=fields.integer("d_model"),
        num_heads=fields.same(**heads),
        num_encoder_layers=num_encoder_layers,
        num_decoder_layers=fields.layers("decoder_layers"),
        d_ff=fields.same(**widths),
        activation=fields.choice("activation_function", "gelu", ACTIVATIONS),
        scale_embedding=fields.flag("scale_embedding", False),
        tied=fields.flag("tie_word_embeddings", True),
        dropout=fields.number("dropout", 0.1),
        attention_dropout=fields.number("attention_dropout", 0.0),
        activation_dropout=fields.number("activation_dropout", 0.0),
    )


def write_bart(config: BARTConfig) -> dict[str, Any]:
    d_ff = config.d_ff or 4 * config.d_model
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_length,
        "d_model": config.d_model,
        "encoder_attention_heads": config.num_heads,
        "decoder_attention_heads": config.num_heads,
        "encoder_layers": config.num_encoder_layers,
        "decoder_layers": config.num_decoder_layers,
        "encoder_ffn_dim": d_ff,
        "decoder_ffn_dim": d_ff,
        "activation_function": config.activation,
        "scale_embedding": config.scale_embedding,
        "tie_word_embeddings": config.tied,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "is_encoder_decoder": True,
    }


def rows_bart(config: BARTConfig) -> Iterator[Row]:
    if config.tied:
        copies = ["model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"]
        yield weight("model.shared", "source_embedding.token", copies=copies)
    else:
        # The table that would be shared is still there, and not read.
        ours = ("source_embedding.token.weight",)
        yield Row("model.encoder.embed_tokens.weight", ours, otherwise="model.shared.weight")
        yield weight("model.decoder.embed_tokens", "target_embedding.token")
        yield weight("lm_head", "head")
    yield Row("final_logits_bias", ("head.logits_bias",), absent_is_zero=True)
    for side, embedding in (("encoder", "source_embedding"), ("decoder", "target_embedding")):
        yield weight(f"model.{side}.embed_positions", f"{embedding}.position")
        yield from layer(f"model.{side}.layernorm_embedding", f"{embedding}.norm")
    for i in range(config.num_encoder_layers):
        yield from block(f"model.encoder.layers.{i}", f"encoder.blocks.{i}", cross_attention=False)
    for i in range(config.num_decoder_layers):
        yield from block(f"model.decoder.layers.{i}", f"decoder.blocks.{i}", cross_attention=True)


def block(theirs: str, ours: str, *, cross_attention: bool) -> Iterator[Row]:
    yield from attention(f"{theirs}.self_attn", f"{ours}.attention")
    if cross_attention:
        yield from attention(f"{theirs}.encoder_attn", f"{ours}.cross_attention")
    yield from layer(f"{theirs}.fc1", f"{ours}.feed_forward.up")
    yield from layer(f"{theirs}.fc2", f"{ours}.feed_forward.down")
    yield from layer(f"{theirs}.final_layer_norm", f"{ours}.feed_forward_norm")


def attention(theirs: str, ours: str) -> Iterator[Row]:
    yield from layer(f"{theirs}.q_proj", f"{ours}.query")
    yield from layer(f"{theirs}.k_proj", f"{ours}.key")
    yield from layer(f"{theirs}.v_proj", f"{ours}.value")
    yield from layer(f"{theirs}.out_proj", f"{ours}.output")
    yield from layer(f"{theirs}_layer_norm", f"{ours}_norm")


FAMILIES = [
    Family(
        model_type="bart",
        model=BART,
        architecture=lambda config: "BartForConditionalGeneration",
        read=read_bart,
        write=write_bart,
        rows=rows_bart,
        prefix="model.",
        heads=(r"lm_head\..*", "final_logits_bias"),
        constants=(r"model\.(en|de)coder\.version",),
    )
]

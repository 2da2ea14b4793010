"""BERT, ALBERT and RoBERTa: where their checkpoints keep what our `BERT` needs."""

from collections.abc import Collection, Iterator
from typing import Any

from largemodels.bert import BERT, BERTConfig

from .mapping import ACTIVATIONS, Family, Fields, Row, layer, weight

# ---------------------------------------------------------------------------------------------------------------- BERT


def read_common(fields: Fields) -> dict[str, Any]:
    """What all three have."""
    fields.only(position_embedding_type="absolute", is_decoder=False, add_cross_attention=False)
    return {
        "vocab_size": fields.integer("vocab_size"),
        "num_segments": fields.integer("type_vocab_size", 2),
        "d_model": fields.integer("hidden_size"),
        "num_heads": fields.integer("num_attention_heads"),
        "d_ff": fields.integer("intermediate_size"),
        "norm_eps": fields.number("layer_norm_eps", 1e-12),
        "tied_head": fields.flag("tie_word_embeddings", True),
    }


def write_common(config: BERTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "type_vocab_size": config.num_segments,
        "hidden_size": config.d_model,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.d_ff or 4 * config.d_model,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
    }


def read_bert(fields: Fields, names: Collection[str]) -> BERTConfig:
    return BERTConfig(
        **read_common(fields),
        max_length=fields.integer("max_position_embeddings"),
        num_layers=fields.layers("num_hidden_layers"),
        activation=fields.choice("hidden_act", "gelu", ACTIVATIONS),
        sentence_pairs="cls.seq_relationship.weight" in names,
        dropout=fields.number("hidden_dropout_prob", 0.1),
        attention_dropout=fields.number("attention_probs_dropout_prob", 0.1),
    )


def write_bert(config: BERTConfig) -> dict[str, Any]:
    sizes = {"max_position_embeddings": config.max_length, "num_hidden_layers": config.num_layers}
    return write_common(config) | sizes


def rows_bert(config: BERTConfig) -> Iterator[Row]:
    yield from embeddings("bert", config, head="cls.predictions.decoder")
    yield from blocks("bert", config)
    yield from layer("cls.predictions.transform.dense", "head.transform")
    yield from layer("cls.predictions.transform.LayerNorm", "head.norm")
    yield output_bias("cls.predictions", config)
    if config.sentence_pairs:
        yield from layer("bert.pooler.dense", "pair_head.pooler")
        yield from layer("cls.seq_relationship", "pair_head.output")


def embeddings(theirs: str, config: BERTConfig, head: str) -> Iterator[Row]:
    ours = "encoder.embedding"
    copies = [head] if config.tied_head else []
    yield weight(f"{theirs}.embeddings.word_embeddings", f"{ours}.token", copies=copies)
    yield weight(f"{theirs}.embeddings.position_embeddings", f"{ours}.position")
    yield weight(f"{theirs}.embeddings.token_type_embeddings", f"{ours}.segment")
    yield from layer(f"{theirs}.embeddings.LayerNorm", f"{ours}.norm")
    if not config.tied_head:
        yield weight(head, "head.output")


def blocks(prefix: str, config: BERTConfig) -> Iterator[Row]:
    """The blocks of BERT and RoBERTa."""
    for i in range(config.num_layers):
        theirs, ours = f"{prefix}.encoder.layer.{i}", f"encoder.stack.blocks.{i}"
        yield from layer(f"{theirs}.attention.self.query", f"{ours}.attention.query")
        yield from layer(f"{theirs}.attention.self.key", f"{ours}.attention.key")
        yield from layer(f"{theirs}.attention.self.value", f"{ours}.attention.value")
        yield from layer(f"{theirs}.attention.output.dense", f"{ours}.attention.output")
        yield from layer(f"{theirs}.attention.output.LayerNorm", f"{ours}.attention_norm")
        yield from layer(f"{theirs}.intermediate.dense", f"{ours}.feed_forward.up")
        yield from layer(f"{theirs}.output.dense", f"{ours}.feed_forward.down")
        yield from layer(f"{theirs}.output.LayerNorm", f"{ours}.feed_forward_norm")


def output_bias(head: str, config: BERTConfig) -> Row:
    """With a matrix of its own the output layer has a bias of its own, too, and the other is not read."""
    ours = ("head.output.bias",)
    if config.tied_head:
        return Row(f"{head}.bias", ours, copies=(f"{head}.decoder.bias",))
    return Row(f"{head}.decoder.bias", ours, otherwise=f"{head}.bias")


# -------------------------------------------------------------------------------------------------------------- ALBERT


def read_albert(fields: Fields, names: Collection[str]) -> BERTConfig:
    fields.only(net_structure_type=0, gap_size=0, num_memory_blocks=0, down_scale_factor=1)
    per_group = fields.integer("inner_group_num", 1)
    return BERTConfig(
        **read_common(fields),
        max_length=fields.integer("max_position_embeddings"),
        num_layers=fields.layers("num_hidden_layers") * per_group,  # they count how often a group is run through
        d_embedding=fields.integer("embedding_size", 128),
        share="all",
        num_groups=fields.layers("num_hidden_groups", 1),
        blocks_per_group=per_group,
        activation=fields.choice("hidden_act", "gelu_new", ACTIVATIONS),
        sentence_pairs="sop_classifier.classifier.weight" in names,
        dropout=fields.number("hidden_dropout_prob", 0.0),
        attention_dropout=fields.number("attention_probs_dropout_prob", 0.0),
    )


def write_albert(config: BERTConfig) -> dict[str, Any]:
    return write_common(config) | {
        "max_position_embeddings": config.max_length,
        "num_hidden_layers": config.num_layers // config.blocks_per_group,
        "embedding_size": config.d_embedding or config.d_model,
        "num_hidden_groups": config.num_groups,
        "inner_group_num": config.blocks_per_group,
    }


def rows_albert(config: BERTConfig) -> Iterator[Row]:
    yield from embeddings("albert", config, head="predictions.decoder")
    yield from layer("albert.encoder.embedding_hidden_mapping_in", "encoder.embedding.projection")
    cycles = config.num_layers // config.blocks_per_group
    for group in range(config.num_groups):
        first = -(-group * cycles // config.num_groups) * config.blocks_per_group  # the group's first block
        for turn in range(config.blocks_per_group):
            theirs = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{turn}"
            ours = f"encoder.stack.blocks.{first + turn}"
            yield from layer(f"{theirs}.attention.query", f"{ours}.attention.query")
            yield from layer(f"{theirs}.attention.key", f"{ours}.attention.key")
            yield from layer(f"{theirs}.attention.value", f"{ours}.attention.value")
            yield from layer(f"{theirs}.attention.dense", f"{ours}.attention.output")
            yield from layer(f"{theirs}.attention.LayerNorm", f"{ours}.attention_norm")
            yield from layer(f"{theirs}.ffn", f"{ours}.feed_forward.up")
            yield from layer(f"{theirs}.ffn_output", f"{ours}.feed_forward.down")
            yield from layer(f"{theirs}.full_layer_layer_norm", f"{ours}.feed_forward_norm")
    yield from layer("predictions.dense", "head.transform")
    yield from layer("predictions.LayerNorm", "head.norm")
    yield output_bias("predictions", config)
    if config.sentence_pairs:
        yield from layer("albert.pooler", "pair_head.pooler")
        yield from layer("sop_classifier.classifier", "pair_head.output")


# ------------------------------------------------------------------------------------------------------------- RoBERTa


def read_roberta(fields: Fields, names: Collection[str]) -> BERTConfig:
    pad, positions = fields.get("pad_token_id", 1), fields.integer("max_position_embeddings")
    if isinstance(pad, bool) or not isinstance(pad, int) or not 0 <= pad < positions - 1:
        raise ValueError(
            f"{fields.file}: pad_token_id = {pad!r} must be a token and leave positions after it, of which there are "
            f"{positions}"
        )
    return BERTConfig(
        **read_common(fields),
        max_length=positions - pad - 1,  # the first positions are those of the padding
        num_layers=fields.layers("num_hidden_layers"),
        activation=fields.choice("hidden_act", "gelu", {"gelu": "gelu"}),  # their head knows no other
        pad=pad,
        sentence_pairs=False,
        dropout=fields.number("hidden_dropout_prob", 0.1),
        attention_dropout=fields.number("attention_probs_dropout_prob", 0.1),
    )


def write_roberta(config: BERTConfig) -> dict[str, Any]:
    pad = 1 if config.pad is None else config.pad
    positions = {"pad_token_id": pad, "max_position_embeddings": config.max_length + pad + 1}
    return write_common(config) | positions | {"num_hidden_layers": config.num_layers}


def rows_roberta(config: BERTConfig) -> Iterator[Row]:
    yield from embeddings("roberta", config, head="lm_head.decoder")
    yield from blocks("roberta", config)
    yield from layer("lm_head.dense", "head.transform")
    yield from layer("lm_head.layer_norm", "head.norm")
    yield output_bias("lm_head", config)


# ----------------------------------------------------------------------------------------------------------- the three

FAMILIES = [
    Family(
        model_type="bert",
        model=BERT,
        architecture=lambda config: "BertForPreTraining" if config.sentence_pairs else "BertForMaskedLM",
        read=read_bert,
        write=write_bert,
        rows=rows_bert,
        prefix="bert.",
        heads=(r"cls\..*",),
        constants=(r"bert\.embeddings\.position_ids",),
        optional=(r"bert\.pooler\.dense\.(weight|bias)",),
    ),
    Family(
        model_type="albert",
        model=BERT,
        architecture=lambda config: "AlbertForPreTraining" if config.sentence_pairs else "AlbertForMaskedLM",
        read=read_albert,
        write=write_albert,
        rows=rows_albert,
        prefix="albert.",
        heads=(r"predictions\..*", r"sop_classifier\..*"),
        constants=(r"albert\.embeddings\.position_ids",),
        optional=(r"albert\.pooler\.(weight|bias)",),
    ),
    Family(
        model_type="roberta",
        model=BERT,
        architecture=lambda config: "RobertaForMaskedLM",
        read=read_roberta,
        write=write_roberta,
        rows=rows_roberta,
        prefix="roberta.",
        heads=(r"lm_head\..*",),
        constants=(r"roberta\.embeddings\.position_ids",),
        optional=(r"roberta\.pooler\.dense\.(weight|bias)",),
    ),
]

"""BERT, ALBERT and RoBERTa: where their checkpoints keep what our `BERT` needs."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from largemodels.bert import BERT, BERTConfig, SequenceClassifier, TokenClassifier

from .mapping import ACTIVATIONS, Family, Fields, Row, layer, weight

# --------------------------------------------------------------------------------------------------------------- names


@dataclass(frozen=True)
class Names:
    """What one of the three calls the layers that all three have.

    Attributes:
        body: begins the names of embeddings, blocks and pooler.
        block: the name of a block, from the number of its layer or of its group and its turn in there.
        sublayers: of a block, ours to theirs.
        pooler: reads the first token.
        head: begins the names of the masked-LM head; its layer and norm are `transform` and `norm` in there.
        pairs: the output for sentence pairs, if it has one.
        text: pooler and output of a classifier of texts.
    """

    body: str
    block: str
    sublayers: Mapping[str, str]
    pooler: str
    head: str
    transform: str
    norm: str
    pairs: str | None
    text: tuple[str, str]


SUBLAYERS = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
NAMES_BERT = Names(
    body="bert",
    block="bert.encoder.layer.{layer}",
    sublayers=SUBLAYERS,
    pooler="bert.pooler.dense",
    head="cls.predictions",
    transform="transform.dense",
    norm="transform.LayerNorm",
    pairs="cls.seq_relationship",
    text=("bert.pooler.dense", "classifier"),
)
NAMES_ALBERT = Names(
    body="albert",
    block="albert.encoder.albert_layer_groups.{group}.albert_layers.{turn}",
    sublayers={
        "attention.query": "attention.query",
        "attention.key": "attention.key",
        "attention.value": "attention.value",
        "attention.output": "attention.dense",
        "attention_norm": "attention.LayerNorm",
        "feed_forward.up": "ffn",
        "feed_forward.down": "ffn_output",
        "feed_forward_norm": "full_layer_layer_norm",
    },
    pooler="albert.pooler",
    head="predictions",
    transform="dense",
    norm="LayerNorm",
    pairs="sop_classifier.classifier",
    text=("albert.pooler", "classifier"),
)
NAMES_ROBERTA = Names(
    body="roberta",
    block="roberta.encoder.layer.{layer}",
    sublayers=SUBLAYERS,
    pooler="roberta.pooler.dense",
    head="lm_head",
    transform="dense",
    norm="layer_norm",
    pairs=None,
    text=("classifier.dense", "classifier.out_proj"),
)


def rows(names: Names, config: BERTConfig) -> Iterator[Row]:
    """The whole table: the body, and those heads that the configuration has."""
    yield from body(names, config)
    if config.masked_lm:
        yield from layer(f"{names.head}.{names.transform}", "head.transform")
        yield from layer(f"{names.head}.{names.norm}", "head.norm")
        yield output_bias(names.head, config)
        if not config.tied_head:
            yield weight(f"{names.head}.decoder", "head.output")
    if config.sentence_pairs and names.pairs:
        yield from layer(names.pooler, "pair_head.pooler")
        yield from layer(names.pairs, "pair_head.output")
    elif config.pooler:
        yield from layer(names.pooler, "pooler")


def body(names: Names, config: BERTConfig) -> Iterator[Row]:
    """The embeddings and the blocks. Where blocks share their weights, the first of those has the row."""
    theirs, ours = f"{names.body}.embeddings", "encoder.embedding"
    tied = config.masked_lm and config.tied_head
    yield weight(f"{theirs}.word_embeddings", f"{ours}.token", copies=[f"{names.head}.decoder"] if tied else [])
    yield weight(f"{theirs}.position_embeddings", f"{ours}.position")
    yield weight(f"{theirs}.token_type_embeddings", f"{ours}.segment")
    yield from layer(f"{theirs}.LayerNorm", f"{ours}.norm")
    if config.d_embedding is not None:
        yield from layer(f"{names.body}.encoder.embedding_hidden_mapping_in", f"{ours}.projection")
    cycles, seen = config.num_layers // config.blocks_per_group, set()
    for i in range(config.num_layers):
        cycle, turn = divmod(i, config.blocks_per_group)
        block = names.block.format(layer=i, group=cycle * config.num_groups // cycles, turn=turn)
        if block not in seen:
            seen.add(block)
            for our_layer, their_layer in names.sublayers.items():
                yield from layer(f"{block}.{their_layer}", f"encoder.stack.blocks.{i}.{our_layer}")


def output_bias(head: str, config: BERTConfig) -> Row:
    """With a matrix of its own the output layer has a bias of its own, too, and the other is not read."""
    ours = ("head.output.bias",)
    if config.tied_head:
        return Row(f"{head}.bias", ours, copies=(f"{head}.decoder.bias",))
    return Row(f"{head}.decoder.bias", ours, otherwise=f"{head}.bias")


# -------------------------------------------------------------------------------------------------------- configuration


def read_common(names: Names, fields: Fields, tensors: Collection[str]) -> dict[str, Any]:
    """What all three have. Which heads there are is told by the tensors."""
    fields.only(position_embedding_type="absolute", is_decoder=False, add_cross_attention=False)
    pairs = names.pairs is not None and f"{names.pairs}.weight" in tensors
    pooler = all(f"{names.pooler}.{part}" in tensors for part in ("weight", "bias"))
    return {
        "vocab_size": fields.integer("vocab_size"),
        "max_length": fields.integer("max_position_embeddings"),
        "num_segments": fields.integer("type_vocab_size", 2),
        "d_model": fields.integer("hidden_size"),
        "num_layers": fields.layers("num_hidden_layers"),
        "num_heads": fields.integer("num_attention_heads"),
        "d_ff": fields.integer("intermediate_size"),
        "norm_eps": fields.number("layer_norm_eps", 1e-12),
        "masked_lm": f"{names.head}.{names.transform}.weight" in tensors,
        "sentence_pairs": pairs,
        "pooler": pooler and not pairs,
        "tied_head": fields.flag("tie_word_embeddings", True),
    }


def read_dropout(fields: Fields, default: float) -> dict[str, float]:
    names = {"dropout": "hidden_dropout_prob", "attention_dropout": "attention_probs_dropout_prob"}
    return {ours: fields.number(theirs, default) for ours, theirs in names.items()}


def write_common(config: BERTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_length,
        "type_vocab_size": config.num_segments,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.d_ff or 4 * config.d_model,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
    }


def read_bert(fields: Fields, tensors: Collection[str]) -> BERTConfig:
    activation = fields.choice("hidden_act", "gelu", ACTIVATIONS)
    return BERTConfig(**read_common(NAMES_BERT, fields, tensors), activation=activation, **read_dropout(fields, 0.1))


def read_albert(fields: Fields, tensors: Collection[str]) -> BERTConfig:
    fields.only(net_structure_type=0, gap_size=0, num_memory_blocks=0, down_scale_factor=1)
    per_group = fields.integer("inner_group_num", 1)
    common = read_common(NAMES_ALBERT, fields, tensors)
    return BERTConfig(
        **common | {"num_layers": common["num_layers"] * per_group},  # they count how often a group is run through
        **read_dropout(fields, 0.0),
        d_embedding=fields.integer("embedding_size", 128),
        share="all",
        num_groups=fields.layers("num_hidden_groups", 1),
        blocks_per_group=per_group,
        activation=fields.choice("hidden_act", "gelu_new", ACTIVATIONS),
    )


def write_albert(config: BERTConfig) -> dict[str, Any]:
    return write_common(config) | {
        "num_hidden_layers": config.num_layers // config.blocks_per_group,
        "embedding_size": config.d_embedding or config.d_model,
        "num_hidden_groups": config.num_groups,
        "inner_group_num": config.blocks_per_group,
    }


def read_roberta(fields: Fields, tensors: Collection[str]) -> BERTConfig:
    common = read_common(NAMES_ROBERTA, fields, tensors)
    pad, positions = fields.get("pad_token_id", 1), common["max_length"]
    if isinstance(pad, bool) or not isinstance(pad, int) or not 0 <= pad < positions - 1:
        raise ValueError(
            f"{fields.file}: pad_token_id = {pad!r} must be a token and leave positions after it, of which there are "
            f"{positions}"
        )
    return BERTConfig(
        **common | {"max_length": positions - pad - 1},  # the first positions are those of the padding
        **read_dropout(fields, 0.1),
        activation=fields.choice("hidden_act", "gelu", {"gelu": "gelu"}),  # their head knows no other
        pad=pad,
    )


def write_roberta(config: BERTConfig) -> dict[str, Any]:
    pad = 1 if config.pad is None else config.pad
    return write_common(config) | {"pad_token_id": pad, "max_position_embeddings": config.max_length + pad + 1}


# ---------------------------------------------------------------------------------------------------------- other heads


def pretraining(config: BERTConfig) -> BERTConfig:
    """With the head that every checkpoint of pre-training has."""
    return replace(config, masked_lm=True)


def body_only(config: BERTConfig) -> BERTConfig:
    """Without heads, but with the pooler where there is one."""
    return replace(config, masked_lm=False, sentence_pairs=False, pooler=config.pooler or config.sentence_pairs)


def classifier(
    names: Names, config: BERTConfig, fields: Fields, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Callable[[], nn.Module], Iterator[Row]]:
    """What builds the classifier of a fine-tuned checkpoint, and its table: of texts if it has a pooler, else of tokens."""
    pooler, output = names.text
    reads_texts = f"{pooler}.weight" in shapes
    output = output if reads_texts else "classifier"
    if f"{output}.weight" not in shapes:
        raise ValueError(
            f'the checkpoint beside {fields.file} has no {output}.weight, and so no classifier; leave head="classifier" '
            "out, or give head=None for the body alone"
        )
    num_labels = shapes[f"{output}.weight"][0]
    default = fields.number("classifier_dropout_prob", config.dropout)  # ALBERT's name for it
    dropout = fields.number("classifier_dropout", default)
    config = replace(config, masked_lm=False, sentence_pairs=False, pooler=False)
    kind = SequenceClassifier if reads_texts else TokenClassifier

    def table() -> Iterator[Row]:
        yield from body(names, config)
        if reads_texts:
            yield from layer(pooler, "head.pooler")
        yield from layer(output, "head.output" if reads_texts else "head")

    return lambda: kind(BERT(config), num_labels, dropout), table()


# ----------------------------------------------------------------------------------------------------------- the three


def family(
    model_type: str,
    names: Names,
    class_name: str,
    read: Callable[[Fields, Collection[str]], BERTConfig],
    write: Callable[[BERTConfig], dict[str, Any]],
    heads: tuple[str, ...],
) -> Family:
    def architecture(config: BERTConfig) -> str:
        if not config.masked_lm:
            return f"{class_name}Model"
        return f"{class_name}{'ForPreTraining' if config.sentence_pairs else 'ForMaskedLM'}"

    return Family(
        model_type=model_type,
        model=BERT,
        architecture=architecture,
        read=read,
        write=write,
        rows=partial(rows, names),
        prefix=f"{names.body}.",
        heads=heads,
        constants=(rf"{names.body}\.embeddings\.position_ids",),
        pretraining=pretraining,
        body=body_only,
        classifier=partial(classifier, names),
    )


FAMILIES = [
    family("bert", NAMES_BERT, "Bert", read_bert, write_common, (r"cls\..*", r"classifier\..*")),
    family(
        "albert",
        NAMES_ALBERT,
        "Albert",
        read_albert,
        write_albert,
        (r"predictions\..*", r"sop_classifier\..*", r"classifier\..*"),
    ),
    family("roberta", NAMES_ROBERTA, "Roberta", read_roberta, write_roberta, (r"lm_head\..*", r"classifier\..*")),
]

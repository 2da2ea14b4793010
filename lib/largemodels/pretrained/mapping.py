"""What a model type needs to be read and written: `Family`, made of a configuration's fields and a table of weights."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# ------------------------------------------------------------------------------------------------------------ weights


@dataclass(frozen=True)
class Row:
    """One tensor of a checkpoint and the parameters of ours that hold the same numbers.

    Attributes:
        theirs: its name in a checkpoint of the whole model.
        ours: names of our parameters; several, if theirs is made of them, one below the other.
        transposed: whether theirs is ``(in, out)``, as in GPT-2's Conv1D, instead of torch's ``(out, in)``.
        copies: names under which some checkpoints hold the same tensor again, or instead.
        otherwise: the name of a tensor that takes its place where none of these is; else it is not read. It is written
            all the same, since `transformers` has it.
        absent_is_zero: whether a checkpoint may lack it, all zeros being meant.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    copies: tuple[str, ...] = ()
    otherwise: str | None = None
    absent_is_zero: bool = False

    def find(self, names: Collection[str]) -> list[str]:
        """Where among `names` it stands; the tensors of all of them are the same."""
        found = [name for name in (self.theirs, *self.copies) if name in names]
        return [self.otherwise] if not found and self.otherwise in names else found

    def to_ours(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Their tensor as views of it, one for each of ours."""
        if self.transposed:
            tensor = tensor.T
        return tensor.chunk(len(self.ours))

    def to_theirs(self, tensors: list[Tensor]) -> Tensor:
        """The way back."""
        tensor = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
        return (tensor.T if self.transposed else tensor).contiguous()

    def shape(self, shapes: Mapping[str, torch.Size]) -> tuple[int, ...]:
        """The shape of theirs, from the shapes of ours by name."""
        first, *others = (shapes[name] for name in self.ours)
        shape = (first[0] + sum(other[0] for other in others), *first[1:])
        return shape[::-1] if self.transposed else shape


def weight(theirs: str, ours: str, *, copies: Collection[str] = ()) -> Row:
    """The table's line for a layer without a bias: an embedding, say. Names are those of the layers."""
    return Row(f"{theirs}.weight", (f"{ours}.weight",), copies=tuple(f"{copy}.weight" for copy in copies))


def layer(theirs: str, *ours: str, transposed: bool = False) -> Iterator[Row]:
    """The table's line for a layer with weight and bias."""
    yield Row(f"{theirs}.weight", tuple(f"{name}.weight" for name in ours), transposed)
    yield Row(f"{theirs}.bias", tuple(f"{name}.bias" for name in ours))


# ------------------------------------------------------------------------------------------------------ configuration

# Fields of a config.json that say nothing about the function that the weights compute: where they come from, how to
# train or generate, what to return, heads for other tasks. All others are used, or refused by name.
_HARMLESS = """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path architectures dtype language model_type
    name tokenizer_class torch_dtype transformers_version

    gradient_checkpointing initializer_factor initializer_range init_std is_encoder_decoder max_seq_length
    model_max_length n_ctx

    bad_words_ids begin_suppress_tokens bos_token_id cls_token_id decoder_start_token_id diversity_penalty do_sample
    early_stopping encoder_no_repeat_ngram_size eos_token_id eos_token_ids exponential_decay_length_penalty
    force_bos_token_to_be_generated forced_bos_token_id forced_eos_token_id length_penalty mask_token_id max_length
    max_new_tokens min_length no_repeat_ngram_size num_beam_groups num_beams num_return_sequences pad_token_id prefix
    remove_invalid_values repetition_penalty sep_token_id suppress_tokens temperature top_k top_p typical_p

    chunk_size_feed_forward output_attentions output_hidden_states output_past output_scores return_dict
    return_dict_in_generate tf_legacy_loss torchscript use_bfloat16 use_cache xla_device

    _num_labels classif_dropout classifier_dropout classifier_dropout_prob directionality finetuning_task id2label
    label2id num_labels pooler_dropout pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type predict_special_tokens problem_type summary_activation summary_first_dropout
    summary_proj_to_labels summary_type summary_use_proj task_specific_params
"""
HARMLESS = frozenset(_HARMLESS.split())
MAX_LAYERS = 1000  # far more than any of these models has; a damaged file must not keep the machine busy for hours


class Fields:
    """The fields of a ``config.json``, each asked for by name; what nobody asked for can be told at the end.

    Every method raises ValueError with the file and the field in its message.
    """

    def __init__(self, fields: dict[str, Any], file: str):
        self.fields, self.file = fields, file
        self.known = set(HARMLESS)

    def get(self, name: str, default: Any = None) -> Any:
        """The field as it stands, `default` if it is absent or null."""
        self.known.add(name)
        value = self.fields.get(name)
        return default if value is None else value

    def integer(self, name: str, default: int | None = None, *, optional: bool = False) -> int | None:
        """A whole number of at least 1; None only if `optional`."""
        value = self.get(name, default)
        if value is None and optional:
            return None
        if value is None:
            raise ValueError(f"{self.file} does not tell {name}; it must be a whole number")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{self.file}: {name} must be a whole number of at least 1, got {value!r}")
        return value

    def layers(self, name: str, default: int | None = None) -> int:
        """A number of blocks."""
        value = self.integer(name, default)
        if value > MAX_LAYERS:
            raise ValueError(f"{self.file}: {name} must be at most {MAX_LAYERS}, got {value}")
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number of at least 0."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{self.file}: {name} must be a number of at least 0, got {value!r}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{self.file}: {name} must be true or false, got {value!r}")
        return value

    def choice(self, name: str, default: str, choices: Mapping[str, Any]) -> Any:
        """What `choices` says about the field's value."""
        value = self.get(name, default)
        if not isinstance(value, str) or value not in choices:
            raise ValueError(
                f"{self.file}: {name} = {value!r} is not implemented here; implemented are {', '.join(choices)}"
            )
        return choices[value]

    def only(self, **implemented: Any) -> None:
        """Fields of which one value is implemented; without them in the file they have it."""
        for name, value in implemented.items():
            found = self.get(name, value)
            if found != value:
                raise ValueError(f"{self.file}: {name} = {found!r} is not implemented here, only {value!r}")

    def same(self, **numbers: float) -> float:
        """Numbers that their models may choose one by one and ours has only one of."""
        if len(set(numbers.values())) > 1:
            told = ", ".join(f"{name} = {value}" for name, value in numbers.items())
            raise ValueError(f"{self.file}: {told}: this library has one number for these; make them equal in the file")
        return next(iter(numbers.values()))

    def unknown(self) -> dict[str, Any]:
        """The fields that nobody asked for and that switch something on."""
        return {name: value for name, value in self.fields.items() if name not in self.known and value}


# Their names of activations to ours. Some are the same function, computed in other steps.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


# ------------------------------------------------------------------------------------------------------------ families


@dataclass(frozen=True)
class Family:
    """One model type.

    Attributes:
        model_type: what config.json calls it.
        model: our class.
        architecture: what `transformers` calls its class with the heads of a configuration of ours.
        read: makes our configuration from the fields and the set of names of all tensors.
        write: makes the fields from our configuration, as far as it can.
        rows: the table of weights for a configuration.
        prefix: what stands before the body's names in a checkpoint with heads, and is absent in one without.
        heads: patterns of names that never have the prefix.
        constants: patterns of tensors that are no parameters: masks and position numbers that older versions saved.
        start_fields: fields of our configuration that matter only for a model's random start; not written.
        pretraining: the configuration with the head of pre-training, whether the tensors have it or not.
        body: the configuration without heads; None if a model of this type is nothing without its head.
        classifier: from the configuration, the fields and the shapes of all tensors to what builds the classifier of a
            fine-tuned checkpoint, and its table.
    """

    model_type: str
    model: type[nn.Module]
    architecture: Callable[[Any], str]
    read: Callable[[Fields, Collection[str]], Any]
    write: Callable[[Any], dict[str, Any]]
    rows: Callable[[Any], Iterator[Row]]
    prefix: str = ""
    heads: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    start_fields: tuple[str, ...] = ("init_std",)
    pretraining: Callable[[Any], Any] = lambda config: config
    body: Callable[[Any], Any] | None = None
    classifier: Callable[..., tuple[Callable[[], nn.Module], Iterator[Row]]] | None = None

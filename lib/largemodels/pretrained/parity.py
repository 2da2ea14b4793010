"""Parity: the same weights in `transformers` and here, the same numbers out. ``python -m largemodels parity``.

For each model type, small random models with every feature on and off are made by `transformers`, saved by it and
loaded by `largemodels.pretrained`. Then both get the same batch, with padding and without, and what they answer is
compared: logits, loss, gradients, and the tokens of greedy and beam search.

Three more tables follow: the same with dropout on, where both sides drop the same numbers; in float16, where each side is
compared with float32; and a checkpoint that was really trained, if it is on this machine.
"""

import argparse
import contextlib
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.generation import beam_search, greedy
from largemodels.masks import padding_mask

from . import FAMILIES, load, on_this_machine
from .files import CONFIG, Source

TOLERANCE = 1e-4  # relative errors above it cannot be float32's rounding in models of this size; usual are 1e-6
IGNORED = -100  # the label of a position that does not count
EOS = 2
LENGTH = 11
NEW_TOKENS = 8

# -------------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """A model for `transformers` to make: `fields` of its configuration beside the usual ones, and a word for them.

    Attributes:
        architecture: its class, if not the one with all heads.
        untied: whether to give the output layer weights of its own after all.
    """

    model_type: str
    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    architecture: str | None = None
    untied: bool = False

    def __str__(self) -> str:
        return f"{self.model_type}: {self.name}"


GPT2 = {"n_embd": 12, "n_layer": 3, "n_head": 3, "n_positions": 23}
GPT_NEO = {
    "hidden_size": 12,
    "num_layers": 4,
    "num_heads": 3,
    "max_position_embeddings": 23,
    "attention_types": [[["global", "local"], 2]],
    "window_size": 4,
}
BERT = {
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 18,
    "max_position_embeddings": 23,
}
BART = {
    "d_model": 12,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 18,
    "decoder_ffn_dim": 18,
    "max_position_embeddings": 23,
}
T5 = {
    "d_model": 10,
    "d_kv": 4,
    "d_ff": 18,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 3,
    "decoder_start_token_id": 0,
}
USUAL = {"gpt2": GPT2, "openai-gpt": GPT2, "gpt_neo": GPT_NEO, "bert": BERT, "albert": BERT, "roberta": BERT}
USUAL |= {"bart": BART, "t5": T5}
ARCHITECTURES = {
    "gpt2": "GPT2LMHeadModel",
    "openai-gpt": "OpenAIGPTLMHeadModel",
    "gpt_neo": "GPTNeoForCausalLM",
    "bert": "BertForPreTraining",
    "albert": "AlbertForPreTraining",
    "roberta": "RobertaForMaskedLM",
    "bart": "BartForConditionalGeneration",
    "t5": "T5ForConditionalGeneration",
}
SPECIAL_TOKENS = {"vocab_size": 29, "bos_token_id": 1, "eos_token_id": EOS}

CASES = [
    Case("gpt2", "as published"),
    Case("gpt2", "odd sizes", {"n_embd": 15, "n_head": 5, "n_layer": 1, "n_inner": 7}),
    Case("gpt2", "own head", {"tie_word_embeddings": False}),
    Case("gpt2", "inverse layer scaling", {"scale_attn_by_inverse_layer_idx": True}),
    Case("gpt2", "unscaled scores", {"scale_attn_weights": False}),
    Case("gpt2", "both, upcast", {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),
    Case("gpt2", "relu, ε 1e-3", {"activation_function": "relu", "layer_norm_epsilon": 1e-3}),
    Case("gpt2", "exact gelu", {"activation_function": "gelu"}),
    Case("gpt2", "silu", {"activation_function": "silu"}),
    Case("openai-gpt", "as published"),
    Case("openai-gpt", "odd sizes", {"n_embd": 15, "n_head": 5, "n_layer": 1}),
    Case("openai-gpt", "own head", {"tie_word_embeddings": False}),
    Case("openai-gpt", "relu, ε 1e-3", {"afn": "relu", "layer_norm_epsilon": 1e-3}),
    Case("openai-gpt", "silu", {"afn": "silu"}),
    Case("gpt_neo", "as published"),
    Case("gpt_neo", "odd sizes", {"hidden_size": 15, "num_heads": 5, "intermediate_size": 7}),
    Case("gpt_neo", "own head", {"tie_word_embeddings": False}),
    Case("gpt_neo", "all global", {"attention_types": [[["global"], 4]]}),
    Case("gpt_neo", "all local, window 1", {"attention_types": [[["local"], 4]], "window_size": 1}),
    Case("gpt_neo", "uneven pattern", {"attention_types": [[["local"], 1], [["global", "local", "local"], 1]]}),
    Case("gpt_neo", "relu, ε 1e-3", {"activation_function": "relu", "layer_norm_epsilon": 1e-3}),
    Case("bert", "as published"),
    Case("bert", "masked LM only", architecture="BertForMaskedLM"),
    Case("bert", "odd sizes", {"hidden_size": 15, "num_attention_heads": 5, "num_hidden_layers": 1}),
    Case("bert", "one segment", {"type_vocab_size": 1}),
    Case("bert", "three segments", {"type_vocab_size": 3}),
    Case("bert", "own head", {"tie_word_embeddings": False}),
    Case("bert", "gelu_new, ε 1e-3", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3}),
    Case("bert", "relu", {"hidden_act": "relu"}),
    Case("albert", "as published", {"embedding_size": 7}),
    Case("albert", "masked LM only", {"embedding_size": 7}, architecture="AlbertForMaskedLM"),
    Case("albert", "embeddings as wide", {"embedding_size": 12}),
    Case("albert", "two groups", {"num_hidden_layers": 4, "num_hidden_groups": 2, "embedding_size": 7}),
    Case("albert", "uneven groups", {"num_hidden_layers": 5, "num_hidden_groups": 3, "embedding_size": 7}),
    Case("albert", "two blocks in a group", {"inner_group_num": 2, "num_hidden_groups": 2, "embedding_size": 7}),
    Case("albert", "own head", {"tie_word_embeddings": False, "embedding_size": 7}),
    Case("albert", "exact gelu, ε 1e-3", {"hidden_act": "gelu", "layer_norm_eps": 1e-3, "type_vocab_size": 1}),
    Case("roberta", "as published", {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    Case("roberta", "two segments", {"type_vocab_size": 2}),
    Case("roberta", "padding is token 3", {"pad_token_id": 3}),
    Case("roberta", "odd sizes", {"hidden_size": 15, "num_attention_heads": 5, "num_hidden_layers": 1}),
    Case("roberta", "own head", {"tie_word_embeddings": False}),
    Case("bart", "as published"),
    Case("bart", "odd sizes", {"d_model": 15, "encoder_attention_heads": 5, "decoder_attention_heads": 5}),
    Case("bart", "scaled embeddings", {"scale_embedding": True}),
    Case("bart", "own tables", {"tie_word_embeddings": False}),
    Case("bart", "relu", {"activation_function": "relu"}),
    Case("bart", "gelu_new", {"activation_function": "gelu_new"}),
    Case("t5", "version 1.0"),
    Case("t5", "version 1.1", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, untied=True),
    Case("t5", "odd sizes", {"d_model": 15, "num_heads": 5, "d_kv": 7, "d_ff": 11, "num_layers": 1}),
    Case("t5", "few, near buckets", {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 5}),
    Case("t5", "gated silu", {"feed_forward_proj": "gated-silu"}),
    Case("t5", "exact gelu, ε 1e-3", {"feed_forward_proj": "gelu", "layer_norm_epsilon": 1e-3}),
    Case("t5", "own head, relu", {"tie_word_embeddings": False}, untied=True),
]

# Choices of dropout that differ from each other, so that none can stand for another.
DROPOUT = {
    "gpt2": {"embd_pdrop": 0.3, "resid_pdrop": 0.3, "attn_pdrop": 0.2},
    "openai-gpt": {"embd_pdrop": 0.3, "resid_pdrop": 0.3, "attn_pdrop": 0.2},
    "gpt_neo": {"embed_dropout": 0.3, "resid_dropout": 0.3, "attention_dropout": 0.2},
    "bert": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2},
    # The published versions 2 drop nothing at all. Theirs drops nothing after the feed-forward network either way.
    "albert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.2, "embedding_size": 7},
    "roberta": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2},
    "bart": {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.1},
    "t5": {"dropout_rate": 0.3},
}
REAL = "sentence-transformers/all-MiniLM-L6-v2"  # a body of BERT without a head

# ---------------------------------------------------------------------------------------------------------- measuring


class Parity(NamedTuple):
    """The largest relative errors of one case, and whether generation chose the same tokens (None: it does not)."""

    logits: float
    padded_logits: float
    loss: float
    gradients: float
    greedy: bool | None
    beams: bool | None

    @property
    def holds(self) -> bool:
        return max(self[:4]) <= TOLERANCE and self.greedy is not False and self.beams is not False


def measure(case: Case, folder: Path, seed: int = 0) -> Parity:
    """Make the case's model with `transformers` in `folder`, load it on both sides, and compare them.

    Raises:
        ImportError: `transformers` is not installed.
    """
    with _quiet():
        theirs = make(case, folder, seed)
        ours = load(folder)
        compare = _compare_bert if hasattr(ours, "pair_head") else _compare_seq2seq
        compare = compare if hasattr(ours, "encoder") else _compare_gpt
        torch.manual_seed(seed)
        return compare(ours, theirs, case)


class DropoutParity(NamedTuple):
    """The largest relative errors of one model type in training."""

    logits: float
    loss: float
    gradients: float

    @property
    def holds(self) -> bool:
        return max(self) <= TOLERANCE


def measure_dropout(model_type: str, folder: Path, seed: int = 0) -> DropoutParity:
    """As `measure`, in training mode: what is dropped is the same on both sides, so that the rest can be compared."""
    with _quiet(), fixed_dropout():
        case = Case(model_type, "dropout on", DROPOUT[model_type])
        theirs, ours = make(case, folder, seed).train(), load(folder).train()
        found, expected = _answers(ours, theirs, model_type, seed)
        labels = torch.randint(5, 29, found.shape[:1])
        loss, their_loss = F.cross_entropy(found, labels), F.cross_entropy(expected, labels)
        return DropoutParity(
            _error(found, expected),
            _error(loss, their_loss),
            _gradient_error(ours, loss, theirs, their_loss, case),
        )


class HalfParity(NamedTuple):
    """The largest error of the logits in float16, of ours and of theirs, in units of the largest logit in float32."""

    ours: float
    theirs: float

    @property
    def holds(self) -> bool:
        # Both round, in another order. An overflow is no rounding: it leaves errors of order 1.
        return self.ours <= 2 * self.theirs + 1e-3


def measure_half(model_type: str, folder: Path, seed: int = 0) -> HalfParity:
    """How far float16 leads away from float32, here and there."""
    with _quiet(), torch.no_grad():
        whole = make(next(case for case in CASES if case.model_type == model_type), folder, seed)
        half = type(whole).from_pretrained(folder, attn_implementation="eager", dtype=torch.float16).eval()
        found, theirs = _answers(load(folder, dtype=torch.float16), half, model_type, seed)
        _, expected = _answers(load(folder), whole, model_type, seed)
        return HalfParity(_error(found.float(), expected), _error(theirs.float(), expected))


def measure_real() -> Parity:
    """The checkpoint `REAL`: vectors without and with padding, and the gradients of what the pooler makes of them.

    Raises:
        ConnectionError: it is not on this machine, and cannot be fetched.
    """
    with _quiet():
        transformers = _transformers()
        folder = Source(REAL).first(CONFIG).parent
        theirs = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        ours = load(REAL, head=None)
        torch.manual_seed(0)
        tokens, mask = _batch(pad=0)
        tokens = torch.where(mask, torch.randint(1000, theirs.config.vocab_size, tokens.shape), tokens)
        vectors = _error(ours(tokens), theirs(tokens).last_hidden_state)
        found = ours(tokens, mask=mask[:, None, None])
        expected = theirs(tokens, attention_mask=mask.long())
        pooled = torch.tanh(ours.pooler(found[:, 0]))
        weights = torch.randn_like(pooled)
        loss, their_loss = (pooled * weights).sum(), (expected.pooler_output * weights).sum()
        return Parity(
            vectors,
            _error(found[mask], expected.last_hidden_state[mask]),
            _error(loss, their_loss),
            _gradient_error(ours, loss, theirs, their_loss, Case("bert", "real"), bare=True),
            None,
            None,
        )


@contextlib.contextmanager
def fixed_dropout() -> Iterator[None]:
    """Dropout that drops the same numbers of a tensor of the same shape each time, wherever it is called."""

    def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        generator = torch.Generator().manual_seed(1000 * x.numel() + x.shape[-1])
        return x * (torch.rand(x.shape, generator=generator) >= p).to(x) / (1 - p)

    def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_) -> Tensor:
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
        elif attn_mask is not None:
            scores = scores + attn_mask
        return dropout(scores.softmax(-1), dropout_p) @ value

    before = F.dropout, F.scaled_dot_product_attention
    F.dropout, F.scaled_dot_product_attention = dropout, attention
    try:
        yield
    finally:
        F.dropout, F.scaled_dot_product_attention = before


def _answers(ours: nn.Module, theirs: nn.Module, model_type: str, seed: int) -> tuple[Tensor, Tensor]:
    """The logits of both for the same padded texts, ``(tokens, vocabulary)``, without those of the padding."""
    torch.manual_seed(seed)
    if model_type in ("bart", "t5"):
        source, mask = _batch()
        target = torch.randint(5, 29, (3, 9))
        found = ours(source, target, mask[:, None, None])
        expected = theirs(source, attention_mask=mask.long(), decoder_input_ids=target).logits
        return found.flatten(0, 1), expected.flatten(0, 1)
    if model_type in ("bert", "albert", "roberta"):
        tokens, mask = _batch(pad=theirs.config.pad_token_id)
        found, expected = ours(tokens, mask=mask[:, None, None]), theirs(tokens, attention_mask=mask.long())[0]
    else:
        tokens, mask = _batch(padded_first=True)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        found = ours(tokens, mask[:, None, None])
        expected = theirs(tokens, attention_mask=mask.long(), position_ids=positions).logits
    return found[mask], expected[mask]


def make(case: Case, folder: Path, seed: int = 0) -> nn.Module:
    """The model of `transformers` for a case, as it comes back from the folder into which it was saved."""
    transformers = _transformers()
    torch.manual_seed(seed)
    config = transformers.CONFIG_MAPPING[case.model_type](**SPECIAL_TOKENS | USUAL[case.model_type] | case.fields)
    config._attn_implementation = "eager"
    kind = getattr(transformers, case.architecture or ARCHITECTURES[case.model_type])
    model = kind(config)
    if case.untied:
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        # Weights of order 1, so that attention is far from uniform and nothing can be left out unnoticed.
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point() and not tensor.unique().equal(torch.tensor([0.0, 1.0])):  # not a mask
                tensor.copy_(torch.randn_like(tensor) * 0.4 + (tensor == 1))
    model.save_pretrained(folder)
    return kind.from_pretrained(folder, attn_implementation="eager").eval()


def _compare_gpt(ours: nn.Module, theirs: nn.Module, case: Case) -> Parity:
    tokens, mask = _batch(padded_first=True)
    logits = _error(ours(tokens), theirs(tokens).logits)

    # The first token of a text is predicted from nothing: only the others count.
    labels = tokens.masked_fill(~(mask & mask.roll(1, dims=1)), IGNORED)
    labels[:, 0] = IGNORED
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    found = ours(tokens, mask[:, None, None])
    expected = theirs(tokens, attention_mask=mask.long(), position_ids=positions, labels=labels)
    loss = F.cross_entropy(found[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)

    inputs = {"attention_mask": mask[:, :LENGTH].long()}
    options = {"mask": mask[:, None, None], "prompt": tokens}
    return Parity(
        logits,
        _error(found[mask], expected.logits[mask]),
        _error(loss, expected.loss),
        _gradient_error(ours, loss, theirs, expected.loss, case),
        *_same_tokens(ours, options, theirs, tokens, inputs, skip=LENGTH),
    )


def _compare_bert(ours: nn.Module, theirs: nn.Module, case: Case) -> Parity:
    pad = theirs.config.pad_token_id
    tokens, mask = _batch(pad=pad)
    whole = tokens.masked_fill(tokens == pad, 7)
    segments = torch.randint(ours.config.num_segments, tokens.shape)
    labels = torch.randint(5, 29, tokens.shape).masked_fill(torch.rand(tokens.shape) < 0.6, IGNORED)
    labels[:, 1] = tokens[:, 1]
    labels = labels.masked_fill(~mask, IGNORED)
    pairs = torch.tensor([0, 1, 1])

    unpadded = theirs(whole, token_type_ids=segments)
    logits = _error(ours(whole, segments), unpadded[0])

    options = {"attention_mask": mask.long(), "token_type_ids": segments, "labels": labels}
    vectors = ours.encoder(tokens, segments, mask[:, None, None])
    found = ours.head(vectors)
    loss = F.cross_entropy(found.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    if ours.pair_head is None:
        expected = theirs(tokens, **options)
    else:
        options["next_sentence_label" if case.model_type == "bert" else "sentence_order_label"] = pairs
        expected = theirs(tokens, **options)
        judged = ours.pair_head(vectors)
        loss = loss + F.cross_entropy(judged, pairs)
        logits = max(logits, _error(judged, expected[2]))
    return Parity(
        logits,
        _error(found[mask], expected[1][mask]),
        _error(loss, expected.loss),
        _gradient_error(ours, loss, theirs, expected.loss, case),
        None,
        None,
    )


def _compare_seq2seq(ours: nn.Module, theirs: nn.Module, case: Case) -> Parity:
    source, mask = _batch()
    start = theirs.config.decoder_start_token_id
    target = torch.cat([torch.full((3, 1), start), torch.randint(5, 29, (3, 8))], dim=1)
    labels = torch.cat([target[:, 1:], torch.full((3, 1), EOS)], dim=1)
    labels[1, 5:] = IGNORED
    logits = _error(ours(source, target), theirs(source, decoder_input_ids=target).logits)

    found = ours(source, target, mask[:, None, None])
    inputs = {"attention_mask": mask.long()}
    expected = theirs(source, **inputs, decoder_input_ids=target, labels=labels)
    loss = F.cross_entropy(found.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    options = {"mask": mask[:, None, None], "prompt": start, "source": source}
    return Parity(
        logits,
        _error(found, expected.logits),
        _error(loss, expected.loss),
        _gradient_error(ours, loss, theirs, expected.loss, case),
        *_same_tokens(ours, options, theirs, source, inputs, skip=1),
    )


def _batch(*, pad: int = 1, padded_first: bool = False) -> tuple[Tensor, Tensor]:
    """Three texts of different lengths, ``(3, LENGTH)``, and where they have tokens."""
    tokens = torch.randint(5, 29, (3, LENGTH))
    mask = padding_mask(torch.tensor([LENGTH, LENGTH - 4, 3]), LENGTH)[:, 0, 0]
    mask = mask.flip(1) if padded_first else mask
    return tokens.masked_fill(~mask, pad), mask


def _error(found: Tensor, expected: Tensor, least: float = 1e-6) -> float:
    """The largest difference, in units of the largest number."""
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=least)).item()


def _gradient_error(
    ours: nn.Module, loss: Tensor, theirs: nn.Module, their_loss: Tensor, case: Case, *, bare: bool = False
) -> float:
    """The largest error of a parameter's gradient; infinite if one side has a gradient where the other has none.

    `bare`: theirs is a body alone, whose names lack the prefix.
    """
    loss.backward()
    their_loss.backward()
    our_parameters = dict(ours.named_parameters(remove_duplicate=False))
    their_parameters = dict(theirs.named_parameters(remove_duplicate=False))
    # A gradient that should be 0, as that of a key's bias, is nothing but rounding: the others are its measure.
    largest = max(p.grad.abs().max().item() for p in our_parameters.values() if p.grad is not None)
    errors = []
    family = FAMILIES[case.model_type]
    for row in family.rows(ours.config):
        if row.ours[0] not in our_parameters:
            continue
        found = [our_parameters[name].grad for name in row.ours]
        expected = their_parameters[row.theirs.removeprefix(family.prefix) if bare else row.theirs].grad
        if expected is None or any(part is None for part in found):
            errors.append(0.0 if expected is None and all(part is None for part in found) else float("inf"))
        else:
            errors.append(_error(row.to_theirs(found), expected, least=0.03 * largest))
    return max(errors)


def _same_tokens(
    ours: nn.Module, options: dict[str, Any], theirs: nn.Module, tokens: Tensor, inputs: dict[str, Any], skip: int
) -> tuple[bool, bool]:
    """Whether greedy and beam search choose the same tokens."""
    shared = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "eos_token_id": EOS, "pad_token_id": EOS}
    # Their cache cannot hold a decoder with more blocks than the encoder. Tokens that a configuration asks for by force
    # are no choice of the model's.
    shared |= {"use_cache": False, "forced_eos_token_id": None, "forced_bos_token_id": None}
    greedily = theirs.generate(tokens, **inputs, **shared)[:, skip:]
    beams = theirs.generate(tokens, **inputs, **shared, num_beams=3, length_penalty=1.0, early_stopping=False)[:, skip:]
    limits = {"max_new_tokens": NEW_TOKENS, "eos": EOS}
    return (
        _same(greedy(ours, **options, **limits), greedily),
        _same(beam_search(ours, **options, **limits, beams=3).tokens[:, 0], beams),
    )


def _same(found: Tensor, expected: Tensor) -> bool:
    """Whether the texts are the same, however many EOS follow them."""
    found, expected = (F.pad(tokens, (0, NEW_TOKENS - tokens.shape[1]), value=EOS) for tokens in (found, expected))
    return torch.equal(found, expected)


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "parity is measured against the package transformers, which only the course's tests need and which is not "
            "installed; `python course.py test` installs it"
        ) from error
    return transformers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, advice and warnings."""
    transformers = _transformers()
    verbosity, bars = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()


# ------------------------------------------------------------------------------------------------------------ command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", choices=list(FAMILIES), action="append", help="only this model type; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights and texts (default: %(default)s)")


def main(arguments: argparse.Namespace) -> int:
    """Print the tables, a line at a time; the exit status is 1 if a line fails."""
    try:
        version = _transformers().__version__
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    torch.set_num_threads(1)  # such small models are faster on one
    types = arguments.type or list(FAMILIES)
    cases = [case for case in CASES if case.model_type in types]
    print(f"Largest relative errors against transformers {version}, in float32; greedy and beam search: same tokens?\n")
    print(
        f"{'model type':<11} {'configuration':<22} {'logits':>8} {'padded':>8} {'loss':>8} {'gradients':>9}  greedy beams"
    )
    failed = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(case, Path(folder), arguments.seed)
        failed += _print_line(case.model_type, case.name, found)
    print(f"\n{len(cases) - failed} of {len(cases)} agree to {TOLERANCE:g}.")
    return int(sum([failed, _further(types, arguments.seed)]) > 0)


def _further(types: list[str], seed: int) -> int:
    """The other tables; how many of their lines fail."""
    failed = 0
    print("\nIn training, with dropout on and the same numbers dropped on both sides:\n")
    print(f"{'model type':<11} {'':<22} {'logits':>8} {'':>8} {'loss':>8} {'gradients':>9}")
    for model_type in types:
        with tempfile.TemporaryDirectory() as folder:
            found = measure_dropout(model_type, Path(folder), seed)
        errors = f"{found.logits:8.0e} {'':>8} {found.loss:8.0e} {found.gradients:9.0e}"
        print(f"{model_type:<11} {'dropout on':<22} {errors}{'' if found.holds else '  FAILS'}", flush=True)
        failed += not found.holds
    print("\nIn float16, each against float32:\n")
    print(f"{'model type':<11} {'':<22} {'ours':>8} {'theirs':>8}")
    for model_type in types:
        with tempfile.TemporaryDirectory() as folder:
            found = measure_half(model_type, Path(folder), seed)
        errors = f"{found.ours:8.0e} {found.theirs:8.0e}"
        print(f"{model_type:<11} {'float16':<22} {errors}{'' if found.holds else '  FAILS'}", flush=True)
        failed += not found.holds
    if "bert" in types and on_this_machine(REAL):
        print("\nA checkpoint that was really trained; its vectors in place of logits:\n")
        failed += _print_line("bert", REAL.rpartition("/")[2], measure_real())
    elif "bert" in types:
        print(f"\n{REAL} is not on this machine, and was left out.")
    return failed


def _print_line(model_type: str, name: str, found: Parity) -> bool:
    """Whether it fails."""
    errors = f"{found.logits:8.0e} {found.padded_logits:8.0e} {found.loss:8.0e} {found.gradients:9.0e}"
    same = " ".join(f"{_told(one):<6}" for one in (found.greedy, found.beams))
    print(f"{model_type:<11} {name:<22} {errors}  {same}{'' if found.holds else '  FAILS'}", flush=True)
    return not found.holds


def _told(same: bool | None) -> str:
    return "–" if same is None else "yes" if same else "NO"

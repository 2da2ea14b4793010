"""A training step: forwards, backwards, AdamW."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.course.planner import flops_per_token
from largemodels.gpt import GPT
from largemodels.training import decay_groups
from largemodels.training.precision import gains_from_bfloat16, in_bfloat16
from largemodels.transformer import Transformer, TransformerConfig

from . import peers
from .measuring import Comparison, Competitor, compare
from .peers import A, B, Sizes

PAIRS = Sizes(num_layers=3, d_model=128, num_heads=4, length=32, vocab_size=1000, batch=64)
MASKED = Sizes(num_layers=4, d_model=128, num_heads=4, length=128, vocab_size=5000, batch=32)
HIDDEN_SHARE = 0.15  # of BERT's tokens


def training(repetitions: int) -> Iterator[Comparison]:
    """All in float32 with the same optimizer; then ours as `training.train` can do it, and the others as they come."""
    for name, sizes in (("A", A), ("B", B)):
        yield _decoder(f"GPT {name}", sizes, goal=1.2, repetitions=repetitions)
    yield _pairs(goal=1.1, repetitions=repetitions)
    yield _masked(goal=1.4, repetitions=repetitions)
    yield _decoder("GPT A", A, CHOSEN, goal=1.2, repetitions=repetitions)
    yield _decoder("GPT B", B, CHOSEN, goal=2.0, repetitions=repetitions)
    yield _pairs(CHOSEN, goal=1.3, repetitions=repetitions)


SAME, CHOSEN = "float32", "as the loop chooses"


def _ours(model: nn.Module, loss: Callable[[nn.Module], Tensor], how: str, name: str, note: str = "") -> Competitor:
    bfloat16 = how == CHOSEN and gains_from_bfloat16(model)
    if how != SAME:
        note = f"{'products in bfloat16' if bfloat16 else 'float32'}, fused AdamW"
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    return Competitor(name, _trainer(model, loss, bfloat16=bfloat16), note, dtype)


def _theirs(model: nn.Module, loss: Callable[[nn.Module], Tensor], how: str, name: str, note: str = "") -> Competitor:
    return Competitor(name, _trainer(model, loss, fused=how == SAME), note)


def _trainer(
    model: nn.Module, loss: Callable[[nn.Module], Tensor], *, bfloat16: bool = False, fused: bool = True
) -> Callable[[], float]:
    """A function that makes one step and returns the loss before it. torch's own default is no fused AdamW."""
    model.train()
    options = {"fused": True} if fused else {}
    optimizer = torch.optim.AdamW(decay_groups(model, 0.01), lr=1e-3, betas=(0.9, 0.98), **options)

    def step() -> float:
        with in_bfloat16(torch.device("cpu"), bfloat16):
            value = loss(model)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value.item()

    return step


def _next_token_loss(tokens: Tensor, call: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module], Tensor]:
    """Mean −log p of each next token; ``call(model, tokens)`` gives the logits."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    return lambda model: F.cross_entropy(call(model, inputs).flatten(0, 1).float(), targets.flatten())


def _decoder(name: str, sizes: Sizes, how: str = SAME, *, goal: float, repetitions: int) -> Comparison:
    torch.manual_seed(0)
    tokens = torch.randint(sizes.vocab_size, (sizes.batch, sizes.length + 1))
    plain = _next_token_loss(tokens, lambda model, inputs: model(inputs))
    theirs = peers.gpt2(sizes) if peers.transformers() else None
    ours = GPT(sizes.gpt()) if theirs is None else peers.same_weights(theirs)
    competitors = [_ours(ours, plain, how, "largemodels.GPT")]
    if theirs is not None:
        logits = _next_token_loss(tokens, lambda model, inputs: model(inputs, use_cache=False).logits)
        competitors.append(_theirs(theirs, logits, how, "transformers GPT2LMHeadModel", "same weights"))
    torchs = peers.TorchGPT(sizes)
    competitors.append(_theirs(torchs, plain, how, "torch.nn.TransformerEncoder", "own weights"))
    return compare(
        f"{name}, {how}: {sizes}",
        competitors,
        repetitions=repetitions,
        amount=sizes.batch * sizes.length,
        flops=flops_per_token(sizes.gpt()) * sizes.batch * sizes.length,
        goal=goal,
    )


def _pairs(how: str = SAME, *, goal: float, repetitions: int) -> Comparison:
    sizes = PAIRS
    torch.manual_seed(0)
    source, target, labels = torch.randint(1, sizes.vocab_size, (3, sizes.batch, sizes.length))

    def loss(call: Callable[[nn.Module], Tensor]) -> Callable[[nn.Module], Tensor]:
        return lambda model: F.cross_entropy(call(model).flatten(0, 1), labels.flatten())

    ours = Transformer(
        TransformerConfig(
            source_vocab_size=sizes.vocab_size,
            target_vocab_size=sizes.vocab_size,
            max_length=sizes.length,
            d_model=sizes.d_model,
            num_heads=sizes.num_heads,
            num_encoder_layers=sizes.num_layers,
            num_decoder_layers=sizes.num_layers,
            d_ff=4 * sizes.d_model,
            dropout=0.0,
        )
    )
    both = loss(lambda model: model(source, target))
    torchs = peers.TorchTransformer(sizes)
    competitors = [
        _ours(ours, both, how, "largemodels.Transformer", "own weights"),
        _theirs(torchs, both, how, "torch.nn.Transformer", "own weights, no positions"),
    ]
    if peers.transformers():
        named = loss(lambda model: model(input_ids=source, decoder_input_ids=target, use_cache=False).logits)
        for name, model in (("transformers BART", peers.bart(sizes)), ("transformers T5", peers.t5(sizes))):
            competitors.append(_theirs(model, named, how, name, "own weights"))
    return compare(
        f"encoder-decoder, {how}: {sizes.num_layers} + {sizes}",
        competitors,
        repetitions=repetitions,
        amount=sizes.batch * sizes.length,
        # Each weight meets the tokens of the source or those of the target; three attentions in each pair of blocks.
        flops=sizes.batch * sizes.length * (_flops(ours) + 12 * 3 * sizes.num_layers * sizes.d_model * sizes.length),
        goal=goal,
    )


def _flops(part: nn.Module) -> float:
    """For a token that passes through a part, forwards and backwards: 6 for each weight of a matrix product."""
    return 6 * sum(layer.weight.numel() for layer in part.modules() if isinstance(layer, nn.Linear))


def _masked(*, goal: float, repetitions: int) -> Comparison:
    """BERT's loss needs logits at the hidden tokens only; `transformers` computes all of them."""
    from largemodels.bert import BERT, BERTConfig

    sizes = MASKED
    torch.manual_seed(0)
    tokens = torch.randint(sizes.vocab_size, (sizes.batch, sizes.length))
    hidden = torch.rand(tokens.shape) < HIDDEN_SHARE
    config = BERTConfig(
        vocab_size=sizes.vocab_size,
        max_length=sizes.length,
        d_model=sizes.d_model,
        num_layers=sizes.num_layers,
        num_heads=sizes.num_heads,
        dropout=0.0,
        attention_dropout=0.0,
        sentence_pairs=False,
    )
    theirs = peers.bert(sizes) if peers.transformers() else None
    ours = BERT(config) if theirs is None else peers.same_weights(theirs)
    only_hidden = _trainer(
        ours, lambda model: F.cross_entropy(model.head(model.encoder(tokens)[hidden]), tokens[hidden])
    )
    competitors = [Competitor("largemodels.BERT", only_hidden, "same weights, head at the hidden tokens only")]
    if theirs is not None:
        labels = tokens.masked_fill(~hidden, -100)
        everywhere = _trainer(theirs, lambda model: model(tokens, labels=labels).loss)
        competitors.append(Competitor("transformers BertForMaskedLM", everywhere, "same weights"))
    attention = 12 * sizes.num_layers * sizes.d_model * sizes.length
    return compare(
        f"BERT, float32: {sizes}",
        competitors,
        repetitions=repetitions,
        amount=sizes.batch * sizes.length,
        flops=tokens.numel() * (_flops(ours.encoder) + attention) + hidden.sum().item() * _flops(ours.head),
        goal=goal,
    )

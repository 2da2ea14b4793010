"""A training step: forwards, backwards, AdamW."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.gpt import GPT
from largemodels.planner import flops_per_token
from largemodels.training import decay_groups, gains_from_bfloat16
from largemodels.transformer import Transformer, TransformerConfig

from . import peers
from .measuring import Comparison, Competitor, compare
from .peers import A, B, Sizes

PAIRS = Sizes(num_layers=3, d_model=128, num_heads=4, length=32, vocab_size=1000, batch=64)
MASKED = Sizes(num_layers=4, d_model=128, num_heads=4, length=128, vocab_size=5000, batch=32)
HIDDEN_SHARE = 0.15  # of BERT's tokens


def training(repetitions: int) -> Iterator[Comparison]:
    for name, sizes, goal in (("A", A, 1.2), ("B", B, 1.2)):
        yield _decoder(f"GPT {name}, float32: {sizes}", sizes, False, goal, repetitions)
    if gains_from_bfloat16(GPT(B.gpt())):
        yield _decoder(f"GPT B, as the training loop chooses (bfloat16): {B}", B, True, 2.0, repetitions)
    yield _pairs(repetitions)
    yield _masked(repetitions)


def _trainer(model: nn.Module, loss: Callable[[nn.Module], Tensor], bfloat16: bool = False) -> Callable[[], float]:
    """A function that makes one step, with the loop's optimizer for all alike."""
    model.train()
    optimizer = torch.optim.AdamW(decay_groups(model, 0.01), lr=1e-3, betas=(0.9, 0.98), fused=True)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
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


def _decoder(title: str, sizes: Sizes, bfloat16: bool, goal: float, repetitions: int) -> Comparison:
    torch.manual_seed(0)
    tokens = torch.randint(sizes.vocab_size, (sizes.batch, sizes.length + 1))
    plain = _next_token_loss(tokens, lambda model, inputs: model(inputs))
    theirs = peers.gpt2(sizes) if peers.transformers() else None
    ours = GPT(sizes.gpt()) if theirs is None else peers.same_weights(theirs)
    competitors = [Competitor("largemodels.GPT", _trainer(ours, plain, bfloat16))]
    if theirs is not None:
        logits = _next_token_loss(tokens, lambda model, inputs: model(inputs, use_cache=False).logits)
        note = "float32, same weights" if bfloat16 else "same weights"
        competitors.append(Competitor("transformers GPT2LMHeadModel", _trainer(theirs, logits), note))
    competitors.append(Competitor("torch.nn.TransformerEncoder", _trainer(peers.TorchGPT(sizes), plain), "own weights"))
    return compare(
        title,
        competitors,
        repetitions=repetitions,
        amount=sizes.batch * sizes.length,
        flops=flops_per_token(sizes.gpt()) * sizes.batch * sizes.length,
        goal=goal,
    )


def _pairs(repetitions: int) -> Comparison:
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
    competitors = [
        Competitor("largemodels.Transformer", _trainer(ours, both)),
        Competitor("torch.nn.Transformer", _trainer(peers.TorchTransformer(sizes), both), "without positions"),
    ]
    if peers.transformers():
        named = loss(lambda model: model(input_ids=source, decoder_input_ids=target, use_cache=False).logits)
        competitors += [
            Competitor("transformers BART", _trainer(peers.bart(sizes), named)),
            Competitor("transformers T5", _trainer(peers.t5(sizes), named)),
        ]
    title = f"encoder-decoder, float32: {sizes.num_layers} + {sizes}"
    return compare(title, competitors, repetitions=repetitions, amount=sizes.batch * sizes.length, goal=1.1)


def _masked(repetitions: int) -> Comparison:
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
    competitors = [Competitor("largemodels.BERT", only_hidden, "head at the hidden tokens only")]
    if theirs is not None:
        labels = tokens.masked_fill(~hidden, -100)
        everywhere = _trainer(theirs, lambda model: model(tokens, labels=labels).loss)
        competitors.append(Competitor("transformers BertForMaskedLM", everywhere, "same weights"))
    title = f"BERT, float32: {sizes}"
    return compare(title, competitors, repetitions=repetitions, amount=sizes.batch * sizes.length, goal=1.4)

"""Generation with a cache, and attention within a band."""

from collections.abc import Iterator

import torch
from torch import Tensor

from largemodels.attention import scaled_dot_product_attention
from largemodels.generation import beam_search, greedy
from largemodels.masks import banded_causal_mask

from . import peers
from .measuring import Comparison, Competitor, compare
from .peers import A, B, Sizes

PROMPT, NEW = 16, 128
PAIRS = Sizes(num_layers=3, d_model=128, num_heads=4, length=32, vocab_size=1000, batch=32)


def generation(repetitions: int) -> Iterator[Comparison]:
    """Against the `generate` of `transformers` with its cache, on the same weights; without that package, ours alone."""
    for name, sizes, batch, goal in (("A", A, 1, 2.0), ("A", A, 16, 1.5), ("B", B, 1, 1.15)):
        yield _decoder(
            f"greedy, GPT {name}, batch {batch}: {NEW} tokens after {PROMPT}", sizes, batch, goal, repetitions
        )
    for batch in (1, PAIRS.batch):
        for beams in (1, 4):
            yield _pairs(batch, beams, repetitions)


def _decoder(title: str, sizes: Sizes, batch: int, goal: float, repetitions: int) -> Comparison:
    from largemodels.gpt import GPT

    torch.manual_seed(0)
    prompt = torch.randint(sizes.vocab_size, (batch, PROMPT))
    room = PROMPT + NEW
    theirs = peers.gpt2(sizes, room).eval() if peers.transformers() else None
    ours = GPT(sizes.gpt(room)) if theirs is None else peers.same_weights(theirs)
    competitors = [Competitor("largemodels.greedy", lambda: greedy(ours, prompt, max_new_tokens=NEW))]
    if theirs is not None:
        options = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0}
        competitors.append(
            Competitor("transformers generate", lambda: theirs.generate(prompt, **options), "same weights")
        )
    return compare(title, competitors, repetitions=repetitions, amount=batch * NEW, goal=goal)


def _pairs(batch: int, beams: int, repetitions: int) -> Comparison:
    from largemodels.bart import BART, BARTConfig

    torch.manual_seed(0)
    sizes = PAIRS
    source = torch.randint(2, sizes.vocab_size, (batch, sizes.length))
    theirs = peers.bart(sizes).eval() if peers.transformers() else None
    if theirs is None:
        ours = BART(BARTConfig(vocab_size=sizes.vocab_size, d_model=sizes.d_model, num_heads=sizes.num_heads))
    else:
        ours = peers.same_weights(theirs)

    def search() -> Tensor:
        if beams == 1:
            return greedy(ours, 1, source=source, max_new_tokens=sizes.length)
        return beam_search(ours, 1, source=source, max_new_tokens=sizes.length, beams=beams).tokens

    name = "greedy" if beams == 1 else f"beam search with {beams}"
    competitors = [Competitor(f"largemodels {name}", search)]
    if theirs is not None:
        options = {"max_new_tokens": sizes.length, "do_sample": False, "num_beams": beams}
        competitors.append(
            Competitor("transformers generate", lambda: theirs.generate(source, **options), "same weights")
        )
    title = f"{name}, BART 3 + 3, d {sizes.d_model}, batch {batch}: {sizes.length} tokens"
    return compare(title, competitors, repetitions=repetitions, amount=batch * sizes.length, goal=1.5)


def lengths(repetitions: int, *, after: tuple[int, ...] = (16, 128, 256, 512, 1024)) -> Iterator[Comparison]:
    """16 more tokens, by the number of tokens so far: GPT A, batch 1."""
    from largemodels.gpt import GPT

    torch.manual_seed(0)
    more = 16 * (repetitions + 1)
    model = GPT(A.gpt(max(after) + more)).eval()

    def competitor(length: int) -> Competitor:
        prompt, state = torch.randint(A.vocab_size, (1, length)), model.start(length + more)

        @torch.inference_mode()
        def run() -> None:
            for _ in range(16):
                model.step(prompt[:, :1], state)

        with torch.inference_mode():
            model.step(prompt, state)
        return Competitor(f"after {length:,}", run)

    yield compare("GPT A, batch 1: 16 more tokens", [*map(competitor, after)], repetitions=repetitions, amount=16)


def bands(repetitions: int, *, band: int = 256, of: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)):
    """Attention within a band against dense attention under the banded mask, by length; d_head 32, 4 heads.

    Memory is what a call takes beyond its arguments; the mask, length² bytes, is one of them.
    """
    for length in of:
        torch.manual_seed(0)
        query, key, value = torch.randn(3, 1, 4, length, 32)
        banded = Competitor(
            f"band of {band}",
            lambda q=query, k=key, v=value: scaled_dot_product_attention(q, k, v, causal=True, band=band),
        )
        competitors = [banded]
        if length <= 8192:  # the mask alone takes length² bytes
            mask = banded_causal_mask(length, band)
            competitors.append(
                Competitor(
                    "dense, masked",
                    lambda q=query, k=key, v=value, m=mask: scaled_dot_product_attention(q, k, v, m),
                )
            )
        yield compare(f"attention, length {length:,}", competitors, repetitions=repetitions, amount=length, memory=True)

"""Exercises of chapter 7, the GPT family."""

import math
import random
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import generation, preferences
from ...gpt import GPT, GPTConfig
from ...masks import banded_causal_mask, causal_mask
from ..comparing import boolean, within
from ..exercise import Case, Exercise, Misconception, Stage

# ------------------------------------------------------------------------------------------ 7.1 the next-token loss


def _loss_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def texts(lengths: list[int], vocab: int) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.tensor(lengths)
        longest = int(lengths.max())
        tokens = torch.randint(vocab, (len(lengths), longest), generator=generator)
        tokens[:, 1] = 0  # a token like any other
        logits = 2 * torch.randn(len(lengths), longest, vocab, generator=generator)
        return logits, tokens, lengths

    yield Case("no padding", texts([6, 6], 7))
    yield Case("no padding", texts([5], 9))
    yield Case("padding", texts([9, 3, 5 + seed % 3], 11))
    yield Case("padding", texts([2, 8], 5))
    yield Case("padding", texts([2], 4))
    yield Case("padding", texts([2, 2, 3], 3))


def _loss_with(
    *,
    shift: Callable = lambda logits, tokens: (logits[:, :-1], tokens[:, 1:]),
    log_p: Callable = lambda logits: logits.log_softmax(-1),
    counts: Callable = lambda place, lengths: place < lengths - 1,
    mean: Callable = lambda losses, real: losses[real].mean(),
) -> Callable:
    """The loss written out, with its shift, its logarithm, what counts as a target, or the mean replaced."""

    def answer(logits, tokens, lengths):
        predictions, targets = shift(logits, tokens)
        losses = -log_p(predictions).gather(2, targets[:, :, None]).squeeze(2)
        real = counts(torch.arange(targets.shape[1]), lengths[:, None]).expand_as(targets)
        return mean(losses, real)

    return answer


def _reference_loss(logits, tokens, lengths):
    targets = tokens[:, 1:].masked_fill(torch.arange(1, tokens.shape[1]) >= lengths[:, None], -100)
    return F.cross_entropy(logits[:, :-1].mT, targets)


def _loop_loss(logits, tokens, lengths):
    total, count = torch.tensor(0.0), 0
    for b in range(len(tokens)):
        for t in range(lengths[b] - 1):
            total, count = total - logits[b, t].log_softmax(-1)[tokens[b, t + 1]], count + 1
    return total / count


LOSS = Exercise(
    id="7.1",
    title="The loss that trains every GPT",
    kind="implement",
    name="next_token_loss",
    minutes=20,
    stars=2,
    cases=_loss_cases,
    stages=(
        Stage("no padding", "texts of one length", 2, "which token is the logits at position t a prediction of?"),
        Stage("padding", "texts of different lengths", 2, "how many predictions does a text of n tokens make?"),
    ),
    reference=_reference_loss,
    misconceptions=(
        Misconception(
            _loss_with(shift=lambda logits, tokens: (logits, tokens), counts=lambda place, lengths: place < lengths),
            "You compare the logits at position t with token t, the token that the model has just *read*. The shift is "
            "missing: a model trained so learns to repeat, and its loss falls to nearly 0.",
        ),
        Misconception(
            _loss_with(shift=lambda logits, tokens: (logits[:, 1:], tokens[:, :-1])),
            "Your shift goes the wrong way: the logits at position t are compared with token t − 1, which the model has "
            "already seen.",
        ),
        Misconception(
            lambda logits, tokens, lengths: F.cross_entropy(logits[:, :-1].mT, tokens[:, 1:]),
            "Your mean runs over the padding, too. What stands after the end of a text is no target.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: (losses * real).sum() / real.numel()),
            "You leave the padding out of the sum but count it in the number you divide by. Divide by the number of real "
            "targets.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: ((losses * real).sum(1) / real.sum(1)).mean()),
            "You take the mean of each text first and then the mean of these. A token of a short text then weighs more than "
            "one of a long text; every target should count the same.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].sum()),
            "You return the sum over the targets. Asked for is their mean.",
        ),
        Misconception(
            _loss_with(counts=lambda place, lengths: place < lengths),
            "Some of your targets are padding: the last token of a text has nothing after it, so a text of n tokens makes "
            "n − 1 predictions.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].sum() / len(real)),
            "You divide the sum by the number of texts. Divide by the number of real targets.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].sum() / (real.sum() + len(real))),
            "You divide by the number of tokens. A text of n tokens has n − 1 targets.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].sum() / (real.shape[0] * (real.shape[1] + 1))),
            "You divide by batch · length. Divide by the number of real targets: a text of n tokens has n − 1.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses * real),
            "You return a loss for each position. Asked for is one number, the mean over all real targets.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: (losses * real).sum(1) / real.sum(1)),
            "You return a loss for each text. Asked for is one number, the mean over all real targets.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].mean().exp()),
            "You return e to the power of the loss: the perplexity.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].mean() / math.log(2)),
            "Your loss is in bits. −log p is meant with the natural logarithm.",
        ),
        Misconception(
            _loss_with(log_p=lambda logits: logits.softmax(-1)),
            "The logarithm is missing: you take the mean of the probabilities, with a minus.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: -(-losses[real]).exp().mean().log()),
            "You take the mean of the probabilities, and then the logarithm. Each target has a logarithm of its own, and the "
            "mean comes last.",
        ),
        Misconception(
            _loss_with(log_p=lambda logits: logits),
            "You take the logits themselves for log-probabilities. First comes a softmax.",
        ),
        Misconception(
            _loss_with(log_p=lambda logits: logits.softmax(-1).log_softmax(-1)),
            "You apply the softmax twice; `cross_entropy` and `log_softmax` have one of their own.",
        ),
        Misconception(
            _loss_with(log_p=lambda logits: logits.log_softmax(1)),
            "Your softmax runs over the positions. The tokens to choose from are in the last axis.",
        ),
        Misconception(
            _loss_with(counts=lambda place, lengths: place < lengths - 2),
            "The last real target of each text is missing: a text of n tokens makes n − 1 predictions, its last token "
            "included.",
        ),
        Misconception(
            _loss_with(counts=lambda place, lengths: (place > 0) & (place < lengths - 1)),
            "The first target of each text is missing: the very first logits predict the second token.",
        ),
        Misconception(
            lambda logits, tokens, lengths: F.cross_entropy(logits.flatten(0, 1)[:-1], tokens.flatten()[1:]),
            "You shift after the texts have been put in a row, so that the last token of a text predicts the first of the "
            "next one; and the padding counts, too.",
        ),
        Misconception(
            lambda logits, tokens, lengths: F.cross_entropy(logits[:, :-1].mT, tokens[:, 1:], ignore_index=0),
            "You leave out the token 0, as if it were the padding. `lengths` says what is padding, and 0 is a token like "
            "any other.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: -losses[real].mean()),
            "The sign is turned: this is the mean log-probability. A loss is its negative.",
        ),
    ),
    alternatives=(_loop_loss, _loss_with()),
    hints=(
        "The last position of a text predicts nothing, and its first token is predicted by nobody.",
        "`logits[:, :-1]` and `tokens[:, 1:]` belong together. Then which of the targets are real?",
        "`F.cross_entropy` leaves out targets that are −100, and divides by the number of the others. Look up on which axis "
        "it wants the vocabulary.",
    ),
    success="Right. This one number, on enough text, is all of pre-training.",
)


# ------------------------------------------------------------------------------------------------ 7.2 three knobs


def _knob_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(stage: str, *settings, order: list[int], table: list[float]) -> Case:
        """Logits whose probabilities are those of `table`, or nearly, in another order."""
        p = torch.tensor(table) * (1 + 0.02 * torch.rand(len(table), generator=generator))
        return Case(stage, (p.log()[order] + 3 * torch.rand((), generator=generator), *settings))

    turned = partial(case, order=[2, 4, 1, 5, 0, 3], table=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    yield turned("temperature", 0.6, 6, 1.0)
    yield turned("temperature", 1.7, 6, 1.0)
    yield case("temperature", 1.3, 1, 1.0, order=[0], table=[1.0])  # a vocabulary of one token
    yield turned("top-k", 1.0, 3, 1.0)
    yield turned("top-k", 0.8, 2, 1.0)
    yield turned("top-k", 1.3, 1, 1.0)
    yield case("top-p", 1.0, 5, 0.5, order=[1, 2, 4, 0, 3], table=[0.8, 0.1, 0.05, 0.03, 0.02])  # 0.8 alone is enough
    yield turned("top-p", 1.0, 6, 0.7)  # three are needed
    yield turned("top-p", 2.0, 6, 0.7)  # four, and with the temperature 1 three
    flat = [0.3, 0.11, 0.09, 0.085, 0.08, 0.075, 0.07, 0.065, 0.065, 0.06]
    # The favourite has 0.6 of what top-k leaves; measured on all tokens three would be kept.
    yield case("top-p", 1.0, 3, 0.5, order=[3, 7, 1, 9, 0, 2, 8, 4, 6, 5], table=flat)
    yield turned("top-p", 0.5, 4, 0.95)
    yield turned("top-p", 1.0, 6, 0.01)


def _knobs_with(
    *,
    soften: Callable = lambda logits, temperature: (logits / temperature).softmax(-1),
    keep: Callable = lambda sorted_p, p: sorted_p.cumsum(-1) - sorted_p < p,
    k: Callable = lambda k: k,
    after_k: Callable = lambda p: p / p.sum(),
    after_p: Callable = lambda p: p / p.sum(),
    put_back: Callable = lambda p, order: torch.zeros_like(p).scatter(-1, order, p),
    at_the_end: Callable = lambda p: p,
) -> Callable:
    """The three knobs written out, with one step replaced."""

    def answer(logits, temperature, top_k, top_p):
        p = soften(logits, temperature)
        p, order = p.sort(descending=True)
        p = after_k(torch.where(torch.arange(len(p)) < k(top_k), p, 0.0)) if top_k < len(logits) else p
        if top_p < 1:
            p = after_p(torch.where(keep(p, top_p), p, 0.0))
        return at_the_end(put_back(p, order))

    return answer


def _first(p: Tensor) -> Tensor:
    return torch.arange(len(p)) == 0


def _top_p_before_the_temperature(logits, temperature, top_k, top_p):
    kept = _knobs_with()(logits, 1.0, top_k, top_p) > 0
    p = (logits / temperature).softmax(-1) * kept
    return p / p.sum()


def _zero_logits(logits, temperature, top_k, top_p):
    """What is not kept has the logit 0."""
    kept = _knobs_with()(logits, temperature, top_k, top_p) > 0
    return (logits * kept / temperature).softmax(-1)


def _loop_knobs(logits, temperature, top_k, top_p):
    weights = [math.exp(x / temperature) for x in logits.tolist()]
    order = sorted(range(len(weights)), key=lambda i: -weights[i])[:top_k]
    total, reached, kept = sum(weights[i] for i in order), 0.0, {}
    for i in order:
        if reached >= top_p:
            break
        kept[i] = weights[i]
        reached += weights[i] / total
    return torch.tensor([kept.get(i, 0.0) / sum(kept.values()) for i in range(len(weights))])


KNOBS = Exercise(
    id="7.2",
    title="Temperature, top-k, top-p",
    kind="implement",
    name="draw_from",
    minutes=25,
    stars=3,
    cases=_knob_cases,
    stages=(
        Stage("temperature", "temperature", 1, "which comes first, the division or the softmax?"),
        Stage("top-k", "top-k", 1, "how many probabilities are not 0, and what is their sum?"),
        Stage("top-p", "top-p", 2, "print the sorted probabilities and what has been reached before each."),
    ),
    reference=generation.next_token_probabilities,
    misconceptions=(
        Misconception(
            _knobs_with(soften=lambda logits, temperature: logits.softmax(-1)),
            "The temperature has no effect in your answer. Either it plays no part, or it comes *after* the softmax, and "
            "nothing of it remains when the numbers are scaled to sum to 1.",
        ),
        Misconception(
            _knobs_with(soften=lambda logits, temperature: logits.softmax(-1) / temperature),
            "You divide by the temperature *after* the softmax, and your numbers no longer sum to 1.",
        ),
        Misconception(
            _knobs_with(soften=lambda logits, temperature: (logits * temperature).softmax(-1)),
            "You multiply by the temperature. A high temperature should make the table flatter; yours makes it steeper.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: (sorted_p.cumsum(-1) <= p) | (torch.arange(len(sorted_p)) == 0)),
            "You always keep the favourite, but among the others your top-p drops the token that crosses the threshold. "
            "It stays, too.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: sorted_p.cumsum(-1) <= p),
            "Your top-p drops the token that crosses the threshold. It has to stay: when the favourite alone has more than "
            "p, nothing at all would be left.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: sorted_p >= p),
            "You keep the tokens that have a probability of p each. Top-p keeps the most probable ones until they have p "
            "*together*.",
        ),
        Misconception(
            _knobs_with(after_p=lambda p: p),
            "What is left after top-p does not sum to 1. Scale it at the end.",
        ),
        Misconception(
            _knobs_with(after_k=lambda p: p, after_p=lambda p: p),
            "What top-k leaves does not sum to 1. Scale it: top-p measures on what sums to 1, and so does the result.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: (sorted_p.cumsum(-1) - sorted_p < p).roll(1) | _first(sorted_p)),
            "Your top-p keeps one token too many: with the token that crosses the threshold it is enough.",
        ),
        Misconception(
            _top_p_before_the_temperature,
            "Your top-p looks at probabilities without the temperature. All three knobs are turned one after the other, and "
            "the temperature is the first.",
        ),
        Misconception(
            _knobs_with(put_back=lambda p, order: p),
            "Your probabilities are still sorted: each has to go back to the token that it belongs to.",
        ),
        Misconception(
            _knobs_with(put_back=lambda p, order: p.gather(-1, order)),
            "Your probabilities have gone to the wrong tokens. `order` says where each *came from*; reading at these places "
            "(`p[order]`, `gather`) is not the same as writing there.",
        ),
        Misconception(
            _knobs_with(after_p=lambda p: torch.where(p > 0, p, -torch.inf).softmax(-1)),
            "After top-p you apply a second softmax, to probabilities. Divide by their sum.",
        ),
        Misconception(
            _knobs_with(after_k=lambda p: torch.where(p > 0, p, -torch.inf).softmax(-1)),
            "After top-k you apply a second softmax, to probabilities. Divide by their sum.",
        ),
        Misconception(
            _zero_logits,
            "You set the logits of the other tokens to 0. A logit of 0 is one like any other, and may even be a large one: "
            "which number becomes the probability 0?",
        ),
        Misconception(
            _knobs_with(after_k=lambda p: p, at_the_end=lambda p: p / p.sum()),
            "Your top-p measures against the whole vocabulary: either it comes before top-k, or what top-k has left is not "
            "scaled to sum to 1 before top-p looks at it.",
        ),
        Misconception(
            _knobs_with(
                keep=lambda sorted_p, p: sorted_p.flip(0).cumsum(0).flip(0) - sorted_p < p,
            ),
            "Your top-p begins with the *least* probable tokens. It keeps the most probable ones.",
        ),
        Misconception(
            _knobs_with(after_k=lambda p: p),
            "What top-k leaves does not sum to 1. Scale it: top-p measures on what sums to 1, and so does the result.",
        ),
        Misconception(_knobs_with(k=lambda k: k + 1), "Your top-k leaves one token more than k."),
        Misconception(_knobs_with(k=lambda k: k - 1), "Your top-k leaves one token fewer than k."),
    ),
    alternatives=(_loop_knobs, _knobs_with()),
    hints=(
        "Sort the probabilities, cut, and bring what is left back into its places: `sort` also returns where everything "
        "came from.",
        "A token stays if the tokens *before* it, the more probable ones, have not yet reached p together.",
        "`cumsum` tells what has been reached *with* each token. What was reached before it?",
    ),
    success="Right. Three knobs, one table: every text of every chatbot is drawn from something like it.",
)


# ---------------------------------------------------------------------------------------- 7.3 the mask of a chunk


def _chunk_cases(seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    several = rng.sample(range(3, 12), 4)
    yield Case("positions", (several[0], 4, 30))
    yield Case("positions", (0, several[1], 5))
    yield Case("first chunk", (0, several[2], 20))
    yield Case("first chunk", (0, 1, 1))
    yield Case("second chunk", (several[3], 4, 20))
    yield Case("second chunk", (rng.randint(5, 9), 1, 30))
    yield Case("second chunk", (5, 5, 10))
    yield Case("band", (rng.randint(6, 9), 5, rng.randint(3, 5)))
    yield Case("band", (0, 8, 3))
    yield Case("band", (12, 2, 6))
    yield Case("band", (3, 4, 1))  # each sees itself alone


def _chunk_with(
    *,
    first: Callable = lambda cached: cached,
    sees: Callable = lambda query, key, band: (key <= query) & (key > query - band),
) -> Callable:
    """The positions of the new tokens and their mask, with the first position or the rule replaced."""

    def answer(cached, new, band):
        query = torch.arange(first(cached), first(cached) + new)
        return query, sees(query[:, None], torch.arange(cached + new), band)

    return answer


def _reference_chunk(cached, new, band):
    return torch.arange(cached, cached + new), banded_causal_mask(cached + new, band)[cached:]


def _positions_restarted(cached, new, band):
    return torch.arange(new), _reference_chunk(cached, new, band)[1]


def _mask_of_the_first_chunk(cached, new, band):
    """tril without a diagonal: right for the first chunk, and for the second as if its tokens stood at the beginning."""
    return torch.arange(cached, cached + new), torch.ones(new, cached + new, dtype=torch.bool).tril().triu(1 - band)


def _only_the_new(cached, new, band):
    return torch.arange(cached, cached + new), banded_causal_mask(new, band)


def _everything_new(cached, new, band):
    positions, mask = _reference_chunk(cached, new, band)
    mask[:, cached:] = True
    return positions, mask


def _built_chunk(cached, new, band):
    old = torch.ones(new, cached, dtype=torch.bool)
    mask = torch.cat((old, causal_mask(new)), dim=1).triu(cached - band + 1)
    return torch.arange(new) + cached, mask


CHUNK = Exercise(
    id="7.3",
    title="The second chunk",
    kind="implement",
    name="chunk",
    minutes=20,
    stars=2,
    cases=_chunk_cases,
    stages=(
        Stage("positions", "the positions", 1, "how many tokens stand before the first new one?", lambda v: v[0]),
        Stage(
            "first chunk",
            "the mask, nothing is cached yet",
            1,
            "with an empty cache this is the causal mask of chapter 2.",
            lambda v: v[1],
            boolean,
        ),
        Stage(
            "second chunk",
            "the mask, some tokens are cached",
            1,
            "write down which keys the first new token may see: those of the cache stand before it.",
            lambda v: v[1],
            boolean,
        ),
        Stage(
            "band",
            "the mask of a layer with a band",
            1,
            "with a band of 3 a query sees itself and the two before it.",
            lambda v: v[1],
            boolean,
        ),
    ),
    reference=_reference_chunk,
    misconceptions=(
        Misconception(
            _chunk_with(first=lambda cached: 0),
            "Your positions start at 0 again, and the mask with them: the new tokens are treated as if nothing stood before "
            "them. The first of them has the position `cached`.",
        ),
        Misconception(
            _positions_restarted,
            "Your mask is right, but your positions start at 0 again. The first new token has the position `cached`: "
            "otherwise the model takes it for the first word of the text.",
        ),
        Misconception(
            _mask_of_the_first_chunk,
            "Your mask is right for the first chunk only. In the second, query i is token cached + i, and may see that many "
            "keys: the triangle starts `cached` columns further right.",
        ),
        Misconception(
            _only_the_new,
            "Your mask has one column for each *new* token. The keys are those of the cache and the new ones: cached + new.",
        ),
        Misconception(
            _everything_new,
            "Your new tokens see each other freely, later ones included. That is a leak: they are causal among themselves, "
            "too.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: key < query),
            "A query sees all keys before it, but not its own.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: (key <= query) & (key >= query - band)),
            "Your band is one too wide: a band of 3 means the query's own key and *two* before it.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: (key <= query) & (key > query - band + 1)),
            "Your band is one too narrow: the query's own key counts as one of the `band`.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: key <= query),
            "Your mask ignores the band: keys further back than `band` must not be seen.",
        ),
        Misconception(
            lambda cached, new, band: (_reference_chunk(cached, new, band)[0], ~_reference_chunk(cached, new, band)[1]),
            "Your mask is upside down: True means *may attend*.",
        ),
        Misconception(
            lambda *arguments: _reference_chunk(*arguments)[::-1],
            "Your two results are in the other order: first the positions, then the mask.",
        ),
        Misconception(
            lambda cached, new, band: (torch.arange(cached + new), _reference_chunk(cached, new, band)[1]),
            "You return the positions of all tokens. Asked for are those of the new ones.",
        ),
        Misconception(
            lambda cached, new, band: (
                torch.arange(cached + 1, cached + new + 1),
                _reference_chunk(cached, new, band)[1],
            ),
            "Your positions are one too large: the first token of the text has the position 0.",
        ),
        Misconception(
            lambda cached, new, band: (torch.arange(cached, cached + new), banded_causal_mask(cached + new, band)),
            "Your mask has a row for each token of the text. Only the new ones ask: its shape is (new, cached + new).",
        ),
        Misconception(
            lambda cached, new, band: (
                torch.arange(cached, cached + new),
                torch.cat((torch.ones(new, cached, dtype=torch.bool), banded_causal_mask(new, band)), dim=1),
            ),
            "Your band holds among the new tokens only: every key of the cache is seen, however far back it is.",
        ),
        Misconception(
            lambda cached, new, band: (
                torch.arange(cached, cached + new),
                torch.zeros(new, cached + new).masked_fill(~banded_causal_mask(cached + new, band)[cached:], -math.inf),
            ),
            "Your mask is made to be added: 0 and −∞. Asked for are booleans, True where a query may attend.",
        ),
        Misconception(
            lambda cached, new, band: (
                _reference_chunk(cached, new, band)[0],
                _reference_chunk(cached, new, band)[1].T,
            ),
            "Your mask is transposed: queries belong in the rows.",
        ),
    ),
    alternatives=(_built_chunk, _chunk_with()),
    hints=(
        "Write down for cached = 2 and new = 2 which of the four keys each of the two queries may see.",
        "Compare the position of each query, as a column, with the positions of all keys, as a row.",
    ),
    success="Right. With positions and mask of this form a prompt may come in one piece or in ten: the answer is the same.",
)


# ------------------------------------------------------------------------------------------- 7.4 repair the cache

_WIDTH, _VOCAB = 6, 11


def _cache_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, pieces in (
        ("one piece", [5]),
        ("one piece", [1]),
        ("pieces", [4, 3]),
        ("pieces", [1, 1, 4, 2]),
        ("pieces", [3, 3]),
        ("pieces", [1, 1, 1]),
    ):
        weights = torch.randn(3, _WIDTH, _WIDTH, generator=generator) / 2
        table = torch.randn(12, _WIDTH, generator=generator)
        text = torch.randn(sum(pieces), _WIDTH, generator=generator)
        yield Case(stage, (text, tuple(pieces), weights, table))


def _cached_with(
    *,
    position: Callable = lambda seen, n: torch.arange(seen, seen + n),
    sees: Callable = lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril(seen),
    remember: Callable = lambda old, new: torch.cat((old, new)),
    values: Callable = lambda old, new: torch.cat((old, new)),
) -> Callable:
    """One head that reads a text piece by piece, with positions, mask or memory replaced."""

    def answer(text, pieces, weights, table):
        keys = held = torch.zeros(0, text.shape[1])
        outputs, begin = [], 0
        for n in pieces:
            x = text[begin : begin + n] + table[position(begin, n)]
            query, key, value = (x @ w for w in weights)
            keys, held = remember(keys, key), values(held, value)
            scores = query @ keys.T / math.sqrt(text.shape[1])
            mask = sees(begin, n)[:, -len(keys) :]
            outputs.append(scores.masked_fill(~mask, -math.inf).softmax(-1) @ held)
            begin += n
        return torch.cat(outputs)

    return answer


def _reference_cached(text, pieces, weights, table):
    """Everything at once, without a cache."""
    query, key, value = ((text + table[: len(text)]) @ w for w in weights)
    return F.scaled_dot_product_attention(query[None], key[None], value[None], is_causal=True)[0]


def _numbered_cached(text, pieces, weights, table):
    """Every key and query knows its number, and a query sees the keys with numbers up to its own."""
    x = text + table[: len(text)]
    query, key, value = (x @ w for w in weights)
    number, outputs = torch.arange(len(text)), []
    for piece in number.split(list(pieces)):
        last = int(piece[-1]) + 1
        scores = query[piece] @ key[:last].T / math.sqrt(text.shape[1])
        later = number[:last] > piece[:, None]
        outputs.append(torch.where(later, -math.inf, scores).softmax(-1) @ value[:last])
    return torch.cat(outputs)


REPAIR_CACHE = Exercise(
    id="7.4",
    title="Repair: a text in pieces",
    kind="repair",
    name="repaired_reader",
    minutes=15,
    stars=2,
    cases=_cache_cases,
    stages=(
        Stage("one piece", "still right for a text in one piece", 1, "do not change what works."),
        Stage("pieces", "right for any pieces", 3, "print `begin`, the positions and the mask for each piece."),
    ),
    reference=_reference_cached,
    given=_cached_with(
        position=lambda seen, n: torch.arange(n), sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril()
    ),
    misconceptions=(
        Misconception(
            _cached_with(position=lambda seen, n: torch.arange(n)),
            "The mask is right now. The positions still restart at 0 with every piece.",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril()),
            "The positions are right now. The mask is still that of a first piece: its triangle has to start after the keys "
            "that were there before.",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool)),
            "Your tokens see everything, those that come after them in the same piece included.",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril(seen - 1)),
            "Your triangle is one column short: a token does not see itself. (The first of all sees nothing, hence NaN.)",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril(seen + 1)),
            "Your triangle is one column too wide: each token sees the one after it.",
        ),
        Misconception(
            _cached_with(position=lambda seen, n: torch.full((n,), seen)),
            "All tokens of a piece get the position of its first one.",
        ),
        Misconception(
            _cached_with(position=lambda seen, n: torch.arange(seen + 1, seen + n + 1)),
            "Your positions are all one too large: the first token of the text has the position 0.",
        ),
    ),
    alternatives=(_cached_with(), _numbered_cached),
    hints=(
        "There are two mistakes. One piece hides both: try the text in two pieces and compare with one.",
        "Token `begin + i` of the text is row i of its piece. Which position is that, and how many keys may it see?",
        "`tril` takes a second argument: by how many columns the diagonal is moved to the right.",
    ),
    success="Right. Now the cache is what it should be: a way to compute the same numbers, and not another model.",
)


# ------------------------------------------------------------------------------------ 7.5 repair the initialisation


def _init_cases(seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    yield Case("one block", (1, rng.choice((0.3, 0.5, 0.8))))
    yield Case("stack", (rng.randint(3, 9), 0.02))
    yield Case("stack", (12, round(rng.uniform(0.1, 0.9), 2)))


def _init_with(
    scale: Callable = lambda n: (2 * n) ** -0.5, small: tuple[str, ...] = ("attention output", "feed-forward down")
) -> Callable:
    def answer(num_layers, std):
        names = ("embedding", "query", "key", "value", "attention output", "feed-forward up", "feed-forward down")
        return {name: std * (scale(num_layers) if name in small else 1.0) for name in names}

    return answer


def _reference_init(num_layers, std):
    """What the library's initialisation multiplies each weight by, found by starting two models from one seed."""
    config = {"vocab_size": 4, "d_model": 4, "num_heads": 2, "max_length": 4, "num_layers": num_layers}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = GPT(GPTConfig(**config, scaled_init=False))
        torch.manual_seed(0)
        scaled = GPT(GPTConfig(**config))
    last, same = scaled.stack.blocks[-1], plain.stack.blocks[-1]
    ratio = {"embedding": (scaled.embedding.weight, plain.embedding.weight)}
    for name in ("query", "key", "value", "output"):
        label = "attention output" if name == "output" else name
        ratio[label] = (getattr(last.attention, name).weight, getattr(same.attention, name).weight)
    for name in ("up", "down"):
        ratio[f"feed-forward {name}"] = (
            getattr(last.feed_forward, name).weight,
            getattr(same.feed_forward, name).weight,
        )
    return {name: std * (one / other).mean().item() for name, (one, other) in ratio.items()}


REPAIR_INIT = Exercise(
    id="7.5",
    title="Repair: how small to begin",
    kind="repair",
    name="repaired_initial_std",
    minutes=10,
    stars=1,
    cases=_init_cases,
    stages=(
        Stage(
            "one block",
            "a single block",
            1,
            "which parts of a block add a vector to the stream, and how many are they?",
        ),
        Stage("stack", "a stack of blocks", 2, "the variance of a sum of n independent terms is n times that of one."),
    ),
    reference=_reference_init,
    given=_init_with(lambda n: n**-0.5),
    misconceptions=(
        Misconception(
            _init_with(lambda n: 1 / n),
            "You divide by N itself. It is the *variance* that grows with the number of terms; a standard deviation grows "
            "with its root.",
        ),
        Misconception(
            _init_with(lambda n: 1 / (2 * n)),
            "You divide by 2N. The number of terms is right, but a standard deviation grows with its root.",
        ),
        Misconception(
            _init_with(lambda n: 2 * n**-0.5),
            "Your factor is 2/√N. The 2 belongs to the number of terms, under the root.",
        ),
        Misconception(
            _init_with(lambda n: 0.5 * n**-0.5),
            "Your factor is 1/(2√N). The 2 belongs to the number of terms, under the root.",
        ),
        Misconception(
            lambda num_layers, std: {name: 0.02 / std * value for name, value in _init_with()(num_layers, std).items()},
            "Your standard deviation looks typed in. Take the one that your function is given.",
        ),
        Misconception(
            _init_with(lambda n: (2 * n + 1) ** -0.5),
            "Your number of terms is one too large: the embedding is there before the first block, and is not made smaller.",
        ),
        Misconception(
            _init_with(lambda n: 1.0),
            "Nothing starts smaller in your answer: some of the matrices have to, since they all write into one sum.",
        ),
        Misconception(
            _init_with(small=("attention output",)),
            "The feed-forward network writes into the stream, too, with its second matrix.",
        ),
        Misconception(
            _init_with(small=("feed-forward down",)),
            "The attention writes into the stream, too, with its output matrix.",
        ),
        Misconception(
            _init_with(small=("query", "key", "value", "attention output", "feed-forward up", "feed-forward down")),
            "Now all matrices of a block start smaller. Only those that write *into the residual stream* should.",
        ),
        Misconception(
            _init_with(lambda n: (2 * n) ** 0.5),
            "Your matrices start larger the deeper the model is: the root belongs below the line.",
        ),
        Misconception(
            _init_with(lambda n: (2 / n) ** 0.5),
            "Your factor is √(2/N). The 2 belongs to the number of terms, below the line.",
        ),
    ),
    alternatives=(_init_with(lambda n: 1 / math.sqrt(n + n)), _init_with(lambda n: (0.5 / n) ** 0.5)),
    hints=(
        "Write the stream after N blocks as a sum. How many terms have the blocks added to it?",
        "If each of n independent terms has the variance v, what is the variance of their sum, and what must v be so that it "
        "does not grow with n?",
    ),
    success="Right: √(2N). For GPT-2 xl with its 48 blocks that is a factor of nearly ten.",
)


# -------------------------------------------------------------------------------------------------------- 7.6 DPO


def _dpo_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def logs(n: int) -> tuple[Tensor, ...]:
        return tuple(-20 * torch.rand(n, generator=generator) - 5 for _ in range(4))

    start = logs(4)
    yield Case("at the start", (start[0], start[1], start[0], start[1], 0.3 + 0.1 * (seed % 4)))
    for margin in (1.5, -2.0):  # where neither σ nor its logarithm is flat
        better, reference_better, reference_worse = (-8 - 4 * torch.rand(1, generator=generator) for _ in range(3))
        worse = reference_worse + (better - reference_better) - margin
        yield Case("one pair", (better, worse, reference_better, reference_worse, 0.5 + 0.1 * (seed % 3)))
    yield Case("all pairs", (*logs(5), 0.1))
    yield Case("all pairs", (*logs(3), 1.7))


def _dpo_with(
    inside: Callable = lambda b, w, rb, rw: (b - rb) - (w - rw),
    outside: Callable = lambda margin, beta: -F.logsigmoid(beta * margin).mean(),
) -> Callable:
    return lambda better, worse, reference_better, reference_worse, beta: outside(
        inside(better, worse, reference_better, reference_worse), beta
    )


class _Table(torch.nn.Module):
    """A language model whose answers, one token long, have the log-probabilities that it is given."""

    def __init__(self, logs: Tensor):
        super().__init__()
        rest = torch.log1p(-logs.exp()).unsqueeze(-1)  # so that they are probabilities
        self.logs = torch.cat((logs.unsqueeze(-1), rest), dim=-1)  # (answers, 2): token 0 is the answer

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logs[tokens]


def _reference_dpo(better, worse, reference_better, reference_worse, beta):
    """The library's loss on a model that gives these log-probabilities."""
    n = len(better)
    model = _Table(torch.cat((better, worse)))
    answers = torch.zeros(n, 1, dtype=torch.long)
    prompts = torch.arange(2 * n)[:, None]
    batch = (prompts[:n], answers, prompts[n:], answers, reference_better - reference_worse)
    total, count = preferences.dpo_loss(model, batch, beta=beta)
    return total / count


def _bradley_terry(better, worse, reference_better, reference_worse, beta):
    rewards = [beta * (log - reference) for log, reference in ((better, reference_better), (worse, reference_worse))]
    return -torch.stack(rewards).log_softmax(0)[0].mean()


DPO = Exercise(
    id="7.6",
    title="Learning from a preference",
    kind="implement",
    name="preference_loss",
    minutes=20,
    stars=2,
    cases=_dpo_cases,
    stages=(
        Stage("at the start", "before any training", 1, "model and reference agree: each pair should cost ln 2."),
        Stage("one pair", "one pair", 2, "compute the four differences by hand."),
        Stage("all pairs", "the mean over pairs", 1, "σ and log act on each pair, and the mean comes last."),
    ),
    reference=_reference_dpo,
    misconceptions=(
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: b - w),
            "Your loss does not know the reference. Without it nothing holds the model near the language that it has "
            "learned; and before training a pair should cost ln 2, whatever its answers.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: b - rb),
            "Your loss does not know the worse answer. It compares how much *more* probable each of the two has become.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (b - rb) + (w - rw)),
            "You add what the two answers have gained. The better one should gain *more* than the worse one: a difference.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (b - w) - (rw - rb)),
            "The reference enters with the wrong sign. log(π/π_ref) is the *difference* log π − log π_ref, for both answers.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (b.exp() - rb.exp()) - (w.exp() - rw.exp())),
            "You compare probabilities. Inside the sigmoid stand differences of *logarithms*, as you are given them.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(beta * margin)),
            "You return a loss for each pair. Asked for is their mean.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -(beta * margin).mean()),
            "The sigmoid and the logarithm are missing: this is the mean margin, with a minus.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(margin).mean()),
            "β plays no part in your answer.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -torch.sigmoid(beta * margin).mean().log()),
            "You take the mean of the probabilities, and then the logarithm. Every pair has a logarithm of its own, and the "
            "mean comes last.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (w - rw) - (b - rb)),
            "The two answers are exchanged: your loss makes the *worse* one more probable.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (b + rb) - (w + rw)),
            "The reference enters with the wrong sign. log(π/π_ref) is the *difference* log π − log π_ref, for both answers.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: b / rb - w / rw),
            "You divide log-probabilities. The logarithm of a ratio is the *difference* of the logarithms.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -beta * F.logsigmoid(margin).mean()),
            "β stands outside the sigmoid, where it only scales the loss. It belongs inside: β · margin.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(margin / beta).mean()),
            "You divide the margin by β. It is multiplied.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -torch.sigmoid(beta * margin).mean()),
            "The logarithm is missing: this is minus the probability of the preference, and not −log of it.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: F.logsigmoid(beta * margin).mean()),
            "The sign is turned: this is the log-likelihood of the preferences. The loss is its negative.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(beta * margin).sum()),
            "You return the sum over the pairs. Asked for is the mean.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(beta * margin.mean())),
            "You take the mean of the margins first. Every pair has a loss of its own, and the mean comes last.",
        ),
    ),
    alternatives=(_bradley_terry, _dpo_with()),
    hints=(
        "How much more probable has the better answer become, as a logarithm? And the worse one?",
        "`F.logsigmoid(x)` is log σ(x), without trouble for large negative x.",
    ),
    success="Right. One line in place of a reward model and a loop of reinforcement learning.",
)


# --------------------------------------------------------------------------------------------- 7.7 reading a number

_BLOCKS, _CACHE = 12 * 24 * 1024**2, 2 * 24 * 1024 * 1000


def _numbers(message: str, *, blocks: float = _BLOCKS, cache: float = _CACHE, text: float = 0.06, kept: float = 3):
    """What is answered by somebody who makes one mistake, and what to say to it."""
    return Misconception((blocks, cache, text, kept), message)


READING = Exercise(
    id="7.7",
    title="Sizes in the head",
    kind="predict",
    name="gpt_numbers",
    minutes=15,
    stars=2,
    stages=(
        Stage(
            "blocks",
            "parameters of a stack",
            1,
            "count the matrices of one block, and the numbers in each.",
            lambda v: v[0],
            within(share=0.01),
        ),
        Stage(
            "cache",
            "numbers in a cache",
            1,
            "what does a layer keep of one token, and how many layers and tokens are there?",
            lambda v: v[1],
            within(share=0.01),
        ),
        Stage(
            "probability",
            "a probability",
            1,
            "section 7.4 takes a text apart into conditional probabilities; put it together.",
            lambda v: v[2],
            within(0.005),
        ),
        Stage("kept", "tokens kept", 1, "what have the more probable tokens reached before each?", lambda v: v[3]),
    ),
    reference=(_BLOCKS, _CACHE, 0.06, 3),
    misconceptions=(
        _numbers("Count in ones, not in millions: write out all digits, or 1e6 behind the number.", blocks=302),
        _numbers("Count in ones, not in millions: write out all digits, or 1e6 behind the number.", cache=49.152),
        _numbers("Count in ones, not in millions: write out all digits, or 1e6 behind the number.", cache=49),
        _numbers("You counted the attention only. A block has a feed-forward network, too.", blocks=4 * 24 * 1024**2),
        _numbers(
            "Your block has 8d². Either the attention is missing, or one of the two matrices of the feed-forward network.",
            blocks=8 * 24 * 1024**2,
        ),
        _numbers(
            "Your block has 11d². The attention has four matrices: W^O comes after W^Q, W^K and W^V.",
            blocks=11 * 24 * 1024**2,
        ),
        _numbers(
            "Your block has 9d². The attention has four matrices: W^Q, W^K, W^V and W^O.", blocks=9 * 24 * 1024**2
        ),
        _numbers("That is one block. The stack has 24.", blocks=12 * 1024**2),
        _numbers(
            "Your block has 6d². Its feed-forward network is four times as wide inside: 2 · d · 4d.",
            blocks=6 * 24 * 1024**2,
        ),
        _numbers(
            "Your block has 5d². A feed-forward network is four times as wide inside, and has two matrices.",
            blocks=5 * 24 * 1024**2,
        ),
        _numbers("Your block has 20d². Has the feed-forward network a matrix from 4d to 4d?", blocks=20 * 24 * 1024**2),
        _numbers(
            "Your block has 16d². The block of a decoder *without* an encoder has no cross-attention.",
            blocks=16 * 24 * 1024**2,
        ),
        *(
            _numbers("You multiplied by the heads. All heads together are d_model wide.", blocks=blocks)
            for blocks in (16 * _BLOCKS, (8 + 4 * 16) * 24 * 1024**2)
        ),
        _numbers(
            "You divided by the heads. All heads together are d_model wide, and so are their matrices.",
            blocks=_BLOCKS // 16,
        ),
        _numbers("A matrix from d to d has d · d numbers: your d is not squared.", blocks=12 * 24 * 1024),
        *(
            _numbers("You counted the embeddings, too. Asked for are the blocks.", blocks=_BLOCKS + more)
            for more in (50_257 * 1024 + 1024**2, 50_257 * 1024)
        ),
        _numbers("You counted the keys, or the values. A cache holds both.", cache=_CACHE / 2),
        _numbers(
            "You counted queries as well. They are used once, and nobody asks for them again.", cache=1.5 * _CACHE
        ),
        _numbers("That is the cache of one layer; every layer has its own.", cache=_CACHE / 24),
        _numbers("That is one layer, and keys or values only. Every layer has its own, of both.", cache=_CACHE / 48),
        _numbers("You multiplied by the heads. All heads together are d_model wide.", cache=16 * _CACHE),
        _numbers("That is the cache of one head in each layer. There are 16.", cache=_CACHE / 16),
        _numbers("That is what one token leaves in the cache. There are 1,000.", cache=_CACHE / 1000),
        _numbers("The text has 1,000 tokens, and not 1,024.", cache=2 * 24 * 1024 * 1024),
        _numbers(
            "Each token has a key and a value d_model wide; the width of the text plays no part.",
            cache=2 * 24 * 1000**2,
        ),
        _numbers("Keys and values are d_model wide, not 4 · d_model.", cache=4 * _CACHE),
        _numbers("Those are bytes, with 2 for each number. Asked for are the numbers.", cache=2 * _CACHE),
        _numbers("Those are the attention weights. They are not kept.", cache=24 * 16 * 1000**2),
        *(
            _numbers("You forgot a factor: all three conditional probabilities are multiplied.", text=text)
            for text in (0.12, 0.3, 0.1)
        ),
        _numbers("You took the mean of the three probabilities. A text has their product.", text=0.4333),
        _numbers("You added the three. A text has the *product* of the conditional probabilities.", text=1.3),
        _numbers("You took the cube root: the geometric mean. A text has the product itself.", text=0.06 ** (1 / 3)),
        _numbers("That is the logarithm. Asked for is the probability.", text=math.log(0.06)),
        _numbers("That is the loss, −log of what is asked for.", text=-math.log(0.06)),
        _numbers(
            "That is the loss per token, or 1 − 0.06, which is nearly the same. Asked for is the probability of the text.",
            text=-math.log(0.06) / 3,
        ),
        _numbers("The last token's probability is not the text's: the others must have come before it.", text=0.5),
        _numbers("Probabilities are numbers from 0 to 1.", text=6),
        _numbers(
            "After two tokens 0.7 are reached, which is less than 0.8: the one that crosses the line is kept, too.",
            kept=2,
        ),
        _numbers("Only the favourite? It has 0.4 alone.", kept=1),
        _numbers("After three tokens the 0.8 are passed: what comes next is not kept.", kept=4),
        _numbers("All five? Top-p leaves out the tail: what is not needed to reach 0.8.", kept=5),
        _numbers("That is what the kept tokens have together. Asked for is how many they are.", kept=0.85),
    ),
    hints=(
        "Section 7.9 has a rule of thumb for the blocks. Where do its factors come from?",
        "For the cache take one layer and one token first: what is kept of it, and how wide is that?",
        "Of the three probabilities each one holds *given* the tokens before it.",
    ),
    success="Right. With these four rules you can check most of what papers say about such models.",
)


# --------------------------------------------------------------------------------------------- 7.8 too good a loss

_TOO_GOOD = {
    "A": "The learning rate is very well chosen: keep it.",
    "B": "The text has been learned by heart, as happens with a corpus that is small and read again and again.",
    "C": "The temperature is so low that always the same token is drawn.",
    "D": "The loss is averaged over the padding, too, which is easy to predict and brings the mean down.",
    "E": "At each position the model is asked for the token that it reads there.",
}

TOO_GOOD = Exercise(
    id="7.8",
    title="Too good to be true",
    kind="choose",
    name="why_so_good",
    minutes=5,
    stars=1,
    options=_TOO_GOOD,
    stages=(Stage("choice", "the reason", 2, "what would a model have to do to be right nearly always, and at once?"),),
    reference="E",
    misconceptions=(
        Misconception(
            "A",
            "A: no learning rate makes the next word of an unknown text certain. A loss near 0 on new text is a sign that the "
            "answer was visible.",
        ),
        Misconception(
            "B",
            "B: a text learned by heart would not help on held-out documents, and a hundred steps are too few for it.",
        ),
        Misconception(
            "D",
            "D: that mistake lowers the number, but pieces cut from one long stream have no padding at all; and sampling "
            "would still give words that follow each other.",
        ),
        Misconception("C", "C: a temperature changes what is drawn from the table, and no loss is computed with it."),
    ),
    hints=(
        "What does such a model write, when it is asked to go on? What has it learned to do with the last token?",
        "Section 2.1 tells of another model whose loss was too good to be true.",
    ),
    success="E. The shift was forgotten: the model has learned to repeat what it has just read, which any residual "
    "connection can do. A loss far below what the text allows is a fault until proved otherwise.",
)


# --------------------------------------------------------------------------------------------------- 7.9 the law

Law = tuple[float, float]  # the exponent α, and the logarithm of N_c^α


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and intercept of the line of least squares."""
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return slope.item(), (y.mean() - slope * x.mean()).item()


def _law_of(sizes: Tensor, losses: Tensor, floor: float) -> Law:
    slope, intercept = _line(sizes.log(), (losses - floor).log())
    return -slope, intercept


def _predicted(law: Law, floor: float, sizes: Tensor) -> Tensor:
    alpha, intercept = law
    return floor + (intercept - alpha * sizes.log()).exp()


def _missed(law: Law, floor: float, sizes: Tensor, losses: Tensor) -> float:
    return (_predicted(law, floor, sizes) - losses).square().sum().item()


def _missed_in_logs(law: Law, floor: float, sizes: Tensor, losses: Tensor) -> float:
    return ((_predicted(law, floor, sizes) - floor).log() - (losses - floor).log()).square().sum().item()


def _missed_in_sum(law: Law, floor: float, sizes: Tensor, losses: Tensor) -> float:
    return abs((_predicted(law, floor, sizes) - losses).sum().item())


# Seven models, and by which share each misses its law. They were searched for: with them each wrong way to fit a line or to
# choose among `_FLOORS` prefers another floor than the right one.
_POWERS = torch.tensor([3.2, 3.9, 4.4, 5.1, 5.8, 6.6, 7.8], dtype=torch.float64)
_MISSED_BY = torch.tensor([0.05, 0.01, -0.04, 0.0, -0.02, 0.04, 0.01], dtype=torch.float64)
_FLOORS = (0.3, 0.0, 0.6, 1.2, 0.9, 0.15, 1.05, 0.45)


def _law_cases(seed: int) -> Iterator[Case]:
    chance = random.Random(seed)

    def case(
        stage: str, floor: float, candidates: tuple[float, ...], missed_by: Tensor, powers: Tensor = _POWERS
    ) -> Case:
        """The same models in every seed, in other units and in another order, so that a wrong fit stays as wrong."""
        stretch, shift, unit = chance.uniform(0.9, 1.1), chance.uniform(-0.2, 0.2), chance.uniform(0.8, 1.25)
        order = chance.sample(range(len(powers)), len(powers))
        losses = (floor + 5 * 10 ** (-0.15 * (powers - 3))) * (1 + missed_by)
        sizes = 10 ** (stretch * powers + shift)
        floors = unit * torch.tensor(candidates, dtype=torch.float64)
        return Case(stage, (sizes[order], unit * losses[order], floors, 10 ** (stretch * 9.4 + shift)))

    exact = torch.zeros_like(_POWERS)
    yield case("exponent", 0.0, (0.0,), _MISSED_BY)
    yield case("exponent", 1.1, (1.0,), _MISSED_BY)
    yield case("exponent", 0.0, (0.0,), exact[:2], _POWERS[::6])
    yield case("floor", 0.9, (0.4, 0.0, 0.9, 1.2), exact)
    yield case("floor", 0.6, _FLOORS, _MISSED_BY)
    yield case("prediction", 0.0, (0.0,), _MISSED_BY)
    yield case("prediction", 1.2, (0.6, 1.2, 1.5), exact)


def _least_squares(missed: Callable) -> Callable:
    return lambda candidates, sizes, losses: min(candidates, key=lambda pair: missed(*pair, sizes, losses))


_KEEPING_THE_BEST = _least_squares(_missed)


def _fit_with(
    *,
    law: Callable = _law_of,
    keep: Callable = _KEEPING_THE_BEST,
    exponent: Callable = lambda alpha: alpha,
    predict: Callable = lambda law, floor, new: _predicted(law, floor, new).item(),
) -> Callable:
    """Fit every candidate, keep one, predict; with one of these replaced."""

    def answer(sizes, losses, floors, new):
        candidates = [(law(sizes, losses, floor), floor) for floor in floors.tolist()]
        found, floor = keep(candidates, sizes, losses)
        return exponent(found[0]), floor, predict(found, floor, torch.tensor(new, dtype=torch.float64))

    return answer


def _end_points(sizes, losses, floor):
    x, y = sizes.log(), (losses - floor).log()
    first, last = x.argmin(), x.argmax()
    slope = ((y[last] - y[first]) / (x[last] - x[first])).item()
    return -slope, (y[first] - slope * x[first]).item()


def _through_the_origin(sizes, losses, floor):
    x, y = sizes.log(), (losses - floor).log()
    return -((x * y).sum() / x.square().sum()).item(), 0.0


def _sizes_from_losses(sizes, losses, floor):
    slope, intercept = _line((losses - floor).log(), sizes.log())
    return -1 / slope, -intercept / slope


def _losses_on_logs(sizes, losses, floor):
    slope, intercept = _line(sizes.log(), losses - floor)
    return -slope, intercept


def _logs_on_sizes(sizes, losses, floor):
    slope, intercept = _line(sizes, (losses - floor).log())
    return -slope, intercept


def _steps_between(sizes, losses, floor):
    """The mean of the slopes between neighbours."""
    order = sizes.argsort()
    x, y = sizes[order].log(), (losses[order] - floor).log()
    slope = (y.diff() / x.diff()).mean()
    return -slope.item(), (y.mean() - slope * x.mean()).item()


def _lstsq_fit(sizes, losses, floors, new):
    best = None
    A = torch.stack((sizes.log(), torch.ones_like(sizes)), dim=1)
    for floor in floors:
        slope, intercept = torch.linalg.lstsq(A, (losses - floor).log()[:, None]).solution[:, 0]
        error = (floor + sizes**slope * intercept.exp() - losses).pow(2).mean()
        if best is None or error < best[0]:
            best = error, -slope, floor, floor + math.exp(intercept) * new**slope
    return best[1:]


def _polyfit(sizes, losses, floors, new):
    N, L = sizes.numpy(), losses.numpy()
    fits = [np.polyfit(np.log(N), np.log(L - E), 1) for E in floors.numpy()]
    errors = [
        np.linalg.norm(E + np.exp(np.polyval(fit, np.log(N))) - L) for E, fit in zip(floors.numpy(), fits, strict=True)
    ]
    k = int(np.argmin(errors))
    constant = np.exp(fits[k][1] / -fits[k][0])  # N_c
    return -fits[k][0], floors[k], floors[k] + (constant / new) ** -fits[k][0]


FIT_LAW = Exercise(
    id="7.9",
    title="Fit the law",
    kind="implement",
    name="fit_law",
    minutes=30,
    stars=3,
    cases=_law_cases,
    stages=(
        Stage("exponent", "the exponent", 2, "which two columns of numbers lie along a straight line?", lambda v: v[0]),
        Stage("floor", "the floor", 1, "print every candidate with the errors of its law.", lambda v: v[1]),
        Stage(
            "prediction",
            "the prediction",
            2,
            "ask your law for one of the sizes that you were given: is it near the loss there?",
            lambda v: v[2],
        ),
    ),
    reference=_fit_with(),
    misconceptions=(
        Misconception(
            _fit_with(exponent=lambda alpha: -alpha),
            "Your exponent has the wrong sign. The line falls, so its slope is negative; what is α in terms of the slope?",
        ),
        Misconception(
            _fit_with(law=lambda sizes, losses, floor: _law_of(sizes, losses, 0.0)),
            "You fit the losses as they are, whatever floor you try. What lies along a line is the part of the loss above the "
            "floor.",
        ),
        Misconception(
            _fit_with(
                law=_losses_on_logs,
                keep=_least_squares(
                    lambda law, floor, sizes, losses: (
                        (floor + law[1] - law[0] * sizes.log() - losses).square().sum().item()
                    )
                ),
                predict=lambda law, floor, new: floor + law[1] - law[0] * math.log(new),
            ),
            "You fit a line to the losses against log N. Both axes are logarithmic in a power law.",
        ),
        Misconception(
            _fit_with(
                law=_logs_on_sizes,
                keep=_least_squares(
                    lambda law, floor, sizes, losses: (
                        (floor + (law[1] - law[0] * sizes).exp() - losses).square().sum().item()
                    )
                ),
                predict=lambda law, floor, new: floor + math.exp(law[1] - law[0] * new),
            ),
            "You fit a line to the logarithms against N itself. Both axes are logarithmic in a power law.",
        ),
        Misconception(
            _fit_with(law=_end_points),
            "Your line goes through the smallest and the largest model, and all others count for nothing.",
        ),
        Misconception(
            _fit_with(law=_steps_between),
            "You average the slopes between neighbours. Two sizes that are close together, and differ by chance, then count as "
            "much as two that are far apart.",
        ),
        Misconception(
            _fit_with(law=_through_the_origin),
            "Your line goes through the origin, as if a model of one parameter had a loss of one nat above the floor. The "
            "line has two unknowns.",
        ),
        Misconception(
            _fit_with(law=_sizes_from_losses),
            "You fit the sizes to the losses. Least squares asks which side the errors are on: the sizes are known exactly.",
        ),
        Misconception(
            _fit_with(keep=_least_squares(_missed_in_logs)),
            "You compare the candidates by the errors of their *logarithms*. These are logarithms of different things for "
            "different floors: compare what was measured, the losses.",
        ),
        Misconception(
            _fit_with(keep=lambda candidates, sizes, losses: candidates[0]),
            "You keep the first floor, whatever the others are worth.",
        ),
        Misconception(
            _fit_with(keep=lambda candidates, sizes, losses: candidates[-1]),
            "You keep the last floor, whatever the others are worth.",
        ),
        Misconception(
            _fit_with(
                keep=lambda candidates, sizes, losses: max(candidates, key=lambda pair: _missed(*pair, sizes, losses))
            ),
            "You keep the floor whose law misses the losses *most*.",
        ),
        Misconception(
            _fit_with(keep=_least_squares(_missed_in_sum)),
            "In your errors those above and those below cancel. A law may miss every loss and have a sum of 0.",
        ),
        Misconception(
            _fit_with(predict=lambda law, floor, new: _predicted(law, 0.0, new).item()),
            "Your prediction is the part of the loss above the floor. The floor itself is still missing in it.",
        ),
        Misconception(
            _fit_with(predict=lambda law, floor, new: _predicted(law, 0.0, new).log().item()),
            "Your prediction is still a logarithm: the line's height over log N. Whose logarithm is it?",
        ),
        Misconception(
            _fit_with(
                predict=lambda law, floor, new: floor + math.exp(law[1] / math.log(10) - law[0] * math.log10(new))
            ),
            "Your prediction mixes two kinds of logarithm: what was taken to the base 10 does not come back by e.",
        ),
        Misconception(
            _fit_with(predict=lambda law, floor, new: floor + (math.exp(law[1]) / new.item()) ** law[0]),
            "You took e to the intercept for N_c. Put the law into logarithms: with what is log N_c multiplied there?",
        ),
    ),
    alternatives=(_lstsq_fit, _polyfit),
    hints=(
        "Take the logarithm of both sides of $L - E = (N_c / N)^α$. Which letters of the result are the slope and the "
        "intercept of a line?",
        "Write it for one floor, and check it with losses that you have made from an α and an N_c of your own.",
        "Each candidate gets its own line. To compare them, go all the way back to losses: which error do you sum up?",
    ),
    success="Right. Now look at how far the prediction moves when the floor does: over a factor of a hundred a law of five "
    "points says less than its straight line seems to.",
)


# -------------------------------------------------------------------------------------- 7.10 three ways to keep score


def _score_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, lengths in (
        ("sum", (4, 4, 4)),
        ("sum", (2, 5, 3, 6)),
        ("mean", (5, 2, 3)),
        ("mean", (1, 4)),
        ("difference", (3, 6, 2, 4)),
        ("difference", (1, 1)),
        ("difference", (3,)),
    ):
        lengths = torch.tensor(lengths)
        # What stands behind an ending's end is anything at all: the table was filled with what the model said there.
        after, alone = (
            -0.3 - (3 + extra) * torch.rand(len(lengths), int(lengths.max()) + 1, generator=generator)
            for extra in (0, 2)
        )
        yield Case(stage, (after, alone, lengths))


def _total(table: Tensor, lengths: Tensor) -> Tensor:
    return torch.where(torch.arange(table.shape[1]) < lengths[:, None], table, 0.0).sum(1)


def _three_scores_with(
    *,
    total: Callable = _total,
    per_token: Callable = lambda total, after, lengths: total / lengths,
    against: Callable = lambda after, alone, lengths: after - alone,
    give: Callable = lambda *scores: scores,
) -> Callable:
    """Sum, mean and difference, with one of them or the way to the sum replaced."""

    def answer(after, alone, lengths):
        here, there = total(after, lengths), total(alone, lengths)
        return give(here, per_token(here, after, lengths), against(here, there, lengths))

    return answer


def _loop_scores(after, alone, lengths):
    scores = [[], [], []]
    for row, n in enumerate(lengths.tolist()):
        total = sum(after[row, :n].tolist())
        scores[0].append(total)
        scores[1].append(total / n)
        scores[2].append(total - sum(alone[row, :n].tolist()))
    return torch.tensor(scores)


def _product_of_matrices(after, alone, lengths):
    counts = (torch.arange(after.shape[1]) < lengths[:, None]).float()
    total, without = torch.einsum("trk,rk->tr", torch.stack((after, alone)), counts)
    return torch.stack((total, total / counts.sum(1), total - without))


THREE_SCORES = Exercise(
    id="7.10",
    title="Three ways to keep score",
    kind="implement",
    name="ending_scores",
    minutes=15,
    stars=2,
    cases=_score_cases,
    stages=(
        Stage("sum", "the log-probability", 1, "which numbers of a row belong to its ending?", lambda v: v[0]),
        Stage("mean", "per token", 1, "how many tokens has each ending?", lambda v: v[1]),
        Stage(
            "difference",
            "against no prompt",
            2,
            "for one ending, how much more probable does the prompt make it?",
            lambda v: v[2],
        ),
    ),
    reference=_three_scores_with(),
    misconceptions=(
        Misconception(
            _three_scores_with(total=lambda table, lengths: table.sum(1)),
            "You go on behind the end of the shorter endings, where the numbers mean nothing.",
        ),
        Misconception(
            _three_scores_with(total=lambda table, lengths: _total(table, lengths - 1)),
            "The last token of each ending is missing in your sums.",
        ),
        Misconception(
            _three_scores_with(total=lambda table, lengths: _total(table, lengths + 1)),
            "Your sums go one token too far.",
        ),
        Misconception(
            _three_scores_with(total=lambda table, lengths: _total(table, lengths) - table[:, 0]),
            "The first token of each ending is missing in your sums. The column 0 is already the ending's.",
        ),
        Misconception(
            _three_scores_with(total=lambda table, lengths: _total(table.exp(), lengths)),
            "You add probabilities. Those of a text's tokens are multiplied, so it is their logarithms that are added.",
        ),
        Misconception(
            _three_scores_with(total=lambda table, lengths: _total(table, lengths).exp()),
            "You return probabilities. Scores are compared as logarithms here.",
        ),
        Misconception(
            _three_scores_with(total=lambda table, lengths: -_total(table, lengths)),
            "The sign is turned: yours are losses, and the more probable ending would have the lower score.",
        ),
        Misconception(
            _three_scores_with(per_token=lambda total, after, lengths: total / after.shape[1]),
            "You divide every sum by the same number, the width of the table. That takes no length out: each ending has its "
            "own number of tokens.",
        ),
        Misconception(
            _three_scores_with(per_token=lambda total, after, lengths: total / lengths.float().mean()),
            "You divide every sum by the mean length. That takes no length out: each ending has its own number of tokens.",
        ),
        Misconception(
            _three_scores_with(per_token=lambda total, after, lengths: (total / lengths).exp()),
            "Your second score is a probability again: the geometric mean of the tokens'. Asked for is the mean of the "
            "logarithms.",
        ),
        Misconception(
            _three_scores_with(per_token=lambda total, after, lengths: _total(after.exp(), lengths) / lengths),
            "Your second score is a mean of probabilities. Asked for is the mean of their logarithms.",
        ),
        Misconception(
            _three_scores_with(against=lambda after, alone, lengths: alone - after),
            "Your third score is turned around: an ending that the prompt makes more probable should score above 0.",
        ),
        Misconception(
            _three_scores_with(against=lambda after, alone, lengths: (after - alone) / lengths),
            "Your third score is a mean per token. What an ending is worth by itself takes its length out already.",
        ),
        Misconception(
            _three_scores_with(against=lambda after, alone, lengths: after / alone),
            "Your third score divides one logarithm by another. How many times more probable the prompt makes an ending is a "
            "ratio of probabilities: what is it of their logarithms?",
        ),
        Misconception(
            _three_scores_with(against=lambda after, alone, lengths: (after - alone).exp()),
            "Your third score is a ratio of probabilities. Asked for is its logarithm.",
        ),
        Misconception(
            _three_scores_with(against=lambda after, alone, lengths: after + alone),
            "Your third score adds what the ending is worth by itself. It is to be taken *out*.",
        ),
        Misconception(
            _three_scores_with(against=lambda after, alone, lengths: alone),
            "Your third score is what the ending is worth by itself, and the prompt plays no part in it.",
        ),
        Misconception(
            _three_scores_with(give=lambda *scores: tuple(score.argmax() for score in scores)),
            "You return the winner by each score. Asked for are the scores of all endings.",
        ),
        Misconception(
            _three_scores_with(give=lambda *scores: tuple(score.squeeze() for score in scores)),
            "`squeeze()` without an axis takes away the axis of the endings, too, where there is only one.",
        ),
    ),
    alternatives=(_loop_scores, _product_of_matrices),
    hints=(
        "Build a table of booleans first: which columns belong to which ending?",
        "Write the three scores of one ending of two tokens on paper, with the four numbers as letters.",
    ),
    success="Right. By the choice among these three the same model looks little better than a coin in section 7.11, or right in "
    "three cases of four. Whoever reports a zero-shot accuracy has made that choice, and should say which.",
)


# ---------------------------------------------------------------------------------------- 7.11 GPT-1 reads a task

_SPECIAL = (101, 102, 103, 100)  # start, delimiter, extract, padding


def _task_cases(seed: int) -> Iterator[Case]:
    chance = random.Random(seed)

    def text(length: int) -> list[int]:
        return [chance.randrange(1, 90) for _ in range(length)]

    for stage, length, answers in (
        ("one text", 4, ()),
        ("one text", 1, ()),
        ("pair", 3, (5,)),
        ("pair", 4, (1,)),
        ("answers", 3, (2, 4, 1)),
        ("answers", 2, (2, 2)),
        ("answers", 5, (1, 3, 6, 2)),
    ):
        shift = chance.randrange(5)  # no special token has the same number everywhere
        yield Case(stage, (text(length), [text(n) for n in answers], *(token + shift for token in _SPECIAL)))
    twice = text(2)  # the same answer may be offered twice
    yield Case("answers", (text(3), [twice, text(3), [*twice]], *_SPECIAL))


def _task_with(
    *,
    alone: Callable = lambda text, s, d, e: [s, *text, e],
    pair: Callable = lambda text, answer, s, d, e: [s, *text, d, *answer, e],
    pad: Callable = lambda row, n, p: row + [p] * n,
    at: Callable = lambda rows, table, e: [row.index(e) for row in table],
    give: Callable = lambda tokens, places: (tokens, places),
) -> Callable:
    """A task written for a model that reads one text, with one part of the writing replaced."""

    def answer(text, answers, start, delimiter, extract, padding):
        special = (start, delimiter, extract)
        rows = [pair(text, one, *special) for one in answers] if answers else [alone(text, *special)]
        longest = max(map(len, rows))
        table = [pad(row, longest - len(row), padding) for row in rows]
        return give(torch.tensor(table), torch.tensor(at(rows, table, extract)))

    return answer


def _padded_before_extract(row, n, p):
    return row[:-1] + [p] * n + row[-1:]


def _answers_in_one_row(text, answers, start, delimiter, *rest):
    joined = [token for answer in answers for token in (delimiter, *answer)][1:]
    return _task_with()(text, [joined] if answers else [], start, delimiter, *rest)


def _stacked_task(text, answers, start, delimiter, extract, padding):
    rows = [[start, *text, delimiter, *answer, extract] for answer in answers]
    rows = [torch.tensor(row) for row in rows or [[start, *text, extract]]]
    lengths = torch.tensor([len(row) for row in rows])
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding), lengths - 1


def _filled_task(text, answers, start, delimiter, extract, padding):
    middles = [[delimiter, *answer] for answer in answers] or [[]]
    width = len(text) + 2 + max(map(len, middles))
    tokens = torch.full((len(middles), width), padding)
    for row, middle in enumerate(middles):
        whole = [start, *text, *middle, extract]
        tokens[row, : len(whole)] = torch.tensor(whole)
    return tokens, (tokens == extract).int().argmax(1)


TASK_TEXTS = Exercise(
    id="7.11",
    title="GPT-1 reads a task",
    kind="implement",
    name="task_texts",
    minutes=15,
    stars=1,
    cases=_task_cases,
    stages=(
        Stage("one text", "a single text", 1, "what stands before the text, and what behind it?"),
        Stage("pair", "two texts", 1, "how does the model see where the first text ends?"),
        Stage("answers", "several answers", 2, "write each row on paper, and count where its last token stands."),
    ),
    reference=_task_with(),
    misconceptions=(
        Misconception(
            _task_with(alone=lambda text, s, d, e: [s, *text, d, e]),
            "Your single text has a delimiter. It stands *between* two texts, and there is only one.",
        ),
        Misconception(
            _task_with(
                alone=lambda text, s, d, e: [*text, e], pair=lambda text, answer, s, d, e: [*text, d, *answer, e]
            ),
            "The start token is missing in your rows.",
        ),
        Misconception(
            _task_with(
                alone=lambda text, s, d, e: [s, *text],
                pair=lambda text, answer, s, d, e: [s, *text, d, *answer],
                at=lambda rows, table, e: [len(row) - 1 for row in rows],
            ),
            "The token *extract* is missing in your rows. Its vector is what the new layer reads.",
        ),
        Misconception(
            _task_with(pair=lambda text, answer, s, d, e: [s, *text, *answer, e]),
            "The delimiter is missing in your pairs: nothing tells the model where one text ends and the other begins.",
        ),
        Misconception(
            _task_with(pair=lambda text, answer, s, d, e: [s, *text, s, *answer, e]),
            "You separate the two texts with the start token. There is a token of its own for that.",
        ),
        Misconception(
            _task_with(pair=lambda text, answer, s, d, e: [s, *text, d, *answer, d, e]),
            "You have put a delimiter behind the second text, too. It separates, and does not close.",
        ),
        Misconception(
            _task_with(pair=lambda text, answer, s, d, e: [s, *answer, d, *text, e]),
            "The answer stands before the text in your rows. A model that reads from left to right has then not seen the text "
            "when it reads the answer.",
        ),
        Misconception(
            _task_with(pair=lambda text, answer, s, d, e: [s, *answer, e]),
            "Your rows hold the answers alone: the text has been lost.",
        ),
        Misconception(
            _task_with(pad=_padded_before_extract),
            "Your padding stands inside the text, before *extract*, which then sees it: a causal model looks back.",
        ),
        Misconception(
            _task_with(pad=lambda row, n, p: [p] * n + row),
            "You pad on the left. All other tokens then see the padding, and every text begins at another position.",
        ),
        Misconception(
            _task_with(at=lambda rows, table, e: [len(row) - 1 for row in table]),
            "Your rows are right. But *extract* is in the last column only in the longest row; in the others that column is "
            "padding.",
        ),
        Misconception(
            _task_with(at=lambda rows, table, e: [len(row) for row in rows]),
            "Your places are one too large: positions count from 0.",
        ),
        Misconception(
            _task_with(give=lambda tokens, places: (places, tokens)),
            "Your two results are in the other order: first the tokens, then the places.",
        ),
        Misconception(
            _answers_in_one_row,
            "All your answers stand in one row. Each one has a row of its own, so that each gets a score of its own.",
        ),
    ),
    alternatives=(_stacked_task, _filled_task),
    hints=(
        "Write a function for one row first: a list of tokens. When does it need a delimiter?",
        "Note the length of each row before it is padded. Where does its last token stand?",
    ),
    success="Right. One new vector for *start*, one for the delimiter, one for *extract*, and one linear layer: that is all "
    "that GPT-1 adds for a task. The tasks bend to the model, and not the model to the tasks.",
)


EXERCISES = (LOSS, KNOBS, CHUNK, REPAIR_CACHE, REPAIR_INIT, DPO, READING, TOO_GOOD, FIT_LAW, THREE_SCORES, TASK_TEXTS)

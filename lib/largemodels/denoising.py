"""Denoising: damage a text, and keep what a model has to find out about the damage.

BART was tried with five ways to damage a text, T5 with spans that are left out. Each is a function of the text, a rate
and a generator, for one text (a list of tokens of any kind) and for a batch (token ids):

    >>> text = "A B C . D E .".split()
    >>> source, target, origin = token_deletion(text, 0.3, torch.Generator().manual_seed(1))
    >>> source, target
    (['A', 'C', '.', 'E', '.'], [1, 4])

`source` is what a model reads, and `origin` says of each of its tokens where in the text it stood. `target` is what has
to be found out: ``text`` with the gaps filled, or where they are, or how long. (BART's decoder is always asked for the
whole text, whatever was done to it; T5's for the `target` of `span_corruption`.)

All functions work on whole batches. They draw which positions to read, `origin`, without looking at a token, and then
read them; one text is a batch of one.

Sources: Lewis et al. 2019 (arXiv 1910.13461), section 2.2; Raffel et al. 2020 (arXiv 1910.10683), section 3.1.4.
"""

import itertools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from largemodels.language import say

HIDDEN, PADDING = -1, -2  # in `origin`: a mask stands here; nothing stands here

SENTINELS = tuple(f"<extra_id_{i}>" for i in range(100))  # T5's, for texts of strings

Text = Sequence[Any] | Tensor


class Corrupted(NamedTuple):
    """A damaged text; of one text all three are lists, of a batch tensors.

    Attributes:
        source: the tokens that are left, and the masks.
        target: see each function; in a batch filled up with −1 (tokens: with `pad`).
        origin: for each token of the source its position in the text, `HIDDEN` for a mask, `PADDING` after the end.
    """

    source: Text
    target: Any
    origin: Sequence[int] | Tensor

    @property
    def mask(self) -> Tensor:
        """Of a batch: which positions of the source hold tokens, ``(batch, 1, 1, length)``, as models take it."""
        return (torch.as_tensor(self.origin) != PADDING)[:, None, None]


# ----------------------------------------------------------------------------------------------------- BART's five


def token_masking(
    tokens: Text, rate: float, generator: torch.Generator, *, mask: Any = "[MASK]", pad: int | None = None
) -> Corrupted:
    """Put `mask` in the place of some tokens; the target is the text itself.

    Args:
        tokens: a list of tokens of any kind, or token ids ``(batch, length)``.
        rate: which share of the tokens, in [0, 1]; in each text it is exact, to the nearest whole number.
        generator: of what is random.
        mask: the token that stands for what is hidden; in a batch an id.
        pad: in a batch, the id that fills up texts after their end.

    Raises:
        ValueError: a rate outside [0, 1], a text without tokens; in a batch a mask or pad that is no id.
    """
    batch = _Batch(tokens, pad)
    hidden = batch.choose(_share(batch.lengths, rate), generator)
    return batch.corrupted(batch.places.masked_fill(hidden, HIDDEN), mask, batch.tokens)


def token_deletion(tokens: Text, rate: float, generator: torch.Generator, *, pad: int | None = None) -> Corrupted:
    """Leave tokens out, with nothing to show where; the target is the positions that are missing.

    Arguments and errors are those of `token_masking`.
    """
    batch = _Batch(tokens, pad)
    hidden = batch.choose(_share(batch.lengths, rate), generator)
    origin = _pack(batch.places, batch.valid & ~hidden, PADDING)
    return batch.corrupted(origin, None, _pack(batch.places, hidden, -1))


def text_infilling(
    tokens: Text,
    rate: float,
    generator: torch.Generator,
    *,
    mean_length: float = 3.0,
    mask: Any = "[MASK]",
    pad: int | None = None,
) -> Corrupted:
    """Put a single `mask` in the place of each of some spans; the target is how many tokens each mask stands for.

    The lengths are drawn from a Poisson distribution until together they reach `rate` of the tokens; the last one is
    shortened to fit. A span of length 0 puts in a mask where nothing is missing. Spans never touch, and every way
    to place them is as likely as any other. If there is no room to keep all of them apart, the last ones become one:
    at rate 1 a single mask stands for the whole text.

    Args:
        mean_length: λ of the Poisson distribution, above 0.

    The other arguments and errors are those of `token_masking`.
    """
    if not mean_length > 0:
        raise ValueError(f"the mean length of a span must be above 0, got {mean_length}")
    batch = _Batch(tokens, pad)
    budget = _share(batch.lengths, rate)
    spans = _poisson_spans(budget, mean_length, generator)
    # The tokens that stay leave one gap more than they are, and a gap holds one span.
    gaps = batch.lengths - budget + 1
    count = torch.minimum((spans >= 0).sum(1), gaps)
    total = spans.clamp(min=0).cumsum(1)
    index = torch.arange(spans.shape[1])
    joined = torch.where(index == count[:, None] - 1, budget[:, None] - total + spans, spans)
    spans = joined.masked_fill(index >= count[:, None], -1)
    origin, target = _splice(spans, gaps, generator)
    return batch.corrupted(origin, mask, target)


def sentence_permutation(
    tokens: Text, generator: torch.Generator, *, end: Any | Collection[Any] = ".", pad: int | None = None
) -> Corrupted:
    """Shuffle the sentences; the target is, for each sentence of the source, its number in the text, from 1 on.

    A text of one sentence stays as it is. What follows the last end is a sentence, too.

    Args:
        end: the token that ends a sentence, or a set, list or tuple of such tokens.

    The other arguments and errors are those of `token_masking`.
    """
    batch = _Batch(tokens, pad)
    ends = set(end) if isinstance(end, set | frozenset | list | tuple) else {end}
    if not isinstance(tokens, Tensor):
        is_end = torch.tensor([[token in ends for token in tokens]])
    elif wrong := [token for token in ends if not isinstance(token, int)]:
        raise ValueError(
            f"in a batch the end of a sentence is a token id, got {wrong[0]!r}; give the tokenizer's id of it"
        )
    else:
        is_end = torch.isin(tokens, torch.tensor(sorted(ends)))
    sentence = F.pad(is_end[:, :-1].cumsum(1), (1, 0))  # (batch, length): the number of each token's sentence
    count = sentence.masked_fill(~batch.valid, 0).amax(1) + 1
    rank = _shuffled(count, generator)  # the new place of each sentence
    key = rank.gather(1, sentence.clamp(max=rank.shape[1] - 1)).masked_fill(~batch.valid, rank.shape[1])
    origin = key.argsort(dim=1, stable=True).masked_fill(~batch.valid, PADDING)  # stable: sentences stay whole
    order = rank.argsort(dim=1) + 1
    return batch.corrupted(origin, None, order.masked_fill(order > count[:, None], -1))


def document_rotation(tokens: Text, generator: torch.Generator, *, pad: int | None = None) -> Corrupted:
    """Begin with any token, each as likely as any other; what stood before it comes last. The target: where the text begins.

    Arguments and errors are those of `token_masking`. In a batch the target is ``(batch,)``.
    """
    batch = _Batch(tokens, pad)
    lengths = batch.lengths[:, None]
    first = (torch.rand(lengths.shape, generator=generator, dtype=torch.float64) * lengths).long()
    origin = ((batch.places + first) % lengths).masked_fill(~batch.valid, PADDING)
    return batch.corrupted(origin, None, ((lengths - first) % lengths)[:, 0])


# -------------------------------------------------------------------------------------------------------------- T5


def span_corruption(
    tokens: Text,
    rate: float,
    generator: torch.Generator,
    *,
    mean_length: float = 3.0,
    sentinels: Sequence[Any] = SENTINELS,
    pad: int | None = None,
) -> Corrupted:
    """Put a different sentinel in the place of each of some spans; the target is each sentinel with what it stands for.

    The sentinels are used in their order, and one more than there are spans ends the target:

        Thank you <X> me to your party <Y> week        <X> for inviting <Y> last <Z>

    The number of hidden tokens is `rate` of the text, that of spans is this number divided by `mean_length`, both to the
    nearest whole number (and at least one span, if anything is hidden). Lengths and places are drawn such that every
    way to do so is as likely as any other, no span being empty and none touching the next. (In the authors' code each
    text begins with a token that stays and ends with one that is hidden, and then needs no last sentinel.)

    Args:
        rate: which share of the tokens is hidden, in [0, 1]; at least one token stays.
        mean_length: of a span, at least 1.
        sentinels: tokens that stand for spans; in a batch ids.

    The other arguments and errors are those of `token_masking`.

    Raises:
        ValueError: also if there are too few sentinels.
    """
    if not mean_length >= 1:
        raise ValueError(f"a span has at least one token, so mean_length must be at least 1, got {mean_length}")
    batch = _Batch(tokens, pad)
    budget = torch.minimum(_share(batch.lengths, rate), batch.lengths - 1)
    gaps = batch.lengths - budget + 1
    count = (budget / mean_length).round().long().clamp(min=1)
    count = torch.minimum(torch.minimum(count, budget), gaps)  # none where nothing is hidden
    if (most := int(count.max()) + 1) > len(sentinels):
        raise ValueError(
            say(
                "{spans} spans need {most} sentinels, one of them to end the target, but there are {count}; "
                "give more sentinels, shorten the text, lower the rate or lengthen the spans",
                spans=most - 1,
                most=most,
                count=len(sentinels),
            )
        )
    # Cutting a row of `budget` tokens at count − 1 of its inner borders makes `count` spans.
    cuts = _shuffled(budget - 1, generator) < count[:, None] - 1
    span = F.pad(cuts.cumsum(1), (1, 0))  # the number of each hidden token's span
    hidden_tokens = (torch.arange(span.shape[1]) < budget[:, None]).long()
    lengths = torch.zeros_like(span).scatter_add(1, span, hidden_tokens)
    lengths = lengths.masked_fill(torch.arange(span.shape[1]) >= count[:, None], -1)
    origin, _ = _splice(lengths, gaps, generator)

    stays = torch.zeros(len(origin), batch.width + 1, dtype=torch.bool)
    stays = stays.scatter(1, torch.where(origin >= 0, origin, batch.width), True)[:, :-1]
    hidden = batch.valid & ~stays
    begins = hidden & F.pad(stays[:, :-1], (1, 0), value=True)
    # In the target two things may stand at each position: a sentinel if a span begins there, and a token if it is hidden.
    answer = torch.stack((torch.full_like(batch.places, HIDDEN), batch.places), dim=-1).flatten(1)
    kept = torch.stack((begins, hidden), dim=-1).flatten(1)
    answer = F.pad(answer, (0, 1), value=HIDDEN)  # the last sentinel
    answer = _pack(answer, F.pad(kept, (0, 1), value=True), PADDING)
    return batch.corrupted(origin, sentinels, batch.read(answer, sentinels))


# --------------------------------------------------------------------------------------------- what they are made of


class _Batch:
    """A batch of texts, or one text as a batch of one.

    Attributes:
        tokens: as given.
        lengths: of the texts, ``(batch,)``; width: of the longest.
        places: 0, 1, … and `PADDING` after the end, ``(batch, length)``; valid: where it is no padding.
    """

    def __init__(self, tokens: Text, pad: int | None):
        self.tokens, self.pad = tokens, pad
        if isinstance(tokens, str):
            raise TypeError(f"a text is a list of tokens, got the string {tokens[:40]!r}; split it first")
        if not isinstance(tokens, Tensor):
            self.lengths, self.width = torch.tensor([len(tokens)]), len(tokens)
        elif tokens.dim() != 2 or tokens.dtype != torch.long:
            raise ValueError(
                f"a batch must be token ids (batch, length), got {tokens.dtype} of shape {tuple(tokens.shape)}; "
                "add [None] to one text, or give it as a list"
            )
        else:
            self.width = tokens.shape[1]
            self.lengths = torch.full((len(tokens),), self.width) if pad is None else _ends(tokens, pad)
        if len(self.lengths) == 0 or (self.lengths == 0).any():
            if isinstance(tokens, Tensor) and len(tokens):
                raise ValueError(
                    f"text {self.lengths.argmin().item()} has no tokens, so nothing can be done to it; leave it out"
                )
            raise ValueError(say("the text has no tokens, so nothing can be done to it; leave it out"))
        place = torch.arange(self.width)
        self.valid = place < self.lengths[:, None]
        self.places = torch.where(self.valid, place, PADDING)

    def choose(self, count: Tensor, generator: torch.Generator) -> Tensor:
        """``(batch, length)``, True at `count` positions of each text, any of them as likely as any other."""
        return _shuffled(self.lengths, generator) < count[:, None]

    def read(self, origin: Tensor, masks: Any) -> Text:
        """The tokens at the positions `origin`; for hidden ones the mask, or the next of several masks."""
        several = isinstance(masks, Sequence) and not isinstance(masks, str)
        if not isinstance(self.tokens, Tensor):
            marks = iter(masks) if several else itertools.repeat(masks)
            places = (place for place in origin[0].tolist() if place != PADDING)
            return [self.tokens[p] if p >= 0 else next(marks) for p in places]
        found = self.tokens.gather(1, origin.clamp(min=0))
        hidden = origin == HIDDEN
        if hidden.any():
            wrong = [mark for mark in (masks if several else [masks]) if not isinstance(mark, int)]
            if wrong:
                raise ValueError(f"in a batch a mask is a token id, got {wrong[0]!r}; give the tokenizer's id of it")
            ids = torch.tensor(masks)
            found = torch.where(hidden, ids[hidden.cumsum(1).clamp(min=1) - 1] if several else ids, found)
        padding = origin == PADDING
        if padding.any():
            if self.pad is None:
                raise ValueError("the damaged texts differ in length; give pad, the token id that fills them up")
            found = found.masked_fill(padding, self.pad)
        return found

    def corrupted(self, origin: Tensor, masks: Any, target: Any) -> Corrupted:
        """What the functions return, as lists if the text was one."""
        source = self.read(origin, masks)
        if isinstance(self.tokens, Tensor):
            return Corrupted(source, target, origin)
        if isinstance(target, Tensor):
            target = target[0].tolist()
        return Corrupted(source, list(target) if isinstance(target, Sequence) else target, origin[0].tolist())


def _ends(tokens: Tensor, pad: int) -> Tensor:
    """``(batch,)``, the lengths of texts that are filled up with `pad`."""
    last = torch.where(tokens != pad, torch.arange(1, tokens.shape[1] + 1), 0)
    return last.amax(1) if tokens.numel() else torch.zeros(len(tokens), dtype=torch.long)


def _share(lengths: Tensor, rate: float) -> Tensor:
    """``(batch,)``: `rate` of each text's tokens, to the nearest whole number."""
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate is a share of the tokens, from 0 to 1, got {rate}")
    return (lengths.double() * rate).round().long()


def _shuffled(sizes: Tensor, generator: torch.Generator) -> Tensor:
    """``(batch, largest)``: row b holds 0 … sizes[b] − 1 in a random order, and after them larger numbers."""
    width = max(0, int(sizes.max()))
    lots = torch.rand(len(sizes), width, generator=generator)
    lots = lots.masked_fill_(torch.arange(width) >= sizes[:, None], 2.0)
    order = lots.argsort(dim=1)
    return torch.empty_like(order).scatter_(1, order, torch.arange(width).expand_as(order))


def _pack(values: Tensor, keep: Tensor, fill: int) -> Tensor:
    """``(batch, most kept)``: the values that are kept, moved to the left, and `fill` after them."""
    to = keep.cumsum(1)
    width = int(to[:, -1].max())
    packed = torch.full((len(values), width + 1), fill, dtype=values.dtype)
    return packed.scatter_(1, torch.where(keep, to - 1, width), values)[:, :width].masked_fill_(
        torch.arange(width) >= to[:, -1:], fill
    )


def _poisson_spans(budget: Tensor, mean: float, generator: torch.Generator) -> Tensor:
    """``(batch, most)`` lengths that sum to `budget` in each row, −1 after the last one."""
    lengths = torch.zeros(len(budget), 0)
    while (lengths.sum(1) < budget).any():
        more = torch.full((len(budget), 8 + int(budget.max() / mean)), float(mean))
        lengths = torch.cat((lengths, torch.poisson(more, generator)), dim=1)
    lengths = lengths.long()
    before = lengths.cumsum(1) - lengths
    lengths = torch.minimum(lengths, budget[:, None] - before)
    return lengths.masked_fill(before >= budget[:, None], -1)


def _splice(spans: Tensor, gaps: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put spans into gaps drawn at random, one at most into each.

    Args:
        spans: ``(batch, most)`` lengths, −1 after the last one.
        gaps: ``(batch,)``, how many there are; between them stand the tokens that stay, one fewer.

    Returns:
        The origins of what is left, and the lengths of the spans in the order in which they stand in it.
    """
    rank = _shuffled(gaps, generator)  # span number rank[g] goes into gap g, if there are so many
    lengths = F.pad(spans, (0, max(0, rank.shape[1] - spans.shape[1])), value=-1).gather(1, rank)
    gap = torch.arange(rank.shape[1])
    begins = lengths >= 0
    place = gap + lengths.clamp(min=0).cumsum(1)  # of the token after the gap
    stays = gap < gaps[:, None] - 1
    origin = torch.stack((torch.full_like(place, HIDDEN), place), dim=-1).flatten(1)
    return _pack(origin, torch.stack((begins, stays), dim=-1).flatten(1), PADDING), _pack(lengths, begins, -1)

"""Exercises of chapter 6, the BERT family."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import bert as library
from ...tokenizers.merging import Chain, merges
from ..comparing import difference, number, shape_difference, within
from ..exercise import Case, Exercise, Misconception, Stage
from ..reading import fitted

IGNORE = -100

# ------------------------------------------------------------------------------------------------- 6.1 hide the tokens


def _hide_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def draws(*shape: int) -> list[Tensor]:
        tokens, others = torch.randint(5, 50, (2, *shape), generator=generator)
        lots, first, second = torch.rand(3, *shape, generator=generator)
        lots, second = 0.2 * lots, second.square()  # so that many are selected, and many of them exchanged
        return [tokens, torch.zeros(shape, dtype=torch.bool), lots, first, second, others]

    def text() -> list[Tensor]:
        tokens, _, *rest = draws(6, 31)
        tokens[:, 0], tokens[:, 9], tokens[:, -1] = 2, 3, 3
        tokens[1, 17:] = 0  # padding
        return [tokens, tokens < 5, *rest]

    yield Case("targets", (*text(), 4))
    tokens, special, lots, first, second, others = text()
    yield Case("mask", (tokens, special, lots, first, 0.5 + second / 2, others, 49 + seed % 3))  # none is exchanged
    yield Case("others", (*text(), 4))
    tokens, special, lots, first, second, others = text()
    lots[:, 1::7], first[:, 2::7], second[:, 3::7] = 0.15, 0.8, 0.5  # on the line
    yield Case("others", (tokens, special, lots, first, second, others, 4))
    yield Case("others", (*draws(1, 1), 4))
    tokens, special, *rest = draws(2, 3)
    yield Case("others", (tokens, ~special, *rest, 4))  # nothing may be selected


def _hide_with(
    *,
    select: Callable = lambda special, lots: ~special & (lots < 0.15),
    exchange: Callable = lambda masked, second, first: ~masked & (second < 0.5),
    masks: Callable = lambda first: first < 0.8,
    targets: Callable = lambda tokens, inputs, selected, masked: tokens.masked_fill(~selected, IGNORE),
) -> Callable:
    """The rule written out, with one of its parts replaced."""

    def answer(tokens, special, lots, first, second, others, mask):
        selected = select(special, lots)
        masked = selected & masks(first)
        exchanged = selected & exchange(masked, second, first)
        inputs = torch.where(exchanged, others, tokens.masked_fill(masked, mask))
        return inputs, targets(tokens, inputs, selected, masked)

    return answer


def _loop_hide(tokens, special, lots, first, second, others, mask):
    inputs, targets = tokens.clone(), torch.full_like(tokens, IGNORE)
    for b in range(tokens.shape[0]):
        for n in range(tokens.shape[1]):
            if special[b, n] or lots[b, n] >= 0.15:
                continue
            targets[b, n] = tokens[b, n]
            if first[b, n] < 0.8:
                inputs[b, n] = mask
            elif second[b, n] < 0.5:
                inputs[b, n] = others[b, n]
    return inputs, targets


def _indexed_hide(tokens, special, lots, first, second, others, mask):
    inputs, targets = tokens.clone(), torch.full_like(tokens, IGNORE)
    selected = (lots < 0.15).logical_and(special.logical_not())
    targets[selected] = tokens[selected]
    inputs[selected & (first < 0.8)] = mask
    exchanged = selected & (first >= 0.8) & (second < 0.5)
    inputs[exchanged] = others[exchanged]
    return inputs, targets


def _hide_in_place(tokens, special, lots, first, second, others, mask):
    inputs, targets = _hide_with()(tokens, special, lots, first, second, others, mask)
    tokens.copy_(inputs)
    return tokens, targets


HIDE = Exercise(
    id="6.1",
    title="Hide the tokens",
    kind="implement",
    name="hide",
    minutes=20,
    stars=2,
    cases=_hide_cases,
    stages=(
        Stage("targets", "what is to be predicted", 1, "−100 except at the selected tokens.", lambda v: v[1]),
        Stage(
            "mask",
            "what is masked",
            1,
            "print `first` at the selected tokens, and what you did to them.",
            lambda v: v[0],
        ),
        Stage(
            "others",
            "what is exchanged",
            2,
            "which of the selected tokens are not masked, and what does `second` say about each?",
            lambda v: v[0],
        ),
    ),
    reference=_indexed_hide,
    misconceptions=(
        Misconception(
            _hide_with(select=lambda special, lots: lots < 0.15),
            "You select 15 % of *all* tokens. [CLS], [SEP] and padding must never be selected: `special` says where they "
            "are.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: tokens),
            "Your targets are all tokens, so the model is also asked about those that it can see. Where nothing was "
            "selected, the target is −100.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: tokens.masked_fill(~masked, IGNORE)),
            "Your targets cover the masked tokens only. The selected tokens that stayed, or were exchanged, are to be "
            "predicted as well; otherwise the model may trust everything it can see.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: inputs.masked_fill(~selected, IGNORE)),
            "Your targets are what the model *reads*. It is to say what stood there before.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: tokens.masked_fill(~selected, 0)),
            "Your targets are 0 where nothing was selected; but 0 is a token, and it would be learned. −100 is the number "
            "that a loss ignores.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: ~masked & (second < 0.1)),
            "You exchange a tenth of the tokens that are left over after masking, which is 2 % of the selected ones. 10 % of "
            "all selected tokens are *half* of those left over.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: second < 0.5),
            "Your two draws are independent of each other: half of the tokens that were masked are exchanged after all. Only "
            "those that are not masked may be.",
        ),
        Misconception(
            _hide_with(select=lambda special, lots: ~special & (lots >= 0.15)),
            "You select 85 % of the tokens: those whose lot is *not* below 0.15.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: torch.zeros_like(masked)),
            "You mask, but exchange nothing: the tokens of `others` never appear.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: ~masked),
            "You exchange every selected token that is not masked. Some of them stay as they are: `second` decides.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: ~masked & (second >= 0.5)),
            "You exchange where `second` is *not* below 0.5, and keep the others.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: ~masked & (first < 0.9)),
            "You take `first` for the second decision, too. That one has draws of its own, in `second`.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second, first: second < 0.5, masks=lambda first: first < 0),
            "No token is masked: [MASK] never appears.",
        ),
        Misconception(
            lambda *arguments: _hide_with()(*arguments[:-1], 4),
            "Your id of [MASK] looks typed in. Take the one that your function is given.",
        ),
        Misconception(
            _hide_with(masks=lambda first: first >= 0.8),
            "You mask where `first` is *not* below 0.8: one selected token in five, in place of four.",
        ),
        Misconception(
            _hide_with(masks=lambda first: first < 1.0),
            "You mask every selected token. A fifth of them are not masked: `first` decides.",
        ),
        Misconception(
            _hide_with(
                select=lambda special, lots: ~special & (lots <= 0.15),
                masks=lambda first: first <= 0.8,
                exchange=lambda masked, second, first: ~masked & (second <= 0.5),
            ),
            "On the line you decide the other way: a number that is 0.15, 0.8 or 0.5 exactly is not *below* it.",
        ),
        Misconception(
            lambda *arguments: _hide_with()(*arguments)[::-1],
            "Your two results are in the other order: first what the model reads, then the targets.",
        ),
        Misconception(_hide_in_place, "Your function overwrites `tokens`: the targets of the next epoch are lost."),
    ),
    alternatives=(_hide_with(), _loop_hide),
    hints=(
        "Three masks of booleans: `selected`, then `masked` and `exchanged`, both parts of `selected` with nothing in common.",
        "`masked_fill` puts one number where a mask is True, `torch.where` takes from one of two tensors; both leave their "
        "arguments alone.",
    ),
    success="Right. One token in five that the model is asked about looks like any other, so it cannot rest when no [MASK] "
    "is near.",
)


# ----------------------------------------------------------------------------------------------- 6.2 what is expected

SHARES = Exercise(
    id="6.2",
    title="How many, and how often",
    kind="predict",
    name="shares",
    minutes=10,
    stars=1,
    stages=(
        Stage("selected", "selected tokens", 1, "which tokens may be selected at all?", lambda v: v[0]),
        Stage(
            "shown",
            "selected, yet visible",
            1,
            "which of the selected tokens still show what stood there?",
            lambda v: v[1],
            within(0.01),
            follows=lambda v: v[0] / 10,
        ),
        Stage(
            "masked",
            "two draws",
            1,
            "what is left of all after the first draw, and of that after the second?",
            lambda v: v[2],
            within(0.006),
        ),
        Stage(
            "loss", "knowing nothing", 1, "−log of the probability of the right token.", lambda v: v[3], within(0.02)
        ),
    ),
    reference=(15, 1.5, 0.81, math.log(1500)),
    misconceptions=(
        *(
            Misconception(
                (selected, selected / 10, 0.81, 7.313),
                "You took 15 % of all 128 tokens. Padding, [CLS] and both [SEP] are never selected.",
            )
            for selected in (19.2, 19)
        ),
        Misconception(
            (15.45, 1.545, 0.81, 7.313),
            "You left out the padding, but [CLS] and the two [SEP] are special tokens, too.",
        ),
        *(
            Misconception(
                (selected, selected / 10, 0.81, 7.313),
                "Some special tokens are still among yours. A pair has one [CLS] and two [SEP].",
            )
            for selected in (15.3, 15.15)
        ),
        Misconception(
            (85, 8.5, 0.81, 7.313), "Those are the tokens that are *not* selected, of the 100 that might have been."
        ),
        Misconception((100, 10, 0.81, 7.313), "So many may be selected. How many are?"),
        Misconception((12, 1.2, 0.81, 7.313), "Those are the masked ones. Selected are more."),
        Misconception(
            (15, 3.0, 0.81, 7.313), "You counted the exchanged ones: those do not show the token that was there."
        ),
        Misconception((15, 10.0, 0.81, 7.313), "10 % of what? Of the *selected* tokens, which are 15."),
        Misconception((15, 0.1, 0.81, 7.313), "That is the share of them. Asked for is how many of the 15 it is."),
        Misconception((15, 12.0, 0.81, 7.313), "You counted the masked ones: those do not show what was there."),
        Misconception((15, 0.75, 0.81, 7.313), "That is half of a tenth. A tenth of the selected tokens is kept."),
        Misconception(
            (15, 1.5, 0.8, 7.313),
            "The second draw is made only for the nine in ten that the first one did not keep. What share of all is "
            "exchanged then, and what is left for the mask?",
        ),
        Misconception(
            (15, 1.5, 0.72, 7.313),
            "You multiplied 0.8 by 0.9. Here nobody draws the 80 %: masked is what is left over.",
        ),
        Misconception((15, 1.5, 0.9, 7.313), "So many pass the first draw. The second takes some of these away."),
        Misconception((15, 1.5, 0.09, 7.313), "So many are exchanged. Masked is what is left over."),
        Misconception((15, 1.5, 0.19, 7.313), "So many are *not* masked."),
        Misconception((15, 1.5, 81, 7.313), "The share is asked for as a number between 0 and 1."),
        Misconception((15, 1.5, 12.15, 7.313), "That is how many of the 15. Asked for is their share."),
        Misconception(
            (15, 1.5, 0.81, math.log2(1500)), "That is in bits. The losses of this course use the natural logarithm."
        ),
        Misconception(
            (15, 1.5, 0.81, math.log10(1500)),
            "You took the logarithm to the base 10. The losses of this course use the natural one.",
        ),
        Misconception((15, 1.5, 0.81, 1 / 1500), "That is the probability of the right token; the loss is −log of it."),
        Misconception((15, 1.5, 0.81, -math.log(1500)), "That is log p, which is negative. The loss is −log p."),
        Misconception(
            (15, 1.5, 0.81, 1500), "That is the perplexity, e to the power of the loss. Asked for is the loss."
        ),
    ),
    hints=(
        "For 1., take away all the places that `special` marks in exercise 6.1.",
        "For 3., imagine a hundred selected tokens, and send them through the two draws one after the other.",
    ),
    success="Right. It is not quite the 80 % of BERT: two programs that cite the same rule need not do the same.",
)


# ------------------------------------------------------------------------------------------------- 6.3 a pair of texts


def _pair_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def text(n: int) -> Tensor:
        return torch.randint(5, 50, (n,), generator=generator)

    def specials() -> tuple[int, int]:
        return tuple((50 + torch.randperm(9, generator=generator)[:2]).tolist())

    yield Case("tokens", (text(4), text(3), 2, 3))
    yield Case("tokens", (text(2), text(5), *specials()))
    yield Case("segments", (text(3 + seed % 3), text(5), *specials()))
    yield Case("segments", (text(6), text(1), 2, 3))
    yield Case("segments", (text(4), text(4), 2, 3))
    yield Case("segments", (text(0), text(2), 2, 3))
    yield Case("segments", (text(2), text(0), 2, 3))


def _pair_with(
    *,
    tokens: Callable = lambda a, b, cls, sep: (cls, *a, sep, *b, sep),
    segments: Callable = lambda m, n: [0] * (m + 2) + [1] * (n + 1),
) -> Callable:
    def answer(first, second, cls, sep):
        ids = tokens(first.tolist(), second.tolist(), cls, sep)
        return torch.tensor(ids), torch.tensor(segments(len(first), len(second)))

    return answer


def _joined_pair(first, second, cls, sep):
    sep = torch.tensor([sep])
    tokens = torch.cat((torch.tensor([cls]), first, sep, second, sep))
    return tokens, (torch.arange(len(tokens)) > len(first) + 1).long()


PAIR = Exercise(
    id="6.3",
    title="Two texts as one",
    kind="implement",
    name="pair",
    minutes=10,
    stars=1,
    cases=_pair_cases,
    stages=(
        Stage("tokens", "the tokens", 1, "[CLS] first [SEP] second [SEP].", lambda v: v[0]),
        Stage(
            "segments", "the segments", 2, "to which of the two texts does each special token belong?", lambda v: v[1]
        ),
    ),
    reference=_pair_with(),
    misconceptions=(
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + 1) + [1] * (n + 2)),
            "Your segments change one token too early: the first [SEP] closes the first text and belongs to it.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + 3) + [1] * n),
            "Your segments change one token too late: the first token of the second text has segment 0.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [1] * (m + 2) + [2] * (n + 1)),
            "Your segments count from 1. The table of segments has two rows, 0 and 1.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + n + 3)),
            "All your segments are 0: the model could not tell the second text from the first.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + 2) + [1] * n + [0]),
            "Your last [SEP] has segment 0. It closes the second text.",
        ),
        Misconception(
            _pair_with(tokens=lambda a, b, cls, sep: (cls, *a, sep, *b), segments=lambda m, n: [0] * (m + 2) + [1] * n),
            "The [SEP] after the second text is missing.",
        ),
        Misconception(
            _pair_with(
                tokens=lambda a, b, cls, sep: (cls, *a, sep, cls, *b, sep),
                segments=lambda m, n: [0] * (m + 2) + [1] * (n + 2),
            ),
            "There is a [CLS] before each text. There is only one, and it stands for the whole pair.",
        ),
        Misconception(
            _pair_with(
                tokens=lambda a, b, cls, sep: (cls, *b, sep, *a, sep),
                segments=lambda m, n: [0] * (n + 2) + [1] * (m + 1),
            ),
            "The two texts are exchanged. (That is ALBERT's other label.)",
        ),
        Misconception(
            _pair_with(tokens=lambda a, b, cls, sep: (2, *a, 3, *b, 3)),
            "Your ids of [CLS] and [SEP] look typed in. Take the ones that your function is given.",
        ),
        Misconception(
            _pair_with(tokens=lambda a, b, cls, sep: (sep, *a, cls, *b, cls)),
            "[CLS] and [SEP] are exchanged.",
        ),
        Misconception(
            _pair_with(
                tokens=lambda a, b, cls, sep: (cls, *a, *b, sep), segments=lambda m, n: [0] * (m + 1) + [1] * (n + 1)
            ),
            "The [SEP] between the two texts is missing.",
        ),
        Misconception(
            _pair_with(
                tokens=lambda a, b, cls, sep: (*a, sep, *b, sep), segments=lambda m, n: [0] * (m + 1) + [1] * (n + 1)
            ),
            "The [CLS] at the beginning is missing.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [1] * (m + 2) + [0] * (n + 1)),
            "Your segments are exchanged: the first text has 0, the second 1.",
        ),
        Misconception(
            lambda *arguments: _pair_with()(*arguments)[::-1],
            "Your two results are in the other order: first the tokens, then the segments.",
        ),
    ),
    alternatives=(_joined_pair, _pair_with()),
    hints=(
        "Write the tokens of two short texts in a row, and below each of them 0 or 1.",
        "Each text ends with its own [SEP]. How many tokens has each of the two parts, and to which belongs [CLS]?",
    ),
    success="Right. Besides [SEP], that one bit per token is all that tells the model which text a token belongs to.",
)


# ------------------------------------------------------------------------------------------------ 6.4 three embeddings


def _embed_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(stage: str, batch: int, length: int, width: int, scale: float = 1.0) -> Case:
        tables = [scale * torch.randn(n, width, generator=generator) for n in (11, 2, 13)]
        tokens = torch.randint(11, (batch, length), generator=generator)
        segments = (torch.arange(length) >= torch.tensor([[2], [3], [length]])[:batch]).long()
        return Case(stage, (tokens, segments, *tables))

    yield case("shape", 3, 5, 6)
    yield case("values", 3, 7, 6)
    yield case("values", 3, 9, 4, scale=2.0)
    yield case("values", 2, 6, 5, scale=0.005)  # so small that ε counts
    yield case("values", 3, 3, 3)
    yield case("values", 1, 13, 4)  # every position that there is
    yield case("values", 2, 1, 4)


def _embed_with(
    *,
    position: Callable = lambda table, n: table[:n],
    segment: Callable = lambda table, segments: table[segments],
    norm: Callable = lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-12),
    before: Callable = lambda x: x,
) -> Callable:
    def answer(tokens, segments, token_table, segment_table, position_table):
        found = (
            token_table[tokens],
            segment(segment_table, segments),
            position(position_table, tokens.shape[1]).expand(*tokens.shape, -1),
        )
        return norm(sum(map(before, found)))

    return answer


def _positions_of_tokens(tokens, segments, token_table, segment_table, position_table):
    x = token_table[tokens] + segment_table[segments] + position_table[tokens]
    return F.layer_norm(x, x.shape[-1:], eps=1e-12)


def _one_hot_embed(tokens, segments, token_table, segment_table, position_table):
    x = F.one_hot(tokens, len(token_table)).float() @ token_table
    x = x + F.embedding(segments, segment_table) + position_table[torch.arange(tokens.shape[1])]
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-12).sqrt()


def _looked_up_embed(tokens, segments, token_table, segment_table, position_table):
    norm = torch.nn.LayerNorm(token_table.shape[1], eps=1e-12, elementwise_affine=False)
    place = torch.arange(tokens.shape[1]).expand_as(tokens)
    tables = ((token_table, tokens), (segment_table, segments), (position_table, place))
    return norm(torch.stack([F.embedding(ids, table) for table, ids in tables]).sum(0))


EMBED = Exercise(
    id="6.4",
    title="What, where, and in which text",
    kind="implement",
    name="embed",
    minutes=15,
    stars=2,
    cases=_embed_cases,
    stages=(
        Stage("shape", "shape", 1, "(batch, length, d_model).", compare=shape_difference),
        Stage("values", "sum and norm", 3, "print the three vectors of the first token, then their sum."),
    ),
    reference=_one_hot_embed,
    misconceptions=(
        Misconception(
            _embed_with(norm=lambda x: x),
            "The sum is right; the layer norm is missing. (In GPT there would be none at this place.)",
        ),
        Misconception(
            _embed_with(before=lambda x: F.layer_norm(x, x.shape[-1:])),
            "You normalise each of the three vectors, and then their sum. There is one norm, after the sum.",
        ),
        Misconception(
            _embed_with(before=lambda x: F.layer_norm(x, x.shape[-1:]), norm=lambda x: x),
            "You normalise each of the three vectors. There is one norm, after the sum.",
        ),
        Misconception(
            _embed_with(norm=lambda x: F.layer_norm(x, x.shape[-1:])),
            "Your norm has an ε of 10⁻⁵, which is `layer_norm`'s own. Asked for is 10⁻¹²; where the vectors are small it "
            "makes a difference.",
        ),
        Misconception(
            _positions_of_tokens,
            "You look the positions up by the *token*. The first token has row 0, whatever it is, the next one row 1.",
        ),
        Misconception(
            lambda tokens, segments, token_table, *tables: _embed_with()(
                tokens, segments, token_table * token_table.shape[1] ** 0.5, *tables
            ),
            "You multiply the tokens' vectors by √d_model, as the Transformer of 2017 does. BERT adds them as they are.",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: 0 * table[segments]),
            "The vectors of the segments are missing in your sum.",
        ),
        Misconception(
            _embed_with(position=lambda table, n: table[1 : n + 1]),
            "Your positions start at 1. BERT's first token, [CLS], has row 0. (RoBERTa's has row 2: its padding takes row 1.)",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: table[1 - segments]),
            "Your two segments are exchanged.",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: table[0]),
            "All your tokens have segment 0: `segments` is never used.",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: table[segments.roll(1, dims=1)]),
            "Your segments are shifted by one token.",
        ),
        Misconception(
            _embed_with(position=lambda table, n: 0 * table[:n]),
            "Your positions are missing, so that the model would read a bag of words.",
        ),
        Misconception(
            _embed_with(norm=lambda x: F.layer_norm(x, x.shape[-2:])),
            "You normalise over the length *and* the width. Each token has a mean and a variance of its own.",
        ),
        Misconception(
            _embed_with(norm=lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)),
            "Your variance divides by d − 1, as `std` and `var` do unless told otherwise. A layer norm divides by d.",
        ),
    ),
    alternatives=(_embed_with(), _looked_up_embed),
    hints=(
        "Indexing a table with ids of shape (batch, length) gives (batch, length, d_model).",
        "`F.layer_norm` wants to know over which axes it is to normalise: which numbers belong to one token? And which ε does it "
        "take if nobody says?",
    ),
    success="Right. What a token is, where it stands and to which text it belongs: after the sum nobody can take them apart "
    "any more, save the layers that follow.",
)


# ------------------------------------------------------------------------------------------------ 6.5 one for the text


def _pooled_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, batch, length, width in (
        ("shape", 2, 4, 3),
        ("token", 3, 5, 4),
        ("token", 2, 7, 5),
        ("token", 4, 4, 4),
        ("token", 1, 3, 5),
        ("token", 2, 1, 3),
    ):
        x, weight, bias = (
            torch.randn(*shape, generator=generator) for shape in ((batch, length, width), (width, width), (width,))
        )
        yield Case(stage, (x, weight, bias))


def _pooled_with(
    token: Callable = lambda x: x[:, 0],
    squash: Callable = torch.tanh,
    linear: Callable = F.linear,
) -> Callable:
    return lambda x, weight, bias: squash(linear(token(x), weight, bias))


def _module_pooled(x, weight, bias):
    config = library.BERTConfig(2, d_model=x.shape[-1], num_heads=1)
    head = library.SentenceHead(config, 1).eval()
    with torch.no_grad():
        head.pooler.weight.copy_(weight)
        head.pooler.bias.copy_(bias)
        return torch.tanh(head.pooler(x[:, 0]))


POOLED = Exercise(
    id="6.5",
    title="One vector for the text",
    kind="implement",
    name="pooled",
    minutes=10,
    stars=1,
    cases=_pooled_cases,
    stages=(
        Stage("shape", "shape", 1, "one vector for each text of the batch.", compare=shape_difference),
        Stage(
            "token",
            "the right token, the right layer",
            2,
            "which token stands for the text, and what happens to its vector, step by step?",
        ),
    ),
    reference=_module_pooled,
    misconceptions=(
        Misconception(
            _pooled_with(token=lambda x: x[:, -1]),
            "You took the *last* token. GPT does so, whose last token alone has seen the whole text; BERT's [CLS] comes "
            "first. (And the last one may be padding.)",
        ),
        Misconception(
            lambda x, weight, bias: torch.tanh(F.linear(x, weight, bias)),
            "You return a vector for each token. One of them stands for the text.",
        ),
        Misconception(
            lambda x, weight, bias: torch.tanh(F.linear(x[:, :1], weight, bias)),
            "The axis of the positions is still there, with one position left in it.",
        ),
        Misconception(
            lambda x, weight, bias: torch.tanh(F.linear(x[:, :1].squeeze(), weight, bias)),
            "`squeeze()` without an axis takes away every axis of length 1, that of the batch included when there is one "
            "text. Name the axis that you mean.",
        ),
        Misconception(
            lambda x, weight, bias: torch.tanh(F.linear(x, weight, bias)).mean(1),
            "You took the mean over the tokens, at the end. BERT's pooler takes [CLS] alone.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x.sum(1)),
            "You added up all tokens. BERT's pooler takes [CLS] alone.",
        ),
        Misconception(
            _pooled_with(token=lambda x: torch.tanh(x[:, 0]), squash=lambda x: x),
            "Your tanh comes before the linear layer. It is the last thing that happens.",
        ),
        Misconception(
            lambda x, weight, bias: torch.tanh(x[:, 0] @ weight.T) + bias,
            "You add the bias after the tanh. It belongs to the linear layer, inside.",
        ),
        *(
            Misconception(_pooled_with(squash=squash), f"You took {name} in place of the tanh.")
            for name, squash in (
                ("the sigmoid", torch.sigmoid),
                ("the ReLU", torch.relu),
                ("the GELU", F.gelu),
                ("a softmax", lambda x: x.softmax(-1)),
            )
        ),
        Misconception(
            _pooled_with(token=lambda x: x.mean(1)),
            "You took the mean of all tokens. It is often a good idea; BERT's pooler takes [CLS] alone.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x.amax(1)),
            "You took the largest number over all tokens. BERT's pooler takes [CLS] alone.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x[:, 1]),
            "You took the token *after* [CLS]: tokens count from 0.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x[0]),
            "You took the first *text* of the batch instead of the first token of each.",
        ),
        Misconception(_pooled_with(squash=lambda x: x), "The tanh is missing."),
        Misconception(
            _pooled_with(linear=lambda x, weight, bias: x @ weight + bias),
            "You multiplied by the weight as it is. `nn.Linear` stores it as (out, in), so it is x Wᵀ + b.",
        ),
        Misconception(_pooled_with(linear=lambda x, weight, bias: x @ weight.T), "The bias is missing."),
    ),
    alternatives=(_pooled_with(), lambda x, weight, bias: torch.tanh(x @ weight.T + bias)[:, 0]),
    hints=(
        "Which of the tokens is put into every text for this purpose, and where does it stand?",
        "`nn.Linear` keeps its weight as (out, in). Which side of the product does it stand on, and how?",
    ),
    success="Right. [CLS] means nothing by itself; attention fills it with whatever the task needs to know about the text.",
)


# -------------------------------------------------------------------------------------------- 6.6 counting parameters


def _count_cases(seed: int) -> Iterator[Case]:
    yield Case("bert", (101 + seed % 7, 40, 24, 24, 3, False))
    yield Case("bert", (60, 16 + seed % 5, 20, 20, 1, False))
    yield Case("factorised", (201 + seed % 5, 30, 8, 36, 4, False))
    yield Case("factorised", (70, 12 + seed % 3, 28, 16, 2, False))  # wide embeddings
    yield Case("shared", (151, 50, 12, 48, 5 + seed % 3, True))
    yield Case("shared", (90 + seed % 4, 20, 32, 32, 4, True))


def _count_with(
    *,
    token: Callable = lambda v, e, h: v * e,
    place: Callable = lambda n, e, h: n * e,
    segments: Callable = lambda e, h: 2 * e,
    first_norm: Callable = lambda e, h: 2 * e,
    projection: Callable = lambda e, h: e * h + h if e != h else 0,
    attention: Callable = lambda h: 4 * (h * h + h),
    feed_forward: Callable = lambda h: 2 * 4 * h * h + 4 * h + h,
    norms: Callable = lambda h: 2 * 2 * h,
    total: Callable = lambda embedding, block, layers, shared: embedding + (1 if shared else layers) * block,
    head: Callable = lambda v, h: 0,
) -> Callable:
    """The count with one of its parts, or what they add up to, replaced."""

    def answer(vocab, positions, d_embedding, d_model, layers, shared):
        widths = d_embedding, d_model
        embedding = token(vocab, *widths) + place(positions, *widths) + segments(*widths) + first_norm(*widths)
        block = attention(d_model) + feed_forward(d_model) + norms(d_model)
        return total(embedding + projection(*widths), block, layers, shared) + head(vocab, d_model)

    return answer


def _library_count(vocab, positions, d_embedding, d_model, layers, shared):
    config = library.BERTConfig(
        vocab,
        max_length=positions,
        d_model=d_model,
        num_heads=1,
        num_layers=layers,
        d_embedding=None if d_embedding == d_model else d_embedding,
        share="all" if shared else "none",
    )
    return sum(p.numel() for p in library.BERTEncoder(config).parameters())


def _listed_count(vocab, positions, d_embedding, d_model, layers, shared):
    linear = [(d_model, d_model)] * 4 + [(d_model, 4 * d_model), (4 * d_model, d_model)]
    block = sum(n * m + m for n, m in linear) + 4 * d_model
    tables = sum(rows * d_embedding for rows in (vocab, positions, 2, 1, 1))  # the last two: the norm's γ and β
    bridge = 0 if d_embedding == d_model else (d_embedding + 1) * d_model
    return tables + bridge + block * (layers if not shared else 1)


_SIZE_OF_THREE = (
    "Each of your blocks has 4·d_model numbers too few. Three things have just this size: the biases of the attention, "
    "four in all; the bias of the first layer of the feed-forward network; γ and β of both norms. Which have you left out?"
)


def _off_by(seen, expected) -> str | None:
    """A comparison for counts: how many are missing says more than how many there are."""
    wrong, seen = difference(seen, expected), fitted(seen, expected)
    if not wrong or isinstance(seen, bool) or not isinstance(seen, int | float):
        return wrong
    return f"{wrong}, which is {number(abs(seen - expected))} too {'few' if seen < expected else 'many'}"


COUNT = Exercise(
    id="6.6",
    title="Count an encoder",
    kind="implement",
    name="parameters",
    minutes=25,
    stars=2,
    cases=_count_cases,
    stages=(
        Stage("bert", "BERT", 2, "which parts have this many numbers, in one block or in all?", compare=_off_by),
        Stage(
            "factorised",
            "narrow embeddings",
            1,
            "which tables are narrow, and what brings them to d_model?",
            compare=_off_by,
        ),
        Stage("shared", "shared blocks", 1, "how many different blocks are there?", compare=_off_by),
    ),
    reference=_library_count,
    misconceptions=(
        Misconception(
            _count_with(total=lambda embedding, block, layers, shared: embedding + layers * block),
            "You count a shared block once for every layer. It is *one* block, used many times.",
        ),
        Misconception(
            _count_with(total=lambda embedding, block, layers, shared: (1 if shared else layers) * (embedding + block)),
            "You multiply the embeddings by the layers, too. There is one set of them, before the first block.",
        ),
        Misconception(
            _count_with(total=lambda embedding, block, layers, shared: embedding + block),
            "You count one block, whether it is shared or not.",
        ),
        Misconception(
            _count_with(token=lambda v, e, h: v * h + (h * e if e != h else 0)),
            "Your factorisation has the wrong order: the wide table, vocabulary × d_model, is still there. The *narrow* one is "
            "as long as the vocabulary.",
        ),
        Misconception(
            _count_with(
                token=lambda v, e, h: v * h,
                place=lambda n, e, h: n * h,
                segments=lambda e, h: 2 * h,
                first_norm=lambda e, h: 2 * h,
                projection=lambda e, h: 0,
            ),
            "All your embeddings are d_model wide. They are d_embedding wide, and so is the norm after their sum.",
        ),
        Misconception(
            _count_with(place=lambda n, e, h: n * h, segments=lambda e, h: 2 * h, first_norm=lambda e, h: 2 * h),
            "Only your table of tokens is d_embedding wide. Those of the positions and segments are added to it, and so they "
            "are as wide; the norm after the sum, too.",
        ),
        Misconception(
            _count_with(place=lambda n, e, h: n * h, segments=lambda e, h: 2 * h),
            "Your tables of positions and segments are d_model wide. They are added to the token's vector, and so they are "
            "as wide as that.",
        ),
        Misconception(
            _count_with(place=lambda n, e, h: n * h),
            "Your table of positions is d_model wide. It is added to the token's vector, and so it is as wide as that.",
        ),
        Misconception(
            _count_with(first_norm=lambda e, h: 2 * h),
            "Two vectors are d_model wide that should be d_embedding wide: those of the norm, which comes right after the sum "
            "of the embeddings, or the two of the segments.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: e * h + h if e < h else 0),
            "The embeddings may be wider than d_model as well; a layer stands between wherever the widths *differ*.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: 0),
            "You forgot what brings the narrow embeddings to d_model: a linear layer.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: e * h if e != h else 0),
            "The layer from d_embedding to d_model has a bias, too.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: e * h + e if e != h else 0),
            "The bias of the layer from d_embedding to d_model is as wide as what comes out of it.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: e * h + h),
            "You count a layer between embeddings and blocks in every model. It is there only where the widths differ.",
        ),
        Misconception(
            _count_with(attention=lambda h: 3 * (h * h + h)),
            "Your attention has three matrices. Besides W^Q, W^K and W^V there is W^O.",
        ),
        Misconception(
            _count_with(attention=lambda h: h * h + h),
            "Your attention has a single matrix. There are W^Q, W^K, W^V and W^O.",
        ),
        Misconception(
            _count_with(attention=lambda h: 0),
            "The attention is missing in your blocks: four matrices with their biases.",
        ),
        Misconception(
            _count_with(attention=lambda h: 4 * h * h, feed_forward=lambda h: 8 * h * h),
            "You left out the biases of the blocks: each linear layer has one.",
        ),
        Misconception(
            _count_with(
                attention=lambda h: 4 * h * h,
                feed_forward=lambda h: 8 * h * h,
                projection=lambda e, h: e * h if e != h else 0,
            ),
            "You left out all biases: each linear layer has one.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 8 * h * h),
            "You left out the biases of the feed-forward network: one is as wide as its middle, the other as d_model.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 8 * h * h + 4 * h),
            "A bias of the feed-forward network is missing: its second layer has one as well, d_model wide.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 8 * h * h + h),
            _SIZE_OF_THREE,
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 8 * h * h + 2 * h),
            "A bias is as wide as what comes *out* of its layer. In the middle of the feed-forward network that is 4·d_model.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 8 * h * h + 8 * h),
            "A bias is as wide as what comes *out* of its layer. At the end of the feed-forward network that is d_model.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 4 * h * h + 4 * h),
            "Your feed-forward network goes up to 4·d_model, and does not come back.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 2 * (h * h + h)),
            "Your feed-forward network is d_model wide inside. It is four times as wide.",
        ),
        Misconception(_count_with(feed_forward=lambda h: 0), "The feed-forward network is missing in your blocks."),
        Misconception(
            _count_with(norms=lambda h: 0),
            _SIZE_OF_THREE,
        ),
        Misconception(
            _count_with(norms=lambda h: 2 * h),
            "Each of your blocks has 2·d_model numbers too few. A block has two norms, and each has γ *and* β.",
        ),
        Misconception(
            _count_with(norms=lambda h: 2 * h, first_norm=lambda e, h: e),
            "Your norms have one vector each. Every norm has γ *and* β.",
        ),
        Misconception(
            _count_with(norms=lambda h: 0, first_norm=lambda e, h: 0),
            "All norms are missing: one after the embeddings and two in each block, with γ and β.",
        ),
        *(
            Misconception(
                _count_with(
                    attention=lambda h: 4 * h * h,
                    feed_forward=lambda h: 8 * h * h,
                    projection=lambda e, h: e * h if e != h else 0,
                    norms=lambda h: 0,
                    first_norm=lambda e, h: 0,
                    segments=segments,
                ),
                f"You counted the large matrices only. {more}",
            )
            for segments, more in (
                (lambda e, h: 2 * e, "Each linear layer has a bias, too, and each norm γ and β."),
                (
                    lambda e, h: 0,
                    "Each linear layer has a bias, too, and each norm γ and β; and there are two segments.",
                ),
            )
        ),
        Misconception(
            _count_with(norms=lambda h: 3 * 2 * h), "Your blocks have a norm too many: there are two in each."
        ),
        Misconception(_count_with(place=lambda n, e, h: 0), "The table of positions is missing."),
        Misconception(
            _count_with(segments=lambda e, h: 0),
            "You have 2·d_embedding numbers too few. Two things have just this size: the table of the two segments, and γ and "
            "β of the norm after the embeddings. Which have you left out?",
        ),
        Misconception(
            _count_with(segments=lambda e, h: 0, first_norm=lambda e, h: 0),
            "You have 4·d_embedding numbers too few: the table of the two segments, and γ and β of the norm after the "
            "embeddings.",
        ),
        Misconception(
            _count_with(segments=lambda e, h: e),
            "You have d_embedding numbers too few: there are two segments, and the norm after the embeddings has γ *and* β.",
        ),
        Misconception(
            _count_with(head=lambda v, h: h * h + h),
            "You counted the pooler, which is a part of a head. Here the encoder alone is counted.",
        ),
        Misconception(
            _count_with(head=lambda v, h: v * h),
            "You counted a matrix from d_model to the vocabulary. That belongs to a head; the encoder alone is counted here.",
        ),
        Misconception(
            _count_with(head=lambda v, h: v), "You counted the bias of a head. Here the encoder alone is counted."
        ),
    ),
    alternatives=(_count_with(), _listed_count),
    hints=(
        "Count a part at a time, and compare it with `sum(p.numel() for p in part.parameters())` of that part of the library's "
        "`BERT`.",
        "A linear layer from a to b has a·b weights and b biases; a norm of width d has 2·d numbers.",
    ),
    success="Right. Now you can check any table of sizes, and find the ones that do not add up.",
)


# ------------------------------------------------------------------------------------- 6.7 repair: copies do not share


def _shared_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, layers in (("one", 1), ("many", 3), ("many", 4 + seed % 2), ("many", 2)):
        yield Case(
            stage, (torch.randn(3, 4, generator=generator), 0.6 * torch.randn(4, 4, generator=generator), layers)
        )


def _shared_with(gather: Callable = sum) -> Callable:
    """The gradients of all the places where the matrix is used, put together by `gather`."""

    def answer(x, weight, layers):
        copies = [weight.clone().requires_grad_() for _ in range(layers)]
        for copy in copies:
            x = torch.tanh(x @ copy)
        x.sum().backward()
        return gather([copy.grad for copy in copies])

    return answer


def _reference_shared(x, weight, layers):
    shared = weight.clone().requires_grad_()
    for _ in range(layers):
        x = torch.tanh(x @ shared)
    return torch.autograd.grad(x.sum(), shared)[0]


def _functional_shared(x, weight, layers):
    def total(shared):
        y = x
        for _ in range(layers):
            y = torch.tanh(y @ shared)
        return y.sum()

    return torch.func.grad(total)(weight)


REPAIR_SHARING = Exercise(
    id="6.7",
    title="Repair: shared, or only alike",
    kind="repair",
    name="shared_gradient",
    minutes=15,
    stars=2,
    cases=_shared_cases,
    given=_shared_with(lambda gradients: gradients[0]),
    stages=(
        Stage(
            "one", "still right for one layer", 1, "with a single layer nothing is shared: do not change what works."
        ),
        Stage("many", "right for many layers", 2, "does a change of `blocks[0]` change `blocks[1]`?"),
    ),
    reference=_reference_shared,
    misconceptions=(
        Misconception(
            _shared_with(lambda gradients: gradients[-1]),
            "That is the gradient of the *last* layer alone. The matrix is used in all of them.",
        ),
        Misconception(
            _shared_with(lambda gradients: sum(gradients) / len(gradients)),
            "That is the *mean* over the layers. A parameter that is used several times collects the sum.",
        ),
        Misconception(
            lambda x, weight, layers: layers * _shared_with(lambda gradients: gradients[0])(x, weight, layers),
            "You multiply the gradient of one layer by their number. The layers see different inputs, so their gradients "
            "differ.",
        ),
        Misconception(
            lambda x, weight, layers: _reference_shared(x, weight, 1),
            "Your answer goes through one layer only.",
        ),
    ),
    alternatives=(_shared_with(), _functional_shared),
    hints=(
        "`clone` makes a new tensor each time. After the first step of an optimizer the copies would differ.",
        "How can a list hold one and the same tensor several times?",
    ),
    success="Right: by reference, not by value. Copies begin alike and part at the first step; ALBERT's blocks are one "
    "block.",
)


# ------------------------------------------------------------------------------------------- 6.8 the most frequent pair

Words = dict[tuple[str, ...], int]


def _words(*counted: tuple[str, int]) -> Words:
    return {tuple(word.split("+")): count for word, count in counted}


def _pair_choice_cases(seed: int) -> Iterator[Case]:
    n, last = 2 + seed % 4, "pqrstuvwxyz"[seed % 11]
    yield Case("counts", (_words(("l+o+w", n), ("l+o+t", n + 9), ("n+e+w", 3), ("l+o", 1), ("w+e+w+e", n + 3)),))
    yield Case(
        "counts", (_words(("es+t", 2), ("n+e+w", n + 5), ("s+e+w+e+r", 1), ("x+y", 1), ("x+y+z", 1), ("w+x+y", 1)),)
    )
    yield Case("counts", (_words(("n+o", n + 2), (f"i+n+{last}+i+n", n + 1)),))  # twice in one word
    yield Case("counts", (_words(("th+e", n + 1), ("n+o", n + 2), ("t+he", n), ("m+he", 1)),))  # joined, alike
    yield Case("counts", (_words((f"b+{last}", n)),))
    yield Case("inside", (_words(("a", 40), ("b", 40), ("c+d", 1), ("c+d+e", n), ("d+c", n)),))
    # The smallest of equals is neither the first nor the last nor the largest, and neither the shortest nor the longest.
    yield Case("ties", (_words(("s+z", 2 * n), ("s+b", 2 * n), ("t+u", 2 * n), ("s+y", 2 * n), ("u+a", n)),))
    yield Case("ties", (_words(("bb+aaa", 6), (f"a+{last}{last}", 6), ("bc+a", 6), ("b+z", 6), ("c+b", 2)),))
    # (a, p) < (ab, c), though abc < ap
    yield Case("ties", (_words(("b+c", n), (f"a+{last}", n), ("c+d", n), ("ab+c", n), ("b+a", n)),))


def _pairs_of(words: Words) -> Iterator[tuple[tuple[str, str], int]]:
    for word, count in words.items():
        for pair in pairwise(word):
            yield pair, count


def _choice_with(key: Callable = lambda item: (-item[1], item[0]), weigh: Callable = lambda count: count) -> Callable:
    def answer(words):
        counts: Counter = Counter()
        for pair, count in _pairs_of(words):
            counts[pair] += weigh(count)
        return min(counts.items(), key=key)[0]

    return answer


def _once_in_a_word(words):
    counts: Counter = Counter()
    for word, count in words.items():
        for pair in {*pairwise(word)}:
            counts[pair] += count
    return min(counts.items(), key=lambda item: (-item[1], item[0]))[0]


def _joined_keys(words):
    """Counts the joined texts, which are alike for different pairs, and remembers the pair that was met last."""
    counts, pairs = Counter(), {}
    for pair, count in _pairs_of(words):
        counts["".join(pair)] += count
        pairs["".join(pair)] = pair
    return pairs[min(counts.items(), key=lambda item: (-item[1], pairs[item[0]]))[0]]


def _largest_choice(words):
    counts: Counter = Counter()
    for pair, count in _pairs_of(words):
        counts[pair] += count
    return max(counts, key=lambda pair: (counts[pair], pair))


def _last_met(words):
    counts: Counter = Counter()
    for pair, count in _pairs_of(words):
        counts[pair] += count
    most = max(counts.values())
    return [pair for pair, count in counts.items() if count == most][-1]


def _across(words):
    running = [symbol for word, count in words.items() for _ in range(count) for symbol in word]
    counts = Counter(pairwise(running))
    return min(counts.items(), key=lambda item: (-item[1], item[0]))[0]


def _library_choice(words):
    symbols = sorted({symbol for word in words for symbol in word})
    spelled = [[symbols.index(symbol) for symbol in word] for word in words]
    a, b = next(merges(spelled, [*words.values()], lambda pair: len(symbols)))
    return symbols[a], symbols[b]


def _sorted_choice(words):
    counts: Words = {}
    for word, count in words.items():
        for i in range(len(word) - 1):
            counts[word[i : i + 2]] = counts.get(word[i : i + 2], 0) + count
    largest = max(counts.values())
    return sorted(pair for pair, count in counts.items() if count == largest)[0]


BEST_PAIR = Exercise(
    id="6.8",
    title="The most frequent pair",
    kind="implement",
    name="most_frequent_pair",
    minutes=15,
    stars=2,
    cases=_pair_choice_cases,
    stages=(
        Stage("counts", "the counts", 2, "print all pairs with their counts."),
        Stage(
            "inside", "inside words only", 1, "can a pair have its first half in one word and its second in the next?"
        ),
        Stage("ties", "equally frequent pairs", 1, "which of them is smaller, as Python compares tuples?"),
    ),
    reference=_library_choice,
    misconceptions=(
        Misconception(
            _choice_with(weigh=lambda count: 1),
            "You count each word once. A word that stands in the text ten times brings its pairs ten times.",
        ),
        Misconception(
            _across,
            "Your pairs reach from one word into the next. Merges stay inside words; otherwise 'of the' would become a token.",
        ),
        Misconception(
            _choice_with(key=lambda item: -item[1]),
            "Of equally frequent pairs you take the one that was met first. The order of the words is chance; take the "
            "smaller pair.",
        ),
        Misconception(
            _largest_choice,
            "Of equally frequent pairs you take the larger one, the last in the alphabet.",
        ),
        Misconception(
            _choice_with(key=lambda item: (-item[1], "".join(item[0]))),
            "Of equally frequent pairs you take the one whose joined text is smallest. Compare the pairs themselves: the first "
            "symbols decide, and only if they are equal the second.",
        ),
        Misconception(
            _last_met,
            "Of equally frequent pairs you take the one that was met last. The order of the words is chance; take the "
            "smaller pair.",
        ),
        Misconception(
            _once_in_a_word,
            "A pair that stands twice in a word counts twice there. You count it once.",
        ),
        Misconception(
            _joined_keys,
            "You count joined texts. Different pairs may look alike when joined: (th, e) and (t, he).",
        ),
        Misconception(
            lambda words: "".join(_choice_with()(words)),
            "You return one string. Asked for is the pair: a tuple of two symbols.",
        ),
        Misconception(
            lambda words: (
                _choice_with()(words),
                sum(n for pair, n in _pairs_of(words) if pair == _choice_with()(words)),
            ),
            "You return the pair together with its count. Asked for is the pair alone.",
        ),
        Misconception(
            lambda words: _choice_with()(words)[::-1],
            "The two symbols of your pair are exchanged.",
        ),
        Misconception(
            _choice_with(key=lambda item: (-len(item[0][0] + item[0][1]), -item[1], item[0])),
            "You look at the length of the pairs first. Only their counts matter.",
        ),
        Misconception(
            _choice_with(key=lambda item: (item[1], item[0])),
            "You took the *rarest* pair.",
        ),
    ),
    alternatives=(_choice_with(), _sorted_choice),
    hints=(
        "`zip(word, word[1:])` are the pairs of a word. Add the word's count to each, in a `Counter`.",
        "`min` and `max` take a `key`. A key that is a tuple decides by its first part, and by its second among equals.",
    ),
    success="Right. Ties are common in small texts, and two programs that break them differently disagree on everything "
    "after.",
)


# ------------------------------------------------------------------------------------------------------- 6.9 merging


def _merge_cases(seed: int) -> Iterator[Case]:
    letters = random.Random(seed).sample("bcdfgjklmnopqruvw", 8)
    a, b, other, *rest = letters
    yield Case("once", ([*rest[:2], a, b, other], (a, b)))
    yield Case("once", ([a, b], (a, b)))
    yield Case("often", ([a, b, other, a, b, a, b], (a, b)))
    yield Case("often", ([other, *rest[:2], b, a], (a, b)))
    yield Case("often", ([a], (a, b)))
    yield Case("often", ([], (a, b)))
    yield Case("overlap", ([a] * (5 + seed % 2 * 2) + [other, a, a], (a, a)))
    yield Case("whole", (["th", "e", "t", "h", "e", "xth", "e"], ("th", "e")))
    yield Case("whole", ([a + b, other, a, b + other, a, b, other], (a + b, other)))  # joined, all three are alike


def _merge_by_text(word, pair):
    return " ".join(word).replace(" ".join(pair), "".join(pair)).split(" ")


def _merge_with(step: Callable) -> Callable:
    """Walk through the word; `step` says how far to go after a merge, and when to stop merging."""

    def answer(word, pair):
        merged, i = [], 0
        while i < len(word):
            if tuple(word[i : i + 2]) == pair:
                merged.append("".join(pair))
                i += step(merged, pair)
            else:
                merged.append(word[i])
                i += 1
        return merged

    return answer


def _merge_by_joined_pairs(word, pair):
    merged, i = [], 0
    while i < len(word):
        two = i + 1 < len(word) and "".join(word[i : i + 2]) == "".join(pair)
        merged.append("".join(word[i : i + 1 + two]))
        i += 1 + two
    return merged


def _merge_from_right(word, pair):
    backwards = _merge_with(lambda merged, pair: 2)(word[::-1], pair[::-1])
    return [symbol if symbol != "".join(pair[::-1]) else "".join(pair) for symbol in backwards[::-1]]


def _merge_first(word, pair):
    for i in range(len(word) - 1):
        if (word[i], word[i + 1]) == pair:
            return [*word[:i], "".join(pair), *word[i + 2 :]]
    return list(word)


def _merge_in_place(word, pair):
    word[:] = _merge_with(lambda merged, pair: 2)(word, pair)
    return word


def _library_merge(word, pair):
    names = sorted({*word, *pair})
    chain = Chain([[names.index(symbol) for symbol in word]])
    for place in range(len(word)):
        if chain.pair(place) == (names.index(pair[0]), names.index(pair[1])):
            chain.merge(place, len(names))
    return [[*names, "".join(pair)][symbol] for symbol in chain.tokens if symbol is not None]


def _recursive_merge(word, pair):
    if len(word) < 2:
        return list(word)
    if (word[0], word[1]) == pair:
        return [word[0] + word[1], *_recursive_merge(word[2:], pair)]
    return [word[0], *_recursive_merge(word[1:], pair)]


def _either_order(word, pair):
    merged, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and {word[i], word[i + 1]} == {*pair}:
            merged.append("".join(word[i : i + 2]))
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


MERGE = Exercise(
    id="6.9",
    title="Merge the pair",
    kind="implement",
    name="merge",
    minutes=15,
    stars=2,
    cases=_merge_cases,
    stages=(
        Stage("once", "a pair that occurs once", 1, "the two symbols become one, and the others stay."),
        Stage("often", "a pair that occurs often, or not at all", 1, "first, then second; every time."),
        Stage("overlap", "occurrences that overlap", 1, "from the left: what is merged is used up."),
        Stage("whole", "whole symbols", 1, "'xth' is a symbol of its own, though it ends in 'th'."),
    ),
    reference=_library_merge,
    misconceptions=(
        Misconception(_merge_first, "You merge the first occurrence only. All of them have to be merged."),
        Misconception(
            _merge_with(lambda merged, pair: 1),
            "You go on by one symbol after a merge, so the second half of the pair appears once more.",
        ),
        Misconception(
            _merge_from_right, "You merge from the right. In 'aaa' the first two belong together, and one a is left."
        ),
        Misconception(
            _merge_by_text,
            "You replace in a joined text, where a symbol that *ends* like the first half looks just like it. Compare whole "
            "symbols.",
        ),
        Misconception(
            _merge_by_joined_pairs,
            "You compare joined texts: (t, he) and (th, e) look alike when joined, and are different pairs.",
        ),
        Misconception(
            lambda word, pair: "".join(_library_merge(word, pair)),
            "You return one string. Asked for is a list of symbols.",
        ),
        Misconception(
            lambda word, pair: [two if two != "".join(pair) else pair for two in _library_merge(word, pair)],
            "You put the pair into the list as a tuple. Merged, it is *one* symbol: a string.",
        ),
        Misconception(
            _either_order, "You merge the two symbols in either order. (w, e) and (e, w) are different pairs."
        ),
        Misconception(_merge_in_place, "Your function changes the list that it was given: it should return a new one."),
    ),
    alternatives=(_merge_with(lambda merged, pair: 2), _recursive_merge),
    hints=(
        "Walk with an index: if this symbol and the next are the pair, append the merged symbol and go on by *two*.",
        "A slice of two symbols may be compared with the pair as a whole; at the end of the word it holds one symbol only.",
    ),
    success="Right. With 6.8 in a loop, that is the whole of training a byte-pair encoding.",
)


# ---------------------------------------------------------------------------------------------------- 6.10 what to choose

QUARTER = Exercise(
    id="6.10",
    title="A quarter of the parameters",
    kind="choose",
    name="quarter",
    minutes=5,
    stars=1,
    options={
        "A": "Memory for the weights; a sentence takes about as long as before.",
        "B": "Memory and time in the same proportion: a smaller model needs less of both.",
        "C": "Memory for the weights; but it takes longer, since twelve layers wait for one and the same set of weights.",
        "D": "Memory for the weights, and as much of it for the activations that training keeps.",
        "E": "Nothing: the optimizer keeps its numbers for each layer all the same.",
    },
    stages=(Stage("choice", "what sharing saves", 2, "count the matrix products of one sentence."),),
    reference="A",
    misconceptions=(
        Misconception("B", "B: the memory is right. But each of the twelve layers still does its matrix products."),
        Misconception(
            "C", "C: layers wait for the layer before them anyway; reading the same weights again costs nothing extra."
        ),
        Misconception(
            "D",
            "D: the weights, yes. But going back through twelve layers needs what each of them computed, shared weights or "
            "not.",
        ),
        Misconception("E", "E: an optimizer keeps its numbers for each *parameter*, and a shared one is one."),
    ),
    hints=("How many matrix products does a sentence need in twelve layers, if all have the same weights?",),
    success="A. Parameters are what must be stored; operations are what must be done. ALBERT saves the first.",
)


# ------------------------------------------------------------------------------------------- 6.11 next-sentence pairs

Documents = list[list[list[int]]]


def _sentences_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def documents(*counts: int) -> Documents:
        """So many sentences in each document; no sentence is like another one, and lengths differ."""
        ids = (10 + torch.randperm(900, generator=generator)).tolist()
        lengths = (2 + torch.randint(3, (sum(counts),), generator=generator)).tolist()
        return [[[ids.pop() for _ in range(lengths.pop())] for _ in range(count)] for count in counts]

    def draws(*first: float) -> Tensor:
        """The first column as given; the others on a grid, so that no rounding makes another number of a draw."""
        rest = (torch.randint(1024, (len(first), 2), generator=generator) + 0.5) / 1024
        return torch.cat((torch.tensor(first)[:, None], rest), dim=1)

    some = documents(3, 1, 4)
    yield Case("labels", (some, draws(0.7, 0.2, 0.5, 0.1, 0.9), 2, 3))
    yield Case("following", (documents(4, 2), draws(0.6, 0.9, 0.75, 0.8), 2, 3))
    yield Case("following", (documents(2, 1), draws(0.75), 2, 3))
    many = draws(*[0.1, 0.4, 0.3, 0.2, 0.45, 0.25, 0.05])
    # The second and the third draw differ, and reach every document and its first and last sentence.
    many[:, 1] = torch.tensor([0.1, 0.9, 0.4, 0.95, 0.15, 0.8, 0.3])
    many[:, 2] = torch.tensor([0.9, 0.6, 0.05, 0.3, 0.7, 0.45, 0.95])
    yield Case("elsewhere", (documents(3, 1, 4, 3), many, 2, 3))
    yield Case("elsewhere", (documents(1, 3), draws(0.3, 0.6), 2, 3))
    yield Case("elsewhere", (some, draws(0.4, 0.5, 0.1, 0.7, 0.2), *((8, 9) if seed % 2 else (7, 4))))
    # A sentence that comes twice in its document, and a document that comes twice: places are told by their numbers.
    one, other, last = documents(3)[0]
    yield Case("following", ([[one, other, [*one], last], [other]], draws(0.6, 0.7, 0.8), 2, 3))
    twice = documents(2, 2)
    twice.insert(1, [[*sentence] for sentence in twice[0]])
    yield Case("elsewhere", (twice, torch.tensor([[0.3, 0.2, 0.7], [0.1, 0.2, 0.2], [0.4, 0.8, 0.7]]), 2, 3))
    # Which sentence is drawn makes no difference to the segments here: those that may be are of one length.
    first = 11 + seed % 9
    alike = [[[i, i + 1, i + 2] for i in range(begin, begin + 40, 10)] for begin in (first, first + 100)]
    yield Case("segments", (alike, draws(0.2, 0.8, 0.4, 0.9, 0.1, 0.7), 2, 3))
    yield Case("segments", ([[[11], [12]], [[13, 14, 15, 16], [17, 18]]], torch.tensor([[0.6, 0.5, 0.2]] * 2), 2, 3))


def _places(documents: Documents) -> list[tuple[int, int]]:
    """Document and number of each sentence that has a next one."""
    return [(d, i) for d, document in enumerate(documents) for i in range(len(document) - 1)]


def _flat_places(documents: Documents) -> list[tuple[int, int]]:
    return [(d, i) for d, document in enumerate(documents) for i in range(len(document))][:-1]


def _next_of(documents: Documents, d: int, i: int) -> list[int]:
    running = [sentence for document in documents for sentence in document]
    return running[sum(map(len, documents[:d])) + i + 1]


def _of_others(documents: Documents, d: int, i: int, second: float, third: float) -> list[int]:
    others = documents[:d] + documents[d + 1 :]
    document = others[int(second * len(others))]
    return document[int(third * len(document))]


def _of_all(documents: Documents, d: int, i: int, second: float, third: float) -> list[int]:
    document = documents[int(second * len(documents))]
    return document[int(third * len(document))]


def _of_all_but_the_last(documents: Documents, d: int, i: int, second: float, third: float) -> list[int]:
    document = documents[int(second * (len(documents) - 1))]
    return document[int(third * len(document))]


def _sentences_with(
    *,
    places: Callable = _places,
    elsewhere: Callable = lambda first: first < 0.5,
    other: Callable = _of_others,
    texts: Callable = lambda a, b, label: (a, b),
    tokens: Callable = lambda a, b, cls, sep: [cls, *a, sep, *b, sep],
    segments: Callable = lambda m, n: [0] * (m + 2) + [1] * (n + 1),
    fill: int = 0,
    labels: Callable = lambda label: label,
) -> Callable:
    """The pairs written out, with one of their parts replaced."""

    def answer(documents, draws, cls, sep):
        rows, parts, answers = [], [], []
        for (d, i), (first, second, third) in zip(places(documents), draws.tolist(), strict=False):
            label = int(elsewhere(first))
            b = other(documents, d, i, second, third) if label else _next_of(documents, d, i)
            a, b = texts(documents[d][i], b, label)
            rows.append(tokens(a, b, cls, sep))
            parts.append(segments(len(a), len(b)))
            answers.append(labels(label))
        longest = max(map(len, rows))
        return (
            torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
            torch.tensor([part + [fill] * (longest - len(part)) for part in parts]),
            torch.tensor(answers),
        )

    return answer


def _sentences_by_tensors(documents, draws, cls, sep):
    """Rows that are filled in where they stand, segments counted from the [SEP] before."""
    pairs, labels = [], (draws[:, 0] < 0.5).long()
    for d, document in enumerate(documents):
        for a, b in pairwise(document):
            _, second, third = draws[len(pairs)]
            if labels[len(pairs)]:
                number = int((second * (len(documents) - 1)).floor())
                source = documents[number + (number >= d)]
                b = source[int((third * len(source)).floor())]
            pairs.append((a, b))
    tokens = torch.zeros(len(pairs), max(len(a) + len(b) for a, b in pairs) + 3, dtype=torch.long)
    segments = torch.zeros_like(tokens)
    for row, (a, b) in enumerate(pairs):
        end = len(a) + len(b) + 3
        tokens[row, :end] = torch.tensor([cls, *a, sep, *b, sep])
        segments[row, len(a) + 2 : end] = 1
    return tokens, segments, labels


def _swapped(documents, draws, cls, sep):
    """ALBERT's exercise: the two sentences exchanged."""
    return _sentences_with(
        other=lambda documents, d, i, second, third: _next_of(documents, d, i),
        texts=lambda a, b, label: (b, a) if label else (a, b),
    )(documents, draws, cls, sep)


NEXT_SENTENCES = Exercise(
    id="6.11",
    title="Does the one follow the other?",
    kind="implement",
    name="next_sentences",
    minutes=30,
    stars=3,
    cases=_sentences_cases,
    stages=(
        Stage("labels", "the labels", 1, "how many pairs are there, and which of the two kinds is 1?", lambda v: v[2]),
        Stage(
            "following",
            "pairs that follow each other",
            1,
            "print the sentences of each pair with the number of their document.",
            lambda v: v[0],
        ),
        Stage(
            "elsewhere",
            "pairs from two documents",
            2,
            "for one pair: which documents may be drawn from, and which one is it?",
            lambda v: v[0],
        ),
        Stage(
            "segments",
            "the segments",
            1,
            "where does the second text begin, and what is behind its end?",
            lambda v: v[1],
        ),
    ),
    reference=_sentences_with(),
    misconceptions=(
        Misconception(
            _sentences_with(labels=lambda label: 1 - label),
            "Your labels are the other way round: 1 says that the second text comes from elsewhere.",
        ),
        Misconception(
            _sentences_with(elsewhere=lambda first: first >= 0.5),
            "You take the next sentence where the first draw is below 0.5, and one from elsewhere in the other cases. It is "
            "meant the other way round.",
        ),
        Misconception(
            _sentences_with(elsewhere=lambda first: first <= 0.5),
            "A draw of exactly 0.5 is not *below* 0.5.",
        ),
        Misconception(
            _sentences_with(places=_flat_places),
            "The last sentence of a document is a first text in your pairs, followed by the beginning of the next document. "
            "Nothing follows it.",
        ),
        Misconception(
            _sentences_with(places=lambda documents: [(d, i) for d, i in _places(documents) if i % 2 == 0]),
            "Each sentence stands in one of your pairs only. A sentence in the middle is the second text of one pair and the "
            "first of another.",
        ),
        Misconception(
            _sentences_with(other=_of_all),
            "Your second texts may come from the *same* document, and may even be the next sentence, with the label 1. Which "
            "documents may be drawn from?",
        ),
        Misconception(
            _sentences_with(other=_of_all_but_the_last),
            "Your second draw counts one document less, but always leaves out the last of them. The one to be left out is that "
            "of the first text.",
        ),
        Misconception(
            _sentences_with(other=lambda documents, d, i, second, third: _of_others(documents, d, i, third, second)),
            "You have exchanged the second draw and the third. First a document is drawn, then a sentence of it.",
        ),
        Misconception(
            _sentences_with(other=lambda documents, d, i, second, third: _of_others(documents, d, i, second, 0.0)),
            "From the other document you always take the first sentence. The third draw says which one.",
        ),
        Misconception(
            _sentences_with(
                other=lambda documents, d, i, second, third: [
                    sentence for e, document in enumerate(documents) if e != d for sentence in document
                ][int(third * sum(len(document) for e, document in enumerate(documents) if e != d))]
            ),
            "You draw from the sentences of all other documents at once, so long documents come more often. The second draw "
            "chooses the document, the third a sentence of that one.",
        ),
        Misconception(
            _swapped,
            "Where the label is 1 you have exchanged the two sentences. That is ALBERT's exercise; BERT takes the second text "
            "from another document.",
        ),
        Misconception(
            _sentences_with(
                tokens=lambda a, b, cls, sep: [cls, *a, sep, *b], segments=lambda m, n: [0] * (m + 2) + [1] * n
            ),
            "The [SEP] after the second text is missing.",
        ),
        Misconception(
            _sentences_with(tokens=lambda a, b, cls, sep: [2, *a, 3, *b, 3]),
            "Your ids of [CLS] and [SEP] look typed in. Take the ones that your function is given.",
        ),
        Misconception(
            _sentences_with(segments=lambda m, n: [0] * (m + 1) + [1] * (n + 2)),
            "Your segments change one token too early: to which text does the [SEP] between the two belong?",
        ),
        Misconception(
            _sentences_with(segments=lambda m, n: [0] * (m + 2) + [1] * n + [0]),
            "The last [SEP] has segment 0 in your rows. Which text does it close?",
        ),
        Misconception(
            _sentences_with(fill=1),
            "Your padding has segment 1, as if it belonged to the second text. The statement says what stands there.",
        ),
    ),
    alternatives=(_sentences_with(), _sentences_by_tensors),
    hints=(
        "Make a list of all pairs of neighbours first, and check its length against the draws.",
        "Of D documents D − 1 are left when one's own is put aside. What are their numbers, from 0 on, for a sentence of the "
        "document in the middle?",
        "Texts first, tokens after: with two lists of ids in hand the rest is exercise 6.3, once for each pair, and padding.",
    ),
    success="Right. Half of it is bookkeeping, and that half decides what is learned: pairs that cross a border, or negatives "
    "from one's own document, are wrong labels that no loss will ever report.",
)


# ------------------------------------------------------------------------------------------------- 6.12 dynamic masks


def _epochs_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def texts(epochs: int, count: int, length: int) -> list[Tensor]:
        tokens = torch.randint(5, 50, (count, length), generator=generator)
        tokens[:, 0], tokens[:, -1] = 2, 3
        if count > 1:
            tokens[1, length // 2 :] = 0  # padding
        lots = 0.4 * torch.rand(epochs, count, length, generator=generator)
        lots[:, 0, 0], lots[0, 0, 1] = 0.1, 0.15  # a special one, and one that is on the line
        return [tokens, tokens < 5, lots]

    for stage in ("inputs", "targets"):
        yield Case(stage, (*texts(5, 3, 11), 5, 4))
        yield Case(stage, (*texts(1, 1, 8), 1, 4))
    yield Case("copies", (*texts(7, 2, 12), 3, 49 + seed % 3))
    yield Case("copies", (*texts(6, 2, 9), 2, 4))
    yield Case("copies", (*texts(4, 2, 10), 1, 4))
    for epochs, copies in ((4, 4), (6, 2), (5, 1)):
        yield Case("asked", (*texts(epochs, 3, 14), copies, 4))


def _epochs_with(
    *,
    copy: Callable = lambda epoch, copies, epochs: epoch % copies,
    select: Callable = lambda special, lots: ~special & (lots < 0.15),
    hide: Callable = lambda tokens, selected, before, mask: tokens.masked_fill(selected, mask),
    target: Callable = lambda tokens, selected, hidden: tokens.masked_fill(~selected, IGNORE),
    asked: Callable = lambda selected, special, lots: (selected.any(0).sum() / (~special).sum()).item(),
) -> Callable:
    """The epochs one by one, with one of their parts replaced; `before` is what the last epoch read."""

    def answer(tokens, special, lots, copies, mask):
        inputs, targets, chosen, before = [], [], [], tokens
        for epoch in range(len(lots)):
            selected = select(special, lots[copy(epoch, copies, len(lots))])
            before = hide(tokens, selected, before, mask)
            inputs.append(before)
            targets.append(target(tokens, selected, before))
            chosen.append(selected)
        return torch.stack(inputs), torch.stack(targets), asked(torch.stack(chosen), special, lots)

    return answer


def _indexed_epochs(tokens, special, lots, copies, mask):
    selected = (lots[torch.arange(len(lots)) % copies] < 0.15) & special.logical_not()
    every = tokens.expand_as(selected)
    seen = selected.sum(0)[~special] > 0
    return torch.where(selected, mask, every), torch.where(selected, every, IGNORE), seen.float().mean()


def _loop_epochs(tokens, special, lots, copies, mask):
    drawn = []  # the copies, made once
    for copy in lots[:copies].tolist():
        inputs, targets = tokens.tolist(), [[IGNORE] * tokens.shape[1] for _ in tokens]
        for row, text in enumerate(tokens.tolist()):
            for place, token in enumerate(text):
                if copy[row][place] < 0.15 and not special[row, place]:
                    inputs[row][place], targets[row][place] = mask, token
        drawn.append((inputs, targets))
    epochs = [drawn[epoch % len(drawn)] for epoch in range(len(lots))]
    places = {
        (row, place)
        for _, targets in drawn
        for row, text in enumerate(targets)
        for place, token in enumerate(text)
        if token != IGNORE
    }
    share = len(places) / int((~special).sum())
    return torch.tensor([inputs for inputs, _ in epochs]), torch.tensor([targets for _, targets in epochs]), share


EPOCHS_OF_MASKS = Exercise(
    id="6.12",
    title="A new mask every time",
    kind="implement",
    name="masks_of_epochs",
    minutes=20,
    stars=2,
    cases=_epochs_cases,
    stages=(
        Stage("inputs", "dynamic masks", 1, "compare what the first two epochs read, token by token.", lambda v: v[0]),
        Stage(
            "targets",
            "what is to be predicted",
            1,
            "print a text, its inputs and its targets below each other.",
            lambda v: v[1],
        ),
        Stage(
            "copies",
            "static masks",
            1,
            "write the numbers of the copies that seven epochs read, if there are three.",
            lambda v: v[0],
        ),
        Stage(
            "asked", "what was ever asked for", 1, "a token counts once, however often it was selected.", lambda v: v[2]
        ),
    ),
    reference=_epochs_with(),
    misconceptions=(
        Misconception(
            _epochs_with(copy=lambda epoch, copies, epochs: 0),
            "Every epoch of yours hides the same tokens: you draw one mask and keep it. How many are there to be?",
        ),
        Misconception(
            _epochs_with(copy=lambda epoch, copies, epochs: epoch),
            "You use new lots in every epoch, whatever `copies` is. After the last copy the first one is read again.",
        ),
        Misconception(
            _epochs_with(copy=lambda epoch, copies, epochs: min(epoch, copies - 1)),
            "After the last copy your epochs stay with it. Static masks come again in turn.",
        ),
        Misconception(
            _epochs_with(copy=lambda epoch, copies, epochs: epoch * copies // epochs),
            "Your epochs read the first copy several times, then the second. The copies take turns: 0, 1, 2, 0, 1, 2, …",
        ),
        Misconception(
            _epochs_with(hide=lambda tokens, selected, before, mask: before.masked_fill(selected, mask)),
            "Your [MASK]s pile up: each epoch hides more of what the last one has left over. With every epoch the *text* "
            "should be whole again.",
        ),
        Misconception(
            _epochs_with(
                hide=lambda tokens, selected, before, mask: before.masked_fill(selected, mask),
                target=lambda tokens, selected, hidden: hidden.masked_fill(~selected, IGNORE),
            ),
            "Your [MASK]s pile up, and your targets are read from the hidden text: they ask for [MASK] itself.",
        ),
        Misconception(
            _epochs_with(target=lambda tokens, selected, hidden: hidden.masked_fill(~selected, IGNORE)),
            "Your targets are taken after hiding, so they all ask for [MASK]. What stood there before?",
        ),
        Misconception(
            _epochs_with(select=lambda special, lots: lots < 0.15),
            "You hide special tokens and padding, too: `special` says where they are.",
        ),
        Misconception(
            _epochs_with(select=lambda special, lots: ~special & (lots <= 0.15)),
            "A lot of exactly 0.15 is not *below* 0.15.",
        ),
        Misconception(
            _epochs_with(select=lambda special, lots: ~special & (lots >= 0.15)),
            "You hide the tokens whose lot is *not* below 0.15: nearly all of them.",
        ),
        Misconception(
            _epochs_with(target=lambda tokens, selected, hidden: tokens),
            "Your targets are all tokens, so the model is asked about those that it can see. Where nothing is hidden, the target "
            "is −100.",
        ),
        Misconception(
            _epochs_with(target=lambda tokens, selected, hidden: tokens.masked_fill(~selected, 0)),
            "Your targets are 0 where nothing is hidden; but 0 is a token, and it would be learned. −100 is the number that a "
            "loss ignores.",
        ),
        Misconception(
            _epochs_with(
                asked=lambda selected, special, lots: (selected.sum() / ((~special).sum() * len(selected))).item()
            ),
            "Your share is that of *one* epoch, on average. Asked for are the tokens that were hidden in any of them.",
        ),
        Misconception(
            _epochs_with(asked=lambda selected, special, lots: (selected.sum() / (~special).sum()).item()),
            "You count a token again in each epoch that hides it, and the share may grow beyond 1. A token was asked for, or it "
            "was not.",
        ),
        Misconception(
            _epochs_with(asked=lambda selected, special, lots: selected.any(0).float().mean().item()),
            "You divide by all tokens. Special tokens and padding can never be asked for, and do not count.",
        ),
        Misconception(
            _epochs_with(asked=lambda selected, special, lots: int(selected.any(0).sum())),
            "That is how many tokens were asked for. What share of those is it that can be hidden?",
        ),
        Misconception(
            _epochs_with(asked=lambda selected, special, lots: (selected.all(0).sum() / (~special).sum()).item()),
            "You count the tokens that were hidden in *every* epoch. One is enough.",
        ),
        Misconception(
            _epochs_with(
                asked=lambda selected, special, lots: (
                    ((lots < 0.15) & ~special).any(0).sum() / (~special).sum()
                ).item()
            ),
            "Your share counts all lots, also those that no epoch reads when the copies come again.",
        ),
    ),
    alternatives=(_indexed_epochs, _loop_epochs),
    hints=(
        "One epoch first: what is hidden, what the model reads, and what it is to predict. The other epochs begin from the same text.",
        "Which lots does epoch 3 read, if there are three copies? And if there are as many copies as epochs?",
        "Keep what was selected in each epoch, (epochs, texts, length): along which axis are you to ask whether there was any?",
    ),
    success="Right. With one copy the share stays at 15 %, however long the training lasts; with a new mask in each of forty "
    "epochs nearly every token has had its turn.",
)


EXERCISES = (
    HIDE,
    SHARES,
    PAIR,
    EMBED,
    POOLED,
    COUNT,
    REPAIR_SHARING,
    BEST_PAIR,
    MERGE,
    QUARTER,
    NEXT_SENTENCES,
    EPOCHS_OF_MASKS,
)

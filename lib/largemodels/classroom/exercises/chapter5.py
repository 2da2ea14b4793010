"""Exercises of chapter 5, BART and T5."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import nn

from ...blocks import RMSNorm
from ...language import say
from ..comparing import difference, number, shape_difference
from ..exercise import Case, Exercise, Misconception, Stage
from ..reading import fitted


def _words(n: int, seed: int) -> list[str]:
    """Different words, other ones for each seed."""
    order = torch.randperm(60, generator=torch.Generator().manual_seed(seed)).tolist()
    return [f"w{i}" for i in order[:n]]


# ------------------------------------------------------------------------------------------------- 5.1 sizes of a batch

SIZES = Exercise(
    id="5.1",
    title="Five hundred and twelve tokens",
    kind="predict",
    name="sizes",
    minutes=10,
    stars=1,
    stages=(
        Stage("hidden", "how many are hidden", 1, "15 % of 512, to the nearest whole number.", lambda v: v[0]),
        Stage(
            "spans",
            "how many spans",
            1,
            "three hidden tokens in each, on average.",
            lambda v: v[1],
            follows=lambda v: round(v[0] / 3),
        ),
        Stage(
            "source",
            "the source",
            1,
            "what stays, and what stands in the place of a span.",
            lambda v: v[2],
            follows=lambda v: 512 - v[0] + v[1],
        ),
        Stage(
            "target",
            "the target",
            1,
            "what is hidden, what announces it, and what ends it.",
            lambda v: v[3],
            follows=lambda v: v[0] + v[1] + 1,
        ),
    ),
    reference=(77, 26, 461, 104),
    misconceptions=(
        Misconception((77, 26, 461, 103), "Your target has no final sentinel: one more than there are spans ends it."),
        Misconception((77, 26, 435, 104), "Your source has lost its sentinels: each span leaves one token behind."),
        Misconception((77, 26, 512, 104), "You put a sentinel in the place of each *token*. A whole span gets one."),
        Misconception((76, 25, 461, 102), "You rounded 15 % of 512 down. It is nearer to the number above."),
        Misconception((77, 25, 460, 103), "You rounded the number of spans down. It is nearer to the number above."),
        Misconception(
            (76.8, 25.6, 460.8, 103.4), "Tokens come in whole numbers: round each answer to the nearest one."
        ),
        Misconception((77, 77, 512, 155), "You made a span of each hidden token. They have three on average."),
        Misconception((77, 3, 438, 81), "Three is the mean length of a span. Asked for is how many spans there are."),
        Misconception((77, 26, 461, 77), "Your target is the hidden tokens alone. Who says which of them go where?"),
        Misconception((77, 26, 461, 512), "BART is asked for the whole text. T5's target holds what is hidden only."),
        Misconception(
            (77, 26, 462, 104), "Your source has one sentinel too many: only the target ends with a further one."
        ),
        Misconception(
            (77, 26, 538, 104), "You added the sentinels to the whole text. What is hidden has left the source."
        ),
        Misconception((154, 51, 409, 206), "You hid 30 %, which is BART's rate. Here it is 15 %."),
    ),
    hints=(
        "Round before you go on: a span cannot hide a part of a token.",
        "Write the source and the target of a small text beside each other, and count the sentinels on both sides.",
    ),
    success="Right. The decoder writes 104 tokens where BART's writes 512: that is where T5's pre-training is cheap.",
)


# ---------------------------------------------------------------------------------------------------- 5.2 fill the gaps


def _infilling_cases(seed: int) -> Iterator[Case]:
    n = 12 + seed % 3
    repeated = _words(4, seed + 3) * 3
    yield Case("spans", (_words(n, seed), [1, 6], [3, 2 + seed % 2]))
    yield Case("spans", (repeated, [1, 5 + seed % 2], [2, 3]))
    yield Case("empty", (_words(n, seed + 1), [2, 5, 9], [2, 0, 1]))
    yield Case("edges", (_words(n, seed + 2), [0, 4, n], [2, 3, 0]))
    yield Case("edges", (_words(5, seed + 4), [0], [5]))  # the whole text
    yield Case("edges", (_words(1, seed + 5), [0, 1], [0, 0]))
    yield Case("edges", (_words(4, seed + 6), [], []))  # nothing is hidden


def _infill_with(
    *,
    marks: Callable = lambda length: ["[MASK]"],
    used: Callable = lambda length: True,
    end_of: Callable = lambda begin, length: begin + length,
    target: Callable = lambda lengths, hidden: lengths,
) -> Callable:
    """Infilling with one of its steps replaced: the marks, which spans are used, where they end, and the target."""

    def answer(tokens, begins, lengths):
        source, counts, hidden, end = [], [], [], 0
        for begin, length in zip(begins, lengths, strict=True):
            if used(length):
                source += [*tokens[end:begin], *marks(length)]
                counts.append(length)
                hidden += tokens[begin : begin + length]
                end = end_of(begin, length)
        return source + tokens[end:], target(counts, hidden)

    return answer


def _infilling_in_a_text_that_shrinks(tokens, begins, lengths):
    source = list(tokens)
    for begin, length in zip(begins, lengths, strict=True):
        source[begin : begin + length] = ["[MASK]"]
    return source, list(lengths)


def _infilling_without_an_end(tokens, begins, lengths):
    """Looks for a span before each token, and so for none after the last one."""
    source, counts = _token_by_token_infilling(tokens, begins, lengths)
    return (source[:-1] if len(tokens) in begins else source), counts


def _backwards_infilling(tokens, begins, lengths):
    source = list(tokens)
    for begin, length in reversed(list(zip(begins, lengths, strict=True))):
        source[begin : begin + length] = ["[MASK]"]
    return source, list(lengths)


def _token_by_token_infilling(tokens, begins, lengths):
    spans, hidden, source = dict(zip(begins, lengths, strict=True)), 0, []
    for place in range(len(tokens) + 1):
        if place in spans:
            source.append("[MASK]")
            hidden = spans[place]
        if hidden:
            hidden -= 1
        elif place < len(tokens):
            source.append(tokens[place])
    return source, [spans[begin] for begin in begins]


INFILL = Exercise(
    id="5.2",
    title="One mask for a span",
    kind="implement",
    name="infill",
    minutes=15,
    stars=2,
    cases=_infilling_cases,
    stages=(
        Stage("spans", "spans of several tokens", 1, "the source has one [MASK] for each span."),
        Stage("empty", "a span of length 0", 2, "an empty span hides nothing, and its mask stands before `begin`."),
        Stage("edges", "spans at both ends", 1, "a span may begin at 0; an empty one may stand after the last token."),
    ),
    reference=_infill_with(),
    misconceptions=(
        Misconception(
            _infill_with(marks=lambda length: ["[MASK]"] * length),
            "You put in a mask for each hidden *token*, and that gives the length away. A span gets one mask, however long.",
        ),
        Misconception(
            _infill_with(used=lambda length: length > 0),
            "Spans of length 0 have disappeared. They put in a mask where nothing is missing, and their target is 0.",
        ),
        Misconception(
            _infill_with(end_of=lambda begin, length: begin + max(1, length)),
            "A span of length 0 swallows a token in your answer. Compare how many tokens are left with how many should be.",
        ),
        Misconception(
            _infill_with(end_of=lambda begin, length: begin + length + 1),
            "After each span one token too many is gone: where does the text go on after `begin + length` tokens?",
        ),
        Misconception(
            _infill_with(marks=lambda length: []),
            "Nothing in your source shows where a span was: that is token deletion.",
        ),
        Misconception(
            _infill_with(target=lambda lengths, hidden: hidden),
            "Your target is the hidden tokens. Asked for is how many tokens each mask stands for.",
        ),
        Misconception(
            _infill_with(target=lambda lengths, hidden: [length for length in lengths if length]),
            "Your target leaves out the zeros: each mask of the source needs its number.",
        ),
        Misconception(
            _infill_with(end_of=lambda begin, length: begin + 1),
            "Only the first word of each span is gone. The mask stands in the place of the whole span.",
        ),
        Misconception(
            _infilling_in_a_text_that_shrinks,
            "Your first span is right, and those after it stand in the wrong places: once a span has become one mask, the "
            "text is shorter, and `begin` counts in the text as it was.",
        ),
        Misconception(
            _infilling_without_an_end,
            "The mask after the last word is missing. An empty span may begin where the text ends.",
        ),
        Misconception(
            lambda *arguments: _infill_with()(*arguments)[::-1],
            "Your two lists are in the other order: first what the model reads, then the numbers.",
        ),
    ),
    alternatives=(_backwards_infilling, _token_by_token_infilling),
    hints=(
        "Go through the spans and keep in mind where the last one ended: between there and `begin` everything stays.",
        "A slice may be empty. Then neither an empty span nor one at an end of the text needs a case of its own.",
    ),
    success="Right. From one mask a model cannot read off how much is missing: it has to decide that, too.",
)


# ------------------------------------------------------------------------------------------------- 5.3 the spans' lengths


def _length_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def more(first: list[int]) -> list[int]:
        return first + torch.poisson(torch.full((6,), 3.0), generator=generator).long().tolist()

    b, c = torch.randint(2, 5, (2,), generator=generator).tolist()
    a = int(torch.randint(5, 9, (), generator=generator))  # the longest, so that no row of lengths is in order
    yield Case("exact", (more([a, b, c, 4]), a + b + c))
    yield Case("cut", (more([b, a, c + 2]), a + b + c))
    yield Case("cut", (more([a + b]), a))  # the first draw is too long
    yield Case("zeros", (more([0, c, 0, a, b + 3]), a + b + c))
    yield Case("zeros", (more([a, b, 0, 0, c]), a + b))  # zeros when nothing is left
    yield Case("nothing", (more([a, b]), 0))
    yield Case("nothing", (more([0, 0, a]), 0))


def _lengths_with(
    *,
    draw: Callable = lambda length: [length],
    last: Callable = lambda length, left: [min(length, left)],
    done: Callable = lambda left: left <= 0,
) -> Callable:
    """Lengths drawn one after the other, with what becomes of a draw, of the last one, or the end replaced."""

    def answer(draws, budget):
        lengths, left = [], budget
        for drawn in draws:
            for length in draw(drawn):
                if done(left):
                    return lengths
                lengths += last(length, left) if length > left else [length]
                left -= length
        return lengths

    return answer


def _while_they_fit(draws, budget):
    """As long as the next one fits; a 0 always does."""
    lengths = []
    for draw in draws:
        if sum(lengths) + draw > budget:
            break
        lengths.append(draw)
    rest = budget - sum(lengths)
    return [*lengths, rest] if rest else lengths


def _recursive_lengths(draws, budget):
    if budget == 0:
        return []
    first = min(draws[0], budget)
    return [first, *_recursive_lengths(draws[1:], budget - first)]


def _cumulative_lengths(draws, budget):
    lengths, total = torch.tensor(draws), torch.tensor(draws).cumsum(0)
    before = total - lengths
    return torch.minimum(lengths, budget - before)[before < budget].tolist()


SPAN_LENGTHS = Exercise(
    id="5.3",
    title="Until the budget is used up",
    kind="implement",
    name="span_lengths",
    minutes=15,
    stars=2,
    cases=_length_cases,
    stages=(
        Stage("exact", "draws that fit", 1, "take draws in their order until their sum is the budget."),
        Stage("cut", "a last span that is too long", 1, "the sum has to be the budget exactly."),
        Stage("zeros", "draws of 0", 1, "a span of length 0 is a span."),
        Stage("nothing", "nothing to hide", 1, "with a budget of 0 there are no spans."),
    ),
    reference=_lengths_with(),
    misconceptions=(
        Misconception(
            _lengths_with(draw=lambda length: [length] if length else []),
            "Your lengths have no zeros. A Poisson distribution with mean 3 gives a 0 one time in twenty, and BART keeps it.",
        ),
        Misconception(
            _lengths_with(draw=lambda length: [max(1, length)]),
            "A draw of 0 has become a span of 1. It hides nothing: leave it 0.",
        ),
        Misconception(
            _lengths_with(last=lambda length, left: [length]),
            "Your last span goes beyond the budget: more tokens are hidden than the rate allows.",
        ),
        Misconception(
            _lengths_with(last=lambda length, left: []),
            "You leave out the last span because it is too long, so that too few tokens are hidden. Cut it instead.",
        ),
        Misconception(
            lambda draws, budget: list(draws),
            "You take all draws. Stop when the budget is used up.",
        ),
        Misconception(
            _lengths_with(done=lambda left: left < 0),
            "You draw one span too many: stop as soon as nothing is left of the budget.",
        ),
        Misconception(
            _while_they_fit,
            "A 0 always fits, and so your list goes on with zeros when nothing is left of the budget. Stop there.",
        ),
        Misconception(
            lambda draws, budget: _lengths_with()(draws, budget) or [0],
            "With a budget of 0 you return a span of length 0. There should be none at all.",
        ),
        Misconception(
            lambda draws, budget: sorted(_lengths_with()(draws, budget)),
            "Your lengths are sorted. They stay in the order in which they were drawn.",
        ),
        Misconception(
            lambda draws, budget: len(_lengths_with()(draws, budget)),
            "You return how many spans there are. Asked for is the list of their lengths.",
        ),
    ),
    alternatives=(_recursive_lengths, _cumulative_lengths),
    hints=(
        "Keep what is *left* of the budget, and take the smaller of it and the draw.",
        "Look at what is left before you take a draw, not after.",
    ),
    success="Right: exactly the rate, and now and then a mask with nothing behind it.",
)


# ----------------------------------------------------------------------------------------------------- 5.4 T5's spans

_SENTINELS = ["<X>", "<Y>", "<Z>", "<W>", "<V>", "<U>"]


def _span_cases(seed: int) -> Iterator[Case]:
    def hidden(*places: int, n: int) -> list[bool]:
        return [place in places for place in range(n)]

    n = 11 + seed % 3
    texts = (
        (_words(n, seed), hidden(2, 3, 7, n=n)),
        (_words(n, seed + 1), hidden(0, 4, 5, 6, n - 1, n=n)),
        (_words(4, seed + 2) * 2, hidden(1, 2, 6, n=8)),  # words that come twice
        (_words(3, seed + 3), hidden(n=3)),  # nothing is hidden
        (_words(3, seed + 4), hidden(0, 1, 2, n=3)),
        (_words(1, seed + 5), hidden(0, n=1)),
    )
    for stage in ("source", "target"):
        for text, places in texts:
            yield Case(stage, (text, places, _SENTINELS))


def _spans_with(
    *,
    mark: Callable = lambda sentinels, span: sentinels[span],
    per_token: bool = False,
    final: Callable = lambda sentinels, spans: [sentinels[spans]],
    announce: bool = True,
    in_source: bool = True,
    swapped: bool = False,
) -> Callable:
    """Span corruption with one of its rules replaced."""

    def answer(tokens, hidden, sentinels):
        source, target, span = [], [], -1
        for place, token in enumerate(tokens):
            if not hidden[place]:
                source.append(token)
                continue
            if per_token or place == 0 or not hidden[place - 1]:
                span += 1
                source += [mark(sentinels, span)] if in_source else []
                target += [mark(sentinels, span)] if announce else []
            target.append(token)
        if swapped:
            return target, source
        return source, target + final(sentinels, span + 1)

    return answer


def _whole_text_target(tokens, hidden, sentinels):
    return _spans_with()(tokens, hidden, sentinels)[0], list(tokens)


def _grouped_spans(tokens, hidden, sentinels):
    from itertools import groupby

    source, target, marks = [], [], iter(sentinels)
    for is_hidden, group in groupby(zip(hidden, tokens, strict=True), key=lambda pair: pair[0]):
        words = [word for _, word in group]
        if is_hidden:
            mark = next(marks)
            source.append(mark)
            target += [mark, *words]
        else:
            source += words
    return source, [*target, next(marks)]


def _spans_by_their_edges(tokens, hidden, sentinels):
    edges = [i for i in range(len(tokens) + 1) if [False, *hidden, False][i] != [False, *hidden, False][i + 1]]
    begins, ends = edges[0::2], edges[1::2]
    source, target = list(tokens), []
    for span, (begin, end) in reversed(list(enumerate(zip(begins, ends, strict=True)))):
        target = [sentinels[span], *tokens[begin:end], *target]
        source[begin:end] = [sentinels[span]]
    return source, [*target, sentinels[len(begins)]]


SPANS = Exercise(
    id="5.4",
    title="Span corruption",
    kind="implement",
    name="corrupt_spans",
    minutes=20,
    stars=2,
    cases=_span_cases,
    stages=(
        Stage("source", "the source", 2, "one sentinel for each run of hidden tokens.", lambda v: v[0]),
        Stage("target", "the target", 2, "each sentinel with its tokens, and one more at the end.", lambda v: v[1]),
    ),
    reference=_spans_with(),
    misconceptions=(
        Misconception(
            _spans_with(final=lambda sentinels, spans: []),
            "Your target has no final sentinel. One more than there are spans tells the model that it is done.",
        ),
        Misconception(
            _spans_with(mark=lambda sentinels, span: sentinels[0], final=lambda sentinels, spans: [sentinels[0]]),
            "All your spans have the same sentinel. The first gets the first, the second the second, else nobody knows "
            "which tokens belong where.",
        ),
        Misconception(
            _spans_with(per_token=True),
            "Each hidden token has a sentinel of its own in your answer. Neighbours that are hidden form *one* span.",
        ),
        Misconception(
            _spans_with(
                mark=lambda sentinels, span: sentinels[-1 - span],
                final=lambda sentinels, spans: [sentinels[-1 - spans]],
            ),
            "Your sentinels run backwards: the first span gets `sentinels[0]`. (In T5's vocabulary their *ids* fall, but "
            "the list that you are given is in order.)",
        ),
        Misconception(
            _spans_with(announce=False),
            "Your target is the hidden tokens without the sentinels that announce them.",
        ),
        Misconception(
            _spans_with(in_source=False),
            "Nothing in your source shows where a span was: its sentinel stands there as well as in the target.",
        ),
        Misconception(
            _spans_with(final=lambda sentinels, spans: [sentinels[spans - 1]]),
            "Your target ends with the sentinel of its last span once more. The final one is the *next*.",
        ),
        Misconception(
            _whole_text_target,
            "Your target is the whole text, as BART's. T5's holds only what is hidden.",
        ),
        Misconception(_spans_with(swapped=True), "Source and target are exchanged, and the final sentinel is missing."),
        Misconception(
            lambda *arguments: _spans_with()(*arguments)[::-1],
            "Source and target are exchanged: first what the encoder reads, then what the decoder writes.",
        ),
        Misconception(
            lambda tokens, hidden, sentinels: _spans_with()(tokens, [not one for one in hidden], sentinels),
            "You hide what should stay: where `hidden` is True the token vanishes from the source.",
        ),
    ),
    alternatives=(_grouped_spans, _spans_by_their_edges),
    hints=(
        "A span begins at a hidden token whose predecessor is not hidden, or that has none.",
        "Count the spans as you go: the count says which sentinel is next.",
    ),
    success="Right. Source and target share out the text between them: put together, nothing is lost.",
)


# ------------------------------------------------------------------------------------------------------- 5.5 RMSNorm


def _norm_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    x, weight = torch.randn(2, 3, 7, generator=generator), torch.rand(7, generator=generator) + 0.5
    short = torch.randn(1, 1, 4, generator=generator)
    eps = 0.05 + 0.1 * torch.rand((), generator=generator).item()
    silent = 0.1 * x
    silent[1, 0] = 0  # without ε this position would be 0/0
    yield Case("scale", (2 * x - 1, torch.ones(7), 1e-6))
    yield Case("weight", (x + 1, weight, 1e-6))
    yield Case("weight", (short, weight[:4], 1e-6))
    yield Case("eps", (silent, weight, eps))


def _norm_with(
    *,
    center: Callable = lambda x: x,
    size: Callable = lambda x, eps: (x.square().mean(-1, keepdim=True) + eps).sqrt(),
    gain: Callable = lambda x, weight: x * weight,
) -> Callable:
    """RMSNorm with one of its steps replaced."""

    def answer(x, weight, eps):
        x = center(x)
        return gain(x / size(x, eps), weight)

    return answer


def _reference_norm(x, weight, eps):
    norm = RMSNorm(x.shape[-1], eps)
    with torch.no_grad():
        norm.weight.copy_(weight)
        return norm(x)


RMS = Exercise(
    id="5.5",
    title="A norm without a mean",
    kind="implement",
    name="rms_norm",
    minutes=10,
    stars=1,
    cases=_norm_cases,
    stages=(
        Stage("scale", "the scale", 1, "afterwards the mean *square* of each position is 1; its mean may be anything."),
        Stage("weight", "γ", 1, "γ multiplies each of the d numbers by its own factor."),
        Stage("eps", "ε", 1, "ε matters where x is small: where does it stand in the formula?"),
    ),
    reference=_reference_norm,
    misconceptions=(
        Misconception(
            _norm_with(center=lambda x: x - x.mean(-1, keepdim=True)),
            "You subtract the mean: that is LayerNorm without β. RMSNorm leaves the mean where it is.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: x.square().mean(-1, keepdim=True).sqrt() + eps),
            "Your ε stands outside the root. It is added to the mean square, inside.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()),
            "You divide by the standard deviation, which is taken about the mean. RMS is the root of the mean of x².",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().sum(-1, keepdim=True) + eps).sqrt()),
            "You divide by the length of the vector, √(sum of x²). The *mean* of x² makes each number about 1 in size.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: x.square().mean(-1, keepdim=True) + eps),
            "You divide by the mean square itself: the root is missing.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().mean(1, keepdim=True) + eps).sqrt()),
            "You take the mean over the positions of the text. Each position is normalised by itself, over its d numbers.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().mean() + eps).sqrt()),
            "You take one mean for all numbers: one text would change another. Each position has its own.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().mean((1, 2), keepdim=True) + eps).sqrt()),
            "You take one mean for each text. Each position is normalised by itself, over its d numbers.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().mean(0, keepdim=True) + eps).sqrt()),
            "You take the mean over the texts of the batch: one text would change another. Each position has its own.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: x.abs().mean(-1, keepdim=True) + eps),
            "You divide by the mean of |x|. RMS is the root of the mean *square*.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: x.square().mean(-1, keepdim=True).sqrt()),
            "ε plays no part in your answer. A position whose numbers are all 0 would be 0/0.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()),
            "Your ε looks typed in. Take the one that your function is given.",
        ),
        Misconception(
            _norm_with(size=lambda x, eps: (x.square().mean(-1, keepdim=True) + eps**2).sqrt()),
            "You square ε. It is added to the mean square as it is.",
        ),
        Misconception(_norm_with(gain=lambda x, weight: x), "γ plays no part in your answer."),
        Misconception(
            _norm_with(gain=lambda x, weight: x + weight),
            "You add γ, as if it were β. It multiplies, and there is no β.",
        ),
    ),
    alternatives=(
        lambda x, weight, eps: weight * x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps),
        lambda x, weight, eps: x * weight / (x.norm(dim=-1, keepdim=True) ** 2 / x.shape[-1] + eps) ** 0.5,
    ),
    hints=(
        "One number for each position divides its d numbers. Of what is it a mean, and over which axis?",
        "ε stands beside the number that it is to keep away from 0.",
    ),
    success="Right. Half of LayerNorm, and by their losses in section 5.9 you can hardly tell the two apart.",
)


# ------------------------------------------------------------------------------------------- 5.6 repair T5's attention


def _score_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(stage: str, batch: int, heads: int, queries: int, keys: int, d: int, scale: float = 1.0) -> Case:
        query, key, value = (torch.randn(batch, heads, n, d, generator=generator) for n in (queries, keys, keys))
        return Case(stage, (query, key, value, scale * torch.randn(heads, queries, keys, generator=generator)))

    yield case("no bias", 2, 3, 4, 6, 5, scale=0.0)
    yield case("bias", 2, 3, 4, 6, 5)
    yield case("bias", 1, 2, 5, 5, 3)
    yield case("bias", 2, 1, 1, 4, 2)  # one query, as when a text is written


def _t5_attention_with(
    *,
    scores: Callable = lambda product, bias, d: product + bias,
    weights: Callable = lambda scores, bias: scores.softmax(-1),
) -> Callable:
    """T5's attention with its scores or its weights replaced."""

    def answer(query, key, value, bias):
        found = scores(query @ key.transpose(-2, -1), bias, query.shape[-1])
        return weights(found, bias) @ value

    return answer


T5_ATTENTION = Exercise(
    id="5.6",
    title="Repair: T5's attention",
    kind="repair",
    name="t5_attention",
    minutes=10,
    stars=1,
    cases=_score_cases,
    stages=(
        Stage("no bias", "the scores", 1, "what does T5 divide its scores by?"),
        Stage("bias", "the positions", 2, "the bias is added to the scores, and each query's weights sum to 1."),
    ),
    reference=_t5_attention_with(),
    given=_t5_attention_with(
        scores=lambda product, bias, d: product / math.sqrt(d), weights=lambda scores, bias: scores.softmax(-1) + bias
    ),
    misconceptions=(
        Misconception(
            _t5_attention_with(scores=lambda product, bias, d: product / math.sqrt(d) + bias),
            "Your positions are right. But T5's scores are not divided by √d_head.",
        ),
        Misconception(
            _t5_attention_with(scores=lambda product, bias, d: (product + bias) / math.sqrt(d)),
            "You divide by √d, the bias included. T5 divides neither.",
        ),
        Misconception(
            _t5_attention_with(
                scores=lambda product, bias, d: product, weights=lambda scores, bias: scores.softmax(-1) + bias
            ),
            "Your bias is added after the softmax, so that the weights of a query no longer sum to 1.",
        ),
        Misconception(
            _t5_attention_with(scores=lambda product, bias, d: product * math.sqrt(d) + bias),
            "You multiply by √d now. Nothing stands there.",
        ),
        Misconception(
            _t5_attention_with(scores=lambda product, bias, d: product),
            "Your bias is gone: T5 would not know any order.",
        ),
        Misconception(
            _t5_attention_with(scores=lambda product, bias, d: product * bias),
            "You multiply scores and bias. A bias is added.",
        ),
        Misconception(
            _t5_attention_with(weights=lambda scores, bias: scores.softmax(-2)),
            "Your softmax runs over the queries. Each *query* shares out its weight among the keys.",
        ),
    ),
    alternatives=(
        lambda query, key, value, bias: torch.nn.functional.scaled_dot_product_attention(
            query, key, value, bias.expand(*query.shape[:2], *bias.shape[1:]), scale=1.0
        ),
        lambda query, key, value, bias: torch.einsum("bhqd,bhkd->bhqk", query, key).add(bias).softmax(dim=3) @ value,
    ),
    hints=(
        "Two things are wrong: a factor, and the place of the bias.",
        "Where would −∞ in the bias have to be added in order to hide a key?",
    ),
    success="Right. Two bugs, and neither would have raised an error: the model would only have been worse.",
)


# --------------------------------------------------------------------------------------------- 5.7 the decoder's input


def _shift_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, 100, (3, 6), generator=generator)
    yield Case("T5", (labels, "t5"))
    yield Case("BART", (labels, "bart"))
    for family, end in (("t5", 1), ("bart", 2)):
        padded = labels.clone()
        for row, length in enumerate((4, 6, 2)):
            padded[row, length - 1] = end  # a target ends with its </s>, and then comes the padding
            padded[row, length:] = -100
        yield Case("padding", (padded, family))
        yield Case("padding", (padded[2:, :4], family))
        yield Case("padding", (padded[:, :1], family))


def _shift_with(
    *,
    start: Callable = lambda pad, bos, eos, family: pad if family == "t5" else eos,
    shift: Callable = lambda labels, start: torch.cat((torch.full_like(labels[:, :1], start), labels[:, :-1]), dim=1),
    fill: Callable = lambda inputs, pad, family: inputs.masked_fill(inputs == -100, pad),
) -> Callable:
    """The decoder's input with its first token, its shift or its padding replaced."""

    def answer(labels, family):
        pad, bos, eos = (0, None, 1) if family == "t5" else (1, 0, 2)
        return fill(shift(labels, start(pad, bos, eos, family)), pad, family)

    return answer


def _rolled_shift(labels, family):
    pad, start = (0, 0) if family == "t5" else (1, 2)
    inputs = labels.roll(1, dims=1)
    inputs[:, 0] = start
    return torch.where(inputs < 0, pad, inputs)


def _shift_row_by_row(labels, family):
    pad, start = {"t5": (0, 0), "bart": (1, 2)}[family]
    rows = [[start, *(token if token >= 0 else pad for token in row[:-1])] for row in labels.tolist()]
    return torch.tensor(rows)


DECODER_INPUT = Exercise(
    id="5.7",
    title="What the decoder reads",
    kind="implement",
    name="decoder_input",
    minutes=15,
    stars=2,
    cases=_shift_cases,
    stages=(
        Stage("T5", "T5", 1, "which token stands first, and where does each label go?"),
        Stage("BART", "BART", 1, "every official BART begins its target with one and the same token: which?"),
        Stage("padding", "padding", 1, "−100 is no token: an embedding has no row for it."),
    ),
    reference=_shift_with(),
    misconceptions=(
        Misconception(
            _shift_with(start=lambda pad, bos, eos, family: pad if family == "t5" else bos),
            "You begin BART's target with <s>, as its name suggests. The official models begin it with </s>, as section 5.1 "
            "says; begun otherwise they write worse.",
        ),
        Misconception(
            lambda labels, family: _shift_with()(labels, "t5"),
            "You treat both families alike. In BART's vocabulary 0 is <s>, and its padding and its first token are others.",
        ),
        Misconception(
            lambda labels, family: _shift_with()(labels, "bart"),
            "You treat both families alike. In T5's vocabulary 1 is </s>, and its padding and its first token are others.",
        ),
        Misconception(
            _shift_with(start=lambda pad, bos, eos, family: eos),
            "You begin T5's target with </s>. It begins with <pad>: T5 has no token of its own for that.",
        ),
        Misconception(
            _shift_with(start=lambda pad, bos, eos, family: pad),
            "You begin BART's target with <pad>, as T5's. BART's begins with </s>.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, start: labels.clone()),
            "Nothing is shifted: the decoder would read the very token that it is to predict.",
        ),
        Misconception(
            _shift_with(
                shift=lambda labels, start: torch.cat((torch.full_like(labels[:, :1], start), labels[:, 1:]), dim=1)
            ),
            "You replace the first token. It has to move one place to the right, and all others with it.",
        ),
        Misconception(
            _shift_with(
                shift=lambda labels, start: torch.cat((labels[:, 1:], torch.full_like(labels[:, :1], start)), 1)
            ),
            "You shifted to the left: the decoder would read the token after the one that it is to predict.",
        ),
        Misconception(
            _shift_with(
                shift=lambda labels, start: torch.cat(
                    (torch.full_like(labels[:, :1], start), labels.roll(-1, dims=1)[:, 1:]), dim=1
                )
            ),
            "You shifted to the left: the decoder would read the token after the one that it is to predict.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, start: labels.roll(1, dims=1)),
            "The last label has come round to the first place. There belongs the family's own token.",
        ),
        Misconception(
            _shift_with(fill=lambda inputs, pad, family: inputs.masked_fill(inputs == -100, 0)),
            "BART's padding is not 0: in its vocabulary that is <s>.",
        ),
        Misconception(
            _shift_with(
                fill=lambda inputs, pad, family: inputs.masked_fill(inputs == -100, {"t5": 1, "bart": 2}[family])
            ),
            "You put </s> in the place of −100. Asked for is the family's padding.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, start: torch.cat((torch.full_like(labels[:, :1], start), labels), dim=1)),
            "Your input is one token longer than the labels: the last label is predicted, and read by nobody.",
        ),
        Misconception(
            _shift_with(fill=lambda inputs, pad, family: inputs),
            "The −100 are still there. They say *do not count this* to the loss; the decoder has to read a real token.",
        ),
    ),
    alternatives=(_rolled_shift, _shift_row_by_row),
    hints=(
        "Which token does the decoder read when it predicts the first label? And which label does nothing read?",
        "`torch.cat` puts columns beside each other; `masked_fill` replaces what a condition finds.",
    ),
    success="Right. A wrong first token raises no error; it is the commonest reason why a fine model writes badly.",
)


# ------------------------------------------------------------------------------------------------------- 5.8 which one

_WHICH = {
    "A": "Token masking: a mask may stand for one token or for several, and the model has to find out for how many.",
    "B": "Token deletion: the source shows at which places tokens are missing, and the model has to find out how many.",
    "C": "Document rotation: the model has to find out how many tokens have been cut off at the beginning of the text, and "
    "lost.",
    "D": "Text infilling: a mask may stand for several tokens, for one or for none.",
    "E": "Sentence permutation: the sentences stand in their order, and the words within each of them are shuffled.",
}

WHICH = Exercise(
    id="5.8",
    title="How many?",
    kind="choose",
    name="which_corruption",
    minutes=5,
    stars=1,
    options=_WHICH,
    stages=(
        Stage("choice", "the corruption", 2, "read the examples of section 5.2 once more: what does each source show?"),
    ),
    reference="D",
    misconceptions=(
        Misconception("A", "A: each mask stands for exactly one token. Which one is the question, and never how many."),
        Misconception(
            "B", "B: where tokens are missing is just what the source does not show. Nothing is left in their places."
        ),
        Misconception(
            "C", "C: rotation loses nothing. What stood before the new beginning has moved to the end of the text."
        ),
        Misconception("E", "E: it is the other way round. The sentences change places, and each stays as it was."),
    ),
    hints=(
        "Count the tokens of each source of section 5.2 and compare with the text: where could something be lost?",
        "Which source leaves a trace of what is gone, and which of the traces are all alike?",
    ),
    success="D. It is also the corruption that the authors kept, together with sentence permutation.",
)


# ------------------------------------------------------------------------------------------------ 5.9 text to text

IGNORE = -100
VOCABULARY = 50
Examples = list[tuple[str, list[str], list[str]]]


def _task_cases(seed: int) -> Iterator[Case]:
    words = _words(12, seed)
    numbers = (torch.randperm(VOCABULARY - 10, generator=torch.Generator().manual_seed(seed)) + 10).tolist()
    tasks = ("reverse", "count", "translate")
    text = dict(zip((*tasks, ":", *words), numbers, strict=False))
    t5, other = {"<pad>": 0, "</s>": 1, **text}, {"<pad>": 5, "</s>": 3 + seed % 2, **text}
    a, b, c = words[:4], words[4:9], words[9:]
    even = [("reverse", a[:3], a[2::-1]), ("reverse", c, c[::-1])]
    mixed = [
        ("reverse", b, b[::-1]),
        ("count", a, [words[0]]),
        ("translate", c, [words[5], words[6], words[7], words[1]]),
    ]
    for stage in ("source", "labels", "decoder"):
        yield Case(stage, (even, t5))
        yield Case(stage, (mixed, other))
        yield Case(stage, ([("count", c[:2], [words[3]])], t5))
        yield Case(stage, ([mixed[1], ("translate", [words[2]], []), mixed[0]], t5))


def _filled(rows: list[list[int]], value: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def _task_with(
    *,
    read: Callable = lambda task, words, ids: [ids[task], ids[":"], *(ids[word] for word in words), ids["</s>"]],
    write: Callable = lambda source, answer, ids: [*answer, ids["</s>"]],
    ignore: Callable = lambda ids: IGNORE,
    shift: Callable = lambda labels, ids: F.pad(labels[:, :-1], (1, 0), value=ids["<pad>"]),
    pad: Callable = lambda inputs, ids: inputs.masked_fill(inputs == IGNORE, ids["<pad>"]),
    fill: Callable = _filled,
) -> Callable:
    """The three tensors written out, with one of their parts replaced."""

    def answer(examples, ids):
        sources = [read(task, words, ids) for task, words, _ in examples]
        targets = [
            write(source, [ids[word] for word in words], ids)
            for source, (_, _, words) in zip(sources, examples, strict=True)
        ]
        labels = _filled(targets, IGNORE)
        inputs = pad(shift(labels, ids), ids)
        return fill(sources, ids["<pad>"]), inputs, labels.masked_fill(labels == IGNORE, ignore(ids))

    return answer


def _rows_by_hand(examples, ids):
    """Row by row into tensors that were filled before; after a shorter answer the decoder reads padding at once."""
    wide, long = max(len(words) for _, words, _ in examples) + 3, max(len(words) for _, _, words in examples) + 1
    source, inputs = (torch.full((len(examples), n), ids["<pad>"]) for n in (wide, long))
    labels = torch.full_like(inputs, IGNORE)
    for row, (task, words, answer) in enumerate(examples):
        read = [task, ":", *words, "</s>"]
        source[row, : len(read)] = torch.tensor([ids[word] for word in read])
        for place, word in enumerate([*answer, "</s>"]):
            labels[row, place] = ids[word]
            if place < len(answer):
                inputs[row, place + 1] = ids[word]
    return source, inputs, labels


def _padded_sequences(examples, ids):
    def batch(texts, value):
        return nn.utils.rnn.pad_sequence(
            [torch.tensor([ids[word] for word in text]) for text in texts], batch_first=True, padding_value=value
        )

    source = batch([f"{task} : {' '.join(words)} </s>".split() for task, words, _ in examples], ids["<pad>"])
    labels = batch([[*answer, "</s>"] for *_, answer in examples], IGNORE)
    inputs = batch([["<pad>", *answer] for *_, answer in examples], ids["<pad>"])
    return source, inputs, labels


def _where_it_counts(seen: tuple, expected: tuple) -> str | None:
    """The decoder's input where the label is one; elsewhere any token will do, but it has to be one."""
    (seen, _), (expected, labels) = fitted(seen, expected), expected
    if wrong_shape := shape_difference(seen, expected):
        return wrong_shape
    free = labels == IGNORE
    if wrong := difference(seen.masked_fill(free, 0), expected.masked_fill(free, 0)):
        return wrong
    tokens = torch.isin(seen.double(), torch.arange(VOCABULARY, dtype=torch.float64))
    if bool(tokens.all()):
        return None
    where = (~tokens).nonzero()[0].tolist()
    return say("{number} at index {where} is no token", number=number(seen[tuple(where)].item()), where=where)


TEXT_TO_TEXT = Exercise(
    id="5.9",
    title="One batch for all tasks",
    kind="implement",
    name="text_to_text",
    minutes=20,
    stars=2,
    cases=_task_cases,
    stages=(
        Stage(
            "source", "the source", 1, "print a row of it in words: what is said first, and what last?", lambda v: v[0]
        ),
        Stage("labels", "the labels", 1, "what is to be written, its end, and then nothing.", lambda v: v[2]),
        Stage(
            "decoder",
            "what the decoder reads",
            2,
            "put its row above the labels: over each label stands what was written before it.",
            lambda v: (v[1], v[2]),
            _where_it_counts,
        ),
    ),
    reference=_task_with(),
    misconceptions=(
        Misconception(
            _task_with(read=lambda task, words, ids: [*(ids[word] for word in words), ids["</s>"]]),
            "Your source does not say what is to be done: without its prefix a sentence to be reversed looks like one to be "
            "counted.",
        ),
        Misconception(
            _task_with(read=lambda task, words, ids: [ids[task], *(ids[word] for word in words), ids["</s>"]]),
            "The colon between the task and the words is missing in your source. It is a token, too.",
        ),
        Misconception(
            _task_with(read=lambda task, words, ids: [ids[task], ids[":"], *(ids[word] for word in words)]),
            "Your source has no end: what does T5 put behind every text, also behind those that it reads?",
        ),
        Misconception(
            _task_with(fill=lambda rows, value: _filled([row[::-1] for row in rows], value).flip(1)),
            "Your source is padded at the front. The texts begin in the first column.",
        ),
        Misconception(
            _task_with(fill=lambda rows, value: _filled(rows, IGNORE)),
            "There is −100 in your source. It is a sign for the loss; a model can only read tokens.",
        ),
        Misconception(
            _task_with(write=lambda source, answer, ids: answer + [ids["</s>"]] * (not answer)),
            "Your labels do not end. Nothing tells the model to stop after the answer.",
        ),
        Misconception(
            _task_with(write=lambda source, answer, ids: [*source[:2], *answer, ids["</s>"]]),
            "Your labels begin with the prefix. The model reads it; it has to write the answer only.",
        ),
        Misconception(
            _task_with(write=lambda source, answer, ids: [ids["<pad>"], *answer, ids["</s>"]]),
            "Your labels begin with `<pad>`. The decoder begins by *reading* it; nobody has to write it.",
        ),
        Misconception(
            _task_with(ignore=lambda ids: ids["<pad>"]),
            "Your labels are `<pad>` behind a shorter answer, so the loss asks for padding. Which number does it leave out?",
        ),
        Misconception(
            _task_with(shift=lambda labels, ids: labels),
            "Your decoder reads at each place the very word that it is to write there. It would learn to copy it, and to wait "
            "for it when nobody gives it.",
        ),
        Misconception(
            _task_with(shift=lambda labels, ids: F.pad(labels[:, :-1], (1, 0), value=ids["</s>"])),
            "Your decoder begins with `</s>`. That is BART's beginning; T5 has another one.",
        ),
        Misconception(
            _task_with(shift=lambda labels, ids: F.pad(labels, (1, 0), value=ids["<pad>"])),
            "Your decoder reads one token more than there are labels. What comes after the end is predicted by nobody.",
        ),
        Misconception(
            _task_with(shift=lambda labels, ids: F.pad(labels[:, 1:], (0, 1), value=ids["<pad>"])),
            "You moved the labels to the left: the decoder reads what comes *after* the word that it is to write.",
        ),
        Misconception(
            _task_with(pad=lambda inputs, ids: inputs),
            "The −100 of the labels are still in what the decoder reads. They say *do not count this*; they are no token.",
        ),
        Misconception(
            lambda examples, ids: _task_with()(examples, {**ids, "<pad>": 0, "</s>": 1}),
            "Your ids of `<pad>` and `</s>` look typed in. Take them from `ids`.",
        ),
    ),
    alternatives=(_rows_by_hand, _padded_sequences),
    hints=(
        "Write one example as three rows of words on paper: what is read, what the decoder reads, what it is to write.",
        "Two of the rows are as long as each other. What stands in the one where the other has its first word?",
        "Lists of ids first, tensors last. How long is the longest row of each kind, and with what are the others filled up?",
    ),
    success="Right. Nothing in it knows which task it is: a new task is a new first word. And where the label is −100, what "
    "the decoder reads counts for nothing, as long as it is a token.",
)


EXERCISES = (SIZES, INFILL, SPAN_LENGTHS, SPANS, RMS, T5_ATTENTION, DECODER_INPUT, WHICH, TEXT_TO_TEXT)

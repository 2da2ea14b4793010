"""Exercises of chapter 5, BART and T5."""

import math
from collections.abc import Callable, Iterator

import torch

from ...blocks import RMSNorm
from ..exercise import Case, Exercise, Misconception, Stage


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
        Stage("spans", "how many spans", 1, "three hidden tokens in each, on average.", lambda v: v[1]),
        Stage("source", "the source", 1, "what stays, and what stands in the place of a span.", lambda v: v[2]),
        Stage("target", "the target", 1, "what is hidden, what announces it, and what ends it.", lambda v: v[3]),
    ),
    reference=(77, 26, 461, 104),
    misconceptions=(
        Misconception((77, 26, 461, 103), "Your target has no final sentinel: one more than there are spans ends it."),
        Misconception((77, 26, 435, 104), "Your source has lost its sentinels: each span leaves one token behind."),
        Misconception((77, 26, 512, 104), "You put a sentinel in the place of each *token*. A whole span gets one."),
        Misconception((76, 25, 461, 102), "You rounded down: 76.8 and 25.67 are nearer to 77 and 26."),
        Misconception((77, 77, 512, 155), "You made a span of each hidden token. They have three on average."),
        Misconception((77, 26, 461, 77), "Your target is the hidden tokens alone. Who says which of them go where?"),
        Misconception((77, 26, 461, 512), "BART is asked for the whole text. T5's target holds what is hidden only."),
    ),
    hints=(
        "0.15 · 512 = 76.8, and that divided by 3 is 25.67.",
        "Both sides have the sentinels of all spans; one of the two has one more.",
    ),
    success="Right. The decoder writes 104 tokens where BART's writes 512: that is where T5's pre-training is cheap.",
)


# ---------------------------------------------------------------------------------------------------- 5.2 fill the gaps


def _infilling_cases(seed: int) -> Iterator[Case]:
    n = 12 + seed % 3
    yield Case("spans", (_words(n, seed), [1, 6], [3, 2 + seed % 2]))
    yield Case("empty", (_words(n, seed + 1), [2, 5, 9], [2, 0, 1]))
    yield Case("edges", (_words(n, seed + 2), [0, 4, n], [2, 3, 0]))


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
    ),
    alternatives=(_backwards_infilling, _token_by_token_infilling),
    hints=(
        "Go through the spans and keep in mind where the last one ended: between there and `begin` everything stays.",
        "`tokens[end:begin]` is empty if begin equals end, so an empty span needs no case of its own.",
    ),
    success="Right. From one mask a model cannot read off how much is missing: it has to decide that, too.",
)


# ------------------------------------------------------------------------------------------------- 5.3 the spans' lengths


def _length_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def more(first: list[int]) -> list[int]:
        return first + torch.poisson(torch.full((6,), 3.0), generator=generator).long().tolist()

    a, b, c = torch.randint(2, 7, (3,), generator=generator).tolist()
    yield Case("exact", (more([a, b, c]), a + b + c))
    yield Case("cut", (more([b, a, c + 2]), a + b + c))
    yield Case("zeros", (more([0, c, 0, a, b + 3]), a + b + c))
    yield Case("nothing", (more([a, b]), 0))


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
        Stage("exact", "draws that fit", 1, "take draws until their sum is the budget."),
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
    for stage in ("source", "target"):
        yield Case(stage, (_words(n, seed), hidden(2, 3, 7, n=n), _SENTINELS))
        yield Case(stage, (_words(n, seed + 1), hidden(0, 4, 5, 6, n - 1, n=n), _SENTINELS))


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
        Misconception(_spans_with(swapped=True), "Source and target are exchanged."),
    ),
    alternatives=(_grouped_spans, _spans_by_their_edges),
    hints=(
        "A span begins at a hidden token whose predecessor is not hidden, or that has none.",
        "Count the spans as you go; the number is the index of the sentinel, also of the last one.",
    ),
    success="Right. Source and target share out the text between them: put together, nothing is lost.",
)


# ------------------------------------------------------------------------------------------------------- 5.5 RMSNorm


def _norm_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    x, weight = torch.randn(2, 3, 7, generator=generator), torch.rand(7, generator=generator) + 0.5
    yield Case("scale", (2 * x - 1, torch.ones(7), 1e-6))
    yield Case("weight", (x + 1, weight, 1e-6))
    yield Case("eps", (0.1 * x, weight, 0.1))


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
    hints=("`x.square().mean(dim=-1, keepdim=True)` is one number for each position.", "ε is added before the root."),
    success="Right. Half of LayerNorm, and in section 5.9 you cannot tell the two apart by their losses.",
)


# ------------------------------------------------------------------------------------------- 5.6 repair T5's attention


def _score_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(2, 3, n, 5, generator=generator) for n in (4, 6, 6))
    yield Case("no bias", (query, key, value, torch.zeros(3, 4, 6)))
    yield Case("bias", (query, key, value, torch.randn(3, 4, 6, generator=generator)))


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
    success="Right. Two bugs, and neither would have raised an error: the model would only have been a little worse.",
)


# --------------------------------------------------------------------------------------------- 5.7 the decoder's input


def _shift_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, 100, (3, 6), generator=generator)
    padded = labels.clone()
    padded[0, 4:] = padded[2, 2:] = -100
    yield Case("T5", (labels, "t5"))
    yield Case("BART", (labels, "bart"))
    yield Case("padding", (padded, "t5"))
    yield Case("padding", (padded, "bart"))


def _shift_with(
    *,
    start: Callable = lambda pad, bos, eos, family: pad if family == "t5" else eos,
    shift: Callable = lambda labels, start: torch.cat((torch.full_like(labels[:, :1], start), labels[:, :-1]), dim=1),
    fill: Callable = lambda inputs, pad: inputs.masked_fill(inputs == -100, pad),
) -> Callable:
    """The decoder's input with its first token, its shift or its padding replaced."""

    def answer(labels, family):
        pad, bos, eos = (0, None, 1) if family == "t5" else (1, 0, 2)
        return fill(shift(labels, start(pad, bos, eos, family)), pad)

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
        Stage("T5", "T5", 1, "T5 has no token that begins a text; which one stands there instead?"),
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
            _shift_with(shift=lambda labels, start: torch.cat((torch.full_like(labels[:, :1], start), labels), dim=1)),
            "Your input is one token longer than the labels: the last label is predicted, and read by nobody.",
        ),
        Misconception(
            _shift_with(fill=lambda inputs, pad: inputs),
            "The −100 are still there. They say *do not count this* to the loss; the decoder has to read a real token.",
        ),
    ),
    alternatives=(_rolled_shift, _shift_row_by_row),
    hints=(
        "One column with the first token, then all labels but the last: `torch.cat(…, dim=1)`.",
        "`masked_fill(inputs == -100, pad)`, with the pad of the family.",
    ),
    success="Right. A wrong first token raises no error; it is the commonest reason why a fine model writes badly.",
)


# ------------------------------------------------------------------------------------------------------- 5.8 which one

_WHICH = {
    "A": "Token masking: the model sees where a token is missing and does not know which.",
    "B": "Token deletion: the model has to find out where tokens are missing, but never more than one at a place.",
    "C": "Text infilling: the model sees where something is missing; what, and how many tokens, it has to find out.",
    "D": "Document rotation: the model has to find out how many tokens stand before the beginning.",
    "E": "Sentence permutation: the model has to find out how many tokens each sentence has lost.",
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
        Stage("choice", "the corruption", 2, "read the targets of section 5.2 once more, and what each source shows."),
    ),
    reference="C",
    misconceptions=(
        Misconception("A", "A is true of masking, but there each mask stands for exactly one token: nothing to count."),
        Misconception(
            "B", "B: tokens are deleted independently of each other, so that two neighbours may both be gone."
        ),
        Misconception("D", "D: rotation loses nothing. To be found is the one place where the text begins."),
        Misconception("E", "E: permutation loses nothing either; the sentences only change places."),
    ),
    hints=("In which of the lecture's five examples is the target a row of numbers of tokens?",),
    success="C. It is also the corruption that the authors kept, together with sentence permutation.",
)


EXERCISES = (SIZES, INFILL, SPAN_LENGTHS, SPANS, RMS, T5_ATTENTION, DECODER_INPUT, WHICH)

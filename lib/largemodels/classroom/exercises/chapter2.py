"""Exercises of chapter 2, masking.

Every query of a case hides some keys and shows others, lengths differ, and no axis is as long as another that it could
be taken for, so that a mask that is inverted, shifted, transposed or left out cannot pass.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ... import masks as library
from ...attention import masked_softmax
from ..comparing import boolean, shape_difference, within
from ..exercise import Case, Exercise, Misconception, Stage


def _randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


def _integer(generator: torch.Generator, low: int, high: int) -> int:
    """A random number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


# ------------------------------------------------------------------------------------------------ 2.1 three masks


def _three_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage in ("causal", "prefix", "band") * 2:
        n = _integer(generator, 7, 12)
        yield Case(stage, (n, _integer(generator, 2, n - 4), _integer(generator, 2, n - 4)))
    for n, prefix, width in (
        (1, 1, 1),
        (5, 0, 1),
        (4, 4, 4),
        (3, 2, 7),
    ):  # one position, no prefix, all of it, a wide band
        for stage in ("causal", "prefix", "band"):
            yield Case(stage, (n, prefix, width))


def _reference_three(n: int, prefix: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    return library.causal_mask(n), library.prefix_mask(prefix, n), library.banded_causal_mask(n, width)


def _three_with(
    causal: Callable | None = None, prefix: Callable | None = None, band: Callable | None = None
) -> Callable:
    """The reference with one of its masks replaced: each is ``(i, j, size)`` of a query i, a key j and its size."""

    def answer(n, prefix_length, width):
        i, j = torch.arange(n)[:, None], torch.arange(n)
        right = _reference_three(n, prefix_length, width)
        return (
            causal(i, j) if causal else right[0],
            prefix(i, j, prefix_length) if prefix else right[1],
            band(i, j, width) if band else right[2],
        )

    return answer


def _loop_masks(n, prefix, width):
    pairs = [[(i, j) for j in range(n)] for i in range(n)]
    return (
        torch.tensor([[j <= i for i, j in row] for row in pairs]),
        torch.tensor([[j < prefix or j <= i for i, j in row] for row in pairs]),
        torch.tensor([[0 <= i - j < width for i, j in row] for row in pairs]),
    )


def _triangle_masks(n, prefix, width):
    past = torch.ones(n, n).tril().bool()
    free = past.clone()
    free[:, :prefix] = True
    return past, free, past & ~torch.ones(n, n).tril(-width).bool()


THREE_MASKS = Exercise(
    id="2.1",
    title="Three masks",
    kind="implement",
    name="three_masks",
    minutes=15,
    stars=1,
    cases=_three_cases,
    stages=(
        Stage(
            "causal", "the causal mask", 1, "print it for n = 4: what does the first row say?", lambda v: v[0], boolean
        ),
        Stage("prefix", "the prefix mask", 1, "which *keys* does every query see?", lambda v: v[1], boolean),
        Stage("band", "the banded mask", 1, "count the True in the last row.", lambda v: v[2], boolean),
    ),
    reference=_reference_three,
    misconceptions=(
        Misconception(
            _three_with(causal=lambda i, j: j > i),
            "Your causal mask is inverted: it is True for the *future*. In this course True means *may attend*.",
        ),
        Misconception(
            _three_with(causal=lambda i, j: j >= i),
            "Your causal mask is the wrong triangle: a query sees itself and what comes after it. Rows are queries here; "
            "the slides have them in columns.",
        ),
        Misconception(
            _three_with(causal=lambda i, j: j < i),
            "Your causal mask is off by one: no query sees itself, and the first one sees nothing at all.",
        ),
        Misconception(
            _three_with(causal=lambda i, j: j <= i + 1),
            "Your causal mask is off by one: each query sees one key of the future, the very word it should predict.",
        ),
        Misconception(
            _three_with(causal=lambda i, j: torch.zeros(len(j), len(j)).masked_fill(j > i, -math.inf)),
            "Your causal mask is a table of 0 and −∞, to be added to scores. Here a mask is boolean, True = may attend.",
        ),
        Misconception(
            _three_with(prefix=lambda i, j, p: (j <= p) | (j <= i)),
            "Your prefix is one position too long: positions are counted from 0, so a prefix of 3 is 0, 1 and 2.",
        ),
        Misconception(
            _three_with(prefix=lambda i, j, p: (j < p - 1) | (j <= i)),
            "Your prefix is one position too short.",
        ),
        Misconception(
            _three_with(prefix=lambda i, j, p: (i < p) | (j <= i)),
            "Your prefix opens rows instead of columns: the *queries* of the prefix see everything, the answer included.",
        ),
        Misconception(
            _three_with(prefix=lambda i, j, p: (j < p) & (j <= i)),
            "You joined the two conditions of the prefix mask with *and*. A key is visible if it belongs to the prefix *or* "
            "is not in the future.",
        ),
        Misconception(
            _three_with(prefix=lambda i, j, p: (j < p).expand(len(j), -1)),
            "Outside the prefix your queries see nothing of their own past, not even themselves.",
        ),
        Misconception(
            _three_with(prefix=lambda i, j, p: (j >= len(j) - p) | (j <= i)),
            "Your prefix lies at the end. It is the *first* positions that everybody sees.",
        ),
        Misconception(
            _three_with(band=lambda i, j, w: (j <= i) & (j >= i - w)),
            "Your band is off by one: a width of 3 is three keys, the query's own included, and yours has one more.",
        ),
        Misconception(
            _three_with(band=lambda i, j, w: (j <= i) & (j > i - w + 1)),
            "Your band is off by one: a width of 3 is three keys, the query's own included, and yours has one less.",
        ),
        Misconception(
            _three_with(band=lambda i, j, w: (i - j).abs() < w),
            "Your band reaches into the future as well: it lies on both sides of the diagonal.",
        ),
        Misconception(
            _three_with(band=lambda i, j, w: (j < i) & (j >= i - w)),
            "Your band has the right width, but ends before the query: a query sees itself, too.",
        ),
        Misconception(
            _three_with(band=lambda i, j, w: j <= i - w),
            "Your band shows what is far away and hides what is near: its condition on the distance is the wrong way round.",
        ),
    ),
    alternatives=(
        _loop_masks,
        _triangle_masks,
        lambda n, prefix, width: (
            (past := torch.ones(n, n, dtype=torch.bool).tril()),
            past | (torch.arange(n) < prefix),
            past.triu(1 - width),
        ),
    ),
    hints=(
        "`torch.arange(n)[:, None]` numbers the queries, `torch.arange(n)` the keys. Comparing the two gives a table "
        "$(n, n)$.",
        "Write each mask first as a sentence about a query $i$ and a key $j$: *the key is not later than the query*, …",
        "For the band, write down which keys query 5 sees if the width is 3.",
    ),
    success="All three. They differ in one comparison each, and these comparisons are what tells an encoder from a decoder.",
)


# -------------------------------------------------------------------------------------- 2.2 a softmax with a mask


def _softmax_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def inputs(hidden: float = 0.0, visible: float | Tensor = 0.0, batch: int = 2) -> tuple[Tensor, Tensor]:
        mask = torch.rand(batch, 4, 6, generator=generator) < 0.5
        mask[:, torch.arange(4), torch.arange(4)] = True  # every query sees at least one key
        mask[..., 4] = False  # and not every key
        mask[..., 5] = True
        scores = 1.5 * _randn(generator, batch, 4, 6)
        return scores + torch.where(mask, visible, hidden), mask

    def alone(seen: bool) -> tuple[Tensor, Tensor]:
        """One query and one key."""
        return _randn(generator, 1, 1, 1), torch.full((1, 1, 1), seen)

    yield Case("mixed", inputs())
    yield Case("mixed", alone(True))
    yield Case("hidden", inputs(hidden=150.0))
    yield Case("large", inputs(visible=120.0))
    # Rows far apart, and rows whose visible scores lie below any "low" number that somebody may have typed.
    rows = torch.tensor([300.0, -300.0, 0.0, -20_000.0])
    yield Case("large", inputs(visible=rows[torch.randperm(4, generator=generator)][:, None], batch=1))
    scores, mask = inputs()
    mask[0, 1] = False
    mask[1, 3] = False
    yield Case("empty", (scores, mask))
    yield Case("empty", alone(False))


def _softmax_with(
    *,
    before: Callable = lambda scores, mask: scores.masked_fill(~mask, -math.inf),
    softmax: Callable = lambda scores: scores.softmax(-1),
    after: Callable = lambda weights, mask: torch.where(mask.any(-1, keepdim=True), weights, 0.0),
) -> Callable:
    """A masked softmax written out, with one of its steps replaced."""
    return lambda scores, mask: after(softmax(before(scores, mask)), mask)


def _keep(value: Tensor, mask: Tensor) -> Tensor:
    """No masking at this place."""
    return value


def _renormalise(weights: Tensor, mask: Tensor) -> Tensor:
    weights = weights * mask
    return weights / weights.sum(-1, keepdim=True)


def _zeroed(weights: Tensor, mask: Tensor) -> Tensor:
    return weights * mask


def _low(scores: Tensor, mask: Tensor, number: float) -> Tensor:
    return scores.masked_fill(~mask, number)


def _exponentials(scores: Tensor, mask: Tensor) -> Tensor:
    exps = torch.where(mask, scores.exp(), 0.0)
    return torch.where(mask.any(-1, keepdim=True), exps / exps.sum(-1, keepdim=True), 0.0)


def _loop_softmax(scores, mask):
    weights = torch.zeros_like(scores)
    for b in range(scores.shape[0]):
        for i in range(scores.shape[1]):
            seen = mask[b, i]
            if seen.any():
                weights[b, i, seen] = scores[b, i, seen].softmax(0)
    return weights


def _shifted_softmax(scores, mask):
    top = torch.where(mask, scores, -1e30).amax(-1, keepdim=True)
    exps = torch.where(mask, (scores - top).clamp(max=0).exp(), 0.0)
    return exps / exps.sum(-1, keepdim=True).clamp(min=1e-30)


MASKED_SOFTMAX = Exercise(
    id="2.2",
    title="A softmax that keeps its promises",
    kind="implement",
    name="masked_weights",
    minutes=20,
    stars=2,
    cases=_softmax_cases,
    stages=(
        Stage("mixed", "ordinary scores", 2, "what are the hidden weights, and what is the sum of each row?"),
        Stage("hidden", "hidden scores that are huge", 1, "a score that nobody may use must not set the scale."),
        Stage(
            "large",
            "visible scores that are large",
            1,
            "exp(89) is more than 32 bits can hold, and exp(−104) less; each row has a scale of its own.",
        ),
        Stage("empty", "rows that may attend to nothing", 1, "a row of zeros is wanted, for such queries only."),
    ),
    reference=masked_softmax,
    misconceptions=(
        Misconception(
            _softmax_with(before=_keep, after=_keep),
            "The mask makes no difference in your answer: hidden keys still receive weight.",
        ),
        Misconception(
            _softmax_with(before=_keep, after=lambda weights, mask: _renormalise(weights, mask).nan_to_num()),
            "You mask after the softmax, renormalise, and write 0 over NaN. Where a hidden score is huge, that throws the "
            "visible keys away as well.",
        ),
        Misconception(
            _softmax_with(before=_keep, after=_zeroed),
            "You mask after the softmax: hidden weights are 0, but rows no longer sum to 1, and what is missing tells how "
            "large the hidden scores were.",
        ),
        Misconception(
            _softmax_with(before=lambda scores, mask: scores.masked_fill(mask, -math.inf)),
            "Your mask is inverted: hidden keys share the weight, visible ones have none. True means *may attend*.",
        ),
        Misconception(
            _softmax_with(before=lambda scores, mask: scores * mask, after=_keep),
            "You multiply scores by the mask. A score of 0 is not a weight of 0: exp(0) is 1.",
        ),
        Misconception(
            _softmax_with(before=lambda scores, mask: scores * mask, after=_zeroed),
            "You multiply by the mask twice, before and after the softmax. The hidden keys still take part in the sum, each "
            "with exp(0) = 1.",
        ),
        Misconception(
            _softmax_with(before=lambda scores, mask: scores + mask.float(), after=_keep),
            "You add the mask as numbers: a 1 makes visible keys a little more likely and hides nothing. What has to be "
            "added to a hidden score?",
        ),
        Misconception(
            _softmax_with(softmax=lambda scores: scores.softmax(-2).nan_to_num(), after=_keep),
            "Your softmax runs over the queries: columns sum to 1 instead of rows.",
        ),
        Misconception(
            _softmax_with(softmax=lambda scores: scores.softmax(-2), after=_keep),
            "Your softmax runs over the queries. A column in which every query is masked is then 0/0, hence NaN.",
        ),
        Misconception(
            _softmax_with(after=_keep),
            "Right as long as a query sees any key. A row without one is a softmax over −∞ alone: 0/0, NaN.",
        ),
        Misconception(
            _softmax_with(before=_keep, after=_renormalise),
            "You mask after the softmax and renormalise. That is right on paper, but where a hidden score is huge, the "
            "visible weights have become 0 before you divide: 0/0.",
        ),
        Misconception(
            lambda scores, mask: _zeroed(_low(scores, mask, -100.0).softmax(-1), mask),
            "You write −100 for a hidden score. That is low among ordinary scores only: visible ones may be lower still. "
            "What is lower than every number?",
        ),
        Misconception(
            lambda scores, mask: _zeroed(_low(scores, mask, -1e4).softmax(-1), mask),
            "You write −10,000 for a hidden score. Visible ones may be lower still. What is lower than every number?",
        ),
        *(
            Misconception(
                lambda scores, mask, shift=shift: _exponentials(shift(scores, mask), mask).nan_to_num(),
                "You subtract one number from all rows, the largest of the whole tensor: in rows whose scores are far below "
                "it every exponential is 0. Each row has a largest score of its own.",
            )
            for shift in (
                lambda scores, mask: scores - scores.max(),
                lambda scores, mask: scores - _low(scores, mask, -math.inf).max().nan_to_num(),
            )
        ),
        Misconception(
            _exponentials,
            "Your exponentials overflow: exp of a large visible score is infinite, and infinite by infinite is NaN. A "
            "softmax subtracts the largest score of the row first.",
        ),
        Misconception(
            _softmax_with(before=lambda scores, mask: scores.masked_fill(~mask, -1e9), after=_keep),
            "Right as long as a query sees any key. A row without one has equal scores everywhere, and your softmax "
            "spreads its weight over keys that are all hidden.",
        ),
    ),
    alternatives=(
        _loop_softmax,
        _shifted_softmax,
        lambda scores, mask: scores.masked_fill(~mask, -math.inf).softmax(-1).nan_to_num(0.0),
        lambda scores, mask: scores.masked_fill(~mask, -1e9).softmax(-1) * mask,
    ),
    hints=(
        "What has to be done to a hidden score, *before* the softmax, so that its exponential is 0?",
        "`scores.masked_fill(where, number)` writes a number where `where` is True and leaves `scores` alone. "
        "`~mask` is the opposite of a mask.",
        "For the empty rows: let them become whatever they become, and repair them at the end. Which entries of a row "
        "without any visible key are allowed to be more than 0?",
    ),
    success="Right, in all four weathers. This is `masked_softmax` of the library, and every model of the course goes "
    "through it.",
)


# ------------------------------------------------------------------------------------------------ 2.3 by hand

_AFTER, _BEFORE = (1 / 16, 3 / 16), (1 / 4, 3 / 4)
_AFTER_CHANGE = (1 / 32, 3 / 32)


def _by_hand(after=_AFTER, before=_BEFORE, after_change=_AFTER_CHANGE, before_change=_BEFORE) -> tuple:
    return after, before, after_change, before_change


BY_HAND = Exercise(
    id="2.3",
    title="Two masks, by hand",
    kind="predict",
    name="two_masks",
    minutes=10,
    stars=1,
    stages=(
        Stage(
            "after", "0/1 after the softmax", 1, "the softmax sums over all four keys.", lambda v: v[0], within(0.002)
        ),
        Stage("before", "−∞ before it", 1, "only the visible keys are in the sum.", lambda v: v[1], within(0.002)),
        Stage(
            "after_change",
            "0/1 after, another last key",
            1,
            "the fourth exponential is in the sum.",
            lambda v: v[2],
            within(0.002),
        ),
        Stage(
            "before_change",
            "−∞ before, another last key",
            1,
            "where does the fourth score enter?",
            lambda v: v[3],
            within(0.002),
        ),
    ),
    reference=_by_hand(),
    misconceptions=(
        Misconception(
            (_BEFORE, _AFTER, _BEFORE, _AFTER_CHANGE),
            "You have exchanged the two masks: with −∞ *before* the softmax the visible weights sum to 1.",
        ),
        Misconception(
            _by_hand(after=_BEFORE, after_change=_BEFORE),
            "You renormalised the first mask. Zeros *after* the softmax leave the visible weights as they were, and these "
            "do not sum to 1.",
        ),
        Misconception(
            _by_hand(before=_AFTER, before_change=_AFTER_CHANGE),
            "With −∞ the hidden exponentials are 0 and drop out of the *sum*, too. What are 1 and 3 divided by then?",
        ),
        Misconception(
            _by_hand(before=(1 / 8, 3 / 8), before_change=(1 / 8, 3 / 8)),
            "You let the second word see the third key: 1 + 3 + 4 = 8. A causal mask ends at the word itself.",
        ),
        Misconception(
            _by_hand(before=(1.0, 0.0), before_change=(1.0, 0.0)),
            "You hid the second word from itself. A causal mask lets a word see the past *and* itself.",
        ),
        Misconception(
            _by_hand(before=(1 / 6, 3 / 6), before_change=(1 / 6, 3 / 6)),
            "You gave the hidden keys the score 0, and exp(0) = 1 stays in the sum, twice. Their score is −∞.",
        ),
        Misconception(
            _by_hand(after_change=_AFTER),
            "The first two and the last are right. But with zeros after the softmax, the hidden key *was* in the sum: when "
            "it grows, the visible weights shrink.",
        ),
        Misconception(
            _by_hand(before_change=(1 / 12, 3 / 12)),
            "With −∞ before the softmax a hidden score never enters: nothing changes when it does.",
        ),
    ),
    hints=(
        "$e^{\\ln 3} = 3$, so the exponentials are 1, 3, 4 and 8. Which of them does each way of masking sum up?",
        "$e^{\\ln 24} = 24$: the sum of all four grows from 16 to 32.",
    ),
    success="Right. The third answer is the leak of section 2.4: the visible weights tell how large the hidden score was.",
)


# ------------------------------------------------------------------------------------------- 2.4 repair the slide


def _slide_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, d, d_value, m, n in (
        ("first", 3, 2, 4, 4),
        ("last", 4, 2, 5, 5),
        ("all", 3, 2, 6, 6),
        ("all", 5, 5, 5, 5),
        ("all", 2, 1, 1, 1),
        ("going on", 3, 2, 3, 5),
        ("going on", 4, 3, 1, 4),
        ("going on", 2, 4, 4, 6),
    ):
        yield Case(stage, (_randn(generator, d, m), _randn(generator, d, n), _randn(generator, d_value, n)))


def _reference_slide(Q: Tensor, K: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
    A = (K.T @ Q / math.sqrt(len(Q))).T  # one row per query
    weights = masked_softmax(A, library.causal_mask(K.shape[1])[-len(A) :])
    return V @ weights.T, weights.T


def _slide_with(
    mask: Callable = lambda table, before: table.tril(-before - 1),
    dim: int = 0,
    weigh: Callable | None = None,
) -> Callable:
    """The slide's attention, with its mask (made of a table of −∞ and the number of words before) or softmax replaced."""

    def answer(Q, K, V):
        A = K.T @ Q / math.sqrt(Q.shape[0])
        before = K.shape[1] - Q.shape[1]
        weights = weigh(A, before) if weigh else (A + mask(torch.full_like(A, -math.inf), before)).softmax(dim=dim)
        return V @ weights, weights

    return answer


def _transposed_slide(Q, K, V):
    n = K.shape[1]
    A = (Q.T @ K / len(Q) ** 0.5).masked_fill(torch.ones(n, n).triu(1).bool()[n - Q.shape[1] :], -math.inf)
    return (A.softmax(-1) @ V.T).T, A.softmax(-1).T


def _loop_slide(Q, K, V):
    m, n = Q.shape[1], K.shape[1]
    weights = torch.zeros(n, m)
    for query in range(m):
        place = n - m + query
        seen = K[:, : place + 1].T @ Q[:, query] / math.sqrt(Q.shape[0])
        weights[: place + 1, query] = seen.softmax(0)
    return V @ weights, weights


REPAIR_SLIDE = Exercise(
    id="2.4",
    title="Repair: the slide's mask",
    kind="repair",
    name="repaired_slide_attention",
    minutes=15,
    stars=2,
    cases=_slide_cases,
    given=_slide_with(mask=lambda table, before: table.triu()),
    stages=(
        Stage(
            "first",
            "what the first word sees",
            1,
            "the first *column* of the weights: where is the 1?",
            lambda v: v[1][:, 0],
        ),
        Stage("last", "what the last word sees", 1, "the last *column* of the weights.", lambda v: v[1][:, -1]),
        Stage("all", "output and weights of all words", 1, "every column of the weights should sum to 1."),
        Stage("going on", "the last words only", 1, "for n = 5 and m = 3: which of the five words is the first query?"),
    ),
    reference=_reference_slide,
    misconceptions=(
        Misconception(
            _slide_with(mask=lambda table, before: table.triu(1 - before)),
            "You freed the diagonal, but −∞ still lies above it: with keys in rows, each word sees itself and the *future*.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: table.tril(-before)),
            "−∞ is on the right side now, but still on the diagonal: no word sees itself, and the first one sees nothing.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: table.tril(-before - 2)),
            "You freed too much: each word sees one key of the future.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: table.tril(-1)),
            "Your mask is right for a whole text. Where only the last words ask, it takes the first of them for the first word "
            "of the text, and hides words that were said before.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: table.tril(-1) if before == 0 else torch.zeros_like(table)),
            "Where only the last words ask, your mask hides nothing: they see each other's future.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: table.tril(before - 1)),
            "Your mask is right for a whole text. Where only the last words ask, you move the diagonal to the wrong side.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: table.triu(1 - before), dim=1),
            "Your mask and your softmax are those of code, where rows are queries. Here rows are *keys*: A is KᵀQ.",
        ),
        Misconception(
            _slide_with(dim=1),
            "The mask is right, but your softmax runs along the rows, which belong to keys. Each *query* has one unit to "
            "spend, and queries are columns.",
        ),
        Misconception(
            _slide_with(weigh=lambda A, before: A.softmax(0) * torch.ones_like(A).triu(-before)),
            "You put zeros after the softmax: the columns no longer sum to 1, since hidden keys took part in the sum.",
        ),
        Misconception(
            _slide_with(
                weigh=lambda A, before: (A + torch.full_like(A, -math.inf).triu()).softmax(0).nan_to_num(),
            ),
            "You wrote 0 over the NaN. The last word now attends to nothing, and the others still see only the future.",
        ),
        Misconception(
            _slide_with(weigh=lambda A, before: (A + torch.full_like(A, -1e9).triu()).softmax(0)),
            "You wrote a large negative number for −∞. The NaN is gone, and the words still see only what comes after them; "
            "the last one, which sees nothing, spreads its weight over all.",
        ),
        Misconception(
            _slide_with(mask=lambda table, before: torch.zeros_like(table)),
            "Without a mask every word sees every other one. The mask was wrong, not superfluous.",
        ),
    ),
    alternatives=(
        _transposed_slide,
        _loop_slide,
        _slide_with(
            weigh=lambda A, before: A.masked_fill(~torch.ones_like(A).bool().triu(-before), -math.inf).softmax(dim=0)
        ),
    ),
    hints=(
        "Print the weights. Which column holds NaN, and what does it mean that it is a column?",
        "Write down, for four words, the table with a 1 where key (row) $j$ is visible to query (column) $i$. On which side "
        "of the diagonal are the zeros, and what about the diagonal?",
        "Then let only the last two of the four ask: which columns of your table are left?",
    ),
    success="Right. Both mistakes of the slide are gone: the side and the diagonal. Note that the column of the first word is "
    "1, 0, 0, …: that is the place to look at in any orientation.",
)


# ----------------------------------------------------------------------------------------- 2.5 one mask for a batch


def _batch_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def lengths(n: int) -> Tensor:
        return torch.randperm(n - 3, generator=generator)[:2] + 2  # 2 … n − 2, two different ones

    yield Case("shape", (lengths(8), 8, False))
    yield Case("shape", (torch.tensor([1]), 1, False))
    n = _integer(generator, 5, 9)
    yield Case("full", (torch.full((3,), n), n, False))
    yield Case("full", (torch.tensor([1]), 1, False))
    for stage, front in (("end", False), ("front", True)):
        for n in (7, 10):
            yield Case(stage, (lengths(n), n, front))
        yield Case(stage, (torch.tensor([2, 6, 1, 4, 3, 5]), 6, front))  # as many sentences as places
        yield Case(stage, (torch.tensor([3]), 5, front))


def _reference_batch(lengths: Tensor, n: int, front: bool) -> Tensor:
    is_word = library.padding_mask(lengths, n)
    return library.causal_mask(n) & (is_word.flip(-1) if front else is_word)


def _batch_with(visible: Callable, *, longer: int = 0, always_front: bool | None = None) -> Callable:
    """A mask from ``visible(i, j, word)``: queries i (n, 1), keys j (n), and whether a position holds a word.

    Sentences are taken to be `longer` than they are, or to be padded on one side always.
    """

    def answer(lengths, n, front):
        i, j, length = torch.arange(n)[:, None], torch.arange(n), lengths[:, None, None, None] + longer
        in_front = front if always_front is None else always_front

        def word(position):
            return position >= n - length if in_front else position < length

        return visible(i, j, word).expand(len(lengths), 1, n, n).clone()

    return answer


def _loop_batch(lengths, n, front):
    mask = torch.zeros(len(lengths), 1, n, n, dtype=torch.bool)
    for b, length in enumerate(lengths.tolist()):
        words = range(n - length, n) if front else range(length)
        for i in range(n):
            for j in words:
                mask[b, 0, i, j] = j <= i
    return mask


def _outer_batch(lengths, n, front):
    position = torch.arange(n).flip(0) if front else torch.arange(n)
    is_word = position < lengths.unsqueeze(1)
    return torch.ones(n, n).tril().bool() * is_word[:, None, None]


BATCH_MASK = Exercise(
    id="2.5",
    title="One mask for a batch",
    kind="implement",
    name="batch_mask",
    minutes=20,
    stars=2,
    cases=_batch_cases,
    stages=(
        Stage(
            "shape",
            "the shape (batch, 1, n, n)",
            1,
            "one table per sentence, with an axis of size 1 for the heads.",
            compare=shape_difference,
        ),
        Stage("full", "a batch without padding", 1, "then only the causal part is left.", compare=boolean),
        Stage("end", "padded at the end", 1, "look at one sentence: mask[0, 0].", compare=boolean),
        Stage("front", "padded at the front", 1, "a sentence of 2 words in 5 places: which places?", compare=boolean),
    ),
    reference=_reference_batch,
    misconceptions=(
        Misconception(
            lambda *arguments: _reference_batch(*arguments)[:, 0],
            "The axis for the heads is missing: without it, (batch, n, n) would be broadcast as if sentences were heads.",
        ),
        Misconception(
            lambda *arguments: _reference_batch(*arguments).any(-2, keepdim=True),
            "One row per sentence is the shape of a padding mask. With the causal part, every query has a row of its own.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: word(j)),
            "This is the padding mask alone, spread out: each word sees the future. Where is the causal part?",
        ),
        Misconception(
            _batch_with(lambda i, j, word: j <= i),
            "This is the causal mask alone. Which queries see padding?",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) | word(j)),
            "You joined the masks with *or*: a key is then visible if either allows it. It has to pass both.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) & word(j) & word(i)),
            "You masked padded keys *and* padded queries. Nobody reads the rows of padded queries, and rows without any key "
            "become NaN in many implementations: do not empty rows that need not be empty.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) & word(i)),
            "You masked the padded *queries*: their rows are empty, and it is the *keys* of the padding that must be "
            "hidden. Which axis is the last one?",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) & word(j), longer=1),
            "One padding too many is visible: a sentence of 3 words is made of positions 0, 1 and 2, or of the last three.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) & word(j), longer=-1),
            "One word of each sentence is hidden as if it were padding. How many keys does the last query see?",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) & word(j), always_front=False),
            "With front=True nothing changes in your mask: the words are then the *last* places of a row.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j <= i) & word(j), always_front=True),
            "Your mask is for sentences padded at the front, even where the padding comes last.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j >= i) & word(j)),
            "Your causal part is transposed: each query sees itself and the future.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: (j < i) & word(j)),
            "Your causal part is off by one: no query sees itself.",
        ),
        Misconception(
            _batch_with(lambda i, j, word: ~((j <= i) & word(j))),
            "Your mask is inverted: True means *may attend*.",
        ),
    ),
    alternatives=(_loop_batch, _outer_batch, _batch_with(lambda i, j, word: (j <= i) & word(j))),
    hints=(
        "Start with the two parts: one table $(n, n)$ that is the same for all, and one row per sentence that tells words "
        "from padding.",
        "`lengths[:, None, None, None]` has the shape $(batch, 1, 1, 1)$; compared with `torch.arange(n)` it gives "
        "$(batch, 1, 1, n)$. Which of the two last axes is that, queries or keys?",
        "At which position does a sentence begin that is padded at the front?",
    ),
    success="Right: *when* and *what*, joined by &. Padding at the front leaves rows without any key, the ones of section 2.9; "
    "they are no fault of the mask.",
)


# ---------------------------------------------------------------------------------------------- 2.6 a leak detector


def _gradient_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, before, n, d, widths in (
        ("before", True, 5, 4, (3, 3, 6)),
        ("after", False, 5, 4, (3, 3, 6)),
        ("size", True, 5, 4, (3, 3, 6)),
        ("size", False, 4, 5, (5, 5, 4)),
        ("size", False, 1, 3, (2, 2, 1)),
    ):
        x = _randn(generator, n, d)
        yield Case(stage, (x, *(_randn(generator, d, width) / 2 for width in widths), before))


def _attend(x: Tensor, W_Q: Tensor, W_K: Tensor, W_V: Tensor, before: bool) -> Tensor:
    """What the notebook gives: causal attention, masked before or after the softmax."""
    return _attend_weights(x, W_Q, W_K, before) @ (x @ W_V)


def _attend_weights(x, W_Q, W_K, before):
    past = torch.ones(len(x), len(x), dtype=torch.bool).tril()
    scores = (x @ W_Q) @ (x @ W_K).T / math.sqrt(W_K.shape[1])
    return scores.masked_fill(~past, -math.inf).softmax(-1) if before else scores.softmax(-1) * past


def _jacobian(x, W_Q, W_K, W_V, before) -> Tensor:
    """(query, width, key, d)."""
    return torch.autograd.functional.jacobian(lambda x: _attend(x, W_Q, W_K, W_V, before), x)


def _reference_gradients(x, W_Q, W_K, W_V, before):
    return _jacobian(x, W_Q, W_K, W_V, before).square().sum((1, 3)).sqrt()


def _loop_gradients(x, W_Q, W_K, W_V, before):
    x = x.clone().requires_grad_()
    z = _attend(x, W_Q, W_K, W_V, before)
    squares = torch.zeros(len(x), len(x))
    for i in range(len(z)):
        for number in z[i]:
            (gradient,) = torch.autograd.grad(number, x, retain_graph=True)
            squares[i] += gradient.square().sum(-1)
    return squares.sqrt()


def _batched_gradients(x, W_Q, W_K, W_V, before):
    jacobian = torch.func.jacrev(lambda x: _attend(x, W_Q, W_K, W_V, before))(x)
    return jacobian.transpose(1, 2).flatten(2).norm(dim=-1)


def _same_zeros(seen, expected) -> str | None:
    """A comparison that asks only where there is anything at all."""
    if wrong_shape := shape_difference(seen, expected):
        return wrong_shape
    if seen.isnan().any():
        return "NaN (not a number) in your table"
    wrong = (seen != 0) != (expected != 0)
    if not wrong.any():
        return None
    i, j = wrong.nonzero()[0].tolist()
    there, here = ("is 0", "is not 0") if expected[i, j] == 0 else ("is not 0", "is 0")
    return f"the derivative of output {i} with respect to input {j} {there}, and {here} in your table"


LEAK_DETECTOR = Exercise(
    id="2.6",
    title="A leak detector",
    kind="implement",
    name="gradient_sizes",
    minutes=25,
    stars=3,
    cases=_gradient_cases,
    stages=(
        Stage(
            "before",
            "where the −∞ mask lets gradients pass",
            1,
            "rows are outputs, columns are inputs.",
            compare=_same_zeros,
        ),
        Stage(
            "after",
            "where the 0/1 mask lets them pass",
            1,
            "a weight of 0 does not make a derivative 0.",
            compare=_same_zeros,
        ),
        Stage("size", "how large they are", 2, "all numbers of the block ∂zᵢ/∂xⱼ: square, sum up, take the root."),
    ),
    reference=_reference_gradients,
    misconceptions=(
        Misconception(
            lambda *arguments: _reference_gradients(*arguments).T,
            "Your table is transposed: row i should belong to *output* i. A causal layer must come out with zeros above the "
            "diagonal.",
        ),
        Misconception(
            lambda x, W_Q, W_K, W_V, before: _attend_weights(x, W_Q, W_K, before),
            "These are the attention weights. What flows through the scores and the sum of the softmax is not in them.",
        ),
        Misconception(
            lambda x, *more: _jacobian(x, *more).sum((0, 1)).norm(dim=-1).expand(len(x), -1).clone(),
            "All your rows are equal: you differentiated the sum of *all* outputs. One output position at a time.",
        ),
        Misconception(
            lambda x, *more: _jacobian(x, *more).sum((0, 1)).norm(dim=-1)[:, None].expand(-1, len(x)).clone(),
            "All your columns are equal: you differentiated the sum of *all* outputs, and spread the result along the rows.",
        ),
        Misconception(
            lambda *arguments: _reference_gradients(*arguments).cumsum(0),
            "Your gradients pile up from row to row: `backward` *adds* to x.grad. Use torch.autograd.grad, or clear x.grad.",
        ),
        Misconception(
            lambda *arguments: torch.diag(_reference_gradients(*arguments).diagonal()),
            "Only the diagonal is filled: how an output depends on its own input. Leaks are beside it.",
        ),
        Misconception(
            lambda *arguments: _jacobian(*arguments).sum(1).norm(dim=-1),
            "The zeros are right. But you differentiated the *sum* of the numbers of zᵢ, in which parts can cancel. Each "
            "number of zᵢ has a gradient of its own.",
        ),
        Misconception(
            lambda *arguments: _jacobian(*arguments)[:, 0].norm(dim=-1),
            "The zeros are right. But you differentiated only the first number of each output.",
        ),
        Misconception(
            lambda *arguments: _jacobian(*arguments).abs().sum((1, 3)),
            "You summed absolute values. The size asked for is the root of the sum of *squares*.",
        ),
        Misconception(
            lambda *arguments: _reference_gradients(*arguments).square(),
            "The root is missing: you have the sum of the squares.",
        ),
        Misconception(
            lambda *arguments: (_reference_gradients(*arguments) != 0).float(),
            "You return yes and no. The sizes of the derivatives are asked for; zeros are easy to read off them.",
        ),
    ),
    alternatives=(_loop_gradients, _batched_gradients),
    hints=(
        "A copy of x on which `requires_grad_()` was called remembers what is computed from it; call `attend` with that copy.",
        "`torch.autograd.grad(number, x, retain_graph=True)` returns a tuple with one tensor of the shape of x: how the "
        "*number* depends on each entry of x. Which numbers do you need, and how many?",
        "`torch.autograd.functional.jacobian(function, x)` gives all of them at once, here with the shape "
        "$(query, width, key, d)$. Which two axes must go?",
    ),
    success="Right. And your table for the 0/1 mask has numbers above the diagonal, where every weight is 0: the leak that "
    "no picture of weights can show.",
    seconds=30.0,  # the first call of torch.func.jacrev imports a compiler
)


# ------------------------------------------------------------------------------------------------------ 2.7 counting

COUNTING = Exercise(
    id="2.7",
    title="How much is seen, and how far",
    kind="predict",
    name="reach",
    minutes=10,
    stars=2,
    stages=(
        Stage("causal", "pairs under a causal mask", 1, "add up the rows: 1 + 2 + …", lambda v: v[0]),
        Stage("band", "pairs under a band", 1, "the first rows are shorter than the others.", lambda v: v[1]),
        Stage("reach", "inputs within reach", 1, "how many steps back does one layer allow?", lambda v: v[2]),
        Stage(
            "layers",
            "layers until the first is known",
            1,
            "the last position is how many steps from the first?",
            lambda v: v[3],
        ),
    ),
    reference=(21, 15, 17, 11),
    misconceptions=(
        Misconception((18, 15, 17, 11), "Half of 36 leaves only half of the diagonal. How many pairs lie on it?"),
        Misconception((15, 15, 17, 11), "Your causal count leaves out the diagonal: every query sees itself."),
        Misconception((36, 15, 17, 11), "36 is the number of all pairs. How many of them does a causal mask hide?"),
        Misconception((21, 18, 17, 11), "Your band has three keys in every row. What does the first query see?"),
        Misconception((21, 11, 17, 11), "Your band is off by one: a width of 3 includes the query itself."),
        Misconception((21, 24, 17, 11), "Your band has keys on both sides of the diagonal. It is causal, too."),
        Misconception(
            (21, 15, 20, 11), "Your reach grows by the whole width per layer. The query itself is counted again."
        ),
        Misconception((21, 15, 16, 11), "16 steps back is right, and the position itself is one more."),
        Misconception(
            (21, 15, 5, 11), "5 is the reach of one layer. The second reads outputs that have looked back already."
        ),
        Misconception((21, 15, 625, 11), "Reach does not multiply: each layer adds the same number of steps."),
        Misconception(
            (21, 15, 17, 10), "10 layers fall short: each goes 99 steps back, not 100. How far do 10 of them go?"
        ),
        Misconception(
            (21, 15, 17, 999 / 99),
            "That is how many layers it would take if there were parts of one. How many whole ones?",
        ),
    ),
    hints=(
        "Draw both tables for 6 positions and count the ticks.",
        "With a width of 5, one layer looks 4 steps back. So do the layers below it, from where it has landed.",
    ),
    success="Right. Depth buys reach, one width minus one at a time; that is how a stack of narrow layers sees a long text.",
)


# --------------------------------------------------------------------------------------------------------- 2.8 choose

_SUSPICION = {
    "A": "The model generalises very well: the held-out loss is as low as the training loss, and writing is a different "
    "task, for which it has not been trained.",
    "B": "The model overfits: 0.1 is far below the entropy of English, so it must have learned its texts by heart.",
    "C": "The learning rate was too high, so that the loss fell too fast and the model ended in a poor minimum.",
    "D": "The mask is missing. Putting it in for writing alone will repair the model, since its weights are good.",
    "E": "What it reads contains the answers, in training and in the test. The mask has to be checked.",
}

SUSPICION = Exercise(
    id="2.8",
    title="Too good to be true",
    kind="choose",
    name="suspicion",
    minutes=5,
    stars=1,
    options=_SUSPICION,
    stages=(Stage("choice", "the diagnosis", 2, "compare with the table of section 2.1."),),
    reference="E",
    misconceptions=(
        Misconception(
            "A",
            "A: it writes nonsense, and writing is what it was trained for, word by word. A held-out text given whole "
            "contains the next word just as a training text does, so this loss cannot tell.",
        ),
        Misconception(
            "B", "B: a model that overfits is good on what it has seen and worse on new texts. Here both are the same."
        ),
        Misconception(
            "C", "C: a high learning rate makes a loss unsteady. It does not take it below what can be known at all."
        ),
        Misconception(
            "D",
            "D: the diagnosis is close. But the model has learned to copy and never to predict; hiding tomorrow from it now "
            "leaves it with nothing. It has to be trained again.",
        ),
    ),
    hints=("Which measurements of section 2.1 exposed the forecaster without a mask?",),
    success="E. Training and held-out loss share the leak, so their agreement proves nothing. A leak detector, or a few words "
    "written by the model alone, would have told on the first day.",
)


EXERCISES = (
    THREE_MASKS,
    MASKED_SOFTMAX,
    BY_HAND,
    REPAIR_SLIDE,
    BATCH_MASK,
    LEAK_DETECTOR,
    COUNTING,
    SUSPICION,
)

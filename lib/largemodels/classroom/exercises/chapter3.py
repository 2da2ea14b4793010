"""Exercises of chapter 3, positional encoding."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from ... import positions as library
from ..comparing import shape_difference, within
from ..exercise import Case, Exercise, Misconception, Stage

# ------------------------------------------------------------------------------------------ 3.1 sinusoidal encoding


def _sinusoid_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def even(low: int) -> int:
        return low + 2 * int(torch.randint(3, (), generator=generator))

    def texts(batch: int, length: int) -> Tensor:
        """Each text at places of its own: as they stand in a batch that is padded on the left, or further on."""
        start = torch.randint(9, (batch, 1), generator=generator) + 2 * torch.arange(batch)[:, None]
        return start + torch.arange(length)

    yield Case("shape", (texts(2, 5 + seed % 3), 8))
    yield Case("shape", (texts(1, 1), 4))
    yield Case("two columns", (texts(3, 7), 2))
    yield Case("two columns", (torch.zeros(1, 1, dtype=torch.long), 2))
    yield Case("all columns", (texts(3, 6), 6))
    yield Case("all columns", (texts(1, 4), 4))
    yield Case("all columns", (texts(4, 4), 4))
    yield Case("all columns", (texts(2, 9 + seed % 4), even(6)))
    yield Case("all columns", (texts(2, 5)[:, torch.randperm(5, generator=generator)], even(8)))  # in no order
    yield Case("all columns", (texts(1, 6) + 40, even(10)))


def _sinusoids_with(
    *,
    places: Callable = lambda positions: positions,
    exponent: Callable = lambda i, d: 2 * i / d,
    arrange: Callable = lambda sin, cos: torch.stack((sin, cos), dim=-1).flatten(-2),
) -> Callable:
    """The encoding written out, with its positions, its exponent or the order of its columns replaced."""

    def answer(positions, d):
        position = places(positions).double()[..., None]
        i = torch.arange(d // 2, dtype=torch.float64)
        angle = position / 10000 ** exponent(i, d)
        return arrange(angle.sin(), angle.cos()).float()

    return answer


def _each_column_its_own_clock(positions, d):
    angle = positions[..., None] / 10000 ** (torch.arange(d) / d)
    return torch.where(torch.arange(d) % 2 == 0, angle.sin(), angle.cos())


def _table_of_sinusoids(positions, d):
    """The rows of a table that is long enough."""
    return library.sinusoidal_encoding(int(positions.max()) + 1, d)[positions]


def _loop_sinusoids(positions, d):
    texts = []
    for text in positions.tolist():
        rows = []
        for pos in text:
            row = []
            for i in range(d // 2):
                angle = pos / 10000 ** (2 * i / d)
                row += [math.sin(angle), math.cos(angle)]
            rows.append(row)
        texts.append(rows)
    return torch.tensor(texts)


def _filled_sinusoids(positions, d):
    encoding = torch.zeros(*positions.shape, d)
    angle = positions.unsqueeze(2) * torch.exp(torch.arange(0, d, 2) * (-math.log(10000) / d))
    encoding[:, :, 0::2], encoding[:, :, 1::2] = angle.sin(), angle.cos()
    return encoding


SINUSOIDS = Exercise(
    id="3.1",
    title="A row of clocks",
    kind="implement",
    name="sinusoids",
    minutes=15,
    stars=1,
    cases=_sinusoid_cases,
    stages=(
        Stage("shape", "d numbers per position", 1, "(batch, length, d).", compare=shape_difference),
        Stage("two columns", "a single clock", 1, "with d = 2 there is one clock, and its exponent is 0."),
        Stage("all columns", "all clocks", 2, "print the angle of each column at position 1."),
    ),
    reference=_table_of_sinusoids,
    misconceptions=(
        Misconception(
            _sinusoids_with(places=lambda positions: torch.arange(positions.shape[1]).expand_as(positions)),
            "You count every text from 0, as if it stood at the left edge. Where each word stands is given.",
        ),
        Misconception(
            _sinusoids_with(places=lambda positions: positions[:1].expand_as(positions)),
            "All texts of your batch have the positions of the first one.",
        ),
        Misconception(
            _sinusoids_with(places=lambda positions: positions - positions[:, :1]),
            "You count from the first word of each text. Take the positions as they are given: it may be the second half of "
            "a longer one.",
        ),
        Misconception(
            _sinusoids_with(arrange=lambda sin, cos: torch.cat((sin, cos), dim=-1)),
            "Your numbers are right, but all sines come first and all cosines after them. The formula puts the sine and "
            "the cosine of a clock *beside* each other, in columns 2i and 2i + 1.",
        ),
        Misconception(
            _sinusoids_with(exponent=lambda i, d: i / d),
            "Your exponent is i/d. The column of a sine is 2i, and its exponent 2i/d: your clocks slow down half as fast "
            "as they should.",
        ),
        Misconception(
            _sinusoids_with(exponent=lambda i, d: 4 * i / d),
            "Your exponent is 4i/d. Did you take the number of the column for i, and double it once more?",
        ),
        Misconception(
            _each_column_its_own_clock,
            "Each of your columns has a clock of its own. Columns 2i and 2i + 1 *share* one, so that they are the sine and "
            "the cosine of the same angle.",
        ),
        Misconception(
            _sinusoids_with(arrange=lambda sin, cos: torch.stack((cos, sin), dim=-1).flatten(-2)),
            "Sine and cosine are exchanged: the even columns, 0, 2, 4 …, hold the sines.",
        ),
        Misconception(
            _sinusoids_with(places=lambda positions: positions + 1),
            "Your positions are one too large. At position 0 all sines are 0 and all cosines 1.",
        ),
        Misconception(
            _sinusoids_with(exponent=lambda i, d: -2 * i / d),
            "Your clocks get faster from left to right: the exponent has the wrong sign, or you multiply where you should "
            "divide.",
        ),
        Misconception(
            lambda positions, d: _sinusoids_with()(positions, d).mT,
            "Your result is transposed: the d numbers of a position belong in the last axis.",
        ),
    ),
    alternatives=(_loop_sinusoids, _filled_sinusoids),
    hints=(
        "Make a row with one frequency for each *clock*, d/2 in all. What must the shape of the positions become, so that each "
        "of them meets each clock?",
        "Numbers 0, 2, 4 … of the last axis are `encoding[..., 0::2]`, and one can assign to them.",
    ),
    success="Right. The same numbers are in the 2017 Transformer; nothing in them was learned.",
)


# ---------------------------------------------------------------------------------------------- 3.2 reading a clock


CLOCKS = Exercise(
    id="3.2",
    title="Reading the clocks",
    kind="predict",
    name="clocks",
    minutes=10,
    stars=1,
    stages=(
        Stage(
            "angle",
            "an angle",
            1,
            "which exponent has the second clock if d = 4?",
            lambda v: (v[0],),
            within(0.005),
        ),
        Stage(
            "wavelength",
            "a wavelength",
            1,
            "once round is 2π; by how much does the angle grow per position?",
            lambda v: (v[1],),
            within(1.0),
        ),
        Stage(
            "similarity", "a dot product", 1, "what is cos² + sin², and how many clocks are there?", lambda v: (v[2],)
        ),
    ),
    reference=(0.5, 200 * math.pi, 32),
    misconceptions=(
        Misconception(
            (5.0, 200 * math.pi, 32), "Your angle belongs to the exponent 1/4. For column 2 of d = 4 it is 2/4."
        ),
        Misconception(
            (50.0, 200 * math.pi, 32),
            "Your angle is that of the *first* clock, in columns 0 and 1. Column 2 is the next one.",
        ),
        Misconception(
            (0.005, 200 * math.pi, 32),
            "You divided by 10000 itself. The exponent 2i/d of the second clock is less than 1.",
        ),
        Misconception(
            (0.5, 100.0, 32), "After 100 positions the second clock has turned by 1, in radians. Once round is 2π."
        ),
        Misconception(
            (0.5, 2 * math.pi * 10000, 32),
            "That is the wave of a clock with the exponent 1, which d = 4 does not have.",
        ),
        Misconception(
            (0.5, 200 * math.pi, 1), "Each clock alone gives cos² + sin² = 1. How many clocks does d = 64 have?"
        ),
        Misconception(
            (0.5, 200 * math.pi, 64),
            "You counted columns. A clock takes two, and gives cos² + sin² = 1 for both together.",
        ),
        Misconception((0.5, 200 * math.pi, 0), "An encoding is not orthogonal to itself: this is a sum of squares."),
    ),
    hints=(
        "Column 2 is 2i with i = 1, so the exponent is 2/4, and $10000^{1/2} = 100$.",
        "Write down what one clock, a sine and a cosine, contributes to $P_{pos} \\cdot P_{pos}$. Does the position matter?",
    ),
    success="Right. All encodings have the same length, √(d/2): a position is a direction.",
)


# ------------------------------------------------------------------------------------------------------- 3.3 RoPE


def _rope_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def x(length: int, d: int, batch: int = 2, heads: int = 3) -> Tensor:
        return torch.randn(batch, heads, length, d, generator=generator)

    yield Case("one pair", (x(5, 2),))
    yield Case("one pair", (x(1, 2, batch=1, heads=1),))
    yield Case("all pairs", (x(6, 8),))
    yield Case("all pairs", (x(4, 4, batch=4, heads=4),))
    yield Case("start", (x(4, 6), 7))
    yield Case("start", (x(1, 6, batch=1, heads=1), 100 + seed % 7))  # the word that a cache has been waiting for


def _rope_with(
    *,
    pairs: Callable = lambda x: (x[..., 0::2], x[..., 1::2]),
    join: Callable = lambda one, other: torch.stack((one, other), dim=-1).flatten(-2),
    frequency: Callable = lambda i, d: 10000 ** (-2 * i / d),
    first: Callable = lambda start: start,
    turn: Callable = lambda a, b, cos, sin: (a * cos - b * sin, a * sin + b * cos),
) -> Callable:
    """The rotation written out, with one of its steps replaced."""

    def answer(x, start=0):
        length, d = x.shape[-2:]
        position = torch.arange(first(start), first(start) + length, dtype=torch.float64)
        angle = position[:, None] * frequency(torch.arange(d // 2, dtype=torch.float64), d)
        return join(*turn(*pairs(x), angle.cos().float(), angle.sin().float()))

    return answer


_HALVES = {"pairs": lambda x: x.chunk(2, dim=-1), "join": lambda one, other: torch.cat((one, other), dim=-1)}


def _rope_in_place(x, start=0):
    x.copy_(_rope_with()(x, start))
    return x


def _complex_rope(x, start=0):
    length, d = x.shape[-2:]
    frequency = 10000 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.outer(torch.arange(start, start + length, dtype=torch.float64), frequency)
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous()) * torch.exp(1j * angle)
    return torch.view_as_real(turned).flatten(-2).float()


def _matrix_rope(x, start=0):
    result = torch.zeros_like(x)
    for n in range(x.shape[-2]):
        for i in range(x.shape[-1] // 2):
            angle = (start + n) * 10000 ** (-2 * i / x.shape[-1])
            rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            result[..., n, 2 * i : 2 * i + 2] = x[..., n, 2 * i : 2 * i + 2] @ rotation.T
    return result


ROTARY = Exercise(
    id="3.3",
    title="Turn the pairs: RoPE",
    kind="implement",
    name="rotary",
    minutes=25,
    stars=3,
    cases=_rope_cases,
    stages=(
        Stage("one pair", "one pair of columns", 1, "(1, 0) turned by θ is (cos θ, sin θ); what becomes of (0, 1)?"),
        Stage(
            "all pairs", "all pairs, each at its speed", 2, "which columns form a pair, and how fast does each turn?"
        ),
        Stage("start", "positions that do not begin at 0", 1, "the first row stands at position `start`."),
    ),
    reference=lambda x, start=0: library.RoPE(x.shape[-1]).rotate(x, start),
    misconceptions=(
        Misconception(
            _rope_with(**_HALVES),
            "You pair column i with column i + d/2, as LLaMA's code does. Here neighbours form a pair, 2i and 2i + 1, as in "
            "the paper.",
        ),
        Misconception(
            _rope_with(turn=lambda a, b, cos, sin: (a * cos + b * sin, b * cos - a * sin)),
            "Your pairs turn the other way: by −θ. Scores between two turned vectors are the same, but one turned here "
            "would not fit one turned elsewhere.",
        ),
        Misconception(
            _rope_with(join=lambda one, other: torch.stack((other, one), dim=-1).flatten(-2)),
            "The two numbers of each pair are exchanged in your result.",
        ),
        Misconception(
            _rope_with(turn=lambda a, b, cos, sin: (a * cos - b * sin, a * cos + b * sin)),
            "Your second number is a·cos + b·sin. Test it with θ = 90°, where (a, b) must become (−b, a).",
        ),
        Misconception(
            _rope_with(frequency=lambda i, d: 10000 ** (-i / d)),
            "Your clocks slow down too slowly: the exponent of pair i is 2i/d.",
        ),
        Misconception(
            _rope_with(frequency=lambda i, d: torch.ones_like(i)),
            "All your pairs turn at the same speed. Pair i turns $10000^{2i/d}$ times more slowly than pair 0.",
        ),
        Misconception(
            _rope_with(first=lambda start: start + 1),
            "Your positions are one too large: the first row of a sequence stands at position 0 and is not turned at all.",
        ),
        Misconception(
            _rope_with(first=lambda start: 0),
            "`start` makes no difference in your answer. With a key/value cache the new word stands at position `start`.",
        ),
        Misconception(
            _rope_with(turn=lambda a, b, cos, sin: (a + cos, b + sin)),
            "You *add* the clock to the vector, as the sinusoidal encoding does. RoPE turns the vector itself.",
        ),
        Misconception(
            _rope_in_place,
            "Your function overwrites its argument: the queries that it was given are changed for everyone.",
        ),
    ),
    alternatives=(_complex_rope, _matrix_rope),
    hints=(
        "Split into `even = x[..., 0::2]` and `odd = x[..., 1::2]`; you need cosines and sines of shape (length, d/2).",
        "A point $(a, b)$ turned by θ is $(a \\cos θ - b \\sin θ,\\ a \\sin θ + b \\cos θ)$.",
        "The two new columns of a pair have to stand beside each other again. Along which axis do you stack, and which two axes "
        "then become one? Try it with the numbers of `torch.arange`.",
    ),
    success="Right. Queries and keys treated like this know their distance and nothing else: try a shift of both.",
)


# -------------------------------------------------------------------------------------------------- 3.4 T5's buckets


def _bucket_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    yield Case("near", (torch.arange(0, 16),))
    yield Case("future", (torch.arange(-20, 4),))
    yield Case("far", (torch.arange(16, 113),))
    yield Case("beyond", (torch.randint(100, 1000, (30,), generator=generator),))
    query, key = torch.arange(150, 150 + 3 * 40, 40), torch.arange(0, 200, 37)
    yield Case("beyond", (query[:, None] - key + seed % 5,))  # a table, as for a layer
    yield Case("beyond", (torch.tensor([[500]]),))


def _bucket_with(
    *,
    clip: Callable = lambda bucket: bucket.clamp(max=31),
    whole: Callable = torch.floor,
    octaves: Callable = lambda steps: torch.log(steps / 16) / math.log(128 / 16),
    future: Callable = lambda back: back.clamp(min=0),
) -> Callable:
    """T5's buckets for looking back, with one of the rule's parts replaced."""

    def answer(back):
        steps = future(back)
        far = clip(16 + whole(octaves(steps.clamp(min=1).float()) * 16).long())
        return torch.where(steps < 16, steps, far)

    return answer


def _loop_buckets(back):
    def one(steps: int) -> int:
        if steps < 16:
            return max(steps, 0)
        return min(31, 16 + int(math.log(steps / 16) / math.log(8) * 16 + 1e-9))

    return torch.tensor([one(steps) for steps in back.flatten().tolist()]).view(back.shape)


def _searched_buckets(back):
    first = torch.tensor([math.ceil(16 * 8 ** (j / 16) - 1e-9) for j in range(1, 16)])
    return torch.where(back < 16, back.clamp(min=0), 16 + torch.searchsorted(first, back, right=True))


BUCKETS = Exercise(
    id="3.4",
    title="T5's buckets",
    kind="implement",
    name="buckets",
    minutes=20,
    stars=2,
    cases=_bucket_cases,
    stages=(
        Stage("near", "a bucket for each near distance", 1, "distances 0 to 15 are their own bucket."),
        Stage("future", "keys that come later", 1, "looking back only, they all share bucket 0."),
        Stage("far", "wider and wider buckets", 2, "log(distance / 16), as a share of log(128 / 16), of 16 buckets."),
        Stage("beyond", "far keys, also in a table", 1, "the last bucket is 31; the result has the shape of `back`."),
    ),
    reference=lambda back: library.t5_bucket(-back, bidirectional=False),
    misconceptions=(
        Misconception(
            _bucket_with(clip=lambda bucket: bucket),
            "Your buckets go on beyond 31. There are 32 of them, and the last takes in everything that is farther away.",
        ),
        Misconception(
            _bucket_with(clip=lambda bucket: bucket.clamp(max=32)),
            "Your last bucket is number 32. Thirty-two buckets are numbered 0 to 31.",
        ),
        Misconception(
            _bucket_with(whole=torch.round),
            "You round to the nearest bucket. A bucket *begins* at its border: round down.",
        ),
        Misconception(
            _bucket_with(whole=torch.ceil),
            "You round up, so that each far bucket begins too early. Round down.",
        ),
        Misconception(
            _bucket_with(octaves=lambda steps: (steps - 16) / (128 - 16)),
            "Your far buckets are all equally wide. They should divide the *logarithm* of the distance evenly.",
        ),
        Misconception(
            _bucket_with(octaves=lambda steps: torch.log(steps) / math.log(128)),
            "You divide the logarithms without 16: the far buckets have to begin at distance 16, where log(distance/16) is "
            "0.",
        ),
        *(
            Misconception(
                _bucket_with(octaves=octaves),
                "Your far buckets have the wrong logarithm above or below the line: it is one share, log(distance/16) of "
                "log(128/16), so the base has to be the same in both.",
            )
            for octaves in (
                lambda steps: torch.log2(steps / 16) / math.log(128 / 16),
                lambda steps: torch.log(steps / 16) / math.log2(128 / 16),
                lambda steps: torch.log10(steps / 16) / math.log(128 / 16),
            )
        ),
        Misconception(
            _bucket_with(future=torch.abs),
            "Later keys get buckets of their own in your answer. Looking back only, they all share bucket 0.",
        ),
        Misconception(
            lambda back: back.clamp(0, 31),
            "You clip the distance at 31, as Shaw does. T5's far buckets get wider instead.",
        ),
    ),
    alternatives=(_loop_buckets, _searched_buckets),
    hints=(
        "Half of the 32 buckets, 0 to 15, hold one distance each. The other 16 start at distance 16.",
        "How far is the distance between 16 and 128 *on a logarithmic scale*? That share, times 16, rounded down, is the "
        "number of the bucket after 16.",
    ),
    success="Right. The logarithm spends detail where it matters: near words apart, far ones together.",
)


# ------------------------------------------------------------------------------------------- 3.5 repair the clipping


def _clip_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, batch, n, d, m in (("near", 2, 3, 5, 4), ("near", 1, 1, 3, 1), ("far", 2, 7, 5, 2), ("far", 1, 9, 4, 3)):
        query, key = torch.randn(2, batch, n, d, generator=generator)
        yield Case(stage, (query, key, torch.randn(2 * m + 1, d, generator=generator)))


def _shaw_scores_with(
    row: Callable = lambda distance, m: distance.clamp(-m, m) + m,
    scale: Callable = lambda d: math.sqrt(d),
    distance: Callable = lambda i, j: j - i,
) -> Callable:
    """Shaw's scores with the choice of the vector replaced; row r of `vectors` stands for the distance r − m."""

    def answer(query, key, vectors):
        m = len(vectors) // 2
        place = torch.arange(query.shape[1])
        rows = row(distance(place[:, None], place), m)
        scores = query @ key.transpose(1, 2) + torch.einsum("bqd,qkd->bqk", query, vectors[rows])
        return scores / scale(query.shape[-1])

    return answer


def _reference_shaw_scores(query, key, vectors):
    """By the formula, pair by pair: the library never shows its scores."""
    place = torch.arange(query.shape[1])
    m = len(vectors) // 2
    scores = torch.zeros(len(query), len(place), len(place))
    for i in place.tolist():
        for j in place.tolist():
            scores[:, i, j] = (query[:, i] * (key[:, j] + vectors[min(m, max(-m, j - i)) + m])).sum(-1)
    return scores / math.sqrt(query.shape[-1])


def _gathered_shaw_scores(query, key, vectors):
    m, n = len(vectors) // 2, query.shape[1]
    place = torch.arange(n)
    rows = (place - place[:, None]).clamp(-m, m) + m
    by_row = query @ vectors.T
    return (query @ key.mT + by_row.gather(-1, rows.expand(len(query), n, n))) / query.shape[-1] ** 0.5


REPAIR_CLIP = Exercise(
    id="3.5",
    title="Repair: the far keys",
    kind="repair",
    name="repaired_relative_scores",
    minutes=15,
    stars=2,
    cases=_clip_cases,
    stages=(
        Stage(
            "near", "still right for short sentences", 1, "no distance needs clipping here: do not change what works."
        ),
        Stage("far", "right for long sentences", 2, "print the row for every distance j − i from −6 to 6."),
    ),
    reference=_reference_shaw_scores,
    given=_shaw_scores_with(row=lambda distance, m: (distance + m) % (2 * m + 1)),
    misconceptions=(
        Misconception(
            _shaw_scores_with(row=lambda distance, m: (distance + m).clamp(max=2 * m)),
            "Keys far *after* the query are right now. Those far before it get a negative row, which Python counts from the "
            "end.",
        ),
        Misconception(
            _shaw_scores_with(row=lambda distance, m: (distance + m).clamp(0, m)),
            "You clip the row at m. Rows run from 0 to 2m, and row m is the distance 0.",
        ),
        Misconception(
            _shaw_scores_with(distance=lambda i, j: i - j),
            "Your distances have the wrong sign: they count from the key to the query.",
        ),
        Misconception(
            _shaw_scores_with(row=lambda distance, m: distance.abs().clamp(max=m) + m),
            "Before and after are the same in your answer. Shaw's distances have a sign.",
        ),
        Misconception(
            _shaw_scores_with(scale=lambda d: 1.0),
            "The scale has gone: both parts of the score are divided by √d.",
        ),
    ),
    alternatives=(_gathered_shaw_scores, _shaw_scores_with()),
    hints=(
        "With m = 2 and a distance of 3, which row does the remainder `%` choose? Which distance does that row stand for?",
        "Print the rows for the distances from −5 to 5 with m = 2, and beside them those that clipping asks for. Where do the two "
        "part?",
    ),
    success="Right. The faulty version wrapped around: a word far to the right was treated like one far to the left.",
)


# -------------------------------------------------------------------------------------------------------- 3.6 ALiBi


def _alibi_cases(seed: int) -> Iterator[Case]:
    yield Case("one head", (1, 4 + seed % 3))
    yield Case("one head", (1, 1))
    yield Case("slopes", (4, 5 + seed % 3))
    yield Case("slopes", (8, 9))
    yield Case("slopes", (3, 3))  # as many heads as places, and 8 is no multiple of them
    yield Case("slopes", (12, 1))


def _alibi_with(
    *,
    slope: Callable = lambda h, num_heads: 2 ** (-8 * (h + 1) / num_heads),
    penalty: Callable = lambda i, j: -(i - j).abs(),
) -> Callable:
    """ALiBi's bias for causal attention with its slopes or its penalty replaced."""

    def answer(num_heads, n):
        place = torch.arange(n)
        slopes = torch.tensor([float(slope(h, num_heads)) for h in range(num_heads)])
        bias = slopes[:, None, None] * penalty(place[:, None], place)
        return bias.masked_fill(place > place[:, None], -math.inf)

    return answer


def _alibi_visible(num_heads, n):
    place, slopes = torch.arange(n), 2.0 ** (-8 * torch.arange(1, num_heads + 1) / num_heads)
    return -slopes[:, None, None] * (place[:, None] - place).abs()


def _reference_alibi(num_heads, n):
    """By the formula: for numbers of heads that are no power of 2 the paper, and the library, take slopes in between."""
    return _alibi_with()(num_heads, n)


def _loop_alibi(num_heads, n):
    bias = torch.full((num_heads, n, n), -math.inf)
    for h in range(num_heads):
        for i in range(n):
            for j in range(i + 1):
                bias[h, i, j] = (j - i) * (2 ** (-8 / num_heads)) ** (h + 1)
    return bias


def _summed_alibi(num_heads, n):
    steps = torch.ones(n, n).tril(-1).flip(-1).cumsum(-1).flip(-1).tril()
    slopes = torch.logspace(-8 / num_heads, -8, num_heads, base=2)
    return -slopes.view(-1, 1, 1) * steps + torch.full((n, n), -math.inf).triu(1)


SLOPES = Exercise(
    id="3.6",
    title="Nearer counts more: ALiBi",
    kind="implement",
    name="alibi_bias",
    minutes=15,
    stars=2,
    cases=_alibi_cases,
    stages=(
        Stage("one head", "one head", 1, "with one head the slope is 2⁻⁸; the diagonal is 0, the future −∞."),
        Stage("slopes", "a slope for each head", 2, "print the slopes: for 8 heads they are 1/2, 1/4, … 1/256."),
    ),
    reference=_reference_alibi,
    ready_made=("largemodels.positions.ALiBi", "largemodels.positions.alibi_slopes"),
    misconceptions=(
        Misconception(
            _alibi_with(slope=lambda h, num_heads: 2 ** (-8 * h / num_heads)),
            "Your first slope is 1. Heads are counted from 1: the first of H heads has $2^{-8/H}$.",
        ),
        Misconception(
            _alibi_with(slope=lambda h, num_heads: 2 ** -(h + 1)),
            "Your slopes are 1/2, 1/4, … whatever the number of heads. They should end at 2⁻⁸ for the last head.",
        ),
        Misconception(
            _alibi_with(slope=lambda h, num_heads: 2 ** (-8 * (num_heads - h) / num_heads)),
            "Your slopes come in the opposite order: the first head has the steepest one.",
        ),
        Misconception(
            _alibi_with(slope=lambda h, num_heads: 2**-8),
            "All your heads have the same slope. Each has its own, from steep to nearly flat.",
        ),
        Misconception(
            _alibi_with(penalty=lambda i, j: -((i - j) ** 2)),
            "Your penalty grows with the *square* of the distance. It is linear, as the name says.",
        ),
        Misconception(
            lambda num_heads, n: _alibi_with()(num_heads, n).masked_fill(
                torch.ones(n, n, dtype=torch.bool).triu(1), 0.0
            ),
            "The table above the diagonal is 0 in your bias: later keys are neither hidden nor penalised. They get −∞.",
        ),
        Misconception(
            _alibi_with(slope=lambda h, num_heads: 2.0 ** -((8 // num_heads) * (h + 1))),
            "Your slopes divide 8 by the number of heads and throw the rest away (`//`). The exponent −8h/H need not be whole.",
        ),
        Misconception(
            _alibi_with(slope=lambda h, num_heads: -(2 ** (-8 * (h + 1) / num_heads))),
            "Your bias grows with the distance: far keys are *preferred*. It should be a penalty.",
        ),
        Misconception(
            _alibi_visible,
            "The future is still visible in your bias: with causal attention a later key gets −∞.",
        ),
        Misconception(
            lambda num_heads, n: _reference_alibi(num_heads, n).mT,
            "Your bias is transposed: queries belong in the rows, so the −∞ stand above the diagonal.",
        ),
        Misconception(
            _alibi_with(penalty=lambda i, j: -(i - j).abs() - 1),
            "Your own place costs you something already: the distance of a word to itself is 0.",
        ),
    ),
    alternatives=(_loop_alibi, _summed_alibi),
    hints=(
        "For H heads the slopes are $2^{-8/H}, 2^{-16/H}, \\dots, 2^{-8}$.",
        "Write the table for n = 3 and one head on paper. Which shape must the slopes have to multiply it once for each head?",
    ),
    success="Right. No parameters and no clocks, and yet it kept most of what it knew at eight times the length in section 3.10.",
)


# ---------------------------------------------------------------------------------------------------- 3.7 and 3.8

_LONGER = {
    "A": "Every position has a vector, but the layers above never met these combinations of clock hands in training.",
    "B": "The sines and cosines are not defined beyond the longest training sequence, so that the encoding ends there.",
    "C": "The encoding of position 100 is the same as that of some position below 16, so that the network cannot tell the "
    "two of them apart.",
    "D": "Attention weights no longer sum to 1 when there are more keys than in training, so that the outputs grow.",
    "E": "The dot product of two sinusoidal encodings stops depending on their distance beyond position 16.",
}

WHY_LONGER = Exercise(
    id="3.7",
    title="Defined, and yet it fails",
    kind="choose",
    name="why_longer_fails",
    minutes=5,
    stars=1,
    options=_LONGER,
    stages=(
        Stage(
            "choice", "the reason", 2, "which of the five statements is true of the formula, and which of the model?"
        ),
    ),
    reference="A",
    misconceptions=(
        Misconception("B", "B: a sine is defined for every number. It is a learned table that has no row to give."),
        Misconception("C", "C: the slow clocks differ. All hands together come back only after an enormous time."),
        Misconception("D", "D: a softmax sums to 1 over any number of keys."),
        Misconception(
            "E", "E: section 3.4 showed the opposite, at positions 0, 100 and 500: one row of similarities for all."
        ),
    ),
    hints=("Section 3.10 makes a difference between *defined* and *works*.",),
    success="A. A formula can be inductive while the network on top of it is not: the network has learned from the "
    "encodings that it has seen, and nothing told it what to do with others.",
)

_POSITIONS, _D_MODEL, _HEADS, _CLIP, _BUCKETS = 2048, 768, 16, 20, 64
_D_HEAD = _D_MODEL // _HEADS
_LEARNED, _SHAW, _T5 = _POSITIONS * _D_MODEL, 2 * (2 * _CLIP + 1) * _D_HEAD, _BUCKETS * _HEADS

TABLE_SIZES = Exercise(
    id="3.8",
    title="What does a position cost?",
    kind="predict",
    name="table_sizes",
    minutes=10,
    stars=1,
    stages=(
        Stage("learned", "a learned table", 1, "one vector for each position.", lambda v: v[0]),
        Stage(
            "shaw",
            "Shaw's vectors",
            1,
            "distances from −m to m, for keys and for values, in one head's width.",
            lambda v: v[1],
        ),
        Stage("t5", "T5's buckets", 1, "one number for each bucket and head, shared by all layers.", lambda v: v[2]),
    ),
    reference=(_LEARNED, _SHAW, _T5),
    misconceptions=(
        Misconception(
            (_POSITIONS, _SHAW, _T5), "You counted positions. Each of them has a whole vector of d_model numbers."
        ),
        Misconception(
            (_POSITIONS * _D_HEAD, _SHAW, _T5),
            "A learned vector is added to the input, which is d_model wide, not d_head.",
        ),
        Misconception((_LEARNED, _SHAW // 2, _T5), "You counted the vectors for keys, or for values. There are both."),
        Misconception(
            (_LEARNED, 2 * 2 * _CLIP * _D_HEAD, _T5), "From −20 to 20 there are 41 distances: 0 is one of them."
        ),
        Misconception(
            (_LEARNED, 2 * (2 * _CLIP + 1) * _D_MODEL, _T5),
            "Shaw's vectors are added to the keys and values of one head, d_head wide, and all heads share them.",
        ),
        Misconception((_LEARNED, _SHAW, _BUCKETS), "T5 has a number for each bucket *and each head*."),
        Misconception(
            (_LEARNED, _SHAW, _BUCKETS * _D_MODEL), "T5 adds a number to a score, and not a vector to a word."
        ),
    ),
    hints=(
        "What is added to what? A vector as wide as the input, a vector as wide as a head, a single number.",
        "Distances clipped at ±2 are −2, −1, 0, 1 and 2.",
    ),
    success="Right: one and a half million, four thousand, one thousand. Relative schemes are nearly free.",
)


# ----------------------------------------------------------------------------------------------- 3.9 FLOATER's path


def _slope(t: float, p: Tensor, W: Tensor, u: Tensor) -> Tensor:
    """Where the path goes on at time t from p, (d,): the notebook's own."""
    return W @ torch.tanh(p + t * u)


def _path_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def of(d: int, n: int, delta: float, substeps: int) -> tuple:
        """Numbers of order 1, none of them near 0, so that no slope is like another one."""
        start, u = torch.rand(2, d, generator=generator) - 0.5
        W = torch.randn(d, d, generator=generator)
        return start + start.sign() / 2, 1.5 * (W + W.sign()) / d, u + u.sign() / 2, n, delta, substeps

    yield Case("step", of(3, 2, 1.1, 1))
    yield Case("step", of(1, 2, 0.9, 1))
    yield Case("step", of(4, 1, 0.7, 1))
    yield Case("path", of(4, 5 + seed % 3, 0.8, 1))
    yield Case("path", of(2, 4, 0.9, 1))
    yield Case("substeps", of(3, 4, 1.5, 3))
    yield Case("substeps", of(4, 3, 1.4, 2))


def _reference_path(start, W, u, n, delta, substeps):
    return library.runge_kutta(partial(_slope, W=W, u=u), start, times=[i * delta for i in range(n)], substeps=substeps)


def _mean_slope(h: Callable, t: float, p: Tensor, s: float) -> Tensor:
    k1 = h(t, p)
    k2 = h(t + s / 2, p + s / 2 * k1)
    k3 = h(t + s / 2, p + s / 2 * k2)
    k4 = h(t + s, p + s * k3)
    return (k1 + 2 * k2 + 2 * k3 + k4) / 6


def _path_with(
    *,
    mean: Callable = _mean_slope,
    time: Callable = lambda i, k, delta, s: i * delta + k * s,
    step: Callable = lambda delta, substeps: delta / substeps,
    go: Callable = lambda s: s,
    steps: Callable = lambda substeps: substeps,
    rows: Callable = lambda points, substeps, n: points[::substeps],
    more: int = 0,
) -> Callable:
    """The method written out, with one of its parts replaced; `rows` chooses of all points that were met."""

    def answer(start, W, u, n, delta, substeps):
        points, p, s = [start], start, step(delta, substeps)
        for i in range(n - 1 + more):
            for k in range(steps(substeps)):
                p = p + go(s) * mean(partial(_slope, W=W, u=u), time(i, k, delta, s), p, s)
                points.append(p)
        return torch.stack(rows(points, steps(substeps), n))

    return answer


def _equal_weights(h, t, p, s):
    k1 = h(t, p)
    k2 = h(t + s / 2, p + s / 2 * k1)
    k3 = h(t + s / 2, p + s / 2 * k2)
    return (k1 + k2 + k3 + h(t + s, p + s * k3)) / 4


def _all_from_first(h, t, p, s):
    k1 = h(t, p)
    k2 = h(t + s / 2, p + s / 2 * k1)
    return (k1 + 4 * k2 + h(t + s, p + s * k2)) / 6


def _half_at_the_end(h, t, p, s):
    k1 = h(t, p)
    k2 = h(t + s / 2, p + s / 2 * k1)
    k3 = h(t + s / 2, p + s / 2 * k2)
    return (k1 + 2 * k2 + 2 * k3 + h(t + s, p + s / 2 * k3)) / 6


def _inner_points_without_s(h, t, p, s):
    k1 = h(t, p)
    k2 = h(t + s / 2, p + k1 / 2)
    k3 = h(t + s / 2, p + k2 / 2)
    return (k1 + 2 * k2 + 2 * k3 + h(t + s, p + k3)) / 6


def _each_from_start(start, W, u, n, delta, substeps):
    rows = [_path_with()(start, W, u, 2, i * delta, substeps)[-1] for i in range(1, n)]
    return torch.stack([start, *rows])


def _one_tensor(start, W, u, n, delta, substeps):
    return _reference_path(start, W, u, n, delta, substeps)[-1].repeat(n, 1)


def _recursive_path(start, W, u, n, delta, substeps):
    def after(count):
        """p after so many small steps."""
        if count == 0:
            return start
        p, s = after(count - 1), delta / substeps
        return p + s * _mean_slope(lambda t, p: W.mv((p + t * u).tanh()), (count - 1) * s, p, s)

    return torch.stack([after(i * substeps) for i in range(n)])


PATH = Exercise(
    id="3.9",
    title="FLOATER's path, step by step",
    kind="implement",
    name="floater_path",
    minutes=25,
    stars=3,
    cases=_path_cases,
    stages=(
        Stage("step", "a single step", 2, "print the four slopes of the first step, and where each one is taken."),
        Stage("path", "a whole path", 1, "at what time does the second step begin, and from which point?"),
        Stage("substeps", "smaller steps", 1, "how long is one of them, and which points are positions?"),
    ),
    reference=_reference_path,
    misconceptions=(
        Misconception(
            _path_with(mean=lambda h, t, p, s: h(t, p)),
            "You follow the slope at the beginning of each step: that is Euler's method. Here four slopes make one step.",
        ),
        Misconception(
            _path_with(mean=lambda h, t, p, s: h(t + s / 2, p + s / 2 * h(t, p))),
            "You go by one slope in the middle of the step. It is a method of second order; the one asked for weighs four.",
        ),
        Misconception(
            _path_with(mean=_equal_weights),
            "Your four slopes count the same. Look at their weights: what do they sum to, and which are the larger ones?",
        ),
        Misconception(
            _path_with(mean=_all_from_first),
            "Your third slope is the second one again. It is taken at another point: which slope leads there?",
        ),
        Misconception(
            _path_with(mean=_half_at_the_end),
            "Your fourth slope is taken half a step away. It belongs to the *end* of the step, in time and in place.",
        ),
        Misconception(
            _path_with(mean=_inner_points_without_s),
            "The points at which you ask for the slopes do not depend on the length of the step. A slope says how far the "
            "path goes in one unit of time: how much time has passed there?",
        ),
        Misconception(
            _path_with(mean=lambda h, t, p, s: _mean_slope(lambda _, q: h(t, q), t, p, s)),
            "All four slopes of a step have the time of its beginning. The path's direction changes with time, too: what "
            "time is it in the middle of a step, and at its end?",
        ),
        Misconception(
            _path_with(time=lambda i, k, delta, s: 0.0),
            "Every step of yours begins at time 0. The first is right, and then the clock stands still.",
        ),
        Misconception(
            _path_with(time=lambda i, k, delta, s: i),
            "You hand over the *number* of the position as the time. How much time passes between two positions?",
        ),
        Misconception(
            _path_with(time=lambda i, k, delta, s: i * delta),
            "The smaller steps between two positions all begin at the same time: only the first of them does.",
        ),
        Misconception(
            _path_with(step=lambda delta, substeps: delta),
            "Your smaller steps are as long as the way between two positions, so the path runs ahead of itself.",
        ),
        Misconception(
            _path_with(steps=lambda substeps: 1, step=lambda delta, substeps: delta),
            "`substeps` makes no difference in your table: you always go from one position to the next in one step.",
        ),
        Misconception(
            _path_with(go=lambda s: 1.0),
            "You add the mean slope itself. A slope is a way per time: how much of it is gone in a step of length s?",
        ),
        Misconception(
            _path_with(more=1, rows=lambda points, substeps, n: points[substeps::substeps]),
            "Your first row is already one position on. At position 0 the path is where it starts.",
        ),
        Misconception(
            _path_with(rows=lambda points, substeps, n: points),
            "Your table has a row for each small step. Only the points that are positions belong to it.",
        ),
        Misconception(
            _path_with(more=1),
            "Your table has one row too many: `n` positions, the first of which needs no step.",
        ),
        Misconception(
            _each_from_start,
            "You begin anew at `start` for each position and go there in ever longer steps. A path goes on from where it is.",
        ),
        Misconception(
            _one_tensor,
            "All your rows are the last position: one and the same tensor was changed in place and put into the table again "
            "and again.",
        ),
    ),
    alternatives=(_path_with(), _recursive_path),
    hints=(
        "Do one step by hand first, with n = 2 and substeps = 1. Which of its four slopes needs which other one?",
        "Two loops: over the positions, and over the small steps between two of them. What changes in the inner one besides p?",
        "Try an equation whose solution you know, such as a slope that is t alone. What should stand in row 3?",
    ),
    success="Right. Each position had to wait for the one before it: a table is looked up, a path has to be walked. It is the "
    "price of the three ticks in the lecture's last row.",
)


EXERCISES = (SINUSOIDS, CLOCKS, ROTARY, BUCKETS, REPAIR_CLIP, SLOPES, WHY_LONGER, TABLE_SIZES, PATH)

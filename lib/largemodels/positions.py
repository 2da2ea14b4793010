"""Positions: attention alone sees a set of words; here are seven ways to tell it their order, behind one interface.

Position can enter attention in four places, and each is one method of `Position`:

=============  ======================================  =====================================
place          method                                  schemes
=============  ======================================  =====================================
the input      ``add(x, start)``                       `Sinusoidal`, `Learned`, `FLOATER`
query and key  ``rotate(query_or_key, start)``         `RoPE`
the scores     ``bias(num_queries, num_keys)``         `T5Buckets`, `ALiBi`
the values     ``attend(query, key, value, ...)``      `Shaw` (and its scores, which depend on the query)
=============  ======================================  =====================================

A scheme overrides the methods it needs and inherits "change nothing" for the rest. A model calls ``position.add`` on
its embeddings and hands the scheme to `MultiHeadAttention`, which calls the other three. Positions count from 0, and
queries are always the *last* positions of the keys, so that one new query works with a cache of earlier keys.
"""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import at_least_float32, attention_weights, scaled_dot_product_attention
from largemodels.language import say


class Position(nn.Module):
    """No position at all, and the interface of every scheme: four places, each left as it is."""

    def add(self, x: Tensor, start: int = 0) -> Tensor:
        """Embeddings ``(batch, length, d_model)`` of the positions `start`, `start` + 1, … with position added."""
        return x

    def rotate(self, x: Tensor, start: int = 0) -> Tensor:
        """Queries or keys ``(batch, heads, length, d_head)`` of the positions `start`, … turned by their position."""
        return x

    def bias(self, num_queries: int, num_keys: int) -> Tensor | None:
        """What is added to the scores, ``(heads, query, key)``, or None."""
        return None

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        *,
        bias: Tensor | None = None,
        **options,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """`scaled_dot_product_attention` with this scheme's bias added to the caller's."""
        own = self.bias(query.shape[-2], key.shape[-2])
        if own is not None:
            own = own.to(query.dtype)
            bias = own if bias is None else own + bias
        return scaled_dot_product_attention(query, key, value, mask, bias=bias, **options)


# ---------------------------------------------------------------------------------------------- added to the input


def sinusoidal_encoding(
    n: int, d: int, *, start: int = 0, base: float = 10000.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """``(n, d)``: sines in the even columns, cosines in the odd ones, each pair (2i, 2i+1) turning at its own speed.

    P[pos, 2i] = sin(pos / base^(2i/d)) and P[pos, 2i+1] = cos(pos / base^(2i/d)), computed in float64 and then
    rounded to `dtype`: in float32 the angle of position 100,000 would already be wrong in the third decimal.
    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.

    Raises:
        ValueError: fewer than 1 position, an odd width (its last sine would have no cosine).
    """
    if n < 1:
        raise ValueError(f"an encoding needs at least 1 position, got n={n}")
    angle = _angles(n, d, start, base)  # (n, d/2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2).to(dtype)  # (n, d/2, 2) to (n, d)


class Sinusoidal(Position):
    """Sinusoids added to the input: no parameters, any length. Source: Vaswani et al. 2017, section 3.5."""

    def __init__(self, d_model: int, *, base: float = 10000.0):
        super().__init__()
        _check_even("d_model", d_model)
        self.d_model, self.base = d_model, base

    def add(self, x: Tensor, start: int = 0) -> Tensor:
        return x + kept_sinusoids(start, x.shape[-2], self.d_model, self.base, x.dtype, like=x)


class Learned(Position):
    """One learned vector for each position: ``max_length`` × ``d_model`` parameters, and no position beyond them.

    Source: Gehring et al. 2017 (arXiv 1705.03122), section 3.1; Devlin et al. 2018 (arXiv 1810.04805), section 3.
    """

    def __init__(self, max_length: int, d_model: int, *, std: float = 0.02):
        super().__init__()
        if max_length < 1:
            raise ValueError(f"learned positions need at least 1 position, got max_length={max_length}")
        self.weight = nn.Parameter(torch.empty(max_length, d_model))
        nn.init.normal_(self.weight, std=std)

    def add(self, x: Tensor, start: int = 0) -> Tensor:
        end, max_length = start + x.shape[-2], self.weight.shape[0]
        if end > max_length:
            raise ValueError(
                say(
                    "this sequence needs {count} positions, but only {most} were learned; shorten it, build the "
                    "model with a larger max_length, or choose a scheme without a limit",
                    count=end,
                    most=max_length,
                )
            )
        return x + self.weight[start:end]  # (batch, length, d_model) + (length, d_model)


def runge_kutta(
    derivative: Callable[[float, Tensor], Tensor], initial: Tensor, times: list[float], substeps: int = 1
) -> Tensor:
    """Solve dp/dt = derivative(t, p) from p(times[0]) = `initial`; return p at all `times`, ``(len(times), ...)``.

    The classical method of order 4 with fixed steps, `substeps` between two times: halving the step divides the error
    by about 16. Gradients flow through every step. Source: Hairer, Nørsett & Wanner 1993, section II.1.
    """
    p, solution = initial, [initial]
    for begin, end in itertools.pairwise(times):
        step = (end - begin) / substeps
        for k in range(substeps):
            t = begin + k * step
            slope_1 = derivative(t, p)
            slope_2 = derivative(t + step / 2, p + step / 2 * slope_1)
            slope_3 = derivative(t + step / 2, p + step / 2 * slope_2)
            slope_4 = derivative(t + step, p + step * slope_3)
            p = p + step / 6 * (slope_1 + 2 * slope_2 + 2 * slope_3 + slope_4)
        solution.append(p)
    return torch.stack(solution)


class FLOATER(Position):
    """Positions on one continuous path p(t), the solution of dp/dt = h(t, p; θ), where h is a small network.

    Position i is p(i·`delta`). The path has as many parameters as h, however long it grows, and goes on beyond the
    lengths of training. Source: Liu, Yu, Dhillon & Hsieh 2020 (arXiv 2003.09229), section 3.

    Simplified: the path is added to the input only (the paper also adds one, with θ shared, to the queries, keys and
    values of every block); p(0) is a parameter; gradients go through the solver's steps, where the paper uses the
    adjoint method to save memory. Each position costs four evaluations of h, one after the other; with the default
    step of 0.25 the untrained path is off by less than 0.005 after 128 positions, in numbers of order 1.

    h starts as dp/dt = S·tanh(p) with an antisymmetric S, which turns p and makes it neither vanish nor grow: Σ log
    cosh pᵢ is constant, since its derivative is tanh(p)·S·tanh(p) = 0. (This start is our own choice. With it, and with
    delta 0.5, the small model of chapter 3 learned to look a fixed distance back with five seeds of five; with torch's
    usual start, with one of five.)

    Args:
        d_model: width of the encoding, and of h's hidden layer.
        delta: time between two positions.
        substeps: steps of `runge_kutta` between two positions.
    """

    def __init__(self, d_model: int, *, delta: float = 0.25, substeps: int = 1):
        super().__init__()
        if delta <= 0 or substeps < 1:
            raise ValueError(f"time must advance: delta > 0 and substeps ≥ 1, got delta={delta}, substeps={substeps}")
        self.delta, self.substeps = delta, substeps
        self.initial = nn.Parameter(torch.randn(d_model))
        self.inner, self.outer = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.time = nn.Parameter(torch.zeros(d_model))
        with torch.no_grad():
            random = torch.randn(d_model, d_model)
            self.inner.weight.copy_(torch.eye(d_model))
            self.outer.weight.copy_((random - random.T) / math.sqrt(2 * d_model))
            self.inner.bias.zero_()
            self.outer.bias.zero_()

    def dynamics(self, t: float, p: Tensor) -> Tensor:
        """h(t, p; θ): how fast and in which direction the encoding moves at time t. (..., d_model) to (..., d_model)."""
        return self.outer(torch.tanh(self.inner(p) + t * self.time))

    def encoding(self, n: int) -> Tensor:
        """``(n, d_model)``: the path at the first `n` positions."""
        times = [i * self.delta for i in range(n)]
        return runge_kutta(self.dynamics, self.initial[None], times, self.substeps)[:, 0]

    def add(self, x: Tensor, start: int = 0) -> Tensor:
        return x + self.encoding(start + x.shape[-2])[start:]


# -------------------------------------------------------------------------------------- rotating queries and keys


class RoPE(Position):
    """Rotary positions: each pair (2i, 2i+1) of a query or key is turned by the angle pos / base^(2i/d_head).

    Two turned vectors meet at the *difference* of their angles, so a score depends on the distance alone.
    Pairs are neighbours, as in the paper and in GPT-J; LLaMA and GPT-NeoX pair i with i + d_head/2, which is the
    same up to the order of the columns. Source: Su et al. 2021 (arXiv 2104.09864), section 3.2.2 and equation 34.
    """

    def __init__(self, d_head: int, *, base: float = 10000.0):
        super().__init__()
        _check_even("d_head", d_head)
        self.d_head, self.base = d_head, base

    def rotate(self, x: Tensor, start: int = 0) -> Tensor:
        if x.shape[-1] != self.d_head:
            raise ValueError(f"these rotations turn heads of width {self.d_head}, got {x.shape[-1]}")
        cos, sin = _turns(start, x.shape[-2], self.d_head, self.base, like=x)  # each (length, d_head/2)
        even, odd = x[..., 0::2], x[..., 1::2]  # each (batch, heads, length, d_head/2)
        turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)  # (…, d_head/2, 2)
        return turned.flatten(-2)


# ---------------------------------------------------------------------------------------------- added to the scores


def t5_bucket(
    distance: Tensor, *, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128
) -> Tensor:
    """The bucket of each distance (key position − query position): one each for near keys, then wider and wider ones.

    Half of the buckets hold one distance each, the other half divide the distances up to `max_distance` evenly by
    their logarithm, and the last one holds everything beyond. If `bidirectional`, the first half of all buckets is
    for keys at and before the query and the second for keys after it; otherwise later keys share bucket 0.
    Source: Raffel et al. 2020 (arXiv 1910.10683), section 2.1; the exact formula is in the authors' code.
    """
    if bidirectional:
        num_buckets //= 2
    steps = distance.abs() if bidirectional else (-distance).clamp(min=0)
    exact = num_buckets // 2
    # float32 and this order of operations, as in the authors' code, so that the borders fall where theirs do.
    octaves = torch.log(steps.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (octaves * (num_buckets - exact)).long()).clamp(max=num_buckets - 1)
    bucket = torch.where(steps < exact, steps, far)  # (query, key)
    return bucket + num_buckets * (distance > 0) if bidirectional else bucket


class T5Buckets(Position):
    """A learned number for each head and each bucket of distances, added to the scores.

    T5 shares one table among all layers: give all of them the same object. Source: Raffel et al. 2020, section 2.1.
    """

    def __init__(self, num_heads: int, *, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128):
        super().__init__()
        exact = num_buckets // 4 if bidirectional else num_buckets // 2
        if exact < 1 or max_distance <= exact:
            raise ValueError(
                f"{num_buckets} buckets keep {exact} distances apart, which must be at least 1 and less than "
                f"max_distance={max_distance}; choose at least 4 buckets and a larger max_distance"
            )
        self.bidirectional, self.num_buckets, self.max_distance = bidirectional, num_buckets, max_distance
        self.weight = nn.Parameter(torch.zeros(num_buckets, num_heads))

    def bias(self, num_queries: int, num_keys: int) -> Tensor:
        bucket = t5_bucket(
            _distance(num_queries, num_keys, self.weight.device),
            bidirectional=self.bidirectional,
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
        )
        return self.weight[bucket].permute(2, 0, 1)  # (query, key, heads) to (heads, query, key)


def alibi_slopes(num_heads: int) -> Tensor:
    """``(num_heads,)``: 2^(−8/h), 2^(−16/h), … 2^(−8) for a power of two h.

    Other numbers of heads take the slopes of the power of two below and, between them, every second slope of the
    power of two above. Source: Press, Smith & Lewis 2021 (arXiv 2108.12409), section 3 and the authors' code.
    """
    if num_heads < 1:
        raise ValueError(f"ALiBi needs at least one head, got num_heads={num_heads}")
    below = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    between = [2 ** (-4 * (i + 1) / below) for i in range(0, 2 * below, 2)]
    return torch.tensor((slopes + between)[:num_heads])


class ALiBi(Position):
    """Scores lose a fixed amount for each step of distance: −slope·|i − j|, a different slope in each head.

    No parameters. The paper is about causal attention; looking both ways, this takes the same penalty on both sides.
    Source: Press, Smith & Lewis 2021 (arXiv 2108.12409), section 3.
    """

    place: Tensor

    def __init__(self, num_heads: int):
        super().__init__()
        alibi_slopes(num_heads)  # an error for a wrong number
        self.num_heads = num_heads
        # Empty: it moves with the model from device to device, and the bias is made where it is.
        self.register_buffer("place", torch.empty(0), persistent=False)

    @property
    def slopes(self) -> Tensor:
        """``(num_heads,)``"""
        return -_penalties(1, 1, self.num_heads, like=at_least_float32(self.place)).flatten()

    def bias(self, num_queries: int, num_keys: int) -> Tensor:
        if num_queries == 1 and num_keys > 0:  # a token of generation: distances num_keys − 1, …, 1, 0
            penalties = _penalties(0, num_keys, self.num_heads, like=at_least_float32(self.place))
            return penalties.flip(-2).transpose(-2, -1)
        return -self.slopes[:, None, None] * _distance(num_queries, num_keys, self.place.device).abs()


# ------------------------------------------------------------------------------ added to the scores and the values


class Shaw(Position):
    """A learned vector for each distance, clipped to ±`max_distance`, added to the key (in the score) and the value.

    score = q·(k + a^K) / √d and output = Σ weight·(v + a^V), where a depends on the distance between the two positions
    only. All heads share the vectors. Source: Shaw, Uszkoreit & Vaswani 2018 (arXiv 1803.02155), equations 3 to 5.
    """

    def __init__(self, d_head: int, *, max_distance: int = 16):
        super().__init__()
        if max_distance < 1:
            raise ValueError(f"relative positions need a clipping distance of at least 1, got {max_distance}")
        self.max_distance = max_distance
        # Row r stands for the distance r − max_distance (key position − query position).
        self.key_vectors = nn.Parameter(torch.empty(2 * max_distance + 1, d_head))
        self.value_vectors = nn.Parameter(torch.empty(2 * max_distance + 1, d_head))
        nn.init.xavier_uniform_(self.key_vectors)
        nn.init.xavier_uniform_(self.value_vectors)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        *,
        bias: Tensor | None = None,
        scale: float | None = None,
        dropout: float = 0.0,
        return_weights: bool = False,
        **options,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """As `scaled_dot_product_attention`; the vectors of the pairs (query, key, d_head) are never stored.

        There are only 2·`max_distance` + 1 different ones, so each query meets each of them once, the scores are
        *gathered* by distance, and weights of equal distance are *summed* before they meet the value vectors.
        """
        distance = _distance(query.shape[-2], key.shape[-2], query.device)
        row = distance.clamp(-self.max_distance, self.max_distance) + self.max_distance  # (query, key)
        row = row.expand(*query.shape[:-2], -1, -1)
        scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        by_row = query @ self.key_vectors.T * scale  # (..., query, 2·max_distance + 1)
        own = by_row.gather(-1, row)
        bias = own if bias is None else own + bias
        weights = attention_weights(query, key, mask, bias=bias, scale=scale, **options)
        used = F.dropout(weights, dropout)  # a weight that is dropped reads neither the value nor the distance's vector
        summed = torch.zeros_like(by_row).scatter_add(-1, row, used)
        output = used @ value + summed @ self.value_vectors
        return (output, weights) if return_weights else output


# ------------------------------------------------------------------------------------------------ all of them by name

SCHEMES: dict[str, Callable[..., Position]] = {
    "none": lambda d_model, num_heads, max_length: Position(),
    "sinusoidal": lambda d_model, num_heads, max_length, **settings: Sinusoidal(d_model, **settings),
    "learned": lambda d_model, num_heads, max_length, **settings: Learned(max_length, d_model, **settings),
    "shaw": lambda d_model, num_heads, max_length, **settings: Shaw(d_model // num_heads, **settings),
    "floater": lambda d_model, num_heads, max_length, **settings: FLOATER(d_model, **settings),
    "t5": lambda d_model, num_heads, max_length, **settings: T5Buckets(num_heads, **settings),
    "rope": lambda d_model, num_heads, max_length, **settings: RoPE(d_model // num_heads, **settings),
    "alibi": lambda d_model, num_heads, max_length: ALiBi(num_heads),
}


def position_scheme(name: str, d_model: int, num_heads: int, max_length: int, **settings) -> Position:
    """The scheme called `name`, a key of `SCHEMES`; `settings` go to its class, such as ``max_distance`` of `Shaw`.

    `max_length` limits "learned" only.
    """
    if name not in SCHEMES:
        raise ValueError(f"no position scheme is called {name!r}; choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name](d_model, num_heads, max_length, **settings)


LONGEST_KEPT = 2**13  # positions; longer tables are seldom needed, and are made anew each time


def kept(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``make(start, n, *settings)`` as numbers that are made once for all models, and lie on the device that wants them.

    For what depends on the positions alone, and on nothing that is learned: there is nothing to keep up to date, to
    save or to load. `make` gives the positions start … start + n − 1 in its last axis but one. What comes out takes the
    dtype and the device of `like`.
    """

    @lru_cache(maxsize=32)
    @torch.inference_mode(False)  # else training after a generation could not use it
    def table(n: int, settings: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
        return make(0, n, *settings).to(device, dtype)

    def rows(start: int, n: int, *settings, like: Tensor) -> Tensor:
        # While a model is compiled, exported or traced, lengths and tensors are symbols, of which nothing must remain.
        symbols = torch.compiler.is_compiling() or torch.jit.is_tracing() or type(like) is not Tensor
        if symbols or start + n > LONGEST_KEPT:
            return make(start, n, *settings).to(like.device, like.dtype)
        end = start + n
        size = max(64, 1 << (end - 1).bit_length())  # a power of two, so that few of them are made
        return table(size, settings, like.dtype, like.device)[..., start:end, :]

    return rows


@kept
def kept_sinusoids(start: int, n: int, d: int, base: float, dtype: torch.dtype) -> Tensor:
    return sinusoidal_encoding(n, d, start=start, base=base, dtype=dtype)


@kept
def _turns(start: int, n: int, d: int, base: float) -> Tensor:
    """``(2, n, d/2)``: cosine and sine of each angle."""
    angle = _angles(n, d, start, base)
    return torch.stack((angle.cos(), angle.sin()))


@kept
def _penalties(start: int, n: int, num_heads: int) -> Tensor:
    """``(heads, n, 1)``: what is added to the scores of a head at the distances start, start + 1, …; at most 0."""
    return -alibi_slopes(num_heads)[:, None, None] * torch.arange(start, start + n)[:, None]


def _angles(n: int, d: int, start: int, base: float) -> Tensor:
    """``(n, d/2)`` in float64: angle of pair i at positions start … start + n − 1."""
    _check_even("the width", d)
    frequency = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    return torch.arange(start, start + n, dtype=torch.float64)[:, None] * frequency


def _distance(num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """``(query, key)``: key position − query position, the queries being the last of the keys' positions."""
    if num_queries > num_keys:
        raise ValueError(
            f"{num_queries} queries cannot be the last positions of {num_keys} keys; relative positions are for "
            "self-attention, build cross-attention without them"
        )
    position = torch.arange(num_keys, device=device)
    return position - position[num_keys - num_queries :, None]


def _check_even(name: str, width: int) -> None:
    if width < 2 or width % 2:
        even = max(2, width + width % 2)
        raise ValueError(
            f"sines and cosines come in pairs, so {name} must be even and at least 2, got {width}; use {even}"
        )

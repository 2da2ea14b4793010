"""Attention: each position asks a question, compares it with every key, and takes a weighted mean of the values.

Three ways to compare a query with a key (`DotScore`, `BilinearScore`, `AdditiveScore`), one way to turn scores into
weights (`masked_softmax`), the combination that the models of this course use (`scaled_dot_product_attention`), and the
layer built from it (`MultiHeadAttention`, with a `KeyValueCache` for generation).

Shapes are ``(..., query, d_head)`` for queries, ``(..., key, d_head)`` for keys, ``(..., query, key)`` for scores and
weights, where ``...`` is ``(batch, heads)`` in a model. A mask is boolean and **True means "may attend"**.
"""

import math
from typing import TYPE_CHECKING, Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:  # positions are read after attention
    from largemodels.positions import Position


class DotScore(nn.Module):
    """Score = q·k: no parameters, and the query must live in the same space as the key.

    Source: Luong, Pham & Manning 2015 (arXiv 1508.04025), section 3.1, *dot*.
    """

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """(..., query, d) and (..., key, d) to (..., query, key)."""
        _check_float(query=query, key=key)
        if query.shape[-1] != key.shape[-1]:
            raise ValueError(
                f"a dot product needs query and key of the same width, got {query.shape[-1]} and {key.shape[-1]}; "
                "use BilinearScore or AdditiveScore for different widths"
            )
        return query @ key.transpose(-2, -1)


class BilinearScore(nn.Module):
    """Score = qᵀ W k: a learned matrix W decides which direction of the query matches which direction of the key.

    Source: Luong, Pham & Manning 2015 (arXiv 1508.04025), section 3.1, *general*.
    """

    def __init__(self, d_query: int, d_key: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_query, d_key))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """(..., query, d_query) and (..., key, d_key) to (..., query, key)."""
        _check_float(query=query, key=key)
        _check_width("query", query, self.weight.shape[0])
        _check_width("key", key, self.weight.shape[1])
        return query @ self.weight @ key.transpose(-2, -1)


class AdditiveScore(nn.Module):
    """Score = v·tanh(W_q q + W_k k + b): a small multi-layer perceptron looks at the pair.

    Source: Bahdanau, Cho & Bengio 2014 (arXiv 1409.0473), appendix A.1.2. Its formulas are written without biases, "in
    order to increase readability" (appendix A.2). They matter: without b the score is an odd function, −q and −k give
    the negative score, while q·k is even.
    """

    def __init__(self, d_query: int, d_key: int, d_hidden: int, *, bias: bool = True):
        super().__init__()
        self.query = nn.Linear(d_query, d_hidden, bias=bias)  # the bias of a sum: one of the two layers has it
        self.key = nn.Linear(d_key, d_hidden, bias=False)
        self.score = nn.Linear(d_hidden, 1, bias=False)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """(..., query, d_query) and (..., key, d_key) to (..., query, key)."""
        _check_float(query=query, key=key)
        _check_width("query", query, self.query.in_features)
        _check_width("key", key, self.key.in_features)
        # Every query meets every key: (..., query, 1, hidden) + (..., 1, key, hidden).
        hidden = torch.tanh(self.query(query).unsqueeze(-2) + self.key(key).unsqueeze(-3))
        return self.score(hidden).squeeze(-1)


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Turn scores ``(..., query, key)`` into weights that are 0 where `mask` is False and sum to 1 over the keys.

    A query that may attend to nothing gets a row of zeros: finite, and with a gradient of zero.
    """
    if mask is None:
        return scores.softmax(dim=-1)
    _check_mask(mask, scores.shape)
    # The most negative finite number, not −∞: a row without any key would otherwise be 0/0 = NaN, and so would its
    # gradient. exp() of it is exactly 0 in every row that has a key.
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1)  # (..., query, key)
    return weights.masked_fill(~mask, 0.0)


# For type checkers: what `return_weights` decides. The function itself follows.
# fmt: off
@overload
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool = ..., band: int | None = ...,
    bias: Tensor | None = ..., scale: float | None = ..., dropout: float = ..., return_weights: Literal[False] = False,
) -> Tensor: ...
@overload
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool = ..., band: int | None = ...,
    bias: Tensor | None = ..., scale: float | None = ..., dropout: float = ..., return_weights: Literal[True],
) -> tuple[Tensor, Tensor]: ...
@overload
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool = ..., band: int | None = ...,
    bias: Tensor | None = ..., scale: float | None = ..., dropout: float = ..., return_weights: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...
# fmt: on


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    band: int | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    return_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √d_k + bias) V, with masked keys left out.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.

    Args:
        query: ``(..., query, d_head)``.
        key: ``(..., key, d_head)``.
        value: ``(..., key, d_value)``.
        mask: boolean, broadcastable to ``(..., query, key)``; True = may attend. A query that may attend to nothing
            gets an output of zeros.
        causal: additionally forbid every key after the query. The queries are the *last* positions of the keys, so
            that one new query may see all keys of a cache.
        band: if `causal`, a query sees only the last `band` keys up to itself (`masks.banded_causal_mask`). Memory
            and time then grow with length · band, unless a mask, a bias or the weights need all the scores.
        bias: added to the scaled scores, broadcastable to ``(..., query, key)``.
        scale: replaces 1/√d_head.
        dropout: probability of dropping a weight; 0 outside training.
        return_weights: also return the weights ``(..., query, key)``; without them a fused kernel computes the same
            output and never stores them.

    Returns:
        The output ``(..., query, d_value)``, or ``(output, weights)``.

    Raises:
        TypeError: inputs that are not floating point, a mask that is not boolean.
        ValueError: widths or lengths that do not fit, a mask or bias that does not broadcast, a band below 1 or
            without `causal`.
    """
    _check_attention(query, key, value)
    _check_mask_and_bias(query, key, mask, bias)
    _check_band(band, causal)
    if return_weights:
        weights = attention_weights(query, key, mask, causal=causal, band=band, bias=bias, scale=scale)
        return F.dropout(weights, dropout) @ value, weights  # (..., query, d_value), (..., query, key)

    num_queries, num_keys = query.shape[-2], key.shape[-2]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    fused = mask is None and bias is None
    # A program that is exported for all lengths cannot go one way for short texts and another for long ones.
    exporting = torch.compiler.is_exporting()
    if band is not None and not exporting and num_keys <= band:
        band = None  # it holds the whole text
    if band is not None and not exporting and fused and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        return _banded_attention(query, key, value, band, scale, dropout)
    kernel_causal = False
    if causal and fused and band is None and num_queries == num_keys:
        # The fused kernel has a causal mode of its own, faster than a mask, for as many queries as keys. (It needs the
        # constant True: while a model is compiled, lengths are symbols, and so is the result of comparing them.)
        kernel_causal = True
    elif causal:
        mask = _and_past(mask, num_queries, num_keys, band, query.device)

    # The kernel wants masks and biases with both axes, of queries and of keys.
    mask = None if mask is None else torch.atleast_2d(mask)
    if bias is not None:
        bias = torch.atleast_2d(bias.to(query.dtype))
        if mask is not None:
            # The kernel takes a mask or a bias, not both: a bias of −∞ is a mask (the kernel gives empty rows zeros
            # too).
            bias = bias.masked_fill(~mask, -math.inf)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask if bias is None else bias,
        dropout_p=dropout,
        is_causal=kernel_causal,
        scale=scale,
    )


def attention_weights(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    band: int | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """softmax(Q Kᵀ / √d_k + bias), ``(..., query, key)``: the weights alone, as `scaled_dot_product_attention` uses them.

    The scores are computed in at least float32, as in the fused kernel: in float16 a score of 65,520 is infinite.
    """
    _check_mask_and_bias(query, key, mask, bias)
    _check_band(band, causal)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if causal:
        mask = _and_past(mask, query.shape[-2], key.shape[-2], band, query.device)
    scores = at_least_float32(query) @ at_least_float32(key).transpose(-2, -1) * scale  # (..., query, key)
    if bias is not None:  # a bias of −∞ is a mask: here, too, a row that has nothing else gives zeros
        seen = bias != -math.inf
        mask = seen if mask is None else mask & seen
    weights = masked_softmax(scores if bias is None else scores + bias.to(scores.dtype), mask)
    return weights.to(query.dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16, which have few digits, as float32; other dtypes unchanged. Sums need the digits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _and_past(
    mask: Tensor | None, num_queries: int, num_keys: int, band: int | None, device: torch.device
) -> Tensor | None:
    """The mask, if there is one, and no key after the query, nor before its band; the queries are the last positions."""
    if num_queries == 1 and band is None:
        return mask  # the last position sees all others
    past = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril(num_keys - num_queries)
    if band is not None:
        past = past.triu(num_keys - num_queries - band + 1)
    return past if mask is None else mask & past


def _banded_attention(query: Tensor, key: Tensor, value: Tensor, band: int, scale: float, dropout: float) -> Tensor:
    """Causal attention within a band. The queries are cut into chunks, and a chunk reads only the keys it can see.

    The chunks' windows on the keys overlap: they are views, not copies. All chunks go through the kernel at once, in
    the place of its heads.
    """
    num_queries = query.shape[-2]
    reach = num_queries + band - 1  # together the queries see no more than the last `reach` keys
    key, value = key[..., -reach:, :], value[..., -reach:, :]
    if num_queries <= 1:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)

    chunk = min(num_queries, max(band, 64))  # with fewer than 64 queries a chunk is too little work for the kernel
    window = chunk + band - 1  # how many keys the queries of a chunk see together
    end = -num_queries % chunk  # padding that fills the last chunk
    begin = reach - key.shape[-2]  # padding in place of the keys before the first
    queries = F.pad(query, (0, 0, 0, end)).unflatten(-2, (-1, chunk))  # (..., chunks, chunk, d)
    keys, values = (
        F.pad(x, (0, 0, begin, end)).unfold(-2, window, chunk).transpose(-2, -1) for x in (key, value)
    )  # (..., chunks, window, d)
    queries, keys, values = (x.reshape(-1, *x.shape[-3:]) for x in (queries, keys, values))  # (batch·heads, chunks, …)

    num_chunks = queries.shape[-3]
    i, j = (torch.arange(n, device=query.device) for n in (chunk, window))
    seen = (j >= i[:, None]) & (j < i[:, None] + band)  # query i's own key is j = i + band - 1
    real = torch.arange(num_chunks, device=query.device)[:, None, None] * chunk + j >= begin
    attended = F.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=(seen & real)[None],  # (1, chunks, chunk, window)
        dropout_p=dropout,
        scale=scale,
    )
    return attended.flatten(1, 2)[:, :num_queries].reshape(*query.shape[:-1], value.shape[-1])


class KeyValueCache:
    """The keys and values of the positions already seen, so that a new position computes only its own.

    Memory for `max_length` positions is allocated once, at the first `append`; later ones write into it. For
    generation, under ``torch.no_grad()``: the writes are in place.
    """

    def __init__(self, max_length: int):
        if max_length < 1:
            raise ValueError(f"a cache needs room for at least 1 position, got max_length={max_length}")
        self.max_length = max_length
        self.length = 0
        self.key: Tensor | None = None  # (batch, heads, max_length, d_head)
        self.value: Tensor | None = None
        self.spare: tuple[Tensor, Tensor] | None = None  # memory for another pair, once rows are re-ordered

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add ``(batch, heads, new, d_head)`` ; return all so far, ``(batch, heads, length, d_head)``."""
        if self.key is None or self.value is None:
            self.key = key.new_empty(*key.shape[:2], self.max_length, key.shape[-1])
            self.value = value.new_empty(*value.shape[:2], self.max_length, value.shape[-1])
        if key.shape[:2] != self.key.shape[:2]:
            raise ValueError(
                f"the cache holds (batch, heads) = {tuple(self.key.shape[:2])}, the new keys have "
                f"{tuple(key.shape[:2])}; start a new KeyValueCache for a new batch"
            )
        start, self.length = self.length, self.length + key.shape[2]
        if self.length > self.max_length:
            self.length = start
            raise ValueError(
                f"{start} cached + {key.shape[2]} new positions exceed "
                f"max_length={self.max_length}; make the cache longer"
            )
        self.key[:, :, start : self.length] = key
        self.value[:, :, start : self.length] = value
        return self.key[:, :, : self.length], self.value[:, :, : self.length]

    def repeat(self, n: int) -> None:
        """Each sentence `n` times, one after the other: from one sentence to its `n` beams."""
        if self.key is not None and self.value is not None:  # else nothing has been seen
            self.key, self.value = self.key.repeat_interleave(n, dim=0), self.value.repeat_interleave(n, dim=0)
        self.spare = None  # it was for fewer rows

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was: a beam continues another one.

        The positions seen so far are copied once, into the spare pair, and the two pairs are exchanged. To move only
        the rows that change, within one pair, takes three times as long: they have to be read before they are written.
        """
        if self.key is None or self.value is None:
            return  # nothing has been seen
        if self.spare is None:
            self.spare = torch.empty_like(self.key), torch.empty_like(self.value)
        old, new = (self.key, self.value), self.spare
        for source, target in zip(old, new, strict=True):
            torch.index_select(source[:, :, : self.length], 0, rows, out=target[:, :, : self.length])
        (self.key, self.value), self.spare = new, old


class MultiHeadAttention(nn.Module):
    """`num_heads` attentions side by side, each in its own subspace, joined by an output projection W^O.

    Self-attention when called with one sequence, cross-attention when called with a `context` to read from.
    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.2.

    Args:
        d_model: width of the input and output.
        num_heads: number of heads.
        d_head: width of one head; ``d_model // num_heads`` unless given.
        d_context: width of the context for cross-attention; `d_model` unless given.
        bias: whether the projections of query, key and value have a bias.
        output_bias: whether the output projection has one; as `bias` unless given.
        scale: replaces 1/√d_head.
        dropout: probability of dropping an attention weight in training.
        position: a scheme from `largemodels.positions` that tells queries and keys of one sequence where they stand.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        d_head: int | None = None,
        d_context: int | None = None,
        bias: bool = True,
        output_bias: bool | None = None,
        scale: float | None = None,
        dropout: float = 0.0,
        position: "Position | None" = None,
    ):
        super().__init__()
        if num_heads < 1:
            raise ValueError(f"attention needs at least one head, got num_heads={num_heads}")
        if d_head is not None and d_head < 1:
            raise ValueError(
                f"a head needs a width of at least 1, got d_head={d_head}; None takes d_model // num_heads"
            )
        if d_head is None and d_model % num_heads != 0:
            raise ValueError(
                f"{num_heads} heads do not divide d_model={d_model}; choose a divisor of {d_model} or give d_head"
            )
        self.d_model, self.num_heads = d_model, num_heads
        self.d_head = d_head or d_model // num_heads
        self.d_context = d_context or d_model
        self.scale = scale
        self.dropout = dropout
        self.position = position
        d_heads = num_heads * self.d_head
        self.query = nn.Linear(d_model, d_heads, bias=bias)
        self.key = nn.Linear(self.d_context, d_heads, bias=bias)
        self.value = nn.Linear(self.d_context, d_heads, bias=bias)
        self.output = nn.Linear(d_heads, d_model, bias=bias if output_bias is None else output_bias)  # W^O

    def forward(
        self,
        x: Tensor,
        context: Tensor | tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        band: int | None = None,
        bias: Tensor | None = None,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from `x` to `context` (to `x` itself unless given).

        Args:
            x: ``(batch, query, d_model)``, where the queries come from.
            context: ``(batch, key, d_context)``, where keys and values come from, or the keys and values themselves,
                as `keys_and_values` gives them: a decoder that reads the same context at every step computes them once.
            mask: boolean, broadcastable to ``(batch, heads, query, key)``; True = may attend.
            causal: forbid keys after the query, see `scaled_dot_product_attention`.
            band: forbid keys further back than this, likewise.
            bias: added to the scores, broadcastable to ``(batch, heads, query, key)``.
            cache: earlier keys and values; this call's are appended to it and all are attended to.
            return_weights: also return the weights ``(batch, heads, query, key)``.
        """
        if self.position is not None and context is not None and context is not x:
            raise ValueError(
                "a position scheme counts distances within one sequence, but this call reads from another context; "
                "build cross-attention without position="
            )
        _check_sequence("x", x, self.d_model)
        if mask is not None:
            _check_axes(mask)
        query = self.split(self.query(x))  # (batch, heads, query, d_head)
        # Each (batch, heads, key, d_head).
        key, value = context if isinstance(context, tuple) else self.keys_and_values(x if context is None else context)
        if self.position is not None:
            start = 0 if cache is None else cache.length
            query, key = self.position.rotate(query, start), self.position.rotate(key, start)  # shapes stay
        if cache is not None:
            key, value = cache.append(key, value)
        attend = scaled_dot_product_attention if self.position is None else self.position.attend
        attended = attend(
            query,
            key,
            value,
            mask,
            causal=causal,
            band=band,
            bias=bias,
            scale=self.scale,
            dropout=self.dropout if self.training else 0.0,
            return_weights=return_weights,
        )
        if isinstance(attended, tuple):
            attended, weights = attended  # (batch, heads, query, d_head), (batch, heads, query, key)
            return self.output(self.merge(attended)), weights
        return self.output(self.merge(attended))  # (batch, query, d_model)

    def keys_and_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, key, d_context) to two of (batch, heads, key, d_head): what the queries compare with and read."""
        _check_sequence("context", context, self.d_context)
        return self.split(self.key(context)), self.split(self.value(context))

    def split(self, x: Tensor) -> Tensor:
        """(batch, length, heads·d_head) to (batch, heads, length, d_head)."""
        return x.unflatten(-1, (self.num_heads, self.d_head)).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        """(batch, heads, length, d_head) to (batch, length, heads·d_head): all heads of one position side by side."""
        return x.transpose(1, 2).flatten(2)


def _check_float(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}; wrap it in torch.tensor(...)")
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {tensor.dtype}; embed ids or call .float() first")
        if tensor.dim() < 2:
            raise ValueError(f"{name} needs at least the axes (length, width), got shape {tuple(tensor.shape)}")


def _check_width(name: str, tensor: Tensor, width: int) -> None:
    if tensor.shape[-1] != width:
        raise ValueError(f"{name} has width {tensor.shape[-1]}, this layer was built for {width}")


def _check_attention(query: Tensor, key: Tensor, value: Tensor) -> None:
    _check_float(query=query, key=key, value=value)
    q, k, v = query.shape, key.shape, value.shape
    if q[-1] != k[-1]:
        raise ValueError(f"query and key must have the same width, got {q[-1]} and {k[-1]}")
    if k[-2] != v[-2]:
        raise ValueError(f"each key needs one value: got {k[-2]} keys and {v[-2]} values")
    if q[:-2] == k[:-2] == v[:-2]:
        return  # equal shapes need no broadcasting; broadcast_shapes would take longer than the kernel
    try:
        torch.broadcast_shapes(q[:-2], k[:-2], v[:-2])
    except RuntimeError:
        raise ValueError(
            f"query, key and value must agree in batch and heads, got shapes {tuple(q)}, {tuple(k)} and {tuple(v)}"
        ) from None


def _check_sequence(name: str, x: Tensor, width: int) -> None:
    """What a layer of a model reads: ``(batch, length, width)``."""
    if isinstance(x, Tensor) and x.is_floating_point() and x.dim() == 3 and x.shape[-1] == width:
        return  # as nearly always: every layer asks for each token that is written
    _check_float(**{name: x})
    if x.dim() != 3:
        remedy = "; add [None] to one sentence" if x.dim() == 2 else ""
        raise ValueError(f"{name} must have the shape (batch, length, {width}), got {tuple(x.shape)}{remedy}")
    _check_width(name, x, width)


def _check_band(band: int | None, causal: bool) -> None:
    if band is not None and (band < 1 or not causal):
        raise ValueError(f"a band is part of a causal mask and at least 1 wide, got band={band}, causal={causal}")


def _check_mask_and_bias(query: Tensor, key: Tensor, mask: Tensor | None, bias: Tensor | None) -> None:
    if mask is None and bias is None:
        return
    same = query.shape[:-2] == key.shape[:-2]
    lead = query.shape[:-2] if same else torch.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    scores_shape = (*lead, query.shape[-2], key.shape[-2])
    if mask is not None:
        _check_mask(mask, scores_shape)
    if bias is not None:
        if not bias.is_floating_point():
            raise TypeError(
                f"a bias is added to the scores and must be floating point, got {bias.dtype}; is it a mask?"
            )
        _check_broadcast("bias", bias, scores_shape)


def _check_mask(mask: Tensor, scores_shape: tuple[int, ...]) -> None:
    _check_boolean("mask", mask)
    _check_broadcast("mask", mask, scores_shape)


def _check_boolean(name: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name} must be a boolean tensor (True = may attend), got {kind}; write {name} == 1, say")


def _check_broadcast(name: str, tensor: Tensor, scores_shape: tuple[int, ...]) -> None:
    sizes = zip(reversed(tensor.shape), reversed(scores_shape), strict=False)
    if tensor.dim() > len(scores_shape) or any(size not in (1, full) for size, full in sizes):
        of_keys = len(scores_shape) == 4 and tuple(tensor.shape) == (scores_shape[0], scores_shape[-1])
        raise ValueError(
            f"{name} of shape {tuple(tensor.shape)} does not broadcast to the scores {tuple(scores_shape)} "
            f"= (..., query, key){f'; of one for (batch, key) take {name}[:, None, None]' if of_keys else ''}"
        )


def _check_axes(mask: Tensor) -> None:
    """A layer's mask has all four axes, or the last two. The first of three could be the batch or the heads."""
    _check_boolean("mask", mask)
    if mask.dim() != 4 and mask.shape[:-2].numel() != 1:
        raise ValueError(
            f"mask must have the shape (batch, 1 or heads, 1 or query, key), or (query, key) for all sentences, got "
            f"{tuple(mask.shape)}; of one (batch, query, key) take mask[:, None]"
        )


def check_model_mask(name: str, mask: Tensor) -> None:
    """A model's mask has four axes. With two, ``(batch, length)`` could not be told from ``(query, key)``.

    Raises:
        TypeError: it is not boolean.
        ValueError: it has another number of axes.
    """
    _check_boolean(name, mask)
    if mask.dim() != 4:
        raise ValueError(
            f"{name} must have the shape (batch, 1, 1, length), got {tuple(mask.shape)}; of a tokenizer's "
            f"(batch, length) take {name}[:, None, None], of one (query, key) {name}[None, None]"
        )

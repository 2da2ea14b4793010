"""Masks: who may attend to whom. Boolean, **True = may attend**, broadcastable to ``(batch, heads, query, key)``.

Two masks are combined with ``&``: a key is visible where both allow it.
"""

import torch
from torch import Tensor


def causal_mask(n: int) -> Tensor:
    """``(n, n)``: query i sees keys 0 … i, itself included."""
    return torch.ones(_length(n), n, dtype=torch.bool).tril()


def padding_mask(lengths: Tensor, n: int) -> Tensor:
    """``(batch, 1, 1, n)``: every query of sentence b sees its first ``lengths[b]`` keys, and none of the padding."""
    lengths = torch.as_tensor(lengths)
    if lengths.dim() != 1 or lengths.is_floating_point():
        raise ValueError(f"lengths must be one integer per sentence, got {lengths.dtype}, shape {tuple(lengths.shape)}")
    if lengths.numel() and (lengths.min() < 0 or lengths.max() > _length(n)):
        raise ValueError(f"lengths must lie between 0 and n={n}, got {lengths.tolist()}")
    return (torch.arange(n, device=lengths.device) < lengths[:, None])[:, None, None, :]


def prefix_mask(prefix: int, n: int) -> Tensor:
    """``(n, n)``: the first `prefix` positions see each other freely, every later one sees them and its own past.

    Source: Raffel et al. 2020 (arXiv 1910.10683), section 3.2.1, *prefix LM*.
    """
    if not 0 <= prefix <= n:
        raise ValueError(f"the prefix must be between 0 and n={n} positions long, got {prefix}")
    mask = causal_mask(n)
    mask[:, :prefix] = True
    return mask


def banded_causal_mask(n: int, width: int) -> Tensor:
    """``(n, n)``: query i sees the last `width` keys up to itself, i − width + 1 … i.

    Source: Child et al. 2019 (arXiv 1904.10509), used by every second layer of GPT-3 (arXiv 2005.14165, section 2.1).
    """
    if width < 1:
        raise ValueError(f"a band needs a width of at least 1, so that a query sees itself, got {width}")
    return causal_mask(n).triu(1 - width)


def _length(n: int) -> int:
    if n < 1:
        raise ValueError(f"a mask needs at least 1 position, got n={n}")
    return n

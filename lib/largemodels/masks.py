"""Masks: who may attend to whom. Boolean, **True = may attend**, broadcastable to ``(batch, heads, query, key)``.

Two masks are combined with ``&``: a key is visible where both allow it. What a mask means for a whole model, `reachable`
computes: how far information travels through a stack of layers. `influence` and `leaks` check it: the gradients of any
function show where its information really comes from.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def causal_mask(n: int, *, device: torch.device | str | None = None) -> Tensor:
    """``(n, n)``: query i sees keys 0 … i, itself included."""
    return torch.ones(_length(n), n, dtype=torch.bool, device=device).tril()


def padding_mask(lengths: Tensor, n: int, *, device: torch.device | str | None = None) -> Tensor:
    """``(batch, 1, 1, n)``: every query of sentence b sees its first ``lengths[b]`` keys, and none of the padding.

    It is made where the lengths are, unless a device is given.
    """
    lengths = torch.as_tensor(lengths, device=device)
    # An empty list says nothing of its type, and torch takes it for floating point.
    counts = (not lengths.is_floating_point() and lengths.dtype != torch.bool) or lengths.numel() == 0
    if lengths.dim() != 1 or not counts:
        raise ValueError(f"lengths must be one integer per sentence, got {lengths.dtype}, shape {tuple(lengths.shape)}")
    if lengths.numel() and (lengths.min() < 0 or lengths.max() > _length(n)):
        raise ValueError(f"lengths must lie between 0 and n={n}, got {lengths.tolist()}")
    mask = torch.arange(n, device=lengths.device) < lengths[:, None]  # (n,) < (batch, 1) gives (batch, n)
    return mask[:, None, None, :]


def prefix_mask(prefix: int, n: int, *, device: torch.device | str | None = None) -> Tensor:
    """``(n, n)``: the first `prefix` positions see each other freely, every later one sees them and its own past.

    Source: Raffel et al. 2020 (arXiv 1910.10683), section 3.2.1, *prefix LM*.
    """
    if not 0 <= prefix <= n:
        raise ValueError(f"the prefix must be between 0 and n={n} positions long, got {prefix}")
    mask = causal_mask(n, device=device)
    mask[:, :prefix] = True  # all queries, the keys of the prefix
    return mask


def banded_causal_mask(n: int, width: int, *, device: torch.device | str | None = None) -> Tensor:
    """``(n, n)``: query i sees the last `width` keys up to itself, i − width + 1 … i.

    Source: Child et al. 2019 (arXiv 1904.10509), used by every second layer of GPT-3 (arXiv 2005.14165, section 2.1).
    """
    if width < 1:
        raise ValueError(f"a band needs a width of at least 1, so that a query sees itself, got {width}")
    return causal_mask(n, device=device).triu(1 - width)


def reachable(mask: Tensor, layers: int) -> Tensor:
    """``(..., n, n)``: which inputs j can have reached output i after `layers` layers of attention under `mask`.

    A path is one allowed step per layer, so this is the boolean power of the mask. (Residual connections add the paths
    that stay where they are; under a mask that lets every query see itself they change nothing.)
    """
    if mask.dtype != torch.bool or mask.dim() < 2 or mask.shape[-1] != mask.shape[-2]:
        raise ValueError(
            f"paths need a boolean mask (..., n, n) of one sequence, got {mask.dtype}, shape {tuple(mask.shape)}"
        )
    if layers < 0:
        raise ValueError(f"a stack has 0 or more layers, got {layers}")
    step = mask.float()  # numbers of paths, set back to 0 or 1 after every layer: torch multiplies no boolean matrices
    reached = torch.eye(mask.shape[-1], device=mask.device).expand_as(step)
    for _ in range(layers):
        reached = ((step @ reached) > 0).float()
    return reached.bool()


def influence(function: Callable[[Tensor], Tensor], x: Tensor, *, seed: int = 0) -> Tensor:
    """How strongly each output position depends on each input position: the size of ∂zᵢ/∂xⱼ.

    Measured along one random direction of each output zᵢ, which costs one backward pass per position; an entry is 0
    where the whole derivative is 0, and with probability 1 nowhere else.

    Args:
        function: from ``(..., n, d)`` to ``(..., m, width)``: a layer, or a model that starts from embeddings.
        x: ``(..., n, d)``, where to measure. Token ids have no gradient: give their embeddings.
        seed: of the random directions.

    Returns:
        ``(..., m, n)``, the norm over d of the gradient of output i (row) with respect to input j (column).
    """
    if not x.is_floating_point():
        raise TypeError(
            f"x must be floating point, got {x.dtype}; give the embeddings of the tokens instead of their ids"
        )
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        z = function(x)
        if not z.requires_grad:
            raise ValueError("the output has no gradient; does the function detach it, or run under torch.no_grad()?")
        if z.dim() != x.dim() or z.shape[:-2] != x.shape[:-2]:
            raise ValueError(
                f"a function of {tuple(x.shape)} should return (..., positions, width), got {tuple(z.shape)}"
            )
        direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=z.dtype).to(z.device)
        outputs = [output.sum() for output in (z * direction).sum(-1).unbind(-1)]  # m; sentences of a batch are apart
    rows = [torch.autograd.grad(output, x, retain_graph=True)[0].norm(dim=-1) for output in outputs]
    return torch.stack(rows, dim=-2)


def leaks(function: Callable[[Tensor], Tensor], x: Tensor, mask: Tensor, *, tolerance: float = 0.0) -> Tensor:
    """``(..., query, key)``: True where information flows from input j to output i although `mask` forbids it.

    A model masked by −∞ has gradients of exactly 0 there. `tolerance` is for one whose gradients cancel only up to
    rounding. NaN counts as a leak: what went into it is unknown.

    Args:
        function, x: see `influence`.
        mask: who may depend on whom, ``(query, key)`` or broadcastable to ``(batch, query, key)``; for a stack of
            layers this is `reachable`. Masks with an axis for heads, ``(batch, 1, query, key)``, are accepted. In
            self-attention the diagonal is True: an output depends on its own input at least through its query.
        tolerance: the largest size of a gradient that passes for 0.
    """
    return ~(influence(function, x) <= tolerance) & ~(mask.squeeze(1) if mask.dim() == 4 else mask)


def _length(n: int) -> int:
    if n < 1:
        raise ValueError(f"a mask needs at least 1 position, got n={n}")
    return n

"""Induction heads: heads that look back to where the present token stood before, and read what followed it there.

…  dog → bomi  …  dog → ?     The head of *?* attends to *bomi*. Two of them, one after the other, do it: a head of an
earlier layer writes into each position which token stands before it, and a head of a later layer looks for the
position before which its own token stands.

`induction_score` and `previous_token_score` find such heads by what they attend to, `without_head` removes one to
show what it did. Source: Olsson et al. 2022 (arXiv 2209.11895), *In-context Learning and Induction Heads*.
"""

import copy

import torch
from torch import Tensor

from largemodels.gpt import GPT


def follows_the_same(tokens: Tensor) -> Tensor:
    """Where an induction head should look: ``(batch, length)`` to boolean ``(batch, query, key)``.

    True at (t, j) if the token before position j is the token of position t, and j is no later than t.
    """
    same = tokens[:, :, None] == tokens[:, None, :-1]  # (batch, query, key − 1): the token at t equals the one at j − 1
    return torch.nn.functional.pad(same, (1, 0)).tril()


def induction_score(weights: Tensor, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
    """How much a head attends to what followed its token before, ``(batch, heads, query, key)`` to ``(heads,)``.

    The mean, over all positions whose token has occurred before, of the weight on the tokens after these occurrences:
    from 0 to 1. Source: Olsson et al. 2022, section 4, *prefix matching*.

    Args:
        weights: attention weights of one layer.
        tokens: ``(batch, length)``, what was read.
        positions: boolean ``(batch, length)`` or ``(length,)``, which positions count; all unless given.

    Raises:
        ValueError: no position that counts holds a token that occurred before.
    """
    target = follows_the_same(tokens)
    counts = target.any(dim=-1)
    if positions is not None:
        counts = counts & positions
    if not counts.any():
        raise ValueError("no token that counts has occurred before; give texts in which tokens come again")
    attended = (weights * target[:, None]).sum(dim=-1)  # (batch, heads, query)
    return attended.transpose(0, 1)[:, counts].mean(dim=-1)


def previous_token_score(weights: Tensor, positions: Tensor | None = None) -> Tensor:
    """How much a head attends to the token just before, ``(batch, heads, query, key)`` to ``(heads,)``.

    Args:
        weights: attention weights of one layer.
        positions: boolean ``(length,)``, which queries count; all but the first unless given.
    """
    before = weights.diagonal(offset=-1, dim1=-2, dim2=-1)  # (batch, heads, query − 1)
    if positions is not None:
        before = before[..., positions[1:]]
    return before.mean(dim=(0, 2))


def without_head(model: GPT, layer: int, head: int) -> GPT:
    """A copy of the model in which one head adds nothing: the columns of W^O that read the head are 0.

    Layers and heads count from 0.

    Raises:
        IndexError: the model has no such head.
    """
    layers, heads = model.config.num_layers, model.config.num_heads
    if not (0 <= layer < layers and 0 <= head < heads):
        raise IndexError(f"the model has layers 0 … {layers - 1} with heads 0 … {heads - 1}, got {layer} and {head}")
    silenced = copy.deepcopy(model)
    attention = silenced.stack.blocks[layer].attention
    with torch.no_grad():
        attention.output.weight[:, head * attention.d_head : (head + 1) * attention.d_head] = 0
    return silenced

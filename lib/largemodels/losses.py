"""Losses: a *sum* over targets together with their number, never a mean.

Only in this way is padding left out, and only in this way do batches of different sizes, or processes that share one
batch, come to the same mean.
"""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import at_least_float32

IGNORE = -100  # a target that does not count, as in torch's cross_entropy


def cross_entropy(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """−log p(target), summed over all targets but `IGNORE`, and how many these are.

    Args:
        logits: ``(..., vocab_size)``.
        targets: ``(...)`` token ids, `IGNORE` where there is nothing to predict.
        label_smoothing: ε. The model is asked for (1 − ε) of the probability on the target and ε spread evenly over
            the whole vocabulary. Source: Szegedy et al. 2015 (arXiv 1512.00567), section 7; Vaswani et al. 2017
            (arXiv 1706.03762), section 5.4, take 0.1.
    """
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"each position needs one target, got logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
        )
    logits = at_least_float32(logits)
    try:
        total = F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),  # (batch·length, vocab_size)
            targets.reshape(-1),  # (batch·length,)
            ignore_index=IGNORE,
            label_smoothing=label_smoothing,
            reduction="sum",
        )
    except IndexError:
        wanted = targets[targets != IGNORE]
        raise ValueError(
            f"with logits for {logits.shape[-1]} tokens or labels, targets lie in 0 … {logits.shape[-1] - 1} (or are "
            f"{IGNORE}, to be ignored), got {wanted.min().item()} … {wanted.max().item()}"
        ) from None
    return total, (targets != IGNORE).sum()


def token_loss(model: nn.Module, batch: Sequence, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """`cross_entropy` for a batch ``(*inputs, targets)``, where ``model(*inputs)`` are the logits."""
    if isinstance(batch, Mapping):
        raise TypeError(
            f"token_loss reads a batch (*inputs, targets), got a dictionary with {', '.join(map(repr, batch))}; give train "
            'a loss of your own: loss=lambda model, batch: cross_entropy(model(batch["…"]), batch["…"])'
        )
    *inputs, targets = batch
    return cross_entropy(model(*inputs), targets, label_smoothing=label_smoothing)

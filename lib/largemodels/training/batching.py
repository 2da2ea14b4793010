"""Batching: which examples a training step reads, and how sentences of different lengths become one tensor.

Everything here is a function of a seed and a number (a step, an epoch), so that a batch can be made again at any time
and by any process: see `largemodels.training`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from largemodels.losses import IGNORE
from largemodels.masks import padding_mask
from largemodels.seeds import seeded


class Epochs:
    """Which examples each step reads: ``Epochs(num_examples, batch_size)(step)`` are their numbers, ``(batch_size,)``.

    In an epoch every example is read once, in an order of its own, except for the fewer than `batch_size` that are
    left over at its end.

    Args:
        num_examples: how many there are.
        batch_size: how many a step reads.
        seed: of the order.
        lengths: of the examples. If given, a batch takes sentences of about one length, so that little is padding.
    """

    def __init__(self, num_examples: int, batch_size: int, *, seed: int = 0, lengths: Sequence[int] | None = None):
        if not 1 <= batch_size <= num_examples:
            raise ValueError(f"a batch must hold 1 to num_examples={num_examples} examples, got {batch_size}")
        if lengths is not None and len(lengths) != num_examples:
            raise ValueError(f"each of {num_examples} examples needs a length, got {len(lengths)}")
        self.num_examples, self.batch_size, self.seed = num_examples, batch_size, seed
        self.lengths = None if lengths is None else torch.as_tensor(lengths)
        self.steps = num_examples // batch_size  # in an epoch
        self._epoch: int | None = None  # the last one asked for is kept, with its batches
        self._batches = torch.empty(0)

    def __call__(self, step: int) -> Tensor:
        epoch, number = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffle(seeded(self.seed, epoch))
        return self._batches[number]

    def _shuffle(self, generator: torch.Generator) -> Tensor:
        """``(steps, batch_size)``: the epoch's batches."""
        order = torch.randperm(self.num_examples, generator=generator)[: self.steps * self.batch_size]
        if self.lengths is None:
            return order.view(self.steps, self.batch_size)
        by_length = order[self.lengths[order].argsort(stable=True)]  # equal lengths stay in random order
        return by_length.view(self.steps, self.batch_size)[torch.randperm(self.steps, generator=generator)]


def pad_pairs(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, bos: int, eos: int, pad: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sentence pairs as one batch for an encoder-decoder and `losses.token_loss`.

    The decoder reads the target shifted right, from `bos` on, and is to predict it, up to `eos`.

    Args:
        pairs: token ids of source and target, without `bos` and `eos`.
        bos, eos: the tokens that begin and end a target. The source ends with `eos`, too.
        pad: fills shorter sentences. It is masked in the source and does not count as a target.

    Returns:
        ``(source, target, source_mask, labels)``: the arguments of the model, ``(batch, source)``,
        ``(batch, target)`` and ``(batch, 1, 1, source)``, and what it is to predict, ``(batch, target)``, with
        `IGNORE` after the end.

    Raises:
        ValueError: there are no pairs, or one has an empty side.
    """
    if len(pairs) == 0:
        raise ValueError("a batch needs at least one pair, got none")
    for number, (read, written) in enumerate(pairs):
        if len(read) == 0 or len(written) == 0:
            raise ValueError(f"pair {number} has an empty {'source' if len(read) == 0 else 'target'}; leave it out")
    source = _pad([[*source, eos] for source, _ in pairs], pad)
    target = _pad([[bos, *target] for _, target in pairs], pad)
    labels = _pad([[*target, eos] for _, target in pairs], IGNORE)
    lengths = torch.tensor([len(source) + 1 for source, _ in pairs])
    return source, target, padding_mask(lengths, source.shape[1]), labels


def _pad(sentences: list[list[int]], value: int) -> Tensor:
    longest = max(map(len, sentences))
    return torch.tensor([sentence + [value] * (longest - len(sentence)) for sentence in sentences])

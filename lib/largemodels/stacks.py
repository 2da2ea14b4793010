"""Stacks: blocks one after the other, and what they remember while they generate.

Shapes are ``(batch, length, d_model)`` between the blocks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import KeyValueCache, MultiHeadAttention, check_model_mask
from largemodels.blocks import Block, FeedForward


@dataclass
class DecoderState:
    """What a decoder remembers from one step of generation to the next, so that a step costs one position.

    Attributes:
        caches: for each block the keys and values of the positions it has seen.
        contexts: for each block the keys and values of the encoder's output, computed once; None without an encoder.
        mask: ``(batch, 1, 1, max_length)``, which positions hold tokens, if some hold padding.
        context_mask: ``(batch, 1, 1, source)``, the same for the encoder's output.
        encoding: ``(max_length, d_model)``, or with a batch axis before, what a model adds to the embeddings at each
            position, computed once; None if it adds nothing.
    """

    caches: list[KeyValueCache]
    contexts: list[tuple[Tensor, Tensor] | None]
    mask: Tensor | None = None
    context_mask: Tensor | None = None
    encoding: Tensor | None = None

    @property
    def length(self) -> int:
        """How many positions have been seen."""
        return self.caches[0].length

    def repeat(self, n: int) -> None:
        """Each sentence `n` times, one after the other: from one sentence to its `n` beams."""
        for cache in self.caches:
            cache.repeat(n)
        self.contexts = [
            pair and (pair[0].repeat_interleave(n, dim=0), pair[1].repeat_interleave(n, dim=0))
            for pair in self.contexts
        ]
        self.mask, self.context_mask = (
            # One row for the whole batch is one for all beams, too.
            mask if mask is None or len(mask) == 1 else mask.repeat_interleave(n, dim=0)
            for mask in (self.mask, self.context_mask)
        )
        if self.encoding is not None and self.encoding.dim() == 3 and len(self.encoding) > 1:
            self.encoding = self.encoding.repeat_interleave(n, dim=0)

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on from row ``rows[i]``, a beam of the same sentence: context and masks are the same for both."""
        if torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            return  # every beam goes on from itself
        for cache in self.caches:
            cache.reorder(rows)


class Stack(nn.Module):
    """Blocks one after the other and, if given, a last norm: pre-norm leaves the sum of all sublayers unnormalised.

    Args:
        blocks: the blocks.
        norm: the last norm.
        dropout: probability of dropping a number of the output in training.
    """

    blocks: Sequence[Block]

    def __init__(self, blocks: Iterable[Block], norm: nn.Module | None = None, *, dropout: float = 0.0):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]  # torch does not say what is in its lists
        self.norm = norm
        self.dropout = dropout

    @classmethod
    def build(
        cls,
        num_layers: int,
        attention: Callable[[], MultiHeadAttention],
        feed_forward: Callable[[], FeedForward],
        norm: Callable[[], nn.Module],
        *,
        decoder: bool,
        norm_first: bool,
        dropout: float,
        output_dropout: float = 0.0,
    ) -> Self:
        """`num_layers` equal blocks of an encoder or, if `decoder`, causal ones that read a context.

        `attention`, `feed_forward` and `norm` make one such part; `output_dropout` is the stack's, see `Block` for the
        rest.
        """
        blocks = [
            Block(
                attention(),
                feed_forward(),
                norm,
                cross_attention=attention() if decoder else None,
                norm_first=norm_first,
                causal=decoder,
                dropout=dropout,
            )
            for _ in range(num_layers)
        ]
        return cls(blocks, norm() if norm_first else None, dropout=output_dropout)

    def start(
        self,
        max_length: int,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> DecoderState:
        """An empty memory with room for `max_length` positions; the masks are checked here, once.

        Args:
            max_length: how many positions the state can hold.
            context: ``(batch, source, d_context)``, the output of the encoder, if the blocks read one.
            mask: ``(batch, 1, 1, n)``, which of the first `n` positions will hold tokens; later ones all do.
            context_mask: ``(batch, 1, 1, source)``, which positions of the context hold tokens.
        """
        if mask is not None:
            check_model_mask("mask", mask)
            if mask.shape[-1] > max_length:
                raise ValueError(f"the mask has {mask.shape[-1]} positions, the state only room for {max_length}")
            mask = F.pad(mask, (0, max_length - mask.shape[-1]), value=True)
        if context_mask is not None:
            check_model_mask("context_mask", context_mask)
        contexts = [
            None if context is None else block.cross_attention.keys_and_values(context) for block in self.blocks
        ]
        return DecoderState([KeyValueCache(max_length) for _ in self.blocks], contexts, mask, context_mask)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        context_mask: Tensor | None = None,
        bias: Tensor | None = None,
        state: DecoderState | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, list[Tensor], list[Tensor | None]]:
        """``(batch, length, d_model)`` through all blocks; see `Block.forward` for the arguments.

        Masks have four axes, see `attention.check_model_mask`. With a `state`, x holds the positions that follow those
        seen so far; context and masks are the state's. With `return_weights`, also the weights of self-attention and of
        cross-attention, one entry for each block.
        """
        caches: Sequence[KeyValueCache | None] = [None] * len(self.blocks)
        contexts: Sequence[Tensor | tuple[Tensor, Tensor] | None] = [context] * len(self.blocks)
        if state is None:
            if mask is not None:
                check_model_mask("mask", mask)
            if context_mask is not None:
                check_model_mask("context_mask", context_mask)
        else:
            caches, contexts, context_mask = state.caches, state.contexts, state.context_mask
            mask = None if state.mask is None else state.mask[..., : state.length + x.shape[1]]

        weights, context_weights = [], []
        for block, cache, read in zip(self.blocks, caches, contexts, strict=True):
            x = block(
                x,
                read,
                mask,
                context_mask=context_mask,
                bias=bias,
                cache=cache,
                return_weights=return_weights,
            )
            if return_weights:
                x, own, other = x
                weights.append(own)
                context_weights.append(other)
        if self.norm is not None:
            x = self.norm(x)
        if self.training and self.dropout:
            x = F.dropout(x, self.dropout)
        return (x, weights, context_weights) if return_weights else x

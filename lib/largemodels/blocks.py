"""Blocks: the layers that every model of this course is stacked from.

A *block* is attention, perhaps cross-attention, and a position-wise feed-forward network, each joined to the stream x
by a residual connection and a norm. BERT, GPT, BART, T5 and the two halves of the 2017 Transformer differ only in the
parts they hand to `Block` and in the order of norm and sublayer; `Stack` runs the blocks one after the other and
`DecoderState` is what a stack remembers while it generates.

Shapes are ``(batch, length, d_model)`` between the blocks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import KeyValueCache, MultiHeadAttention

# ------------------------------------------------------------------------------------------------------------- norms


class LayerNorm(nn.LayerNorm):
    """γ (x − μ) / √(σ² + ε) + β: each position is shifted to mean 0 and scaled to variance 1, then γ and β take over.

    μ and σ² are the mean and variance of one position's d numbers, so no position or sentence touches another.
    Calling the layer runs one fused kernel; `written_out` is the same in the formula's own steps.
    Source: Ba, Kiros & Hinton 2016 (arXiv 1607.06450), equation 4 applied to a vector.
    """

    def written_out(self, x: Tensor) -> Tensor:
        """``(..., d)`` to ``(..., d)``."""
        mean = x.mean(dim=-1, keepdim=True)  # μ
        variance = (x - mean).square().mean(dim=-1, keepdim=True)  # σ², divided by d, not by d − 1
        return self.weight * (x - mean) / torch.sqrt(variance + self.eps) + self.bias


class RMSNorm(nn.Module):
    """γ x / √(mean(x²) + ε): only the scale is normalised; no mean is subtracted and no β is added.

    Source: Zhang & Sennrich 2019 (arXiv 1910.07467), equation 4; used by T5 (arXiv 1910.10683, section 2.1).
    """

    def __init__(self, d_model: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))  # γ
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` to ``(..., d)``. On a CPU these steps are no slower than torch's F.rms_norm."""
        return self.weight * (x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps))


# ------------------------------------------------------------------------------------------------------ feed-forward

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,  # x·Φ(x), Φ the cumulative normal distribution; Hendrycks & Gimpel 2016 (arXiv 1606.08415)
    "gelu_new": partial(F.gelu, approximate="tanh"),  # the approximation that GPT uses, section 2 of the same paper
    "silu": F.silu,
}


class FeedForward(nn.Module):
    """Two linear layers with an activation between, applied to each position by itself: down(activation(up(x))).

    If `gated`, the activated half multiplies a second projection: down(activation(gate(x)) ⊙ up(x)).
    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.3; gated: Shazeer 2020 (arXiv 2002.05202), section 2.

    Args:
        d_model: width of the input and output.
        d_ff: width between the two layers.
        activation: a key of `ACTIVATIONS`.
        gated: whether a gate multiplies the inner layer (a third matrix).
        bias: whether the linear layers have a bias.
        dropout: probability of dropping an activated number in training.
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        activation: str = "relu",
        *,
        gated: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        _check_activation(activation)
        self.activation = ACTIVATIONS[activation]
        self.up = nn.Linear(d_model, d_ff, bias=bias)
        self.gate = nn.Linear(d_model, d_ff, bias=bias) if gated else None
        self.down = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_model) to (..., d_model)."""
        inner = self.activation(self.up(x) if self.gate is None else self.gate(x))
        if self.gate is not None:
            inner = inner * self.up(x)
        if self.training:
            inner = F.dropout(inner, self.dropout)
        return self.down(inner)


# ------------------------------------------------------------------------------------------------------------ blocks


class Block(nn.Module):
    """One layer of a model: self-attention, cross-attention if there is one, and the feed-forward network.

    Each of these *sublayers* reads the stream x and adds what it found to it (the residual connection). The norm
    stands after the sum, as in 2017, or before the sublayer, which leaves the stream itself untouched:

        post-norm   x = norm(x + dropout(sublayer(x)))
        pre-norm    x = x + dropout(sublayer(norm(x)))

    =============================  ======  ===============  ==========
    a block of                     causal  cross_attention  norm_first
    =============================  ======  ===============  ==========
    Transformer, BART: encoder     no      no               no
    Transformer, BART: decoder     yes     yes              no
    T5: encoder / decoder          no/yes  no/yes           yes
    BERT                           no      no               no
    GPT-1                          yes     no               no
    GPT-2, GPT-3                   yes     no               yes
    =============================  ======  ===============  ==========

    Sources: Vaswani et al. 2017 (arXiv 1706.03762), section 3.1 and, for the dropout, 5.4; pre-norm: Xiong et al. 2020
    (arXiv 2002.04745).

    Args:
        attention: the self-attention.
        feed_forward: the feed-forward network.
        norm: makes the norm of one sublayer, ``partial(LayerNorm, d_model)`` for example.
        cross_attention: the attention to a context, if the block reads one.
        norm_first: pre-norm (True) or post-norm (False).
        causal: whether a position sees only itself and those before it.
        band: if `causal`, how many of these it sees; all unless given.
        dropout: probability of dropping a number of a sublayer's output in training.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        feed_forward: nn.Module,
        norm: Callable[[], nn.Module],
        *,
        cross_attention: MultiHeadAttention | None = None,
        norm_first: bool = True,
        causal: bool = False,
        band: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.norm_first, self.causal, self.band, self.dropout = norm_first, causal, band, dropout
        self.attention, self.attention_norm = attention, norm()
        self.cross_attention, self.cross_attention_norm = cross_attention, norm() if cross_attention else None
        self.feed_forward, self.feed_forward_norm = feed_forward, norm()

    def forward(
        self,
        x: Tensor,
        context: Tensor | tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        *,
        context_mask: Tensor | None = None,
        bias: Tensor | None = None,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor | None]:
        """One step of the stream.

        Args:
            x: ``(batch, length, d_model)``.
            context: what cross-attention reads, ``(batch, key, d_context)``, or its keys and values, see
                `MultiHeadAttention.forward`.
            mask: who may attend to whom in self-attention, on top of `causal`; True = may attend.
            context_mask: the same for cross-attention, usually ``(batch, 1, 1, key)``.
            bias: added to the scores of self-attention, as T5's positions.
            cache: the keys and values of earlier positions.
            return_weights: also return the weights of self-attention and of cross-attention (or None).
        """
        if (context is None) != (self.cross_attention is None):
            raise ValueError(
                "this block has no cross-attention, leave out the context"
                if self.cross_attention is None
                else "this block has cross-attention and needs a context to read"
            )
        weights = context_weights = None
        norm = self.attention_norm  # looked up once: to find a module's part takes as long as an addition
        found = self.attention(
            self._before(x, norm),
            mask=mask,
            causal=self.causal,
            band=self.band,
            bias=bias,
            cache=cache,
            return_weights=return_weights,
        )
        if return_weights:
            found, weights = found
        x = self._after(x, found, norm)

        if context is not None:
            norm = self.cross_attention_norm
            found = self.cross_attention(self._before(x, norm), context, context_mask, return_weights=return_weights)
            if return_weights:
                found, context_weights = found
            x = self._after(x, found, norm)

        norm = self.feed_forward_norm
        x = self._after(x, self.feed_forward(self._before(x, norm)), norm)
        return (x, weights, context_weights) if return_weights else x

    def _before(self, x: Tensor, norm: nn.Module) -> Tensor:
        return norm(x) if self.norm_first else x

    def _after(self, x: Tensor, found: Tensor, norm: nn.Module) -> Tensor:
        x = x + (F.dropout(found, self.dropout) if self.training else found)
        return x if self.norm_first else norm(x)


# ------------------------------------------------------------------------------------------------------------ stacks


@dataclass
class DecoderState:
    """What a decoder remembers from one step of generation to the next, so that a step costs one position.

    Attributes:
        caches: for each block the keys and values of the positions it has seen.
        contexts: for each block the keys and values of the encoder's output, computed once; None without an encoder.
        mask: ``(batch, 1, 1, max_length)``, which positions hold tokens, if some hold padding.
        context_mask: ``(batch, 1, 1, source)``, the same for the encoder's output.
    """

    caches: list[KeyValueCache]
    contexts: list[tuple[Tensor, Tensor] | None]
    mask: Tensor | None = None
    context_mask: Tensor | None = None

    @property
    def length(self) -> int:
        """How many positions have been seen."""
        return self.caches[0].length

    def repeat(self, n: int) -> None:
        """Each sentence `n` times, one after the other: from one sentence to its `n` beams."""
        for cache in self.caches:
            cache.repeat(n)
        self.contexts = [
            pair and tuple(tensor.repeat_interleave(n, dim=0) for tensor in pair) for pair in self.contexts
        ]
        self.mask, self.context_mask = (
            mask if mask is None else mask.repeat_interleave(n, dim=0) for mask in (self.mask, self.context_mask)
        )

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on from row ``rows[i]``, a beam of the same sentence: context and masks are the same for both."""
        if torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            return  # every beam goes on from itself
        for cache in self.caches:
            cache.reorder(rows)


class Stack(nn.Module):
    """Blocks one after the other and, if given, a last norm: pre-norm leaves the sum of all sublayers unnormalised."""

    def __init__(self, blocks: Iterable[Block], norm: nn.Module | None = None):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    @classmethod
    def build(
        cls,
        num_layers: int,
        attention: Callable[[], MultiHeadAttention],
        feed_forward: Callable[[], nn.Module],
        norm: Callable[[], nn.Module],
        *,
        decoder: bool,
        norm_first: bool,
        dropout: float,
    ) -> Self:
        """`num_layers` equal blocks of an encoder or, if `decoder`, causal ones that read a context.

        `attention`, `feed_forward` and `norm` make one such part; see `Block` for the rest.
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
        return cls(blocks, norm() if norm_first else None)

    @torch.no_grad()
    def store_weights_by_input(self) -> None:
        """Store each weight ``(out, in)`` in memory as (in, out); its shape and its numbers stay as they are.

        A decoder writes one token at a time, and one row times a matrix takes the time of reading the matrix: on a CPU
        as little as half of it in this order. With many rows, as in training, the order does not matter. To be called
        after the weights were drawn: torch draws in the order of memory.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.data = module.weight.T.contiguous().T

    def start(
        self,
        max_length: int,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> DecoderState:
        """An empty memory with room for `max_length` positions.

        Args:
            max_length: how many positions the state can hold.
            context: ``(batch, source, d_context)``, the output of the encoder, if the blocks read one.
            mask: ``(batch, 1, 1, n)``, which of the first `n` positions will hold tokens; later ones all do.
            context_mask: ``(batch, 1, 1, source)``, which positions of the context hold tokens.
        """
        contexts = [
            None if context is None else block.cross_attention.keys_and_values(context) for block in self.blocks
        ]
        if mask is not None:
            mask = F.pad(mask, (0, max_length - mask.shape[-1]), value=True)
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

        With a `state`, x holds the positions that follow those seen so far; context and masks are the state's.
        With `return_weights`, also the weights of self-attention and of cross-attention, one entry for each block.
        """
        if state is None:
            caches, contexts = [None] * len(self.blocks), [context] * len(self.blocks)
        else:
            caches, contexts, context_mask = state.caches, state.contexts, state.context_mask
            mask = None if state.mask is None else state.mask[..., : state.length + x.shape[1]]

        weights, context_weights = [], []
        for block, cache, context in zip(self.blocks, caches, contexts, strict=True):
            x = block(
                x,
                context,
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
        return (x, weights, context_weights) if return_weights else x


# --------------------------------------------------------------------------------------------------- encoder-decoder


class AttentionWeights(NamedTuple):
    """What an encoder-decoder attended to: each a list with one ``(batch, heads, query, key)`` for each block."""

    encoder: list[Tensor]
    decoder: list[Tensor]
    cross: list[Tensor]


class EncoderDecoder(nn.Module):
    """A stack that reads the source, a stack that writes the target, and the ways to run them; see `transformer`.

    A family makes the `encoder`, the `decoder` and the `head` and says how tokens are embedded: `embed_source` and
    `embed_target`. If its positions are added to the scores instead, it overrides `source_bias` and `target_bias`.
    """

    encoder: Stack
    decoder: Stack
    head: nn.Module  # (..., d_model) to (..., vocab_size)
    max_length: int | None = None  # number of positions, if it is limited

    def embed_source(self, tokens: Tensor) -> Tensor:
        """Token ids ``(batch, source)`` to what the encoder reads, ``(batch, source, d_model)``."""
        raise NotImplementedError

    def embed_target(self, tokens: Tensor, start: int) -> Tensor:
        """The same for the decoder and the target tokens from position `start` on."""
        raise NotImplementedError

    def source_bias(self, length: int) -> Tensor | None:
        """What is added to the encoder's scores, broadcastable to ``(batch, heads, length, length)``."""
        return None

    def target_bias(self, num_queries: int, num_keys: int) -> Tensor | None:
        """What is added to the decoder's, ``(batch, heads, query, key)``, the queries being the last of the keys."""
        return None

    def forward(
        self, source: Tensor, target: Tensor, source_mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, AttentionWeights]:
        """The logits ``(batch, target, vocab_size)`` of the token after each target position.

        Args:
            source: token ids ``(batch, source)``.
            target: token ids ``(batch, target)``, beginning with the token that starts every target. Padding *after*
                the target needs no mask: no earlier position sees it.
            source_mask: True where the source may be attended to, ``(batch, 1, 1, source)``, see `masks.padding_mask`.
            return_weights: also return what was attended to.
        """
        if not return_weights:
            return self.decode(target, self.encode(source, source_mask), source_mask)
        memory, encoder = self.encode(source, source_mask, return_weights=True)
        logits, decoder, cross = self.decode(target, memory, source_mask, return_weights=True)
        return logits, AttentionWeights(encoder, decoder, cross)

    def encode(
        self, source: Tensor, source_mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Token ids ``(batch, source)`` to the memory that the decoder reads, ``(batch, source, d_model)``."""
        if source.shape[-1] == 0:
            raise ValueError("the source is empty: give it at least the token that ends every sentence")
        bias = self.source_bias(source.shape[1])
        found = self.encoder(self.embed_source(source), mask=source_mask, bias=bias, return_weights=return_weights)
        return found[:2] if return_weights else found

    def decode(
        self, target: Tensor, memory: Tensor, source_mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor], list[Tensor]]:
        """Token ids ``(batch, target)`` and the encoder's output to logits ``(batch, target, vocab_size)``."""
        found = self.decoder(
            self.embed_target(target, 0),
            memory,
            context_mask=source_mask,
            bias=self.target_bias(target.shape[1], target.shape[1]),
            return_weights=return_weights,
        )
        if not return_weights:
            return self.head(found)
        x, weights, cross = found
        return self.head(x), weights, cross

    def start(self, max_length: int, source: Tensor, source_mask: Tensor | None = None) -> DecoderState:
        """Read the source; return a state with room for `max_length` target positions, none of them written."""
        check_length(max_length, self.max_length)
        return self.decoder.start(max_length, self.encode(source, source_mask), context_mask=source_mask)

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Write the target's next tokens, ``(batch, new)``; return the logits after the last, ``(batch, vocab_size)``."""
        bias = self.target_bias(tokens.shape[1], state.length + tokens.shape[1])
        x = self.decoder(self.embed_target(tokens, state.length), state=state, bias=bias)
        return self.head(x[:, -1])


# ------------------------------------------------------------------------------------------------- shared by families


class TokenEmbedding(nn.Embedding):
    """A vector for each token of a vocabulary, with errors that say which id does not exist."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length) token ids to (batch, length, d_model)."""
        try:
            x = super().forward(tokens)
        except (IndexError, RuntimeError):  # looked at only when it has failed: a good batch pays nothing
            if tokens.dtype not in (torch.long, torch.int):
                raise TypeError(f"token ids must be torch.long, got {tokens.dtype}") from None
            outside = tokens[(tokens < 0) | (tokens >= self.num_embeddings)]
            if outside.numel() == 0:
                raise
            raise ValueError(
                f"token id {outside[0].item()} is not in the vocabulary of {self.num_embeddings} tokens "
                f"(0 … {self.num_embeddings - 1}); use the tokenizer this model was built for"
            ) from None
        if tokens.dim() != 2:
            raise ValueError(
                f"token ids must have the shape (batch, length), got {tuple(tokens.shape)}; add [None] to one sentence"
            )
        return x


def init_normal(model: nn.Module, std: float) -> None:
    """Draw the weights of all linear layers and embeddings from N(0, std²), and set their biases to 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


def check_config(config: Any, *sizes: str) -> None:
    """Check what all configurations have in common.

    Raises:
        ValueError: one of the fields named in `sizes` is not a whole number of at least 1 (or None, if that is its
            default), the heads do not divide the width (unless there is a `d_head`), a dropout is not a probability,
            the activation is unknown.
    """
    name = type(config).__name__
    for field in fields(config):
        value = getattr(config, field.name)
        left_open = value is None and field.default is None
        if field.name in sizes and not left_open and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name}: {field.name} must be a whole number of at least 1, got {value!r}")
        if field.name.endswith("dropout") and not 0 <= value < 1:
            raise ValueError(f"{name}: {field.name} must be a probability in [0, 1), got {value}")
    if getattr(config, "d_head", None) is None and config.d_model % config.num_heads != 0:
        raise ValueError(
            f"{name}: {config.num_heads} heads do not divide d_model={config.d_model}; "
            f"choose num_heads among the divisors of {config.d_model}"
        )
    _check_activation(config.activation)


def check_length(length: int, max_length: int | None) -> None:
    """A text of `length` positions must fit into a model's `max_length`; None is no limit."""
    if max_length is not None and length > max_length:
        raise ValueError(
            f"{length} positions are needed, but this model has {max_length}; shorten the text, ask for fewer new "
            "tokens, or build the model with a larger max_length"
        )


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation is called {name!r}; choose one of {', '.join(ACTIVATIONS)}")

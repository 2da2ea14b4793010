"""Encoder-decoder: a stack that reads the source and a stack that writes the target, as in the Transformer, BART, T5."""

from typing import Literal, NamedTuple, overload

from torch import Tensor, nn

from largemodels.configs import check_length
from largemodels.stacks import DecoderState, Stack


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

    @overload
    def encode(
        self, source: Tensor, source_mask: Tensor | None = None, *, return_weights: Literal[False] = False
    ) -> Tensor: ...
    @overload
    def encode(
        self, source: Tensor, source_mask: Tensor | None = None, *, return_weights: Literal[True]
    ) -> tuple[Tensor, list[Tensor]]: ...
    def encode(
        self, source: Tensor, source_mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Token ids ``(batch, source)`` to the memory that the decoder reads, ``(batch, source, d_model)``."""
        if source.shape[-1] == 0:
            raise ValueError("the source is empty: give it at least the token that ends every sentence")
        bias = self.source_bias(source.shape[1])
        found = self.encoder(self.embed_source(source), mask=source_mask, bias=bias, return_weights=return_weights)
        return found[:2] if return_weights else found

    @overload
    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        source_mask: Tensor | None = None,
        *,
        return_weights: Literal[False] = False,
    ) -> Tensor: ...
    @overload
    def decode(
        self, target: Tensor, memory: Tensor, source_mask: Tensor | None = None, *, return_weights: Literal[True]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]: ...
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

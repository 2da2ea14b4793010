"""GPT: a stack of causal blocks that reads tokens from left to right and predicts the next one.

GPT-1, GPT-2 and GPT-3 are three configurations of one model. What changed from each to the next:

=========  =========  =============  ==================================  ===================  =============
model      norm       last norm      residual projections start          attention            context
=========  =========  =============  ==================================  ===================  =============
GPT-1      post       no             like all others                     dense                512 tokens
GPT-2      pre        yes            smaller by √(number of residuals)   dense                1,024 tokens
GPT-3      pre        yes            as GPT-2                            dense and banded     2,048 tokens
=========  =========  =============  ==================================  ===================  =============

Sources: GPT-1: Radford, Narasimhan, Salimans & Sutskever 2018, *Improving Language Understanding by Generative
Pre-Training*; GPT-2: Radford, Wu, Child, Luan, Amodei & Sutskever 2019, *Language Models are Unsupervised Multitask
Learners*; GPT-3: Brown et al. 2020 (arXiv 2005.14165).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import MultiHeadAttention, check_model_mask
from largemodels.blocks import Block, FeedForward, LayerNorm, TokenEmbedding, init_normal, tie
from largemodels.configs import check_config, check_length
from largemodels.positions import Position, position_scheme
from largemodels.stacks import DecoderState, Stack


@dataclass(frozen=True)
class GPTConfig:
    """The sizes and choices of one GPT. Presets: `gpt1`, `gpt2`, `gpt3`; they take any field as a keyword, too.

    Attributes:
        vocab_size: number of tokens.
        max_length: number of positions, the longest text the model reads.
        d_model, num_layers, num_heads: width, blocks, heads in each.
        d_ff: width inside the feed-forward networks; 4·d_model unless given.
        activation: a key of `blocks.ACTIVATIONS`.
        norm_first: pre-norm and a last norm (GPT-2, GPT-3), or post-norm (GPT-1).
        norm_eps: ε of the norms.
        bands: how many positions back the blocks look, block by block and then from the beginning again; None is all.
        attention_scale: replaces 1/√d_head (GPT-Neo: 1).
        scale_by_layer: divide the scores in block i by i, counted from 1 (a variant of GPT-2).
        attention_bias: whether queries, keys and values have a bias (GPT-Neo: no).
        positions: a key of `positions.SCHEMES`; every GPT learned its positions.
        tied_head: whether the token embeddings are the weights of the output layer, too.
        dropout: on the embeddings and the sublayers' outputs.
        attention_dropout: on the attention weights.
        init_std: standard deviation of the initial weights, learned positions included; None leaves each layer's own
            initialisation.
        scaled_init: whether projections into the residual stream start smaller, divided by √(2·num_layers).
    """

    vocab_size: int
    max_length: int = 1024
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    d_ff: int | None = None
    activation: str = "gelu_new"
    norm_first: bool = True
    norm_eps: float = 1e-5
    bands: tuple[int | None, ...] = (None,)
    attention_scale: float | None = None
    scale_by_layer: bool = False
    attention_bias: bool = True
    positions: str = "learned"
    tied_head: bool = True
    dropout: float = 0.1
    attention_dropout: float = 0.1
    init_std: float | None = 0.02
    scaled_init: bool = True

    def __post_init__(self):
        check_config(self, "vocab_size", "max_length", "d_model", "num_layers", "num_heads", "d_ff")
        if not self.bands or any(band is not None and band < 1 for band in self.bands):
            raise ValueError(
                f"GPTConfig: bands must name at least one block's band, each None or at least 1, got {self.bands}"
            )

    @classmethod
    def gpt1(cls, **changes) -> Self:
        """GPT-1: 12 blocks, 117 million parameters. Source: Radford et al. 2018, section 4.1."""
        sizes = {"vocab_size": 40478, "max_length": 512, "norm_first": False, "scaled_init": False}
        return cls(**sizes | changes)

    @classmethod
    def gpt2(cls, size: str = "small", **changes) -> Self:
        """GPT-2 "small", "medium", "large" or "xl". Source: Radford et al. 2019, sections 2.2, 2.3 and table 2.

        The paper's table names 117, 345, 762 and 1,542 million parameters; these counts were wrong, as the authors
        say in the README of github.com/openai/gpt-2. The models have 124, 355, 774 and 1,558 million.
        """
        num_layers, d_model, num_heads = _size(size, GPT2_SIZES)
        sizes = {"vocab_size": 50257, "num_layers": num_layers, "d_model": d_model, "num_heads": num_heads}
        return cls(**sizes | changes)

    @classmethod
    def gpt3(cls, size: str = "175B", **changes) -> Self:
        """GPT-3, "125M" to "175B". Source: Brown et al. 2020, section 2.1 and table 2.1.

        Two rows of table 2.1 do not add up. For "1.3B" it has 24 heads of 128 at a width of 2048: we take 16 heads
        of 128. For "13B" it has a width of 5140 with 40 heads of 128: we take 5120. Both give the parameters that the
        paper counts in table D.1. The paper does not tell the width of the bands; 256 is that of GPT-Neo, the open
        reproduction.
        """
        num_layers, d_model, num_heads = _size(size, GPT3_SIZES)
        sizes: dict[str, Any] = {
            "vocab_size": 50257,
            "num_layers": num_layers,
            "d_model": d_model,
            "num_heads": num_heads,
        }
        return cls(**sizes | {"max_length": 2048, "bands": (None, 256)} | changes)


# (num_layers, d_model, num_heads)
GPT2_SIZES = {"small": (12, 768, 12), "medium": (24, 1024, 16), "large": (36, 1280, 20), "xl": (48, 1600, 25)}
GPT3_SIZES = {
    "125M": (12, 768, 12),
    "350M": (24, 1024, 16),
    "760M": (24, 1536, 16),
    "1.3B": (24, 2048, 16),
    "2.7B": (32, 2560, 32),
    "6.7B": (32, 4096, 32),
    "13B": (40, 5120, 40),
    "175B": (96, 12288, 96),
}


def _size(name: str, sizes: dict[str, tuple[int, int, int]]) -> tuple[int, int, int]:
    if name not in sizes:
        raise ValueError(f"no size is called {name!r}; choose one of {', '.join(sizes)}")
    return sizes[name]


class GPT(nn.Module):
    """``model(tokens)`` gives, at each position, the logits of the token that follows it."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config.vocab_size, config.d_model)
        std = {"std": config.init_std} if config.positions == "learned" and config.init_std is not None else {}
        self.positions = position_scheme(config.positions, config.d_model, config.num_heads, config.max_length, **std)
        norm = partial(LayerNorm, config.d_model, eps=config.norm_eps)
        self.stack = Stack(
            [self._block(layer, norm) for layer in range(config.num_layers)],
            norm() if config.norm_first else None,
        )
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.init_std is not None:
            init_normal(self, config.init_std)
        if config.scaled_init:
            self._shrink_residual_projections()
        if config.tied_head:
            tie(self, "head.weight", "embedding.weight")

    def _block(self, layer: int, norm: partial) -> Block:
        config = self.config
        scale = config.attention_scale or (config.d_model // config.num_heads) ** -0.5
        attention = MultiHeadAttention(
            config.d_model,
            config.num_heads,
            bias=config.attention_bias,
            output_bias=True,
            scale=scale / (layer + 1) if config.scale_by_layer else scale,
            dropout=config.attention_dropout,
            # A scheme that is added to the embeddings has nothing to say to the attention.
            position=None if self._adds_positions else self.positions,
        )
        return Block(
            attention,
            FeedForward(config.d_model, config.d_ff or 4 * config.d_model, config.activation),
            norm,
            norm_first=config.norm_first,
            causal=True,
            band=config.bands[layer % len(config.bands)],
            dropout=config.dropout,
        )

    @torch.no_grad()
    def _shrink_residual_projections(self) -> None:
        # 2·num_layers outputs are added up in the residual stream; its variance should not depend on their number.
        for block in self.stack.blocks:
            for projection in (block.attention.output, block.feed_forward.down):
                projection.weight.mul_((2 * self.config.num_layers) ** -0.5)

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """``(batch, length)`` token ids to logits ``(batch, length, vocab_size)``.

        Args:
            tokens: the texts.
            mask: ``(batch, 1, 1, length)``, True where there is a token, False where there is padding. Positions are
                counted from the first token. Padding *after* the text needs no mask: no earlier position sees it.
            return_weights: also return the attention weights, for each block ``(batch, heads, query, key)``.
        """
        x = self._embed(tokens, mask)
        if not return_weights:
            return self.head(self.stack(x, mask=mask))
        x, weights, _ = self.stack(x, mask=mask, return_weights=True)
        return self.head(x), weights

    def start(self, max_length: int, mask: Tensor | None = None) -> DecoderState:
        """An empty state with room for `max_length` tokens; `mask` tells which of the first ones are padding."""
        check_length(max_length, self.config.max_length if self.config.positions == "learned" else None)
        state = self.stack.start(max_length, mask=mask)
        if self._adds_positions:
            state.encoding = self._encoding(max_length, state.mask)
        return state

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Read the tokens that come next, ``(batch, new)``; return the logits after the last, ``(batch, vocab_size)``."""
        x = self.embedding(tokens)
        if state.encoding is not None:
            x = x + state.encoding[..., state.length : state.length + tokens.shape[1], :]
        return self.head(self.stack(x, state=state)[:, -1])

    def _embed(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Token embeddings with their positions."""
        x = self.embedding(tokens)
        if mask is None:
            x = self.positions.add(x)
        elif self._adds_positions:
            encoding = self._encoding(tokens.shape[1], mask)  # (batch or 1, length, d_model)
            if encoding.shape[0] not in (1, tokens.shape[0]):
                raise ValueError(
                    f"each text needs one row of the mask, got {tokens.shape[0]} texts and {encoding.shape[0]} rows"
                )
            x = x + encoding
        return F.dropout(x, self.config.dropout) if self.training else x

    @property
    def _adds_positions(self) -> bool:
        return type(self.positions).add is not Position.add

    def _encoding(self, length: int, mask: Tensor | None) -> Tensor:
        """What is added to the embeddings of the first `length` positions: ``(length, d_model)``.

        With a mask ``(batch, length, d_model)``: each text counts from its own first token.
        """
        table = self.positions.add(self.embedding.weight.new_zeros(1, length, self.config.d_model))[0]
        if mask is None:
            return table
        check_model_mask("mask", mask)
        if mask.shape[1:3] != (1, 1):
            raise ValueError(f"mask must have the shape (batch, 1, 1, length), got {tuple(mask.shape)}")
        padding = mask[:, 0, 0].int().argmax(dim=-1)  # how many positions before the first True
        return table[(torch.arange(length, device=table.device) - padding[:, None]).clamp(min=0)]

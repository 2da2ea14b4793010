"""T5: a Transformer that treats every task as text to text, pre-trained to restore the spans left out of a text.

What changed from the Transformer of 2017: pre-norm with RMSNorm, no biases anywhere, positions as learned numbers
added to the scores (one table for all encoder blocks, one for all decoder blocks), and scores that are not divided by
√d_head: queries begin that much smaller instead. Version 1.1 also gates the feed-forward networks and gives the output
its own matrix.

Sources: Raffel et al. 2020 (arXiv 1910.10683), section 2.1; version 1.1: Shazeer 2020 (arXiv 2002.05202) and the notes
in the authors' repository, github.com/google-research/text-to-text-transfer-transformer, released_checkpoints.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import MultiHeadAttention, at_least_float32
from largemodels.blocks import FeedForward, RMSNorm, TokenEmbedding, tie
from largemodels.configs import check_config
from largemodels.encoder_decoder import EncoderDecoder
from largemodels.positions import T5Buckets
from largemodels.stacks import Stack


@dataclass(frozen=True)
class T5Config:
    """The sizes and choices of one T5. Presets: `v1_0`, `v1_1`; they take any field as a keyword, too.

    Attributes:
        vocab_size: number of tokens.
        d_model, num_heads, d_head: width of the blocks, heads in each, and width of one head.
        num_encoder_layers, num_decoder_layers: number of blocks.
        d_ff: width inside the feed-forward networks.
        activation: a key of `blocks.ACTIVATIONS`.
        gated: whether a gate multiplies the inner layer of the feed-forward networks (version 1.1).
        num_buckets, max_distance: of the relative positions, see `positions.t5_bucket`.
        norm_eps: ε of the norms.
        tied_head: whether the token embeddings are the weights of the output layer, too, which then multiplies its
            input by 1/√d_model; or a matrix of its own, without the factor (version 1.1).
        dropout: on the embeddings, the sublayers' outputs, the output of each stack, the attention weights and inside
            the feed-forward networks (section 2.1).
    """

    vocab_size: int = 32128
    d_model: int = 512
    num_heads: int = 8
    d_head: int = 64
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    d_ff: int = 2048
    activation: str = "relu"
    gated: bool = False
    num_buckets: int = 32
    max_distance: int = 128
    norm_eps: float = 1e-6
    tied_head: bool = True
    dropout: float = 0.1

    def __post_init__(self):
        sizes = ("vocab_size", "d_model", "num_heads", "d_head", "num_encoder_layers", "num_decoder_layers", "d_ff")
        check_config(self, *sizes, "num_buckets", "max_distance")
        if self.num_buckets < 4 or self.max_distance <= self.num_buckets // 2:
            raise ValueError(
                "T5Config: there must be at least 4 buckets, and half of them hold one distance each, so max_distance "
                f"must be more than that; got num_buckets={self.num_buckets}, max_distance={self.max_distance}"
            )

    @classmethod
    def v1_0(cls, size: str = "base", **changes) -> Self:
        """The T5 of the paper: "small", "base", "large", "3B" or "11B". Source: Raffel et al. 2020, section 3.7.

        They have 61, 223, 738, 2,852 and 11,307 million parameters. The paper says 60, 220, 770, 2,800 and 11,000; for
        "large" its count fits only if it has the table of tokens twice.
        """
        return cls(**_sizes(size, V1_0_SIZES) | changes)

    @classmethod
    def v1_1(cls, size: str = "base", **changes) -> Self:
        """T5 version 1.1: "small", "base", "large", "xl" or "xxl". Source: the authors' released_checkpoints.md."""
        return cls(**_sizes(size, V1_1_SIZES) | {"activation": "gelu_new", "gated": True, "tied_head": False} | changes)


# d_model, d_ff, num_heads, d_head, blocks in the encoder, and as many in the decoder
V1_0_SIZES = {
    "small": (512, 2048, 8, 64, 6),
    "base": (768, 3072, 12, 64, 12),
    "large": (1024, 4096, 16, 64, 24),
    "3B": (1024, 16384, 32, 128, 24),
    "11B": (1024, 65536, 128, 128, 24),
}
V1_1_SIZES = {
    "small": (512, 1024, 6, 64, 8),
    "base": (768, 2048, 12, 64, 12),
    "large": (1024, 2816, 16, 64, 24),
    "xl": (2048, 5120, 32, 64, 24),
    "xxl": (4096, 10240, 64, 64, 24),
}


def _sizes(name: str, sizes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    if name not in sizes:
        raise ValueError(f"no size is called {name!r}; choose one of {', '.join(sizes)}")
    fields = ("d_model", "d_ff", "num_heads", "d_head", "num_encoder_layers", "num_decoder_layers")
    return dict(zip(fields, (*sizes[name], sizes[name][-1]), strict=True))


class T5Head(nn.Linear):
    """(..., d_model) to logits (..., vocab_size), the input first multiplied by `scale`."""

    def __init__(self, d_model: int, vocab_size: int, scale: float):
        super().__init__(d_model, vocab_size, bias=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.scale)


class T5(EncoderDecoder):
    """``model(source, target, source_mask=None)`` gives, at each target position, the logits of the token after it.

    The stream is float32 even if the weights are float16 or bfloat16: nothing between the blocks normalises the sum of
    what the sublayers add, and in float16 it would be infinite from 65,520 on.

    Positions are only distances, so that no source or target is too long. Every official T5 begins the target with
    its padding token.
    """

    def __init__(self, config: T5Config):
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config.vocab_size, config.d_model)
        buckets = {"num_buckets": config.num_buckets, "max_distance": config.max_distance}
        self.source_positions = T5Buckets(config.num_heads, bidirectional=True, **buckets)
        self.target_positions = T5Buckets(config.num_heads, bidirectional=False, **buckets)
        build = partial(
            Stack.build,
            attention=partial(
                MultiHeadAttention,
                config.d_model,
                config.num_heads,
                d_head=config.d_head,
                bias=False,
                scale=1.0,
                dropout=config.dropout,
            ),
            feed_forward=partial(
                FeedForward,
                config.d_model,
                config.d_ff,
                config.activation,
                gated=config.gated,
                bias=False,
                dropout=config.dropout,
            ),
            norm=partial(RMSNorm, config.d_model, eps=config.norm_eps),
            norm_first=True,
            dropout=config.dropout,
            output_dropout=config.dropout,
        )
        self.encoder = build(config.num_encoder_layers, decoder=False)
        self.decoder = build(config.num_decoder_layers, decoder=True)
        self.head = T5Head(config.d_model, config.vocab_size, config.d_model**-0.5 if config.tied_head else 1.0)
        self._init_weights()
        if config.tied_head:
            tie(self, "head.weight", "embedding.weight")

    def _init_weights(self) -> None:
        """A matrix begins with what keeps the variance of its input, 1/√width; a query's also makes up for √d_head.

        Source: the authors' code, mesh_tensorflow/transformer/transformer_layers.py.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                nn.init.normal_(module.query.weight, std=(module.d_model * module.d_head) ** -0.5)
        for positions in (self.source_positions, self.target_positions):
            nn.init.normal_(positions.weight, std=self.config.d_model**-0.5)
        nn.init.normal_(self.embedding.weight, std=1.0)

    def embed_source(self, tokens: Tensor) -> Tensor:
        return self._embed(tokens)

    def embed_target(self, tokens: Tensor, start: int) -> Tensor:
        return self._embed(tokens)  # the decoder's scores say where they stand

    def _embed(self, tokens: Tensor) -> Tensor:
        x = at_least_float32(self.embedding(tokens))
        return F.dropout(x, self.config.dropout) if self.training else x

    def source_bias(self, length: int) -> Tensor:
        return self.source_positions.bias(length, length)

    def target_bias(self, num_queries: int, num_keys: int) -> Tensor:
        return self.target_positions.bias(num_queries, num_keys)

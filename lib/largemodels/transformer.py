"""The Transformer of 2017: an encoder reads the source, a decoder writes the target, one token after the other.

The encoder's blocks see the whole source. The decoder's blocks see the target up to the current position (causal
self-attention) and, through cross-attention, the encoder's output.

Source: Vaswani et al. 2017 (arXiv 1706.03762).
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import MultiHeadAttention
from largemodels.blocks import FeedForward, LayerNorm, TokenEmbedding, init_normal, tie
from largemodels.configs import check_config, check_length
from largemodels.encoder_decoder import EncoderDecoder
from largemodels.positions import kept_sinusoids
from largemodels.stacks import Stack


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes and choices of one Transformer; the defaults are the paper's base model (table 3).

    Attributes:
        source_vocab_size, target_vocab_size: number of tokens of the two languages.
        max_length: number of positions, the longest source or target.
        d_model, num_heads: width of the blocks and heads in each.
        num_encoder_layers, num_decoder_layers: number of blocks.
        d_ff: width inside the feed-forward networks.
        activation: a key of `blocks.ACTIVATIONS`.
        norm_first: post-norm as in the paper, or pre-norm, with a last norm after each stack.
        norm_eps: ε of the norms.
        tied_head: whether the target embeddings are the weights of the output layer, too (section 3.4).
        shared_embedding: whether source and target, in one vocabulary, share their embeddings (section 3.4).
        dropout: on the embeddings and the sublayers' outputs (section 5.4).
        attention_dropout: on the attention weights; the paper has none.
    """

    source_vocab_size: int
    target_vocab_size: int
    max_length: int = 512
    d_model: int = 512
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    d_ff: int = 2048
    activation: str = "relu"
    norm_first: bool = False
    norm_eps: float = 1e-5
    tied_head: bool = True
    shared_embedding: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.0

    def __post_init__(self):
        check_config(
            self,
            "source_vocab_size",
            "target_vocab_size",
            "max_length",
            "d_model",
            "num_heads",
            "num_encoder_layers",
            "num_decoder_layers",
            "d_ff",
        )
        if self.shared_embedding and self.source_vocab_size != self.target_vocab_size:
            raise ValueError(
                "TransformerConfig: a shared embedding needs one vocabulary, got sizes "
                f"{self.source_vocab_size} and {self.target_vocab_size}"
            )


class Transformer(EncoderDecoder):
    """``model(source, target, source_mask=None)`` gives, at each target position, the logits of the token after it.

    `EncoderDecoder` runs the two stacks that are built here, in training (`forward`) and in generation (`start` and
    `step`).
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config, self.max_length = config, config.max_length
        self.source_embedding = TokenEmbedding(config.source_vocab_size, config.d_model)
        self.target_embedding = (
            self.source_embedding
            if config.shared_embedding
            else TokenEmbedding(config.target_vocab_size, config.d_model)
        )
        build = partial(
            Stack.build,
            attention=partial(MultiHeadAttention, config.d_model, config.num_heads, dropout=config.attention_dropout),
            feed_forward=partial(FeedForward, config.d_model, config.d_ff, config.activation),
            norm=partial(LayerNorm, config.d_model, eps=config.norm_eps),
            norm_first=config.norm_first,
            dropout=config.dropout,
        )
        self.encoder = build(config.num_encoder_layers, decoder=False)
        self.decoder = build(config.num_decoder_layers, decoder=True)
        self.head = nn.Linear(config.d_model, config.target_vocab_size, bias=False)
        self._init_weights()
        if config.tied_head:
            tie(self, "head.weight", "target_embedding.weight")

    def _init_weights(self) -> None:
        # The paper does not say how weights begin. Glorot & Bengio's uniform weights are usual; embeddings of variance
        # 1/d_model have variance 1 after the factor √d_model, of the order of the sines and cosines added to them.
        init_normal(self, std=self.config.d_model**-0.5)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def embed_source(self, tokens: Tensor) -> Tensor:
        return self._embed(self.source_embedding(tokens), 0)

    def embed_target(self, tokens: Tensor, start: int) -> Tensor:
        return self._embed(self.target_embedding(tokens), start)

    @property
    def encoding(self) -> Tensor:
        """``(max_length, d_model)``: what is added to the embeddings at each position (section 3.5)."""
        weight = self.target_embedding.weight.detach()
        return kept_sinusoids(0, self.max_length, self.config.d_model, 10000.0, torch.float32, like=weight)

    def _embed(self, x: Tensor, start: int) -> Tensor:
        """Token embeddings times √d_model (section 3.4) plus the encoding of their positions (section 3.5)."""
        end = start + x.shape[1]
        check_length(end, self.max_length)
        x = x * math.sqrt(self.config.d_model) + self.encoding[start:end]
        return F.dropout(x, self.config.dropout) if self.training else x

"""BART: the Transformer of 2017, pre-trained to restore a text from a damaged copy of it.

What changed from the Transformer: GELU for ReLU, learned positions for sinusoids, a norm on the embeddings, and one
table of tokens for the source, the target and the output. (The paper names the first; the others are in the authors'
code.)

Source: Lewis et al. 2019 (arXiv 1910.13461), section 2.1.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import MultiHeadAttention
from largemodels.blocks import FeedForward, LayerNorm, TokenEmbedding, init_normal, tie
from largemodels.configs import check_config, check_length
from largemodels.encoder_decoder import EncoderDecoder
from largemodels.positions import Learned
from largemodels.stacks import Stack

# Positions are counted from 2. The authors' code gives padding the position of its token id, 1, and the first token the
# next one; rows 0 and 1 of the tables are never read here, but official checkpoints have them.
FIRST_POSITION = 2


@dataclass(frozen=True)
class BARTConfig:
    """The sizes and choices of one BART. The presets take any field as a keyword, too: ``BARTConfig.base(dropout=0)``.

    Attributes:
        vocab_size: number of tokens.
        max_length: number of positions, the longest source or target.
        d_model, num_heads: width of the blocks and heads in each.
        num_encoder_layers, num_decoder_layers: number of blocks.
        d_ff: width inside the feed-forward networks; 4·d_model unless given.
        activation: a key of `blocks.ACTIVATIONS`.
        norm_eps: ε of the norms.
        scale_embedding: whether token embeddings are multiplied by √d_model, as in the Transformer of 2017.
        tied: whether source, target and output have one table of tokens, or one each.
        dropout: on the embeddings and the sublayers' outputs.
        attention_dropout: on the attention weights.
        activation_dropout: inside the feed-forward networks.
        init_std: standard deviation of the initial weights.
    """

    vocab_size: int
    max_length: int = 1024
    d_model: int = 768
    num_heads: int = 12
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    d_ff: int | None = None
    activation: str = "gelu"
    norm_eps: float = 1e-5
    scale_embedding: bool = False
    tied: bool = True
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    init_std: float = 0.02

    def __post_init__(self):
        sizes = ("vocab_size", "max_length", "d_model", "num_heads", "d_ff")
        check_config(self, *sizes, "num_encoder_layers", "num_decoder_layers")

    @classmethod
    def base(cls, **changes) -> Self:
        """BART-base, 6 + 6 blocks: 139 million parameters. Source: Lewis et al. 2019, section 2.1."""
        return cls(**{"vocab_size": 50265} | changes)

    @classmethod
    def large(cls, **changes) -> Self:
        """BART-large, 12 + 12 blocks: 406 million parameters. Source: Lewis et al. 2019, sections 2.1 and 5.1."""
        sizes = {"d_model": 1024, "num_heads": 16, "num_encoder_layers": 12, "num_decoder_layers": 12}
        return cls.base(**sizes | changes)


class BARTEmbedding(nn.Module):
    """Token embeddings plus learned positions, normalised."""

    def __init__(self, config: BARTConfig, token: TokenEmbedding):
        super().__init__()
        self.max_length, self.dropout = config.max_length, config.dropout
        self.scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.token = token
        self.position = Learned(FIRST_POSITION + config.max_length, config.d_model, std=config.init_std)
        self.norm = LayerNorm(config.d_model, eps=config.norm_eps)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """Token ids ``(batch, length)`` of the positions `start`, … to ``(batch, length, d_model)``."""
        x = self.token(tokens)
        if self.scale != 1:
            x = x * self.scale
        check_length(start + tokens.shape[1], self.max_length)
        x = self.norm(self.position.add(x, FIRST_POSITION + start))
        return F.dropout(x, self.dropout) if self.training else x


class BARTHead(nn.Linear):
    """(..., d_model) to logits (..., vocab_size), with a bias that is not learned: 0, or what a checkpoint brings."""

    logits_bias: Tensor  # (1, vocab_size)

    def __init__(self, config: BARTConfig):
        super().__init__(config.d_model, config.vocab_size, bias=False)
        self.register_buffer("logits_bias", torch.zeros(1, config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.logits_bias


class BART(EncoderDecoder):
    """``model(source, target, source_mask=None)`` gives, at each target position, the logits of the token after it.

    Every official BART begins the target with its end-of-text token, </s>.
    """

    def __init__(self, config: BARTConfig):
        super().__init__()
        self.config, self.max_length = config, config.max_length
        token = TokenEmbedding(config.vocab_size, config.d_model)
        self.source_embedding = BARTEmbedding(config, token)
        self.target_embedding = BARTEmbedding(
            config, token if config.tied else TokenEmbedding(config.vocab_size, config.d_model)
        )
        d_ff = config.d_ff or 4 * config.d_model
        build = partial(
            Stack.build,
            attention=partial(MultiHeadAttention, config.d_model, config.num_heads, dropout=config.attention_dropout),
            feed_forward=partial(
                FeedForward, config.d_model, d_ff, config.activation, dropout=config.activation_dropout
            ),
            norm=partial(LayerNorm, config.d_model, eps=config.norm_eps),
            norm_first=False,
            dropout=config.dropout,
        )
        self.encoder = build(config.num_encoder_layers, decoder=False)
        self.decoder = build(config.num_decoder_layers, decoder=True)
        self.head = BARTHead(config)
        init_normal(self, config.init_std)
        if config.tied:
            tie(self, "head.weight", "source_embedding.token.weight")

    def embed_source(self, tokens: Tensor) -> Tensor:
        return self.source_embedding(tokens)

    def embed_target(self, tokens: Tensor, start: int) -> Tensor:
        return self.target_embedding(tokens, start)

"""BERT: an encoder that reads a text in both directions at once, trained to restore the tokens that were hidden from it.

BERT, ALBERT and RoBERTa are three configurations of one model. What changed from BERT to the other two:

=========  ==============================  ======================  ==========  ============================
model      token embeddings                blocks                  segments    learns sentence pairs by
=========  ==============================  ======================  ==========  ============================
BERT       as wide as the blocks           each its own            two         next sentence or random one
ALBERT     narrow, then projected          one, used many times    two         right order or swapped
RoBERTa    as wide as the blocks           each its own            one         (nothing)
=========  ==============================  ======================  ==========  ============================

RoBERTa counts its positions from the row behind that of the padding, see `BERTConfig.pad`.

Sources: BERT: Devlin et al. 2018 (arXiv 1810.04805); ALBERT: Lan et al. 2019 (arXiv 1909.11942); RoBERTa: Liu et al.
2019 (arXiv 1907.11692).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.attention import MultiHeadAttention
from largemodels.blocks import ACTIVATIONS, Block, FeedForward, LayerNorm, TokenEmbedding, init_normal, tie
from largemodels.configs import check_config, check_length
from largemodels.stacks import Stack

SHARING = ("none", "attention", "feed_forward", "all")


@dataclass(frozen=True)
class BERTConfig:
    """The sizes and choices of one BERT. The presets take any field as a keyword, too: ``BERTConfig.base(dropout=0)``.

    Attributes:
        vocab_size: number of tokens.
        max_length: number of positions, the longest text the model reads.
        num_segments: number of kinds of text that `segments` can tell apart.
        d_model, num_layers, num_heads: width, blocks, heads in each.
        d_ff: width inside the feed-forward networks; 4·d_model unless given.
        d_embedding: width of the embeddings, which a linear layer then brings to d_model (ALBERT); unless given they
            are d_model wide, and there is no such layer.
        share: what blocks of one group share: "none", "attention", "feed_forward" or "all" (ALBERT); each block keeps
            its own norms unless it shares all.
        num_groups: how many groups the blocks are divided into, from the first to the last.
        blocks_per_group: how many different blocks a group has, which take turns.
        activation: a key of `blocks.ACTIVATIONS`.
        norm_eps: ε of the norms.
        pad: the token that fills up shorter texts, if it takes no position (RoBERTa): other tokens then count from
            ``pad + 1``, as in the authors' code, and row `pad` of the table is that of the padding.
        masked_lm: whether there is the head that says which token belongs where; without it the model is a body, whose
            answer is a vector for each token.
        sentence_pairs: whether there is a pooler and a head that judges a pair of sentences.
        pooler: whether there is a pooler without that head: `SequenceClassifier` goes on from it.
        tied_head: whether the token embeddings are the weights of the output layer, too.
        dropout: on the embeddings and the sublayers' outputs.
        attention_dropout: on the attention weights.
        init_std: standard deviation of the initial weights.
    """

    vocab_size: int
    max_length: int = 512
    num_segments: int = 2
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    d_ff: int | None = None
    d_embedding: int | None = None
    share: str = "none"
    num_groups: int = 1
    blocks_per_group: int = 1
    activation: str = "gelu"
    norm_eps: float = 1e-12
    pad: int | None = None
    masked_lm: bool = True
    sentence_pairs: bool = True
    pooler: bool = False
    tied_head: bool = True
    dropout: float = 0.1
    attention_dropout: float = 0.1
    init_std: float = 0.02

    def __post_init__(self):
        sizes = ("vocab_size", "max_length", "num_segments", "d_model", "num_layers", "num_heads", "d_ff")
        check_config(self, *sizes, "d_embedding", "num_groups", "blocks_per_group")
        if self.share not in SHARING:
            raise ValueError(f"BERTConfig: share must be one of {', '.join(SHARING)}, got {self.share!r}")
        if self.share == "none" and (self.num_groups, self.blocks_per_group) != (1, 1):
            raise ValueError("BERTConfig: groups are groups of blocks that share parameters, but share is 'none'")
        if self.num_layers % self.blocks_per_group or self.num_groups > self.num_layers // self.blocks_per_group:
            raise ValueError(
                f"BERTConfig: {self.num_layers} blocks cannot be {self.num_groups} groups of {self.blocks_per_group} "
                "blocks that take turns"
            )
        if self.pooler and self.sentence_pairs:
            raise ValueError("BERTConfig: the head for sentence pairs has a pooler of its own; leave pooler=True out")
        if self.pad is not None and not 0 <= self.pad < self.vocab_size:
            raise ValueError(f"BERTConfig: pad={self.pad} is not in the vocabulary of {self.vocab_size} tokens")

    @classmethod
    def base(cls, **changes) -> Self:
        """BERT-base, uncased: 110 million parameters. Source: Devlin et al. 2018, section 3."""
        return cls(**{"vocab_size": 30522} | changes)

    @classmethod
    def large(cls, **changes) -> Self:
        """BERT-large, uncased: 336 million parameters. Source: Devlin et al. 2018, section 3.

        The paper says 340 million, as it says 110 for the 110.1 of BERT-base: to the nearest ten.
        """
        return cls.base(**{"d_model": 1024, "num_layers": 24, "num_heads": 16} | changes)

    @classmethod
    def albert_base(cls, **changes) -> Self:
        """ALBERT-base: 12 million parameters. Source: Lan et al. 2019, table 1; activation and no dropout: version 2."""
        sizes: dict[str, Any] = {"vocab_size": 30000, "d_embedding": 128, "share": "all", "activation": "gelu_new"}
        return cls(**sizes | {"dropout": 0.0, "attention_dropout": 0.0} | changes)

    @classmethod
    def albert_large(cls, **changes) -> Self:
        """ALBERT-large: 18 million parameters. Source: Lan et al. 2019, table 1."""
        return cls.albert_base(**{"d_model": 1024, "num_layers": 24, "num_heads": 16} | changes)

    @classmethod
    def albert_xlarge(cls, **changes) -> Self:
        """ALBERT-xlarge: 59 million parameters; the paper says 60. Source: Lan et al. 2019, table 1.

        By section 3.1 it would have d_model/64 = 32 heads; the configuration that was published with it has 16.
        """
        return cls.albert_base(**{"d_model": 2048, "num_layers": 24, "num_heads": 16} | changes)

    @classmethod
    def albert_xxlarge(cls, **changes) -> Self:
        """ALBERT-xxlarge: 223 million parameters. Source: Lan et al. 2019, table 1.

        The paper says 235 million, more than the sizes in its own table add up to; the published checkpoint has 223.
        """
        return cls.albert_base(**{"d_model": 4096, "num_layers": 12, "num_heads": 64} | changes)

    @classmethod
    def roberta_base(cls, **changes) -> Self:
        """RoBERTa-base: 125 million parameters. Source: Liu et al. 2019, sections 2 and 4, and the authors' code."""
        sizes = {"vocab_size": 50265, "num_segments": 1, "pad": 1, "sentence_pairs": False, "norm_eps": 1e-5}
        return cls(**sizes | changes)

    @classmethod
    def roberta_large(cls, **changes) -> Self:
        """RoBERTa-large: 355 million parameters. Source: Liu et al. 2019, section 5."""
        return cls.roberta_base(**{"d_model": 1024, "num_layers": 24, "num_heads": 16} | changes)


class BERTEmbedding(nn.Module):
    """Each token as the sum of three vectors, for what it is, where it is and in which segment; normalised.

    Source: Devlin et al. 2018, section 3 and figure 2.
    """

    def __init__(self, config: BERTConfig):
        super().__init__()
        self.max_length, self.pad, self.dropout = config.max_length, config.pad, config.dropout
        width = config.d_embedding or config.d_model
        self.token = TokenEmbedding(config.vocab_size, width)
        self.segment = nn.Embedding(config.num_segments, width)
        self.position = nn.Embedding(config.max_length + (0 if config.pad is None else config.pad + 1), width)
        self.norm = LayerNorm(width, eps=config.norm_eps)
        self.projection = None if config.d_embedding is None else nn.Linear(width, config.d_model)

    def forward(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        """Token ids and segment ids ``(batch, length)`` to ``(batch, length, d_model)``; all segments are 0 if left out."""
        x = self.token(tokens)
        check_length(tokens.shape[1], self.max_length)
        x = x + self.position(self._position_ids(tokens))
        x = x + (self.segment.weight[0] if segments is None else self._embed_segments(segments, tokens))
        x = self.norm(x)
        if self.training:
            x = F.dropout(x, self.dropout)
        return x if self.projection is None else self.projection(x)

    def _position_ids(self, tokens: Tensor) -> Tensor:
        if self.pad is None:
            return torch.arange(tokens.shape[1], device=tokens.device)  # (length,), the same for all texts
        is_token = tokens != self.pad
        return is_token.cumsum(dim=1) * is_token + self.pad  # (batch, length): pad + 1, pad + 2, …; padding has pad

    def _embed_segments(self, segments: Tensor, tokens: Tensor) -> Tensor:
        if segments.shape != tokens.shape:
            raise ValueError(
                f"each token needs one segment id, got segments {tuple(segments.shape)} for tokens {tuple(tokens.shape)}"
            )
        try:
            return self.segment(segments)
        except IndexError:
            raise ValueError(
                f"segment ids lie in 0 … {self.segment.num_embeddings - 1} in this model, got "
                f"{segments.min().item()} … {segments.max().item()}; RoBERTa has no segments: leave them out"
            ) from None


class BERTEncoder(nn.Module):
    """The embeddings and the blocks: all of BERT but its heads."""

    def __init__(self, config: BERTConfig):
        super().__init__()
        self.config = config
        self.embedding = BERTEmbedding(config)
        self.stack = Stack(self._blocks())
        init_normal(self, config.init_std)

    def _blocks(self) -> list[Block]:
        """The blocks in order. Sharing is by reference: one module stands in several places."""
        config = self.config
        attention = partial(MultiHeadAttention, config.d_model, config.num_heads, dropout=config.attention_dropout)
        feed_forward = partial(FeedForward, config.d_model, config.d_ff or 4 * config.d_model, config.activation)
        norm = partial(LayerNorm, config.d_model, eps=config.norm_eps)
        cycles = config.num_layers // config.blocks_per_group
        first: dict[tuple[int, int], Block] = {}  # of each group and turn: whose parameters the later ones share
        blocks = []
        for layer in range(config.num_layers):
            cycle, turn = divmod(layer, config.blocks_per_group)
            place = (cycle * config.num_groups // cycles, turn)
            block = first.get(place)
            if block is None or config.share != "all":
                block = Block(
                    block.attention if block and config.share == "attention" else attention(),
                    block.feed_forward if block and config.share == "feed_forward" else feed_forward(),
                    norm,
                    norm_first=False,
                    dropout=config.dropout,
                )
            first.setdefault(place, block)
            blocks.append(block)
        return blocks

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Token ids ``(batch, length)`` to one vector for each, ``(batch, length, d_model)``; see `BERT.forward`."""
        found = self.stack(self.embedding(tokens, segments), mask=mask, return_weights=return_weights)
        return found[:2] if return_weights else found


class MaskedLMHead(nn.Module):
    """From a token's vector to logits over the vocabulary: a layer of its own, a norm, the embeddings and a bias.

    Source: the authors' code; the paper (section 3.1) only says "an output softmax over the vocabulary".
    """

    def __init__(self, config: BERTConfig):
        super().__init__()
        width = config.d_embedding or config.d_model
        self.transform = nn.Linear(config.d_model, width)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = LayerNorm(width, eps=config.norm_eps)
        self.output = nn.Linear(width, config.vocab_size)
        init_normal(self, config.init_std)

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_model) to (..., vocab_size)."""
        return self.output(self.norm(self.activation(self.transform(x))))


class SentenceHead(nn.Module):
    """From the vector of the first token, [CLS], to logits for the whole text: output(dropout(tanh(pooler(x₀)))).

    Source: the authors' code; Devlin et al. 2018 (section 3) only say that the first token stands for the text.
    """

    def __init__(self, config: BERTConfig, num_labels: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.pooler = nn.Linear(config.d_model, config.d_model)
        self.output = nn.Linear(config.d_model, num_labels)
        init_normal(self, config.init_std)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, d_model) to (batch, num_labels)."""
        pooled = torch.tanh(self.pooler(x[:, 0]))
        return self.output(F.dropout(pooled, self.dropout) if self.training else pooled)


class BERT(nn.Module):
    """``model(tokens)`` gives, at each position, the logits of the token that belongs there.

    Its parts can be called one by one. Pre-training needs the logits at the hidden tokens only, and both heads:

        x = model.encoder(tokens, segments, mask)  # (batch, length, d_model)
        model.head(x[hidden])                      # (number of hidden tokens, vocab_size)
        model.pair_head(x)                         # (batch, 2), 0: the second sentence follows (ALBERT: in this order)

    Heads that the configuration leaves out are None. Without the first one, ``model(tokens)`` gives the vectors x.
    """

    def __init__(self, config: BERTConfig):
        super().__init__()
        self.config = config
        self.encoder = BERTEncoder(config)
        self.head = MaskedLMHead(config) if config.masked_lm else None
        self.pair_head = SentenceHead(config, 2) if config.sentence_pairs else None
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        if self.pooler is not None:
            init_normal(self.pooler, config.init_std)
        if self.head is not None and config.tied_head:
            tie(self, "head.output.weight", "encoder.embedding.token.weight")

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """``(batch, length)`` token ids to masked-LM logits ``(batch, length, vocab_size)``, or to vectors without that head.

        Args:
            tokens: the texts.
            segments: ``(batch, length)``, which segment each token belongs to, 0 or 1; all 0 unless given.
            mask: ``(batch, 1, 1, length)``, True where there is a token, False where there is padding.
            return_weights: also return the attention weights, for each block ``(batch, heads, query, key)``.
        """
        found = self.encoder(tokens, segments, mask, return_weights=return_weights)
        if self.head is None:
            return found
        return (self.head(found[0]), found[1]) if return_weights else self.head(found)


class SequenceClassifier(nn.Module):
    """``model(tokens, segments, mask)`` gives logits for each text, ``(batch, num_labels)``.

    It goes on from a pre-trained BERT: the encoder and, if there is one, the pooler are those of `bert`, not copies.
    """

    def __init__(self, bert: BERT, num_labels: int, dropout: float = 0.1):
        super().__init__()
        self.encoder = bert.encoder
        self.head = SentenceHead(bert.config, num_labels, dropout)
        pooler = bert.pooler if bert.pair_head is None else bert.pair_head.pooler
        if pooler is not None:
            self.head.pooler = pooler

    def forward(self, tokens: Tensor, segments: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.head(self.encoder(tokens, segments, mask))


class TokenClassifier(nn.Module):
    """``model(tokens, segments, mask)`` gives logits for each token, ``(batch, length, num_labels)``; encoder: `bert`'s."""

    def __init__(self, bert: BERT, num_labels: int, dropout: float = 0.1):
        super().__init__()
        self.encoder, self.dropout = bert.encoder, dropout
        self.head = nn.Linear(bert.config.d_model, num_labels)
        init_normal(self.head, bert.config.init_std)

    def forward(self, tokens: Tensor, segments: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        x = self.encoder(tokens, segments, mask)
        return self.head(F.dropout(x, self.dropout) if self.training else x)

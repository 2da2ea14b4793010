"""Blocks: the layers that every model of this course is stacked from.

A *block* is attention, perhaps cross-attention, and a position-wise feed-forward network, each joined to the stream x
by a residual connection and a norm. BERT, GPT, BART, T5 and the two halves of the 2017 Transformer differ only in the
parts they hand to `Block` and in the order of norm and sublayer; `stacks` runs the blocks one after the other.

Shapes are ``(batch, length, d_model)`` between the blocks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from largemodels.attention import KeyValueCache, MultiHeadAttention, at_least_float32

# -------------------------------------------------------------------------------------------------------- embeddings


class TokenEmbedding(nn.Embedding):
    """A vector for each token of a vocabulary, with errors that say which id does not exist.

    They say so on a CPU. On a GPU torch checks the ids too late for that: a wrong one ends in "device-side assert
    triggered", and the process can no longer use the GPU. Run the same batch on a CPU to learn which id it was.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length) token ids to (batch, length, d_model)."""
        try:
            x = super().forward(tokens)
        except TypeError:
            if isinstance(tokens, Tensor):
                raise
            raise TypeError(
                f"token ids must be a torch.Tensor, got {type(tokens).__name__}; wrap them in torch.tensor(...)"
            ) from None
        except (IndexError, RuntimeError):  # ids are checked only after a failure: a right batch costs no time
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


def tie(model: nn.Module, name: str, other: str) -> None:
    """Let the model's parameter `name` be its parameter `other`, now and whenever weights are loaded.

    torch gives each a copy of its own when a model leaves the meta device, or loads with ``assign=True``.
    """
    _tie(model, name=name, other=other)
    model.register_load_state_dict_post_hook(partial(_tie, name=name, other=other))


def _tie(model: nn.Module, incompatible_keys: Any = None, *, name: str, other: str) -> None:
    parameters = dict(model.named_parameters(remove_duplicate=False))
    if name in parameters and other in parameters:  # a weight that someone has pruned or parametrised is no parameter
        part, _, parameter = name.rpartition(".")
        setattr(model.get_submodule(part), parameter, parameters[other])


def init_normal(model: nn.Module, std: float) -> None:
    """Draw the weights of all linear layers and embeddings from N(0, std²), and set their biases to 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


@contextmanager
def sizes_only() -> Iterator[None]:
    """A model that is built inside has all its names and sizes, and no memory for its numbers: they come later, or never."""
    with torch.device("meta"), _NoRandomStart():
        yield


class _NoRandomStart(TorchFunctionMode):
    """Nothing is drawn inside: where there is no memory for the numbers, torch would load its compiler to draw them."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is nn.init.normal_:
            return kwargs["tensor"]
        return function(*args, **kwargs)


# ------------------------------------------------------------------------------------------------------------- norms


class LayerNorm(nn.LayerNorm):
    """γ (x − μ) / √(σ² + ε) + β: each position gets mean 0 and variance 1, then the scale γ and the shift β.

    μ and σ² are the mean and variance of one position's d numbers, so no position or sentence touches another.
    Calling the layer runs one fused kernel; `written_out` is the same in the formula's own steps.
    Source: Ba, Kiros & Hinton 2016 (arXiv 1607.06450), equation 4 applied to a vector.
    """

    def written_out(self, x: Tensor) -> Tensor:
        """``(..., d)`` to ``(..., d)``."""
        mean = x.mean(dim=-1, keepdim=True)  # μ, (..., 1)
        variance = (x - mean).square().mean(dim=-1, keepdim=True)  # σ², (..., 1), divided by d, not by d − 1
        return self.weight * (x - mean) / torch.sqrt(variance + self.eps) + self.bias


class RMSNorm(nn.Module):
    """γ x / √(mean(x²) + ε): only the scale is normalised; no mean is subtracted and no β is added.

    The mean of squares is taken in at least float32, as in T5's code: in float16 the square of 256 is infinite. What
    comes out has the precision of γ.
    Source: Zhang & Sennrich 2019 (arXiv 1910.07467), equation 4; used by T5 (arXiv 1910.10683, section 2.1).
    """

    def __init__(self, d_model: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))  # γ
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` to ``(..., d)``. On a CPU these steps are no slower than torch's F.rms_norm."""
        wide = at_least_float32(x)
        wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)  # (..., d) · (..., 1)
        # A half-precision layer may read a stream of float32, see `t5.T5`, and returns half precision.
        return self.weight * (wide.to(self.weight.dtype) if self.weight.dtype.itemsize < 4 else wide)


# ------------------------------------------------------------------------------------------------------ feed-forward

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,  # x·Φ(x), Φ the cumulative normal distribution; Hendrycks & Gimpel 2016 (arXiv 1606.08415)
    "gelu_new": partial(F.gelu, approximate="tanh"),  # the approximation that GPT uses, section 2 of the same paper
    "silu": F.silu,
}


def check_activation(name: str) -> None:
    """Raise a ValueError unless `name` is a key of `ACTIVATIONS`."""
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation is called {name!r}; choose one of {', '.join(ACTIVATIONS)}")


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
        check_activation(activation)
        self.activation = ACTIVATIONS[activation]
        self.up = nn.Linear(d_model, d_ff, bias=bias)
        self.gate = nn.Linear(d_model, d_ff, bias=bias) if gated else None
        self.down = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_model) to (..., d_model)."""
        inner = self.activation(self.up(x) if self.gate is None else self.gate(x))  # (..., d_ff)
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
        feed_forward: FeedForward,
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
        # `forward` checks that both are there if there is a context, and none of them otherwise; no type can say so.
        self.cross_attention: Any = cross_attention
        self.cross_attention_norm: Any = norm() if cross_attention else None
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
        context_weights = None
        norm = self.attention_norm  # looked up once: an attribute of a module takes as long as an addition
        found = self.attention(  # (batch, length, d_model), as x
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

"""What a reader would use instead, in the sizes of our own models and, where the shapes allow it, with their weights."""

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from largemodels.blocks import init_normal
from largemodels.gpt import GPTConfig


@dataclass(frozen=True)
class Sizes:
    """A model and a batch to measure it with."""

    num_layers: int
    d_model: int
    num_heads: int
    length: int
    vocab_size: int
    batch: int

    def __str__(self) -> str:
        return (
            f"{self.num_layers} layers, d {self.d_model}, {self.num_heads} heads, length {self.length}, "
            f"vocabulary {self.vocab_size:,}, batch {self.batch}"
        )

    def gpt(self, max_length: int | None = None) -> GPTConfig:
        return GPTConfig(
            vocab_size=self.vocab_size,
            max_length=max_length or self.length,
            d_model=self.d_model,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            dropout=0.0,
            attention_dropout=0.0,
        )


A = Sizes(num_layers=4, d_model=128, num_heads=4, length=128, vocab_size=512, batch=16)
B = Sizes(num_layers=6, d_model=384, num_heads=6, length=256, vocab_size=5000, batch=8)


def transformers() -> ModuleType | None:
    """The package, quiet; None if it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return None
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def same_weights(theirs: nn.Module) -> nn.Module:
    """Our model with the weights of a model of `transformers`."""
    from largemodels.pretrained import load

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(None):
        theirs.save_pretrained(folder)
        return load(folder)


def gpt2(sizes: Sizes, max_length: int | None = None) -> nn.Module:
    package = transformers()
    return package.GPT2LMHeadModel(
        package.GPT2Config(
            vocab_size=sizes.vocab_size,
            n_positions=max_length or sizes.length,
            n_embd=sizes.d_model,
            n_layer=sizes.num_layers,
            n_head=sizes.num_heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=None,
        )
    )


def bart(sizes: Sizes) -> nn.Module:
    package = transformers()
    return package.BartForConditionalGeneration(
        package.BartConfig(
            vocab_size=sizes.vocab_size,
            max_position_embeddings=2 * sizes.length,
            d_model=sizes.d_model,
            encoder_layers=sizes.num_layers,
            decoder_layers=sizes.num_layers,
            encoder_attention_heads=sizes.num_heads,
            decoder_attention_heads=sizes.num_heads,
            encoder_ffn_dim=4 * sizes.d_model,
            decoder_ffn_dim=4 * sizes.d_model,
            dropout=0.0,
            pad_token_id=0,
            bos_token_id=1,
            decoder_start_token_id=1,
            eos_token_id=None,
            forced_eos_token_id=None,
        )
    )


def t5(sizes: Sizes) -> nn.Module:
    package = transformers()
    return package.T5ForConditionalGeneration(
        package.T5Config(
            vocab_size=sizes.vocab_size,
            d_model=sizes.d_model,
            d_kv=sizes.d_model // sizes.num_heads,
            d_ff=4 * sizes.d_model,
            num_layers=sizes.num_layers,
            num_heads=sizes.num_heads,
            dropout_rate=0.0,
            pad_token_id=0,
            decoder_start_token_id=0,
        )
    )


def bert(sizes: Sizes) -> nn.Module:
    package = transformers()
    return package.BertForMaskedLM(
        package.BertConfig(
            vocab_size=sizes.vocab_size,
            max_position_embeddings=sizes.length,
            hidden_size=sizes.d_model,
            num_hidden_layers=sizes.num_layers,
            num_attention_heads=sizes.num_heads,
            intermediate_size=4 * sizes.d_model,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


class TorchGPT(nn.Module):
    """torch's own encoder layers under a causal mask, with the embeddings and the tied head of a GPT."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.token = nn.Embedding(sizes.vocab_size, sizes.d_model)
        self.position = nn.Parameter(torch.zeros(sizes.length, sizes.d_model))
        layer = nn.TransformerEncoderLayer(
            sizes.d_model,
            sizes.num_heads,
            4 * sizes.d_model,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.stack = nn.TransformerEncoder(layer, sizes.num_layers, nn.LayerNorm(sizes.d_model), False)
        self.register_buffer("causal", nn.Transformer.generate_square_subsequent_mask(sizes.length))
        init_normal(self, 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.stack(self.token(tokens) + self.position, mask=self.causal, is_causal=True)
        return F.linear(x, self.token.weight)


class TorchTransformer(nn.Module):
    """torch's own encoder-decoder with embeddings and a head."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.source = nn.Embedding(sizes.vocab_size, sizes.d_model)
        self.target = nn.Embedding(sizes.vocab_size, sizes.d_model)
        self.stack = nn.Transformer(
            sizes.d_model,
            sizes.num_heads,
            sizes.num_layers,
            sizes.num_layers,
            4 * sizes.d_model,
            dropout=0.0,
            batch_first=True,
        )
        self.head = nn.Linear(sizes.d_model, sizes.vocab_size, bias=False)
        self.register_buffer("causal", nn.Transformer.generate_square_subsequent_mask(sizes.length))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x = self.stack(self.source(source), self.target(target), tgt_mask=self.causal, tgt_is_causal=True)
        return self.head(x)


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """So many threads for torch; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Training is faithful: dropout falls where the reference implementations have it, and weights begin as configured.

In training a reference differs from ours unless every mask is the same. So here a mask is no longer random: which
numbers are dropped depends on their place alone, in our model and in the other one.
"""

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import nn

from largemodels import positions
from largemodels.bart import BART, BARTConfig
from largemodels.bert import BERT, BERTConfig
from largemodels.gpt import GPT, GPTConfig
from largemodels.pretrained import load

VOCABULARY = 30
DROPOUTS = {"resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.3}
BERTS = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.3,
}
GPTS = {"vocab_size": VOCABULARY, "n_positions": 20, "n_embd": 16, "n_layer": 2, "n_head": 2}


def references():
    t = transformers
    return {
        "gpt-1": (t.OpenAIGPTLMHeadModel, t.OpenAIGPTConfig(**GPTS, **DROPOUTS)),
        "gpt-2": (t.GPT2LMHeadModel, t.GPT2Config(**GPTS, **DROPOUTS)),
        "gpt-neo": (
            t.GPTNeoForCausalLM,
            t.GPTNeoConfig(
                vocab_size=VOCABULARY,
                hidden_size=16,
                num_layers=2,
                num_heads=2,
                attention_types=[[["global", "local"], 1]],
                window_size=20,  # all: a narrow band is computed in chunks, whose masks have other places
                max_position_embeddings=20,
                resid_dropout=0.3,
                embed_dropout=0.3,
                attention_dropout=0.3,
            ),
        ),
        "bert": (t.BertForPreTraining, t.BertConfig(**BERTS)),
        "roberta": (t.RobertaForMaskedLM, t.RobertaConfig(**BERTS, pad_token_id=1)),
        "albert": (t.AlbertForPreTraining, t.AlbertConfig(**BERTS, embedding_size=8)),
        "bart": (
            t.BartForConditionalGeneration,
            t.BartConfig(
                vocab_size=VOCABULARY,
                d_model=16,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=24,
                decoder_ffn_dim=24,
                max_position_embeddings=20,
                dropout=0.3,
                attention_dropout=0.2,
                activation_dropout=0.1,
            ),
        ),
        "t5": (
            t.T5ForConditionalGeneration,
            t.T5Config(
                vocab_size=VOCABULARY,
                d_model=16,
                d_kv=8,
                d_ff=24,
                num_layers=2,
                num_heads=2,
                dropout_rate=0.3,
                decoder_start_token_id=0,
            ),
        ),
    }


@pytest.fixture
def places(monkeypatch):
    """Dropout without chance: of each tensor the same places are dropped. Gives the number of times it was called."""
    called = []

    def dropout(x, p=0.5, training=True, inplace=False):
        if not training or p == 0:
            return x
        called.append(tuple(x.shape))
        lots = torch.rand(x.shape, generator=torch.Generator().manual_seed(x.numel()))
        return x * (lots >= p) / (1 - p)

    def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_):
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        return dropout(scores.softmax(-1), dropout_p) @ value

    monkeypatch.setattr(F, "dropout", dropout)
    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    return called


@pytest.mark.parametrize("name", references())
def test_with_the_same_masks_training_sees_the_same_logits(name, places, tmp_path):
    make, config = references()[name]
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    theirs = make(config)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    theirs.save_pretrained(tmp_path)
    ours, theirs = load(tmp_path).train(), theirs.train()
    tokens = torch.randint(3, VOCABULARY, (2, 9))
    if name in ("bart", "t5"):
        target = torch.randint(3, VOCABULARY, (2, 7))
        found = ours(tokens, target)
        number = len(places)
        expected = theirs(input_ids=tokens, decoder_input_ids=target).logits
    else:
        found = ours(tokens)
        number = len(places)
        output = theirs(input_ids=tokens)
        expected = output.logits if "logits" in output else output.prediction_logits
    if name == "albert":
        # The authors' code drops at the output of the feed-forward network, too (google-research/albert, modeling.py,
        # attention_ffn_block), and so do we; transformers does not, but in the head for pairs, which ours has not run.
        assert number == len(places) - number - 1 + config.num_hidden_layers
        return
    assert number == len(places) - number > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - ours.eval()(tokens, *([target] if name in ("bart", "t5") else []))).abs().max() > 0.1


def test_shaws_weight_is_dropped_once_for_value_and_distance():
    """Where all values and all distances' vectors are 1, an output is twice the sum of the weights that are left."""
    torch.manual_seed(0)
    scheme = positions.Shaw(4)
    nn.init.ones_(scheme.value_vectors)
    query = torch.randn(1, 2, 6, 4)
    torch.manual_seed(1)
    output, weights = scheme.attend(query, query, torch.ones_like(query), dropout=0.5, return_weights=True)
    torch.manual_seed(1)
    left = F.dropout(weights, 0.5).sum(-1, keepdim=True).expand_as(output)
    torch.testing.assert_close(output, 2 * left)


# ------------------------------------------------------------------------------------------------ how models begin

SIZES = {"d_model": 64, "num_heads": 2, "d_ff": 96}
MODELS = {
    "gpt-2": lambda std: GPT(GPTConfig(200, 90, num_layers=2, init_std=std, scaled_init=False, **SIZES)),
    "bert": lambda std: BERT(BERTConfig(200, 90, num_segments=60, num_layers=1, init_std=std, **SIZES)),
    "albert": lambda std: BERT(
        BERTConfig(200, 90, 60, num_layers=2, d_embedding=32, share="all", init_std=std, **SIZES)
    ),
    "bart": lambda std: BART(BARTConfig(200, 90, num_encoder_layers=1, num_decoder_layers=1, init_std=std, **SIZES)),
}


@pytest.mark.parametrize("std", [0.02, 0.3])
@pytest.mark.parametrize("family", MODELS)
def test_every_matrix_begins_with_init_std(family, std):
    torch.manual_seed(0)
    for name, weight in MODELS[family](std).named_parameters():
        if weight.dim() == 1:
            assert weight.unique().numel() == 1, name  # norms begin as 1 and 0, biases as 0
        elif weight.numel() > 1000:
            assert weight.std().item() == pytest.approx(std, rel=0.12), name
            assert abs(weight.mean().item()) < 0.15 * std, name

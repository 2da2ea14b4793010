import random
from dataclasses import replace

import pytest
import torch
import transformers
from parity import (
    assert_same_generation,
    assert_steps_are_the_whole,
    copy_weights,
    gradient_error,
    identity,
    num_parameters,
    randomise,
    relative_error,
    same,
)
from torch import nn
from torch.nn import functional as F
from transformers.models.t5.modeling_t5 import T5LayerNorm

from largemodels.masks import padding_mask
from largemodels.t5 import T5, V1_0_SIZES, V1_1_SIZES, T5Config

TINY = T5Config(
    vocab_size=23, d_model=12, num_heads=3, d_head=5, num_encoder_layers=3, num_decoder_layers=2, d_ff=30, dropout=0.0
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# --------------------------------------------------------------------------------------------------- sizes and counts


def count_on_meta(config: T5Config) -> int:
    with torch.device("meta"):
        return num_parameters(T5(config))


# Raffel et al. 2020, section 3.7, in millions, to the digits given there. (Of 3B they say "around 2.8 billion"; it has
# 2,851,598,336, as in transformers.)
V1_0_MILLIONS = {"small": (60, 10), "base": (220, 10), "large": (770, 10), "3B": (2850, 50), "11B": (11000, 1000)}


@pytest.mark.parametrize("size", V1_0_SIZES)
def test_sizes_of_version_1_0(size):
    config = T5Config.v1_0(size)
    millions, precision = V1_0_MILLIONS[size]
    count = count_on_meta(config)
    published = count
    if size == "large":  # 738 million are in the published checkpoint; 770 are these and the table of tokens once more
        assert round(count / 1e6) == 738
        published = count + config.vocab_size * config.d_model
    assert round(published / 1e6 / precision) * precision == millions
    assert count == count_theirs(config, "relu")


# Chung et al. 2022 (arXiv 2210.11416), table 2: the sizes of Flan-T5, which is version 1.1 trained on.
V1_1_MILLIONS = {"small": (80, 10), "base": (250, 10), "large": (780, 10), "xl": (3000, 1000), "xxl": (11000, 1000)}


@pytest.mark.parametrize("size", V1_1_SIZES)
def test_sizes_of_version_1_1(size):
    config = T5Config.v1_1(size)
    millions, precision = V1_1_MILLIONS[size]
    count = count_on_meta(config)
    assert round(count / 1e6 / precision) * precision == millions
    # transformers makes a model with one table for tokens and output, and unties it when it reads a checkpoint with two
    assert count == count_theirs(config, "gated-gelu") + config.vocab_size * config.d_model


def count_theirs(config: T5Config, feed_forward: str) -> int:
    with torch.device("meta"):
        return num_parameters(
            transformers.T5ForConditionalGeneration(
                transformers.T5Config(
                    d_model=config.d_model,
                    d_kv=config.d_head,
                    d_ff=config.d_ff,
                    num_layers=config.num_encoder_layers,
                    num_heads=config.num_heads,
                    feed_forward_proj=feed_forward,
                )
            )
        )


def test_what_changes_from_version_1_0_to_1_1():
    one, two = T5Config.v1_0("large"), T5Config.v1_1("large", dropout=0.0)
    assert replace(one, d_ff=2816, activation="gelu_new", gated=True, tied_head=False, dropout=0.0) == two
    with pytest.raises(ValueError, match=r"'xl'.*small, base, large, 3B, 11B"):
        T5Config.v1_0("xl")
    with pytest.raises(ValueError, match=r"'3B'.*small, base, large, xl, xxl"):
        T5Config.v1_1("3B")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_head": 0}, "d_head must be a whole number of at least 1, got 0"),
        ({"num_decoder_layers": None}, "num_decoder_layers must be"),
        ({"dropout": -1}, "dropout must be a probability"),
        ({"activation": "tanh"}, "'tanh'"),
        ({"num_buckets": 3}, "at least 4 buckets"),
        ({"max_distance": 16}, "max_distance=16"),
    ],
)
def test_configurations_check_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


# ------------------------------------------------------------------------------------------------------------- parity


def attention_pairs(ours, theirs):
    yield from same(ours.query, theirs.q)
    yield from same(ours.key, theirs.k)
    yield from same(ours.value, theirs.v)
    yield from same(ours.output, theirs.o)


def model_pairs(model: T5, theirs):
    yield from same(model.embedding, theirs.shared)
    yield from same(model.head, theirs.lm_head)
    for positions, stack, side in (
        (model.source_positions, model.encoder, theirs.encoder),
        (model.target_positions, model.decoder, theirs.decoder),
    ):
        yield positions.weight, identity, side.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        yield from same(stack.norm, side.final_layer_norm)
        for block, layer in zip(stack.blocks, side.block, strict=True):
            yield from attention_pairs(block.attention, layer.layer[0].SelfAttention)
            yield from same(block.attention_norm, layer.layer[0].layer_norm)
            if block.cross_attention is not None:
                yield from attention_pairs(block.cross_attention, layer.layer[1].EncDecAttention)
                yield from same(block.cross_attention_norm, layer.layer[1].layer_norm)
            feed_forward = layer.layer[-1].DenseReluDense
            if block.feed_forward.gate is None:
                yield from same(block.feed_forward.up, feed_forward.wi)
            else:
                yield from same(block.feed_forward.gate, feed_forward.wi_0)
                yield from same(block.feed_forward.up, feed_forward.wi_1)
            yield from same(block.feed_forward.down, feed_forward.wo)
            yield from same(block.feed_forward_norm, layer.layer[-1].layer_norm)


def random_pair(seed: int):
    """A model of ours and one of theirs of the same random, odd sizes and with the same weights."""
    draw = random.Random(f"t5 {seed}")
    activation = draw.choice(["relu", "gelu_new", "silu"])
    gated = draw.random() < 0.5
    config = replace(
        TINY,
        vocab_size=draw.randint(11, 50),
        d_model=draw.randint(9, 30),
        num_heads=draw.randint(1, 4),
        d_head=draw.randint(2, 7),
        num_encoder_layers=draw.randint(1, 4),
        num_decoder_layers=draw.randint(1, 4),
        d_ff=draw.randint(5, 40),
        activation=activation,
        gated=gated,
        num_buckets=draw.randint(4, 12),
        max_distance=draw.randint(7, 15),
        norm_eps=draw.choice([1e-6, 1e-2]),
        tied_head=draw.random() < 0.5,
    )
    theirs = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=config.vocab_size,
            d_model=config.d_model,
            d_kv=config.d_head,
            d_ff=config.d_ff,
            num_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            num_heads=config.num_heads,
            relative_attention_num_buckets=config.num_buckets,
            relative_attention_max_distance=config.max_distance,
            layer_norm_epsilon=config.norm_eps,
            feed_forward_proj="gated-gelu" if gated and activation == "gelu_new" else "gated-" * gated + activation,
            tie_word_embeddings=config.tied_head,
            dropout_rate=0.0,
        )
    )
    if not config.tied_head:
        theirs.lm_head.weight = nn.Parameter(theirs.lm_head.weight.clone())
    model, theirs = T5(config), randomise(theirs, seed).eval()
    return model, theirs, copy_weights(model, model_pairs(model, theirs))


def double_norm(self, x):
    return F.rms_norm(x, x.shape[-1:], self.weight, self.variance_epsilon)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-4), (torch.float64, 1e-11)])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_logits_and_gradients_are_those_of_transformers(seed, padded, dtype, tolerance, monkeypatch):
    model, theirs, pairs = random_pair(seed)
    if dtype == torch.float64:  # their norm computes the mean square in float32 always
        monkeypatch.setattr(T5LayerNorm, "forward", double_norm)
    model.to(dtype), theirs.to(dtype)
    vocab_size = model.config.vocab_size
    source, target = torch.randint(vocab_size, (3, 19)), torch.randint(vocab_size, (3, 17))
    mask = padding_mask([19, 5, 1] if padded else [19] * 3, 19)
    logits = model(source, target, mask if padded else None)
    expected = theirs(source, mask[:, 0, 0].long(), decoder_input_ids=target).logits
    assert relative_error(logits, expected) < tolerance
    labels = torch.randint(vocab_size, target.shape)
    for found in (logits, expected):
        F.cross_entropy(found.flatten(0, 1), labels.flatten()).backward()
    assert gradient_error(pairs) < tolerance


# As in version 1.1 and in 1.0. Their cache has as many blocks as the encoder: a longer decoder cannot use it.
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7])
def test_generation_is_that_of_transformers(seed):
    model, theirs, pairs = random_pair(seed)
    assert_same_generation(model, theirs, pairs, model.config.vocab_size)


# ------------------------------------------------------------------------------------------------- the model itself


def test_steps_give_the_logits_of_the_whole():
    for config in (TINY, replace(TINY, gated=True, tied_head=False)):
        model = randomise(T5(config)).eval()
        mask = padding_mask([8, 3], 8)
        assert_steps_are_the_whole(model, torch.randint(23, (2, 8)), torch.randint(23, (2, 30)), mask)


def test_one_table_of_positions_for_all_blocks():
    model = T5(TINY)
    names = [name for name, _ in model.named_parameters() if "positions" in name]
    assert names == ["source_positions.weight", "target_positions.weight"]
    assert not [name for name, _ in model.named_parameters() if "bias" in name]


def test_scores_are_not_divided_by_the_root_of_d_head():
    model = T5(replace(TINY, num_encoder_layers=1))
    with torch.no_grad():
        model.source_positions.weight.zero_()
        source = torch.randint(23, (1, 6))
        _, (weights,) = model.encode(source, return_weights=True)
        block = model.encoder.blocks[0]
        x = block.attention_norm(model.embedding(source))
        query, key = block.attention.split(block.attention.query(x)), block.attention.split(block.attention.key(x))
    torch.testing.assert_close(weights, (query @ key.mT).softmax(-1))


def test_return_weights():
    model = randomise(T5(TINY))
    source, target, mask = torch.randint(23, (2, 6)), torch.randint(23, (2, 5)), padding_mask([6, 3], 6)
    logits, weights = model(source, target, mask, return_weights=True)
    torch.testing.assert_close(logits, model(source, target, mask), rtol=1e-4, atol=1e-4)
    assert [w.shape for w in weights.encoder] == [(2, 3, 6, 6)] * 3
    assert [w.shape for w in weights.decoder] == [(2, 3, 5, 5)] * 2
    assert [w.shape for w in weights.cross] == [(2, 3, 5, 6)] * 2
    assert all((w[1, :, :, 3:] == 0).all() for w in (*weights.encoder, *weights.cross))


def test_dropout_only_in_training():
    model = randomise(T5(replace(TINY, dropout=0.5)))
    tokens = torch.randint(23, (2, 6))
    assert not torch.equal(model(tokens, tokens), model(tokens, tokens))
    model.eval()
    assert torch.equal(model(tokens, tokens), model(tokens, tokens))


@pytest.mark.parametrize("version", [T5Config.v1_0, T5Config.v1_1])
def test_initial_weights_are_those_of_transformers(version):
    config = version("small", vocab_size=500, d_model=96, d_head=16, num_encoder_layers=1, num_decoder_layers=1)
    model = T5(config)
    theirs = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=500,
            d_model=96,
            d_kv=16,
            d_ff=config.d_ff,
            num_layers=1,
            num_heads=config.num_heads,
            feed_forward_proj="gated-gelu" if config.gated else "relu",
        )
    )
    pairs = [(our, their) for our, _, their in model_pairs(model, theirs)]
    assert {our for our, _ in pairs} == set(model.parameters())
    for our, their in pairs:
        if our is not model.head.weight or config.tied_head:
            assert our.std().item() == pytest.approx(their.std().item(), rel=0.2)
    # A head of its own begins with logits of order 1; theirs begins √d_model times as large, as the embeddings.
    if not config.tied_head:
        assert model.head.weight.std().item() == pytest.approx(96**-0.5, rel=0.05)


def test_initial_logits_are_of_order_1():
    for config in (T5Config.v1_0("small", num_heads=4, d_ff=256), T5Config.v1_1("small", num_heads=4, d_ff=256)):
        model = T5(replace(config, vocab_size=500, d_model=96, d_head=16)).eval()
        tokens = torch.randint(500, (4, 20))
        assert 0.3 < model(tokens, tokens).std().item() < 3


def test_bad_input_is_refused_clearly():
    model = T5(TINY)
    good = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="token id 23 is not in the vocabulary of 23"):
        model(good + 23, good)
    with pytest.raises(ValueError, match="token id 23 is not in the vocabulary of 23"):
        model(good, good + 23)
    with pytest.raises(ValueError, match="does not broadcast"):
        model(good, good, padding_mask([3, 2], 4))
    state = model.start(2, good)
    with pytest.raises(ValueError, match="exceed max_length=2"):
        model.step(good, state)

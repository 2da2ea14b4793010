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
    num_parameters,
    randomise,
    relative_error,
    same,
)
from torch.nn import functional as F

from largemodels.bart import BART, BARTConfig
from largemodels.masks import padding_mask

TINY = BARTConfig(
    vocab_size=23,
    max_length=20,
    d_model=12,
    num_heads=3,
    num_encoder_layers=3,
    num_decoder_layers=2,
    dropout=0.0,
    attention_dropout=0.0,
    activation_dropout=0.0,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# --------------------------------------------------------------------------------------------------- sizes and counts


# The table of models in github.com/facebookresearch/fairseq, examples/bart: millions, to the tens and to the hundreds.
@pytest.mark.parametrize(("preset", "millions", "precision"), [("base", 140, 10), ("large", 400, 100)])
def test_sizes(preset, millions, precision):
    config = getattr(BARTConfig, preset)()
    with torch.device("meta"):
        count = num_parameters(BART(config))
        theirs = transformers.BartForConditionalGeneration(
            transformers.BartConfig(
                d_model=config.d_model,
                encoder_layers=config.num_encoder_layers,
                decoder_layers=config.num_decoder_layers,
                encoder_ffn_dim=4 * config.d_model,
                decoder_ffn_dim=4 * config.d_model,
            )
        )
    assert round(count / 1e6 / precision) * precision == millions
    assert count == num_parameters(theirs)


def test_presets():
    base, large = BARTConfig.base(), BARTConfig.large(dropout=0.0)
    assert (base.num_encoder_layers, base.num_decoder_layers, base.d_model, base.num_heads) == (6, 6, 768, 12)
    assert (large.num_encoder_layers, large.num_decoder_layers, large.d_model, large.num_heads) == (12, 12, 1024, 16)
    assert large.dropout == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "5 heads do not divide d_model=12"),
        ({"num_encoder_layers": 0}, "num_encoder_layers must be a whole number of at least 1, got 0"),
        ({"d_ff": 0}, "d_ff must be"),
        ({"max_length": None}, "max_length must be"),
        ({"activation_dropout": 1.0}, "activation_dropout must be a probability"),
        ({"activation": "tanh"}, "'tanh'"),
    ],
)
def test_configurations_check_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


# ------------------------------------------------------------------------------------------------------------- parity


def attention_pairs(ours, theirs):
    yield from same(ours.query, theirs.q_proj)
    yield from same(ours.key, theirs.k_proj)
    yield from same(ours.value, theirs.v_proj)
    yield from same(ours.output, theirs.out_proj)


def model_pairs(model: BART, theirs):
    yield from same(model.head, theirs.lm_head)
    for embedding, stack, side in (
        (model.source_embedding, model.encoder, theirs.model.encoder),
        (model.target_embedding, model.decoder, theirs.model.decoder),
    ):
        yield from same(embedding.token, side.embed_tokens)
        yield from same(embedding.position, side.embed_positions)
        yield from same(embedding.norm, side.layernorm_embedding)
        for block, layer in zip(stack.blocks, side.layers, strict=True):
            yield from attention_pairs(block.attention, layer.self_attn)
            yield from same(block.attention_norm, layer.self_attn_layer_norm)
            if block.cross_attention is not None:
                yield from attention_pairs(block.cross_attention, layer.encoder_attn)
                yield from same(block.cross_attention_norm, layer.encoder_attn_layer_norm)
            yield from same(block.feed_forward.up, layer.fc1)
            yield from same(block.feed_forward.down, layer.fc2)
            yield from same(block.feed_forward_norm, layer.final_layer_norm)


def random_pair(seed: int):
    """A model of ours and one of theirs of the same random, odd sizes and with the same weights."""
    draw = random.Random(f"bart {seed}")
    heads = draw.randint(2, 4)
    config = replace(
        TINY,
        vocab_size=draw.randint(11, 50),
        max_length=draw.randint(14, 20),
        d_model=heads * draw.choice([3, 5, 7]),
        num_heads=heads,
        num_encoder_layers=draw.randint(1, 4),
        num_decoder_layers=draw.randint(1, 4),
        d_ff=draw.randint(5, 40),
        activation=draw.choice(["gelu", "relu", "gelu_new", "silu"]),
        scale_embedding=draw.random() < 0.5,
        tied=draw.random() < 0.7,
    )
    theirs = transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.max_length,
            d_model=config.d_model,
            encoder_layers=config.num_encoder_layers,
            decoder_layers=config.num_decoder_layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=config.d_ff,
            decoder_ffn_dim=config.d_ff,
            activation_function=config.activation,
            scale_embedding=config.scale_embedding,
            tie_word_embeddings=config.tied,
            pad_token_id=1,
            dropout=0.0,
        )
    )
    model, theirs = BART(config), randomise(theirs, seed).eval()
    theirs.final_logits_bias.normal_()
    model.head.logits_bias.copy_(theirs.final_logits_bias)
    return model, theirs, copy_weights(model, model_pairs(model, theirs))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-4), (torch.float64, 1e-11)])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_logits_and_gradients_are_those_of_transformers(seed, padded, dtype, tolerance):
    model, theirs, pairs = random_pair(seed)
    model.to(dtype), theirs.to(dtype)
    config = model.config
    # Not token 1: their embedding of padding gets no gradient.
    source = torch.randint(2, config.vocab_size, (3, config.max_length))
    target = torch.randint(2, config.vocab_size, (3, config.max_length - 5))
    lengths = [config.max_length, 5, 1] if padded else [config.max_length] * 3
    mask = padding_mask(lengths, config.max_length)
    logits = model(source, target, mask if padded else None)
    expected = theirs(source, mask[:, 0, 0].long(), decoder_input_ids=target).logits
    assert relative_error(logits, expected) < tolerance
    labels = torch.randint(config.vocab_size, target.shape)
    for found in (logits, expected):
        F.cross_entropy(found.flatten(0, 1), labels.flatten()).backward()
    assert gradient_error(pairs) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_generation_is_that_of_transformers(seed):
    model, theirs, pairs = random_pair(seed)
    assert_same_generation(model, theirs, pairs, model.config.vocab_size)


# ------------------------------------------------------------------------------------------------- the model itself


def test_steps_give_the_logits_of_the_whole():
    model = randomise(BART(TINY)).eval()
    mask = padding_mask([8, 3], 8)
    assert_steps_are_the_whole(model, torch.randint(23, (2, 8)), torch.randint(23, (2, 17)), mask)


def test_one_table_of_tokens_or_three():
    model, apart = BART(TINY), BART(replace(TINY, tied=False))
    assert model.source_embedding.token is model.target_embedding.token
    assert model.head.weight is model.source_embedding.token.weight
    assert num_parameters(apart) == num_parameters(model) + 2 * 23 * 12


def test_return_weights():
    model = randomise(BART(TINY))
    source, target, mask = torch.randint(23, (2, 6)), torch.randint(23, (2, 5)), padding_mask([6, 3], 6)
    logits, weights = model(source, target, mask, return_weights=True)
    torch.testing.assert_close(logits, model(source, target, mask), rtol=1e-5, atol=1e-5)
    assert [w.shape for w in weights.encoder] == [(2, 3, 6, 6)] * 3
    assert [w.shape for w in weights.decoder] == [(2, 3, 5, 5)] * 2
    assert [w.shape for w in weights.cross] == [(2, 3, 5, 6)] * 2
    assert all((w[1, :, :, 3:] == 0).all() for w in (*weights.encoder, *weights.cross))


@pytest.mark.parametrize("name", ["dropout", "attention_dropout", "activation_dropout"])
def test_dropout_only_in_training(name):
    model = randomise(BART(replace(TINY, **{name: 0.5})))
    tokens = torch.randint(23, (2, 6))
    assert not torch.equal(model(tokens, tokens), model(tokens, tokens))
    model.eval()
    assert torch.equal(model(tokens, tokens), model(tokens, tokens))


def test_initial_weights():
    model = BART(BARTConfig(vocab_size=400, d_model=96, num_heads=3, max_length=200))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif "norm" in name:
            assert (parameter == 1).all()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05), name
    assert (model.head.logits_bias == 0).all()


def test_bad_input_is_refused_clearly():
    model = BART(TINY)
    good, long = torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 21, dtype=torch.long)
    for source, target in ((long, good), (good, long)):
        with pytest.raises(ValueError, match="21 positions are needed, but this model has 20"):
            model(source, target)
        with pytest.raises(ValueError, match="token id 23 is not in the vocabulary of 23"):
            model(source.clamp(max=0)[:, :3] + 23 * (source is long), target[:, :3] + 23 * (target is long))
    with pytest.raises(ValueError, match="21 positions are needed"):
        model.start(21, good)
    with pytest.raises(ValueError, match="does not broadcast"):
        model(good, good, padding_mask([3, 2], 4))

import random
from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from largemodels.gpt import GPT, GPT2_SIZES, GPT3_SIZES, GPTConfig
from largemodels.masks import padding_mask
from largemodels.positions import SCHEMES

TINY = GPTConfig(
    vocab_size=29, max_length=16, d_model=12, num_layers=3, num_heads=3, dropout=0.0, attention_dropout=0.0
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of order 1, so that attention is far from uniform and nothing can be forgotten."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return module


def num_parameters(config: GPTConfig) -> int:
    with torch.device("meta"):
        model = GPT(config)
    return sum(parameter.numel() for parameter in model.parameters())


# --------------------------------------------------------------------------------------------------- sizes and counts


def test_gpt1_has_117_million_parameters():
    with torch.device("meta"):
        theirs = transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig())
    assert num_parameters(GPTConfig.gpt1()) == sum(p.numel() for p in theirs.parameters()) == 116_534_784


# The README of github.com/openai/gpt-2 corrects the counts of table 2 in Radford et al. 2019.
GPT2_MILLIONS = {"small": (124, 117), "medium": (355, 345), "large": (774, 762), "xl": (1558, 1542)}


@pytest.mark.parametrize("size", GPT2_SIZES)
def test_gpt2_sizes(size):
    layers, width, heads = GPT2_SIZES[size]
    with torch.device("meta"):
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=layers, n_embd=width, n_head=heads))
    count = num_parameters(GPTConfig.gpt2(size))
    corrected, published = GPT2_MILLIONS[size]
    assert count == sum(p.numel() for p in theirs.parameters())
    assert round(count / 1e6) == corrected != published


# Brown et al. 2020, table D.1, in millions, to the digits given there; table 2.1 rounds the same counts.
GPT3_MILLIONS = {
    "125M": (125, 1),
    "350M": (356, 1),
    "760M": (760, 1),
    "1.3B": (1320, 10),
    "2.7B": (2650, 10),
    "6.7B": (6660, 10),
    "13B": (12850, 10),
    "175B": (174600, 100),
}


@pytest.mark.parametrize("size", GPT3_SIZES)
def test_gpt3_sizes(size):
    millions, digit = GPT3_MILLIONS[size]
    count = num_parameters(GPTConfig.gpt3(size))
    assert round(count / 1e6 / digit) * digit == millions


def test_what_changes_from_gpt1_to_gpt3():
    one, two, three = GPTConfig.gpt1(), GPTConfig.gpt2(), GPTConfig.gpt3("125M")
    assert (one.max_length, two.max_length, three.max_length) == (512, 1024, 2048)
    assert (one.norm_first, two.norm_first, three.norm_first) == (False, True, True)
    assert replace(two, max_length=2048, bands=(None, 256)) == three
    with torch.device("meta"):
        models = [GPT(replace(config, num_layers=4)) for config in (one, two, three)]
    assert [model.stack.norm is None for model in models] == [True, False, False]
    assert [block.band for block in models[2].stack.blocks] == [None, 256, None, 256]
    assert {block.band for model in models[:2] for block in model.stack.blocks} == {None}


def test_presets_take_changes_and_name_their_sizes():
    assert GPTConfig.gpt2("xl", dropout=0.0).dropout == 0.0
    assert GPTConfig.gpt3("125M", bands=(None,)).bands == (None,)
    with pytest.raises(ValueError, match=r"'tiny'.*small, medium, large, xl"):
        GPTConfig.gpt2("tiny")
    with pytest.raises(ValueError, match=r"'175b'.*125M, 350M"):
        GPTConfig.gpt3("175b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "5 heads do not divide d_model=12"),
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1"),
        ({"vocab_size": None}, "vocab_size must be a whole number of at least 1, got None"),
        ({"d_ff": 0}, "d_ff must be"),
        ({"attention_dropout": -0.1}, "attention_dropout must be a probability"),
        ({"norm_eps": float("nan")}, "norm_eps must be a finite number of at least 0, got nan"),
        ({"init_std": -1.0}, r"init_std must be a finite number of at least 0, got -1\.0"),
        ({"activation": "tanh"}, "'tanh'"),
        ({"bands": ()}, "bands"),
        ({"bands": (None, 0)}, "bands"),
    ],
)
def test_configurations_check_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def test_an_unknown_scheme_of_positions_is_refused():
    with pytest.raises(ValueError, match=r"'absolute'.*learned"):
        GPT(replace(TINY, positions="absolute"))


# ------------------------------------------------------------------------------------------------------ initialisation


def test_initial_weights():
    torch.manual_seed(0)
    config = replace(TINY, vocab_size=400, d_model=96, num_layers=8, max_length=200)
    model = GPT(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif "norm" in name:
            assert (parameter == 1).all()
        else:
            residual = name.endswith(("attention.output.weight", "feed_forward.down.weight"))
            expected = 0.02 / 4 if residual else 0.02  # 4 = √(2·8)
            assert parameter.std().item() == pytest.approx(expected, rel=0.03), name
    plain = GPT(replace(config, scaled_init=False))
    assert plain.stack.blocks[0].attention.output.weight.std().item() == pytest.approx(0.02, rel=0.03)
    torchs = GPT(replace(config, init_std=None, scaled_init=False, tied_head=False))
    assert torchs.embedding.weight.std().item() == pytest.approx(1, rel=0.02)
    assert torchs.head.weight is not torchs.embedding.weight


# ------------------------------------------------------------------------------------------------------------- parity


def identity(tensor):
    return tensor


def transposed(tensor):
    return tensor.T


def same(ours: nn.Module, theirs: nn.Module, part=identity):
    """Pairs (our parameter, how to find the same numbers in theirs, their parameter)."""
    yield ours.weight, part, theirs.weight
    if ours.bias is not None:
        yield ours.bias, identity, theirs.bias


def fused_attention(ours, theirs):
    """GPT-1 and GPT-2 keep query, key and value in one matrix, stored (in, out)."""
    for i, part in enumerate((ours.query, ours.key, ours.value)):
        yield part.weight, lambda tensor, i=i: tensor.chunk(3, dim=1)[i].T, theirs.c_attn.weight
        yield part.bias, lambda tensor, i=i: tensor.chunk(3)[i], theirs.c_attn.bias
    yield from same(ours.output, theirs.c_proj, transposed)


def neo_attention(ours, theirs):
    for our, their in zip(
        (ours.query, ours.key, ours.value, ours.output),
        (theirs.q_proj, theirs.k_proj, theirs.v_proj, theirs.out_proj),
        strict=True,
    ):
        yield from same(our, their)


def all_pairs(model: GPT, theirs):
    kind = theirs.config.model_type
    body = theirs.transformer
    embeddings = ("tokens_embed", "positions_embed") if kind == "openai-gpt" else ("wte", "wpe")
    yield model.embedding.weight, identity, getattr(body, embeddings[0]).weight
    yield model.positions.weight, identity, getattr(body, embeddings[1]).weight
    for block, layer in zip(model.stack.blocks, body.h, strict=True):
        if kind == "gpt_neo":
            yield from neo_attention(block.attention, layer.attn.attention)
        else:
            yield from fused_attention(block.attention, layer.attn)
        layout = identity if kind == "gpt_neo" else transposed
        yield from same(block.feed_forward.up, layer.mlp.c_fc, layout)
        yield from same(block.feed_forward.down, layer.mlp.c_proj, layout)
        yield from same(block.attention_norm, layer.ln_1)
        yield from same(block.feed_forward_norm, layer.ln_2)
    if model.stack.norm is not None:
        yield from same(model.stack.norm, body.ln_f)


NO_DROPOUT_1_2 = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def random_pair(kind: str, seed: int):
    """A model of ours and one of theirs of the same random, odd sizes and with the same weights."""
    draw = random.Random(f"{kind} {seed}")
    heads, layers = draw.randint(1, 4), draw.randint(1, 4)
    config = GPTConfig(
        vocab_size=draw.randint(11, 50),
        max_length=draw.randint(14, 24),
        d_model=heads * draw.choice([2, 3, 5, 8]),
        num_layers=layers,
        num_heads=heads,
        norm_eps=draw.choice([1e-5, 1e-3]),
        dropout=0.0,
        attention_dropout=0.0,
    )
    sizes = {"vocab_size": config.vocab_size, "layer_norm_epsilon": config.norm_eps}
    activation = draw.choice(["gelu_new", "relu", "gelu", "silu"])
    if kind == "openai-gpt":
        afn = {"gelu": "gelu_new"}.get(activation, activation)  # what this model calls gelu is gelu_new
        config = replace(config, norm_first=False, activation=afn)
        theirs = transformers.OpenAIGPTLMHeadModel(
            transformers.OpenAIGPTConfig(
                n_positions=config.max_length,
                n_embd=config.d_model,
                n_layer=layers,
                n_head=heads,
                afn={"gelu_new": "gelu"}.get(afn, afn),
                **sizes,
                **NO_DROPOUT_1_2,
            )
        )
    elif kind == "gpt2":
        d_ff, by_layer, scaled = draw.choice([None, 7, 40]), draw.random() < 0.5, draw.random() < 0.7
        config = replace(
            config,
            activation=activation,
            d_ff=d_ff,
            scale_by_layer=by_layer,
            attention_scale=None if scaled else 1.0,
        )
        theirs = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                n_positions=config.max_length,
                n_embd=config.d_model,
                n_layer=layers,
                n_head=heads,
                n_inner=d_ff,
                activation_function=activation,
                scale_attn_by_inverse_layer_idx=by_layer,
                scale_attn_weights=scaled,
                **sizes,
                **NO_DROPOUT_1_2,
            )
        )
    else:
        window, d_ff = draw.randint(1, 9), draw.choice([None, 7, 40])
        kinds = [draw.choice(["global", "local"]) for _ in range(layers)]
        config = replace(
            config,
            activation=activation,
            d_ff=d_ff,
            attention_scale=1.0,
            attention_bias=False,
            bands=tuple(window if name == "local" else None for name in kinds),
        )
        theirs = transformers.GPTNeoForCausalLM(
            transformers.GPTNeoConfig(
                max_position_embeddings=config.max_length,
                hidden_size=config.d_model,
                num_layers=layers,
                num_heads=heads,
                intermediate_size=d_ff,
                window_size=window,
                attention_types=[[kinds, 1]],
                activation_function=activation,
                **sizes,
            )
        )
    model, theirs = GPT(config), randomise(theirs, seed).eval()
    pairs = list(all_pairs(model, theirs))
    assert {our for our, _, _ in pairs} == set(model.parameters())
    with torch.no_grad():
        for our, part, their in pairs:
            our.copy_(part(their))
    return model, theirs, pairs


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("kind", "dtype", "tolerance"),
    [
        ("openai-gpt", torch.float32, 1e-4),
        ("openai-gpt", torch.float64, 1e-11),
        ("gpt2", torch.float32, 1e-4),
        ("gpt2", torch.float64, 1e-11),
        ("gpt_neo", torch.float32, 1e-4),  # theirs computes its scores in float32 always
    ],
)
def test_logits_and_gradients_are_those_of_transformers(kind, dtype, tolerance, seed):
    model, theirs, pairs = random_pair(kind, seed)
    model.to(dtype), theirs.to(dtype)
    tokens = torch.randint(model.config.vocab_size, (3, model.config.max_length - 1))
    logits, expected = model(tokens), theirs(tokens).logits
    assert relative_error(logits, expected) < tolerance
    labels = torch.randint(model.config.vocab_size, tokens.shape)
    for found in (logits, expected):
        nn.functional.cross_entropy(found.flatten(0, 1), labels.flatten()).backward()
    for our, part, their in pairs:
        assert relative_error(our.grad, part(their.grad)) < tolerance


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, in units of the largest number (of 1, where all should be 0, as a key's bias gradient)."""
    largest = expected.abs().max().item()
    return (found - expected).abs().max().item() / (largest if largest > 1e-5 else 1)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neo"])
def test_padding_on_either_side_gives_the_logits_of_transformers(kind):
    model, theirs, _ = random_pair(kind, seed=1)
    tokens = torch.randint(model.config.vocab_size, (3, 10))
    after = padding_mask([10, 7, 1], 10)
    for mask in (after, after.flip(-1)):
        filled = mask[:, 0, 0]
        positions = (filled.long().cumsum(-1) - 1).clamp(min=0)
        expected = theirs(tokens, attention_mask=filled.long(), position_ids=positions).logits
        torch.testing.assert_close(model(tokens, mask)[filled], expected[filled], rtol=2e-5, atol=2e-5)


# ------------------------------------------------------------------------------------------------- the model itself


@pytest.mark.parametrize("positions", SCHEMES)
def test_steps_give_the_logits_of_the_whole(positions):
    for bands in ((None,), (None, 3), (1,)):
        model = randomise(GPT(replace(TINY, positions=positions, d_model=24, bands=bands))).eval()
        tokens = torch.randint(29, (2, 16))
        with torch.no_grad():
            expected = model(tokens)
            state = model.start(16)
            first = model.step(tokens[:, :5], state)
            rest = [model.step(piece, state) for piece in tokens[:, 5:].split([1, 1, 4, 1, 3, 1], dim=1)]
        ends = [4, 5, 6, 10, 11, 14, 15]
        torch.testing.assert_close(torch.stack([first, *rest], dim=1), expected[:, ends], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("positions", SCHEMES)
def test_padding_before_the_text_changes_nothing(positions):
    model = randomise(GPT(replace(TINY, positions=positions, d_model=24, bands=(None, 3)))).eval()
    tokens = torch.randint(29, (1, 9))
    padded = torch.cat([torch.randint(29, (1, 4)), tokens], dim=1)
    mask = padding_mask([9], 13).flip(-1)
    with torch.no_grad():
        expected = model(tokens)
        torch.testing.assert_close(model(padded, mask)[:, 4:], expected, rtol=1e-4, atol=1e-4)
        state = model.start(13, mask[..., :10])
        logits = [model.step(piece, state) for piece in padded.split([10, 1, 1, 1], dim=1)]
    torch.testing.assert_close(torch.stack(logits, dim=1), expected[:, 5:], rtol=1e-4, atol=1e-4)


def test_a_position_sees_its_band_and_nothing_later():
    model = randomise(GPT(replace(TINY, num_layers=2, bands=(4,))))
    embedded = []
    model.embedding.register_forward_hook(
        lambda module, inputs, output: embedded.append(output) or output.retain_grad()
    )
    model(torch.randint(29, (1, 12)))[0, 9].sum().backward()
    seen = embedded[0].grad[0].abs().sum(-1) > 0
    assert seen.tolist() == [3 <= i <= 9 for i in range(12)]  # two blocks, three positions back in each


def test_return_weights():
    model = randomise(GPT(replace(TINY, bands=(None, 3))))
    tokens = torch.randint(29, (2, 8))
    logits, weights = model(tokens, return_weights=True)
    torch.testing.assert_close(logits, model(tokens), rtol=1e-5, atol=1e-5)
    assert [w.shape for w in weights] == [(2, 3, 8, 8)] * 3
    assert (weights[0][..., 7, 0] > 0).all()
    assert (weights[1][..., 7, :5] == 0).all()


def test_bad_input_is_refused_clearly():
    model = GPT(TINY)
    with pytest.raises(ValueError, match="17 positions"):
        model(torch.zeros(1, 17, dtype=torch.long))
    with pytest.raises(ValueError, match="17 positions are needed, but this model has 16"):
        model.start(17)
    with pytest.raises(ValueError, match="token id 29 is not in the vocabulary of 29"):
        model(torch.full((1, 3), 29))
    with pytest.raises(ValueError, match=r"\(batch, 1, 1, length\)"):
        model(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="each text needs one row of the mask, got 2 texts and 3 rows"):
        model(torch.zeros(2, 3, dtype=torch.long), torch.ones(3, 1, 1, 3, dtype=torch.bool))
    GPT(replace(TINY, positions="rope", d_model=24)).start(17)  # a scheme without a limit

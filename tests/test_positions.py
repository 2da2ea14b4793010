"""Positions against arbitrary precision, complex numbers, exact solutions, direct formulas and `transformers`."""

import cmath
import math

import mpmath
import pytest
import torch
from torch import nn
from torch.func import functional_call

from largemodels.attention import KeyValueCache, MultiHeadAttention
from largemodels.masks import causal_mask, padding_mask
from largemodels.positions import (
    FLOATER,
    SCHEMES,
    ALiBi,
    Learned,
    Position,
    RoPE,
    Shaw,
    Sinusoidal,
    T5Buckets,
    alibi_slopes,
    position_scheme,
    runge_kutta,
    sinusoidal_encoding,
    t5_bucket,
)

BATCH, LENGTH, WIDTH, HEADS = 2, 9, 24, 3  # heads of width 8


def build(name, seed=0):
    """A scheme in float64 whose parameters are of order 1, so that no effect is too small to be seen."""
    torch.manual_seed(seed)
    scheme = position_scheme(name, WIDTH, HEADS, max_length=32).double()
    if name != "floater":  # whose start is of that order, and whose path would run wild
        for parameter in scheme.parameters():
            nn.init.normal_(parameter)
    return scheme


def attention_with(scheme, seed=0):
    torch.manual_seed(seed)
    return MultiHeadAttention(WIDTH, HEADS, position=scheme).double()


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def complex_rope(x, positions, base=10000.0):
    """RoPE by its definition: neighbouring numbers are one complex number, multiplied by exp(i·pos·θ)."""
    d = x.shape[-1]
    turn = [[cmath.exp(1j * p * base ** (-2 * i / d)) for i in range(d // 2)] for p in positions]
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * torch.tensor(turn, dtype=torch.complex128)
    return torch.view_as_real(turned).flatten(-2)


# ------------------------------------------------------------------------------------------ every scheme, one interface


@pytest.mark.parametrize("name", SCHEMES)
def test_only_no_position_is_blind_to_order(name):
    scheme, x = build(name), random(BATCH, LENGTH, WIDTH)
    layer = attention_with(scheme)
    order = torch.tensor([4, 0, 7, 8, 2, 6, 1, 3, 5])
    shuffled = layer(scheme.add(x[:, order]))
    blind = torch.allclose(shuffled, layer(scheme.add(x))[:, order])
    assert blind == (name == "none")


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("pieces", [(1,) * LENGTH, (5, 1, 3)])
def test_with_a_cache_the_same_as_at_once(name, pieces):
    scheme, x = build(name), random(BATCH, LENGTH, WIDTH)
    layer, cache = attention_with(scheme), KeyValueCache(LENGTH)
    at_once = layer(scheme.add(x), causal=True)
    with torch.no_grad():
        outputs, start = [], 0
        for piece in x.split(pieces, dim=1):
            outputs.append(layer(scheme.add(piece, start), causal=True, cache=cache))
            start += piece.shape[1]
    torch.testing.assert_close(torch.cat(outputs, dim=1), at_once)


@pytest.mark.parametrize("name", SCHEMES)
def test_weights_do_not_change_the_output_and_masks_and_biases_are_kept(name):
    scheme, x = build(name), random(BATCH, LENGTH, WIDTH)
    layer, bias = attention_with(scheme), random(HEADS, LENGTH, LENGTH, seed=1)
    mask = padding_mask(torch.tensor([LENGTH, 4]), LENGTH)
    output, weights = layer(scheme.add(x), mask=mask, bias=bias, causal=True, return_weights=True)
    torch.testing.assert_close(layer(scheme.add(x), mask=mask, bias=bias, causal=True), output)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert (weights[~(mask & causal_mask(LENGTH)).expand_as(weights)] == 0).all()
    # A bias of the caller's multiplies the weights by its exponential, whatever the scheme adds itself.
    plain = layer(scheme.add(x), mask=mask, causal=True, return_weights=True)[1] * bias.exp()
    torch.testing.assert_close(weights, plain / plain.sum(-1, keepdim=True))


@pytest.mark.parametrize("name", SCHEMES)
def test_gradients_reach_every_parameter_and_nothing_leaks_from_later_positions(name):
    scheme, x = build(name), random(BATCH, LENGTH, WIDTH).requires_grad_()
    layer = attention_with(scheme)
    layer(scheme.add(x), causal=True)[:, 3].square().sum().backward()
    assert (x.grad[:, :4] != 0).any(-1).all()
    assert (x.grad[:, 4:] == 0).all()
    for parameter in scheme.parameters():
        assert parameter.grad.isfinite().all()
        assert (parameter.grad != 0).any()


@pytest.mark.parametrize("name", SCHEMES)
def test_input_dtype_is_kept(name):
    scheme = position_scheme(name, WIDTH, HEADS, max_length=32).bfloat16()
    layer = MultiHeadAttention(WIDTH, HEADS, position=scheme).bfloat16()
    assert layer(scheme.add(torch.ones(1, 5, WIDTH, dtype=torch.bfloat16))).dtype == torch.bfloat16


def test_dropout_leaves_the_mean_of_shaw_unchanged():
    torch.manual_seed(0)
    query, key, value = (random(1, 1, 6, 8, seed=s) for s in range(3))
    scheme = build("shaw")
    mean = torch.stack([scheme.attend(query, key, value, dropout=0.3) for _ in range(1500)]).mean(0)
    torch.testing.assert_close(mean, scheme.attend(query, key, value), rtol=0, atol=0.15)


def test_names():
    with pytest.raises(ValueError, match=r"'rotary'; choose one of none, sinusoidal"):
        position_scheme("rotary", WIDTH, HEADS, 8)
    assert type(position_scheme("none", WIDTH, HEADS, 8)) is Position
    assert position_scheme("shaw", WIDTH, HEADS, 8, max_distance=5).key_vectors.shape == (11, 8)


def test_cross_attention_has_no_positions():
    layer = attention_with(build("rope"))
    with pytest.raises(ValueError, match="cross-attention without position"):
        layer(random(1, 3, WIDTH), random(1, 5, WIDTH))
    with pytest.raises(ValueError, match="7 queries cannot be the last positions of 5 keys"):
        ALiBi(2).bias(7, 5)


# ------------------------------------------------------------------------------------------------------ sinusoids


@pytest.mark.parametrize("position", [0, 1, 7, 4095, 100_000])
@pytest.mark.parametrize("d", [2, 6, 64])
def test_sinusoids_in_float64_against_arbitrary_precision(position, d):
    row = sinusoidal_encoding(1, d, start=position, dtype=torch.float64)[0]
    with mpmath.workdps(50):
        for i in range(d // 2):
            angle = position / mpmath.mpf(10000) ** (mpmath.mpf(2 * i) / d)
            assert row[2 * i].item() == pytest.approx(float(mpmath.sin(angle)), abs=1e-10)
            assert row[2 * i + 1].item() == pytest.approx(float(mpmath.cos(angle)), abs=1e-10)


def test_float32_sinusoids_are_the_rounded_exact_ones():
    table = sinusoidal_encoding(100_001, 32)
    assert table.shape == (100_001, 32)
    torch.testing.assert_close(table.double(), sinusoidal_encoding(100_001, 32, dtype=torch.float64), rtol=0, atol=1e-7)


def test_sinusoids_against_transformers():
    from transformers.models.roformer.modeling_roformer import RoFormerSinusoidalPositionalEmbedding

    theirs = RoFormerSinusoidalPositionalEmbedding(512, 48).create_weight()  # all sines, then all cosines
    ours = sinusoidal_encoding(512, 48)
    torch.testing.assert_close(torch.cat((ours[:, 0::2], ours[:, 1::2]), dim=1), theirs)


@pytest.mark.parametrize("shift", [1, 5, 300])
def test_a_shift_of_sinusoids_is_a_rotation(shift):
    d, table = 12, sinusoidal_encoding(1000, 12, dtype=torch.float64)
    blocks = []
    for i in range(d // 2):
        sin, cos = math.sin(shift / 10000 ** (2 * i / d)), math.cos(shift / 10000 ** (2 * i / d))
        blocks.append(torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64))
    rotation = torch.block_diag(*blocks)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(d, dtype=torch.float64))
    torch.testing.assert_close(table[:-shift] @ rotation.T, table[shift:])


def test_sinusoids_add_and_start():
    x, scheme = random(BATCH, LENGTH, WIDTH), Sinusoidal(WIDTH)
    encoding = sinusoidal_encoding(50, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(scheme.add(x, start=13), x + encoding[13 : 13 + LENGTH])


@pytest.mark.parametrize("make", [Sinusoidal, RoPE, lambda d: sinusoidal_encoding(4, d)])
@pytest.mark.parametrize(("d", "instead"), [(7, 8), (0, 2), (-3, 2)])
def test_odd_widths(make, d, instead):
    with pytest.raises(ValueError, match=rf"even and at least 2, got {d}; use {instead}$"):
        make(d)


def test_no_positions_to_encode():
    with pytest.raises(ValueError, match="n=0"):
        sinusoidal_encoding(0, 8)


# -------------------------------------------------------------------------------------------------------- learned


def test_learned_positions_end():
    scheme, x = Learned(10, WIDTH).double(), random(BATCH, LENGTH, WIDTH)
    torch.testing.assert_close(scheme.add(x, start=1) - x, scheme.weight[1:10].expand_as(x))
    with pytest.raises(ValueError, match=r"needs 11 positions, but only 10 .* larger max_length"):
        scheme.add(x, start=2)
    with pytest.raises(ValueError, match="max_length=0"):
        Learned(0, WIDTH)


# -------------------------------------------------------------------------------------------------------- FLOATER


def test_runge_kutta_turns_a_circle_into_sinusoids():
    speed = torch.tensor([1.0, 0.1], dtype=torch.float64)

    def circle(t, p):  # (sin, cos) of each pair: sin' = speed·cos, cos' = −speed·sin
        return torch.stack((speed * p[:, 1], -speed * p[:, 0]), dim=-1)

    start = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    path = runge_kutta(circle, start, [float(i) for i in range(50)], substeps=50)
    # base 100 and width 4 give the speeds 1 and 100^(−2/4) = 0.1
    torch.testing.assert_close(
        path.flatten(-2), sinusoidal_encoding(50, 4, base=100.0, dtype=torch.float64), rtol=0, atol=1e-7
    )


def test_runge_kutta_has_order_four_and_sees_time():
    # dp/dt = −p + t has the solution t − 1 + 2·exp(−t) from p(0) = 1.
    def error(substeps):
        path = runge_kutta(lambda t, p: t - p, torch.ones(1, dtype=torch.float64), [0.0, 1.0, 2.0], substeps)
        exact = torch.tensor([[t - 1 + 2 * math.exp(-t)] for t in (0, 1, 2)], dtype=torch.float64)
        return (path - exact).abs().max().item()

    assert error(8) < 1e-5
    assert error(4) / error(8) == pytest.approx(16, rel=0.15)
    assert error(8) / error(16) == pytest.approx(16, rel=0.15)


def trained_floater(d_model, substeps=1):
    """Away from its start, where time plays no part and all biases are zero."""
    scheme = FLOATER(d_model, substeps=substeps).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in scheme.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return scheme


@pytest.mark.slow
def test_floater_against_a_hundred_times_finer_steps():
    coarse, fine = trained_floater(WIDTH, substeps=4), FLOATER(WIDTH, substeps=100).double()
    fine.load_state_dict(coarse.state_dict())
    path, reference = coarse.encoding(40).detach(), fine.encoding(40).detach()
    assert (path[1:] - path[:-1]).norm(dim=-1).min() > 0.1  # it moves on
    torch.testing.assert_close(path, reference, rtol=0, atol=1e-4)
    coarse.substeps = 8
    error, smaller = (path - reference).abs().max(), (coarse.encoding(40).detach() - reference).abs().max()
    assert (error / smaller).item() == pytest.approx(16, rel=0.2)


def test_floater_starts_on_a_path_that_never_ends():
    torch.manual_seed(0)
    path = FLOATER(WIDTH, substeps=8).double().encoding(200).detach()
    kept = path.cosh().log().sum(-1)
    torch.testing.assert_close(kept, kept[0].expand_as(kept), rtol=1e-6, atol=0)
    assert (path[1:] - path[:-1]).norm(dim=-1).min() > 0.1


def test_floater_solves_its_own_equation():
    scheme, step = trained_floater(WIDTH), 1e-4
    around = runge_kutta(scheme.dynamics, scheme.initial, [0.0, 1.0 - step, 1.0, 1.0 + step], substeps=50)
    torch.testing.assert_close((around[3] - around[1]) / (2 * step), scheme.dynamics(1.0, around[2]), rtol=0, atol=1e-6)


def test_floater_gradient_by_finite_differences():
    scheme = trained_floater(4)
    names, values = zip(*scheme.named_parameters(), strict=True)
    x = torch.zeros(1, 6, 4, dtype=torch.float64)
    wrapped = nn.Module()
    wrapped.scheme = scheme
    wrapped.forward = lambda x: scheme.add(x)

    def path(*parameters):
        return functional_call(wrapped, {f"scheme.{n}": p for n, p in zip(names, parameters, strict=True)}, x)

    assert torch.autograd.gradcheck(path, values)


def test_gradient_of_the_solver_is_the_derivative_of_the_exact_solution():
    # p(t) = 3·exp(rate·t), so dp(2)/d rate = 2·3·exp(2·rate) and dp(2)/dp(0) = exp(2·rate).
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    initial = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    runge_kutta(lambda t, p: rate * p, initial, [0.0, 2.0], substeps=100)[-1].sum().backward()
    assert rate.grad.item() == pytest.approx(6 * math.e, rel=1e-6)
    assert initial.grad.item() == pytest.approx(math.e, rel=1e-6)


def test_floater_goes_on_where_training_stopped_without_more_parameters():
    scheme = build("floater")
    torch.testing.assert_close(scheme.encoding(80)[:20], scheme.encoding(20))
    with pytest.raises(ValueError, match=r"delta=0\.0"):
        FLOATER(8, delta=0.0)


# ----------------------------------------------------------------------------------------------------------- RoPE


@pytest.mark.parametrize("start", [0, 100_000])
def test_rope_is_a_multiplication_by_complex_numbers(start):
    x = random(BATCH, HEADS, LENGTH, 8)
    torch.testing.assert_close(
        RoPE(8).rotate(x, start), complex_rope(x, range(start, start + LENGTH)), atol=1e-9, rtol=0
    )


def test_rope_against_transformers():
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as apply_in_halves
    from transformers.models.roformer.modeling_roformer import RoFormerSelfAttention

    query, key = random(BATCH, HEADS, LENGTH, 8, dtype=torch.float32), random(BATCH, HEADS, LENGTH, 8, seed=1).float()
    ours = RoPE(8).rotate(query), RoPE(8).rotate(key)
    sinusoids = create_sinusoidal_positions(LENGTH, 8)[None]
    sin, cos = sinusoids.chunk(2, dim=-1)
    gptj = [apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2) for x in (query, key)]
    roformer = RoFormerSelfAttention.apply_rotary_position_embeddings(sinusoids[:, None], query, key)
    # LLaMA's pairs are (i, i + d/2): bring ours into that order first and back afterwards.
    apart = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    llama = apply_in_halves(query[..., apart], key[..., apart], cos.repeat(1, 1, 2), sin.repeat(1, 1, 2))
    for mine, a, b, c in zip(ours, gptj, roformer, llama, strict=True):
        torch.testing.assert_close(mine, a)
        torch.testing.assert_close(mine, b)
        torch.testing.assert_close(mine[..., apart], c)


def test_rope_scores_depend_on_the_distance_alone():
    rope, query, key = RoPE(8), random(1, 1, 1, 8), random(1, 1, 1, 8, seed=1)

    def score(m, n):
        return (rope.rotate(query, m) * rope.rotate(key, n)).sum().item()

    assert score(3, 10) == pytest.approx(score(1003, 1010), abs=1e-10)
    assert abs(score(3, 10) - score(3, 11)) > 1e-3
    torch.testing.assert_close(rope.rotate(query, 77).norm(), query.norm())


def test_rope_on_another_width():
    with pytest.raises(ValueError, match="width 8, got 6"):
        RoPE(8).rotate(random(1, 1, 4, 6))


# ---------------------------------------------------------------------------------------------------- T5 and ALiBi


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (16, 40), (6, 20)])
def test_t5_buckets_against_transformers_over_all_distances(bidirectional, num_buckets, max_distance):
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-2000, 2001)
    options = {"bidirectional": bidirectional, "num_buckets": num_buckets, "max_distance": max_distance}
    ours = t5_bucket(distance, **options)
    assert torch.equal(ours, T5Attention._relative_position_bucket(distance, **options))
    assert ours.unique().numel() == num_buckets - bidirectional  # looking both ways, "0 after" is never used


@pytest.mark.parametrize("is_decoder", [True, False])
def test_t5_bias_against_transformers(is_decoder):
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    theirs = T5Attention(T5Config(d_model=24, d_kv=8, num_heads=3, is_decoder=is_decoder), True, layer_idx=0)
    ours = T5Buckets(3, bidirectional=not is_decoder)
    with torch.no_grad():
        ours.weight.copy_(theirs.relative_attention_bias.weight)
    torch.testing.assert_close(ours.bias(200, 200), theirs.compute_bias(200, 200)[0])
    torch.testing.assert_close(ours.bias(2, 200), theirs.compute_bias(2, 200, past_seen_tokens=198)[0])


def test_t5_needs_room_for_near_and_far():
    with pytest.raises(ValueError, match="3 buckets keep 0 distances apart"):
        T5Buckets(2, num_buckets=3)
    with pytest.raises(ValueError, match="max_distance=8"):
        T5Buckets(2, max_distance=8)


@pytest.mark.parametrize("num_heads", [1, 2, 3, 5, 6, 7, 8, 12, 16, 20, 25, 40, 96])
def test_alibi_slopes_against_transformers(num_heads):
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    theirs = build_alibi_tensor(torch.ones(1, 2), num_heads, torch.float32)[:, 0, 1]
    torch.testing.assert_close(alibi_slopes(num_heads), theirs)


def test_alibi_slopes_of_the_paper():
    eight = [1 / 2**i for i in range(1, 9)]
    assert alibi_slopes(8).tolist() == eight
    sixteen = [2 ** (-i / 2) for i in range(1, 17)]
    torch.testing.assert_close(alibi_slopes(12), torch.tensor(eight + sixteen[0:8:2]))
    with pytest.raises(ValueError, match="num_heads=0"):
        alibi_slopes(0)


def test_alibi_bias_is_minus_slope_times_distance():
    bias = ALiBi(2).bias(2, 4)
    assert bias[0].tolist() == [[-2 / 16, -1 / 16, 0, -1 / 16], [-3 / 16, -2 / 16, -1 / 16, 0]]
    assert bias[1].tolist() == [[-2 / 256, -1 / 256, 0, -1 / 256], [-3 / 256, -2 / 256, -1 / 256, 0]]


# ----------------------------------------------------------------------------------------------------------- Shaw


@pytest.mark.parametrize("queries", [11, 4])
@pytest.mark.parametrize("max_distance", [3, 20])
@pytest.mark.parametrize("causal", [True, False])
def test_shaw_against_the_direct_formula(queries, max_distance, causal):
    scheme = Shaw(8, max_distance=max_distance).double()
    query, key, value = (random(BATCH, HEADS, n, 8, seed=s) for s, n in enumerate((queries, 11, 11)))
    # One vector of width 8 for each of the pairs (query, key): the O(n²·d) memory that the library avoids.
    rows = [[max(-max_distance, min(max_distance, j - i)) + max_distance for j in range(11)] for i in range(11)]
    rows = torch.tensor(rows)[11 - queries :]
    pair_key, pair_value = scheme.key_vectors[rows], scheme.value_vectors[rows]
    scores = (query[..., :, None, :] * (key[..., None, :, :] + pair_key)).sum(-1) / math.sqrt(8)
    if causal:
        scores = scores.masked_fill(~causal_mask(11)[11 - queries :], -math.inf)
    weights = scores.softmax(-1)
    direct = (weights[..., None] * (value[..., None, :, :] + pair_value)).sum(-2)
    output, ours = scheme.attend(query, key, value, causal=causal, return_weights=True)
    torch.testing.assert_close(ours, weights)
    torch.testing.assert_close(output, direct)


def test_shaw_keys_against_transformers():
    from transformers import Wav2Vec2BertConfig
    from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

    config = Wav2Vec2BertConfig(
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=4,
        right_max_position_embeddings=4,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    theirs = Wav2Vec2BertSelfAttention(config).eval()
    scheme = Shaw(WIDTH // HEADS, max_distance=4)
    ours = MultiHeadAttention(WIDTH, HEADS, position=scheme)
    for mine, other in zip(["query", "key", "value", "output"], ["q", "k", "v", "out"], strict=True):
        getattr(ours, mine).load_state_dict(getattr(theirs, f"linear_{other}").state_dict())
    with torch.no_grad():
        scheme.key_vectors.copy_(theirs.distance_embedding.weight)
        scheme.value_vectors.zero_()  # their layer has positions in the keys only
    x = random(BATCH, 12, WIDTH).float()
    torch.testing.assert_close(ours(x), theirs(x)[0])


def test_shaw_needs_a_distance():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Shaw(8, max_distance=0)


# ---------------------------------------------------------------------------------------------------- not made anew


@pytest.mark.parametrize("name", SCHEMES)
def test_a_token_of_generation_makes_no_table_anew(name, monkeypatch):
    """Counted in calls of torch, not in seconds: the hundredth token takes as many as the tenth."""
    from torch.overrides import TorchFunctionMode

    from largemodels.gpt import GPT, GPTConfig

    class Count(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):
            Count.calls += 1
            return function(*args, **(kwargs or {}))

    model = GPT(GPTConfig(20, 200, 16, 1, 2, positions=name)).eval()
    state, calls = model.start(120), []
    with torch.no_grad():
        model.step(torch.zeros(1, 1, dtype=torch.long), state)
        for _ in range(110):
            Count.calls = 0
            with Count():
                model.step(torch.zeros(1, 1, dtype=torch.long), state)
            calls.append(Count.calls)
    assert calls[100] <= calls[10] < 200


def test_kept_tables_have_the_dtype_and_device_of_what_asks():
    for dtype in (torch.float64, torch.float16, torch.float32):
        x = torch.randn(1, 2, 5, 4, dtype=dtype)
        turned = RoPE(4).rotate(x, 3)
        assert turned.dtype == dtype
        torch.testing.assert_close(turned.double(), RoPE(4).rotate(x.double(), 3), rtol=2e-3, atol=2e-3)
    assert RoPE(4).rotate(torch.randn(1, 2, 5, 4, device="meta")).device.type == "meta"
    far = RoPE(4).rotate(torch.ones(1, 1, 2, 4, dtype=torch.float64), 100_000)
    angle = torch.tensor(100_000.0, dtype=torch.float64)
    torch.testing.assert_close(far[0, 0, 0, 0], angle.cos() - angle.sin())

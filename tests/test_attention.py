"""Attention against PyTorch's own, in values and gradients, over random shapes and masks."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from largemodels.attention import (
    AdditiveScore,
    BilinearScore,
    DotScore,
    KeyValueCache,
    MultiHeadAttention,
    masked_softmax,
    scaled_dot_product_attention,
)

SEEDS = range(30)


def randint(generator, low, high):
    return int(torch.randint(low, high + 1, (), generator=generator))


def random_problem(seed, *, d_value=True):
    """Random shapes, a random mask that broadcasts in a random way, and at times rows that may attend to nothing."""
    generator = torch.Generator().manual_seed(seed)
    batch, heads, queries, keys, width = (randint(generator, 1, most) for most in (3, 4, 7, 9, 8))
    query, key = (torch.randn(batch, heads, n, width, generator=generator) * 2 for n in (queries, keys))
    value = torch.randn(batch, heads, keys, randint(generator, 1, 6) if d_value else width, generator=generator)
    shape = [size if randint(generator, 0, 1) else 1 for size in (batch, heads, queries, keys)]
    mask = torch.rand(shape, generator=generator) < 0.6
    if seed % 3 == 0:
        mask[..., 0, :] = False
    return [tensor.requires_grad_() for tensor in (query, key, value)], mask if seed % 5 else None


def gradients(output, inputs):
    weight = torch.linspace(-1, 1, output.numel()).view_as(output)  # a loss that treats every entry differently
    return torch.autograd.grad((output * weight).sum(), inputs)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("return_weights", [False, True])
def test_both_paths_agree_with_the_kernel_of_torch(seed, return_weights):
    inputs, mask = random_problem(seed)
    expected = F.scaled_dot_product_attention(*inputs, attn_mask=mask)
    output = scaled_dot_product_attention(*inputs, mask, return_weights=return_weights)
    output = output[0] if return_weights else output
    close(output, expected)
    close(gradients(output, inputs), gradients(expected, inputs))


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_the_formula_in_float64(seed):
    (query, key, value), mask = random_problem(seed)
    output, weights = scaled_dot_product_attention(query, key, value, mask, return_weights=True)
    allowed = torch.ones(weights.shape) if mask is None else mask.double().expand_as(weights)
    shares = torch.exp(query.double() @ key.double().mT / math.sqrt(query.shape[-1])) * allowed
    total = shares.sum(-1, keepdim=True)
    expected = torch.where(total > 0, shares / total, 0.0)
    close(weights.double(), expected)
    close(output.double(), expected @ value.double())
    assert (weights[allowed == 0] == 0).all()


@pytest.mark.parametrize("return_weights", [False, True])
def test_a_row_that_may_attend_to_nothing_gives_zeros_and_finite_gradients(return_weights):
    inputs, _ = random_problem(7)
    mask = torch.zeros(inputs[0].shape[-2], inputs[1].shape[-2], dtype=torch.bool)
    output = scaled_dot_product_attention(*inputs, mask, return_weights=return_weights)
    output = output[0] if return_weights else output
    assert (output == 0).all()
    assert all((gradient == 0).all() for gradient in gradients(output, inputs))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("with_mask", [False, True])
def test_causal_is_a_mask_and_queries_are_the_last_positions(seed, with_mask):
    (query, key, value), _ = random_problem(seed, d_value=False)
    key, value = (torch.cat([tensor] * 4, dim=-2) for tensor in (key, value))  # at least as many keys as queries
    query = query[..., : key.shape[-2], :]
    queries, keys = query.shape[-2], key.shape[-2]
    allowed = torch.tensor([[j <= i + keys - queries for j in range(keys)] for i in range(queries)])
    extra = torch.rand(queries, keys, generator=torch.Generator().manual_seed(seed)) < 0.7 if with_mask else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed & extra if with_mask else allowed)
    close(scaled_dot_product_attention(query, key, value, extra, causal=True), expected)
    close(scaled_dot_product_attention(query, key, value, extra, causal=True, return_weights=True)[0], expected)


def test_causal_square_equals_is_causal():
    query, key, value = torch.randn(3, 2, 4, 9, 5, generator=torch.Generator().manual_seed(0))
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    close(scaled_dot_product_attention(query, key, value, causal=True), expected)


@pytest.mark.parametrize("masked", [False, True])
def test_bias_and_scale_on_both_paths(masked):
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 5, 4, generator=generator)
    bias = torch.randn(3, 5, 5, generator=generator)
    mask = torch.rand(2, 1, 5, 5, generator=generator) < 0.5 if masked else None
    scores = query @ key.mT * 0.7 + bias
    expected = torch.nan_to_num((scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1)) @ value
    for return_weights in (False, True):
        output = scaled_dot_product_attention(
            query, key, value, mask, bias=bias, scale=0.7, return_weights=return_weights
        )
        close(output[0] if return_weights else output, expected)


def with_weights_of(theirs: nn.MultiheadAttention, ours: MultiHeadAttention) -> None:
    weights = theirs.in_proj_weight.chunk(3) if theirs._qkv_same_embed_dim else (
        theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight
    )  # fmt: skip
    with torch.no_grad():
        for linear, weight in zip((ours.query, ours.key, ours.value), weights, strict=True):
            linear.weight.copy_(weight)
        ours.output.weight.copy_(theirs.out_proj.weight)
        if theirs.in_proj_bias is not None:
            theirs.in_proj_bias.normal_()
            theirs.out_proj.bias.normal_()
            for linear, bias in zip((ours.query, ours.key, ours.value), theirs.in_proj_bias.chunk(3), strict=True):
                linear.bias.copy_(bias)
            ours.output.bias.copy_(theirs.out_proj.bias)


@pytest.mark.parametrize("seed", SEEDS)
def test_multi_head_attention_agrees_with_torch(seed):
    """Self- and cross-attention, other context widths, with and without bias, masks with True and False, gradients."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    num_heads, d_head, batch, queries, keys = (randint(generator, 1, most) for most in (4, 5, 3, 6, 7))
    d_model, bias, cross = num_heads * d_head, bool(seed % 2), seed % 3 > 0
    d_context = randint(generator, 1, 9) if seed % 3 == 2 else d_model
    theirs = nn.MultiheadAttention(d_model, num_heads, bias=bias, kdim=d_context, vdim=d_context, batch_first=True)
    ours = MultiHeadAttention(d_model, num_heads, d_context=d_context, bias=bias)
    with_weights_of(theirs, ours)
    x = torch.randn(batch, queries, d_model, requires_grad=True)
    context = torch.randn(batch, keys, d_context, requires_grad=True) if cross else x
    mask = torch.rand(batch, num_heads, queries, context.shape[1]) < 0.6
    mask[..., 0] = True  # theirs is NaN for a row that may attend to nothing
    expected, weights = theirs(x, context, context, attn_mask=~mask.flatten(0, 1), average_attn_weights=False)
    output, our_weights = ours(x, context, mask, return_weights=True)
    close(output, expected)
    close(our_weights, weights)
    close(ours(x, context, mask), expected)
    inputs = [x, context] if cross else [x]
    ours_by, theirs_by = [*inputs, ours.output.weight], [*inputs, theirs.out_proj.weight]
    close(gradients(ours(x, context, mask), ours_by), gradients(expected, theirs_by))


@pytest.mark.parametrize("chunks", [[1] * 6, [6], [2, 1, 3], [5, 1]])
def test_a_cache_gives_what_one_pass_gives(chunks):
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(12, 3), torch.randn(2, 6, 12)
    with torch.no_grad():
        expected = layer(x, causal=True)
        cache = KeyValueCache(8)
        pieces = [layer(piece, causal=True, cache=cache) for piece in x.split(chunks, dim=1)]
    close(torch.cat(pieces, dim=1), expected)
    assert cache.length == 6


def test_scores_by_brute_force():
    torch.manual_seed(0)
    query, key = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    bilinear, additive = BilinearScore(4, 4), AdditiveScore(4, 4, 7)
    for b in range(2):
        for i in range(3):
            for j in range(5):
                q, k = query[b, i], key[b, j]
                hidden = torch.tanh(additive.query.weight @ q + additive.key.weight @ k + additive.query.bias)
                close(DotScore()(query, key)[b, i, j], q.dot(k))
                close(bilinear(query, key)[b, i, j], q @ bilinear.weight @ k)
                close(additive(query, key)[b, i, j], additive.score.weight[0] @ hidden)


def test_without_its_bias_the_additive_score_is_odd():
    """And so it can never be q·k, which is even."""
    torch.manual_seed(0)
    query, key = torch.randn(3, 4), torch.randn(5, 4)
    odd, free = AdditiveScore(4, 4, 7, bias=False), AdditiveScore(4, 4, 7)
    close(odd(-query, -key), -odd(query, key))
    assert (free(-query, -key) + free(query, key)).abs().max() > 0.1


def test_bilinear_with_the_identity_is_the_dot_product():
    bilinear = BilinearScore(4, 4)
    nn.init.eye_(bilinear.weight)
    query, key = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    close(bilinear(query, key), DotScore()(query, key))


def test_dropout_acts_in_training_only_and_keeps_the_mean():
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(8, 2, dropout=0.5), torch.randn(1, 50, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    mean = torch.stack([scaled_dot_product_attention(x, x, x, dropout=0.5) for _ in range(4_000)]).mean(0)
    torch.testing.assert_close(mean, scaled_dot_product_attention(x, x, x), atol=0.15, rtol=0)


def test_inputs_are_left_alone():
    inputs, mask = random_problem(4)
    copies = [tensor.clone() for tensor in (*inputs, mask)]
    scaled_dot_product_attention(*inputs, mask, return_weights=True)
    assert all(map(torch.equal, (*inputs, mask), copies))


def test_large_scores_stay_finite():
    query = torch.full((1, 2, 4), 1e4, requires_grad=True)
    output, weights = scaled_dot_product_attention(query, query, query, return_weights=True)
    assert weights.isfinite().all()
    assert gradients(output, [query])[0].isfinite().all()


@pytest.mark.parametrize("hidden", [(), (0,), (0, 1, 2)], ids=str)
def test_a_bias_that_hides_all_keys_gives_zeros_with_weights_and_without(hidden):
    query, key, value = (torch.randn(2, n, 4, requires_grad=True) for n in (3, 5, 5))
    bias = torch.randn(3, 5)
    bias[list(hidden)] = -math.inf
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    output, weights = scaled_dot_product_attention(query, key, value, bias=bias, return_weights=True)
    close(scaled_dot_product_attention(query, key, value, bias=bias), expected)
    close(output, expected)
    assert all((weights[:, row] == 0).all() for row in hidden)
    close(gradients(output, [query, key, value]), gradients(expected, [query, key, value]))


@pytest.mark.parametrize("shape", [(), (1,), (5,)])
@pytest.mark.parametrize("causal", [False, True])
def test_a_mask_or_bias_of_keys_alone_serves_every_query(shape, causal):
    query, key, value = (torch.randn(2, n, 4) for n in (3, 5, 5))
    mask, bias = torch.rand(shape) < 0.6, torch.randn(shape)
    for options in ({"mask": mask}, {"bias": bias}, {"mask": mask, "bias": bias}):
        whole = {name: tensor.expand(3, 5) for name, tensor in options.items()}
        expected, _ = scaled_dot_product_attention(query, key, value, causal=causal, return_weights=True, **whole)
        close(scaled_dot_product_attention(query, key, value, causal=causal, **options), expected)
    layer = MultiHeadAttention(4, 2)
    close(layer(query, key, mask=mask), layer(query, key, mask=mask.expand(3, 5)))


@pytest.mark.parametrize("band", [1, 2, 9])
def test_no_queries_no_output(band):
    key = torch.randn(2, 5, 4)
    assert scaled_dot_product_attention(key[:, :0], key, key, causal=True, band=band).shape == (2, 0, 4)


X = torch.randn(2, 3, 8)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (
            TypeError,
            "query must be floating point, got torch.int64",
            lambda: scaled_dot_product_attention(X.long(), X, X),
        ),
        (TypeError, "key must be a torch.Tensor, got list", lambda: scaled_dot_product_attention(X, [1.0], X)),
        (ValueError, "at least the axes", lambda: scaled_dot_product_attention(X[0, 0], X, X)),
        (ValueError, "same width, got 8 and 7", lambda: scaled_dot_product_attention(X, X[..., :7], X)),
        (ValueError, "3 keys and 2 values", lambda: scaled_dot_product_attention(X, X, X[:, :2])),
        (
            ValueError,
            "agree in batch",
            lambda: scaled_dot_product_attention(X, torch.randn(3, 3, 8), torch.randn(3, 3, 8)),
        ),
        (TypeError, "boolean tensor", lambda: scaled_dot_product_attention(X, X, X, torch.ones(3, 3))),
        (TypeError, "got list", lambda: scaled_dot_product_attention(X, X, X, [[True]])),
        (
            ValueError,
            r"mask of shape \(4, 3\) does not broadcast to the scores \(2, 3, 3\)",
            lambda: scaled_dot_product_attention(X, X, X, torch.ones(4, 3, dtype=torch.bool)),
        ),
        (
            ValueError,
            "does not broadcast",  # a mask with more axes than the scores would silently enlarge the output
            lambda: scaled_dot_product_attention(X, X, X, torch.ones(5, 2, 3, 3, dtype=torch.bool)),
        ),
        (ValueError, "bias of shape", lambda: scaled_dot_product_attention(X, X, X, bias=torch.zeros(7))),
        (ValueError, "band=0", lambda: scaled_dot_product_attention(X, X, X, causal=True, band=0)),
        (TypeError, "boolean", lambda: masked_softmax(torch.zeros(2, 2), torch.zeros(2, 2))),
        (ValueError, "3 heads do not divide d_model=8; choose a divisor", lambda: MultiHeadAttention(8, 3)),
        (ValueError, "at least one head", lambda: MultiHeadAttention(8, 0)),
        (ValueError, "at least 1, got d_head=0", lambda: MultiHeadAttention(8, 2, d_head=0)),
        (ValueError, "x has width 8, this layer was built for 6", lambda: MultiHeadAttention(6, 3)(X)),
        (ValueError, "context has width 8", lambda: MultiHeadAttention(8, 2, d_context=5)(X, X)),
        (TypeError, "x must be floating point", lambda: MultiHeadAttention(8, 2)(X.long())),
        (ValueError, "same width", lambda: DotScore()(X, X[..., :4])),
        (ValueError, "key has width 8", lambda: BilinearScore(8, 4)(X, X)),
        (ValueError, "query has width 8", lambda: AdditiveScore(4, 8, 3)(X, X)),
        (ValueError, "at least 1 position", lambda: KeyValueCache(0)),
    ],
)
def test_bad_input_is_named(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_a_full_or_foreign_cache_is_refused_and_left_as_it_was():
    cache, step = KeyValueCache(3), torch.zeros(2, 4, 2, 5)
    cache.append(step, step)
    with pytest.raises(ValueError, match=r"2 cached \+ 2 new positions exceed max_length=3"):
        cache.append(step, step)
    assert cache.length == 2
    with pytest.raises(ValueError, match=r"\(batch, heads\) = \(2, 4\), the new keys have \(1, 4\)"):
        cache.append(step[:1], step[:1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_paths_agree_on_a_gpu(dtype):
    query, key, value = torch.randn(3, 2, 4, 65, 32, device="cuda", dtype=dtype)
    mask = torch.rand(65, 65, device="cuda") < 0.5
    mask[3] = False
    output, _ = scaled_dot_product_attention(query, key, value, mask, return_weights=True)
    fused = scaled_dot_product_attention(query, key, value, mask)
    tolerance = 1e-4 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(fused, output, atol=tolerance, rtol=tolerance)
    assert (fused[:, :, 3] == 0).all()

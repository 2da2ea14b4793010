"""Masks against brute force, PyTorch's kernels and masks of `transformers`; reach and leaks against paths and Jacobians."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from largemodels.attention import MultiHeadAttention, masked_softmax, scaled_dot_product_attention
from largemodels.gpt import GPT, GPTConfig
from largemodels.masks import (
    banded_causal_mask,
    causal_mask,
    influence,
    leaks,
    padding_mask,
    prefix_mask,
    reachable,
)

LENGTHS = st.integers(1, 12)


def table(n, may_attend):
    """A mask by its definition, one pair at a time."""
    return torch.tensor([[may_attend(i, j) for j in range(n)] for i in range(n)])


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ------------------------------------------------------------------------------------------------- their definitions


@given(LENGTHS)
def test_causal_is_itself_and_the_past(n):
    assert causal_mask(n).equal(table(n, lambda i, j: j <= i))


@given(LENGTHS, st.data())
def test_a_prefix_is_seen_by_all_and_the_rest_is_causal(n, data):
    prefix = data.draw(st.integers(0, n))
    assert prefix_mask(prefix, n).equal(table(n, lambda i, j: j < prefix or j <= i))


@given(LENGTHS, st.integers(1, 15))
def test_a_band_is_the_last_width_keys(n, width):
    mask = banded_causal_mask(n, width)
    assert mask.equal(table(n, lambda i, j: i - width < j <= i))
    assert mask.sum(-1).tolist() == [min(i + 1, width) for i in range(n)]


@given(LENGTHS, st.data())
def test_padding_hides_keys_from_every_query(n, data):
    lengths = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=4))
    mask = padding_mask(torch.tensor(lengths), n)
    assert mask.shape == (len(lengths), 1, 1, n)
    for row, length in zip(mask[:, 0, 0].tolist(), lengths, strict=True):
        assert row == [True] * length + [False] * (n - length)


def test_of_no_sentences_there_is_a_mask_of_none():
    assert padding_mask([], 4).shape == padding_mask(torch.zeros(0, dtype=torch.long), 4).shape == (0, 1, 1, 4)


@given(LENGTHS)
def test_the_extremes_are_each_other(n):
    everything = torch.ones(n, n, dtype=torch.bool)
    assert prefix_mask(0, n).equal(causal_mask(n))
    assert prefix_mask(n, n).equal(everything)
    assert banded_causal_mask(n, n).equal(causal_mask(n))
    assert banded_causal_mask(n, 1).equal(torch.eye(n, dtype=torch.bool))
    assert (padding_mask(torch.tensor([n]), n) & everything).all()


@given(LENGTHS, st.data())
def test_prefixes_of_different_lengths_are_causal_or_padding(n, data):
    prefixes = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=4))
    together = causal_mask(n) | padding_mask(torch.tensor(prefixes), n)
    for mask, prefix in zip(together[:, 0], prefixes, strict=True):
        assert mask.equal(prefix_mask(prefix, n))


def test_every_mask_is_boolean_and_may_be_combined():
    mask = causal_mask(5) & padding_mask(torch.tensor([5, 3]), 5) & banded_causal_mask(5, 2)
    assert (mask.dtype, mask.shape) == (torch.bool, (2, 1, 5, 5))


def test_causal_and_padded_masks_are_those_of_transformers():
    """`transformers` builds the mask of a padded decoder from the same lengths."""
    from transformers.masking_utils import and_masks, causal_mask_function, padding_mask_function

    lengths = torch.tensor([6, 4, 1])
    attention_mask = torch.arange(6) < lengths[:, None]
    position = torch.arange(6)
    function = and_masks(causal_mask_function, padding_mask_function(attention_mask))
    theirs = torch.stack(
        [torch.stack([torch.stack([function(b, 0, i, j) for j in position]) for i in position]) for b in range(3)]
    )
    assert (causal_mask(6) & padding_mask(lengths, 6))[:, 0].equal(theirs)


# ------------------------------------------------------------------------------------- in attention, against PyTorch


@pytest.mark.parametrize("seed", range(3))
def test_causal_attention_is_is_causal(seed):
    query, key, value = randn(3, 2, 4, 9, 8, seed=seed)
    theirs = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    for ours in (
        scaled_dot_product_attention(query, key, value, causal_mask(9)),
        scaled_dot_product_attention(query, key, value, causal_mask(9), return_weights=True)[0],
        scaled_dot_product_attention(query, key, value, causal=True),
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "mask",
    [
        padding_mask(torch.tensor([7, 3]), 7),
        causal_mask(7) & padding_mask(torch.tensor([4, 6]), 7),
        prefix_mask(3, 7),
        banded_causal_mask(7, 2),
    ],
    ids=["padding", "causal and padding", "prefix", "band"],
)
def test_masked_attention_is_that_of_the_kernel(mask, seed):
    query, key, value = randn(3, 2, 4, 7, 8, seed=seed)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    ours, weights = scaled_dot_product_attention(query, key, value, mask, return_weights=True)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 7))
    assert (weights * ~mask == 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 7), st.integers(0, 99))
def test_padding_changes_nothing_for_the_real_words(length, seed):
    """A sentence alone, and the same sentence in a longer batch, with anything in its padding."""
    layer = MultiHeadAttention(8, 2)
    sentence = randn(1, length, 8, seed=seed)
    alone = layer(sentence)
    padded = torch.cat([sentence, 100 * randn(1, 8 - length, 8, seed=seed + 1)], dim=1)
    in_batch = layer(padded, mask=padding_mask(torch.tensor([length]), 8))
    torch.testing.assert_close(in_batch[:, :length], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("return_weights", [False, True])
def test_a_mask_that_hides_everything_gives_zeros_as_the_kernel_does(return_weights):
    query, key, value = randn(3, 1, 2, 4, 8).requires_grad_()
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    attended = scaled_dot_product_attention(query, key, value, nothing, return_weights=return_weights)
    attended = attended[0] if return_weights else attended
    assert (attended == 0).all()
    assert (F.scaled_dot_product_attention(query, key, value, attn_mask=nothing) == 0).all()
    (attended.sum() + query.sum()).backward()


def test_left_padding_under_a_causal_mask_stays_finite():
    """The first positions are padding and see nothing but padding: their rows are empty, in both passes."""
    real = torch.tensor([[False, False, True, True, True]])
    mask = causal_mask(5) & real[:, None, None, :]
    layer = MultiHeadAttention(8, 2)
    x = randn(1, 5, 8).requires_grad_()
    z, weights = layer(x, mask=mask, return_weights=True)
    assert (weights[:, :, :2] == 0).all()
    z[:, 2:].square().sum().backward()
    for tensor in (z, x.grad, *(p.grad for p in layer.parameters())):
        assert tensor.isfinite().all()


# ------------------------------------------------------------------------------------------------------------- reach


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**25 - 1))
def test_reach_is_the_existence_of_a_path(n, layers, bits):
    mask = torch.tensor([[bool(bits >> (i * n + j) & 1) for j in range(n)] for i in range(n)])

    def path(i, j):
        middles = itertools.product(range(n), repeat=max(layers - 1, 0))
        if layers == 0:
            return i == j
        return any(all(mask[a, b] for a, b in itertools.pairwise((i, *middle, j))) for middle in middles)

    assert reachable(mask, layers).equal(table(n, path))


@given(LENGTHS, st.integers(1, 5), st.integers(0, 5))
def test_the_reach_of_a_band_grows_by_width_minus_one_per_layer(n, width, layers):
    assert reachable(banded_causal_mask(n, width), layers).equal(banded_causal_mask(n, 1 + layers * (width - 1)))


@given(LENGTHS, st.integers(1, 4), st.data())
def test_causal_and_prefix_masks_reach_no_further_with_more_layers(n, layers, data):
    for mask in (causal_mask(n), prefix_mask(data.draw(st.integers(0, n)), n)):
        assert reachable(mask, layers).equal(mask)


def test_many_layers_do_not_overflow():
    assert reachable(torch.ones(200, 200, dtype=torch.bool), 100).all()


def test_reach_works_on_a_batch():
    mask = causal_mask(4) & padding_mask(torch.tensor([4, 2]), 4)
    assert reachable(mask, 2).shape == (2, 1, 4, 4)


# -------------------------------------------------------------------------------------------------- influence, leaks


def after_the_softmax(mask):
    return lambda x: (x @ x.mT).softmax(-1) * mask @ x


def test_influence_is_zero_exactly_where_the_jacobian_is():
    layer = MultiHeadAttention(6, 2).double()
    x = randn(5, 6, dtype=torch.float64)
    mask = torch.rand(5, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    call = lambda x: layer(x[None], mask=mask)[0]  # noqa: E731
    jacobian = torch.autograd.functional.jacobian(call, x)  # (5, 6, 5, 6)
    size = jacobian.square().sum((1, 3)).sqrt()
    assert (influence(call, x) > 0).equal(size > 0)
    assert (influence(call, x) > 0)[:, mask.any(0)].any()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999))
def test_influence_is_a_directional_jacobian(seed):
    """Of a linear map z = A x, row by row: ∂(r·zᵢ)/∂xⱼ = Aᵢⱼ r, so its norm is |Aᵢⱼ| times one number per row."""
    A, x = randn(4, 7, seed=seed, dtype=torch.float64), randn(7, 3, dtype=torch.float64)
    sizes = influence(lambda x: A @ x, x, seed=seed)
    torch.testing.assert_close(sizes / sizes.sum(-1, keepdim=True), A.abs() / A.abs().sum(-1, keepdim=True))


def test_influence_follows_the_reach_through_a_stack():
    mask, layers = banded_causal_mask(9, 3), [MultiHeadAttention(8, 2).double() for _ in range(3)]

    def stack(x):
        for layer in layers:
            x = layer(x, mask=mask)
        return x

    seen = influence(stack, randn(1, 9, 8, dtype=torch.float64))
    assert (seen > 0).equal(reachable(mask, 3)[None])


@pytest.mark.parametrize("n", [1, 4, 9])
def test_a_causal_layer_has_no_leak_and_its_faulty_relatives_have(n):
    layer = MultiHeadAttention(8, 2)
    x, past = randn(1, n, 8), causal_mask(n)
    assert not leaks(lambda x: layer(x, causal=True), x, past).any()
    assert not leaks(lambda x: layer(x, mask=past), x, past).any()
    if n > 1:
        assert leaks(layer, x, past).equal(~past[None])
        assert leaks(lambda x: layer(x, mask=past.T), x, past).equal(~past[None])
        shifted = torch.ones(n, n, dtype=torch.bool).tril(1)
        assert leaks(lambda x: layer(x, mask=shifted), x, past).equal((shifted & ~past)[None])
        assert leaks(after_the_softmax(past), x, past).equal(~past[None])


def test_a_leak_into_padding_is_found_for_each_sentence():
    layer, x = MultiHeadAttention(8, 2), randn(2, 5, 8)
    mask = padding_mask(torch.tensor([5, 3]), 5)
    allowed = mask | torch.eye(5, dtype=torch.bool)  # padding may know itself
    assert not leaks(lambda x: layer(x, mask=mask), x, allowed).any()
    found = leaks(lambda x: layer(x, mask=mask.mT), x, allowed)  # on the queries instead of the keys
    assert not found[0].any()
    assert found[1].any(-1).tolist() == [True, True, True, False, False]
    assert found[1, :3].any(0).tolist() == [False, False, False, True, True]


def test_nan_counts_as_a_leak_and_rounding_does_not():
    x, past = randn(1, 4, 8), causal_mask(4)
    assert leaks(lambda x: x * math.nan, x, past).equal(~past[None])

    def renormalised(x):
        weights = (x @ x.mT).softmax(-1) * past
        return weights / weights.sum(-1, keepdim=True) @ x

    assert not leaks(renormalised, x, past, tolerance=1e-4).any()


def test_a_gpt_does_not_leak():
    torch.manual_seed(0)
    model = GPT(GPTConfig(20, d_model=16, num_layers=2, num_heads=2, max_length=8, bands=(None, 3))).eval()
    x = model.embedding(torch.arange(8)[None])
    assert not leaks(lambda x: model.head(model.stack(x)), x, causal_mask(8)).any()


def test_x_and_the_random_numbers_of_others_are_left_alone():
    x = randn(3, 4)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with torch.no_grad():
        influence(lambda x: x * 2, x)
    assert torch.get_rng_state().equal(before)
    assert not x.requires_grad


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "at least 1 position, got n=0", lambda: causal_mask(0)),
        (ValueError, "at least 1 position, got n=-2", lambda: banded_causal_mask(-2, 1)),
        (ValueError, "width of at least 1.*got 0", lambda: banded_causal_mask(4, 0)),
        (ValueError, "between 0 and n=4.*got 5", lambda: prefix_mask(5, 4)),
        (ValueError, "between 0 and n=4.*got -1", lambda: prefix_mask(-1, 4)),
        (ValueError, r"between 0 and n=4, got \[2, -1\]", lambda: padding_mask(torch.tensor([2, -1]), 4)),
        (ValueError, r"between 0 and n=4, got \[5\]", lambda: padding_mask(torch.tensor([5]), 4)),
        (ValueError, "one integer per sentence.*float32", lambda: padding_mask(torch.tensor([2.0]), 4)),
        (ValueError, "one integer per sentence.*bool", lambda: padding_mask(torch.tensor([True, False]), 4)),
        (ValueError, r"one integer per sentence.*\(1, 2\)", lambda: padding_mask(torch.tensor([[1, 2]]), 4)),
        (ValueError, r"boolean mask.*got torch.float32, shape \(3, 3\)", lambda: reachable(torch.ones(3, 3), 1)),
        (ValueError, r"shape \(2, 3\)", lambda: reachable(torch.ones(2, 3, dtype=torch.bool), 1)),
        (ValueError, "0 or more layers, got -1", lambda: reachable(causal_mask(3), -1)),
        (TypeError, "embeddings of the tokens instead", lambda: influence(lambda x: x, torch.tensor([[1, 2]]))),
        (ValueError, "no gradient", lambda: influence(lambda x: x.detach(), torch.ones(2, 3))),
        (ValueError, r"positions, width\), got \(2,\)", lambda: influence(lambda x: x.sum(-1), torch.ones(2, 3))),
        (TypeError, "boolean.*write mask == 1", lambda: masked_softmax(torch.ones(3, 3), torch.ones(3, 3))),
    ],
)
def test_bad_input_is_named(error, words, call):
    with pytest.raises(error, match=words):
        call()

"""One contract for shapes and masks: every family, in training and in generation, takes the same and refuses the same."""

import pytest
import torch
from test_ordinary_modules import EVERY, VOCABULARY, WRITERS, inputs, made

from largemodels.attention import MultiHeadAttention, scaled_dot_product_attention
from largemodels.generation import beam_search, greedy
from largemodels.masks import banded_causal_mask, causal_mask, padding_mask, prefix_mask


def masked(model, mask):
    arguments = inputs(model, 4, 4)
    return model(*arguments, mask) if hasattr(model, "decoder") else model(*arguments, mask=mask)


@EVERY
@pytest.mark.parametrize("shape", [(4, 4), (4, 1, 4), (4,)])
def test_a_mask_of_other_axes_is_refused_even_where_it_would_fit(family, shape):
    with pytest.raises(
        ValueError, match=r"mask must have the shape \(batch, 1, 1, length\), got .* take mask\[:, None"
    ):
        masked(made(family), torch.ones(shape, dtype=torch.bool))


@EVERY
def test_a_mask_of_numbers_or_another_length_is_refused(family):
    with pytest.raises(TypeError, match=r"mask must be a boolean tensor .* got torch.int64; write mask == 1"):
        masked(made(family), torch.ones(4, 1, 1, 4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"mask of shape \(4, 1, 1, 3\) does not broadcast"):
        masked(made(family), torch.ones(4, 1, 1, 3, dtype=torch.bool))


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("write", [greedy, beam_search])
def test_generation_refuses_the_same(family, write):
    model = made(family)
    options = {"source": inputs(model, 4, 4)[0]} if hasattr(model, "decoder") else {}
    with pytest.raises(ValueError, match=r"mask must have the shape \(batch, 1, 1, length\), got \(4, 4\)"):
        write(model, inputs(model, 4, 4)[-1], mask=torch.ones(4, 4, dtype=torch.bool), max_new_tokens=2, **options)


@pytest.mark.parametrize("family", WRITERS)
def test_one_row_of_a_mask_is_for_all_texts_and_all_beams(family):
    model = made(family)
    options = {"source": inputs(model, 4, 3)[0]} if hasattr(model, "decoder") else {}
    prompt, row = inputs(model, 4, 3)[-1], torch.tensor([False, True, True, True])[None, None, None]
    for write in (greedy, lambda *a, **k: beam_search(*a, **k).tokens):
        found, expected = (
            write(model, prompt, mask=mask, max_new_tokens=4, **options) for mask in (row, row.repeat(3, 1, 1, 1))
        )
        assert torch.equal(found, expected)


def test_a_layer_reads_sentences_in_batches_only():
    layer = MultiHeadAttention(8, 2)
    with pytest.raises(ValueError, match=r"x must have the shape \(batch, length, 8\), got \(5, 8\); add \[None\]"):
        layer(torch.randn(5, 8))
    with pytest.raises(ValueError, match=r"context must have the shape \(batch, length, 8\), got \(5, 8\)"):
        layer(torch.randn(1, 5, 8), torch.randn(5, 8))
    with pytest.raises(ValueError, match=r"one \(batch, query, key\) take mask\[:, None\]"):
        layer(torch.randn(2, 5, 8), mask=torch.ones(2, 5, 5, dtype=torch.bool))  # 2 sentences or 2 heads?
    with pytest.raises(ValueError, match=r"of one for \(batch, key\) take mask\[:, None, None\]"):
        layer(torch.randn(2, 5, 8), mask=torch.ones(2, 5, dtype=torch.bool))
    assert layer(torch.randn(2, 5, 8), mask=causal_mask(5)).shape == (2, 5, 8)


@pytest.mark.parametrize("weights", [False, True])
def test_a_bias_of_another_precision_is_as_good_and_a_mask_is_none(weights):
    query, bias = torch.randn(2, 3, 5, 4), torch.randn(3, 5, 5, dtype=torch.float64)
    found, expected = (
        scaled_dot_product_attention(query, query, query, bias=b, return_weights=weights) for b in (bias, bias.float())
    )
    torch.testing.assert_close(found, expected)
    with pytest.raises(TypeError, match=r"must be floating point, got torch.bool; is it a mask\?"):
        scaled_dot_product_attention(query, query, query, bias=bias > 0, return_weights=weights)


def test_a_band_holds_whatever_is_broadcast():
    query, key = torch.randn(2, 3, 6, 4), torch.randn(1, 1, 6, 4)
    found = scaled_dot_product_attention(query, key, key, causal=True, band=2)
    torch.testing.assert_close(found, scaled_dot_product_attention(query, key, key, banded_causal_mask(6, 2)))


def test_scores_beyond_float16_are_weighed_all_the_same():
    query = torch.full((1, 2, 4), 300.0, dtype=torch.float16)
    key = torch.tensor([[[300.0] * 4, [299.0] * 4]], dtype=torch.float16)  # q·k = 360,000
    expected = scaled_dot_product_attention(query.float(), key.float(), key.float(), scale=0.01, return_weights=True)[1]
    found = scaled_dot_product_attention(query, key, key, scale=0.01, return_weights=True)[1]
    torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-3)


def test_masks_are_made_where_they_are_wanted():
    lengths = torch.tensor([1, 2])
    for mask in (
        causal_mask(3, device="meta"),
        prefix_mask(1, 3, device="meta"),
        banded_causal_mask(3, 2, device="meta"),
    ):
        assert mask.device.type == "meta"
    assert padding_mask(lengths, 3, device="cpu").device.type == "cpu"


@EVERY
def test_a_token_that_does_not_exist_is_named(family):
    model = made(family)
    with pytest.raises(ValueError, match=f"token id {VOCABULARY} is not in the vocabulary"):
        model(*(tokens.masked_fill(tokens > 0, VOCABULARY) for tokens in inputs(model)))

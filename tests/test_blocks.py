import itertools
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5DenseActDense, T5DenseGatedActDense, T5LayerNorm

from largemodels.attention import KeyValueCache, MultiHeadAttention, scaled_dot_product_attention
from largemodels.blocks import ACTIVATIONS, Block, FeedForward, LayerNorm, RMSNorm, TokenEmbedding
from largemodels.configs import check_length
from largemodels.masks import banded_causal_mask, causal_mask, padding_mask
from largemodels.positions import T5Buckets
from largemodels.stacks import Stack

D, HEADS, D_FF = 12, 3, 20


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of order 1, so that a forgotten scale, bias or norm cannot hide."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


def block(*, cross=False, norm=LayerNorm, activation="relu", attention=None, **options) -> Block:
    attention = attention or {}
    return randomise(
        Block(
            MultiHeadAttention(D, HEADS, **attention),
            FeedForward(D, D_FF, activation),
            partial(norm, D),
            cross_attention=MultiHeadAttention(D, HEADS) if cross else None,
            **options,
        )
    )


# ------------------------------------------------------------------------------------------------------------- norms


@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.5])
def test_layer_norm_written_out_is_the_fused_kernel(eps):
    norm = randomise(LayerNorm(D, eps=eps))
    x = torch.randn(2, 5, D) * 3 + 1
    torch.testing.assert_close(norm.written_out(x), norm(x))
    torch.testing.assert_close(norm.written_out(x), F.layer_norm(x, (D,), norm.weight, norm.bias, eps))


def test_rms_norm_is_torchs_and_t5s():
    norm, theirs = randomise(RMSNorm(D, eps=1e-3)), T5LayerNorm(D, eps=1e-3)
    theirs.weight = norm.weight
    x = torch.randn(2, 5, D) * 3 + 1
    torch.testing.assert_close(norm(x), F.rms_norm(x, (D,), norm.weight, 1e-3))
    torch.testing.assert_close(norm(x), theirs(x))


# ------------------------------------------------------------------------------------------------------ feed-forward


@pytest.mark.parametrize(("gated", "activation"), list(itertools.product([False, True], ACTIVATIONS)))
def test_feed_forward_is_t5s(gated, activation):
    config = T5Config(d_model=D, d_ff=D_FF, feed_forward_proj=("gated-" if gated else "") + activation)
    config.dense_act_fn = activation  # T5Config itself turns "gated-gelu" into "gelu_new"
    theirs = (T5DenseGatedActDense if gated else T5DenseActDense)(config).eval()
    ours = randomise(FeedForward(D, D_FF, activation, gated=gated, bias=False))
    with torch.no_grad():
        if gated:
            theirs.wi_0.weight.copy_(ours.gate.weight)
        (theirs.wi_1 if gated else theirs.wi).weight.copy_(ours.up.weight)
        theirs.wo.weight.copy_(ours.down.weight)
    x = torch.randn(2, 5, D)
    torch.testing.assert_close(ours(x), theirs(x))


def test_an_unknown_activation_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'swish'.*relu, gelu, gelu_new"):
        FeedForward(D, D_FF, "swish")


def test_feed_forward_drops_activated_numbers_in_training_only():
    layer = FeedForward(D, 4000, dropout=0.25, bias=False)
    nn.init.ones_(layer.up.weight)
    nn.init.constant_(layer.down.weight, 1 / 4000)
    x = torch.full((1, 1, D), 1 / D)  # each of the 4000 inner numbers is 1, and so is their mean
    torch.manual_seed(0)
    dropped = layer(x).mean().item()
    assert dropped != 1
    assert abs(dropped - 1) < 5 * (0.25 / 0.75 / 4000) ** 0.5
    torch.testing.assert_close(layer.eval()(x), torch.ones(1, 1, D))


# ----------------------------------------------------------------------------- blocks, against torch's own two layers


def torch_attention_weights(attention: MultiHeadAttention) -> dict[str, torch.Tensor]:
    return {
        "in_proj_weight": torch.cat([attention.query.weight, attention.key.weight, attention.value.weight]),
        "in_proj_bias": torch.cat([attention.query.bias, attention.key.bias, attention.value.bias]),
        "out_proj.weight": attention.output.weight,
        "out_proj.bias": attention.output.bias,
    }


def torch_layer_weights(ours: Block) -> dict[str, torch.Tensor]:
    """Our block's weights under the names of nn.TransformerEncoderLayer or nn.TransformerDecoderLayer."""
    parts = [("self_attn", ours.attention)]
    norms = [ours.attention_norm]
    if ours.cross_attention is not None:
        parts.append(("multihead_attn", ours.cross_attention))
        norms.append(ours.cross_attention_norm)
    norms.append(ours.feed_forward_norm)
    weights = {f"{name}.{key}": w for name, part in parts for key, w in torch_attention_weights(part).items()}
    for i, norm in enumerate(norms, start=1):
        weights |= {f"norm{i}.weight": norm.weight, f"norm{i}.bias": norm.bias}
    for name, linear in (("linear1", ours.feed_forward.up), ("linear2", ours.feed_forward.down)):
        weights |= {f"{name}.weight": linear.weight, f"{name}.bias": linear.bias}
    return weights


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("decoder", [True, False])
def test_block_is_torchs_encoder_and_decoder_layer(decoder, norm_first, activation):
    ours = block(cross=decoder, norm_first=norm_first, activation=activation, causal=decoder)
    layer = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    theirs = layer(D, HEADS, D_FF, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first)
    theirs.load_state_dict(torch_layer_weights(ours))

    x, y = torch.randn(3, 5, D), torch.randn(3, 7, D)
    x_1, x_2 = x.clone().requires_grad_(), x.clone().requires_grad_()
    if decoder:
        mask = padding_mask(torch.tensor([7, 4, 1]), 7)
        output = ours(x_1, y, context_mask=mask)
        causal = ~causal_mask(5)
        expected = theirs(x_2, y, tgt_mask=causal, memory_key_padding_mask=~mask[:, 0, 0])
        filled = torch.ones(3, 5, dtype=torch.bool)
    else:
        mask = padding_mask(torch.tensor([5, 3, 1]), 5)
        output = ours(x_1, mask=mask)
        expected = theirs(x_2, src_key_padding_mask=~mask[:, 0, 0])
        filled = mask[:, 0, 0]
    torch.testing.assert_close(output[filled], expected[filled])

    probe = torch.randn_like(output)
    output[filled].backward(probe[filled])
    expected[filled].backward(probe[filled])
    torch.testing.assert_close(x_1.grad, x_2.grad)
    theirs_by_name = dict(theirs.named_parameters())
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(parameter.grad)  # so that torch_layer_weights puts the gradients together, too
    assert len(theirs_by_name) == (18 if decoder else 12)
    for name, gradient in torch_layer_weights(ours).items():
        torch.testing.assert_close(gradient, theirs_by_name[name].grad, rtol=1e-4, atol=1e-4, msg=name)


def test_weights_do_not_change_the_output():
    ours = block(cross=True, causal=True)
    x, y = torch.randn(2, 4, D), torch.randn(2, 6, D)
    output, weights, cross = ours(x, y, return_weights=True)
    torch.testing.assert_close(output, ours(x, y))
    assert weights.shape == (2, HEADS, 4, 4)
    assert cross.shape == (2, HEADS, 4, 6)
    assert (weights.triu(1) == 0).all()
    torch.testing.assert_close(cross.sum(-1), torch.ones(2, HEADS, 4))


def test_dropout_is_on_each_sublayers_output_in_training_only():
    ours = block(norm_first=True, dropout=0.5)
    x = torch.randn(64, 4, D)
    torch.testing.assert_close(ours.eval()(x), block(norm_first=True).eval()(x))
    with torch.no_grad():
        for parameter in ours.feed_forward.parameters():
            parameter.zero_()  # the feed-forward network adds nothing, only attention does
        found = ours.eval()(x) - x
        torch.manual_seed(0)
        added = ours.train()(x) - x
    dropped = added.abs() < 1e-6
    assert abs(dropped.float().mean() - 0.5) < 0.05
    torch.testing.assert_close(added[~dropped], 2 * found[~dropped], rtol=1e-3, atol=1e-4)


def test_context_and_cross_attention_belong_together():
    x = torch.randn(1, 2, D)
    with pytest.raises(ValueError, match="no cross-attention, leave out"):
        block()(x, x)
    with pytest.raises(ValueError, match="needs a context"):
        block(cross=True)(x)


# ------------------------------------------------------------------------------------------------- bands and caches


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("past", [0, 1, 7, 100])
@pytest.mark.parametrize(
    ("num_queries", "band"), [(1, 3), (2, 1), (5, 5), (63, 2), (64, 64), (65, 16), (130, 65), (200, 7)]
)
def test_banded_attention_is_dense_attention_under_the_mask(num_queries, band, past, lead):
    torch.manual_seed(num_queries + band + past)
    num_keys = num_queries + past
    q, k, v = (
        torch.randn(*lead, n, d, requires_grad=True) for n, d in ((num_queries, 8), (num_keys, 8), (num_keys, 5))
    )
    output = scaled_dot_product_attention(q, k, v, causal=True, band=band)
    mask = banded_causal_mask(num_keys, band)[past:]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(output, expected)
    probe = torch.randn_like(output)
    for ours, theirs in zip(
        torch.autograd.grad(output, (q, k, v), probe), torch.autograd.grad(expected, (q, k, v), probe), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    with_weights, weights = scaled_dot_product_attention(q, k, v, causal=True, band=band, return_weights=True)
    torch.testing.assert_close(with_weights, expected)
    assert (weights[..., ~mask] == 0).all()


def test_a_band_joins_a_padding_mask():
    q = torch.randn(2, 3, 9, 4)
    padding = padding_mask(torch.tensor([9, 6]), 9)
    output = scaled_dot_product_attention(q, q, q, padding, causal=True, band=4)
    expected = F.scaled_dot_product_attention(q, q, q, attn_mask=banded_causal_mask(9, 4) & padding)
    torch.testing.assert_close(output, expected)


def test_banded_attention_never_makes_all_the_scores():
    """The largest tensor that is made grows like length · band, not like length²."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            output = function(*args, **(kwargs or {}))
            for tensor in output if isinstance(output, tuple) else (output,):
                if isinstance(tensor, torch.Tensor):
                    self.numel = max(self.numel, tensor.numel())
            return output

    largest = []
    for length in (1024, 4096):
        q = torch.randn(1, 1, length, 4)
        with Largest() as seen:
            scaled_dot_product_attention(q, q, q, causal=True, band=64)
        largest.append(seen.numel)
    assert largest[1] <= 4.1 * largest[0]
    assert largest[1] <= 4096 * 64 * 2


@pytest.mark.parametrize(("band", "causal"), [(0, True), (-1, True), (4, False)])
def test_a_band_that_means_nothing_is_refused(band, causal):
    q = torch.randn(1, 1, 5, 4)
    with pytest.raises(ValueError, match="band"):
        scaled_dot_product_attention(q, q, q, causal=causal, band=band)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("band", [None, 1, 3])
@pytest.mark.parametrize("cross", [True, False])
def test_stack_in_steps_is_the_stack_at_once(cross, band, norm_first):
    options = {"cross": cross, "causal": True, "band": band, "norm_first": norm_first}
    stack = Stack([block(**options), block(**options)], LayerNorm(D))
    x, context = torch.randn(2, 9, D), torch.randn(2, 5, D) if cross else None
    context_mask = padding_mask(torch.tensor([5, 2]), 5) if cross else None
    expected = stack(x, context, context_mask=context_mask)
    with torch.no_grad():
        state = stack.start(9, context, context_mask=context_mask)
        pieces = [stack(piece, state=state) for piece in x.split([4, 1, 3, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected)
    assert state.length == 9


def test_the_context_is_projected_once():
    stack = Stack([block(cross=True, causal=True)])
    calls = []
    stack.blocks[0].cross_attention.key.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        state = stack.start(4, torch.randn(1, 5, D))
        for _ in range(4):
            stack(torch.randn(1, 1, D), state=state)
    assert len(calls) == 1


def test_padding_before_the_text_changes_nothing_for_the_text():
    stack = Stack([block(causal=True), block(causal=True, band=2)])
    x = torch.randn(1, 6, D)
    expected = stack(x)
    padded = torch.cat([torch.randn(1, 3, D), x], dim=1)
    mask = torch.tensor([False] * 3 + [True] * 2)[None, None, None]  # of the first five positions; the others are text
    with torch.no_grad():
        state = stack.start(9, mask=mask)
        output = torch.cat([stack(piece, state=state) for piece in padded.split([5, 1, 1, 2], dim=1)], dim=1)
    torch.testing.assert_close(output[:, 3:], expected)


def test_repeated_and_reordered_states_continue_the_right_texts():
    stack = Stack([block(cross=True, causal=True), block(cross=True, causal=True)])
    x, context = torch.randn(2, 3, D), torch.randn(2, 5, D)
    context_mask = padding_mask(torch.tensor([5, 2]), 5)
    rows = torch.tensor([2, 0, 2, 3, 3, 3])  # which beam each beam continues; the first three are of sentence 0
    second, third = torch.randn(6, 1, D), torch.randn(6, 1, D)
    with torch.no_grad():
        state = stack.start(5, context, context_mask=context_mask)
        stack(x, state=state)
        state.repeat(3)
        stack(second, state=state)
        state.reorder(rows)
        output = stack(third, state=state)

        sentence = torch.tensor([0, 0, 0, 1, 1, 1])
        texts = torch.cat([x[sentence], second[rows], third], dim=1)
        expected = stack(texts, context[sentence], context_mask=context_mask[sentence])
    torch.testing.assert_close(output[:, 0], expected[:, -1])


def test_a_cache_that_was_reordered_can_be_repeated_and_reordered_again():
    cache = KeyValueCache(4)
    key, value = torch.randn(2, 2, 1, 3, 5)  # two texts of three positions
    cache.append(key, value)
    cache.reorder(torch.tensor([1, 0]))
    cache.repeat(2)
    cache.reorder(torch.tensor([1, 2, 2, 0]))
    rows = torch.tensor([1, 1, 0, 0])[[1, 2, 2, 0]]
    assert torch.equal(cache.key[:, :, :3], key[rows])
    assert torch.equal(cache.value[:, :, :3], value[rows])


def test_a_state_of_another_batch_size_or_without_room_is_refused():
    stack = Stack([block(causal=True)])
    with torch.no_grad():
        state = stack.start(3)
        stack(torch.randn(2, 2, D), state=state)
        with pytest.raises(ValueError, match="new batch"):
            stack(torch.randn(3, 1, D), state=state)
        with pytest.raises(ValueError, match="exceed max_length=3"):
            stack(torch.randn(2, 2, D), state=state)
        stack(torch.randn(2, 1, D), state=state)  # a refused call leaves the state as it was
    with pytest.raises(ValueError, match="at least 1 position"):
        KeyValueCache(0)


# ------------------------------------------------------------------------------------------------------- what T5 needs


def test_a_shared_bias_is_the_same_as_a_position_scheme_in_each_block():
    buckets = T5Buckets(HEADS)
    nn.init.normal_(buckets.weight)
    by_scheme = block(norm=RMSNorm, attention={"scale": 1.0, "position": buckets, "bias": False})
    by_bias = block(norm=RMSNorm, attention={"scale": 1.0, "bias": False})
    by_bias.load_state_dict(by_scheme.state_dict(), strict=False)
    x = torch.randn(2, 7, D)
    torch.testing.assert_close(by_bias(x, bias=buckets.bias(7, 7)), by_scheme(x))
    assert not torch.allclose(by_bias(x), by_scheme(x))


# ------------------------------------------------------------------------------------------------- shared by families


def test_token_ids_that_do_not_exist_are_named():
    embedding = TokenEmbedding(10, D)
    assert embedding(torch.tensor([[0, 9]])).shape == (1, 2, D)
    with pytest.raises(ValueError, match=r"token id 10 is not in the vocabulary of 10 tokens \(0 … 9\)"):
        embedding(torch.tensor([[3, 10]]))
    with pytest.raises(ValueError, match="token id -1 "):
        embedding(torch.tensor([[3, -1]]))
    for ids in ([[1, 2]], np.array([[1, 2]])):
        with pytest.raises(TypeError, match=rf"a torch.Tensor, got {type(ids).__name__}; wrap them in torch.tensor"):
            embedding(ids)
    with pytest.raises(TypeError, match=r"torch\.long, got torch\.float32"):
        embedding(torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"\(batch, length\), got \(2,\)"):
        embedding(torch.tensor([1, 2]))


def test_a_text_longer_than_the_positions_is_refused():
    check_length(5, 5)
    check_length(5, None)
    with pytest.raises(ValueError, match="6 positions are needed, but this model has 5"):
        check_length(6, 5)


def test_activations_are_the_known_functions():
    x = torch.linspace(-3, 3, 41, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    torch.testing.assert_close(ACTIVATIONS["gelu"](x), x * normal.cdf(x))
    inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)
    torch.testing.assert_close(ACTIVATIONS["gelu_new"](x), 0.5 * x * (1 + inner.tanh()))

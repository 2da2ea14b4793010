"""Products in bfloat16: rounded factors, exact sums, and nothing else changes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from largemodels.gpt import GPT, GPTConfig
from largemodels.training import train
from largemodels.training.precision import ProductsInBfloat16, gains_from_bfloat16, in_bfloat16


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().float()


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 5, 7), (2, 3, 5, 7)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("by_input", [True, False])  # the order of the weight in memory
def test_all_three_products_round_their_factors_and_their_result_only(shape, bias, by_input):
    layer, x, gradient = nn.Linear(7, 4, bias=bias), randn(*shape).requires_grad_(), randn(*shape[:-1], 4, seed=1)
    if by_input:
        layer.weight.data = layer.weight.data.T.contiguous().T
    with ProductsInBfloat16():
        y = layer(x)
    assert y.dtype == torch.float32
    y.backward(gradient)  # outside: the backward pass follows the forward pass
    near = {"rtol": 2**-8, "atol": 2**-8}  # the product itself is rounded, too
    torch.testing.assert_close(y, F.linear(rounded(x), rounded(layer.weight), layer.bias), **near)
    torch.testing.assert_close(x.grad, rounded(gradient) @ rounded(layer.weight), **near)
    rows = gradient.reshape(-1, 4)
    torch.testing.assert_close(layer.weight.grad, rounded(rows).T @ rounded(x).reshape(-1, 7), **near)
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.stride() == layer.weight.stride()
    if bias:
        torch.testing.assert_close(layer.bias.grad, rows.sum(0))


def test_outside_nothing_changes():
    layer, x = nn.Linear(7, 4), randn(5, 7)
    before, attended = layer(x), (x @ x.T).softmax(-1) @ x
    with ProductsInBfloat16():
        assert not torch.equal(layer(x), before)
        assert torch.equal((x @ x.T).softmax(-1) @ x, attended)  # these products depend on no weight
    assert torch.equal(layer(x), before)


def test_it_can_be_left_out_and_is_not_chosen_for_other_types(monkeypatch):
    layer, x = nn.Linear(256, 256), randn(5, 256)
    before = layer(x)
    with in_bfloat16(torch.device("cpu"), enabled=False):
        assert torch.equal(layer(x), before)
    with in_bfloat16(torch.device("cpu")):
        assert not torch.equal(layer(x), before)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert gains_from_bfloat16(layer)
    assert not gains_from_bfloat16(layer.double())
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert not gains_from_bfloat16(layer)


def test_a_model_learns_as_it_does_in_float32():
    text = torch.arange(200) % 7

    def batches(step, generator):
        begin = torch.randint(100, (8, 1), generator=generator)
        pieces = text[begin + torch.arange(17)]
        return pieces[:, :-1], pieces[:, 1:]

    def losses(bfloat16):
        torch.manual_seed(0)
        model = GPT(GPTConfig(7, 16, d_model=32, num_layers=2, num_heads=4, dropout=0.0, attention_dropout=0.0))
        dtypes = set()
        model.stack.blocks[0].feed_forward.up.register_forward_hook(lambda m, x, y: dtypes.add(y.dtype))
        history = train(model, batches, steps=40, learning_rate=3e-3, bfloat16=bfloat16, progress=False)
        assert dtypes == {p.dtype for p in model.parameters()} == {torch.float32}
        return history.loss

    plain, products = losses(False), losses(True)
    assert plain != products
    assert products == pytest.approx(plain, rel=0.05, abs=0.02)
    assert products[-1] < 0.5 * products[0]

"""Matrix products in bfloat16: with torch's own autocast, or only these and everything else in float32.

A number in bfloat16 has the range of float32, but 8 binary digits of precision instead of 24. Processors with
instructions for it multiply such matrices several times as fast, adding up in float32. `torch.autocast` hands on the
results in bfloat16, and casts back and forth where an operation wants float32; in narrow models that costs about as much
as it gains. Here both factors are rounded just before they are multiplied, and the product is float32 again.
"""

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


def in_precision(device: torch.device, bfloat16: bool | Literal["products"]) -> AbstractContextManager:
    """For a forward pass: autocast (True), `ProductsInBfloat16` ("products"), or float32 as it is (False)."""
    if bfloat16 == "products":
        return ProductsInBfloat16()
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


class ProductsInBfloat16(TorchFunctionMode):
    """``with ProductsInBfloat16(): loss = model(...)``: all linear layers, forwards and backwards.

    Products of queries, keys and values, which depend on no weight, stay as they are.
    """

    def __torch_function__(self, function, types, args: tuple = (), kwargs: dict[str, Any] | None = None):
        if function is F.linear:
            return _linear(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product = _Product.apply(input.reshape(-1, input.shape[-1]), weight).view(*input.shape[:-1], -1)
    return product if bias is None else product + bias


class _Product(torch.autograd.Function):
    """x Wᵀ, and in the backward pass the products of its derivative: all three round their factors."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        """(rows, d_in) and (d_out, d_in) to (rows, d_out)."""
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        return (x @ weight.T).float()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        gradient = gradient.bfloat16()
        return (gradient @ weight).float(), (gradient.T @ x).float()

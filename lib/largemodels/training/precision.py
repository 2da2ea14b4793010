"""Matrix products in bfloat16, where they are faster.

A number in bfloat16 has the range of float32, but 8 binary digits of precision instead of 24. Processors with
instructions for it multiply such matrices several times as fast, adding up in float32. `torch.autocast` hands on the
results in bfloat16, and casts back and forth where an operation wants float32. On a GPU that is what one wants, since
everything there waits for the memory. On a CPU it costs narrow models about as much as it gains; there both factors are
rounded just before they are multiplied, and the product is float32 again.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

NARROW = 96  # the width from which products in bfloat16 gain clearly: 1.5 times and more, measured with small GPTs


def gains_from_bfloat16(model: nn.Module) -> bool:
    """Whether `in_bfloat16` makes this model's training steps faster where it is now.

    Two things are needed: instructions for it, which CUDA GPUs and some CPUs have, and matrices wide enough that their
    products outweigh the rounding; `python -m largemodels bench train` measures it on yours.
    """
    parameters = list(model.parameters())
    widths = sorted(min(parameter.shape) for parameter in parameters if parameter.dim() == 2)
    if not widths or widths[len(widths) // 2] < NARROW or {p.dtype for p in parameters} != {torch.float32}:
        return False
    return multiplies_bfloat16(parameters[0].device)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it: without them, products are slow (80 times on one CPU)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def in_bfloat16(device: torch.device, enabled: bool = True) -> AbstractContextManager:
    """For a forward pass: `ProductsInBfloat16` on a CPU, autocast on other devices; nothing unless `enabled`."""
    if not enabled:
        return nullcontext()
    return ProductsInBfloat16() if device.type == "cpu" else torch.autocast(device.type, torch.bfloat16)


class ProductsInBfloat16(TorchFunctionMode):
    """``with ProductsInBfloat16(): loss = model(...)``: all linear layers, forwards and backwards.

    Products of queries, keys and values, which depend on no weight, stay as they are.
    """

    def __torch_function__(self, function, types, args: tuple = (), kwargs: dict[str, Any] | None = None):
        if function is F.linear:
            return _linear(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _Product.apply(input.reshape(-1, input.shape[-1]), weight, bias).view(*input.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """x Wᵀ + b, and in the backward pass the products of its derivative: all three round their factors."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(rows, d_in), (d_out, d_in) and (d_out,) to (rows, d_out)."""
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        product = (x @ weight.T).float()
        # In place: new memory for the sum can cost several times what adding up does.
        return product if bias is None else product.add_(bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_bias = gradient.sum(0) if ctx.needs_input_grad[2] else None
        gradient = gradient.bfloat16()
        return (gradient @ weight).float(), (gradient.T @ x).float(), of_bias

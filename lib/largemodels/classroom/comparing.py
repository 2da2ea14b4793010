"""Compare what an answer returned with what was expected, and say in words where they part."""

import numbers
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

RTOL, ATOL = 1e-4, 1e-5  # float32 rounding through a few matrix products of order 1
LARGEST = 4_000_000  # numbers in one tensor


def plain(value: Any) -> Any:
    """Tensors, numbers, strings and nestings of them, copied and free of gradients; TypeError for anything else."""
    if isinstance(value, Tensor):
        return _plain_tensor(value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Number):
        return value
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "__array__"):  # numpy arrays and scalars
        return torch.as_tensor(value).clone()
    raise TypeError(f"a value of type {type(value).__name__}")


def _plain_tensor(value: Tensor) -> Tensor:
    """Dense numbers in memory, or a TypeError that says what they are instead."""
    if value.is_meta:
        raise TypeError("a tensor on the meta device, which has a shape and no numbers")
    if value.layout != torch.strided:
        raise TypeError(f"a sparse tensor ({value.layout})")
    if value.is_quantized:
        raise TypeError(f"a quantised tensor ({value.dtype})")
    if value.numel() > LARGEST:
        raise TypeError(f"a tensor of {value.numel():,} numbers, far more than any exercise asks for")
    return value.detach().cpu().clone()


def shape_difference(seen: Any, expected: Any) -> str | None:
    """None where the shapes agree, else a sentence."""
    if isinstance(expected, tuple):
        if not isinstance(seen, tuple):
            return f"expected {len(expected)} values, got {_describe(seen)}"
        if len(seen) != len(expected):
            return f"expected {len(expected)} values, got {len(seen)}"
        for i, (one, other) in enumerate(zip(seen, expected, strict=True)):
            if difference := shape_difference(one, other):
                return f"value {i + 1} of {len(expected)}: {difference}"
        return None
    if isinstance(expected, Tensor):
        if not isinstance(seen, Tensor):
            return f"expected a tensor of shape {tuple(expected.shape)}, got {_describe(seen)}"
        if seen.shape != expected.shape:
            return f"expected shape {tuple(expected.shape)}, got {tuple(seen.shape)}"
        return None
    if isinstance(expected, numbers.Number):
        if isinstance(seen, Tensor) and seen.numel() == 1:
            return None
        if not isinstance(seen, numbers.Number) or isinstance(seen, bool) != isinstance(expected, bool):
            return f"expected a number, got {_describe(seen)}"
        return None
    return None if type(seen) is type(expected) else f"expected {_describe(expected)}, got {_describe(seen)}"


def difference(seen: Any, expected: Any) -> str | None:
    """None where `seen` equals `expected` up to float32 rounding, else a sentence that shows one place."""
    if wrong_shape := shape_difference(seen, expected):
        return wrong_shape
    if isinstance(expected, tuple):
        for i, (one, other) in enumerate(zip(seen, expected, strict=True)):
            if wrong := difference(one, other):
                return f"value {i + 1} of {len(expected)}: {wrong}"
        return None
    if isinstance(expected, dict) and isinstance(seen, dict):
        if seen.keys() != expected.keys():
            return f"expected the keys {list(expected)}, got {list(seen)}"
        wrongs = ((key, difference(seen[key], expected[key])) for key in expected)
        return next((f"under {key!r}: {wrong}" for key, wrong in wrongs if wrong), None)
    if isinstance(expected, Tensor | numbers.Number):
        return _value_difference(torch.as_tensor(seen), torch.as_tensor(expected))
    return None if seen == expected else f"expected {expected!r}, got {seen!r}"


def _value_difference(seen: Tensor, expected: Tensor) -> str | None:
    if seen.is_complex() and not expected.is_complex():
        return "complex numbers, where real ones are expected"
    seen, expected = (t.to(torch.complex128 if t.is_complex() else torch.float64) for t in (seen, expected))
    wrong = ~torch.isclose(seen, expected, rtol=RTOL, atol=ATOL, equal_nan=True)
    if not wrong.any():
        return None
    if expected.dim() == 0 or expected.numel() == 1:
        return f"got {_number(seen)}"
    if bool(seen.isnan().any()) and not bool(expected.isnan().any()):
        where = seen.isnan().nonzero()[0].tolist()
        return f"NaN (not a number) at index {where}, where {_number(expected[tuple(where)])} belongs"
    where = wrong.nonzero()[0].tolist()
    return (
        f"{int(wrong.sum())} of {wrong.numel()} numbers differ; the first, at index {where}, is "
        f"{_number(seen[tuple(where)])} and should be {_number(expected[tuple(where)])}"
    )


def _number(value: Tensor) -> str:
    return f"{value.item():.4g}"


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"{len(value)} values"
    if value is None:
        return "None"
    return f"{value!r} ({type(value).__name__})"


def within(tolerance: float) -> Callable[[Any, Any], str | None]:
    """A comparison for numbers computed by hand: rounding up to `tolerance` is fine."""

    def compare(seen: Any, expected: Any) -> str | None:
        if wrong_shape := shape_difference(seen, expected):
            return wrong_shape
        close = torch.isclose(torch.tensor(seen).double(), torch.tensor(expected).double(), rtol=0, atol=tolerance)
        return None if close.all() else f"got {tuple(round(float(number), 4) for number in seen)}"

    return compare

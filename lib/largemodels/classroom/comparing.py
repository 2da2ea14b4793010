"""Compare what an answer returned with what was expected, and say in words where they part.

Both sides are plain values, the first in the form of the second where it can be (see `reading`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..language import say
from .reading import fitted, shown

RTOL, ATOL = 1e-4, 1e-5  # float32 rounding through a few matrix products of order 1
EDGE = 1e-6  # float32 puts 2.625 on one side of 2.63 − 0.005 or on the other
WHOLE = 0.01  # how far a whole number may be off by rounding: a count is exact, however large


def shape_difference(seen: Any, expected: Any) -> str | None:
    """None where the shapes agree, else a sentence."""
    seen = fitted(seen, expected)
    if isinstance(expected, tuple):
        if not isinstance(seen, tuple):
            return say("expected {count} values, got {seen}", count=len(expected), seen=_describe(seen))
        if len(seen) != len(expected):
            return say("expected {count} values, got {seen}", count=len(expected), seen=len(seen))
        for i, (one, other) in enumerate(zip(seen, expected, strict=True)):
            if difference := shape_difference(one, other):
                return _of_several(i, expected, difference)
        return None
    if isinstance(expected, Tensor):
        if not isinstance(seen, Tensor):
            shape = tuple(expected.shape)
            return say("expected a tensor of shape {shape}, got {seen}", shape=shape, seen=_describe(seen))
        if seen.shape != expected.shape:
            return say("expected shape {one}, got {other}", one=tuple(expected.shape), other=tuple(seen.shape))
        return None
    if isinstance(expected, int | float | complex):
        if not isinstance(seen, int | float | complex) or isinstance(seen, bool) != isinstance(expected, bool):
            if isinstance(expected, bool):
                return say("expected True or False, got {seen}", seen=_describe(seen))
            return say("expected a number, got {seen}", seen=_describe(seen))
        return None
    if type(seen) is type(expected):
        return None
    return _instead(_describe(expected), _describe(seen))


def _instead(expected: str, seen: str) -> str:
    return say("expected {expected}, got {seen}", expected=expected, seen=seen)


def _of_several(index: int, all_of_them: tuple, wrong: str) -> str:
    return say("value {number} of {count}: {wrong}", number=index + 1, count=len(all_of_them), wrong=wrong)


def difference(seen: Any, expected: Any) -> str | None:
    """None where `seen` equals `expected` up to float32 rounding, else a sentence that shows one place.

    Whole numbers are exact: a float may stand for one, another whole number may not.
    """
    seen = fitted(seen, expected)
    if wrong_shape := shape_difference(seen, expected):
        return wrong_shape
    if isinstance(expected, tuple):
        for i, (one, other) in enumerate(zip(seen, expected, strict=True)):
            if wrong := difference(one, other):
                return _of_several(i, expected, wrong)
        return None
    if isinstance(expected, dict):
        if seen.keys() != expected.keys():
            return say("expected the keys {one}, got {other}", one=shown(list(expected)), other=shown(list(seen)))
        wrongs = ((key, difference(seen[key], expected[key])) for key in expected)
        told = (say("under {key!r}: {wrong}", key=key, wrong=wrong) for key, wrong in wrongs if wrong)
        return next(told, None)
    if isinstance(expected, Tensor):
        return _tensor_difference(seen, expected)
    if isinstance(expected, int | float | complex):
        return None if _close(seen, expected) else say("got {seen}", seen=number(seen))
    return None if seen == expected else _instead(shown(expected), shown(seen))


def _close(seen: int | float | complex, expected: int | float | complex) -> bool:
    if isinstance(seen, int) and isinstance(expected, int):
        return seen == expected
    if isinstance(seen, complex) and not isinstance(expected, complex):
        return False
    if expected != expected:  # NaN
        return seen != seen
    tolerance = RTOL * abs(expected) + ATOL
    return seen == expected or abs(seen - expected) <= (
        min(tolerance, WHOLE) if isinstance(expected, int) else tolerance
    )


def _tensor_difference(seen: Tensor, expected: Tensor) -> str | None:
    if seen.is_complex() and not expected.is_complex():
        return say("complex numbers, where real ones are expected")
    if seen.dtype == expected.dtype and torch.equal(seen, expected):
        return None  # the quick way, for right answers and for arguments that were left as they are
    whole = not (expected.is_floating_point() or expected.is_complex())
    exact = whole and not (seen.is_floating_point() or seen.is_complex())
    for_all = torch.int64 if exact else torch.complex128 if expected.is_complex() else torch.float64
    seen, expected = seen.to(for_all), expected.to(for_all)
    if exact:  # torch.isclose takes whole numbers for float32 ones
        wrong = seen != expected
    else:
        tolerances = {"rtol": 0, "atol": WHOLE} if whole else {"rtol": RTOL, "atol": ATOL}
        wrong = ~torch.isclose(seen, expected, equal_nan=True, **tolerances)
    if not wrong.any():
        return None
    if expected.numel() == 1:
        return say("got {seen}", seen=number(seen.item()))
    unexpected = seen.isnan() & ~expected.isnan()
    if bool(unexpected.any()):
        where = unexpected.nonzero()[0].tolist()
        return say(
            "NaN (not a number) at index {where}, where {number} belongs",
            where=where,
            number=number(expected[tuple(where)].item()),
        )
    where = wrong.nonzero()[0].tolist()
    is_, should_be = told_apart(seen[tuple(where)].item(), expected[tuple(where)].item())
    return say(
        "{wrong} of {all} numbers differ; the first, at index {where}, is {seen} and should be {expected}",
        wrong=int(wrong.sum()),
        all=wrong.numel(),
        where=where,
        seen=is_,
        expected=should_be,
    )


def number(value: int | float | complex, digits: int = 4) -> str:
    """A number for a message: whole ones in full."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def told_apart(one: int | float | complex, other: int | float | complex) -> tuple[str, str]:
    """Two different numbers with as many digits as it takes to see that they differ."""
    texts = "", ""
    for digits in range(4, 18):
        texts = number(one, digits), number(other, digits)
        if texts[0] != texts[1]:
            break
    return texts


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return say("a tensor of shape {shape}", shape=tuple(value.shape))
    if isinstance(value, tuple):
        return say("a list of {count} values", count=len(value))
    if value is None:
        return say("nothing (None or …)")
    return f"{shown(value)} ({type(value).__name__})"


def boolean(seen: Any, expected: Any) -> str | None:
    """A comparison for masks: numbers that stand for booleans are not enough."""
    seen = fitted(seen, expected)
    if isinstance(seen, Tensor) and seen.dtype != torch.bool:
        return say(
            "expected a boolean mask, got {dtype}; a comparison such as key <= query gives booleans", dtype=seen.dtype
        )
    return difference(seen, expected)


def within(tolerance: float = 0.0, *, share: float = 0.0) -> Callable[[Any, Any], str | None]:
    """A comparison for numbers computed by hand: rounding up to `tolerance` is fine, an error of just that size too.

    `share` is a tolerance for large numbers that may be rounded, as a share of what is expected.
    """

    def compare(seen: Any, expected: Any) -> str | None:
        seen = fitted(seen, expected)
        if wrong_shape := shape_difference(seen, expected):
            return wrong_shape
        if isinstance(expected, tuple):
            wrongs = any(compare(one, other) for one, other in zip(seen, expected, strict=True))
            return say("got ({numbers})", numbers=", ".join(number(one, 6) for one in seen)) if wrongs else None
        allowed = tolerance + share * abs(expected) + EDGE
        close = not isinstance(seen, complex) and abs(seen - expected) <= allowed
        return None if close else say("got {seen}", seen=number(seen, 6))

    return compare

"""Read what an answer is: any honest way of writing a number, a letter, a row of numbers or a table of them.

`plain` is what a value becomes the moment an answer returns it, also in the process that runs a student's code when a
class is graded; everything that it gives can travel (`grading.protocol`). `fitted` brings such a value into the form of
what is expected, where the two differ only in their clothes: a list for a tensor, a tensor for a pair, a number for a
tensor of shape (), a text like ``"3/4"`` for a number.
"""

import re
import reprlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..language import say

LARGEST = 4_000_000  # numbers in one tensor
DEEPEST = 10  # lists in lists
DIGITS = 60  # of one whole number
CHARACTERS = 20_000  # of one text
ROW = 64  # from here on, a row of numbers of one kind becomes a tensor
TRAVELLING = {  # types of tensors that stay as they are
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16),
    *(torch.float32, torch.float64, torch.complex64, torch.complex128),
}


def plain(value: Any, depth: int = 0) -> Any:
    """Tensors free of gradients, Python's own numbers, texts, None, and tuples and dictionaries of them, all copied.

    Any real number becomes an int or a float: a Fraction, a Decimal, a NumPy scalar. Lists, ranges and other sequences
    become tuples, arrays become tensors.

    Raises:
        TypeError: for anything else; its message goes on after "your answer is".
    """
    if isinstance(value, Tensor):
        return _plain_tensor(value)
    if isinstance(value, np.ndarray):
        return _plain_array(value, depth)
    if value is None or value is Ellipsis:  # what stands where nothing is written yet
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > CHARACTERS:
            raise TypeError(say("a text of {count:,} characters", count=len(value)))
        return str(value)
    if isinstance(value, Iterator):
        raise TypeError(
            say("a {kind}, which is used up after one look: put list(…) around it", kind=type(value).__name__)
        )
    if isinstance(value, Mapping | Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        if depth == DEEPEST:
            raise TypeError(
                say("a list inside of lists, more than {depth} deep (does it contain itself?)", depth=DEEPEST)
            )
        if isinstance(value, Mapping):
            return dict(zip(map(_plain_key, value), _plain_items(value.values(), depth), strict=True))
        return _row(_plain_items(value, depth))
    if hasattr(value, "__array__") and not np.isscalar(value):
        return _plain_array(np.asarray(value), depth)
    return _plain_number(value)


def _plain_items(values: Iterable[Any], depth: int) -> tuple:
    try:
        return tuple(plain(item, depth + 1) for item in values)
    except TypeError as inside:
        if depth:
            raise
        raise TypeError(say("made of several values, one of which is {kind}", kind=inside)) from None


def _plain_number(value: Any) -> int | float | complex | bool:
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, complex | np.complexfloating):
        return complex(value)
    if callable(value) or not any(hasattr(value, name) for name in ("__index__", "__float__")):
        if callable(value):
            raise TypeError(say("a function (are its brackets () missing?)"))
        raise TypeError(_of_type(value))
    try:
        number = value.__index__() if hasattr(value, "__index__") else float(value)
        if isinstance(number, float) and number.is_integer() and not isinstance(value, float | np.floating):
            number = int(value)  # exactly: a Decimal, a Fraction
    except OverflowError:
        number = int(value)
    if isinstance(number, int) and abs(number) >= 10**DIGITS:
        raise TypeError(say("a number of more than {count} digits", count=DIGITS))
    return number


def _plain_key(key: Any) -> Any:
    if isinstance(key, str | int | float | bool | None):
        return key
    if isinstance(key, tuple):
        return tuple(map(_plain_key, key))
    raise TypeError(say("a dictionary with a key of type {kind}", kind=type(key).__name__))


def _row(items: tuple) -> Any:
    """Long rows of numbers of one kind are tensors: a table that was written as lists has many thousand of them."""
    kind = type(items[0]) if len(items) >= ROW else None
    if kind not in (bool, int, float) or any(type(item) is not kind for item in items):
        return items
    try:
        return torch.tensor(items, dtype={bool: torch.bool, int: torch.int64, float: torch.float64}[kind])
    except (RuntimeError, OverflowError):  # beyond 2⁶³
        return items


def _plain_array(value: np.ndarray, depth: int) -> Any:
    if value.size > LARGEST:
        raise TypeError(say("an array of {count:,} numbers, far more than any exercise asks for", count=value.size))
    if value.dtype.kind in "OUS":  # Python's own objects, texts
        return plain(value.tolist(), depth + 1)
    if value.dtype.kind == "u":
        value = value.astype(
            np.uint8 if value.dtype.itemsize == 1 else np.int64 if value.max(initial=0) < 2**63 else float
        )
    if value.dtype.kind not in "biufc":
        raise TypeError(say("an array of {dtype}", dtype=value.dtype))
    widest = {"f": np.float64, "c": np.complex128}.get(value.dtype.kind)
    dtype = widest if widest and value.dtype.itemsize > np.dtype(widest).itemsize else value.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(value, dtype=dtype, order="C", subok=False))  # copied: no strides below 0


def _plain_tensor(value: Tensor) -> Tensor:
    """Dense numbers in memory, or a TypeError that says what they are instead."""
    if value.is_meta:
        raise TypeError(say("a tensor on the meta device, which has a shape and no numbers"))
    if value.is_nested:
        raise TypeError(say("a nested tensor, whose rows may be of different lengths"))
    if value.layout != torch.strided:
        raise TypeError(say("a sparse tensor ({layout})", layout=value.layout))
    if value.is_quantized:
        raise TypeError(say("a quantised tensor ({dtype})", dtype=value.dtype))
    if value.numel() > LARGEST:
        raise TypeError(say("a tensor of {count:,} numbers, far more than any exercise asks for", count=value.numel()))
    value = value.detach().cpu().resolve_conj().resolve_neg()
    if value.dtype not in TRAVELLING:  # float8, uint16 …
        value = value.to(torch.float32 if value.is_floating_point() else torch.int64)
    return value.clone(memory_format=torch.contiguous_format)


# ------------------------------------------------------------------------------------------------------ as it is typed

_CHOSEN = re.compile(
    r"[\W_]*(?:(?:answer|option|choice|我?选择?|答案[是为]?)[\W_]*)?([a-z])[\W_]*项?[\W_]*", re.IGNORECASE
)
UNITS = {
    **{"%": Fraction(1, 100), "‰": Fraction(1, 1000), "百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8},
    **{"億": 10**8, "k": 10**3, "thousand": 10**3, "m": 10**6, "million": 10**6, "b": 10**9, "billion": 10**9},
    "percent": Fraction(1, 100),
}
_UNSIGNED = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?"
_TYPED = re.compile(
    rf"(?P<top>[+-]?{_UNSIGNED})(?:/(?P<bottom>{_UNSIGNED}))?(?:[x*·](?P<base>\d{{1,4}})(?:\^|\*\*)(?P<power>[+-]?\d{{1,3}}))?"
    rf"(?P<units>(?:{'|'.join(sorted(UNITS, key=len, reverse=True))})*)"
)


def number_in(text: str) -> int | float | None:
    """The number that a text stands for: ``"3/4"``, ``"1½"``, ``"75 %"``, ``"1.1 × 10⁸"``, ``"1.1 亿"``, ``"1,050,624"``.

    None if it stands for none. A single comma is a decimal one (``"0,75"``) unless three digits follow a group that
    does not begin with 0, as in ``"1,024"``. A space between two digits sets thousands apart, or a fraction from what
    it is added to, as in ``"1 1/2"``.
    """
    if len(text) > 100:
        return None
    text = _mixed(_in_plain_letters(text))
    text = re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "", text)
    if re.search(r"\d \d", text):  # two numbers
        return None
    text = re.sub(r"(?<=\d)_(?=\d)", "", text.replace(" ", ""))
    if re.match(r"[+-]?[1-9]\d{0,2}(,\d{3})+(?!\d|,)", text):
        text = text.replace(",", "")
    elif text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    text = re.sub(r"^([+-]?)(?=\d+(\^|\*\*))", r"\g<1>1*", text)
    found = _TYPED.fullmatch(text)
    if not found:
        return None
    try:
        power = Fraction(found["base"] or 1) ** int(found["power"] or 0)
        number = Fraction(found["top"]) / Fraction(found["bottom"] or 1) * power
        for unit in re.findall("|".join(sorted(UNITS, key=len, reverse=True)), found["units"]):
            number *= UNITS[unit]
        return int(number) if number.denominator == 1 and abs(number) < 10**DIGITS else float(number)
    except (ZeroDivisionError, OverflowError):
        return None


def _in_plain_letters(text: str) -> str:
    """A number's many signs as the few that a keyboard has, single spaces between them: ``"3·10⁸"`` as ``"3·10^8"``."""
    text = re.sub("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda raised: "^" + raised[0], text)  # NFKC would write 10⁸ as 108,
    text = re.sub(r"(?<=\d)(?=[¼½¾⅐-⅞])", " ", text)  # and 1½ as 11⁄2
    text = unicodedata.normalize("NFKC", text.replace("×", "x")).lower()
    text = text.translate({ord(sign): "-" for sign in "−–—"} | {ord(sign): "/" for sign in "⁄∕÷"} | {ord("⋅"): "·"})
    text = re.sub(r"\s*/\s*", "/", " ".join(text.split())).lstrip("=≈~约 ")
    return re.sub("^百分之(.*)", r"\1%", text)


def _mixed(text: str) -> str:
    """A mixed number as one fraction: ``"1 1/2"`` as ``"3/2"``."""
    found = re.match(r"([+-]?)(\d+) ([1-9]\d?)/(\d+)", text)
    if not found:
        return text
    whole, top, bottom = map(int, found.groups()[1:])
    return f"{found[1]}{whole * bottom + top}/{bottom}{text[found.end() :]}" if top < bottom else text


def letter_in(answer: Any) -> str | None:
    """The letter of an option: ``"c"``, ``"(C)"``, ``"Ｃ"``, ``"选 C"``, ``["C"]``; None if there is not exactly one."""
    if isinstance(answer, np.ndarray) and answer.size == 1:
        answer = answer.item()
    for _ in range(DEEPEST):
        answer = answer[0] if isinstance(answer, list | tuple) and len(answer) == 1 else answer
    if not isinstance(answer, str):
        return None
    found = _CHOSEN.fullmatch(unicodedata.normalize("NFKC", answer[:100]))
    return found[1].upper() if found else None


# ----------------------------------------------------------------------------------------------- in the expected form


def fitted(seen: Any, expected: Any) -> Any:
    """The plain value `seen` in the form of `expected` where it only wears other clothes; else `seen` as it is."""
    if isinstance(expected, tuple):
        if isinstance(seen, Tensor) and seen.dim():
            seen = tuple(seen.unbind())
        if isinstance(seen, tuple) and len(seen) == len(expected):
            return tuple(fitted(one, other) for one, other in zip(seen, expected, strict=True))
        return seen
    if isinstance(expected, dict):
        if isinstance(seen, dict) and seen.keys() == expected.keys():
            return {key: fitted(seen[key], expected[key]) for key in expected}
        return seen
    if isinstance(expected, Tensor):
        table = as_tensor(seen)
        if table is None:
            return seen
        return table.reshape(()) if expected.dim() == 0 and table.numel() == 1 else table
    if isinstance(expected, int | float | complex):
        while isinstance(seen, tuple) and len(seen) == 1:
            seen = seen[0]
        if isinstance(seen, Tensor) and seen.numel() == 1:
            return seen.item()
        if isinstance(seen, str):
            number = number_in(seen)
            return seen if number is None else number
    return seen


def as_tensor(value: Any) -> Tensor | None:
    """A plain number, or regular nested tuples of numbers and tensors, as one tensor; None if that cannot be."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, str):
        value = number_in(value)
    if isinstance(value, bool | int):
        return torch.tensor(value) if abs(value) < 2**63 else torch.tensor(float(value), dtype=torch.float64)
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float64)
    if isinstance(value, complex):
        return torch.tensor(value, dtype=torch.complex128)
    if not isinstance(value, tuple):
        return None
    rows = [as_tensor(item) for item in value]
    if any(row is None or row.shape != rows[0].shape for row in rows):
        return None
    if not rows:
        return torch.empty(0)
    if len({row.dtype for row in rows}) > 1:  # True beside 1 is no truth value any more
        rows = [row.to(torch.complex128 if any(r.is_complex() for r in rows) else torch.float64) for row in rows]
    return torch.stack(rows)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 120
        self.maxtuple = self.maxlist = 12


def shown(value: Any) -> str:
    """A short `repr` for a message, whatever the value's own one does."""
    try:
        return _Short().repr(value)
    except Exception:  # a whole number of too many digits, for one
        return _of_type(value)


def _of_type(value: Any) -> str:
    return say("a value of type {kind}", kind=type(value).__name__)

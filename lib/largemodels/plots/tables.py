"""Small matrices as text, with a name beside every row and above every column."""

import unicodedata
from collections.abc import Sequence

import torch


def show(
    matrix, rows: Sequence[str], columns: Sequence[str] | None = None, *, digits: int = 2, title: str = ""
) -> None:
    """Print a matrix ``(rows, columns)`` with its labels; a vector is printed as one row.

    Args:
        matrix: numbers or booleans.
        rows: one label per row.
        columns: one label per column; none are printed unless given.
        digits: after the decimal point; whole numbers are printed without.
    """
    matrix = torch.as_tensor(matrix).detach()
    matrix = matrix[None] if matrix.dim() == 1 else matrix
    if matrix.dim() != 2 or len(rows) != len(matrix) or (columns is not None and len(columns) != matrix.shape[1]):
        labels = f"{len(rows)} row labels" + ("" if columns is None else f" and {len(columns)} column labels")
        raise ValueError(f"{labels} do not fit a matrix of shape {tuple(matrix.shape)}")
    lines = [["", *columns]] if columns is not None else []
    lines += [
        [label, *(_text(value, digits) for value in row)] for label, row in zip(rows, matrix.tolist(), strict=True)
    ]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    if title:
        print(title)
    for first, *rest in lines:
        cells = [first + " " * (widths[0] - _width(first))]
        cells += [" " * (width - _width(cell)) + cell for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join(cells).rstrip())


def _text(value: float, digits: int) -> str:
    if isinstance(value, bool):
        return "✓" if value else "·"
    return str(value) if isinstance(value, int) else f"{value:z.{digits}f}".replace("inf", "∞").replace("-", "−")


def _width(text: str) -> int:
    """Columns on the screen: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)

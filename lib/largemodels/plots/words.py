"""What a picture shows, in words: the sentences from which alternative text is made."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ..language import say
from .base import CHINESE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 1500  # characters; longer texts are read out by nobody
_BROKEN_CHINESE = re.compile(rf"(?<={CHINESE.pattern})\n(?={CHINESE.pattern})")  # no space belongs there
ROWS = 12  # of a matrix; of a larger one only the pattern is told


def describe(ax: "Axes", *parts: str, title: str = "") -> None:
    """Keep what was drawn into `ax` as one sentence, for the alternative text of its figure (see `picture`)."""
    text = clauses(" ".join(_BROKEN_CHINESE.sub("", part).split()) for part in parts if part)
    text = named(title.strip(), text) if title else text[:1].upper() + text[1:]
    if len(text) > LONGEST:
        text = text[: max(text.rfind(end, 0, LONGEST) for end in " ，；、")] + " …"
    descriptions = getattr(ax.figure, "descriptions", None)
    if descriptions is not None:  # somebody else's figure has no place for it
        descriptions[ax] = sentence(text)


# How words are put together. Chinese has marks of its own, and between the things of a list another than between clauses.


def listed(things: Iterable[str]) -> str:
    return say(", ").join(things)


def clauses(parts: Iterable[str]) -> str:
    return reduce(lambda said, more: say("{said}, {more}", said=said, more=more), parts)


def one_by_one(parts: Iterable[str]) -> str:
    """Parts that may be lists themselves."""
    return say("; ").join(parts)


def named(name: str, text: str) -> str:
    return say("{name}: {text}", name=name, text=text)


def sentence(text: str) -> str:
    return say("{text}.", text=text)


def number(value: float) -> str:
    """Three digits are enough for the ear."""
    if not np.isfinite(value):
        return say("no number") if np.isnan(value) else say("infinity") if value > 0 else say("minus infinity")
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def of_series(label: str, x: np.ndarray, y: np.ndarray) -> str:
    """Where a curve begins and ends, and its extremes if they lie between."""
    known = np.isfinite(y)
    if not known.any():
        return say("{label} has no numbers", label=label).strip()
    x, y = x[known], y[known]
    first, begin, last, end = map(number, (y[0], x[0], y[-1], x[-1]))
    text = say(
        "{label} goes from {first} at {begin} to {last} at {end}",
        label=label,
        first=first,
        begin=begin,
        last=last,
        end=end,
    ).strip()
    ends = sorted((y[0], y[-1]))
    low, high = y.argmin(), y.argmax()
    room = 0.1 * (y[high] - y[low])
    falls = say("falls to {y} at {x}", y=number(y[low]), x=number(x[low])) if y[low] < ends[0] - room else ""
    rises = say("rises to {y} at {x}", y=number(y[high]), x=number(x[high])) if y[high] > ends[1] + room else ""
    if falls and rises:
        return say("{text} and {falls} and {rises} between", text=text, falls=falls, rises=rises)
    return say("{text} and {turns} between", text=text, turns=falls or rises) if falls or rises else text


def of_matrix(matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """Small: the largest entry of each row, or what a mask allows. Large: the pattern and the range."""
    if matrix.dtype == bool:
        if len(rows) > ROWS:
            seen = say("{count} of {all} pairs allowed", count=int(matrix.sum()), all=matrix.size)
            return clauses([seen, pattern(matrix.astype(float), rows, columns)])
        allowed = (" ".join(columns[j] for j in np.flatnonzero(row)) or say("nothing") for row in matrix)
        return one_by_one(
            say("{query} may attend to {keys}", query=label, keys=seen)
            for label, seen in zip(rows, allowed, strict=True)
        )
    finite = np.isfinite(matrix)
    if not finite.any():
        return say("no cell holds a number")
    if len(rows) > ROWS:
        size = say(
            "{rows} rows and {columns} columns of numbers from {low} to {high}",
            rows=len(rows),
            columns=len(columns),
            low=number(matrix[finite].min()),
            high=number(matrix[finite].max()),
        )
        return clauses([size, pattern(matrix, rows, columns)])
    said = []
    for label, row in zip(rows, matrix, strict=True):
        if not np.isfinite(row).any():
            said.append(say("{row} without numbers", row=label))
            continue
        best = int(np.where(np.isfinite(row), row, -np.inf).argmax())
        said.append(say("{row} {number} at {column}", row=label, number=number(row[best]), column=columns[best]))
    return say("largest in each row: {cells}", cells=one_by_one(said))


def pattern(matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """Where the rows have their largest entry: along a diagonal, in a column, or here and there."""
    filled = np.where(np.isfinite(matrix), matrix, -np.inf)
    best = filled.argmax(-1)
    enough = 0.6 * len(best)
    (offset, times), *_ = Counter((best - np.arange(len(best))).tolist()).most_common(1)
    if times >= enough:
        of = {"times": times, "all": len(best)}
        if offset == 0:
            return say("{times} of {all} rows largest on the diagonal", **of)
        if offset > 0:
            return say("{times} of {all} rows largest {far} after the diagonal", **of, far=offset)
        return say("{times} of {all} rows largest {far} before the diagonal", **of, far=-offset)
    (column, times), *_ = Counter(best.tolist()).most_common(1)
    if times >= enough:
        return say(
            "{times} of {all} rows largest in column {column}", times=times, all=len(best), column=columns[column]
        )
    said = say("the largest entries of the rows lie here and there")
    cells = _strongest(matrix, best, column, rows, columns)
    return say("{said}, such as {cells}", said=said, cells=listed(cells)) if cells else said


def _strongest(
    matrix: np.ndarray, best: np.ndarray, resting: int, rows: Sequence[str], columns: Sequence[str]
) -> list[str]:
    """Up to three of the rows' largest entries, elsewhere than in the column in which many rows rest, such as <bos>."""
    has_a_choice = (np.isfinite(matrix) & (matrix != 0)).sum(-1) > 1  # the first row under a causal mask has none
    named_ones = [i for i in np.flatnonzero(has_a_choice) if rows[i] and columns[best[i]]]
    elsewhere = [i for i in named_ones if best[i] != resting]
    strongest = sorted(elsewhere or named_ones, key=lambda i: -matrix[i, best[i]])[:3]
    return [
        say("{number} from {row} to {column}", number=number(matrix[i, best[i]]), row=rows[i], column=columns[best[i]])
        for i in strongest
    ]

"""Tokens in coloured boxes: a text before and after something was done to it, and what has to be found out about it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..language import say
from .base import COLORS, INK, SOFT_INK, WIDTH, ink_on, new_axes, one_line, style, text_inches
from .words import describe, named, one_by_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAIN = "#eeeeee"
HEIGHT, GAP, PADDING, SPACE = 0.27, 0.06, 0.12, 0.05  # inches: of a box, between rows, in a box and between boxes

Cell = str | tuple[str, str | None] | None


@style()
def strips(
    rows: Mapping[str, Sequence[Cell]] | Sequence[tuple[str, Sequence[Cell]]],
    *,
    kinds: Sequence[str] = (),
    title: str = "",
    aligned: bool = True,
    width: float = WIDTH,
    ax: "Axes | None" = None,
) -> "Figure":
    """Rows of tokens; a legend says what the colours mean.

    Args:
        rows: label to cells, or pairs of them if labels repeat. A cell is a text, a pair ``(text, kind)``, or None for an
            empty place.
        kinds: the kinds in the order of their colours; those that are missing follow in the order of appearance.
        aligned: whether cells with the same number stand below each other, or each row takes the room it needs.
        width: in inches, at most; longer rows go on below, all of them together.

    Raises:
        ValueError: nothing to draw; more kinds than there are colours.
    """
    rows = [
        (label, [cell if isinstance(cell, tuple) else (cell, None) for cell in cells])
        for label, cells in (rows.items() if isinstance(rows, Mapping) else rows)
    ]
    if not any(cells for _, cells in rows):
        raise ValueError("strips needs at least one row with at least one token, got none")
    names = dict.fromkeys([*kinds, *(kind for _, cells in rows for _, kind in cells if kind is not None)])
    if len(names) > len(COLORS):
        raise ValueError(f"{len(names)} kinds of token, but only {len(COLORS)} colours: {', '.join(names)}")
    colors = dict(zip(names, COLORS, strict=False)) | {None: PLAIN}

    margin = text_inches([label for label, _ in rows]) + 0.15
    widths = [[0.0 if text is None else _box(text) for text, _ in cells] for _, cells in rows]
    if aligned:
        columns = max(map(len, widths))
        shared = [max((row[i] for row in widths if i < len(row)), default=0.0) for i in range(columns)]
        widths = [shared[: len(row)] for row in widths]
    places, lines = _places(widths, width - margin, aligned)
    ends = [
        left + wide
        for row, place in zip(widths, places, strict=True)
        for wide, (_, left) in zip(row, place, strict=True)
    ]
    width = max(3.0, margin + max(ends))

    block = len(rows) * (HEIGHT + GAP) + 2 * GAP  # all rows, once
    used = {kind for _, cells in rows for _, kind in cells}
    legend = [name for name in names if name in used]
    height = lines * block + 0.3 * bool(legend) + 0.3 * bool(title)
    ax = ax or new_axes(width, height)
    for number, (label, cells) in enumerate(rows):
        for (text, kind), wide, (line, left) in zip(cells, widths[number], places[number], strict=True):
            if text is not None:
                bottom = -(line * block + (number + 1) * (HEIGHT + GAP))
                _draw(ax, margin + left, bottom, wide, text, colors[kind])
        for line in {line for line, _ in places[number]} or {0}:
            middle = -(line * block + (number + 1) * (HEIGHT + GAP)) + HEIGHT / 2
            ax.text(margin - 0.1, middle, one_line(label), ha="right", va="center", color=SOFT_INK, parse_math=False)
    ax.set(xlim=(0, width), ylim=(-lines * block, 0))
    ax.set_title(title, loc="left")
    told = (named(label, " ".join(_said(*cell) for cell in cells if cell[0] is not None)) for label, cells in rows)
    rows_said = say("rows of tokens, the kind of each in brackets: {rows}", rows=one_by_one(told))
    describe(ax, rows_said, title=title)
    ax.axis("off")
    if legend:
        from matplotlib.patches import Patch

        handles = [Patch(facecolor=colors[name], label=name) for name in legend]
        ax.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0, 0), ncols=4, handlelength=1.2, borderaxespad=0.2
        )
    return ax.figure


def _said(text: str, kind: str | None) -> str:
    return one_line(text) if kind is None else say("{token} ({kind})", token=one_line(text), kind=kind)


def _box(text: str) -> float:
    return max(text_inches([one_line(text)]), 0.1) + PADDING


def _places(widths: list[list[float]], room: float, aligned: bool) -> tuple[list[list[tuple[int, float]]], int]:
    """For each row the line and the left end of each of its boxes, and how many lines there are."""
    places, lines = [], 1
    for row in widths:
        line, left, place = 0, 0.0, []
        for wide in max(widths, key=len)[: len(row)] if aligned else row:
            if left and left + wide > room:
                line, left = line + 1, 0.0
            place.append((line, left))
            left += wide + SPACE
        places.append(place)
        lines = max(lines, line + 1)
    return places, lines


def _draw(ax: "Axes", left: float, bottom: float, wide: float, text: str, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    look = {"boxstyle": "round,pad=0,rounding_size=0.04", "facecolor": color, "edgecolor": "none"}
    ax.add_patch(FancyBboxPatch((left, bottom), wide, HEIGHT, **look))
    ink = ink_on(color) if color != PLAIN else INK
    ax.text(left + wide / 2, bottom + HEIGHT / 2, one_line(text), ha="center", va="center", color=ink, parse_math=False)

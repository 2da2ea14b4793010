"""Weights, scores and masks: heat maps, all heads at once, and lines from queries to keys."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..language import say
from .base import COLORS, GREY, PAPER, SOFT_INK, WIDTH, as_array, ink_on, new_axes, one_line, row, style, text_inches
from .words import clauses, describe, of_matrix, one_by_one, pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

WEIGHT_COLORS = ("#f3f6fa", "#c6dbef", "#6baed6", "#2171b5", "#08306b")  # 0 is almost white, more is darker
SIGNED_COLORS = ("#8c2d04", "#ec7014", "#f7f7f7", "#2171b5", "#08306b")  # negative, zero, positive
MASK_COLORS = ("#ececec", "#2171b5")  # may not attend, may attend
HATCHES = {"−∞": "///", "NaN": "xxx"}  # for cells without a number
ANNOTATE_UP_TO = 12  # rows and columns; nobody reads more numbers than that


@style()
def heatmap(
    matrix,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    title: str = "",
    row_label: str | None = None,
    column_label: str | None = None,
    annotate: bool | None = None,
    digits: int | None = None,
    colorbar: bool = True,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: "str | Colormap | None" = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """One matrix with a token beside every row and under every column.

    Weights, signed scores and boolean masks each get the colours that suit them: from 0 to 1; from −m to m around
    white; *may attend* and *may not*. −∞ and NaN are hatched, so that no one takes them for a number.

    Args:
        matrix: ``(query, key)``: weights, scores, or a boolean mask.
        rows: one label per row.
        columns: one label per column; the rows' unless given.
        row_label, column_label: what stands in the rows and columns; queries and keys unless given.
        annotate: write the numbers into the cells; unless given, up to 12 × 12 and not for masks.
        digits: after the point; unless given, as many as the numbers have, up to 3, else 2.
        colorbar: draw the colour scale beside the matrix.
        vmin, vmax: the numbers at the ends of the colour scale, instead of those that suit the matrix.

    Raises:
        ValueError: not a matrix, or labels that do not match its shape.
    """
    matrix = as_array(matrix)
    rows, columns = check_labels(matrix, 2, rows, columns)
    if annotate is None:
        annotate = max(matrix.shape) <= ANNOTATE_UP_TO and matrix.dtype != bool
    if ax is None:
        largest, smallest = (0.52, 0.42) if annotate else (0.36, 0.16)
        cell = min(largest, max(smallest, 4.8 / max(matrix.shape)))
        beside = 1.9 if matrix.dtype == bool else 1.4  # the legend or the colour bar, and the axis label
        ax = new_axes(len(columns) * cell + text_inches(rows) + beside, len(rows) * cell + 1.0)
    cell = min(_inches(ax) / matrix.shape[::-1])
    mesh = _cells(ax, matrix, *_scale(matrix, vmin, vmax, cmap), cell=cell, annotate=annotate, digits=digits)
    _token_ticks(ax.yaxis, rows, np.arange(len(rows)) + 0.5, cell)
    _token_ticks(ax.xaxis, columns, np.arange(len(columns)) + 0.5, cell)
    _finish_matrix(ax, mesh, matrix, xlim=(0, len(columns)), ylim=(len(rows), 0), bar=colorbar, legend=not annotate)
    row_label, column_label = _axis_labels(row_label, column_label)
    ax.set(title=title, ylabel=row_label, xlabel=column_label)
    said = say(
        "heat map, {row} by {column}: {cells}",
        row=row_label or say("row"),
        column=column_label or say("column"),
        cells=of_matrix(matrix, rows, columns),
    )
    describe(ax, said, title=title)
    return ax.figure


def heatmaps(
    matrices: Mapping[str, object],
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    title: str = "",
    width: float = WIDTH,
    height: float = 3.0,
    row_label: str | None = None,
    column_label: str | None = None,
    **options,
) -> "Figure":
    """Several matrices of one shape side by side, for comparing: `heatmap` under each title.

    Args:
        matrices: title to matrix ``(query, key)``.
        rows, columns: as for `heatmap`; the label of the rows stands once, on the left.
        width, height: of the whole figure, in inches.
        options: further arguments of `heatmap`.
    """
    figure, axes = row(len(matrices), width=width, height=height, title=title)
    row_label, column_label = _axis_labels(row_label, column_label)
    options = {"colorbar": False, "column_label": column_label} | options
    for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
        label = row_label if ax is axes[0] else ""
        heatmap(matrix, rows, columns, title=name, row_label=label, ax=ax, **options)
    return figure


@style()
def heads(
    weights,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    titles: Sequence[str] | None = None,
    title: str = "",
    wrap: int = 4,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: "str | Colormap | None" = None,
) -> "Figure":
    """All heads as small heat maps on one colour scale, `wrap` of them in a line.

    Args:
        weights: ``(heads, query, key)``; scores and masks are welcome as in `heatmap`.
        rows: one label per query.
        columns: one label per key; the queries' unless given.
        titles: one per head; "head 1", "head 2", … unless given.
    """
    weights = as_array(weights)
    rows, columns = check_labels(weights, 3, rows, columns)
    num_heads, num_rows, num_columns = weights.shape
    titles = list(map(_head, range(num_heads))) if titles is None else list(titles)
    if len(titles) != num_heads:
        raise ValueError(f"{num_heads} heads need {num_heads} titles, got {len(titles)}")

    # One axes holds all heads: tick labels and layout are what makes many small axes slow. The unit is one cell.
    across = min(wrap, num_heads)
    down = math.ceil(num_heads / across)
    margin, gap, headroom = text_inches(rows) + 1.2, 0.16, 0.3  # inches
    cell = min(0.42, 2.4 / max(num_rows, num_columns), max(0.05, ((WIDTH - margin) / across - gap) / num_columns))
    step_x, step_y = num_columns + gap / cell, num_rows + headroom / cell
    lefts, tops = step_x * np.arange(across), step_y * np.arange(down)
    ax = new_axes(across * step_x * cell + margin, down * step_y * cell + 0.9)
    norm, colors = _scale(weights, vmin, vmax, cmap)
    for h, matrix in enumerate(weights):
        x, y = lefts[h % across], tops[h // across]
        mesh = _cells(ax, matrix, norm, colors, cell=cell, x=x, y=y)
        ax.text(x + num_columns / 2, y - 0.05 / cell, titles[h], ha="center", va="bottom")
    _token_ticks(ax.yaxis, rows * down, np.add.outer(tops, np.arange(num_rows) + 0.5).ravel(), cell, period=num_rows)
    x_ticks = np.add.outer(lefts, np.arange(num_columns) + 0.5).ravel()
    _token_ticks(ax.xaxis, columns * across, x_ticks, cell, period=num_columns)
    xlim, ylim = (0, lefts[-1] + num_columns), (tops[-1] + num_rows, -headroom / cell)
    _finish_matrix(ax, mesh, weights, xlim=xlim, ylim=ylim, bar=True, legend=True)
    ax.set(title=title, ylabel=say("query"), xlabel=say("key"))
    told = (clauses([name, _said_of(matrix, rows, columns)]) for name, matrix in zip(titles, weights, strict=True))
    describe(ax, say("{count} heat maps, query by key: {told}", count=num_heads, told=one_by_one(told)), title=title)
    return ax.figure


@style()
def attention_lines(
    weights,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """Queries on the left, keys on the right, a line between them as thick as the weight: `HeadView` on paper.

    Args:
        weights: ``(query, key)``, or ``(heads, query, key)`` with one colour per head.
        rows: one label per query.
        columns: one label per key; the queries' unless given.

    Raises:
        ValueError: labels that do not match the shape; entries outside [0, 1] or rows that sum to more than 1.
    """
    from matplotlib.collections import LineCollection

    weights = as_array(weights)
    weights = weights[None] if weights.ndim == 2 else weights
    rows, columns = check_labels(weights, 3, rows, columns)
    check_weights(weights)
    num_heads, num_rows, num_columns = weights.shape
    length = max(num_rows, num_columns)
    ax = ax or new_axes(3.2 + text_inches(rows) + text_inches(columns), 0.26 * length + 0.9)
    for h, matrix in enumerate(weights):
        query, key = np.nonzero(matrix >= 0.01)  # thinner lines are not seen
        strength = matrix[query, key]
        shift = (h - (num_heads - 1) / 2) * min(0.16, 0.5 / num_heads)  # heads beside each other, not on top
        ends = np.stack([query, key], axis=1) + shift
        lines = [((0, left), (1, right)) for left, right in ends]
        alpha = 0.25 + 0.6 * strength
        color = COLORS[h % len(COLORS)]
        ax.add_collection(LineCollection(lines, colors=color, linewidths=5 * strength, alpha=alpha, capstyle="round"))
        ax.plot([], [], color=color, linewidth=3, label=_head(h))
    for labels, name, x, side in ((rows, say("query"), -0.04, "right"), (columns, say("key"), 1.04, "left")):
        ax.text(x, -1, name, ha=side, va="center", color=SOFT_INK, style="italic")
        for i, label in enumerate(labels):
            ax.text(x, i, label, ha=side, va="center", parse_math=False)
    ax.set(xlim=(-0.02, 1.02), ylim=(length - 0.5, -1.4), title=title)
    ax.axis("off")
    told = (clauses([_head(h), pattern(matrix, rows, columns)]) for h, matrix in enumerate(weights))
    describe(ax, say("lines from queries to keys, as thick as the weights: {told}", told=one_by_one(told)), title=title)
    if num_heads > 1:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=min(num_heads, 4), handlelength=1, columnspacing=1)
    return ax.figure


def _axis_labels(row: str | None, column: str | None) -> tuple[str, str]:
    return say("query") if row is None else row, say("key") if column is None else column


def _head(number: int) -> str:
    """How a head is called; they are counted from 1."""
    return say("head {number}", number=number + 1)


def _said_of(matrix: np.ndarray, rows: list[str], columns: list[str]) -> str:
    """Of one among several: a mask in full if it is small, of weights the pattern."""
    return of_matrix(matrix, rows, columns) if matrix.dtype == bool else pattern(matrix, rows, columns)


def check_labels(array: np.ndarray, ndim: int, rows, columns) -> tuple[list[str], list[str]]:
    """The labels as strings; ValueError unless `array` has `ndim` axes and there is one label per row and column."""
    axes = "(query, key)" if ndim == 2 else "(heads, query, key)"
    if array.ndim != ndim or 0 in array.shape:
        raise ValueError(f"expected the shape {axes}, got {tuple(array.shape)}; pick one batch item or head with [0]")
    columns = rows if columns is None else columns
    for name, labels, size in (("rows", rows, array.shape[-2]), ("columns", columns, array.shape[-1])):
        if len(labels) != size:
            raise ValueError(f"{len(labels)} labels for {size} {name}: {axes} is {tuple(array.shape)}")
    return list(map(one_line, rows)), list(map(one_line, columns))


def check_weights(weights: np.ndarray) -> None:
    """ValueError unless every entry is in [0, 1] and no row sums to more than 1 (where masked, it may sum to less)."""
    if not (weights.min() >= -1e-6 and weights.max() <= 1 + 1e-3):  # so that NaN fails too
        raise ValueError(
            f"attention weights lie between 0 and 1, got {weights.min():.4g} to {weights.max():.4g}; "
            "if these are scores, apply a softmax over the keys first"
        )
    if (largest := weights.sum(-1).max()) > 1 + 1e-2:  # bfloat16 rounds by up to 0.004
        raise ValueError(
            f"a query's weights sum to at most 1 over the keys (the last axis), got a row with the sum {largest:.4g}; "
            "was the softmax taken over the queries?"
        )


def _inches(ax: "Axes") -> np.ndarray:
    """(width, height) before the layout makes room for labels: an upper limit."""
    return ax.get_position().size * ax.figure.get_size_inches()


def _scale(values: np.ndarray, vmin, vmax, cmap) -> "tuple[Normalize, Colormap]":
    """The colours that suit `values` (see `heatmap`), where the caller does not say."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize

    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
    if values.dtype == bool:
        ends, colors = (0, 1), ListedColormap(MASK_COLORS)
    elif low < 0:
        ends, colors = (-max(-low, high), max(-low, high)), LinearSegmentedColormap.from_list("signed", SIGNED_COLORS)
    else:
        ends, colors = (0, max(1, high)), LinearSegmentedColormap.from_list("weights", WEIGHT_COLORS)
    norm = Normalize(ends[0] if vmin is None else vmin, ends[1] if vmax is None else vmax)
    return norm, colors if cmap is None else colormaps.get_cmap(cmap)


def _cells(ax, matrix, norm, colors, *, cell: float, x=0.0, y=0.0, annotate=False, digits=None):
    """Draw `matrix` with its upper left corner at (x, y), one unit per cell of `cell` inches."""
    from matplotlib.colors import ListedColormap

    num_rows, num_columns = matrix.shape
    corners = x + np.arange(num_columns + 1), y + np.arange(num_rows + 1)
    lines = {"edgecolors": PAPER, "linewidth": min(1.0, 3 * cell)} if cell > 0.08 else {}
    numbers = np.ma.masked_invalid(matrix.astype(float))
    mesh = ax.pcolormesh(*corners, numbers, norm=norm, cmap=colors, **lines)
    for name, without_number in _numberless(matrix).items():
        grey = np.ma.masked_where(~without_number, np.zeros(matrix.shape))
        ax.pcolor(*corners, grey, cmap=ListedColormap([GREY]), hatch=HATCHES[name], linewidth=0)
    if annotate:
        places = _places(numbers.compressed()) if digits is None else digits
        centred = {"ha": "center", "va": "center", "fontsize": min(9, cell * 17)}
        for (i, j), value in np.ndenumerate(matrix):
            color = ink_on(colors(norm(value)) if np.isfinite(value) else GREY)
            ax.text(x + j + 0.5, y + i + 0.5, _number(float(value), places), color=color, **centred)
    return mesh


def _numberless(values: np.ndarray) -> dict[str, np.ndarray]:
    """Where the −∞ and the NaN are, for those that occur. (+∞ counts as −∞: no model has it, and the text tells.)"""
    kinds = {"−∞": np.isinf(values), "NaN": np.isnan(values)}
    return {name: where for name, where in kinds.items() if where.any()}


def _places(numbers: np.ndarray) -> int:
    """How many digits after the point to write: none, two, or three where three are all there are (0.125)."""
    exact = [n for n in (0, 2, 3) if np.allclose(numbers, numbers.round(n), rtol=0, atol=1e-6)]
    return exact[0] if exact else 2


def _number(value: float, places: int) -> str:
    if math.isfinite(value):
        return f"{value:z.{places}f}".replace("-", "−")
    return {math.inf: "∞", -math.inf: "−∞"}.get(value, "NaN")


def _token_ticks(axis: "Axis", labels: Sequence[str], positions, cell: float, period: int | None = None) -> None:
    """A label for every cell; only for some where cells are small, slanted where words are long.

    `period` is the number of labels after which they start again (in the next head).
    """
    fontsize = min(9.0, max(6.0, cell * 50))
    every = math.ceil(fontsize * 1.1 / 72 / cell)
    picked = [n for n in range(len(labels)) if n % (period or len(labels)) % every == 0]
    texts = [labels[n] for n in picked]
    slant = {}
    if axis.axis_name == "x" and text_inches(texts, fontsize) > cell * every:
        upright = cell * every < 0.25
        slant = {"rotation": 90} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_ticks([positions[n] for n in picked], texts, parse_math=False, fontsize=fontsize, **slant)
    axis.set_tick_params(length=0)


def _finish_matrix(ax: "Axes", mesh, values: np.ndarray, *, xlim, ylim, bar: bool, legend: bool) -> None:
    """Frame and scale: a colour bar for numbers, a legend for masks and for hatched cells that carry no text."""
    from matplotlib.patches import Patch

    ax.set(xlim=xlim, ylim=ylim, aspect="equal")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    host, below = ax, {"loc": "upper left", "bbox_to_anchor": (1, 1)}
    entries = []
    if values.dtype == bool:
        may_not, may = MASK_COLORS
        entries = [Patch(color=may, label=say("may attend")), Patch(color=may_not, label=say("may not attend"))]
    elif bar:
        host = ax.figure.colorbar(mesh, ax=ax, fraction=0.05, pad=0.02, aspect=18).ax
        host.spines[:].set_visible(False)
        host.tick_params(length=2, labelsize=8)
        below = {"loc": "upper left", "bbox_to_anchor": (-0.5, 0)}
    if legend:
        grey = {"facecolor": GREY, "linewidth": 0}
        entries += [Patch(hatch=HATCHES[name], label=name, **grey) for name in _numberless(values)]
    if entries:
        host.legend(handles=entries, handlelength=1.4, borderpad=0.2, **below)

"""The course's pictures, drawn with matplotlib in one style: for the screen, for print, and for colour-blind readers.

Every function returns a `Figure` that is already closed in pyplot, so that it shows exactly once as the last line of
a notebook cell, or draws into the `ax` it is given (see `row` for several side by side). Tensors, arrays and lists are
all welcome. The style lives in a context around each function: nobody's ``rcParams`` change.
"""

import functools
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # matplotlib costs half a second: it is imported by the first picture
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

# Told apart by every kind of colour vision, and by lightness alone on a grey printer (tests/test_plots.py measures it).
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#332288", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 2, 2)))
INK, PAPER, GREY = "#1a1a1a", "#ffffff", "#d9d9d9"
WEIGHT_COLORS = ("#f3f6fa", "#c6dbef", "#6baed6", "#2171b5", "#08306b")  # 0 is almost white, more is darker
SIGNED_COLORS = ("#8c2d04", "#ec7014", "#f7f7f7", "#2171b5", "#08306b")  # negative, zero, positive
WIDTH = 8.0  # inches: a notebook's text column, and a printed page
ANNOTATE_UP_TO = 12  # rows and columns; more numbers than that are not read

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "STHeiti",
    "Microsoft YaHei",
    "SimHei",
    "DengXian",
    "SimSun",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
    "Noto Sans CJK JP",  # same file as SC on many systems; its Chinese glyphs have Japanese forms
)


@functools.cache
def chinese_font() -> str | None:
    """The name of an installed font with Chinese glyphs, or None (``python -m largemodels doctor`` says what to do)."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    def find() -> str | None:
        installed = {font.name for font in fontManager.ttflist if Path(font.fname).exists()}
        return next((name for name in CHINESE_FONTS if name in installed), None)

    if find() is None:  # matplotlib's list may be older than the font: look at the files it does not know
        for path in set(findSystemFonts()) - {font.fname for font in fontManager.ttflist}:
            try:
                fontManager.addfont(path)
            except Exception:
                continue
    return find()


@contextmanager
def style() -> Iterator[None]:
    """The course's look, for everything drawn inside: ``with plots.style(): ...``."""
    import matplotlib.pyplot as plt

    # Only installed families may be named: matplotlib logs every absent one, for every string.
    families = ["DejaVu Sans"] + ([chinese_font()] if chinese_font() else [])
    look = {
        "font.family": families,
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlesize": 11,
        "axes.titlepad": 8,
        "axes.edgecolor": "#555555",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": plt.cycler(color=COLORS),
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.7,
        "hatch.color": "#8c8c8c",
        "hatch.linewidth": 0.7,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "figure.dpi": 110,
        "figure.facecolor": PAPER,
    }
    with plt.rc_context(look):
        yield


@style()
def row(
    n: int, *, width: float = WIDTH, height: float = 3.0, wrap: int | None = None, share: bool = False, title: str = ""
) -> tuple["Figure", list["Axes"]]:
    """`n` axes side by side, to draw into with ``ax=``; a new line starts after every `wrap` of them.

    Args:
        width: of the whole figure, in inches.
        height: of one line of axes, in inches.
        share: one y scale for all.
    """
    if n < 1:
        raise ValueError(f"a row needs at least one axes, got n={n}")
    columns = min(n, wrap or n)
    lines = math.ceil(n / columns)
    figure, axes = _figure(width, height * lines, rows=lines, columns=columns, sharey=share)
    for ax in axes[n:]:
        ax.remove()
    if title:
        figure.suptitle(title, fontsize=12)
    return figure, axes[:n]


@style()
def heatmap(
    matrix,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    title: str = "",
    row_label: str = "query",
    column_label: str = "key",
    annotate: bool | None = None,
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
        annotate: write the numbers into the cells; by default up to 12 × 12.
        colorbar: draw the scale beside the matrix.
        vmin, vmax: the numbers at the ends of the colour scale, where the matrix should not decide.

    Raises:
        ValueError: not a matrix, or the labels do not match its shape.
    """
    matrix = as_array(matrix)
    rows, columns = check_labels(matrix, 2, rows, columns)
    if annotate is None:
        annotate = max(matrix.shape) <= ANNOTATE_UP_TO and matrix.dtype != bool
    if ax is None:
        cell = 0.52 if annotate else max(0.16, min(0.4, 5.5 / max(matrix.shape)))
        width = len(columns) * cell + max(map(_text_width, rows)) * 0.08 + 1.4
        ax = _figure(width, len(rows) * cell + 1.1)[1][0]
    cell = min(np.array(_inches(ax)) / matrix.shape[::-1])
    norm, cmap = _scale(matrix, vmin, vmax, cmap)
    mesh = _cells(ax, matrix, norm, cmap, annotate=annotate, fontsize=min(9, max(5, cell * 17)))
    _token_ticks(ax.yaxis, rows, np.arange(len(rows)) + 0.5, cell)
    _token_ticks(ax.xaxis, columns, np.arange(len(columns)) + 0.5, cell)
    _matrix_axes(ax, len(rows), len(columns), row_label, column_label)
    ax.set_title(title)
    _key_to_colors(ax, mesh, matrix, annotate, colorbar)
    return ax.figure


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
        weights: ``(heads, query, key)``.
        rows, columns: labels of the queries and of the keys (the rows' unless given).
        titles: one per head; "head 1", "head 2", … unless given.
    """
    weights = as_array(weights)
    rows, columns = check_labels(weights, 3, rows, columns)
    num_heads, num_rows, num_columns = weights.shape
    titles = [f"head {h + 1}" for h in range(num_heads)] if titles is None else list(titles)
    if len(titles) != num_heads:
        raise ValueError(f"{num_heads} heads need {num_heads} titles, got {len(titles)}")

    # One axes for all: tick labels and layout are what makes small multiples slow. Units are cells.
    across = min(wrap, num_heads)
    down = math.ceil(num_heads / across)
    margin = max(map(_text_width, rows)) * 0.075 + 1.2
    cell = max(0.07, min(0.3, (WIDTH - margin) / across / num_columns - 0.12))
    step_x, step_y = num_columns + 0.16 / cell, num_rows + 0.32 / cell
    figure, (ax,) = _figure(across * step_x * cell + margin, down * step_y * cell + 0.9)
    norm, cmap = _scale(weights, vmin, vmax, cmap)
    for h, matrix in enumerate(weights):
        x, y = h % across * step_x, h // across * step_y
        mesh = _cells(ax, matrix, norm, cmap, x=x, y=y)
        ax.text(x + num_columns / 2, y - 0.05 / cell, titles[h], ha="center", va="bottom", fontsize=9)
    _token_ticks(ax.yaxis, rows * down, _tiled(num_rows, step_y, down), cell)
    _token_ticks(ax.xaxis, columns * across, _tiled(num_columns, step_x, across), cell)
    _matrix_axes(ax, (down - 1) * step_y + num_rows, (across - 1) * step_x + num_columns, "query", "key")
    ax.set_title(title, pad=22)
    _key_to_colors(ax, mesh, weights, annotate=False, colorbar=True)
    return figure


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
    """
    from matplotlib.collections import LineCollection

    weights = as_array(weights)
    weights = weights[None] if weights.ndim == 2 else weights
    rows, columns = check_labels(weights, 3, rows, columns)
    check_weights(weights)
    num_rows, num_columns = weights.shape[1:]
    if ax is None:
        longest = [max(map(_text_width, labels)) for labels in (rows, columns)]
        ax = _figure(2.6 + sum(longest) * 0.08, 0.26 * max(num_rows, num_columns) + 0.6)[1][0]
    for h, matrix in enumerate(weights):
        query, key = np.nonzero(matrix >= 0.01)  # thinner than that is not seen
        ends = np.stack([np.stack([0 * query, query], -1), np.stack([0 * key + 1, key], -1)], 1)  # (lines, 2, xy)
        strength = matrix[query, key]
        lines = LineCollection(
            ends, colors=COLORS[h % len(COLORS)], linewidths=5 * strength, alpha=0.25 + 0.6 * strength, capstyle="round"
        )
        ax.add_collection(lines)
    for labels, x, align in ((rows, -0.04, "right"), (columns, 1.04, "left")):
        for i, label in enumerate(labels):
            ax.text(x, i, label, ha=align, va="center", parse_math=False)
    ax.text(-0.04, -1, "query", ha="right", va="center", color="#555555", style="italic")
    ax.text(1.04, -1, "key", ha="left", va="center", color="#555555", style="italic")
    ax.set(xlim=(-0.02, 1.02), ylim=(max(num_rows, num_columns) - 0.4, -1.4), title=title)
    ax.axis("off")
    return ax.figure


@style()
def curves(
    series: Mapping[str, object],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    xscale: str = "linear",
    yscale: str = "linear",
    chance: float | None = None,
    bands: Mapping[str, object] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Lines over a common x axis, told apart by colour, marker and dash.

    Args:
        series: label to ``y``, or to a tuple ``(x, y)``.
        xscale, yscale: ``"linear"`` or ``"log"``.
        chance: what guessing reaches, as a dashed line.
        bands: label to a spread ``s`` (shaded from y − s to y + s) or to a tuple ``(low, high)``.
    """
    if not series:
        raise ValueError("curves needs at least one series, got none")
    bands = bands or {}
    if unknown := set(bands) - set(series):
        raise ValueError(f"bands for {sorted(unknown)}, but the series are {list(series)}")
    ax = ax or _figure(5.6, 3.3)[1][0]
    for i, (label, values) in enumerate(series.items()):
        x, y = values if isinstance(values, tuple) else (range(len(values)), values)
        x, y = as_array(x), as_array(y)
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"series {label!r} needs x and y of one length, got shapes {x.shape} and {y.shape}")
        look = {"color": COLORS[i % len(COLORS)], "linestyle": LINES[i % len(LINES)]}
        ax.plot(x, y, label=label, marker=MARKERS[i % len(MARKERS)], markevery=max(1, len(x) // 10), **look)
        if label in bands:
            band = bands[label]
            low, high = band if isinstance(band, tuple) else (y - as_array(band), y + as_array(band))
            ax.fill_between(x, as_array(low), as_array(high), color=look["color"], alpha=0.18, linewidth=0)
    if chance is not None:
        ax.axhline(chance, color="#555555", linestyle=(0, (4, 3)), linewidth=1, zorder=1)
        ax.annotate("chance", (1, chance), (-2, 3), ax.get_yaxis_transform(), "offset points", ha="right", va="bottom")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale=xscale, yscale=yscale)
    if len(series) > 1:
        ax.legend(handlelength=3.2)
    return ax.figure


@style()
def bars(
    values,
    labels: Sequence[str] | None = None,
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    horizontal: bool = False,
    annotate: str | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Bars, one group of them per label.

    Args:
        values: label to number; or numbers, with `labels` beside them; or series name to either of these, for groups.
        horizontal: bars that grow to the right: for long labels.
        annotate: a format such as ``".2f"``: write the number at the end of its bar.
    """
    groups = dict(values) if isinstance(values, Mapping) else {"": values}
    if isinstance(values, Mapping) and all(np.ndim(v) == 0 and not isinstance(v, Mapping) for v in values.values()):
        groups = {"": values}
    first = next(iter(groups.values()))
    labels = list(first) if labels is None and isinstance(first, Mapping) else labels
    if labels is None:
        raise ValueError("bars needs a label for each number: give a mapping, or labels=[...]")
    labels = [str(label) for label in labels]
    groups = {n: as_array(list(g.values()) if isinstance(g, Mapping) else g) for n, g in groups.items()}
    for name, numbers in groups.items():
        if numbers.shape != (len(labels),):
            raise ValueError(f"{len(labels)} labels, but {name or 'values'} has shape {numbers.shape}")
    thickness = 0.8 / len(groups)
    if ax is None:
        along = max(2.0, 0.5 + len(labels) * (0.3 if len(groups) == 1 else 0.16 * len(groups) + 0.1))
        width, height = (5.6, along) if horizontal else (min(WIDTH, max(3.5, along * 1.6)), 3.0)
        ax = _figure(width, height)[1][0]
    for i, (name, numbers) in enumerate(groups.items()):
        where = np.arange(len(labels)) + (i - (len(groups) - 1) / 2) * thickness
        draw = ax.barh if horizontal else ax.bar
        drawn = draw(where, numbers, thickness * 0.92, label=name, color=COLORS[i % len(COLORS)])
        if annotate:
            ax.bar_label(drawn, fmt=f"{{:{annotate}}}", padding=2, fontsize=8)
    axis = ax.yaxis if horizontal else ax.xaxis
    axis.set_ticks(range(len(labels)), labels, parse_math=False)
    axis.grid(False)
    axis.set_tick_params(length=0)
    if horizontal:
        ax.invert_yaxis()
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.margins(**({"x": 0.12} if horizontal else {"y": 0.12}))
    if len(groups) > 1:
        ax.legend()
    return ax.figure


@style()
def histogram(
    samples: Mapping[str, object],
    *,
    xlabel: str,
    ylabel: str = "share of samples",
    title: str = "",
    bins: int = 40,
    ax: "Axes | None" = None,
) -> "Figure":
    """Distributions on top of each other, with the same bins for all. `samples` maps a label to numbers of any shape."""
    samples = {label: as_array(values).ravel() for label, values in samples.items()}
    if not samples or not all(values.size for values in samples.values()):
        raise ValueError("histogram needs at least one sample under every label")
    ax = ax or _figure(5.6, 3.0)[1][0]
    edges = np.histogram_bin_edges(np.concatenate(list(samples.values())), bins)
    for i, (label, values) in enumerate(samples.items()):
        color = COLORS[i % len(COLORS)]
        share = np.histogram(values, edges)[0] / values.size
        ax.stairs(share, edges, fill=True, color=color, alpha=0.18)
        ax.stairs(share, edges, color=color, linestyle=LINES[i % len(LINES)], linewidth=1.6, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, ylim=(0, None))
    if len(samples) > 1:
        ax.legend(handlelength=3.2)
    return ax.figure


def check_weights(weights: np.ndarray) -> None:
    """Raise ValueError unless every entry is in [0, 1] and no row sums to more than 1 (a masked row may sum to less)."""
    if not np.isfinite(weights).all() or weights.min() < -1e-6 or weights.max() > 1 + 1e-6:
        raise ValueError(
            f"attention weights lie between 0 and 1, got {weights.min():.4g} to {weights.max():.4g}; "
            "these look like scores: apply a softmax over the keys first"
        )
    if (largest := weights.sum(-1).max()) > 1 + 1e-3:
        raise ValueError(
            f"a query's weights sum to at most 1 over the keys (the last axis), got a row that sums to {largest:.4g}; "
            "was the softmax taken over the queries?"
        )


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **options):
    """A figure with its axes in a flat list, closed in pyplot so that a notebook shows it only once."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, list(axes.flat)


def as_array(values) -> np.ndarray:
    """Tensor (any device, any precision, with or without gradient), array or sequence to a numpy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    array = np.asarray(values)
    return array if array.dtype == bool else array.astype(float)


def check_labels(array: np.ndarray, ndim: int, rows, columns) -> tuple[list[str], list[str]]:
    shape = "(query, key)" if ndim == 2 else "(heads, query, key)"
    if array.ndim != ndim or 0 in array.shape:
        raise ValueError(f"expected the shape {shape}, got {array.shape}; pick one batch item or head with [0]")
    columns = rows if columns is None else columns
    for name, labels, size in (("rows", rows, array.shape[-2]), ("columns", columns, array.shape[-1])):
        if len(labels) != size:
            raise ValueError(f"{len(labels)} labels for {size} {name}: {shape} is {array.shape}")
    # A line break inside a token would tear the axis apart.
    return [str(r).replace("\n", "↵") for r in rows], [str(c).replace("\n", "↵") for c in columns]


def _text_width(text: str) -> int:
    """Width in Latin letters: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _inches(ax: "Axes") -> tuple[float, float]:
    return tuple(ax.get_position().size * ax.figure.get_size_inches())


def _scale(values: np.ndarray, vmin, vmax, cmap) -> tuple["Normalize", "Colormap"]:
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize

    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if values.dtype == bool:
        default, ends = ListedColormap(["#ececec", "#2171b5"]), (0, 1)
    elif low < 0:
        default = LinearSegmentedColormap.from_list("signed", SIGNED_COLORS)
        ends = (-max(-low, high), max(-low, high))
    else:
        default = LinearSegmentedColormap.from_list("weights", WEIGHT_COLORS)
        ends = (0, max(1, high))
    norm = Normalize(ends[0] if vmin is None else vmin, ends[1] if vmax is None else vmax)
    return norm, default if cmap is None else mpl.colormaps.get_cmap(cmap)


def _cells(ax, matrix, norm, cmap, *, x=0.0, y=0.0, annotate=False, fontsize=9):
    """Draw one matrix with its upper left corner at (x, y), one unit per cell."""
    from matplotlib.patches import Rectangle

    num_rows, num_columns = matrix.shape
    edge = 1.0 if max(matrix.shape) <= 2 * ANNOTATE_UP_TO else 0
    mesh = ax.pcolormesh(
        x + np.arange(num_columns + 1),
        y + np.arange(num_rows + 1),
        np.ma.masked_invalid(matrix) if matrix.dtype != bool else matrix,
        norm=norm,
        cmap=cmap,
        edgecolors=PAPER if edge else "none",
        linewidth=edge,
    )
    integers = matrix.dtype == bool or np.array_equal(matrix[np.isfinite(matrix)] % 1, 0 * matrix[np.isfinite(matrix)])
    for (i, j), value in np.ndenumerate(matrix):
        if not np.isfinite(value):
            hatch = "xxx" if np.isnan(value) else "///"
            ax.add_patch(Rectangle((x + j, y + i), 1, 1, facecolor=GREY, hatch=hatch, edgecolor="#8c8c8c", linewidth=0))
        if annotate:
            background = cmap(norm(value)) if np.isfinite(value) else GREY
            ax.text(
                x + j + 0.5,
                y + i + 0.5,
                _number(value, integers),
                color=ink_on(background),
                ha="center",
                va="center",
                fontsize=fontsize,
            )
    return mesh


def _number(value: float, integer: bool) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:z.{0 if integer else 2}f}".replace("-", "−")


def ink_on(background) -> str:
    """Black or white, whichever stands out more on `background` (relative luminance as WCAG 2 defines it)."""
    from matplotlib.colors import to_rgb

    channels = np.array(to_rgb(background))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return INK if (luminance + 0.05) / (0.0103 + 0.05) > 1.05 / (luminance + 0.05) else PAPER


def _token_ticks(axis, labels: Sequence[str], positions, cell: float) -> None:
    """Label the middle of every cell; fewer labels where cells are too small, slanted ones where words are too long."""
    fontsize = min(9, max(6, cell * 50))
    every = math.ceil(fontsize / 72 / cell)
    axis.set_ticks(positions[::every], labels[::every], parse_math=False, fontsize=fontsize)
    axis.set_tick_params(length=0, pad=3)
    if axis.axis_name == "x" and max(map(_text_width, labels)) * fontsize * 0.6 / 72 > cell * every:
        axis.set_tick_params(rotation=90 if cell < 0.25 else 45)
        for tick in axis.get_ticklabels():
            tick.set(ha="right" if cell >= 0.25 else "center", rotation_mode="anchor" if cell >= 0.25 else "default")


def _tiled(size: int, step: float, tiles: int) -> np.ndarray:
    return np.concatenate([np.arange(size) + 0.5 + tile * step for tile in range(tiles)])


def _matrix_axes(ax, height: float, width: float, row_label: str, column_label: str) -> None:
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xlabel=column_label, ylabel=row_label)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _key_to_colors(ax, mesh, values, annotate: bool, colorbar: bool) -> None:
    """A colour bar for numbers, a legend for masks and for hatched cells that carry no text."""
    from matplotlib.patches import Patch

    entries = []
    if values.dtype == bool:
        entries = [Patch(color=mesh.cmap(1.0), label="may attend"), Patch(color=mesh.cmap(0.0), label="may not")]
    elif colorbar:
        bar = ax.figure.colorbar(mesh, ax=ax, fraction=0.05, pad=0.02, aspect=18)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=2, labelsize=8)
    if not annotate:
        if np.isinf(values).any():
            entries.append(Patch(facecolor=GREY, hatch="///", edgecolor="#8c8c8c", linewidth=0, label="−∞"))
        if np.isnan(values).any():
            entries.append(Patch(facecolor=GREY, hatch="xxx", edgecolor="#8c8c8c", linewidth=0, label="NaN"))
    if entries:
        ax.legend(handles=entries, loc="upper left", bbox_to_anchor=(1, 1))

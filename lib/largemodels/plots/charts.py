"""Numbers against numbers: curves, bars and histograms."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..language import say
from .base import COLORS, LINES, MARKERS, SOFT_INK, WIDTH, as_array, new_axes, one_line, style
from .words import describe, listed, number, of_series, one_by_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@style()
def curves(
    series: Mapping[str, object],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    xscale: str = "linear",
    yscale: str = "linear",
    chance: float | tuple[str, float] | None = None,
    bands: Mapping[str, object] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Lines, told apart by colour, marker and dash.

    Args:
        series: label to ``y``, or to a tuple ``(x, y)``.
        xscale, yscale: ``"linear"``, ``"log"`` or another of matplotlib's scales.
        chance: what guessing would reach: a dashed line. A pair (name, value) for any other line to compare with.
        bands: label to a spread ``s``, shaded from y − s to y + s, or to a tuple ``(low, high)``.
    """
    if not series:
        raise ValueError("curves needs at least one series, got none")
    bands = bands or {}
    if unknown := set(bands) - set(series):
        raise ValueError(f"there are bands for {sorted(unknown)}, but the series are {list(series)}")
    ax = ax or new_axes(5.6, 3.3)
    measured, told = set(), []
    for i, (label, values) in enumerate(series.items()):
        x, y = map(as_array, values if isinstance(values, tuple) else (range(len(values)), values))
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"series {label!r} needs as many x as y, got the shapes {x.shape} and {y.shape}")
        look = {"color": COLORS[i % 8], "linestyle": LINES[i % 8], "marker": MARKERS[i % 8]}
        measured.update(x)
        told.append(of_series(label, x, y))
        ax.plot(x, y, label=label, markevery=max(1, len(x) // 10), **look)
        if label in bands:
            band = bands[label]
            low, high = map(as_array, band) if isinstance(band, tuple) else (y - as_array(band), y + as_array(band))
            ax.fill_between(x, low, high, color=look["color"], alpha=0.18, linewidth=0)
    if chance is not None:
        _chance_line(ax, chance)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale=xscale, yscale=yscale)
    of = {"y": ylabel or say("the same"), "x": xlabel, "told": one_by_one(told)}
    one, several = say("a curve of {y} against {x}: {told}", **of), say("curves of {y} against {x}: {told}", **of)
    describe(ax, several if len(series) > 1 else one, _said_of(chance), title=title)
    if xscale == "log" and len(measured) <= 8:  # 4, 16, 64 says more than 10¹
        ax.set_xticks(sorted(measured), [f"{x:g}" for x in sorted(measured)])
        ax.xaxis.minorticks_off()
    if len(series) > 1:
        ax.legend(**({"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(series) > 3 else {}))
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
    chance: float | tuple[str, float] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Bars, or groups of them.

    Args:
        values: label to number; or numbers, with their `labels` given apart (labels may then repeat); or, for groups,
            series name to one of these.
        horizontal: bars that grow to the right: for long labels.
        annotate: a format such as ``".2f"`` for numbers at the ends of the bars.
        chance: what guessing would reach: a dashed line. A pair (name, value) for any other line to compare with.
    """
    grouped = isinstance(values, Mapping) and not all(_is_number(value) for value in values.values())
    groups = dict(values) if grouped else {"": values}
    if not groups or not all(map(len, groups.values())):
        raise ValueError("bars needs at least one number, got none")
    first = next(iter(groups.values()))
    if labels is None and not isinstance(first, Mapping):
        raise ValueError("every bar needs a label: give a mapping from label to number, or labels=[...]")
    labels = list(first) if labels is None else list(labels)
    for name, group in groups.items():
        if isinstance(group, Mapping) and set(group) != set(labels):
            raise ValueError(f"every group needs the labels {labels}, {name!r} has {list(group)}")
        groups[name] = as_array([group[label] for label in labels] if isinstance(group, Mapping) else group)
        if groups[name].shape != (len(labels),):
            raise ValueError(f"{len(labels)} labels for values of shape {groups[name].shape}")

    if ax is None:
        along = 0.9 + len(labels) * (0.14 + 0.16 * len(groups))
        upright = max(3.6, 1.6 * along, 0.5 * len(labels) * len(groups) + 1.2 if annotate else 0)  # room for numbers
        ax = new_axes(5.6, max(1.6, along)) if horizontal else new_axes(min(WIDTH, upright), 3.0)
    thickness = 0.8 / len(groups)
    for i, (name, numbers) in enumerate(groups.items()):
        where = np.arange(len(labels)) + (i - (len(groups) - 1) / 2) * thickness
        draw = ax.barh if horizontal else ax.bar
        drawn = draw(where, numbers, thickness * 0.92, label=name, color=COLORS[i % len(COLORS)])
        if annotate:
            ax.bar_label(drawn, fmt=f"{{:{annotate}}}", padding=2, fontsize=8)
    axis = ax.yaxis if horizontal else ax.xaxis
    axis.set_ticks(range(len(labels)), list(map(one_line, labels)), parse_math=False)
    axis.grid(False)
    axis.set_tick_params(length=0)
    ax.margins(**{"x" if horizontal else "y": 0.12})  # room for the numbers
    if horizontal:
        ax.invert_yaxis()
    if chance is not None:
        _chance_line(ax, chance, upright=horizontal)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    told = (
        f"{name} {listed(f'{label} {number(n)}' for label, n in zip(labels, numbers, strict=True))}".strip()
        for name, numbers in groups.items()
    )
    what = xlabel or ylabel or say("numbers")
    describe(ax, say("bars of {what}: {told}", what=what, told=one_by_one(told)), _said_of(chance), title=title)
    if grouped:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), handlelength=1.4)
    return ax.figure


@style()
def histogram(
    samples: Mapping[str, object],
    *,
    xlabel: str,
    ylabel: str | None = None,
    title: str = "",
    bins: int = 40,
    ax: "Axes | None" = None,
) -> "Figure":
    """Distributions over the same bins. `samples` maps each label to numbers, in any shape; unless `ylabel` is given, it
    says that shares of the samples are drawn."""
    samples = {label: as_array(values).ravel() for label, values in samples.items()}
    if not samples or not all(values.size and np.isfinite(values).all() for values in samples.values()):
        raise ValueError("histogram needs finite numbers under every label, and at least one")
    ax = ax or new_axes(5.6, 3.0)
    edges = np.histogram_bin_edges(np.concatenate(list(samples.values())), bins)
    for i, (label, values) in enumerate(samples.items()):
        share = np.histogram(values, edges)[0] / values.size
        color = COLORS[i % len(COLORS)]
        ax.stairs(share, edges, fill=True, color=color, alpha=0.18)
        ax.stairs(share, edges, color=color, linestyle=LINES[i % len(LINES)], linewidth=1.6, label=label)
    ax.set(xlabel=xlabel, ylabel=say("share of samples") if ylabel is None else ylabel, title=title, ylim=(0, None))
    told = (
        say(
            "{label} from {low} to {high}, half of them below {middle}",
            label=label,
            low=number(values.min()),
            high=number(values.max()),
            middle=number(np.median(values)),
        )
        for label, values in samples.items()
    )
    describe(ax, say("distribution of {what}: {told}", what=xlabel, told=one_by_one(told)), title=title)
    if len(samples) > 1:
        ax.legend()
    return ax.figure


def _named(chance: float | tuple[str, float]) -> tuple[str, float]:
    return chance if isinstance(chance, tuple) else (say("chance"), chance)


def _chance_line(ax: "Axes", chance: float | tuple[str, float], upright: bool = False) -> None:
    """The name stands outside the axes, where no curve and no bar can cross it."""
    line = {"color": SOFT_INK, "linestyle": (0, (4, 3)), "linewidth": 1, "zorder": 1}
    name, value = _named(chance)
    if upright:
        ax.axvline(value, **line)
        ax.text(value, 1.01, name, transform=ax.get_xaxis_transform(), ha="center", va="bottom", color=SOFT_INK)
    else:
        ax.axhline(value, **line)
        ax.text(1.01, value, name, transform=ax.get_yaxis_transform(), va="center", color=SOFT_INK)
    ax.autoscale_view()  # matplotlib does not when the line just fits: it would lie on the frame


def _said_of(chance: float | tuple[str, float] | None) -> str:
    if chance is None:
        return ""
    name, value = _named(chance)
    return say("a dashed line at {value} shows {name}", value=number(value), name=name)


def _is_number(value) -> bool:
    return not isinstance(value, Mapping) and as_array(value).ndim == 0

"""Models on a line of time, in stages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .base import COLORS, INK, SOFT_INK, WIDTH, row, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Model(NamedTuple):
    """A point: its name, its year (2018.5 is the middle of 2018), its parameters; None if they were not published."""

    name: str
    year: float
    parameters: float | None


class Era(NamedTuple):
    """A stretch of time with a title and what was new in it, one short line each."""

    title: str
    begin: float
    end: float
    lines: Sequence[str]


@style()
def timeline(models: Sequence[Model], stages: Sequence[Era], *, title: str = "") -> "Figure":
    """Sizes against time on a logarithmic scale; a model of unknown size stands above the others, as a hollow point."""
    sizes = [model.parameters for model in models if model.parameters is not None]
    if not sizes or not stages:
        raise ValueError(
            f"a timeline needs at least one model with a size and one stage, got {len(sizes)} and {len(stages)}"
        )
    for stage in stages:
        if not stage.begin < stage.end:
            raise ValueError(f"stage {stage.title!r} ends at {stage.end}, before it begins at {stage.begin}")
    figure, (ax,) = row(1, width=WIDTH * 1.15, height=4.0, title=title)
    lowest, highest = min(sizes) / 3, max(sizes) * 60
    unknown = max(sizes) * 8
    for i, stage in enumerate(stages):
        ax.axvspan(stage.begin, stage.end, color=COLORS[i % len(COLORS)], alpha=0.10, linewidth=0)
        ax.text(
            (stage.begin + stage.end) / 2, 0.98, stage.title, transform=ax.get_xaxis_transform(), ha="center", va="top"
        )
        ax.text(
            (stage.begin + stage.end) / 2,
            0.03,
            "\n".join(stage.lines),
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
            color=SOFT_INK,
        )
    points = [unknown if model.parameters is None else model.parameters for model in models]
    for model, y in zip(models, points, strict=True):
        known = model.parameters is not None
        # a neighbour shortly after, at about the same height, needs the room to the right
        crowded = any(
            0 < other.year - model.year < 1 and 0.1 < z / y < 10 for other, z in zip(models, points, strict=True)
        )
        ax.plot(model.year, y, "o", color=INK, markerfacecolor=INK if known else "none", markersize=6)
        label = f"{model.name}\n{_count(model.parameters)}" if known else f"{model.name}\nnot published"
        side = {"xytext": (-7, 0), "ha": "right"} if crowded else {"xytext": (7, 0), "ha": "left"}
        ax.annotate(label, (model.year, y), textcoords="offset points", va="center", fontsize=8.5, **side)
    begin, end = min(s.begin for s in stages), max(s.end for s in stages)
    # below the points stands what the stages brought: room for it, on a logarithmic scale
    deepest = max(len(stage.lines) for stage in stages)
    ax.set(yscale="log", xlim=(begin, end), ylim=(lowest / 4**deepest, highest), xlabel="year", ylabel="parameters")
    ticks = [10**n for n in range(6, 15) if lowest < 10**n < highest]
    ax.set_yticks(ticks, [_count(tick) for tick in ticks])
    ax.yaxis.minorticks_off()
    years = range(int(begin) + (begin > int(begin)), int(end) + 1)
    ax.set_xticks(list(years), [str(year) for year in years])
    return figure


def _count(parameters: float) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if parameters >= size:
            return f"{parameters / size:.3g} {unit}"
    return f"{parameters:,.0f}"

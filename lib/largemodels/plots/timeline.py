"""Models on a line of time, in stages."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..language import say
from .base import COLORS, INK, SOFT_INK, WIDTH, row, style
from .words import describe, listed, one_by_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    """Sizes against time on a logarithmic scale; models of unknown size are rings in a strip above the axis, with no height."""
    sizes = [model.parameters for model in models if model.parameters is not None]
    if not sizes or not stages:
        raise ValueError(
            f"a timeline needs at least one model with a size and one stage, got {len(sizes)} and {len(stages)}"
        )
    for stage in stages:
        if not stage.begin < stage.end:
            raise ValueError(f"stage {stage.title!r} ends at {stage.end}, before it begins at {stage.begin}")
    figure, (ax,) = row(1, width=WIDTH * 1.15, height=4.0, title=title)
    lowest, highest = min(sizes) / 3, max(sizes) * 30
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
    known = [model for model in models if model.parameters is not None]
    for model in known:
        near = (other for other in known if 0.1 < other.parameters / model.parameters < 10)
        ax.plot(model.year, model.parameters, "o", color=INK, markersize=6)
        _label(ax, f"{model.name}\n{_count(model.parameters)}", (model.year, model.parameters), near, model, "data")
    unknown = [model for model in models if model.parameters is None]
    if unknown:
        _strip(ax, unknown)
    begin, end = min(s.begin for s in stages), max(s.end for s in stages)
    # below the points stands what the stages brought: room for it, on a logarithmic scale
    deepest = max(len(stage.lines) for stage in stages)
    ax.set(yscale="log", xlim=(begin, end), ylim=(lowest / 4**deepest, highest))
    ax.set(xlabel=say("year"), ylabel=say("parameters"))
    ticks = [10**n for n in range(6, 15) if lowest < 10**n < highest]
    ax.set_yticks(ticks, [_count(tick) for tick in ticks])
    ax.yaxis.minorticks_off()
    years = range(int(begin) + (begin > int(begin)), int(end) + 1)
    ax.set_xticks(list(years), [str(year) for year in years])
    unpublished = say("of unknown size")
    told = one_by_one(
        f"{model.name} {int(model.year)} {unpublished if model.parameters is None else _count(model.parameters)}"
        for model in models
    )
    eras = one_by_one(say("{stage} ({new})", stage=stage.title, new=listed(stage.lines)) for stage in stages)
    describe(
        ax,
        say("parameters of models over the years: {models}", models=told),
        say("in the stages {stages}", stages=eras),
    )
    return figure


def _strip(ax: "Axes", unknown: list[Model]) -> None:
    """Rings in a strip of its own above the axis, where a height could mean nothing."""
    from matplotlib.patches import Rectangle

    place = ax.get_xaxis_transform()
    frame = {"facecolor": "none", "edgecolor": SOFT_INK, "linewidth": 0.8, "linestyle": "--", "clip_on": False}
    ax.add_patch(Rectangle((0, 1.03), 1, 0.11, transform=ax.transAxes, **frame))
    ax.text(-0.01, 1.085, say("size not\npublished"), transform=ax.transAxes, ha="right", va="center", fontsize=8.5)
    for model in unknown:
        ax.plot(model.year, 1.085, "o", color=INK, markerfacecolor="none", transform=place, clip_on=False, markersize=6)
        _label(ax, model.name, (model.year, 1.085), unknown, model, place)


def _label(ax: "Axes", text: str, point: tuple[float, float], near: Iterable[Model], model: Model, place) -> None:
    """Beside its point; to the left if a neighbour, shortly after, needs the room to the right."""
    crowded = any(0 < other.year - model.year < 1 for other in near)
    side = {"xytext": (-7, 0), "ha": "right"} if crowded else {"xytext": (7, 0), "ha": "left"}
    ax.annotate(text, point, xycoords=place, textcoords="offset points", va="center", fontsize=8.5, **side)


def _count(parameters: float) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if parameters >= size:
            return f"{parameters / size:.3g} {unit}"
    return f"{parameters:,.0f}"

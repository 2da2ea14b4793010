"""The families of models side by side: what each position sees, what the model is asked, and how large it became."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..language import say
from .base import COLORS, MARKERS, PAPER, SOFT_INK, as_array, style
from .matrices import MASK_COLORS, check_labels
from .words import describe, number, of_matrix, one_by_one

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Family(NamedTuple):
    """A column of the picture.

    Attributes:
        title: its name.
        mask: boolean ``(query, key)``, True = may attend.
        rows, columns: labels of queries and keys.
        asked: what the model reads and what it is to predict, in one to three lines.
        models: name, year (2018.5 is the middle of 2018) and number of parameters of each; an empty name is a point
            without a label.
    """

    title: str
    mask: object
    rows: Sequence[str]
    columns: Sequence[str]
    asked: str
    models: Sequence[tuple[str, float, float]]


@style()
def families(columns: Sequence[Family]) -> "Figure":
    """One column for each family: its mask above, below it its models by year and size, all on one scale."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap

    from .picture import Picture

    if not columns or not all(family.models for family in columns):
        raise ValueError("there must be at least one family, and each needs at least one model")
    figure, (above, below) = plt.subplots(
        2,
        len(columns),
        figsize=(3.1 * len(columns), 6.6),
        layout="constrained",
        squeeze=False,
        height_ratios=(1, 1.3),
        FigureClass=Picture,
    )
    plt.close(figure)
    points = [(year, size) for family in columns for _, year, size in family.models]
    first, last = min(year for year, _ in points), max(year for year, _ in points)
    smallest, largest = min(size for _, size in points), max(size for _, size in points)
    for i, (family, top, bottom) in enumerate(zip(columns, above, below, strict=True)):
        mask = as_array(family.mask)
        rows, keys = check_labels(mask, 2, family.rows, family.columns)
        top.pcolormesh(mask, cmap=ListedColormap(MASK_COLORS), vmin=0, vmax=1, edgecolors=PAPER, linewidth=1.5)
        top.set(xlim=(0, len(keys)), ylim=(len(rows), 0), aspect="equal", title=family.title)
        top.set_xticks(np.arange(len(keys)) + 0.5, keys, fontsize=8, rotation=45, ha="right", rotation_mode="anchor")
        top.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=8)
        top.tick_params(length=0)
        top.grid(False)
        top.spines[:].set_visible(False)
        bottom.set_title(family.asked, fontsize=8.5, color=SOFT_INK)
        bottom.scatter(
            [year for _, year, _ in family.models],
            [size for _, _, size in family.models],
            color=COLORS[i % len(COLORS)],
            marker=MARKERS[i % len(MARKERS)],
            zorder=3,
        )
        for name, year, size in family.models:
            left = any(0.3 < other - year < 1.3 and 0.6 < near / size < 1.6 for _, other, near in family.models)
            offset = {"xytext": (-6, 0), "ha": "right"} if left else {"xytext": (6, 0), "ha": "left"}
            bottom.annotate(name, (year, size), textcoords="offset points", va="center", fontsize=7.5, **offset)
        bottom.set(yscale="log", xlabel=say("year"), xlim=(first - 0.4, last + 1.5), ylim=(smallest / 2, largest * 2))
        bottom.set_xticks(range(int(first), int(last) + 2))
        describe(top, say("mask: {said}", said=of_matrix(mask, rows, keys)), title=family.title)
        sizes = one_by_one(f"{name or say('a model')} {int(year)} {number(size)}" for name, year, size in family.models)
        asked = say("asked: {what}", what=family.asked)
        describe(bottom, asked, say("parameters: {sizes}", sizes=sizes), title=family.title)
    for ax in below[1:]:
        ax.tick_params(labelleft=False)
    below[0].set_ylabel(say("parameters"))
    return figure

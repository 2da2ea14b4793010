"""Trees: what a beam search looked at, what it kept, and what it found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..language import say
from .base import GREY, INK, PAPER, SOFT_INK, new_axes, one_line, style, text_inches
from .words import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from largemodels.generation import BeamSearch


@style()
def beam_tree(
    search: "BeamSearch",
    tokens: Sequence[str],
    *,
    eos: int | None = None,
    row: int = 0,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """Step by step from left to right the candidates, best on top: kept (blue), finished (yellow), dropped (grey).

    Under each token stands the log-probability of the whole text up to it. The thick way leads to the best text.

    Args:
        search: what `generation.beam_search` returned.
        tokens: the vocabulary, id to token.
        eos: the token that ends a text.
        row: which sentence of the batch.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    beams = search.tokens.shape[1]
    best = search.tokens[row, 0].tolist()
    if eos in best:
        best = best[: best.index(eos) + 1]
    names = [one_line(token) for token in tokens]
    used = {names[int(i)] for step in search.steps for i in step.token[row]}
    gap = max(0.72, text_inches(sorted(used)) + 0.3)  # inches between two steps
    ax = ax or new_axes(max(4.8, gap * (len(search.steps) + 0.8) + 0.2), 0.42 * 2 * beams + 1.0)

    kept = [((0, 0.0), [])]  # place and tokens of the beams
    _node(ax, (0, 0.0), say("begin"), "", PAPER, SOFT_INK)
    for number, step in enumerate(search.steps, 1):
        going_on = {int(i) for i in step.kept[row]}
        candidates = {}
        scores = step.log_probability[row].tolist()
        for rank, (parent, token, score) in enumerate(
            zip(step.parent[row].tolist(), step.token[row].tolist(), scores, strict=True)
        ):
            if score == float("-inf"):
                continue
            (begin, text), place = kept[parent], (number, float(rank))
            text = [*text, token]
            candidates[rank] = (place, text)
            ends = (token == eos and rank < beams) or (number == len(search.steps) and rank < beams)
            on_best = text == best[:number] and number <= len(best)
            look = {"color": INK, "linewidth": 2.4} if on_best else {"color": "#b0b0b0", "linewidth": 0.8}
            ax.plot(*zip(begin, place, strict=True), zorder=1, **look)
            goes_on = rank in going_on and number < len(search.steps)
            fill = "#ffe08a" if ends else "#bcd9f0" if goes_on else PAPER
            _node(ax, place, names[token], f"{score:.2f}".replace("-", "−"), fill, INK if ends or goes_on else SOFT_INK)
        kept = [candidates.get(int(i), (None, None)) for i in step.kept[row]]
    ax.set(
        xlim=(-0.4, len(search.steps) + 0.5), ylim=(2 * beams - 0.4, -0.6), title=title, xlabel=say("step"), yticks=[]
    )
    ax.set_xticks(range(len(search.steps) + 1))
    text, steps = " ".join(names[i] for i in best), len(search.steps)
    said = say(
        "tree of a beam search with {beams} beams and {steps} steps, whose best text is {text}",
        beams=beams,
        steps=steps,
        text=text,
    )
    describe(ax, said, title=title)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    ax.legend(
        handles=[
            Patch(facecolor="#bcd9f0", edgecolor=GREY, label=say("kept")),
            Patch(facecolor="#ffe08a", edgecolor=GREY, label=say("finished")),
            Patch(facecolor=PAPER, edgecolor=GREY, label=say("dropped")),
            Line2D([], [], color=INK, linewidth=2.4, label=say("best text")),
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=4,
        handlelength=1.4,
    )
    return ax.figure


def _node(ax: "Axes", place: tuple[int, float], label: str, score: str, fill: str, ink: str) -> None:
    box = {"boxstyle": "round,pad=0.2", "facecolor": fill, "edgecolor": GREY, "linewidth": 0.8}
    text = f"{label}\n{score}" if score else label
    ax.text(
        *place,
        text,
        ha="center",
        va="center",
        fontsize=7.5,
        linespacing=1.05,
        color=ink,
        bbox=box,
        zorder=2,
        parse_math=False,
    )

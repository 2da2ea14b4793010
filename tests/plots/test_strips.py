"""Strips of tokens: which box stands where, in which colour, and what the legend says."""

import os
from itertools import chain, pairwise

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from matplotlib.colors import to_hex

from largemodels import plots

ROWS = {
    "text": ["A", "long", "B", "C", "."],
    "input": ["A", ("[MASK]", "hidden"), "C", "."],
    "target": [None, ("2", "wanted")],
}


def boxes(figure):
    """text → (left, bottom, right, colour), for each box."""
    ax = figure.axes[0]
    found = []
    for patch in ax.patches:
        box = patch.get_bbox()
        inside = [t.get_text() for t in ax.texts if box.contains(*t.get_position())]
        found.append((*inside, box.x0, box.y0, box.x1, to_hex(patch.get_facecolor())))
    return found


def test_cells_with_one_number_stand_below_each_other():
    cells = boxes(plots.strips(ROWS))
    by_text = {cell[0]: cell for cell in cells}
    assert len(cells) == 5 + 4 + 1  # nothing is drawn for None
    assert by_text["long"][1] == by_text["[MASK]"][1] == by_text["2"][1]
    assert by_text["long"][3] == by_text["[MASK]"][3]
    assert by_text["long"][2] > by_text["[MASK]"][2] > by_text["2"][2]
    rows = sorted({cell[2] for cell in cells}, reverse=True)
    for height in rows:
        line = sorted(cell[1:4:2] for cell in cells if cell[2] == height)
        assert all(right < left for (_, right), (left, _) in pairwise(line))  # no overlap


def test_rows_that_are_not_aligned_take_the_room_they_need():
    cells = boxes(plots.strips(ROWS, aligned=False))
    starts = [cell[1] for cell in cells if cell[0] == "C"]
    assert len({round(start, 3) for start in starts}) > 1
    short = plots.strips({"a": ["x"] * 12, "b": ["longer", "words"]}, aligned=False)
    assert max(cell[3] for cell in boxes(short) if cell[0] == "x") < 12 * 0.4


def test_kinds_have_colours_and_a_legend():
    figure = plots.strips(ROWS, kinds=("wanted", "unused", "hidden"))
    colors = {cell[0]: cell[-1] for cell in boxes(figure)}
    assert colors["2"] == plots.COLORS[0]
    assert colors["[MASK]"] == plots.COLORS[2]
    assert colors["A"] not in plots.COLORS
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["wanted", "hidden"]
    assert plots.strips({"": ["A"]}).axes[0].get_legend() is None


@pytest.mark.parametrize("aligned", [True, False])
def test_long_rows_go_on_below_all_together(aligned):
    words = [f"word{i}" for i in range(40)]
    figure = plots.strips({"text": words, "input": words[::2]}, aligned=aligned, width=6.0)
    cells = boxes(figure)
    assert len(cells) == 60
    assert max(cell[3] for cell in cells) <= 6.0
    lines = {}  # height → tokens from left to right
    for cell in sorted(cells, key=lambda cell: cell[1]):
        lines.setdefault(round(cell[2], 3), []).append(cell[0])
    ordered = [lines[height] for height in sorted(lines, reverse=True)]
    assert len(ordered) > 4
    assert list(chain.from_iterable(ordered[::2]))[:12] == words[:12]  # text, input, text, input …
    assert ordered[1] == words[::2][: len(ordered[1])]
    labels = [text.get_text() for text in figure.axes[0].texts if text.get_ha() == "right"]
    assert labels.count("text") > 2


def test_rows_may_have_one_label_and_signs_are_no_formulas():
    figure = plots.strips([("seed", ["$a$", "b\nc"]), ("seed", ["d"])])
    assert {cell[0] for cell in boxes(figure)} == {"$a$", "b↵c", "d"}


def test_bad_input():
    for nothing in ({}, {"a": []}, []):
        with pytest.raises(ValueError, match="at least one token"):
            plots.strips(nothing)
    with pytest.raises(ValueError, match="9 kinds of token, but only 8 colours: k0, k1"):
        plots.strips({"a": [("x", f"k{i}") for i in range(9)]})

"""Every picture says what it shows: the alternative text, and that a notebook keeps it beside the image."""

import os
import re
from pathlib import Path

import nbformat
import pytest
import torch

from largemodels import plots
from largemodels.classroom import release
from largemodels.generation import BeamSearch, beam_search
from largemodels.gpt import GPT, GPTConfig

WORDS = ["Dogs", "like", "balls"]
WEIGHTS = torch.tensor([[0.90, 0.03, 0.07], [0.02, 0.95, 0.03], [0.02, 0.01, 0.97]])


def a_search() -> BeamSearch:
    torch.manual_seed(0)
    model = GPT(GPTConfig(5, max_length=8, d_model=8, num_layers=1, num_heads=2)).eval()
    return beam_search(model, torch.tensor([[0]]), max_new_tokens=3, beams=2)


PICTURES = {
    "curves": lambda: plots.curves(
        {"GRU": ([1, 2, 3], [1.0, 0.5, 0.25])}, xlabel="distance", ylabel="accuracy", chance=0.125
    ),
    "bars": lambda: plots.bars({"dot": 0.25, "bilinear": 0.75}, ylabel="accuracy", title="a game"),
    "groups of bars": lambda: plots.bars({"dot": {"one game": 0.25}, "additive": {"one game": 1}}, ylabel="accuracy"),
    "histogram": lambda: plots.histogram({"plain": [1.0, 2, 3, 9]}, xlabel="score"),
    "heatmap": lambda: plots.heatmap(WEIGHTS, WORDS, title="the slide"),
    "heatmaps": lambda: plots.heatmaps({"before": WEIGHTS, "after": torch.eye(3)}, WORDS, title="both"),
    "a mask": lambda: plots.heatmap(torch.ones(3, 3, dtype=torch.bool).tril(), WORDS),
    "a large matrix": lambda: plots.heatmap(torch.eye(20), [str(n) for n in range(20)]),
    "no numbers": lambda: plots.heatmap(torch.full((2, 2), float("nan")), ["a", "b"]),
    "heads": lambda: plots.heads(torch.stack([WEIGHTS, WEIGHTS.roll(1, dims=1)]), WORDS, title="two heads"),
    "attention_lines": lambda: plots.attention_lines(WEIGHTS, WORDS),
    "strips": lambda: plots.strips({"source": ["A", ("[MASK]", "hidden"), "C"], "target": ["A", "B", "C"]}),
    "timeline": lambda: plots.timeline(
        [plots.Model("GPT", 2018.5, 1.2e8), plots.Model("GPT-4", 2023.2, None)],
        [plots.Era("first", 2018, 2024, ["pre-training"])],
    ),
    "families": lambda: plots.families(
        [plots.Family("GPT", torch.ones(2, 2, dtype=torch.bool).tril(), "ab", "ab", "what next?", [("GPT", 2018, 1e8)])]
    ),
    "architecture": lambda: plots.architecture(GPT(GPTConfig(5, 8, 8, 3, 2)), title="a small GPT"),
    "beam_tree": lambda: plots.beam_tree(a_search(), list("abcde")),
}
SAID = {  # what a listener must hear, read off the numbers above by hand
    "curves": ["accuracy against distance", "GRU goes from 1 at 1 to 0.25 at 3", "0.125 shows chance"],
    "bars": ["a game", "accuracy", "dot 0.25, bilinear 0.75"],
    "groups of bars": ["dot one game 0.25; additive one game 1"],
    "histogram": ["score", "plain from 1 to 9, half of them below 2.5"],
    "heatmap": ["the slide", "query by key", "Dogs 0.9 at Dogs; like 0.95 at like; balls 0.97 at balls"],
    "heatmaps": ["both. before: heat map, query by key", "0.95 at like", "after: heat map", "balls 1 at balls"],
    "a mask": ["Dogs may attend to Dogs; like may attend to Dogs like; balls may attend to Dogs like balls"],
    "a large matrix": ["20 rows", "from 0 to 1", "20 of 20 rows largest on the diagonal"],
    "no numbers": ["no cell holds a number"],
    "heads": ["two heads", "head 1, 3 of 3 rows largest on the diagonal", "head 2, 2 of 3 rows largest 1 after"],
    "attention_lines": ["Lines from queries to keys", "head 1, 3 of 3 rows largest on the diagonal"],
    "strips": ["source: A [MASK] (hidden) C", "target: A B C"],
    "timeline": ["GPT 2018 120 M", "GPT-4 2023 of unknown size", "first (pre-training)"],
    "families": ["b may attend to a b", "what next?", "100,000,000"],
    "architecture": ["a small GPT", "token embedding 5 × 8", "then 3 blocks of", "masked self-attention 2 heads of 4"],
    "beam_tree": ["2 beams and 3 steps", "best text is"],
}


@pytest.mark.parametrize("name", PICTURES)
def test_it_says_what_it_shows(name):
    alt = PICTURES[name]().alt
    assert len(alt.split()) >= 8
    assert alt.endswith(".")
    assert "\n" not in alt
    for words in SAID[name]:
        assert words in alt, alt


def test_every_function_that_draws_is_tried_here():
    helpers = {"row", "style", "as_array", "check_labels", "check_weights", "damage_rows", "outline"}
    assert {name for name in plots.__all__ if name.islower()} - helpers <= {*PICTURES}


def test_several_in_a_row_are_told_one_after_the_other_and_a_new_drawing_replaces_the_old():
    figure, axes = plots.row(2, title="both")
    plots.bars({"a": 1.0}, ylabel="left", ax=axes[0])
    plots.heatmap(WEIGHTS, WORDS, ax=axes[1])  # with a colour bar, which says nothing of its own
    first = figure.alt
    assert first.startswith("both. Bars of left: a 1. Heat map")
    plots.bars({"a": 2.0}, ylabel="left", ax=axes[0])
    assert figure.alt == first.replace("a 1.", "a 2.")


def test_without_a_pattern_the_largest_entries_are_told():
    """Not the first row, which sees one key only, nor those that rest at the first key, nor what has no label."""
    weights = torch.tensor(
        [
            [1.0, 0, 0, 0, 0],
            [0.9, 0.1, 0, 0, 0],
            [0.2, 0.7, 0.1, 0, 0],
            [0.1, 0.6, 0.1, 0.2, 0],
            [0.1, 0.2, 0.5, 0.1, 0.1],
        ]
    )
    told = "such as 0.7 from c to b, 0.6 from d to b, 0.5 from e to c."
    assert plots.attention_lines(weights, list("abcde")).alt.endswith(told)
    assert plots.attention_lines(weights, ["a", "b", "", "d", "e"]).alt.endswith("such as 0.6 from d to b.")
    assert plots.attention_lines(weights, [""] * 5).alt.endswith("the largest entries of the rows lie here and there.")


def test_what_was_drawn_by_hand_is_told_by_its_labels():
    figure, (ax,) = plots.row(1)
    ax.plot([1, 2], label="measured")
    ax.set(title="by hand", xlabel="steps", ylabel="loss")
    assert figure.alt == "by hand: loss against steps: showing measured."


def test_a_very_long_text_is_cut_at_a_word():
    alt = plots.bars({f"word {i}": float(i) for i in range(500)}, ylabel="numbers", horizontal=True).alt
    assert len(alt) < 1600
    assert alt.endswith(" ….")


@pytest.mark.parametrize("name", PICTURES)
def test_it_stands_on_paper_of_its_own_so_that_it_reads_on_a_dark_page(name):
    assert PICTURES[name]().get_facecolor() == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("room", ["explorers", "classroom"])
def test_no_html_writes_text_in_a_colour_that_only_one_theme_can_show(room):
    """Text has the theme's own colour, one of its variables, or a ground that is given with it."""
    for file in (Path(plots.__file__).parents[1] / room).glob("*.py"):
        for style in re.findall(r"style=[\"']([^\"']*)", file.read_text(encoding="utf-8")):
            fixed = re.search(r"(?<![-\w])color:(?!\s*(var\(|inherit|\{))", style)
            assert not fixed or "background" in style, f"{file.name}: {style}"


@pytest.mark.slow
@pytest.mark.parametrize("backend", [None, "agg"])
def test_a_notebook_keeps_it_beside_the_image(tmp_path, monkeypatch, backend):
    """As the last line of a cell, by `display`, and when a picture that is shown is drawn anew; also where MPLBACKEND
    in the environment keeps matplotlib from adding images to notebooks."""
    if backend:
        monkeypatch.setattr(release, "kernel_environment", lambda *_: {**os.environ, "MPLBACKEND": backend})
    cells = [
        "from largemodels import plots\nplots.bars({'one': 1.0, 'two': 2.0}, ylabel='numbers in a first picture')",
        "display(plots.bars({'three': 3.0}, ylabel='numbers in a second picture, shown by hand'))",
        "shown = display(plots.bars({'four': 4.0}, ylabel='numbers that change'), display_id=True)\n"
        "shown.update(plots.bars({'five': 5.0}, ylabel='numbers that have been changed'))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    release.execute(notebook, tmp_path / "pictures.ipynb")
    said = [output.metadata["image/png"]["alt"] for cell in notebook.cells for output in cell.outputs]
    assert said[0] == "Bars of numbers in a first picture: one 1, two 2."
    assert said[1] == "Bars of numbers in a second picture, shown by hand: three 3."
    assert said[2] == "Bars of numbers that have been changed: five 5."
    assert all("image/png" in output.data for cell in notebook.cells for output in cell.outputs)

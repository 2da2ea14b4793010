"""The picture of a beam search shows each candidate once, at its place and in its colour."""

import pytest
import torch
from matplotlib.colors import to_hex

from largemodels import plots
from largemodels.generation import BeamSearch, BeamStep

TOKENS = ["<eos>", "狗", "猫", "球"]


def step(parent, token, score, kept):
    return BeamStep(*(torch.tensor([x]) for x in (parent, token, score, kept)))


@pytest.fixture
def search():
    """Two beams: 狗 and 猫, then 狗 球 and the end of 猫, then the end of 狗 球."""
    steps = [
        step([0, 0, 0, 0], [1, 2, 3, 0], [-0.5, -1.0, -3.0, -4.0], [0, 1]),
        step([1, 0, 0, 1], [0, 3, 1, 2], [-1.25, -1.5, -2.5, -3.5], [1, 2]),
        step([0, 1, 0, 1], [0, 0, 2, 3], [-1.75, -2.75, -5.0, -6.0], [2, 3]),
    ]
    return BeamSearch(torch.tensor([[[1, 3, 0], [2, 0, 0]]]), torch.tensor([[-0.58, -0.62]]), steps)


def boxes(ax):
    """What stands where: (step, rank) to (label, score, colour)."""
    return {
        text.get_position(): (*text.get_text().split("\n"), to_hex(text.get_bbox_patch().get_facecolor()))
        for text in ax.texts
    }


def test_every_candidate_is_drawn_once_with_its_score_and_state(search):
    ax = plots.beam_tree(search, TOKENS, eos=0).axes[0]
    nodes = boxes(ax)
    assert len(nodes) == 1 + 3 * 4
    kept, finished, dropped = nodes[1, 0][-1], nodes[2, 0][-1], nodes[1, 2][-1]
    assert len({kept, finished, dropped}) == 3
    assert nodes[1, 1][:2] == ("猫", "−1.00")
    assert nodes[2, 1] == ("球", "−1.50", kept)
    assert nodes[1, 3][-1] == dropped  # an end that was not among the best
    assert nodes[3, 0][-1] == finished


def test_the_thick_way_is_the_best_text_and_lines_lead_from_parent_to_child(search):
    ax = plots.beam_tree(search, TOKENS, eos=0).axes[0]
    lines = {(*map(tuple, line.get_xydata().tolist()),): line.get_linewidth() for line in ax.lines}
    assert ((1.0, 1.0), (2.0, 0.0)) in lines  # the end of 猫
    assert ((2.0, 2.0), (3.0, 1.0)) in lines  # second beam of step 2 is its third candidate
    thick = sorted(way for way, width in lines.items() if width > 2)
    assert thick == [((0.0, 0.0), (1.0, 0.0)), ((1.0, 0.0), (2.0, 1.0)), ((2.0, 1.0), (3.0, 0.0))]


def test_it_draws_into_given_axes_and_without_eos(search):
    figure, (ax,) = plots.row(1)
    assert plots.beam_tree(search, TOKENS, ax=ax, title="a tree") is figure
    assert ax.get_title() == "a tree"

"""The picture of all families: every model is a point at its year and size, every mask is drawn."""

import numpy as np
import pytest
import torch

from largemodels import plots
from largemodels.masks import causal_mask


def columns():
    everything = torch.ones(3, 3, dtype=torch.bool)
    words = ["Dogs", "like", "球"]
    return [
        plots.Family("encoder 编码器", everything, words, words, "asked", [("A", 2018.5, 1e8), ("", 2019.0, 3e8)]),
        plots.Family("decoder 解码器", causal_mask(3), words, words, "asked", [("B", 2020.4, 1.7e11)]),
    ]


def test_points_masks_and_labels():
    figure = plots.families(columns())
    above, below = figure.axes[:2], figure.axes[2:]
    assert [ax.get_title() for ax in above] == ["encoder 编码器", "decoder 解码器"]
    masks = [ax.collections[0].get_array().reshape(3, 3) for ax in above]
    assert np.array_equal(masks[1], np.tril(np.ones((3, 3))))
    assert masks[0].all()
    assert below[0].collections[0].get_offsets().tolist() == [[2018.5, 1e8], [2019.0, 3e8]]
    assert [text.get_text() for text in below[0].texts] == ["A", ""]
    assert below[0].get_ylim() == below[1].get_ylim()
    assert below[0].get_xlim() == below[1].get_xlim()


def test_a_label_makes_room_for_a_neighbour_on_its_right():
    family = columns()[0]._replace(models=[("A", 2018.0, 1e8), ("B", 2018.8, 1.2e8)])
    labels = plots.families([family]).axes[1].texts
    assert [label.get_ha() for label in labels] == ["right", "left"]


def test_the_year_in_words_is_the_year_of_the_date():
    family = columns()[0]._replace(models=[("A", 2018.8, 1e8), ("B", 2019.0, 3e8), ("", 2019.6, 5e8)])
    said = plots.families([family]).alt
    assert "A 2018 100,000,000; B 2019 300,000,000; a model 2019 500,000,000" in said


@pytest.mark.parametrize("wrong", [[], [columns()[0]._replace(models=[])]])
def test_an_empty_picture_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one"):
        plots.families(wrong)


def test_a_mask_needs_its_labels():
    with pytest.raises(ValueError, match="2 labels for 3 rows"):
        plots.families([columns()[0]._replace(rows=["a", "b"])])

"""The encoding explorer shows what the library computes."""

import base64
import io
import re

import matplotlib.image
import pytest
import torch

from largemodels.explorers import encoding_explorer
from largemodels.positions import sinusoidal_encoding


def test_sliders_change_picture_curve_and_numbers():
    explorer = encoding_explorer(50)
    seen = {explorer.view.value}
    for clocks, base in ((4, 1e4), (4, 100.0), (32, 100.0)):
        explorer.clocks.value, explorer.base.value = clocks, base
        assert torch.equal(explorer.encoding, sinusoidal_encoding(50, 2 * clocks, base=base))
        seen.add(explorer.view.value)
    assert len(seen) == 4


def test_similarity_is_the_mean_cosine_of_the_clocks_angles():
    explorer = encoding_explorer(30)
    explorer.clocks.value, explorer.base.value = 3, 1000.0
    angles = torch.arange(30.0)[:, None] / 1000 ** (torch.arange(3) / 3)
    torch.testing.assert_close(explorer.similarity, angles.cos().mean(-1), atol=1e-5, rtol=0)
    assert "from 6.3 to 628.3 positions" in explorer.view.value


def test_the_picture_has_a_cell_for_each_number_and_the_curve_a_point_for_each_position():
    explorer = encoding_explorer(20)
    data = re.search(r"base64,([^']+)", explorer.view.value)[1]
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(data)))
    assert picture.shape[:2] == (32, 20)
    red, blue = picture[1, 0, 0], picture[1, 0, 2]  # cosine of 0 is 1: at the blue end of the colours
    assert blue > red
    assert len(re.search(r"points='([^']+)'", explorer.view.value)[1].split()) == 20


def test_too_short_a_text_is_refused():
    with pytest.raises(ValueError, match="at least 2 positions, got length=1"):
        encoding_explorer(1)

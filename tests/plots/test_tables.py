"""Tables line up, Chinese labels included."""

import pytest
import torch

from largemodels.plots.tables import show


def test_columns_line_up(capsys):
    show(torch.tensor([[1.5, -2.0], [float("-inf"), 0.004]]), ["狗", "like"], ["x", "长长长"], title="scores")
    title, head, first, second = capsys.readouterr().out.splitlines()
    assert title == "scores"
    assert head == "         x  长长长"
    assert first == "狗    1.50   −2.00"
    assert second == "like    −∞    0.00"


def test_whole_numbers_booleans_and_vectors(capsys):
    show([1, 22], ["a"], ["x", "y"])
    show(torch.tensor([[True, False]]), ["mask"])
    assert capsys.readouterr().out == "   x   y\na  1  22\nmask  ✓  ·\n"


def test_labels_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"3 row labels do not fit a matrix of shape \(2, 2\)"):
        show(torch.zeros(2, 2), list("abc"))
    with pytest.raises(ValueError, match="and 1 column labels"):
        show(torch.zeros(2, 2), list("ab"), ["x"])

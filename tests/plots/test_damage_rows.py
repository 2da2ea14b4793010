"""Rows of a damaged text: what stands below what, for every corruption and many draws."""

from functools import partial

import pytest
import torch

from largemodels import denoising, plots
from largemodels.plots.damage import KINDS

TEXT = "A B C . D E . F G .".split()
CORRUPTIONS = {
    "masking": partial(denoising.token_masking, rate=0.4),
    "deletion": partial(denoising.token_deletion, rate=0.4),
    "infilling": partial(denoising.text_infilling, rate=0.4),
    "permutation": denoising.sentence_permutation,
    "rotation": denoising.document_rotation,
    "spans": partial(denoising.span_corruption, rate=0.4, mean_length=2, sentinels=["<X>", "<Y>", "<Z>"]),
}


def text_of(cell):
    return cell[0] if isinstance(cell, tuple) else cell


def kind_of(cell):
    return cell[1] if isinstance(cell, tuple) else None


def drawn(name, seed):
    result = CORRUPTIONS[name](TEXT, generator=torch.Generator().manual_seed(seed))
    return result, [cells for _, cells in plots.damage_rows(TEXT, result)]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_nothing_is_lost_and_rows_are_of_one_length(name):
    for seed in range(40):
        result, (text, source, target) = drawn(name, seed)
        assert len(text) == len(source) == len(target)
        assert [text_of(cell) for cell in text if cell is not None] == TEXT
        assert [text_of(cell) for cell in source if cell is not None] == result.source
        wanted = result.target if isinstance(result.target, list) else [result.target]
        assert [text_of(cell) for cell in target if cell is not None] == [str(each) for each in wanted]
        assert {kind_of(cell) for row in (text, source, target) for cell in row} <= {None, *KINDS}


@pytest.mark.parametrize("name", ["masking", "deletion", "infilling", "spans"])
def test_what_has_stayed_stands_below_itself(name):
    for seed in range(40):
        result, (text, source, target) = drawn(name, seed)
        hidden = [i for i, cell in enumerate(text) if cell is not None and kind_of(cell) == "hidden"]
        stayed = [i for i, cell in enumerate(text) if cell is not None and kind_of(cell) is None]
        assert len(stayed) == sum(place >= 0 for place in result.origin)
        assert all(text_of(source[i]) == text_of(text[i]) for i in stayed)
        masks = [i for i, cell in enumerate(source) if cell is not None and kind_of(cell) == "hidden"]
        if name == "masking":
            assert masks == hidden
            assert all(text_of(target[i]) == text_of(text[i]) for i in hidden)
        elif name == "deletion":
            assert not masks
            places = [sum(cell is not None for cell in text[:i]) for i in hidden]
            assert [int(text_of(target[i])) for i in hidden] == places
        elif name == "infilling":  # below each mask how many it hides, itself the first of them
            for i in masks:
                number = int(text_of(target[i]))
                assert (i in hidden) == (number > 0)
                assert set(range(i, i + number)) <= {*hidden}
        else:  # hidden words below themselves, each span behind its sentinel
            assert all(text_of(target[i]) == text_of(text[i]) for i in hidden)
            assert all(text[i] is None and text_of(target[i]) == text_of(source[i]) for i in masks)
            assert all(i + 1 in hidden for i in masks)


def test_a_number_stands_where_it_speaks_of():
    rotated, (_, source, target) = drawn("rotation", 3)
    assert text_of(source[rotated.target]) == "A"
    assert target[rotated.target] == (str(rotated.target), "to be found out")
    result = denoising.Corrupted("D E . A B C .".split(), [2, 1], [4, 5, 6, 0, 1, 2, 3])
    (_, after), (_, target) = plots.damage_rows("A B C . D E .".split(), result)[1:]
    assert {kind_of(cell) for cell in after} == {"not in its place"}
    assert [i for i, cell in enumerate(target) if cell] == [0, 3]

"""The timeline says of each model what is known, and labels do not cover each other."""

import pytest

from largemodels.plots import Era, Model, timeline

STAGES = [Era("one", 2018, 2019, ["a", "b"]), Era("two 第二", 2019, 2024, ["c"])]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_sizes_are_written_beside_the_points_and_unknown_ones_say_so():
    figure = timeline([Model("A", 2018.5, 117e6), Model("B", 2020.4, 175e9), Model("C", 2022.9, None)], STAGES)
    assert {"A\n117 M", "B\n175 B", "C", "size not\npublished", "one", "two 第二", "a\nb", "c"} == set(texts(figure))
    ax = figure.axes[0]
    assert ax.get_yscale() == "log"
    assert [line.get_ydata()[0] for line in ax.lines][:2] == [117e6, 175e9]
    assert ax.lines[2].get_markerfacecolor() == "none"


def test_a_ring_lies_outside_the_axis_where_its_height_says_nothing():
    figure = timeline([Model("A", 2018.5, 117e6), Model("C", 2022.9, None), Model("D", 2023.5, None)], STAGES)
    figure.canvas.draw()
    ax = figure.axes[0]
    rings = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    places = [line.get_transform().transform(line.get_xydata())[0] for line in rings]
    assert len({y for _, y in places}) == 1
    assert all(y > ax.bbox.y1 for _, y in places)
    assert [x for x, _ in places] == [ax.transData.transform((year, 1e8))[0] for year in (2022.9, 2023.5)]


def test_neighbours_do_not_cover_each_other():
    figure = timeline([Model("ChatGPT", 2022.9, None), Model("GPT-4", 2023.2, None), Model("A", 2018.5, 1e8)], STAGES)
    figure.canvas.draw()
    labels = [text for text in figure.axes[0].texts if text.get_text() in ("ChatGPT", "GPT-4")]
    one, other = (label.get_window_extent() for label in labels)
    assert not one.overlaps(other)


def test_the_year_in_words_is_the_year_of_the_date():
    said = timeline([Model("A", 2018.5, 117e6), Model("B", 2019.9, 2e9), Model("C", 2022.91, None)], STAGES).alt
    assert "A 2018 117 M; B 2019 2 B; C 2022 of unknown size" in said


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="0 and 2"):
        timeline([Model("A", 2020, None)], STAGES)
    with pytest.raises(ValueError, match="before it begins"):
        timeline([Model("A", 2020, 1e6)], [Era("x", 2020, 2019, [])])

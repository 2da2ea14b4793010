"""The course's pictures: what is drawn (pixels, texts, lines), not which matplotlib calls were made."""

import itertools
import math
import os
import subprocess
import sys

os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from largemodels import plots
from largemodels.masks import causal_mask

DOGS = ["Dogs", "like", "balls"]
LONG = ["The", "animal", "did", "not", "cross", "the", "street", "because", "it", "was", "too", "tired"]
CHINESE = list("把英文翻译成中文")


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).mul(2).softmax(-1)


DRAWINGS = {
    "heatmap": lambda **ax: plots.heatmap(weights(3, 3), DOGS, title="weights", **ax),
    "heatmap of 40 tokens": lambda **ax: plots.heatmap(weights(40, 40), [f"token{i}" for i in range(40)], **ax),
    "heatmap of a mask": lambda **ax: plots.heatmap(causal_mask(8), CHINESE, title="mask", **ax),
    "heatmap of masked scores": lambda **ax: plots.heatmap(masked_scores(20), list(range(20)), **ax),
    "attention_lines": lambda **ax: plots.attention_lines(weights(2, 12, 12), LONG, title="lines", **ax),
    "curves": lambda **ax: plots.curves(
        {"a": [1, 2, 4], "b": ([1, 2], [3, 1])}, xlabel="steps", ylabel="loss", bands={"a": [1, 1, 1]}, chance=1.5, **ax
    ),
    "bars": lambda **ax: plots.bars(
        {"Dogs": 0.8, "balls": 0.1}, ylabel="probability", annotate=".2f", chance=0.5, **ax
    ),
    "horizontal bars": lambda **ax: plots.bars({"很长的标签": 0.8, "b": 0.1}, horizontal=True, chance=0.5, **ax),
    "strips": lambda **ax: plots.strips({"text": LONG * 2, "hidden": [("a", "mask")]}, title="strips", **ax),
    "histogram": lambda **ax: plots.histogram({"a": [1, 2, 2], "b": [2, 3, 3]}, xlabel="score", **ax),
}
DRAWINGS_OF_THEIR_OWN = {
    "heads": lambda: plots.heads(weights(8, 12, 12), LONG, title="eight heads"),
    "two heads": lambda: plots.heads(weights(2, 3, 3), DOGS, titles=["left", "right"]),
    "heads of masked scores": lambda: plots.heads(masked_scores(10)[None], list(range(10)), titles=["scores"]),
    "row": lambda: plots.row(3, wrap=2, title="three")[0],
}
every_drawing = pytest.mark.parametrize("draw", [*DRAWINGS.values(), *DRAWINGS_OF_THEIR_OWN.values()])


def masked_scores(n: int) -> torch.Tensor:
    scores = torch.randn(n, n, generator=torch.Generator().manual_seed(1)).masked_fill(~causal_mask(n), -math.inf)
    scores[0] = math.nan
    return scores


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def pixel(figure: Figure, x: float, y: float, ax=None) -> np.ndarray:
    """The colour at (x, y) of the axes' data."""
    image = pixels(figure)
    column, from_below = (ax or figure.axes[0]).transData.transform((x, y))
    return image[image.shape[0] - 1 - int(from_below), int(column)]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def tick_labels(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


# ------------------------------------------------------------------------------------------------- good manners


def test_importing_is_cheap():
    code = "import sys, largemodels.plots; print(sorted({'matplotlib', 'torch', 'IPython'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@every_drawing
def test_a_drawing_changes_no_setting_and_leaves_no_open_figure(draw):
    before = dict(plt.rcParams)
    figure = draw()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    pixels(figure)
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize("draw", DRAWINGS.values())
def test_a_drawing_goes_into_the_axes_it_is_given(draw):
    figure, axes = plots.row(2)
    assert draw(ax=axes[1]) is figure
    assert not axes[0].has_data()
    assert axes[1].has_data()


@pytest.mark.slow
@every_drawing
def test_nothing_is_cut_off(draw):
    figure = draw()
    pixels(figure)
    drawn = figure.get_tightbbox().extents  # inches
    assert (drawn >= -0.02).all()
    assert (drawn[2:] <= figure.get_size_inches() + 0.02).all()


@pytest.mark.slow
def test_a_notebook_shows_each_figure_once(monkeypatch):
    monkeypatch.delenv("MPLBACKEND")  # the kernel chooses its own
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    cells = [
        "from largemodels import plots\nplots.bars({'a': 1, 'b': 2})",
        "figure, axes = plots.row(2)\nplots.bars({'a': 1}, ax=axes[0])\nplots.bars({'a': 1}, ax=axes[1])",
        "figure, axes = plots.row(2)\nfigure",
        "plots.bars({'a': 1}); None",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    shown = [["image/png" in o.get("data", {}) for o in c.outputs if o.output_type != "stream"] for c in notebook.cells]
    assert shown == [[True], [True], [True], []]


# ------------------------------------------------------------------------------------------------------ heat maps


def test_a_heat_map_puts_the_query_in_rows_from_the_top_and_the_key_in_columns_from_the_left():
    figure = plots.heatmap([[0, 1, 0], [0, 0, 0]], ["q0", "q1"], DOGS, annotate=False, colorbar=False)
    ax = figure.axes[0]
    dark = [(i, j) for i in range(2) for j in range(3) if pixel(figure, j + 0.5, i + 0.5).mean() < 0.5]
    assert dark == [(0, 1)]
    assert ax.transData.transform((0.5, 0.5))[1] > ax.transData.transform((0.5, 1.5))[1]
    assert (tick_labels(ax.yaxis), tick_labels(ax.xaxis)) == (["q0", "q1"], DOGS)
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("query", "key")


def test_more_weight_is_darker_and_the_colour_bar_goes_from_0_to_1():
    figure = plots.heatmap([[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]], ["q"], list("abcdef"), annotate=False)
    lightness = [pixel(figure, j + 0.5, 0.5).mean() for j in range(6)]
    assert lightness == sorted(lightness, reverse=True)
    assert min(-np.diff(lightness)) > 0.05
    assert figure.axes[1].get_ylim() == (0, 1)


def test_signed_scores_are_blue_above_zero_orange_below_and_white_at_zero():
    figure = plots.heatmap([[-4.0, 0.0, 2.0]], ["q"], DOGS, annotate=False)
    negative, zero, positive = (pixel(figure, j + 0.5, 0.5) for j in range(3))
    assert negative[0] > negative[2] + 0.3  # more red than blue
    assert positive[2] > positive[0] + 0.3
    assert zero.min() > 0.93
    assert figure.axes[1].get_ylim() == (-4, 4)


def test_the_ends_of_the_scale_can_be_set():
    figure = plots.heatmap([[0.0, 5.0]], ["q"], ["a", "b"], vmin=0, vmax=10, cmap="gray", annotate=False)
    assert pixel(figure, 0.5, 0.5) == pytest.approx([0, 0, 0], abs=0.01)
    assert pixel(figure, 1.5, 0.5) == pytest.approx([0.5, 0.5, 0.5], abs=0.01)


def test_the_numbers_stand_in_their_cells():
    figure = plots.heatmap([[0.125, -1.5], [0.0, -0.0012]], ["a", "b"])
    written = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert written == {(0.5, 0.5): "0.12", (1.5, 0.5): "−1.50", (0.5, 1.5): "0.00", (1.5, 1.5): "0.00"}
    assert texts(plots.heatmap([[3, -1], [0, 12.0]], ["a", "b"]).axes[0]) == ["3", "−1", "0", "12"]


def test_numbers_are_left_out_where_nobody_could_read_them():
    assert len(texts(plots.heatmap(weights(12, 12), LONG).axes[0])) == 144
    assert texts(plots.heatmap(weights(13, 13), [*LONG, "."]).axes[0]) == []


@pytest.mark.parametrize("colors", [plots.WEIGHT_COLORS, plots.SIGNED_COLORS])
def test_numbers_stand_out_from_every_colour(colors):
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5 to 1."""
    values = np.linspace(0, 1, 101)
    figure = plots.heatmap(
        values[None], ["q"], [""] * 101, annotate=True, cmap=LinearSegmentedColormap.from_list("", colors)
    )
    colormap = LinearSegmentedColormap.from_list("", colors)
    for text, value in zip(figure.axes[0].texts, values, strict=True):
        pair = sorted(relative_luminance(color) for color in (to_rgb(text.get_color()), colormap(value)[:3]))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, value


def test_a_mask_has_two_colours_and_says_what_they_mean():
    figure = plots.heatmap(causal_mask(3), DOGS)
    ax = figure.axes[0]
    may, may_not = pixel(figure, 0.5, 1.5), pixel(figure, 1.5, 0.5)
    for i, j in itertools.product(range(3), range(3)):
        assert pixel(figure, j + 0.5, i + 0.5) == pytest.approx(may if j <= i else may_not)
    legend = {
        text.get_text(): patch.get_facecolor()[:3]
        for text, patch in zip(ax.get_legend().get_texts(), ax.get_legend().get_patches(), strict=True)
    }
    assert legend["may attend"] == pytest.approx(may, abs=0.01)
    assert legend["may not attend"] == pytest.approx(may_not, abs=0.01)
    assert len(figure.axes) == 1  # no colour bar


def test_infinity_and_nan_are_written_in_grey_cells():
    figure = plots.heatmap([[0.5, -math.inf], [math.nan, math.inf]], ["a", "b"])
    assert texts(figure.axes[0]) == ["0.50", "−∞", "NaN", "∞"]
    for j, i in ((1, 0), (0, 1)):
        corner = pixel(figure, j + 0.1, i + 0.52)
        assert corner.max() - corner.min() < 0.01  # grey: no colour of the scale
        assert 0.5 < corner.mean() < 0.95


def test_infinity_and_nan_are_hatched_and_explained_where_there_is_no_room_for_text():
    figure = plots.heatmap(masked_scores(20), list(range(20)))
    legends = [text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()]
    assert legends == ["−∞", "NaN"]
    image, transform = pixels(figure), figure.axes[0].transData
    (left, bottom), (right, top) = transform.transform((10, 6)), transform.transform((18, 2))
    masked = image[image.shape[0] - int(top) : image.shape[0] - int(bottom), int(left) : int(right)]
    assert np.ptp(masked, axis=-1).max() < 0.01  # grey throughout
    assert masked.std() > 0.02  # with lines in it


def test_heads_share_one_scale_and_stand_in_reading_order():
    attention = torch.zeros(5, 2, 2)
    for h in range(5):
        attention[h, 0, 0] = h / 4
    figure = plots.heads(attention, ["a", "b"], wrap=3, titles=list("vwxyz"))
    ax = figure.axes[0]
    titles = {text.get_text(): text.get_position() for text in ax.texts}
    assert titles["v"][1] == titles["w"][1] == titles["x"][1] < titles["y"][1] == titles["z"][1]
    assert titles["v"][0] == titles["y"][0] < titles["w"][0] == titles["z"][0] < titles["x"][0]
    # The upper left cell of a head lies left of its title's middle, one and a half cells below its tiles' top.
    tops = [mesh.get_coordinates()[0, 0] for mesh in ax.collections]
    lightness = [pixel(figure, x + 0.5, y + 0.5).mean() for x, y in tops]
    assert lightness == sorted(lightness, reverse=True)
    assert min(-np.diff(lightness)) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 12, 20, 40])
@pytest.mark.parametrize("kind", ["heatmap", "heads"])
def test_token_labels_do_not_overlap(kind, n):
    tokens = [f"token{i}" for i in range(n)]
    figure = plots.heatmap(weights(n, n), tokens) if kind == "heatmap" else plots.heads(weights(6, n, n), tokens)
    pixels(figure)
    ax = figure.axes[0]
    for axis in (ax.xaxis, ax.yaxis):
        labels = axis.get_ticklabels()
        if labels[0].get_rotation() == 45:
            continue  # slanted boxes overlap where their letters do not
        for one, other in itertools.pairwise(label.get_window_extent() for label in labels):
            overlap = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(overlap) <= 1, axis


def test_tokens_are_shown_letter_by_letter():
    figure = plots.heatmap(weights(3, 3), ["$", "a\nb", r"$\frac$"])
    pixels(figure)  # mathematics would fail here
    assert tick_labels(figure.axes[0].xaxis) == ["$", "a↵b", r"$\frac$"]


def test_every_kind_of_number_is_welcome():
    exact = torch.tensor([[0.5, 0.25], [1.0, 0.0]])
    for matrix in (
        exact.tolist(),
        exact.numpy(),
        exact.to(torch.bfloat16),
        exact.clone().requires_grad_(),
        list(exact.clone().requires_grad_()),
        exact * 4 // 1 / 4,
    ):
        assert texts(plots.heatmap(matrix, ["a", "b"]).axes[0]) == ["0.50", "0.25", "1.00", "0.00"]


# ------------------------------------------------------------------------------------------------- lines and charts


def test_attention_lines_are_as_thick_as_the_weights():
    matrix = np.array([[0.75, 0.25, 0.0], [0.0, 0.5, 0.005]])
    ax = plots.attention_lines(matrix, ["a", "b"], DOGS).axes[0]
    (lines,) = ax.collections
    drawn = {
        (round(start[1]), round(end[1])): width
        for (start, end), width in zip(lines.get_segments(), lines.get_linewidths(), strict=True)
    }
    assert set(drawn) == {(0, 0), (0, 1), (1, 1)}  # 0.005 would not be seen
    assert drawn[0, 0] == pytest.approx(3 * drawn[0, 1])
    assert drawn[1, 1] == pytest.approx(2 * drawn[0, 1])
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places["a"][0] < 0
    assert places["Dogs"][0] > 1
    assert places["b"][1] == places["like"][1] == 1


def test_attention_lines_have_one_colour_per_head():
    ax = plots.attention_lines(weights(3, 4, 4), list("abcd")).axes[0]
    assert len({tuple(np.ravel(lines.get_color()[0][:3])) for lines in ax.collections}) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["head 1", "head 2", "head 3"]


def test_curves_go_through_their_points_and_no_two_look_alike():
    series = {f"series {i}": (range(1, 4), [i, i + 1, i + 2]) for i in range(8)}
    ax = plots.curves(series | {"y alone": [5, 6]}, xlabel="x", ylabel="y", xscale="log", yscale="log").axes[0]
    assert ax.lines[3].get_xydata().tolist() == [[1, 3], [2, 4], [3, 5]]
    assert ax.lines[8].get_xydata().tolist() == [[0, 5], [1, 6]]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    for look in (
        lambda line: line.get_color(),
        lambda line: line.get_marker(),
        lambda line: str(line._unscaled_dash_pattern),  # get_linestyle() calls every pattern of one's own "--"
    ):
        assert len(set(map(look, ax.lines[:8]))) == 8
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [*series, "y alone"]


def test_a_logarithmic_axis_names_the_few_places_that_were_measured():
    ax = plots.curves({"a": ([4, 16], [1, 2]), "b": ([16, 64], [1, 2])}, xlabel="", ylabel="", xscale="log").axes[0]
    assert tick_labels(ax.xaxis) == ["4", "16", "64"]
    many = plots.curves({"a": (range(1, 50), range(1, 50))}, xlabel="", ylabel="", xscale="log").axes[0]
    assert len(many.get_xticks()) < 10


def test_bands_are_a_spread_or_two_ends():
    series = {"spread": ([0, 1], [5, 6]), "ends": ([0, 1], [1, 2])}
    bands = {"spread": [1, 2], "ends": ([0, 0], [3, 3])}
    spread, ends = plots.curves(series, xlabel="x", ylabel="y", bands=bands).axes[0].collections
    assert {tuple(point) for point in spread.get_paths()[0].vertices} == {(0, 4), (0, 6), (1, 4), (1, 8)}
    assert {tuple(point) for point in ends.get_paths()[0].vertices} == {(0, 0), (0, 3), (1, 0), (1, 3)}


@pytest.mark.parametrize("axis", [0, 1])
def test_chance_is_a_named_line_beside_the_data(axis):
    drawings = [
        plots.bars({"a": 1}, chance=0.25, horizontal=True),
        plots.curves({"a": [0, 1]}, xlabel="", ylabel="", chance=0.25),
    ]
    figure = drawings[axis]
    ax = figure.axes[0]
    pixels(figure)
    assert [0.25, 0.25] in [list(line.get_data()[axis]) for line in ax.lines]
    (name,) = [text for text in ax.texts if text.get_text() == "chance"]
    assert not name.get_window_extent().overlaps(ax.get_window_extent())


@pytest.mark.parametrize("lowest", [0.13, 0.165, 0.3])
def test_chance_does_not_lie_on_the_frame(lowest):
    ax = plots.curves({"a": [lowest, 1]}, xlabel="", ylabel="", chance=0.125).axes[0]
    assert ax.get_ylim()[0] < 0.125 - 0.02


def test_the_legend_covers_no_bar():
    figure = plots.bars({"dot": {"x": 1, "y": 1}, "additive": {"x": 1, "y": 1}}, annotate=".2f")
    pixels(figure)
    (ax,) = figure.axes
    assert not ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())


def test_bars_are_as_long_as_their_numbers():
    ax = plots.bars({"a": 0.5, "b": torch.tensor(2.0)}, annotate=".1f").axes[0]
    assert [bar.get_height() for bar in ax.patches] == [0.5, 2.0]
    assert texts(ax) == ["0.5", "2.0"]
    ax = plots.bars({"a": 0.5, "b": 2}, horizontal=True).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [0.5, 2.0]
    assert ax.patches[0].get_y() < ax.patches[1].get_y()
    assert ax.yaxis_inverted()  # so the first is on top


def test_bars_accept_labels_that_repeat():
    ax = plots.bars(torch.tensor([0.1, 0.2, 0.3]), ["the", "dog", "the"]).axes[0]
    assert tick_labels(ax.xaxis) == ["the", "dog", "the"]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.1, 0.2, 0.3])


def test_groups_of_bars_go_by_label_not_by_order():
    ax = plots.bars({"dot": {"x": 1, "y": 2}, "additive": {"y": 4, "x": 3}}).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 3, 4]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["dot", "additive"]
    ends = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))  # side by side, not on top
    assert len(plots.bars({"dot": [1, 2], "additive": [3, 4]}, ["x", "y"]).axes[0].patches) == 4


def test_histograms_show_shares_over_the_same_bins():
    samples = {"narrow": torch.randn(500, generator=torch.Generator().manual_seed(0)), "wide": 3 * weights(10, 100)}
    narrow, _, wide, _ = plots.histogram(samples, xlabel="score", bins=12).axes[0].patches
    for drawn, values in ((narrow, samples["narrow"]), (wide, samples["wide"])):
        shares, edges = drawn.get_data().values, drawn.get_data().edges
        assert shares.sum() == pytest.approx(1)
        for k in (3, 7):
            inside = (values.double() >= edges[k]) & (values.double() < edges[k + 1])
            assert shares[k] == pytest.approx(inside.double().mean().item())
    assert (narrow.get_data().edges == wide.get_data().edges).all()


def test_a_row_wraps():
    figure, axes = plots.row(5, wrap=3, height=2)
    assert len(axes) == len(figure.axes) == 5
    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [0, 0, 0, 1, 1]
    assert figure.get_size_inches().tolist() == [plots.WIDTH, 4]


# ---------------------------------------------------------------------------------------------------------- colours


def relative_luminance(rgb) -> float:
    """WCAG 2.2, definition of relative luminance."""
    return float(np.dot(linear(np.array(rgb)), [0.2126, 0.7152, 0.0722]))


def linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def cielab(linear_rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear_rgb @ to_xyz.T / to_xyz.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency",
# IEEE TVCG 15(6), table 1 at severity 1.
COLOUR_VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_the_cycle_is_told_apart_by_every_colour_vision(vision):
    seen = cielab(
        np.clip(linear(np.array([to_rgb(c) for c in plots.COLORS])) @ np.array(COLOUR_VISION[vision]).T, 0, 1)
    )
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    assert min(distances) > 10  # about 2 is just noticeable side by side


def test_the_cycle_is_told_apart_in_grey():
    lightness = cielab(linear(np.array([to_rgb(color) for color in plots.COLORS])))[:, 0]
    assert min(np.diff(sorted(lightness))) > 5
    assert min(np.diff(sorted(lightness[:4]))) > 9  # most pictures have no more than four


def test_the_weights_colours_get_steadily_darker():
    colormap = LinearSegmentedColormap.from_list("", plots.WEIGHT_COLORS)
    lightness = cielab(linear(colormap(np.linspace(0, 1, 50))[:, :3]))[:, 0]
    assert (np.diff(lightness) < -0.5).all()
    assert lightness[0] > 95


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.heatmap(weights(2, 3, 3), DOGS), r"\(query, key\), got \(2, 3, 3\)"),
        (lambda: plots.heatmap(torch.zeros(0, 3), [], DOGS), r"got \(0, 3\)"),
        (lambda: plots.heatmap(weights(3, 3), ["a"]), "1 labels for 3 rows"),
        (lambda: plots.heatmap(weights(3, 2), DOGS), "3 labels for 2 columns"),
        (lambda: plots.heads(weights(3, 3), DOGS), r"\(heads, query, key\)"),
        (lambda: plots.heads(weights(2, 3, 3), DOGS, titles=["one"]), "2 heads need 2 titles, got 1"),
        (lambda: plots.attention_lines(torch.full((3, 3), 2.0), DOGS), "between 0 and 1, got 2 to 2"),
        (lambda: plots.attention_lines(-weights(3, 3), DOGS), "between 0 and 1"),
        (lambda: plots.attention_lines(masked_scores(3), DOGS), "between 0 and 1"),
        (lambda: plots.attention_lines(torch.eye(3)[:, :1].expand(3, 3), DOGS), "sum 3.*over the queries"),
        (lambda: plots.curves({}, xlabel="", ylabel=""), "at least one series"),
        (lambda: plots.curves({"a": ([1, 2], [1])}, xlabel="", ylabel=""), "'a' needs as many x as y"),
        (lambda: plots.curves({"a": [1]}, xlabel="", ylabel="", bands={"b": [1]}), r"bands for \['b'\]"),
        (lambda: plots.bars({}), "at least one number"),
        (lambda: plots.bars([1, 2]), "needs a label"),
        (lambda: plots.bars([1, 2], ["a"]), r"1 labels for values of shape \(2,\)"),
        (lambda: plots.bars({"x": {"a": 1}, "y": {"b": 1}}), r"labels \['a'\], 'y' has \['b'\]"),
        (lambda: plots.histogram({}, xlabel=""), "at least one"),
        (lambda: plots.histogram({"a": []}, xlabel=""), "at least one"),
        (lambda: plots.histogram({"a": [math.nan]}, xlabel=""), "finite"),
        (lambda: plots.row(0), "at least one axes, got n=0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_reason(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("row", "written"),
    [
        ([4.0, 1.0], ["4", "1"]),
        ([0.5, 0.25], ["0.50", "0.25"]),
        ([0.5, 0.125], ["0.500", "0.125"]),  # so that a row of eighths sums to 1 on paper, too
        ([1 / 3, 2 / 3], ["0.33", "0.67"]),
    ],
)
def test_a_number_is_written_with_the_digits_it_has(row, written):
    figure = plots.heatmap([row], ["row"], ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == written

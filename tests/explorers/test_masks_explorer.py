"""The mask painter: what Python holds, and what the ES module paints and computes in a real browser."""

import base64

import pytest
import torch

from largemodels.attention import masked_softmax
from largemodels.explorers import MaskPainter
from largemodels.masks import banded_causal_mask, causal_mask, prefix_mask, reachable

pytestmark = pytest.mark.slow

WORDS = ["Dogs", "like", "red", "balls", "。"]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_mask(n, seed):
    return torch.rand(n, n, generator=torch.Generator().manual_seed(seed)) < 0.4


# ------------------------------------------------------------------------------------------------------------ Python


def test_it_starts_causal_and_takes_another_mask():
    view = MaskPainter(randn(5, 5), WORDS)
    assert view.mask.equal(causal_mask(5))
    view.mask = banded_causal_mask(5, 2)
    assert list(view.cells) == banded_causal_mask(5, 2).flatten().int().tolist()
    assert MaskPainter(randn(5, 5), WORDS, prefix_mask(2, 5)).mask.equal(prefix_mask(2, 5))


def test_weights_and_reach_are_those_of_the_painted_mask():
    scores, mask = randn(5, 5), random_mask(5, 1)
    view = MaskPainter(scores.requires_grad_(), WORDS, mask, layers=3)
    assert view.weights.equal(masked_softmax(scores.detach(), mask))
    assert view.reach.equal(reachable(mask, 3))
    view.cells = bytes(25)  # as the browser writes it
    assert not view.mask.any()
    assert (view.weights == 0).all()


def test_the_presets_are_the_masks_of_the_library():
    view = MaskPainter(randn(5, 5), WORDS)
    masks = torch.tensor(list(view.preset_cells)).view(-1, 5, 5).bool()
    expected = {
        "everything": torch.ones(5, 5, dtype=torch.bool),
        "causal": causal_mask(5),
        "prefix of 2": prefix_mask(2, 5),
        "band of 2": banded_causal_mask(5, 2),
        "band of 3": banded_causal_mask(5, 3),
    }
    assert view.presets == list(expected)
    assert masks.equal(torch.stack(list(expected.values())))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskPainter(randn(5, 4), WORDS), "5 labels for 4 columns"),
        (lambda: MaskPainter(randn(2, 5, 5), WORDS), r"\(query, key\), got \(2, 5, 5\)"),
        (lambda: MaskPainter(randn(5, 5).masked_fill(~causal_mask(5), -torch.inf), WORDS), "finite.*mask="),
        (
            lambda: MaskPainter(randn(5, 5), WORDS, causal_mask(4)),
            r"shape \(5, 5\) is needed, got torch.bool, \(4, 4\)",
        ),
        (lambda: MaskPainter(randn(5, 5), WORDS, torch.ones(5, 5)), "boolean.*got torch.float32"),
        (lambda: MaskPainter(randn(5, 5), WORDS, layers=0), "1 to 6 layers, got 0"),
        (lambda: MaskPainter(randn(5, 5), WORDS, layers=7), "1 to 6 layers, got 7"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_notebook_without_a_kernel_says_what_stood_there():
    text = MaskPainter(randn(5, 5), WORDS)._repr_mimebundle_()[0]["text/plain"]
    assert text == "a mask of 5 × 5 cells: run this cell to paint it"


# ----------------------------------------------------------------------------------------------------- the ES module


def cell(page, i, j):
    return page.locator(f".cell[data-i='{i}'][data-j='{j}']")


def painted(page, n=5):
    return torch.tensor(page.evaluate("sent('cells')")).view(n, n).bool()


def lit(page):
    """The lit positions, level by level from the inputs up."""
    circles = page.evaluate("[...document.querySelectorAll('circle')].map((c) => c.classList.contains('lit'))")
    n = page.evaluate("model.get('labels').length")
    return torch.tensor(circles).view(-1, n)


@pytest.mark.parametrize("seed", range(3))
def test_weights_and_reach_are_those_of_python(show, seed):
    scores, mask = 3 * randn(6, 6, seed=seed), random_mask(6, seed)
    mask[seed] = False  # a query that may attend to nothing
    view = MaskPainter(scores, list("abcdef"), mask, layers=3)
    page = show(view)
    texts = page.locator(".cell").all_inner_texts()
    for text, weight, allowed in zip(texts, view.weights.flatten(), mask.flatten(), strict=True):
        assert (text != "") == allowed
        assert not text or float(text) == pytest.approx(weight.item(), abs=0.0051)
    assert page.locator(".sum").all_inner_texts() == ["1.00" if row.any() else "0" for row in mask]
    for i in range(6):
        cell(page, i, 0).hover()
        levels = lit(page)
        for level in range(4):
            assert levels[level].equal(reachable(mask, 3 - level)[i]), (i, level)


def test_a_press_switches_a_cell_and_tells_python(show):
    page = show(MaskPainter(randn(5, 5), WORDS))
    cell(page, 0, 3).click()
    expected = causal_mask(5)
    expected[0, 3] = True
    assert painted(page).equal(expected)
    assert cell(page, 0, 3).get_attribute("aria-pressed") == "true"
    cell(page, 0, 3).click()
    assert painted(page).equal(causal_mask(5))
    assert page.evaluate("saved") == 2


def test_a_stroke_paints_what_its_first_cell_became(show):
    page = show(MaskPainter(randn(5, 5), WORDS))
    for j in range(1, 5):  # from the hidden cell (1, 2): a stroke that switches on
        box = cell(page, 1, j).bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + 15)
        if j == 2:
            page.mouse.down()
    page.mouse.up()
    assert painted(page)[1].all()
    for i, j in [(4, 1), (3, 1), (2, 1), (2, 3)]:  # from a visible one: a stroke that switches off
        box = cell(page, i, j).bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + 15)
        if i == 4:
            page.mouse.down()
    page.mouse.up()
    assert painted(page)[:, 1].tolist() == [False, True, False, False, False]
    cell(page, 0, 4).hover()  # no button pressed any more
    assert not painted(page)[0, 4]


def test_the_keyboard_walks_and_paints(show):
    page = show(MaskPainter(randn(5, 5), WORDS))
    press = page.keyboard.press
    for _ in range(len(MaskPainter(randn(5, 5), WORDS).presets) + 2):  # presets, slider, then the table
        press("Tab")
    at = lambda: page.evaluate("[+document.activeElement.dataset.i, +document.activeElement.dataset.j]")  # noqa: E731
    assert at() == [0, 0]
    for key, arrived in [
        ("ArrowLeft", [0, 0]),
        ("End", [0, 4]),
        ("ArrowDown", [1, 4]),
        ("Home", [1, 0]),
        ("ArrowRight", [1, 1]),
        ("ArrowUp", [0, 1]),
    ]:
        press(key)
        assert at() == arrived, key
    press("Space")
    assert painted(page)[0].tolist() == [True, True, False, False, False]
    press("Enter")
    assert painted(page).equal(causal_mask(5))
    assert page.evaluate("saved") == 2
    assert page.locator(".cell[tabindex='0']").count() == 1


def test_presets_and_layers(show):
    page = show(MaskPainter(randn(5, 5), WORDS, layers=1))
    page.get_by_role("button", name="band of 2").click()
    assert painted(page).equal(banded_causal_mask(5, 2))
    known = []
    for layers in (1, 2, 3):
        page.get_by_role("slider", name="layers").fill(str(layers))
        cell(page, 4, 0).hover()
        known.append(int(lit(page)[0].sum()))
        assert f"know of {layers + 1} of 5 inputs" in page.locator("[aria-live=polite]").inner_text()
    assert known == [2, 3, 4]  # one more per layer: width − 1
    assert page.evaluate("model.get('layers')") == 3


def test_an_empty_row_is_named(show):
    mask = causal_mask(5)
    mask[2] = False
    page = show(MaskPainter(randn(5, 5), WORDS, mask))
    cell(page, 2, 0).hover()
    assert page.locator("[aria-live=polite]").inner_text() == "Nothing can reach the output of “red”: its row is empty."
    assert page.locator(".sum.empty").count() == 1


def test_a_screen_reader_hears_names_and_states(show):
    page = show(MaskPainter(torch.zeros(5, 5), WORDS))
    assert page.get_by_role("button", name="query like, key Dogs: 0.50", pressed=True).count() == 1
    assert page.get_by_role("button", name="query Dogs, key like: hidden", pressed=False).count() == 1
    assert page.get_by_role("group", name="mask: one row per query").count() == 1
    assert page.get_by_role("img", name="the ways from the inputs").count() == 1


def test_a_mask_from_python_is_drawn_and_a_removed_view_stops_listening(show):
    page = show(MaskPainter(randn(5, 5), WORDS))
    page.evaluate("text => send('cells', text)", base64.b64encode(bytes([1] * 25)).decode())
    assert page.locator(".cell[aria-pressed=true]").count() == 25
    assert page.evaluate("listening()") > 0
    page.evaluate("dispose()")
    assert page.evaluate("listening()") == 0


def test_nothing_moves_while_one_paints(show):
    page = show(MaskPainter(randn(5, 5), WORDS))
    boxes = """() => [...document.querySelectorAll(".cell, svg, .sum")].map((e) => {
        const { x, y, width, height } = e.getBoundingClientRect(); return [x, y, width, height]; })"""
    before = page.evaluate(boxes)
    for i, j in [(0, 0), (4, 4), (1, 3)]:
        cell(page, i, j).click()
        assert page.evaluate(boxes) == before

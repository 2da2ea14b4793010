"""The explorers: what Python computes and sends, and what the ES module makes of it in a real browser."""

import base64
import json
import math
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch.distributions import Categorical

from largemodels import explorers, plots
from largemodels.explorers import HeadView, head_explorer
from largemodels.explorers.paged import PAGE, as_javascript
from largemodels.masks import causal_mask

pytestmark = pytest.mark.slow

FOLDER = Path(explorers.__file__).parent
DOGS = ["Dogs", "like", "balls"]


def random_scores(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def sent_weights(view: HeadView) -> np.ndarray:
    return np.frombuffer(view.weights, "<f4").reshape(len(view.captions), len(view.rows), len(view.columns))


# --------------------------------------------------------------------------------------------------------- HeadView


def test_a_head_view_sends_its_weights_as_they_are():
    weights = random_scores(2, 3, 4).softmax(-1)
    view = HeadView(weights, DOGS, list("把英文翻"), captions=["a", "b"])
    assert (sent_weights(view) == weights.numpy()).all()
    assert (view.rows, view.columns, view.captions, view.shown) == (DOGS, list("把英文翻"), ["a", "b"], [0, 1])
    state = view.get_state()
    assert {"_esm", "_css", "rows", "columns", "weights", "captions", "shown", "colors", "scale"} <= set(state)
    assert isinstance(state["weights"], bytes)  # a binary buffer on the wire


def test_the_keys_are_the_queries_unless_given():
    assert HeadView(torch.eye(3)[None].requires_grad_(), DOGS).columns == DOGS


def test_an_update_is_one_message(monkeypatch):
    view = HeadView(torch.eye(3)[None], DOGS, captions=["before"])
    messages = []
    # Of its own: whether ipywidgets' reaches a page depends on whether the process has imported ipykernel.
    page = SimpleNamespace(
        kernel=...,
        comm_id="page",
        on_msg=lambda callback: None,
        send=lambda data, buffers=None, **_: messages.append((data, buffers)),
    )
    monkeypatch.setattr(view, "comm", page)
    view.update(torch.full((1, 3, 3), 1 / 3), ["after"])
    ((message, buffers),) = messages
    assert message["state"]["captions"] == ["after"]
    assert [np.frombuffer(buffer, "<f4").tolist() for buffer in buffers] == [[np.float32(1 / 3)] * 9]


def test_numbers_for_a_page_are_written_as_javascript_writes_them():
    """Else JupyterLab changes the file when it saves what nobody has touched."""
    given = {"max": 4.0, "step": 0.1, "shape": (2.0, [3, -0.5]), "word": "1.0", "none": None, "yes": True}
    made = as_javascript(given)
    assert (
        json.dumps(made) == '{"max": 4, "step": 0.1, "shape": [2, [3, -0.5]], "word": "1.0", "none": null, "yes": true}'
    )
    page = head_explorer(random_scores(1, 3, 3), DOGS)._repr_mimebundle_()
    stored = (page[0] if isinstance(page, tuple) else page)[PAGE]
    assert json.dumps(as_javascript(stored)) == json.dumps(stored)


def test_a_refused_update_changes_nothing():
    view = HeadView(torch.eye(3)[None], DOGS, captions=["before"])
    with pytest.raises(ValueError, match="between 0 and 1"):
        view.update(torch.eye(3)[None] * 2, ["after"])
    assert (sent_weights(view)[0] == np.eye(3)).all()
    assert view.captions == ["before"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeadView(torch.eye(3), DOGS), r"\(heads, query, key\), got \(3, 3\)"),
        (lambda: HeadView(torch.eye(3)[None, None], DOGS), r"got \(1, 1, 3, 3\)"),
        (lambda: HeadView(torch.eye(3)[None], DOGS[:2]), "2 labels for 3 rows"),
        (lambda: HeadView(torch.eye(3)[None], DOGS, ["a"]), "1 labels for 3 columns"),
        (lambda: HeadView(torch.eye(3)[None], DOGS, captions=["a", "b"]), "1 heads need 1 captions, got 2"),
        (lambda: HeadView(random_scores(1, 3, 3), DOGS), "apply a softmax over the keys"),
        (lambda: HeadView(torch.full((1, 3, 3), math.nan), DOGS), "got nan to nan"),
        (lambda: HeadView(torch.ones(1, 3, 3), DOGS), "sum 3.*over the queries"),
        (
            lambda: HeadView(torch.eye(3)[None], DOGS).update(torch.eye(2)[None], [""]),
            r"got weights of shape \(1, 2, 2\)",
        ),
        (lambda: head_explorer(torch.zeros(3, 3), DOGS), r"\(heads, query, key\), got \(3, 3\)"),
        (lambda: head_explorer(torch.zeros(1, 3, 3), ["a"]), "1 labels for 3 rows"),
        (lambda: head_explorer(torch.full((1, 3, 3), math.nan), DOGS), "got NaN or"),
        (lambda: head_explorer(torch.full((1, 3, 3), math.inf), DOGS), "got NaN or"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ----------------------------------------------------------------------------------------------------- head_explorer


def test_the_slider_goes_from_uniform_over_attention_to_a_hard_look_up():
    explorer = head_explorer(2 * torch.eye(3)[None], DOGS)
    slider = explorer.slider
    assert (slider.min, slider.value) == (0, 1)
    slider.value = slider.min
    assert sent_weights(explorer.view) == pytest.approx(np.full((1, 3, 3), 1 / 3))
    slider.value = slider.max
    assert sent_weights(explorer.view) == pytest.approx(np.eye(3)[None], abs=0.01)


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 1.0, 2.5, 4.0])
def test_the_view_follows_the_slider(sharpness):
    scores = random_scores(4, 5, 7)
    explorer = head_explorer(scores, list("abcde"), list("tuvwxyz"))
    explorer.slider.value = sharpness
    reference = Categorical(logits=scores * sharpness)
    assert sent_weights(explorer.view) == pytest.approx(reference.probs.numpy(), abs=1e-6)
    bits = reference.entropy().mean(-1) / math.log(2)
    assert torch.allclose(explorer.entropy, bits, atol=1e-5)
    assert explorer.view.captions == [f"{head:.2f} bits" for head in bits.tolist()]


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 4.0])
def test_masked_keys_stay_masked(sharpness):
    scores = random_scores(2, 3, 3).masked_fill(~causal_mask(3), -math.inf)
    scores[1, 2] = -math.inf  # a query that may attend to nothing
    explorer = head_explorer(scores, DOGS)
    explorer.slider.value = sharpness
    shown = sent_weights(explorer.view)
    assert (shown[:, ~causal_mask(3)] == 0).all()
    assert shown.sum(-1) == pytest.approx(np.array([[1, 1, 1], [1, 1, 0]]))
    assert explorer.entropy.isfinite().all()
    if sharpness == 0:
        assert shown[0, 2] == pytest.approx([1 / 3] * 3)


def test_the_scores_are_left_alone():
    scores = random_scores(2, 3, 3).requires_grad_()
    before = scores.detach().clone()
    head_explorer(scores, DOGS).slider.value = 3
    assert (scores == before).all()


def test_a_notebook_without_a_kernel_says_what_stood_there():
    text = head_explorer(random_scores(2, 3, 4), DOGS, list("abcd"))._repr_mimebundle_()["text/plain"]
    assert text == "2 attention heads, 3 queries, 4 keys: run this cell to explore them"


# ---------------------------------------------------------------------------------------------------- the ES module


@pytest.mark.parametrize("name", ["heads", "masks"])
def test_the_module_is_valid_javascript(name, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    module = tmp_path / f"{name}.mjs"
    module.write_text((FOLDER / f"{name}.js").read_text(encoding="utf-8"), encoding="utf-8")
    run = subprocess.run([node, "--check", module], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    script = f"import m from {json.dumps(module.as_uri())}; console.log(typeof m.render)"
    run = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "function"


def test_the_modules_load_nothing_from_elsewhere():
    for name in ("heads.js", "heads.css", "masks.js", "masks.css"):
        text = (FOLDER / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text
        assert "import" not in text.split()
        assert "url(" not in text


def query(page, n: int):
    return page.get_by_role("group", name="query tokens").get_by_role("button").nth(n)


def key(page, n: int):
    return page.get_by_role("group", name="key tokens").get_by_role("button").nth(n)


def drawn_lines(page) -> list[list[tuple[int, int, float]]]:
    """(query, key, thickness) of every line, head by head."""
    groups = page.evaluate("""() => [...document.querySelectorAll("svg .head")].map((head) =>
        [...head.querySelectorAll("path")].map((path) =>
            [path.getAttribute("d"), Number(path.getAttribute("stroke-width"))]))""")
    heads = []
    for paths in groups:
        lines = [(line, width) for path, width in paths for line in path.split("M")[1:]]
        ends = [([float(end.split()[1]) for end in line.split("L")], width) for line, width in lines]
        heads.append([(*(int(y // 26) for y in y_pair), width) for y_pair, width in ends])
    return heads


def cell_colour(page, h: int, i: int, j: int) -> list[int]:
    return page.evaluate(
        """([h, i, j]) => {
            const canvas = document.querySelectorAll(".map canvas")[h];
            const unit = canvas.height / model.get("rows").length;
            const at = [(j + 0.4) * unit, (i + 0.4) * unit, 1, 1];
            return [...canvas.getContext("2d").getImageData(...at).data].slice(0, 3);
        }""",
        [h, i, j],
    )


def test_every_weight_is_a_line(show):
    weights = torch.zeros(2, 3, 4)
    weights[0] = torch.tensor([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0.25, 0.75, 0]])
    weights[1, :, 3] = 1
    first, second = drawn_lines(show(HeadView(weights, DOGS, list("abcd"))))
    thickness = {(i, j): width for i, j, width in first}
    assert set(thickness) == {(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)}
    for place, width in thickness.items():
        assert width == pytest.approx(thickness[0, 0] * weights[0][place].item())
    assert {(i, j) for i, j, _ in second} == {(0, 3), (1, 3), (2, 3)}


def test_the_heat_maps_have_the_colours_of_the_static_picture(show):
    weights = random_scores(3, 4, 5).softmax(-1)
    page = show(HeadView(weights, list("abcd"), list("vwxyz")))
    colormap = LinearSegmentedColormap.from_list("weights", plots.WEIGHT_COLORS, N=4096)
    for h, i, j in [(0, 0, 0), (1, 3, 2), (2, 1, 4), (2, 3, 0)]:
        assert cell_colour(page, h, i, j) == pytest.approx(255 * np.array(colormap(weights[h, i, j].item())[:3]), abs=2)


def test_pointing_at_a_token_shows_its_weights_alone(show):
    weights = random_scores(2, 3, 4).softmax(-1)
    page = show(HeadView(weights, DOGS, list("把英文翻")))
    query(page, 1).hover()
    assert {i for head in drawn_lines(page) for i, _, _ in head} == {1}
    for j, mean in enumerate(weights.mean(0)[1].tolist()):
        assert key(page, j).inner_text().split() == ["把英文翻"[j], f"{mean:.2f}"]
    best = weights.mean(0)[1].argmax().item()
    assert f"query “like” → {'把英文翻'[best]} {weights.mean(0)[1, best]:.2f}" in page.locator(".status").inner_text()
    key(page, 2).hover()
    assert {j for head in drawn_lines(page) for _, j, _ in head} == {2}
    assert query(page, 0).inner_text().split() == ["Dogs", f"{weights.mean(0)[0, 2]:.2f}"]
    page.mouse.move(990, 690)
    assert sum(map(len, drawn_lines(page))) == int((weights >= 0.01).sum())


def test_a_clicked_token_stays(show):
    page = show(HeadView(random_scores(1, 3, 3).softmax(-1), DOGS))
    query(page, 2).click()
    page.mouse.move(990, 690)
    assert {i for i, _, _ in drawn_lines(page)[0]} == {2}
    assert query(page, 2).get_attribute("aria-pressed") == "true"
    query(page, 2).click()
    page.mouse.move(990, 690)
    assert {i for i, _, _ in drawn_lines(page)[0]} == {0, 1, 2}


def test_the_keyboard_reaches_everything(show):
    page = show(HeadView(torch.full((2, 3, 4), 0.25), DOGS, list("abcd"), captions=["2.00 bits", "2.00 bits"]))
    focus = lambda: page.evaluate("document.activeElement.innerText").split()[0]  # noqa: E731
    press = page.keyboard.press
    press("Tab")
    assert focus() == "Dogs"
    assert {i for i, _, _ in drawn_lines(page)[0]} == {0}
    for keyboard_key, arrived in [
        ("ArrowDown", "like"),
        ("End", "balls"),
        ("ArrowDown", "balls"),
        ("ArrowRight", "c"),
        ("ArrowDown", "d"),
        ("ArrowLeft", "balls"),
        ("Home", "Dogs"),
        ("ArrowUp", "Dogs"),
    ]:
        press(keyboard_key)
        assert focus() == arrived, keyboard_key
    press("Enter")  # keep this token …
    press("Tab")
    press("Tab")
    assert page.evaluate("document.activeElement.className") == "map"
    assert {i for i, _, _ in drawn_lines(page)[0]} == {0}
    press("Space")  # … and hide the first head
    assert page.evaluate("[model.get('shown'), saved]") == [[1], 1]
    query(page, 0).focus()
    press("Escape")
    page.evaluate("document.activeElement.blur()")
    assert {i for i, _, _ in drawn_lines(page)[0]} == {0, 1, 2}


def test_a_screen_reader_hears_names_states_and_numbers(show):
    page = show(HeadView(torch.eye(3)[None].repeat(2, 1, 1), DOGS, captions=["0.10 bits", "0.20 bits"]))
    heads = page.get_by_role("group", name="attention heads").get_by_role("button")
    assert heads.count() == 2
    assert page.get_by_role("button", name="head 2 0.20 bits", pressed=True).count() == 1
    heads.nth(1).click()
    assert page.get_by_role("button", name="head 2 0.20 bits", pressed=False).count() == 1
    assert page.get_by_role("img", name="a line from each query to each key").count() == 1
    query(page, 0).hover()
    assert page.get_by_role("button", name="Dogs 1.00").count() == 1
    assert page.locator("[aria-live=polite]").inner_text() == "query “Dogs” → Dogs 1.00, like 0.00, balls 0.00 (head 1)"
    heads.nth(0).click()
    assert page.locator("[aria-live=polite]").inner_text() == "No head is shown: press a heat map."
    assert drawn_lines(page) == []


def test_moving_the_slider_redraws_lines_maps_and_captions(show, record_property):
    explorer = head_explorer(random_scores(8, 12, 12), [f"t{n}" for n in range(12)])
    page = show(explorer.view)
    before = drawn_lines(page), cell_colour(page, 3, 4, 5)
    explorer.slider.value = 0
    milliseconds = page.evaluate(
        """async (text) => {
            const start = performance.now();
            send("weights", text);
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // painted
            return performance.now() - start;
        }""",
        base64.b64encode(explorer.view.weights).decode(),
    )
    page.evaluate("captions => model.set('captions', captions)", explorer.view.captions)
    record_property("redraw_ms", milliseconds)
    print(f"8 heads of 12 × 12 redrawn in {milliseconds:.0f} ms")
    lines, colour = drawn_lines(page), cell_colour(page, 3, 4, 5)
    assert (lines, colour) != before
    assert [len(head) for head in lines] == [144] * 8
    assert len({width for head in lines for _, _, width in head}) == 1  # uniform: all equally thick
    assert page.locator(".caption").all_inner_texts() == [f"{math.log2(12):.2f} bits"] * 8


def test_nothing_moves_while_one_explores(show):
    """Numbers that appear must not push anything aside, or the token would slip away under the pointer."""
    page = show(HeadView(random_scores(3, 4, 4).softmax(-1), ["a", "much longer token", "把", "d"]))
    boxes = """() => [...document.querySelectorAll("button, svg, canvas")].map((e) => {
        const { x, y, width, height } = e.getBoundingClientRect(); return [x, y, width, height]; })"""
    before = page.evaluate(boxes)
    for token in (query(page, 1), key(page, 3), query(page, 2)):
        token.hover()
        assert page.evaluate(boxes) == before


def test_heads_are_lighter_on_a_dark_page(show):
    page = show(HeadView(torch.eye(3)[None], DOGS))
    stroke = "() => getComputedStyle(document.querySelector('svg .head')).stroke.match(/[\\d.]+/g).map(Number)"
    light = page.evaluate(stroke)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    dark = page.evaluate(stroke)
    assert all(dark[n] >= light[n] for n in range(3))
    assert sum(dark[:3]) > sum(light[:3])


def test_a_removed_view_stops_listening(show):
    page = show(HeadView(torch.eye(3)[None], DOGS))
    assert page.evaluate("listening()") > 0
    page.evaluate("dispose()")
    assert page.evaluate("listening()") == 0

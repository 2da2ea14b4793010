"""The states in which an explorer, a verdict, a figure or a progress bar can meet its reader.

One small notebook holds all of them, with models that have learnt nothing. It is run once, on one page, and then looked
at: with the keyboard, by a screen reader, dark, in few colours, narrow, saved and opened again without its kernel.
"""

import copy
import itertools
import json
import math
import re

import nbformat
import pytest
from labpage import cells, errors, execute, in_theme, open_notebook, run_all, too_faint, violations, wait_until_idle
from playwright.sync_api import expect
from serving import opened

from largemodels.classroom.release import write
from largemodels.classroom.sources import METADATA

pytestmark = pytest.mark.slow

SETUP = """
import torch
from largemodels import plots
from largemodels.bars import progress_bar
from largemodels.bert import BERT, BERTConfig
from largemodels.classroom import check
from largemodels.corpora.tasks import PromptTokenizer
from largemodels.explorers import *
from largemodels.gpt import GPT, GPTConfig
from largemodels.tokenizers import BPE, WordPiece, Words
from largemodels.transformer import Transformer, TransformerConfig

torch.manual_seed(0)
words = "Dogs like red balls .".split()
scores = 3 * torch.randn(3, 5, 5)
english, chinese = Words("dogs cats like balls .".split()), Words("狗 猫 喜欢 球 。".split())
pieces = WordPiece.train(["the dogs like the cats, and the cats like a dog"] * 3, size=60)
letters, prompts = BPE([], special=["<eos>"]), PromptTokenizer()
small = {"d_model": 16, "num_layers": 2, "num_heads": 2}
translator = Transformer(TransformerConfig(len(english), len(chinese), max_length=12, d_model=16, num_heads=4, d_ff=32))
reader = BERT(BERTConfig(len(pieces), max_length=16, **small)).eval()
writer = GPT(GPTConfig(len(letters), max_length=12, init_std=0.3, **small))
learner = GPT(GPTConfig(len(prompts), max_length=40, positions="rope", **small)).eval()
"""
EXPLORERS = {
    "heads": "head_explorer(scores, words)",
    "masks": "MaskPainter(scores[0], words, layers=2)",
    "encodings": "encoding_explorer(32)",
    "decoding": 'decoding_explorer(translator, english, chinese, "Dogs like balls .", bos=1, eos=2, prepare=str.lower)',
    "corruptions": "corruption_explorer()",
    "blanks": 'blank_explorer(reader, pieces, "the ___ like a ___")',
    "sampling": 'sampling_explorer(writer, letters, "Dogs", begin=0, max_length=12)',
    "shots": r'shots_explorer(learner, prompts, "把英文翻译成密码:\ndog => bomi\negg => zela\ndog =>")',
}
OTHERS = {
    "verdict": "def attention(query, key, value, mask=None):\n    return query @ key.transpose(-2, -1)\n\ncheck(attention)",
    "bar": "for _ in progress_bar(range(3)):\n    pass",
    "figure": "plots.curves({'a': [3, 2, 1], 'b': [2, 2, 2]}, xlabel='steps', ylabel='loss')",
    "traceback": 'raise ValueError("an error to read")',
}
NAMES = ["setup", *EXPLORERS, *OTHERS]


@pytest.fixture(scope="module")
def states(chromium, lab, course):
    """The page, with every cell run."""
    sources = [SETUP.strip(), *EXPLORERS.values(), *OTHERS.values()]
    made = [nbformat.v4.new_code_cell(source, id=name) for name, source in zip(NAMES, sources, strict=True)]
    write(nbformat.v4.new_notebook(cells=made, metadata=copy.deepcopy(METADATA)), course / "states.ipynb")
    with opened(chromium, lab) as page:
        open_notebook(page, lab, "states.ipynb")
        run_all(page, seconds=120)
        assert errors(page) == ["ValueError"]  # the one to be read
        expect(of(page, "shots").locator("table")).to_have_count(2)
        expect(of(page, "heads").locator(".noUi-handle")).to_have_attribute("aria-label", "sharpness")
        yield page


@pytest.fixture
def page(states):
    """The same page for all, as wide and as bright as at first."""
    yield states
    states.emulate_media(forced_colors="none", media="screen")
    states.set_viewport_size({"width": 1400, "height": 1000})
    in_theme(states, "JupyterLab Light")


def of(page, name):
    """The output of a cell."""
    return cells(page).nth(NAMES.index(name)).locator(".jp-Cell-outputWrapper")


def test_the_heads_move_with_slider_and_pointer(page):
    explorer = of(page, "heads")
    explorer.scroll_into_view_if_needed()
    handle = explorer.locator(".noUi-handle")
    expect(explorer.locator(".widget-readout")).to_have_text("1.0")

    def seen():
        """What the figure shows: the lines, the pixels of the heat maps, the entropy under each."""
        return explorer.evaluate(
            """cell => [cell.querySelector("svg[role=img]").innerHTML,
              [...cell.querySelectorAll("canvas")].map(canvas => canvas.toDataURL()),
              [...cell.querySelectorAll(".caption")].map(caption => parseFloat(caption.textContent))]"""
        )

    lines, maps, entropies = seen()
    num_keys = explorer.locator(".key button.token").count()
    assert len(maps) == len(entropies) == 3
    assert min(entropies) < math.log2(num_keys) - 0.1
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(explorer.locator(".widget-readout")).to_have_text("0.0")
    # At sharpness 0 every key weighs the same.
    expect(explorer.locator(".caption")).to_have_text([f"{math.log2(num_keys):.2f} bits"] * len(maps))
    flat_lines, flat_maps, _ = seen()
    assert flat_lines != lines
    assert all(flat != old for flat, old in zip(flat_maps, maps, strict=True))

    # Pointing at a word shows its weights in numbers, without the kernel.
    explorer.locator("button.token").first.hover()
    numbers = explorer.locator(".key button.token .number")
    expect(numbers).to_have_text([re.compile(r"0\.\d\d")] * num_keys)
    assert [float(text) for text in numbers.all_inner_texts()] == pytest.approx([1 / num_keys] * num_keys, abs=0.006)


def test_a_screen_reader_hears_all_names(page):
    assert violations(page, ".jp-Cell-outputWrapper") == []
    assert len(of(page, "figure").get_by_role("img").get_attribute("alt").split()) >= 8


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"])
def test_everything_can_be_read_in_every_theme(page, theme):
    of(page, "decoding").get_by_role("textbox").fill("dogs like gold .")
    expect(of(page, "decoding").locator(".problem")).to_contain_text("gold")
    # The candidates for the sentence before are gone.
    assert set(of(page, "decoding").locator(".choices button").all_inner_texts()) == {"–"}
    in_theme(page, theme)
    assert too_faint(page, ".jp-Cell-outputWrapper .jp-OutputArea-output") == []
    # Bars and curves, which say something, too: 3 : 1 (1.4.11).
    drawn = """bars => bars.map((bar) => {
      const ink = getComputedStyle(bar), mark = document.createElement("span");
      mark.textContent = "x";
      mark.style.color = bar instanceof SVGElement ? ink.stroke : ink.backgroundColor;
      bar.closest(".widget-html-content").append(mark);
      mark.className = "measured";
    })"""
    page.locator(".bar, .thin, .curve").evaluate_all(drawn)
    assert too_faint(page, ".measured", least=3) == []
    page.locator(".measured").evaluate_all("marks => marks.forEach(mark => mark.remove())")
    of(page, "decoding").get_by_role("textbox").fill("dogs like balls .")
    expect(of(page, "decoding").locator(".problem")).to_have_count(0)


def test_in_few_colours_nothing_is_lost(page):
    """The reader's own colours replace the page's: backgrounds are gone, what they said must be said otherwise."""
    page.emulate_media(forced_colors="active")
    paper = page.evaluate("getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor")
    for name in ("sampling", "blanks", "shots"):
        bars = (
            of(page, name)
            .locator(".bar")
            .evaluate_all("bars => bars.map(bar => getComputedStyle(bar).backgroundColor)")
        )
        assert len(bars) > 5
        assert paper not in bars
    hidden = of(page, "masks").locator(".cell[aria-pressed=false]").first
    assert hidden.evaluate("cell => getComputedStyle(cell, '::after').content") == '"×"'
    legend = of(page, "corruptions").locator("div > span").filter(has_text=re.compile("hidden|found|place"))
    borders = legend.evaluate_all("spans => spans.map(span => getComputedStyle(span).borderTopStyle)")
    assert len(set(borders)) == len(borders) == 3
    dashes = (
        of(page, "heads")
        .locator(".head")
        .evaluate_all("heads => heads.map(head => head.getAttribute('stroke-dasharray'))")
    )
    assert len(set(dashes)) == len(dashes) == 3
    assert of(page, "heads").locator(".map .sample path").count() == 3  # a key to them


@pytest.mark.parametrize("width", [1024, 390])
def test_narrow_pages_show_labels_numbers_and_all_controls(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    for name in ("sampling", "blanks", "shots"):
        for row in of(page, name).locator("tr").all()[:3]:
            label, number, bar = row.locator("th, td").all()
            boxes = [part.bounding_box() for part in (label, number, bar)]
            assert all(box["width"] > 5 for box in boxes[:2])
            for left, right in itertools.pairwise(boxes):
                assert left["x"] + left["width"] <= right["x"] + 1
                assert abs(left["y"] - right["y"]) < left["height"]
    for label in of(page, "masks").locator(".row").all():
        assert label.bounding_box()["width"] > 30
    # Nothing that can be worked lies outside of the cell, but for the table of the masks, which scrolls.
    outside = """outputs => outputs.flatMap((output) => {
      const { right } = output.getBoundingClientRect();
      return [...output.querySelectorAll("button:not(.cell), input, select, textarea, [role=slider]")]
        .filter((control) => control.getBoundingClientRect().right > right + 1)
        .map((control) => control.outerHTML.slice(0, 100));
    })"""
    assert page.locator(".jp-OutputArea-output:has(.largemodels)").evaluate_all(outside) == []


@pytest.mark.parametrize("name", EXPLORERS)
def test_no_key_reaches_the_notebook(page, name):
    """Deleting, inserting, turning into text, running, selecting: keys of JupyterLab's command mode."""
    notebook = """() => {
      const { widgets, model, activeCellIndex } = window.jupyterapp.shell.currentWidget.content;
      const selected = widgets.filter((cell) => cell.model.id && cell.hasClass("jp-mod-selected")).length;
      return [[...model.cells].map((cell) => [cell.type, cell.id, cell.executionCount]), activeCellIndex, selected];
    }"""
    controls = of(page, name).locator("button:enabled, input:enabled, select, textarea, [role=slider]")
    kinds = controls.evaluate_all("all => all.map(control => control.tagName + control.type + control.role)")
    for control in dict(zip(kinds, controls.element_handles(), strict=True)).values():  # one of each kind
        control.focus()
        before = page.evaluate(notebook)
        for key in ("d", "d", "b", "a", "x", "m", "y", "Shift+Enter", "Control+Enter", "Control+a", "Shift+ArrowDown"):
            page.keyboard.press(key)
        wait_until_idle(page)
        assert page.evaluate(notebook) == before


def test_saved_and_opened_again_without_its_kernel(page, lab, course):
    """The last of these tests: the page is another one afterwards."""
    execute(page, "docmanager:save")
    path = course / "states.ipynb"
    saved = path.read_bytes()
    bundles = [output.get("data", {}) for cell in json.loads(saved)["cells"] for output in cell["outputs"]]
    assert sum("application/vnd.jupyter.widget-view+json" in bundle for bundle in bundles) == len(EXPLORERS)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown().then(() => null)")
    open_notebook(page, lab, "states.ipynb")
    expect(page.get_by_text("run this cell again, and it will answer")).to_have_count(len(EXPLORERS) - 1)
    expect(page.get_by_text("Error displaying widget")).to_have_count(0)
    expect(page.get_by_text("model not found")).to_have_count(0)
    for name in EXPLORERS:
        assert of(page, name).locator(".largemodels").first.bounding_box()["height"] > 60, name
    expect(of(page, "bar")).to_contain_text("3/3")
    execute(page, "docmanager:save")  # as JupyterLab does by itself: the explorers are not lost by it
    unchanged = path.read_bytes() == saved
    assert unchanged
    # The explorer of masks needs no kernel at all.
    cell = of(page, "masks").locator(".cell").first
    cell.click()
    expect(cell).to_have_attribute("aria-pressed", "false")

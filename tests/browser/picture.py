"""Take the README's picture: ``python course.py python -m pytest tests/browser/picture.py`` writes ``docs/course.png``.

It is no test, and runs only when it is named: chapter 1 with an explorer, beside an exercise with a wrong answer and what
its check says to it, as JupyterLab shows them on a copy of the course.
"""

from io import BytesIO
from pathlib import Path

from labpage import cell_number, cells, execute, run, run_all, wait_until_idle
from PIL import Image
from playwright.sync_api import expect

PICTURE = Path(__file__).parents[2] / "docs" / "course.png"
COLOURS = 128  # enough for text and figures, and a fifth of the bytes
ANSWER = """def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-2)
    return weights @ value, weights"""
OPEN_BESIDE = """path => window.jupyterapp.commands.execute(
  "docmanager:open", { path, options: { mode: "split-right" } }).then(() => null)"""
FOCUS = """path => { const shell = window.jupyterapp.shell;
  for (const widget of shell.widgets("main")) if (widget.context?.path === path) shell.activateById(widget.id); }"""
SET_SOURCE = """([number, source]) => window.jupyterapp.shell.currentWidget.content.widgets[number]
  .model.sharedModel.setSource(source)"""


def test_take_the_picture(page, lab, course):
    chapter, exercise = "chapters/01-attention.ipynb", "exercises/01-attention.ipynb"
    page.set_viewport_size({"width": 1480, "height": 860})
    page.goto(f"{lab}/lab/tree/{chapter}")
    expect(cells(page).first).to_be_visible()
    wait_until_idle(page)
    run_all(page, seconds=600)
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area').then(() => null)")
    page.evaluate(OPEN_BESIDE, exercise)
    page.wait_for_function("path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=exercise)
    wait_until_idle(page)

    right = page.locator(".jp-NotebookPanel").last.locator(".jp-Cell")
    imports = cell_number(course / exercise, "import math")
    answer = cell_number(course / exercise, "def attention(")
    check = cell_number(course / exercise, "check(attention")
    for number in (imports, answer, check):
        if number == answer:
            page.evaluate(SET_SOURCE, [number, ANSWER])
        run(page, right.nth(number))
    expect(right.nth(check)).to_contain_text("softmax over the queries")

    page.evaluate(FOCUS, chapter)
    left = page.locator(".jp-NotebookPanel").first.locator(".jp-Cell")
    explorer = left.nth(cell_number(course / chapter, "head_explorer("))
    expect(explorer.locator(".noUi-handle")).to_be_visible()
    explorer.evaluate("cell => cell.scrollIntoView({ block: 'end' })")
    right.nth(answer - 1).evaluate("cell => cell.scrollIntoView({ block: 'start' })")
    execute(page, "notebook:enter-command-mode", seconds=20)
    page.mouse.move(0, 0)
    image = Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    image.save(PICTURE, optimize=True)
    assert PICTURE.stat().st_size < 200_000

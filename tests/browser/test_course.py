"""What a newcomer does, done in a browser: open the front page, read chapter 1, solve an exercise.

`make lab` is what is tested: its settings, its front page, its kernels. Anything visible is found as a reader finds
it, by its text or its role; JupyterLab itself is asked only when it has come to rest.
"""

import json
import math
import re
import sys
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from largemodels.classroom import exercises

pytestmark = pytest.mark.slow

# The kernel's own indicator says "idle" before there is a kernel: ask the session.
IDLE = """() => {
  const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
  const kernel = session?.session?.kernel;
  return Boolean(session?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle"
    && !document.querySelector("#jupyterlab-splash"));
}"""


def wait_until_idle(page: Page, seconds: float = 60) -> None:
    page.wait_for_function(IDLE, timeout=1000 * seconds)


def open_notebook(page: Page, lab: str, path: str) -> None:
    page.goto(f"{lab}/doc/tree/{path}")  # one document, nothing restored from before
    expect(cells(page).first).to_be_visible()
    wait_until_idle(page)
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def cells(page: Page) -> Locator:
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")


def cell_number(path: Path, containing: str) -> int:
    notebook = nbformat.read(path, as_version=4)
    (number,) = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code" and containing in cell.source]
    return number


def execute(page: Page, command: str, seconds: float) -> None:
    """Run a command of JupyterLab's; its promise tells when all is done, and has no time limit of its own."""
    page.evaluate(
        """([command, milliseconds]) => Promise.race([
          window.jupyterapp.commands.execute(command),
          new Promise((_, fail) => setTimeout(() => fail(new Error(`${command}: time is up`)), milliseconds)),
        ]).then(() => null)""",
        [command, 1000 * seconds],
    )
    wait_until_idle(page)


def run_all(page: Page, seconds: float) -> None:
    """What the menu's Run All Cells does."""
    execute(page, "notebook:run-all-cells", seconds)
    errors = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
    assert errors.all_inner_texts() == []
    left_out = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].filter(
      cell => cell.type === "code" && cell.sharedModel.getSource().trim() && cell.executionCount === null).length"""
    assert page.evaluate(left_out) == 0


def write_in(page: Page, cell: Locator, code: str) -> None:
    """Replace what stands in a cell by pasting, and run it."""
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.evaluate("code => navigator.clipboard.writeText(code)", code)
    page.keyboard.press("ControlOrMeta+v")
    expect(cell.locator(".cm-content")).to_contain_text(code.strip().splitlines()[-1].strip())
    run(page, cell)


def run(page: Page, cell: Locator) -> None:
    """What Ctrl + Enter does."""
    cell.locator(".cm-content").click()
    execute(page, "notebook:run-cell", seconds=120)


def test_front_page(page, lab, course, home):
    page.goto(lab)
    expect(page.get_by_role("heading", name="Large Models, Layer by Layer")).to_be_visible()
    wait_until_idle(page)
    assert page.url == f"{lab}/lab/tree/START.ipynb"
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    expect(page.locator(".Toastify__toast")).to_have_count(0)
    # The table of contents is open and leads to the sections.
    expect(page.locator(".jp-TableOfContents-tree").get_by_text("The eight chapters")).to_be_visible()

    # The doctor looks at this machine, and the kernel uses the library of this very folder: its Python is elsewhere.
    doctor = cells(page).nth(cell_number(course / "START.ipynb", "doctor()"))
    run(page, doctor)
    verdict = doctor.locator(".jp-OutputArea")
    expect(verdict).to_contain_text(f"in {sys.prefix}")
    expect(verdict).to_contain_text(re.compile("All is in order|The course runs here"))

    # Links lead to notebooks.
    text = (course / "chapters/text/START.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([\w/.-]+\.ipynb)\)", text)
    assert [path for path in linked if not (course / path).is_file()] == []
    assert len(linked) >= 3
    for path in linked[:3]:
        cells(page).locator(f'a[href*="{path}"]').click()
        page.wait_for_function("path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=path)
        first = nbformat.read(course / path, as_version=4).cells[0].source.splitlines()[0]
        expect(cells(page).first).to_contain_text(first.lstrip("# "))
        page.locator(".lm-TabBar-tab", has_text="START.ipynb").click()
        expect(page.get_by_role("heading", name="Large Models, Layer by Layer")).to_be_visible()

    # Layouts are kept with the course; the user's own configuration is left alone.
    assert list((course / ".course" / "workspaces").iterdir())
    touched = [path for path in home.rglob("*") if "lab" in path.relative_to(home).parts]
    assert touched == []
    assert not list((home / ".jupyter").glob("*.py*"))


def test_chapter_1(page, lab, course):
    open_notebook(page, lab, "chapters/01-attention.ipynb")
    run_all(page, seconds=400)
    explorer = cells(page).nth(cell_number(course / "chapters/01-attention.ipynb", "head_explorer("))
    explorer.scroll_into_view_if_needed()
    handle = explorer.locator(".noUi-handle")
    expect(handle).to_be_visible()
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
    assert len(maps) == len(entropies) >= 2
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


def test_exercise_1(page, lab, course):
    """A wrong answer gets its diagnosis, the right one full marks; both are remembered."""
    notebook = course / "exercises/01-attention.ipynb"
    exercise = exercises["1.2"]
    assert exercise.name == "attention"
    answer = cells(page).nth(cell_number(notebook, "def attention("))
    check = cells(page).nth(cell_number(notebook, "check(attention"))
    progress = cells(page).nth(cell_number(notebook, "progress(1)"))
    verdict = check.locator(".jp-OutputArea")

    open_notebook(page, lab, "exercises/01-attention.ipynb")
    run_all(page, seconds=120)  # before anything is solved
    expect(verdict).to_contain_text("Nothing to check yet")

    wrong = "def attention(query, key, value, mask=None):\n    return query @ key.transpose(-2, -1) @ value\n"
    write_in(page, answer, wrong)
    run(page, check)
    expect(verdict).to_contain_text(f"wrong, 0 of {exercise.points:g} points")

    unscaled = """def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, dim=-1)
    return weights @ value, weights
"""
    write_in(page, answer, unscaled)
    run(page, check)
    (message,) = [m.message for m in exercise.misconceptions if "not scaled" in m.message]
    expect(verdict).to_contain_text(message)
    expect(verdict).to_contain_text(f"0 of {exercise.points:g} points")

    write_in(page, answer, solution(course, "answer-1.2"))
    run(page, check)
    expect(verdict).to_contain_text(f"passed, {exercise.points:g} of {exercise.points:g} points")
    run(page, progress)
    expect(progress.locator("tr", has_text=exercise.title)).to_contain_text(
        f"{exercise.points:g} / {exercise.points:g}"
    )
    remembered = json.loads((course / ".progress/1.2.json").read_text(encoding="utf-8"))
    assert remembered["points"] == exercise.points


def solution(course: Path, tag: str) -> str:
    notebook = nbformat.read(course / "solutions/01-attention.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    return "\n".join(line for line in cell.source.splitlines() if "### " not in line)

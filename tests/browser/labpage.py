"""What browser tests do with JupyterLab, and what they ask the page: is it legible, and can everybody use it?"""

import re
from importlib.resources import files
from pathlib import Path

import nbformat
from playwright.sync_api import Locator, Page, expect

# The kernel's own indicator says "idle" before there is a kernel: ask the session.
IDLE = """() => {
  const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
  const kernel = session?.session?.kernel;
  return Boolean(session?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle"
    && !document.querySelector("#jupyterlab-splash"));
}"""


def wait_until_idle(page: Page, seconds: float = 60) -> None:
    page.wait_for_function(IDLE, timeout=1000 * seconds)


def address(lab: str, path: str) -> re.Pattern:
    """Where the browser stands when a document is open: JupyterLab's address ends in an empty query for a moment."""
    return re.compile(re.escape(f"{lab}/lab/tree/{path}") + r"\??")


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


def execute(page: Page, command: str, seconds: float = 60, **arguments) -> None:
    """Run a command of JupyterLab's; its promise tells when all is done, and has no time limit of its own."""
    page.evaluate(
        """([command, options, milliseconds]) => Promise.race([
          window.jupyterapp.commands.execute(command, options),
          new Promise((_, fail) => setTimeout(() => fail(new Error(`${command}: time is up`)), milliseconds)),
        ]).then(() => null)""",
        [command, arguments, 1000 * seconds],
    )
    wait_until_idle(page)


def run_all(page: Page, seconds: float) -> None:
    """What the menu's Run All Cells does."""
    execute(page, "notebook:run-all-cells", seconds)
    left_out = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].filter(
      cell => cell.type === "code" && cell.sharedModel.getSource().trim() && cell.executionCount === null).length"""
    assert page.evaluate(left_out) == 0


def errors(page: Page) -> list[str]:
    """The names of the exceptions that stand in the notebook."""
    return page.evaluate(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].flatMap(
          (cell) => cell.type === "code" ? cell.outputs.toJSON() : []
        ).filter((output) => output.output_type === "error").map((output) => output.ename)"""
    )


def run(page: Page, cell: Locator) -> None:
    """What Ctrl + Enter does."""
    cell.locator(".cm-content").click()
    execute(page, "notebook:run-cell", seconds=120)


def write_in(page: Page, cell: Locator, code: str) -> None:
    """Replace what stands in a cell by pasting, and run it."""
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.evaluate("code => navigator.clipboard.writeText(code)", code)
    page.keyboard.press("ControlOrMeta+v")
    expect(cell.locator(".cm-content")).to_contain_text(code.strip().splitlines()[-1].strip())
    run(page, cell)


def is_dirty(page: Page) -> bool:
    """Whether JupyterLab would ask before it closes the notebook, and writes it the next time it saves by itself."""
    return page.evaluate("window.jupyterapp.shell.currentWidget.context.model.dirty")


def in_theme(page: Page, name: str) -> None:
    execute(page, "apputils:change-theme", theme=name)
    page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)


def too_faint(page: Page, selector: str, least: float = 4.5) -> list:
    """Texts in `selector` with less contrast than `least` : 1 (WCAG 2.2, 1.4.3). What is disabled is exempt there."""
    return [found for found in page.evaluate(CONTRASTS, selector) if found[0] < least]


# For each text its contrast, itself, and its colours. Backgrounds that let others shine through are laid on them.
CONTRASTS = """selector => {
  const paper = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { // of any CSS colour
    paper.clearRect(0, 0, 1, 1);
    paper.fillStyle = color;
    paper.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paper.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const luminance = (color) => {
    const linear = color.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const found = [];
  for (const root of document.querySelectorAll(selector)) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
      if (!text || element.closest("style, :disabled, [disabled]") || !element.checkVisibility()) continue;
      const ancestors = [];
      for (let node = element; node; node = node.parentElement) ancestors.unshift(node);
      let under = [255, 255, 255], opacity = 1;
      for (const node of ancestors) {
        const look = getComputedStyle(node);
        under = over(rgba(look.backgroundColor), under);
        opacity *= look.opacity;
      }
      const look = getComputedStyle(element);
      const ink = rgba(element instanceof SVGElement ? look.fill : look.color);
      ink[3] *= opacity;
      found.push([Number(contrast(over(ink, under), under).toFixed(2)), text.slice(0, 40), look.color, under.join()]);
    }
  }
  return found;
}"""

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, selector: str) -> list[str]:
    """What axe-core finds in `selector` against WCAG 2.2, levels A and AA; contrast is measured by `too_faint`."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    return page.evaluate(
        """async selector => {
          const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
          const options = { runOnly: tags, rules: { "color-contrast": { enabled: false } } };
          const { violations } = await axe.run({ include: [[selector]] }, options);
          return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
        }""",
        selector,
    )

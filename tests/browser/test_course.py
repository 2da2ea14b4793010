"""What a newcomer does, done in a browser: open the front page, read chapter 1, solve an exercise.

`make lab` is what is tested: its settings, its front page, its kernels. Anything visible is found as a reader finds
it, by its text or its role; JupyterLab itself is asked only when it has come to rest.
"""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from labpage import (
    address,
    cell_number,
    cells,
    errors,
    execute,
    in_theme,
    is_dirty,
    open_notebook,
    run,
    run_all,
    too_faint,
    violations,
    wait_until_idle,
    write_in,
)
from playwright.sync_api import expect
from serving import jupyterlab, opened

from largemodels.classroom import exercises
from largemodels.classroom.editions.typography import left_in_english
from largemodels.language import speaking

pytestmark = pytest.mark.slow

# What JupyterLab itself lacks: names of code editors and of the buttons that fold, roles in its list of cells, focus for
# what can be scrolled.
JUPYTERLABS_OWN = re.compile(
    r'class="(cm-content|[^"]*cm-scroller|jp-WindowedPanel-viewport|lm-Widget jp-RenderedHTML|jp-Button jp-collapse)'
)


def test_front_page(page, lab, course, home):
    page.goto(lab)
    expect(page.get_by_role("heading", name="Large Models, Layer by Layer")).to_be_visible()
    wait_until_idle(page)
    expect(page).to_have_url(address(lab, "START.ipynb"))
    assert "File" in page.locator(".lm-MenuBar-itemLabel").all_inner_texts()
    assert not is_dirty(page)
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
    path = next(path for path in linked if path.startswith("exercises/"))
    cells(page).locator(f'a[href*="{path}"]').first.click()
    page.wait_for_function("path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=path)
    first = nbformat.read(course / path, as_version=4).cells[0].source.splitlines()[0]
    expect(cells(page).first).to_contain_text(first.lstrip("# "))
    # Its tab tells it from the chapter's, which has the same file name.
    tab = page.locator(".lm-TabBar-tab", has_text=Path(path).name)
    assert tab.evaluate("tab => getComputedStyle(tab, '::after').content") == '"exercises/"'
    page.locator(".lm-TabBar-tab", has_text="START.ipynb").click()
    expect(page.get_by_role("heading", name="Large Models, Layer by Layer")).to_be_visible()

    # Layouts are kept with the course; the user's own configuration is left alone.
    assert list((course / ".course" / "workspaces").iterdir())
    touched = [path for path in home.rglob("*") if "lab" in path.relative_to(home).parts]
    assert touched == []
    assert not list((home / ".jupyter").glob("*.py*"))


def test_the_chinese_edition_opens_with_chinese_menus_and_leads_to_its_twin(chromium, course, tmp_path):
    with jupyterlab(course, tmp_path, "zh") as lab, opened(chromium, lab) as page:
        page.goto(lab)
        expect(page.get_by_role("heading", name="大模型网络结构")).to_be_visible()
        wait_until_idle(page)
        expect(page).to_have_url(address(lab, "START.zh.ipynb"))
        expect(page.locator(".jp-Dialog")).to_have_count(0)
        menus = page.locator(".lm-MenuBar-itemLabel").all_inner_texts()
        assert {"文件", "编辑"} <= set(menus)
        cells(page).first.get_by_role("link", name="English").click()
        page.wait_for_function("window.jupyterapp.shell.currentWidget?.context?.path === 'START.ipynb'")
        wait_until_idle(page)
    touched = [path for path in tmp_path.rglob("*") if "lab" in path.relative_to(tmp_path).parts]
    assert touched == []


def test_a_chapter_is_opened_read_and_printed(page, lab, course):
    """Without being run: `tests/notebooks` run all of them, test_states.py what moves in them."""
    path = course / "chapters/01-attention.ipynb"
    released = path.read_bytes()
    open_notebook(page, lab, "chapters/01-attention.ipynb")
    assert not is_dirty(page)
    execute(page, "docmanager:save")  # as JupyterLab does by itself every 30 seconds, if there is a change
    unchanged = path.read_bytes() == released
    assert unchanged  # pytest would compare half a million bytes for minutes

    pictures = page.locator(".jp-RenderedImage img")
    assert pictures.count() >= 5
    texts = pictures.evaluate_all("images => images.map(image => image.alt)")
    assert min(len(text.split()) for text in texts) >= 8
    assert [found for found in violations(page, ".jp-Notebook") if not JUPYTERLABS_OWN.search(found)] == []
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        in_theme(page, theme)
        assert too_faint(page, ".jp-OutputArea-output, .jp-MarkdownOutput") == []

    # On paper: what the menu's Print shows, on a page as wide as A4 between its margins.
    printed = page.context.new_page()
    printed.set_viewport_size({"width": 718, "height": 1000})
    printed.emulate_media(media="print")
    asked: list[str] = []
    printed.on("request", lambda request: asked.append(request.url))
    printed.goto(f"{lab}/nbconvert/html/chapters/01-attention.ipynb?download=false", referer=lab)
    assert [url for url in asked if not url.startswith((lab, "data:"))] == []
    assert printed.locator("math[display=block]").first.bounding_box()["width"] > 100
    assert printed.locator(".jp-CodeCell").count() > 20
    cut = """() => [...document.querySelectorAll("pre, img, .jp-InputArea-editor, .jp-OutputArea-output")].filter(
      part => part.scrollWidth > part.clientWidth + 1 || part.getBoundingClientRect().right > innerWidth
    ).map(part => part.textContent.slice(0, 80))"""
    assert printed.evaluate(cut) == []
    assert printed.locator("img").evaluate_all("images => images.map(image => image.alt)") == texts
    printed.close()


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
    assert errors(page) == []
    expect(verdict).to_contain_text("Nothing to check yet")

    wrong = "def attention(query, key, value, mask=None):\n    return query @ key.transpose(-2, -1) @ value\n"
    write_in(page, answer, wrong)
    run(page, check)
    expect(verdict).to_contain_text(f"wrong, 0 of {exercise.points:g} points")

    write_in(page, answer, UNSCALED)
    run(page, check)
    (message,) = [m.message for m in exercise.misconceptions if "not scaled" in m.message]
    expect(verdict).to_contain_text(message)
    expect(verdict).to_contain_text(f"0 of {exercise.points:g} points")

    # What stands in the cell now does not run: nothing is said of the answer that was there before.
    write_in(page, answer, UNSCALED.replace("return weights", "return (weights"))
    run(page, check)
    expect(verdict).to_contain_text("stopped with SyntaxError")
    expect(verdict).not_to_contain_text(message)

    write_in(page, answer, solution(course, "answer-1.2"))
    run(page, check)
    expect(verdict).to_contain_text(f"passed, {exercise.points:g} of {exercise.points:g} points")
    run(page, progress)
    expect(progress.locator("tr", has_text=exercise.title)).to_contain_text(
        f"{exercise.points:g} / {exercise.points:g}"
    )
    remembered = json.loads((course / ".progress/1.2.json").read_text(encoding="utf-8"))
    assert remembered["points"] == exercise.points

    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        in_theme(page, theme)
        assert too_faint(page, ".jp-OutputArea-output") == []


def test_the_way_of_a_chinese_student(page, lab, course):
    """From the Chinese front page to the file to hand in, without one English sentence."""
    notebook = course / "exercises/zh/01-attention.ipynb"
    exercise = exercises["1.2"]
    answer = cells(page).nth(cell_number(notebook, "def attention("))
    check = cells(page).nth(cell_number(notebook, "check(attention"))
    hand_in = cells(page).nth(cell_number(notebook, "hand_in()"))
    verdict = check.locator(".jp-OutputArea")

    page.goto(f"{lab}/lab/tree/START.zh.ipynb")
    expect(page.get_by_role("heading", name="大模型网络结构")).to_be_visible()
    path = notebook.relative_to(course).as_posix()
    cells(page).locator(f'a[href*="{path}"]').first.click()
    page.wait_for_function("path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=path)
    wait_until_idle(page)
    expect(page.locator(".lm-TabBar-tab.jp-mod-current")).to_have_attribute("data-folder", "exercises/zh")
    run_all(page, seconds=120)
    assert errors(page) == []
    expect(verdict).to_contain_text("还没有可检查的")

    write_in(page, answer, UNSCALED)
    run(page, check)
    with speaking("zh"):
        told = exercise.grade(answer_of(UNSCALED))
        expect(verdict).to_contain_text(told.headline)
    expect(verdict).to_contain_text(told.message.splitlines()[0][:20])

    hint = page.locator("details").filter(has_text="提示 1").nth(1)
    hint.locator("summary").click()
    expect(hint.locator("p").first).to_be_visible()

    write_in(page, answer, solution(course, "answer-1.2", "zh"))
    run(page, check)
    expect(verdict).to_contain_text(f"通过，得 {exercise.points:g} 分")
    execute(page, "docmanager:save")
    write_in(page, hand_in, 'from largemodels.classroom import hand_in\n\nhand_in(number="2026001")')
    expect(hand_in.locator(".jp-OutputArea")).to_contain_text("已写好", timeout=120_000)
    assert (course / "exercises/zh/hand-in/01-2026001.ipynb").is_file()

    shown = cells(page).locator(".jp-OutputArea-output, .jp-RenderedMarkdown").all_inner_texts()
    assert len(shown) > 20
    assert [text for text in shown if left_in_english(text)] == []


UNSCALED = """def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, dim=-1)
    return weights @ value, weights
"""


def answer_of(code: str):
    import torch

    namespace = {"torch": torch}
    exec(code, namespace)
    return namespace["attention"]


def solution(course: Path, tag: str, edition: str = ".") -> str:
    notebook = nbformat.read(course / "solutions" / edition / "01-attention.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    return "\n".join(line for line in cell.source.splitlines() if "### " not in line)

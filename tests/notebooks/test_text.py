"""Code in good style, prose that JupyterLab renders, links that lead somewhere."""

import re
import subprocess
import sys
from urllib.parse import unquote

import nbformat
import pytest
from markdown_it import MarkdownIt

from largemodels.classroom.release import COURSE
from largemodels.classroom.sources import targets

NOTEBOOKS = [pytest.param(target.path, id=target.path.relative_to(COURSE).as_posix()) for target in targets(COURSE)]


@pytest.mark.parametrize("command", [["check"], ["format", "--check", "--diff"]], ids=" ".join)
def test_code_cells_pass_ruff(command):
    """Of the notebooks, which ruff reads; test_up_to_date.py makes sure that they say what their sources say.

    To format a text source: jupytext --pipe "ruff format -" --pipe-fmt py:percent chapters/text/NAME.md
    """
    paths = [str(parameter.values[0]) for parameter in NOTEBOOKS]
    ruff = [sys.executable, "-m", "ruff", *command, "--config", str(COURSE / "pyproject.toml"), "--no-cache"]
    done = subprocess.run([*ruff, *paths], cwd=COURSE, capture_output=True, encoding="utf-8")
    if done.returncode:
        report = re.sub(r"^--- .*\n\+\+\+ .*\n(?!@@)", "", done.stdout, flags=re.MULTILINE)  # cells without a change
        pytest.fail(report + done.stderr, pytrace=False)


def prose(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_plain_jupyterlab_renders_the_prose(path):
    """MyST knows more than JupyterLab, which shows the rest as raw text, removes it, or folds it wrongly."""
    for cell in prose(path):
        assert not re.search(r"^(:::|```+\{)", cell, re.MULTILINE), f"a directive is shown as text:\n{cell}"
        assert not re.search(r"\{[a-z:-]+\}`", cell), f"a role is shown as text:\n{cell}"
        assert not re.search(r"\[\^", cell), f"a footnote is shown as text:\n{cell}"
        assert not re.search(r"^> \[!", cell, re.MULTILINE), f"an alert is shown as text:\n{cell}"
        assert not re.search(r"<(script|iframe|svg)\b", cell), f"the sanitizer removes this:\n{cell}"
        assert "<!--" not in cell, f"a comment, or a placeholder that was not filled:\n{cell}"
        assert cell.count("<details>") == cell.count("</details>") == cell.count("<summary>"), cell
        headings = [i for i, token in enumerate(tokens(cell)) if token.type == "heading_open"]
        assert headings in ([], [0]), f"a heading must begin its cell, so that it folds:\n{cell}"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_progress_bars_are_lines_of_text(path):
    """tqdm's own is a widget: when the notebook is opened again, it is an error message."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.cell_type != "code" or not re.search(r"tqdm\.(auto|notebook)", cell.source), cell.source


def tokens(markdown):
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def links(markdown):
    """The targets of all links and images."""
    for token in tokens(markdown):
        for child in token.children or []:
            if child.type in ("link_open", "image"):
                yield child.attrs.get("href") or child.attrs["src"]
    yield from re.findall(r"<(?:a|img)\b[^>]*\b(?:href|src)=[\"']([^\"']+)", markdown)


def anchors(path):
    """What JupyterLab calls the headings of a notebook."""
    for cell in prose(path):
        found = tokens(cell)
        for i, token in enumerate(found):
            if token.type == "heading_open":
                yield "".join(child.content for child in found[i + 1].children).replace(" ", "-")


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_links_lead_somewhere(path):
    for link in (link for cell in prose(path) for link in links(cell)):
        if re.match(r"(https?|mailto):", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        assert not name.startswith("/"), f"{link}: a link inside the course must be relative"
        goal = (path.parent / name).resolve() if name else path
        assert goal.exists(), f"{link}: there is no such file"
        assert goal.is_relative_to(COURSE), f"{link} leads out of the course"
        if anchor:
            assert anchor in anchors(goal), f"{link}: there is no such heading; there are {list(anchors(goal))}"


def test_the_link_checks_can_fail(tmp_path):
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("## A *good* heading")])
    nbformat.write(other, tmp_path / "other.ipynb")
    assert list(anchors(tmp_path / "other.ipynb")) == ["A-good-heading"]
    text = "[a](b.ipynb#c-d) and ![e](f.png)\n\n| x |\n|--|\n| [g](h%20i.md) |\n\n<a href='j.html'>k</a> `[l](m)`"
    assert list(links(text)) == ["b.ipynb#c-d", "f.png", "h%20i.md", "j.html"]

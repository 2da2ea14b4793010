"""A notebook saved as a page: what nbconvert makes of it with JupyterLab's settings, and what a browser would ask for."""

import re
import runpy
from html.parser import HTMLParser

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

from largemodels.classroom.release import COURSE

CHAPTERS = sorted(path.relative_to(COURSE).as_posix() for path in COURSE.glob("chapters/*.ipynb"))  # zh: same formulas


@pytest.fixture(scope="module")
def exporter():
    config = Config()
    runpy.run_path(str(COURSE / ".course/jupyter_lab_config.py"), {"get_config": lambda: config})
    return HTMLExporter(config=config)


class Page(HTMLParser):
    """The elements of MathML, the addresses that are loaded, and the text that is neither code nor script."""

    def __init__(self, html):
        super().__init__()
        self.formulas, self.addresses, self.text, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "math":
            self.formulas.append(attributes["display"])
        loaded = attributes.get("href" if tag == "link" else "src", "data:")
        if not loaded.startswith("data:"):
            self.addresses.append(loaded)
        if tag in ("script", "style", "pre", "code", "math"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            self.open.remove(tag)

    def handle_data(self, text):
        if not self.open:
            self.text.append(text)


def exported(exporter, *cells):
    html, _ = exporter.from_notebook_node(new_notebook(cells=list(cells)))
    return html


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.slow
def test_all_formulas_of_a_chapter_become_mathml_and_nothing_is_loaded(exporter, name):
    html, _ = exporter.from_filename(str(COURSE / name))
    page = Page(html)
    assert page.addresses == []
    assert "import(" not in html
    assert "http" not in "".join(re.findall(r"<script.*?</script>", html, re.DOTALL))
    assert re.findall(r"\$[^$\s][^$]*\$|\\[a-z]+|\\begin", "".join(page.text)) == []
    assert "\\" not in "".join(re.findall(r"<math.*?</math>", html, re.DOTALL)).replace("&#x0005C;", "")  # not known


def test_lines_that_are_aligned_become_the_rows_of_a_table(exporter):
    html = exported(exporter, new_markdown_cell("$$\\begin{aligned} a &= b \\\\ c + d &= e \\end{aligned}$$"))
    assert html.count("<mtr>") == 2


@pytest.mark.parametrize("typed", ["a_", "x^2^3", "\\left("])
def test_what_is_not_latex_stays_as_it_was_typed(exporter, typed):
    page = Page(exported(exporter, new_markdown_cell(f"before ${typed}$ after")))
    assert page.formulas == []
    assert f"before ${typed}$ after" in "".join(page.text)


def test_a_picture_in_a_cell_is_part_of_the_page(exporter):
    cell = new_markdown_cell("![dot](attachment:dot.png)", attachments={"dot.png": {"image/png": "iVBORw0KGgo="}})
    html = exported(exporter, cell)
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in html


def test_of_an_explorer_remains_its_sentence(exporter):
    bundle = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "1", "version_major": 2, "version_minor": 0},
        "text/plain": "explorer of <masks>",
    }
    cell = new_code_cell("explorer", outputs=[new_output("display_data", data=bundle)])
    html = exported(exporter, cell)
    assert "explorer of &lt;masks&gt;" in html
    assert "model_id" not in html

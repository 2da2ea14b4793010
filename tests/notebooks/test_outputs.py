"""The outputs that a reader of the repository sees are those that the cells give."""

import hashlib
import re
from functools import cache

import nbformat
import pytest

from largemodels.classroom.release import COURSE
from largemodels.classroom.sources import targets
from largemodels.corpora import english
from largemodels.language import ENGLISH

# Each Python brings its own reference texts. With others than these, those of Python 3.11.7, what is made of them
# differs, and a notebook that reads them only has to run.
TEXTS = "8c96c9668d588b3d"

TARGETS = [target for target in targets(COURSE) if target.kind != "exercise"]


def parametrized(targets):
    paths = [target.path for target in targets]
    return pytest.mark.parametrize("path", paths, ids=[path.relative_to(COURSE).as_posix() for path in paths])


with_outputs = parametrized(TARGETS)


RUN_TWICE = ("02", "A-")  # chapters; test_both_editions.py compares the others with the English ones


@cache
def texts_of_this_python():
    texts = "".join(document.text for document in english.documents("train"))
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


@pytest.mark.slow
@parametrized([t for t in TARGETS if t.language == ENGLISH or (t.kind == "chapter" and t.source.stem[:2] in RUN_TWICE)])
def test_stored_outputs_reproduce(path, nbval):
    reads = any("corpora.english" in cell.source or "import english" in cell.source for cell in code_cells(path))
    compare = not reads or texts_of_this_python() == TEXTS
    if differences := nbval(path, compare):
        pytest.fail(differences, pytrace=False)


@with_outputs
def test_stored_outputs_are_fit_to_be_read(path):
    """No errors, no warnings, no places on the disk or in the memory of the machine they were made on."""
    for cell in code_cells(path):
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            assert output.output_type != "error", cell.source
            unfit = re.search(rf"Warning\b|0x[0-9a-f]{{6,}}|site-packages|{re.escape(str(COURSE))}", text)
            assert not unfit, f"{unfit[0]!r} in the output of\n{cell.source}\n→\n{text}"


@with_outputs
def test_every_picture_says_what_it_shows(path):
    """In at least eight words, two Chinese characters being one, where nbconvert and others look for them; see `plots.picture`."""
    for cell in code_cells(path):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                words = re.findall(r"[一-鿿]{2}|[^\s一-鿿]+", alt)
                assert len(words) >= 8, f"{alt!r} is the alternative text of the picture by\n{cell.source}"


@with_outputs
def test_no_cell_hides_its_result_with_a_semicolon(path):
    """nbval does not know that habit and would compare what it hides."""
    for cell in code_cells(path):
        if "nbval-ignore-output" not in cell.metadata.get("tags", []):
            assert not cell.source.rstrip().endswith(";"), f"assign the last line to _ instead:\n{cell.source}"


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


# The comparison itself: each kind of output, first as the cell gives it, then with a slip.

HTML = "from IPython.display import HTML\nHTML('<b>2</b>')"


def stdout(text):
    return [nbformat.v4.new_output("stream", name="stdout", text=text)]


def result(**data):
    data = {mime.replace("_", "/"): text for mime, text in data.items()}
    return [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]


SAMPLES = [
    ("print(1 + 1)", stdout("2\n"), stdout("3\n")),
    ("1 + 2", result(text_plain="3"), result(text_plain="2")),
    (
        HTML,
        result(text_html="<b>2</b>", text_plain="<IPython.core.display.HTML object>"),
        result(text_html="<b>3</b>", text_plain="<IPython.core.display.HTML object>"),
    ),
    ("missing = 1", [], stdout("1\n")),
    ("print('extra')", stdout("extra\n"), []),
]


IGNORED = ("print('ignored')", stdout("something else\n"), ["nbval-ignore-output"])
RAISES = ("1 / 0", [], ["nbval-ignore-output"])


def sample(path, cells):
    notebook = nbformat.v4.new_notebook()
    for count, (source, outputs, tags) in enumerate(cells, 1):
        cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=outputs, metadata={"tags": tags})
        notebook.cells.append(cell)
    nbformat.write(notebook, path)
    return path


@pytest.mark.slow
def test_the_comparison_lets_right_and_excepted_outputs_pass(tmp_path, nbval):
    cells = [(source, right, []) for source, right, _ in SAMPLES]
    assert nbval(sample(tmp_path / "right.ipynb", [*cells, IGNORED])) == ""


@pytest.mark.slow
def test_the_comparison_finds_every_slip(tmp_path, nbval):
    cells = [(source, wrong, []) for source, _, wrong in SAMPLES]
    report = nbval(sample(tmp_path / "wrong.ipynb", [*cells, RAISES]))
    assert report.count("Cell outputs differ") == len(SAMPLES)
    for source, _, _ in SAMPLES:
        assert source in report
    assert "ZeroDivisionError" in report

"""What the course's JupyterLab reads and writes: the file stays as it was released, whatever Python runs it."""

import asyncio
import copy
import platform

import nbformat
import pytest

from largemodels.classroom.release import write
from largemodels.classroom.sources import METADATA
from largemodels.course.files import STATE, VIEW, CourseFiles


@pytest.fixture
def notebook(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# 掩码"), nbformat.v4.new_code_cell("1 + 1")]
    path = tmp_path / "a.ipynb"
    write(nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA)), path)
    return path


def read(files):
    return asyncio.run(files.get("a.ipynb"))


def test_a_notebook_is_read_with_all_that_the_kernel_will_say_of_itself(notebook):
    from ipykernel.ipkernel import IPythonKernel

    said = read(CourseFiles(root_dir=str(notebook.parent)))["content"]["metadata"]["language_info"]
    assert said["version"] == platform.python_version()
    assert said == IPythonKernel.language_info


def test_saving_what_was_read_changes_no_byte(notebook):
    files, before = CourseFiles(root_dir=str(notebook.parent)), notebook.read_bytes()
    model = read(files)
    # What JupyterLab's widgets add to every notebook, also to one that has none.
    model["content"]["metadata"]["widgets"] = {STATE: {"state": {}, "version_major": 2, "version_minor": 0}}
    asyncio.run(files.save(model, "a.ipynb"))
    assert notebook.read_bytes() == before


def widget(id, **state):
    return {id: {"model_name": "Model", "state": state}}


def with_widgets(model, shown, states):
    """The notebook as JupyterLab sends it: one output for each widget that is shown, the states of the running kernel."""
    bundles = [{"text/plain": "", VIEW: {"model_id": id, "version_major": 2, "version_minor": 0}} for id in shown]
    model["content"]["cells"][1]["outputs"] = [nbformat.v4.new_output("display_data", bundle) for bundle in bundles]
    model["content"]["metadata"]["widgets"] = {STATE: {"state": states, "version_major": 2, "version_minor": 0}}
    return model


def test_what_the_reader_did_is_saved(notebook):
    files = CourseFiles(root_dir=str(notebook.parent))
    model = with_widgets(read(files), ["7"], widget("7"))
    model["content"]["cells"][1]["source"] = "2 + 2"
    asyncio.run(files.save(model, "a.ipynb"))
    saved = nbformat.read(notebook, as_version=4)
    assert saved.cells[1].source == "2 + 2"
    assert saved.metadata.widgets[STATE]["state"].keys() == {"7"}


def test_widgets_of_a_kernel_that_is_gone_stay_as_long_as_they_are_shown(notebook):
    files = CourseFiles(root_dir=str(notebook.parent))
    first = widget("box", children=["IPY_MODEL_slider"]) | widget("slider", layout="IPY_MODEL_wide") | widget("wide")
    asyncio.run(files.save(with_widgets(read(files), ["box", "old"], first | widget("old")), "a.ipynb"))
    before = notebook.read_bytes()

    # Opened again: JupyterLab knows of no widget that lives. Nothing changes, however often it saves by itself.
    for _ in range(2):
        asyncio.run(files.save(with_widgets(read(files), ["box", "old"], {}), "a.ipynb"))
        assert notebook.read_bytes() == before

    # One cell is run again, in place of the other.
    asyncio.run(files.save(with_widgets(read(files), ["box", "new"], widget("new")), "a.ipynb"))
    states = nbformat.read(notebook, as_version=4).metadata.widgets[STATE]["state"]
    assert states.keys() == {"box", "slider", "wide", "new"}


def test_other_files_and_listings_are_left_alone(notebook):
    files = CourseFiles(root_dir=str(notebook.parent))
    asyncio.run(files.save({"type": "file", "format": "text", "content": "text"}, "a.txt"))
    assert asyncio.run(files.get("a.txt"))["content"] == "text"
    assert [entry["name"] for entry in asyncio.run(files.get(""))["content"]] == ["a.ipynb", "a.txt"]
    assert asyncio.run(files.get("a.ipynb", content=False))["content"] is None

"""Notebooks come out the same every time, are run only when they must be, and are written whole or not at all."""

import argparse
import os
import shutil
from importlib import import_module
from types import SimpleNamespace

import nbformat
import pytest

from largemodels.classroom import release as releasing
from largemodels.classroom.release import ReleaseError, add_arguments, kernel_environment, main, release, stale, write
from largemodels.classroom.sources import SourceError

EXERCISES = {
    "1.1": SimpleNamespace(
        id="1.1", title="Double", kind="implement", points=3, minutes=10, stars=2, hints=("2x",), options={}
    )
}
pytestmark = pytest.mark.slow

CHAPTER = """\
# A chapter

```{code-cell} ipython3
import os
from pathlib import Path

print(Path.cwd().name, sorted(os.listdir(os.environ["LARGEMODELS_PROGRESS"])))
```

```{code-cell} ipython3
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
```

```{code-cell} ipython3
:tags: [nbval-ignore-output]

import ipywidgets
from largemodels.bars import progress_bar
from tqdm.auto import tqdm

for bar in (tqdm, progress_bar):
    for _ in bar(range(3)):
        print("step")
display(ipywidgets.IntSlider())
```
"""
SOLUTION = """\
<!-- exercise: 1.1 -->

```{code-cell} ipython3
:tags: [answer-1.1]

def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
```

```{code-cell} ipython3
:tags: [check-1.1]

double(2)
```
"""
NOTEBOOKS = ["START.ipynb", "chapters/01-sample.ipynb", "exercises/01-sample.ipynb", "solutions/01-sample.ipynb"]


def write_sources(course):
    for name, text in {
        "chapters/text/START.md": "# Start\n",
        "chapters/text/01-sample.md": CHAPTER,
        "solutions/text/01-sample.md": SOLUTION,
    }.items():
        (course / name).parent.mkdir(parents=True, exist_ok=True)
        (course / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    course = tmp_path_factory.mktemp("released")
    write_sources(course)
    release(course, EXERCISES)
    return course


@pytest.fixture
def course(released, tmp_path):
    """A copy of the released course, to change."""
    return shutil.copytree(released, tmp_path / "course")


@pytest.fixture
def no_running(monkeypatch):
    monkeypatch.setattr(releasing, "execute", lambda *_, **__: pytest.fail("a notebook was run"))


def contents(course):
    return {path.relative_to(course).as_posix(): path.read_bytes() for path in course.glob("**/*.ipynb")}


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def outputs(course, name):
    notebook = nbformat.read(course / name, as_version=4)
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_everything_is_made(released):
    assert sorted(contents(released)) == NOTEBOOKS
    assert stale(released, EXERCISES) == []
    for name in NOTEBOOKS:
        nbformat.validate(nbformat.read(released / name, as_version=4))


def test_a_chapter_runs_in_its_own_folder_with_progress_of_its_own(released):
    first, figure, _ = outputs(released, "chapters/01-sample.ipynb")
    assert first[0].text == "chapters []\n"
    assert "image/png" in figure[0].data


def test_widgets_leave_a_note_and_progress_bars_nothing(released):
    texts = [output.get("text") or output.data for output in outputs(released, "chapters/01-sample.ipynb")[2]]
    assert texts == ["step\n" * 6, {"text/plain": "(interactive: run this cell to use it)"}]
    assert "widgets" not in nbformat.read(released / "chapters/01-sample.ipynb", as_version=4).metadata


def test_the_exercise_is_unsolved_and_not_run(released):
    text = (released / "exercises/01-sample.ipynb").read_text(encoding="utf-8")
    assert "2 * x" not in text
    assert outputs(released, "exercises/01-sample.ipynb") == [[], [], []]  # the third is hand_in()
    assert outputs(released, "solutions/01-sample.ipynb")[1][0].data == {"text/plain": "4"}


def test_releasing_again_changes_nothing(course, no_running):
    before, times = contents(course), {path: path.stat().st_mtime_ns for path in course.glob("**/*.ipynb")}
    assert release(course, EXERCISES) == []
    assert contents(course) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_releasing_from_scratch_elsewhere_gives_the_same_bytes(released, tmp_path):
    write_sources(tmp_path)
    release(tmp_path, EXERCISES, jobs=2)
    assert contents(tmp_path) == contents(released)


def test_prose_changes_without_a_run(course, no_running):
    replace(course / "chapters/text/01-sample.md", "# A chapter", "# A better chapter")
    before = outputs(course, "chapters/01-sample.ipynb")
    assert stale(course, EXERCISES) == ["chapters/01-sample.ipynb differs from chapters/text/01-sample.md"]
    assert release(course, EXERCISES) == [course / "chapters/01-sample.ipynb"]
    assert outputs(course, "chapters/01-sample.ipynb") == before
    assert stale(course, EXERCISES) == []


def test_changed_code_is_run(course):
    replace(course / "solutions/text/01-sample.md", "double(2)", "double(4)")
    written = release(course, EXERCISES)
    assert written == [course / "solutions/01-sample.ipynb", course / "exercises/01-sample.ipynb"]
    assert outputs(course, "solutions/01-sample.ipynb")[1][0].data == {"text/plain": "8"}


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("chapters/01-sample.ipynb", '"execution_count": 2', '"execution_count": 7'),  # run out of order
        ("chapters/01-sample.ipynb", '"execution_count": 3', '"execution_count": null'),  # not run to the end
        ("chapters/01-sample.ipynb", '"cells": [', '"cells": '),  # not JSON any more
        ("chapters/01-sample.ipynb", '"name": "python3"', '"name": "other"'),
        ("exercises/01-sample.ipynb", "double(x)", "double(y)"),
        ("solutions/01-sample.ipynb", "2 * x", "3 * x"),
    ],
)
def test_an_edited_notebook_is_stale_and_is_mended(course, path, old, new):
    before = contents(course)
    replace(course / path, old, new)
    [problem] = stale(course, EXERCISES)
    assert problem.startswith(f"{path} differs from ")
    assert release(course, EXERCISES) == [course / path]
    assert contents(course) == before


def test_missing_and_extra_notebooks_are_stale(course, no_running):
    os.rename(course / "chapters/01-sample.ipynb", course / "chapters/02-other.ipynb")
    assert stale(course, EXERCISES) == [
        "chapters/01-sample.ipynb is missing; its source is chapters/text/01-sample.md",
        "chapters/02-other.ipynb has no text source",
    ]


def test_all_runs_again_what_is_named(course):
    replace(course / "chapters/01-sample.ipynb", r"chapters []\n", r"outdated\n")
    assert release(course, EXERCISES) == []  # the code is the same: only a run can tell
    written = release(course, EXERCISES, [str(course / "chapters/text/01-sample.md")], execute_all=True)
    assert written == [course / "chapters/01-sample.ipynb"]
    assert outputs(course, "chapters/01-sample.ipynb")[0][0].text == "chapters []\n"


def test_names(course, no_running):
    os.remove(course / "exercises/01-sample.ipynb")
    assert release(course, EXERCISES, ["START"]) == []
    assert release(course, EXERCISES, ["01"]) == [course / "exercises/01-sample.ipynb"]
    with pytest.raises(ReleaseError, match="no text source called '02'; there are: 01-sample, START"):
        release(course, EXERCISES, ["02"])


def test_a_cell_that_raises_is_shown_and_the_old_notebook_stays(course, capsys):
    before = contents(course)
    replace(course / "chapters/text/01-sample.md", "plt.show()", "plt.show()\nplt.no_such_thing()")
    with pytest.raises(ReleaseError) as caught:
        release(course, EXERCISES)
    message = str(caught.value)
    assert message.startswith(str(course / "chapters/01-sample.ipynb"))
    assert "plt.plot([1, 2])" in message
    assert "AttributeError: module 'matplotlib.pyplot' has no attribute 'no_such_thing'" in message
    assert "\x1b" not in message
    assert contents(course) == before
    assert "chapters/01-sample.ipynb: 1/3 cells" in capsys.readouterr().err


def test_a_cell_that_ends_the_kernel_is_shown(course):
    replace(course / "chapters/text/01-sample.md", "plt.show()", "os._exit(1)")
    with pytest.raises(ReleaseError, match=r"the kernel died while it ran the cell\nimport matplotlib"):
        release(course, EXERCISES)


def test_a_slip_in_any_text_is_found_before_anything_runs(course, no_running):
    replace(course / "chapters/text/START.md", "# Start", "# Start\n\n```{code-cell} ipython3\n1\n```")
    replace(course / "solutions/text/01-sample.md", "### END SOLUTION", "")
    with pytest.raises(SourceError, match="never followed by ### END SOLUTION"):
        release(course, EXERCISES)


def test_an_interrupted_write_leaves_the_old_notebook(course, monkeypatch):
    path = course / "chapters/01-sample.ipynb"
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write(nbformat.v4.new_notebook(), path)
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir() if other.is_file()] == ["01-sample.ipynb"]


def test_an_exercise_that_someone_worked_in_is_not_overwritten(course, no_running):
    path = course / "exercises/01-sample.ipynb"
    replace(path, '"execution_count": null', '"execution_count": 1')
    before = path.read_bytes()
    with pytest.raises(ReleaseError, match=r"exercises.01-sample\.ipynb has been worked in"):
        release(course, EXERCISES)
    assert path.read_bytes() == before


def command(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


def test_the_command(course, monkeypatch, capsys):
    monkeypatch.setattr(releasing, "COURSE", course)
    monkeypatch.setattr(import_module("largemodels.classroom.exercises"), "exercises", EXERCISES)
    assert command("--check") == 0
    assert command() == 0
    assert capsys.readouterr().out == "all notebooks and pages are up to date\n"
    (course / "exercises/01-sample.ipynb").unlink()
    assert command("--check") == 1
    assert "exercises/01-sample.ipynb is missing" in capsys.readouterr().err
    assert command("START") == 0
    assert command("01") == 0
    assert "written: exercises/01-sample.ipynb" in capsys.readouterr().out
    assert command("nothing") == 1
    assert command("--jobs", "0") == 1
    assert "at least 1 job is needed, got 0" in capsys.readouterr().err


def test_waiting_threads_sleep_soon_unless_the_user_wants_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert kernel_environment("progress")["GOMP_SPINCOUNT"] == "3000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in kernel_environment("progress")
    assert kernel_environment("progress")["OMP_WAIT_POLICY"] == "ACTIVE"


def test_kernels_keep_their_memory_unless_the_user_wants_otherwise(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    assert kernel_environment("progress")["MALLOC_TRIM_THRESHOLD_"] == "1073741824"
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    assert "MALLOC_TRIM_THRESHOLD_" not in kernel_environment("progress")
    assert kernel_environment("progress")["MALLOC_MMAP_THRESHOLD_"] == "65536"

"""`hand_in()`: the saved file is read as grading reads it, and nothing is written that nobody asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from largemodels import classroom
from largemodels.classroom import exercises, hand_in, handing_in, progress
from largemodels.classroom.sources import Target, build

COURSE = Path(__file__).parents[2]
RIGHT = """def attention(query, key, value, mask=None):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ value, scores.softmax(-1)"""
WRONG = RIGHT.replace(" / math.sqrt(query.shape[-1])", "")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of one's own, with the progress of nobody else."""
    monkeypatch.setenv("LARGEMODELS_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(handing_in, "latest", {})
    return tmp_path


def given_out(**answers: str) -> nbformat.NotebookNode:
    """The exercise notebook of chapter 1, with ``e1_2="def attention…"`` in it."""
    source = next((COURSE / "solutions" / "text").glob("01-*.md"))
    made = build(Target(source, source.with_suffix(".ipynb"), "exercise"), exercises)
    for id, code in answers.items():
        cell = next(c for c in made.cells if c.id == f"answer-{id[1:].replace('_', '-')}")
        cell.source = code
    return made


def save(made: nbformat.NotebookNode, path: Path) -> Path:
    path.write_text(nbformat.writes(made), encoding="utf-8")
    return path


def test_it_is_the_last_cell_of_an_exercise_notebook():
    assert given_out().cells[-1].source.endswith("hand_in()")
    assert "Nothing is sent" in given_out().cells[-2].source


@pytest.mark.skipif(not (COURSE / ".git").exists() or not shutil.which("git"), reason="no clone")
@pytest.mark.parametrize("edition", ["", "zh/"])
def test_files_to_hand_in_are_no_part_of_the_course(edition):
    name = f"exercises/{edition}{handing_in.PLACE}/01-2026001.ipynb"
    assert subprocess.run(["git", "-C", str(COURSE), "check-ignore", "--quiet", name]).returncode == 0


@pytest.mark.slow
def test_what_grading_will_see_and_a_file_with_the_number(place, monkeypatch):
    path = save(given_out(e1_2=RIGHT, e1_5='why_scale = "A"'), place / "mine.ipynb")
    seen = hand_in(notebook=path)
    assert {row.verdict.exercise: row.graded for row in seen.rows if row.graded} == {"1.2": 5}
    assert seen.path is None
    assert 'hand_in(number="2026001")' in str(seen)
    assert not (place / "hand-in").exists()

    monkeypatch.setitem(handing_in.latest, "1.2", exercises["1.2"].refuse("x"))  # its check showed 0 of 5
    seen = hand_in(2026001, notebook="mine.ipynb")
    assert seen.path == place / "hand-in" / "01-2026001.ipynb"
    assert seen.path.read_bytes() == path.read_bytes()
    assert [row.verdict.exercise for row in seen.rows if row.differs] == ["1.2"]
    assert "shown    0   graded 5 of 5 ← differs" in str(seen)
    assert "<td>0</td><td>5 / 5</td>" in seen._repr_html_()
    assert hand_in(notebook=path).path == seen.path  # the number is remembered


@pytest.mark.slow
def test_an_untouched_notebook_writes_nothing(place):
    seen = hand_in("2026001", notebook=save(given_out(), place / "01.ipynb"))
    assert (seen.path, seen.todo) == (None, "nothing is answered yet in the saved notebook.")
    assert not (place / "hand-in").exists()


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False])
def test_in_a_kernel_it_finds_its_own_file(place, told):
    """Run from top to bottom by a kernel, in the folder where it is saved, with and without Jupyter's word for it."""
    from nbclient import NotebookClient

    made = given_out(e1_2=RIGHT)
    made.cells[-1].source = made.cells[-1].source.replace("hand_in()", "print(hand_in('7'))")
    path = save(made, place / "my 01.ipynb")
    save(given_out(e1_2=WRONG), place / "another.ipynb")
    client = NotebookClient(made, kernel_name="python3", resources={"metadata": {"path": str(place)}})
    environment = {**os.environ, "PYTHONPATH": str(COURSE / "lib")}
    if told:
        environment["JPY_SESSION_NAME"] = str(path)
    with client.setup_kernel(env=environment):
        for i, cell in enumerate(made.cells):
            client.execute_cell(cell, i)
    said = "".join(output.get("text", "") for output in made.cells[-1].outputs)
    assert "shown    5   graded 5 of 5" in said
    assert "Careful" not in said
    assert (place / "hand-in" / "01-7.ipynb").read_bytes() == path.read_bytes()


def test_unsaved_and_unrun_cells_are_told():
    made = given_out(e1_2=WRONG)
    sources = [cell.source for cell in made.cells if cell.cell_type == "code"]
    for count, cell in enumerate((c for c in made.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    data = nbformat.writes(made).encode()

    def told(executed: list[str]) -> list[str]:
        return list(handing_in.warnings_about(data, executed))

    assert told(["", *sources, "hand_in()"]) == []
    unsaved = told(["", *sources, RIGHT, "hand_in()"])
    assert len(unsaved) == 1
    assert "Save the notebook" in unsaved[0]
    assert told(["", sources[0], "oops(", *sources[1:], "hand_in()"]) == []  # mended, run again and saved
    unrun = told(["", *[source for source in sources if "attention" not in source], "hand_in()"])
    assert any("answer 1.2, check 1.2" in warning for warning in unrun)
    assert told([]) == []  # not in a notebook


def test_the_file_is_found_where_jupyter_says_or_by_what_was_run(place, monkeypatch):
    path = save(given_out(e1_2=RIGHT), place / "a.ipynb")
    save(given_out(e1_2=WRONG), place / "b.ipynb")
    run = [cell.source for cell in given_out(e1_2=RIGHT).cells if cell.cell_type == "code"]
    assert handing_in.find_notebook(run) == path
    assert handing_in.find_notebook([]) is None
    assert handing_in.find_notebook(["x = 1", "y = 2"]) is None
    monkeypatch.setenv("JPY_SESSION_NAME", str(place / "b.ipynb"))
    assert handing_in.find_notebook(run) == place / "b.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", "gone.ipynb")  # renamed since the kernel started
    assert handing_in.find_notebook(run) == path
    assert "was not found" in str(hand_in("1"))


@pytest.mark.parametrize("number", ["", " ", "a/b", "..\\x", "x" * 41, "-rf", "a b", ".."])
def test_a_number_that_is_no_part_of_a_files_name_is_refused(number):
    with pytest.raises(ValueError, match="cannot be part"):
        hand_in(number)


def test_files_that_are_no_notebook_of_the_course(place):
    (place / "x.ipynb").write_text("{}")
    assert "Is it the notebook that you mean?" in str(hand_in("1", notebook="x.ipynb"))
    with pytest.raises(ValueError, match="there is no file"):
        hand_in("1", notebook="y.ipynb")


def test_nbgrader_is_left_alone(place, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert hand_in("1", notebook="nowhere.ipynb").rows == ()
    assert list(place.iterdir()) == []


def test_progress_says_when_nothing_is_kept(place, monkeypatch):
    assert "cannot be written" not in str(progress(1))
    (place / "file").touch()
    monkeypatch.setenv("LARGEMODELS_PROGRESS", str(place / "file" / "below"))
    assert classroom.check('"C"', "1.5").points >= 0  # a check works all the same
    for text in (str(progress(1)), progress(1)._repr_html_()):
        assert "cannot be written" in text
        assert "set LARGEMODELS_PROGRESS" in text

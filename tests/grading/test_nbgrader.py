"""A school that runs nbgrader takes our notebooks as they are, and comes to the same points."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from classes import COURSE, RIGHT, UNSCALED, answer_cell, notebook, solved, up_to_its_last_check
from nbgraders_tree import grades, make, nbgrader, submit

from largemodels.classroom import exercises
from largemodels.classroom.grading.command import grade_class

pytest.importorskip("nbgrader")
pytestmark = pytest.mark.slow


def answered(released: dict, **answers: str) -> dict:
    """The notebook that nbgrader gave out, with these answers written in."""
    made = json.loads(json.dumps(released))
    for id, code in answers.items():
        answer_cell(made, id[1:].replace("_", "."))["source"] = code
    return made


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nbgrader")
    released = make(folder, {"01-attention": notebook()})["01-attention"]
    all_answers = {
        f"e{id.replace('.', '_')}": answer_cell(solved(), id)["source"] for id in exercises if id.startswith("1.")
    }
    submissions = {
        "right": answered(released, **all_answers),
        "wrong": answered(
            released, **all_answers | {"e1_2": UNSCALED, "e1_5": 'why_scale = "A"', "e1_4": "variances = (8, 1, 9)"}
        ),
        "little": answered(released, e1_2=RIGHT),
        "nothing": released,
    }
    for student, submission in submissions.items():
        submit(folder, student, {"01-attention": submission})
    nbgrader(folder, "autograde", "one", "--create")
    return folder, released


def test_the_released_notebook_holds_no_solution_and_all_checks(course):
    _, released = course
    text = json.dumps(released)
    assert "BEGIN SOLUTION" not in text
    assert "query @ key.transpose(-2, -1)" not in answer_cell(released, "1.2")["source"]
    checks = [c for c in released["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]
    assert len(checks) == 9
    assert all(cell["metadata"]["nbgrader"]["locked"] for cell in checks)


def test_nbgraders_points_are_ours(course, tmp_path):
    """Our grader reads the folders that nbgrader collects."""
    folder, _ = course
    theirs = grades(folder)
    students = grade_class(folder / "submitted", tmp_path / "out", exercises, workers=2)
    ours = {student.name: sum(v.points for v in student.verdicts.values()) for student in students}
    assert theirs == ours
    assert ours["right"] == sum(e.points for id, e in exercises.items() if id.startswith("1."))
    assert 0 == ours["nothing"] < ours["little"] == 5 < ours["wrong"] < ours["right"]


def test_the_points_agree_in_every_other_chapter(tmp_path):
    """Every second exercise is solved, the others are as they were given out: one notebook shows both."""
    names = [path.stem for path in sorted((COURSE / "solutions").glob("*.ipynb")) if path.stem != "01-attention"]
    released = make(tmp_path, {name: up_to_its_last_check(notebook(name)) for name in names})
    others = [exercise for exercise in exercises.values() if not exercise.id.startswith("1.")]
    for exercise in others[::2]:
        name = next(name for name in names if int(name[:2]) == int(exercise.id.split(".")[0]))
        answer_cell(released[name], exercise.id)["source"] = answer_cell(notebook(name), exercise.id)["source"]
    submit(tmp_path, "half", released)
    nbgrader(tmp_path, "autograde", "one", "--create", timeout=1_200)
    students = grade_class(tmp_path / "submitted", tmp_path / "out", exercises, workers=2)
    ours = {student.name: sum(v.points for v in student.verdicts.values()) for student in students}
    assert grades(tmp_path) == ours == {"half": sum(exercise.points for exercise in others[::2])}


def test_nbgraders_feedback_shows_our_messages(course):
    folder, _ = course
    nbgrader(folder, "generate_feedback", "one")
    page = (folder / "feedback" / "wrong" / "one" / "01-attention.html").read_text(encoding="utf-8")
    assert "Your scores are not scaled" in page

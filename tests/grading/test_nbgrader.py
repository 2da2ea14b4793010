"""A school that runs nbgrader takes our notebooks as they are, and comes to the same points."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from classes import COURSE, RIGHT, UNSCALED, answer_cell, hand_in, notebook, solved
from nbgraders_tree import grades, make, nbgrader, submit

from largemodels.classroom import exercises
from largemodels.classroom.exercise import Exercise
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
        hand_in(folder / "ours", student, submission)
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
    folder, _ = course
    theirs = grades(folder)
    students = grade_class(folder / "ours", tmp_path / "out", exercises, workers=2)
    ours = {student.name: sum(v.points for v in student.verdicts.values()) for student in students}
    assert theirs == ours
    assert ours["right"] == sum(e.points for id, e in exercises.items() if id.startswith("1."))
    assert 0 == ours["nothing"] < ours["little"] == 5 < ours["wrong"] < ours["right"]


def test_the_points_agree_in_every_other_chapter(tmp_path):
    names = [path.stem for path in sorted((COURSE / "solutions").glob("*.ipynb")) if path.stem != "01-attention"]
    released = make(tmp_path, {name: notebook(name) for name in names})
    submit(tmp_path, "right", {name: notebook(name) for name in names})
    submit(tmp_path, "nothing", released)
    nbgrader(tmp_path, "autograde", "one", "--create", timeout=1_200)
    students = grade_class(tmp_path / "submitted", tmp_path / "out", exercises, workers=2)
    ours = {student.name: sum(v.points for v in student.verdicts.values()) for student in students}
    assert grades(tmp_path) == ours
    assert ours == {"nothing": 0, "right": sum(e.points for e in exercises.values() if chapter_of(e) in names)}


def chapter_of(exercise: Exercise) -> str:
    number = f"{int(exercise.id.split('.')[0]):02d}-"
    return next((path.stem for path in (COURSE / "solutions").glob(f"{number}*.ipynb")), "not written yet")


def test_our_grader_reads_nbgraders_tree(course, tmp_path):
    folder, _ = course
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "submitted").symlink_to(folder / "submitted")
    students = grade_class(folder / "submitted", tmp_path / "out", exercises)
    assert sorted(student.name for student in students) == ["little", "nothing", "right", "wrong"]


def test_nbgraders_feedback_shows_our_messages(course):
    folder, _ = course
    nbgrader(folder, "generate_feedback", "one")
    page = (folder / "feedback" / "wrong" / "one" / "01-attention.html").read_text(encoding="utf-8")
    assert "Your scores are not scaled" in page

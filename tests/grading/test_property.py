"""Whatever honest people do to a notebook, the grade is the points that its checks show when it is really run."""

import copy
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from largemodels.classroom import exercises
from largemodels.classroom.grading import extracting
from largemodels.classroom.grading.isolating import Isolation
from largemodels.classroom.grading.judging import Judge, grade_notebook

sys.path.insert(0, str(Path(__file__).parent))
from classes import COURSE, notebook, up_to_its_last_check
from really_run import shown, source

pytestmark = pytest.mark.slow
CASES = 200
CHAPTERS = {f"{int(path.stem[:2])}": path.stem for path in sorted((COURSE / "solutions").glob("*.ipynb"))}
SOLVED = {chapter: up_to_its_last_check(notebook(name)) for chapter, name in CHAPTERS.items()}
STUBS = {chapter: notebook(name, "exercises") for chapter, name in CHAPTERS.items()}
NAMES = ("scores", "d", "i", "x", "q", "n", "mask", "weights", "helper", "result")


def code(text: str) -> dict:
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None}


def grade_id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def graded_cells(cells: list[dict]) -> list[int]:
    return [position for position, cell in enumerate(cells) if grade_id(cell)]


def try_outs(answers: list[str]) -> st.SearchStrategy[str]:
    """Cells that people put anywhere: names that are used twice, also those of answers, loops, mistakes."""
    name = st.sampled_from([*NAMES, *answers])
    number = st.integers(0, 9)
    return st.one_of(
        st.builds("{} = {}".format, name, number),
        st.builds("[{0} for {0} in range(3)]".format, name),
        st.builds("for {} in range(3):\n    pass".format, name),
        st.builds("def {}(a, b):\n    return a".format, name),
        st.builds("{0} = {0} if '{0}' in globals() else {1}".format, name, number),
        st.builds("print({})".format, name),
        st.builds("{}(1, 2)".format, name),
        st.builds("%time {} = {}".format, name, number),
        st.builds("import math as {}".format, name),
        st.builds("del {}".format, name),
        st.builds("lost({})".format, name),
        st.builds("{0}_of_files = !ls\n%matplotlib inline\nassert {0}".format, name),
    )


def with_helper(cell: dict, name: str, number: int) -> str:
    """A function's answer that uses something by a name which other answers use for something else."""
    match = re.fullmatch(r"answer-(\d+)-(\d+)", grade_id(cell))
    exercise = exercises[f"{match[1]}.{match[2]}"] if match else None
    if not exercise or exercise.cases is None or exercise.name == name or "def " not in source(cell):
        return source(cell)
    f, given = exercise.name, source(cell)
    if number % 2:
        return f"{given}\n{name} = {f}\ndef {f}(*given):\n    return {name}(*given)"
    inner = f"inner_{f}_{number}"
    return f"{name} = {number}\n{given}\n{inner} = {f}\ndef {f}(*given):\n    assert {name} == {number}\n    return {inner}(*given)"


@st.composite
def notebooks(draw: st.DrawFn) -> tuple[dict, list[str]]:
    """Some exercises of a chapter, solved or as they were given out, with some of all that people do to a notebook."""
    chapter = draw(st.sampled_from(list(CHAPTERS)))
    made, given_out = copy.deepcopy(SOLVED[chapter]), STUBS[chapter]
    cells = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    ids = sorted({grade_id(cell).partition("-")[2] for cell in cells} - {""})
    kept = draw(st.sets(st.sampled_from(ids), min_size=2, max_size=3))  # of eight to twelve exercises; it saves time
    cells = [cell for cell in cells if grade_id(cell).partition("-")[2] in {"", *kept}]
    stubs = {grade_id(cell): source(cell) for cell in given_out["cells"] if grade_id(cell)}
    answers = [exercise.name for id, exercise in exercises.items() if id.split(".")[0] == chapter]
    for cell in cells:
        if grade_id(cell).startswith("answer"):
            kind = draw(st.sampled_from(["stub", "as it is", "as it is", "helper", "helper", "helper"]))
            if kind == "stub":
                cell["source"] = stubs[grade_id(cell)]
            elif kind == "helper":
                cell["source"] = with_helper(cell, draw(st.sampled_from(NAMES[:3])), draw(st.integers(0, 9)))
    for _ in range(draw(st.integers(1, 8))):
        what = draw(
            st.sampled_from(["try", "try", "top", "indent", "prompt", "merge", "split", "copy", "move", "lose"])
        )
        at = draw(st.sampled_from(graded_cells(cells) or [0]))
        if what == "try":
            cells.insert(draw(st.integers(0, len(cells))), code(draw(try_outs(answers))))
        elif what == "top":  # a helper's name in an answer's own cell
            cells[at] = {**cells[at], "source": f"{draw(try_outs(answers))}\n{source(cells[at])}"}
        elif what == "indent":
            cells[at] = {**cells[at], "source": "\n".join("    " + line for line in source(cells[at]).splitlines())}
        elif what == "prompt" and not source(cells[at]).startswith((">>>", " ")):
            lines = source(cells[at]).splitlines()
            cells[at] = {**cells[at], "source": "\n".join([">>> " + lines[0], *("... " + line for line in lines[1:])])}
        elif what == "merge" and at + 1 < len(cells):
            both = f"{source(cells[at])}\n{source(cells[at + 1])}"
            cells[at : at + 2] = [{**cells[at + draw(st.integers(0, 1))], "source": both}]
        elif what == "split" and "\n\n" in source(cells[at]):
            cells[at : at + 1] = [code(part) for part in source(cells[at]).split("\n\n")]
        elif what == "copy":
            cells.insert(draw(st.integers(0, len(cells))), copy.deepcopy(cells[at]))
        elif what == "move":
            cell = cells.pop(at)
            cells.insert(draw(st.integers(0, len(cells))), cell)
        elif what == "lose":
            cells[at] = {**cells[at], "metadata": {}}
    return {**made, "cells": cells}, [id.replace("-", ".") for id in kept]


@pytest.fixture(scope="module")
def grader():
    judge = Judge(exercises, hidden=())  # what it gives is what a check can show
    released = {chapter: extracting.code_cells(json.dumps(made).encode()) for chapter, made in STUBS.items()}
    with Isolation() as isolation:

        def grade(made: dict, ids: list[str]) -> dict[str, tuple]:
            points = {}
            for read in extracting.read(json.dumps(made).encode(), exercises):
                here = [id for id in ids if id.split(".")[0] == read.chapter]
                verdicts = grade_notebook(judge, isolation.run, read, here, released[read.chapter])
                points |= {id: (verdict.points, verdict.note, verdict.message) for id, verdict in verdicts.items()}
            return points

        yield grade


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=notebooks())
def test_a_grade_is_what_the_checks_show(grader, case):
    made, ids = case
    seen, graded = shown(made), grader(made, ids)
    for id, (points, note, message) in graded.items():
        if note:  # a second chance: the better of the two counts
            assert points >= seen.get(id, 0), (id, message)
        else:
            assert points == seen.get(id, points), (id, message)


def test_every_exercise_is_among_them():
    """The property is about all of them: each has an answer and a check in the notebooks that it starts from."""
    ids = {grade_id(cell) for made in SOLVED.values() for cell in made["cells"]}
    for id in exercises:
        assert {f"answer-{id.replace('.', '-')}", f"check-{id.replace('.', '-')}"} <= ids

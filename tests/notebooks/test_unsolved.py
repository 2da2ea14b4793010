"""The students' notebooks: complete, without the solutions, and harmless to run before anything is solved."""

import nbformat
import pytest

from largemodels.classroom.exercises import exercises
from largemodels.classroom.release import COURSE, execute
from largemodels.classroom.sources import build, targets

TARGETS = {kind: [t for t in targets(COURSE) if t.kind == kind] for kind in ("solution", "exercise")}


def each(kind):
    return pytest.mark.parametrize("target", TARGETS[kind], ids=[target.path.stem for target in TARGETS[kind]])


def said_by_checks(notebook):
    """What each check cell printed, by its tag."""
    return {
        tag: "".join(output.get("text") or output.data["text/plain"] for output in cell.outputs)
        for cell in notebook.cells
        for tag in cell.metadata.get("tags", [])
        if tag.startswith("check-")
    }


def declared(target):
    chapter = int(target.path.stem.split("-")[0])
    return [exercise for exercise in exercises.values() if exercise.id.split(".")[0] == str(chapter)]


@each("exercise")
def test_every_exercise_of_the_chapter_is_there(target):
    notebook = build(target, exercises)
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", []) if tag != "nbval-ignore-output"]
    assert tags == [f"{part}-{exercise.id}" for exercise in declared(target) for part in ("answer", "check")]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for exercise in declared(target):
        assert prose.count(f"## Exercise {exercise.id} · ") == 1
        for text in (*exercise.hints, *exercise.options.values()):
            assert text in prose
    assert prose.count("<summary>") == sum(len(exercise.hints) for exercise in declared(target))


@pytest.mark.slow
@each("exercise")
def test_unsolved_it_runs_to_its_end_and_every_check_says_not_attempted(target):
    notebook = build(target, exercises)
    execute(notebook, target.path)  # raises if a cell does
    checks = said_by_checks(notebook)
    assert list(checks) == [f"check-{exercise.id}" for exercise in declared(target)]
    for tag, text in checks.items():
        assert "not attempted, 0 of" in text, f"{tag}: {text}"
    assert not [o for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "error"]


@pytest.mark.parametrize(
    "target", TARGETS["solution"] + TARGETS["exercise"], ids=lambda target: target.path.parent.name
)
def test_nbgrader_takes_the_notebook_as_it_is(target):
    nbgraderformat = pytest.importorskip("nbgrader.nbgraderformat")
    notebook = nbgraderformat.read(target.path, as_version=4)  # validates
    points = [
        cell.metadata.nbgrader.points for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")
    ]
    assert points == [exercise.points for exercise in declared(target)]


@each("solution")
def test_the_reference_solutions_pass(target):
    """As stored; test_outputs.py finds out whether that still holds."""
    checks = said_by_checks(nbformat.read(target.path, as_version=4))
    assert list(checks) == [f"check-{exercise.id}" for exercise in declared(target)]
    for exercise in declared(target):
        assert f"passed, {exercise.points:g} of {exercise.points:g} points" in checks[f"check-{exercise.id}"]


@each("exercise")
def test_nothing_gives_a_solution_away(target):
    """Neither the prose nor any code contains a line of a solution, read here from the text by other means."""
    text = target.source.read_text(encoding="utf-8")
    given = {line.strip("# ") for block in between(text, "### BEGIN GIVEN", "### END GIVEN") for line in block}
    secret = {line.strip() for block in between(text, "### BEGIN SOLUTION", "### END SOLUTION") for line in block}
    secret |= {line.strip() for block in between(text, '+++ {"tags": ["solution-only"]}', "+++") for line in block}
    secret -= given
    assert secret
    notebook = build(target, exercises)
    for cell in notebook.cells:
        assert "solution-only" not in cell.metadata.get("tags", [])
        lines = {line.strip() for line in cell.source.splitlines()}
        if any(tag.startswith("answer-") for tag in cell.metadata.get("tags", [])):
            assert not lines & {line for line in secret if len(line) > 3}, cell.source
        for line in secret:
            assert len(line) < 15 or line not in cell.source, cell.source


def between(text, begin, end):
    """The lines of each passage between a line `begin` and the next line that starts with `end`."""
    passage = None
    for line in text.splitlines():
        if line.strip() == begin:
            passage = []
        elif passage is not None and line.strip().startswith(end):
            yield passage
            passage = None
        elif passage is not None:
            passage.append(line)

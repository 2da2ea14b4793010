"""The students' notebooks: complete, without the solutions, and harmless to run before anything is solved."""

import nbformat
import pytest

from largemodels.classroom.exercises import exercises
from largemodels.classroom.release import COURSE, execute
from largemodels.classroom.report import Report
from largemodels.classroom.sources import build, targets
from largemodels.language import ENGLISH, say, speaking

TARGETS = {kind: [t for t in targets(COURSE) if t.kind == kind] for kind in ("solution", "exercise")}
# What is run of the editions in other languages, whose code is that of the English: enough to see that they speak.
RUN = [target for target in TARGETS["exercise"] if target.language == ENGLISH or target.source.stem[:2] == "01"]


def parametrized(targets):
    ids = [target.path.relative_to(COURSE).as_posix() for target in targets]
    return pytest.mark.parametrize("target", targets, ids=ids)


def each(kind):
    return parametrized(TARGETS[kind])


def said_by_checks(notebook):
    """What each check cell printed, by its tag."""
    return {
        tag: "".join(output.get("text") or output.data["text/plain"] for output in cell.outputs)
        for cell in notebook.cells
        for tag in cell.metadata.get("tags", [])
        if tag.startswith("check-")
    }


def verdict(exercise, status, points):
    """The first words that a check says, in the language that is spoken here."""
    report = Report(f"{exercise.id} {say(exercise.title)}", points, exercise.points, status, "")
    return report.headline


def declared(target):
    chapter = int(target.path.stem.split("-")[0])
    return [exercise for exercise in exercises.values() if exercise.id.split(".")[0] == str(chapter)]


@each("exercise")
def test_every_exercise_of_the_chapter_is_there(target):
    notebook = build(target, exercises)
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", []) if tag != "nbval-ignore-output"]
    assert tags == [f"{part}-{exercise.id}" for exercise in declared(target) for part in ("answer", "check")]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    with speaking(target.language):
        for exercise in declared(target):
            assert prose.count(say("Exercise {id} · {title}", id=exercise.id, title=say(exercise.title))) == 1
            for text in (*exercise.hints, *exercise.options.values()):
                assert say(text).strip() in prose
    assert prose.count("<summary>") == sum(len(exercise.hints) for exercise in declared(target))


@pytest.mark.slow
@parametrized(RUN)
def test_unsolved_it_runs_to_its_end_and_every_check_says_not_attempted(target):
    notebook = build(target, exercises)
    execute(notebook, target.path)  # raises if a cell does
    checks = said_by_checks(notebook)
    assert list(checks) == [f"check-{exercise.id}" for exercise in declared(target)]
    with speaking(target.language):
        for exercise in declared(target):
            assert verdict(exercise, "not attempted", 0) in checks[f"check-{exercise.id}"]
    assert not [o for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "error"]


@parametrized(TARGETS["solution"] + TARGETS["exercise"])
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
    with speaking(target.language):
        for exercise in declared(target):
            assert verdict(exercise, "passed", exercise.points) in checks[f"check-{exercise.id}"]


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

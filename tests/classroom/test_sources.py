"""What a text source says is what the notebook shows, and a slip in it is named with its line."""

from types import SimpleNamespace

import pytest

from largemodels.classroom.sources import SourceError, Target, build, targets

EXERCISES = {
    "1.1": SimpleNamespace(
        id="1.1", title="Double", kind="implement", points=3, minutes=10, stars=2, hints=("Think of $2x$.",), options={}
    ),
    "1.2": SimpleNamespace(
        id="1.2", title="Why", kind="choose", points=1, minutes=5, stars=1, hints=(), options={"A": "yes", "B": "no"}
    ),
}


def cells_of(folder, text, kind="exercise"):
    """What is made of `text`, without the two cells for handing in that end an exercise notebook."""
    source = folder / "01-sample.md"
    source.write_text(text, encoding="utf-8")
    return build(Target(source, folder / "01-sample.ipynb", kind), EXERCISES).cells[
        : -2 if kind == "exercise" else None
    ]


def code_cell(code, *tags):
    return f"```{{code-cell}} ipython3\n:tags: [{', '.join(tags)}]\n\n{code}\n```\n"


def answer(folder, code, kind="exercise"):
    [cell] = cells_of(folder, code_cell(code, "answer-1.1"), kind)
    return cell.source


FUNCTION = """\
def double(x):
    ### BEGIN SOLUTION
    # begin with the sum
    twice = x + x
    return twice
    ### END SOLUTION"""

METHOD = """\
class Double:
    def __init__(self):
        ### BEGIN SOLUTION
        self.factor = 2
        ### END SOLUTION

    def __call__(self, x):
        ### BEGIN SOLUTION
        return self.factor * x
        ### END SOLUTION"""

REPAIR = """\
### BEGIN SOLUTION
def double(x):
    return 2 * x
### END SOLUTION
### BEGIN GIVEN
# def double(x):
#     # squares, and
#
#     return x**2
### END GIVEN"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (FUNCTION, "def double(x):\n    raise NotImplementedError  # your code here"),
        (
            METHOD,
            "class Double:\n    def __init__(self):\n        raise NotImplementedError  # your code here\n\n"
            "    def __call__(self, x):\n        raise NotImplementedError  # your code here",
        ),
        ("### BEGIN SOLUTION\nvariance = 8\n### END SOLUTION", "variance = None  # your answer here"),
        (
            "### BEGIN SOLUTION\na, b = [i for i in range(2)]\nc: int = 3\na = c\nd.e = 4\nprint(a)\n### END SOLUTION",
            "a = None  # your answer here\nb = None  # your answer here\nc = None  # your answer here",
        ),
        (REPAIR, "def double(x):\n    # squares, and\n\n    return x**2"),
        (
            "def f(x):\n    ### BEGIN SOLUTION\n    x = 2 * x\n    ### END SOLUTION\n    ### BEGIN GIVEN\n"
            "    # if x:\n    #     x = x * x\n    ### END GIVEN\n    return x",
            "def f(x):\n    if x:\n        x = x * x\n    return x",
        ),
    ],
)
def test_the_student_gets_a_stub_or_the_given_code(tmp_path, code, expected):
    assert answer(tmp_path, code) == expected


def test_the_solution_notebook_shows_the_solution_and_not_the_given_code(tmp_path):
    assert answer(tmp_path, FUNCTION, "solution") == FUNCTION
    assert answer(tmp_path, REPAIR, "solution") == REPAIR.split("\n### BEGIN GIVEN")[0]


def test_cells_for_the_solution_only(tmp_path):
    text = 'one\n\n+++ {"tags": ["solution-only"]}\n\nbecause\n\n' + code_cell("1 + 1", "solution-only")
    assert [cell.source for cell in cells_of(tmp_path, text, "solution")] == ["one", "because", "1 + 1"]
    assert [cell.source for cell in cells_of(tmp_path, text, "exercise")] == ["one"]


def test_placeholders_are_filled_from_the_declaration(tmp_path):
    [cell] = cells_of(tmp_path, "<!-- exercise: 1.1 -->\n\nDo it.\n\n<!-- hints: 1.1 -->\n")
    assert cell.source == (
        "## Exercise 1.1 · Double\n\n*implement* · ★★☆ · about 10 minutes · 3 points\n\nDo it.\n\n"
        "<details>\n<summary>Hint 1</summary>\n\nThink of $2x$.\n\n</details>"
    )
    [cell] = cells_of(tmp_path, "<!-- exercise: 1.2 -->\n\n<!-- options: 1.2 -->\n")
    assert cell.source.endswith("★☆☆ · about 5 minutes · 1 point\n\n- **A.** yes\n- **B.** no")


def exercise_text():
    return code_cell(FUNCTION, "answer-1.1") + code_cell("double(2)", "check-1.1", "nbval-ignore-output")


@pytest.mark.parametrize("kind", ["exercise", "solution"])
def test_nbgrader_accepts_the_metadata(tmp_path, kind):
    validator = pytest.importorskip("nbgrader.nbgraderformat").MetadataValidator()
    source = tmp_path / "01-sample.md"
    source.write_text(exercise_text(), encoding="utf-8")
    notebook = build(Target(source, tmp_path / "01-sample.ipynb", kind), EXERCISES)
    validator.validate_nb(notebook)
    given, check = (cell.metadata.nbgrader for cell in notebook.cells[:2])
    assert (given.grade_id, given.solution, given.grade, given.locked) == ("answer-1-1", True, False, False)
    assert (check.grade_id, check.solution, check.grade, check.locked) == ("check-1-1", False, True, True)
    assert check.points == 3


def test_ids_outlive_an_insertion_and_differ_between_equal_cells(tmp_path):
    before = cells_of(tmp_path, "one\n\n+++\n\nsame\n\n+++\n\nsame\n\n" + exercise_text())
    after = cells_of(tmp_path, "one\n\n+++\n\nnew\n\n+++\n\nsame\n\n+++\n\nsame\n\n" + exercise_text())
    assert len({cell.id for cell in after}) == len(after)
    assert [cell.id for cell in before] == [cell.id for cell in after if cell.source != "new"]
    assert [cell.id for cell in after[-2:]] == ["answer-1-1", "check-1-1"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (code_cell("def f():\n    ### BEGIN SOLUTION\n    pass", "answer-1.1"), 5, "never followed by"),
        (code_cell("a = 1\n### END SOLUTION", "answer-1.1"), 5, "expected ### BEGIN SOLUTION or ### BEGIN GIVEN"),
        (code_cell("### BEGIN SOLUTION\na = 1\n### END GIVEN", "answer-1.1"), 6, "expected ### END SOLUTION"),
        (code_cell("### BEGIN SOLUTION\na = 1\n# End solution", "answer-1.1"), 6, "expected ### END SOLUTION"),
        (code_cell("### BEGIN SOLUTION:\na = 1", "answer-1.1"), 4, "expected ### BEGIN SOLUTION"),
        (code_cell("### BEGIN SOLTION\na = 1", "answer-1.1"), 4, "found '### BEGIN SOLTION'"),
        (code_cell("### BEGIN GIVEN\n# a = 1\n### END GIVEN", "answer-1.1"), 4, "must follow ### END SOLUTION"),
        (
            code_cell(REPAIR.replace("# def", "def"), "answer-1.1"),
            5,
            "must be commented out with '# ', found 'def double",
        ),
        (code_cell(REPAIR.replace("# def double(x)", "# def double(x"), "answer-1.1"), 4, "is not Python"),
        (code_cell("### BEGIN SOLUTION\nprint(1)\n### END SOLUTION", "answer-1.1"), 4, "must assign a name"),
        (
            code_cell("class A:\n    ### BEGIN SOLUTION\n    a = 1\n    ### END SOLUTION", "answer-1.1"),
            5,
            "must lie in a function",
        ),
        (code_cell(FUNCTION, "nbval-ignore-output"), 5, "belong in a cell tagged answer"),
        (code_cell("a = 1", "answer-1.1"), 2, "an answer needs ### BEGIN SOLUTION"),
        (code_cell("a = 1", "check-9.9"), 2, r"no exercise '9\.9'; there are 1\.1, 1\.2"),
        (code_cell("a = 1", "check-1.1") * 2, 7, "another cell tagged 'check-1.1'"),
        (code_cell("a = 1", "hide-input"), 2, "'hide-input' has no meaning on a code cell"),
        ('+++ {"tags": ["answer-1.1"]}\n\na\n', 1, "no meaning on a markdown cell"),
        ("some text\n\n<!-- exercise: 9.9 -->\n", 3, r"no exercise '9\.9'"),
        ("some text\n\n<!-- hint: 1.1 -->\n", 3, "no placeholder; there are exercise, options, hints"),
    ],
)
def test_a_slip_is_named_with_file_and_line(tmp_path, text, line, message):
    with pytest.raises(SourceError, match=message) as caught:
        cells_of(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / '01-sample.md'}:{line}: ")


def test_a_chapter_has_no_exercise_cells(tmp_path):
    with pytest.raises(SourceError, match="no meaning on a code cell of a chapter"):
        cells_of(tmp_path, exercise_text(), "chapter")


def test_unreadable_tags_name_the_file(tmp_path):
    with pytest.raises(SourceError, match=r"01-sample\.md.*Markdown cell"):
        cells_of(tmp_path, "one\n\n+++ {tags\n\ntwo\n")


def test_targets(tmp_path):
    for name in ("chapters/text/START.md", "chapters/text/01-a.md", "solutions/text/01-a.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    made = {target.path.relative_to(tmp_path).as_posix(): target.kind for target in targets(tmp_path)}
    assert made == {
        "START.ipynb": "chapter",
        "chapters/01-a.ipynb": "chapter",
        "solutions/01-a.ipynb": "solution",
        "exercises/01-a.ipynb": "exercise",
    }


def test_each_notebook_leads_to_its_other_editions(tmp_path):
    names = ("chapters/text/START.md", "chapters/text/01-a.md", "chapters/text/02-b.md", "solutions/text/01-a.md")
    for name in (*names, *(name.replace("text/", "text/zh/") for name in names if "02" not in name)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            "```{code-cell} ipython3\n1\n```\n\n# Head\n\nText.\n\n+++\n\nMore.", encoding="utf-8"
        )
    made = {
        target.path.relative_to(tmp_path).as_posix(): build(target, EXERCISES).cells for target in targets(tmp_path)
    }
    chinese, english = "\n\n[中文版]({})", "\n\n[English]({})"
    links = {
        "START.ipynb": chinese.format("START.zh.ipynb"),
        "START.zh.ipynb": english.format("START.ipynb"),
        "chapters/01-a.ipynb": chinese.format("zh/01-a.ipynb"),
        "chapters/zh/01-a.ipynb": english.format("../01-a.ipynb"),
        "chapters/02-b.ipynb": "",
        "solutions/01-a.ipynb": chinese.format("zh/01-a.ipynb"),
        "solutions/zh/01-a.ipynb": english.format("../01-a.ipynb"),
        "exercises/01-a.ipynb": chinese.format("zh/01-a.ipynb"),
        "exercises/zh/01-a.ipynb": english.format("../01-a.ipynb"),
    }
    assert {name: [cell.source for cell in cells[1:3]] for name, cells in made.items()} == {
        name: [f"# Head\n\nText.{link}", "More."] for name, link in links.items()
    }

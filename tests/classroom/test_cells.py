"""What a cell left behind when it failed is not judged; tried in IPython itself, as a notebook runs its cells."""

import sys
from types import ModuleType

import pytest
from IPython.core.interactiveshell import InteractiveShell

from largemodels.classroom.cells import Cells, assigned

WRONG = "def attention(q, k, v, mask=None):\n    return q"


@pytest.fixture(scope="module")
def shell():
    main = sys.modules["__main__"]
    shell = InteractiveShell(user_module=ModuleType("notebook"))
    yield shell
    sys.modules["__main__"] = main


@pytest.fixture
def run(shell, capsys):
    """Run cells, each with an id; the reason why `attention` is not judged is looked up after each."""
    for name in ("attention", "entropy"):
        shell.user_ns.pop(name, None)
    cells = Cells(shell.user_ns, ["attention", "entropy"])
    shell.events.register("pre_run_cell", cells.before)
    shell.events.register("post_run_cell", cells.after)

    def run(source, cell="answer", name="attention"):
        shell.run_cell(source, store_history=False, cell_id=cell)
        return cells.left_behind(name, shell.user_ns.get(name)) or ""

    run.shell, run.cells = shell, cells
    yield run
    shell.events.unregister("pre_run_cell", cells.before)
    shell.events.unregister("post_run_cell", cells.after)


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (WRONG.replace("return q", "return (q"), "SyntaxError"),
        (WRONG.replace("    return", "return"), "IndentationError"),
        (WRONG.replace("mask=None", "mask=Non"), "NameError"),
        ("import no_such_module\n" + WRONG, "ModuleNotFoundError"),
    ],
)
def test_a_cell_that_stops_leaves_the_old_answer(run, broken, kind):
    assert run(WRONG) == ""
    assert kind in run(broken)
    assert "`attention` of an earlier run" in run("1 + 1", cell="check")  # the check stands elsewhere, and later
    assert run(WRONG) == ""


def test_a_misspelt_name_leaves_the_old_answer(run):
    run(WRONG)
    assert "is the name misspelt?" in run(WRONG.replace("attention", "attentoin"))
    assert "is the name misspelt?" in run(WRONG.replace("attention", "attentoin").replace("None", "None)"))
    assert run(WRONG) == ""


def test_an_answer_that_came_before_the_cell_stopped_is_the_answer(run):
    assert run(WRONG + "\n\nattention(no_such_name)") == ""
    assert run(WRONG + "\n\n1 / 0") == ""


def test_the_answer_may_move_to_another_cell(run):
    run(WRONG)
    assert run(WRONG, cell="mine") == ""
    assert run("# moved", cell="answer") == ""
    assert run("def helper(): pass", cell="other") == ""


def test_a_check_in_the_same_cell_judges_what_is_new(run):
    """Also where the new value is the very object that was left behind, as small numbers are."""
    run("entropy = 3", name="entropy")
    assert run("no_such_name; entropy = 3", name="entropy")
    run.shell.user_ns["look"] = lambda: run.cells.left_behind("entropy", run.shell.user_ns["entropy"])
    run("entropy = 3\nseen = look()")
    assert run.shell.user_ns["seen"] is None
    assert run("no_such_name; entropy = 3", name="entropy")


def test_magics_and_names_inside_functions_are_no_answers(run):
    run(WRONG)
    assert run("%time 1 + 1", cell="other") == ""
    assert run("def other():\n    attention = 1 / 0", cell="other") == ""
    assert run("other()", cell="third") == ""
    assert run("print(attention, end='') or attention == 1 / 0", cell="fourth") == ""


def test_what_a_cell_gives():
    assert assigned("a, (b, *c) = 1, (2, 3)\nd: int = 4\nfor e in []: f = 5\nclass G:\n  h = 1") == set("abcdef") | {
        "G"
    }
    assert assigned("a, b = (1\nc: int = 2\ndef d(x=1):\n    e = 2\nf(g=1\nh == 2") == set("abcd")

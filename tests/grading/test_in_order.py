"""What a notebook's order decides: which check counts, what is left out, and what gets a second chance."""

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from largemodels.classroom import exercises
from largemodels.classroom.grading import extracting
from largemodels.classroom.grading.cellcode import CAPTURED, names, python
from largemodels.classroom.grading.extracting import CodeCell, Notebook
from largemodels.classroom.grading.isolating import MOST_CHECKS, Isolation, OneNotebook
from largemodels.classroom.grading.judging import SELECTED, Judge, Verdict, grade_notebook
from largemodels.classroom.grading.likenotebook import Cells
from largemodels.classroom.grading.sandbox import Limits

sys.path.insert(0, str(Path(__file__).parent))
from classes import RIGHT, UNSCALED

QUICK = Limits(cell_seconds=2.0, cells_seconds=20.0, patience=0.25)
START = "import math\nimport torch\nfrom largemodels.classroom import check"
CHECK = 'check(attention, "1.2")'
IDS = ("1.2", "1.3", "1.5")


@pytest.fixture(scope="module")
def grader():
    """Grades cells given as text, without anything that was given out."""
    judge = Judge(exercises, (4711,))
    with Isolation(QUICK) as isolation:

        def grade(*cells: str) -> dict[str, Verdict]:
            made = Notebook("1", tuple(CodeCell(i, text) for i, text in enumerate([START, *cells], 1)))
            return grade_notebook(judge, isolation.run, made, IDS, [])

        yield grade


def test_of_a_function_the_best_check_counts(grader):
    for cells in ((UNSCALED, CHECK, RIGHT, CHECK), (RIGHT, CHECK, UNSCALED, CHECK)):
        verdict = grader(*cells)["1.2"]
        assert (verdict.status, verdict.note) == ("passed", "")


def test_of_a_choice_the_last_check_counts(grader):
    tries = 'for letter in "ABCD":\n    check(letter, "1.5")'
    right = next(letter for letter in "ABCD" if exercises["1.5"].grade(letter).passed)
    wrong = next(letter for letter in "ABCD" if letter != right)
    assert grader(tries, f'check("{wrong}", "1.5")')["1.5"].points == 0
    assert grader(tries, f'check("{right}", "1.5")')["1.5"].points == 2
    assert grader(f'why_scale = "{right}"\ncheck(why_scale, "1.5")', 'why_scale = "x"')["1.5"].points == 2


def test_what_is_behind_the_last_check_is_not_run(grader):
    verdicts = grader(RIGHT, CHECK, "while True: pass", "import os; os._exit(0)")
    assert (verdicts["1.2"].status, verdicts["1.2"].note) == ("passed", "")


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["while True: pass", "import os; os._exit(0)"])
def test_a_cell_that_ends_the_process_is_left_out(grader, bad):
    verdicts = grader("d = 5", bad, RIGHT.replace("query.shape[-1]", "query.shape[-d + 4]"), CHECK, 'check("C", "1.5")')
    assert verdicts["1.2"].status == "passed"
    assert verdicts["1.5"].points == exercises["1.5"].grade("C").points


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["while True: pass", "import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"])
def test_an_answer_that_ends_the_process_costs_its_own_exercise_only(grader, bad):
    ends = f"def attention(query, key, value, mask=None):\n    {bad}"
    verdicts = grader('check("C", "1.5")', ends, CHECK, "check(((0.5,),), '1.3')")
    assert verdicts["1.2"].points == 0
    assert "stopped after" in verdicts["1.2"].message or "ended the whole" in verdicts["1.2"].message
    assert verdicts["1.5"].points == exercises["1.5"].grade("C").points
    assert verdicts["1.3"].status == "wrong"


@pytest.mark.slow
def test_more_bad_cells_than_are_left_out(grader):
    verdict = grader(RIGHT, *["import os; os._exit(0)"] * 6, CHECK)["1.2"]
    assert verdict.status == "passed"
    assert verdict.note.startswith(SELECTED)


def test_the_second_chance_is_told(grader):
    verdict = grader(CHECK, RIGHT)["1.2"]  # the check stands above the answer: NameError in the notebook
    assert (verdict.status, verdict.note) == ("passed", SELECTED)
    verdict = grader("broken(", "lost()", UNSCALED, CHECK)["1.2"]  # and makes nothing right that is wrong
    assert verdict.status == "wrong"
    assert "not scaled" in verdict.message


def test_an_answer_that_is_wrong_where_it_stands_gets_no_second_chance(grader):
    verdict = grader(RIGHT, "right = attention", UNSCALED, CHECK, "attention = right")["1.2"]
    assert (verdict.status, verdict.note) == ("wrong", "")


def test_a_flood_of_checks_is_looked_at_no_more_often_than(grader):
    flood = f"{UNSCALED}\nfor _ in range({MOST_CHECKS}):\n    {CHECK}\n{RIGHT}\n{CHECK}"
    assert grader(flood)["1.2"].status == "wrong"


def test_checks_in_threads_do_not_mix(grader):
    both = (
        f'{RIGHT}\nimport threading\nthreads = [threading.Thread(target=check, args=(attention, "1.2")) for _ in range(3)]'
        '\nfor t in threads: t.start()\ncheck("C", "1.5")\nfor t in threads: t.join()'
    )
    verdicts = grader(both)
    assert verdicts["1.2"].status == "passed"
    assert verdicts["1.5"].points == exercises["1.5"].grade("C").points


@pytest.mark.parametrize(
    ("value", "id"), [("len", "1.5"), ("lambda: 'C'", "1.5"), ("3", "1.2"), ("type", "1.3"), ("None", "1.2")]
)
def test_a_value_for_a_function_and_a_function_for_a_value_hear_what_the_check_says(grader, value, id):
    verdict = grader(f'check({value}, "{id}")')[id]
    report = exercises[id].grade(eval(value))
    assert (verdict.status, verdict.points, verdict.message) == (report.status, report.points, report.message)


def test_half_an_answer_is_worth_what_its_check_shows(grader):
    half = RIGHT.replace("    if mask is not None:", "    if mask is not None:\n        raise NotImplementedError", 1)
    namespace: dict = {}
    exec(f"import math\n{half}", namespace)
    report = exercises["1.2"].grade(namespace["attention"])
    verdict = grader(half, CHECK)["1.2"]
    assert (verdict.status, verdict.points) == (report.status, report.points)
    assert 0 < verdict.points < 5


def test_only_the_chapters_that_are_there_by_half_are_read_beside_the_first():
    one = [
        {"cell_type": "code", "metadata": {}, "source": f"def {exercises[id].name}(x): return x"} for id in exercises
    ]

    def chapters(*ids: str) -> list[str]:
        cells = [cell for id, cell in zip(exercises, one, strict=True) if id in ids]
        return [made.chapter for made in extracting.read(json.dumps({"cells": cells}).encode(), exercises)]

    first, second = ([id for id in exercises if id.split(".")[0] == c] for c in "12")
    assert chapters(*first, *second) == ["1", "2"]
    assert chapters(*first, second[0]) == ["1"]  # a helper borrowed from there is not handed in for it
    assert chapters(second[0]) == ["2"]


@pytest.mark.parametrize(
    ("source", "means"),
    [
        ("x = %time f(3)", "x = f(3)"),
        ("%time x = f()", "x = f()"),
        ("files = !ls -l", "files = []"),
        ("    a = 1\n    b = 2", "a = 1\nb = 2\n"),
        (">>> a = 1\n... \n>>> b", "a = 1\n\nb\n"),
        ("%%time\nx = 1", "None\nx = 1"),
        ("%%capture\nx = 1", "None\nx = 1"),
        ("%%capture --no-stderr out\nx = 1", f"out = {CAPTURED}\nx = 1"),
        ("%run a.py 1", "globals().update(__import__('runpy').run_path('a.py', run_name='__main__'))"),
        ("%run -i 'a b'", "exec(compile(open('a b.py', encoding='utf-8').read(), 'a b.py', 'exec'), globals())"),
        ("%run -m timeit\n%run other.ipynb\n%run '", "None\nNone\nNone"),
        ("%%bash\nrm -r /", "pass"),
        ("if x:\n    !ls\n    %timeit f()", "if x:\n    None\n    None"),
        ("def f(:", "def f(:\n"),
    ],
)
def test_cells_as_plain_python(source, means):
    assert python(source) == means


@pytest.mark.parametrize(
    ("code", "bound", "used"),
    [
        ("y = [i * k for i in z]", {"y"}, {"k", "z"}),
        ("y = {x: {i for i in x} for x in z if x > k}", {"y"}, {"k", "z"}),
        ("class C:\n    w = [f'{i}' + u for i in [x for x in z]]\n    del w", {"C"}, {"u", "z"}),
        ("def f(a=[i for i in z]):\n    return [w := [x] for x in a]\ndel k", {"f"}, {"z"}),
        ("def f(a):\n    global g\n    g = a + h\n    b = 1", {"f", "g"}, {"h"}),
        ("class C(B):\n    w = v\n    def m(self): return u", {"C"}, {"B", "v", "u"}),
        ("for i in a:\n    with b as c:\n        pass", {"i", "c"}, {"a", "b"}),
        ("import a.b, c as d\nfrom e import f as g", {"a", "d", "g"}, set()),
        ("f = lambda x, y=z: x + w", {"f"}, {"z", "w"}),
        ("if (n := m): pass\n[p := q for q in r]", {"n", "p"}, {"m", "r"}),
        ("try:\n    pass\nexcept E as e:\n    pass", {"e"}, {"E"}),
        ("match a:\n    case {'b': c, **d}:\n        pass\n    case [*e]:\n        pass", {"c", "d", "e"}, {"a"}),
    ],
)
def test_names_by_pythons_own_scopes(code, bound, used):
    found = names(code)
    assert found.bound == bound
    assert used <= found.used
    assert not (found.used & {"i", "x", "y", "self"})


@pytest.mark.parametrize(
    "cells",
    [
        ("1 + 1", "x = _", "[_, __, ___]"),
        ("1", "2", "3", "4", "x = [_, __, ___]"),
        ("1\n2", "x = _"),
        ("1", "None", "2;", "x = 3", "x = _"),
        ("1", "2;  # two", "x = _"),
        ("1", "(2\n) ;", "'中';", "x = _"),
        ("1", "2\r\n3;", "4  # ;", "x = _"),
        ("1", "_, y = 5, 6", "7", "x = _"),  # the notebook's own from now on
        ("1", "for _ in range(3):\n    pass", "8", "x = _, __"),
        ("import asyncio\nawait asyncio.sleep(0, 9)", "x = _"),
        ("x = 1\nlambda: x", "x = 2", "x = _()"),
        ("1", "2 +", "1 / 0", "x = _"),
        ("'two\\\nlines;'", "x = _"),
    ],
)
def test_what_a_cell_shows_is_kept_as_ipython_keeps_it(cells, monkeypatch, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    shell, ours = InteractiveShell(), {}
    ran = Cells(ours)
    for number, cell in enumerate(cells):
        shell.run_cell(cell, store_history=True)  # by which it knows of semicolons
        with contextlib.suppress(SyntaxError, ZeroDivisionError):
            ran.run(cell, f"<cell {number}>")
    assert ours["x"] == shell.user_ns["x"]


def test_a_deep_expression_runs_though_it_cannot_be_shown(monkeypatch):
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    Cells(namespace := {}).run("x = " + " + ".join(["1"] * 2_000) + "\nx", "<cell>")
    assert namespace["x"] == 2_000


@pytest.mark.slow
def test_a_notebook_has_so_many_seconds_however_often_it_is_run_again():
    """What was seen by then counts; what was not come to says why."""
    judge, asked = Judge(exercises, (4711,)), []
    cells = [START, RIGHT, CHECK, "while True: pass", "while True: pass", 'why_scale = "B"\ncheck(why_scale, "1.5")']
    made = Notebook("1", tuple(CodeCell(i, text) for i, text in enumerate(cells, 1)))
    with Isolation(replace(QUICK, cell_seconds=1.0, notebook_seconds=1.5)) as isolation:
        run = OneNotebook(isolation)
        verdicts = grade_notebook(judge, lambda job: asked.append(run(job)) or asked[-1], made, IDS, [])
    assert sum(run.used for run in asked) < 3.5  # the seconds it has, and one cell's, or a message's, more
    assert verdicts["1.2"].status == "passed"
    assert (verdicts["1.5"].points, verdicts["1.5"].status) == (0, "wrong")
    assert "together used their 1.5 seconds" in verdicts["1.5"].message

"""The engine keeps the kernel alive and says what it saw, whatever the answer does."""

import contextlib
import sys
import threading
import time

import numpy as np
import pytest
import torch

from largemodels.classroom import check, exercises, progress
from largemodels.classroom.comparing import difference, shape_difference, within
from largemodels.classroom.exercise import Case, Exercise, Misconception, Stage
from largemodels.classroom.reading import plain
from largemodels.classroom.running import run_limited


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LARGEMODELS_PROGRESS", str(tmp_path / "progress"))


def toy(seconds=0.3):
    """Double a vector; one misconception adds one."""
    return Exercise(
        id="0.1",
        title="Double",
        kind="implement",
        name="double",
        stages=(Stage("all", "doubled", 1, "twice."),),
        reference=lambda x: 2 * x,
        misconceptions=(Misconception(lambda x: x + 1, "You added one."),),
        minutes=1,
        stars=1,
        hints=("twice",),
        success="Yes.",
        cases=lambda seed: [Case("all", (torch.arange(3.0) + seed,))],
        seconds=seconds,
    )


def test_endless_loop_is_stopped_and_its_thread_is_gone():
    def endless(x):
        while True:
            pass

    before = threading.active_count()
    report = toy().grade(endless)
    assert "stopped after 0.3 seconds" in report.message
    assert report.status == "wrong"
    assert threading.active_count() == before


def test_endless_loop_that_catches_exceptions_is_stopped_too():
    def stubborn(x):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.001)

    assert "stopped after" in toy().grade(stubborn).message


def test_a_flood_of_text_is_cut_and_does_not_reach_the_screen(capsys):
    def chatty(x):
        print("a" * 1_000_000)
        print("b" * 1_000_000, file=sys.stderr)
        return 2 * x

    report = toy().grade(chatty)
    assert report.passed
    assert len(report.printed) < 2_100
    assert "2,000,002 characters" in report.printed
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (5, "asks for a function, got 5 (int)"),
        ("double", "asks for a function"),
        (lambda x: None, "return"),
        (lambda x: "text", "expected a tensor of shape (3,)"),
        (lambda x: object(), "object"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda x: sys.exit(), "SystemExit"),
        (lambda x: x[:2], "expected shape (3,), got (2,)"),
        (lambda x: x + 1, "You added one."),
        (lambda x: 2 * x * torch.nan, "NaN"),
        (lambda: 1, "TypeError"),
        (lambda x: x.mul_(2), "in place"),
    ],
)
def test_every_kind_of_wrong_answer_is_reported(answer, words):
    report = toy().grade(answer)
    assert report.status == "wrong"
    assert words in report.message


@pytest.mark.parametrize("convert", [lambda t: t.numpy(), lambda t: t.double(), lambda t: t.requires_grad_()])
def test_a_right_answer_may_come_in_other_clothes(convert):
    assert toy().grade(lambda x: convert(2 * x)).passed


def test_the_error_names_the_readers_own_line():
    namespace = {}
    exec("def broken(x):\n    return x.no_such_thing", namespace)
    assert "no_such_thing" in toy().grade(namespace["broken"]).message


def test_the_notebooks_random_numbers_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    toy().grade(lambda x: 2 * x + 0 * torch.rand(3))
    assert torch.equal(torch.rand(2), expected)


def test_answers_run_on_one_thread_and_the_notebook_keeps_its_own():
    before, seen = torch.get_num_threads(), []

    def answer(x):
        seen.append(torch.get_num_threads())
        raise KeyError

    torch.set_num_threads(2)
    try:
        toy().grade(answer)
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_of_the_engine_itself_is_not_swallowed():
    with pytest.raises(KeyError):
        run_limited(lambda: {}["missing"], seconds=1)


def test_check_finds_the_exercise_by_name_or_number():
    def attention(query, key, value, mask=None):
        raise NotImplementedError

    assert check(attention).exercise == check(attention, "1.2").exercise == "1.2 Scaled dot-product attention"
    assert check(5, "1.2").status == "wrong"
    with pytest.raises(ValueError, match="no exercise asks for a function called 'atention'; did you mean 'attention'"):
        check(type("atention", (), {}))
    with pytest.raises(ValueError, match="does not say which exercise"):
        check(5)
    with pytest.raises(ValueError, match=r"no exercise '9.9'"):
        check(5, "9.9")


def test_progress_survives_a_restart_and_keeps_the_best():
    exercise = exercises["1.5"]
    for answer in ("A", exercise.reference, "B"):
        check(answer, "1.5")
    row = next(row for row in progress(1).rows() if row[0] == "1.5")  # read back from the files
    assert row[2:] == (exercise.points, exercise.points, 3)
    assert "2 of" in repr(progress(1))
    assert "<table>" in progress()._repr_html_()
    with pytest.raises(ValueError, match="no exercises for chapter 99"):
        progress(99)


def test_a_damaged_progress_file_is_forgotten(tmp_path):
    check("C", "1.5")
    (tmp_path / "progress" / "1.5.json").write_text('{"poi', encoding="utf-8")
    assert "0 of" in repr(progress(1))
    assert check("C", "1.5").passed


def test_a_read_only_progress_folder_does_not_fail_a_check(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LARGEMODELS_PROGRESS", str(tmp_path / "file" / "below"))
    assert check("C", "1.5").passed


def test_report_reads_well_in_both_forms():
    report = exercises["1.2"].grade(lambda q, k, v, mask=None: (_ for _ in ()).throw(ValueError("<b>&`")))
    page = report._repr_html_()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    assert "0 of 5 points" in str(report)
    assert "<em>query</em>" in exercises["1.1"].grade(exercises["1.1"].misconceptions[0].answer)._repr_html_()


def test_comparison_against_torch():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        a = torch.randn(3, 4, generator=generator)
        b = a + 10 ** torch.empty(()).uniform_(-8, 0, generator=generator) * torch.randn(3, 4, generator=generator)
        assert (difference(a, b) is None) == torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def test_comparison_in_words():
    assert difference((1, 2), (1, 2)) is None
    assert "value 2 of 2" in difference((torch.ones(2), torch.ones(3)), (torch.ones(2), torch.ones(2)))
    assert "index [1]" in difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    assert shape_difference(3, 2.5) is None
    assert "expected a number" in shape_difference(True, 2.5)
    assert within(0.01)((1.004, 2.0), (1.0, 2.0)) is None
    assert "got (1.1, 2)" in within(0.01)((1.1, 2.0), (1.0, 2.0))
    assert plain(np.float32(2)) == 2
    with pytest.raises(TypeError):
        plain(object())

"""Whatever an answer is or does, `grade` returns a report, and the same value is read alike in the notebook and when
a class is graded."""

import re
import sys
import time
from decimal import Decimal
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from remembering import Remembering

from largemodels.classroom import check, exercises
from largemodels.classroom.comparing import difference
from largemodels.classroom.exercise import LEFT_OVER, Case, Exercise, Misconception, Stage, is_blank, run
from largemodels.classroom.grading.protocol import Decoder, encode
from largemodels.classroom.reading import plain
from largemodels.classroom.report import Report
from largemodels.language import speaking


class Spiteful(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Evasive:
    """Answers every question with an exception."""

    def __getattr__(self, name):
        raise ZeroDivisionError

    def __repr__(self):
        raise ZeroDivisionError

    def __eq__(self, other):
        raise ZeroDivisionError

    def __float__(self):
        raise ZeroDivisionError

    __hash__ = None


def contains_itself():
    items = [1.0]
    items.append(items)
    return items


def deep():
    value = 1.0
    for _ in range(5_000):
        value = [value]
    return value


def jagged():
    """The first one loads a good part of PyTorch: made when a test asks, not by every process that collects the tests."""
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)


STRANGE = {
    "None": None,
    "ellipsis": ...,
    "NaN": float("nan"),
    "infinity": float("-inf"),
    "NaN tensor": torch.full((2, 3), torch.nan),
    "complex": 1j,
    "complex tensor": torch.ones(2, 3, dtype=torch.complex64).conj(),
    "bool tensor": torch.ones(2, 3, dtype=torch.bool),
    "uint8": torch.ones(2, 3, dtype=torch.uint8),
    "uint16": torch.ones(2, 3).to(torch.uint16),
    "half": torch.ones(2, 3, dtype=torch.float16),
    "float8": torch.ones(2, 3).to(torch.float8_e4m3fn),
    "gradient": torch.ones(2, 3, requires_grad=True),
    "empty": torch.empty(0),
    "meta": torch.empty(2, 3, device="meta"),
    "sparse": torch.eye(3).to_sparse(),
    "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "jagged": jagged,
    "quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
    "expanded": torch.ones(()).expand(10**6, 10**4),
    "broadcast": np.broadcast_to(1.0, (10**6, 10**4)),
    "negative strides": np.ones((2, 3))[::-1, ::-1],
    "objects": np.array([1, "a", None], dtype=object),
    "texts": np.array(["1", "2"]),
    "dates": np.array(["2026-01-01"], dtype="datetime64[D]"),
    "big endian": np.ones(3, dtype=">f4"),
    "long double": np.ones(3, dtype=np.longdouble),
    "itself": contains_itself(),
    "deep": deep(),
    "ragged": [[1.0, 2.0], [3.0]],
    "mixed": [1, "two", torch.ones(2), None, [True, 2.5]],
    "generator": (x for x in range(3)),
    "map": map(float, "123"),
    "range": range(5),
    "set": {1, 2},
    "dictionary": {"a": torch.ones(2), 1: [2]},
    "odd keys": {torch.ones(2): 1},
    "bytes": b"abc",
    "many digits": 10**5_000,
    "beyond a float": Fraction(10**400, 3),
    "signalling NaN": Decimal("sNaN"),
    "long text": "a" * 10**6,
    "class": Exception,
    "module": torch.nn.Linear(2, 3),
    "function": len,
    "lambda": lambda: 1,
    "evasive": Evasive(),
    "parameter": torch.nn.Parameter(torch.ones(2, 3)),
    "masked": np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "matrix": torch.ones(3, 3),
    "tuple of nothing": (),
    "letters": ["C", "D"],
}
QUICK = ("1.2", "1.3", "1.5", "4.6")  # tensors, numbers, a letter, a list; the others stand among the slow tests
EVERY = pytest.mark.parametrize(
    "exercise",
    [pytest.param(e, marks=() if id in QUICK else pytest.mark.slow, id=id) for id, e in exercises.items()],
)


@cache
def strange():
    return {name: value() if value is jagged else value for name, value in STRANGE.items()}


@EVERY
def test_a_strange_value_gets_a_report(exercise):
    judge = Remembering(exercise)
    for name, value in strange().items():
        report = judge.report(lambda *arguments, value=value: value) if exercise.cases else exercise.grade(value)
        assert isinstance(report, Report), name
        assert report.points < report.max_points, name
        assert str(report)
        assert report._repr_html_()


def _raise(error):
    raise error


DEEDS = {
    "text that raises": lambda *a: _raise(Spiteful()),
    "exit": lambda *a: sys.exit(3),
    "interrupt": lambda *a: _raise(KeyboardInterrupt()),
    "generator exit": lambda *a: _raise(GeneratorExit()),
    "base": lambda *a: _raise(BaseException("bare")),
    "group": lambda *a: _raise(ExceptionGroup("several", [ValueError(1), TypeError(2)])),
    "no end": lambda *a: DEEDS["no end"](*a),
    "no arguments": lambda: 1,
    "a flood": lambda *a: print("x" * 10**6),
    "closes the screen": lambda *a: sys.stdout.close(),
    "takes the screen away": lambda *a: setattr(sys, "stdout", None),
    "changes its arguments": lambda *a: [x.resize_(0) for x in a if isinstance(x, torch.Tensor)] or _grow(a),
    "yields": lambda *a: (yield),
}


def _grow(arguments):
    for argument in arguments:
        if isinstance(argument, dict):
            argument["itself"] = argument
        if isinstance(argument, list):
            argument.append(argument)
    return 1.0


@EVERY
def test_a_strange_deed_gets_a_report(exercise):
    if exercise.cases is None:
        return  # nothing is called
    screen, judge = sys.stdout, Remembering(exercise)
    for name, answer in DEEDS.items():
        report = judge.judge(run(answer, judge.cases, 60.0)[0])
        assert isinstance(report, Report), name
        assert report.status == "wrong", name
        assert report.points < report.max_points, name
        assert sys.stdout is screen


def test_check_takes_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("LARGEMODELS_PROGRESS", str(tmp_path))
    for value in strange().values():
        for id in ("1.2", "1.3", "1.5"):
            assert isinstance(check(value, id), Report)
        with pytest.raises(ValueError, match=r"exercise"):  # which one? It says how to name it
            check(value)


@pytest.mark.parametrize("wrong", [1.2, 4.10, 3])
def test_an_exercise_is_named_in_quotes(wrong):
    with pytest.raises(ValueError, match="in quotes"):
        check(len, wrong)


def test_answer_and_number_exchanged():
    with pytest.raises(ValueError, match="the answer comes first"):
        check("1.2", len)


# ------------------------------------------------------------------------------------------------------------- stubs


def test_pytorchs_not_implemented_error_is_no_stub():
    exercise = exercises["1.2"]
    for answer in (
        lambda q, k, v, mask=None: (q > 0) @ (k > 0).mT,
        lambda q, k, v, mask=None: torch.nn.Module()(q),
        lambda q, k, v, mask=None: torch.ones(3, dtype=torch.long).softmax(-1),
    ):
        report = exercise.grade(answer)
        assert report.status == "wrong"
        assert "NotImplementedError" in report.message


def test_a_stub_left_in_one_branch_is_told():
    exercise = exercises["1.2"]

    def without_masks(query, key, value, mask=None):
        if mask is not None:
            raise NotImplementedError
        return exercise.reference(query, key, value)

    def with_masks(query, key, value, mask=None):
        if mask is None:
            raise NotImplementedError("your code here")
        return exercise.reference(query, key, value, mask)

    one, other = exercise.grade(without_masks), exercise.grade(with_masks)
    assert (one.points, other.points) == (3, 2)
    assert LEFT_OVER in one.message
    assert LEFT_OVER in other.message


def test_a_stub_in_a_helper_is_a_stub():
    def helper(*arguments):
        raise NotImplementedError

    assert exercises["1.2"].grade(lambda *a: helper(*a)).status == "not attempted"


def test_blank_lists_and_tuples():
    assert is_blank([None, (None, ...)])
    assert not is_blank([None, 0])
    assert not is_blank(contains_itself())
    assert not is_blank([])


# ---------------------------------------------------------------------------------------------------- errors and time


def test_the_line_shown_is_the_innermost_own_one():
    def inner(x):
        return torch.cat([x, "text"])

    def outer(query, key, value, mask=None):
        first = inner(query)
        return first

    message = exercises["1.2"].grade(outer).message
    assert "return torch.cat([x, " in message
    assert "first = inner" not in message


def test_an_argument_that_was_changed_is_named():
    message = exercises["1.6"].grade(lambda x, context, *more: context.zero_()).message
    assert "`context`" in message


def test_an_import_is_never_cut_short(tmp_path, monkeypatch):
    """A time limit that strikes half-way through a module would leave half of it in the kernel."""
    (tmp_path / "slow_module_of_two_parts.py").write_text(
        "first = 1\nimport time\nend = time.monotonic() + 0.6\nwhile time.monotonic() < end: pass\nsecond = 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def answer(x):
        import slow_module_of_two_parts

        return slow_module_of_two_parts.second * x

    exercise = Exercise(
        id="0.1",
        title="Double",
        kind="implement",
        name="double",
        stages=(Stage("all", "doubled", 1),),
        reference=lambda x: 2 * x,
        misconceptions=(Misconception(lambda x: x + 1, "You added one."),),
        minutes=1,
        stars=1,
        hints=(),
        success="Yes.",
        cases=lambda seed: [Case("all", (torch.arange(3.0),))],
        seconds=0.2,
    )
    assert exercise.grade(answer).passed
    begin = time.monotonic()
    assert "stopped after" in exercise.grade(lambda x: [time.sleep(0.01) for _ in range(10_000)]).message
    assert time.monotonic() - begin < 60


# ---------------------------------------------------------------------------------------------------- on the way back


@pytest.mark.parametrize("name", STRANGE)
def test_what_can_be_read_can_travel(name):
    try:
        value = plain(strange()[name])
    except Exception:
        return  # told to the student; nothing travels
    tree, blobs = encode(value)
    data = iter(blobs)
    back = Decoder(lambda length: next(data))(tree)
    assert repr(back) == repr(value)
    assert difference(back, value) is None


def test_what_cannot_be_read_is_said_of_the_value_that_it_is():
    report = exercises["6.2"].grade((15, 1.5, lambda: 0.81, 7.31))
    assert "one of which is a function (are its brackets () missing?)" in report.message
    report = exercises["6.2"].grade((15, 1.5, ..., 7.31))  # not answered yet, and the others count
    assert report.points == 3
    assert "got nothing" in report.message


def test_chinese_letters_stand_beside_each_other():
    with speaking("zh"):
        for answer in (lambda *a: [[1, 2], [3]], lambda *a: (torch.ones(2), None)):
            message = exercises["3.9"].grade(answer).message
            assert not re.search("[一-鿿] [一-鿿]", message), message

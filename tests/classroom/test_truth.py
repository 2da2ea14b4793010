"""A message is true or silent: a misconception speaks only where it fails the stage itself, and gives the same there."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from blind import RIGHT, WRONG
from remembering import Remembering

from largemodels.classroom import exercises
from largemodels.classroom.comparing import within
from largemodels.classroom.exercise import (
    ANOTHER_ORDER,
    LOOKS_LIKE,
    Case,
    Exercise,
    Misconception,
    Stage,
    same,
)

BY_ID = pytest.mark.parametrize("exercise", exercises.values(), ids=exercises.keys())


def toy(*misconceptions, **changes):
    """The sum and the product of a row, then the same of a row with a negative number."""
    exercise = Exercise(
        id="0.1",
        title="Sum and product",
        kind="implement",
        name="both",
        stages=(
            Stage("sum", "the sums", 1, "add.", lambda v: v[0]),
            Stage("product", "the products", 1, "multiply.", lambda v: v[1]),
        ),
        reference=lambda x: (x.sum(-1), x.prod(-1)),
        misconceptions=tuple(Misconception(*pair) for pair in misconceptions),
        minutes=1,
        stars=1,
        hints=(),
        success="Yes.",
        cases=lambda seed: [
            Case("sum", (torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 7.0]]),)),
            Case("product", (torch.tensor([[1.5, 2.0, 4.0], [-3.0, 5.0, 7.0]]),)),
        ],
    )
    return replace(exercise, **changes)


MEAN = (lambda x: (x.mean(-1), x.prod(-1)), "You took the mean.")


def test_a_misconception_that_gives_the_same_everywhere_is_told():
    assert toy(MEAN).grade(lambda x: (x.sum(-1) / 3, x.prod(-1))).message == "You took the mean."


def test_one_that_gives_the_same_where_the_first_stage_failed_is_what_it_looks_like():
    report = toy(MEAN).grade(lambda x: (x.mean(-1), x.sum(-1)))
    assert report.message == LOOKS_LIKE + "You took the mean."


def test_one_that_is_right_in_the_stage_that_failed_is_silent():
    halves = (lambda x: (x.sum(-1), x.prod(-1) / 2), "You halved the product.")
    as_text = toy(halves).grade(lambda x: ("text", x.prod(-1) / 2))
    assert "halved" not in as_text.message
    assert "the sums" in as_text.message


def test_one_that_is_wrong_in_a_stage_before_is_silent():
    both = (lambda x: (x.mean(-1), x.sum(-1)), "You took the mean and the sum.")
    message = toy(both).grade(lambda x: (x.sum(-1), x.sum(-1))).message
    assert "the products" in message
    assert "You took" not in message
    assert toy(both).grade(lambda x: (x.mean(-1), x.prod(-1) + 1)).message == LOOKS_LIKE + both[1]


def test_two_that_cannot_be_told_apart_are_silent():
    largest = (lambda x: (x.amax(-1), x.prod(-1) + 1), "You took the largest.")
    last = (lambda x: (x[..., -1], x.prod(-1) - 1), "You took the last.")
    message = toy(largest, last).grade(lambda x: (x[..., 2], x.sum(-1))).message
    assert "the sums" in message
    assert "You took" not in message
    assert toy(largest, last).grade(lambda x: (x[..., -1], x.prod(-1) - 1)).message == "You took the last."


def test_zeros_tell_no_mistake_from_another():
    nothing = (lambda x: (x.sum(-1) * 0, x.prod(-1)), "You forgot to add.")
    assert "forgot" not in toy(nothing).grade(lambda x: (torch.zeros(2), x.sum(-1))).message
    assert toy(nothing).grade(lambda x: (torch.zeros(2), x.prod(-1))).message == "You forgot to add."


def test_values_in_another_order_are_told():
    assert toy(MEAN).grade(lambda x: (x.prod(-1), x.sum(-1))).message == ANOTHER_ORDER
    for id in ("1.1", "1.2", "1.8", "2.1"):
        report = exercises[id].grade(lambda *a, id=id: exercises[id].reference(*a)[::-1])
        assert report.message == ANOTHER_ORDER
        assert report.points < report.max_points


def test_a_rounded_mistake_is_the_same_mistake():
    by_hand = toy(
        kind="predict",
        cases=None,
        reference=(1.25, 2.0),
        stages=(
            Stage("one", "one", 1, "", lambda v: v[0], within(0.005)),
            Stage("two", "two", 1, "", lambda v: v[1], within(0.005)),
        ),
        misconceptions=(Misconception((math.pi, 2.0), "That is π."),),
    )
    assert by_hand.grade((3.14, 2)).message == "That is π."
    assert by_hand.grade((1.3, 2)).message.startswith("one: got 1.3")


def test_numbers_that_differ_are_shown_with_the_digits_in_which_they_differ():
    message = toy().grade(lambda x: (x.sum(-1).double() * 1.00013, x.prod(-1))).message
    seen, expected = message.split(" is ")[1].split(" and should be ")
    assert seen != expected.split(".\n")[0]


def test_numbers_that_stand_for_truth_values_are_not_taken_for_a_longer_prefix():
    def of_floats(n, prefix, width):
        return tuple(mask.float() for mask in exercises["2.1"].reference(n, prefix, width))

    message = exercises["2.1"].grade(of_floats).message
    assert "boolean" in message
    assert "too long" not in message


def test_a_large_negative_number_in_place_of_infinity_is_no_zero_over_nan():
    def filled(Q, K, V):
        A = K.T @ Q / math.sqrt(len(Q))
        weights = A.masked_fill(torch.ones_like(A).bool().triu(), -1e9).softmax(0)
        return V @ weights, weights

    message = exercises["2.4"].grade(filled).message
    assert "0 over" not in message
    assert "large negative number" in message


def test_an_answer_of_nan_alone_looks_like_no_mistake_in_particular():
    def nothing_but_nan(Q, K, V):
        weights = (K.T @ Q).fill_(math.nan)
        return V @ weights, weights

    message = exercises["2.4"].grade(nothing_but_nan).message
    assert message.startswith("what the first word sees: ")
    assert "diagonal" not in message


# ------------------------------------------------------------------------------------- over all exercises of the course


def _told(exercise, message):
    """The misconceptions whose message this is, with or without *looks like*."""
    return [m for m in exercise.misconceptions if message in (m.message, LOOKS_LIKE + m.message)]


def _true(judge, outcomes, report):
    exercise = judge.exercise
    told = _told(exercise, report.message)
    if not told:
        return True
    expected = judge.outcomes(exercise.reference)
    position = next(i for i, stage in enumerate(report.stages) if not stage.passed)
    first = exercise.stages[position]

    def agrees(misconception):
        if LOOKS_LIKE in report.message and not all(
            s.passed for s in judge.report(misconception.answer).stages[:position]
        ):
            return False
        theirs = judge.outcomes(misconception.answer)
        rows = zip(judge.cases, outcomes, theirs, expected, strict=True)
        return not judge.report(misconception.answer).stages[position].passed and all(
            same(one.read_as(right), other.read_as(right), first.select, first.compare)
            for case, one, other, right in rows
            if case.stage == first.name
        )

    return any(map(agrees, told))


@pytest.mark.slow
@BY_ID
def test_two_mistakes_in_one_answer_are_told_truly(exercise):
    """One mistake in some stages, the next one in the others: whatever is said of it is true."""
    judge = Remembering(exercise)
    for one, other in itertools.pairwise((*exercise.misconceptions, exercise.misconceptions[0])):
        pairs = [*zip(judge.cases, judge.outcomes(one.answer), judge.outcomes(other.answer), strict=True)]
        for stage in exercise.stages:
            outcomes = [first if case.stage == stage.name else second for case, first, second in pairs]
            report = judge.judge(outcomes)
            if report.status == "wrong":
                assert _true(judge, outcomes, report), (one.message, other.message, stage.name, report.message)


@BY_ID
def test_arguments_are_called_what_the_statement_calls_them(exercise):
    if exercise.cases is None:
        return
    judge = Remembering(exercise)
    for i in range(max(len(case.arguments) for case in judge.cases)):
        assert exercise._argument(i).isidentifier()


@pytest.mark.slow
@pytest.mark.parametrize("id", RIGHT)
def test_right_answers_that_were_written_blind_pass(id):
    for seed in range(3):
        judge = Remembering(exercises[id], seed)
        for answer in RIGHT[id]:
            report = judge.report(answer)
            assert report.passed, (answer.__name__, report)


@pytest.mark.slow
@pytest.mark.parametrize("id", WRONG)
def test_wrong_answers_that_were_written_blind_fail_and_hear_what_is_true(id):
    judge = Remembering(exercises[id])
    for answer, words in WRONG[id]:
        report = judge.report(answer)
        assert report.points < report.max_points, answer.__name__
        assert all(word in report.message for word in words), (answer.__name__, report.message)


# ------------------------------------------------------------------------------------------------------- over many seeds


def _verdicts_hold(exercise, seeds):
    """Each seed judges one answer, the next in turn."""
    right = [*exercise.alternatives, *RIGHT.get(exercise.id, ())]
    wrong = [m.answer for m in exercise.misconceptions] + [answer for answer, _ in WRONG.get(exercise.id, ())]
    answers = [(answer, True) for answer in (exercise.reference, *right)] + [(answer, False) for answer in wrong]
    for seed in seeds:
        answer, passes = answers[seed % len(answers)]
        assert Remembering(exercise, seed).report(answer).passed == passes, (seed, answer)


FUNCTIONS = [exercise for exercise in exercises.values() if exercise.cases]


@pytest.mark.slow
@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda e: e.id)
def test_over_forty_seeds_no_answer_changes_its_verdict(exercise):
    _verdicts_hold(exercise, range(100, 140))

"""Every exercise keeps its promises: right answers pass, each misconception is told its own message, stubs get nothing."""

import functools
import inspect
import sys
from pathlib import Path

import pytest
import torch

from largemodels.classroom import exercises
from largemodels.classroom.exercise import run
from largemodels.classroom.report import Report

sys.path.insert(0, str(Path(__file__).parent))
from remembering import Remembering

SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 20)))
BY_ID = pytest.mark.parametrize("exercise", exercises.values(), ids=exercises.keys())

FUNCTIONS = {id: exercise for id, exercise in exercises.items() if exercise.cases is not None}
BY_ID_OF_FUNCTIONS = pytest.mark.parametrize("exercise", FUNCTIONS.values(), ids=FUNCTIONS.keys())


@functools.cache
def remembering(id, seed):
    return Remembering(exercises[id], seed)


def grader(exercise, seed):
    """`exercise.grade`, which computes what the same code gives for the same case only once, for all tests together."""
    if exercise.cases is None:
        return functools.partial(exercise.grade, seed=seed)
    return remembering(exercise.id, seed).report


@BY_ID
@pytest.mark.parametrize("seed", SEEDS)
def test_reference_and_alternatives_get_full_marks(exercise, seed):
    grade = grader(exercise, seed)
    for answer in (exercise.reference, *exercise.alternatives):
        report = grade(answer)
        assert report.passed, report
        assert report.points == report.max_points == exercise.points
        assert report.message == exercise.success


@BY_ID
@pytest.mark.parametrize("seed", SEEDS)
def test_each_misconception_is_told_its_own_message(exercise, seed):
    grade = grader(exercise, seed)
    for misconception in exercise.misconceptions:
        report = grade(misconception.answer)
        assert report.status == "wrong"
        assert report.points < report.max_points
        assert report.message == misconception.message


@BY_ID
def test_there_are_enough_misconceptions_and_hints(exercise):
    assert len({m.message for m in exercise.misconceptions}) >= 4
    assert exercise.hints
    assert exercise.stars in (1, 2, 3)
    assert exercise.minutes > 0
    if exercise.cases is not None:
        assert len(exercise.alternatives) >= 2


@BY_ID
def test_the_unsolved_stub_is_not_attempted(exercise):
    def stub(*arguments):
        raise NotImplementedError

    blank = exercise.given or stub if exercise.cases else None
    report = exercise.grade(blank)
    assert (report.status, report.points) == ("not attempted", 0)
    assert (exercise.given is not None) == (exercise.kind == "repair")


@BY_ID_OF_FUNCTIONS
def test_cases_follow_from_the_seed_alone_and_differ_between_seeds(exercise):
    outcomes = [run(exercise.reference, list(exercise.cases(seed)), 5)[0] for seed in (3, 3, 4)]
    assert repr(outcomes[0]) == repr(outcomes[1]) != repr(outcomes[2])
    assert {case.stage for case in exercise.cases(0)} == {stage.name for stage in exercise.stages}


@BY_ID_OF_FUNCTIONS
def test_no_constant_answer_passes_a_stage_that_looks_at_values(exercise):
    """Zeros of the right shape earn at most the points of a stage that looks at shapes."""
    zeros = lambda value: tuple(map(zeros, value)) if isinstance(value, tuple) else torch.zeros_like(value)  # noqa: E731
    report = grader(exercise, 0)(lambda *arguments: zeros(exercise.reference(*arguments)))
    by_shape = sum(stage.points for stage in exercise.stages if stage.compare.__name__ == "shape_difference")
    assert report.points <= by_shape


@BY_ID
def test_hints_and_messages_do_not_give_the_solution_away(exercise):
    told = " ".join([*exercise.hints, *(stage.look for stage in exercise.stages)])
    if exercise.cases is None:
        values = exercise.reference if isinstance(exercise.reference, tuple) else (exercise.reference,)
        assert not any(f" {value} " in f" {told} " for value in values if isinstance(value, int) and value > 9)
    assert "softmax(-1)" not in told
    assert "@ value" not in told


def test_every_option_of_a_choice_explains_itself():
    for exercise in exercises.values():
        if exercise.kind == "choose":
            for letter in exercise.options:
                report = exercise.grade(letter)
                assert report.message.startswith(letter)
                assert len(report.message) > 40
                assert exercise.grade(f" {letter.lower()} ") == report


def test_neither_letter_nor_length_gives_a_choice_away():
    choices = [exercise for exercise in exercises.values() if exercise.kind == "choose"]
    letters = [exercise.reference for exercise in choices]
    assert len(set(letters)) >= 4
    assert max(map(letters.count, letters)) <= len(letters) / 2
    longest = [max(e.options, key=lambda letter, e=e: len(e.options[letter])) == e.reference for e in choices]
    assert sum(longest) <= len(longest) / 3


SINGLE_NUMBERS = ("4.2", "4.3", "6.3", "6.7", "7.1", "7.6", "8.6")  # what is returned there has no axis to lose


@BY_ID_OF_FUNCTIONS
def test_squeeze_without_an_axis_is_no_answer(exercise):
    squeezed = lambda value: (  # noqa: E731
        tuple(map(squeezed, value))
        if isinstance(value, tuple)
        else value.squeeze()
        if torch.is_tensor(value)
        else value
    )
    judge = remembering(exercise.id, 0)
    tensors = any(torch.is_tensor(part) for o in judge.outcomes(exercise.reference) for part in _parts(o))
    if tensors and exercise.id not in SINGLE_NUMBERS:
        assert not judge.report(lambda *arguments: squeezed(exercise.reference(*arguments))).passed


def _parts(outcome):
    return outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)


@pytest.mark.parametrize("chapter", sorted({id.split(".")[0] for id in exercises}))
def test_all_four_kinds_appear_in_each_chapter(chapter):
    kinds = {exercise.kind for id, exercise in exercises.items() if id.split(".")[0] == chapter}
    assert kinds == {"implement", "repair", "predict", "choose"}


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("no scale", "not scaled at all"),
        ("√d_model", "√d_model"),
        ("Q and K swapped", "exchanged in your scores"),
        ("softmax over queries", "over the queries"),
        ("mask inverted", "mask is inverted"),
        ("mask after softmax", "mask after the softmax"),
        ("off by one", "off by one"),
        ("split without transpose", "cut out of the wrong axis"),
        ("merge without transpose", "merged without being brought back"),
        ("missing output projection", "output projection is missing"),
        ("missing bias", "biases are missing"),
        ("in place", "in place"),
        ("batch leak", "Sentences of the batch see each other"),
        ("mask ignored", "mask is ignored"),
    ],
)
def test_the_fourteen_classic_mistakes_in_multi_head_attention_are_named(mistake, words):
    matching = [m for m in exercises["1.6"].misconceptions if words in m.message]
    assert matching, mistake
    for misconception in matching:
        for seed in range(5):
            assert remembering("1.6", seed).report(misconception.answer).message == misconception.message


def test_two_mistakes_at_once_are_told_one_after_the_other():
    """An answer that neither scales nor masks hears about the scale first, and then about the mask."""

    def neither(query, key, value, mask=None):
        weights = (query @ key.mT).softmax(-1)
        return weights @ value, weights

    def scaled(query, key, value, mask=None):
        return neither(query * query.shape[-1] ** -0.5, key, value)

    assert "not scaled" in exercises["1.2"].grade(neither).message
    assert "mask makes no difference" in exercises["1.2"].grade(scaled).message
    assert exercises["1.2"].grade(scaled).points == 3


def test_report_is_the_public_type():
    assert isinstance(exercises["1.2"].grade(None), Report)
    assert list(inspect.signature(exercises["1.2"].grade).parameters) == ["answer", "seed"]

"""What an answer earns does not hang on the seed: the notebook's `check` has one, and a class is graded with others.

`test_truth` asks whether an answer passes; here it is asked for every stage, in chapters 5 to 8.
"""

import pytest
import torch

from largemodels.classroom import exercises
from largemodels.classroom.exercise import Exercise, call

CHAPTERS = "5678"
FUNCTIONS = {id: exercise for id, exercise in exercises.items() if exercise.cases and id[0] in CHAPTERS}
BY_ID = pytest.mark.parametrize("exercise", FUNCTIONS.values(), ids=FUNCTIONS.keys())


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Seed:
    """The cases of a seed, with the right outcomes."""

    def __init__(self, exercise: Exercise, number: int):
        self.exercise, self.cases = exercise, exercise.cases_of(number)
        self.right = [call(exercise.reference, case) for case in self.cases]

    def lost(self, answer) -> set[str]:
        """The stages that the answer fails."""
        pairs = zip(self.cases, self.right, strict=True)
        return {
            case.stage
            for case, right in pairs
            if self.exercise._failure(case, call(answer, case).read_as(right), right)
        }


def differences(exercise: Exercise, numbers, share: int = 1) -> list[str]:
    """Where a hidden seed gives or takes what the visible one does not; of each `share` answers one is tried at a seed."""
    answers = [(f"alternative {i}", answer) for i, answer in enumerate(exercise.alternatives)]
    answers += [(misconception.message, misconception.answer) for misconception in exercise.misconceptions]
    visible = Seed(exercise, 0)
    lost = [visible.lost(answer) for _, answer in answers]
    assert not any(lost[: len(exercise.alternatives)])
    assert all(lost[len(exercise.alternatives) :])
    return [
        f"{text} (seed {number})"
        for number in numbers
        for seed in [Seed(exercise, number)]
        for i, (text, answer) in enumerate(answers)
        if (i + number) % share == 0 and seed.lost(answer) != lost[i]
    ]


@pytest.mark.slow
@BY_ID
def test_hidden_seeds_give_and_take_what_the_visible_one_does(exercise):
    assert differences(exercise, (7, 23)) == []


@pytest.mark.slow
@BY_ID
def test_so_do_thirty_seeds(exercise):
    """(Verdicts, not points, are tried over two hundred seeds in test_truth.)"""
    assert differences(exercise, range(1000, 1030), share=5) == []

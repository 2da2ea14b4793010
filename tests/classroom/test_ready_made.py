"""An argument of PyTorch's that is what an exercise asks to write: refused where it is given, a tool without it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from largemodels import losses
from largemodels.classroom import exercises

SMOOTHING = exercises["4.3"]
PYTORCHS_OWN = {
    "function": lambda logits, labels, epsilon: F.cross_entropy(logits.mT, labels, label_smoothing=epsilon),
    "by its place": lambda logits, labels, epsilon: F.cross_entropy(
        logits.mT, labels, None, None, -100, None, "mean", epsilon
    ),
    "module": lambda logits, labels, epsilon: nn.CrossEntropyLoss(label_smoothing=epsilon)(logits.mT, labels),
    "the library's": lambda logits, labels, epsilon: torch.div(
        *losses.cross_entropy(logits, labels, label_smoothing=epsilon)
    ),
}


@pytest.mark.parametrize("name", PYTORCHS_OWN)
def test_the_argument_that_an_exercise_asks_for_is_told(name):
    report = SMOOTHING.grade(PYTORCHS_OWN[name])
    assert (report.status, report.points) == ("wrong", 0)
    assert "(label_smoothing=…)`, which is what this exercise asks you to write" in report.message


def _soft_targets(loss):
    def answer(logits, labels, epsilon):
        counts, size = labels != -100, logits.shape[-1]
        asked = F.one_hot(labels[counts], size) * (1 - epsilon) + epsilon / size
        return loss(logits[counts], asked)

    return answer


@pytest.mark.parametrize(
    "loss",
    [
        F.cross_entropy,
        nn.CrossEntropyLoss(),
        lambda logits, asked: nn.CrossEntropyLoss(label_smoothing=0.0)(logits, asked),
        lambda logits, asked: F.cross_entropy(logits, asked, label_smoothing=0),
    ],
)
def test_the_same_function_without_it_is_a_tool(loss):
    report = SMOOTHING.grade(_soft_targets(loss))
    assert report.points == report.max_points, report.message


def test_a_wrong_call_says_what_python_says():
    report = SMOOTHING.grade(lambda logits, labels, epsilon: F.cross_entropy(logits.mT, labels, smoothing=epsilon))
    assert "unexpected keyword argument 'smoothing'" in report.message
    assert F.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), label_smoothing=0.1) > 0  # outside nothing is changed

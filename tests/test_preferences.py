"""Preference optimisation against enumeration, torch and the closed form of its optimum."""

import copy
import itertools
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from largemodels.gpt import GPT, GPTConfig
from largemodels.losses import IGNORE
from largemodels.preferences import answer_log_probability, dpo_loss, drift, prompts_and_answers
from largemodels.training import train

TINY = GPTConfig(5, max_length=8, d_model=8, num_layers=2, num_heads=2, dropout=0.0, attention_dropout=0.0)


def lively(seed: int) -> GPT:
    torch.manual_seed(seed)
    model = GPT(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5)
    return model.eval()


def test_labels_are_the_answers_tokens_one_position_early():
    tokens, labels = prompts_and_answers([[7], [4, 5, 6]], [[1, 2], [3]], pad=9)
    assert tokens.tolist() == [[7, 1, 9], [4, 5, 6]]
    assert labels.tolist() == [[1, 2, IGNORE], [IGNORE, IGNORE, 3]]


def test_bad_pairs_are_refused():
    with pytest.raises(ValueError, match="2 prompts and 1 answers"):
        prompts_and_answers([[1], [2]], [[1]])
    with pytest.raises(ValueError, match="text 1 has an empty answer"):
        prompts_and_answers([[1], [2]], [[1], []])
    with pytest.raises(ValueError, match="text 0 has an empty prompt"):
        prompts_and_answers([[], [2]], [[1], [3]])


def test_an_answer_has_the_probability_of_its_tokens_whatever_stands_beside_it():
    model = lively(0)
    prompts, answers = [[1, 2, 3], [4]], [[2], [0, 3, 1]]
    found = answer_log_probability(model, *prompts_and_answers(prompts, answers, pad=4))
    for prompt, answer, log_probability in zip(prompts, answers, found, strict=True):
        product = 1.0
        for t, token in enumerate(answer):
            product *= model(torch.tensor([[*prompt, *answer[:t]]]))[0, -1].softmax(-1)[token].item()
        assert log_probability.item() == pytest.approx(math.log(product), rel=1e-4)


def test_all_answers_of_a_length_have_probability_one():
    answers = [list(answer) for answer in itertools.product(range(5), repeat=3)]
    found = answer_log_probability(lively(1), *prompts_and_answers([[2, 4]] * len(answers), answers))
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_the_loss_at_the_reference_is_ln_2_and_elsewhere_the_formula():
    reference, model = lively(0), lively(1)
    better = prompts_and_answers([[1], [2]], [[3, 0], [1, 1, 4]])
    worse = prompts_and_answers([[1], [2]], [[2, 2, 2], [0]])
    logs = [[answer_log_probability(m, *batch).tolist() for batch in (better, worse)] for m in (model, reference)]
    margin = torch.tensor(logs[1][0]) - torch.tensor(logs[1][1])
    total, count = dpo_loss(reference, (*better, *worse, margin), beta=0.3)
    assert (total.item(), count) == (pytest.approx(2 * math.log(2), rel=1e-5), 2)
    by_hand = 0.0
    for i in range(2):
        ratios = [math.exp(logs[0][k][i] - logs[1][k][i]) for k in (0, 1)]  # how much likelier than to the reference
        preferred = ratios[0] ** 0.3 / (ratios[0] ** 0.3 + ratios[1] ** 0.3)  # Bradley-Terry
        by_hand -= math.log(preferred)
    assert dpo_loss(model, (*better, *worse, margin), beta=0.3)[0].item() == pytest.approx(by_hand, rel=1e-4)


def test_a_beta_that_is_not_positive_is_refused():
    batch = (*prompts_and_answers([[1]], [[2]]) * 2, torch.zeros(1))
    for beta in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="beta must be above 0"):
            dpo_loss(lively(0), batch, beta=beta)


class Table(nn.Module):
    """The simplest language model: one distribution over answers of one token, whatever the prompt."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, tokens):
        return self.logits.expand(*tokens.shape, -1)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_the_optimum_is_the_reference_tilted_by_the_reward(beta):
    """If people prefer as Bradley and Terry say, then π ∝ π_ref · exp(reward / β) (Rafailov et al. 2023, equation 4)."""
    reward, reference = torch.tensor([0.0, 1.0, -0.5, 0.7]), Table(torch.tensor([1.0, 0.0, 0.5, -1.0]))
    model = copy.deepcopy(reference)
    pairs = list(itertools.permutations(range(4), 2))
    better, worse = (prompts_and_answers([[0]] * len(pairs), [[pair[i]] for pair in pairs]) for i in (0, 1))
    log = reference.logits.detach().log_softmax(-1)
    margin = torch.stack([log[a] - log[b] for a, b in pairs])
    how_often = torch.stack([torch.sigmoid(reward[a] - reward[b]) for a, b in pairs])  # a preferred to b

    def expected_loss(model, batch):
        losses = torch.stack(
            [dpo_loss(model, tuple(part[i : i + 1] for part in batch), beta=beta)[0] for i in range(12)]
        )
        return (how_often * losses).sum(), how_often.sum()

    train(
        model,
        lambda step, generator: (*better, *worse, margin),
        loss=expected_loss,
        steps=300,
        learning_rate=0.05,
        weight_decay=0.0,
        progress=False,
    )
    expected = (reference.logits + reward / beta).softmax(-1)
    torch.testing.assert_close(model.logits.softmax(-1), expected, atol=2e-3, rtol=0)


def test_drift_is_the_divergence_of_whole_answers():
    """Σ over all answers of P(answer) · Σₜ KL is KL(P ‖ Q) of the answers themselves, found by enumeration."""
    model, reference = lively(2), lively(3)
    answers = [list(answer) for answer in itertools.product(range(5), repeat=3)]
    batch = prompts_and_answers([[2, 4]] * len(answers), answers)
    with torch.no_grad():
        ours, theirs = (answer_log_probability(m, *batch) for m in (model, reference))
        found = drift(model, reference, *batch)
        assert drift(model, model, *batch).abs().max() < 1e-6
    assert (found > 0).all()
    expected = F.kl_div(theirs, ours, log_target=True, reduction="sum")
    torch.testing.assert_close((ours.exp() * found).sum(), expected, rtol=1e-4, atol=1e-5)


def test_training_on_preferences_raises_the_preferred_and_a_large_beta_drifts_less():
    reference = lively(4)
    prompts = [[1], [2], [3]]
    better, worse = prompts_and_answers(prompts, [[0, 0]] * 3), prompts_and_answers(prompts, [[4], [1, 2], [3, 3]])
    with torch.no_grad():
        margin = answer_log_probability(reference, *better) - answer_log_probability(reference, *worse)
    gained = {}
    for beta in (0.1, 3.0):
        model = copy.deepcopy(reference)
        train(
            model,
            lambda step, generator: (*better, *worse, margin),
            loss=partial(dpo_loss, beta=beta),
            steps=40,
            learning_rate=3e-3,
            progress=False,
        )
        with torch.no_grad():
            gained[beta] = answer_log_probability(model, *better) - answer_log_probability(model, *worse) - margin
    assert (gained[3.0] > 0).all()
    assert (gained[0.1] > gained[3.0]).all()

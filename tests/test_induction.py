"""Induction heads: scores against loops and made-up attention, and heads that are really gone."""

import pytest
import torch

from largemodels.gpt import GPT, GPTConfig
from largemodels.induction import follows_the_same, induction_score, previous_token_score, without_head


def model(seed=0):
    torch.manual_seed(seed)
    config = GPTConfig(
        11, max_length=32, d_model=12, num_layers=2, num_heads=3, positions="rope", tied_head=False, init_std=None
    )
    return GPT(config).eval()


def random_weights(batch, heads, n, seed=0):
    scores = 2 * torch.randn(batch, heads, n, n, generator=torch.Generator().manual_seed(seed))
    return scores.masked_fill(~torch.ones(n, n).tril().bool(), -torch.inf).softmax(-1)


def test_score_equals_its_definition_in_loops():
    tokens = torch.randint(4, (3, 9), generator=torch.Generator().manual_seed(1))
    weights = random_weights(3, 2, 9)
    for head, score in enumerate(induction_score(weights, tokens)):
        found = []
        for b in range(3):
            for t in range(9):
                earlier = [j for j in range(1, t + 1) if tokens[b, j - 1] == tokens[b, t]]
                if earlier:
                    found.append(sum(weights[b, head, t, j].item() for j in earlier))
        assert score.item() == pytest.approx(sum(found) / len(found), abs=1e-6)


def test_a_perfect_induction_head_scores_one_and_a_uniform_head_little():
    half = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:12]
    tokens = torch.cat([half, half])[None]
    perfect, uniform = torch.zeros(24, 24), torch.ones(24, 24).tril()
    perfect[0, 0] = 1
    for t in range(1, 24):
        perfect[t, t - 11 if t >= 12 else 0] = 1
    weights = torch.stack([perfect, uniform / uniform.sum(-1, keepdim=True)])[None]
    score = induction_score(weights, tokens)
    assert score[0] == 1
    assert score[1].item() == pytest.approx(sum(1 / (t + 1) for t in range(12, 24)) / 12, abs=1e-6)
    some = torch.arange(24) >= 20
    assert induction_score(weights, tokens, some)[1].item() == pytest.approx(sum(1 / n for n in range(21, 25)) / 4)


def test_nothing_follows_in_the_future_and_nothing_at_the_first_place():
    target = follows_the_same(torch.tensor([[3, 3, 5, 3]]))[0]
    assert target.int().tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    with pytest.raises(ValueError, match="occurred before"):
        induction_score(random_weights(1, 1, 3), torch.tensor([[1, 2, 3]]))


def test_previous_token_score():
    n = 6
    shifted = torch.eye(n).roll(1, 0)
    shifted[0] = torch.eye(n)[0]
    assert previous_token_score(shifted[None, None]).item() == 1
    assert previous_token_score(torch.eye(n)[None, None]).item() == 0
    mixed = torch.where(torch.arange(n)[:, None] >= 4, shifted, torch.eye(n))[None, None]
    assert previous_token_score(mixed).item() == pytest.approx(2 / 5)
    assert previous_token_score(mixed, torch.arange(n) >= 4).item() == 1
    assert previous_token_score(mixed, torch.arange(n) < 4).item() == 0


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 2)])
def test_a_silenced_head_adds_nothing_to_the_stream(layer, head):
    whole = model()
    silenced = without_head(whole, layer, head)
    inputs = {}
    for name, one in (("whole", whole), ("silenced", silenced)):
        output = one.stack.blocks[layer].attention.output
        output.register_forward_hook(lambda module, x, y, name=name: inputs.update({name: (x[0], y)}))
        with torch.no_grad():
            one(torch.arange(8)[None])
    heads, full = inputs["whole"]
    part = torch.zeros_like(heads)
    part[..., head * 4 : (head + 1) * 4] = heads[..., head * 4 : (head + 1) * 4]
    lost = part @ whole.stack.blocks[layer].attention.output.weight.T
    torch.testing.assert_close(inputs["silenced"][1], full - lost)
    assert lost.abs().max() > 1e-3


def test_the_model_itself_is_left_alone():
    whole = model()
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    without_head(whole, 0, 1)
    assert all(torch.equal(before[name], tensor) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize(("layer", "head"), [(2, 0), (0, 3), (-1, 0)])
def test_a_head_that_does_not_exist_is_named(layer, head):
    with pytest.raises(IndexError, match=r"layers 0 … 1 with heads 0 … 2"):
        without_head(model(), layer, head)

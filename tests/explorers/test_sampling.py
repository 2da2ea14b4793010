"""The sampling explorer shows the probabilities that `sample` draws from."""

import re

import pytest
import torch

from largemodels.explorers import sampling_explorer
from largemodels.generation import next_token_probabilities
from largemodels.gpt import GPT, GPTConfig
from largemodels.tokenizers import BPE

TOKENIZER = BPE([], special=["<eos>"])


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = GPTConfig(len(TOKENIZER), max_length=12, d_model=32, num_layers=2, num_heads=4, dropout=0.5, init_std=0.3)
    return GPT(config)


@pytest.fixture
def explorer(model):
    return sampling_explorer(model, TOKENIZER, "Dogs", begin=0, max_length=12)


def test_sliders_and_prompt_change_the_bars_and_numbers(explorer, model):
    seen = {explorer.view.value}
    for prompt, temperature, top_k, top_p in (
        ("Dogs like", 1.0, 0, 1.0),
        ("Dogs like", 0.5, 0, 1.0),
        ("Dogs like", 0.5, 3, 1.0),
        ("Dogs like", 0.5, 0, 0.3),
        ("", 0.0, 0, 1.0),
    ):
        explorer.prompt.value, explorer.temperature.value = prompt, temperature
        explorer.top_k.value, explorer.top_p.value = top_k, top_p
        with torch.no_grad():
            logits = model.eval()(torch.tensor([[0, *TOKENIZER.encode(prompt)]]))[0, -1]
        expected = next_token_probabilities(logits, temperature, top_k or None, top_p)
        torch.testing.assert_close(explorer.probabilities, expected)
        assert f"{int((expected > 0).sum())} of {len(TOKENIZER)} tokens can be drawn" in explorer.view.value
        seen.add(explorer.view.value)
    assert len(seen) == 6


def test_bars_are_as_long_as_the_probabilities_and_sum_to_one(explorer):
    explorer.temperature.value = 0.7
    lengths = [float(px) for px in re.findall(r"height:8px;width:([\d.]+)px", explorer.view.value)]
    assert len(lengths) == 17
    assert sum(lengths) == pytest.approx(320, abs=1)
    best = explorer._logits.argmax()
    assert lengths[0] == pytest.approx(320 * explorer.probabilities[best].item(), abs=0.06)


def test_the_button_writes_within_the_context_and_differs_each_time(explorer):
    explorer.write.click()
    first = explorer.written.value
    explorer.write.click()
    assert first != explorer.written.value != ""
    explorer.temperature.value = 0.0
    explorer.write.click()
    greedy = explorer.written.value
    explorer.write.click()
    assert explorer.written.value == greedy


def test_a_long_prompt_is_read_from_its_end_and_says_so(explorer):
    explorer.prompt.value = "Dogs like balls and cats"
    assert "The first 13 tokens do not fit" in explorer.view.value
    explorer.write.click()
    assert "<b>" in explorer.written.value
    long = explorer.probabilities
    explorer.prompt.value = ""
    assert not torch.equal(long, explorer.probabilities)


def test_what_is_typed_is_shown_as_text(explorer):
    explorer.prompt.value = "<b>"
    explorer.write.click()
    assert "&lt;b&gt;" in explorer.written.value


def test_the_model_stays_in_its_mode(explorer, model):
    model.train()
    explorer.prompt.value = "cats"
    assert model.training


def test_a_context_of_one_token_is_refused(model):
    with pytest.raises(ValueError, match="at least 2 tokens"):
        sampling_explorer(model, TOKENIZER, "", begin=0, max_length=1)

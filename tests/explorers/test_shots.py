"""The explorer of prompts shows what the model gives for the prompt as it is now."""

import pytest
import torch

from largemodels.corpora.tasks import PromptTokenizer
from largemodels.explorers import shots_explorer
from largemodels.gpt import GPT, GPTConfig

PROMPT = "把英文翻译成密码:\ndog => bomi\negg => zela\ndog =>"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = GPTConfig(
        len(PromptTokenizer()), max_length=20, d_model=16, num_layers=2, num_heads=2, positions="rope", init_std=None
    )
    return GPT(config).eval()


def test_it_shows_the_models_probabilities_and_attention(model):
    explorer, tokenizer = shots_explorer(model, PromptTokenizer(), PROMPT), PromptTokenizer()
    for text in (PROMPT, PROMPT.replace("bomi", "pax"), "cat =>"):
        explorer.text.value = text
        ids = torch.tensor([tokenizer.encode(text)])
        with torch.no_grad():
            logits, weights = model(ids, return_weights=True)
        assert explorer.tokens == [tokenizer.tokens[i] for i in ids[0]]
        torch.testing.assert_close(explorer.probabilities, logits[0, -1].softmax(-1))
        best = tokenizer.tokens[int(logits[0, -1].argmax())]
        assert best.replace(">", "&gt;") in explorer.view.value
        for number, name in enumerate(explorer.head.options[1:]):
            explorer.head.value = name
            torch.testing.assert_close(explorer.shown_attention, weights[number // 2][0, number % 2, -1])
        explorer.head.index = 0
        assert explorer.shown_attention.sum().item() == pytest.approx(1)


def test_a_prompt_that_cannot_be_read_is_answered_and_can_be_mended(model):
    explorer = shots_explorer(model, PromptTokenizer(), PROMPT)
    good = explorer.view.value
    explorer.text.value = PROMPT.replace("bomi", "<b>")
    assert "&#x27;&lt;b&gt;&#x27; is not a token of" in explorer.view.value
    explorer.head.value = explorer.head.options[2]  # must not stumble over the missing numbers
    explorer.head.index = 0
    explorer.text.value = PROMPT + "\ndog => pax" * 12
    assert explorer.probabilities is not None or "positions" in explorer.view.value
    explorer.text.value = PROMPT
    assert explorer.view.value == good
    with pytest.raises(ValueError, match="is not a token of"):
        shots_explorer(model, PromptTokenizer(), "what is this")

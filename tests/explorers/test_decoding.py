"""The decoding explorer shows what the model computes, and says what is wrong with a sentence."""

import re

import pytest
import torch

from largemodels.explorers import decoding_explorer
from largemodels.generation import greedy
from largemodels.tokenizers import Words
from largemodels.transformer import Transformer, TransformerConfig

BOS, EOS = 1, 2
SOURCE = Words(["dogs", "cats", "like", "balls", "."])
TARGET = Words(["狗", "猫", "喜欢", "球", "。"])


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = TransformerConfig(len(SOURCE), len(TARGET), max_length=12, d_model=16, num_heads=4, d_ff=32)
    return Transformer(config).train()


@pytest.fixture
def explorer(model):
    return decoding_explorer(model, SOURCE, TARGET, "Dogs like balls .", bos=BOS, eos=EOS, prepare=str.lower)


def source_of(text):
    return torch.tensor([[*SOURCE.encode(text), EOS]])


def weights_in(html):
    """The two rows of weights as the reader sees them."""
    return [[float(w) for w in re.findall(r"<small>([\d.]+)</small>", row)] for row in html.split("<table")[1:]]


def test_it_shows_the_models_probabilities_and_both_attentions_of_the_chosen_head(model, explorer):
    explorer.choices[2].click()
    explorer.choices[0].click()
    explorer.layer.value, explorer.head.value = 2, 3
    model.eval()
    with torch.no_grad():
        logits, weights = model(source_of("dogs like balls ."), torch.tensor([explorer.tokens]), return_weights=True)
    torch.testing.assert_close(explorer.probabilities, logits[0, -1].softmax(-1))
    cross, own = weights_in(explorer.view.value)
    torch.testing.assert_close(torch.tensor(cross), weights.cross[1][0, 2, -1], atol=0.006, rtol=0)
    torch.testing.assert_close(torch.tensor(own), weights.decoder[1][0, 2, -1], atol=0.006, rtol=0)
    assert (len(cross), len(own)) == (5, 3)

    explorer.head.value = 0
    cross, _ = weights_in(explorer.view.value)
    torch.testing.assert_close(torch.tensor(cross), weights.cross[1][0, :, -1].mean(0), atol=0.006, rtol=0)


def test_buttons_carry_the_most_probable_tokens_and_write_them(explorer):
    best = explorer.probabilities.argsort(descending=True)[:6].tolist()
    assert [button.token for button in explorer.choices] == best
    assert explorer.choices[1].description.startswith(TARGET.tokens[best[1]])
    explorer.choices[1].click()
    assert explorer.tokens == [BOS, best[1]]
    explorer.back.click()
    assert explorer.tokens == [BOS]
    assert explorer.back.disabled
    assert explorer.probabilities.argmax() == best[0]


def test_to_the_end_is_greedy_and_leaves_the_model_in_training(model, explorer):
    explorer.finish.click()
    expected = greedy(model, BOS, source=source_of("dogs like balls ."), max_new_tokens=12, eos=EOS)[0].tolist()
    limit = 12 if EOS not in expected else len(expected)
    assert explorer.tokens[1 : 1 + limit] == expected[:limit]
    assert model.training


def test_eos_ends_and_can_be_taken_back(explorer):
    explorer._write(EOS)
    assert explorer.ended
    assert all(button.disabled for button in (*explorer.choices, explorer.finish))
    assert "how &lt;eos&gt; was chosen" in explorer.view.value
    explorer.back.click()
    assert not explorer.choices[0].disabled


def test_an_unknown_word_an_empty_and_a_long_sentence_are_told_and_forgiven(explorer):
    for sentence, words in (
        ("Dogs like ball .", "the word &#x27;ball&#x27; is not in the vocabulary .* &#x27;balls&#x27;"),
        ("  ", "type a sentence"),
        ("dogs " * 20, "positions are needed, but this model has 12"),
    ):
        explorer.sentence.value = sentence
        assert re.search(words, explorer.view.value)
        assert all(button.disabled for button in explorer.choices)
    explorer.sentence.value = "cats like balls ."
    assert explorer.problem == ""
    assert "cats" in explorer.view.value
    assert not explorer.choices[0].disabled


def test_another_sentence_begins_anew(explorer):
    explorer.choices[0].click()
    explorer.sentence.value = "Cats like balls ."
    assert explorer.tokens == [BOS]


def test_it_says_what_it_is_where_no_kernel_draws_it(explorer):
    assert repr(explorer) == "decoding explorer for 'Dogs like balls .' (run this cell to use it)"

"""The fill-in-the-blank explorer against the model itself."""

import pytest
import torch

from largemodels.bert import BERT, BERTConfig
from largemodels.explorers import blank_explorer
from largemodels.tokenizers import WordPiece

TOKENIZER = WordPiece.train(["the dogs like the cats, and the cats like a dog"] * 3, size=60)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BERT(BERTConfig(len(TOKENIZER), max_length=16, d_model=16, num_layers=1, num_heads=2, init_std=0.5)).eval()


def test_candidates_are_the_models(model):
    explorer = blank_explorer(model, TOKENIZER, "the ___ like a ___", candidates=4)
    ids = [TOKENIZER.id("[CLS]"), *TOKENIZER.encode("the"), TOKENIZER.id("[MASK]"), *TOKENIZER.encode("like a")]
    tokens = torch.tensor([[*ids, TOKENIZER.id("[MASK]"), TOKENIZER.id("[SEP]")]])
    logits = model(tokens)[0]
    logits[:, :5] = -torch.inf
    for place, candidates in zip((2, tokens.shape[1] - 2), explorer.found, strict=True):
        p = logits[place].softmax(-1)
        assert [token for token, _ in candidates] == [TOKENIZER.tokens[i] for i in p.topk(4).indices]
        assert [q for _, q in candidates] == pytest.approx(p.topk(4).values.tolist(), rel=1e-3)
    assert "hole 2" in explorer.view.value


def test_a_new_text_is_answered_at_once(model):
    explorer = blank_explorer(model, TOKENIZER, "the ___")
    before = explorer.view.value
    explorer.text.value = "___ like <b>cats</b>"
    assert len(explorer.found) == 1
    assert explorer.view.value != before
    assert "<b>" not in explorer.view.value


def test_what_cannot_be_filled_in_is_said(model):
    explorer = blank_explorer(model, TOKENIZER, "the dogs")
    assert explorer.found == []
    assert "Write ___ where a token is missing" in explorer.view.value
    explorer.text.value = "the ___ " + "dogs " * 20
    assert "tokens; the model reads 14 at most" in explorer.view.value
    explorer.text.value = "___ \ud83d"
    assert "lone surrogate" in explorer.view.value


def test_bad_input_is_refused_clearly(model):
    other = WordPiece.train(["a b"], size=9)
    with pytest.raises(ValueError, match=f"the model has {len(TOKENIZER)} tokens, the tokenizer {len(other)}"):
        blank_explorer(model, other, "___")
    plain = WordPiece([*TOKENIZER.tokens[:4], "[HOLE]", *TOKENIZER.tokens[5:]], special=TOKENIZER.special[:4])
    with pytest.raises(ValueError, match=r"'\[MASK\]' is not a token"):
        blank_explorer(model, plain, "___")

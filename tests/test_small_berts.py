"""The small models that chapter 6 goes on with: whole, small, and as good as their logs say."""

import json
from pathlib import Path

import pytest
import torch

from largemodels import pretrained
from largemodels.masked_lm import pack
from largemodels.tokenizers import WordPiece

CHECKPOINTS = Path(__file__).parents[1] / "chapters" / "checkpoints"
KINDS = ("bert", "albert", "mlm")


def opened(kind):
    folder = CHECKPOINTS / f"06-{kind}"
    tokenizer = WordPiece((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    return pretrained.load(folder), tokenizer, json.loads((folder / "log.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_whole_and_small(kind):
    model, tokenizer, log = opened(kind)
    assert len(tokenizer) == model.config.vocab_size == 2000
    assert sum(file.stat().st_size for file in (CHECKPOINTS / f"06-{kind}").iterdir()) < 5_000_000
    steps, losses = zip(*log["held-out loss of a hidden token, by steps"], strict=True)
    assert steps[-1] == log["steps"]
    assert losses[-1] == pytest.approx(log["held-out, at the end"]["loss"])
    assert losses[-1] < losses[0] - 0.3


def test_the_logs_say_what_the_chapter_says():
    loss = {kind: opened(kind)[2]["held-out, at the end"]["loss"] for kind in KINDS}
    assert loss["mlm"] + 0.5 < loss["bert"] < loss["albert"] - 0.2


def test_it_fills_in_blanks():
    model, tokenizer, _ = opened("mlm")
    for before, after, expected in (
        ("return true", "the object is a file .", "if"),
        ("the argument may be", "string or a bytes object .", "a"),
        ("return", "if the object is a function , false otherwise .", "true"),
    ):
        ids = [*tokenizer.encode(before), tokenizer.id("[MASK]"), *tokenizer.encode(after)]
        tokens, segments, mask = pack([ids], tokenizer, len(ids) + 2)
        with torch.no_grad():
            logits = model(tokens, segments, mask)[0, 1 + ids.index(tokenizer.id("[MASK]"))]
        assert tokenizer.tokens[logits.argmax()] == expected

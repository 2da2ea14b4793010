"""The small models that chapter 5 goes on with: whole, small, and as good as their logs and the chapter say."""

import json
from pathlib import Path

import pytest
import torch

from largemodels import pretrained
from largemodels.generation import greedy
from largemodels.tokenizers import WordPiece, Words
from largemodels.training.batching import pad_pairs

CHECKPOINTS = Path(__file__).parents[1] / "chapters" / "checkpoints"
CORRUPTIONS = ("masking", "deletion", "infilling", "permutation", "rotation")


def opened(kind):
    folder = CHECKPOINTS / f"05-{kind}"
    return pretrained.load(folder), json.loads((folder / "log.json").read_text(encoding="utf-8"))


def vocabulary(kind):
    return (CHECKPOINTS / f"05-{kind}" / "vocab.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("kind", ["bart", "t5", *CORRUPTIONS])
def test_it_is_whole_and_small(kind):
    model, log = opened(kind)
    assert len(vocabulary("masking" if kind in CORRUPTIONS else kind)) == model.config.vocab_size
    assert sum(file.stat().st_size for file in (CHECKPOINTS / f"05-{kind}").iterdir()) < 5_000_000
    steps, losses = zip(*log["loss of a token, by steps"], strict=True)
    assert steps[-1] == log["steps"]
    assert losses[-1] < 0.3 * losses[0]


def test_bart_fills_a_gap_and_keeps_the_rest():
    model, log = opened("bart")
    assert log["held-out, at the end"]["missing tokens found"] > 0.25
    tokenizer = WordPiece(vocabulary("bart"), ("<s>", "<pad>", "</s>", "<unk>", "<mask>"), "<unk>")
    mask, end = tokenizer.id("<mask>"), tokenizer.id("</s>")
    before, after = tokenizer.encode("return true if the"), tokenizer.encode("is a file .")
    source = torch.tensor([[*before, mask, *after, end]])
    written = greedy(model, end, source=source, max_new_tokens=30, eos=end)[0].tolist()
    written = [token for token in written if token != end]
    assert written[: len(before)] == before
    assert written[-len(after) :] == after
    assert len(written) > len(before) + len(after)


def test_t5_does_what_the_prefix_says():
    model, log = opened("t5")
    assert min(log["right, of held-out sentences"].values()) > 0.7
    tokens = vocabulary("t5")
    words = Words(tokens[2:], tokens[:2])
    expected = {
        "translate": "一 只 鸭子 很 小 。",
        "reverse": ". small very is duck a",
        "sort": ". a duck is small very",
        "count": "6",
        "animal?": "yes",
    }
    pairs = [(words.encode(f"{task} : a duck is very small ."), [1]) for task in expected]
    source, _, mask, _ = pad_pairs(pairs, bos=0, eos=1, pad=0)
    rows = greedy(model, 0, source=source, mask=mask, max_new_tokens=14, eos=1)
    assert [words.decode(row) for row in rows] == list(expected.values())


def test_the_five_began_alike_and_went_their_ways():
    models = [opened(kind)[0] for kind in CORRUPTIONS]
    assert len({model.config for model in models}) == 1
    weights = [model.head.weight for model in models]
    assert not any(torch.equal(one, other) for i, one in enumerate(weights) for other in weights[:i])

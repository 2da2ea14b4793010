"""The explorer of corruptions shows what the library gives for the text as it is now."""

import re

import torch

from largemodels import denoising
from largemodels.explorers import corruption_explorer
from largemodels.explorers.corruptions import CORRUPTIONS, HIDDEN_COLOR, MOVED

SLIDE = "A B C . D E ."


def rows(explorer) -> dict[str, list[tuple[str, bool, bool]]]:
    """Of each row of the view its tokens: text, whether coloured as hidden, whether as moved."""
    found = {}
    for label, cells in re.findall(r"<tr><td[^>]*>(\w+)</td><td>(.*?)</td></tr>", explorer.view.value):
        boxes = re.findall(r"<span style='([^']*)'>(.*?)</span>", cells)
        found[label] = [(text, HIDDEN_COLOR in look, MOVED in look) for look, text in boxes]
    return found


def test_it_shows_what_the_library_gives():
    explorer = corruption_explorer(SLIDE)
    for name, seed, rate in [(name, seed, rate) for name in CORRUPTIONS for seed in (0, 7) for rate in (0.0, 0.3, 1.0)]:
        explorer.corruption.value, explorer.seed.value, explorer.rate.value = name, seed, rate
        expected = CORRUPTIONS[name](SLIDE.split(), rate, torch.Generator().manual_seed(seed))
        assert explorer.result == expected
        shown = rows(explorer)
        assert [text for text, _, _ in shown["text"]] == SLIDE.split()
        escaped = [token.replace("<", "&lt;").replace(">", "&gt;") for token in expected.source]
        assert [text for text, _, _ in shown["input"]] == escaped
        assert [hidden for _, hidden, _ in shown["input"]] == [place == denoising.HIDDEN for place in expected.origin]
        assert sum(hidden for _, hidden, _ in shown["text"]) == 7 - sum(place >= 0 for place in expected.origin)


def test_what_is_moved():
    explorer = corruption_explorer(SLIDE)
    explorer.corruption.value = "sentence permutation 句子重排"
    explorer.seed.value = next(s for s in range(50) if permuted(s).target == [1, 2])
    assert not any(moved for _, _, moved in rows(explorer)["input"])
    explorer.seed.value = next(s for s in range(50) if permuted(s).target == [2, 1])
    assert rows(explorer)["input"][0] == ("D", False, True)
    assert [text for text, _, _ in rows(explorer)["target"]] == ["2", "1"]
    assert explorer.rate.disabled


def permuted(seed):
    return denoising.sentence_permutation(SLIDE.split(), torch.Generator().manual_seed(seed))


def test_tokens_are_words_marks_and_chinese_characters():
    explorer = corruption_explorer("Don't panic, she said: 我喜欢狗。 A well-known <b>!")
    expected = ["Don't", "panic", ",", "she", "said", ":", *"我喜欢狗。", "A", "well-known", "<", "b", ">", "!"]
    assert explorer.tokens == expected
    assert "<b>" not in explorer.view.value


def test_what_cannot_be_done_is_said_and_can_be_mended():
    explorer = corruption_explorer(SLIDE)
    good = explorer.view.value
    explorer.text.value = "  "
    assert explorer.result is None
    assert "no tokens" in explorer.view.value
    explorer.text.value, explorer.corruption.value = "word " * 900, "T5: span corruption 片段替换"
    explorer.rate.value = 0.5
    assert "sentinels" in explorer.view.value
    explorer.text.value, explorer.corruption.value, explorer.rate.value = SLIDE, "token masking 词掩码", 0.3
    assert explorer.view.value == good

"""Explorers in another language: no word that they show themselves stays English. All data here are Chinese."""

import html
import re
from pathlib import Path

import ipywidgets
import pytest
import torch
from one_word import english_in

from largemodels import explorers
from largemodels.bert import BERT, BERTConfig
from largemodels.corpora.tasks import PromptTokenizer
from largemodels.explorers import HeadView, MaskPainter
from largemodels.explorers.corruptions import CORRUPTIONS
from largemodels.explorers.frame import Frame
from largemodels.gpt import GPT, GPTConfig
from largemodels.tokenizers import Words
from largemodels.transformer import Transformer, TransformerConfig

FOLDER = Path(explorers.__file__).parent


def code_of(module: str) -> str:
    """Without its comments."""
    return re.sub(r"(^|\s)//.*", "", (FOLDER / module).read_text(encoding="utf-8"))


NAMES = "PAD CLS SEP MASK T5 pad bos eos extra id Words PromptTokenizer".split()


def blanks():
    tokenizer = Words(["狗", "猫", "球"], special=["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    model = BERT(BERTConfig(len(tokenizer), max_length=8, d_model=8, num_layers=1, num_heads=2)).eval()
    explorer = explorers.blank_explorer(model, tokenizer, "狗 ___ 球")
    yield explorer
    for text in ("狗", "鱼 ___", "狗 " * 9 + "___"):  # no hole, an unknown word, too long
        explorer.text.value = text
        yield explorer


def corruptions():
    explorer = explorers.corruption_explorer("狗 喜欢 球 。 猫 不 喜欢 。")
    for name in CORRUPTIONS:
        explorer.corruption.value = name
        yield explorer
    explorer.rate.value = 0
    yield explorer
    explorer.text.value = ""
    yield explorer


def decoding():
    torch.manual_seed(0)
    tokenizer = Words(["狗", "猫", "球"])
    model = Transformer(TransformerConfig(len(tokenizer), len(tokenizer), max_length=6, d_model=8, num_heads=2, d_ff=8))
    explorer = explorers.decoding_explorer(model, tokenizer, tokenizer, "狗 球", bos=1, eos=2)
    yield explorer
    next(button for button in explorer.choices if button.token == 2).click()  # the end
    yield explorer
    for text in ("", "鱼"):
        explorer.sentence.value = text
        yield explorer


def encodings():
    yield explorers.encoding_explorer(16)


def head_views():
    yield explorers.head_explorer(torch.zeros(2, 3, 3), list("甲乙丙"))


def mask_painter():
    yield MaskPainter(torch.zeros(4, 4), list("甲乙丙丁"))


def sampling():
    torch.manual_seed(0)
    tokenizer = Words(["狗", "猫", "球", *map(chr, range(0x4E00, 0x4E20))], special=["<eos>"])
    model = GPT(GPTConfig(len(tokenizer), max_length=4, d_model=8, num_layers=1, num_heads=2))
    explorer = explorers.sampling_explorer(model, tokenizer, "狗", begin=0, max_length=4)
    yield explorer
    explorer.prompt.value = "狗 猫 球 狗 猫"  # more than it reads
    yield explorer


def shots():
    torch.manual_seed(0)
    tokenizer = PromptTokenizer()
    model = GPT(GPTConfig(len(tokenizer), max_length=20, d_model=8, num_layers=1, num_heads=2)).eval()
    explorer = explorers.shots_explorer(model, tokenizer, "给词语分类:")
    yield explorer
    explorer.text.value = "鱼"
    yield explorer


EXPLORERS = [blanks, corruptions, decoding, encodings, head_views, mask_painter, sampling, shots]


def shown(widget) -> list[str]:
    """What a reader sees or hears of a widget and of those in it."""
    texts = [getattr(widget, name, "") for name in ("description", "tooltip", "placeholder")]
    texts += [str(option) for option in getattr(widget, "_options_labels", ())]
    texts += list(getattr(widget, "words", {}).values()) + list(getattr(widget, "presets", ()))
    texts += list(getattr(widget, "captions", ()))
    if isinstance(widget, ipywidgets.HTML):
        texts += re.findall(r"(?:alt|title|aria-label)='([^']*)'", widget.value)
        texts += re.findall(r">([^<>]+)<", f">{widget.value}<")
    for inner in getattr(widget, "children", ()):
        texts += shown(inner)
    return [html.unescape(text) for text in texts if text]


@pytest.mark.parametrize("states", EXPLORERS)
def test_no_word_of_an_explorer_stays_english(states, one_word):
    names = [
        *NAMES,
        *(token.removesuffix(" =>") for token in PromptTokenizer().tokens),
        *"Large Model Pre-train".split(),
    ]
    for explorer in states():
        texts = [re.sub(r"\{\w+\}", "", text) for text in [*shown(explorer), repr(explorer)]]
        assert len(texts) > 2
        for text in texts:
            assert english_in(text, names) == [], text


def test_every_explorer_is_tried_here(one_word):
    tried = {type(explorer).__name__ for states in EXPLORERS for explorer in states()}
    classes = {name for name in explorers.__all__ if name[0].isupper()}
    assert classes - {"HeadView"} <= tried  # a head view is part of its explorer


@pytest.mark.parametrize(("widget", "file"), [(HeadView, "heads.js"), (MaskPainter, "masks.js"), (Frame, "frame.js")])
def test_a_module_asks_for_the_words_that_it_is_sent(widget, file):
    code = code_of(file)
    assert {*re.findall(r'say\("([^"]+)"', code)} <= {*widget.WORDS}
    assert [name for name in widget.WORDS if f'"{name}"' not in code] == []


@pytest.mark.parametrize("file", ["heads.js", "masks.js", "frame.js"])
def test_a_module_has_no_words_of_its_own(file):
    """Whatever it hands to the page as text, a title or a name for screen readers."""
    code = code_of(file)
    given = re.findall(r"(?:textContent|title|ariaLabel)\s*[:=]\s*([^,;})]+)", code)
    given += re.findall(r'"aria-label",\s*([^)]+)', code)
    assert given
    for value in given:
        assert not re.search(r"[\"'`][^\"'`$]*[A-Za-z]{2}", re.sub(r"(say|model\.get)\(.*", "", value)), value
    assert not re.search(r"[\"'`][A-Z][a-z]+ [a-z]+ [^\"'`]*[\"'`]", code.replace('"Is anybody there?"', "")), file


def test_words_are_those_of_the_language_when_an_explorer_is_made(one_word):
    view = HeadView(torch.eye(2)[None], list("甲乙"))
    assert view.words["heads"] == "话 话"
    assert view.get_state()["words"] == view.words


@pytest.mark.slow
def test_a_page_shows_the_words(show, one_word):
    page = show(HeadView(torch.eye(2)[None].repeat(2, 1, 1), list("甲乙")))
    page.get_by_role("button", name="甲").first.hover()
    assert english_in(page.locator("body").inner_text()) == []
    assert "话 “甲” → 甲 1.00，乙 0.00 (话 话 2 话)" in page.locator(".status").inner_text()
    page = show(MaskPainter(torch.zeros(2, 2), list("甲乙")))
    assert english_in(page.locator("body").inner_text()) == []
    assert "话 话 话 “乙” 话 话 话 2 话 2 话：甲，乙。" in page.locator(".status").inner_text()

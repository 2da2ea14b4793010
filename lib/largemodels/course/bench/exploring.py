"""Each explorer with a fresh model of its chapter's size, and something that a reader does with it, again and again."""

from collections.abc import Callable

import torch

from largemodels import explorers
from largemodels.bert import BERT, BERTConfig
from largemodels.corpora import tasks
from largemodels.gpt import GPT, GPTConfig
from largemodels.tokenizers import BPE, WordPiece, Words
from largemodels.transformer import Transformer, TransformerConfig

SENTENCE = "Dogs like balls, and the boy read two books in the park."
WORDS = SENTENCE.replace(",", " ,").replace(".", " .").split()


def _heads() -> Callable[[int], None]:
    return _move(explorers.head_explorer(torch.randn(12, len(WORDS), len(WORDS)), WORDS).slider)


def _encodings() -> Callable[[int], None]:
    return _move(explorers.encoding_explorer().clocks)


def _translator():
    english, chinese = Words.train([" ".join(WORDS)]), Words(["狗", "喜欢", "球", "。"])
    config = TransformerConfig(len(english), len(chinese), max_length=48, d_model=128, num_heads=4, d_ff=256)
    return explorers.decoding_explorer(Transformer(config), english, chinese, " ".join(WORDS), bos=1, eos=2)


def _layers() -> Callable[[int], None]:
    return _move(_translator().layer)


def _next_tokens() -> Callable[[int], None]:
    explorer = _translator()

    def act(i: int) -> None:
        explorer.choices[i % len(explorer.choices)].click()
        explorer.back.click()

    return act


def _sampler():
    tokenizer = BPE.train([SENTENCE * 20], merges=40, special=["<eos>"])
    model = GPT(GPTConfig(len(tokenizer), 64, d_model=128, num_layers=4, num_heads=4)).eval()
    return explorers.sampling_explorer(model, tokenizer, SENTENCE, begin=0, max_length=64)


def _prompts() -> Callable[[int], None]:
    return _type(_sampler().prompt)


def _temperatures() -> Callable[[int], None]:
    return _move(_sampler().temperature)


def _corruptions() -> Callable[[int], None]:
    return _move(explorers.corruption_explorer().rate)


def _blanks() -> Callable[[int], None]:
    tokenizer = WordPiece.train([SENTENCE * 20], size=120)
    model = BERT(BERTConfig(len(tokenizer), max_length=64, d_model=128, num_layers=4, num_heads=4)).eval()
    return _type(explorers.blank_explorer(model, tokenizer, "___ like balls").text)


def _shots() -> Callable[[int], None]:
    tokenizer = tasks.PromptTokenizer()
    model = GPT(GPTConfig(len(tokenizer), 128, d_model=64, num_layers=2, num_heads=4)).eval()
    lines = [*zip(tasks.WORDS, tasks.CODE_WORDS, strict=False)]
    prompts = [tasks.prompt("", lines[:n], tasks.WORDS[0]) for n in (6, 7)]
    explorer = explorers.shots_explorer(model, tokenizer, prompts[0])

    def act(i: int) -> None:
        explorer.text.value = prompts[(i + 1) % 2]

    return act


def _move(slider) -> Callable[[int], None]:
    """A key moves a slider by a step, there and back."""
    first = slider.value
    away = max(slider.min, first - slider.step) if first > slider.min else first + slider.step

    def act(i: int) -> None:
        slider.value = first if i % 2 else away

    return act


def _type(field) -> Callable[[int], None]:
    """A key adds a letter to a text, or takes it away."""
    first = field.value

    def act(i: int) -> None:
        field.value = first if i % 2 else first + "s"

    return act


# `act(0)` is the first action, `act(1)` the second, and so on: each changes something.
ACTIONS: dict[str, Callable[[], Callable[[int], None]]] = {
    "heads: temperature": _heads,
    "encodings: clocks": _encodings,
    "decoding: layer": _layers,
    "decoding: a token, and back": _next_tokens,
    "corruptions: rate": _corruptions,
    "blanks: a letter": _blanks,
    "sampling: temperature": _temperatures,
    "sampling: a letter": _prompts,
    "shots: an example": _shots,
}

"""A text of one's own, damaged as BART and T5 do it: what the model reads, what it has to find out, what has changed."""

import html
import re
from collections.abc import Callable, Sequence

import ipywidgets
import torch

from largemodels import denoising, plots
from largemodels.denoising import HIDDEN, Corrupted
from largemodels.explorers.frame import Explorer, problem
from largemodels.language import later, say
from largemodels.plots.base import ink_on

TEXT = "Dogs like balls . They run after them . In the evening they sleep ."

CORRUPTIONS: dict[str, Callable[[Sequence[str], float, torch.Generator], Corrupted]] = {
    later("token masking 词掩码"): denoising.token_masking,
    later("token deletion 词删除"): denoising.token_deletion,
    later("text infilling 文本填充"): denoising.text_infilling,
    later("sentence permutation 句子重排"): lambda text, rate, generator: denoising.sentence_permutation(
        text, generator, end=(".", "!", "?", "。", "！", "？")
    ),
    later("document rotation 文档旋转"): lambda text, rate, generator: denoising.document_rotation(text, generator),
    later("T5: span corruption 片段替换"): denoising.span_corruption,
}
MASKING, _, _, PERMUTATION, ROTATION, _ = CORRUPTIONS

HIDDEN_COLOR, FOUND, MOVED = plots.COLORS[:3]
BORDERS = {HIDDEN_COLOR: "solid", FOUND: "double", MOVED: "dashed"}  # for readers to whom colours say nothing


def corruption_explorer(text: str = TEXT) -> "CorruptionExplorer":
    """Type a text, choose a corruption, a rate and a seed; see input, target and what has changed."""
    return CorruptionExplorer(text)


class CorruptionExplorer(Explorer):
    """What `corruption_explorer` returns.

    Attributes:
        text: to be edited; words and punctuation are its tokens, Chinese characters one each.
        corruption: which of `CORRUPTIONS`.
        rate: share of the tokens, where that plays a part.
        seed: another number draws again.
        view: what is shown.
        result: what the corruption gave; None for a text without tokens.
    """

    def __init__(self, text: str):
        style, wide = {"description_width": "6em"}, {"width": "44em"}
        self.text = ipywidgets.Textarea(text, description=say("text"), rows=3, style=style, layout=wide)
        self.corruption = ipywidgets.Dropdown(
            options=[(say(name), name) for name in CORRUPTIONS], description=say("corruption"), style=style
        )
        self.rate = ipywidgets.FloatSlider(0.3, min=0, max=1, step=0.05, description=say("rate"), style=style)
        self.seed = ipywidgets.IntSlider(0, min=0, max=99, description=say("seed"), style=style)
        self.view, self.result = ipywidgets.HTML(), None
        for widget in (self.text, self.corruption, self.rate, self.seed):
            widget.observe(lambda change: self._draw(), "value")
        self._draw()
        super().__init__([self.text, self.corruption, self.rate, self.seed, self.view])

    @property
    def tokens(self) -> list[str]:
        """Words and punctuation marks."""
        return re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+(?:['’\-][^\W\u3400-\u9fff]+)*|[^\w\s]", self.text.value)

    def _draw(self) -> None:
        name = self.corruption.value
        self.rate.disabled = name in (PERMUTATION, ROTATION)
        try:
            generator = torch.Generator().manual_seed(self.seed.value)
            self.result = CORRUPTIONS[name](self.tokens, self.rate.value, generator)
        except ValueError as error:
            self.result = None
            self.view.value = problem(error)
            return
        rows = {say("text"): self._text_row(), say("input"): self._input_row(), say("target"): self._target_row()}
        lines = (f"<tr><td>{name}</td><td>{_row(row)}</td></tr>" for name, row in rows.items())
        legend = _row(
            [(say("hidden"), HIDDEN_COLOR), (say("to be found out"), FOUND), (say("not in its place"), MOVED)]
        )
        self.view.value = f"<table class='texts'>{''.join(lines)}</table><div>{legend}</div>"

    def _text_row(self) -> list[tuple[str, str]]:
        kept = {*self.result.origin}
        return [(token, "" if i in kept else HIDDEN_COLOR) for i, token in enumerate(self.tokens)]

    def _input_row(self) -> list[tuple[str, str]]:
        """A token is not in its place if another number of the tokens that are left stands before it than in the text."""
        places = [place for place in self.result.origin if place != HIDDEN]
        moved = {place for place, right in zip(places, sorted(places), strict=True) if place != right}
        return [
            (token, HIDDEN_COLOR if place == HIDDEN else MOVED if place in moved else "")
            for token, place in zip(self.result.source, self.result.origin, strict=True)
        ]

    def _target_row(self) -> list[tuple[str, str]]:
        target = self.result.target
        if self.corruption.value == ROTATION:
            return [(say("the text begins at token {number}", number=target), FOUND)]
        if self.corruption.value == MASKING:
            return [(token, FOUND if color else "") for token, color in self._text_row()]
        return [(str(item), HIDDEN_COLOR if item in denoising.SENTINELS else FOUND) for item in target]

    def __repr__(self) -> str:
        return say("explorer of corruptions (run this cell to use it)")


def _row(cells: list[tuple[str, str]]) -> str:
    return " ".join(_box(text, color) for text, color in cells) or say("nothing")


def _box(text: str, color: str) -> str:
    ink = ink_on(color) if color else "inherit"
    border = f"3px {BORDERS[color]} {color}" if color else "3px solid transparent"
    look = f"background:{color or 'rgba(128,128,128,0.15)'} padding-box;color:{ink};padding:0 0.2em;border:{border}"
    return f"<span style='{look};white-space:nowrap'>{html.escape(text)}</span>"

"""Explore attention heads: who looks at whom, in which head, and how sharply."""

from collections.abc import Sequence
from typing import ClassVar

import ipywidgets
import numpy as np
import torch
import traitlets
from torch import Tensor

from largemodels import plots
from largemodels.attention import masked_softmax
from largemodels.explorers.frame import Explorer, Worded, module, sheet
from largemodels.explorers.paged import Paged, packed, shared_state, slider
from largemodels.language import later, say

BITS = later("{bits:.2f} bits")


class HeadView(Paged, Worded):
    """Queries left, keys right, between them a line as thick as the weight, and beside them each head's heat map.

    Point at a token, or walk to it with Tab and the arrow keys, to see its weights alone; click to keep it. A click on
    a heat map hides or shows its head. On paper: `plots.attention_lines` and `plots.heads`.

    Args:
        weights: ``(heads, query, key)``.
        rows: one label per query.
        columns: one label per key; the queries' unless given.
        captions: a few words under each head's heat map.

    Raises:
        ValueError: another shape than the labels say; entries outside [0, 1] or rows that sum to more than 1.
    """

    _esm = module("heads.js")
    _css = sheet("heads.css")
    WORDS: ClassVar = {
        "query": later("query"),
        "key": later("key"),
        "queries": later("query tokens"),
        "keys": later("key tokens"),
        "head": later("head {number}"),
        "heads": later("attention heads"),
        "toggle": later("show or hide its lines"),
        "lines": later("a line from each query to each key, as thick as the weight"),
        "none shown": later("No head is shown: press a heat map."),
        "none active": later("Point at a token, or walk to it with Tab and the arrow keys."),
        "attends": later("query “{token}” → {others}"),
        "attended": later("key “{token}” ← {others}"),
        "and": later(", "),
        "mean": later("{said} (mean of {count} heads)"),
        "single": later("{said} (head {number})"),
    }
    rows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)  # float32 in C order: a binary buffer, not JSON
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shown = traitlets.List(traitlets.Int()).tag(sync=True)  # the heads whose lines are drawn, from 0
    colors = traitlets.List(traitlets.Unicode(), plots.COLORS).tag(sync=True)  # of the heads' lines
    scale = traitlets.List(traitlets.Unicode(), plots.WEIGHT_COLORS).tag(sync=True)  # of the heat maps, 0 … 1

    def __init__(
        self,
        weights,
        rows: Sequence[str],
        columns: Sequence[str] | None = None,
        *,
        captions: Sequence[str] | None = None,
    ):
        weights = plots.as_array(weights)
        rows, columns = plots.check_labels(weights, 3, rows, columns)
        self.shape = weights.shape
        captions = [""] * len(weights) if captions is None else captions
        super().__init__(
            rows=rows, columns=columns, shown=list(range(len(weights))), **self._checked(weights, captions)
        )

    def update(self, weights, captions: Sequence[str]) -> None:
        """Show other weights (and captions) for the same heads and tokens."""
        with self.hold_sync():  # one message, one redraw
            for name, value in self._checked(plots.as_array(weights), captions).items():
                setattr(self, name, value)

    def _checked(self, weights: np.ndarray, captions: Sequence[str]) -> dict:
        if weights.shape != self.shape:
            raise ValueError(
                f"this view shows (heads, query, key) = {self.shape}, got weights of shape {weights.shape}"
            )
        if len(captions) != len(weights):
            raise ValueError(f"{len(weights)} heads need {len(weights)} captions, got {len(captions)}")
        plots.check_weights(weights)
        return {"weights": weights.astype("<f4").tobytes(), "captions": list(captions)}

    def page(self) -> dict:
        names = ("rows", "columns", "weights", "captions", "shown", "colors", "scale", "words")
        return {"explorer": "view", "module": "heads", "state": shared_state(self, *names)}

    def __repr__(self) -> str:
        # What a notebook shows where no kernel has drawn the widget.
        heads, queries, keys = self.shape
        return say(
            "{heads} attention heads, {queries} queries, {keys} keys: run this cell to explore them",
            heads=heads,
            queries=queries,
            keys=keys,
        )


def head_explorer(scores: Tensor, rows: Sequence[str], columns: Sequence[str] | None = None) -> "HeadExplorer":
    """A `HeadView` under a slider that multiplies the scores before the softmax.

    At sharpness 0 every key weighs the same, at 1 this is attention as it is, and the larger it gets the closer
    attention comes to looking up one key. Under each head stands the mean entropy of its rows in bits.

    Args:
        scores: ``(heads, query, key)``, already scaled by 1/√d_head; −∞ where a query may not attend.
        rows: one label per query.
        columns: one label per key; the queries' unless given.

    Raises:
        ValueError: another shape than the labels say; NaN or +∞ among the scores.
    """
    scores = torch.as_tensor(scores).detach().cpu().float()
    plots.check_labels(scores, 3, rows, columns)
    if scores.isnan().any() or scores.isposinf().any():
        raise ValueError("scores must be numbers, or −∞ where a query may not attend; got NaN or +∞")
    return HeadExplorer(scores, rows, columns)


class HeadExplorer(Paged, Explorer):
    """What `head_explorer` returns.

    Attributes:
        slider: the sharpness.
        view: the `HeadView`.
        weights: what it shows now, ``(heads, query, key)``.
        entropy: the mean entropy of each head's rows now, in bits, ``(heads,)``.
    """

    def __init__(self, scores: Tensor, rows: Sequence[str], columns: Sequence[str] | None):
        self.scores, self.mask = scores, scores.isfinite()
        self.slider = ipywidgets.FloatSlider(
            1.0, min=0.0, max=4.0, step=0.1, readout_format=".1f", description=say("sharpness")
        )
        self.view = HeadView(self.weights, rows, columns, captions=self.captions)
        self.slider.observe(lambda change: self.view.update(self.weights, self.captions), "value")
        super().__init__([self.slider, self.view])

    @property
    def weights(self) -> Tensor:
        return masked_softmax(self.scores * self.slider.value, self.mask)  # the mask, since 0 · −∞ is not a number

    @property
    def entropy(self) -> Tensor:
        return torch.special.entr(self.weights).sum(-1).mean(-1) / torch.tensor(2.0).log()

    @property
    def captions(self) -> list[str]:
        return [say(BITS, bits=bits) for bits in self.entropy.tolist()]

    def page(self) -> dict:
        scores = packed(self.scores.numpy().astype("<f4").tobytes())
        return self.view.page() | {
            "explorer": "heads",
            "scores": scores,
            "sharpness": slider(self.slider),
            "caption": say(BITS),
        }

    def __repr__(self) -> str:
        return repr(self.view)

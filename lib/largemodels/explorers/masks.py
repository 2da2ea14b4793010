"""Paint a mask: who may attend to whom, what the weights become, and how far information travels through layers."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import traitlets
from torch import Tensor

from largemodels import plots
from largemodels.attention import masked_softmax
from largemodels.explorers.frame import Worded, module, sheet
from largemodels.explorers.paged import Paged, shared_state
from largemodels.language import later, say
from largemodels.masks import banded_causal_mask, causal_mask, prefix_mask, reachable

MOST_LAYERS = 6


class MaskPainter(Paged, Worded):
    """A table of weights whose cells are switched on and off, and beside it the ways through a stack of such layers.

    Press a cell, or draw over several; with the keyboard, walk with Tab and the arrow keys and press Space. The row
    that is pointed at is followed through the layers: lit are the inputs that can have reached its output. Everything
    is computed in the browser; Python reads the result. On paper: `plots.heatmap` of `weights` and of `reach`.

    Args:
        scores: ``(n, n)``, queries in rows, already scaled by 1/√d_head, finite.
        labels: one per position.
        mask: ``(n, n)`` to start with, True = may attend; causal unless given.
        layers: how many layers with this mask to start with.

    Raises:
        ValueError: shapes that do not fit the labels, scores that are not finite, a mask that is not boolean.
    """

    _esm = module("masks.js")
    _css = sheet("masks.css")
    WORDS: ClassVar = {
        "table": later("mask: one row per query"),
        "corner": later("query ↓  key →"),
        "sum": later("sum"),
        "weight": later("query {query}, key {key}: {weight}"),
        "hidden": later("query {query}, key {key}: hidden"),
        "ways": later("the ways from the inputs below, through the layers, to the outputs above"),
        "input": later("input"),
        "output": later("output"),
        "layer": later("layer {number}"),
        "layers": later("layers"),
        "nothing": later("Nothing can reach the output of “{token}”: its row is empty."),
        "known": later("The output of “{token}” can know of {count} of {all} inputs: {inputs}."),
        "and": later(", "),
    }
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scores = traitlets.Bytes().tag(sync=True)  # float32 in C order
    cells = traitlets.Bytes().tag(sync=True)  # the mask: one byte per cell, 0 or 1; the browser writes it
    layers = traitlets.Int(min=1, max=MOST_LAYERS).tag(sync=True)
    most_layers = traitlets.Int(MOST_LAYERS).tag(sync=True)
    presets = traitlets.List(traitlets.Unicode()).tag(sync=True)  # names of masks to start from …
    preset_cells = traitlets.Bytes().tag(sync=True)  # … and their cells, one mask after the other
    colors = traitlets.List(traitlets.Unicode(), plots.WEIGHT_COLORS).tag(sync=True)

    def __init__(self, scores: Tensor, labels: Sequence[str], mask: Tensor | None = None, *, layers: int = 1):
        scores = torch.as_tensor(scores).detach().cpu().float()
        labels, _ = plots.check_labels(plots.as_array(scores), 2, labels, None)
        n = len(labels)
        if not scores.isfinite().all():
            raise ValueError("scores must be finite; give the mask apart, as mask=")
        if not 1 <= layers <= MOST_LAYERS:
            raise ValueError(f"the picture has room for 1 to {MOST_LAYERS} layers, got {layers}")
        self._scores = scores
        half = max(1, n // 2)
        presets = {
            say("everything"): torch.ones(n, n, dtype=torch.bool),
            say("causal"): causal_mask(n),
            say("prefix of {length}", length=half): prefix_mask(half, n),
            say("band of {width}", width=2): banded_causal_mask(n, 2),
            say("band of {width}", width=3): banded_causal_mask(n, 3),
        }
        super().__init__(
            labels=labels,
            scores=scores.numpy().astype("<f4").tobytes(),
            cells=_bytes(causal_mask(n) if mask is None else self._checked(torch.as_tensor(mask))),
            layers=layers,
            presets=list(presets),
            preset_cells=b"".join(map(_bytes, presets.values())),
        )

    @property
    def mask(self) -> Tensor:
        """``(n, n)``, as it is painted now; assign another to show it."""
        n = len(self.labels)
        return torch.from_numpy(np.frombuffer(self.cells, np.uint8).reshape(n, n) != 0)

    @mask.setter
    def mask(self, mask: Tensor) -> None:
        self.cells = _bytes(self._checked(mask))

    @property
    def weights(self) -> Tensor:
        """``(n, n)``: the attention weights under the mask."""
        return masked_softmax(self._scores, self.mask)

    @property
    def reach(self) -> Tensor:
        """``(n, n)``: which inputs can have reached which outputs after all layers."""
        return reachable(self.mask, self.layers)

    def _checked(self, mask: Tensor) -> Tensor:
        if mask.dtype != torch.bool or mask.shape != self._scores.shape:
            raise ValueError(
                f"a boolean mask of shape {tuple(self._scores.shape)} is needed, got {mask.dtype}, {tuple(mask.shape)}"
            )
        return mask

    def page(self) -> dict:
        names = ("labels", "scores", "cells", "layers", "most_layers", "presets", "preset_cells", "colors", "words")
        return {"explorer": "view", "module": "masks", "state": shared_state(self, *names)}

    def __repr__(self) -> str:
        # What a notebook shows where no kernel has drawn the widget.
        return say("a mask of {n} × {n} cells: run this cell to paint it", n=len(self.labels))


def _bytes(mask: Tensor) -> bytes:
    return mask.cpu().numpy().astype(np.uint8).tobytes()

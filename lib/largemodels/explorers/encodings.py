"""The sinusoidal encoding under two sliders: its waves, and how alike two positions are at a distance."""

import base64
import io
import math

import ipywidgets
from torch import Tensor

from largemodels import plots
from largemodels.explorers.frame import Explorer
from largemodels.explorers.paged import Paged, slider
from largemodels.language import later, say
from largemodels.positions import sinusoidal_encoding

WIDTH, HEIGHT = 640, 150  # of each picture, in pixels of the screen
TEXTS = {
    "waves": later("wavelengths from {shortest:.1f} to {longest:,.1f} positions"),
    "axes": later("encoding: clocks downwards, positions 0 to {last} to the right"),
    "alike": later("similarity of position 0 with the others, from −1 to 1"),
}


def encoding_explorer(length: int = 128) -> "EncodingExplorer":
    """Choose the number of clocks and the base; see the encoding of `length` positions and their similarity.

    Raises:
        ValueError: fewer than 2 positions.
    """
    if length < 2:
        raise ValueError(f"similarity needs at least 2 positions, got length={length}")
    return EncodingExplorer(length)


class EncodingExplorer(Paged, Explorer):
    """What `encoding_explorer` returns.

    Attributes:
        clocks: the slider for the number of sine-cosine pairs.
        base: the slider for the base, 10000 in the paper.
        encoding: what is shown now, ``(length, 2·clocks)``.
        similarity: of position 0 with each position, from −1 to 1, ``(length,)``.
    """

    def __init__(self, length: int):
        self.length = length
        style = {"description_width": "5em"}
        self.clocks = ipywidgets.IntSlider(16, min=1, max=64, description=say("clocks"), style=style)
        self.base = ipywidgets.FloatLogSlider(1e4, min=1, max=6, step=0.25, description=say("base"), style=style)
        self.view = ipywidgets.HTML()
        for moved in (self.clocks, self.base):
            moved.observe(lambda change: self._draw(), "value")
        self._draw()
        super().__init__([self.clocks, self.base, self.view])

    @property
    def encoding(self) -> Tensor:
        return sinusoidal_encoding(self.length, 2 * self.clocks.value, base=self.base.value)

    @property
    def similarity(self) -> Tensor:
        encoding = self.encoding
        return encoding @ encoding[0] / self.clocks.value

    def _draw(self) -> None:
        slowest = 2 * math.pi * self.base.value ** (1 - 1 / self.clocks.value)
        waves = say(TEXTS["waves"], shortest=2 * math.pi, longest=slowest)
        axes = say(TEXTS["axes"], last=self.length - 1)
        alike = say(TEXTS["alike"])
        self.view.value = (
            f"<div>{waves}</div><div>{axes}</div>{_picture(self.encoding.T)}"
            f"<div style='margin-top:0.6em'>{alike}</div>{_curve(self.similarity)}"
        )

    def page(self) -> dict:
        return {
            "explorer": "encodings",
            "length": self.length,
            "sliders": [["clocks", slider(self.clocks)], ["base", slider(self.base)]],
            "colors": plots.SIGNED_COLORS,
            "size": [WIDTH, HEIGHT],
            "texts": {name: say(text) for name, text in TEXTS.items()},
        }

    def __repr__(self) -> str:
        return say("encoding explorer for {count} positions (run this cell to use it)", count=self.length)


def _picture(matrix: Tensor) -> str:
    """Numbers from −1 to 1 as coloured cells: a small PNG, stretched by the browser, drawn in milliseconds."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, matrix.numpy(), vmin=-1, vmax=1, cmap=LinearSegmentedColormap.from_list("signed", plots.SIGNED_COLORS))
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f"<img alt='{say('sinusoidal encoding')}' src='data:image/png;base64,{data}' "
        f"style='width:{WIDTH}px;height:{HEIGHT}px;max-width:100%;image-rendering:pixelated'>"
    )


def _curve(values: Tensor) -> str:
    """Numbers from −1 to 1 as a line above and below zero."""
    step = WIDTH / (len(values) - 1)
    points = " ".join(f"{i * step:.1f},{HEIGHT * (1.05 - value) / 2.1:.1f}" for i, value in enumerate(values.tolist()))
    return (
        f"<svg role='img' aria-label='{say('similarity against distance')}' viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"preserveAspectRatio='none' style='width:{WIDTH}px;height:{HEIGHT}px;max-width:100%'>"
        f"<line x1='0' x2='{WIDTH}' y1='{HEIGHT / 2}' y2='{HEIGHT / 2}' class='zero' stroke-dasharray='4'/>"
        f"<polyline points='{points}' fill='none' class='curve' stroke-width='2'/></svg>"
    )

"""The sinusoidal encoding under two sliders: its waves, and how alike two positions are at a distance."""

import base64
import io
import math

import ipywidgets
from torch import Tensor

from largemodels import plots
from largemodels.positions import sinusoidal_encoding

WIDTH, HEIGHT = 640, 150  # of each picture, in pixels of the screen


def encoding_explorer(length: int = 128) -> "EncodingExplorer":
    """Choose the number of clocks and the base; see the encoding of `length` positions and their similarity.

    Raises:
        ValueError: fewer than 2 positions.
    """
    if length < 2:
        raise ValueError(f"similarity needs at least 2 positions, got length={length}")
    return EncodingExplorer(length)


class EncodingExplorer(ipywidgets.VBox):
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
        self.clocks = ipywidgets.IntSlider(16, min=1, max=64, description="clocks", style=style)
        self.base = ipywidgets.FloatLogSlider(1e4, min=1, max=6, step=0.25, description="base", style=style)
        self.view = ipywidgets.HTML()
        for slider in (self.clocks, self.base):
            slider.observe(lambda change: self._draw(), "value")
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
        caption = f"wavelengths from {2 * math.pi:.1f} to {slowest:,.1f} positions"
        self.view.value = (
            f"<div>{caption}</div><div>encoding: clocks downwards, positions 0 to {self.length - 1} to the right</div>"
            f"{_picture(self.encoding.T)}"
            f"<div style='margin-top:0.6em'>similarity of position 0 with the others, from −1 to 1</div>"
            f"{_curve(self.similarity)}"
        )

    def __repr__(self) -> str:
        return f"encoding explorer for {self.length} positions (run this cell to use it)"


def _picture(matrix: Tensor) -> str:
    """Numbers from −1 to 1 as coloured cells: a small PNG, stretched by the browser, drawn in milliseconds."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, matrix.numpy(), vmin=-1, vmax=1, cmap=LinearSegmentedColormap.from_list("signed", plots.SIGNED_COLORS))
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f"<img alt='sinusoidal encoding' src='data:image/png;base64,{data}' "
        f"style='width:{WIDTH}px;height:{HEIGHT}px;image-rendering:pixelated;max-width:none'>"
    )


def _curve(values: Tensor) -> str:
    """Numbers from −1 to 1 as a line above and below zero."""
    step = WIDTH / (len(values) - 1)
    points = " ".join(f"{i * step:.1f},{HEIGHT * (1.05 - value) / 2.1:.1f}" for i, value in enumerate(values.tolist()))
    return (
        f"<svg role='img' aria-label='similarity against distance' width='{WIDTH}' height='{HEIGHT}'>"
        f"<line x1='0' x2='{WIDTH}' y1='{HEIGHT / 2}' y2='{HEIGHT / 2}' stroke='#999' stroke-dasharray='4'/>"
        f"<polyline points='{points}' fill='none' stroke='{plots.COLORS[0]}' stroke-width='2'/></svg>"
    )

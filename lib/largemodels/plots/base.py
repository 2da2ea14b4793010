"""The look that all pictures share, and the axes they are drawn on."""

import functools
import math
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # matplotlib is imported by the first picture, not before
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# After Okabe & Ito and Paul Tol, spread out in lightness: told apart by every kind of colour vision and by a grey
# printer (tests/plots/test_plots.py measures both). Markers and dashes tell them apart once more.
COLORS = ("#0072b2", "#e69f00", "#882255", "#cc79a7", "#0f6b3a", "#88ccee", "#332288", "#d55e00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 2, 2)))
INK, SOFT_INK, PAPER, GREY = "#1a1a1a", "#555555", "#ffffff", "#d9d9d9"
WIDTH = 8.0  # inches: the text column of a notebook and of a printed page

# Characters and punctuation; the Latin letters beside them are DejaVu's.
CHINESE = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
_PIECES = re.compile(
    rf"\s+|[（“《]*(?:{CHINESE.pattern}|(?:(?!{CHINESE.pattern})\S)+)[，。、；：？！）》”]*"
)  # that may end a line
CHINESE_FONT = "Noto Sans SC Subset"  # comes with the library: pictures look alike on every machine
CHINESE_FONT_FILE = Path(__file__).parent / "font" / "NotoSansSC-Subset.otf"


@functools.cache
def font_families() -> list[str]:
    """What pictures are lettered with; the second family has what the first one lacks."""
    from matplotlib.font_manager import fontManager

    fontManager.addfont(CHINESE_FONT_FILE)
    return ["DejaVu Sans", CHINESE_FONT]


@contextmanager
def style() -> Iterator[None]:
    """The course's look, for everything drawn inside: ``with plots.style(): ...``."""
    import matplotlib.pyplot as plt

    look = {
        "font.family": font_families(),
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlesize": 11,
        "axes.titlepad": 8,
        "axes.edgecolor": SOFT_INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": plt.cycler(color=COLORS),
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.7,
        "hatch.color": "#adadad",
        "hatch.linewidth": 0.7,
        "legend.edgecolor": "none",
        "legend.handlelength": 3.0,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "figure.dpi": 110,
        "figure.facecolor": PAPER,
    }
    with plt.rc_context(look):
        yield


@style()
def row(
    n: int, *, width: float = WIDTH, height: float = 3.0, wrap: int | None = None, share: bool = False, title: str = ""
) -> tuple["Figure", list["Axes"]]:
    """`n` axes side by side, to draw into with ``ax=``; a new line starts after every `wrap` of them.

    Args:
        width: of the whole figure, in inches.
        height: of one line of axes, in inches.
        share: one y scale for all.
    """
    import matplotlib.pyplot as plt

    from .picture import Picture

    if n < 1:
        raise ValueError(f"a row needs at least one axes, got n={n}")
    columns = min(n, wrap or n)
    lines = math.ceil(n / columns)
    size = (width, height * lines)
    figure, axes = plt.subplots(
        lines, columns, figsize=size, layout="compressed", squeeze=False, sharey=share, FigureClass=Picture
    )
    plt.close(figure)
    axes = list(axes.flat)
    for ax in axes[n:]:
        ax.remove()
    if title:
        figure.suptitle(title, fontsize=12)
    return figure, axes[:n]


def new_axes(width: float, height: float) -> "Axes":
    return row(1, width=width, height=height)[1][0]


def as_array(values) -> np.ndarray:
    """Numbers in any form, tensors on any device and in any precision included, as float64, or bool if they are."""
    if isinstance(values, list | tuple | range):
        return np.array([as_array(value) for value in values])
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values  # numpy has no bfloat16
    array = np.asarray(values)
    return array if array.dtype == bool else array.astype(float)


def text_inches(labels: Sequence[str], fontsize: float = 9) -> float:
    """About how wide the longest label is."""
    return max(map(_columns, labels)) * fontsize * 0.6 / 72


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns. Chinese breaks after any character, but no line begins with a mark."""
    if not CHINESE.search(text):
        return textwrap.wrap(text, width)
    lines = [""]
    for piece in _PIECES.findall(text):
        if _columns(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def _columns(text: str) -> int:
    """How wide a text is in Latin letters: a Chinese character is as wide as two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def one_line(label) -> str:
    return str(label).replace("\n", "↵")  # a line break inside a token would tear the axis apart


def ink_on(background) -> str:
    """Black or white, whichever stands out more on `background` (contrast as WCAG 2.2 defines it)."""
    from matplotlib.colors import to_rgb

    channels = np.array(to_rgb(background))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"

"""A figure that says what it shows, for readers who do not see it."""

import sys
from functools import reduce
from io import BytesIO

from matplotlib.figure import Figure
from matplotlib.text import Text

from ..language import say
from .base import CHINESE, font_families
from .words import listed, named, sentence


class Picture(Figure):
    """A matplotlib figure with alternative text: a notebook keeps it beside the image, in the output's metadata.

    The functions of `plots` put what they draw into words with `describe`; of axes that were drawn into by hand, the
    labels are read out.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.descriptions = {}  # axes → what was drawn into them

    @property
    def alt(self) -> str:
        title = self.get_suptitle()
        parts = [sentence(title)] if title else []
        parts += [self.descriptions.get(ax) or _labels(ax) for ax in self.axes if not hasattr(ax, "_colorbar")]
        parts = [part for part in parts if part]
        return reduce(lambda text, more: say("{text} {more}", text=text, more=more), parts) if parts else ""

    def draw(self, renderer) -> None:
        """What was written by hand, outside of `plots.style`, finds its Chinese characters, too, and beside mathematics:
        matplotlib sets a text with a formula in the first family alone."""
        for text in self.findobj(Text):
            if CHINESE.search(text.get_text()):
                with_formula = text.get_parse_math() and "$" in text.get_text()
                text.set_fontfamily(font_families()[::-1] if with_formula else font_families())
        super().draw(renderer)

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """The alternative text, and the image where matplotlib does not add it: under another backend than the notebook's."""
        data = {}
        if not _drawn_by_notebook():
            image = BytesIO()
            self.savefig(image, format="png", bbox_inches="tight")
            data["image/png"] = image.getvalue()
        return data, {"image/png": {"alt": self.alt}}


def _drawn_by_notebook() -> bool:
    """Whether this session turns figures into images, which MPLBACKEND in the environment prevents."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and Figure in shell.display_formatter.formatters["image/png"]


def _labels(ax) -> str:
    """What matplotlib knows of axes that nobody described."""
    drawn = [label for label in ax.get_legend_handles_labels()[1] if label]
    title, x, y = ax.get_title(loc="left") or ax.get_title(), ax.get_xlabel(), ax.get_ylabel()
    axes = say("{y} against {x}", y=y, x=x) if x and y else x or y
    parts = [title, axes, say("showing {things}", things=listed(drawn)) if drawn else ""]
    parts = [part.replace("\n", " ") for part in parts if part]
    return sentence(reduce(named, parts)) if parts else ""

"""The course's pictures, drawn with matplotlib in one style: for the screen, for print, and for colour-blind readers.

Every function returns a `Figure` that is already closed in pyplot, so that it shows exactly once as the last line of
a notebook cell, or draws into the `ax` it is given (see `row` for several side by side). Tensors, arrays and lists are
all welcome. The style lives in a context around each function: nobody's ``rcParams`` change.
"""

from .architecture import Column, Part, Sublayer, architecture, outline
from .base import (
    COLORS,
    GREY,
    INK,
    LINES,
    MARKERS,
    PAPER,
    SOFT_INK,
    WIDTH,
    as_array,
    row,
    style,
)
from .charts import bars, curves, histogram
from .damage import damage_rows
from .families import Family, families
from .matrices import (
    ANNOTATE_UP_TO,
    HATCHES,
    MASK_COLORS,
    SIGNED_COLORS,
    WEIGHT_COLORS,
    attention_lines,
    check_labels,
    check_weights,
    heads,
    heatmap,
    heatmaps,
)
from .strips import strips
from .timeline import Era, Model, timeline
from .trees import beam_tree

__all__ = [
    "ANNOTATE_UP_TO",
    "COLORS",
    "GREY",
    "HATCHES",
    "INK",
    "LINES",
    "MARKERS",
    "MASK_COLORS",
    "PAPER",
    "SIGNED_COLORS",
    "SOFT_INK",
    "WEIGHT_COLORS",
    "WIDTH",
    "Column",
    "Era",
    "Family",
    "Model",
    "Part",
    "Sublayer",
    "architecture",
    "as_array",
    "attention_lines",
    "bars",
    "beam_tree",
    "check_labels",
    "check_weights",
    "curves",
    "damage_rows",
    "families",
    "heads",
    "heatmap",
    "heatmaps",
    "histogram",
    "outline",
    "row",
    "strips",
    "style",
    "timeline",
]

"""Pictures to explore with the mouse or the keyboard; each has a static twin in `largemodels.plots`.

They are drawn in the browser by plain ES modules (no build step, no network), so pointing at a token needs no kernel
and a slider is answered at once, where redrawing a matplotlib figure takes a second.
"""

from largemodels.explorers.blanks import BlankExplorer, blank_explorer
from largemodels.explorers.corruptions import CorruptionExplorer, corruption_explorer
from largemodels.explorers.decoding import DecodingExplorer, decoding_explorer
from largemodels.explorers.encodings import EncodingExplorer, encoding_explorer
from largemodels.explorers.heads import HeadView, head_explorer
from largemodels.explorers.masks import MaskPainter
from largemodels.explorers.sampling import SamplingExplorer, sampling_explorer
from largemodels.explorers.shots import ShotsExplorer, shots_explorer

__all__ = [
    "BlankExplorer",
    "CorruptionExplorer",
    "DecodingExplorer",
    "EncodingExplorer",
    "HeadView",
    "MaskPainter",
    "SamplingExplorer",
    "ShotsExplorer",
    "blank_explorer",
    "corruption_explorer",
    "decoding_explorer",
    "encoding_explorer",
    "head_explorer",
    "sampling_explorer",
    "shots_explorer",
]

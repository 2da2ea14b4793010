"""Training: the loop, its schedules and batches, checkpoints, processes, precision and the live picture.

A loss is a sum over targets together with their number, see `largemodels.losses`.
"""

from .batching import Epochs, pad_pairs
from .checkpoints import load_checkpoint, save_checkpoint
from .history import History
from .loop import decay_groups, train
from .schedules import Schedule, cosine, inverse_root

__all__ = [
    "Epochs",
    "History",
    "Schedule",
    "cosine",
    "decay_groups",
    "inverse_root",
    "load_checkpoint",
    "pad_pairs",
    "save_checkpoint",
    "train",
]

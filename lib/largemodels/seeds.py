"""Seeds: randomness as a function of numbers, so that it can be made again at any time and by any process."""

import numpy as np
import torch


def seed_of(*numbers: int) -> int:
    """One seed for a tuple such as (seed, step), unlike the seeds of its neighbours."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seeded(*numbers: int) -> torch.Generator:
    """A generator that is a function of these numbers."""
    return torch.Generator().manual_seed(seed_of(*numbers))

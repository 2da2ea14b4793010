"""Schedules: the learning rate of each step."""

import math
from collections.abc import Callable

Schedule = Callable[[int], float]  # the learning rate of a step; the first is step 0


def cosine(peak: float, *, warmup: int, steps: int, end: float = 0.1) -> Schedule:
    """Up to `peak` in a line over `warmup` steps, then down to ``end · peak`` in half a cosine.

    Source: Loshchilov & Hutter 2016 (arXiv 1608.03983), equation 5, without restarts; the end at a tenth as in Brown
    et al. 2020 (arXiv 2005.14165), appendix B.
    """
    if not 0 <= warmup < steps:
        raise ValueError(f"a cosine needs 0 ≤ warmup < steps, got warmup={warmup} and steps={steps}")

    def rate(step: int) -> float:
        n = min(step + 1, steps)
        if n <= warmup:
            return peak * n / warmup
        progress = (n - warmup) / (steps - warmup)
        return peak * (end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2)

    return rate


def inverse_root(peak: float, *, warmup: int) -> Schedule:
    """Up to `peak` in a line over `warmup` steps, then down with 1/√step.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 3, whose peak is 1/√(d_model · warmup).
    """
    if warmup < 1:
        raise ValueError(f"an inverse root needs a warm-up of at least 1 step, got {warmup}")
    return lambda step: peak * min((step + 1) / warmup, math.sqrt(warmup / (step + 1)))

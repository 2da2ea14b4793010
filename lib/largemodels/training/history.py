"""What happened in a training, step by step."""

import math
from dataclasses import dataclass, field


@dataclass
class History:
    """What happened: lists with one entry for each step, unless said otherwise.

    Attributes:
        loss: mean loss of a target.
        tokens: how many targets there were.
        learning_rate: of the step.
        gradient_norm: before clipping.
        seconds: spent on all steps so far, without evaluating, drawing and saving.
        evaluations: pairs (steps done, what `evaluate` returned).
        interrupted: whether training was stopped before its last step.
        drawing_seconds: what the live plot has cost.
    """

    loss: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    interrupted: bool = False
    drawing_seconds: float = 0.0

    def tokens_per_second(self, last: int = 0) -> float:
        """Targets learned from in a second: over all steps, or over the `last` ones."""
        first = max(0, len(self.seconds) - last) if last else 0
        elapsed = self.seconds[-1] - (self.seconds[first - 1] if first else 0.0)
        return sum(self.tokens[first:]) / elapsed

    def curve(self, points: int = 200) -> tuple[list[int], list[float]]:
        """For a plot: steps done, at most so many points, and the mean loss over the steps since the point before."""
        size = max(1, math.ceil(len(self.loss) / points))
        chunks = [self.loss[begin : begin + size] for begin in range(0, len(self.loss), size)]
        ends = [min((i + 1) * size, len(self.loss)) for i in range(len(chunks))]
        return ends, [sum(chunk) / len(chunk) for chunk in chunks]

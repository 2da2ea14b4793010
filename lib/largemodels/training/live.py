"""The live picture: the loss of a training, drawn in the notebook while it runs."""

import sys
import time

from largemodels.language import say
from largemodels.training.history import History


class LivePlot:
    """The loss curve in a notebook, drawn anew only as often as all drawings take no more than `SHARE` of the time."""

    SHARE = 0.02

    def __init__(self, history: History, *, active: bool):
        self.history, self.active, self.display = history, active, None
        self.begin = self.earliest = time.perf_counter()
        # Seconds in all, and for one drawing. The first is a guess: matplotlib has to be loaded, if it was never used.
        self.spent, self.cost = 0.0, 0.16 if "matplotlib.pyplot" in sys.modules else 0.8

    def update(self, last: bool = False) -> None:
        """Draw if it is time; the last time, if anything has been drawn before."""
        now = time.perf_counter()
        # Twice the cost: the last drawing is paid for in advance.
        affordable = self.spent + 2 * self.cost <= self.SHARE * (now - self.begin)
        if not self.active or not ((affordable and now >= self.earliest) or (last and self.display)):
            return
        from IPython.display import display

        from largemodels.plots import curves

        figure = curves({say("loss"): self.history.curve()}, xlabel=say("steps"), ylabel=say("loss (nats per target)"))
        if self.display is None:
            self.display = display(figure, display_id=True)
        else:
            self.display.update(figure)
        end = time.perf_counter()
        self.cost = end - now
        self.spent += self.cost
        self.earliest = end + self.cost / self.SHARE
        self.history.drawing_seconds += self.cost

"""Competitors that take turns, and the table of their times."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from tqdm.auto import tqdm


@dataclass(frozen=True)
class Competitor:
    """Something to be timed.

    Attributes:
        name: in the table; the first competitor of a comparison is ours, the second what it is measured against.
        run: does the work once.
        note: what differs from the others, if anything does.
    """

    name: str
    run: Callable[[], Any]
    note: str = ""


@dataclass
class Comparison:
    """Times of competitors that did the same work.

    Attributes:
        title: what was done.
        unit: what is counted: "tokens".
        amount: how many of them a run does.
        flops: floating-point operations of one run; 0 if they are not counted.
        seconds: for each competitor the times of its runs.
        notes: what differs, by competitor.
        goal: the ratio that we want to reach against the second competitor.
        gemm: the machine's FLOP/s in a large matrix product, measured between the runs.
    """

    title: str
    unit: str = "tokens"
    amount: float = 1.0
    flops: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    goal: float | None = None
    gemm: float = 0.0

    @property
    def medians(self) -> dict[str, float]:
        return {name: statistics.median(times) for name, times in self.seconds.items()}

    def ratio(self, name: str) -> float:
        """How many times as fast as the second competitor."""
        medians = self.medians
        return list(medians.values())[min(1, len(medians) - 1)] / medians[name]

    def __str__(self) -> str:
        lines = [self.title if self.goal is None else f"{self.title}  (wanted: {self.goal:g} times the second)"]
        width = max(map(len, self.seconds), default=0)
        for name, times in self.seconds.items():
            median = statistics.median(times)
            low, high = spread(times)
            speed = f"{self.amount / median:10,.0f} {self.unit}/s" if self.amount > 1 else f"{median:10.3f} s"
            share = f"  {self.flops / median / self.gemm:4.0%} of GEMM" if self.flops and self.gemm else ""
            note = f"   {self.notes[name]}" if self.notes.get(name) else ""
            lines.append(
                f"  {name:<{width}} {speed}  ×{self.ratio(name):5.2f}   "
                f"{median * 1e3:8.1f} ms ({low * 1e3:.1f}–{high * 1e3:.1f}){share}{note}"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"medians": self.medians, "ratios": {name: self.ratio(name) for name in self.seconds}}


def spread(times: list[float]) -> tuple[float, float]:
    """The middle half of the times: from the first quartile to the third."""
    if len(times) < 2:
        return times[0], times[0]
    first, _, third = statistics.quantiles(times, n=4, method="inclusive")
    return first, third


def compare(
    title: str,
    competitors: list[Competitor],
    *,
    repetitions: int,
    unit: str = "tokens",
    amount: float = 1.0,
    flops: float = 0.0,
    goal: float | None = None,
) -> Comparison:
    """Time them in turns, after one run each that does not count."""
    if repetitions < 1:
        raise ValueError(f"each competitor has to run at least once, got repetitions={repetitions}")
    found = Comparison(title, unit, amount, flops, goal=goal, notes={c.name: c.note for c in competitors})
    found.seconds = {competitor.name: [] for competitor in competitors}
    rates = []
    for turn in tqdm(range(repetitions + 1), desc=title, leave=False):
        rates.append(gemm_rate())
        for competitor in competitors:
            begin = time.perf_counter()
            competitor.run()
            if turn:
                found.seconds[competitor.name].append(time.perf_counter() - begin)
    found.gemm = statistics.median(rates[1:])
    return found


def gemm_rate(n: int = 1024, dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of a product of two n × n matrices."""
    a, b = torch.ones(n, n, dtype=dtype), torch.ones(n, n, dtype=dtype)
    begin = time.perf_counter()
    for _ in range(4):
        a @ b
    return 4 * 2 * n**3 / (time.perf_counter() - begin)

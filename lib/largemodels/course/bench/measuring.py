"""Competitors that take turns, and the tables of their times."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from tqdm.auto import tqdm


@dataclass(frozen=True)
class Competitor:
    """Something to be timed.

    Attributes:
        name: in the table; the first competitor of a comparison is ours, the second what it is measured against.
        run: does the work once; may return the loss it has reached.
        note: what differs from the others, if anything does.
        dtype: in which its layers multiply.
    """

    name: str
    run: Callable[[], Any]
    note: str = ""
    dtype: torch.dtype = torch.float32


@dataclass
class Comparison:
    """Times of competitors that did the same work.

    Attributes:
        title: what was done.
        unit: what is counted: "tokens".
        amount: how many of them a run does.
        flops: floating-point operations of one run; 0 if they are not counted.
        seconds: for each competitor the times of its runs.
        losses: for each competitor the loss it has reached after all its runs, if it has one.
        peak: for each competitor the bytes that a run took, at most, beyond those that were taken before it.
        notes: what differs, by competitor.
        goal: the ratio that we want to reach against the second competitor.
        gemm: for each competitor the machine's FLOP/s in a large product of its dtype, measured between the runs.
    """

    title: str
    unit: str = "tokens"
    amount: float = 1.0
    flops: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    goal: float | None = None
    gemm: dict[str, float] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        return {name: statistics.median(times) for name, times in self.seconds.items()}

    def ratio(self, name: str) -> float:
        """How many times as fast as the second competitor."""
        medians = self.medians
        return list(medians.values())[min(1, len(medians) - 1)] / medians[name]

    @property
    def reached(self) -> bool | None:
        """Whether ours is as much faster as it should be; None if there is nothing to reach, or nobody to beat."""
        if self.goal is None or len(self.seconds) < 2:
            return None
        return self.ratio(next(iter(self.seconds))) >= self.goal

    def __str__(self) -> str:
        lines = [self.title if self.goal is None else f"{self.title}  {_wanted(f'×{self.goal:g}', self.reached)}"]
        width = max(map(len, self.seconds), default=0)
        for name, times in self.seconds.items():
            median = statistics.median(times)
            low, high = spread(times)
            parts = [
                f"{self.amount / median:10,.0f} {self.unit}/s" if self.amount > 1 else "",
                f"×{self.ratio(name):5.2f}",
                f"{median * 1e3:8.1f} ms ({low * 1e3:.1f}–{high * 1e3:.1f})",
                f"{self.flops / median / self.gemm[name]:4.0%} of GEMM" if self.flops and name in self.gemm else "",
                f"{self.peak[name] / 1e6:7.1f} MB" if name in self.peak else "",
                f"loss {self.losses[name]:.4f}" if name in self.losses else "",
                self.notes.get(name, ""),
            ]
            lines.append("  ".join([f"  {name:<{width}}", *filter(None, parts)]))
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        ratios = {name: self.ratio(name) for name in self.seconds}
        return asdict(self) | {"medians": self.medians, "ratios": ratios, "reached": self.reached}


@dataclass
class Waits:
    """How long a reader waits for things, and how long at most is wanted.

    Attributes:
        title: what for.
        seconds: for each thing the times it took.
        limits: for some of them the seconds that the longest may take.
    """

    title: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether nothing took longer than it may; None without limits."""
        if not self.limits:
            return None
        return all(max(self.seconds[name]) < limit for name, limit in self.limits.items())

    def __str__(self) -> str:
        same = len({*self.limits.values()}) == 1 and len(self.limits) == len(self.seconds) > 1
        lines = [self.title]
        if same:
            lines[0] += f"  {_wanted(f'each below {min(self.limits.values()):g} s', self.reached)}"
        width = max(map(len, self.seconds), default=0)
        for name, times in self.seconds.items():
            line = f"  {name:<{width}}  {_readable(statistics.median(times))}"
            if len(times) > 1:
                line += f", longest {_readable(max(times))}"
            if name in self.limits:
                reached = max(times) < self.limits[name]
                if not (same and reached):
                    line += f"  {_wanted(f'below {self.limits[name]:g} s', reached)}"
            lines.append(line)
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached}


def _readable(seconds: float) -> str:
    return f"{seconds:8.1f} s " if seconds >= 10 else f"{seconds * 1e3:8.1f} ms"


def _wanted(what: str, reached: bool | None) -> str:
    return f"(wanted: {what}{'' if reached is None else ', reached' if reached else ', NOT reached'})"


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
    memory: bool = False,
) -> Comparison:
    """Time them in turns, after one run each that does not count; with `memory`, measure there what it takes."""
    if repetitions < 1:
        raise ValueError(f"each competitor has to run at least once, got repetitions={repetitions}")
    found = Comparison(title, unit, amount, flops, goal=goal, notes={c.name: c.note for c in competitors})
    found.seconds = {competitor.name: [] for competitor in competitors}
    rates: dict[torch.dtype, list[float]] = {competitor.dtype: [] for competitor in competitors}
    for turn in tqdm(range(repetitions + 1), desc=title, leave=False):
        for dtype, measured in rates.items():
            measured.append(gemm_rate(dtype=dtype))
        for competitor in competitors:
            if turn == 0 and memory:
                found.peak[competitor.name] = peak_memory(competitor.run)
                continue
            begin = time.perf_counter()
            result = competitor.run()
            if turn:
                found.seconds[competitor.name].append(time.perf_counter() - begin)
            if isinstance(result, float):
                found.losses[competitor.name] = result
    found.gemm = {competitor.name: statistics.median(rates[competitor.dtype][1:]) for competitor in competitors}
    return found


def wait(work: Callable[[], Any]) -> float:
    """Seconds that some work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def gemm_rate(n: int = 1024, dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of a product of two n × n matrices."""
    a, b = torch.ones(n, n, dtype=dtype), torch.ones(n, n, dtype=dtype)
    begin = time.perf_counter()
    for _ in range(4):
        a @ b
    return 4 * 2 * n**3 / (time.perf_counter() - begin)


def peak_memory(run: Callable[[], Any]) -> int:
    """The most bytes that torch's tensors on the CPU take during `run`, beyond those they take before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most

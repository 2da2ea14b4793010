"""``python -m largemodels bench``: tables of ratios, as text, as JSON and as a picture."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from largemodels.training.precision import multiplies_bfloat16

from . import course, generating, peers, training
from .measuring import Comparison, Waits, gemm_rate

# What can be measured, how often unless told otherwise.
PARTS: dict[str, tuple[Callable[[int], Iterator[Comparison | Waits]], int]] = {
    "train": (training.training, 9),
    "generate": (generating.generation, 9),
    "lengths": (generating.lengths, 9),
    "bands": (generating.bands, 5),
    "check": (course.checks, 1),
    "explorers": (course.explorers, 9),
    "import": (course.imports, 5),
    "chapters": (course.chapters, 1),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[*PARTS, []],
        metavar="part",
        help=f"{', '.join(PARTS)}; all but chapters unless given",
    )
    parser.add_argument("--repetitions", type=int, help="how often each competitor runs; the median counts")
    parser.add_argument("--threads", type=int, help="threads for torch (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all times to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw them: .png, .pdf or .svg")


def main(arguments: argparse.Namespace) -> int:
    if arguments.repetitions is not None and arguments.repetitions < 1:
        print(f"--repetitions must be at least 1, got {arguments.repetitions}", file=sys.stderr)
        return 2
    if complaint := _cannot_write(arguments):
        print(complaint, file=sys.stderr)
        return 2
    parts = arguments.parts or [part for part in PARTS if part != "chapters"]
    found: dict[str, list[Comparison | Waits]] = {}
    with peers.threads(arguments.threads):
        machine = describe_machine()
        for line in machine.items():
            print("{:<15} {}".format(*line))
        if peers.transformers() is None:
            print("transformers is not installed: what is compared with it runs alone (pip install transformers)")
        for part in parts:
            measure, repetitions = PARTS[part]
            print(f"\n{part}", flush=True)
            found[part] = []
            for comparison in measure(arguments.repetitions or repetitions):
                print(comparison, flush=True)
                found[part].append(comparison)
        print(f"\nload afterwards  {load()}")
    judged = [one for ones in found.values() for one in ones if one.reached is not None]
    missed = [one.title for one in judged if not one.reached]
    print("\n".join([f"\n{len(judged) - len(missed)} of {len(judged)} goals are reached", *missed]))
    if arguments.json:
        content = {part: [one.to_json() for one in comparisons] for part, comparisons in found.items()}
        arguments.json.write_text(json.dumps({"machine": machine, **content}, indent=1), encoding="utf-8")
    if arguments.plot:
        plot(found).savefig(arguments.plot, bbox_inches="tight")
    return 0


def _cannot_write(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the files to be written, said before minutes of measuring, not after."""
    for option, path in (("--json", arguments.json), ("--plot", arguments.plot)):
        if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
            return (
                f"{option} {path}: {'a folder; name a file' if path.is_dir() else f'there is no folder {path.parent}'}"
            )
        if path is not None and not os.access(path if path.exists() else path.resolve().parent, os.W_OK):
            return f"{option} {path} cannot be written to"
    if arguments.plot:
        from matplotlib.backend_bases import FigureCanvasBase

        known = FigureCanvasBase.get_supported_filetypes()
        if arguments.plot.suffix.lower().lstrip(".") not in known:
            return f"--plot {arguments.plot}: the file's ending must be one of {', '.join(sorted(known))}"
        drawn = {"train", "generate", "lengths", "bands"}
        if arguments.parts and not drawn & {*arguments.parts}:
            return f"nothing to plot in {', '.join(arguments.parts)}: measure {', '.join(sorted(drawn))}"
    return None


def describe_machine() -> dict[str, Any]:
    dtypes = [torch.float32] + ([torch.bfloat16] if multiplies_bfloat16(torch.device("cpu")) else [])
    rates = {str(dtype).removeprefix("torch."): max(gemm_rate(dtype=dtype) for _ in range(5)) for dtype in dtypes}
    peer = importlib.metadata.version("transformers") if peers.transformers() else "not installed"
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "processor": f"{processor()} ({torch.backends.cpu.get_cpu_capability()})",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, transformers {peer}",
        **{f"GEMM {name}": f"{rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()},
        "load before": load(),
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def load() -> str:
    """How many processes wanted to run in the last minute: 0 or 1 before a measurement that is to be trusted."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def plot(found: dict[str, list[Comparison | Waits]]):
    """The ratio of each comparison with a peer, as bars; and what depends on a length, as curves."""
    from largemodels import plots

    panels: list[Callable] = []  # each draws into the axes it is given
    compared = [one for part in ("train", "generate") for one in found.get(part, []) if len(one.seconds) > 1]
    if compared:
        ratios = {_short(one.title): one.ratio(next(iter(one.seconds))) for one in compared}
        panels.append(partial(plots.bars, ratios, horizontal=True, annotate=".2f", xlabel="times as fast as the peer"))
    for one in found.get("lengths", []):
        milliseconds = [1e3 * seconds / one.amount for seconds in one.medians.values()]
        title = "GPT A, batch 1, with its cache"
        series = {title: ([*map(_number, one.seconds)], milliseconds)}
        panels.append(partial(plots.curves, series, xlabel="tokens so far", ylabel="ms for one more", title=title))
    for ylabel, unit, numbers in (("ms", 1e3, lambda one: one.medians), ("MB", 1e-6, lambda one: one.peak)):
        series = {}
        for one in found.get("bands", []):
            for name, number in numbers(one).items():
                lengths, values = series.setdefault(name, ([], []))
                lengths.append(_number(one.title))
                values.append(number * unit)
        if series:
            labels = {"xlabel": "length", "ylabel": ylabel, "xscale": "log", "yscale": "log", "title": "attention"}
            panels.append(partial(plots.curves, series, **labels))
    figure, axes = plots.row(len(panels), wrap=min(2, len(panels)), height=4.0, width=5.0 * min(2, len(panels)))
    for ax, draw in zip(axes, panels, strict=True):
        draw(ax=ax)
        if draw.func is plots.curves and not draw.keywords.get("yscale"):
            ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
    return figure


def _short(title: str) -> str:
    """ "GPT A, float32: 4 layers, d 128, …" to its first half."""
    return title.split(":")[0]


def _number(text: str) -> int:
    """ "after 1,024" to 1024."""
    return int("".join(filter(str.isdigit, text)))

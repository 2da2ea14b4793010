"""``python -m largemodels bench``: tables of ratios, as text, as JSON and as a picture."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from . import course, generating, peers, training
from .measuring import Comparison, gemm_rate

# What can be measured, how often unless told otherwise.
PARTS: dict[str, tuple[Callable[[int], Iterator[Comparison]], int]] = {
    "train": (training.training, 9),
    "generate": (generating.generation, 7),
    "bands": (generating.bands, 5),
    "check": (course.checks, 1),
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
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the ratios: .png, .pdf or .svg")


def main(arguments: argparse.Namespace) -> int:
    if arguments.repetitions is not None and arguments.repetitions < 1:
        print(f"--repetitions must be at least 1, got {arguments.repetitions}", file=sys.stderr)
        return 2
    parts = arguments.parts or [part for part in PARTS if part != "chapters"]
    found = {}
    with peers.threads(arguments.threads):
        machine = describe_machine()
        for line in machine.items():
            print("{:<14} {}".format(*line))
        if peers.transformers() is None:
            print("transformers is not installed: what is compared with it runs alone (pip install transformers)")
        for part in parts:
            measure, repetitions = PARTS[part]
            print(f"\n{part}", flush=True)
            found[part] = []
            for comparison in measure(arguments.repetitions or repetitions):
                print(comparison, flush=True)
                found[part].append(comparison)
    if arguments.json:
        content = {part: [one.to_json() for one in comparisons] for part, comparisons in found.items()}
        arguments.json.write_text(json.dumps({"machine": machine, **content}, indent=1), encoding="utf-8")
    if arguments.plot:
        plot(found).savefig(arguments.plot, bbox_inches="tight")
    return 0


def describe_machine() -> dict[str, Any]:
    rates = {str(dtype).removeprefix("torch."): max(gemm_rate(dtype=dtype) for _ in range(5)) for dtype in DTYPES}
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        **{f"GEMM {name}": f"{rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()},
    }


DTYPES = (torch.float32, torch.bfloat16)


def plot(found: dict[str, list[Comparison]]):
    """The ratio of each comparison with a peer, as bars."""
    from largemodels import plots

    ratios = {
        comparison.title.split(":")[0]: comparison.ratio(next(iter(comparison.seconds)))
        for comparisons in found.values()
        for comparison in comparisons
        if len(comparison.seconds) > 1 and comparison.amount > 1
    }
    if not ratios:
        raise SystemExit("nothing to plot: no part with a peer was measured")
    return plots.bars(ratios, xlabel="times as fast as the peer", horizontal=True, annotate=".2f", chance=None)

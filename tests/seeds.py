"""Does what a chapter claims hold with other random numbers, too?  ``python tests/seeds.py 06 --seeds 5``

Runs the cells of a chapter once for each seed, every seed in them shifted: first weights, data, order and draws are all
other ones. What is claimed is asserted in the cells, so a claim that depends on luck fails here and is named.
"""

import argparse
import ast
import contextlib
import io
import multiprocessing
import os
import random
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from largemodels.course.lab import training_settings

CHAPTERS = Path(__file__).parents[1] / "chapters"
# Python's own random numbers stay in these: texts are made from them, and the checkpoints know their words.
SAME_TEXTS = ("05-bart-t5",)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", help="the beginning of its file's name, such as 06")
    parser.add_argument("--seeds", type=int, default=5, help="how many (5)")
    parser.add_argument("--first", type=int, default=1, help="the first shift (1; the notebook itself has 0)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time (1)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write what the cells print into text files here")
    arguments = parser.parse_args()
    paths = sorted(CHAPTERS.glob(f"{arguments.chapter}*.ipynb"))
    if len(paths) != 1:
        parser.error(f"{arguments.chapter!r} fits {len(paths)} chapters, not one")
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)

    os.environ |= {"MPLBACKEND": "agg"} | training_settings()
    if arguments.jobs > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // arguments.jobs))
    shifts = range(arguments.first, arguments.first + arguments.seeds)
    one_run = partial(run, paths[0])
    failures = 0
    # A new process for each, as a notebook has a new kernel.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        for shift, (printed, problems, seconds) in zip(shifts, pool.map(one_run, shifts), strict=True):
            print(f"{paths[0].stem}, seeds + {shift}: {'fails' if problems else 'holds'} ({seconds:.0f} s)", flush=True)
            print(*(f"    {problem}\n" for problem in problems), sep="", end="", flush=True)
            failures += bool(problems)
            if arguments.keep:
                (arguments.keep / f"{paths[0].stem}-{shift}.txt").write_text(printed, encoding="utf-8")
    return 1 if failures else 0


def run(path: Path, shift: int) -> tuple[str, list[str], float]:
    """What the cells print, which statements failed, and how long it took. After a failure the rest runs all the same."""
    import nbformat

    begin = time.perf_counter()
    os.chdir(path.parent)
    shift_seeds(shift, 0 if path.stem in SAME_TEXTS else shift)
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    printed, problems, names = io.StringIO(), [], {"__name__": "notebook"}
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        for number, cell in enumerate(cells, 1):
            print(f"\n--- cell {number}")
            for statement in ast.parse(cell).body:
                try:
                    exec(compile(ast.Module([statement], []), f"cell {number}", "exec"), names)
                except Exception as error:
                    traceback.print_exc(file=printed)
                    problems.append(f"cell {number}, {type(error).__name__}: {ast.unparse(statement)[:200]}")
            if pyplot := sys.modules.get("matplotlib.pyplot"):
                pyplot.close("all")
    return printed.getvalue(), problems, time.perf_counter() - begin


def shift_seeds(shift: int, pythons: int) -> None:
    """Add `shift` to each whole number that seeds PyTorch or its generators, `pythons` to those that seed Python's."""
    import torch

    class Generator(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(seed + shift)

    class Random(random.Random):
        def __init__(self, seed: object = None):
            super().__init__(seed + pythons if isinstance(seed, int) else seed)

    manual_seed = torch.manual_seed
    torch.Generator, torch.manual_seed, random.Random = Generator, lambda seed: manual_seed(seed + shift), Random


if __name__ == "__main__":
    sys.exit(main())

"""How long grading takes: a made-up class of chapter 1, and nbgrader's `autograde` on a sample of the same submissions.

``python tests/grading/timing.py [--students 300] [--sample 5] [--workers 2]`` prints both, in seconds per submission.
Every submission differs from every other one, so that no result is found twice; about half of all answers are wrong.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from classes import UNSCALED, answer_cell, hand_in, notebook
from nbgraders_tree import grades, make, nbgrader, submit

from largemodels.classroom import exercises
from largemodels.classroom.grading.command import grade_class

WRONG = {
    "1.1": "def three_scores(query, key, W, W_q, W_k, v):\n    s = key @ query.mT\n    return s, s, s",
    "1.2": UNSCALED,
    "1.3": "by_hand = ((0.9, 0.1), (0.1, 0.2, 0.7), (2.6, 1.1))",
    "1.4": "variances = (8, 1, 9)",
    "1.5": 'why_scale = "B"',
    "1.6": "def multi_head_attention(x, context, parameters, num_heads, causal=False):\n    return x @ parameters['W_Q']",
    "1.8": "def cached_step(query, key, value, cached_keys, cached_values):\n    return value, cached_keys, cached_values",
    "1.9": "parameter_counts = (4 * 512 * 512, 4 * 512 * 512)",
}


def synthetic(released: dict, solution: dict, rng: random.Random, student: str) -> dict:
    """The released notebook with right, wrong and missing answers, each marked so that it is nobody else's."""
    made = json.loads(json.dumps(released))
    for id in (id for id in exercises if id.startswith("1.")):
        kind = rng.random()
        if kind < 0.5:
            answer_cell(made, id)["source"] = "".join([*answer_cell(solution, id)["source"], f"\n# {student}"])
        elif kind < 0.9 and id in WRONG:
            answer_cell(made, id)["source"] = f"{WRONG[id]}\n# {student}"
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--sample", type=int, default=5, help="submissions for nbgrader (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    rng, solution = random.Random(0), notebook()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        released = make(folder, {"01-attention": solution})["01-attention"]
        for i in range(arguments.students):
            made = synthetic(released, solution, rng, f"student{i:03}")
            hand_in(folder / "ours", f"student{i:03}", made)
            if i < arguments.sample:
                submit(folder, f"student{i:03}", {"01-attention": made})

        begun = time.perf_counter()
        students = grade_class(folder / "ours", folder / "grades", exercises, workers=arguments.workers, progress=True)
        ours = time.perf_counter() - begun
        answers = sum(
            verdict.status != "not attempted" for student in students for verdict in student.verdicts.values()
        )
        begun = time.perf_counter()
        grade_class(folder / "ours", folder / "grades", exercises, workers=arguments.workers)
        again = time.perf_counter() - begun
        begun = time.perf_counter()
        nbgrader(folder, "autograde", "one", "--create")
        theirs = time.perf_counter() - begun

        own = {student.name: sum(v.points for v in student.verdicts.values()) for student in students}
        agree = sum(own[name] == score for name, score in grades(folder).items())
    count, sample = arguments.students, arguments.sample
    if hasattr(os, "getloadavg"):
        print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} over the last minute")
    print(f"largemodels grade: {count} submissions, {answers} answers attempted, {arguments.workers} workers")
    print(f"  first run  {ours:7.1f} s  {ours / count:6.3f} s per submission (feedback and report included)")
    print(f"  second run {again:7.1f} s  {again / count:6.3f} s per submission")
    print(f"nbgrader autograde: {sample} of the same submissions")
    print(
        f"  one run    {theirs:7.1f} s  {theirs / sample:6.3f} s per submission; {agree} of {sample} totals equal ours"
    )


if __name__ == "__main__":
    main()

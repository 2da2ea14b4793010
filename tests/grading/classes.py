"""What the tests grade, and with what: single answers, solved notebooks with some of them replaced, classes of these."""

import csv
import json
from dataclasses import replace
from pathlib import Path

from largemodels.classroom import exercises
from largemodels.classroom.grading.command import grade_class
from largemodels.classroom.grading.isolating import Cell, Isolation
from largemodels.classroom.grading.judging import Judge, Verdict
from largemodels.classroom.grading.judging import grade as grade_one
from largemodels.classroom.grading.sandbox import Limits

COURSE = Path(__file__).parents[2]
QUICK = Limits(cell_seconds=2.0, patience=0.15)

UNSCALED = """
def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights
"""
RIGHT = UNSCALED.replace("(-2, -1)", "(-2, -1) / math.sqrt(query.shape[-1])", 1)


class Grader:
    """One judge, and one server that all tests of a module share, as the answers of a class do."""

    def __init__(self, choice: str = "auto", **limits):
        self.judge = Judge(exercises, (4711, 4712))
        self.isolation = Isolation(replace(QUICK, **limits), choice)

    def __call__(self, code: str, id: str = "1.2", *more: str) -> Verdict:
        given = "import math\nimport torch\nfrom largemodels.classroom import check, progress"
        return self.judged(id, *(Cell(i, source) for i, source in enumerate([given, *more, code])))

    def judged(self, id: str, *cells: Cell) -> Verdict:
        """Judge what stands in the last of `cells`."""
        cells = (*cells[:-1], replace(cells[-1], asks=(id,)))
        return grade_one(self.judge, self.isolation.run, id, cells)


def notebook(name: str = "01-attention", folder: str = "solutions") -> dict:
    return json.loads((COURSE / folder / f"{name}.ipynb").read_text(encoding="utf-8"))


def up_to_its_last_check(made: dict) -> dict:
    """Without the answers to 思考 that are measured behind it, and the project, which trains."""
    last = max(at for at, cell in enumerate(made["cells"]) if cell["metadata"].get("nbgrader", {}).get("grade"))
    return {**made, "cells": made["cells"][: last + 1]}


def answer_cell(made: dict, id: str) -> dict:
    grade_id = f"answer-{id.replace('.', '-')}"
    return next(c for c in made["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def solved(name: str = "01-attention", **answers: str) -> dict:
    """A right notebook; ``e1_2="def attention…"`` replaces the answer to 1.2."""
    made = notebook(name)
    for id, code in answers.items():
        answer_cell(made, id[1:].replace("_", "."))["source"] = code
    return made


def body(code: str) -> str:
    """An `attention` that runs `code` first, and then answers wrongly."""
    lines = "\n    ".join(code.strip().splitlines())
    return f"import os, sys, torch\ndef attention(query, key, value, mask=None):\n    {lines}\n    return query.sum()"


def hand_in(folder: Path, student: str, made: dict | bytes | str, name: str = "01-attention.ipynb") -> Path:
    path = folder / student / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(made) if isinstance(made, dict) else made
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def only(*ids: str) -> dict:
    """The course's exercises without all others: a test of one answer need not run nine."""
    return {id: exercises[id] for id in ids}


def grade(folder: Path, out: Path, ids: tuple[str, ...] = ("1.2",), **options) -> dict[str, dict]:
    """Grade `folder`; return each student's verdicts by exercise."""
    options = {"limits": QUICK, "workers": 1} | options
    students = grade_class(folder, out, only(*ids) if ids else exercises, **options)
    return {student.name: student.verdicts for student in students}


def points(verdicts: dict[str, dict], student: str, id: str = "1.2") -> float:
    return verdicts[student][id].points


def table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))

"""The zip for students: all they need, no solutions, nothing of the machine it was made on."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from largemodels.classroom.bundling import TO_SOLUTIONS, CannotBundle, bundle
from largemodels.classroom.sources import targets

pytestmark = pytest.mark.slow

COURSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    bundle(COURSE, folder / "course.zip")
    with zipfile.ZipFile(folder / "course.zip") as made:
        made.extractall(folder)
    return folder / "large-models"


def test_what_is_in_it(unpacked):
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    for name in (
        "course.py",
        "pyproject.toml",
        "START.ipynb",
        "docs/zh/troubleshooting.md",
        ".course/languages/zh/jupyter_lab_config.py",
        "lib/largemodels/locale/zh/LC_MESSAGES/largemodels.mo",
        "lib/largemodels/attention.py",
        "exercises/01-attention.ipynb",
    ):
        assert name in names
    released = [target.path for target in targets(COURSE) if target.kind != "solution" and target.path.exists()]
    assert {path.relative_to(COURSE).as_posix() for path in released} <= names  # of every language
    for part in ("solutions/", "tests/", ".git/", "__pycache__", ".venv/", "/text/", "egg-info"):
        assert not [name for name in names if part in name]
    for path in unpacked.rglob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" not in text
        assert "solutions/" not in text
        for cell in json.loads(text)["cells"]:
            for place in re.findall(
                r"\]\(([^)#:]+)", "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
            ):
                assert (path.parent / place).exists(), (path.name, place)
    assert "solutions/0" not in (unpacked / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("in [a](../e/1.ipynb), the reference solutions in [b](../solutions/1.ipynb).", "in [a](../e/1.ipynb)."),
        ("在 [a](../../e/1.ipynb)，参考答案在 [b](../../solutions/zh/1.ipynb)。", "在 [a](../../e/1.ipynb)。"),
        ("在 [a](../../e/1.ipynb)，参考解答在 [b](../../solutions/zh/1.ipynb)。", "在 [a](../../e/1.ipynb)。"),
        ("| [chapter](c.ipynb) · [solutions](solutions/1.ipynb) |", "| [chapter](c.ipynb) |"),
        ("| [一章](c.ipynb) · [参考答案](solutions/zh/1.ipynb) |", "| [一章](c.ipynb) |"),
    ],
)
def test_a_sentence_without_its_link_to_the_solutions_is_one(sentence, left):
    assert TO_SOLUTIONS.sub("", sentence) == left


def test_links_of_its_pages_lead_somewhere_in_it(unpacked):
    pages = sorted(unpacked.rglob("*.md"))
    assert {"README.md", "README.zh.md", "glossary.md"} <= {page.name for page in pages}
    for page in pages:
        places = re.findall(r"\]\(([^)#:\s]+)", page.read_text(encoding="utf-8"))
        assert [place for place in places if not (page.parent / place).exists()] == [], page
    assert "docs/grading.md: a class graded" in (unpacked / "README.md").read_text(encoding="utf-8")


def test_exercises_are_as_released_up_to_links(unpacked):
    for path in sorted(COURSE.glob("exercises/**/*.ipynb")):
        ours, given = (json.loads(p.read_bytes())["cells"] for p in (path, unpacked / path.relative_to(COURSE)))
        assert [cell for cell in ours if cell["cell_type"] == "code"] == [c for c in given if c["cell_type"] == "code"]
        assert [cell["id"] for cell in ours] == [cell["id"] for cell in given]


def test_the_unpacked_library_runs(unpacked):
    code = "import largemodels.classroom as c; print(c.__file__, c.exercises['1.2'].grade(None).status)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(unpacked / "lib")}, capture_output=True, text=True
    )
    assert str(unpacked) in done.stdout, done.stderr


def test_it_is_the_same_every_time(tmp_path, unpacked):
    bundle(COURSE, tmp_path / "again.zip")
    same = (tmp_path / "again.zip").read_bytes() == (unpacked.parent / "course.zip").read_bytes()
    assert same


def test_work_and_solutions_are_refused(tmp_path):
    shutil.copytree(COURSE / "exercises", tmp_path / "exercises", ignore=shutil.ignore_patterns("text"))
    path = tmp_path / "exercises" / "01-attention.ipynb"
    made = json.loads(path.read_bytes())
    cell = next(cell for cell in made["cells"] if cell["cell_type"] == "code")
    for change, words in (
        ({"execution_count": 1}, "has been worked in"),
        ({"source": "### BEGIN SOLUTION"}, "a solution"),
    ):
        path.write_text(json.dumps({**made, "cells": [{**cell, **change}]}), encoding="utf-8")
        with pytest.raises(CannotBundle, match=words):
            bundle(tmp_path, tmp_path / "course.zip")
        assert not (tmp_path / "course.zip").exists()

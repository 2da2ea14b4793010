"""A class of which some work in Chinese: the same points, and each reads about the own work in its own language."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from classes import COURSE, QUICK, UNSCALED, answer_cell, hand_in

from largemodels.classroom import exercises
from largemodels.classroom.editions.typography import left_in_english
from largemodels.classroom.grading.command import grade_class
from largemodels.classroom.grading.extracting import read

pytestmark = pytest.mark.usefixtures("shared_servers")

CHINESE = re.compile(r"[\u4e00-\u9fff]")
HELD = ("1.2", "1.5")


def edition(language: str, folder: str = "solutions") -> dict:
    place = COURSE / folder / ("." if language == "en" else language)
    return json.loads((place / "01-attention.ipynb").read_text(encoding="utf-8"))


def with_answers(made: dict, **answers: str) -> dict:
    for id, code in answers.items():
        answer_cell(made, id.removeprefix("e").replace("_", "."))["source"] = code
    return made


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    for language, name in (("en", "Ada Byron"), ("zh", "孔丘")):
        hand_in(folder / "in", name, with_answers(edition(language), e1_2=UNSCALED, e1_5='why_scale = "A"'))
        hand_in(folder / "in", f"{name} 2", with_answers(edition(language), e1_2="attention = None"))
    chosen = {id: exercises[id] for id in HELD}
    book = grade_class(folder / "in", folder / "out", chosen, limits=QUICK, workers=2)
    return folder, {student.name: student for student in book}


def test_the_language_is_what_the_notebook_itself_says():
    for language in ("en", "zh"):
        (found,) = read(json.dumps(edition(language)).encode(), exercises)
        assert found.language == language
    (found,) = read(
        json.dumps(edition("zh")).replace('use_language(\\"zh\\")', 'use_language(\\"tlh\\")').encode(), exercises
    )
    assert found.language == "en"  # one that the course does not speak


@pytest.mark.slow
def test_both_get_the_same_points(graded):
    _, students = graded
    points = {name: {id: student.points(id) for id in HELD} for name, student in students.items()}
    assert points["Ada Byron"] == points["孔丘"]
    assert points["Ada Byron 2"] == points["孔丘 2"]
    assert points["Ada Byron"]["1.2"] == 0
    assert points["孔丘 2"]["1.5"] == exercises["1.5"].points


def test_each_page_is_in_the_language_of_the_notebook(graded):
    folder, students = graded
    pages = {path.name: path.read_text(encoding="utf-8") for path in (folder / "out/feedback").glob("*.html")}
    assert len(pages) == 4
    for name, page in pages.items():
        words = re.sub(r"<style>.*?</style>|<pre>.*?</pre>|<code>.*?</code>|<[^>]+>", " ", page, flags=re.DOTALL)
        if "Ada" in name:
            assert "<html lang='en'>" in page
            assert "Where to look" in words or "not scaled" in words or "not attempted" in words
            assert not CHINESE.search(words)
        else:
            assert "<html lang='zh'>" in page
            assert CHINESE.search(words)
            assert left_in_english(words) == []
    assert "not scaled" in students["Ada Byron"].verdicts["1.2"].message


def test_the_report_counts_one_mistake_as_one_in_whatever_language(graded):
    folder, _ = graded
    report = (folder / "out/report.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr><td class='n'><bdi>(\d+)</bdi></td><td><bdi>(.*?)</bdi></td></tr>", report)
    assert [count for count, text in rows if "not scaled" in text] == ["2"]


@pytest.mark.slow
def test_the_report_speaks_chinese_when_asked_to(graded, tmp_path):
    from largemodels.language import speaking

    folder, _ = graded
    shutil.copytree(folder / "in", tmp_path / "in")
    chosen = {id: exercises[id] for id in HELD}
    with speaking("zh"):
        grade_class(tmp_path / "in", tmp_path / "out", chosen, limits=QUICK)
    report = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    words = re.sub(r"<style>.*?</style>|<[^>]+>", " ", report, flags=re.DOTALL)
    assert "班级报告" in words
    of_one_notebook = "judged with the cells that it needs"  # what concerns it is told in its own language
    assert [text for text in left_in_english(words.replace("Ada Byron", "")) if text != of_one_notebook] == []

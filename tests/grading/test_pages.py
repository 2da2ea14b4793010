"""Feedback and report: readable in both themes and on paper, ready for whoever translates them, safe whatever is in them."""

import re
import sys
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2.ext import babel_extract

from largemodels.classroom import exercises
from largemodels.classroom.grading import byhand, pages
from largemodels.classroom.grading.classreport import write_report
from largemodels.classroom.grading.collecting import File
from largemodels.classroom.grading.extracting import CodeCell, Notebook
from largemodels.classroom.grading.feedback import feedback
from largemodels.classroom.grading.gradebook import Gradebook, Student, Submission
from largemodels.classroom.grading.judging import Verdict
from largemodels.classroom.grading.rules import Rules

TEMPLATES = Path(pages.__file__).parent / "templates"
sys.path.insert(0, str(Path(__file__).parent))


def book() -> Gradebook:
    """Somebody of whom every part of the pages has something to say."""
    code = "def attention(query):\n    return " + " + ".join(["query"] * 60)
    cells = (CodeCell(1, code, "1.2"),)
    submission = Submission(File("ada", "1.ipynb", when=2e9), Notebook("1", cells), ("a <note>",))
    statuses = {"1.1": "passed", "1.2": "wrong", "1.3": "not attempted", "1.4": "attention"}
    stages = (("the `scores`", 1, 2), ("the mask", 2, 2))
    verdicts = {
        id: Verdict(id, status, 1.5, 5, f"`code` of {status} <b>", stages, "printed <i>")
        for id, status in statuses.items()
    }
    ada = Student("<b>Ada</b>", "1", submissions={"1": submission}, verdicts=verdicts)
    ada.manual["1.2"] = byhand.Given(2.5, "two\nlines <u>")
    chosen = {id: exercises[id] for id in statuses}
    rules = Rules(due={"1": datetime(2026, 1, 1)}, per_day=0.1, cap=0.5)
    return Gradebook([ada], chosen, rules, ["manual.csv, line 2: <s>"])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, str]:
    gradebook, path = book(), tmp_path_factory.mktemp("pages") / "report.html"
    write_report(path, gradebook, [], ["a <fact>"], ["<file>"])
    return {"feedback": feedback(gradebook.students[0], "1", gradebook), "report": path.read_text(encoding="utf-8")}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_in_both_themes():
    style = (TEMPLATES / "base.html").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--(\w+): (#\w+)", rule)) for rule in re.findall(r":root \{([^}]*)\}", style)]
    assert len(themes) == 2
    for theme in themes:
        for text, grounds in {
            "text": ("page", "code", "note"),
            "good": ("page",),
            "bad": ("page",),
            "open": ("page",),
        }.items():
            for ground in grounds:
                high, low = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
    body = style.split("</style>")[0].split("body {")[1]
    assert not re.search(r"color: #", body)  # every colour is one of these


class Reader(HTMLParser):
    """Text, elements, and the heads of tables."""

    def __init__(self, page: str):
        super().__init__()
        self.elements, self.heads, self.text, self._in_head = [], [], "", False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag == "th":
            self._in_head = True
            self.heads.append("")

    def handle_endtag(self, tag):
        self._in_head &= tag != "th"

    def handle_data(self, data):
        self.text += data
        if self._in_head:
            self.heads[-1] += data


def test_pages_hold_what_was_put_in_as_text(made):
    for page in map(Reader, made.values()):
        assert not {"script", "b>", "s", "u", "i", "note", "fact", "file", "iframe", "object", "link"} & set(
            page.elements
        )
        assert all(head.strip() for head in page.heads)
    text = Reader(made["feedback"]).text
    for words in (
        "<b>Ada</b>",
        "a <note>",
        "code of wrong <b>",
        "printed <i>",
        "lines <u>",
        "2.5 points, given by hand",
    ):
        assert words in text
    assert "50 % of the points count" in text
    assert "Your instructor has been told" in text
    assert "manual.csv, line 2: <s>" in Reader(made["report"]).text
    assert "default-src 'none'" in made["feedback"]


def test_every_sentence_can_be_translated(made):
    """All letters of a template are in a message, in a tag, or come from outside."""
    for path in TEMPLATES.glob("*.html"):
        source = path.read_text(encoding="utf-8")
        with path.open("rb") as file:
            messages = list(babel_extract(file, ("_", "gettext", "ngettext"), [], {"trimmed": "false"}))
        assert messages or path.name == "base.html"
        rest = re.sub(
            r"\{#.*?#\}|\{%-? trans.*?endtrans %\}|\{[{%].*?[%}]\}|<style>.*?</style>|<[^>]*>",
            "",
            source,
            flags=re.DOTALL,
        )
        assert not re.search(r"[A-Za-z]{2,}", rest), (path.name, re.findall(r"[A-Za-z]{2,}", rest))


@pytest.mark.slow
def test_code_is_not_cut_on_paper_and_paper_is_white(made, tmp_path, chromium):
    path = tmp_path / "feedback.html"
    path.write_text(made["feedback"], encoding="utf-8")
    page = chromium.new_page(color_scheme="dark", viewport={"width": 700, "height": 900})
    page.goto(path.as_uri())
    hidden = "[...document.querySelectorAll('pre')].filter(e => e.scrollWidth > e.clientWidth).length"
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(hidden) == 1  # scrolls on the screen
    assert page.evaluate(ground) != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert page.evaluate(hidden) == 0
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.close()

"""What a student chose reaches files, tables and pages as text that can be written, and that hides nothing."""

import csv
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from largemodels.classroom.grading.gradebook import write_table
from largemodels.classroom.grading.shown import NAME, TEXT, shown, shown_name

sys.path.insert(0, str(Path(__file__).parent))
from classes import RIGHT, UNSCALED, grade, hand_in, points, solved

anything = st.text(st.characters(exclude_categories=()))  # half characters among them


@given(anything, st.integers(9, 50))
def test_whatever_it_is_it_can_be_written_and_read_again(text, most):
    for made in (shown(text, most), shown_name(text, most)):
        assert made.encode("utf-8").decode("utf-8") == made
        assert len(made) <= most
        assert all(c in "\n\t\u200c\u200d" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl") for c in made)
    assert "\n" not in shown_name(text)


@given(anything, anything)
def test_two_names_stay_two(one, other):
    if unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other) and "\\" not in one + other:
        assert shown_name(one) != shown_name(other)


@given(anything)
def test_a_table_holds_it_in_one_cell_which_is_no_formula(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    write_table(path, [[text, "5"]])
    with path.open(encoding="utf-8", newline="") as file:
        ((cell, five),) = csv.reader(file)
    assert five == "5"
    assert not cell.lstrip().startswith(("=", "+", "@"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, 孔丘, é", "plain text, 孔丘, é"),
        ("two\r\nlines\rand\tmore", "two\nlines\nand\tmore"),
        ("\ud83d", "\\ud83d"),
        ("\udcd5\udcc5", "\\xd5\\xc5"),
        ("\u202eevil\u200b\x00", "\\u202eevil\\u200b\\x00"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("👩\u200d🎓 می\u200cخواهم\u3000\xa0", "👩\u200d🎓 می\u200cخواهم\u3000\xa0"),
        ("a" * (TEXT + 1), "a" * (TEXT - 1) + "…"),
        (3.5, "3.5"),
    ],
)
def test_what_people_see(text, expected):
    assert shown(text) == expected


def test_names_are_one_line_and_equal_where_unicode_says_so():
    assert shown_name("Rene\u0301") == shown_name("René")
    assert shown_name("a\nb\tc") == "a\\nb\\tc"
    assert shown_name("") == "(no name)"
    assert len(shown_name("x" * 10_000)) == NAME
    assert shown_name("x" * 10_000 + "a") != shown_name("x" * 10_000 + "b")


HALF = "\ud83d"  # of an emoji


STRANGE = {
    "printed": RIGHT.replace("    weights", "    print('\\ud83d')\n    weights", 1),
    "raised": RIGHT.replace("    weights", "    raise ValueError('\\ud83d')\n    weights", 1),
    "comment": RIGHT + f"\n# {HALF}",
    "text": RIGHT + f"\nname = '{HALF}'",
    "value": "attention = '\\ud83d'",
    "returned": "def attention(query, key, value, mask=None):\n    return '\\ud83d', {'\\udcff': '\\x00'}",
    "class": "raise type('\\ud83d', (Exception,), {})('\\ud83d')\n" + RIGHT,
    "sum": "def attention(query, key, value, mask=None):\n    return " + "+".join(["query"] * 1_200),
    "minus": RIGHT + "\nx = " + "-" * 1_200 + "1",
    "blank lines": RIGHT + "\n" * 60_000 + "$",
}


@pytest.mark.slow
def test_one_students_text_costs_nobody_else_anything(tmp_path):
    for student in ("aaa", "zzz"):
        hand_in(tmp_path / "in", student, solved(e1_2=RIGHT))
        hand_in(tmp_path / "in", f"{student} unscaled", solved(e1_2=UNSCALED))
    for kind, code in STRANGE.items():
        hand_in(tmp_path / "in", f"mmm {kind}", solved(e1_2=code))
    for _ in range(2):  # and what was kept can be read
        verdicts = grade(tmp_path / "in", tmp_path / "out")
        assert (points(verdicts, "aaa"), points(verdicts, "zzz")) == (5, 5)
        assert "not scaled" in verdicts["zzz unscaled"]["1.2"].message
        assert verdicts["mmm blank lines"] == {}  # told to be too long, and never parsed
        assert all(verdicts[f"mmm {kind}"]["1.2"].status in ("passed", "wrong") for kind in STRANGE if " " not in kind)
    for name in ("grades.csv", "moodle.csv", "canvas.csv"):
        assert "mmm class" in (tmp_path / "out" / name).read_text(encoding="utf-8-sig")
    assert "Class report" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "out" / "feedback").iterdir())) == 3 + len(STRANGE)

"""Points and comments given by hand, as people and spreadsheets write them; what ``grades.csv`` becomes in one."""

import csv
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from largemodels.classroom import exercises
from largemodels.classroom.grading import byhand
from largemodels.classroom.grading.command import grade_class
from largemodels.classroom.grading.gradebook import Gradebook, Student
from largemodels.classroom.grading.judging import Verdict
from largemodels.classroom.grading.roster import Person
from largemodels.classroom.grading.shown import shown_name
from largemodels.classroom.grading.tables import as_spreadsheet, read_number, read_table, safe, write_table

sys.path.insert(0, str(Path(__file__).parent))
from classes import QUICK, hand_in, notebook, only, table

HEAD = "student,exercise,points,comment\n"


def read(tmp_path, text: str | bytes, students: tuple[str, ...] = ("ada", "bob"), chapter: str = "4"):
    """What a ``manual.csv`` gives to a class: points by student and exercise, and what is said."""
    path = tmp_path / "manual.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    book = Gradebook([Student(name) for name in students], {i: e for i, e in exercises.items() if i[0] == chapter})
    book.add_by_hand(path, exercises, {"sign": "Right idea, wrong sign."})
    given = {(s.name, id): (g.points, g.comment) for s in book for id, g in s.manual.items()}
    return given, book.problems


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nobody,4.2,1,", "0 students are called 'nobody'"),
        ("ada,9.9,1,", "there is no exercise '9.9'"),
        ("ada,02. Apr,1,", "there is no exercise '02. Apr'"),
        ("ada,4.2,x,", "points must be a number, got 'x'"),
        ("ada,4.2,nan,", "points must be a number"),
        ("ada,4.2,inf,", "points must be a number"),
        ("ada,4.2,1e999,", "points must be a number"),
        ("ada,4.2,1000,", "4.2 has 0 to"),
        ("ada,4.2,-0.5,", "4.2 has 0 to"),
        ("ada,4.1,2,", "4.1 is also what a spreadsheet makes of 4.10: write 'ex 4.1' or 'ex 4.10'"),
        ("ada,late 4,-1,", "days of lateness must be a number from 0"),
        ("ada,late 04,1,", "there is no chapter '04'"),
    ],
)
def test_a_row_that_cannot_stand_is_told_and_the_others_count(tmp_path, row, words):
    given, problems = read(tmp_path, f"{HEAD}bob,4.3,1,\n{row}\nbob,4.2,0,\n")
    assert given == {("bob", "4.3"): (1, ""), ("bob", "4.2"): (0, "")}
    assert len(problems) == 1
    assert words in problems[0]
    assert "manual.csv, line 3" in problems[0]


def test_what_is_given_twice_is_told(tmp_path):
    _, problems = read(tmp_path, f"{HEAD}ada,4.3,1,\nada,late 4,1,\nada,4.3,2,\nada,late 4,2,\nbob,late 4,1,\n")
    assert problems == [
        "manual.csv, line 4: ada has 4.3 more than once; this row counts",
        "manual.csv, line 5: ada has late 4 more than once; this row counts",
    ]


@pytest.mark.parametrize("cell", ["ex 4.10", "4.10", f"4.10 {exercises['4.10'].title}", "Exercise 4.10:", " ex 4,10 "])
def test_an_exercise_is_found_whatever_words_stand_around_it(tmp_path, cell):
    assert read(tmp_path, f'{HEAD}ada,"{cell}",1,\n') == ({("ada", "4.10"): (1, "")}, [])
    assert read(tmp_path, f"{HEAD}ada,ex 4.1,1,\n") == ({("ada", "4.1"): (1, "")}, [])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + "ada,4.2,1.5,a; b\n",
        HEAD.replace(",", ";") + "ada;4.2;1,5;a; b\n".replace("a; b", '"a; b"'),
        HEAD.replace(",", "\t") + "ada\t4.2\t1,5\ta; b\n",
        (HEAD + "ada,4.2,1.5,a; b\n").replace("\n", "\r\n"),
        HEAD + "\n,,,\n ADA , 4.2 , 1.50 , a; b \n   ,,,\n",
        'exercise,comment,student,points,seen\n4.2,a; b,ada,"1,5",yes\n',
        "Student,Exercise,Points,Comment\nada,4.2,1.5e0,a; b\n",
        "学号,练习,分数,评语\nada,4.2,1.5,a; b\n",
        HEAD + "ada,4.2,1.5,a; b\nada,1.2,5,of another chapter\nbob,4.3,,\n",
    ],
)
def test_what_a_spreadsheet_makes_of_it_says_the_same(tmp_path, text):
    assert read(tmp_path, text) == ({("ada", "4.2"): (1.5, "a; b")}, [])


def test_excels_unicode_text_is_read_and_other_encodings_are_named(tmp_path):
    text = HEAD.replace(",", "\t") + "孔 丘\t4.2\t1\t好\n"
    assert read(tmp_path, text.encode("utf-16"), ("孔 丘",)) == ({("孔 丘", "4.2"): (1, "好")}, [])
    for data, words in (
        (text.encode("gbk"), "is not in UTF-8: save it as 'CSV UTF-8'"),
        (f"{HEAD}ada,4.2,1,très bien\n".encode("latin-1"), "is not in UTF-8"),
        (b"", "student, exercise, points not found"),
        (b"name,what\nada,4.2\n", "exercise, points not found"),
        (f"{HEAD}ada,4.2,4,5,good\n".encode(), "line 2: 5 cells, and the first line names 4 columns"),
    ):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, data)


def test_a_number_whose_zeros_a_spreadsheet_dropped_still_finds_its_student(tmp_path):
    book = Gradebook([Student("Ada", "0012", Person("Ada", "0012", "ab12")), Student("Bob", "12000")], only("1.2"))
    for text in ("12", "0012", "AB12", " ada "):
        assert [student.name for student in book.find(text)] == ["Ada"]
    assert book.find("") == book.find("0") == []


def test_a_login_that_a_spreadsheet_took_for_a_number_still_finds_its_student():
    long = ("123456789012345678", "123456789012345679")  # as floating-point numbers they are one
    book = Gradebook([Student(name) for name in ("12e4", "3.50", "0", "ada", *long)], only("1.2"))
    for text, name in [
        ("1.20E+05", "12e4"),
        ("120000", "12e4"),
        ("1,2E+05", "12e4"),
        ("12e4", "12e4"),
        ("3,5", "3.50"),
        ("0", "0"),
    ]:
        assert [student.name for student in book.find(text)] == [name]
    assert [[student.name for student in book.find(number)] for number in long] == [[number] for number in long]
    assert book.find("12") == book.find("1.5") == book.find("") == []


def test_comments_are_kept_and_used_again(tmp_path):
    given, problems = read(tmp_path, f"{HEAD}ada,4.2,,[sign] See [me].\nbob,4.2,,[Sign]\n")
    assert given["ada", "4.2"] == (None, "Right idea, wrong sign. See [me].")
    assert given["bob", "4.2"][1] == "Right idea, wrong sign."
    assert problems == ["manual.csv, line 2: there is no comment [me] in comments.csv"]


def test_two_rows_for_one_answer_are_told(tmp_path):
    given, problems = read(tmp_path, f"{HEAD}ada,4.2,1,\nada,4.2,0.5,\n")
    assert given["ada", "4.2"][0] == 0.5
    assert "line 3: ada has 4.2 more than once; this row counts" in problems[0]


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]) | st.sampled_from("=+-@,;\"'"),
    min_size=1,
    max_size=12,
)


@given(st.text("'= -5a", max_size=6))
@example("'=")
def test_a_cell_is_read_as_it_was_written(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("cell") / "table.csv"
    write_table(path, [("student", "points"), (text, "1")])
    (row,) = read_table(path, {"student": (), "points": ()}, ("student",))
    assert row["student"].strip() == text.strip()


@settings(max_examples=200, deadline=None)
@given(
    names.map(lambda name: shown_name(name).strip() or "x"),
    st.sampled_from([id for id in exercises if id[0] in "46"]),
    st.integers(0, 4).map(lambda n: n / 4),
    st.sampled_from(",;\t"),
    st.booleans(),
    st.sampled_from(["\r\n", "\n"]),
)
def test_a_spreadsheet_opens_and_saves_it_and_nothing_changes(
    tmp_path_factory, name, id, points, separator, comma, end
):
    """Cells that look like numbers become numbers, and are written as the spreadsheet's country writes them."""

    def saved(cell: str) -> str:
        cell = as_spreadsheet(cell)
        return cell.replace(".", ",") if comma and read_number(cell) is not None else cell

    path = tmp_path_factory.mktemp("saved") / "manual.csv"
    write_table(path, [tuple(byhand.COLUMNS), (name, f"ex {id}", f"{points:g}", "=1+1")], mark=True)
    cells = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows([saved(c) for c in row] for row in cells)
    given, problems = read(path.parent, text.getvalue(), (name,), id[0])
    assert (given, problems) == ({(name, id): (points, "=1+1")}, [])


@pytest.mark.slow
def test_grades_opened_in_a_spreadsheet_keep_their_columns_apart(tmp_path):
    for student, folder in (("ada", "exercises"), ("bob", "solutions")):
        hand_in(tmp_path / "in", student, notebook("04-encoder-decoder", folder), "04.ipynb")
    chosen, out = only("4.1", "4.10"), tmp_path / "out"
    grade_class(tmp_path / "in", out, chosen, limits=QUICK)
    (out / "manual.csv").write_text(f"{HEAD}ada,4.10,2,judged by hand\nbob,4.1,0,saved by a spreadsheet\n")
    book = grade_class(tmp_path / "in", out, chosen, limits=QUICK)
    ada, bob = table(out / "grades.csv")
    heads = [as_spreadsheet(column) for column in ada]
    assert len(set(heads)) == len(heads)
    ten = f"4.10 {exercises['4.10'].title}"
    assert (ada["4.1"], ada[ten], ada["total"]) == ("0", "2", "2")
    assert bob["4.1"] == f"{exercises['4.1'].points:g}"
    assert len(book.problems) == 1
    assert "4.1 is also what a spreadsheet makes of 4.10" in (out / "report.html").read_text(encoding="utf-8").replace(
        "&#39;", "'"
    )


def test_no_cell_is_a_formula():
    for text in ("=1", "+1+1", "@x", "-1-1", "\t=1", "\n=1", "＝1", "-x", "  =1"):
        assert safe(text).startswith("'"), text
    assert [safe(text) for text in ("-0.5", "3", -2, "a=1", "")] == ["-0.5", "3", "-2", "a=1", ""]


def test_points_by_hand_settle_what_could_not_be_graded():
    failed = Verdict("1.2", "attention", 0, 5, "no room on the disk")
    student = Student("ada", verdicts={"1.2": failed})
    assert student.attention == ["1.2: no room on the disk"]
    assert replace(student, manual={"1.2": byhand.Given(4.0, "")}).attention == []

"""A term: roster, due dates and lateness, weights, several collections in one gradebook, results that are kept."""

import argparse
import itertools
import json
import os
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from largemodels.classroom import exercises
from largemodels.classroom.grading import byhand, prose
from largemodels.classroom.grading.collecting import File
from largemodels.classroom.grading.command import ATTENTION, add_arguments, grade_class, main
from largemodels.classroom.grading.exporting import export
from largemodels.classroom.grading.extracting import Notebook
from largemodels.classroom.grading.feedback import file_name, write_feedback
from largemodels.classroom.grading.gradebook import Gradebook, Student, Submission
from largemodels.classroom.grading.judging import Verdict
from largemodels.classroom.grading.roster import Person, Roster, read_roster
from largemodels.classroom.grading.rules import Rules, read_rules

sys.path.insert(0, str(Path(__file__).parent))
from classes import QUICK, RIGHT, UNSCALED, hand_in, notebook, only, solved, table

pytestmark = [pytest.mark.usefixtures("shared_servers"), pytest.mark.slow]

EMPTY = Notebook("1", ())
DUE = datetime(2026, 10, 5, 23, 59)


def local(*moment: int) -> float:
    return datetime(*moment).timestamp()


# --------------------------------------------------------------------------------------------------------------- rules


@settings(deadline=None)
@given(
    st.integers(-3 * 86_400, 9 * 86_400),
    st.integers(0, 120),
    st.one_of(st.none(), st.integers(0, 5)),
    st.sampled_from([0.0, 0.1, 0.25, 1.0]),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
def test_lateness_is_what_counting_the_days_one_by_one_gives(over, grace, extension, per_day, cap):
    rules = Rules(due={"1": DUE}, per_day=per_day, cap=cap, grace_minutes=grace)
    handed_in, due = DUE + timedelta(seconds=over), DUE + timedelta(days=extension or 0)
    days = 0
    if handed_in > due + timedelta(minutes=grace):
        while due + timedelta(days=days) < handed_in:
            days += 1
    extended = None if extension is None else timedelta(days=extension)
    assert rules.days_late("1", handed_in.timestamp(), extended) == days
    left = Fraction(1)
    for _ in range(days):
        left -= Fraction(per_day).limit_denominator(100)
    assert rules.share(days) == pytest.approx(float(max(left, 1 - Fraction(cap).limit_denominator(100))))
    assert rules.days_late("2", handed_in.timestamp()) == 0


def test_an_extension_until_a_moment_counts_from_that_moment():
    rules = Rules(due={"1": DUE})
    for until, days in ((datetime(2026, 10, 7, 12), 1), (datetime(2026, 10, 1), 3)):  # never earlier than for all
        assert rules.days_late("1", local(2026, 10, 8, 11), until) == days
    assert rules.days_late("1", local(2026, 10, 7, 12), datetime(2026, 10, 7, 12)) == 0


@given(
    st.dictionaries(
        st.sampled_from("12345"), st.tuples(st.sampled_from([0, 0.25, 0.5, 1.0]), st.sampled_from([1.0, 2.0, 10.0]))
    ),
    st.integers(0, 6),
)
def test_the_lowest_chapters_are_dropped_and_one_is_left(shares, drop):
    found = Rules(drop_lowest=drop).percent(shares)
    if not shares:
        assert found is None
        return
    left = max(len(shares) - drop, 1)
    lowest = sorted(share for share, _ in shares.values())[: len(shares) - left]
    choices = [
        kept
        for kept in itertools.combinations(shares.values(), left)
        if sorted(share for share, _ in shares.values()) == sorted([*lowest, *(share for share, _ in kept)])
    ]
    values = [100 * sum(s * w for s, w in kept) / sum(w for _, w in kept) for kept in choices]
    assert any(found == pytest.approx(value) for value in values)


GOOD = """
exercises = ["1.*", "2.1"]
drop_lowest = 1
[due]
1 = 2026-10-05
2 = 2026-10-19T12:00:00+08:00
[late]
per_day = 0.1
cap = 0.5
grace_minutes = 15
[weights]
"1.2" = 2
2 = 0.5
[by_hand."1.think"]
title = "Reflection 思考"
points = 3
"""


def rules_of(tmp_path: Path, text: str) -> Rules:
    (tmp_path / "rules.toml").write_text(text, encoding="utf-8")
    return read_rules(tmp_path / "rules.toml", exercises)


def test_rules_are_read(tmp_path):
    rules = rules_of(tmp_path, GOOD)
    assert rules.counted(exercises) == [id for id in exercises if id[0] == "1" or id == "2.1"]
    assert rules.due["1"] == datetime(2026, 10, 6)  # to the end of the day
    assert rules.due["2"].timestamp() == datetime.fromisoformat("2026-10-19T04:00:00+00:00").timestamp()
    assert (rules.per_day, rules.cap, rules.grace_minutes, rules.drop_lowest) == (0.1, 0.5, 15, 1)
    assert rules.weights == {"1.2": 2, "2": 0.5}
    assert rules.by_hand == (byhand.HandGraded("1.think", "Reflection 思考", 3),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exercise = []", "exercise means nothing here; there are exercises, drop_lowest"),
        ("exercises = ['9.9']", "'9.9' fits no exercise"),
        ("exercises = '1.2'", "exercises must be a list"),
        ("drop_lowest = -1", "drop_lowest must be a whole number from 0 up, got -1"),
        ("drop_lowest = true", "drop_lowest must be a whole number"),
        ("[late]\nper_day = 10", "late.per_day must be a number from 0 to 1, got 10"),
        ("[late]\nper_week = 0.1", "late.per_week means nothing here"),
        ("[due]\n77 = 2026-10-05", "there is no chapter '77'"),
        ("[due]\n1 = 9999-12-31", "leave the line out where nothing is ever late"),
        ("[due]\n1 = '5 October'", "must be a date like 2026-10-05, without quotation marks"),
        ("[weights]\nx = 1", "'x' is neither a chapter nor an exercise"),
        ("[weights]\n1 = nan", "weights.1 must be a number"),
        ("late = 3", "late must be a table"),
        ("[by_hand.'1.2']\npoints = 1", "'1.2' must be a new name"),
        ("[by_hand.'1.x']\ntitle = 'x'", "by_hand.1.x.points must be a number"),
        ("= 3", "rules.toml"),
    ],
)
def test_mistakes_in_rules_are_named(tmp_path, text, words):
    with pytest.raises(ValueError, match=r"rules\.toml") as raised:
        rules_of(tmp_path, text)
    assert words in str(raised.value)


# -------------------------------------------------------------------------------------------------------------- roster


PEOPLE = """姓名,学号,账号,班级,extension
Ada Byron,0012,ab123,A,
Ada Lovelace,13,al@x.edu,A,2
孔丘,2021001001,,B,2026-10-12
Li Wei,21,,B,2026-10-12T12:00
Li Wei,22,lw2,B,
"""


def test_people_are_found_by_whatever_a_system_calls_them(tmp_path):
    (tmp_path / "roster.csv").write_text(PEOPLE, encoding="utf-8")
    people = read_roster(tmp_path / "roster.csv")
    assert [person.extension for person in people[1:4]] == [
        timedelta(days=2),
        datetime(2026, 10, 13),
        datetime(2026, 10, 12, 12),
    ]
    roster = Roster(people)
    for (name, number), expected in {
        ("Ada Byron", "101"): "0012",
        ("ada  byron", ""): "0012",
        ("byronada", "11"): "0012",
        ("BYRON, Ada", ""): "0012",
        ("AB123", ""): "0012",
        ("x", "2021001001"): "2021001001",
        ("2021001001", ""): "2021001001",
        ("al", ""): "13",
        ("al@x.edu", ""): "13",
        ("lovelaceada", ""): "13",
        ("孔丘", "2021001001"): "2021001001",
        ("孔丘_作业", ""): "2021001001",
        ("2021001001_孔丘", ""): "2021001001",
        ("lw2", ""): "22",
        ("Li Wei", "21"): "21",
    }.items():
        found = roster.whose(name, number)
        assert [person.number for person in found] == [expected], (name, number)
    assert len(roster.whose("Li Wei", "")) == 2
    for name, number in (
        ("Mallory 2021001001", "78"),
        ("2021001001", "78"),
        ("ab123", "78"),
        ("x", "12"),
        ("x", "0012"),
    ):
        assert roster.whose(name, number) == []  # a name that its owner chose, a number that a system counted
    assert len(roster.whose("Ada Byron", "2021001001")) == 2
    assert roster.whose("Ada", "") == roster.whose("nobody", "999") == roster.whose("", "") == []


@pytest.mark.parametrize(
    "text",
    [
        "First name,Last name,ID number,Email address,Groups\nAda,Byron,2021001,ab101@x.edu,A\n",  # Moodle
        '"Last Name","First Name","Username","Student ID","Last Access"\n"Byron","Ada","ab101","2021001",""\n',
        "OrgDefinedId,Last Name,First Name,Email\n#2021001,Byron,Ada,ab101@x.edu\n",  # Brightspace
        "name;number;login\nAda Byron;2021001.0;ab101\n",  # of a program that takes a column for numbers
        "sep=;\nname;number;login\nAda Byron;2021001;ab101\n",  # for Excel
        '"sep=\t"\r\nname\tnumber\tlogin\r\nAda Byron\t2021001\tab101\r\n',
        "Student,ID,SIS User ID,SIS Login ID,Section,Attention (7)\n    Points Possible,,,,,45\n"
        "Ada Byron,2021001,u9,ab101,A,\n",  # Canvas's gradebook
    ],
)
def test_what_systems_export_is_a_roster(tmp_path, text):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    (person,) = people = read_roster(tmp_path / "roster.csv")
    assert (person.name, person.number) == ("Ada Byron", "2021001")
    for called in ("Ada Byron", "byronada", "ab101", "2021001"):
        assert Roster(people).whose(called) == people


def test_a_date_lasts_to_its_end_however_it_is_written(tmp_path):
    (tmp_path / "roster.csv").write_text("name,extension\na,2026-10-12\nb,20261012\n", encoding="utf-8")
    assert {person.extension for person in read_roster(tmp_path / "roster.csv")} == {datetime(2026, 10, 13)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("number\n1\n", "name not found"),
        ("name,number\n,1\n", "line 2: no name"),
        ("name,number\na,1\nb,01\n", "line 3: the number '01' stands in line 2, too"),
        ("name,extension\na,soon\n", "an extension is a number of days or a date"),
        ("name,extension\na,9999-12-31\n", "an extension is a number of days or a date"),
        ("name,number\na,2.02101E+11\n", r"line 2: the number '2.02101E\+11' lost digits in a spreadsheet"),
        ("first name,number\na,1\n", "name not found"),
    ],
)
def test_mistakes_in_a_roster_are_named(tmp_path, text, words):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_roster(tmp_path / "roster.csv")


# ------------------------------------------------------------------------------------------------------------- the sums


def book_of(rules: Rules, **students: dict) -> Gradebook:
    """A gradebook whose students have these points; `when` and `late` say how they handed in."""
    made = []
    for name, facts in students.items():
        file = File(
            name, "x.ipynb", when=facts.get("when", 0.0), late=facts.get("late", False), upload=facts.get("upload", 0)
        )
        points = facts.get("points", {})
        chapters = dict.fromkeys(id.split(".")[0] for id in points)
        submissions = {c: Submission(file, replace(EMPTY, chapter=c), ()) for c in chapters}
        verdicts = {id: Verdict(id, "wrong", value, exercises[id].points, "") for id, value in points.items()}
        made.append(Student(name, person=facts.get("person"), submissions=submissions, verdicts=verdicts))
    return Gradebook(made, {id: exercises[id] for id in rules.counted(exercises)}, rules)


def test_points_by_weights_lateness_and_chapters():
    rules = Rules(
        exercises=("1.1", "1.2", "2.1"),
        due={"1": DUE},
        per_day=0.1,
        cap=0.5,
        weights={"1.2": 2.0, "2": 3.0},
        by_hand=(byhand.HandGraded("1.think", "思考", 6.0),),
    )
    late = local(2026, 10, 7, 12)  # two days begun
    book = book_of(
        rules,
        ada={"points": {"1.1": 4, "1.2": 3, "2.1": 1.5}, "when": late},
        bob={"points": {"1.1": 4, "1.2": 3}, "when": late, "person": Person("bob", extension=timedelta(days=1))},
        eve={},
    )
    ada, bob, eve = book
    ada.manual["1.think"] = byhand.Given(5.0, "")
    assert book.ids() == ["1.1", "1.2", "1.think", "2.1"]
    assert book.most(book.ids("1")) == 4 + 2 * 5 + 6
    assert [book.days_late(student, "1") for student in book] == [2, 1, 0]
    assert book.chapter_points(ada, "1") == pytest.approx((4 + 2 * 3 + 5) * 0.8)
    assert book.chapter_points(bob, "1") == pytest.approx((4 + 2 * 3) * 0.9)
    assert book.total(ada) == pytest.approx(15 * 0.8 + 1.5)
    assert book.total(eve) is None
    assert book.percent(ada) == pytest.approx(100 * (12 / 20 * 20 + 1.5 / 3 * 9) / 29)
    assert book.percent(bob) == pytest.approx(100 * (9 / 20 * 20 + 0) / 29)
    assert book.percent(eve) == 0
    assert [(student.name, id) for student, id in book.to_be_graded()] == [("bob", "1.think")]


def test_canvas_says_whether_and_not_when():
    rules = Rules(due={"1": DUE}, per_day=0.1)
    book = book_of(
        rules,
        ada={"points": {"1.2": 5}, "upload": 900, "late": True, "when": local(2026, 12, 1)},
        bob={"points": {"1.2": 5}, "upload": 901, "when": local(2026, 12, 1)},
    )
    ada, bob = book
    assert (book.days_late(ada, "1"), book.total(ada), book.total(bob)) == (None, None, 5)
    book.tell_lateness()
    assert "as exercise 'late 1'" in ada.attention[0]
    assert book.percent(ada) is None
    ada.days["1"], ada.problems[:] = 3, []
    assert book.total(ada) == pytest.approx(3.5)


# ---------------------------------------------------------------------------------------------------- several collections


CHOSEN = ("1.5", "2.1")


def run(out: Path, *places: Path, ids: tuple[str, ...] = CHOSEN, **options) -> dict[str, dict]:
    grade_class(list(places), out, only(*ids), **{"limits": QUICK} | options)
    return {row["student"]: row for row in table(out / "grades.csv")}


def test_another_chapter_adds_and_who_is_gone_goes(tmp_path):
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"
    for student in ("ada", "bob"):
        hand_in(one, student, solved())
    hand_in(two, "ada", notebook("02-masking"), "02.ipynb")
    assert set(run(out, one)) == {"ada", "bob"}
    rows = run(out, two)
    assert [rows["ada"][id] for id in CHOSEN] == ["2", "3"]
    assert [rows["bob"][id] for id in CHOSEN] == ["2", ""]
    pages = {path.name for path in (out / "feedback").iterdir()}
    assert len(pages) == 3
    assert run(tmp_path / "together", one, two) == rows
    for path in (one / "bob").iterdir():
        path.unlink()
    assert set(run(out, one)) == {"ada"}
    assert {path.name for path in (out / "feedback").iterdir()} == {name for name in pages if name.startswith("ada")}
    hand_in(tmp_path / "later", "ada", notebook("02-masking", "exercises"), "02.ipynb")
    assert run(out, tmp_path / "later")["ada"]["2.1"] == "0"  # the latest counts
    assert "1.5" not in run(out, two, only_these=True)["ada"]


def test_only_kept_copies_are_needed_for_what_came_from_elsewhere(tmp_path):
    one, out = tmp_path / "one", tmp_path / "out"
    hand_in(one, "ada", solved())
    hand_in(one, "bob", b"not a notebook")
    hand_in(tmp_path / "two", "ada", notebook("02-masking"), "02.ipynb")
    run(out, one)
    for path in [*one.rglob("*.ipynb")]:
        path.unlink()
    rows = run(out, tmp_path / "two")
    assert rows["ada"]["1.5"] == "2"
    assert "needs attention: 01-attention.ipynb: not a notebook" in rows["bob"]["notes"]
    for copy in (out / ".results" / "submissions").glob("*.gz"):
        copy.write_bytes(b"damaged")
    rows = run(out, tmp_path / "two")
    assert any("the copy of an earlier run is damaged" in row["notes"] for row in rows.values())


# -------------------------------------------------------------------------------------------------- kept, and run again


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args([str(word) for word in words]))


def test_kept_results_say_how_they_came_about_and_are_run_again_on_demand(tmp_path):
    hand_in(tmp_path / "in", "ada", solved(e1_2=RIGHT))
    hand_in(tmp_path / "in", "bob", solved(e1_2=UNSCALED))
    out = tmp_path / "out"
    first = run(out, tmp_path / "in", ids=("1.2", "1.5"))
    seeds = (out / ".results" / "seeds.txt").read_bytes()
    results = list((out / ".results").glob("*/*.json"))
    for path in results:  # as if somebody had tampered with them, or a busy machine had
        values = json.loads(path.read_text(encoding="utf-8"))
        assert values["date"]
        assert values["behind"]
        path.write_text(
            json.dumps(values | {"points": 0, "status": "wrong", "date": "2026-01-02", "behind": "a sieve"})
        )
    rows = run(out, tmp_path / "in", ids=("1.2", "1.5"))
    assert [rows["ada"][id] for id in ("1.2", "1.5")] == ["0", "0"]
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "Taken from earlier runs" in report
    assert "<bdi>4</bdi></td><td><bdi>2026-01-02</bdi></td><td><bdi>a sieve</bdi>" in report
    rows = run(out, tmp_path / "in", ids=("1.2", "1.5"), again=["ada/1.2"])
    assert [rows["ada"][id] for id in ("1.2", "1.5")] == [first["ada"]["1.2"], "0"]
    assert [rows["bob"][id] for id in ("1.2", "1.5")] == ["0", "0"]
    assert run(out, tmp_path / "in", ids=("1.2", "1.5"), again=["*/1.*"]) == first
    assert (out / ".results" / "seeds.txt").read_bytes() == seeds
    for wrong, words in (("eve/1.2", "no such student"), ("ada/9.9", "no such exercise"), ("ada", "no such student")):
        with pytest.raises(ValueError, match=words):
            run(out, tmp_path / "in", again=[wrong])


def test_the_exit_status_tells(tmp_path, capsys):
    hand_in(tmp_path / "in", "ada", solved())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rules.toml").write_text('exercises = ["1.5"]\n')
    assert command(tmp_path / "in", "--out", tmp_path / "out") == 0
    (tmp_path / "out" / "manual.csv").write_text("student,exercise,points,comment\neve,1.5,1,\n")
    assert command(tmp_path / "in", "--out", tmp_path / "out") == ATTENTION == 3
    assert "manual.csv, line 2: 0 students are called 'eve'" in capsys.readouterr().out
    assert command(tmp_path / "none", "--out", tmp_path / "out") == 1


def test_a_class_with_a_roster_a_stranger_and_an_absentee(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "roster.csv").write_text("name,number,section\n=Ada,1,A\nBob,2,B\nCleo,3,B\nBob,4,C\n", encoding="utf-8")
    (out / "rules.toml").write_text('exercises = ["1.5"]\n[due]\n1 = 2026-10-05\n[late]\nper_day = 0.25\n')
    for student, when in (("=Ada", local(2026, 10, 5, 23)), ("2_Bob", local(2026, 10, 6, 1)), ("Dan", 0), ("Bob", 0)):
        path = hand_in(tmp_path / "in", student, solved())
        os.utime(path, (when, when))
    grade_class(tmp_path / "in", out, exercises, limits=QUICK)
    rows = table(out / "grades.csv")
    assert [(row["student"], row["number"], row["section"]) for row in rows] == [
        ("'=Ada", "1", "A"), ("Bob", "2", "B"), ("Cleo", "3", "B"), ("Bob", "4", "C"), ("Bob", "", ""), ("Dan", "", ""),
    ]  # fmt: skip
    assert [row["chapter 1"] for row in rows] == ["2", "1.5", "", "", "2", "2"]
    assert [row["percent"] for row in rows] == ["100.0", "75.0", "0.0", "0.0", "", ""]
    assert "2 people on the roster fit this name" in rows[4]["notes"]
    assert "not on the roster" in rows[5]["notes"]
    assert rows[2]["notes"] == "nothing handed in"


def test_what_a_student_wrote_in_words(tmp_path):
    made = notebook("01-attention", "exercises")
    given = next(cell for cell in made["cells"] if cell["cell_type"] == "markdown")
    given["source"] = [*given["source"], "\nand my answer"]
    made["cells"].append(
        {"cell_type": "markdown", "metadata": {}, "source": "**Thinking**: because.\n<script>x</script>"}
    )
    known = prose.given(Path(__file__).parents[2])
    assert prose.own(json.dumps(made).encode(), known) == "and my answer\n\n**Thinking**: because.\n<script>x</script>"
    assert prose.own(json.dumps(notebook("01-attention", "exercises")).encode(), known) == ""
    out = tmp_path / "out"
    out.mkdir()
    (out / "rules.toml").write_text(
        'exercises = ["1.5"]\n[by_hand."1.think"]\ntitle = "思考"\npoints = 3\n', encoding="utf-8"
    )
    hand_in(tmp_path / "in", "ada", made)
    grade_class(tmp_path / "in", out, exercises, limits=QUICK)
    page = (out / "by-hand.html").read_text(encoding="utf-8")
    assert "**Thinking**: because.\n&lt;script&gt;" in page
    assert [(row["student"], row["exercise"], row["points"]) for row in table(out / "manual.csv")] == [
        ("ada", "ex 1.think", "")
    ]
    manual = (out / "manual.csv").read_text(encoding="utf-8-sig").replace("ex 1.think,,", "ex 1.think,2.5,well seen")
    (out / "manual.csv").write_text(manual, encoding="utf-8")
    grade_class(tmp_path / "in", out, exercises, limits=QUICK)
    (row,) = table(out / "grades.csv")
    assert (row["1.think"], row["total"], row["of"]) == ("2.5", "2.5", "5")
    assert "well seen" in next((out / "feedback").iterdir()).read_text(encoding="utf-8")


def test_an_export_holds_their_own_code_and_nothing_else(tmp_path):
    made = solved(e1_2=RIGHT)
    made["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "my name is Ada"})
    hand_in(tmp_path / "in", "ada", made)
    hand_in(tmp_path / "in", "blank", notebook("01-attention", "exercises"))
    for _ in range(2):
        grade_class(tmp_path / "in", tmp_path / "out", only("1.5"), limits=QUICK, export_to=tmp_path / "code")
    names = sorted(path.relative_to(tmp_path / "code").as_posix() for path in (tmp_path / "code").rglob("*.py"))
    assert [name.split("-")[0].split("/")[-1] for name in names] == ["1.py", "ada", "blank"]
    ada, blank = (tmp_path / "code" / name for name in names[1:])
    assert "def attention(query" in ada.read_text(encoding="utf-8")
    assert "check(" not in ada.read_text(encoding="utf-8")
    assert "my name" not in ada.read_text(encoding="utf-8")
    assert blank.read_text(encoding="utf-8") == ""
    compile((tmp_path / "code" / "given" / "1.py").read_text(encoding="utf-8"), "given", "exec")
    (tmp_path / "code" / "mine.txt").touch()
    with pytest.raises(ValueError, match="something else than an export"):
        grade_class(tmp_path / "in", tmp_path / "out", only("1.5"), limits=QUICK, export_to=tmp_path / "code")


@pytest.mark.parametrize("theirs", ["ada/01-attention.ipynb", "ada/1.py"])
def test_an_export_never_replaces_what_is_none(tmp_path, theirs):
    """The submissions themselves, say, in a folder that is called as the export's own."""
    path = hand_in(tmp_path / "week1" / "students", "ada", solved(), theirs.split("/")[1])
    with pytest.raises(ValueError, match=r"something else than an export, .*ada"):
        export(tmp_path / "week1", Gradebook([], {}), {})
    assert path.exists()


def test_pages_that_somebody_else_put_beside_the_feedback_stay(tmp_path):
    moodle = File("Bob", "x.ipynb", number="77")
    bob = Student("Bob", submissions={"1": Submission(moodle, Notebook("1", ()), ())})
    ours = [file_name(bob, "1", system) for system in ("folder", "Moodle")]
    for name in ("notes.html", *ours):
        (tmp_path / name).touch()
    write_feedback(tmp_path, Gradebook([], {}))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.html"]

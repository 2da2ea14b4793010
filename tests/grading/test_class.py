"""A class from the folder to the gradebook: broken files, lost metadata, kills, workers, names, tables, pages."""

import argparse
import html
import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from largemodels.classroom import exercises
from largemodels.classroom.exercise import Exercise, Misconception
from largemodels.classroom.grading import extracting, judging, sandbox
from largemodels.classroom.grading.collecting import collect
from largemodels.classroom.grading.command import WALLS, add_arguments, grade_class, main
from largemodels.classroom.grading.feedback import file_name
from largemodels.classroom.grading.gradebook import choose, safe
from largemodels.classroom.grading.judging import fingerprint
from largemodels.classroom.grading.protocol import Decoder, ProtocolError, encode
from largemodels.classroom.report import marked_up

sys.path.insert(0, str(Path(__file__).parent))
from classes import COURSE, QUICK, RIGHT, UNSCALED, answer_cell, grade, hand_in, notebook, only, points, solved, table

# They take half a minute; in `make quick` those of points by hand do.
pytestmark = [pytest.mark.usefixtures("shared_servers"), pytest.mark.slow]


def is_available(choice: str) -> bool:
    try:
        return bool(sandbox.choose(choice))
    except ValueError:
        return False


CHAPTERS = sorted({path.stem for path in (COURSE / "solutions").glob("*.ipynb")})


@pytest.mark.parametrize("name", CHAPTERS)
def test_solutions_get_all_points_and_unsolved_notebooks_none(name, tmp_path):
    hand_in(tmp_path / "in", "solved", solved(name))
    hand_in(tmp_path / "in", "blank", notebook(name, "exercises"))
    students = grade_class(tmp_path / "in", tmp_path / "out", exercises)
    verdicts = {student.name: student.verdicts for student in students}
    for id, verdict in verdicts["solved"].items():
        assert verdict.status == "passed", (id, verdict)
        assert verdict.points == exercises[id].points
        assert (verdicts["blank"][id].status, verdicts["blank"][id].points) == ("not attempted", 0)
    assert len(verdicts["solved"]) > 4


# ------------------------------------------------------------------------------------------------------- broken files


def many_cells(count: int) -> dict:
    made = solved(e1_2=RIGHT)
    made["cells"] += [{"cell_type": "code", "metadata": {}, "source": f"a{i} = {i}"} for i in range(count)]
    return made


def forged() -> dict:
    made = solved(e1_2=UNSCALED)
    for cell in made["cells"]:
        if data := cell["metadata"].get("nbgrader"):
            data |= {"points": 1_000, "grade": True, "locked": False, "solution": True}
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "✓ passed, 5 of 5 points"}]
    made["metadata"]["points"] = 1_000
    return made


def without_metadata() -> dict:
    made = solved(e1_2=RIGHT)
    for cell in made["cells"]:
        cell["metadata"] = {"id": "colab", "outputId": "x"}
        cell["id"] = "same"
    return made


def split() -> dict:
    made = solved(e1_2=RIGHT)
    cell = answer_cell(made, "1.2")
    helper = "def scale(query):\n    return math.sqrt(query.shape[-1])"
    at = made["cells"].index(cell)
    cell["source"] = RIGHT.replace("math.sqrt(query.shape[-1])", "scale(query)")
    made["cells"].insert(at + 1, {"cell_type": "code", "metadata": {}, "source": "%time pass\n" + helper})
    return made


def duplicated() -> dict:
    made = solved(e1_2=RIGHT)
    for cell in [c for c in made["cells"] if c["metadata"].get("nbgrader")]:
        made["cells"].append(json.loads(json.dumps(cell)))
    made["cells"].append(answer_cell(notebook("01-attention", "exercises"), "1.2"))
    return made


def no_checks() -> dict:
    made = solved(e1_2=RIGHT)
    made["cells"] = [c for c in made["cells"] if c["metadata"].get("nbgrader", {}).get("solution")]
    return made


def edited_checks() -> dict:
    made = solved(e1_2=UNSCALED)
    for cell in made["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell["source"] = "import os; os._exit(0)"
    return made


def from_jupyterlab() -> dict:
    made = solved(e1_2=RIGHT)
    for i, cell in enumerate(made["cells"]):
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
        cell["metadata"] |= {"execution": {"iopub.status.busy": "2026-01-01T00:00:00Z"}, "trusted": True, "tags": []}
        if cell["cell_type"] == "code":
            cell["execution_count"] = i
    return made


def from_colab(*, kept: bool) -> dict:
    """Older format, no ids of cells but in their metadata; the others' metadata survive or do not."""
    made = solved(e1_2="#@title My answer\n!pip install einops\n" + RIGHT)
    made["nbformat_minor"] = 0
    made["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
    for i, cell in enumerate(made["cells"]):
        cell.pop("id", None)
        cell["metadata"] = (cell["metadata"] if kept else {}) | {"id": f"aB3{i}", "outputId": "x", "cellView": "form"}
    return made


def from_vscode() -> dict:
    made = solved(e1_2=RIGHT.replace("\n", "\r\n"))
    made["metadata"] = {"language_info": {"name": "python"}, "orig_nbformat": 4}
    for cell in made["cells"]:
        cell["metadata"]["vscode"] = {"languageId": "python"}
        cell["id"] = f"#{cell.get('id')}"
    return made


def without_answer() -> dict:
    made = solved()
    made["cells"].remove(answer_cell(made, "1.2"))
    return made


def old_format() -> dict:
    cells = [
        {"cell_type": "code", "input": c["source"], "metadata": c["metadata"], "outputs": [], "language": "python"}
        for c in solved(e1_2=RIGHT)["cells"]
        if c["cell_type"] == "code"
    ]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


def unknown_kernel() -> dict:
    made = solved(e1_2=RIGHT)
    made["metadata"] = {"kernelspec": {"name": "cobol", "display_name": "COBOL", "language": "cobol"}}
    made["nbformat"], made["nbformat_minor"] = 99, "x"
    return made


READABLE = [
    ("10,000 cells", lambda: many_cells(10_000), 5),
    ("forged metadata and points", forged, None),
    ("metadata lost, equal ids", without_metadata, 5),
    ("a split cell, a magic", split, 5),
    ("duplicated cells, a stub left", duplicated, 5),
    ("only answers", no_checks, 5),
    ("edited checks", edited_checks, None),
    ("the order of cells turned round", lambda: {**(m := solved(e1_2=RIGHT)), "cells": m["cells"][::-1]}, 5),
    ("an old format", old_format, 5),
    ("an unknown kernel and format", unknown_kernel, 5),
    ("saved by JupyterLab", from_jupyterlab, 5),
    ("saved by Colab", lambda: from_colab(kept=True), 5),
    ("saved by Colab, metadata lost", lambda: from_colab(kept=False), 5),
    ("saved by VS Code", from_vscode, 5),
    ("an answer deleted", without_answer, 0),
]
UNREADABLE = {
    "empty": b"",
    "not JSON": b"{]",
    "half": json.dumps(solved())[:5_000].encode(),
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "no cells": b'{"cells": [], "nbformat": 4}',
    "other cells": b'{"cells": [1, null, {"cell_type": 5}, {"cell_type": "code", "source": {"a": 1}}]}',
    "another course": b'{"cells": [{"cell_type": "code", "metadata": {}, "source": "x = 1"}]}',
    "not UTF-8": b"\xff\xfe\x00",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """One class with all of them, and honest ones before and after."""
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    for student in ("aaa honest", "zzz honest"):
        hand_in(folder, student, solved(e1_2=RIGHT))
        hand_in(folder, f"{student} unscaled", solved(e1_2=UNSCALED))
    for name, make, _ in READABLE:
        hand_in(folder, name, make(), name="renamed (1).ipynb")
    for name, data in UNREADABLE.items():
        hand_in(folder, name, data)
    (folder / "a directory" / "01-attention.ipynb").mkdir(parents=True)
    (folder / "a link").mkdir()
    (folder / "a link" / "01-attention.ipynb").symlink_to(folder / "aaa honest" / "01-attention.ipynb")
    students = grade_class(folder, out, only("1.2"), limits=QUICK, workers=2)
    return {student.name: student for student in students}, out


def test_honest_neighbours_of_broken_files_are_graded_as_ever(broken):
    students, _ = broken
    for name in ("aaa honest", "zzz honest"):
        assert students[name].points("1.2") == 5
        assert students[f"{name} unscaled"].points("1.2") < 5
        assert "not scaled" in students[f"{name} unscaled"].verdicts["1.2"].message


@pytest.mark.parametrize(("name", "expected"), [(name, expected) for name, _, expected in READABLE])
def test_changed_notebooks_are_graded_by_their_answers(broken, name, expected):
    students, _ = broken
    unscaled = students["aaa honest unscaled"].points("1.2")
    assert students[name].points("1.2") == (unscaled if expected is None else expected)


@pytest.mark.parametrize("name", [*UNREADABLE, "a directory", "a link"])
def test_unreadable_files_are_named_and_never_a_silent_zero(broken, name):
    students, out = broken
    assert students[name].points("1.2") is None
    assert students[name].problems
    row = next(row for row in table(out / "grades.csv") if row["student"] == name)
    assert (row["1.2"], row["total"]) == ("", "")
    assert "needs attention" in row["notes"]
    problem = marked_up(students[name].problems[0])
    assert f"<bdi>{name}</bdi></td><td><bdi>{problem}" in (out / "report.html").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- collecting


def archive(path: Path, entries: dict[str, object]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, json.dumps(content) if isinstance(content, dict) else content)
    return path


def test_moodles_zip(tmp_path):
    entries = {
        "Ada Byron_101_assignsubmission_file/deep/er/01-attention.ipynb": solved(),
        "孔 丘_102_assignsubmission_file_01-attention.ipynb": solved(),
        "Ada Byron_103_assignsubmission_file_/my work.ipynb": solved(),
        "Ada Byron_103_assignsubmission_file_/notes.txt": b"hello",
        "Participant_104_assignsubmission_file/work.pdf": b"%PDF",
        "Default group_assignsubmission_file/01-attention.ipynb": solved(),
        "__MACOSX/._01-attention.ipynb": b"x",
    }
    collection = collect(archive(tmp_path / "moodle.zip", entries))
    assert collection.system == "Moodle"
    assert [(f.student, f.number) for f in collection.files] == [
        ("Ada Byron", "101"),
        ("孔 丘", "102"),
        ("Ada Byron", "103"),
        ("Default group", ""),
        ("Participant", "104"),
    ]
    students = choose(collection, exercises)
    assert len(students) == 5
    assert file_name(students[0], "1", "Moodle") == "Ada-Byron_101_assignsubmission_file_exercises-1.html"
    assert [s.problems for s in students if s.number == "104"] == [["work.pdf: not a notebook (.ipynb)"]]
    assert len(collection.ignored) == 2


def test_what_moodle_takes_back(tmp_path):
    entries = {
        "Ada Byron_101_assignsubmission_file/01-attention.ipynb": solved(e1_2=UNSCALED),
        "Bob_102_assignsubmission_file/01-attention.ipynb": b"",
        "孔 丘_103_assignsubmission_file/01-attention.ipynb": solved(e1_2=RIGHT),
        "Zoe_104_assignsubmission_file/01-attention.ipynb": b"",
    }
    place, out = archive(tmp_path / "moodle.zip", entries), tmp_path / "out"
    given = grade(place, out, ids=("1.2", "1.5"))["Ada Byron"]["1.2"].points
    (out / "manual.csv").write_text("student,exercise,points,comment\n104,1.2,4,on paper\n", encoding="utf-8")
    grade(place, out, ids=("1.2", "1.5"))
    assert (out / "moodle.csv").read_text(encoding="utf-8").splitlines() == [
        "Identifier,Full name,Grade,Maximum Grade,Last modified (grade),Feedback comments",
        f'Participant 101,Ada Byron,{given + 2:g},7,,"1.2: {given:g}, 1.5: 2"',
        "Participant 102,Bob,,7,,",
        "Participant 104,Zoe,4,7,,1.2: 4",
        'Participant 103,孔 丘,7,7,,"1.2: 5, 1.5: 2"',
    ]
    assert sorted(path.name for path in (out / "feedback").iterdir()) == [
        "Ada-Byron_101_assignsubmission_file_exercises-1.html",
        "孔-丘_103_assignsubmission_file_exercises-1.html",
    ]


def test_canvas_zip_with_late_and_repeated_submissions(tmp_path):
    entries = {
        "byronada_LATE_11_900_01-attention-12.ipynb": solved(e1_2=UNSCALED),
        "byronada_LATE_11_1001_01-attention-2.ipynb": solved(e1_2=RIGHT),
        "byronada_11_899_01-attention-1.ipynb": solved(e1_2=UNSCALED),
        "kong_qiu_12_902_my work_1_2_3.ipynb": solved(e1_2=RIGHT),
        "LATE_anon_aB3dE_903_01-attention.ipynb": solved(e1_2=RIGHT),
        "anon_7x7x7_904_01-attention.ipynb": solved(e1_2=RIGHT),
        "textda_14_text.html": b"an answer typed into a form",
    }
    verdicts = grade(archive(tmp_path / "canvas.zip", entries), tmp_path / "out")
    assert [(name, points(verdicts, name)) for name in verdicts] == [
        ("anon_7x7x7", 5),
        ("anon_aB3dE", 5),
        ("byronada", 5),
        ("kong_qiu", 5),
    ]
    rows = {row["student"]: row["notes"] for row in table(tmp_path / "out" / "grades.csv")}
    assert "handed in late; 3 notebooks handed in; the latest counts: 01-attention-2.ipynb" in rows["byronada"]
    assert [name for name, notes in rows.items() if "late" in notes.split("; ")[0]] == ["anon_aB3dE", "byronada"]
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("handed in late", "3 notebooks handed in", "textda_14_text.html: not a notebook"):
        assert words in report
    canvas = table(tmp_path / "out" / "canvas.csv")
    assert [r["Student"] for r in canvas] == ["Points Possible", *rows]
    assert [r["ID"] for r in canvas] == ["", "", "", "11", "12"]
    assert [r["Exercises 1"] for r in canvas] == ["5", "5", "5", "5", "5"]


def test_a_zip_made_by_hand_has_one_folder_on_top(tmp_path):
    for names, student in (
        (["class/ada/01.ipynb", "class/bob/01.ipynb", "class/.DS_Store", "__MACOSX/class/ada/._01.ipynb"], "ada"),
        (["zip/byronada_11_900_01.ipynb", "zip/qiu_12_901_01.ipynb"], "byronada"),
        (["course/submitted/ada/one/01.ipynb"], "ada"),
        (["ada/01.ipynb"], "ada"),
        (["Ada_101_assignsubmission_file/deep/01.ipynb"], "Ada"),
    ):
        collection = collect(archive(tmp_path / "made.zip", dict.fromkeys(names, b"{}")))
        assert collection.files[0].student == student
        assert not collection.ignored


def test_names_of_files_in_a_students_folder_are_not_taken_for_canvas(tmp_path):
    hand_in(tmp_path, "ada", solved(), name="homework_1_2_last.ipynb")
    assert [(file.student, file.number) for file in collect(tmp_path).files] == [("ada", "")]


def test_nbgraders_tree_and_the_latest_file(tmp_path):
    old = hand_in(tmp_path / "in" / "submitted", "ada/01-attention", solved(e1_2=UNSCALED))
    new = hand_in(tmp_path / "in" / "submitted", "ada/again", solved(e1_2=RIGHT))
    os.utime(old, (1_000, 1_000))
    os.utime(new, (2_000, 2_000))
    assert points(grade(tmp_path / "in", tmp_path / "out"), "ada") == 5


def test_a_zip_that_climbs_out_or_explodes(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("../../evil/01.ipynb", "/etc/evil/01.ipynb", "a/../../b/01.ipynb", "..\\evil\\01.ipynb"):
            made.writestr(name, json.dumps(solved()))
        made.writestr("bomb/01.ipynb", b"0" * (60 << 20))
        link = zipfile.ZipInfo("link/01.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
        made.writestr("honest/01.ipynb", json.dumps(solved(e1_2=RIGHT)))
    collection = collect(path)
    assert len(collection.ignored) == 4
    problems = {file.student: file.problem for file in collection.files}
    assert "more than 50 MB" in problems["bomb"]
    assert "a link" in problems["link"]
    assert problems["honest"] is None
    assert [p.name for p in tmp_path.iterdir()] == ["evil.zip"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "missing", "does not exist"),
        (lambda p: p, "no student's notebook"),
        (lambda p: hand_in(p, "x", "text", "notes.txt"), "neither a folder nor a zip"),
    ],
)
def test_nothing_to_grade_is_said(tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        collect(make(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{0}/nowhere --out {0}/out", "does not exist"),
        ("{0}/empty --out {0}/out", "no student's notebook"),
        ("{1}/exercises/zh --out {0}/out", "whose are those that lie in no student's folder?"),
        ("{0}/in --out {0}/in/out", "among the submissions"),
        ("{0}/in --out {0}/in/ada/01-attention.ipynb", "among the submissions"),
        ("{0}/in --out {0}/out --export {0}/in/code", "among the submissions"),
        ("{0}/in --out {0}/file", "cannot be the folder for the grades"),
        ("{0}/in --out {0}/file/out", "cannot be the folder for the grades"),
        ("{0}/in --out {0}/out --workers 0", "at least 1 worker"),
        ("{0}/in --out {0}/out --patience 0", "--patience must be a number above 0"),
        ("{0}/in --out {0}/out --chapters 1,12", "no exercises of '12'; there are 1, 2"),
    ],
)
def test_mistakes_at_the_command_line_are_told_in_one_line(tmp_path, capsys, options, words):
    hand_in(tmp_path / "in", "ada", solved())
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert main(parser.parse_args(options.format(tmp_path, COURSE).split())) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_only_the_chapters_asked_for_are_graded(tmp_path):
    hand_in(tmp_path / "in", "ada", solved(e1_2=RIGHT))
    hand_in(tmp_path / "in", "ada", solved("02-masking"), name="02-masking.ipynb")
    hand_in(tmp_path / "in", "bob", solved("02-masking"), name="01-attention.ipynb")
    grade(tmp_path / "in", tmp_path / "out")
    ada, bob = table(tmp_path / "out" / "grades.csv")
    assert (ada["1.2"], ada["total"], ada["of"]) == ("5", "5", "5")
    assert (bob["1.2"], bob["total"]) == ("", "")
    for row in (ada, bob):
        assert "it is of chapter 2, which is not graded here" in row["notes"]


NAMES = [
    '=HYPERLINK("x")',
    "+1",
    "@SUM(A1)",
    'O\'Brien "Bob"',
    "孔 丘",
    "עדה",
    "a,b;c",
    "<script>alert(1)</script>",
    "\u202eevil\u200b",
]


def test_every_name_is_a_name_and_nothing_else(tmp_path):
    entries = {f"{name}_{100 + i}_assignsubmission_file_01.ipynb": solved(e1_2=RIGHT) for i, name in enumerate(NAMES)}
    verdicts = grade(archive(tmp_path / "in.zip", entries), tmp_path / "out")
    assert len(verdicts) == len(NAMES)
    for name in ("grades.csv", "moodle.csv", "canvas.csv"):
        for row in table(tmp_path / "out" / name):
            assert not any(str(cell).startswith(("=", "+", "@", "\t", "\r")) for cell in row.values()), row
    pages = [*(tmp_path / "out" / "feedback").iterdir(), tmp_path / "out" / "report.html"]
    assert len(pages) == len(NAMES) + 1
    assert not any("<script" in page.read_text(encoding="utf-8") for page in pages)
    assert "\u202e" not in (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8")
    assert [safe(cell) for cell in ("-0.5", "-x", 3)] == ["-0.5", "'-x", "3"]


# ------------------------------------------------------------------------------------------------- resuming, repeating


def class_of(folder: Path, count: int) -> Path:
    for i in range(count):
        wrong = UNSCALED.replace("scores", f"scores{i}")
        hand_in(folder, f"student{i:02}", solved(e1_2=wrong if i % 3 else RIGHT.replace("scores", f"scores{i}")))
    return folder


def same_seeds(out: Path, as_in: Path) -> Path:
    """An empty folder for grades, whose hidden cases will be those of another one."""
    (out / ".results").mkdir(parents=True)
    (out / ".results" / "seeds.txt").write_bytes((as_in / ".results" / "seeds.txt").read_bytes())
    return out


def published(out: Path) -> dict[str, bytes]:
    """All files for students and systems; the report also says how long it took."""
    return {path.name: path.read_bytes() for path in [*out.glob("*.csv"), *(out / "feedback").iterdir()]}


def test_grades_are_the_same_at_any_number_of_workers_and_found_again(tmp_path):
    folder, one = class_of(tmp_path / "in", 6), tmp_path / "out1"
    hand_in(folder, "ends", solved(e1_2="import os; os._exit(0)"))
    grade(folder, one, workers=1)
    assert len(published(one)) == 4 + 7
    for workers in (2, 4, 16):
        out = same_seeds(tmp_path / f"out{workers}", one)
        grade(folder, out, workers=workers)
        assert published(out) == published(one)
    results = {path: path.stat().st_mtime_ns for path in (one / ".results").rglob("*.json")}
    assert len(results) == 7
    hand_in(folder, "student01", solved(e1_2=RIGHT + "\n# changed"))
    grade(folder, one)
    after = {path: path.stat().st_mtime_ns for path in (one / ".results").rglob("*.json")}
    assert len(after) == 8
    assert all(after[path] == time for path, time in results.items())


def test_a_changed_exercise_is_graded_again_and_an_unchanged_one_is_not():
    exercise = exercises["1.2"]
    before = fingerprint(vars(exercise))
    assert before == fingerprint(vars(replace(exercise)))
    assert before != fingerprint(vars(replace(exercise, success="Well done.")))
    assert before != fingerprint(vars(replace(exercise, reference=lambda q, k, v, mask=None: None)))
    assert fingerprint(lambda x: x + 1) != fingerprint(lambda x: x + 2)
    assert len({fingerprint(vars(e)) for e in exercises.values()}) == len(exercises)


def test_only_what_changed_is_run_again(tmp_path):
    def results() -> set[str]:
        return {path.name for path in (tmp_path / "out").rglob("*.json")}

    chosen = only("1.2", "1.4", "1.5")
    for student in ("ada", "bob"):
        hand_in(tmp_path / "in", student, solved())
    grade_class(tmp_path / "in", tmp_path / "out", chosen, limits=QUICK)
    first = results()
    assert len(first) == 3  # both handed in the same notebook

    hand_in(tmp_path / "in", "ada", solved(e1_5='why_scale = "A"'))
    ada, bob = grade_class(tmp_path / "in", tmp_path / "out", chosen, limits=QUICK)
    second = results()
    assert first < second
    assert len(second) == 6
    assert (ada.points("1.5"), bob.points("1.5"), ada.points("1.2")) == (0, 2, 5)

    chosen["1.5"] = replace(chosen["1.5"], success="Quite right.")
    ada, bob = grade_class(tmp_path / "in", tmp_path / "out", chosen, limits=QUICK)
    assert second < results()
    assert len(results()) == 8
    assert bob.verdicts["1.5"].message == "Quite right."


def test_an_answer_that_lacks_a_name_is_graded_by_its_own_notebook(tmp_path):
    """Two students give the same answer, which calls what only one of them has, out of sight of the reader of names."""
    code = RIGHT.replace("math.sqrt(query.shape[-1])", "root(query.shape[-1])", 1)
    for student, definition in (("ada", "root = math.sqrt"), ("bob", "root = math.exp"), ("eve", "")):
        made = solved(e1_2=code)
        at = made["cells"].index(answer_cell(made, "1.2"))
        hidden = {"cell_type": "code", "metadata": {}, "source": f"exec({definition!r})"}
        made["cells"].insert(at, hidden)
        hand_in(tmp_path / "in", student, made)
    verdicts = grade(tmp_path / "in", tmp_path / "out")
    assert points(verdicts, "ada") == 5
    assert points(verdicts, "bob") < 5
    assert "NameError" in verdicts["eve"]["1.2"].message
    assert grade(tmp_path / "in", tmp_path / "out") == verdicts


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_kill_at_any_moment_loses_nothing(tmp_path):
    folder, out = class_of(tmp_path / "in", 12), tmp_path / "out"
    command = [sys.executable, "-m", "largemodels", "grade", str(folder), "--out", str(out), "--workers", "1"]
    finished: set[str] = set()
    for wait in (4, 12):  # of 20 results, then SIGKILL
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(out.rglob("*.json"))) >= wait:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL  # it was still at work
        now = {path.name for path in out.rglob("*.json")}
        assert finished <= now
        for path in out.rglob("*.json"):
            json.loads(path.read_text(encoding="utf-8"))
        finished = now
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    fresh = same_seeds(tmp_path / "fresh", out)
    subprocess.run([*command[:6], str(fresh)], check=True, capture_output=True, timeout=300)
    assert published(out) == published(fresh)
    assert len(published(out)) == 4 + 12


# -------------------------------------------------------------------------------------------------------------- output


def test_a_grader_that_cannot_do_its_part_gives_no_zero(tmp_path):
    def too_slow(seconds: float) -> Exercise:
        slow = Misconception(lambda *_: time.sleep(seconds), "never")
        return replace(exercises["1.2"], misconceptions=(slow,), seconds=1.0)

    hand_in(tmp_path / "in", "ada", solved(e1_2=RIGHT))
    hand_in(tmp_path / "in", "bob", solved(e1_2=UNSCALED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "OWN_SECONDS", 1.0)
        ada, bob = grade_class(tmp_path / "in", tmp_path / "out", {"1.2": too_slow(1.5)}, limits=QUICK)
    assert (ada.points("1.2"), bob.verdicts["1.2"].status) == (5, "attention")
    assert "own answers took more than 1 seconds" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    row = table(tmp_path / "out" / "grades.csv")[1]
    assert (row["student"], row["1.2"]) == ("bob", "")
    assert "attention" in row["notes"]


def test_points_by_hand_survive(tmp_path):
    folder, out = class_of(tmp_path / "in", 2), tmp_path / "out"
    grade(folder, out)
    manual = out / "manual.csv"
    manual.write_text("student,exercise,points,comment\nstudent01,1.2,4.5,a good idea <b>\n", encoding="utf-8")
    for _ in range(2):
        grade(folder, out)
        assert [row["1.2"] for row in table(out / "grades.csv")] == ["5", "4.5"]
    page = next((out / "feedback").glob("student01*")).read_text(encoding="utf-8")
    assert "4.5 points, given by hand" in page
    assert "a good idea &lt;b&gt;" in page


def test_feedback_shows_what_helps_and_hides_what_is_hidden(tmp_path):
    grade(class_of(tmp_path / "in", 3), tmp_path / "out")
    page = next((tmp_path / "out" / "feedback").glob("student01*")).read_text(encoding="utf-8")
    for words in ("Your scores are not scaled", "def attention", "Hint", "points", "1.2 Scaled dot-product attention"):
        assert words in page
    for words in ("BEGIN SOLUTION", "http://", "https://", "src='http", "seeds"):
        assert words not in page
    seeds = (tmp_path / "out" / ".results" / "seeds.txt").read_text().split()
    assert not any(seed in page for seed in seeds)
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("Identical answers", "student01, student02", "Commonest mistakes", "Slowest"):
        assert words in report
    assert report.count("src='data:image/png;base64,") == 2
    assert "<td class='n'><bdi>2</bdi></td><td><bdi>Your scores are not scaled" in report
    assert "<td class='n'><bdi>3</bdi></td><td class='n'><bdi>1</bdi></td>" in report  # three tried, one passed


def test_feedback_shows_what_an_answer_prints_of_visible_cases_only(tmp_path):
    code = RIGHT.replace("    weights", "    print(query[0, 0])\n    weights", 1).replace("/ math.sqrt", "* math.sqrt")
    hand_in(tmp_path / "in", "ada", solved(e1_2=code))
    grade(tmp_path / "in", tmp_path / "out")
    page = next((tmp_path / "out" / "feedback").iterdir()).read_text(encoding="utf-8")
    visible = [case.arguments[0][0, 0] for case in exercises["1.2"].cases_of(0)]
    assert all(str(query) in page for query in visible)
    assert page.count("tensor(") == len(visible)


@pytest.mark.parametrize("choice", [name for name in WALLS if is_available(name)])
def test_the_report_says_which_walls_stood(tmp_path, choice):
    hand_in(tmp_path / "in", "ada", solved(e1_2=RIGHT))
    assert points(grade(tmp_path / "in", tmp_path / "out", choice=choice), "ada") == 5
    assert f"ran in: {WALLS[choice]}." in html.unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))


def test_values_come_back_as_they_were_sent():
    import torch

    values = (torch.randn(2, 3), torch.tensor(True), torch.zeros(0, 4), torch.arange(3), torch.randn(2).bfloat16())
    value = (*values, 1, -(10**40), 1.5, float("inf"), "孔", None, False, {"a": (1,), (1, 2): [3]}, torch.randn(2) * 1j)
    tree, blobs = encode(value)
    stream = b"".join(blobs)
    at = 0

    def read(length: int) -> bytes:
        nonlocal at
        at += length
        return stream[at - length : at]

    back = Decoder(read)(json.loads(json.dumps(tree)))
    assert encode(back) == (tree, blobs)
    assert [getattr(v, "dtype", type(v)) for v in back] == [getattr(v, "dtype", type(v)) for v in value]


@pytest.mark.parametrize(
    "tree",
    [
        {"tensor": "object", "shape": [1]},
        {"tensor": "float32", "shape": [1 << 50]},
        {"int": "1e9"},
        {"float": "x"},
        5,
        {"dict": [1]},
    ],
)
def test_frames_that_break_the_rules_set_no_memory_aside(tree):
    with pytest.raises(ProtocolError):
        Decoder(lambda length: pytest.fail(f"read {length}"))(tree)


def test_only_the_cells_that_an_answer_needs_are_run():
    cells = [
        extracting.CodeCell(1, "import math\nwidth = {}"),
        extracting.CodeCell(2, "def helper(x):\n    return math.sqrt(x) * width['a']"),
        extracting.CodeCell(3, "while True: pass"),
        extracting.CodeCell(4, "def attention(x):\n    return helper(x)"),
        extracting.CodeCell(5, "width['a'] = 3"),
        extracting.CodeCell(6, "other = 5"),
    ]
    chosen = extracting.cells_for(exercises["1.2"], extracting.Notebook("1", tuple(cells)), [])
    assert [cell.index for cell in chosen] == [1, 2, 4, 5]


def test_an_answer_by_another_name_or_a_cell_that_is_no_python_is_told(tmp_path):
    answers = {
        "renamed": RIGHT.replace("def attention", "def my_attention"),
        "broken": "def attention(query:\n",
        "raises": "undefined_name\n" + RIGHT,
        "blank": "attention = None",
    }
    for student, code in answers.items():
        hand_in(tmp_path / "in", student, solved(e1_2=code))
    verdicts = {name: of["1.2"] for name, of in grade(tmp_path / "in", tmp_path / "out").items()}
    assert "none of your cells defines `attention`" in verdicts["renamed"].message
    assert "SyntaxError" in verdicts["broken"].message
    assert "NameError: name 'undefined_name'" in verdicts["raises"].message
    assert [verdicts[name].status for name in answers] == ["wrong", "wrong", "wrong", "not attempted"]

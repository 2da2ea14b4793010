"""Whose a file is: every system's layout, folders on top, zips in zips, clones, encodings; and nobody is somebody else."""

import io
import json
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from largemodels.classroom import exercises
from largemodels.classroom.grading import extracting, sandbox
from largemodels.classroom.grading.collecting import collect
from largemodels.classroom.grading.gradebook import choose

sys.path.insert(0, str(Path(__file__).parent))
from classes import hand_in, notebook, solved

NB = json.dumps(notebook("01-attention", "exercises"))


def zipped(names: dict[str, str | bytes] | list[str]) -> bytes:
    data = io.BytesIO()
    entries = names if isinstance(names, dict) else dict.fromkeys(names, NB)
    with zipfile.ZipFile(data, "w") as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return data.getvalue()


def unpacked(folder: Path, names: dict[str, str | bytes] | list[str]) -> Path:
    for name, content in (names if isinstance(names, dict) else dict.fromkeys(names, NB)).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def owners(place: Path, **options) -> list[tuple[str, str]]:
    return sorted({(file.student, file.number) for file in collect(place, **options).files})


def local(*moment: int) -> float:
    return time.mktime((*moment, 0, 0, -1))


LAYOUTS = {
    "Moodle": (
        ["Ada Byron_101_assignsubmission_file/a/01.ipynb", "孔 丘_102_assignsubmission_file_01.ipynb"],
        [("Ada Byron", "101"), ("孔 丘", "102")],
    ),
    "Canvas": (
        ["byronada_LATE_11_900_01.ipynb", "qiukong_12_901_01.ipynb", "anon_x1_902_01.ipynb"],
        [("anon_x1", ""), ("byronada", "11"), ("qiukong", "12")],
    ),
    "Blackboard": (
        [
            "HW 1_ab123_attempt_2026-10-05-23-58-01_my work_1.ipynb",
            "HW 1_kq7_attempt_2026-10-06-00-00-02_bob_attempt_2020-01-01-00-00-00_x.ipynb",
        ],
        [("ab123", ""), ("kq7", "")],
    ),
    "Brightspace": (
        [
            "12-345 - Ada Byron - Oct 5, 2026 1158 PM/01.ipynb",
            "13-345 - Qiu - the - Kong- October 6, 2026 12:05 AM/a/01.ipynb",
        ],
        [("Ada Byron", "12"), ("Qiu - the - Kong", "13")],
    ),
    "学习通, nested": (
        ["2021001001-孔丘/01.ipynb", "2021001002_颜回/作业/01.ipynb", "欧阳·修-2021001003/01.ipynb"],
        [("孔丘", "2021001001"), ("欧阳·修", "2021001003"), ("颜回", "2021001002")],
    ),
    "学习通, flat": (
        ["2021001001-孔丘-01.ipynb", "2021001002颜回.ipynb", "欧阳修_2021001003_x_7_8_y.ipynb"],
        [("孔丘", "2021001001"), ("欧阳修", "2021001003"), ("颜回", "2021001002")],
    ),
    "学习通, by class": (
        [
            "一班/2021001001-孔丘/01.ipynb",
            "一班/2021001002-颜回/01.ipynb",
            "二班/2021001003-子路/1.ipynb",
            "二班/2021001004-曾子/1.ipynb",
        ],
        [("子路", "2021001003"), ("孔丘", "2021001001"), ("曾子", "2021001004"), ("颜回", "2021001002")],
    ),
    "folders": (["ada/01.ipynb", "bob/deep/er/01.ipynb"], [("ada", ""), ("bob", "")]),
    "a zip each": ({"ada.zip": zipped(["01.ipynb"]), "bob.ZIP": zipped(["x/01.ipynb"])}, [("ada", ""), ("bob", "")]),
    "nbgrader": (
        ["submitted/ada/01-attention/01.ipynb", "submitted/bob/01-attention/01.ipynb"],
        [("ada", ""), ("bob", "")],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("top", ["", "class/", "term/class/"])
def test_every_layout_as_a_folder_as_a_zip_and_with_folders_on_top(tmp_path, name, top):
    entries, expected = LAYOUTS[name]
    contents = entries if isinstance(entries, dict) else dict.fromkeys(entries, NB)
    wrapped = {top + path: content for path, content in contents.items()}
    if name == "a zip each" and top:
        pytest.skip("zips in a folder may be sections, too")
    assert owners(unpacked(tmp_path / "in", wrapped)) == expected
    (tmp_path / "in.zip").write_bytes(zipped(wrapped))
    assert owners(tmp_path / "in.zip") == expected
    (tmp_path / "outer.zip").write_bytes(zipped({"inner.zip": zipped(wrapped)}))
    if name not in ("folders", "a zip each", "nbgrader"):
        assert owners(tmp_path / "outer.zip") == expected


def test_moments_in_names_count(tmp_path):
    (tmp_path / "in.zip").write_bytes(zipped(LAYOUTS["Blackboard"][0]))
    assert [file.when for file in collect(tmp_path / "in.zip").files] == [
        local(2026, 10, 5, 23, 58, 1),
        local(2026, 10, 6, 0, 0, 2),
    ]
    (tmp_path / "in.zip").write_bytes(zipped(LAYOUTS["Brightspace"][0]))
    assert [file.when for file in collect(tmp_path / "in.zip").files] == [
        local(2026, 10, 5, 23, 58, 0),
        local(2026, 10, 6, 0, 5, 0),
    ]


def test_a_zip_states_local_time(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as made:
        made.writestr(zipfile.ZipInfo("ada/01.ipynb", (2026, 10, 5, 23, 58, 2)), NB)
    assert collect(tmp_path / "in.zip").files[0].when == local(2026, 10, 5, 23, 58, 2)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "a zip each"])
def test_what_a_student_hands_in_may_be_zipped(tmp_path, name):
    entries, expected = LAYOUTS[name]
    wrapped = {path.replace(".ipynb", ".zip"): zipped(["work/01.ipynb", "work/data.csv"]) for path in entries}
    (tmp_path / "in.zip").write_bytes(zipped(wrapped))
    assert owners(tmp_path / "in.zip") == expected
    assert owners(unpacked(tmp_path / "in", wrapped)) == expected


def test_zips_without_end_cost_nobody_else_anything(tmp_path):
    many = zipped({f"{i}.zip": zipped([f"{i}.ipynb"]) for i in range(60)})
    nested = zipped(["01.ipynb"])
    for _ in range(60):
        nested = zipped({"a.zip": nested})
    entries = {"eve/a.zip": many, "mallory/a.zip": nested, "ada/a.zip": zipped(["01.ipynb"]), "bob/a.zip": b"no zip"}
    entries["ada/b.zip"] = zipped({".": b"", "x/./y.txt": b""})
    collection = collect(unpacked(tmp_path / "in", entries))
    assert {file.student: file.problem for file in collection.files} == {
        "ada": None,
        **dict.fromkeys(("bob", "eve", "mallory"), "not a notebook (.ipynb)"),
    }


STOLEN = [
    "ada_assignsubmission_file_.ipynb",
    "x_12_assignsubmission_file_a.ipynb",
    "ada_11_99_a.ipynb",
    "2021001001-孔丘.ipynb",
]
STOLEN += ["HW 1_ada_attempt_2026-10-05-23-58-01_a.ipynb"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_name_of_a_file_makes_it_anothers(tmp_path, name):
    """The last one in each layout hands in two hundred files more, with names that other systems would understand."""
    entries, expected = LAYOUTS[name]
    if isinstance(entries, dict):
        pytest.skip("the zips' contents are tried with the other layouts")
    last = entries[-1]
    folder, slash, file = last.rpartition("/")
    names = [f"{i}/{stolen}" if slash and i % 2 else stolen for i in range(40) for stolen in STOLEN]
    if slash:
        more = [f"{folder}/{name}" for name in names]
    else:  # a flat name: the student's part is its end
        stem = file.removesuffix(".ipynb").removesuffix("_x_7_8_y")
        more = [f"{stem}_{name.replace('/', '_')}" for name in names]
    (tmp_path / "in.zip").write_bytes(zipped([*entries, *dict.fromkeys(more)]))
    assert owners(tmp_path / "in.zip") == expected


def test_two_people_of_one_name_stay_two(tmp_path):
    (tmp_path / "in.zip").write_bytes(
        zipped(["Li Wei_1_assignsubmission_file_a.ipynb", "Li Wei_2_assignsubmission_file_a.ipynb"])
    )
    students = choose(collect(tmp_path / "in.zip"), exercises)
    assert [(student.name, student.number) for student in students] == [("Li Wei", "1"), ("Li Wei", "2")]


def test_of_a_whole_clone_only_the_exercises_count(tmp_path):
    clone = [
        "exercises/01-attention.ipynb",
        "solutions/01-attention.ipynb",
        "chapters/01-attention.ipynb",
        "START.ipynb",
    ]
    paths = [f"{owner}/{name}" for owner in ("ada/large-models", "bob") for name in clone]
    paths += ["eve/solutions/01-attention.ipynb"]  # no clone: a folder of that name
    for place in (unpacked(tmp_path / "in", paths), tmp_path / "in.zip"):
        (tmp_path / "in.zip").write_bytes(zipped(paths))
        collection = collect(place)
        assert sorted(file.student for file in collection.files) == ["ada", "bob", "eve"]
        assert sum("only exercises/ counts" in what for what in collection.ignored) == 6
    assert owners(unpacked(tmp_path / "one", [f"ada/{name}" for name in clone])) == [("ada", "")]


def test_names_that_nobody_thought_of(tmp_path):
    place = unpacked(tmp_path / "in", ["group 1/hw-ada.7.ipynb", "group 2/hw-bob.8.ipynb", "group 2/odd.ipynb"])
    pattern = r"hw-(?P<name>\w+)\.(?P<number>\d+)"
    assert owners(place, names=pattern) == [("ada", "7"), ("bob", "8")]
    assert collect(place, names=pattern).ignored == ["group 2/odd.ipynb: whose is it? Expected STUDENT/NOTEBOOK.ipynb"]
    assert owners(place, names=r"\.(?P<number>\d+)\.") == [("7", "7"), ("8", "8")]
    for bad, words in (("(", "no regular expression"), ("x", "must hold")):
        with pytest.raises(ValueError, match=words):
            collect(place, names=bad)


# ---------------------------------------------------------------------------------------------------------- encodings


class Unstated(zipfile.ZipInfo):
    """An entry whose name is written in some encoding, which the zip does not state."""

    encoding = "gbk"

    def _encodeFilenameFlags(self):
        return self.filename.encode(self.encoding), self.flag_bits & ~0x800


NAMES = {
    "gb18030": (["张三", "李四", "王五", "欧阳修", "陶喆"], "gbk"),
    "cp932": (["田中太郎", "すずき", "ヤマダ"], "shift_jis"),
    "cp1252": (["José Núñez", "Müller", "Åsa", "Zoë"], "latin-1"),
    "cp437": (["José", "Müller"], "cp437"),
    None: (["张三", "José", "すずき"], "utf-8"),
}


@pytest.mark.parametrize("guess", NAMES)
@pytest.mark.parametrize("system", ["folders", "Moodle"])
def test_names_from_zips_that_do_not_state_their_encoding(tmp_path, guess, system):
    names, encoding = NAMES[guess]
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as made:
        for i, name in enumerate(names):
            path = f"{name}_{i}_assignsubmission_file_01.ipynb" if system == "Moodle" else f"{name}/01.ipynb"
            entry = Unstated(path)
            entry.encoding = encoding
            made.writestr(entry, NB)
    collection = collect(tmp_path / "in.zip")
    assert [file.student for file in collection.files] == names
    assert collection.guesses == (
        [f"Names of files were read as {guess}; --encoding NAME chooses another encoding."] if guess else []
    )
    assert [file.student for file in collect(tmp_path / "in.zip", encoding=encoding).files] == names
    if guess:
        with pytest.raises(ValueError, match="names are not in"):
            collect(tmp_path / "in.zip", encoding="ascii")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text here")
def test_names_that_were_unpacked_as_bytes(tmp_path):
    for name in ("张三", "李四"):
        folder = os.fsencode(tmp_path) + b"/" + name.encode("gbk")
        os.makedirs(folder)
        Path(os.fsdecode(folder + b"/01.ipynb")).write_text(NB)
    Path(os.fsdecode(folder + b"/" + "课件.png".encode("gbk"))).touch()
    Path(tmp_path / "孔丘").mkdir()
    Path(tmp_path / "孔丘" / "01.ipynb").write_text(NB)
    collection = collect(tmp_path)
    assert sorted(file.student for file in collection.files) == ["孔丘", "张三", "李四"]
    assert collection.ignored == ["李四/课件.png: not a notebook"]


# --------------------------------------------------------------------------------------------------------- what is bounded


@pytest.mark.parametrize("depth", [30, 1_200])
def test_folders_in_folders_stop_nobody(tmp_path, depth):
    hand_in(tmp_path, "ada", solved())
    hand_in(tmp_path, "zoe", solved())
    (tmp_path / "mmm").mkdir()
    here = os.getcwd()
    try:
        os.chdir(tmp_path / "mmm")
        for _ in range(depth):
            os.mkdir("d" * 20)
            os.chdir("d" * 20)
        Path("01-attention.ipynb").write_text("{}", encoding="utf-8")
    finally:
        os.chdir(here)
    try:
        collection = collect(tmp_path)
    finally:
        sandbox.remove(tmp_path / "mmm")
    found = {file.student: file.problem for file in collection.files}
    assert found["ada"] is None
    assert found["zoe"] is None
    assert "mmm" in found  # graded, or told
    if depth > 1_000:
        assert any("mmm" in line for line in collection.ignored)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_a_pipe_with_the_name_of_a_notebook_is_not_waited_for(tmp_path):
    hand_in(tmp_path, "ada", solved())
    (tmp_path / "eve").mkdir()
    os.mkfifo(tmp_path / "eve" / "01-attention.ipynb")
    (tmp_path / "mallory").mkdir()
    os.link(tmp_path / "ada" / "01-attention.ipynb", tmp_path / "mallory" / "01-attention.ipynb")
    (tmp_path / "trudy").symlink_to(tmp_path / "ada")
    found = {file.student: file for file in collect(tmp_path).files}
    assert found["ada"].problem is None
    assert found["eve"].problem == "no ordinary file"
    assert (found["trudy"].name, found["trudy"].data) == ("… (a link to a folder: copy the folder itself here)", b"")


def test_where_there_are_only_links_it_says_what_to_do(tmp_path):
    hand_in(tmp_path / "elsewhere", "ada", solved())
    (tmp_path / "class").mkdir()
    try:
        (tmp_path / "class" / "ada").symlink_to(tmp_path / "elsewhere" / "ada")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(ValueError, match=r"there is ada/… \(a link to a folder: copy the folder itself here\)"):
        collect(tmp_path / "class")


def test_what_macos_leaves_beside_a_notebook_is_nobodys_problem(tmp_path):
    """On a disk that is not its own, and in zips made of one."""
    for name in ("ada", "bob"):
        hand_in(tmp_path, name, b"\0\5\x16\7", "._01-attention.ipynb")
    hand_in(tmp_path, "ada", solved())
    found = [(file.student, file.name, file.problem) for file in collect(tmp_path).files]
    assert found == [
        ("ada", "01-attention.ipynb", None),
        ("bob", "._01-attention.ipynb", "not a notebook (.ipynb)"),  # who hands in nothing else is told
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (json.dumps(solved()).encode("utf-16"), "save it as UTF-8"),
        (json.dumps(solved()).encode("utf-16-be"), "save it as UTF-8"),
        (b"{\n<<<<<<< HEAD\n=======\n>>>>>>> main\n}", "have the student settle it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html></html>", "it is a web page"),
    ],
)
def test_what_lies_in_the_place_of_a_notebook_is_named(data, words):
    with pytest.raises(extracting.Unreadable, match=words):
        extracting.read(data, exercises)


def long(count: int) -> dict:
    made = solved()
    made["cells"].append({"cell_type": "code", "metadata": {}, "source": "\n" * count + "$"})
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (long(60_000), "lines"),
        (long(1_000_000), "lines"),
        ({"cells": [{"cell_type": "code", "metadata": {}, "source": "x" * 3_000_000}]}, "characters"),
        ({"cells": [{"cell_type": "code", "metadata": {}, "source": "1"}] * 25_000}, "cells"),
        ({"cells": [{"cell_type": "code", "metadata": {}, "source": ["x = 1\n"] * 40_000}]}, "lines"),
    ],
)
def test_what_is_too_long_is_told_before_it_is_parsed(monkeypatch, made, words):
    monkeypatch.setattr("ast.parse", lambda *_: pytest.fail("parsed"))
    with pytest.raises(extracting.Unreadable, match=words):
        extracting.read(json.dumps(made).encode(), exercises)

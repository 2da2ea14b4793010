"""A stranger follows docs/grading.md: its files are made, its commands run, and the grades are those of the rules."""

import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from classes import COURSE, UNSCALED, notebook, solved, table

GUIDE = COURSE / "docs" / "grading.md"  # the Chinese one has the same code: tests/classroom/test_pages_in_chinese.py
WALK = GUIDE.read_text(encoding="utf-8").split("## A class from first to last")[1].split("\n## ")[0]
STEP = re.compile(r"(?:`(?P<file>grades/[\w.]+)`:\n\n)?```\w*\n(?P<text>.*?)```", re.DOTALL)


def archive(path: Path, entries: dict[str, tuple[dict, tuple]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, (content, when) in entries.items():
            made.writestr(zipfile.ZipInfo(name, when), json.dumps(content))


def the_class(folder: Path) -> None:
    """What the guide says of `week1.zip` and `week2.zip`."""
    right, wrong, second = solved(), solved(e1_2=UNSCALED), notebook("02-masking")
    in_time, late = (2026, 10, 5, 23, 58, 0), (2026, 10, 7, 8, 0, 0)  # late: two days begun
    moodle = "{}_assignsubmission_file/01-attention.ipynb"
    archive(
        folder / "week1.zip",
        {
            moodle.format("Ada Byron_71"): (right, in_time),
            moodle.format("孔丘_72"): (wrong, late),
            moodle.format("Grace Hopper_73"): (right, late),
            moodle.format("Li Wei_77"): (right, (2026, 10, 6, 0, 10, 0)),  # within the minutes of grace
            moodle.format("Mallory Archer_78"): (wrong, in_time),
        },
    )
    archive(
        folder / "week2.zip",
        {
            "2021001_Ada Byron/02-masking.ipynb": (second, (2026, 10, 19, 11, 0, 0)),
            "kq102/masking.ipynb": (second, (2026, 10, 19, 13, 0, 0)),  # an hour, which is a day begun
            "Turing, Alan/02-masking.ipynb": (notebook("02-masking", "exercises"), (2026, 10, 18, 0, 0, 0)),
        },
    )


@pytest.mark.slow
def test_every_command_of_the_guide_does_what_it_says(tmp_path):
    the_class(tmp_path)
    (tmp_path / "grades").mkdir()
    status, said = [], ""
    for step in STEP.finditer(WALK):
        if step["file"]:
            (tmp_path / step["file"]).write_text(step["text"], encoding="utf-8")
            continue
        for line in step["text"].strip().splitlines():
            assert line.startswith("python -m largemodels grade ")
            command = [sys.executable, *shlex.split(line)[1:], "--workers", "1"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
            status.append(done.returncode)
            said += done.stdout + done.stderr
            if len(status) == 1:
                rows = {row["student"]: row["notes"] for row in table(tmp_path / "grades" / "grades.csv")}
                assert "write 'Li Wei 77' into the column 'also'" in list(rows.values())[-2]
                assert "not on the roster: write 'Mallory Archer 78'" in rows["Mallory Archer"]
                waiting = [row["student"] for row in table(tmp_path / "grades" / "manual.csv")]
                assert waiting == ["2021001", "2021002", "2021003", "77", "78"]
    assert status == [3, 0, 0, 0, 0], said
    rows = {row["number"]: row for row in table(tmp_path / "grades" / "grades.csv")}
    assert list(rows) == [f"202100{i}" for i in range(1, 8)]
    most_1, most_2 = 4 + 2 * 5 + 2 + 3, 3
    wrong = float(rows["2021007"]["1.2"])
    one = {
        "2021001": 4 + 2 * 5 + 2 + 3,
        "2021002": (4 + 2 * 4.5 + 2) * 0.8,
        "2021003": 4 + 2 * 5 + 2 + 1.5,
        "2021004": 0,
        "2021005": 4 + 2 * 5 + 2,
        "2021006": 0,
        "2021007": 4 + 2 * wrong + 2,
    }
    two = {"2021001": 3, "2021002": 3 * 0.9}
    for number, row in rows.items():
        assert float(row["chapter 1"] or 0) == pytest.approx(one[number]), number
        assert float(row["chapter 2"] or 0) == pytest.approx(two.get(number, 0)), number
        percent = 100 * (one[number] + two.get(number, 0)) / (most_1 + most_2)
        assert float(row["percent"]) == pytest.approx(percent, abs=0.051), number
        assert row["of"] == f"{most_1 + most_2}"
    assert rows["2021002"]["days late, chapter 1"] == "2"
    assert rows["2021006"]["notes"] == "nothing handed in"
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "grades" / "feedback").iterdir()}
    assert len(pages) == 5 + 3
    assert "a recurrent net must carry what attention looks up. And what does that cost?" in " ".join(pages.values())
    assert len(list((tmp_path / "code" / "students").iterdir())) == 6


@pytest.fixture(scope="module")
def options():
    """Those that the command has, from its help."""
    command = [sys.executable, "-m", "largemodels", "grade", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help"}


@pytest.mark.slow
@pytest.mark.parametrize("guide", [GUIDE, COURSE / "docs" / "zh" / "grading.md"], ids=["en", "zh"])
def test_the_guide_names_every_option_and_no_other(guide, options):
    assert options == set(re.findall(r"--[a-z][a-z-]+", guide.read_text(encoding="utf-8"))) - {"--index-url"}

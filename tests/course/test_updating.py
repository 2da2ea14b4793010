"""``course.py update``: corrections arrive, and what the reader did stays, in real clones of a course in miniature."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from largemodels.course import updating
from largemodels.course.updating import CannotUpdate, cells_of, merged, update
from largemodels.language import say, speaking

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git here")
COURSE = Path(__file__).parents[2]


def markdown(id: str, source: str) -> dict:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": source.splitlines(keepends=True)}


def code(id: str, source: str, grade_id: str | None = None) -> dict:
    metadata = {"nbgrader": {"grade_id": grade_id}} if grade_id else {}
    lines = source.splitlines(keepends=True)
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": id,
        "metadata": metadata,
        "outputs": [],
        "source": lines,
    }


def exercise(n: int, prose: str = "Do it.", stub: str = "raise NotImplementedError", check: str = "check(answer)"):
    """Cells as a release makes them: the id of prose follows from its text, those of an exercise's code stay."""
    task = f"## Exercise 1.{n}\n\n{prose}"
    return [
        markdown(f"prose-{abs(hash(task)) % 10**8}", task),
        code(f"answer-1-{n}", f"def answer{n}():\n    {stub}", f"answer-1-{n}"),
        code(f"check-1-{n}", f"{check}  # {n}", f"check-1-{n}"),
    ]


def notebook(*cells: dict) -> dict:
    return {"cells": list(cells), "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


def dumped(content: dict) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


HEAD = [markdown("top", "# Exercises"), code("imports", "import torch")]
BASE = notebook(*HEAD, *exercise(1), *exercise(2))
UPSTREAM = {
    "prose": notebook(*HEAD, *exercise(1, prose="Do it well."), *exercise(2)),
    "stub": notebook(*HEAD, *exercise(1, stub="pass  # your code"), *exercise(2)),
    "check": notebook(*HEAD, *exercise(1, check="check(answer, seed=1)"), *exercise(2)),
    "order": notebook(*HEAD, *exercise(2), *exercise(1)),
    "removed": notebook(*HEAD, *exercise(2)),
    "everything": notebook(
        markdown("top2", "# New"), *exercise(3), *exercise(2, "p", "s", "c"), *exercise(1, "p", "s", "c")
    ),
}
# Spelled as no program would spell it again: spaces, an escape, a number, the order of keys.
ANSWER = '{"source": ["def answer1():\\n", "    return 1.50e+1 \\u5b54"],  "outputs": [{"data": {}, "metadata": {"x": 1e-05},   "output_type": "display_data"}],\n    "cell_type":"code", "id": "answer-1-1", "execution_count": 7, "metadata": {"nbgrader": {"grade_id": "answer-1-1"}}}'
OWN = (
    '{"cell_type": "code", "id": "mine",   "metadata": {}, "execution_count": 1, "outputs": [], "source": "helper = 1"}'
)
NOTES = '{"cell_type": "markdown", "id": "notes", "metadata": {},\n  "source": "My notes: \\ud83d\\ude00 é"}'


def worked_in(state: tuple[str, ...]) -> bytes:
    """The base as somebody leaves it who answered 1.1, ran everything, added cells."""
    cells = []
    for cell in BASE["cells"]:
        if "outputs" in state and cell["cell_type"] == "code":
            cell = {**cell, "execution_count": 3, "outputs": [{"output_type": "stream", "name": "stdout", "text": "5"}]}
        if "cells added" in state and cell["id"] == "answer-1-1":
            cells.append(OWN)
        answered = "answered" in state and cell["id"] == "answer-1-1"
        cells.append(ANSWER if answered else json.dumps(cell, indent=1))
    if "cells added" in state:
        cells.append(NOTES)
    return (
        '{"cells": [' + ", ".join(cells) + '], "metadata": {"widgets": 1}, "nbformat": 4, "nbformat_minor": 5}'
    ).encode()


STATES = [state for n in range(4) for state in itertools.combinations(("answered", "outputs", "cells added"), n)]


def is_as_it_should_be(made: bytes, state: tuple[str, ...], upstream: dict) -> None:
    text = made.decode()
    nbformat.validate(nbformat.reads(text, as_version=4))
    cells = cells_of(text)[1]
    own = [spelled for spelled in (OWN, NOTES) if "cells added" in state]
    kept = {"answer-1-1": ANSWER} if "answered" in state else {}
    gone = [ANSWER] if kept and "answer-1-1" not in [cell["id"] for cell in upstream["cells"]] else []
    for spelled in (*own, *gone, *kept.values()):
        assert text.count(spelled) == 1  # byte for byte
    assert sorted(cell.text for cell in cells if cell.id in ("mine", "notes")) == sorted(own)
    given = [cell for cell in cells if cell.text not in (*own, *gone)]
    assert [cell.id for cell in given] == [cell["id"] for cell in upstream["cells"]]
    for cell, new in zip(given, upstream["cells"], strict=True):
        assert cell.text == ANSWER if cell.id in kept else cell.content == new
    assert json.loads(text)["metadata"] == upstream["metadata"]


@pytest.mark.parametrize("change", UPSTREAM)
@pytest.mark.parametrize("state", STATES, ids=lambda state: ", ".join(state) or "untouched")
def test_answers_and_own_cells_stay_and_all_else_is_new(state, change):
    made = merged(dumped(BASE), worked_in(state), dumped(UPSTREAM[change]))
    is_as_it_should_be(made, state, UPSTREAM[change])
    assert merged(dumped(BASE), made, dumped(UPSTREAM[change])) == made  # a second time changes nothing


def ids(made: bytes) -> list[str | None]:
    return [cell.id for cell in cells_of(made.decode())[1]]


def test_own_cells_stay_beside_what_they_stood_beside():
    mine = json.loads(worked_in(("answered", "cells added")))
    for change in ("stub", "check", "prose"):  # the task before the helper may be another cell now
        made = ids(merged(dumped(BASE), dumped(mine), dumped(UPSTREAM[change])))
        assert made.index("mine") + 1 == made.index("answer-1-1")
        assert made[-1] == "notes"
    first = notebook(json.loads(NOTES), *BASE["cells"])
    assert ids(merged(dumped(BASE), dumped(first), dumped(UPSTREAM["everything"])))[0] == "notes"


def test_programs_that_drop_or_change_ids():
    for new_id in (None, "renumbered"):
        mine = json.loads(worked_in(("answered",)))
        for i, cell in enumerate(mine["cells"]):
            cell.pop("id")
            if new_id:
                cell["id"] = f"{new_id}-{i}"
        made = json.loads(merged(dumped(BASE), dumped(mine), dumped(UPSTREAM["prose"])))
        assert len(made["cells"]) == len(BASE["cells"])
        assert "15" in str(made["cells"][3]["source"]) or "1.50e+1" in str(made["cells"][3]["source"])


def test_a_given_cell_that_the_reader_wrote_into_is_not_lost():
    mine = json.loads(dumped(BASE))
    for cell in mine["cells"]:
        cell["source"].append("\n# mine")
    same = json.loads(merged(dumped(BASE), dumped(mine), dumped(UPSTREAM["order"])))
    assert all(cell["source"][-1] == "\n# mine" for cell in same["cells"])
    assert len(same["cells"]) == len(BASE["cells"])
    both = merged(dumped(BASE), dumped(mine), dumped(UPSTREAM["check"]))
    nbformat.validate(nbformat.reads(both.decode(), as_version=4))
    made = ids(both)
    assert made[made.index("check-1-1") + 1] == "check-1-1-yours"
    assert merged(dumped(BASE), both, dumped(UPSTREAM["check"])) == both


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"cells": [', '{"cells": [1]}', '{"cells": 5}', "<<<<<<< HEAD"])
def test_what_is_no_notebook_is_refused(broken):
    with pytest.raises(ValueError):  # noqa: PT011, json's own messages among them
        merged(dumped(BASE), broken.encode(), dumped(BASE))


# ------------------------------------------------------------------------------------------------------------ clones


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@localhost", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def publish(origin: Path, files: dict[str, bytes | None]) -> None:
    for name, data in files.items():
        path = origin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink() if data is None else path.write_bytes(data)
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "a release")


@pytest.fixture
def clone(tmp_path):
    """A clone of a small course, whose origin has moved on."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    files = {"exercises/01.ipynb": dumped(BASE), "exercises/02.ipynb": dumped(BASE), "chapters/01.ipynb": dumped(BASE)}
    files["exercises/zh/01.ipynb"] = dumped(BASE)
    notes = "".join(f"line {i}\n" for i in range(9)).encode()
    publish(
        origin, files | {"lib/a.py": b"old\n", "lib/gone.py": b"x\n", "notes.txt": notes, ".gitignore": b"/copies/\n"}
    )
    git(tmp_path, "clone", "-q", str(origin), "clone")
    everything = dumped(UPSTREAM["everything"])
    publish(
        origin,
        {
            "exercises/01.ipynb": everything,
            "exercises/zh/01.ipynb": everything,
            "chapters/01.ipynb": everything,
            "chapters/09 新.ipynb": everything,
            "lib/a.py": b"new\n",
            "lib/gone.py": None,
            "notes.txt": notes.replace(b"line 1", b"LINE 1"),
        },
    )
    return tmp_path / "clone"


def work(clone: Path) -> None:
    """What a reader leaves: answers, a chapter that was run, a setting, a file of their own."""
    (clone / "exercises/01.ipynb").write_bytes(worked_in(STATES[-1]))
    (clone / "exercises/zh/01.ipynb").write_bytes(worked_in(("answered",)))
    (clone / "exercises/02.ipynb").write_bytes(worked_in(("answered",)))
    (clone / "chapters/01.ipynb").write_bytes(worked_in(("outputs",)))
    (clone / "notes.txt").write_bytes((clone / "notes.txt").read_bytes() + b"mine\n")
    (clone / "my notes.txt").write_bytes(b"mine\n")


def state(clone: Path) -> dict[str, bytes]:
    paths = [p for p in clone.rglob("*") if p.is_file() and not {".git", "copies"} & set(p.relative_to(clone).parts)]
    return {path.relative_to(clone).as_posix(): path.read_bytes() for path in paths}


def copies(clone: Path) -> dict[str, bytes]:
    return {
        p.name if p.parent.name == "" else "/".join(p.parts[-2:]): p.read_bytes()
        for p in (clone / "copies").rglob("*")
        if p.is_file()
    }


def is_up_to_date(clone: Path) -> None:
    files = state(clone)
    is_as_it_should_be(files["exercises/01.ipynb"], STATES[-1], UPSTREAM["everything"])
    is_as_it_should_be(files["exercises/zh/01.ipynb"], ("answered",), UPSTREAM["everything"])
    assert files["exercises/02.ipynb"] == worked_in(("answered",))
    assert files["chapters/01.ipynb"] == files["chapters/09 新.ipynb"] == dumped(UPSTREAM["everything"])
    assert files["lib/a.py"] == b"new\n"
    assert "lib/gone.py" not in files
    assert files["notes.txt"].startswith(b"line 0\nLINE 1\n")
    assert files["notes.txt"].endswith(b"line 8\nmine\n")
    assert files["my notes.txt"] == b"mine\n"
    assert not any(name.endswith(".part") for name in files)
    kept = copies(clone)
    assert kept["exercises/01.ipynb"] == worked_in(STATES[-1])
    assert kept["zh/01.ipynb"] == worked_in(("answered",))
    assert kept["chapters/01.ipynb"] == worked_in(("outputs",))
    changed = git(clone, "-c", "core.quotepath=off", "status", "--short").splitlines()
    mine = ["exercises/01.ipynb", "exercises/02.ipynb", "exercises/zh/01.ipynb", "notes.txt"]
    assert changed == [*(f" M {name}" for name in mine), '?? "my notes.txt"']
    git(clone, "merge-base", "--is-ancestor", "origin/main", "HEAD")
    assert not list((clone / ".git").glob("course-update*"))


def test_a_clone_that_was_worked_in(clone):
    work(clone)
    said = "\n".join(update(clone))
    is_up_to_date(clone)
    assert "A copy of what you had changed is in copies/" in said
    assert "7 files are new or corrected" in said
    assert list(update(clone)) == ["The course is up to date."]
    is_up_to_date(clone)


def test_a_clone_in_which_the_reader_committed(clone):
    work(clone)
    git(clone, "add", "exercises", "notes.txt")
    git(clone, "commit", "-qm", "my answers")
    mine = git(clone, "rev-parse", "HEAD").strip()
    list(update(clone))
    is_as_it_should_be((clone / "exercises/01.ipynb").read_bytes(), STATES[-1], UPSTREAM["everything"])
    assert git(clone, "status", "--short").splitlines() == ['?? "my notes.txt"']
    assert git(clone, "rev-parse", "HEAD^1", "HEAD^2").split() == [mine, git(clone, "rev-parse", "origin/main").strip()]
    assert list(update(clone)) == ["The course is up to date."]


class Killed(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("committed", [False, True])
def test_a_kill_between_any_two_steps_loses_nothing(clone, tmp_path, monkeypatch, committed):
    """Every call of git, and every file that is written or replaced, is a step."""
    work(clone)
    if committed:
        git(clone, "add", "exercises", "notes.txt")
        git(clone, "commit", "-qm", "my answers")
    done = shutil.copytree(clone, tmp_path / "done")
    list(update(done))
    wanted = state(done)

    def killed_at(step: int, folder: Path) -> bool:
        left = step

        def counted(function):
            def run(*arguments, **keywords):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return function(*arguments, **keywords)

            return run

        with monkeypatch.context() as patch:
            patch.setattr(updating.subprocess, "run", counted(subprocess.run))
            patch.setattr(updating.os, "replace", counted(updating.os.replace))
            try:
                list(update(folder))
            except Killed:
                return True
        return False

    step = 1
    while True:
        folder = shutil.copytree(clone, tmp_path / f"killed {step}")
        was_killed = killed_at(step, folder)
        if was_killed:
            (folder / ".git" / "index.lock").write_bytes(b"") if (folder / ".git" / updating.NOTE).exists() else None
            list(update(folder))
        assert state(folder) == wanted, step
        assert set(copies(folder).values()) >= {worked_in(STATES[-1]), worked_in(("outputs",))}
        shutil.rmtree(folder)
        if not was_killed:
            break
        step += 3
    assert step > 20


def test_a_kill_then_a_newer_release_still_keeps_answers(clone, monkeypatch):
    work(clone)
    steps = 0

    def replaced(*arguments):
        nonlocal steps
        steps += 1
        if steps == 9:
            raise Killed
        return replace(*arguments)

    replace = updating.os.replace
    with monkeypatch.context() as patch:
        patch.setattr(updating.os, "replace", replaced)
        with pytest.raises(Killed):
            list(update(clone))
    publish(clone.parent / "origin", {"exercises/01.ipynb": dumped(UPSTREAM["prose"])})
    said = list(update(clone))
    assert said[0] == "An update was interrupted; it is finished first."
    is_as_it_should_be((clone / "exercises/01.ipynb").read_bytes(), STATES[-1], UPSTREAM["prose"])


def test_what_cannot_be_merged_is_the_courses_and_the_copy_is_named(clone):
    (clone / "exercises/01.ipynb").write_bytes(b'{"cells": [\n<<<<<<< HEAD\n')
    (clone / "lib/a.py").write_bytes(b"mine\n")
    (clone / "lib/gone.py").write_bytes(b"mine\n")
    (clone / "chapters/09 新.ipynb").write_bytes(b"not theirs")
    said = "\n".join(update(clone))
    for name in ("exercises/01.ipynb", "lib/a.py", "chapters/09 新.ipynb"):
        assert f"{name} is the course's again, since yours could not be merged" in said
    assert "lib/gone.py is no longer part of the course; yours stays." in said
    assert (clone / "lib/a.py").read_bytes() == b"new\n"
    assert {b"mine\n", b"not theirs"} <= set(copies(clone).values())


def test_a_file_that_the_reader_deleted_comes_back(clone):
    (clone / "exercises/01.ipynb").unlink()
    list(update(clone))
    assert (clone / "exercises/01.ipynb").read_bytes() == dumped(UPSTREAM["everything"])


def test_nothing_is_touched_where_an_update_is_not_possible(clone, tmp_path):
    work(clone)
    before = state(clone)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(CannotUpdate, match="is no clone of the course"):
        list(update(tmp_path / "unpacked"))
    (clone / ".git" / "MERGE_HEAD").write_text(git(clone, "rev-parse", "HEAD"))
    with pytest.raises(CannotUpdate, match="in the middle of a merge or a rebase"):
        list(update(clone))
    (clone / ".git" / "MERGE_HEAD").unlink()
    git(clone, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    with pytest.raises(CannotUpdate, match="git fetch failed"):
        list(update(clone))
    git(clone, "checkout", "-q", "-b", "other")
    git(clone, "remote", "set-url", "origin", str(tmp_path / "origin"))
    with pytest.raises(CannotUpdate, match="follows none of the course's"):
        list(update(clone))
    assert state(clone) == before


def test_the_command_runs_without_the_course_installed(clone):
    work(clone)
    place = clone / "lib/largemodels/course/updating.py"
    place.parent.mkdir(parents=True)
    shutil.copy(COURSE / "lib/largemodels/course/updating.py", place)
    done = subprocess.run([sys.executable, "-I", "-S", place], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The course is up to date" in done.stdout
    place.unlink()
    place.parent.rmdir()
    is_up_to_date(clone)


def test_it_says_everything_in_the_language_that_is_spoken(clone, unmarked):
    work(clone)
    (clone / "exercises/zh/01.ipynb").write_bytes(b"{")
    said = list(update(clone))
    assert len(said) == 3
    assert [unmarked(sentence) for sentence in said] == ["", "", ""]
    assert list(map(unmarked, update(clone))) == [""]
    git(clone, "remote", "set-url", "origin", str(clone / "nowhere"))
    with pytest.raises(CannotUpdate) as refused:
        list(update(clone))
    assert unmarked(str(refused.value)) == ""


def test_the_command_speaks_the_machines_language():
    done = subprocess.run(
        [sys.executable, "-I", "-S", updating.__file__, "now"],
        env={**os.environ, "LANGUAGE": "zh_CN"},
        capture_output=True,
        encoding="utf-8",
    )
    with speaking("zh"):
        assert (done.returncode, done.stderr.strip()) == (2, say("python course.py update  takes no arguments"))


def test_our_own_notebooks_come_apart_and_together_again():
    for path in sorted(COURSE.glob("exercises/**/*.ipynb")):
        data = path.read_bytes()
        _, cells, _ = cells_of(data.decode())
        assert [cell.content for cell in cells] == json.loads(data)["cells"]
        assert merged(data, data, data) == data

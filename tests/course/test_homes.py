"""Pages and files that say how to run the course elsewhere: every command of ours exists, every message is a real one."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest

from largemodels.__main__ import OTHERS
from largemodels.classroom.bundling import COURSE

PAGES = [*sorted(COURSE.glob("README*.md")), COURSE / "CONTRIBUTING.md", *sorted(COURSE.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```(?P<kind>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:make|python3?|py) [^`]+)`")
TYPED = re.compile(r"(?:[A-Z_]+=\S+ )*((?:make|py|python[\d.]*) .*)")


def fences(page, *kinds):
    return [found["text"] for found in FENCE.finditer(page.read_text(encoding="utf-8")) if found["kind"] in kinds]


def commands(page):
    """Every line that a reader is to type, without what is set before it and what is said behind it."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for line in [line for text in fences(page, "", "bash") for line in text.splitlines()] + INLINE.findall(prose):
        if typed := TYPED.match(line):
            yield shlex.split(typed[1], comments=True)


@cache
def options(name):
    """The options of one of ``python -m largemodels``'s commands."""
    import argparse

    parser = argparse.ArgumentParser()
    import_module(OTHERS[name][0], "largemodels").add_arguments(parser)
    return set(parser._option_string_actions)


def assert_exists(words):
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (COURSE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word] in [[target] for target in targets], words
        return
    if words[1] == "course.py":
        listed = re.findall(r"^  (\w+)  ", (COURSE / "course.py").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[2] in [*listed, "--help"], words
        words = words[2:] if words[2] == "python" else ["python"]
    if words[1:3] == ["-m", "largemodels"]:
        name = words[3]
        assert name in {*OTHERS, "lab", "doctor", "…"}, words
        given = {word.split("=")[0] for word in words[4:] if word.startswith("--")}
        if name in OTHERS:
            assert given <= options(name), words
    elif len(words) > 1 and words[1].endswith(".py"):
        assert (COURSE / words[1]).is_file(), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_exist(page):
    for words in commands(page):
        assert_exists(words)


def test_a_command_that_does_not_exist_is_found():
    assert len(list(commands(COURSE / "docs/hub.md"))) > 5
    for line in (
        "make tests",
        "python3 course.py labs",
        "python -m largemodels grades",
        "python -m largemodels grade --no",
    ):
        with pytest.raises(AssertionError):
            assert_exists(line.split())


@cache
def spoken():
    """Every text in the plumbing and in course.py, with its white space as single blanks."""
    rooms = ("course", "classroom", "pretrained")
    paths = [path for room in rooms for path in (COURSE / "lib/largemodels" / room).rglob("*.py")]
    texts = []
    for path in [COURSE / "course.py", *paths]:
        if path.parent.name == "exercises":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(" ".join(node.value.split()))
    return texts


def test_every_message_of_the_troubleshooting_page_is_a_real_one():
    messages = [" ".join(text.split()) for text in fences(COURSE / "docs/troubleshooting.md", "text")]
    assert len(messages) > 15
    pythons_own = {"No module named 'largemodels'"}
    assert [m for m in messages if m not in pythons_own and not any(m in text for text in spoken())] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_headings_that_a_page_points_to_exist(page):
    for name, anchor in re.findall(r"\]\(([\w./-]+\.md)#([\w-]+)\)", page.read_text(encoding="utf-8")):
        titles = re.findall(r"^#+ (.*)", (page.parent / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], (name, anchor)


# --------------------------------------------------------------------------------------------------------------- homes


def test_the_development_container_runs_commands_of_the_course():
    told = json.loads((COURSE / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    hooks = [told[name] for name in ("onCreateCommand", "updateContentCommand", "postAttachCommand")]
    ours = [words for words in map(shlex.split, hooks) if words[0] == "python3"]
    assert [words[2] for words in ours] == ["install", "lab"]
    for words in ours:
        assert_exists(words)
    assert set(told) <= {"name", "image", *("onCreateCommand", "updateContentCommand", "postAttachCommand")} | {
        *("forwardPorts", "portsAttributes", "customizations")
    }
    assert f"--port={told['forwardPorts'][0]}" in ours[1]
    assert all((COURSE / name).is_file() for name in told["customizations"]["codespaces"]["openFiles"])
    assert oldest() <= tuple(map(int, re.match(r"python:([\d.]+)", told["image"])[1].split(".")))


def oldest():
    return tuple(map(int, re.search(r'requires-python = ">=([\d.]+)"', text("pyproject.toml"))[1].split(".")))


def text(name):
    return (COURSE / name).read_text(encoding="utf-8")


def test_the_container_is_built_and_started_by_commands_of_the_course():
    made = text("Dockerfile")
    for run in re.findall(r"^RUN (python3 .*)$", made, re.MULTILINE):
        assert_exists(shlex.split(run))
    start = json.loads(re.search(r"^CMD (\[.*\])$", made, re.MULTILINE)[1])
    assert_exists(start)
    assert f"--port={re.search(r'^EXPOSE (.*)$', made, re.MULTILINE)[1]}" in start
    assert oldest() <= tuple(map(int, re.search(r"^FROM python:([\d.]+)-", made, re.MULTILINE)[1].split(".")))
    for built in re.findall(r"--build-arg (\w+)=", text("docs/hub.md")):
        assert f"\nARG {built}\n" in made
    assert ".venv" in text(".dockerignore").split()


def test_binder_finds_what_it_reads():
    lines = text(".binder/requirements.txt").split()
    assert lines[::2] == ["--constraint", "--editable"]
    # pip looks for a file beside the one that names it, and for a folder from where it runs: in the course.
    assert (COURSE / ".binder" / lines[1]).resolve() == COURSE / "constraints.txt"
    assert (COURSE / lines[3] / "pyproject.toml").is_file()
    assert oldest() <= tuple(map(int, text(".binder/runtime.txt").strip().removeprefix("python-").split(".")))


@pytest.mark.skipif(os.name == "nt", reason="Binder runs on Linux")
def test_binder_starts_jupyter_with_the_settings_of_the_course(tmp_path):
    for before, after in (("", ""), ("/etc/j", ":/etc/j")):
        done = subprocess.run(
            [COURSE / ".binder/start", "sh", "-c", 'echo "$JUPYTER_CONFIG_PATH" "$@"', "sh", "a b"],
            env={"PATH": os.defpath} | ({"JUPYTER_CONFIG_PATH": before} if before else {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{COURSE / '.course'}{after} a b\n"
    assert (COURSE / ".course/jupyter_lab_config.py").is_file()


def test_links_of_the_hub_page_lead_to_the_front_page():
    links = fences(COURSE / "docs/hub.md", "url")
    assert len(links) == 2
    for link in links:
        path = re.search(r"urlpath=(\S+)", link)[1].replace("%2F", "/")
        assert path.removeprefix("lab/tree/").removeprefix("large-models/") == "START.ipynb"
        assert (COURSE / "START.ipynb").is_file()


def test_settings_for_a_hub_are_python_and_name_what_the_course_reads():
    settings = [text for text in fences(COURSE / "docs/hub.md", "python") if "c." in text]
    assert len(settings) == 3
    for lines in settings:
        compile(lines, "jupyterhub_config.py", "exec")
    named = re.findall(r"LARGEMODELS_\w+", (COURSE / "docs/hub.md").read_text(encoding="utf-8"))
    assert named
    sources = "".join(path.read_text(encoding="utf-8") for path in (COURSE / "lib").rglob("*.py"))
    assert all(name in sources for name in named)


def test_a_mirror_for_weights_is_respected():
    """What the page says of HF_ENDPOINT, asked of huggingface_hub itself."""
    done = subprocess.run(
        [sys.executable, "-c", "from huggingface_hub import constants; print(constants.ENDPOINT)"],
        env={**os.environ, "HF_ENDPOINT": "https://mirror.example"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "https://mirror.example"

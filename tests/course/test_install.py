"""The way from a clone to a running course: `course.py`, the lists of dependencies, and `python -m largemodels lab`.

`course.py` is tried on a course in miniature, a package without dependencies, so that no network is needed: the virtual
environments, pip's work and the kills are real.
"""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COURSE = Path(__file__).parents[2]

# What pip calls to install the miniature course. It counts its calls, fails where a file `fail` tells it to, and waits
# while there is a file `wait`.
BACKEND = """
import pathlib, time, zipfile

def build_editable(folder, settings=None, metadata=None):
    with open("calls.txt", "a", encoding="utf-8") as calls:
        calls.write("called\\n")
    if pathlib.Path("fail").exists():
        raise SystemExit("the network is down")
    while pathlib.Path("wait").exists():
        time.sleep(0.05)
    name = "largemodels-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        info = "largemodels-1.0.dist-info/"
        wheel.writestr("largemodels.pth", str(pathlib.Path("lib").resolve()))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: largemodels\\nVersion: 1.0\\nProvides-Extra: test\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
        wheel.writestr("brought.py", "x = 1")
        wheel.writestr("brought_as_data.py", "print 'of an older Python'")
    return name

build_wheel = build_editable
"""


class Miniature:
    """A folder with the real course.py and a package that prints what it is called with."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copy(COURSE / "course.py", folder)
        (folder / "constraints.txt").touch()
        (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        (folder / "pyproject.toml").write_text(project, encoding="utf-8")
        package = folder / "lib" / "largemodels"
        package.mkdir(parents=True)
        (package / "__main__.py").write_text("import sys; print('largemodels runs', sys.argv[1:])", encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen:
        # As from a terminal: nothing of this test run's own environment, and without a network.
        environment = {**os.environ, "PIP_NO_INDEX": "1"}
        for variable in ("PYTHONPATH", "VIRTUAL_ENV"):
            environment.pop(variable, None)
        return subprocess.Popen(
            [sys.executable, "course.py", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def installations(self) -> int:
        calls = self.folder / "calls.txt"
        return calls.read_text(encoding="utf-8").count("called") if calls.exists() else 0

    def wait_for_installation(self, number: int) -> None:
        for _ in range(1200):
            if self.installations() == number:
                return
            time.sleep(0.05)
        raise AssertionError(f"installation {number} never began")

    def set(self, name: str, there: bool = True) -> None:
        (self.folder / name).touch() if there else (self.folder / name).unlink()


@pytest.fixture
def course(tmp_path) -> Miniature:
    return Miniature(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Miniature:
    """One that several tests share, since making an environment takes seconds; `ready` puts it in order."""
    return Miniature(tmp_path_factory.mktemp("installed"))


def ready(course: Miniature) -> int:
    """Install what is missing; return how often anything has been installed so far."""
    code, output = course.run("install")
    assert code == 0, output
    return course.installations()


@pytest.mark.slow
class TestInstallation:
    def test_installs_once_and_again_after_a_change(self, installed):
        before = ready(installed)
        code, output = installed.run("lab", "--port=9000", "--help")
        assert (code, output.strip()) == (
            0,
            "largemodels runs ['lab', '--port=9000', '--help']",
        )  # no word of installing
        assert installed.installations() == before
        for change, name in enumerate(["pyproject.toml", "constraints.txt"], 1):
            with open(installed.folder / name, "a", encoding="utf-8") as file:
                file.write("# changed\n")
            assert ready(installed) == before + change

    def test_what_it_brings_is_compiled(self, installed):
        ready(installed)
        (package,) = installed.folder.glob(".venv/**/brought.py")
        compiled = package.parent.glob("__pycache__/brought*.pyc")
        assert [path.name.partition(".")[0] for path in compiled] == ["brought"]  # what cannot be compiled does no harm

    def test_the_tests_need_more_than_reading_does(self, installed):
        (installed.folder / "constraints.txt").write_text("# so that only the core is there\n", encoding="utf-8")
        before = ready(installed)
        _, output = installed.run("lint")
        assert "No module named ruff" in output  # the miniature has none, but it was looked for after an installation
        assert installed.installations() == before + 1
        assert ready(installed) == before + 1  # what suffices for the tests suffices for reading

    def test_two_at_once_install_once(self, installed):
        before = ready(installed)
        (installed.folder / "constraints.txt").write_text("# two at once\n", encoding="utf-8")
        installed.set("wait")
        first = installed.start("lab")
        installed.wait_for_installation(before + 1)
        second = installed.start("lab")
        time.sleep(1)
        installed.set("wait", False)
        for process in (first, second):
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
            assert "largemodels runs ['lab']" in output
        assert installed.installations() == before + 1

    def test_a_failure_says_what_to_do_and_leaves_what_was_there(self, installed):
        (installed.folder / "constraints.txt").write_text("# before the failure\n", encoding="utf-8")
        ready(installed)
        installed.set("fail")
        code, output = installed.run("lint")
        installed.set("fail", False)
        assert code != 0
        assert "the network is down" in output
        assert "no network" in output
        assert "GB are free" in output
        code, output = installed.run("lab")
        assert (code, output.strip()) == (0, "largemodels runs ['lab']")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs an ordinary user and his permissions")
    def test_a_read_only_folder_says_so(self, course):
        course.folder.chmod(0o555)
        code, output = course.run("install")
        course.folder.chmod(0o755)
        assert code == 1
        assert "must be your own to write to" in output
        assert "Traceback" not in output

    @pytest.mark.parametrize("broken", ["python", "pip"])
    def test_a_broken_environment_is_replaced(self, installed, broken):
        ready(installed)
        python = installed.folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if broken == "pip":
            subprocess.run([python, "-m", "pip", "uninstall", "--yes", "--quiet", "pip"], check=True)
        else:
            python.unlink()
            python.write_bytes(b"not a program")
            python.chmod(0o755)
        code, output = installed.run("lab")
        assert code == 0, output
        assert "largemodels runs ['lab']" in output

    def test_a_moved_course_is_installed_anew(self, installed, tmp_path):
        ready(installed)
        shutil.move(installed.folder, tmp_path / "another folder")
        installed.folder = tmp_path / "another folder"
        program = installed.folder / "lib" / "largemodels" / "__main__.py"
        before = program.read_text(encoding="utf-8")
        program.write_text("print(__file__)", encoding="utf-8")
        code, output = installed.run("lab")
        program.write_text(before, encoding="utf-8")
        assert code == 0, output
        assert output.splitlines()[-1] == str(program)

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
    def test_a_killed_installation_is_made_again(self, course):
        course.set("wait")
        process = course.start("install")
        course.wait_for_installation(1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Something half-made that pip alone would leave there.
        (packages,) = course.folder.glob(".venv/lib/python*/site-packages")
        (packages / "rubbish.txt").touch()
        # pip has survived its parent. The next command must not build beside it, but wait.
        second = course.start("lab")
        time.sleep(2)
        assert second.poll() is None
        assert course.installations() == 1
        course.set("wait", False)
        output, _ = second.communicate(timeout=120)
        assert "waiting for it" in output
        assert "largemodels runs ['lab']" in output
        assert course.installations() == 2
        assert not (packages / "rubbish.txt").exists()


class TestScript:
    def test_old_pythons_can_read_it(self):
        """From 3.6 on: no walrus, no annotation that an old Python would evaluate and not know, nothing from the future."""
        tree = ast.parse((COURSE / "course.py").read_text(encoding="utf-8"), feature_version=(3, 6))
        annotations = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.arg | ast.AnnAssign)]
        annotations += [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        evaluated = [note for note in annotations if note and not isinstance(note, ast.Name | ast.Constant)]
        assert not evaluated, [ast.unparse(note) for note in evaluated]
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]

    @pytest.mark.parametrize("minor", range(6, 11))
    def test_old_pythons_run_it(self, minor, tmp_path):
        """Those that this machine happens to have."""
        found = [*Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"), shutil.which(f"python3.{minor}")]
        python = next(filter(None, found), None)  # pyenv's own first: on the PATH it has scripts that call them
        if python is None:
            pytest.skip(f"no Python 3.{minor} here")
        for name in ("course.py", "pyproject.toml", "constraints.txt"):
            shutil.copy(COURSE / name, tmp_path)
        environment = {**os.environ, "PATH": str(tmp_path)}  # no newer one is to be found
        done = subprocess.run([python, "course.py", "lab"], cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 1
        assert f"needs Python 3.11 or newer; this is 3.{minor}." in done.stderr.decode()
        assert b"Traceback" not in done.stderr
        assert not (tmp_path / ".venv").exists()

    def test_without_a_word_it_says_what_to_do(self):
        done = subprocess.run([sys.executable, COURSE / "course.py"], capture_output=True, encoding="utf-8")
        assert done.returncode == 2
        assert "python course.py lab" in done.stderr

    def test_a_resolver_that_finds_nothing_is_told_apart_from_a_network_that_is_down(self, monkeypatch):
        monkeypatch.syspath_prepend(COURSE)
        import course

        monkeypatch.setattr(course, "venv_version", lambda: (3, 11, 2))
        unfit = "ERROR: Could not find a version that satisfies the requirement soupsieve==4.1.2 (from versions: 3.0.1)"
        for log in (unfit, "ERROR: ResolutionImpossible: for help visit", "the conflicting dependencies:"):
            advice = course.why_pip_fails(log)
            assert "Python 3.11.2" in advice
            assert "Trying again will not help" in advice
        assert "soupsieve==4.1.2" in course.why_pip_fails(unfit)
        offline = "NewConnectionError: Failed to establish a new connection"
        assert "no network" in course.why_pip_fails(offline)
        assert "no network" in course.why_pip_fails(f"{offline}\n{unfit}")  # pip's last words, without an index

    def test_what_is_installed_for_more_serves_for_less(self, monkeypatch):
        monkeypatch.syspath_prepend(COURSE)
        import course

        monkeypatch.setattr(course, "fingerprint", lambda: "1")
        for stamp, levels in {
            "": [],
            "installing": [],
            "core 2": [],
            "core 1": ["core"],
            "book 1": ["core", "book"],
        }.items():
            monkeypatch.setattr(course, "stamp", lambda stamp=stamp: stamp)
            assert [level for level in course.LEVELS if course.is_installed(level)] == levels
        monkeypatch.setattr(course, "stamp", lambda: "test 1")
        assert all(map(course.is_installed, course.LEVELS))

    def test_it_needs_nothing_but_python(self):
        tree = ast.parse((COURSE / "course.py").read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names | {"largemodels"}
        only = [node for node in ast.walk(tree) if getattr(node, "module", "") == "largemodels"]
        assert [alias.name for node in only for alias in node.names] == ["language"]  # which imports nothing either

    @pytest.mark.parametrize(("language", "told"), [("zh_CN", "请说明做什么"), ("de", "say what to do")])
    def test_it_speaks_the_machines_language(self, language, told):
        command = [sys.executable, "-I", "-S", str(COURSE / "course.py")]
        done = subprocess.run(command, env={**os.environ, "LANGUAGE": language}, capture_output=True, encoding="utf-8")
        assert told in done.stderr

    def test_an_old_python_is_told_what_to_do(self, course, tmp_path):
        """A Python that calls itself 3.9, on a machine without any other."""
        pretend = "import sys; sys.version_info = (3, 9, 2); sys.version = '3.9.2'; sys._base_executable = '/nowhere'"
        process = subprocess.run(
            [sys.executable, "-c", f"{pretend}; sys.argv = ['course.py', 'lab']; import course; course.main()"],
            cwd=course.folder,
            env={**os.environ, "PATH": str(tmp_path)},
            capture_output=True,
            encoding="utf-8",
        )
        assert process.returncode == 1
        assert "needs Python 3.11 or newer; this is 3.9.2" in process.stderr
        assert "python.org" in process.stderr
        assert "Traceback" not in process.stderr
        assert not (course.folder / ".venv").exists()

    def test_help(self):
        output = subprocess.run([sys.executable, COURSE / "course.py", "--help"], capture_output=True, encoding="utf-8")
        assert output.returncode == 0
        assert all(command in output.stdout for command in ("lab", "test", "lint", "python", "install"))

    def test_makefile_calls_what_there_is(self):
        makefile = (COURSE / "Makefile").read_text(encoding="utf-8")
        called = set(re.findall(r"course\.py (\w+)", makefile))
        assert called == {"lab", "test", "lint", "python", "book"}
        targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
        assert {"lab", "test", "quick", "lint", "notebooks", "doctor"} <= targets
        assert targets == set(re.search(r"\.PHONY: (.*)", makefile)[1].split())


# --- the lists of dependencies ----------------------------------------------------------------------------------------

PROJECT = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
TEST = [Requirement(line) for line in PROJECT["optional-dependencies"]["test"]]


def constraints() -> dict[str, str]:
    lines = (COURSE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+((b|post)\d+)?", pin) for pin in pins)  # no paths, hosts or local versions
    return {canonicalize_name(name): version for name, version in (pin.split("==") for pin in pins)}


@pytest.mark.parametrize("requirement", CORE + TEST, ids=str)
def test_direct_dependencies_are_pinned_as_the_constraints_say(requirement):
    assert str(requirement.specifier) == f"=={constraints()[canonicalize_name(requirement.name)]}"


def test_everything_needed_in_turn_is_pinned():
    """Follow what the installed packages say that they need."""
    pins, missing, seen = constraints(), set(), set()

    def visit(requirement: Requirement) -> None:
        for extra in requirement.extras or {""}:
            if (requirement.name, extra) in seen:
                continue
            seen.add((requirement.name, extra))
            if canonicalize_name(requirement.name) not in pins:
                missing.add(requirement.name)
                continue
            for line in metadata.requires(requirement.name) or []:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    visit(needed)

    for requirement in CORE + TEST:
        visit(requirement)
    assert len(seen) > 100
    # A PyTorch for NVIDIA GPUs pins its own companions exactly.
    assert {name for name in missing if not name.startswith(("nvidia", "triton", "cuda"))} == set()


def test_conda_gets_the_same_list():
    environment = yaml.safe_load((COURSE / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (from_pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    torch = next(requirement for requirement in CORE if requirement.name == "torch")
    assert from_pip == [str(requirement) for requirement in CORE if requirement is not torch]

    specifiers = {requirement.name: requirement.specifier for requirement in map(Requirement, conda)}
    assert set(specifiers) == {"python", "pip", "pytorch-cpu"}
    assert str(specifiers["python"]) == PROJECT["requires-python"]
    assert specifiers["pytorch-cpu"].contains(str(torch.specifier).removeprefix("=="))


# --- python -m largemodels --------------------------------------------------------------------------------------------


def largemodels(*arguments: str, library: Path = COURSE / "lib", cwd: Path = COURSE) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "largemodels", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("command", [None, "doctor", pytest.param("release", marks=pytest.mark.slow)])
def test_commands_have_help(command):
    process = largemodels(*filter(None, [command]), "--help")
    assert process.returncode == 0, process.stderr
    assert "usage: python -m largemodels" in process.stdout


def test_unknown_arguments_are_refused():
    process = largemodels("doctor", "--colour")
    assert process.returncode == 2
    assert "--colour" in process.stderr


def test_lab_without_the_course_says_what_to_do(tmp_path):
    shutil.copytree(COURSE / "lib" / "largemodels", tmp_path / "lib" / "largemodels")
    process = largemodels("lab", library=tmp_path / "lib", cwd=tmp_path)
    assert process.returncode == 1
    assert "Clone the course" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_lab_hands_its_options_to_jupyterlab():
    process = largemodels("lab", "--version")
    assert process.stdout.strip() == metadata.version("jupyterlab")

"""The doctor must find what is broken: each test breaks one thing, really or as seen through Python."""

import collections
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path

import pytest
import torch

from largemodels.course.doctor import Diagnosis, Finding, doctor

COURSE = Path(__file__).parents[2]


def found(subject: str) -> Finding:
    """What the doctor says about `subject`; the other checks must go on whatever is broken."""
    diagnosis = doctor()
    assert {"Python", "JupyterLab", "disk"} <= {finding.subject for finding in diagnosis.findings}
    worst = [finding for finding in diagnosis.findings if finding.subject == subject]
    return max(worst, key=lambda finding: ["ok", "warning", "problem"].index(finding.state))


def test_nothing_is_wrong_where_the_tests_run():
    diagnosis = doctor()
    assert [str(finding) for finding in diagnosis.findings if finding.state == "problem"] == []
    assert torch.__version__ in str(diagnosis)
    assert metadata.version("jupyterlab") in str(diagnosis)


def test_missing_package(monkeypatch):
    version = metadata.version

    def without_tqdm(name):
        if name == "tqdm":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_tqdm)
    finding = found("packages")
    assert (finding.state, finding.seen) == ("problem", "missing: tqdm")
    assert "course.py lab" in finding.remedy


def test_untested_version(monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.7.1+cu126" if name == "torch" else version(name))
    finding = found("packages")
    assert finding.state == "warning"
    assert "torch 2.7.1 (tested with 2.13.0)" in finding.seen


def test_torch_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = found("PyTorch")
    assert finding.state == "problem"
    assert "ImportError" in finding.seen or "ModuleNotFoundError" in finding.seen
    assert finding.remedy


def test_torch_that_multiplies_wrongly(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: a)
    assert found("PyTorch").state == "problem"
    assert found("device").state == "problem"


def test_widget_without_its_half_in_jupyterlab(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [str(tmp_path)])
    finding = found("anywidget")
    assert finding.state == "problem"
    assert "--force-reinstall anywidget" in finding.remedy


def test_little_memory_and_disk(monkeypatch):
    memory = collections.namedtuple("memory", "total")
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory(2e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100e9, 99.6e9, 0.4e9))
    assert (found("device").state, found("disk").state) == ("warning", "warning")
    assert "0.4 GB free" in found("disk").seen


def test_away_from_the_course(monkeypatch, tmp_path):
    monkeypatch.setattr("largemodels.course.lab.__file__", str(tmp_path / "lib" / "largemodels" / "lab.py"))
    finding = found("course folder")
    assert finding.state == "problem"
    assert "Clone the course" in finding.seen


def test_folder_that_cannot_be_written_to(monkeypatch):
    monkeypatch.setattr("largemodels.course.doctor.can_be_written", lambda folder: False)
    assert found("course folder").state == "problem"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_device_is_named():
    assert any(torch.cuda.get_device_name() in finding.seen for finding in doctor().findings)


class Table(HTMLParser):
    """The cells of a table, row by row."""

    def __init__(self, html: str):
        super().__init__()
        self.rows = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][-1] += data


def test_terminal_and_notebook_say_the_same():
    diagnosis = Diagnosis(
        (
            Finding("Python", "ok", "3.11"),
            Finding("folder", "problem", "<b>/a&b</b> is not there", "run `make lab`"),
        )
    )
    assert Table(diagnosis._repr_html_()).rows[0] == ["ok", "Python", "3.11"]
    state, subject, seen = Table(diagnosis._repr_html_()).rows[1][:3]
    assert (state, subject) == ("problem", "folder")
    assert seen.startswith("<b>/a&b</b> is not there")
    assert "<code>make lab</code>" in diagnosis._repr_html_()
    for finding in diagnosis.findings:
        assert finding.seen in str(diagnosis)
        assert finding.remedy in str(diagnosis)
    assert diagnosis.verdict in str(diagnosis)


# What is the same in every language: numbers, and names of people's and makers' things.
NAMES = re.compile(
    r"Python|PyTorch|JupyterLab|ipywidgets|anywidget|CUDA: NVIDIA [\w ]+, \d+ GB|[\d.]+(?:post\d)?(?:\+\w+)?|[,:\s]"
)


def test_everything_is_said_in_the_language_that_is_spoken(unmarked, monkeypatch):
    """On this machine, and on one that has hardly anything."""
    assert NAMES.sub("", unmarked(str(doctor()))) == ""
    memory = collections.namedtuple("memory", "total")
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory(2e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100e9, 99.6e9, 0.4e9))
    monkeypatch.setattr(metadata, "version", lambda name: "0.1")
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [])
    monkeypatch.setattr("largemodels.course.doctor.can_be_written", lambda folder: False)
    diagnosis = doctor()
    assert len([finding for finding in diagnosis.findings if finding.state != "ok"]) >= 7
    assert NAMES.sub("", unmarked(str(diagnosis))) == ""
    cells = [cell for row in Table(diagnosis._repr_html_()).rows for cell in row]
    assert NAMES.sub("", unmarked("".join(cells))) == ""


@pytest.mark.parametrize(
    ("states", "verdict"), [("ok ok", "in order"), ("ok warning", "runs here"), ("warning problem", "not in order")]
)
def test_verdict(states, verdict):
    diagnosis = Diagnosis(tuple(Finding("x", state, "y") for state in states.split()))
    assert verdict in diagnosis.verdict
    assert diagnosis.has_problem == ("problem" in states)


@pytest.mark.slow
def test_exit_status(tmp_path):
    def run(library: Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "largemodels", "doctor"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(library)},
            capture_output=True,
            encoding="utf-8",
        )

    assert run(COURSE / "lib").returncode == 0
    shutil.copytree(COURSE / "lib" / "largemodels", tmp_path / "lib" / "largemodels")
    away = run(tmp_path / "lib")
    assert away.returncode == 1
    assert "Clone the course" in away.stdout
    assert away.stderr == ""

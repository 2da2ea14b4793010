"""Is everything the course needs in order on this machine, and if not, what is to be done?

``python -m largemodels doctor`` in a terminal, ``doctor()`` in a notebook. Every check really does a little of what
the chapters do: multiply matrices, look for the front page, ask for a font.
"""

import html
import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from .lab import FRONT_PAGE, course_folder

REINSTALL = "run `python course.py lab` in the course's folder; it installs what is missing"
GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """What one check saw, and the remedy if that is not in order."""

    subject: str
    state: Literal["ok", "warning", "problem"]
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"\n{'':23} what to do: {self.remedy}" if self.remedy else ""
        return f"{self.state:8} {self.subject:14} {self.seen}{remedy}"


@dataclass(frozen=True)
class Diagnosis:
    """All findings: text in a terminal, a table in a notebook."""

    findings: tuple[Finding, ...]

    @property
    def has_problem(self) -> bool:
        return any(finding.state == "problem" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One sentence over all."""
        if self.has_problem:
            return "Something is not in order; the lines marked 'problem' say what to do."
        if any(finding.state == "warning" for finding in self.findings):
            return "The course runs here; the lines marked 'warning' would make it better."
        return "All is in order."

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), "", self.verdict])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Dark text on a light ground of its own, so that it reads in Jupyter's dark theme as well.
        colors = {"ok": "#d7efe0", "warning": "#fdeec2", "problem": "#f9d3cd"}
        cell = "padding:4px 10px;text-align:left;vertical-align:top;color:#1b1b1b;white-space:normal"
        rows = []
        for finding in self.findings:
            remedy = re.sub("`(.*?)`", r"<code>\1</code>", html.escape(finding.remedy))
            remedy = f"<br><b>What to do:</b> {remedy}" if remedy else ""
            rows.append(
                f'<tr style="background:{colors[finding.state]}"><td style="{cell}"><b>{finding.state}</b></td>'
                f'<td style="{cell};white-space:nowrap">{html.escape(finding.subject)}</td>'
                f'<td style="{cell}">{html.escape(finding.seen)}{remedy}</td></tr>'
            )
        return f"<table>{''.join(rows)}</table><p>{html.escape(self.verdict)}</p>"


def doctor() -> Diagnosis:
    """Look at Python, the packages, PyTorch, the fonts, the device, the course's folder and the disk."""
    return Diagnosis(tuple(examine()))


def examine() -> Iterator[Finding]:
    """The same, one finding at a time: importing PyTorch takes a while."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "Python": _python,
        "packages": _packages,
        "JupyterLab": _jupyterlab,
        "widgets": _widgets,
        "PyTorch": _torch,
        "device": _device,
        "Chinese font": _font,
        "course folder": _folder,
        "disk": _disk,
    }
    for subject, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # a broken installation can fail in any way; the other checks still matter
            yield Finding(subject, "problem", f"{type(error).__name__}: {error}", REINSTALL)


def _python() -> Iterator[Finding]:
    environment = Path(sys.prefix)
    where = "the course's .venv" if environment == Path(__file__).resolve().parents[2] / ".venv" else environment
    seen = f"{platform.python_version()} on {platform.system()} {platform.machine()}, in {where}"
    if sys.version_info < (3, 11):  # noqa: UP036  (the package can be on the path without having been installed)
        yield Finding(
            "Python", "problem", seen, "install Python 3.11 or newer, delete .venv, run `python course.py lab`"
        )
    else:
        yield Finding("Python", "ok", seen)


def _packages() -> Iterator[Finding]:
    """Every dependency is there, in the version the course was tested with."""
    tested = dict(re.findall(r"([\w-]+)==([\w.]+)", requirement)[0] for requirement in _requirements())
    missing, different = [], []
    for name, version in tested.items():
        try:
            installed = metadata.version(name).split("+")[0]  # torch's "+cpu" is the same version
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed != version:
            different.append(f"{name} {installed} (tested with {version})")
    if missing:
        yield Finding("packages", "problem", f"missing: {', '.join(missing)}", REINSTALL)
    if different:
        yield Finding(
            "packages",
            "warning",
            ", ".join(different),
            "nothing if all else works: numbers may differ in their last digits. For the tested versions "
            "run `python course.py lab`",
        )
    if not missing and not different:
        yield Finding("packages", "ok", f"all {len(tested)} in the tested versions")


def _requirements() -> list[str]:
    """The course's own dependencies, without those of its tests."""
    return [line for line in metadata.requires("largemodels") or [] if "extra ==" not in line]


def _jupyterlab() -> Iterator[Finding]:
    version = importlib.import_module("jupyterlab").__version__
    if int(version.split(".")[0]) < 4:
        yield Finding("JupyterLab", "problem", f"{version} is too old; the course needs 4", REINSTALL)
    else:
        yield Finding("JupyterLab", "ok", version)


def _widgets() -> Iterator[Finding]:
    """A widget has two halves: a Python package, and a JupyterLab extension that draws it in the browser."""
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    for package, extension in {"ipywidgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}.items():
        version = importlib.import_module(package).__version__
        if any((folder / extension / "package.json").is_file() for folder in folders):
            yield Finding(package, "ok", version)
        else:
            seen = f"{version}, but JupyterLab's half of it, {extension}, is missing"
            yield Finding(package, "problem", seen, f"run `python -m pip install --force-reinstall {package}`")


def _torch() -> Iterator[Finding]:
    torch = importlib.import_module("torch")
    a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    product = (a @ b).tolist()
    threads = torch.get_num_threads()
    seen = f"{torch.__version__}, {threads} {'thread' if threads == 1 else 'threads'}"
    if product != [[2.0, 1.0], [4.0, 3.0]]:
        yield Finding("PyTorch", "problem", f"{seen}, multiplies wrongly: {product}", REINSTALL)
    else:
        yield Finding("PyTorch", "ok", seen)


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
        yield Finding("device", "ok", f"CUDA: {name}, {memory / GIGABYTE:.0f} GB, {_multiplies_on(torch, 'cuda')}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "ok", f"MPS: Apple GPU, {_multiplies_on(torch, 'mps')}")
    memory = _memory() / GIGABYTE
    seen = f"CPU: {os.cpu_count()} cores, {memory:.0f} GB of memory, {_multiplies_on(torch, 'cpu')}"
    if memory < 3:
        yield Finding("device", "warning", seen, "close other programs before a chapter that trains a model")
    else:
        yield Finding("device", "ok", seen)


def _multiplies_on(torch, device: str) -> str:
    """Multiply on the device in float32 and bfloat16; say which work, or raise if float32 is wrong."""
    ones = torch.ones(64, 64, device=device)
    if (ones @ ones).mean().item() != 64:
        raise RuntimeError(f"a matrix product on {device} is wrong")
    try:
        right = (ones.bfloat16() @ ones.bfloat16()).float().mean().item() == 64
    except (RuntimeError, TypeError):
        right = False
    return "float32 and bfloat16" if right else "float32, no bfloat16"


def _memory() -> int:
    """Bytes of main memory; psutil comes with the notebook kernel."""
    return importlib.import_module("psutil").virtual_memory().total


def _font() -> Iterator[Finding]:
    from .plots import chinese_font

    if font := chinese_font():
        yield Finding("Chinese font", "ok", font)
    else:
        yield Finding(
            "Chinese font",
            "warning",
            "none found: Chinese characters in figures come out as boxes",
            "install one and restart the kernel: Debian, Ubuntu `sudo apt install fonts-noto-cjk`; Fedora "
            "`sudo dnf install google-noto-sans-cjk-fonts`; Windows: Settings, Optional features, Chinese supplemental "
            "fonts",
        )


def _folder() -> Iterator[Finding]:
    try:
        folder = course_folder()
    except FileNotFoundError as error:
        yield Finding("course folder", "problem", str(error))  # says itself what to do
        return
    if os.access(folder, os.W_OK):
        yield Finding("course folder", "ok", f"has {FRONT_PAGE} and can be written to")
    else:
        seen = f"{folder} cannot be written to, so neither can your answers"
        yield Finding("course folder", "problem", seen, "copy the course to a folder of your own")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path(__file__)).free / GIGABYTE
    if free < 1:
        yield Finding("disk", "warning", f"{free:.1f} GB free", "make room: 1 GB is enough for all chapters")
    else:
        yield Finding("disk", "ok", f"{free:.0f} GB free")

"""Is everything the course needs in order on this machine, and if not, what is to be done?

``python -m largemodels doctor`` in a terminal, ``doctor()`` in a notebook. Every check really does a little of what
the chapters do: multiply matrices, look for the front page, write into the folder.
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

from ..language import later, padded, say
from .lab import FRONT_PAGE, can_be_written, course_folder, home_of_jupyter

REINSTALL = later("run `python course.py lab` in the course's folder; it installs what is missing")
STATES = {"ok": later("ok"), "warning": later("warning"), "problem": later("problem")}
GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """What one check saw, and the remedy if that is not in order; the subject is said when it is shown."""

    subject: str
    state: Literal["ok", "warning", "problem"]
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"\n{'':23} {say('what to do: {remedy}', remedy=self.remedy)}" if self.remedy else ""
        return f"{padded(say(STATES[self.state]), 8)} {padded(say(self.subject), 14)} {self.seen}{remedy}"


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
            return say("Something is not in order; the lines marked 'problem' say what to do.")
        if any(finding.state == "warning" for finding in self.findings):
            return say("The course runs here; the lines marked 'warning' would make it better.")
        return say("All is in order.")

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
            remedy = f"<br><b>{say('What to do:')}</b> {remedy}" if remedy else ""
            rows.append(
                f'<tr style="background:{colors[finding.state]}"><td style="{cell}"><b>{say(STATES[finding.state])}</b></td>'
                f'<td style="{cell};white-space:nowrap">{html.escape(say(finding.subject))}</td>'
                f'<td style="{cell}">{html.escape(finding.seen)}{remedy}</td></tr>'
            )
        return f"<table>{''.join(rows)}</table><p>{html.escape(self.verdict)}</p>"


def doctor() -> Diagnosis:
    """Look at Python, the packages, PyTorch, the device, the course's folder and the disk."""
    return Diagnosis(tuple(examine()))


def examine() -> Iterator[Finding]:
    """The same, one finding at a time: importing PyTorch takes a while."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "Python": _python,
        later("packages"): _packages,
        "JupyterLab": _jupyterlab,
        later("widgets"): _widgets,
        "PyTorch": _torch,
        later("device"): _device,
        later("course folder"): _folder,
        later("home folder"): _home,
        later("disk"): _disk,
    }
    for subject, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # a broken installation can fail in any way; the other checks still matter
            yield Finding(subject, "problem", f"{type(error).__name__}: {error}", say(REINSTALL))


def _python() -> Iterator[Finding]:
    environment = Path(sys.prefix)
    own = environment == Path(__file__).resolve().parents[3] / ".venv"
    seen = say(
        "{version} on {system}, in {place}",
        version=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        place=say("the course's .venv") if own else environment,
    )
    if sys.version_info < (3, 11):  # noqa: UP036  (the package can be on the path without having been installed)
        remedy = say("install Python 3.11 or newer, delete .venv, run `python course.py lab`")
        yield Finding("Python", "problem", seen, remedy)
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
            different.append(say("{package} (tested with {version})", package=f"{name} {installed}", version=version))
    if missing:
        yield Finding("packages", "problem", say("missing: {names}", names=", ".join(missing)), say(REINSTALL))
    if different:
        remedy = say(
            "nothing if all else works: numbers may differ in their last digits. For the tested versions "
            "run `python course.py lab`"
        )
        yield Finding("packages", "warning", ", ".join(different), remedy)
    if not missing and not different:
        yield Finding("packages", "ok", say("all {count} in the tested versions", count=len(tested)))


def _requirements() -> list[str]:
    """The course's own dependencies, without those of its tests."""
    return [line for line in metadata.requires("largemodels") or [] if "extra ==" not in line]


def _jupyterlab() -> Iterator[Finding]:
    version = importlib.import_module("jupyterlab").__version__
    if int(version.split(".")[0]) < 4:
        seen = say("{version} is too old; the course needs 4", version=version)
        yield Finding("JupyterLab", "problem", seen, say(REINSTALL))
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
            seen = say(
                "{version}, but JupyterLab's half of it, {extension}, is missing", version=version, extension=extension
            )
            remedy = say("run `{command}`", command=f"python -m pip install --force-reinstall {package}")
            yield Finding(package, "problem", seen, remedy)


def _torch() -> Iterator[Finding]:
    torch = importlib.import_module("torch")
    a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    product = (a @ b).tolist()
    threads = torch.get_num_threads()
    count = say("1 thread") if threads == 1 else say("{count} threads", count=threads)
    seen = f"{torch.__version__}, {count}"
    if product != [[2.0, 1.0], [4.0, 3.0]]:
        seen = say("{version}, multiplies wrongly: {product}", version=seen, product=product)
        yield Finding("PyTorch", "problem", seen, say(REINSTALL))
    else:
        yield Finding("PyTorch", "ok", seen)


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
        yield Finding("device", "ok", f"CUDA: {name}, {memory / GIGABYTE:.0f} GB, {_multiplies_on(torch, 'cuda')}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "ok", f"{say('MPS: Apple GPU')}, {_multiplies_on(torch, 'mps')}")
    memory = _memory() / GIGABYTE
    seen = say(
        "CPU: {cores} cores, {memory:.0f} GB of memory, {numbers}",
        cores=os.cpu_count(),
        memory=memory,
        numbers=_multiplies_on(torch, "cpu"),
    )
    if memory < 3:
        yield Finding("device", "warning", seen, say("close other programs before a chapter that trains a model"))
    else:
        yield Finding("device", "ok", seen)


def _multiplies_on(torch, device: str) -> str:
    """Multiply on the device in float32 and bfloat16; say which work, or raise if float32 is wrong."""
    ones = torch.ones(64, 64, device=device)
    if (ones @ ones).mean().item() != 64:
        raise RuntimeError(say("a matrix product on {device} is wrong", device=device))
    try:
        right = (ones.bfloat16() @ ones.bfloat16()).float().mean().item() == 64
    except (RuntimeError, TypeError):
        right = False
    return say("float32 and bfloat16") if right else say("float32, no bfloat16")


def _memory() -> int:
    """Bytes of main memory; psutil comes with the notebook kernel."""
    return importlib.import_module("psutil").virtual_memory().total


def _folder() -> Iterator[Finding]:
    try:
        folder = course_folder()
    except FileNotFoundError as error:
        yield Finding("course folder", "problem", str(error))  # says itself what to do
        return
    if can_be_written(folder):
        yield Finding("course folder", "ok", say("has {page} and can be written to", page=FRONT_PAGE))
    else:
        seen = say("{folder} cannot be written to, so neither can your answers", folder=folder)
        yield Finding("course folder", "problem", seen, say("copy the course to a folder of your own"))


def _home() -> Iterator[Finding]:
    home = home_of_jupyter()
    if can_be_written(home):
        yield Finding("home folder", "ok", say("can be written to"))
    else:
        seen = say("{home} cannot be written to, and Jupyter keeps files there", home=home)
        remedy = say(
            "start the course with `python course.py lab`, which finds them another place, or set HOME to a folder of "
            "your own"
        )
        yield Finding("home folder", "warning", seen, remedy)


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path(__file__)).free / GIGABYTE
    if free < 1:
        seen, remedy = say("{free:.1f} GB free", free=free), say("make room: 1 GB is enough for all chapters")
        yield Finding("disk", "warning", seen, remedy)
    else:
        yield Finding("disk", "ok", say("{free:.0f} GB free", free=free))

"""Start JupyterLab on the course's front page, with the course's own settings and without touching the user's."""

import os
import sys
import tempfile
from pathlib import Path

from ..language import ENGLISH, language, say

FRONT_PAGE = "START.ipynb"


def front_page(code: str) -> str:
    """The name of the page on which the edition in this language begins."""
    return FRONT_PAGE if code == ENGLISH else f"START.{code}.ipynb"


def course_folder() -> Path:
    """The folder that holds the chapters: two above this package, which is installed from the course's ``lib/``.

    Raises:
        FileNotFoundError: the package was installed without the course around it.
    """
    folder = Path(__file__).resolve().parents[3]
    if not (folder / FRONT_PAGE).is_file():
        raise FileNotFoundError(
            say(
                "{page} is not in {folder}: this package was installed away from the course's folder. "
                "Clone the course and run `python course.py lab` there.",
                page=FRONT_PAGE,
                folder=folder,
            )
        )
    return folder


def patient_threads() -> dict[str, str]:
    """Environment variables that tell waiting threads when to sleep, unless the user has told them.

    Threads that spin keep a busy machine from its work, ones that sleep at once take long to wake. Measured, a step of
    chapter 4's translator on two cores, in ms, on a processor of AMD and, at twice the batch, on a virtual one of Intel:

        turns before they sleep       none    1,000    3,000    10,000   100,000   for ever
        AMD, idle; one core busy    44, 58   32, 72                                 31, 114
        Intel, idle; one core busy  85, 87   76, 95  58, 107   51, 156   51, 613         55

    (GOMP is the OpenMP of PyTorch on Linux; others know the policy only.)
    """
    return {} if "OMP_WAIT_POLICY" in os.environ else {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}


def kept_memory() -> dict[str, str]:
    """Environment variables that let a process keep the memory which a step of training gives back, for the next one.

    Else it goes back to the system, which has to clear it, page by page, before it gives it out again. Measured on one
    thread: chapters 6 and 7 take 3 to 8 % less, and at its peak chapter 6 has 1.37 GB where it had 1.30.

    (They are those of the C library of Linux. Its older versions take no more than 32 MB for the second, and then, told
    too much, fall back on 128 kB.)
    """
    settings = {"MALLOC_TRIM_THRESHOLD_": 1 << 30, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
    return {} if settings.keys() & os.environ.keys() else {name: str(size) for name, size in settings.items()}


def training_settings() -> dict[str, str]:
    """Environment variables with which a process trains on a CPU as fast as it can."""
    return patient_threads() | kept_memory()


def can_be_written(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is made itself if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(
            dir=folder
        ):  # asking for permissions is not enough: the disk may be read-only or full
            return True
    except OSError:
        return False


def home_of_jupyter() -> Path:
    """The home folder, where Jupyter, IPython and matplotlib keep files of their own."""
    return Path(os.environ.get("HOME") or os.environ.get("USERPROFILE") or Path.home())


def settle(folder: Path) -> Path:
    """Find a place for what Jupyter writes, also where home or course are read-only; return that of its workspaces."""
    workspaces = folder / ".course" / "workspaces"
    course_is_writable = can_be_written(workspaces.parent)
    if not course_is_writable:
        workspaces = Path(tempfile.mkdtemp(prefix="largemodels-")) / "workspaces"
        told = say(
            "{folder} cannot be written to: you can read and run everything, but your answers cannot be saved there. "
            "Copy the course to a folder of your own to keep them.",
            folder=folder,
        )
        print(told, file=sys.stderr)
    home = home_of_jupyter()
    if not can_be_written(home):
        other = folder / ".course" / "home" if course_is_writable else workspaces.parent / "home"
        other.mkdir(parents=True, exist_ok=True)
        os.environ["USERPROFILE" if os.name == "nt" else "HOME"] = str(other)
        told = say(
            "The home folder {home} cannot be written to; what Jupyter keeps there goes to {other}.",
            home=home,
            other=other,
        )
        print(told, file=sys.stderr)
    return workspaces


def lab(arguments: list[str]) -> None:
    """Become JupyterLab in the language that is spoken here; `arguments` are its own, such as ``--no-browser``."""
    try:
        folder = course_folder()
    except FileNotFoundError as error:
        sys.exit(str(error))
    workspaces = settle(folder)
    places = [folder / ".course" / "languages" / language(), folder / ".course"]
    settings = [*map(str, places), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(settings)
    os.environ |= training_settings()
    os.environ.pop("MPLBACKEND", None)  # one for scripts would keep figures out of the notebooks
    os.chdir(folder)

    from jupyterlab.labapp import LabApp  # after the variable is set, since Jupyter looks at it early
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    if not workspaces.exists():  # the first time: the table of contents is open; later Lab remembers what was
        first = (folder / ".course" / "first.jupyterlab-workspace").read_text(encoding="utf-8")
        WorkspacesManager(str(workspaces)).save("default", first)
    sys.exit(LabApp.launch_instance([f"--LabApp.workspaces_dir={workspaces}", *arguments]))

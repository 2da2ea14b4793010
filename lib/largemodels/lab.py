"""Start JupyterLab on the course's front page, with the course's own settings and without touching the user's."""

import os
import sys
from pathlib import Path

FRONT_PAGE = "START.ipynb"


def course_folder() -> Path:
    """The folder that holds the chapters: two above this package, which is installed from the course's ``lib/``.

    Raises:
        FileNotFoundError: the package was installed without the course around it.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / FRONT_PAGE).is_file():
        raise FileNotFoundError(
            f"{FRONT_PAGE} is not in {folder}: this package was installed away from the course's folder. "
            "Clone the course and run `python course.py lab` there."
        )
    return folder


def patient_threads() -> dict[str, str]:
    """Environment variables that tell waiting threads when to sleep, unless the user has told them.

    Threads that spin keep a busy machine from its work, ones that sleep at once take long to wake. Measured, a step of
    chapter 4's translator on two cores: 31 ms spinning for ever and 44 sleeping at once; with one core busy 114 and 58.
    A thousand turns take 32 and 72. (GOMP is the OpenMP of PyTorch on Linux; others know the policy only.)
    """
    return {} if "OMP_WAIT_POLICY" in os.environ else {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def lab(arguments: list[str]) -> None:
    """Become JupyterLab; `arguments` are its own, such as ``--no-browser`` or ``--port=9000``."""
    try:
        folder = course_folder()
    except FileNotFoundError as error:
        sys.exit(str(error))
    settings = [str(folder / ".course"), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(settings)
    os.environ |= patient_threads()
    os.chdir(folder)

    from jupyterlab.labapp import LabApp  # after the variable is set, since Jupyter looks at it early
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    workspaces = folder / ".course" / "workspaces"
    if not workspaces.exists():  # the first time: the table of contents is open; later Lab remembers what was
        first = (folder / ".course" / "first.jupyterlab-workspace").read_text(encoding="utf-8")
        WorkspacesManager(str(workspaces)).save("default", first)
    sys.exit(LabApp.launch_instance(arguments))

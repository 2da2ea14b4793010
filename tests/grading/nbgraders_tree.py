"""nbgrader's own commands, run on our notebooks in a temporary folder."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "course"
c.ExecutePreprocessor.timeout = 120
c.IncludeHeaderFooter.header = ""
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
"""


def nbgrader(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """One of nbgrader's commands, in `folder`."""
    places = {f"JUPYTER_{name}_DIR": str(folder / ".jupyter") for name in ("CONFIG", "RUNTIME")} | {"HOME": str(folder)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # it calls alembic
    environment = (
        os.environ
        | places
        | {"PATH": path}
        | {"OMP_NUM_THREADS": "1", "LARGEMODELS_PROGRESS": str(folder / "progress")}
    )
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    if check and done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done


def make(folder: Path, source: dict, name: str = "01-attention") -> None:
    """A course with our solved notebook as its only assignment, `one`, released."""
    (folder / "source" / "one").mkdir(parents=True)
    (folder / "source" / "one" / f"{name}.ipynb").write_text(json.dumps(source), encoding="utf-8")
    (folder / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    nbgrader(folder, "generate_assignment", "one", "--create")


def submit(folder: Path, student: str, submission: dict, name: str = "01-attention") -> None:
    place = folder / "submitted" / student / "one"
    place.mkdir(parents=True)
    (place / f"{name}.ipynb").write_text(json.dumps(submission), encoding="utf-8")


def grades(folder: Path) -> dict[str, float]:
    """Points by student, as nbgrader exports them."""
    nbgrader(folder, "export", "--to", "nbgrader.csv")
    with (folder / "nbgrader.csv").open(encoding="utf-8") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}

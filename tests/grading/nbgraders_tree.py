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


def nbgrader(folder: Path, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess:
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
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done


def _write(place: Path, notebooks: dict[str, dict]) -> None:
    place.mkdir(parents=True)
    for name, notebook in notebooks.items():
        (place / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def make(folder: Path, sources: dict[str, dict]) -> dict[str, dict]:
    """A course with our solved notebooks as its only assignment, `one`; what nbgrader releases, by name."""
    _write(folder / "source" / "one", sources)
    (folder / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    nbgrader(folder, "generate_assignment", "one", "--create")
    released = folder / "release" / "one"
    return {name: json.loads((released / f"{name}.ipynb").read_text(encoding="utf-8")) for name in sources}


def submit(folder: Path, student: str, notebooks: dict[str, dict]) -> None:
    _write(folder / "submitted" / student / "one", notebooks)


def grades(folder: Path) -> dict[str, float]:
    """Points by student, as nbgrader exports them."""
    nbgrader(folder, "export", "--to", "nbgrader.csv")
    with (folder / "nbgrader.csv").open(encoding="utf-8") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}

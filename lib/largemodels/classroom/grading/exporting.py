"""Students' code for a program that compares it, JPlag or MOSS: a folder for each student, their own code only.

``students/NAME/1.py`` holds the cells of chapter 1 that did not come with the notebook, ``given/1.py`` those that did:
both programs can be told to leave out what was given.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...language import ENGLISH
from ...storage import write_whole
from .extracting import CodeCell
from .feedback import folder_name
from .gradebook import Gradebook


def export(folder: Path, book: Gradebook, released: Mapping[tuple[str, str], list[CodeCell]]) -> None:
    """Write both; an export that lies there already is replaced.

    Raises:
        ValueError: something else lies there.
    """
    if found := _something_else(folder):
        raise ValueError(f"{folder} holds something else than an export, {found}: name a new folder")
    shutil.rmtree(folder, ignore_errors=True)
    for (chapter, language), cells in released.items():
        name = chapter if language == ENGLISH else f"{chapter}.{language}"
        write_whole(folder / "given" / f"{name}.py", _program(cells))
    for student in book:
        for chapter, submission in student.submissions.items():
            given = {cell.source.strip() for cell in released.get((chapter, submission.notebook.language), ())}
            own = [cell for cell in submission.notebook.cells if cell.source.strip() not in given]
            write_whole(folder / "students" / folder_name(student) / f"{chapter}.py", _program(own))


def _something_else(folder: Path) -> Path | None:
    """What no export has written there: the submissions themselves may lie in a folder called ``students``."""
    if folder.exists() and not folder.is_dir():
        return folder
    ours = {folder / "given", *folder.glob("given/*.py"), folder / "students", *folder.glob("students/*-????????/*.py")}
    ours |= {path.parent for path in ours if path.suffix == ".py"}
    return next((path for path in sorted(folder.rglob("*")) if path not in ours or path.is_symlink()), None)


def _program(cells: Iterable[CodeCell]) -> str:
    return "".join(f"# cell {cell.index}\n{cell.code.rstrip()}\n\n" for cell in cells if cell.source.strip())

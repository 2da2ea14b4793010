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
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {"students", "given"}):
        raise ValueError(f"{folder} holds something else than an export: name a new folder")
    shutil.rmtree(folder, ignore_errors=True)
    for (chapter, language), cells in released.items():
        name = chapter if language == ENGLISH else f"{chapter}.{language}"
        write_whole(folder / "given" / f"{name}.py", _program(cells))
    for student in book:
        for chapter, submission in student.submissions.items():
            given = {cell.source.strip() for cell in released.get((chapter, submission.notebook.language), ())}
            own = [cell for cell in submission.notebook.cells if cell.source.strip() not in given]
            write_whole(folder / "students" / folder_name(student) / f"{chapter}.py", _program(own))


def _program(cells: Iterable[CodeCell]) -> str:
    return "".join(f"# cell {cell.index}\n{cell.code.rstrip()}\n\n" for cell in cells if cell.source.strip())

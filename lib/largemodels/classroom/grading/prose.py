"""What a student wrote in words: the Markdown cells of a notebook that did not come with it."""

import json
from pathlib import Path


def markdown(data: bytes) -> list[str]:
    """The text of a notebook's Markdown cells; none where the file is no notebook."""
    try:
        cells = json.loads(data.decode("utf-8-sig"))["cells"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return []
    texts = []
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown":
            source = cell.get("source", "")
            lines = [line for line in source if isinstance(line, str)] if isinstance(source, list) else [source]
            texts.append("".join(line for line in lines if isinstance(line, str)))
    return texts


def given(course: Path) -> frozenset[str]:
    """All that the course's own notebooks say."""
    notebooks = [path for folder in ("exercises", "chapters") for path in course.glob(f"{folder}/**/*.ipynb")]
    return frozenset(text.strip() for path in notebooks for text in markdown(path.read_bytes()))


def own(data: bytes, known: frozenset[str]) -> str:
    """The student's own words, cell by cell; lines of a given cell that was written into are left out."""
    lines = {line.strip() for text in known for line in text.splitlines()}
    texts = [text.strip() for text in markdown(data)]
    kept = ["\n".join(line for line in text.splitlines() if line.strip() not in lines) for text in texts]
    return "\n\n".join(
        text.strip() for text, whole in zip(kept, texts, strict=True) if whole not in known and text.strip()
    )

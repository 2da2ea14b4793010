"""What stands in the book, and what of a notebook a page shows.

A page has the same name in every edition; where an edition lacks a notebook, the English one stands in for it. Pages are
written as sources for Sphinx: notebooks with their links, outputs and notes made fit for reading.
"""

import base64
import hashlib
import html
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ...course.lab import front_page
from ...language import ENGLISH, NAMES, edition_folder, languages, later, say, speaking
from ..release import INTERACTIVE
from .live import as_html

KINDS = {"chapter": later("Chapters"), "exercise": later("Exercises"), "solution": later("Solutions")}
TO_EDITIONS = re.compile(rf"\n\n\[({'|'.join(NAMES.values())})\]\([^)]*\)(?=\Z|\n\n| · )")  # the sidebar has such links
LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<path>[^)\s:#]+)\)")

ONLY_IN_LAB = later(
    "This explorer asks a model, so it needs a kernel: it runs where the notebook does, in JupyterLab \
(`make lab`). The picture above shows the same, standing still."
)
TO_SOLVE = later(
    "The exercises are solved in JupyterLab (`make lab`), where each answer is checked at once. Here they can be \
read and printed."
)
IN_ENGLISH = later("This page has not been translated yet.")
FOREWORD = later(
    "This is the course to read, in a browser and on paper. Its explorers answer here as far as they need no \
model; to change the code and to solve the exercises, open the notebooks with `make lab`."
)


@dataclass(frozen=True)
class Page:
    """One page of an edition; `language` is that of the file at `path`."""

    name: str  # such as "chapters/01-attention": the same in every edition
    kind: str
    path: Path
    language: str

    @property
    def source(self) -> str:
        """Where Sphinx finds it, in the folder of sources."""
        return self.name + self.path.suffix


def edition(course: Path, language: str) -> list[Page]:
    """The pages of a language's edition, in the order in which they are read: solutions stand apart, after the rest."""
    found: dict[str, Page] = {}
    for kind in KINDS:
        for code in dict.fromkeys((ENGLISH, language)):
            for path in sorted(_folder(course, kind, code).glob("*.ipynb")):
                name = f"{kind}s/{path.stem}"
                found[name] = Page(name, kind, path, code)
    pages = list(found.values())
    return [*pages, Page("glossary", "glossary", course / "docs/glossary.md", language)]  # has both languages


def write_sources(course: Path, language: str, pages: list[Page], folder: Path) -> None:
    """Write what Sphinx reads to make these pages, and the front page, into `folder`."""
    files = {place: page.source for page in pages for place in _places(course, page)}
    for page in pages:
        path = folder / page.source
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            path.write_text(
                _linked(page.path.read_text(encoding="utf-8"), page.path, path.parent, folder, files), "utf-8"
            )
        else:
            notebook = nbformat.read(page.path, as_version=4)
            notebook.cells[0].source = TO_EDITIONS.sub("", notebook.cells[0].source)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = _linked(cell.source, page.path, path.parent, folder, files)
            _show_outputs(notebook, page)
            _add_notes(notebook, page, language)
            nbformat.write(notebook, path)
    (folder / "index.md").write_text(_front(course, language, pages, folder, files), encoding="utf-8")


def _folder(course: Path, kind: str, language: str) -> Path:
    return course / f"{kind}s" / edition_folder(language)


def _places(course: Path, page: Page) -> Iterator[Path]:
    """Where its file lies in any edition, for links to it."""
    yield page.path.resolve()
    if page.kind in KINDS:
        yield from (_folder(course, page.kind, code).resolve() / page.path.name for code in languages())


def alternative_texts(pages: list[Page]) -> dict[str, str]:
    """What the pictures on these pages show, by the digests of their files."""
    texts = {}
    for page in pages:
        if page.path.suffix == ".ipynb":
            for output in _outputs(nbformat.read(page.path, as_version=4)):
                if picture := output.get("data", {}).get("image/png"):
                    alt = output.metadata.get("image/png", {}).get("alt", "")
                    texts[hashlib.sha256(base64.b64decode(picture)).hexdigest()] = alt
    return texts


def _show_outputs(notebook: NotebookNode, page: Page) -> None:
    """In an explorer's place stands what a page can show of it."""
    with speaking(page.language):
        left = {INTERACTIVE, say(INTERACTIVE)}
    for output in _outputs(notebook):
        data = output.get("data", {})
        if shown := as_html(data):
            output.data = nbformat.from_dict({"text/html": shown})
        elif data.get("text/plain") in left:
            output.data = nbformat.from_dict({"text/html": _note(say(ONLY_IN_LAB))})


def _add_notes(notebook: NotebookNode, page: Page, language: str) -> None:
    """What the page has to say first, in its title and below."""
    notes = [IN_ENGLISH] if page.language != language else []
    notes += [TO_SOLVE] if page.kind == "exercise" else []
    title, newline, rest = notebook.cells[0].source.partition("\n")
    if page.kind == "solution":  # whose notebook is called as the exercises are
        title = say("{title}: solutions", title=title)
    notebook.cells[0].source = title + "".join(f"\n\n{_note(say(text))}\n" for text in notes) + newline + rest


def _note(text: str) -> str:
    """A box; `text` may hold `code`."""
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return f'<div class="alert alert-info">{words}</div>'


def _outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def _linked(text: str, path: Path, here: Path, folder: Path, files: Mapping[Path, str]) -> str:
    """The text at `path`, to stand in `here`: links between files of the course lead to their sources under `folder`.

    What is no page of the book loses its link, and keeps its words.
    """

    def link(match: re.Match) -> str:
        file = (path.parent / match["path"]).resolve()
        if file in files:
            return f"[{match['text']}]({os.path.relpath(folder / files[file], here)})"
        return match["text"] if file.exists() else match[0]  # such as f[i](x), which is none

    return LINK.sub(link, text)


# ------------------------------------------------------------------------------------------------------ the front page


def _front(course: Path, language: str, pages: list[Page], folder: Path, files: Mapping[Path, str]) -> str:
    """The title and the table of the course's own front page, and lists of all pages for Sphinx."""
    path = course / front_page(language)
    path = path if path.exists() else course / front_page(ENGLISH)
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    shown = [TO_EDITIONS.sub("", cells[0]), *(text for text in cells[1:] if "](chapters/" in text)]
    parts = [_linked(text, path, folder, folder, files) for text in shown]
    parts.insert(1, _note(say(FOREWORD)))
    for kind, caption in KINDS.items():
        names = [page.name for page in pages if page.kind == kind]
        if names:
            parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {say(caption)}", "", *names, "```"]))
    parts.append("\n".join(["```{toctree}", ":hidden:", "", "glossary", "```"]))
    return "\n\n".join(parts) + "\n"

"""The course as a zip for students, without solutions: ``python course.py bundle``.

Everything that a reader needs goes in, notebooks as they were released; what only instructors need stays out, and links
to it are taken out of the pages. The references that `check` compares with stay in the library: it cannot check
without them. The same course gives the same bytes.
"""

import argparse
import json
import posixpath
import re
import sys
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from ..language import say
from ..storage import replacing

COURSE = Path(__file__).parents[3]
FILES = ("README.md", "README.zh.md", "START.ipynb", "START.zh.ipynb", "LICENSE", "LICENSE-text", "Makefile")
FILES += ("course.py", "pyproject.toml", "constraints.txt", "environment.yml", "docs/course.png", "docs/glossary.md")
FILES += ("docs/troubleshooting.md", "docs/zh/troubleshooting.md")
FOLDERS = (".course", "chapters", "exercises", "lib")
LEFT_OUT = re.compile(r"(^|/)(__pycache__|[^/]*\.egg-info|\.ipynb_checkpoints|workspaces|text|\.[^/]*\.part)(/|$)")
TO_SOLUTIONS = re.compile(  # a link to them, with what joins it to the words around
    r"(?:(?: ·)|(?:,? and)|(?:,? or)|,|，)?(?: the reference solutions? (?:is|are)? ?in|参考(?:答案|解答)在)? ?"
    r"\[[^\]]*\]\((?:\.\./)*solutions/[^)]*\)"
)


LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<place>[^)#:\s]+)[^):\s]*\)")  # to a file of the course


class CannotBundle(Exception):
    """Why there is no zip; the message says what to do."""


def bundle(course: Path, path: Path) -> int:
    """Write the zip, whole or not at all; return how many files are in it.

    Raises:
        CannotBundle: the exercises have been worked in, or a solution would be among the files.
    """
    files = {path.relative_to(course).as_posix(): path for path in _files(course)}
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as made:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"large-models/{name}", (2020, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            made.writestr(entry, _content(files[name], name, files))
    return len(files)


def _files(course: Path) -> Iterator[Path]:
    yield from (course / name for name in FILES if (course / name).is_file())
    for folder in FOLDERS:
        for path in (course / folder).rglob("*"):
            if path.is_file() and not LEFT_OUT.search(path.relative_to(course).as_posix()):
                yield path


def _content(path: Path, name: str, names: Collection[str]) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".md":
        return _without_dead_links(TO_SOLUTIONS.sub("", data.decode("utf-8")), name, names).encode("utf-8")
    if path.suffix != ".ipynb":
        return data
    notebook = json.loads(data)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if name.startswith("exercises/") and cell.get("execution_count"):
            raise CannotBundle(say("{name} has been worked in: put the released one back, and then again", name=name))
        if "### BEGIN SOLUTION" in source:
            raise CannotBundle(
                say("{name} holds a solution, in the cell that begins {start!r}", name=name, start=source[:40])
            )
        if cell["cell_type"] == "markdown":
            cell["source"] = TO_SOLUTIONS.sub("", source).splitlines(keepends=True)
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _without_dead_links(text: str, page: str, names: Collection[str]) -> str:
    """Links of a page to what is for instructors become their words."""

    def kept(link: re.Match) -> str:
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["place"]))
        there = goal in names or any(name.startswith(f"{goal}/") for name in names)
        return link[0] if there else link["text"]

    return LINK.sub(kept, text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "zip", nargs="?", type=Path, default=Path("large-models.zip"), metavar="ZIP", help="(default: %(default)s)"
    )


def main(arguments: argparse.Namespace) -> int:
    try:
        count = bundle(COURSE, arguments.zip)
    except (CannotBundle, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    size = arguments.zip.stat().st_size / 1e6
    told = say("{path}: {count} files, {size:.1f} MB, no solutions", path=arguments.zip, count=count, size=size)
    print(told)
    return 0

"""The chapters' figures as SVG files: ``python -m largemodels figures --out FOLDER``.

A chapter's cells are run with Jupyter's figures set to SVG; what they draw is written beside the section's number.
"""

import argparse
import html
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ...course.lab import course_folder
from ...storage import write_whole
from ..release import COURSE, ReleaseError, choose, execute
from ..sources import SourceError, build, targets
from .sections import HEADING

AS_SVG = '%config InlineBackend.figure_formats = ["svg"]'
SVG = "image/svg+xml"


def figures(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """The figures of a notebook that was run, as (name, SVG): "1.5-2" is the second one of section 1.5."""
    section, counted = "opening", Counter()
    for cell in notebook.cells:
        if heading := HEADING.search(cell.source):
            section = heading["number"]
        for output in cell.get("outputs", []):
            if drawn := output.get("data", {}).get(SVG):
                counted[section] += 1
                alt = output.metadata.get("image/png", {}).get("alt", "")  # where `plots.Picture` leaves it
                yield f"{section}-{counted[section]}", titled(drawn, alt)


def titled(svg: str, title: str) -> str:
    """The same with a title, which screen readers read out."""
    start = f'\\1 role="img"><title>{html.escape(title)}</title>'
    return re.sub(r"(<svg\b[^>]*)>", lambda match: match.expand(start), svg, count=1) if title else svg


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapters", nargs="*", help="the beginning of a chapter's name, such as 01 or zh/01; else all")
    parser.add_argument(
        "--out", type=Path, default=Path("figures"), metavar="FOLDER", help="where to put them (default: %(default)s)"
    )


def main(arguments: argparse.Namespace) -> int:
    from ..exercises import exercises

    try:
        course_folder()  # or say what to do
        chapters = [target for target in targets(COURSE) if target.kind == "chapter" and target.keeps_outputs]
        for target in choose(chapters, arguments.chapters):
            notebook = build(target, exercises)
            notebook.cells.insert(0, nbformat.v4.new_code_cell(AS_SVG))
            execute(notebook, target.path)
            folder = arguments.out / target.path.relative_to(COURSE / "chapters").with_suffix("")
            folder.mkdir(parents=True, exist_ok=True)
            drawn = dict(figures(notebook))
            for name, svg in drawn.items():
                write_whole(folder / f"{name}.svg", svg)
            print(f"{len(drawn)} figures in {folder}")
    except (SourceError, ReleaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the chapters drawn so far are whole", file=sys.stderr)
        return 130
    return 0

"""Tables in Markdown pages that are made from the course, in the language of the page.

A page says where, and the text between is replaced; the lines themselves are not shown on a page::

    <!-- made: hours -->
    …
    <!-- end -->
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ...language import ENGLISH, languages, speaking
from ..exercise import Exercise
from ..hours import hours_table
from .glossary import glossary_table
from .mistakes import mistakes_list
from .sections import sections
from .syllabus import days_table, exercises_table, read_syllabus, sections_table, slides_table, weeks_table

PLACE = re.compile(r"^<!-- made: (?P<name>[\w-]+) -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)
EDGE = re.compile(r"^<!-- (made: .*|end) -->$", re.MULTILINE)
PAGES = ("README.md", "README.*.md", "docs/*.md", "docs/*/*.md")

Made = Callable[[Path, Mapping[str, Exercise]], str]
MADE: dict[str, Made] = {
    "hours": lambda course, exercises: hours_table(course, exercises.values()),
    "slides": lambda course, exercises: slides_table(read_syllabus(course, exercises)),
    "sections": lambda course, exercises: sections_table(read_syllabus(course, exercises)),
    "exercises": lambda course, exercises: exercises_table(read_syllabus(course, exercises)),
    "eight-weeks": lambda course, exercises: weeks_table(read_syllabus(course, exercises), halves=2),
    "sixteen-weeks": lambda course, exercises: weeks_table(read_syllabus(course, exercises), halves=1),
    "five-days": lambda course, exercises: days_table(read_syllabus(course, exercises)),
    "mistakes": lambda course, exercises: mistakes_list(exercises.values()),
    "glossary": lambda course, exercises: glossary_table(sections(course)),
}


class PageError(Exception):
    """A place that cannot be filled; the message names the page."""


def filled(text: str, course: Path, exercises: Mapping[str, Exercise]) -> str:
    """The text of a page with all its places filled.

    Raises:
        PageError: a place has an unknown name, or no end.
    """

    def fill(place: re.Match) -> str:
        name = place["name"]
        if name not in MADE:
            raise PageError(f"<!-- made: {name} --> is unknown; there are {', '.join(MADE)}")
        try:
            made = MADE[name](course, exercises)
        except ValueError as error:
            raise PageError(f"<!-- made: {name} -->: {error}") from None
        return f"<!-- made: {name} -->\n\n{made}\n\n<!-- end -->"

    if len(EDGE.findall(text)) != 2 * len(PLACE.findall(text)):
        raise PageError("each <!-- made: … --> needs an <!-- end --> of its own, on a line of its own")
    return PLACE.sub(fill, text)


def filled_pages(course: Path, exercises: Mapping[str, Exercise]) -> dict[Path, str]:
    """The pages that differ from what they should be, and what they should be."""
    found = {}
    for path in sorted(path for pattern in PAGES for path in course.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        try:
            with speaking(_language(path.relative_to(course))):
                wanted = filled(text, course, exercises)
        except PageError as error:
            raise PageError(f"{path.relative_to(course).as_posix()}: {error}") from None
        if wanted != text:
            found[path] = wanted
    return found


def _language(page: Path) -> str:
    """Of ``README.zh.md`` and ``docs/zh/…`` it is "zh"; the folder of the course may have any name."""
    named = (code for code in languages() if page.stem.endswith(f".{code}") or page.parent.name == code)
    return next(named, ENGLISH)


def stale_pages(course: Path, exercises: Mapping[str, Exercise]) -> list[str]:
    """The same in words."""
    pages = filled_pages(course, exercises)
    return [f"{path.relative_to(course).as_posix()} has tables that are not the course's any more" for path in pages]

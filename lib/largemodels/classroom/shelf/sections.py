"""The sections of the chapters, and how long each takes to read."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from ...language import ENGLISH, language
from ..hours import reading_minutes

HEADING = re.compile(r"^## (?P<number>[1-9A-Z]\.\d+) (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """One numbered section of a chapter: "1.5", in the notebook `chapter` ("01-attention")."""

    number: str
    title: str
    chapter: str
    minutes: int
    text: str  # from its heading to the next

    @property
    def link(self) -> str:
        """The number, as a link to the chapter from a page in ``docs/``, or in ``docs/zh/`` where Chinese is spoken."""
        folders = "../chapters" if language() == ENGLISH else f"../../chapters/{language()}"
        return f"[{self.number}]({folders}/{self.chapter}.ipynb)"


def sections(course: Path) -> dict[str, Section]:
    """All sections of the course by their numbers, in the order in which they are read.

    A chapter says how many minutes it takes to read; its sections share them by their length, so that they add up. (The
    opening counts for the first section, summary and questions for the last.)

    In another language a section has the title of that edition, and takes as long as in English.
    """
    found = {
        section.number: section
        for source in sorted(course.glob("chapters/text/*-*.md"))
        for section in _sections_of(source)
    }
    if language() == ENGLISH:
        return found
    titles = {
        heading["number"]: heading["title"]
        for source in course.glob(f"chapters/text/{language()}/*-*.md")
        for heading in HEADING.finditer(source.read_text(encoding="utf-8"))
    }
    return {number: replace(section, title=titles.get(number, section.title)) for number, section in found.items()}


def _sections_of(source: Path) -> Iterator[Section]:
    text = source.read_text(encoding="utf-8")
    headings = list(HEADING.finditer(text))
    edges = [0, *(heading.start() for heading in headings[1:]), len(text)]
    words = [len(text[begin:end].split()) for begin, end in pairwise(edges)]
    minutes = share_out(reading_minutes(source), words)
    for heading, time in zip(headings, minutes, strict=True):
        end = text.find("\n## ", heading.end())
        own = text[heading.start() : end if end >= 0 else None]
        yield Section(heading["number"], heading["title"], source.stem, time, own)


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that are as nearly in proportion to `weights` as they can be and add up to `total`."""
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares

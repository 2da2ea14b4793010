"""The course's terms in both languages: ``docs/glossary.md``, made from ``terms.toml``."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .sections import Section

CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Term:
    """One term; see ``terms.toml``."""

    english: str
    chinese: str
    meaning: str
    slide: str = ""  # the lecture's word
    never: tuple[str, ...] = ()  # what the Chinese text does not say
    find: str = ""

    def first_use(self, sections: Mapping[str, Section]) -> Section:
        """The section whose prose or heading has the term first.

        Raises:
            ValueError: no chapter uses it.
        """
        pattern = re.compile(self.find or rf"\b{re.escape(self.english)}\b", 0 if self.find else re.IGNORECASE)
        for section in sections.values():
            if pattern.search(CODE.sub("", section.text)):
                return section
        raise ValueError(f"terms.toml: no chapter uses {self.english!r}; give it another `find`")


def read_terms() -> list[Term]:
    declared = tomllib.loads(Path(__file__).with_name("terms.toml").read_text(encoding="utf-8"))["terms"]
    return [Term(**{**term, "never": tuple(term.get("never", ()))}) for term in declared]


def glossary_table(sections: Mapping[str, Section]) -> str:
    """In alphabetical order."""
    lines = ["| English | 中文 | on the slides | what it means | first in |", "|:--|:--|:--|:--|:--|"]
    for term in sorted(read_terms(), key=lambda term: term.english.removeprefix("the ").lower()):
        cells = (
            f"**{term.english}**",
            term.chinese,
            term.slide.replace("<", "&lt;"),
            term.meaning,
            term.first_use(sections).link,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)

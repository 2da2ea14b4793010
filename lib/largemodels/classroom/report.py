"""What a check says: points, stage by stage, and one message; readable in a notebook and in a terminal."""

import html
import os
import re
from dataclasses import dataclass
from typing import Literal

from ..language import later, say

STATUSES = (later("passed"), later("wrong"), later("not attempted"))


@dataclass(frozen=True)
class StageResult:
    title: str
    points: float
    max_points: float

    @property
    def passed(self) -> bool:
        return self.points == self.max_points


@dataclass(frozen=True)
class Report:
    """The verdict on one answer."""

    exercise: str  # id and title, "1.2 Scaled dot-product attention"
    points: float
    max_points: float
    status: Literal["passed", "wrong", "not attempted"]
    message: str
    stages: tuple[StageResult, ...] = ()
    printed: str = ""  # what the answer wrote to the screen, cut

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    @property
    def headline(self) -> str:
        mark = {"passed": "✓", "wrong": "✗", "not attempted": "○"}[self.status]
        return say(
            "{mark} {exercise}: {status}, {points:g} of {most:g} points",
            mark=mark,
            exercise=self.exercise,
            status=say(self.status),
            points=self.points,
            most=self.max_points,
        )

    def __str__(self) -> str:
        lines = [self.headline]
        if self.status == "wrong":
            lines += [f"  {'✓' if s.passed else '✗'} {s.title} ({s.points:g}/{s.max_points:g})" for s in self.stages]
        lines.append(self.message)
        if self.printed:
            lines.append(say("Your code printed:") + f"\n{self.printed}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """What a notebook shows as text. nbgrader, while it grades, reads a cell's points from a lone number there."""
        return f"{self.points:g}" if os.environ.get("NBGRADER_EXECUTION") == "autograde" else str(self)

    def _repr_html_(self) -> str:
        # The theme's colours, at least 3 : 1 on its paper; where there is no theme, ones that are so on white and black.
        color = {
            "passed": "var(--jp-success-color1, #388e3c)",
            "wrong": "var(--jp-error-color1, #d32f2f)",
            "not attempted": "var(--jp-content-font-color2, #777777)",
        }[self.status]
        parts = [f"<b>{html.escape(self.headline)}</b>"]
        if self.status == "wrong" and len(self.stages) > 1:
            items = (
                f"<li style='list-style:none'>{'✓' if s.passed else '✗'} {marked_up(s.title)} "
                f"({s.points:g}/{s.max_points:g})</li>"
                for s in self.stages
            )
            parts.append(f"<ul style='margin:0.3em 0;padding-left:1em'>{''.join(items)}</ul>")
        parts.append(f"<div>{marked_up(self.message)}</div>")
        if self.printed:
            parts.append(
                f"<details><summary>{say('What your code printed')}</summary><pre>{html.escape(self.printed)}</pre></details>"
            )
        return f"<div style='border-left:4px solid {color};padding:0.4em 0.8em'>{''.join(parts)}</div>"


def marked_up(text: str) -> str:
    """Escape for HTML; `code` and *emphasis* are shown as such, line breaks stay."""
    pieces = html.escape(text).split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick, from the text of an exception perhaps
        return "`".join(pieces).replace("\n", "<br>")
    shown = (
        f"<code>{piece}</code>" if i % 2 else re.sub(r"\*(\w[^*]*)\*", r"<em>\1</em>", piece)
        for i, piece in enumerate(pieces)
    )
    return "".join(shown).replace("\n", "<br>")

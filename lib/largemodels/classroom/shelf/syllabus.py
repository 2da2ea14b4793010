"""The lecture's slides, our sections and the exercises side by side, and a term planned with them, as tables.

What belongs to what is declared in ``syllabus.toml``; the minutes come from the chapters and the exercises, so that
every plan adds up to the hours that the README promises.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...language import language, later, say
from ..exercise import Exercise
from ..hours import clock
from .sections import Section, sections


@dataclass(frozen=True)
class Slide:
    """One heading of the lecture, and the sections in which the course takes it up."""

    heading: str
    asks: Mapping[str, str]  # what for, by language
    sections: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """Some sections and some exercises: what a lesson, a week or a slide is about."""

    sections: tuple[Section, ...] = ()
    exercises: tuple[Exercise, ...] = ()

    @property
    def minutes(self) -> int:
        return sum(part.minutes for part in (*self.sections, *self.exercises))


class Syllabus:
    """All of it; `parts` are the parts of the lecture with their slides.

    Raises:
        ValueError: a section or an exercise that the declaration does not place exactly once, or that does not exist.
    """

    def __init__(self, declared: Mapping, sections: Mapping[str, Section], exercises: Mapping[str, Exercise]):
        self.parts = {
            part["title"]: [Slide(s["heading"], s["asks"], tuple(s["sections"])) for s in part["slides"]]
            for part in declared["parts"]
        }
        self.sections, self.exercises = sections, exercises
        self.after: dict[str, str] = declared["exercises"]["after"]
        course = declared["course"]
        self.beyond, self.second_half, self.days = course["beyond"], course["second_half"], course["days"]
        self.sections_in_class = set(course["in_class"])
        self.exercises_in_class = set(declared["exercises"]["in_class"])
        self.skipped_sections = set(course["skip"])
        self.skipped_exercises = set(declared["exercises"]["skip"])
        slides = [number for part in self.parts.values() for slide in part for number in slide.sections]
        _each_once([*slides, *self.beyond], sections, "section")
        _each_once([*self.after], exercises, "exercise")
        _known([*self.after.values(), *self.sections_in_class, *self.skipped_sections], sections, "section")
        _known([*self.exercises_in_class, *self.skipped_exercises], exercises, "exercise")

    def share(self, numbers: Iterable[str]) -> Share:
        """The sections with these numbers, and the exercises that follow them."""
        numbers = set(numbers)
        return Share(
            tuple(section for section in self.sections.values() if section.number in numbers),
            tuple(exercise for exercise in self.exercises.values() if self.after[exercise.id] in numbers),
        )

    def divided(self, share: Share) -> tuple[Share, Share]:
        """What of it is for the room, and what for home."""
        return tuple(
            Share(
                tuple(s for s in share.sections if (s.number in self.sections_in_class) == here),
                tuple(e for e in share.exercises if (e.id in self.exercises_in_class) == here),
            )
            for here in (True, False)
        )

    def shortened(self, share: Share) -> Share:
        """Without what goes first when time is short."""
        return Share(
            tuple(s for s in share.sections if s.number not in self.skipped_sections),
            tuple(e for e in share.exercises if not self.is_skipped(e)),
        )

    def is_skipped(self, exercise: Exercise) -> bool:
        return exercise.id in self.skipped_exercises or self.after[exercise.id] in self.skipped_sections

    @cached_property
    def halves(self) -> dict[str, list[str]]:
        """The sections of "1a", of "1b", …, the chapters cut in two; the appendix belongs to no half."""
        found = {}
        for begin in self.second_half:
            chapter = begin.split(".")[0]
            numbers = [number for number in self.sections if number.split(".")[0] == chapter]
            cut = numbers.index(begin)
            found[f"{chapter}a"], found[f"{chapter}b"] = numbers[:cut], numbers[cut:]
        return found

    def together(self, halves: Iterable[str]) -> Share:
        return self.share(number for name in halves for number in self.halves[name])


def read_syllabus(course: Path, exercises: Mapping[str, Exercise]) -> Syllabus:
    declared = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return Syllabus(declared, sections(course), exercises)


def _each_once(named: list[str], known: Mapping, kind: str) -> None:
    _known(named, known, kind)
    if twice := sorted({number for number in named if named.count(number) > 1}):
        raise ValueError(f"syllabus.toml places the {kind} {', '.join(twice)} more than once")
    if missing := [number for number in known if number not in named]:
        raise ValueError(f"syllabus.toml does not place the {kind} {', '.join(missing)}")


def _known(named: Iterable[str], known: Mapping, kind: str) -> None:
    if unknown := [number for number in named if number not in known]:
        raise ValueError(f"syllabus.toml names the {kind} {', '.join(unknown)}, which does not exist")


# ------------------------------------------------------------------------------------------------------------- tables

SLIDES = (later("slide"), later("what it asks for"), later("sections"), later("exercises"), later("minutes"))
SECTIONS = (later("section"), later("title"), later("minutes"), later("exercises"), later("where"))
EXERCISES = (later("exercise"), later("title"), later("after"), later("kind"))
EXERCISES += (later("stars"), later("minutes"), later("points"), later("where"))
WEEKS = (later("week"), later("in class"), later("time"), later("at home"), later("time"), later("together"))
DAYS = (later("day"), later("sections"), later("exercises"), later("time"), later("left out"))


def slides_table(syllabus: Syllabus) -> str:
    """Each slide heading: where it is taken up, the exercises that follow, and what both take."""
    rows = []
    for title, slides in syllabus.parts.items():
        shares = [syllabus.share(slide.sections) for slide in slides]
        rows.append((_bold(title), "", "", "", _bold(clock(sum(share.minutes for share in shares)))))
        rows += [
            (slide.heading, slide.asks[language()], _sections(share), _exercises(share), clock(share.minutes))
            for slide, share in zip(slides, shares, strict=True)
        ]
    beyond, everything = syllabus.share(syllabus.beyond), syllabus.share(syllabus.sections)
    rows.append(
        (_bold(say("beyond the slides")), "", _sections(beyond), _exercises(beyond), _bold(clock(beyond.minutes)))
    )
    rows.append((_bold(say("all")), "", "", "", _bold(clock(everything.minutes))))
    return _table(SLIDES, "llllr", rows)


def sections_table(syllabus: Syllabus) -> str:
    """Each section with its title, its minutes, its exercises, and where it belongs."""
    rows = []
    for section in syllabus.sections.values():
        place = _place(section.number in syllabus.sections_in_class, section.number in syllabus.skipped_sections)
        exercises = _exercises(syllabus.share([section.number]))
        rows.append((section.link, section.title, str(section.minutes), exercises, place))
    return _table(SECTIONS, "llrll", rows)


def exercises_table(syllabus: Syllabus) -> str:
    """Each exercise: after which section, of which kind, where."""
    rows = []
    for exercise in syllabus.exercises.values():
        place = _place(exercise.id in syllabus.exercises_in_class, syllabus.is_skipped(exercise))
        facts = (say(exercise.kind), "★" * exercise.stars, str(exercise.minutes), f"{exercise.points:g}")
        rows.append((exercise.id, say(exercise.title), syllabus.after[exercise.id], *facts, place))
    return _table(EXERCISES, "llllcrrl", rows)


def weeks_table(syllabus: Syllabus, halves: int) -> str:
    """One row for each week, in which so many half chapters are taken: what is for the room, and what for home."""
    rows, sums = [], [0, 0]
    for number, names in enumerate(_in_groups([*syllabus.halves], halves), 1):
        here, home = syllabus.divided(syllabus.together(names))
        rows.append((str(number), *_cells(here), *_cells(home), clock(here.minutes + home.minutes)))
        sums[0] += here.minutes
        sums[1] += home.minutes
    rows.append((_bold(say("all")), "", _bold(clock(sums[0])), "", _bold(clock(sums[1])), _bold(clock(sum(sums)))))
    return _table(WEEKS, "rlrlrr", rows)


def days_table(syllabus: Syllabus) -> str:
    """One intensive week, without what may be skipped; all of it in the room."""
    rows, total = [], 0
    for number, names in enumerate(syllabus.days, 1):
        share = syllabus.shortened(syllabus.together(names))
        left = clock(syllabus.together(names).minutes - share.minutes)
        rows.append((str(number), _sections(share), _exercises(share), clock(share.minutes), left))
        total += share.minutes
    everything = syllabus.together(syllabus.halves).minutes
    rows.append((_bold(say("all")), "", "", _bold(clock(total)), _bold(clock(everything - total))))
    return _table(DAYS, "rllrr", rows)


def _in_groups(names: list[str], size: int) -> Iterator[list[str]]:
    yield from (names[begin : begin + size] for begin in range(0, len(names), size))


def _cells(share: Share) -> tuple[str, str]:
    solving = say("exercises {numbers}", numbers=_exercises(share)) if share.exercises else ""
    return " · ".join(filter(None, [_sections(share), solving])), clock(share.minutes)


def _place(in_class: bool, skipped: bool) -> str:
    place = say("class") if in_class else say("home")
    return say("{place}, first to skip", place=place) if skipped else place


def _bold(words: str) -> str:
    return f"**{words}**"


def _sections(share: Share) -> str:
    """Neighbours as a run: 1.2–1.4, 1.7."""
    runs: list[list[str]] = []
    for number in (section.number for section in share.sections):
        chapter, place = number.split(".")
        if runs and runs[-1][-1] == f"{chapter}.{int(place) - 1}":
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _exercises(share: Share) -> str:
    return ", ".join(exercise.id for exercise in share.exercises)


def _table(heads: tuple[str, ...], alignment: str, rows: Iterable[tuple[str, ...]]) -> str:
    rules = [{"l": ":--", "r": "--:", "c": ":-:"}[letter] for letter in alignment]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (map(say, heads), rules, *rows))

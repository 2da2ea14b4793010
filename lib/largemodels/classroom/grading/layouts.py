r"""Whose a file is: what the folders and names of a collection say, as each learning management system makes them.

===========================================  =====================================================================
``ada/01-attention.ipynb``                   a folder for each student
``submitted/ada/01-attention/….ipynb``       nbgrader's tree
``Ada Byron_1234_assignsubmission_file/…``   Moodle: full name, participant's number; with or without folders
``byronada_LATE_56_789_01-attention.ipynb``  Canvas: name, LATE, user's number, file's number, file
``anon_x1Yz2_789_01-attention.ipynb``        Canvas, where marking is anonymous
``HW 1_ab123_attempt_2026-10-05-…_1.ipynb``  Blackboard: assignment, user, moment, file
``12-345 - Ada Byron - Oct 5, 2026 …/…``     Brightspace: numbers, name, moment
``2021001-孔丘/…``, ``孔丘_2021001_1.ipynb``   学习通: number and name in either order; with or without folders
===========================================  =====================================================================

One layout holds for all of a collection, and an owner is read at one depth of its folders. What lies deeper, and the
end of a flat name, a student chose: it never decides whose a file is. Moodle's and Canvas's schemes are taken from
their sources (Moodle's ``mod_assign\downloader``, where the name of a group without a number may stand for the
student's; Canvas's ``ContentZipper``, where the numbers of files grow with time). The others follow what their users
show of them and could not be checked; ``--names`` helps where they are wrong.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Parts = tuple[str, ...]
DEEPEST = 5  # folders above the owner's
HAN = r"[\u3400-\u9fff\U00020000-\U0003ffff·]{2,20}"
MOMENT = r"(?P<when>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
BRIGHTSPACE_MOMENT = re.compile(r"([A-Z][a-z]{2})[a-z]* (\d{1,2}), (\d{4}) (\d{1,2}):?(\d\d) ([AP])M")
COURSES_OWN = re.compile(r"\d\d-.*|exercises?|solutions?|chapters?|.*\.ipynb", re.IGNORECASE)  # names of no student


@dataclass(frozen=True)
class Layout:
    """How a system names what belongs to one student. `pattern` holds for one part of a path, from its beginning."""

    system: str
    pattern: re.Pattern
    is_flat: bool = False  # whether there is never a folder, so that the part must be the last, or a zip


def _layout(system: str, pattern: str, **options) -> Layout:
    return Layout(system, re.compile(pattern, re.DOTALL), **options)


LAYOUTS = (
    _layout("Moodle", r"(?P<name>.+?)(_(?P<number>\d+))?_assignsubmission_(file|onlinetext)_?(?P<file>.*)"),
    _layout("Canvas", r"(?P<late>LATE_)?(?P<name>anon_[^_]+)_(?P<upload>\d+)_(?P<file>.+)", is_flat=True),
    _layout("Canvas", r"(?P<name>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?P<upload>\d+)_(?P<file>.+)", is_flat=True),
    _layout("Blackboard", rf".+?_(?P<name>[^_]+)_attempt_{MOMENT}(_(?P<file>.+)|\.txt)", is_flat=True),
    _layout("Brightspace", r"(?P<number>\d+)-\d+ - (?P<name>.+?) ?- (?P<when>[^-]+)"),
    _layout("学习通", rf"(?P<number>\d{{5,20}})[-_ ]?(?P<name>{HAN})([-_ .（(](?P<file>.*))?"),
    _layout("学习通", rf"(?P<name>{HAN})[-_ ]?(?P<number>\d{{5,20}})([-_ .（(](?P<file>.*))?"),
)

Facts = dict[str, object]
Whose = Callable[[Parts], Facts | None]


def whose(paths: Sequence[Parts], names: re.Pattern | None = None) -> Whose:
    """From the paths of all notebooks of a collection to what each path says: student, number, name of the file, …

    What is returned gives None for a path that belongs to nobody, and of a system its name under "system".
    """
    if names:
        return lambda parts: _by_names(names, parts)
    best = max(
        ((_score(layouts, depth, paths), -depth, system) for system, layouts in _systems() for depth in range(DEEPEST)),
        default=(0, 0, ""),
    )
    score, depth, system = best
    if score[0] > 0.5:
        layouts = dict(_systems())[system]
        return lambda parts: _facts(layouts, -depth, parts)
    top = _top(paths)
    return lambda parts: _in_folders(parts[top:])


def _systems() -> list[tuple[str, list[Layout]]]:
    names = dict.fromkeys(layout.system for layout in LAYOUTS)
    return [(name, [layout for layout in LAYOUTS if layout.system == name]) for name in names]


def _match(layouts: Sequence[Layout], depth: int, parts: Parts) -> re.Match | None:
    """The match at this depth that ends the name earliest: what follows is the student's choice."""
    if depth >= len(parts):
        return None
    part, is_last = parts[depth], depth == len(parts) - 1
    fitting = [layout for layout in layouts if not layout.is_flat or is_last or part.lower().endswith(".zip")]
    found = [match for layout in fitting if (match := layout.pattern.fullmatch(part))]
    return min(found, key=lambda match: match.end("name"), default=None)


def _score(layouts: Sequence[Layout], depth: int, paths: Sequence[Parts]) -> tuple[float, float]:
    """Which part of the folders above this depth, or of the names at it, fits; and how early the names end.

    Where there are several such folders they are counted, not what lies in them: they may be students' own, and nobody
    outvotes the others by handing in much. For the same reason most must then hold more than one student.
    """
    above = {parts[:depth] for parts in paths if len(parts) > depth}
    groups: dict[Parts, list[re.Match | None]] = {}
    for parts in paths:
        key = parts[:depth] if len(above) > 1 else parts[: depth + 1]
        groups.setdefault(key, []).append(_match(layouts, depth, parts))
    matches = [match for found in groups.values() for match in found if match]
    if not matches:
        return 0.0, 0.0
    names = [len({match["name"] for match in found if match}) for found in groups.values()]
    if len(above) > 1 and sum(count > 1 for count in names) <= len(names) / 2:
        return 0.0, 0.0
    if depth and len(above) == 1 and len({match["name"] for match in matches}) < 2:  # the folder may be a student's
        return 0.0, 0.0
    fit = sum(2 * sum(map(bool, found)) > len(found) for found in groups.values()) / len(groups)
    return fit, -sum(match.end("name") for match in matches) / len(matches)


def _facts(layouts: Sequence[Layout], depth: int, parts: Parts) -> Facts | None:
    """What the part at this depth says or, where it is none of the system's, the first one below that is."""
    matches = ((at, _match(layouts, at, parts)) for at in range(depth, len(parts)))
    depth, match = next(((at, match) for at, match in matches if match), (depth, None))
    if not match:
        return None
    found = {name: value for name, value in match.groupdict().items() if value}
    is_last = depth == len(parts) - 1
    facts: Facts = {"student": found["name"], "name": found.get("file", parts[-1]) if is_last else parts[-1]}
    facts["system"] = next(layout.system for layout in layouts if layout.pattern is match.re)
    if "number" in found:
        facts["number"] = found["number"]
    if "upload" in found:
        facts |= {"upload": int(found["upload"][:18]), "late": "late" in found}
    if when := _moment(found.get("when", "")):
        facts["when"] = when
    return facts


def _moment(text: str) -> float | None:
    """Seconds since 1970 of a moment in a name, which is in local time."""
    try:
        if match := BRIGHTSPACE_MOMENT.search(text):
            month, day, year, hour, minute, half = match.groups()
            hour = int(hour) % 12 + (12 if half == "P" else 0)
            return time.mktime((int(year), MONTHS.index(month) + 1, int(day), hour, int(minute), 0, 0, 0, -1))
        return time.mktime(time.strptime(text, "%Y-%m-%d-%H-%M-%S")) if text else None
    except (ValueError, OverflowError):
        return None


def _by_names(names: re.Pattern, parts: Parts) -> Facts | None:
    match = names.search("/".join(parts))
    if not match:
        return None
    found = {name: value for name, value in match.groupdict().items() if value}
    number = found.get("number", "")
    if not (student := found.get("name", number)):
        return None
    return {"student": student, "number": number, "name": parts[-1]}


def _top(paths: Sequence[Parts]) -> int:
    """How many folders lie on top of the students' own: nbgrader's ``submitted``, a class zipped with its folder.

    A single student's folders cannot be told from a class's: then there are none on top.
    """
    for depth in range(min(map(len, paths), default=1) - 1):
        names = {parts[depth] for parts in paths}
        if names == {"submitted"}:
            return depth + 1
        if len(names) > 1:
            return 0 if any(map(COURSES_OWN.fullmatch, names)) else depth
    return 0


def _in_folders(parts: Parts) -> Facts | None:
    """A folder, or a zip, for each student."""
    if len(parts) < 2:
        return None
    return {"student": re.sub(r"\.zip$", "", parts[0], flags=re.IGNORECASE), "name": parts[-1]}


def outside_exercises(paths: Sequence[Parts]) -> set[Parts]:
    """Notebooks of whole clones of the course that are none of its exercises: chapters, solutions, copies."""
    folders: dict[Parts, set[str]] = {}
    for parts in paths:
        for i, part in enumerate(parts[:-1]):
            folders.setdefault(parts[:i], set()).add(part)
    clones = [
        folder for folder, inside in folders.items() if "exercises" in inside and inside & {"solutions", "chapters"}
    ]
    return {
        parts
        for parts in paths
        if any(parts[: len(clone)] == clone and parts[len(clone)] != "exercises" for clone in clones)
    }

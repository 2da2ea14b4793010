"""What counts of a term: ``rules.toml``, with due dates, what lateness costs, subsets, weights and drop-lowest.

::

    exercises = ["1.*", "2.1", "2.3"]      # only these count; all, where it is missing
    drop_lowest = 1                        # so many chapters, each student's worst, do not count

    [due]                                  # by chapter; a date alone means its last moment
    1 = 2026-10-05
    2 = 2026-10-19T12:00:00+08:00

    [late]
    per_day = 0.1                          # each day begun after the due date costs a tenth of the points earned
    cap = 0.5                              # and all days together at most half of them
    grace_minutes = 15                     # so little is forgiven

    [weights]
    "1.2" = 2                              # an exercise counts twice
    2 = 0.5                                # a chapter weighs half as much in the term's result

    [by_hand."1.think"]                    # points that only manual.csv gives
    title = "Reflection 思考"
    points = 3
"""

import fnmatch
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

from .byhand import HandGraded

DAY = 86_400.0
LAST_YEAR = 9_000  # computers count no further than 9999, time zones and extensions included
KNOWN = ("exercises", "drop_lowest", "due", "late", "weights", "by_hand")
LATE = ("per_day", "cap", "grace_minutes")


@dataclass(frozen=True)
class Rules:
    """What counts, and how much. Without a file everything counts, and nothing is late."""

    exercises: tuple[str, ...] = ("*",)
    drop_lowest: int = 0
    due: Mapping[str, datetime] = field(default_factory=dict)  # by chapter
    per_day: float = 0.0
    cap: float = 1.0
    grace_minutes: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)  # by exercise, or by chapter
    by_hand: tuple[HandGraded, ...] = ()

    def counted(self, ids: Iterable[str]) -> list[str]:
        return [id for id in ids if any(fnmatch.fnmatchcase(id, pattern) for pattern in self.exercises)]

    def days_late(self, chapter: str, when: float, extension: timedelta | datetime | None = None) -> int:
        """Days begun since the due date at the moment `when` (seconds since 1970); 0 within the minutes of grace."""
        due = self.due.get(chapter)
        if due is None:
            return 0
        match extension:
            case timedelta():
                due += extension
            case datetime():
                due = max(due.astimezone(), extension.astimezone())
        over = when - due.timestamp()
        return math.ceil(over / DAY) if over > 60 * self.grace_minutes else 0

    def share(self, days: float) -> float:
        """What is left of the points that were earned, so many days late."""
        return 1 - min(self.cap, self.per_day * days)

    def chapter_weight(self, chapter: str, most: float) -> float:
        """A chapter weighs as many as it has points, or what the rules say of them."""
        return most * self.weights.get(chapter, 1.0)

    def percent(self, shares: Mapping[str, tuple[float, float]]) -> float | None:
        """The term's result: chapters' shares (0 to 1) by their weights, without the lowest ones.

        At least one chapter counts, however many are to be dropped.
        """
        kept = sorted(shares.values())[min(self.drop_lowest, max(len(shares) - 1, 0)) :]
        whole = sum(weight for _, weight in kept)
        return 100 * sum(share * weight for share, weight in kept) / whole if whole else None


def read_rules(path: Path, ids: Iterable[str]) -> Rules:
    """The rules in a file; `ids` are the course's exercises.

    Raises:
        ValueError: it is no TOML, or says something that means nothing here.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return _Reader(path, list(ids)).rules(raw)


@dataclass
class _Reader:
    path: Path
    ids: list[str]

    def rules(self, raw: Mapping) -> Rules:
        self._only(raw, KNOWN, "")
        late = self._table(raw, "late")
        self._only(late, LATE, "late.")
        by_hand = tuple(self._by_hand(id, item) for id, item in self._table(raw, "by_hand").items())
        ids = [*self.ids, *(item.id for item in by_hand)]
        chapters = {id.split(".")[0] for id in ids}
        weights = _flat(self._table(raw, "weights"))
        for name in weights:
            if name not in chapters and name not in ids:
                raise self._error(f"weights: {name!r} is neither a chapter nor an exercise")
        due = self._table(raw, "due")
        for chapter in due:
            if chapter not in chapters:
                raise self._error(f"due: there is no chapter {chapter!r}; there are {', '.join(sorted(chapters))}")
        return Rules(
            exercises=self._patterns(raw.get("exercises", ["*"]), ids),
            drop_lowest=int(self._number("drop_lowest", raw.get("drop_lowest", 0), whole=True)),
            due={chapter: self._moment(chapter, value) for chapter, value in due.items()},
            per_day=self._number("late.per_day", late.get("per_day", 0.0), most=1),
            cap=self._number("late.cap", late.get("cap", 1.0), most=1),
            grace_minutes=self._number("late.grace_minutes", late.get("grace_minutes", 0)),
            weights={name: self._number(f"weights.{name}", value) for name, value in weights.items()},
            by_hand=by_hand,
        )

    def _error(self, problem: str) -> ValueError:
        return ValueError(f"{self.path}: {problem}")

    def _only(self, table: Mapping, known: Iterable[str], before: str) -> None:
        if unknown := [name for name in table if name not in known]:
            raise self._error(f"{before}{unknown[0]} means nothing here; there are {', '.join(known)}")

    def _table(self, raw: Mapping, name: str) -> Mapping:
        if not isinstance(table := raw.get(name, {}), dict):
            raise self._error(f"{name} must be a table, [{name}], got {table!r}")
        return table

    def _patterns(self, patterns: object, ids: list[str]) -> tuple[str, ...]:
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            raise self._error('exercises must be a list of texts, ["1.2", "2.*"]')
        for pattern in patterns:
            if not fnmatch.filter(ids, pattern):
                raise self._error(f"exercises: {pattern!r} fits no exercise")
        return tuple(patterns)

    def _number(self, name: str, value: object, most: float = math.inf, whole: bool = False) -> float:
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not is_number or not (0 <= value <= most and math.isfinite(value)):
            kind = "a whole number" if whole else "a number"
            limit = f" to {most:g}" if most < math.inf else " up"
            raise self._error(f"{name} must be {kind} from 0{limit}, got {value!r}")
        return value

    def _moment(self, chapter: str, value: object) -> datetime:
        if isinstance(value, date) and value.year >= LAST_YEAR:
            raise self._error(f"due.{chapter}: {value} is too far away; leave the line out where nothing is ever late")
        match value:
            case datetime():
                return value
            case date():  # to the end of that day
                return datetime.combine(value, time()) + timedelta(days=1)
        raise self._error(f"due.{chapter} must be a date like 2026-10-05, without quotation marks, got {value!r}")

    def _by_hand(self, id: str, item: object) -> HandGraded:
        if id in self.ids or not id.partition(".")[2] or not isinstance(item, dict):
            raise self._error(f'by_hand: {id!r} must be a new name such as "1.think" in a chapter')
        self._only(item, ("title", "points"), f'by_hand."{id}".')
        return HandGraded(id, str(item.get("title", id)), self._number(f"by_hand.{id}.points", item.get("points")))


def _flat(table: Mapping, before: str = "") -> dict[str, object]:
    """TOML reads the key 1.2, without quotation marks, as a table in a table."""
    flat = {}
    for name, value in table.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return flat

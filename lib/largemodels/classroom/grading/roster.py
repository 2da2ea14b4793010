"""Who belongs to the class: ``roster.csv``, and whose a submission is that comes under some name or number.

Systems call one person by many names: ``Ada Byron`` (Moodle), ``byronada`` (Canvas), ``ab123`` (Blackboard), ``2021001_Ada
Byron`` (学习通). A name that fits two people, and no number that decides, counts for neither.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from .tables import read_number, read_table

COLUMNS = {
    "name": ("student", "full name", "姓名", "学生"),
    "first": ("first name", "given name"),  # Moodle, Blackboard and Brightspace export a name in two columns
    "last": ("last name", "surname", "family name"),
    "number": ("id", "student number", "student id", "id number", "orgdefinedid", "学号", "学号/工号"),
    "login": ("username", "user name", "email", "email address", "sis login id", "账号", "用户名"),
    "section": ("class", "group", "班级"),
    "extension": ("延期",),
    "also": ("sis user id", "其他"),  # Canvas's files carry its own number, ID
}
BY_SPREADSHEET = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)  # what is left of a long number: 2.02101E+11
LONG = 5  # digits of a number that no system's own count of its participants reaches by chance


@dataclass(frozen=True)
class Person:
    """One line of the roster. `extension`: days, or the moment until which this person has time. `also`: what systems
    call them that is neither name, number nor login, ``Li Wei 77`` for example."""

    name: str
    number: str = ""
    login: str = ""
    section: str = ""
    extension: timedelta | datetime | None = None
    also: tuple[str, ...] = ()


def read_roster(path: Path) -> list[Person]:
    """Everybody on the roster, in its order.

    Raises:
        ValueError: it is no such table, a line has no name, a number stands there twice or is cut short, or an
            extension is neither days nor a date.
    """
    people, numbers = [], {}
    for row in read_table(path, COLUMNS, ("name",), {"name": ("first", "last")}):
        if row["name"] == "Points Possible" and not row["number"]:
            continue  # the second line of Canvas's gradebook
        where = f"{path}, line {row.line}"
        name, number = row["name"] or f"{row['first']} {row['last']}".strip(), _number(row["number"], where)
        if not name:
            raise ValueError(f"{where}: no name")
        for kind, text in (("number", number), ("login", row["login"])):
            if text and (before := numbers.setdefault((kind, plain(text)), row.line)) != row.line:
                raise ValueError(f"{where}: the {kind} {text!r} stands in line {before}, too")
        also = tuple(name.strip() for name in re.split(r"[;|]", row["also"]) if name.strip())
        extension = _extension(row["extension"], where)
        people.append(Person(name, number, row["login"], row["section"], extension, also))
    return people


def _number(text: str, where: str) -> str:
    """A number as it was before a spreadsheet, or Brightspace, wrote it: 2021001, also from 2021001.0 and #2021001."""
    if BY_SPREADSHEET.fullmatch(text):
        problem = f"{where}: the number {text!r} lost digits in a spreadsheet; enter it again in a column of texts"
        raise ValueError(problem)
    return re.sub(r"^(\d+)[.,]0$", r"\1", text.removeprefix("#"))


def _extension(text: str, where: str) -> timedelta | datetime | None:
    if not text:
        return None
    days = read_number(text)
    if days is not None and 0 <= days < 10_000:
        return timedelta(days=days)
    try:
        with suppress(ValueError):  # a date: to the end of that day
            return datetime.combine(date.fromisoformat(text), time()) + timedelta(days=1)
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        problem = f"{where}: an extension is a number of days or a date like 2026-10-12, got {text!r}"
        raise ValueError(problem) from None


class Roster:
    """Finds people on it."""

    def __init__(self, people: Sequence[Person]):
        self.people = list(people)
        self._ways: list[dict[str, set[Person]]] = [{}, {}, {}]
        for person in self.people:
            ways = (
                {person.number, person.login, person.login.split("@")[0], *person.also},
                {person.name},
                joined(person.name),
            )
            for known, names in zip(self._ways, ways, strict=True):
                for name in filter(plain, names):
                    known.setdefault(plain(name), set()).add(person)

    def whose(self, name: str, number: str = "") -> list[Person]:
        """Nobody, one person, or several between whom nothing decides.

        Where a system gives a number, the name is one that people may have chosen: a number in it says nothing then.
        """
        numbers, names, slugs = (lambda text, known=known: known.get(plain(text), set()) for known in self._ways)
        words = [word for word in re.split(r"[\s_,;+()（）-]+", name) if word]
        found = numbers(f"{name} {number}")
        if not found and not number:
            found = numbers(name) or next(filter(None, map(numbers, words)), set())
        if not found:
            found = names(name) or names(name.replace("_", " ")) or slugs("".join(words))
            by_number = numbers(number) if len(number) >= LONG else set()
            found = found & numbers(number) or found | by_number
        if not found and not number:
            found = next(filter(None, map(names, words)), set())
        return [person for person in self.people if person in found]


def joined(name: str) -> set[str]:
    """A full name without spaces, its words in any order, as Canvas and others write it: ``byronada``."""
    words = [word for word in re.split(r"[\s,]+", name) if word]
    orders = itertools.permutations(words) if len(words) <= 4 else [words, words[-1:] + words[:-1]]
    return {"".join(order) for order in orders}


def plain(text: str) -> str:
    """As names are compared: without case, spaces around, forms of letters, and the zeros that spreadsheets drop."""
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text.lstrip("0") if text.isdecimal() else text

r"""What a student chose (names, code, output, errors), on its way into a file, a table or a page.

All of it passes `shown`. What comes out can be written in UTF-8 and read by people: a character that has no form of its
own, turns the direction of writing round, hides, or moves the cursor is shown as Python writes it, ``\u202e``. Two
names that differ stay two names.
"""

import hashlib
import re
import unicodedata

COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]")  # of a terminal
JOINERS = "\u200c\u200d"  # Persian and Indic words, and emoji, need them
NEITHER_SEEN_NOR_SAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's categories: controls, formats, half characters, …
TEXT, NAME = 20_000, 300  # characters
DIGEST = 8


def shown(text: object, most: int = TEXT) -> str:
    """`text` as lines that are safe to write and to look at, cut to `most` characters."""
    return _cut("".join(_seen(c, "\n\t") for c in COLOURS.sub("", _lines(text))[: most + 1]), most)


def shown_name(text: object, most: int = NAME) -> str:
    """`text` in one line: the name of a student, of a file, of a section. Equal where Unicode calls them equal."""
    name = unicodedata.normalize("NFC", str(text))
    seen = "".join(_seen(c, "") for c in name[: most + 1])
    if len(seen) > most >= 4 * DIGEST:  # two that differ further on stay two
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
        return f"{seen[: most - DIGEST - 1]}…{digest}"
    return _cut(seen, most) or "(no name)"


def _lines(text: object) -> str:
    return str(text).replace("\r\n", "\n").replace("\r", "\n")


def _seen(c: str, kept: str) -> str:
    if c.isprintable() or c in kept or c in JOINERS or unicodedata.category(c) not in NEITHER_SEEN_NOR_SAFE:
        return c
    if "\udc80" <= c <= "\udcff":  # a byte of a file's name that is no UTF-8, as Python hands it over
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode("ascii")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

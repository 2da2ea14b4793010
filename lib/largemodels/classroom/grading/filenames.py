"""Names of files whose encoding nobody states: zips made by Windows, and what Unix programs unpacked from them.

All names of a collection were written by one program, so they are decoded together: as UTF-8 if they are that, else in
the encoding in which they look most like names. How that is found was not checked beyond the tests.
"""

from collections.abc import Iterable, Sequence

GUESSES = ("gb18030", "cp932", "cp1252", "cp437")  # Chinese, Japanese, Western Windows, Western DOS


def decoded(names: Sequence[bytes], encoding: str | None = None) -> tuple[list[str], str | None]:
    """The names as text, and the encoding that was guessed; None where there was nothing to guess.

    Raises:
        ValueError: they cannot be read in `encoding`.
    """
    if encoding:
        try:
            return [name.decode(encoding) for name in names], None
        except (UnicodeDecodeError, LookupError) as error:
            raise ValueError(f"the files' names are not in {encoding}: {error}") from error
    found = _read(names, "utf-8")
    if found is not None:
        return found, None
    guesses = [(guess, text) for guess in GUESSES if (text := _read(names, guess)) is not None]
    guess, best = max(guesses, key=lambda pair: _likely(pair[1], pair[0]))
    return best, guess


def _read(names: Iterable[bytes], encoding: str) -> list[str] | None:
    try:
        return [name.decode(encoding) for name in names]
    except UnicodeDecodeError:
        return None


def _likely(names: Iterable[str], encoding: str) -> float:
    """Which part of the letters that are no ASCII people write in names of this language."""
    text = "\n".join(names)
    foreign = [i for i, c in enumerate(text) if not c.isascii()]
    return sum(_is_common(text, i, encoding) for i in foreign) / max(len(foreign), 1)


def _is_common(text: str, i: int, encoding: str) -> bool:
    c = text[i]
    match encoding:
        case "gb18030":  # the characters of GB 2312; others that names have, 喆 or 堃, are few among them
            return "\u4e00" <= c <= "\u9fff" and _fits(c, "gb2312")
        case "cp932":  # kana of full width, and the kanji of JIS X 0208, level 1
            return "\u3040" <= c <= "\u30ff" or (
                "\u4e00" <= c <= "\u9fff" and b"\x88" <= c.encode("cp932")[:1] <= b"\x98"
            )
    around = text[max(i - 1, 0) : i] + text[i + 1 : i + 2]
    return c.isalpha() and c < "\u0180" and all(n.isascii() for n in around) and any(n.isalpha() for n in around)


def _fits(c: str, encoding: str) -> bool:
    try:
        c.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True

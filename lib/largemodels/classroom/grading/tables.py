"""Tables that spreadsheets read and write, in CSV.

A spreadsheet takes whatever it can for a number, a date or a formula, and saves what it made of it. So what we write
cannot be mistaken: no cell is a formula, and the head 4.10, which would become 4.1, carries words. What we read may have
been saved by one: with semicolons or tabs for commas, decimal commas, a byte-order mark, spaces, rows left empty.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...storage import write_whole
from .shown import shown

FORMULA = tuple("=+-@＝＋－＠")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
SEPARATOR = re.compile(r"\s*\"?sep=([,;\t|])\"?[ \t]*\r?\n", re.IGNORECASE)  # a first line by which Excel is told


# -------------------------------------------------------------------------------------------------------------- writing


def safe(text: object) -> str:
    """A cell of a table that no spreadsheet takes for a formula."""
    text = shown(text)
    return f"'{text}" if _is_formula(text) and not NUMBER.fullmatch(text) else text


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet may take it for one; quotation marks before it count as those of `safe`."""
    begin = text.lstrip("' ")
    return begin.lstrip().startswith(FORMULA) or begin.startswith(("\t", "\n"))


def write_table(path: Path, rows: Iterable[Iterable[object]], *, mark: bool = False) -> None:
    """`mark`: a byte-order mark, by which Excel knows Chinese."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([safe(cell) for cell in row] for row in rows)
    write_whole(path, text.getvalue().encode("utf-8-sig" if mark else "utf-8"))


def number(value: float | None) -> str:
    """Points as people write them."""
    return "" if value is None else f"{value:.10g}"


def as_spreadsheet(text: str) -> str:
    """What a spreadsheet saves of a cell that it takes for a number."""
    return f"{float(text):.15g}" if NUMBER.fullmatch(text) else text


def head(id: str, title: str) -> str:
    """The head of an exercise's column: its id, with its title where a spreadsheet would make it another one."""
    return id if as_spreadsheet(id) == id else f"{id} {title}"


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Row:
    """One row that is not empty; `line` is where it begins in the file."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Empty where the table has no such column."""
        return self.cells.get(column, "")


def read_table(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    instead: Mapping[str, Sequence[str]] | None = None,
) -> list[Row]:
    """The rows of a table whose first line names `columns`, in any order; the values are other names of a column.

    `instead`: for a column that is needed, those which together do as well.

    Raises:
        ValueError: it is not in Unicode, a needed column is missing, or a row has more cells than the first line.
    """
    known = {name.casefold(): column for column, others in columns.items() for name in (column, *others)}
    text = _text(path)
    if told := SEPARATOR.match(text):  # leaves empty lines behind, so that all others keep their numbers
        text = "\n" * told[0].count("\n") + text[told.end() :]
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = told[1] if told else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, names, line = [], [], 1
    try:
        for cells in reader:
            begun, line, cells = line, reader.line_num + 1, [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not names:
                names = [known.get(cell.casefold(), "") for cell in cells]
                continue
            if any(cells[len(names) :]):
                raise ValueError(
                    f"{path}, line {begun}: {len(cells)} cells, and the first line names {len(names)} columns; "
                    f'put a text with {separator!r} in it into "quotation marks"'
                )
            rows.append(Row(begun, {name: _plain(cell) for name, cell in zip(names, cells, strict=False) if name}))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    instead = instead or {}
    found = {column for column in needed if column in names or (column in instead and {*instead[column]} <= {*names})}
    if missing := [column for column in needed if column not in found]:
        raise ValueError(
            f"{path}: the first line must name the columns {', '.join(columns)}; {', '.join(missing)} not found"
        )
    return rows


def _plain(cell: str) -> str:
    """What `safe` made of it, taken back."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _text(path: Path) -> str:
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8: save it as 'CSV UTF-8'") from error


def read_number(text: str) -> float | None:
    """A number as spreadsheets of either habit save it, 4.5 or 4,5; None if it is none, or not finite."""
    match = re.fullmatch(r"([+-]?\d*)[.,]?(\d*)(?:[eE]([+-]?\d{1,3}))?", text.strip())
    if not match or not (match[1].strip("+-") or match[2]):
        return None
    value = float(f"{match[1] or '0'}.{match[2] or '0'}e{match[3] or '0'}")
    return value if math.isfinite(value) else None

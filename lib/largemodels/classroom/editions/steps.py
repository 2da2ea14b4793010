"""Which English each translated cell was written from, so that a change in English cannot pass unnoticed.

Beside the translations lies ``steps.json``: for every text source a list of pairs, the fingerprint of an English cell and
that of the translated one, as they were when somebody said that the two say the same (``release --translated``).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...storage import write_whole
from ..sources import Target
from .pairs import cells_of

NAME = "steps.json"


def translated(targets: Iterable[Target]) -> list[Target]:
    """Those that are written from another text, each source once."""
    return list({target.source: target for target in targets if target.source != target.original}.values())


def behind(target: Target) -> Iterator[str]:
    """The cells of a translation whose English has changed since, in words."""
    known = _read(target.source.parent / NAME).get(target.source.name, [])
    ours, theirs = cells_of(target.original), cells_of(target.source)
    if len(ours) != len(theirs):
        yield f"{target.source.name} has {len(theirs)} cells, in English there are {len(ours)}"
        return
    for english, own in zip(ours, theirs, strict=True):
        if [fingerprint(english.source), fingerprint(own.source)] not in known:
            changed = (
                "its English has changed" if any(fingerprint(own.source) == pair[1] for pair in known) else "it is new"
            )
            yield f"{changed}: the cell of {target.source.name} that begins {own.source.strip()[:50]!r}"


def mark(target: Target) -> None:
    """Remember that every cell of this translation says what the English says now."""
    path = target.source.parent / NAME
    pairs = zip(cells_of(target.original), cells_of(target.source), strict=True)
    found = [[fingerprint(english.source), fingerprint(own.source)] for english, own in pairs]
    lines = [
        f"{json.dumps(name)}: {json.dumps(pairs)}"
        for name, pairs in sorted((_read(path) | {target.source.name: found}).items())
    ]
    write_whole(path, "{\n" + ",\n".join(lines) + "\n}\n")


def fingerprint(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def _read(path: Path) -> dict[str, list[list[str]]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

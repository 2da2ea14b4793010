"""A damaged text as rows for `strips`: the text, what a model reads, and what there is to find out, one below the other."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..language import later, say

if TYPE_CHECKING:
    from largemodels.denoising import Corrupted

    from .strips import Cell

KINDS = (later("hidden"), later("to be found out"), later("not in its place"))
LABELS = (later("text"), later("input"), later("target"))
_LOST, _WANTED, _MOVED = KINDS


def damage_rows(text: Sequence[Any], result: "Corrupted") -> list[tuple[str, list["Cell"]]]:
    """Three rows of `strips`, aligned: a token that has stayed stands below itself, a mask below what it hides.

    A mask with nothing behind it has a column of its own, and so has a sentinel of T5's, whose target goes on to its
    right. Where tokens were moved, nothing can stand below itself: the rows begin together, and the moved are marked.

    Args:
        text: the tokens before; a sentence ends with a full stop.
        result: what a function of `denoising` made of them.
    """
    rows = zip(LABELS, _aligned(text, result), strict=True)
    return [(say(label), [_spoken(cell) for cell in cells]) for label, cells in rows]


def _spoken(cell: "Cell") -> "Cell":
    return (cell[0], cell[1] and say(cell[1])) if isinstance(cell, tuple) else cell


def _aligned(text: Sequence[Any], result: "Corrupted") -> Sequence[list["Cell"]]:
    """The cells of the three rows."""
    kept = [place for place in result.origin if place >= 0]
    whole = result.target == list(text)  # the target is the text itself
    if kept != sorted(kept) or (kept == list(range(len(text))) and not whole):
        return _moved(text, result, kept)
    spelled = not whole and _spells(result)  # it names each mask and says what stands behind it
    answers = iter(result.target)
    rows: list[tuple[Cell, Cell, Cell]] = []
    for gap, masks, stayed in _gaps(text, result):
        if spelled:
            rows += [(None, (str(mask), _LOST), (str(next(answers)), _LOST)) for mask in masks]
            masks = []
        for i in range(max(len(gap), len(masks))):
            hidden = (str(text[gap[i]]), _LOST) if i < len(gap) else None
            mask = (str(masks[i]), _LOST) if i < len(masks) else None
            asked = i < len(masks) or not masks  # one number for each mask; without masks one for each hidden token
            answer = text[gap[i]] if whole else next(answers) if asked else None
            rows.append((hidden, mask, None if answer is None else (str(answer), _WANTED)))
        if stayed is not None:
            token = str(text[stayed])
            rows.append((token, token, token if whole else None))
    if spelled:
        rows += [(None, None, (str(sentinel), _LOST)) for sentinel in answers]  # the last one ends the target
    return [list(cells) for cells in zip(*rows, strict=True)]


def _spells(result: "Corrupted") -> bool:
    """Whether the masks of the source stand in the target, too, as T5's sentinels do."""
    masks = {token for token, place in zip(result.source, result.origin, strict=True) if place < 0}
    return bool(masks.intersection(result.target))


def _gaps(text: Sequence[Any], result: "Corrupted") -> Iterator[tuple[range, list[Any], int | None]]:
    """From left to right: hidden places, the masks for them, and the place after them that has stayed (at the end None)."""
    begin, masks = 0, []
    for token, place in zip(result.source, result.origin, strict=True):
        if place < 0:
            masks.append(token)
        else:
            yield range(begin, place), masks, place
            begin, masks = place + 1, []
    yield range(begin, len(text)), masks, None


def _moved(text: Sequence[Any], result: "Corrupted", kept: list[int]) -> Sequence[list["Cell"]]:
    at_home = {place for place, there in zip(kept, sorted(kept), strict=True) if place == there}
    after = [
        (str(token), None if place in at_home else _MOVED)
        for token, place in zip(result.source, result.origin, strict=True)
    ]
    numbers = result.target if isinstance(result.target, list) else [result.target]
    if isinstance(result.target, list):  # of sentences: below the first token of each
        starts = [
            i for i, place in enumerate(kept) if i == 0 or place != kept[i - 1] + 1 or result.source[i - 1] == "."
        ]
        places = starts if len(starts) == len(numbers) else range(len(numbers))
    else:  # where the text begins
        places = [kept.index(0)]
    target: list[Cell] = [None] * len(after)
    for place, number in zip(places, numbers, strict=True):
        target[place] = (str(number), _WANTED)
    return [str(token) for token in text], after, target

"""The notebooks of both editions compute the same: their code is one program, and so are the numbers that it gives.

So a second execution of all Chinese notebooks would tell nothing new; test_outputs.py executes two of them.
"""

import html
import re
from collections import Counter

import nbformat
import pytest

from largemodels.classroom.release import COURSE
from largemodels.classroom.sources import targets
from largemodels.language import ENGLISH

BY_PLACE = {
    (target.original.relative_to(COURSE), target.kind, target.language): target.path for target in targets(COURSE)
}
PAIRS = [
    pytest.param(BY_PLACE[source, kind, ENGLISH], path, id=path.relative_to(COURSE).as_posix())
    for (source, kind, language), path in BY_PLACE.items()
    if language != ENGLISH
]
NUMBER = re.compile(r"(?<![A-Za-z0-9_.,])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?")


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def numbers(cell) -> Counter:
    """All numbers in what a cell prints or shows as text; labels of pictures count in the words of their language."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [output.get("text", ""), html.unescape(data.get("text/html", ""))]
        texts += [] if "image/png" in data else [data.get("text/plain", "")]  # a picture's size depends on its words
    texts = [re.sub(r"× 10(?=[⁰¹²³⁴-⁹])", "", text) for text in texts]  # for thousand, million, billion
    return Counter(number for text in texts for number in NUMBER.findall(text))


@pytest.mark.parametrize(("english", "own"), PAIRS)
def test_the_same_cells_give_the_same_numbers(english, own):
    ours, theirs = code_cells(english), code_cells(own)
    assert [cell.metadata for cell in ours] == [cell.metadata for cell in theirs]  # tags, points, numbers of exercises
    for one, two in zip(ours, theirs, strict=True):
        kinds = [
            [(o.output_type, o.get("name"), sorted(o.get("data", {}))) for o in cell.outputs] for cell in (one, two)
        ]
        assert kinds[0] == kinds[1], two.source
        if "nbval-ignore-output" not in one.metadata.get("tags", []):
            assert numbers(one) == numbers(two), (
                f"{two.source}\n{numbers(one) - numbers(two)}\n{numbers(two) - numbers(one)}"
            )


def test_the_comparison_can_fail():
    cells = [
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=text)])
        for text in ("a 1.5 of 3", "3 里的 1.5", "3 里的 1.6")
    ]
    assert numbers(cells[0]) == numbers(cells[1]) != numbers(cells[2])

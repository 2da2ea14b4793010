"""How long the course takes, as the front page and the README say it: the declarations, added up by hand."""

import re

import pytest

from largemodels.classroom.exercises import exercises
from largemodels.classroom.hours import hours, hours_table
from largemodels.classroom.release import COURSE
from largemodels.classroom.sources import build, targets
from largemodels.language import ENGLISH, speaking

MINUTES = re.compile(r"\*\w+\* · [★☆]{3} · \D*(\d+)\D* · ")  # in any language


def test_the_exercises_minutes_are_those_that_the_students_read():
    """Read off the made notebooks, not off the declarations."""
    found = hours(COURSE, exercises.values())
    for target in targets(COURSE):
        if target.kind == "exercise":
            prose = "\n".join(c.source for c in build(target, exercises).cells if c.cell_type == "markdown")
            assert found[target.source.stem[1]][1] == sum(map(int, MINUTES.findall(prose))) > 0


def test_the_sum_is_the_sum():
    found = hours(COURSE, exercises.values())
    last = hours_table(COURSE, exercises.values()).splitlines()[-1]
    total = sum(map(sum, found.values()))
    assert last.endswith(f"| {total // 60} h {total % 60:02d} |")
    assert len(found) == 9


FRONT_PAGES = {target.path.name: target for target in targets(COURSE) if target.source.stem == "START"}


@pytest.mark.parametrize("page", [*FRONT_PAGES, "README.md"])
def test_the_front_pages_and_the_readme_say_so(page):
    """If this fails: python -m largemodels release."""
    if page == "README.md":
        text, code = (COURSE / page).read_text(encoding="utf-8"), ENGLISH
    else:
        target = FRONT_PAGES[page]
        text, code = "\n".join(cell.source for cell in build(target, exercises).cells), target.language
    with speaking(code):
        assert hours_table(COURSE, exercises.values()) in text
    assert "two to three hours" not in text


def test_a_chapter_that_does_not_say_how_long_it_takes_is_named(tmp_path):
    (tmp_path / "chapters/text").mkdir(parents=True)
    (tmp_path / "chapters/text/01-short.md").write_text("**Time** an hour or so", encoding="utf-8")
    with pytest.raises(ValueError, match=r"01-short\.md must say"):
        hours(tmp_path, [])

"""Each page in Chinese says what its English page says: the same headings, code, numbers, links and tables, in good typography."""

import re
from functools import cache

import pytest

from largemodels.classroom.editions.messages import marked
from largemodels.classroom.editions.pairs import prose_differences
from largemodels.classroom.exercises import exercises
from largemodels.classroom.release import COURSE
from largemodels.classroom.shelf.pages import filled
from largemodels.classroom.shelf.sections import sections
from largemodels.language import say, speaking

PAGES = [("README.md", "README.zh.md")]
PAGES += [(f"docs/{page.name}", f"docs/zh/{page.name}") for page in sorted(COURSE.glob("docs/zh/*.md"))]
MADE = re.compile(r"(<!-- made: [\w-]+ -->\n).*?(<!-- end -->)", re.DOTALL)
FENCE = re.compile(r"^```(?P<kind>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
TO_ITS_TWIN = re.compile(
    r"\[(?:English|中文版)\]\(README[\w.]*\)(?:; |\n\n)?|；中文首页是 \[START\.zh\.ipynb\]\(START\.zh\.ipynb\)"
)
SAID = "text"  # the kind of a block that holds a message
COMMENT = re.compile(r"(?:^| +)#.*")


def text_of(name):
    """The page as it is written, without what release fills in; of the Chinese edition's own folders nothing is to be seen."""
    text = MADE.sub(r"\1\2", (COURSE / name).read_text(encoding="utf-8"))
    return re.sub(r"(?<=[/` ])zh/", "", TO_ITS_TWIN.sub("", text))


def blocks(name):
    return [(found["kind"], found["text"].splitlines()) for found in FENCE.finditer(text_of(name))]


def parts(name):
    """The prose, cut at the headings."""
    return re.split(r"(?m)^(?=#+ )", FENCE.sub("", text_of(name)))


@cache
def messages():
    return {" ".join(text.split()): text for text, _ in marked(COURSE / "lib/largemodels")}


@pytest.mark.parametrize(("english", "chinese"), PAGES)
def test_the_prose_says_the_same(english, chinese):
    ours, theirs = parts(english), parts(chinese)
    levels = [[len(re.match("#*", part)[0]) for part in page] for page in (ours, theirs)]
    assert levels[0] == levels[1]
    for one, two in zip(ours, theirs, strict=True):
        assert prose_differences(one, two) == [], two.partition("\n")[0]


@pytest.mark.parametrize(("english", "chinese"), PAGES)
def test_the_blocks_of_code_are_the_same_but_for_comments_and_messages(english, chinese):
    ours, theirs = blocks(english), blocks(chinese)
    assert [kind for kind, _ in ours] == [kind for kind, _ in theirs]
    for (kind, one), (_, two) in zip(ours, theirs, strict=True):
        if kind == SAID:
            assert_a_twin_says(" ".join(one), " ".join(two))
        else:
            assert code(one) == code(two)


def code(lines):
    """Without what is for people: comments, and beside the names of the README's map what they hold."""
    if lines[0].startswith("START"):
        return [line.split()[0].replace(".zh.", ".") for line in lines if not line.startswith(" ")]
    return [COMMENT.sub("", line) for line in lines]


def assert_a_twin_says(english, chinese):
    """What a Chinese page quotes is what is said in Chinese; in English only what nobody translates."""
    whole = [text for words, text in messages().items() if english in words]
    if not whole:
        assert chinese == english
        return
    with speaking("zh"):
        assert any(chinese in say(text) for text in whole), (english, chinese)


@pytest.mark.parametrize(("_", "chinese"), PAGES)
def test_the_tables_are_in_chinese_with_the_titles_of_that_edition(_, chinese):
    text = (COURSE / chinese).read_text(encoding="utf-8")
    with speaking("zh"):
        made = filled(text, COURSE, exercises)
        titles = [section.title for section in sections(COURSE).values()]
    if "<!-- made: sections -->" in text:
        assert [title for title in titles if f" {title} |" not in made] == []
        assert not [title for title in titles if not re.search("[一-龥]", title)]
    tables = "".join(found[0] for found in MADE.finditer(made))
    assert re.findall(r"\| (?:week|class|home|all|implement)\b", tables) == []
    chapters = set(re.findall(r"\]\(\.\./\.\./chapters/zh/(.*?)\.ipynb\)", tables))
    assert len(chapters) in (0, len(list(COURSE.glob("chapters/text/zh/*-*.md"))))
    assert len(re.findall(r"\]\(", tables)) == len(re.findall(r"/chapters/zh/", tables))

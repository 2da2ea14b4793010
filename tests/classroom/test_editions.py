"""The Chinese edition says what the English one says, cell by cell and message by message, and is set as Chinese is."""

import ast
import re
import shutil

import pytest

from largemodels.classroom.editions import steps
from largemodels.classroom.editions.messages import catalogue_files, marked_in, read_catalogue, untranslated
from largemodels.classroom.editions.pairs import CHINESE, code_differences, differences, prose_differences
from largemodels.classroom.editions.typography import faults, left_in_english
from largemodels.classroom.exercises import exercises
from largemodels.classroom.release import COURSE
from largemodels.classroom.sources import Target, build, targets
from largemodels.language import LOCALE, languages, speaking

TRANSLATED = steps.translated(targets(COURSE))
SOURCES = [pytest.param(target, id=target.source.relative_to(COURSE).as_posix()) for target in TRANSLATED]


def test_every_english_text_has_a_twin():
    assert languages() == ("en", "zh")
    english = {
        path.relative_to(COURSE) for folder in ("chapters", "solutions") for path in COURSE.glob(f"{folder}/text/*.md")
    }
    assert {target.original.relative_to(COURSE) for target in TRANSLATED} == english
    assert len(english) == 18


@pytest.mark.parametrize("target", SOURCES)
def test_both_texts_are_the_same_course(target):
    assert differences(target.original, target.source) == []


@pytest.mark.parametrize("target", SOURCES)
def test_no_cell_is_behind_its_english_one(target):
    """Where this fails: say in Chinese what has changed, then ``python -m largemodels release --translated zh/…``."""
    assert list(steps.behind(target)) == []


def test_a_changed_cell_is_named_until_somebody_has_read_its_translation(tmp_path):
    english, folder = tmp_path / "01-a.md", tmp_path / "zh"
    folder.mkdir()
    english.write_text("# One\n\nA.\n\n+++\n\nB.\n", encoding="utf-8")
    own = folder / "01-a.md"
    own.write_text("# 一\n\n甲。\n\n+++\n\n乙。\n", encoding="utf-8")
    target = Target(own, tmp_path / "01-a.ipynb", "chapter", "zh")
    assert len(list(steps.behind(target))) == 2  # nobody has said anything yet
    steps.mark(target)
    assert list(steps.behind(target)) == []
    english.write_text(english.read_text(encoding="utf-8").replace("B.", "C."), encoding="utf-8")
    (told,) = steps.behind(target)
    assert "its English has changed" in told
    assert "乙" in told
    own.write_text(own.read_text(encoding="utf-8").replace("乙", "丙"), encoding="utf-8")
    (told,) = steps.behind(target)
    assert "it is new" in told
    steps.mark(target)
    assert list(steps.behind(target)) == []
    own.write_text(own.read_text(encoding="utf-8").replace("\n+++\n\n丙。\n", ""), encoding="utf-8")
    assert list(steps.behind(target)) == ["01-a.md has 1 cells, in English there are 2"]


# ------------------------------------------------------------------------------------------------------------ messages


def test_the_catalogues_hold_what_the_course_says():
    for path, content in catalogue_files(COURSE, exercises).items():
        as_it_should_be = path.read_bytes() == content  # pytest would compare all of it for minutes
        assert as_it_should_be, f"{path.name}: python -m largemodels release brings it up to date"


def test_every_message_is_translated():
    assert untranslated(COURSE, exercises) == []


def test_every_translation_says_the_same():
    """Formulas, code, numbers and places to fill are those of the English."""
    problems = []
    for path in catalogue_files(COURSE, exercises):
        for message in read_catalogue(path, "zh") if path.suffix == ".po" else ():
            if not message.id:
                continue
            message.string = message.string.replace(
                "{hundred_millions:,.1f}", "{billions:,.2f}"
            )  # Chinese counts in 亿
            places = [sorted(re.findall(r"\{\w+[^}]*\}|%\(\w+\)s", text)) for text in (message.id, message.string)]
            if "course" not in path.name and places[0] == places[1]:
                problems += [f"{message.id!r}: {what}" for what in prose_differences(message.id, message.string)]
            elif places[0] != places[1]:
                problems.append(f"{message.id!r}: {places[0]} became {places[1]}")
            else:
                problems += [f"{message.id!r}: {what}" for what in faults(re.sub(r"\{.*?\}", "\u2060", message.string))]
    assert problems == []


def test_what_is_said_can_be_found_by_reading_the_code():
    """Nobody finds a text in a catalogue that is put together first."""
    for path in LOCALE.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "later"):
                first = node.args[0]
                literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
                kept = node.func.id == "say" and isinstance(first, ast.Name | ast.Attribute | ast.Subscript)
                assert literal or kept, f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def test_texts_are_found_on_every_python():
    code = 'print(f"<b>{say(\'in an f-string\')}</b>", say("one {x} "\n "text", x=1), later("kept"), say(kept), other("no"))'
    assert marked_in(code) == ["in an f-string", "one {x} text", "kept"]


# -------------------------------------------------------------------------------------------- what a student reads


@pytest.mark.parametrize("exercise", exercises.values(), ids=lambda exercise: exercise.id)
@pytest.mark.slow
def test_a_check_answers_in_chinese(exercise):
    wrong = exercise.misconceptions[0]
    with speaking("zh"):
        right, told = exercise.grade(exercise.reference), exercise.grade(wrong.answer)
    english = exercise.grade(wrong.answer)
    assert (right.status, told.status, told.points) == ("passed", "wrong", english.points)
    for report in (right, told):
        text = str(report)
        assert CHINESE.search(report.message)
        assert left_in_english(text) == []
        assert not any(re.search(r"[a-z]{3,} [a-z]{2,}", stage.title) for stage in report.stages)
    assert english.message == wrong.message


def test_an_exercise_notebook_has_no_english_sentence():
    """Headings, hints, options, the last cells: what the placeholders give, too."""
    for target in targets(COURSE):
        if target.language == "zh":
            made = build(target, exercises)
            for cell in made.cells:
                if cell.cell_type == "markdown":
                    assert left_in_english(cell.source) == [], target.path
                assert "# your " not in cell.source
            assert made.metadata.largemodels.language == "zh"


# --------------------------------------------------------------------------------------------------- the checks can fail

ENGLISH = "## 1.2 Heads\n\nThe *weights* of `query` sum to 1, so $QK^T$ has 63 million rows. See [chapter 2](../chapters/02-masking.ipynb)."
CHINESE_TWIN = "## 1.2 注意力头\n\n`query` 的*权重*加起来是 1，所以 $QK^T$ 有 6300 万行。见[第 2 章](../../chapters/zh/02-masking.ipynb)。"


def test_a_good_translation_is_let_through():
    assert prose_differences(ENGLISH, CHINESE_TWIN) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("6300 万", "630 万", "other numbers"),
        ("是 1，", "，", "other numbers"),
        ("$QK^T$", "$QK$", "other formulas"),
        ("`query`", "查询", "other code"),
        ("02-masking", "03-masking", "other links"),
        ("## 1.2", "## 1.3", "other headings"),
        ("## 1.2", "### 1.2", "other headings"),
        ("，所以", ", 所以", "half-width punctuation"),
        ("权重*加", "权重* 加", None),
        ("加起来是 1", "加起来是1", "no space between"),
        ("注意力头", "注意力 头", "a space between two Chinese"),
        ("见[", "“见”[", None),
        ("见[", '"见"[', "straight quotes"),
        ("所以", "所以 the weights of every query sum to one and so", "left in English"),
        ("注意力头", "注意力令牌", "令牌"),
        ("*权重*加", "**权重（weight）**加", "does not close"),
        ("行。", "行。。", "two marks"),
        ("行。", "行 。", "a space before"),
        ("，所以", "， 所以", "a space after"),
    ],
)
def test_what_is_wrong_in_prose_is_found(before, after, told):
    assert before in CHINESE_TWIN
    found = prose_differences(ENGLISH, CHINESE_TWIN.replace(before, after))
    assert any(told in what for what in found) if told else found == [], found


CODE = 'w = {"plain": 2}\nfor name in w:  # each\n    print(f"{name:10} has {w[name]:.2f} of it")\nload("bert-base")\n'
CODE_TWIN = 'w = {"不除": 2}\nfor name in w:  # 逐个\n    print(f"{name:6} 有 {w[name]:.2f}")\nload("bert-base")\n'


def test_a_translated_program_is_the_same_program():
    assert code_differences(CODE, CODE_TWIN) == []
    assert code_differences(CODE, 'use_language("zh")\n' + CODE_TWIN) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("2}", "3}", "other code"),
        ("for name", "for name_", "other code"),
        (":.2f", ":.3f", "other code"),
        ('"bert-base"', '"bert-large"', "not in Chinese"),
        ("# 逐个", "# 逐个,一起", "half-width"),
        ("有 {w[name]:.2f}", "有", "other code"),
        ("print(", "print (", None),
        ("w = ", "w == ", "other code"),
        ("load(", "load[", "not Python"),
    ],
)
def test_what_is_wrong_in_code_is_found(before, after, told):
    assert before in CODE_TWIN
    found = code_differences(CODE, CODE_TWIN.replace(before, after))
    assert any(told in what for what in found) if told else found == [], found


def test_a_lost_cell_and_another_tag_are_found(tmp_path):
    target = next(target for target in TRANSLATED if target.source.stem == "01-attention")
    text = target.source.read_text(encoding="utf-8")
    for changed in (
        text.replace("\n+++\n\n## 1.2", "\n\n## 1.2"),
        text.replace(":tags: [nbval-ignore-output]\n", "", 1),
    ):
        assert changed != text
        (tmp_path / "01.md").write_text(changed, encoding="utf-8")
        (told,) = differences(target.original, tmp_path / "01.md")
        assert "they part at cell" in told
    shutil.copy(target.source, tmp_path / "01.md")
    assert differences(target.original, tmp_path / "01.md") == []

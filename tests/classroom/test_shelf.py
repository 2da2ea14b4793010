"""The instructor's pages say what is so: nothing that they name is missing, nothing of the course is left out, times add up."""

import re
from io import StringIO
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from largemodels import plots
from largemodels.classroom.exercises import exercises
from largemodels.classroom.grading.command import HIDDEN_SEEDS
from largemodels.classroom.grading.judging import Judge
from largemodels.classroom.grading.store import hidden_seeds
from largemodels.classroom.hours import hours, hours_table
from largemodels.classroom.release import COURSE, release, stale
from largemodels.classroom.shelf.figures import figures
from largemodels.classroom.shelf.glossary import CODE, Term, read_terms
from largemodels.classroom.shelf.pages import PageError, filled, filled_pages
from largemodels.classroom.shelf.sections import sections, share_out
from largemodels.classroom.shelf.syllabus import Syllabus
from largemodels.classroom.sources import build, targets
from largemodels.language import ENGLISH, speaking

README = COURSE / "README.md"


# The lecture's own contents (its 目录 and the headings below them), in the order in which its slides come.
LECTURE = """长期依赖关系 | 编码器-解码器结构 | 嵌入表示层 | 注意力层 | 位置前馈感知层 | 残差连接 | 层归一化
1. 自注意力模块 | 点积 | 双线性 | 多重感知机 | Soft-max | 2. 多头注意力模块 | 3. 掩码多头注意力模块 | 构造掩码矩阵
4.位置编码 | 手工设计的 | 也可以是学习得到的 | Comparing position representation methods
1. 编码器 | 2. 解码器 | 解码器需要自己决定生成的目标句的长度 | Teacher Forcing | 为什么需要掩码? | 3. 编码器与解码器之间的信息传递
1. BART | Token Masking | Token Deletion | Token Infilling | Sentence Permutation | Document Rotation | Base | Large
1.T5 | Replace Span | 层归一化 | 残差连接
1. BERT结构 | 2. 预训练策略 | 掩码语言建模 | 下句预测 | 3.BERT的变体 | 跨层参数共享 | 嵌入层参数因子分解 | 参数量 | 隐藏神经元数量
RoBERTa | 动态掩码 | 移除下句预测任务 | 增加数据和训练步数 | 增大batch size | 使用字节级字节对编码
第一阶段 | 第二阶段 | 1.GPT结构 | 2. 自回归预训练 | GPT-2 | 缩放参数 | 增大输入序列长度 | 零样本学习 | 更大规模的预训练数据集
GPT-3 | 零样本 | 一样本 | 少样本 | 微调 | 第三阶段 | 可靠性、事实性、有偏性、安全性 | 更多丰富的Prompt技术 | 思考"""


def as_made(name):
    """As `release` would write it now; tests/notebooks/test_up_to_date.py finds out whether it has."""
    return filled((COURSE / name).read_text(encoding="utf-8"), COURSE, exercises)


GUIDE = as_made("docs/teaching.md")


@pytest.fixture(scope="module")
def parts():
    return sections(COURSE)


def table(name, text=GUIDE):
    """The rows of a table that was made, without its head."""
    made = re.search(rf"<!-- made: {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
    return [line.strip("| ").split(" | ") for line in made.strip().splitlines()[2:]]


def minutes(cell):
    found = re.fullmatch(r"\**(?:(\d+) h (\d\d)|–)\**", cell.strip(" |"))
    return 60 * int(found[1] or 0) + int(found[2] or 0)


def numbers(cell, known):
    """What a cell such as "1.2–1.4, [2.1](…)" names, in order."""
    found = []
    for first, last in re.findall(r"\[?([1-9A]\.\d+)\]?(?:\([^)]*\))?(?:–([1-9A]\.\d+))?", cell):
        order = [*known]
        found += order[order.index(first) : order.index(last or first) + 1]
    return found


def test_no_heading_of_the_lecture_is_missing():
    text = "\n".join(row[0] for row in table("slides"))
    places = 0
    for heading in re.split(r" \| |\n", LECTURE):
        assert heading in text[places:], f"{heading} is not on the list, or not in its place"
        places += text[places:].index(heading)


def test_every_section_and_exercise_has_one_slide_and_the_times_add_up(parts):
    *rows, last = table("slides")
    placed = [row for row in rows if row[2].strip()]
    assert sorted(number for row in placed for number in numbers(row[2], parts)) == sorted(parts)
    assert sorted(id for row in placed for id in numbers(row[3], exercises)) == sorted(exercises)
    whole = sum(map(sum, hours(COURSE, exercises.values()).values()))
    assert sum(minutes(row[-1]) for row in placed) == minutes(last[-1]) == whole
    beyond, titles = placed[-1], [row for row in rows if not row[2].strip()]
    assert sum(minutes(row[-1]) for row in titles) + minutes(beyond[-1]) == whole


def test_sections_are_those_of_the_notebooks(parts):
    titles = {}
    for target in targets(COURSE):
        english = target.kind == "chapter" and target.keeps_outputs and target.language == ENGLISH
        for cell in build(target, exercises).cells if english else []:
            if cell.cell_type == "markdown" and (found := re.match(r"## ([1-9A]\.\d+) (.*)", cell.source)):
                titles[found[1]] = found[2]
    assert titles == {number: section.title for number, section in parts.items()}
    for chapter, (reading, _) in hours(COURSE, exercises.values()).items():
        assert sum(part.minutes for number, part in parts.items() if number.split(".")[0] == chapter) == reading
    assert [row[1] for row in table("sections")] == [*titles.values()]


@pytest.mark.parametrize("plan", ["eight-weeks", "sixteen-weeks"])
def test_a_plan_holds_all_chapters_and_adds_up(plan, parts):
    *rows, last = table(plan)
    assert len(rows) == {"eight-weeks": 8, "sixteen-weeks": 16}[plan]
    read, solved, spent = [], [], 0
    for row in rows:
        for cell, time in ((row[1], row[2]), (row[3], row[4])):
            reading, _, solving = cell.partition("exercises")
            chosen = [parts[number] for number in numbers(reading, parts)]
            chosen += [exercises[id] for id in numbers(solving, exercises)]
            assert sum(part.minutes for part in chosen) == minutes(time)
            read += numbers(reading, parts)
            solved += numbers(solving, exercises)
        assert minutes(row[2]) + minutes(row[4]) == minutes(row[5])
        spent += minutes(row[5])
    assert sorted(solved) == sorted(exercises)
    assert sorted(read) == sorted(number for number in parts if number[0] != "A")
    assert spent == minutes(last[-1]) == sum(map(sum, hours(COURSE, exercises.values()).values())) - 20  # the appendix


def test_an_intensive_week_adds_up(parts):
    *rows, last = table("five-days")
    assert len(rows) == 5
    read, solved = [], []
    for row in rows:
        read += numbers(row[1], parts)
        solved += numbers(row[2], exercises)
        chosen = [parts[n] for n in numbers(row[1], parts)] + [exercises[id] for id in numbers(row[2], exercises)]
        assert sum(part.minutes for part in chosen) == minutes(row[3])
        assert minutes(row[3]) < 7 * 60
    skipped = {row[0][1 : row[0].index("]")] for row in table("sections") if "skip" in row[-1]}
    assert sorted(read) == sorted(set(parts) - skipped)
    assert sorted(solved) == sorted(row[0] for row in table("exercises") if "skip" not in row[-1])
    whole = sum(map(sum, hours(COURSE, exercises.values()).values())) - 20
    assert minutes(last[3]) + minutes(last[4]) == whole


def test_what_the_guide_says_in_words_exists(parts):
    prose = re.sub(r"<!-- made.*?<!-- end -->", "", GUIDE, flags=re.DOTALL)
    named = re.findall(r"([Ss]ections?|[Ee]xercises?) ((?:[1-9A]\.\d+(?:,? (?:and|to) |, )?)+)", prose)
    assert len(named) > 30
    for kind, words in named:
        for number in re.findall(r"[1-9A]\.\d+", words):
            assert number in (parts if kind.lower().startswith("section") else exercises), f"{kind} {number}"


def test_an_exercise_does_not_come_before_its_chapter():
    for row in table("exercises"):
        assert row[0].split(".")[0] == row[2].split(".")[0], row


def test_hidden_seeds_are_where_the_guide_says_and_can_be_chosen(tmp_path):
    assert "two seeds" in GUIDE
    assert HIDDEN_SEEDS == 2
    assert "`GRADES/.results/seeds.txt`" in GUIDE
    path = tmp_path / ".results/seeds.txt"
    drawn = hidden_seeds(path, HIDDEN_SEEDS)
    assert hidden_seeds(path, HIDDEN_SEEDS) == drawn != hidden_seeds(tmp_path / "other.txt", HIDDEN_SEEDS)
    path.write_text("12345\n67890\n", encoding="utf-8")
    chosen = hidden_seeds(path, HIDDEN_SEEDS)
    assert chosen == (12345, 67890)
    one = {"4.1": exercises["4.1"]}
    assert Judge(one, chosen).fingerprint("4.1") != Judge(one, drawn).fingerprint("4.1")  # so all is graded anew


def test_the_mistakes_are_all_there_as_students_read_them():
    text = as_made("docs/mistakes.md").replace("&lt;", "<")
    of_exercise = dict(re.findall(r"^### (\S+) .*\n\n((?:- .*\n)+)", text, re.MULTILINE))
    assert [*of_exercise] == [*exercises]
    for id, exercise in exercises.items():
        messages = {" ".join(mistake.message.split()) for mistake in exercise.misconceptions}
        assert sorted(of_exercise[id].splitlines()) == sorted(f"- {message}" for message in messages)


def test_terms_are_used_where_the_glossary_says(parts):
    rows = table("glossary", as_made("docs/glossary.md"))
    terms = {term.english: term for term in read_terms()}
    assert len(terms) == len(read_terms()) == len(rows) > 60
    prose = {number: CODE.sub("", part.text) for number, part in parts.items()}
    for english, chinese, _, meaning, link in rows:
        term = terms[english.strip("*")]
        assert (term.chinese, term.meaning) == (chinese, meaning)
        number, path = re.fullmatch(r"\[(\S+)\]\(\.\./(\S+)\)", link).groups()
        assert (COURSE / path).is_file()
        pattern = re.compile(term.find or re.escape(term.english), re.NOFLAG if term.find else re.IGNORECASE)
        assert next(n for n, words in prose.items() if pattern.search(words)) == number


def test_the_chapters_do_not_say_what_the_list_of_terms_rules_out(parts):
    for term in read_terms():
        for word in term.never:
            assert word not in term.chinese
            assert not [number for number, part in parts.items() if word in part.text], word


def test_the_chapters_introduce_terms_by_the_words_of_the_list(parts):
    """**query 查询** in a chapter is 查询 in the list, or what the slide says."""
    listed = {}
    for term in read_terms():
        for english, chinese in zip(term.english.split(", "), term.chinese.split(", "), strict=False):
            listed[english.lower()] = chinese, term.slide
    compared = 0
    for number, part in parts.items():
        for english, chinese in re.findall(r"\*\*([A-Za-z][\w /-]*?)\**\.? ([一-龥]+)\.?\*\*", CODE.sub("", part.text)):
            if known := listed.get(english.lower()) or listed.get(english.lower().removesuffix("s")):
                assert any(chinese in word or (word and word in chinese) for word in known), (number, english, chinese)
                compared += 1
    assert compared >= 15


def test_a_term_that_no_chapter_uses_is_named(parts):
    with pytest.raises(ValueError, match="no chapter uses 'phlogiston'"):
        Term("phlogiston", "燃素", "What fire was made of.").first_use(parts)


@given(st.integers(0, 500), st.lists(st.integers(1, 3_000), min_size=1, max_size=20))
def test_minutes_are_shared_out_fairly(total, weights):
    shares = share_out(total, weights)
    assert sum(shares) == total
    assert all(abs(share - total * weight / sum(weights)) < 1 for share, weight in zip(shares, weights, strict=True))


# ------------------------------------------------------------------------------------------------------- the mechanism


def declared(**changes):
    course = {"beyond": ["1.2"], "in_class": [], "skip": [], "second_half": ["1.2"], "days": []}
    return {
        "parts": [{"title": "one", "slides": [{"heading": "a", "asks": {"en": "b"}, "sections": ["1.1"]}]}],
        "course": course | changes.pop("course", {}),
        "exercises": {"after": {"1.1": "1.1"}, "in_class": [], "skip": []} | changes,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"course": {"beyond": []}}, "does not place the section 1.2"),
        ({"course": {"beyond": ["1.2", "1.1"]}}, "places the section 1.1 more than once"),
        ({"course": {"skip": ["1.3"]}}, "names the section 1.3, which does not exist"),
        ({"after": {}}, "does not place the exercise 1.1"),
        ({"after": {"1.1": "2.1"}}, "names the section 2.1"),
        ({"in_class": ["1.9"]}, "names the exercise 1.9"),
    ],
)
def test_a_course_that_grew_without_its_syllabus_is_named(changes, words):
    known = dict.fromkeys(["1.1", "1.2"])
    Syllabus(declared(), known, {"1.1": None})
    with pytest.raises(ValueError, match=words):
        Syllabus(declared(**changes), known, {"1.1": None})


def test_a_section_of_one_number_is_not_the_exercise_of_that_number():
    """Section 1.1 in class, exercise 1.1 at home."""
    part = [SimpleNamespace(number=number, minutes=1) for number in ("1.1", "1.2")]
    exercise = SimpleNamespace(id="1.1", minutes=2)
    made = Syllabus(declared(course={"in_class": ["1.1"]}), {p.number: p for p in part}, {"1.1": exercise})
    here, home = made.divided(made.together(["1a", "1b"]))
    assert (here.sections, here.exercises) == ((part[0],), ())
    assert (home.sections, home.exercises) == ((part[1],), (exercise,))


@pytest.mark.parametrize(
    "text",
    ["<!-- made: hour -->\n<!-- end -->", "<!-- made: hours -->\n\nlost", "<!-- end -->", "<!-- made: hours\n-->"],
)
def test_a_place_that_cannot_be_filled_is_named(text, tmp_path):
    if text.endswith("\n-->"):
        assert filled(text, tmp_path, {}) == text  # an ordinary comment
        return
    with pytest.raises(PageError, match="<!-- "):
        filled(text, tmp_path, {})


def test_a_page_speaks_its_own_language_whatever_the_folder_is_called(tmp_path):
    for name in ("README.md", "README.zh.md", "docs/mistakes.md", "docs/zh/mistakes.md"):
        page = tmp_path / "zh" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<!-- made: mistakes -->\n<!-- end -->\n")
    pages = filled_pages(tmp_path / "zh", exercises)
    chinese = {path.relative_to(tmp_path / "zh").as_posix() for path, text in pages.items() if "掩码" in text}
    assert len(pages) == 4
    assert chinese == {"README.zh.md", "docs/zh/mistakes.md"}


def test_release_fills_pages_and_finds_those_that_are_stale(tmp_path):
    (tmp_path / "chapters/text").mkdir(parents=True)
    chapter = tmp_path / "chapters/text/01-short.md"
    chapter.write_text("# Short\n\n**Time** about 30 minutes to read.", encoding="utf-8")
    readme = tmp_path / "README.md"
    readme.write_text("Before.\n\n<!-- made: hours -->\nold\n<!-- end -->\n\nAfter.\n", encoding="utf-8")
    assert readme in release(tmp_path, {})
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("Before.\n\n<!--")
    assert text.endswith("-->\n\nAfter.\n")
    assert "| 1 | 0 h 30 | – | 0 h 30 |" in text
    assert "old" not in text
    assert stale(tmp_path, {}) == []
    assert release(tmp_path, {}) == []
    readme.write_text(text.replace("0 h 30", "0 h 20"), encoding="utf-8")
    assert stale(tmp_path, {}) == ["README.md has tables that are not the course's any more"]


def test_a_readme_in_another_language_has_its_tables_in_that(tmp_path):
    (tmp_path / "README.zh.md").write_text("<!-- made: hours -->\n<!-- end -->\n", encoding="utf-8")
    (tmp_path / "chapters/text").mkdir(parents=True)
    (tmp_path / "chapters/text/01-short.md").write_text("**Time** about 75 minutes to read.", encoding="utf-8")
    release(tmp_path, {})
    with speaking("zh"):
        assert hours_table(tmp_path, []) in (tmp_path / "README.zh.md").read_text(encoding="utf-8")
    assert stale(tmp_path, {}) == []


def test_figures_are_named_after_their_sections_and_say_what_they_show():
    def cell(*bundles):
        made = nbformat.v4.new_code_cell("draw()")
        for data, metadata in bundles:
            made.outputs.append(nbformat.v4.new_output("display_data", data=data, metadata=metadata))
        return made

    figure, axes = plots.row(1, title="a < b & 注意力")
    axes[0].plot([1, 2])
    drawn = svg_of(figure)
    alt = {"image/png": {"alt": figure.alt}}
    notebook = nbformat.v4.new_notebook(
        cells=[
            cell(({"image/svg+xml": drawn}, alt)),
            nbformat.v4.new_markdown_cell("## 3.10 A title"),
            cell(({"image/svg+xml": drawn}, {}), ({"text/plain": "3"}, {}), ({"image/svg+xml": drawn}, alt)),
        ]
    )
    found = dict(figures(notebook))
    assert [*found] == ["opening-1", "3.10-1", "3.10-2"]
    root = ElementTree.fromstring(found["3.10-2"])
    assert root.findtext("{http://www.w3.org/2000/svg}title") == figure.alt
    assert root.get("role") == "img"
    assert found["3.10-1"] == drawn


def svg_of(figure):
    file = StringIO()
    figure.savefig(file, format="svg")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "then", "numbers", "not_tried"),
    [
        ("README.md", "## Two commands", r"(\d+) (?:hours|in eight|mistakes)", "prepared, not tried here"),
        ("README.zh.md", "## 两条命令", r"(\d+) (?:小时|道|多种错误)", "做了准备，没有试过"),
    ],
)
def test_the_first_screen_counts_what_there_is(name, then, numbers, not_tried):
    text = (COURSE / name).read_text(encoding="utf-8")
    first_screen = text[: text.index(then)]
    messages = sum(len({mistake.message for mistake in exercise.misconceptions}) for exercise in exercises.values())
    minutes = sum(map(sum, hours(COURSE, exercises.values()).values()))
    said = [int(number) for number in re.findall(numbers, first_screen)]
    assert said == [round(minutes / 60), len(exercises), messages // 100 * 100]
    assert len({id.split(".")[0] for id in exercises}) == 8
    assert not_tried in first_screen


def test_links_of_the_pages_lead_somewhere():
    for page in (*COURSE.glob("README*.md"), *COURSE.glob("docs/**/*.md")):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        anchors = {
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)", text, re.M)
        }
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, anchor = link.partition("#")
            if re.match(r"(https?|mailto):", link):
                continue
            assert not name or (page.parent / name).exists(), f"{page.name}: {link}"
            assert not anchor or name or anchor in anchors, f"{page.name}: {link}"


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), {README}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8"))
        waiting |= {(page.parent / link).resolve() for link in links} - reached
    assert {*COURSE.glob("README*.md"), *COURSE.glob("docs/**/*.md")} <= reached

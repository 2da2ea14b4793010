"""Chinese in pictures, on a machine that has no font for it: what the course writes has glyphs, and is drawn with them."""

import logging
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from largemodels import plots
from largemodels.corpora import lexicon, tasks
from largemodels.plots.base import CHINESE_FONT, CHINESE_FONT_FILE, font_families

COURSE = Path(__file__).parents[2]
WORDS = list("把英文翻译成中文")
HAN = re.compile(r"[\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff5e]")
WEIGHTS = torch.full((2, 8, 8), 1 / 8)

PICTURES = {
    "heatmap": lambda: plots.heatmap(WEIGHTS[0], WORDS, title="注意力（权重）"),
    "heads": lambda: plots.heads(WEIGHTS, WORDS, title="多头", titles=["头一", "头二"]),
    "attention_lines": lambda: plots.attention_lines(WEIGHTS[0], WORDS, title="注意力"),
    "curves": lambda: plots.curves(
        {"循环网络": [1, 2], "注意力": [2, 2]}, xlabel="距离", ylabel="准确率", title="远处"
    ),
    "bars": lambda: plots.bars({"英文": 1, "中文": 2}, xlabel="词", title="概率"),
    "histogram": lambda: plots.histogram({"分数": [1, 2]}, xlabel="分数"),
    "row": lambda: plots.row(1, title="一行")[0],
    "beside mathematics": lambda: plots.bars({"宽度 $d$": 1}, ylabel="损失", title=r"长度 $n^2$，宽度 $\sqrt{d}$"),
    "by hand": lambda: written_by_hand(),
}


def written_by_hand() -> Figure:
    figure, (ax,) = plots.row(1)
    ax.plot([1, 2], label="定律")
    ax.set(title="手绘", xlabel=r"步数 $n$")
    ax.text(1, 1, "此处")
    ax.legend()
    return figure


@pytest.fixture
def no_other_font(monkeypatch):
    """What matplotlib brings, and ours."""
    font_families()
    own = Path(font_manager.__file__).parent / "mpl-data"
    known = font_manager.fontManager.ttflist
    kept = [font for font in known if own in Path(font.fname).parents or font.name == CHINESE_FONT]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", kept)
    font_manager.fontManager._findfont_cached.cache_clear()


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_chinese_is_drawn_without_boxes_and_without_a_word_in_the_log(draw, no_other_font, caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "matplotlib"):
        warnings.simplefilter("error")  # "Glyph 25226 missing from font(s) …"
        pixels(draw())
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("draw", [lambda word: plots.bars({word: 1}), lambda word: plots.bars({word: 1}, title="$d$")])
def test_different_characters_look_different(draw, no_other_font):
    assert not np.array_equal(pixels(draw("英")), pixels(draw("文")))  # two boxes would be equal


def test_the_font_has_every_character_that_the_course_writes():
    texts = [*COURSE.glob("chapters/text/**/*.md"), *COURSE.glob("solutions/text/**/*.md")]
    catalogues = [*COURSE.glob("lib/largemodels/locale/**/*.po")]
    assert len(texts) > 20
    assert len(catalogues) > 5
    written = "".join(file.read_text(encoding="utf-8") for file in [*texts, *catalogues])
    read = str([*vars(lexicon).values(), *vars(tasks).values()])  # by models, and shown beside their weights
    missing = {*HAN.findall(written + read)} - {*map(chr, TTFont(CHINESE_FONT_FILE).getBestCmap())}
    assert not missing, f"{''.join(sorted(missing))}: make the font anew (largemodels.classroom.editions.font says how)"


def test_the_font_says_that_it_may_be_handed_on_and_its_licence_is_there():
    names = {record.nameID: record.toUnicode() for record in TTFont(CHINESE_FONT_FILE)["name"].names}
    assert "Adobe" in names[0]  # whose copyright it is
    assert "SIL Open Font License" in names[13]
    licence = (CHINESE_FONT_FILE.parent / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence


def test_it_is_small_and_read_by_the_first_picture_only():
    assert CHINESE_FONT_FILE.stat().st_size < 2e6
    code = (
        "import sys, matplotlib.font_manager as f\nfrom largemodels import plots\nprint(len(f.fontManager.ttflist))\n"
    )
    code += "plots.bars({'a': 1})\nprint(len(f.fontManager.ttflist))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert after == before + 1

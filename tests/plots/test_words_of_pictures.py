"""Pictures in another language: every word that they write or say themselves is in it. All data here are Chinese."""

import itertools

import pytest
import torch
from matplotlib.text import Text
from one_word import english_in

from largemodels import denoising, plots
from largemodels.bart import BART, BARTConfig
from largemodels.bert import BERT, BERTConfig
from largemodels.generation import beam_search
from largemodels.gpt import GPT, GPTConfig
from largemodels.t5 import T5, T5Config
from largemodels.training.history import History
from largemodels.training.live import LivePlot
from largemodels.transformer import Transformer, TransformerConfig

WORDS = ["狗", "喜欢", "球"]
WEIGHTS = torch.tensor([[0.90, 0.03, 0.07], [0.02, 0.95, 0.03], [0.02, 0.01, 0.97]])
MANY = [f"{n}" for n in range(20)]
MASK = torch.ones(3, 3, dtype=torch.bool).tril()
TEXT = "甲 乙 丙 。 丁 戊 。 己 庚 辛 。".split()
NAN = float("nan")
NAMES = "GPT BERT BART T5 Transformer LayerNorm RMSNorm ReLU GELU SiLU RoPE NaN MASK logits".split()


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_tree():
    torch.manual_seed(0)
    model = GPT(GPTConfig(5, max_length=8, d_model=8, num_layers=1, num_heads=2)).eval()
    return beam_search(model, torch.tensor([[0]]), max_new_tokens=3, beams=2)


def by_hand():
    figure, (ax, other) = plots.row(2, title="两图")
    ax.plot([1, 2], label="量得")
    ax.set(title="手绘", xlabel="步", ylabel="损失")
    plots.bars({"甲": 1}, ax=other)
    return figure


PICTURES = {
    "curves": lambda: plots.curves(
        {"升": [1, 5, 2], "降": [5, 1, 4], "升降": [2, 9, 0, 2], "无": [NAN, NAN]}, xlabel="距离", ylabel="", chance=3
    ),
    "a curve": lambda: plots.curves({"": [1, 2]}, xlabel="步", ylabel="损失", chance=("先前", 1)),
    "bars": lambda: plots.bars({"甲": 1, "乙": NAN}, chance=0.5),
    "groups of bars": lambda: plots.bars({"甲组": {"一": 1, "二": -1}, "乙组": {"一": 2, "二": 1}}, ylabel="分"),
    "histogram": lambda: plots.histogram({"甲": [1, 2, 3], "乙": [2, 3]}, xlabel="分"),
    "heatmap": lambda: plots.heatmap(WEIGHTS, WORDS, title="图"),
    "heatmap without labels": lambda: plots.heatmap(WEIGHTS, WORDS, row_label="", column_label=""),
    "a mask": lambda: plots.heatmap(MASK, WORDS),
    "a mask with an empty row": lambda: plots.heatmap(MASK & False, WORDS),
    "a large mask": lambda: plots.heatmap(torch.ones(20, 20, dtype=torch.bool).tril(), MANY),
    "on the diagonal": lambda: plots.heatmap(torch.eye(20), MANY),
    "after the diagonal": lambda: plots.heatmap(torch.eye(20).roll(1, 1), MANY),
    "before the diagonal": lambda: plots.heatmap(torch.eye(20).roll(-1, 1), MANY),
    "in a column": lambda: plots.heatmap(torch.eye(20)[3].expand(20, 20), MANY),
    "here and there": lambda: plots.heatmap(torch.rand(20, 20, generator=draw(0)), MANY),
    "rows without numbers": lambda: plots.heatmap([[NAN, NAN], [float("-inf"), 1]], ["甲", "乙"], annotate=False),
    "no numbers": lambda: plots.heatmap(torch.full((2, 2), NAN), ["甲", "乙"]),
    "heatmaps": lambda: plots.heatmaps({"前": WEIGHTS, "后": torch.eye(3)}, WORDS, title="前后"),
    "heads": lambda: plots.heads(torch.stack([WEIGHTS, WEIGHTS.roll(1, 1)]), WORDS),
    "heads of masks": lambda: plots.heads(torch.stack([MASK, ~MASK]), WORDS),
    "attention_lines": lambda: plots.attention_lines(torch.stack([WEIGHTS, WEIGHTS.roll(1, 1)]), WORDS),
    "strips": lambda: plots.strips({"原文": ["甲", ("乙", "盖住"), "丙"], "目标": ["甲", "乙", "丙"]}),
    "timeline": lambda: plots.timeline(
        [plots.Model("甲", 2018.5, 1.2e8), plots.Model("乙", 2023.2, None)],
        [plots.Era("先", 2018, 2020, ["预训练", "微调"]), plots.Era("后", 2020, 2024, ["对齐"])],
    ),
    "families": lambda: plots.families([plots.Family("甲", MASK, WORDS, WORDS, "接着？", [("", 2018, 1e8)])]),
    "beam_tree": lambda: plots.beam_tree(a_tree(), list("甲乙丙丁戊"), eos=1),
    "by hand": by_hand,
}
CORRUPTIONS = {
    "masking": lambda: denoising.token_masking(TEXT, 0.4, draw(0)),
    "permutation": lambda: denoising.sentence_permutation(TEXT, draw(1), end="。"),
    "rotation": lambda: denoising.document_rotation(TEXT, draw(1)),
}
PICTURES |= {
    f"damage_rows, {name}": lambda damage=damage: plots.strips(plots.damage_rows(TEXT, damage()))
    for name, damage in CORRUPTIONS.items()
}


def check(figure) -> None:
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    for text in [*texts, figure.alt]:
        assert english_in(text, NAMES) == [], text


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_no_word_of_a_picture_stays_english(picture, one_word):
    check(picture())


@pytest.mark.slow
def test_no_word_of_an_architecture_stays_english(one_word):
    with torch.device("meta"):
        models = [
            Transformer(TransformerConfig(37_000, 37_000, shared_embedding=True)),
            BART(BARTConfig.base()),
            T5(T5Config.v1_1()),
            *(BERT(config) for config in (BERTConfig.base(), BERTConfig.albert_base(), BERTConfig.roberta_base())),
            *(GPT(config) for config in (GPTConfig.gpt2(), GPTConfig.gpt3("125M"))),
            GPT(GPTConfig(100, 16, 8, 2, 2, positions="rope", tied_head=False)),
        ]
    for model, other in itertools.product(models, [None, models[0], models[-1]]):
        check(plots.architecture(model, than=other))


def test_no_word_of_the_live_picture_of_a_training_stays_english(one_word, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda figure, **_: shown.append(figure))
    plot = LivePlot(History(loss=[2.0, 1.0]), active=True)
    plot.cost = 0.0  # it is time to draw
    plot.update()
    check(*shown)


def test_every_function_that_draws_is_tried_here():
    helpers = {"row", "style", "as_array", "check_labels", "check_weights", "outline", "architecture"}
    tried = {name for key in PICTURES for name in key.partition(",")[0].split()}
    assert {name for name in plots.__all__ if name.islower()} - helpers <= tried


def test_other_words_do_not_change_what_is_drawn(one_word):
    """Parts are compared, and cross-attention is found, in any language."""
    with torch.device("meta"):
        transformer = Transformer(TransformerConfig(100, 100))
        gpt = GPT(GPTConfig(100, 16, 8, 2, 2))
    figure = plots.architecture(transformer, than=transformer)
    assert "◆" not in "".join(text.get_text() for text in figure.axes[0].texts[:-1])
    assert len(figure.axes[0].texts) > len(plots.architecture(gpt).axes[0].texts)
    assert sum(sublayer.reads_memory for column in plots.outline(transformer) for sublayer in column.block) == 1


def test_a_long_note_is_broken_where_chinese_breaks():
    from largemodels.plots.base import wrapped

    text = "另一个才有：自注意力，RelativeBias，分数不作除法；层归一化（编码器、解码器）。"
    lines = wrapped(text, 24)
    assert "".join(lines) == text
    assert all(12 < sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) <= 24 for line in lines[:-1])
    assert not any(line[0] in "，。、；：）" or line[-1] == "（" for line in lines)
    assert wrapped("two self-attention words", 12) == ["two self-", "attention", "words"]

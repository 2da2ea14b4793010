"""The picture of a model: its parts against the papers' own tables and figures, its sizes against the parameters."""

from dataclasses import replace

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import nn

from largemodels import plots
from largemodels.bart import BART, BARTConfig
from largemodels.bert import BERT, BERTConfig
from largemodels.gpt import GPT, GPTConfig
from largemodels.plots.architecture import changes
from largemodels.t5 import T5, T5Config
from largemodels.transformer import Transformer, TransformerConfig


@pytest.fixture(scope="module")
def models():
    with torch.device("meta"):  # shapes are all that is drawn
        return {
            "Transformer": Transformer(TransformerConfig(37_000, 37_000, shared_embedding=True)),
            "BART": BART(BARTConfig.base()),
            "T5": T5(T5Config.v1_1()),
            "BERT": BERT(BERTConfig.base()),
            "ALBERT": BERT(BERTConfig.albert_base()),
            "RoBERTa": BERT(BERTConfig.roberta_base()),
            "GPT-1": GPT(GPTConfig.gpt1()),
            "GPT-2": GPT(GPTConfig.gpt2()),
            "GPT-3": GPT(GPTConfig.gpt3("125M")),
            "rotary": GPT(replace(GPTConfig(100, 16, 8, 2, 2), positions="rope", tied_head=False)),
        }


# From the papers: columns, norms before or after, blocks, and what stands in them, besides those that all have.
PAPERS = {
    "Transformer": ("encoder decoder", False, 6, "sines and cosines; × √d; ReLU; 8 heads of 64; 2,048; cross"),
    "BART": ("encoder decoder", False, 6, "learned table; GELU; 12 heads of 64; 3,072; cross"),
    "T5": ("encoder decoder", True, 12, "buckets of distances; gated; RMSNorm; not divided; 2,048; cross"),
    "BERT": ("encoder", False, 12, "segment; learned table; GELU; tanh; 12 heads of 64; 3,072"),
    "ALBERT": ("encoder", False, 12, "30,000 × 128; 128 × 768; all the same one"),
    "RoBERTa": ("encoder", False, 12, "50,265 × 768; learned table"),
    "GPT-1": ("decoder", False, 12, "masked; 512 × 768; learned table"),
    "GPT-2": ("decoder", True, 12, "masked; 1,024 × 768; 50,257 × 768"),
    "GPT-3": ("decoder", True, 12, "masked; 2,048 × 768; 6 with a band of 256"),
    "rotary": ("decoder", True, 2, "masked self-attention, RoPE"),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_parts_are_those_of_the_paper(models, name):
    titles, norm_first, times, words = PAPERS[name]
    columns = plots.outline(models[name])
    assert " ".join(column.title for column in columns) == titles
    for column in columns:
        assert column.times == times
        assert all(sublayer.norm_first == norm_first for sublayer in column.block)
        assert len(column.block) == 2 + (titles == "encoder decoder" and column.title == "decoder")
    said = plots.architecture(models[name]).alt
    for word in words.split("; "):
        assert word in said, said
    assert ("RMSNorm" in said) != ("LayerNorm" in said)
    assert ("cross-attention" in said) == (len(columns) == 2)
    assert ("tied" in said) == (name not in ("T5", "rotary"))
    assert ("; then beside them of the first token: linear, tanh" in said) == (name in ("BERT", "ALBERT"))


def test_the_sizes_are_those_of_parameters(models):
    """Every "a × b" is the shape of some parameter or table of the model, as it is stored or turned."""
    for model in models.values():
        shapes = {tuple(tensor.shape) for tensor in [*model.parameters(), *model.buffers()]}
        for column in plots.outline(model):
            for part in column.parts:
                if " × " in part.size:
                    size = tuple(int(n.replace(",", "")) for n in part.size.split(" × "))
                    assert size in shapes or size[::-1] in shapes, part


def test_what_changed_since_another(models):
    def changed(name, than):
        columns = plots.outline(models[name])
        new, gone = changes(columns, plots.outline(models[than]))
        parts = zip(columns, new, strict=True)
        return {
            p.form for column, marks in parts for p, mark in zip(column.parts, marks, strict=True) if mark
        }, "; ".join(gone)

    assert changed("Transformer", "Transformer") == (set(), "")
    new, gone = changed("BERT", "Transformer")
    assert {"+ segment", "+ learned table of positions", "feed-forward, GELU"} <= new
    assert "self-attention" not in new
    assert gone.startswith("the decoder")
    new, gone = changed("GPT-2", "Transformer")
    assert "LayerNorm of the input" in new
    assert "masked self-attention" not in new
    assert "cross-attention (decoder)" in gone
    assert gone.startswith("the encoder")
    new, gone = changed("T5", "Transformer")
    assert "cross-attention, scores not divided" in new
    assert "attention" not in gone  # it is there still, and the mark says what is new of it
    assert gone.count("LayerNorm of the sum (encoder, decoder)") == 1
    assert changed("GPT-3", "GPT-2") == ({"6 with a band of 256"}, "")
    assert changed("ALBERT", "BERT") == ({"linear, to the width of the blocks", "all the same one"}, "")
    assert changed("GPT-2", "GPT-1") == ({"LayerNorm of the input", "LayerNorm"}, "LayerNorm of the sum (decoder)")


def test_the_text_names_the_changes_and_marks_them(models):
    figure = plots.architecture(models["GPT-3"], than=models["GPT-2"], title="GPT-3")
    assert "6 with a band of 256 (changed)" in figure.alt
    assert figure.alt.startswith("GPT-3: decoder from bottom to top: token embedding 50,257 × 768,")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sum("◆" in text for text in texts) == 2  # the change, and what the mark means


def test_no_box_hides_another(models):
    """Boxes of a column stand above each other, and nothing that is written leaves its box to either side."""
    for name, than in [("Transformer", "GPT-1"), ("BART", "Transformer"), ("T5", "Transformer"), ("ALBERT", "GPT-1")]:
        figure = plots.architecture(models[name], than=models[than])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        boxes = [patch.get_window_extent(renderer) for patch in figure.axes[0].patches if patch.get_facecolor()[3]]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        for text in figure.axes[0].texts:
            extent = text.get_window_extent(renderer)
            inside = [box for box in boxes if box.contains(extent.x0 + extent.width / 2, extent.y0 + extent.height / 2)]
            assert all(box.x0 <= extent.x0 and extent.x1 <= box.x1 for box in inside), text.get_text()


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="stacks of blocks, got Linear"):
        plots.architecture(nn.Linear(2, 2))

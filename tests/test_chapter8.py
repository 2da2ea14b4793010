"""The cell of chapter 8 that needs official weights, with and without them."""

import re

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from largemodels import pretrained
from largemodels.classroom.release import COURSE
from largemodels.corpora import tasks
from largemodels.generation import greedy
from largemodels.gpt import GPT, GPTConfig


@pytest.fixture(scope="module")
def cell():
    text = (COURSE / "chapters" / "text" / "08-in-context-learning.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```\{code-cell\} ipython3\n:tags:[^\n]*\n\n([^`]*on_this_machine[^`]*)\n```", text)
    return code


def run(code, capsys):
    exec(code, {"torch": torch, "greedy": greedy, "prompt": tasks.prompt})
    return capsys.readouterr().out


def test_without_weights_one_line_says_what_to_put_where(cell, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LARGEMODELS_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)  # an earlier download counts, too
    told = run(cell, capsys)
    assert told.count("\n") == 1
    assert all(name in told for name in ("config.json", "model.safetensors", "tokenizer.json", "weights/gpt2"))
    assert str(tmp_path) not in told  # what is printed is kept in the notebook, and the path is one reader's own


def test_with_weights_each_prompt_is_continued(cell, tmp_path, monkeypatch, capsys):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    torch.manual_seed(0)
    config = GPTConfig(tokenizer.get_vocab_size(), max_length=256, d_model=8, num_layers=1, num_heads=2)
    pretrained.save(GPT(config), tmp_path / "gpt2", tokenizer=tokenizer)
    monkeypatch.setenv("LARGEMODELS_WEIGHTS", str(tmp_path))
    told = run(cell, capsys)
    assert told.count("Translate English to French:") == told.count("water =>") == 3
    assert [told.count(f"{word} => ") for word in ("cheese", "house")] == [2, 1]
    assert "water => eau" not in told

"""The table of parity, a test for each line, and the command that prints it."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from largemodels.pretrained import FAMILIES, parity


@pytest.mark.slow
@pytest.mark.parametrize("case", parity.CASES, ids=str)
def test_parity(case, tmp_path):
    found = parity.measure(case, tmp_path)
    assert found.holds, found


def test_every_model_type_has_several_cases():
    for model_type in FAMILIES:
        assert sum(case.model_type == model_type for case in parity.CASES) >= 5


@pytest.mark.parametrize("model_type", FAMILIES)
def test_parity_notices_a_difference(model_type, tmp_path, monkeypatch):
    """The measurement itself: one number of one late matrix changed by a tenth must not pass."""
    load = parity.load

    def load_almost(folder):
        model = load(folder)
        with torch.no_grad():
            *_, matrix = (p for name, p in model.named_parameters() if p.dim() == 2 and "block" in name)
            matrix[0, 0] += 0.1
        return model

    monkeypatch.setattr(parity, "load", load_almost)
    case = next(case for case in parity.CASES if case.model_type == model_type)
    assert not parity.measure(case, tmp_path).holds


@pytest.mark.parametrize("model_type", FAMILIES)
def test_dropout_in_training(model_type, tmp_path):
    found = parity.measure_dropout(model_type, tmp_path)
    assert found.holds, found


@pytest.mark.parametrize("model_type", FAMILIES)
def test_float16(model_type, tmp_path):
    found = parity.measure_half(model_type, tmp_path)
    assert found.holds, found
    assert 0 < found.ours < 0.02


@pytest.mark.parametrize("name", ["dropout", "attention_dropout"])
@pytest.mark.parametrize("model_type", [name for name in FAMILIES if name not in ("albert", "t5")])
def test_parity_in_training_notices_another_dropout(model_type, name, tmp_path, monkeypatch):
    """A probability that ours reads from the wrong field, or from none."""
    read = FAMILIES[model_type].read
    changed = replace(FAMILIES[model_type], read=lambda *file: replace(read(*file), **{name: 0.05}))
    monkeypatch.setitem(FAMILIES, model_type, changed)
    assert not parity.measure_dropout(model_type, tmp_path).holds


def test_dropout_is_as_before_afterwards():
    before = F.dropout, F.scaled_dot_product_attention
    with parity.fixed_dropout():
        x = torch.ones(50, 40)
        kept = F.dropout(x, 0.3)
        assert torch.equal(kept, F.dropout(x, 0.3))  # the same numbers each time
        assert 0.6 < (kept != 0).float().mean() < 0.8
        assert kept.max() == pytest.approx(1 / 0.7)
        assert torch.equal(F.dropout(x, 0.3, training=False), x)
        query, key, value = torch.randn(3, 2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        for options in ({}, {"is_causal": True}, {"attn_mask": mask}, {"attn_mask": torch.randn(5, 5)}, {"scale": 0.3}):
            expected = before[1](query, key, value, **options)
            torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, **options), expected)
    assert (F.dropout, F.scaled_dot_product_attention) == before


@pytest.mark.slow
def test_the_command_prints_the_table():
    command = [sys.executable, "-m", "largemodels", "parity", "--type", "gpt2", "--type", "t5"]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=None)
    cases = [case for case in parity.CASES if case.model_type in ("gpt2", "t5")]
    assert run.returncode == 0, run.stderr
    for case in cases:
        assert f"{case.model_type:<11} {case.name}" in run.stdout
    assert f"{len(cases)} of {len(cases)} agree" in run.stdout
    for model_type in ("gpt2", "t5"):
        assert f"{model_type:<11} dropout on" in run.stdout
        assert f"{model_type:<11} float16" in run.stdout
    assert "FAILS" not in run.stdout


def test_without_transformers_the_command_says_what_is_missing(monkeypatch, capsys):
    import argparse

    monkeypatch.setitem(sys.modules, "transformers", None)
    parser = argparse.ArgumentParser()
    parity.add_arguments(parser)
    assert parity.main(parser.parse_args([])) == 1
    captured = capsys.readouterr()
    assert "transformers" in captured.err
    assert "not installed" in captured.err
    assert captured.out == ""

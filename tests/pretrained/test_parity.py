"""The table of parity, a test for each line, and the command that prints it."""

import subprocess
import sys

import pytest
import torch

from largemodels.pretrained import FAMILIES, parity


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


@pytest.mark.slow
def test_the_command_prints_the_table():
    command = [sys.executable, "-m", "largemodels", "parity", "--type", "gpt2", "--type", "t5"]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=None)
    cases = [case for case in parity.CASES if case.model_type in ("gpt2", "t5")]
    assert run.returncode == 0, run.stderr
    for case in cases:
        assert f"{case.model_type:<11} {case.name}" in run.stdout
    assert f"{len(cases)} of {len(cases)} agree" in run.stdout
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

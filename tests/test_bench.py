"""The benchmark's arithmetic and its command; speeds are never asserted: machines are noisy."""

import json
import subprocess
import sys

import pytest
import torch

from largemodels.bench import peers
from largemodels.bench.measuring import Comparison, Competitor, compare, gemm_rate, spread
from largemodels.gpt import GPT


def test_competitors_take_turns_and_the_first_run_does_not_count():
    order = []
    competitors = [Competitor(name, lambda name=name: order.append(name)) for name in ("ours", "theirs")]
    found = compare("nothing", competitors, repetitions=3)
    assert order == ["ours", "theirs"] * 4
    assert {name: len(times) for name, times in found.seconds.items()} == {"ours": 3, "theirs": 3}
    assert found.gemm > 0


def test_ratios_are_of_medians_and_against_the_second():
    found = Comparison("x", amount=100, flops=50.0, gemm=100.0, goal=1.5)
    found.seconds = {"ours": [9.0, 1.0, 1.1], "theirs": [2.0, 2.2, 2.4], "others": [4.4]}
    assert found.ratio("ours") == pytest.approx(2.0)
    assert found.ratio("others") == pytest.approx(0.5)
    text = str(found)
    assert "wanted: 1.5" in text
    assert "45% of GEMM" in text  # 50 FLOPs in 1.1 s, of 100 a second
    assert found.to_json()["ratios"]["theirs"] == 1


def test_the_spread_is_the_middle_half():
    assert spread([1.0, 2.0, 3.0, 4.0, 100.0]) == (2.0, 4.0)
    assert spread([7.0]) == (7.0, 7.0)


def test_nothing_cannot_be_repeated():
    with pytest.raises(ValueError, match="at least once, got repetitions=0"):
        compare("x", [], repetitions=0)


def test_gemm_rate_is_a_rate():
    assert gemm_rate(64) > 1e6


def test_our_gpt_has_the_peers_weights():
    pytest.importorskip("transformers")
    sizes = peers.Sizes(num_layers=2, d_model=16, num_heads=2, length=8, vocab_size=20, batch=2)
    theirs = peers.gpt2(sizes).eval()
    ours = peers.same_weights(theirs).eval()
    tokens = torch.arange(16).view(2, 8)
    with torch.no_grad():
        assert torch.allclose(ours(tokens), theirs(tokens).logits, atol=1e-5)
    own, other = (sum(p.numel() for p in model.parameters()) for model in (GPT(sizes.gpt()), peers.TorchGPT(sizes)))
    assert own == other  # torch's layers are as large as ours


def command(*arguments):
    line = [sys.executable, "-m", "largemodels", "bench", *arguments]
    return subprocess.run(line, capture_output=True, encoding="utf-8")


@pytest.mark.slow
def test_the_command_writes_json_and_a_picture(tmp_path):
    json_file, picture = tmp_path / "b.json", tmp_path / "b.png"
    done = command("bands", "import", "--repetitions", "1", "--json", str(json_file), "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "GEMM float32" in done.stdout
    assert "attention, length 16,384" in done.stdout
    content = json.loads(json_file.read_text(encoding="utf-8"))
    assert {"machine", "bands", "import"} == set(content)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bad_arguments_are_refused():
    assert "at least 1, got 0" in command("--repetitions", "0").stderr
    unknown = command("speed")
    assert unknown.returncode == 2
    assert "train" in unknown.stderr

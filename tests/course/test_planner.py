"""The planner against published training runs, and against counting by other means."""

import argparse
import json
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from largemodels.course import planner
from largemodels.course.planner import (
    DEVICES,
    activation_bytes,
    count_parameters,
    flops_per_token,
    layouts,
    plan,
    state_bytes,
)
from largemodels.gpt import GPT, GPTConfig

DENSE = {"bands": (None,), "max_length": 2048, "vocab_size": 51200}

# Brown et al. 2020 (arXiv 2005.14165), table D.1: training FLOPs for 300 billion tokens.
GPT3_FLOPS = {
    "125M": 2.25e20,
    "350M": 6.41e20,
    "760M": 1.37e21,
    "1.3B": 2.38e21,
    "2.7B": 4.77e21,
    "6.7B": 1.20e22,
    "13B": 2.31e22,
    "175B": 3.14e23,
}


@pytest.mark.parametrize("size", GPT3_FLOPS)
def test_gpt3s_arithmetic(size):
    assert 6 * count_parameters(GPTConfig.gpt3(size)) * 300e9 == pytest.approx(GPT3_FLOPS[size], rel=0.01)


def narayanan(layers, d_model, batch, length, vocabulary):
    """FLOPs of a step with everything recomputed: Narayanan et al. 2021 (arXiv 2104.04473), equation 3."""
    share = 1 + length / (6 * d_model) + vocabulary / (16 * layers * d_model)
    return 96 * batch * length * layers * d_model**2 * share


@pytest.mark.parametrize(("layers", "d_model", "heads"), [(24, 2304, 24), (96, 12288, 96), (128, 25600, 160)])
def test_arithmetic_of_a_step(layers, d_model, heads):
    config = GPTConfig(num_layers=layers, d_model=d_model, num_heads=heads, **DENSE)
    per_token = narayanan(layers, d_model, 1, 2048, 51200) / 2048
    assert flops_per_token(config, "all") == pytest.approx(per_token, rel=1e-9)


@pytest.mark.parametrize("norm_first", [True, False])
def test_arithmetic_is_what_torch_counts(norm_first):
    config = GPTConfig(
        vocab_size=50, max_length=32, d_model=24, num_layers=3, num_heads=2, dropout=0.0, norm_first=norm_first
    )
    model = GPT(config)
    tokens = torch.zeros(2, 32, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits, _ = model(tokens, return_weights=True)  # explicit attention, whose products the counter can see
        logits.sum().backward()
    # All products but one are counted: the gradient of the tokens' one-hot vectors is not a matrix product.
    assert counter.get_total_flops() == pytest.approx(flops_per_token(config) * tokens.numel(), rel=1e-9)


# Published trainings: layers, width, heads, vocabulary; GPUs, FLOP/s reached on each, sequences, tokens; days or seconds.
# Narayanan et al. 2021, section 5.1: GPT-3's 175 billion on 1,024 A100 in 34 days, a trillion on 3,072 in 84 days.
@pytest.mark.parametrize(
    ("layers", "d_model", "heads", "gpus", "reached", "batch", "tokens", "days"),
    [(96, 12288, 96, 1024, 140e12, 1536, 300e9, 34), (128, 25600, 160, 3072, 163e12, 3072, 450e9, 84)],
)
def test_days_of_megatrons_trainings(layers, d_model, heads, gpus, reached, batch, tokens, days):
    config = GPTConfig(num_layers=layers, d_model=d_model, num_heads=heads, **DENSE)
    device = DEVICES["a100"]
    found = plan(
        config,
        gpus=gpus,
        device=device,
        tokens=tokens,
        batch=batch,
        recompute="all",
        utilization=reached / device.peak,
    )
    assert found.days == pytest.approx(days, rel=0.03)
    assert found.layout.tensor * found.layout.pipeline * found.layout.data == gpus


# Smith et al. 2022 (arXiv 2201.11990), section 3.2: seconds of a step of Megatron-Turing NLG 530B, batch 1,920.
@pytest.mark.parametrize(
    ("gpus", "reached", "seconds"), [(2240, 126e12, 60.1), (2800, 121e12, 50.2), (3360, 113e12, 44.4)]
)
def test_seconds_of_megatron_turings_steps(gpus, reached, seconds):
    config = GPTConfig(num_layers=105, d_model=20480, num_heads=128, **DENSE)
    device = DEVICES["a100"]
    found = plan(config, gpus=gpus, batch=1920, recompute="all", utilization=reached / device.peak)
    assert found.step_seconds == pytest.approx(seconds, rel=0.02)


def test_what_was_done_fits():
    """BLOOM (Le Scao et al. 2022, arXiv 2211.05100, section 3.3): 384 A100 of 80 GB, 4 × 12 × 8, micro-batches of 2."""
    config = GPTConfig(num_layers=70, d_model=14336, num_heads=112, max_length=2048, vocab_size=250_880)
    parameters = count_parameters(config)
    assert parameters == pytest.approx(176.2e9, rel=0.002)  # theirs has ALiBi for learned positions
    # 70 layers go into 12 stages only with two stages one layer short; 14 stages are the next that come out even.
    found = layouts(config, DEVICES["a100"], 4 * 14 * 8, 2048, "all", parameters)
    theirs = next(one for one in found if (one.tensor, one.pipeline, one.data, one.micro_batch) == (4, 14, 8, 2))
    assert theirs.states + theirs.activations < 80e9


def test_memory_formulas():
    """Rajbhandari et al. 2019: 16 bytes a parameter, so 120 GB for 7.5 billion, and 31.4 GB if 64 share Adam's state."""
    assert state_bytes(7.5e9) == 120e9
    assert state_bytes(7.5e9, copies=64) == pytest.approx(31.4e9, rel=0.001)
    # Korthikanti et al. 2022, section 4.1 and 5: sbh(34 + 5as/h) a layer; for GPT-3 the brackets' second part is 80.
    config = GPTConfig.gpt3("175B")
    kept = [activation_bytes(config, 1, 8, 8, recompute) for recompute in ("none", "attention", "all")]
    assert kept[1] == 2048 * 12288 * 96 * 34 / 8
    assert kept[0] / kept[1] == pytest.approx((34 + 80) / 34)
    assert kept[2] == pytest.approx(kept[1] * 2 / 34)


def test_the_layout_fits_comes_out_even_and_cuts_least():
    config, device = GPTConfig.gpt3("13B"), DEVICES["a100"]
    found = plan(config, gpus=64, batch=512).layout
    assert found.states + found.activations < device.memory
    assert 512 % (found.data * found.micro_batch) == 0
    every = layouts(config, device, 64, 512, "attention", count_parameters(config))
    fits = [one for one in every if one.states + one.activations <= 0.9 * device.memory]
    assert found.tensor * found.pipeline == min(one.tensor * one.pipeline for one in fits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": 0}, "gpus must be at least 1, got 0"),
        ({"gpus": 8, "tokens": 0}, "tokens must be at least 1"),
        ({"gpus": 8, "utilization": 1.5}, "share of the device's peak in .*got 1.5"),
        ({"gpus": 8}, r"no layout fits: at least \d+ GB on each GPU, which has 80 GB"),
        ({"gpus": 7, "batch": 10}, "7 GPUs cannot share a batch of 10 sequences, 96 layers and 96 heads evenly"),
    ],
)
def test_impossible_plans(options, message):
    with pytest.raises(ValueError, match=message):
        plan(GPTConfig.gpt3("175B"), **options)


def command(*arguments):
    line = [sys.executable, "-m", "largemodels", "plan", *arguments]
    return subprocess.run(line, capture_output=True, encoding="utf-8", env=None)


def test_a_plan_is_told_in_the_language_that_is_spoken(unmarked):
    parser = argparse.ArgumentParser()
    planner.add_arguments(parser)
    arguments = parser.parse_args([])
    config, device = GPTConfig.gpt3("175B"), DEVICES["a100"]
    told = planner.describe(plan(config, gpus=1024), config, arguments, device)
    assert len(told.splitlines()) == 9
    assert unmarked(told).split() == []
    with pytest.raises(ValueError, match="GPUs") as refused:
        plan(config, gpus=7, batch=10)
    assert unmarked(str(refused.value)) == ""


@pytest.mark.slow
def test_the_command():
    printed = command("--gpus", "512", "--gpu", "h100")
    assert printed.returncode == 0, printed.stderr
    assert "174.6" in printed.stdout
    assert "days at 40% of the peak" in printed.stdout
    as_json = json.loads(command("--model", "gpt2-xl", "--gpus", "8", "--batch", "512", "--json").stdout)
    assert as_json["parameters"] == 1_557_611_200
    refused = command("--gpus", "1")
    assert refused.returncode == 1
    assert "no layout fits" in refused.stderr
    assert "Traceback" not in refused.stderr

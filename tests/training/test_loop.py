import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from train_script import STEPS, counting, run, run_bert, tiny_gpt

from largemodels import plots
from largemodels.losses import IGNORE, cross_entropy, token_loss
from largemodels.training import History, cosine, decay_groups, inverse_root, loop, train
from largemodels.training.batching import pad_pairs
from largemodels.training.checkpoints import load_checkpoint, save_checkpoint
from largemodels.training.live import LivePlot
from largemodels.transformer import Transformer, TransformerConfig

SCRIPT = Path(__file__).with_name("train_script.py")


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


# --------------------------------------------------------------------------------------------------------------- loss


@pytest.mark.parametrize("wrong", [7, -1])
def test_targets_out_of_range_are_refused_clearly(wrong):
    targets = torch.tensor([0, IGNORE, wrong])
    with pytest.raises(ValueError, match=r"targets lie in 0 … 6 \(or are -100, to be ignored\), got"):
        cross_entropy(torch.randn(3, 7), targets)


def test_label_smoothing_is_the_cross_entropy_with_the_smoothed_distribution():
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 5, 7, dtype=torch.double), torch.randint(7, (3, 5))
    targets[0, 3:] = targets[2, 1:] = IGNORE
    smoothed, n = cross_entropy(logits, targets, label_smoothing=0.3)
    expected = 0.0
    for row, target in zip(logits.flatten(0, 1), targets.flatten(), strict=True):
        if target != IGNORE:
            q = torch.full((7,), 0.3 / 7, dtype=torch.double)
            q[target] += 0.7
            expected -= (q * (row.exp() / row.exp().sum()).log()).sum()
    torch.testing.assert_close(smoothed, expected)
    assert n == 9


def test_padding_changes_neither_loss_nor_gradient():
    model = tiny_transformer()
    pairs = [([3, 4, 5, 6, 7], [8, 9]), ([3], [5, 6, 7, 8]), ([9, 8], [4])]
    together = token_loss(model, pad_pairs(pairs, bos=1, eos=2, pad=11))
    together[0].backward()
    gradient = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    alone = [token_loss(model, pad_pairs([pair], bos=1, eos=2)) for pair in pairs]
    sum(total for total, _ in alone).backward()
    assert together[1] == sum(n for _, n in alone) == 3 + 5 + 2
    torch.testing.assert_close(together[0], sum(total for total, _ in alone))
    torch.testing.assert_close(gradient, [p.grad for p in model.parameters()])


def tiny_transformer() -> Transformer:
    torch.manual_seed(0)
    sizes = {"d_model": 12, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "d_ff": 24}
    return Transformer(TransformerConfig(12, 12, max_length=9, **sizes)).eval()


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3, 5\) and targets \(2, 4\)"):
        cross_entropy(torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.long))


# ------------------------------------------------------------------------------------- learning rate and weight decay


def test_cosine_is_torchs_after_a_straight_warmup():
    rate = cosine(3e-3, warmup=10, steps=50, end=0.2)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.2 * 3e-3)
    for n in range(1, 11):
        assert rate(n - 1) == pytest.approx(3e-3 * n / 10)
    for step in range(9, 50):
        assert rate(step) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert rate(1000) == rate(49) == pytest.approx(0.2 * 3e-3)


def test_inverse_root_is_the_papers_formula():
    d_model, warmup = 512, 4000
    rate = inverse_root((d_model * warmup) ** -0.5, warmup=warmup)
    for n in (1, 17, 3999, 4000, 4001, 100_000):
        assert rate(n - 1) == pytest.approx(d_model**-0.5 * min(n**-0.5, n * warmup**-1.5))


def test_schedules_refuse_a_warmup_that_does_not_fit():
    with pytest.raises(ValueError, match="warmup=50 and steps=50"):
        cosine(1e-3, warmup=50, steps=50)
    with pytest.raises(ValueError, match="got 0"):
        inverse_root(1e-3, warmup=0)


def test_only_matrices_decay():
    model = tiny_gpt()
    model.head.weight.requires_grad_(False)  # tied: the embedding, too
    decayed, free = decay_groups(model, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {
        name
        for name in names.values()
        if name.endswith("weight") and "norm" not in name and name not in ("embedding.weight", "head.weight")
    }
    assert all(name.endswith("bias") or "norm" in name for name in (names[id(p)] for p in free["params"]))
    assert len(decayed["params"]) + len(free["params"]) == len(names) - 1


# ----------------------------------------------------------------------------------------------------------- the loop


def test_the_loop_is_a_plain_one_of_torch():
    """Mean loss, clipping, decay of matrices only, a rate for each step: with torch's own means."""
    model, plain = tiny_gpt(dropout=0.0), tiny_gpt(dropout=0.0)
    batches = [counting(step, torch.Generator().manual_seed(step)) for step in range(STEPS)]
    rate = cosine(1e-2, warmup=5, steps=STEPS)
    history = run(model, lambda step, generator: batches[step], weight_decay=0.3, betas=(0.8, 0.9))

    matrices, others = [p for p in plain.parameters() if p.dim() > 1], [p for p in plain.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.8, 0.9))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for step, (tokens, targets) in enumerate(batches):
        loss = F.cross_entropy(plain(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        norm = math.sqrt(sum(p.grad.square().sum() for p in plain.parameters()))
        if norm > 0.5:
            for p in plain.parameters():
                p.grad *= 0.5 / norm
        assert history.loss[step] == pytest.approx(loss.item(), rel=1e-4)
        assert history.gradient_norm[step] == pytest.approx(norm, rel=1e-3)
        assert history.tokens[step] == (targets != IGNORE).sum()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    torch.testing.assert_close(weights(model), weights(plain), rtol=1e-3, atol=1e-4)
    assert min(history.gradient_norm) > 0.5 or max(history.gradient_norm) > 0.5 > min(history.gradient_norm)
    assert history.learning_rate == [rate(step) for step in range(STEPS)]
    assert history.loss[-1] < history.loss[0] / 2
    assert not model.training


def test_the_seed_decides_everything_and_nothing_outside_changes():
    before = torch.get_rng_state()
    one, same, other = tiny_gpt(), tiny_gpt(), tiny_gpt()
    torch.set_rng_state(before)
    histories = [run(one, seed=3)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)  # whoever used the global generator in between
    histories += [run(same, seed=3), run(other, seed=4)]
    assert torch.equal(weights(one), weights(same))
    assert histories[0].loss == histories[1].loss
    assert not torch.equal(weights(one), weights(other))


def test_each_step_has_random_numbers_of_its_own():
    drawn = []

    def batches(step, generator):
        drawn.append(torch.rand((), generator=generator).item())
        return counting(step, generator)

    run(tiny_gpt(), batches, seed=0)
    run(tiny_gpt(), batches, seed=1)
    assert len(set(drawn)) == 2 * STEPS


def test_dropout_differs_from_step_to_step():
    model, seen = tiny_gpt(dropout=0.5), []
    model.stack.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0] == 0))
    batch = counting(0, torch.Generator())
    train(model, lambda step, generator: batch, steps=3, learning_rate=1e-9, progress=False)
    assert all(0.4 < zeros.float().mean() < 0.6 for zeros in seen)
    assert all(not torch.equal(one, next_) for one, next_ in pairwise(seen))


def test_evaluation_sees_the_model_at_rest_and_disturbs_nothing():
    model, plain, seen = tiny_gpt(), tiny_gpt(), []

    def evaluate(evaluated: nn.Module) -> float:
        seen.append((evaluated is model, evaluated.training, torch.is_grad_enabled()))
        return torch.rand(()).item() + len(seen)

    history = run(model, evaluate=evaluate, evaluate_every=10)
    run(plain)
    assert seen == [(True, False, False)] * 3
    assert [done for done, _ in history.evaluations] == [10, 20, STEPS]
    assert [int(value) for _, value in history.evaluations] == [1, 2, 3]
    assert torch.equal(weights(model), weights(plain))


@pytest.mark.parametrize(
    ("width", "capabilities", "expected"),
    [
        (256, {"avx512_bf16": True}, True),
        (256, {"amx_bf16": True, "avx512_bf16": False}, True),
        (256, {"avx2": True, "avx512_bf16": False}, False),  # would be emulated, many times slower
        (96, {"avx512_bf16": True}, True),
        (64, {"avx512_bf16": True}, False),  # measured: gains next to nothing
    ],
)
def test_bfloat16_is_chosen_where_it_is_faster(monkeypatch, width, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    model = nn.Sequential(nn.Embedding(300, width), nn.Linear(width, width), nn.Linear(width, 2))
    errors = []
    model[1].register_forward_hook(lambda m, x, y: errors.append((y - x[0] @ m.weight.T - m.bias).abs().max().item()))
    batch = torch.zeros(1, 4, dtype=torch.long), torch.zeros(1, 4, dtype=torch.long)
    train(model, lambda step, generator: batch, steps=1, learning_rate=1e-3, progress=False)
    assert (errors[0] > 1e-4) is expected


def test_a_loss_may_be_anything_that_is_a_sum_and_a_number():
    batch = {"pair": (torch.ones(4, 3), torch.zeros(4)), "name": "any"}
    model = nn.Linear(3, 1)

    def squares(model, batch):
        x, y = batch["pair"]
        return (model(x)[:, 0] - y).square().sum(), len(x)

    history = train(model, lambda *_: batch, steps=50, learning_rate=0.05, loss=squares, weight_decay=0, progress=False)
    assert history.tokens == [4] * 50
    assert history.loss[-1] < 0.01 * history.loss[0]


def test_a_gradient_that_explodes_stops_before_the_weights_are_lost():
    model = tiny_gpt()

    def batches(step, generator):
        if step == 3:
            with torch.no_grad():
                model.embedding.weight[0, 0] = math.inf
        return counting(step, generator)

    with pytest.raises(FloatingPointError, match=r"step 3 is nan .*lower learning rate"):
        run(model, batches)
    assert weights(model).isfinite().sum() == weights(model).numel() - 1
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["batches", "loss", "evaluate"])
def test_whatever_ends_training_leaves_the_model_in_evaluation_mode(error, where):
    def fail(*_):
        raise error

    model = tiny_gpt()
    with pytest.raises(error):
        run(model, **{where: fail}, evaluate_every=1)
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("accumulate", [2, 3, 7])
def test_a_batch_in_parts_is_learned_like_the_whole(accumulate):
    """Seven texts do not divide evenly, and the parts have very different numbers of targets."""
    whole, parts = tiny_gpt(dropout=0.0), tiny_gpt(dropout=0.0)
    expected, found = run(whole, bfloat16=False), run(parts, bfloat16=False, accumulate=accumulate)
    assert found.tokens == expected.tokens
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-3, atol=1e-4)


def test_a_part_without_targets_is_no_obstacle():
    def lonely(step, generator):
        tokens, targets = counting(step, generator)
        targets[step % 2 :: 2] = IGNORE
        return tokens, targets

    whole, parts = tiny_gpt(dropout=0.0), tiny_gpt(dropout=0.0)
    expected, found = run(whole, lonely, bfloat16=False), run(parts, lonely, bfloat16=False, accumulate=2)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


def test_a_training_in_parts_goes_on_from_its_checkpoint(tmp_path):
    whole, resumed = tiny_gpt(), tiny_gpt()
    expected = run(whole, accumulate=3)
    run(resumed, steps=10, accumulate=3, checkpoint=tmp_path / "checkpoint.pt")
    assert run(resumed, accumulate=3, checkpoint=tmp_path / "checkpoint.pt").loss == expected.loss
    assert torch.equal(weights(whole), weights(resumed))


def test_more_parts_than_rows_are_refused():
    with pytest.raises(ValueError, match=r"1 processes with 8 parts each cannot share .*\(7, 12\).* larger batch"):
        run(tiny_gpt(), accumulate=8)
    with pytest.raises(ValueError, match="accumulate must be a whole number of at least 1, got 0"):
        run(tiny_gpt(), accumulate=0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batches": [1, 2]}, TypeError, "function of .step, generator., got a list"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
        ({"checkpoint_every": 2.5}, ValueError, "checkpoint_every .* got 2.5"),
        ({"learning_rate": 0.0}, ValueError, "learning rate must be a finite number above 0, got 0.0"),
        ({"learning_rate": math.inf}, ValueError, "learning rate must be a finite number above 0, got inf"),
        ({"learning_rate": "0.001"}, ValueError, "learning rate must be a finite number above 0, got '0.001'"),
        ({"learning_rate": lambda step: None}, ValueError, "learning rate of step 0 .*, got None"),
        ({"clip": -1.0}, ValueError, "clip is a length above 0, got -1.0; math.inf never"),
        ({"clip": None}, ValueError, "clip is a length above 0, got None; math.inf never"),
        ({"clip": math.nan}, ValueError, "clip is a length above 0, got nan"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay .* must not be negative, got -0.1"),
        ({"loss": lambda model, batch: model(batch[0]).mean()}, TypeError, r"two things, .* a tensor of shape \(\)"),
        ({"loss": lambda model, batch: (model(batch[0]), 84)}, TypeError, "two things, the sum over all targets, a"),
        ({"loss": lambda model, batch: (1.0, 84)}, TypeError, r"two things, .* got \(1.0, 84\)"),
        ({"loss": partial(lambda model, batch: (model(batch[0]).sum(), 0))}, ValueError, "step 0 has no targets"),
    ],
)
def test_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        run(tiny_gpt(), **changes)


@pytest.mark.parametrize("wrong", [-0.001, math.nan, math.inf])
def test_a_schedule_that_leads_away_from_the_goal_is_refused(wrong):
    model = tiny_gpt()
    with pytest.raises(ValueError, match=f"learning rate of step 3 must be a finite number of at least 0, got {wrong}"):
        run(model, learning_rate=lambda step: 1e-3 if step < 3 else wrong)
    trained = tiny_gpt()
    run(trained, steps=3, learning_rate=1e-3)
    assert torch.equal(weights(model), weights(trained))


def test_a_schedule_may_rest():
    model = tiny_gpt()
    run(model, learning_rate=lambda step: 0.0)
    assert torch.equal(weights(model), weights(tiny_gpt()))


def test_without_gradients_there_is_no_training():
    with torch.no_grad(), pytest.raises(RuntimeError, match="switched off here; leave"):
        run(tiny_gpt())


def test_a_dictionary_wants_a_loss_of_its_own():
    def batches(step, generator):
        return dict(zip(("tokens", "targets"), counting(step, generator), strict=True))

    with pytest.raises(TypeError, match="a dictionary with 'tokens', 'targets'; give train a loss of your own: loss="):
        run(tiny_gpt(), batches)
    own = partial(lambda model, batch: cross_entropy(model(batch["tokens"]), batch["targets"]))
    assert run(tiny_gpt(), batches, loss=own).loss == run(tiny_gpt()).loss


def test_a_frozen_model_is_refused():
    with pytest.raises(ValueError, match="nothing to train"):
        run(tiny_gpt().requires_grad_(False))


def test_history_as_a_curve_and_a_rate():
    history = History(loss=[4.0, 2.0, 3.0, 1.0, 9.0], tokens=[10, 10, 10, 10, 60], seconds=[1.0, 2.0, 3.0, 4.0, 6.0])
    assert history.curve(points=5) == ([1, 2, 3, 4, 5], history.loss)
    assert history.curve(points=3) == ([2, 4, 5], [3.0, 2.0, 9.0])
    assert history.tokens_per_second() == pytest.approx(100 / 6)
    assert history.tokens_per_second(2) == pytest.approx(70 / 3)
    assert history.tokens_per_second(20) == pytest.approx(100 / 6)


# --------------------------------------------------------------------------------------------------- stopped and gone on


@pytest.mark.slow
def test_killed_and_resumed_is_bit_for_bit_the_same(tmp_path):
    path, model, resumed = tmp_path / "run" / "checkpoint.pt", tiny_gpt(), tiny_gpt()
    history = run(model)
    killed = subprocess.run([sys.executable, SCRIPT, path, "--die-at", "13"], timeout=120, check=False)
    assert killed.returncode == -9 if os.name == "posix" else killed.returncode != 0
    seen = []
    resumed_history = run(resumed, lambda *step: seen.append(step[0]) or counting(*step), checkpoint=path)
    assert seen == list(range(10, STEPS))  # the last checkpoint was after 10 steps
    assert torch.equal(weights(resumed), weights(model))
    assert (resumed_history.loss, resumed_history.learning_rate) == (history.loss, history.learning_rate)
    assert all(one < next_ for one, next_ in pairwise(resumed_history.seconds))

    loaded = tiny_gpt(init_std=0.02)  # and the finished file is the finished model
    load_checkpoint(path, loaded)
    assert torch.equal(weights(loaded), weights(model))
    assert run(tiny_gpt(), lambda *_: pytest.fail("all is done"), checkpoint=path).loss == history.loss


def test_the_stop_button_ends_after_a_whole_step(tmp_path):
    def stop_in_step_7(step, generator):
        if step == 7:
            signal.raise_signal(signal.SIGINT)
        return counting(step, generator)

    path, model, whole = tmp_path / "checkpoint.pt", tiny_gpt(), tiny_gpt()
    handler = signal.getsignal(signal.SIGINT)
    history = run(model, stop_in_step_7, checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert history.interrupted
    assert len(history.loss) == len(history.seconds) == 8
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    resumed = run(model, checkpoint=path)
    assert not resumed.interrupted
    run(whole)
    assert torch.equal(weights(model), weights(whole))


def test_the_stop_button_twice_stops_at_once():
    def stop_twice(step, generator):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_gpt(), stop_twice)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_full_disk_costs_a_warning_until_the_end(tmp_path, monkeypatch):
    path, model = tmp_path / "checkpoint.pt", tiny_gpt()
    full = OSError(28, "No space left on device")

    def fail(*_):
        raise full

    def fill_the_disk_in_step_7(step, generator):
        if step == 7:
            monkeypatch.setattr(os, "fsync", fail)
        return counting(step, generator)

    with (
        pytest.warns(UserWarning, match="checkpoint.pt was not written .*No space left") as warned,
        pytest.raises(OSError, match="No space left"),
    ):
        run(model, fill_the_disk_in_step_7, checkpoint=path, checkpoint_every=5)
    assert len(warned) == 3  # after 10, 15 and 20 steps
    monkeypatch.undo()
    history, resumed = run(tiny_gpt(), steps=STEPS), tiny_gpt()
    assert run(resumed, checkpoint=path).loss == history.loss
    assert torch.equal(weights(resumed), weights(model))  # which had learned to the end


def test_a_training_with_numpys_numbers_goes_on_from_its_checkpoint(tmp_path):
    options = {
        "seed": np.int64(3),
        "weight_decay": np.float64(0.1),
        "betas": np.array([0.9, 0.98]),
        "clip": np.float32(0.5),
        "learning_rate": lambda step: np.interp(step, [0, STEPS], [1e-2, 0]),
    }
    whole, resumed = tiny_gpt(), tiny_gpt(dropout=np.float64(0.1))
    expected = run(whole, **options)
    run(resumed, steps=np.int64(10), checkpoint=tmp_path / "checkpoint.pt", **options)
    assert run(resumed, checkpoint=tmp_path / "checkpoint.pt", **options).loss == expected.loss
    assert torch.equal(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ({"num_heads": 4}, {}, "num_heads is 2 there and 4 here"),
        ({"dropout": 0.2}, {}, "dropout is 0.1 there and 0.2 here"),
        ({}, {"seed": 1}, "seed is 0 there and 1 here"),
        ({}, {"clip": 1.0}, "clip is 0.5 there and 1.0 here"),
        ({}, {"learning_rate": 0.01}, "learning rate of step 3 is 0.008 there and 0.01 here"),
        ({}, {"steps": 3}, "has 4 steps behind it, more than steps=3"),
    ],
)
def test_a_checkpoint_of_another_training(tmp_path, model, changes, message):
    path = tmp_path / "checkpoint.pt"
    run(tiny_gpt(), steps=4, checkpoint=path)
    other = tiny_gpt(**model)
    before = weights(other)
    with pytest.raises(ValueError, match=message):
        run(other, checkpoint=path, **changes)
    assert torch.equal(weights(other), before)


def test_weights_alone_are_no_training_to_go_on_with(tmp_path):
    save_checkpoint(tmp_path / "weights.pt", tiny_gpt())
    with pytest.raises(ValueError, match="without their training"):
        run(tiny_gpt(), checkpoint=tmp_path / "weights.pt")


# ------------------------------------------------------------------------------------------------------ two processes


@pytest.mark.slow
def test_two_processes_learn_like_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT, tmp_path]
    finished = subprocess.run(command, timeout=180, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    first, second = (torch.load(tmp_path / f"process{rank}.pt") for rank in range(2))
    model = tiny_gpt(dropout=0.0)
    history = run(model)
    assert first["history"]["loss"] == second["history"]["loss"] == pytest.approx(history.loss, rel=1e-5)
    assert first["history"]["gradient_norm"] == pytest.approx(history.gradient_norm, rel=1e-4)
    assert first["history"]["tokens"] == history.tokens
    for name, weight in model.state_dict().items():
        assert torch.equal(first["model"][name], second["model"][name])
        torch.testing.assert_close(first["model"][name], weight, rtol=1e-3, atol=1e-4)
        # One process was asked to stop: both did, in the same step, and went on together from the first one's file.
        assert torch.equal(first["resumed"][name], first["model"][name])
    # A batch with pairs has two means, and neither process knows the denominators by itself.
    alone = run_bert()
    for together in first["pairs"]:
        assert together["loss"] == pytest.approx(alone.loss, rel=1e-5)
        assert together["gradient_norm"] == pytest.approx(alone.gradient_norm, rel=1e-4)
        assert together["tokens"] == alone.tokens
    assert len(first["stopped"]["loss"]) == len(second["stopped"]["loss"]) == 10
    assert first["stopped"]["interrupted"]
    assert second["stopped"]["interrupted"]


# ------------------------------------------------------------------------------------------------------ what one sees


def test_the_progress_bar_tells_loss_and_speed(capsys):
    history = run(tiny_gpt(), progress=True)
    bar = capsys.readouterr().err
    assert f"{STEPS}/{STEPS}" in bar
    assert f"loss {history.loss[-1]:.3f}" in bar
    assert "tokens/s" in bar
    run(tiny_gpt())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("cost", [0.03, 0.15, 1.0])
def test_the_live_plot_is_drawn_seldom_enough(monkeypatch, cost):
    """A clock of our own: 20,000 steps of 30 ms, and drawings that take `cost` seconds, the first twice that."""
    clock, drawn = [0.0], []

    def draw(series, **labels):
        clock[0] += cost if drawn else 2 * cost
        drawn.append((clock[0], series["loss"]))

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(plots, "curves", draw)
    monkeypatch.setattr("IPython.display.display", lambda figure, display_id: NotebookDisplay())
    history = History()
    plot = LivePlot(history, active=True)
    for _ in range(20_000):
        history.loss.append(1.0)
        clock[0] += 0.03
        plot.update()
    plot.update(last=True)
    assert history.drawing_seconds == pytest.approx(cost * (len(drawn) + 1))
    assert 0.5 * LivePlot.SHARE < history.drawing_seconds / clock[0] <= LivePlot.SHARE
    live = [when for when, _ in drawn[:-1]]
    assert all(next_ - one >= cost / LivePlot.SHARE for one, next_ in pairwise(live))
    assert drawn[-1][1] == history.curve()  # the last one shows the end


class NotebookDisplay:
    def update(self, figure) -> None:
        pass


def test_short_trainings_and_terminals_draw_nothing(monkeypatch):
    assert not loop.in_notebook()
    monkeypatch.setattr(plots, "curves", lambda *_, **__: pytest.fail("nothing to draw"))
    monkeypatch.setattr(loop, "in_notebook", lambda: True)
    run(tiny_gpt(), steps=2)
    plot = LivePlot(History(loss=[1.0]), active=False)
    plot.begin = -1e9
    plot.update(last=True)

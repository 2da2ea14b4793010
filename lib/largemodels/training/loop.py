"""The loop: one for every model of the course.

    def batches(step, generator):  # 16 pieces of a long text, and the same pieces one token later
        begin = torch.randint(len(text) - 64, (16, 1), generator=generator)
        pieces = text[begin + torch.arange(65)]
        return pieces[:, :-1], pieces[:, 1:]

    history = train(model, batches, steps=1000, learning_rate=cosine(3e-3, warmup=100, steps=1000))

Everything random in a step is a function of (seed, step): `batches` makes the batch of any step when asked, and dropout
is seeded anew in each. So there is no position in the data to remember. A run that was killed and goes on from its
checkpoint ends with the same weights, to the last bit, as one that was not; and several processes (``torchrun
script.py``) each make the same batch and take their own rows of it.

A loss is a *sum* over targets together with their number, never a mean. Only so is padding left out, and only so do
processes with different numbers of targets agree on one mean.
"""

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from largemodels.bars import in_notebook, progress_bar
from largemodels.language import say
from largemodels.losses import token_loss
from largemodels.seeds import seed_of, seeded
from largemodels.training.checkpoints import check_same, put_weights, read_checkpoint, save_checkpoint
from largemodels.training.history import History
from largemodels.training.live import LivePlot
from largemodels.training.precision import gains_from_bfloat16, in_bfloat16
from largemodels.training.processes import Processes
from largemodels.training.schedules import Schedule


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: matrices are pulled towards 0, biases and the vectors of norms are not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def train(
    model: nn.Module,
    batches: Callable[[int, torch.Generator], Any],
    *,
    steps: int,
    learning_rate: float | Schedule,
    loss: Callable[[nn.Module, Any], tuple[Tensor, Tensor | int]] = token_loss,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.98),
    clip: float = 1.0,
    accumulate: int = 1,
    bfloat16: bool | None = None,
    seed: int = 0,
    evaluate: Callable[[nn.Module], float] | None = None,
    evaluate_every: int = 100,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 500,
    progress: bool = True,
    live_plot: bool = True,
) -> History:
    """Train `model` in place with AdamW, on the device where it is, and leave it in evaluation mode.

    The same arguments give the same weights on the same machine, on a CPU bit for bit. Ctrl-C or a notebook's stop
    button ends training after the step it is in: the model and the history are good to use.

    Under ``torchrun --nproc-per-node N script.py`` N processes share each batch. Without dropout they have the loss
    curve of one process, to rounding.

    Args:
        model: learns in the parameters that require a gradient.
        batches: ``batches(step, generator)`` makes the batch of that step, counted from 0, and takes what is random
            in it from the generator: tensors with one row for each example, in tuples, lists or dictionaries.
        steps: how many in all, those of the checkpoint included.
        learning_rate: a number, or a schedule such as `cosine` or `inverse_root`: never negative.
        loss: ``loss(model, batch)`` gives the sum of the losses of all targets, and their number. If it has a method
            ``prepare(batch)``, that is asked first, of the whole batch, and gives what is divided into rows.
        weight_decay: AdamW's, on matrices only: see `decay_groups`.
        betas: AdamW's memory of the gradients and of their squares.
        clip: a gradient that is longer, all parameters taken together, is cut to this length; ``math.inf`` never is.
        accumulate: into how many parts a process divides its rows, to read them one after the other: a batch that does
            not fit into memory is learned from as if it did, to rounding (and up to dropout, which falls differently).
        bfloat16: matrix products with 8 bits of precision; the weights keep their 24. Chosen by `gains_from_bfloat16`
            unless given, see `precision`.
        seed: of batches and dropout. (The first weights are the model's own affair.)
        evaluate: called every `evaluate_every` steps and after the last, with the model in evaluation mode and
            without gradients; returns a number.
        checkpoint: a file, written every `checkpoint_every` steps and at the end. If it is there already, training
            goes on from it; delete it to begin anew.
        progress: show a bar with loss and targets per second.
        live_plot: in a notebook, draw the loss now and then, for no more than 2 % of the time.

    Raises:
        ValueError: a checkpoint that is damaged or comes from another model or training, a batch without targets, a
            schedule that becomes negative or NaN.
        RuntimeError: gradients are switched off.
        FloatingPointError: a gradient became infinite or NaN; the weights are those before that step.
        OSError: the last checkpoint could not be written. (An earlier one gives a warning.)
    """
    numbers = {"steps": steps, "evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
    _check(model, batches, learning_rate, **numbers, accumulate=accumulate)
    _check_options(weight_decay, clip)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    rate = checked_schedule(learning_rate)
    groups, fused = decay_groups(model, weight_decay), device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(groups, lr=rate(0), betas=betas, fused=fused)
    bfloat16 = gains_from_bfloat16(model) if bfloat16 is None else bfloat16
    settings = {"seed": seed, "weight_decay": weight_decay, "betas": tuple(betas), "clip": clip, "bfloat16": bfloat16}
    processes = Processes(device)
    history = History()
    if checkpoint is not None:
        history = _resume(processes, checkpoint, model, optimizer, settings, rate, steps)
    start = len(history.loss)

    def save() -> None:
        if checkpoint is not None and processes.rank == 0:
            training = {"settings": settings, "optimizer": optimizer.state_dict(), "history": asdict(history)}
            save_checkpoint(checkpoint, model, training)

    prepare = getattr(loss, "prepare", lambda batch: batch)
    objective = processes.wrap(Objective(model, loss))
    bar = progress_bar(total=steps, initial=start, unit=say("step"), disable=not progress or processes.rank > 0)
    plot = LivePlot(history, active=live_plot and in_notebook() and processes.rank == 0)
    generators = torch.random.fork_rng([device] if device.type == "cuda" else [])
    with training_mode(model), generators, stop_button() as stop, bar:
        for step in range(start, steps):
            begin = time.perf_counter()
            batch = prepare(batches(step, seeded(seed, step)))
            seed_dropout(device, seed_of(seed, step, 1 + processes.rank))  # different in each process
            for group in optimizer.param_groups:
                group["lr"] = rate(step)

            total = tokens = 0.0
            for part in range(accumulate):
                with in_bfloat16(device, bfloat16):
                    loss_sum, count = objective(processes.own_rows(batch, part, accumulate))
                part_total, part_tokens, stopping = processes.sum(loss_sum.detach(), count, stop.is_set())
                if part_tokens == 0:
                    continue
                # A running mean: how many targets there are in all is known when the last part has been read.
                total, before, tokens = total + part_total, tokens, tokens + part_tokens
                scale_gradients(parameters, before / tokens)
                # The processes' gradients will be averaged; wanted is their sum over the number of all targets.
                (loss_sum * (processes.size / tokens)).backward()
            if tokens == 0:
                raise ValueError(f"the batch of step {step} has no targets to learn from")
            norm = nn.utils.clip_grad_norm_(parameters, clip).item()
            if not math.isfinite(norm):
                raise FloatingPointError(
                    f"the gradient of step {step} is {norm} (loss {total / tokens:.4g}), and the weights are those "
                    "before it; try a lower learning rate, a longer warm-up or a smaller clip"
                )
            optimizer.step()
            optimizer.zero_grad()

            seconds = time.perf_counter() - begin + (history.seconds[-1] if history.seconds else 0.0)
            history.loss.append(total / tokens)
            history.tokens.append(int(tokens))
            history.learning_rate.append(rate(step))
            history.gradient_norm.append(norm)
            history.seconds.append(seconds)
            speed = history.tokens_per_second(20)
            bar.set_postfix_str(
                say("loss {loss:.3f}, {speed:,.0f} tokens/s", loss=history.loss[-1], speed=speed), False
            )
            bar.update()
            plot.update()

            done = step + 1
            if evaluate is not None and (done % evaluate_every == 0 or done == steps):
                model.eval()
                with torch.no_grad():
                    history.evaluations.append((done, float(evaluate(model))))
                model.train()
            if stopping:
                history.interrupted = done < steps
                break
            if done % checkpoint_every == 0 and done < steps:
                try:
                    save()
                except OSError as error:  # no reason to lose what has been learned
                    warnings.warn(str(error), stacklevel=2)
    plot.update(last=True)
    if len(history.loss) > start:
        save()
    return history


def _check(model: nn.Module, batches: Callable, learning_rate: float | Schedule, **numbers: int) -> None:
    if not callable(batches):
        raise TypeError(
            f"batches must be a function of (step, generator), got a {type(batches).__name__}; "
            "from a list make lambda step, generator: batches[step % len(batches)]"
        )
    if not callable(learning_rate) and not (isinstance(learning_rate, Real | Tensor) and 0 < learning_rate < math.inf):
        raise ValueError(f"a learning rate must be a finite number above 0, got {learning_rate!r}")
    for name, value in numbers.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not torch.is_grad_enabled():
        raise RuntimeError("training needs gradients, but they are switched off here; leave torch.no_grad() first")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("no parameter of this model requires a gradient: there is nothing to train")


def _check_options(weight_decay: float, clip: float) -> None:
    # `not … >= 0`, so that NaN is refused, too.
    if not (isinstance(weight_decay, Real) and weight_decay >= 0):
        raise ValueError(f"weight_decay pulls the weights towards 0 and must not be negative, got {weight_decay}")
    if not (isinstance(clip, Real) and clip > 0):
        raise ValueError(f"clip is a length above 0, got {clip}; math.inf never cuts a gradient")


def checked_schedule(learning_rate: float | Schedule) -> Schedule:
    """The learning rate of each step as a plain number; of none that would train away from the goal."""

    def rate(step: int) -> float:
        found = learning_rate(step) if callable(learning_rate) else learning_rate
        try:
            value = float(found)
        except (TypeError, ValueError):
            value = math.nan
        if not 0 <= value < math.inf:
            raise ValueError(
                f"the learning rate of step {step} must be a finite number of at least 0, got {found!r}; give the "
                "schedule all the steps that are trained, or let it end with max(0.0, …)"
            )
        return value

    return rate


def _resume(
    processes: Processes,
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    rate: Schedule,
    steps: int,
) -> History:
    """Weights, optimizer and history from the file if there is one. Only the first process needs to see it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    content = processes.from_first(lambda: read_checkpoint(path) if Path(path).exists() else None)
    if content is None:
        return History()
    if content["training"] is None:
        raise ValueError(f"{path} holds weights without their training; read them with checkpoints.load_checkpoint")
    history = History(**content["training"]["history"] | {"interrupted": False})
    last = len(history.loss) - 1
    if last >= steps:
        raise ValueError(f"{path} has {last + 1} steps behind it, more than steps={steps}; name another file")
    then, now = (f"{value:.6g}" for value in (history.learning_rate[last], rate(last)))
    name = f"learning rate of step {last}"
    check_same(path, content["training"]["settings"] | {name: then}, settings | {name: now})
    put_weights(path, content, model, same_training=True)
    optimizer.load_state_dict(content["training"]["optimizer"])
    return history


@contextmanager
def training_mode(model: nn.Module) -> Iterator[None]:
    """Whatever ends it, an interruption or an error: afterwards the model is in evaluation mode, without gradients."""
    model.train()
    try:
        yield
    finally:
        model.zero_grad()
        model.eval()


def scale_gradients(parameters: list[nn.Parameter], factor: float) -> None:
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


def seed_dropout(device: torch.device, seed: int) -> None:
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)  # seeds all devices; where there are none, looking for them costs a millisecond


class Objective(nn.Module):
    """Model and loss as one module, so that several processes can share whatever the loss does with the model."""

    def __init__(self, model: nn.Module, loss: Callable):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | int]:
        found = self.loss(self.model, batch)
        if not isinstance(found, tuple | list) or len(found) != 2 or not is_number(found[0]):
            told = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"{found!r:.100}"
            raise TypeError(
                "a loss must return two things, the sum over all targets, a tensor without axes, and "
                f"the number of targets, got {told}; see losses.cross_entropy"
            )
        return found[0], found[1]


def is_number(total: Any) -> bool:
    return isinstance(total, Tensor) and total.numel() == 1


@contextmanager
def stop_button() -> Iterator[threading.Event]:
    """Ctrl-C and a notebook's stop button set the event, so that no step is left half done. Twice stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread only
        yield asked
        return

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, previous)

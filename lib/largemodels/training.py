"""Training: one loop for every model of the course.

    history = train(model, batches, steps=1000, learning_rate=cosine(3e-3, warmup=100, steps=1000))

Everything random in a step is a function of (seed, step): `batches` makes the batch of any step when asked, and dropout
is seeded anew for each. So there is no position in the data to remember. A run that was killed and goes on from its
checkpoint ends with the same weights, to the last bit, as one that was not; and several processes (``torchrun script.py``)
each make the same batch and take their own rows of it.

A loss is a *sum* over targets together with their number, never a mean: only so can padding be left out, and can
processes that hold different numbers of targets agree on one mean.
"""

import math
import os
import signal
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from largemodels.masks import padding_mask

# --------------------------------------------------------------------------------------------------- loss and batches

IGNORE = -100  # a target that is not counted, as torch's cross_entropy has it


def cross_entropy(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """−log p(target), summed over all targets that are not `IGNORE`, and how many these are.

    Args:
        logits: ``(..., vocab_size)``.
        targets: ``(...)`` token ids, `IGNORE` where there is nothing to predict.
        label_smoothing: ε. The model is asked for (1 − ε) of the probability on the target and ε spread evenly over
            the whole vocabulary. Source: Szegedy et al. 2015 (arXiv 1512.00567), section 7; Vaswani et al. 2017
            (arXiv 1706.03762), section 5.4, take 0.1.
    """
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"each position needs one target, got logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
        )
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()  # a sum over thousands of targets needs the digits
    total = F.cross_entropy(
        logits.flatten(0, -2),
        targets.flatten(),
        ignore_index=IGNORE,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total, (targets != IGNORE).sum()


def token_loss(model: nn.Module, batch: Sequence, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """`cross_entropy` for a batch ``(*inputs, targets)`` of a model whose ``model(*inputs)`` are logits."""
    *inputs, targets = batch
    return cross_entropy(model(*inputs), targets, label_smoothing=label_smoothing)


def pad_pairs(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, bos: int, eos: int, pad: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sentence pairs as one batch for an encoder-decoder and `token_loss`.

    The decoder reads the target shifted right, from `bos` on, and is to predict it, up to `eos`.

    Args:
        pairs: token ids of source and target, without `bos` and `eos`.
        bos, eos: the tokens that begin and end a target. The source ends with `eos`, too.
        pad: fills shorter sentences. Its value does not matter: it is masked in the source and not counted as a target.

    Returns:
        ``(source, target, source_mask, labels)``: the arguments of the model, ``(batch, source)``,
        ``(batch, target)`` and ``(batch, 1, 1, source)``, and what it is to predict, ``(batch, target)``.
    """
    if any(len(source) == 0 or len(target) == 0 for source, target in pairs):
        raise ValueError("a sentence pair has an empty side; leave it out")
    source = _pad([[*source, eos] for source, _ in pairs], pad)
    target = _pad([[bos, *target] for _, target in pairs], pad)
    labels = _pad([[*target, eos] for _, target in pairs], IGNORE)
    lengths = torch.tensor([len(source) + 1 for source, _ in pairs])
    return source, target, padding_mask(lengths, source.shape[1]), labels


def _pad(sentences: list[list[int]], value: int) -> Tensor:
    rows = [torch.tensor(sentence) for sentence in sentences]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


def shuffled_rows(num_rows: int, batch_size: int, step: int, *, seed: int) -> Tensor:
    """``(batch_size,)``: which of `num_rows` examples the batch of `step` holds.

    The examples are read in epochs, each once in an epoch and each epoch in an order of its own. A batch may take the
    last of one epoch and the first of the next.
    """
    if num_rows < 1 or batch_size < 1:
        raise ValueError(f"there must be examples and room for them, got {num_rows} rows and batch_size={batch_size}")
    position = torch.arange(step * batch_size, (step + 1) * batch_size)
    epoch = position // num_rows
    rows = torch.empty_like(position)
    for number in epoch.unique().tolist():
        order = torch.randperm(num_rows, generator=_generator(seed, number))
        rows[epoch == number] = order[position[epoch == number] % num_rows]
    return rows


def _seed(*numbers: int) -> int:
    """A seed for each tuple of whole numbers, unlike that of any neighbour."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _generator(*numbers: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(*numbers))


# ------------------------------------------------------------------------------------- learning rate and weight decay

Schedule = Callable[[int], float]  # the learning rate of a step; the first is step 0


def cosine(peak: float, *, warmup: int, steps: int, end: float = 0.1) -> Schedule:
    """Up to `peak` in a line over `warmup` steps, then down to ``end · peak`` in half a cosine.

    Source: Loshchilov & Hutter 2016 (arXiv 1608.03983), equation 5, without restarts; the end at a tenth as in Brown
    et al. 2020 (arXiv 2005.14165), appendix B.
    """
    if not 0 <= warmup < steps:
        raise ValueError(f"a cosine needs 0 ≤ warmup < steps, got warmup={warmup} and steps={steps}")

    def rate(step: int) -> float:
        n = min(step + 1, steps)
        if n <= warmup:
            return peak * n / warmup
        progress = (n - warmup) / (steps - warmup)
        return peak * (end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2)

    return rate


def inverse_root(peak: float, *, warmup: int) -> Schedule:
    """Up to `peak` in a line over `warmup` steps, then down with 1/√step.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 3, whose peak is 1/√(d_model · warmup).
    """
    if warmup < 1:
        raise ValueError(f"an inverse root needs a warm-up of at least 1 step, got {warmup}")
    return lambda step: peak * min((step + 1) / warmup, math.sqrt(warmup / (step + 1)))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: matrices are pulled towards 0, biases and the vectors of norms are not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


# ----------------------------------------------------------------------------------------------------------- the loop


@dataclass
class History:
    """What happened, one entry for each step.

    Attributes:
        loss: mean loss of a target.
        tokens: how many targets there were.
        learning_rate: of the step.
        gradient_norm: before clipping.
        seconds: since the beginning, without evaluation, drawing and saving.
        evaluations: pairs (steps done, what `evaluate` returned).
        interrupted: whether training was stopped before its last step.
        drawing_seconds: what the live plot has cost.
    """

    loss: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, Any]] = field(default_factory=list)
    interrupted: bool = False
    drawing_seconds: float = 0.0

    def tokens_per_second(self, last: int | None = None) -> float:
        """Targets learned from in a second, over all steps or the last ones."""
        first = 0 if last is None else max(0, len(self.seconds) - last)
        begin = self.seconds[first - 1] if first else 0.0
        return sum(self.tokens[first:]) / max(self.seconds[-1] - begin, 1e-9) if self.seconds else 0.0

    def curve(self, points: int = 200) -> tuple[list[int], list[float]]:
        """Steps done, and the mean loss over the steps since the point before: at most so many points, for a plot."""
        size = max(1, math.ceil(len(self.loss) / points))
        ends = range(size, len(self.loss) + size, size)
        chunks = [self.loss[end - size : end] for end in ends]
        return [min(end, len(self.loss)) for end in ends], [sum(chunk) / len(chunk) for chunk in chunks]


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
    bfloat16: bool = False,
    seed: int = 0,
    evaluate: Callable[[nn.Module], Any] | None = None,
    evaluate_every: int = 100,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 500,
    progress: bool = True,
    live_plot: bool = True,
) -> History:
    """Train `model` in place with AdamW, on the device where it is; leave it in evaluation mode.

    The same arguments give the same weights on the same machine, bit for bit on a CPU. Ctrl-C or a notebook's stop
    button ends training after the current step: the model and the history are good to use.

    Under ``torchrun --nproc-per-node N script.py`` N processes share each batch: row i goes to process i mod N. Without
    dropout they have the loss curve of one process.

    Args:
        model: with gradients where it is to learn.
        batches: ``batches(step, generator)`` makes the batch of that step, counted from 0, taking all its randomness
            from the generator: tensors with one row for each example, in tuples, lists or dictionaries.
        steps: how many in all, with those of a checkpoint.
        learning_rate: a number, or a schedule such as `cosine` and `inverse_root`.
        loss: ``loss(model, batch)`` gives the sum of the losses of all targets, and their number.
        weight_decay: AdamW's, on matrices only (`decay_groups`).
        betas: AdamW's memory of gradients and of their squares.
        clip: gradients that are longer, all parameters together, are cut to this length; ``math.inf`` leaves all.
        bfloat16: compute matrix products with 8 bits of mantissa: faster on GPUs, and on CPUs that have instructions
            for it if the model is wide (from about 256); much slower on other CPUs.
        seed: of batches and dropout. (The initial weights are the model's own affair.)
        evaluate: called with the model in evaluation mode and without gradients every `evaluate_every` steps and
            after the last; returns a number, or numbers in a list or dictionary.
        checkpoint: a file to write every `checkpoint_every` steps and at the end; if it exists, training goes on from
            it. Delete it to begin anew.
        progress: show a bar with loss and tokens per second.
        live_plot: in a notebook, draw the loss now and then: it takes no more than 2 % of the time.

    Raises:
        ValueError: a checkpoint that is damaged or of another model or training, a batch without targets.
        FloatingPointError: a gradient became infinite or NaN; the weights are those before that step.
        OSError: the last checkpoint could not be written (for an earlier one this is a warning).
    """
    _check(model, batches, steps, learning_rate, evaluate_every, checkpoint_every)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    rate = learning_rate if callable(learning_rate) else lambda step: learning_rate
    groups, fused = decay_groups(model, weight_decay), device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(groups, lr=rate(0), betas=betas, fused=fused)
    settings = {"seed": seed, "weight_decay": weight_decay, "betas": betas, "clip": clip, "bfloat16": bfloat16}
    processes = Processes(device)
    history = History()
    if checkpoint is not None:
        history = _resume(processes, checkpoint, model, optimizer, settings, rate, steps)

    def save() -> None:
        if checkpoint is not None and processes.rank == 0:
            training = {"settings": settings, "optimizer": optimizer.state_dict(), "history": asdict(history)}
            save_checkpoint(checkpoint, model, training)

    start = len(history.loss)
    show_progress, show_plot = (shown and processes.rank == 0 for shown in (progress, live_plot and in_notebook()))
    plot = LivePlot(history) if show_plot else None
    model.train()
    objective = processes.wrap(Objective(model, loss))
    gpus = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(gpus),
        stop_button() as stop,
        progress_bar(start, steps) if show_progress else nullcontext() as bar,
    ):
        for step in range(start, steps):
            begin = time.perf_counter()
            batch = processes.own_rows(batches(step, _generator(seed, step)), device)
            torch.manual_seed(_seed(seed, step, 1 + processes.rank))  # dropout, different in each process
            for group in optimizer.param_groups:
                group["lr"] = rate(step)

            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                loss_sum, count = objective(batch)
            total, tokens, stopping = processes.sum(loss_sum, count, stop.is_set())
            if tokens == 0:
                raise ValueError(f"the batch of step {step} has no targets to learn from")
            # The processes' gradients will be averaged; what we want is their sum over the number of all targets.
            (loss_sum * (processes.size / tokens)).backward()
            norm = nn.utils.clip_grad_norm_(parameters, clip).item()
            if not math.isfinite(norm):
                optimizer.zero_grad()
                raise FloatingPointError(
                    f"the gradient of step {step} is {norm} (loss {total / tokens:.4g}), and the weights are those "
                    "before it; try a lower learning rate, a longer warm-up or a smaller clip"
                )
            optimizer.step()
            optimizer.zero_grad()

            before = history.seconds[-1] if history.seconds else 0.0
            history.loss.append(total / tokens)
            history.tokens.append(int(tokens))
            history.learning_rate.append(rate(step))
            history.gradient_norm.append(norm)
            history.seconds.append(before + time.perf_counter() - begin)
            done = step + 1
            if evaluate is not None and (done % evaluate_every == 0 or done == steps):
                model.eval()
                with torch.no_grad():
                    history.evaluations.append((done, evaluate(model)))
                model.train()
            if bar is not None:
                bar.set_postfix_str(
                    f"loss {history.loss[-1]:.3f}, {history.tokens_per_second(20):,.0f} tokens/s", False
                )
                bar.update()
            if plot is not None:
                plot.update()
            if stopping:
                history.interrupted = done < steps
                break
            if done % checkpoint_every == 0 and done < steps:
                try:
                    save()
                except OSError as error:
                    warnings.warn(str(error), stacklevel=2)
    model.eval()
    if plot is not None:
        plot.update(last=True)
    if len(history.loss) > start:
        save()
    return history


def _check(model, batches, steps, learning_rate, evaluate_every, checkpoint_every) -> None:
    if not callable(batches):
        raise TypeError(
            f"batches must be a function of (step, generator), got {type(batches).__name__}; "
            "for a list of batches write lambda step, generator: batches[step % len(batches)]"
        )
    if not callable(learning_rate) and not learning_rate > 0:
        raise ValueError(f"a learning rate must be above 0, got {learning_rate}")
    for name, value in (
        ("steps", steps),
        ("evaluate_every", evaluate_every),
        ("checkpoint_every", checkpoint_every),
    ):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("this model has no parameter that requires a gradient: there is nothing to train")


class Objective(nn.Module):
    """Model and loss as one module, so that several processes can wrap whatever the loss does with the model."""

    def __init__(self, model: nn.Module, loss: Callable):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | int]:
        return self.loss(self.model, batch)


@contextmanager
def stop_button() -> Iterator[threading.Event]:
    """Ctrl-C and a notebook's stop button set the event, so that no step is left half done; twice stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # which is where signals go
        yield asked
        return

    def ask(number, frame) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, previous)


# -------------------------------------------------------------------------------------------------- several processes


class Processes:
    """Those that train together: this one alone, unless torchrun started several."""

    def __init__(self, device: torch.device):
        if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
            if device.type == "cuda":
                torch.cuda.set_device(device)
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        together = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
        self.device = device

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose backward pass also averages the gradients over the processes."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, [self.device] if self.device.type == "cuda" else None)

    def own_rows(self, batch: Any, device: torch.device) -> Any:
        """This process's rows of a batch, on the device."""
        if isinstance(batch, Tensor):
            if self.size > 1 and (batch.dim() == 0 or len(batch) < self.size):
                raise ValueError(
                    f"a batch of shape {tuple(batch.shape)} has no row for each of {self.size} processes; "
                    "all its tensors need one row for each example"
                )
            return batch[self.rank :: self.size].to(device) if self.size > 1 else batch.to(device)
        if isinstance(batch, Mapping):
            return {key: self.own_rows(value, device) for key, value in batch.items()}
        if isinstance(batch, tuple | list):
            parts = [self.own_rows(value, device) for value in batch]
            return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
        return batch

    def sum(self, *numbers: Tensor | float) -> list[float]:
        """Each number, added up over the processes."""
        if self.size == 1:
            return [torch.as_tensor(number).item() for number in numbers]
        numbers = torch.stack([torch.as_tensor(number, device=self.device).detach().double() for number in numbers])
        dist.all_reduce(numbers)
        return numbers.tolist()

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What `make` returns in the first process, in all."""
        if self.size == 1:
            return make()
        box = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(box)
        return box[0]


# --------------------------------------------------------------------------------------------------------- checkpoints


def save_checkpoint(path: str | Path, model: nn.Module, training: dict[str, Any] | None = None) -> None:
    """Write the model's weights and configuration, and the state of its training if there is one.

    The file is complete or not there at all: it is written beside its place and moved there when done.

    Raises:
        OSError: it could not be written, for a full disk say; what was at `path` before is still there.
    """
    path = Path(path)
    content = {"model": model.state_dict(), "config": _config(model), "training": training}
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} could not be written and is as it was: {error}") from error


def load_checkpoint(path: str | Path, model: nn.Module) -> None:
    """Give `model` the weights that `save_checkpoint` or `train` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, no checkpoint, or of another model; the model is as it was.
    """
    _put_weights(path, _read(path), model)


def _read(path: str | Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as file:  # torch does not compare the checksums that it writes
            if (damaged := file.testzip()) is not None:
                raise ValueError(f"wrong checksum of {damaged}")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not {"model", "config", "training"} <= set(content):
            raise ValueError("no weights or no configuration in it")
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(
            f"{path} is damaged or is no checkpoint of this course ({error}); delete it, or name another file"
        ) from error
    return content


def _put_weights(path: str | Path, content: dict[str, Any], model: nn.Module) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in content["model"].items()}
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _check_same(path, content["config"], _config(model))
    _check_same(path, found, expected)
    model.load_state_dict(content["model"])


def _config(model: nn.Module) -> dict[str, Any]:
    """The model's class and its configuration, if it has one, in a form that can be stored."""
    config = getattr(model, "config", None)
    fields = vars(config) if config is not None else {}
    plain = (str, int, float, tuple, type(None))
    return {
        "class": type(model).__name__,
        **{k: value if isinstance(value, plain) else repr(value) for k, value in fields.items()},
    }


def _check_same(path: str | Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    missing = "nothing"
    names = [name for name in expected | found if found.get(name, missing) != expected.get(name, missing)]
    if names:
        lines = [f"{name}: {found.get(name, missing)} there, {expected.get(name, missing)} here" for name in names[:5]]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise ValueError(
            f"{path} is a checkpoint of another model or training ({'; '.join(lines)}{more}); "
            "use the same settings, or name another file"
        )


def _resume(
    processes: Processes,
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    rate: Schedule,
    steps: int,
) -> History:
    """Weights, optimizer and history from the file, if there is one; only the first process needs to see it."""

    def read() -> dict[str, Any] | None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return _read(path) if Path(path).exists() else None

    content = processes.from_first(read)
    if content is None:
        return History()
    if content["training"] is None:
        raise ValueError(f"{path} has weights but no state of training; load_checkpoint reads it into a model")
    history = History(**content["training"]["history"])
    done = len(history.loss)
    if done > steps:
        raise ValueError(f"{path} has {done} steps behind it, more than steps={steps}; name another file")
    last_rate = f"learning rate of step {done - 1}"
    _check_same(
        path,
        content["training"]["settings"] | {last_rate: float(f"{history.learning_rate[-1]:.9g}")},
        settings | {last_rate: float(f"{rate(done - 1):.9g}")},
    )
    _put_weights(path, content, model)
    optimizer.load_state_dict(content["training"]["optimizer"])
    history.interrupted = False
    return history


# ------------------------------------------------------------------------------------------------------ what one sees


@contextmanager
def progress_bar(start: int, steps: int) -> Iterator[Any]:
    from tqdm.auto import tqdm

    with tqdm(total=steps, initial=start, unit="step", dynamic_ncols=True) as bar:
        yield bar


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class LivePlot:
    """The loss curve in a notebook, drawn anew only as often as it costs no more than `SHARE` of the time."""

    SHARE = 0.02

    def __init__(self, history: History):
        self.history, self.begin, self.display = history, time.perf_counter(), None
        self.spent, self.cost = 0.0, 0.1  # seconds in all, and for one drawing: a guess, until there is one

    def update(self, last: bool = False) -> None:
        """Draw if it is time; the last time, if anything has been drawn before."""
        now = time.perf_counter()
        affordable = self.spent + 2 * self.cost <= self.SHARE * (now - self.begin)  # twice: one is for the last
        if not (affordable or (last and self.display)):
            return
        from IPython.display import display

        from largemodels.plots import curves

        figure = curves({"loss": self.history.curve()}, xlabel="steps", ylabel="loss of a target")
        if self.display is None:
            self.display = display(figure, display_id=True)
        else:
            self.display.update(figure)
        self.cost = time.perf_counter() - now
        self.spent += self.cost
        self.history.drawing_seconds = self.spent

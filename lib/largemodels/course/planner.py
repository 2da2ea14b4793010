"""Planning a training on paper: ``python -m largemodels plan --model gpt3-175B --gpus 1024``.

How much arithmetic a training takes, what must be kept in memory, how a model that fits into no single GPU is cut up,
and how many days pass. Nothing is run: the model is built on the meta device, where a tensor has a shape and no numbers.

Three ways of sharing the work are combined. *Tensor* parallelism cuts every matrix into slices, on GPUs of one machine,
since they talk in every layer; *pipeline* parallelism gives each group of GPUs some of the layers; *data* parallelism
gives each copy of the model a share of the batch.

Sources: arithmetic and pipeline: Narayanan et al. 2021 (arXiv 2104.04473), sections 2 and 5.1; memory of the
optimizer: Rajbhandari et al. 2019 (arXiv 1910.02054), section 3; of the activations: Korthikanti et al. 2022 (arXiv
2205.05198), section 4.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Literal

from largemodels.blocks import sizes_only
from largemodels.gpt import GPT, GPT2_SIZES, GPT3_SIZES, GPTConfig
from largemodels.language import padded, say

Recompute = Literal["none", "attention", "all"]


@dataclass(frozen=True)
class Device:
    """A GPU: what its maker promises for dense 16-bit matrix products, and its memory.

    Attributes:
        peak: FLOP/s.
        memory: bytes.
        per_machine: how many sit in one machine and talk fast.
    """

    peak: float
    memory: float
    per_machine: int = 8


DEVICES = {  # from the makers' data sheets, without sparsity
    "v100": Device(125e12, 32e9),
    "a100-40": Device(312e12, 40e9),
    "a100": Device(312e12, 80e9),
    "h100": Device(989e12, 80e9),
    "h200": Device(989e12, 141e9),
}

MODELS = {
    "gpt1": GPTConfig.gpt1,
    **{f"gpt2-{size}": lambda size=size, **changes: GPTConfig.gpt2(size, **changes) for size in GPT2_SIZES},
    **{f"gpt3-{size}": lambda size=size, **changes: GPTConfig.gpt3(size, **changes) for size in GPT3_SIZES},
}

# ---------------------------------------------------------------------------------------------------------- arithmetic


def count_parameters(config: GPTConfig) -> int:
    """Of the real model, built without its numbers."""
    with sizes_only():
        return sum(parameter.numel() for parameter in GPT(config).parameters())


def flops_per_token(config: GPTConfig, recompute: Recompute = "none") -> float:
    """Multiplications and additions for one token, forwards and backwards.

    A matrix entry costs one of each in the forward pass, and twice that in the backward pass, which needs the gradient
    of the input and of the matrix. What was not kept for the backward pass is computed again first.
    """
    d_ff = config.d_ff or 4 * config.d_model
    matrices = 2 * config.num_layers * (4 * config.d_model**2 + 2 * config.d_model * d_ff)
    # Scores and weighted sums; half of them are masked away, but counted, as in the papers.
    keys = [
        min(config.bands[layer % len(config.bands)] or math.inf, config.max_length)
        for layer in range(config.num_layers)
    ]
    attention = 2 * 2 * config.d_model * sum(keys)
    head = 2 * config.d_model * config.vocab_size
    again = {"none": 0, "attention": attention, "all": matrices + attention}[recompute]
    return 3 * (matrices + attention + head) + again


# -------------------------------------------------------------------------------------------------------------- memory


def state_bytes(parameters: float, copies: int = 1) -> float:
    """Of weights, gradients and Adam's state in mixed precision, on one GPU that holds so many parameters.

    2 bytes for the weight and 2 for the gradient; 4 each for its exact copy and Adam's two means. The last three are
    spread over the `copies` of the model, so that each updates its own share.
    """
    return parameters * (2 + 2 + 12 / copies)


def activation_bytes(config: GPTConfig, micro_batch: int, tensor: int, pipeline: int, recompute: Recompute) -> float:
    """What the first stage keeps for the backward pass.

    It holds as many micro-batches as there are stages, each with its share of the layers: together, one micro-batch
    through all layers, however many stages there are. What tensor parallelism does not cut (norms, dropout) is spread
    over the same GPUs by position in the sequence.
    """
    tokens = micro_batch * config.max_length
    scores = 5 * config.num_heads * config.max_length / config.d_model  # the (query, key) matrices and their dropout
    per_number = {"none": 34 + scores, "attention": 34, "all": 2}[recompute]
    logits = (
        4 * tokens * config.vocab_size / tensor if pipeline == 1 else 0
    )  # otherwise the last stage's, not the first's
    return tokens * config.d_model * config.num_layers * per_number / tensor + logits


# -------------------------------------------------------------------------------------------------------------- layout


@dataclass(frozen=True)
class Layout:
    """How many ways the model and the batch are cut, and what then lies on each GPU.

    Attributes:
        tensor, pipeline, data: ways; their product is the number of GPUs.
        micro_batch: sequences that go through the pipeline at a time.
        states, activations: bytes on a GPU of the first stage.
        bubble: share of the time in which a GPU waits for the pipeline to fill and to empty.
    """

    tensor: int
    pipeline: int
    data: int
    micro_batch: int
    states: float
    activations: float
    bubble: float


def layouts(
    config: GPTConfig, device: Device, gpus: int, batch: int, recompute: Recompute, parameters: int
) -> Iterator[Layout]:
    """All ways of cutting that come out even, whether they fit into the memory or not."""
    divisors = [n for n in range(1, gpus + 1) if gpus % n == 0]
    for tensor, pipeline in product(divisors, divisors):
        whole = gpus % (tensor * pipeline) == config.num_heads % tensor == config.num_layers % pipeline == 0
        if not whole or tensor > device.per_machine:
            continue
        data = gpus // (tensor * pipeline)
        for micro_batch in (1, 2, 4, 8, 16):
            if batch % (data * micro_batch):
                continue
            micro_batches = batch // (data * micro_batch)
            yield Layout(
                tensor,
                pipeline,
                data,
                micro_batch,
                states=state_bytes(parameters / (tensor * pipeline), copies=data),
                activations=activation_bytes(config, micro_batch, tensor, pipeline, recompute),
                bubble=(pipeline - 1) / (micro_batches + pipeline - 1),
            )


# ---------------------------------------------------------------------------------------------------------------- plan


@dataclass(frozen=True)
class Plan:
    """The whole training. Bytes, seconds and FLOPs, without prefixes.

    Attributes:
        rule_of_thumb: 6 · parameters · tokens, the FLOPs as Kaplan et al. 2020 (arXiv 2001.08361) and GPT-3 count them.
        model_flops: all that the formulas ask for.
        hardware_flops: all that is computed, with what is computed twice.
        step_seconds, days: at the utilization asked for.
    """

    parameters: int
    tokens: float
    batch: int
    steps: int
    rule_of_thumb: float
    model_flops: float
    hardware_flops: float
    step_seconds: float
    days: float
    layout: Layout


def plan(
    config: GPTConfig,
    *,
    gpus: int,
    device: Device = DEVICES["a100"],
    tokens: float = 300e9,
    batch: int = 1536,
    recompute: Recompute = "attention",
    utilization: float = 0.4,
) -> Plan:
    """Cut `config` for `gpus` devices and count.

    Of the layouts that fit into nine tenths of the memory, the one that cuts the model least is taken (communication is
    dear), then the one with the smallest share of waiting.

    Args:
        tokens: to train on.
        batch: sequences in a step, each of the model's `max_length`.
        recompute: what is computed again in the backward pass instead of being kept: the weights of the attention (which
            fused kernels never store), all inside a block, or none.
        utilization: share of the device's peak that the whole training reaches, waiting included.

    Raises:
        ValueError: no layout comes out even, or none fits.
    """
    for name, value in {"gpus": gpus, "tokens": tokens, "batch": batch}.items():
        if value < 1:
            raise ValueError(say("{name} must be at least 1, got {value:g}", name=name, value=value))
    if not 0 < utilization <= 1:
        raise ValueError(
            say(
                "utilization is a share of the device's peak in (0, 1], got {value:g}; 0.3 to 0.5 is usual",
                value=utilization,
            )
        )
    parameters = count_parameters(config)
    found = list(layouts(config, device, gpus, batch, recompute, parameters))
    if not found:
        raise ValueError(
            say(
                "{gpus} GPUs cannot share a batch of {batch} sequences, {layers} layers and {heads} heads evenly; take "
                "numbers with many divisors, such as powers of 2",
                gpus=gpus,
                batch=batch,
                layers=config.num_layers,
                heads=config.num_heads,
            )
        )
    fitting = [one for one in found if one.states + one.activations <= 0.9 * device.memory]
    if not fitting:
        least = min(one.states + one.activations for one in found)
        raise ValueError(
            say(
                "no layout fits: at least {least:,.0f} GB on each GPU, which has {memory:g} GB, nine tenths of it for "
                "the model; take more GPUs, larger ones, or recompute='all'",
                least=least / 1e9,
                memory=device.memory / 1e9,
            )
        )
    layout = min(fitting, key=lambda one: (one.tensor * one.pipeline, one.bubble, -one.micro_batch, one.pipeline))
    hardware = flops_per_token(config, recompute)
    step_seconds = hardware * batch * config.max_length / (gpus * device.peak * utilization)
    steps = math.ceil(tokens / (batch * config.max_length))
    return Plan(
        parameters,
        tokens,
        batch,
        steps,
        rule_of_thumb=6.0 * parameters * tokens,
        model_flops=flops_per_token(config) * tokens,
        hardware_flops=hardware * tokens,
        step_seconds=step_seconds,
        days=steps * step_seconds / 86_400,
        layout=layout,
    )


# ------------------------------------------------------------------------------------------------------------- command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", choices=MODELS, default="gpt3-175B", metavar="NAME", help=f"one of {', '.join(MODELS)}"
    )
    parser.add_argument("--layers", type=int, help="another number of layers than the model's")
    parser.add_argument("--d-model", type=int, help="another width")
    parser.add_argument("--heads", type=int, help="another number of heads")
    parser.add_argument("--vocabulary", type=int, help="another number of tokens in the vocabulary")
    parser.add_argument("--length", type=int, help="another length of a sequence, in tokens")
    parser.add_argument("--gpus", type=int, default=1024, help="how many (default: %(default)s)")
    parser.add_argument("--gpu", choices=DEVICES, default="a100", help="which (default: %(default)s)")
    parser.add_argument("--tokens", type=float, default=300e9, help="to train on (default: %(default)g)")
    parser.add_argument("--batch", type=int, default=1536, help="sequences in a step (default: %(default)s)")
    parser.add_argument(
        "--recompute",
        choices=("none", "attention", "all"),
        default="attention",
        help="what is not kept for the backward pass but computed again (default: %(default)s)",
    )
    parser.add_argument(
        "--utilization", type=float, default=0.4, help="share of the GPU's peak that is reached (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Print the plan; the exit status is 1 if there is none."""
    options = {
        "num_layers": arguments.layers,
        "d_model": arguments.d_model,
        "num_heads": arguments.heads,
        "vocab_size": arguments.vocabulary,
        "max_length": arguments.length,
    }
    device = DEVICES[arguments.gpu]
    try:
        config = MODELS[arguments.model](**{name: value for name, value in options.items() if value is not None})
        found = plan(
            config,
            gpus=arguments.gpus,
            device=device,
            tokens=arguments.tokens,
            batch=arguments.batch,
            recompute=arguments.recompute,
            utilization=arguments.utilization,
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found), indent=2) if arguments.json else describe(found, config, arguments, device))
    return 0


def describe(found: Plan, config: GPTConfig, arguments: argparse.Namespace, device: Device) -> str:
    layout = found.layout
    lines = {
        say("model"): say(
            "{name}: {layers} layers, width {width:,}, {heads} heads",
            name=arguments.model,
            layers=config.num_layers,
            width=config.d_model,
            heads=config.num_heads,
        ),
        say("parameters"): say(
            "{billions:,.2f} billion",
            billions=found.parameters / 1e9,
            hundred_millions=found.parameters / 1e8,  # in which Chinese counts
        ),
        say("training"): say(
            "{tokens:.3g} tokens in {steps:,} steps of {batch} × {length:,}",
            tokens=found.tokens,
            steps=found.steps,
            batch=found.batch,
            length=config.max_length,
        ),
        say("arithmetic"): say(
            "{flops:.3g} FLOPs (6 · parameters · tokens: {rule:.3g})",
            flops=found.model_flops,
            rule=found.rule_of_thumb,
        ),
        say("computed"): say(
            "{flops:.3g} FLOPs, with what is computed again (recompute: {what})",
            flops=found.hardware_flops,
            what=arguments.recompute,
        ),
        say("GPUs"): say(
            "{count} × {name}, {memory:g} GB, {peak:g} TFLOP/s each",
            count=arguments.gpus,
            name=arguments.gpu,
            memory=device.memory / 1e9,
            peak=device.peak / 1e12,
        ),
        say("layout"): say(
            "{tensor} tensor × {pipeline} pipeline × {data} data, micro-batches of {micro_batch}, waiting {bubble:.1%}",
            tensor=layout.tensor,
            pipeline=layout.pipeline,
            data=layout.data,
            micro_batch=layout.micro_batch,
            bubble=layout.bubble,
        ),
        say("GPU memory"): say(
            "{states:.1f} GB weights, gradients, optimizer; {activations:.1f} GB activations",
            states=layout.states / 1e9,
            activations=layout.activations / 1e9,
        ),
        say("time"): say(
            "{seconds:.1f} s a step, {days:,.1f} days at {share:.0%} of the peak",
            seconds=found.step_seconds,
            days=found.days,
            share=arguments.utilization,
        ),
    }
    return "\n".join(f"{padded(name, 11)} {line}" for name, line in lines.items())

"""A small training, for the tests that need processes of their own.

python tests/training/train_script.py FILE --die-at STEP     train with a checkpoint FILE; die by SIGKILL before that step
torchrun tests/training/train_script.py FOLDER               train, stop, go on; each process writes what it got into FOLDER
"""

import argparse
import os
import signal
from dataclasses import asdict
from pathlib import Path

import torch

from largemodels.bert import BERT, BERTConfig
from largemodels.gpt import GPT, GPTConfig
from largemodels.losses import IGNORE
from largemodels.masked_lm import pretraining_loss
from largemodels.training import History, cosine, train

STEPS = 24


def tiny_gpt(dropout: float = 0.1, **changes) -> GPT:
    torch.manual_seed(0)
    sizes = {"vocab_size": 17, "max_length": 16, "d_model": 16, "num_layers": 2, "num_heads": 2, "dropout": dropout}
    return GPT(GPTConfig(**sizes | {"attention_dropout": dropout} | changes))


def counting(step: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Seven texts that count upwards from somewhere, of which very different numbers of targets count."""
    tokens = (torch.randint(17, (7, 1), generator=generator) + torch.arange(13)) % 17
    targets = tokens[:, 1:].clone()
    lengths = torch.randint(1, 13, (7, 1), generator=generator)
    targets[torch.arange(12) >= lengths] = IGNORE
    return tokens[:, :-1], targets


def run(model: GPT, batches=counting, **changes) -> History:
    rate = cosine(1e-2, warmup=5, steps=STEPS)
    return train(model, batches, **{"steps": STEPS, "learning_rate": rate, "clip": 0.5, "progress": False} | changes)


def die_at(die_step: int):
    def batches(step, generator):
        if step == die_step:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return counting(step, generator)

    return batches


def stop_the_second_process(step, generator):
    if step == 9 and os.environ["RANK"] == "1":
        signal.raise_signal(signal.SIGINT)
    return counting(step, generator)


def pairs_of_texts(step: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Five pairs, of which very different numbers of tokens are to be restored."""
    tokens = torch.randint(1, 17, (5, 12), generator=generator)
    targets = tokens.masked_fill(torch.arange(12) >= torch.tensor([[1], [11], [2], [7], [5]]), IGNORE)
    mask = torch.ones(5, 1, 1, 12, dtype=torch.bool)
    labels = torch.randint(2, (5,), generator=generator)
    return {"inputs": tokens, "segments": tokens % 2, "targets": targets, "mask": mask, "pairs": labels}


def run_bert(accumulate: int = 1) -> History:
    torch.manual_seed(0)
    sizes = {"vocab_size": 17, "max_length": 12, "d_model": 16, "num_layers": 1, "num_heads": 2, "init_std": 0.3}
    model = BERT(BERTConfig(**sizes, dropout=0.0, attention_dropout=0.0))
    return run(model, pairs_of_texts, loss=pretraining_loss, steps=5, accumulate=accumulate, bfloat16=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--die-at", type=int)
    arguments = parser.parse_args()
    if arguments.die_at is not None:
        run(tiny_gpt(), die_at(arguments.die_at), checkpoint=arguments.path, checkpoint_every=5)
        return
    model, resumed = tiny_gpt(dropout=0.0), tiny_gpt(dropout=0.0)
    history = run(model)
    checkpoint = arguments.path / "checkpoint.pt"
    stopped = run(resumed, stop_the_second_process, checkpoint=checkpoint)
    run(resumed, checkpoint=checkpoint)
    result = {
        "history": asdict(history),
        "stopped": asdict(stopped),
        "model": model.state_dict(),
        "resumed": resumed.state_dict(),
        "pairs": [asdict(run_bert()), asdict(run_bert(accumulate=2))],
    }
    torch.save(result, arguments.path / f"process{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main()

"""Train the small T5 with five tasks that chapter 5 goes on with: about three minutes on one core.

    python chapters/checkpoints/pretrain_t5.py

The chapter does the same for the first few hundred steps. With another seed or on another machine the weights come out
differently. The folder beside this script gets the model in the format of official checkpoints, its vocabulary, and a
log.
"""

import argparse
import json
from pathlib import Path

import torch
from pretrain_corruptions import small_world

from largemodels import pretrained
from largemodels.corpora.lexicon import NOUNS
from largemodels.corpora.translation import Pair, as_words
from largemodels.generation import greedy
from largemodels.t5 import T5, T5Config
from largemodels.tokenizers import Words
from largemodels.training import cosine, train
from largemodels.training.batching import Epochs, pad_pairs

OUT = Path(__file__).parent / "05-t5"
PAD, END, HELD_OUT = 0, 1, 300
ANIMALS = {form for noun in NOUNS if noun.kind == "animal" for form in (noun.singular, noun.plural)}
TASKS = {
    "translate": lambda pair, words: pair.chinese,
    "reverse": lambda pair, words: " ".join(reversed(words)),
    "sort": lambda pair, words: " ".join(sorted(words)),
    "count": lambda pair, words: str(len(words)),
    "animal?": lambda pair, words: "yes" if ANIMALS & {*words} else "no",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    seed, steps = arguments.seed, arguments.steps

    pairs = small_world(seed)
    examples = [as_text(task, pair) for pair in pairs for task in TASKS]
    words = Words.train([text for example in examples for text in example], special=("<pad>", "</s>"))
    encoded = [(words.encode(source), words.encode(target)) for source, target in examples[len(TASKS) * HELD_OUT :]]
    order = Epochs(len(encoded), 64, seed=seed)
    torch.manual_seed(seed)
    model = T5(small(len(words)))
    history = train(
        model,
        lambda step, generator: pad_pairs([encoded[i] for i in order(step).tolist()], bos=PAD, eos=END, pad=PAD),
        steps=steps,
        learning_rate=cosine(2e-3, warmup=60, steps=steps, end=0.02),
        seed=seed,
    )
    pretrained.save(model, arguments.out, decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=END)
    (arguments.out / "vocab.txt").write_text("\n".join(words.tokens) + "\n", encoding="utf-8")
    log = {
        "seed": seed,
        "steps": steps,
        "minutes": round(history.seconds[-1] / 60, 1),
        "loss of a token, by steps": list(zip(*history.curve(40), strict=True)),
        "right, of held-out sentences": {task: accuracy(model, words, task, pairs[:HELD_OUT]) for task in TASKS},
    }
    (arguments.out / "log.json").write_text(json.dumps(log, indent=2) + "\n", encoding="utf-8")


def as_text(task: str, pair: Pair) -> tuple[str, str]:
    """One example of a task, two texts: what is read and what is to be written."""
    words = as_words(pair.english).split()
    return f"{task} : {' '.join(words)}", TASKS[task](pair, words)


def accuracy(model: T5, words: Words, task: str, pairs: list[Pair]) -> float:
    sources, targets = zip(*(as_text(task, pair) for pair in pairs), strict=True)
    encoded = [(words.encode(source), words.encode(target)) for source, target in zip(sources, targets, strict=True)]
    source, _, mask, _ = pad_pairs(encoded, bos=PAD, eos=END, pad=PAD)
    written = greedy(model, PAD, source=source, mask=mask, max_new_tokens=14, eos=END)
    return sum(words.decode(row) == target for row, target in zip(written, targets, strict=True)) / len(pairs)


def small(vocab_size: int) -> T5Config:
    """Version 1.1: gated GELU, a head of its own."""
    return T5Config.v1_1(
        "small",
        vocab_size=vocab_size,
        d_model=128,
        num_heads=4,
        d_head=32,
        num_encoder_layers=2,
        num_decoder_layers=1,
        d_ff=192,
        max_distance=32,
        dropout=0.0,
    )


if __name__ == "__main__":
    main()

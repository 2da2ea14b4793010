"""Pre-train the five very small BARTs that chapter 5 compares, one for each corruption: about a minute each on one core.

    python chapters/checkpoints/pretrain_corruptions.py

All five begin with the same weights and read the same texts, two sentences each, from the course's grammar. With another
seed or on another machine the weights come out differently. The folders beside this script get the models in the format
of official checkpoints, and a log; the vocabulary is in the folder of the first.
"""

import argparse
import json
import random
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from pretrain_bart import denoising_batch

from largemodels import denoising, pretrained
from largemodels.bart import BART, BARTConfig
from largemodels.corpora.translation import Pair, as_words, translation_pairs
from largemodels.tokenizers import Words
from largemodels.training import cosine, train
from largemodels.training.batching import Epochs

HERE = Path(__file__).parent
PAD, END, MASK = 0, 1, 2
NAMES = ("masking", "deletion", "infilling", "permutation", "rotation")
HELD_BACK = 800  # sentences that are translated: 500 to learn from and 300 to be asked for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    seed, steps = arguments.seed, arguments.steps

    pairs = small_world(seed)
    texts = [sentence for pair in pairs for sentence in (as_words(pair.english), pair.chinese)]
    words = Words.train(texts, special=("<pad>", "</s>", "<mask>"))
    english = [words.encode(as_words(pair.english)) for pair in pairs[HELD_BACK:]]
    documents = [first + second for first, second in pairwise(english)]
    for name, corrupt in corruptions(words).items():
        torch.manual_seed(seed)
        model = BART(very_small(len(words)))
        history = train(
            model,
            denoising_batches(documents, corrupt, seed),
            steps=steps,
            learning_rate=cosine(3e-3, warmup=steps // 10, steps=steps),
            seed=seed,
        )
        out = arguments.out / f"05-{name}"
        pretrained.save(model, out, decoder_start_token_id=END, pad_token_id=PAD, eos_token_id=END)
        log = {"seed": seed, "steps": steps, "loss of a token, by steps": list(zip(*history.curve(40), strict=True))}
        (out / "log.json").write_text(json.dumps(log, indent=2) + "\n", encoding="utf-8")
    vocabulary = "\n".join(words.tokens) + "\n"
    (arguments.out / f"05-{NAMES[0]}" / "vocab.txt").write_text(vocabulary, encoding="utf-8")


def small_world(seed: int, words: int = 150, longest: int = 7) -> list[Pair]:
    """Sentences of 3 to 7 words, all of which are among the most frequent ones, with their translations."""
    pairs = translation_pairs(60_000, seed=seed)
    counts = Counter(word for pair in pairs for word in as_words(pair.english).split())
    frequent = {word for word, _ in counts.most_common(words)}
    short = [pair for pair in pairs if 3 <= len(as_words(pair.english).split()) <= longest]
    chosen = [pair for pair in short if frequent.issuperset(as_words(pair.english).split())]
    random.Random(seed).shuffle(chosen)
    return chosen


def corruptions(words: Words) -> dict:
    ends = [words.id("."), words.id("?")]
    return {
        "masking": partial(denoising.token_masking, rate=0.3, mask=MASK, pad=PAD),
        "deletion": partial(denoising.token_deletion, rate=0.3, pad=PAD),
        "infilling": partial(denoising.text_infilling, rate=0.3, mask=MASK, pad=PAD),
        "permutation": partial(denoising.sentence_permutation, end=ends, pad=PAD),
        "rotation": partial(denoising.document_rotation, pad=PAD),
    }


def very_small(vocab_size: int) -> BARTConfig:
    return BARTConfig(
        vocab_size,
        max_length=32,
        d_model=64,
        num_heads=4,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=0.125,  # 1/√64
    )


def denoising_batches(documents: list[list[int]], corrupt, seed: int):
    order = Epochs(len(documents), 32, seed=seed)

    def batch(step: int, generator: torch.Generator):
        return denoising_batch([documents[i] for i in order(step).tolist()], corrupt, generator, PAD, END)

    return batch


if __name__ == "__main__":
    main()

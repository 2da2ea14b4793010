"""Pre-train the small BART that chapter 5 goes on with: about seven minutes on one core.

    python chapters/checkpoints/pretrain_bart.py

The chapter does the same for the first hundred steps or two. Stopped, the script goes on from where it was when it is
started again. With other texts (another version of Python) or on another machine the weights come out differently. The
folder beside this script gets the model in the format of official checkpoints, its vocabulary, and a log.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from largemodels import pretrained
from largemodels.bart import BART, BARTConfig
from largemodels.corpora.english import documents, sentences
from largemodels.denoising import text_infilling
from largemodels.generation import greedy
from largemodels.losses import IGNORE
from largemodels.seeds import seeded
from largemodels.tokenizers import WordPiece
from largemodels.training import cosine, train
from largemodels.training.batching import Epochs, pad_pairs

OUT = Path(__file__).parent / "05-bart"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # with BART's ids 0, 1, 2, 3; its mask has the last one
PAD, END, UNKNOWN, MASK = 1, 2, 3, 4
SHORTEST, LONGEST, BATCH, RATE, SEED = 6, 32, 48, 0.3, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()

    texts = [document.text for document in documents("train")]
    tokenizer = WordPiece.train(texts, size=2000, special=SPECIAL, unknown="<unk>")
    known, held_out = (encoded_sentences(split, tokenizer) for split in ("train", "test"))
    asked = gaps(held_out, 400)
    torch.manual_seed(SEED)
    model = BART(small(len(tokenizer)))
    history = train(
        model,
        infilling_batches(known),
        steps=arguments.steps,
        learning_rate=cosine(2e-3, warmup=60, steps=arguments.steps),
        seed=SEED,
        evaluate=lambda model: measure(model, asked)["loss"],
        evaluate_every=250,
        checkpoint=arguments.out.with_suffix(".part.pt"),
        checkpoint_every=250,
    )
    pretrained.save(model, arguments.out, decoder_start_token_id=END, pad_token_id=PAD, eos_token_id=END)
    (arguments.out / "vocab.txt").write_text("\n".join(tokenizer.tokens) + "\n", encoding="utf-8")
    log = {
        "seed": SEED,
        "steps": len(history.loss),
        "minutes": round(history.seconds[-1] / 60, 1),
        "loss of a token, by steps": list(zip(*history.curve(40), strict=True)),
        "held-out loss of a missing token, by steps": history.evaluations,
        "held-out, at the end": measure(model, asked),
    }
    (arguments.out / "log.json").write_text(json.dumps(log, indent=2) + "\n", encoding="utf-8")
    arguments.out.with_suffix(".part.pt").unlink()


def small(vocab_size: int) -> BARTConfig:
    return BARTConfig(
        vocab_size,
        max_length=48,
        d_model=128,
        num_heads=4,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=0.09,  # about 1/√128
    )


def encoded_sentences(split: str, tokenizer: WordPiece) -> list[list[int]]:
    """Sentences of one split as token ids: those of 6 to 32 tokens, all of them known."""
    found = [tokenizer.encode(s) for document in documents(split) for s in sentences(document.text)]
    return [ids for ids in found if SHORTEST <= len(ids) <= LONGEST and UNKNOWN not in ids]


def infilling_batches(known: list[list[int]], seed: int = SEED):
    order = Epochs(len(known), BATCH, seed=seed, lengths=[len(ids) for ids in known])

    def batch(step: int, generator: torch.Generator):
        texts = [known[i] for i in order(step).tolist()]
        return denoising_batch(texts, partial(text_infilling, rate=RATE, mask=MASK, pad=PAD), generator, PAD, END)

    return batch


def denoising_batch(texts: list[list[int]], corrupt: Callable, generator: torch.Generator, pad: int, end: int):
    """Damaged texts to be read and whole ones to be written, as `training.token_loss` takes them."""
    rows = pad_sequence([torch.tensor(ids) for ids in texts], batch_first=True, padding_value=pad)
    sources = [row[row != pad].tolist() for row in corrupt(rows, generator=generator).source]
    return pad_pairs(list(zip(sources, texts, strict=True)), bos=end, eos=end, pad=pad)


def gaps(held_out: list[list[int]], count: int) -> list[tuple[list[int], int]]:
    """Sentences, and the place of one token in each that is to be found; neither the first nor the last one."""
    generator = seeded(SEED)
    chosen = [held_out[i] for i in torch.randperm(len(held_out), generator=generator)[:count].tolist()]
    return [(ids, int(torch.randint(1, len(ids) - 1, (), generator=generator))) for ids in chosen]


@torch.no_grad()
def measure(model: BART, asked: list[tuple[list[int], int]]) -> dict[str, float]:
    """How well the missing token is known after the right beginning, and how often all is written rightly."""
    pairs = [([*ids[:place], MASK, *ids[place + 1 :]], ids) for ids, place in asked]
    source, target, mask, labels = pad_pairs(pairs, bos=END, eos=END, pad=PAD)
    rows, places = torch.arange(len(pairs)), torch.tensor([place for _, place in asked])
    logits, right = model(source, target, mask)[rows, places], labels[rows, places]
    written = greedy(model, END, source=source, mask=mask, max_new_tokens=LONGEST + 4, eos=END)
    sentence = labels.masked_fill(labels == IGNORE, END)
    width = max(written.shape[1], sentence.shape[1])
    written, sentence = (F.pad(x, (0, width - x.shape[1]), value=END) for x in (written, sentence))
    return {
        "loss": F.cross_entropy(logits, right).item(),
        "missing tokens found": (logits.argmax(-1) == right).float().mean().item(),
        "whole sentences restored": (written == sentence).all(1).float().mean().item(),
    }


if __name__ == "__main__":
    main()

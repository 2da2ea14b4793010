"""Pre-train the small models that chapter 6 goes on with: about six minutes each on one core.

    python chapters/checkpoints/pretrain_bert.py bert      # masked tokens and next sentences
    python chapters/checkpoints/pretrain_bert.py albert    # the same, with shared blocks and narrow embeddings
    python chapters/checkpoints/pretrain_bert.py mlm       # BERT again, on the masked tokens alone

The chapter does the same for the first few hundred steps. Stopped, the script goes on from where it was when it is
started again. With other texts (another version of Python) or on another machine the weights come out differently. The
folder beside this script gets the model in the format of official checkpoints, its vocabulary, and a log.
"""

import argparse
import json
from pathlib import Path

import torch

from largemodels import pretrained
from largemodels.bert import BERT, BERTConfig
from largemodels.corpora.english import documents, sentences
from largemodels.losses import IGNORE
from largemodels.masked_lm import Masking, SentencePairs, pack, pretraining_loss
from largemodels.seeds import seeded
from largemodels.tokenizers import WordPiece
from largemodels.training import cosine, train

HERE = Path(__file__).parent
LENGTH, BATCH, SEED = 64, 32, 0
CHANGES = {"bert": {}, "albert": {"d_embedding": 32, "share": "all"}, "mlm": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=CHANGES)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    out = arguments.out / f"06-{arguments.kind}"

    tokenizer = WordPiece.train([document.text for document in documents("train")], size=2000)
    masking = Masking(tokenizer)
    judge_pairs = arguments.kind != "mlm"
    batches = make_batches("train", tokenizer, masking, judge_pairs)
    held_out = make_batches("test", tokenizer, masking)(0, seeded(SEED), size=512)
    torch.manual_seed(SEED)
    sizes = {"max_length": LENGTH, "d_model": 128, "num_layers": 2, "num_heads": 4}
    model = BERT(BERTConfig(len(tokenizer), **sizes, **CHANGES[arguments.kind], dropout=0.0, attention_dropout=0.0))
    history = train(
        model,
        batches,
        steps=arguments.steps,
        learning_rate=cosine(2e-3, warmup=300, steps=arguments.steps),
        loss=pretraining_loss,
        seed=SEED,
        evaluate=lambda model: measure(model, held_out)["loss"],
        evaluate_every=250,
        checkpoint=out.with_suffix(".part.pt"),
        checkpoint_every=100,
    )
    pretrained.save(model, out)
    (out / "vocab.txt").write_text("\n".join(tokenizer.tokens) + "\n", encoding="utf-8")
    log = {
        "steps": len(history.loss),
        "minutes": round(history.seconds[-1] / 60, 1),
        "held-out loss of a hidden token, by steps": history.evaluations,
        "held-out, at the end": measure(model, held_out),
    }
    (out / "log.json").write_text(json.dumps(log, indent=2) + "\n", encoding="utf-8")
    out.with_suffix(".part.pt").unlink()


def make_batches(split: str, tokenizer: WordPiece, masking: Masking, judge_pairs: bool = True):
    pairs_of = SentencePairs([[tokenizer.encode(s) for s in sentences(d.text)] for d in documents(split)])

    def batch(step: int, generator: torch.Generator, size: int = BATCH) -> dict[str, torch.Tensor]:
        pairs, labels = pairs_of(size, LENGTH - 3, generator)
        tokens, segments, mask = pack(pairs, tokenizer, LENGTH)
        inputs, targets = masking(tokens, generator)
        found = {"inputs": inputs, "segments": segments, "mask": mask, "targets": targets}
        return found | {"pairs": labels} if judge_pairs else found

    return batch


@torch.no_grad()
def measure(model: BERT, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    x = model.encoder(batch["inputs"], batch["segments"], batch["mask"])
    selected = batch["targets"] != IGNORE
    logits, targets = model.head(x[selected]), batch["targets"][selected]
    return {
        "loss": torch.nn.functional.cross_entropy(logits, targets).item(),
        "hidden tokens found": (logits.argmax(-1) == targets).float().mean().item(),
        "pairs judged rightly": (model.pair_head(x).argmax(-1) == batch["pairs"]).float().mean().item(),
    }


if __name__ == "__main__":
    main()

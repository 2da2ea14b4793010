"""Two small models in the manner of T5 and ALBERT and what SentencePiece itself makes of some texts: expected.json.

Not part of the tests, which only read what it wrote: python -m pip install sentencepiece==0.2.3 && python make.py
"""

import json
import os
import pydoc_data.topics
from pathlib import Path

import sentencepiece

TEXTS = [
    "hello world, this is a test.",
    "  two  spaces and\ttabs\nnewline ",
    "the ﬁrst ½ of it, Ａ to ｚ",
    "漢字 are unknown, as is 😀",
    "",
]
SPELLED = [  # what the four models have pieces of their own for
    "a well-known fact (yes) no",
    'pi is 3.14159. 2,000 £ or €...  "quoted"',
    "a </s> b <pad> <unk> [CLS] c <s>",
]

os.chdir(Path(__file__).parent)  # a model keeps the names of the files that it was made from
corpus = Path("corpus.txt")
corpus.write_text("\n".join(pydoc_data.topics.topics.values()), encoding="utf-8")
rules = Path("rules.tsv")  # a few rules of normalisation, as code points; the usual table would be 240 kB
rules.write_text("9\t20\nA\t20\nFB01\t66 69\nFF21\t41\n00BD\t31 2044 32\n", encoding="utf-8")
special = {
    "t5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    "albert": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": "[CLS],[SEP]",
        "user_defined_symbols": "[MASK]",
    },
    # ALBERT's own are these; the last one is longer than a character, and part of another.
    "marks": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": "[CLS],[SEP]",
        "user_defined_symbols": '[MASK],(,),",-,.,–,£,€,...',
    },
    "bytes": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "byte_fallback": True},
}
expected = {"texts": TEXTS, "spelled": SPELLED}
for name, options in special.items():
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=name,
        model_type="unigram",
        vocab_size=400 if name == "bytes" else 200,
        hard_vocab_limit=False,
        character_coverage=0.999,
        normalization_rule_tsv=str(rules),
        **options,
    )
    Path(f"{name}.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=f"{name}.model")
    size = processor.get_piece_size()
    expected[name] = {
        "pieces": [processor.id_to_piece(i) for i in range(size)],
        "scores": [processor.get_score(i) for i in range(size)],
        "ids": [processor.encode(text) for text in TEXTS],
        "spelled": [processor.encode(text) for text in SPELLED],
    }
corpus.unlink()
rules.unlink()
Path("expected.json").write_text(json.dumps(expected, ensure_ascii=False), encoding="utf-8")

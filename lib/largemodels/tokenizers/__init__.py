"""Tokenizers: how a text becomes numbers. All have one interface:

    tokenizer = BPE.train(texts, merges=1000, special=["[PAD]", "[MASK]"])
    ids = tokenizer.encode("a text")     # list of token ids
    tokenizer.decode(ids)                # "a text"
    tokenizer.tokens[ids[0]]             # the token with this id
    tokenizer.id("[MASK]")               # 1: special tokens have the first ids
    len(tokenizer)                       # how many tokens there are

`train_once` trains one and keeps it on disk for the next notebook.

==============  ==========================================  ===============================
tokenizer       its tokens                                  what it cannot write
==============  ==========================================  ===============================
`Words`         what stands between spaces                  words that it has not seen
`Characters`    characters                                  characters that it has not seen
`WordPiece`     characters, and frequent sequences of them  characters that it has not seen
`BPE`           bytes, and frequent sequences of them       (it can write everything)
`Official`      whatever a published checkpoint has         (it depends)
==============  ==========================================  ===============================
"""

from .base import Tokenizer
from .bpe import BPE
from .keeping import train_once
from .official import Official
from .simple import Characters, Words
from .wordpiece import WordPiece

__all__ = ["BPE", "Characters", "Official", "Tokenizer", "WordPiece", "Words", "train_once"]

"""Tokenizers that are kept on disk once they are trained."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from largemodels.storage import cached

from .base import each_text
from .bpe import BPE
from .wordpiece import WordPiece

Kind = TypeVar("Kind", BPE, WordPiece)


def train_once(kind: type[Kind], texts: Iterable[str], **options: Any) -> Kind:
    """``kind.train(texts, **options)`` the first time; later, in this notebook or another, it is read from the disk.

    >>> train_once(BPE, texts, merges=1000, special=["<eos>"])

    Other texts, other options or another version of the code that learns make another tokenizer; see `cache`.

    Args:
        kind: `BPE` or `WordPiece`; the others take no time to train.
        texts, options: what its `train` takes.
    """
    if kind not in (BPE, WordPiece):
        raise TypeError(f"only BPE and WordPiece are worth keeping; call {kind.__name__}.train(texts) instead")
    texts = list(each_text(texts))
    code: list[bytes] = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]

    def train() -> dict[str, Any]:
        # What these two are made with, they keep under the same names.
        tokenizer = kind.train(texts, **options)
        return {name: getattr(tokenizer, name) for name in inspect.signature(kind).parameters}

    return kind(**cached(kind.__name__, [repr((sorted(options.items()), texts)).encode(), *code], train))

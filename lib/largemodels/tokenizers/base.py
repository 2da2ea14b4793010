"""What all tokenizers have in common."""

import difflib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from largemodels.language import say


class Tokenizer(ABC):
    """Text to token ids and back.

    A text is only ever text: that it spells "[MASK]" does not make it a special token. A program that wants a special
    token puts ``tokenizer.id("[MASK]")`` into the list itself.

    Args:
        tokens: all tokens, in the order of their ids.
        special: those among them that stand for no text, such as padding.
        unknown: the special token for what the others cannot write; None if that is to be an error.

    Attributes:
        tokens, special, unknown: as given.
    """

    def __init__(self, tokens: Iterable[str], special: Sequence[str] = (), unknown: str | None = None):
        self.tokens, self.special, self.unknown = list(tokens), tuple(special), unknown
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(f"each token needs an id of its own, but {twice!r} stands in the vocabulary twice")
        for token in with_unknown(special, unknown):
            if token not in self.special or token not in self._ids:
                raise ValueError(
                    f"the vocabulary of {len(self)} tokens has no special token {token!r}; leave it out, or take the "
                    "vocabulary that belongs to it"
                )

    def __len__(self) -> int:
        """How many tokens there are: a model's `vocab_size`."""
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tokens)"

    def id(self, token: str) -> int:
        """The id of one token, special ones included.

        Raises:
            ValueError: there is no such token.
        """
        try:
            return self._ids[token]
        except KeyError:
            kind = type(self).__name__
            raise ValueError(
                say(
                    "{token!r} is not a token of this {kind} vocabulary{near}",
                    token=token,
                    kind=kind,
                    near=self._near(token),
                )
            ) from None

    def encode(self, text: str) -> list[int]:
        """The ids of a text, with no special tokens around them.

        Raises:
            TypeError: not a string.
            ValueError: a text that these tokens cannot write, and no `unknown` token to stand for it.
        """
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, got {type(text).__name__}; encode several texts one by one")
        check_characters(text)
        return self._encode(text)

    def decode(self, ids: Iterable[int], *, special: bool = False) -> str:
        """The text that the ids stand for. Special tokens but `unknown` are left out, unless `special` is true."""
        silent = set() if special else {*self.special} - {self.unknown}
        return self._join([token for token in self._tokens_of(ids) if token not in silent])

    def begins_word(self) -> list[bool]:
        """Which tokens begin a word, by id; those in between go on with the word before them.

        Here: those that are no letters, as a space is none.
        """
        return [not token[:1].isalpha() for token in self.tokens]

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """The ids of a string."""

    @abstractmethod
    def _join(self, tokens: list[str]) -> str:
        """The text of some tokens."""

    def _tokens_of(self, ids: Iterable[int]) -> list[str]:
        try:
            ids = [int(i) for i in ids]  # a tensor, too
        except (TypeError, ValueError):
            raise TypeError(
                "the ids of a text are whole numbers, in a list or in a tensor with one axis; decode several texts one by one"
            ) from None
        for i in ids:
            if not 0 <= i < len(self):
                raise ValueError(f"token id {i} is not in the vocabulary of {len(self)} tokens, 0 … {len(self) - 1}")
        return [self.tokens[i] for i in ids]

    def _look_up(self, pieces: Iterable[str], lacking: str) -> list[int]:
        """The ids of pieces of a text, none of which may be a special token; `lacking` says that there is no such {piece}
        in the vocabulary of {count} tokens, with those {near} it, and is marked by `later`."""
        ids, special = [], {*self.special}
        for piece in pieces:
            if piece not in self._ids or piece in special:
                if self.unknown is None:
                    raise ValueError(say(lacking, piece=piece, count=len(self), near=self._near(piece)))
                piece = self.unknown
            ids.append(self._ids[piece])
        return ids

    def _near(self, token: str) -> str:
        near = difflib.get_close_matches(token, self.tokens, n=3, cutoff=0.5)
        return say(" (near it: {tokens})", tokens=say(", ").join(map(repr, near))) if near else ""


def with_unknown(special: Sequence[str], unknown: str | None) -> tuple[str, ...]:
    """The special tokens, `unknown` among them."""
    return (*special,) if unknown is None or unknown in special else (*special, unknown)


def each_text(texts: Iterable[str]) -> Iterator[str]:
    """The texts one after the other; not the characters of one, which would be texts of a single letter."""
    if isinstance(texts, str):
        raise TypeError("texts are several, of which a tokenizer learns; put a single one into a list: [text]")
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, got {type(text).__name__}")
        yield text


def check_characters(text: str) -> None:
    """Refuse lone surrogates, halves of a character that only a badly read file leaves behind: no byte can stand for them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise ValueError(
            f"character {error.start} of the text is a lone surrogate (U+{half:04X}), half of a character; "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') joins the halves that belong together"
        ) from None


def most_frequent(pieces: Iterable[str], size: int | None, special: Sequence[str]) -> list[str]:
    """The different pieces, the most frequent first and equally frequent ones in alphabetical order.

    With `size`, a vocabulary of that many tokens in all, only as many as have room beside the special ones. A piece that
    spells a special token is left out.
    """
    counts = Counter(pieces)
    if not counts:
        raise ValueError("there is nothing to learn a vocabulary from: the texts are empty")
    if size is not None and size <= len(special):
        raise ValueError(f"a vocabulary of size={size} has no room beside its {len(special)} special tokens")
    ordered = sorted(counts.keys() - {*special}, key=lambda piece: (-counts[piece], piece))
    return ordered if size is None else ordered[: size - len(special)]

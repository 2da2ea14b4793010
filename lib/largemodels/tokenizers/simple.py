"""The two simplest tokenizers: a token for each word, and a token for each character."""

from collections.abc import Iterable, Sequence
from typing import Self

from largemodels.language import later

from .base import Tokenizer, each_text, most_frequent, with_unknown

NO_WORD = later(
    "the word {piece!r} is not in the vocabulary of {count} tokens{near}; train on texts that contain it, or give the "
    "tokenizer an unknown token to write instead"
)
NO_CHARACTER = later(
    "the character {piece!r} is not in the vocabulary of {count} tokens{near}; train on texts that contain it, or give "
    "the tokenizer an unknown token to write instead"
)


class Words(Tokenizer):
    """A token for each word, where words are what stands between spaces; special tokens have the first ids.

    So punctuation that touches a word belongs to it, and a language that puts no spaces between its words has to be
    given some: "我 喜欢 狗". Decoding puts one space between words.

        >>> words = Words.train(["dogs like cats", "cats like dogs"])
        >>> words.tokens
        ['<pad>', '<bos>', '<eos>', 'cats', 'dogs', 'like']
        >>> words.encode("dogs like dogs")
        [4, 5, 4]
    """

    def __init__(
        self,
        tokens: Iterable[str],
        special: Sequence[str] = ("<pad>", "<bos>", "<eos>"),
        unknown: str | None = None,
    ):
        special = with_unknown(special, unknown)
        super().__init__([*special, *tokens], special, unknown)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int | None = None,
        special: Sequence[str] = ("<pad>", "<bos>", "<eos>"),
        unknown: str | None = None,
    ) -> Self:
        """All words of the texts; with `size`, which counts the special tokens, too, only the most frequent ones."""
        words = (word for text in each_text(texts) for word in text.split())
        return cls(most_frequent(words, size, with_unknown(special, unknown)), special, unknown)

    def begins_word(self) -> list[bool]:
        return [True] * len(self)

    def _encode(self, text: str) -> list[int]:
        return self._look_up(text.split(), NO_WORD)

    def _join(self, tokens: list[str]) -> str:
        return " ".join(tokens)


class Characters(Tokenizer):
    """A token for each character (more exactly: for each Unicode code point, so that a letter with an accent may be two).

    >>> characters = Characters.train(["hello"])
    >>> characters.tokens, characters.encode("hole")
    (['l', 'e', 'h', 'o'], [2, 3, 0, 1])
    """

    def __init__(self, tokens: Iterable[str], special: Sequence[str] = (), unknown: str | None = None):
        special = with_unknown(special, unknown)
        super().__init__([*special, *tokens], special, unknown)

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int | None = None, special: Sequence[str] = (), unknown: str | None = None
    ) -> Self:
        """All characters of the texts; with `size`, which counts the special tokens, too, only the most frequent ones."""
        characters = (character for text in each_text(texts) for character in text)
        return cls(most_frequent(characters, size, with_unknown(special, unknown)), special, unknown)

    def _encode(self, text: str) -> list[int]:
        return self._look_up(text, NO_CHARACTER)

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens)

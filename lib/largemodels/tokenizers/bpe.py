"""Byte-level byte-pair encoding 字节级字节对编码: the tokenizer of GPT-2, RoBERTa, BART and most models since.

A text is a sequence of bytes, of which there are 256; so there is a token for everything, and nothing is unknown. On
top of these come tokens for what is frequent: the most frequent pair of neighbours becomes one token, then the most
frequent pair of what is there now, and so on.

Sources: Sennrich, Haddow & Birch 2016 (arXiv 1508.07909): merging; Radford et al. 2019 (*Language Models are
Unsupervised Multitask Learners*), section 2.2: bytes, and no merges across words.
"""

import heapq
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Self

from .base import Tokenizer, check_characters, each_text
from .merging import Chain, Pair
from .merging import merges as learn_merges


def printable_bytes() -> list[str]:
    """A visible character for each byte, as GPT-2's vocabulary writes it: itself, or for the others one from 256 on.

    A space, which is byte 32, becomes "Ġ", a line break "Ċ".
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = (byte for byte in range(256) if byte not in visible)
    stand_ins = {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    return [stand_ins.get(byte, chr(byte)) for byte in range(256)]


SHOWN = printable_bytes()
BYTE_OF = {character: byte for byte, character in enumerate(SHOWN)}


class _Kinds(dict):
    """For str.translate: letters become a, digits 0, other marks !, and spaces a line break, all of one length.

    What `_WORD` has to tell apart stays as it is: the space, the apostrophe, and the letters of English contractions.
    """

    def __missing__(self, code: int) -> str:
        character, category = chr(code), unicodedata.category(chr(code))[0]
        if character in " 'stmdrevl":
            kind = character
        elif character.isspace() and character not in "\x1c\x1d\x1e\x1f":
            kind = "\n"
        else:
            kind = {"L": "a", "N": "0"}.get(category, "!")
        self[code] = kind
        return kind


_KINDS = _Kinds()

# GPT-2's expression, for the package `regex` (github.com/openai/gpt-2, src/encoder.py):
#     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
# Ours is the same, part by part, over the translated text: a letter, \p{L}, is there one of a-z, a digit, \p{N}, is 0,
# and what is neither of them and no space is ! or '.
_WORD = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[a-z]+| ?0+| ?[!']+|\s+(?!\S)|\s+")


def split_words(text: str) -> list[str]:
    """GPT-2's words: letters, digits or other marks with the space before them; contractions apart; spaces left over.

    >>> split_words("I'll take 2 dogs,  please")
    ['I', "'ll", ' take', ' 2', ' dogs', ',', ' ', ' please']

    The original expression needs classes of characters that `re` lacks, so it is matched against a translation of the
    text in which each character stands for its class.
    """
    return [text[match.start() : match.end()] for match in _WORD.finditer(text.translate(_KINDS))]


def begins_word(tokens: Iterable[str]) -> list[bool]:
    """Which tokens of a byte-level vocabulary begin a word: those with a space or line break, and those with no letter."""
    return [token[:1] in "ĠĊ" or not token[:1].isalpha() for token in tokens]


class BPE(Tokenizer):
    """Byte-level byte-pair encoding. The ids are those of the special tokens, of the 256 bytes, and of the merges.

    Args:
        merges: pairs of tokens, in the order in which they were learned, written as in `tokens`: see `printable_bytes`.
        special: tokens that stand for no text.
    """

    def __init__(self, merges: Iterable[tuple[str, str]], special: Sequence[str] = ()):
        self.merges = [(left, right) for left, right in merges]
        tokens = dict.fromkeys(sorted(SHOWN))
        for left, right in self.merges:
            if left not in tokens or right not in tokens:
                raise ValueError(f"the merge of {left!r} and {right!r} comes before the merge that makes one of them")
            tokens[left + right] = None  # once, even if two merges make it
        super().__init__([*special, *tokens], special)
        self._bytes = [self._ids[character] for character in SHOWN]
        self._ranks: dict[Pair | None, int] = {
            (self._ids[a], self._ids[b]): rank for rank, (a, b) in reversed([*enumerate(self.merges)])
        }  # None, which is no pair, is never among them
        self._known: dict[str, list[int]] = {}  # the ids of the words met so far

    @classmethod
    def train(cls, texts: Iterable[str], merges: int, special: Sequence[str] = ()) -> Self:
        """Learn so many merges from the texts; fewer if before that no pair is left that occurs twice."""
        if merges < 0:
            raise ValueError(f"the number of merges must be at least 0, got {merges}")
        counts: Counter[str] = Counter()
        for text in each_text(texts):
            check_characters(text)
            counts.update(split_words(text))
        tokens = sorted(SHOWN)
        ids = {token: i for i, token in enumerate(tokens)}

        def name(pair: Pair) -> int:
            token = tokens[pair[0]] + tokens[pair[1]]
            if token not in ids:
                ids[token] = len(tokens)
                tokens.append(token)
            return ids[token]

        words = [[ids[SHOWN[byte]] for byte in word.encode("utf-8")] for word in counts]
        learned = islice(learn_merges(words, [*counts.values()], name), merges)
        return cls([(tokens[a], tokens[b]) for a, b in learned], special)

    def begins_word(self) -> list[bool]:
        """A space belongs to the word after it."""
        return begins_word(self.tokens)

    def _encode(self, text: str) -> list[int]:
        ids = []
        for word in split_words(text):
            known = self._known.get(word)
            if known is None:
                known = self._known[word] = self._merge([self._bytes[byte] for byte in word.encode("utf-8")])
            ids += known
        return ids

    def _merge(self, word: list[int]) -> list[int]:
        """Apply the merges in the order in which they were learned, each at all its places from the left."""
        chain = Chain([word])
        heap = [(self._ranks[pair], place) for place, pair in enumerate(pairwise(word)) if pair in self._ranks]
        heapq.heapify(heap)
        while heap:
            rank, first = heapq.heappop(heap)
            places = [first]
            while heap and heap[0][0] == rank:
                places.append(heapq.heappop(heap)[1])
            left, right = self.merges[rank]
            token = self._ids[left + right]
            for place in places:
                if self._ranks.get(chain.pair(place)) != rank:  # a merge before has changed it
                    continue
                chain.merge(place, token)
                for new in (chain.before[place], place):
                    if (later := self._ranks.get(chain.pair(new))) is not None:
                        heapq.heappush(heap, (later, new))
        return [token for token in chain.tokens if token is not None]

    def _join(self, tokens: list[str]) -> str:
        """Bytes that are no text, because a character was cut in two, become �."""
        special, text, run = {*self.special}, "", bytearray()
        for token in tokens:
            if token in special:
                text, run = text + run.decode("utf-8", errors="replace") + token, bytearray()
            else:
                run += bytes(BYTE_OF[character] for character in token)
        return text + run.decode("utf-8", errors="replace")

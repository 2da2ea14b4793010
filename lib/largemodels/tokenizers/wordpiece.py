"""WordPiece, the tokenizer of BERT: words, and for rare words their pieces.

A piece that does not begin a word is written with "##" before it: *embeddings* may become em ##bed ##ding ##s. The
vocabulary is learned by merging, as in byte-pair encoding, but over characters; and a word is cut not by repeating the
merges but by taking, from the left, the longest piece that the vocabulary has.

Sources: Schuster & Nakajima 2012 (*Japanese and Korean Voice Search*); Wu et al. 2016 (arXiv 1609.08144), section 4.1;
Devlin et al. 2018 (arXiv 1810.04805) and the authors' tokenization.py. How Google trained its vocabularies was never
published; here, as in Hugging Face's `tokenizers`, the most frequent pair is merged.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

from .base import Tokenizer, check_characters, each_text
from .merging import Pair
from .merging import merges as learn_merges

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100  # characters; longer ones are unknown

# Characters that are words of their own. Source: _is_chinese_char in the authors' tokenization.py.
_CHINESE = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f])"
)
_ASCII_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def normalize(text: str, lowercase: bool = True) -> str:
    """Without control characters, with one kind of space, and, if `lowercase`, without capitals and accents."""
    kept = []
    for character in text:
        kind = unicodedata.category(character)[0]
        if character in "\t\n\r" or kind == "Z":
            kept.append(" ")
        elif kind != "C" and character != "\ufffd":
            kept.append(character)
    text = _CHINESE.sub(r" \1 ", "".join(kept))
    if not lowercase:
        return text
    letters = (c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return "".join(letter.lower() for letter in letters)


def split_words(text: str) -> list[str]:
    """BERT's words: what stands between spaces, with each punctuation mark apart.

    >>> split_words("don't stop, please")
    ['don', "'", 't', 'stop', ',', 'please']
    """
    marks = (c if c not in _ASCII_MARKS and unicodedata.category(c)[0] != "P" else f" {c} " for c in text)
    return "".join(marks).split()


class WordPiece(Tokenizer):
    """Pieces of words.

    Decoding puts a space between words and cannot know where there was none: "(a, b)" comes back as "( a , b )".

    Args:
        tokens: the whole vocabulary in the order of the ids, special tokens included, as the lines of BERT's vocab.txt.
        special: which of them stand for no text.
        unknown: which of them stands for a word that the others cannot write.
        lowercase: whether capitals and accents are dropped.
    """

    unknown: str

    def __init__(
        self,
        tokens: Iterable[str],
        special: Sequence[str] = SPECIAL,
        unknown: str = "[UNK]",
        lowercase: bool = True,
    ):
        super().__init__(tokens, special, unknown)
        self.lowercase = lowercase
        self._pieces = self._ids.keys() - {*self.special}
        self._known: dict[str, list[int]] = {}  # the ids of the words met so far

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int,
        special: Sequence[str] = SPECIAL,
        unknown: str = "[UNK]",
        lowercase: bool = True,
    ) -> Self:
        """Learn a vocabulary of `size` tokens, special ones included; smaller if no pair is left that occurs twice."""
        counts: Counter[str] = Counter()
        for text in each_text(texts):
            check_characters(text)
            counts.update(split_words(normalize(text, lowercase)))
        begins = {character for word in counts for character in word}
        inside = {f"##{character}" for word in counts for character in word[1:]}
        tokens = [*special, *sorted(begins), *sorted(inside)]
        if not counts or size < len(tokens):
            raise ValueError(
                f"a vocabulary of size={size} is too small: {len(tokens)} tokens are special ones or single characters"
                if counts
                else "there is nothing to learn a vocabulary from: the texts contain no words"
            )
        ids = {token: i for i, token in enumerate(tokens)}

        def name(pair: Pair) -> int:
            token = tokens[pair[0]] + tokens[pair[1]].removeprefix("##")
            if token not in ids:
                ids[token] = len(tokens)
                tokens.append(token)
            return ids[token]

        words = [[ids[word[0]], *(ids[f"##{character}"] for character in word[1:])] for word in counts]
        learn = learn_merges(words, [*counts.values()], name)
        while len(tokens) < size and (pair := next(learn, None)) is not None:
            name(pair)
        return cls(tokens, special, unknown, lowercase)

    def begins_word(self) -> list[bool]:
        return [not token.startswith("##") for token in self.tokens]

    def _encode(self, text: str) -> list[int]:
        ids = []
        for word in split_words(normalize(text, self.lowercase)):
            if word not in self._known:
                self._known[word] = [self._ids[piece] for piece in self._cut(word)]
            ids += self._known[word]
        return ids

    def _cut(self, word: str) -> list[str]:
        """The longest piece that the vocabulary has, then the longest one of what is left; or [UNK] for all of it."""
        pieces, begin = [], 0
        if len(word) > LONGEST_WORD:
            return [self.unknown]
        while begin < len(word):
            mark = "##" if begin else ""
            ends = range(len(word), begin, -1)
            end = next((end for end in ends if mark + word[begin:end] in self._pieces), None)
            if end is None:
                return [self.unknown]
            pieces.append(mark + word[begin:end])
            begin = end
        return pieces

    def _join(self, tokens: list[str]) -> str:
        return " ".join(tokens).replace(" ##", "")

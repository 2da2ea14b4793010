"""A tokenizer of Hugging Face's library behind the interface of our own."""

from typing import TYPE_CHECKING

from .base import Tokenizer

if TYPE_CHECKING:
    import tokenizers


class Official(Tokenizer):
    """The tokenizer of a published checkpoint: ``Official(largemodels.pretrained.load_tokenizer("bert-base-uncased"))``.

    As everywhere here, a text is only ever text, and `encode` puts no special tokens around it.
    """

    def __init__(self, tokenizer: "tokenizers.Tokenizer"):
        self._theirs = type(tokenizer).from_str(tokenizer.to_str())  # a copy, whose settings are ours to change
        self._theirs.encode_special_tokens = True  # as text
        self._theirs.no_truncation()
        self._theirs.no_padding()
        vocabulary = self._theirs.get_vocab(with_added_tokens=True)
        token_of = {i: token for token, i in vocabulary.items()}
        tokens = [token_of.get(i, f"<no token has id {i}>") for i in range(max(token_of) + 1)]
        added = self._theirs.get_added_tokens_decoder().values()
        super().__init__(tokens, special=[token.content for token in added if token.special])

    def _encode(self, text: str) -> list[int]:
        return self._theirs.encode(text, add_special_tokens=False).ids

    def _join(self, tokens: list[str]) -> str:
        return self._theirs.decode([self._ids[token] for token in tokens], skip_special_tokens=False)

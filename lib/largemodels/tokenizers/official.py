"""A tokenizer of Hugging Face's library behind the interface of our own."""

import json
from typing import TYPE_CHECKING, Any

from .base import Tokenizer
from .bpe import begins_word

if TYPE_CHECKING:
    import tokenizers


class Official(Tokenizer):
    """The tokenizer of a published checkpoint: ``Official(largemodels.pretrained.load_tokenizer("bert-base-uncased"))``.

    As everywhere here, a text is only ever text, and `encode` puts no special tokens around it.
    """

    def __init__(self, tokenizer: "tokenizers.Tokenizer"):
        self._theirs = tokenizer
        description = json.loads(tokenizer.to_str())
        special = [token["content"] for token in description["added_tokens"] if token["special"]]
        self._text_only = type(tokenizer).from_str(json.dumps(_hidden(description, {*special})))
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        token_of = {i: token for token, i in vocabulary.items()}
        tokens = [token_of.get(i, f"<no token has id {i}>") for i in range(max(token_of) + 1)]
        unknown = _unknown(description["model"])
        super().__init__(tokens, special, unknown if unknown in special else None)

    def begins_word(self) -> list[bool]:
        """Told from how the vocabulary writes it: ##s goes on with a word, Ġdog and ▁dog begin one."""
        if any(token.startswith("##") and token[2:].isalpha() for token in self.tokens):
            return [not token.startswith("##") for token in self.tokens]
        if any(token.startswith("▁") for token in self.tokens):
            return [token.startswith("▁") for token in self.tokens]
        return begins_word(self.tokens)

    def _encode(self, text: str) -> list[int]:
        return self._text_only.encode(text, add_special_tokens=False).ids

    def _join(self, tokens: list[str]) -> str:
        return self._theirs.decode([self._ids[token] for token in tokens], skip_special_tokens=False)


def _unknown(model: dict[str, Any]) -> str | None:
    """The token for what the others cannot write."""
    if model.get("unk_id") is not None:
        return model["vocab"][model["unk_id"]][0]
    return model.get("unk_token")


def _hidden(description: dict[str, Any], special: set[str]) -> dict[str, Any]:
    """The description of a tokenizer that cannot find its special tokens in a text: they are spelled as no text is.

    It is not enough that added tokens are not looked for: T5's vocabulary holds "</s>" among its ordinary pieces. The ids
    stay the same. U+FFFF is no character; Unicode keeps it for such uses.
    """

    def name(token: str) -> str:
        return f"\uffff{token}" if token in special else token

    model = description["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        vocabulary = {name(token): i for token, i in vocabulary.items()}
    else:  # unigram: pieces with their scores
        vocabulary = [[name(token), score] for token, score in vocabulary]
    model = model | {"vocab": vocabulary}
    if model.get("unk_token") is not None:
        model["unk_token"] = name(model["unk_token"])
    if "merges" in model:
        # A merge that makes a special token is none any more.
        inside = model.get("continuing_subword_prefix") or ""
        pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
        model["merges"] = [
            [left, right] for left, right in pairs if not special & {left, right, left + right.removeprefix(inside)}
        ]
    added = [
        token | {"content": name(token["content"]), "normalized": token["normalized"] and not token["special"]}
        for token in description["added_tokens"]
    ]
    return description | {
        "model": model,
        "added_tokens": added,
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }

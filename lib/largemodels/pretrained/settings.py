"""What a checkpoint's files say about its tokenizer beside the vocabulary.

=======================  =========================================================================================
tokenizer_config.json    options such as do_lower_case, the special tokens by role (pad_token, …), and, in newer ones,
                         all added tokens by id (added_tokens_decoder)
special_tokens_map.json  the special tokens by role once more; in older ones only here
added_tokens.json        ids of tokens that were added to the vocabulary later, in older ones
=======================  =========================================================================================
"""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from .files import Source, read_json

SETTINGS, ROLES_FILE, ADDED_FILE = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
FURTHER = ("additional_special_tokens", "extra_special_tokens")  # lists of special tokens without a role
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


class Settings:
    """The settings of one checkpoint.

    Attributes:
        options: of tokenizer_config.json.
        roles: special tokens by role.
        special: all special tokens that are named, with a role and without.
        described: those of them of which more is told than the name, by name.
        added: tokens by id.
        added_in: the file that `added` is from.

    Raises:
        ValueError: a file that is not what it should be; its name and what was found are in the message.
    """

    def __init__(self, source: Source):
        paths = {name: source.optional(name) for name in (SETTINGS, ROLES_FILE, ADDED_FILE)}
        found = {name: read_json(path) if path else {} for name, path in paths.items()}
        self.options = found[SETTINGS]
        self.file = paths[SETTINGS]
        self.roles: dict[str, AddedToken] = {}
        self.described: dict[str, AddedToken] = {}
        further: list[AddedToken] = []
        for name in (SETTINGS, ROLES_FILE):  # as in `transformers`, the latter has the last word
            for field in (*ROLES, *FURTHER):
                values = found[name].get(field) or []
                values = [*values.values()] if isinstance(values, dict) and field in FURTHER else values
                for value in values if isinstance(values, list) else [values]:
                    token = _token(value, f"{paths[name]}: {field}", special=True)
                    if isinstance(value, dict):
                        self.described[token.content] = token
                    if field in ROLES:
                        self.roles[field] = token
                    else:
                        further.append(token)
        self.special = [*self.roles.values(), *further]

        self.added: dict[int, AddedToken] = {}
        self.added_in: Path | None = paths[SETTINGS]
        names = {token.content for token in self.special}
        if isinstance(described := self.options.get("added_tokens_decoder"), dict):
            for key, value in described.items():
                self.added[_id(key, f"{self.added_in}: added_tokens_decoder")] = _token(
                    value, f"{self.added_in}: added_tokens_decoder"
                )
        else:
            self.added_in = paths[ADDED_FILE]
            for token, key in found[ADDED_FILE].items():
                special = token in names
                flags = {"special": special, "normalized": not special}
                self.added[_id(key, str(self.added_in))] = AddedToken(token, **flags)

    def get(self, name: str, default: Any = None) -> Any:
        """An option; `default` if it is absent or null.

        Raises:
            ValueError: another kind of value than `default` has.
        """
        value = self.options.get(name)
        if value is None:
            return default
        wanted = bool if default is None else type(default)
        if type(value) is not wanted:
            kind = {bool: "true or false", int: "a whole number"}[wanted]
            raise ValueError(f"{self.file}: {name} must be {kind}, got {value!r}")
        return value

    def token(self, role: str, default: str) -> str:
        """The special token of a role."""
        return self.roles[role].content if role in self.roles else default

    def renamed(self, tokens: list[str]) -> list[str]:
        """A vocabulary in which added tokens have taken the places of some that nobody used, as [unused0]."""
        known = {*tokens}
        changed = list(tokens)
        for i, token in self.added.items():
            if i < len(tokens) and token.content not in known:
                changed[i] = token.content
        return changed


def _token(value: Any, where: str, *, special: bool = False) -> AddedToken:
    """From "[PAD]" or {"content": "[PAD]", "lstrip": false, …}."""
    if isinstance(value, str) and value:
        return AddedToken(value, normalized=False, special=special)
    if isinstance(value, dict) and isinstance(value.get("content"), str) and value["content"]:
        flags = {name: value[name] for name in FLAGS if isinstance(value.get(name), bool)}
        return AddedToken(value["content"], **{"normalized": False} | flags | ({"special": True} if special else {}))
    raise ValueError(f'{where} must name a token, "[PAD]" or {{"content": "[PAD]"}}, got {value!r}')


def _id(value: Any, where: str) -> int:
    """A token's id, which as a key in JSON is a string."""
    try:
        number = int(value) if not isinstance(value, bool | float) else -1
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ValueError(f"{where}: {value!r} is not a token id")
    return number

"""Fill in the blanks: type a text with holes, and see what a masked language model would put there."""

import ipywidgets
import torch

from largemodels.bert import BERT
from largemodels.explorers.frame import Explorer, bar_row, problem
from largemodels.language import say
from largemodels.masked_lm import pack
from largemodels.tokenizers import Tokenizer

HOLE = "___"


def blank_explorer(model: BERT, tokenizer: Tokenizer, text: str, candidates: int = 8) -> "BlankExplorer":
    """Type a text with "___" for each token that is missing; see the most probable candidates for every hole.

    Args:
        model: a masked language model.
        tokenizer: the one it was trained with; has [CLS], [SEP], [PAD] and [MASK].
        text: the first text.
        candidates: how many to show for a hole.

    Raises:
        ValueError: a tokenizer with another number of tokens than the model, or without [MASK].
    """
    if len(tokenizer) != model.config.vocab_size:
        raise ValueError(
            f"the model has {model.config.vocab_size} tokens, the tokenizer {len(tokenizer)}: take the one that the model "
            "was trained with"
        )
    tokenizer.id("[MASK]")
    return BlankExplorer(model, tokenizer, text, candidates)


class BlankExplorer(Explorer):
    """What `blank_explorer` returns.

    Attributes:
        text: the field to type in.
        found: for each hole of the text, its candidates with their probabilities, the most probable first.
    """

    def __init__(self, model: BERT, tokenizer: Tokenizer, text: str, candidates: int):
        self.model, self.tokenizer, self.candidates = model, tokenizer, candidates
        self.text = ipywidgets.Text(text, description=say("text"), continuous_update=False, layout={"width": "44em"})
        self.text.add_class("largemodels-blanks")
        self.view = ipywidgets.HTML()
        self.text.observe(lambda change: self._draw(), "value")
        self._draw()
        super().__init__([self.text, self.view])

    def _draw(self) -> None:
        try:
            self.found = self._fill(self.text.value)
        except ValueError as error:
            self.found = []
            self.view.value = problem(error)
            return
        tables = (_table(number, hole) for number, hole in enumerate(self.found, start=1))
        self.view.value = f"<div class='side'>{''.join(tables)}</div>"

    @torch.no_grad()
    def _fill(self, text: str) -> list[list[tuple[str, float]]]:
        parts = [self.tokenizer.encode(part) for part in text.split(HOLE)]
        mask_id, longest = self.tokenizer.id("[MASK]"), self.model.config.max_length
        ids = parts[0] + [i for part in parts[1:] for i in (mask_id, *part)]
        if len(parts) == 1:
            raise ValueError(say("Write {hole} where a token is missing.", hole=HOLE))
        if len(ids) + 2 > longest:
            raise ValueError(
                say("This text has {count} tokens; the model reads {most} at most.", count=len(ids), most=longest - 2)
            )
        tokens, segments, mask = pack([ids], self.tokenizer, len(ids) + 2)
        logits = self.model(tokens, segments, mask)[0][tokens[0] == mask_id]
        special = [self.tokenizer.id(token) for token in self.tokenizer.special]
        logits[:, special] = -torch.inf  # no answers
        top = logits.softmax(-1).topk(min(self.candidates, len(self.tokenizer) - len(special)))
        return [
            [(self.tokenizer.tokens[i], p) for i, p in zip(ids, probabilities, strict=True)]
            for ids, probabilities in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

    def __repr__(self) -> str:
        return say("fill in the blanks of {text!r} (run this cell to use it)", text=self.text.value)


def _table(number: int, candidates: list[tuple[str, float]]) -> str:
    """The candidates of one hole, each with a bar as long as its probability."""
    rows = "".join(bar_row(token, p, 12 * p) for token, p in candidates)
    return f"<table><caption>{say('hole {number}', number=number)}</caption>{rows}</table>"

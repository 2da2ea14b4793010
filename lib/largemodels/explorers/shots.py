"""A prompt to edit: what the model would write next, and which tokens of the prompt it looks at to find out."""

from collections.abc import Callable

import ipywidgets
import torch
from torch import Tensor

from largemodels.explorers.frame import Explorer, bar_row, problem
from largemodels.language import say

SHOWN = 6  # most probable answers


def shots_explorer(model: Callable, tokenizer, prompt: str) -> "ShotsExplorer":
    """Edit the examples and the question of `prompt`; see the next token's probabilities and where the last token attends.

    Args:
        model: ``model(tokens, return_weights=True)`` gives logits and, for each block, weights ``(1, heads, n, n)``.
        tokenizer: has `encode`, which raises ValueError for what it does not know, and `tokens`, from id to token.
        prompt: to begin with.

    Raises:
        ValueError: a prompt that the tokenizer does not know.
    """
    tokenizer.encode(prompt)
    return ShotsExplorer(model, tokenizer, prompt)


class ShotsExplorer(Explorer):
    """What `shots_explorer` returns.

    Attributes:
        text: the prompt, to be edited.
        head: whose attention is shown: the mean of all heads, or one head.
        view: what is shown.
        tokens: of the prompt now, as strings; empty if it cannot be read.
        probabilities: of the next token, ``(vocab_size,)``; None if the prompt cannot be read.
        attention: of the last token, ``(layers, heads, length)``; likewise.
    """

    def __init__(self, model: Callable, tokenizer, prompt: str):
        self.model, self.tokenizer = model, tokenizer
        rows = max(6, prompt.count("\n") + 3)
        style, wide = {"description_width": "4em"}, {"width": "22em"}
        self.text = ipywidgets.Textarea(prompt, description=say("prompt"), rows=rows, style=style, layout=wide)
        self._compute()
        layers, heads = self.attention.shape[:2]
        names = [
            say("layer {layer}, head {head}", layer=layer + 1, head=head + 1)
            for layer in range(layers)
            for head in range(heads)
        ]
        self.head = ipywidgets.Dropdown(
            options=[say("mean of all heads"), *names], description=say("head"), style=style, layout=wide
        )
        self.view = ipywidgets.HTML()
        self.text.observe(lambda change: (self._compute(), self._draw()), "value")
        self.head.observe(lambda change: self._draw(), "value")
        self._draw()
        form = ipywidgets.VBox([self.text, self.head])
        super().__init__([ipywidgets.HBox([form, self.view], layout={"flex_flow": "row wrap"})])

    @torch.no_grad()
    def _compute(self) -> None:
        self.problem, self.tokens, self.probabilities, self.attention = "", [], None, None
        try:
            ids = self.tokenizer.encode(self.text.value)
            logits, weights = self.model(torch.tensor([ids]), return_weights=True)
        except ValueError as error:
            self.problem = str(error)
            return
        self.tokens = [self.tokenizer.tokens[id] for id in ids]
        self.probabilities = logits[0, -1].softmax(-1)
        self.attention = torch.stack([layer[0, :, -1] for layer in weights])

    @property
    def shown_attention(self) -> Tensor:
        """``(length,)``, of the chosen head."""
        number = self.head.index - 1
        heads = self.attention.flatten(0, 1)
        return heads.mean(0) if number < 0 else heads[number]

    def _draw(self) -> None:
        if self.problem:
            self.view.value = problem(self.problem)
            return
        best = self.probabilities.topk(min(SHOWN, len(self.probabilities)))
        bars = "".join(
            bar_row(self.tokenizer.tokens[id], probability, 12 * probability)
            for probability, id in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        looks = "".join(
            bar_row(token, weight, 12 * weight)
            for token, weight in zip(self.tokens, self.shown_attention.tolist(), strict=True)
        )
        self.view.value = (
            f"<div class='side'><table><caption>{say('the last token attends to')}</caption>{looks}</table>"
            f"<table><caption>{say('what comes next')}</caption>{bars}</table></div>"
        )

    def __repr__(self) -> str:
        return say("explorer of prompts and answers (run this cell to use it)")

"""A translation word by word: what could come next, and what the decoder looks at to decide."""

import html
from collections.abc import Callable

import ipywidgets
import torch
from torch import Tensor, nn

from largemodels import plots
from largemodels.explorers.frame import Explorer, problem
from largemodels.language import say
from largemodels.tokenizers import Tokenizer

CANDIDATES = 6  # buttons for the next token


def decoding_explorer(
    model: nn.Module,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    sentence: str,
    *,
    bos: int,
    eos: int,
    prepare: Callable[[str], str] = str.strip,
    max_new_tokens: int = 30,
) -> "DecodingExplorer":
    """Type a sentence, then choose the next token again and again, with both attentions of a head in sight.

    Args:
        model: an encoder-decoder, called as `transformer.Transformer` is.
        source_tokenizer, target_tokenizer: those it was trained with.
        sentence: what stands in the text field at first.
        bos, eos: the tokens that begin and end a target; the source ends with `eos`, too.
        prepare: makes of a typed sentence what the tokenizer was trained on.
        max_new_tokens: where the button that writes to the end gives up.
    """
    return DecodingExplorer(model, source_tokenizer, target_tokenizer, sentence, bos, eos, prepare, max_new_tokens)


class DecodingExplorer(Explorer):
    """What `decoding_explorer` returns.

    Attributes:
        sentence: the text field.
        layer, head: which decoder layer and head is shown; head 0 is the mean of all.
        choices: a button for each of the most probable next tokens; pressing it writes that token.
        back, finish: buttons that take the last token back, and write the most probable ones to the end.
        tokens: ids of the target so far, `bos` first.
        probabilities: of the next token, ``(vocab_size,)``; None if the sentence cannot be read.
        cross, own: the weights of the chosen layer for the last position, ``(heads, source)`` and ``(heads, target)``.
        problem: why there is nothing to show, or "".
        view: the picture.
    """

    def __init__(self, model, source_tokenizer, target_tokenizer, sentence, bos, eos, prepare, max_new_tokens):
        self.model, self.bos, self.eos, self.prepare = model, bos, eos, prepare
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self.max_new_tokens = max_new_tokens
        self.tokens, self.problem = [bos], ""
        layers, heads = len(model.decoder.blocks), model.decoder.blocks[0].attention.num_heads
        style, wide = {"description_width": "7em"}, ipywidgets.Layout(width="40em")
        self.sentence = ipywidgets.Text(sentence, description=say("sentence"), style=style, layout=wide)
        self.layer = ipywidgets.IntSlider(layers, min=1, max=layers, description=say("layer"), style=style)
        self.head = ipywidgets.IntSlider(0, min=0, max=heads, description=say("head (0: all)"), style=style)
        self.choices = [ipywidgets.Button() for _ in range(CANDIDATES)]
        self.back = ipywidgets.Button(description=say("back"), icon="undo")
        self.finish = ipywidgets.Button(description=say("to the end"), icon="fast-forward")
        self.view = ipywidgets.HTML()

        self.sentence.observe(lambda change: self._begin(), "value")
        for slider in (self.layer, self.head):
            slider.observe(lambda change: self._draw(), "value")
        for button in self.choices:
            button.on_click(lambda button: self._write(button.token))
        self.back.on_click(lambda button: self._take_back())
        self.finish.on_click(lambda button: self._finish())
        self._begin()
        choices = ipywidgets.HBox(self.choices)
        choices.add_class("choices")
        buttons = [choices, ipywidgets.HBox([self.back, self.finish])]
        super().__init__([self.sentence, self.view, *buttons, self.layer, self.head])

    @property
    def text(self) -> str:
        """The target so far."""
        return self.target_tokenizer.decode(self.tokens)

    @property
    def ended(self) -> bool:
        return len(self.tokens) > 1 and self.tokens[-1] == self.eos

    @property
    def cross(self) -> Tensor:
        return self._weights.cross[self.layer.value - 1][0, :, -1]

    @property
    def own(self) -> Tensor:
        return self._weights.decoder[self.layer.value - 1][0, :, -1]

    def _begin(self) -> None:
        """Another sentence: nothing is written yet."""
        self.tokens = [self.bos]
        self._read()

    def _write(self, token: int) -> None:
        self.tokens.append(token)
        self._read()

    def _take_back(self) -> None:
        if len(self.tokens) > 1:
            self.tokens.pop()
            self._read()

    def _finish(self) -> None:
        while not (self.problem or self.ended or len(self.tokens) > self.max_new_tokens):
            self._write(int(self.probabilities.argmax()))

    @torch.no_grad()
    def _read(self) -> None:
        """Ask the model for the next token."""
        training = self.model.training
        self.model.eval()
        try:
            words = self.source_tokenizer.encode(self.prepare(self.sentence.value))
            if not words:
                raise ValueError(say("type a sentence to translate"))
            self._source = [*words, self.eos]
            # At the end there is nothing to ask: what is shown is how EOS came about.
            read = self.tokens[:-1] if self.ended else self.tokens
            device = next(self.model.parameters()).device
            source, target = (torch.tensor([ids], device=device) for ids in (self._source, read))
            logits, weights = self.model(source, target, return_weights=True)
            self.probabilities, self._weights, self._shown = logits[0, -1].softmax(-1), weights, read
            self.problem = ""
        except ValueError as error:  # an unknown word, or more tokens than the model has positions
            self.problem, self.probabilities = str(error), None
        finally:
            self.model.train(training)
        self._draw()

    def _draw(self) -> None:
        self._label_buttons()
        if self.problem:
            self.view.value = problem(self.problem)
            return
        name = self.target_tokenizer.tokens
        source = [self.source_tokenizer.tokens[i] for i in self._source]
        cross, own = (self._of_head(weights) for weights in (self.cross, self.own))
        end = html.escape(name[self.eos])
        reads = (
            say("cross-attention, how {token} was chosen: what is read in the sentence", token=end)
            if self.ended
            else say("cross-attention, what comes next: what is read in the sentence")
        )
        self.view.value = (
            f"<div>{reads}</div>{_shaded(source, cross)}"
            f"<div>{say('self-attention: what is read in the translation so far')}</div>"
            f"{_shaded([name[i] for i in self._shown], own)}"
            f"<div style='font-size:1.2em;margin:0.3em 0'>{html.escape(self.text) or '…'}"
            f"{' ∎' if self.ended else ''}</div>"
        )

    def _of_head(self, weights: Tensor) -> list[float]:
        return (weights[self.head.value - 1] if self.head.value else weights.mean(0)).tolist()

    def _label_buttons(self) -> None:
        idle = bool(self.problem) or self.ended
        self.finish.disabled = idle
        self.back.disabled = len(self.tokens) < 2
        best = (
            [] if self.problem else self.probabilities.topk(min(CANDIDATES, len(self.probabilities))).indices.tolist()
        )
        for button, token in zip(self.choices, best + [None] * (CANDIDATES - len(best)), strict=True):
            button.token, button.disabled = token, idle or token is None
            button.description = (  # without any text a button would keep its old one
                "–" if token is None else f"{self.target_tokenizer.tokens[token]}  {self.probabilities[token]:.3f}"
            )

    def __repr__(self) -> str:
        return say("decoding explorer for {text!r} (run this cell to use it)", text=self.sentence.value)


def _shaded(tokens: list[str], weights: list[float]) -> str:
    """Tokens in a row, each on a background as dark as its weight, with the weight under it."""
    red, green, blue = (int(plots.COLORS[0][i : i + 2], 16) for i in (1, 3, 5))
    cells = "".join(
        f"<td style='padding:0.1em 0.5em;text-align:center;background:rgba({red},{green},{blue},{0.6 * weight:.3f})'>"
        f"{html.escape(token)}<br><small>{weight:.2f}</small></td>"
        for token, weight in zip(tokens, weights, strict=True)
    )
    return f"<table class='shaded' style='border-spacing:2px;margin-bottom:0.4em'><tr>{cells}</tr></table>"

"""What a model would write next, under three sliders: temperature, top-k and top-p."""

import html

import ipywidgets
import torch
from torch import Tensor, nn

from largemodels.explorers.frame import Explorer
from largemodels.explorers.paged import Paged, packed, slider
from largemodels.generation import next_token_probabilities, sample
from largemodels.language import later, say
from largemodels.tokenizers import Tokenizer

SHOWN = 16  # tokens with a bar; the others share one line
BAR = 320  # pixels of the screen for a probability of 1
NEW = 24  # tokens that the button writes
TEXTS = {
    "drawn": later("{kept} of {all} tokens can be drawn, entropy {nats:.2f} nats."),
    "others": later("the other {count}"),
    "legend": later("thin line: the model's own probability; bar: under the sliders"),
}
FIXED = later("After “{prompt}”. For another prompt the model itself is needed: in JupyterLab.")  # on a page


def sampling_explorer(
    model: nn.Module, tokenizer: Tokenizer, prompt: str, *, begin: int, max_length: int
) -> "SamplingExplorer":
    """Type a prompt, move the sliders, and see from which tokens the next one would be drawn; then have some written.

    Args:
        model: ``model(tokens)`` gives logits, as a `gpt.GPT` does.
        tokenizer: the one it was trained with.
        prompt: what stands in the text field at first.
        begin: id of the token that stands before every text; so an empty prompt is welcome, too.
        max_length: how many tokens the model reads. Of a longer prompt it reads the last ones.
    """
    if max_length < 2:
        raise ValueError(f"the model must read at least 2 tokens to go on from one, got max_length={max_length}")
    return SamplingExplorer(model, tokenizer, prompt, begin, max_length)


class SamplingExplorer(Paged, Explorer):
    """What `sampling_explorer` returns.

    Attributes:
        prompt: the text field.
        temperature, top_k, top_p: the sliders; top-k 0 keeps all tokens.
        write: the button that writes on.
        probabilities: of the next token, under the sliders, ``(vocab_size,)``.
        view, written: the bars, and what the button has written.
    """

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, prompt: str, begin: int, max_length: int):
        self.model, self.tokenizer, self.begin, self.max_length = model, tokenizer, begin, max_length
        style = {"description_width": "7em"}
        wide = ipywidgets.Layout(width="32em")
        self.prompt = ipywidgets.Text(prompt, description=say("prompt"), style=style, layout=wide)
        self.temperature = ipywidgets.FloatSlider(
            1, min=0, max=2, step=0.05, description=say("temperature"), style=style
        )
        self.top_k = ipywidgets.IntSlider(0, min=0, max=50, description=say("top-k (0: all)"), style=style)
        self.top_p = ipywidgets.FloatSlider(1, min=0.05, max=1, step=0.05, description=say("top-p"), style=style)
        self.write = ipywidgets.Button(description=say("write {count} tokens", count=NEW))
        self.view, self.written = ipywidgets.HTML(), ipywidgets.HTML()
        self._drawn = 0  # how often something was written: each time with another seed
        self._read()
        self.prompt.observe(lambda change: self._read(), "value")
        for moved in (self.temperature, self.top_k, self.top_p):
            moved.observe(lambda change: self._draw(), "value")
        self.write.on_click(lambda button: self._write())
        super().__init__([self.prompt, self.temperature, self.top_k, self.top_p, self.view, self.write, self.written])

    @property
    def options(self) -> dict:
        """The sliders as arguments of `generation.sample`."""
        return {
            "temperature": self.temperature.value,
            "top_k": self.top_k.value or None,
            "top_p": self.top_p.value,
        }

    @property
    def probabilities(self) -> Tensor:
        return next_token_probabilities(self._logits, **self.options)

    def _read(self) -> None:
        """Another prompt: ask the model anew."""
        tokens = [self.begin, *self.tokenizer.encode(self.prompt.value)]
        self._unread = max(0, len(tokens) - self.max_length)
        self._tokens = torch.tensor([tokens[self._unread :]])
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            self._logits = self.model(self._tokens)[0, -1]
        self.model.train(training)
        self.written.value = ""
        self._draw()

    def _draw(self) -> None:
        plain, now = self._logits.softmax(-1), self.probabilities
        order = plain.argsort(descending=True)[:SHOWN].tolist()
        kept = int((now > 0).sum())
        entropy = -(now[now > 0] * now[now > 0].log()).sum().item() + 0.0  # not −0.00
        rest = 1 - now[order].sum().item()
        drawn = say(TEXTS["drawn"], kept=kept, all=len(now), nats=entropy)
        if self._unread:
            first = say("The first {count} tokens do not fit and are not read.", count=self._unread)
            drawn = say("{text} {more}", text=drawn, more=first)
        lines = [self._line(self._show(i), plain[i].item(), now[i].item()) for i in order]
        others = say(TEXTS["others"], count=len(now) - len(order))
        lines += [self._line(others, 1 - plain[order].sum().item(), max(rest, 0.0))]
        legend = say(TEXTS["legend"])
        self.view.value = f"<div>{drawn}</div><table>{''.join(lines)}</table><div class='soft'>{legend}</div>"

    def _line(self, token: str, plain: float, now: float) -> str:
        look = "" if now > 0 else " class='soft'"
        return (
            f"<tr{look}><th scope='row' style='font-family:monospace'>{html.escape(token)}</th>"
            f"<td class='number'>{now:.3f}</td>"
            f"<td><div class='bar' style='height:8px;width:{BAR * now:.1f}px'></div>"
            f"<div class='thin' style='height:2px;width:{BAR * plain:.1f}px'></div></td></tr>"
        )

    def _show(self, token: int) -> str:
        """A token as it would be written, its spaces made visible; one that is no text by its name."""
        text = self.tokenizer.decode([token])
        return text.replace(" ", "␣").replace("\n", "↵") if text and "�" not in text else self.tokenizer.tokens[token]

    def _write(self) -> None:
        room = self.max_length - self._tokens.shape[1] + 1
        self._drawn += 1
        generator = torch.Generator().manual_seed(self._drawn)
        new = sample(
            self.model,
            self._tokens,
            max_new_tokens=min(NEW, room),
            eos=self.begin,
            generator=generator,
            **self.options,
        )
        text = self.tokenizer.decode(new[0])
        self.written.value = (
            f"<div style='max-width:44em'>{html.escape(self.prompt.value)}<b>{html.escape(text)}</b></div>"
        )

    def page(self) -> dict:
        order = self._logits.argsort(descending=True)[:SHOWN].tolist()
        sliders = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        return {
            "explorer": "sampling",
            "prompt": self.prompt.value,
            "logits": packed(self._logits.float().numpy().astype("<f4").tobytes()),
            "shown": [[token, self._show(token)] for token in order],
            "sliders": [[name, slider(widget)] for name, widget in sliders.items()],
            "bar": BAR,
            "texts": {"fixed": say(FIXED)} | {name: say(text) for name, text in TEXTS.items()},
        }

    def __repr__(self) -> str:
        return say("sampling explorer for {text!r} (run this cell to use it)", text=self.prompt.value)

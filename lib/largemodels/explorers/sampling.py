"""What a model would write next, under three sliders: temperature, top-k and top-p."""

import html

import ipywidgets
import torch
from torch import Tensor, nn

from largemodels import plots
from largemodels.generation import next_token_probabilities, sample
from largemodels.tokenizers import Tokenizer

SHOWN = 16  # tokens with a bar; the others share one line
BAR = 320  # pixels of the screen for a probability of 1
NEW = 24  # tokens that the button writes


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


class SamplingExplorer(ipywidgets.VBox):
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
        self.prompt = ipywidgets.Text(prompt, description="prompt", style=style, layout=wide)
        self.temperature = ipywidgets.FloatSlider(1, min=0, max=2, step=0.05, description="temperature", style=style)
        self.top_k = ipywidgets.IntSlider(0, min=0, max=50, description="top-k (0: all)", style=style)
        self.top_p = ipywidgets.FloatSlider(1, min=0.05, max=1, step=0.05, description="top-p", style=style)
        self.write = ipywidgets.Button(description=f"write {NEW} tokens")
        self.view, self.written = ipywidgets.HTML(), ipywidgets.HTML()
        self._drawn = 0  # how often something was written: each time with another seed
        self._read()
        self.prompt.observe(lambda change: self._read(), "value")
        for slider in (self.temperature, self.top_k, self.top_p):
            slider.observe(lambda change: self._draw(), "value")
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
        entropy = -(now[now > 0] * now[now > 0].log()).sum().item()
        rest = 1 - now[order].sum().item()
        unread = f" The first {self._unread} tokens do not fit and are not read." if self._unread else ""
        lines = "".join(self._line(self._show(i), plain[i].item(), now[i].item()) for i in order)
        self.view.value = (
            f"<div>{kept} of {len(now)} tokens can be drawn, entropy {entropy:.2f} nats.{unread}</div>"
            f"<table style='line-height:1.25;border-spacing:0'>{lines}"
            f"{self._line(f'the other {len(now) - len(order)}', 1 - plain[order].sum().item(), max(rest, 0.0))}</table>"
            "<div style='color:#555'>thin line: the model's own probability; bar: under the sliders</div>"
        )

    def _line(self, token: str, plain: float, now: float) -> str:
        ink = plots.INK if now > 0 else "#999"
        return (
            f"<tr><td style='text-align:right;padding-right:0.6em;color:{ink};font-family:monospace'>"
            f"{html.escape(token)}</td><td><div style='background:{plots.COLORS[0]};height:8px;"
            f"width:{BAR * now:.1f}px'></div><div style='background:{plots.COLORS[1]};height:2px;"
            f"width:{BAR * plain:.1f}px'></div></td>"
            f"<td style='padding-left:0.6em;color:{ink}'>{now:.3f}</td></tr>"
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

    def __repr__(self) -> str:
        return f"sampling explorer for {self.prompt.value!r} (run this cell to use it)"

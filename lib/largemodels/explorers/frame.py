"""What all explorers share: their look in every theme, names for screen readers, keys that stay inside, and words.

A module in JavaScript has no words of its own: it asks for them by short names. What the names stand for is kept in
Python, marked as all that the course says, and sent in the language of the notebook (`Worded`).
"""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import anywidget
import ipywidgets
import traitlets

from largemodels.language import later, say

HERE = Path(__file__).parent


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def module(name: str) -> str:
    """The ES module of a widget that is an explorer by itself, inside the frame that all have."""
    return _read("frame.js") + _read(name).replace("{ render }", "{ render: framed(render) }")


def sheet(name: str) -> str:
    """The style sheet that all explorers share, and one of its own."""
    return _read("frame.css") + _read(name)


class Worded(anywidget.AnyWidget):
    """A widget whose module says something; in the module, ``speaker(model)`` says it by name."""

    WORDS: ClassVar[dict[str, str]]
    words = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits):
        super().__init__(words={name: say(text) for name, text in self.WORDS.items()}, **traits)


class Frame(Worded):
    """Shows nothing while its kernel answers; what it does for the box around it stands in ``frame.js``."""

    _esm = _read("frame.js") + "export default { render: renderFrame };"
    _css = _read("frame.css")
    WORDS: ClassVar = {"silent": later("Restored as it was saved: run this cell again, and it will answer.")}

    def __init__(self):
        super().__init__()
        self.on_msg(lambda widget, content, buffers: widget.send("Yes."))


class Explorer(ipywidgets.VBox):
    """A box of ipywidgets that is one explorer."""

    def __init__(self, children: Sequence[ipywidgets.Widget]):
        super().__init__([*children, Frame()])
        self.add_class("largemodels")


def problem(message) -> str:
    """Why there is nothing to show, in HTML."""
    return f"<div class='problem' role='alert'>{html.escape(str(message))}</div>"


def bar_row(label: str, value: float, width: float) -> str:
    """A row of a table in HTML: a label, its number, and a bar `width` em wide."""
    return (
        f"<tr><th scope='row'>{html.escape(label)}</th><td class='number'>{value:.2f}</td>"
        f"<td><div class='bar' style='width:{width:.2f}em'></div></td></tr>"
    )

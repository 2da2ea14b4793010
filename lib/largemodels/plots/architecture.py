"""A model as one picture, drawn from the model itself: what stands on what, and what has changed since another one.

Two steps. `outline` walks through the modules of a model and lists its parts, from the tokens at the bottom to the
logits at the top; `architecture` draws the list. Nothing is looked up by the model's name, so the picture shows what was
built, not what should have been.
"""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from ..language import say
from .base import GREY, INK, PAPER, SOFT_INK, new_axes, style, text_inches, wrapped
from .words import describe, listed, one_by_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

    from largemodels.blocks import Block
    from largemodels.stacks import Stack

COLORS = {
    "embedding": "#d8ecd9",
    "attention": "#cfe3f3",
    "feed-forward": "#fdeecb",
    "norm": "#ececec",
    "head": "#f1dbe6",
}
CHANGED = "#882255"
HEIGHT, GAP, WIDE, COLUMN = 0.42, 0.16, 2.5, 3.8  # inches: of a box, between boxes, of a box, from column to column


class Part(NamedTuple):
    """A box: its kind (a key of `COLORS`), what it is, and how large."""

    kind: str
    form: str
    size: str = ""


class Sublayer(NamedTuple):
    """A part of a block with the residual connection around it; its norm stands before it or after the sum.

    `reads_memory` is true of a decoder's attention to what the encoder has written.
    """

    part: Part
    norm: Part
    norm_first: bool
    reads_memory: bool = False

    @property
    def parts(self) -> tuple[Part, Part]:
        return (self.norm, self.part) if self.norm_first else (self.part, self.norm)


class Column(NamedTuple):
    """One stack with what feeds it and what follows it, from bottom to top.

    Attributes:
        title: "encoder" or "decoder".
        inputs: the parts before the first block.
        block: the sublayers of one block.
        times: how many blocks there are.
        variety: how they differ from each other, in words, if at all.
        outputs: the parts after the last block.
        beside: those of a second head, which reads the same vectors as the first.
    """

    title: str
    inputs: list[Part]
    block: list[Sublayer]
    times: int
    variety: str
    outputs: list[Part]
    beside: list[Part]

    @property
    def parts(self) -> list[Part]:
        variety = [Part("block", self.variety)] if self.variety else []
        block = (part for sublayer in self.block for part in sublayer.parts)
        return [*self.inputs, *variety, *block, *self.outputs, *self.beside]


# ------------------------------------------------------------------------------------------------- from the modules


def outline(model: "nn.Module") -> list[Column]:
    """The stacks of a model of this course: one column for BERT and GPT, two for the Transformer, BART and T5.

    Raises:
        TypeError: a model without stacks of blocks.
    """
    if hasattr(model, "decoder"):  # reads with one stack, writes with another
        return [
            _column(say("encoder"), model.encoder, _inputs(model, "source"), [], []),
            _column(say("decoder"), model.decoder, _inputs(model, "target"), _outputs(model), []),
        ]
    stack = getattr(model, "stack", None) or getattr(getattr(model, "encoder", None), "stack", None)
    if stack is None:
        raise TypeError(f"an architecture is drawn of a model with stacks of blocks, got {type(model).__name__}")
    title = say("decoder") if stack.blocks[0].causal else say("encoder")
    return [_column(title, stack, _inputs(model, ""), _outputs(model), _beside(model))]


def _column(title: str, stack: "Stack", inputs: list[Part], outputs: list[Part], beside: list[Part]) -> Column:
    last = [] if stack.norm is None else [_norm(stack.norm)]
    return Column(
        title, inputs, _sublayers(stack.blocks[0]), len(stack.blocks), _variety(stack), last + outputs, beside
    )


def _variety(stack: "Stack") -> str:
    """How the blocks of a stack differ from each other; empty if each is of one form and has parameters of its own."""
    different = len({id(block) for block in stack.blocks})
    bands = [block.band for block in stack.blocks]
    said = []
    if different < len(bands):
        said.append(say("all the same one") if different == 1 else say("{count} different ones", count=different))
    if len({*bands}) > 1:
        banded = sum(band is not None for band in bands)
        said.append(say("{count} with a band of {width}", count=banded, width=max(filter(None, bands))))
    return listed(said)


def _sublayers(block: "Block") -> list[Sublayer]:
    own = say("masked self-attention") if block.causal else say("self-attention")
    found = [(_attention(block.attention, own), block.attention_norm)]
    if block.cross_attention is not None:
        found.append((_attention(block.cross_attention, say("cross-attention")), block.cross_attention_norm))
    found.append((_feed_forward(block.feed_forward), block.feed_forward_norm))
    sublayers = []
    for part, norm in found:
        name = type(norm).__name__
        of = say("{norm} of the input", norm=name) if block.norm_first else say("{norm} of the sum", norm=name)
        sublayers.append(Sublayer(part, Part("norm", of), block.norm_first))
    if block.cross_attention is not None:
        sublayers[1] = sublayers[1]._replace(reads_memory=True)
    return sublayers


def _with(form: str, further: str) -> str:
    """A form that has been given a further property."""
    return say("{part}, {property}", part=form, property=further)


def _attention(attention: "nn.Module", form: str) -> Part:
    if attention.position is not None:
        form = _with(form, type(attention.position).__name__)
    if attention.scale == 1:
        form = _with(form, say("scores not divided"))
    return Part("attention", form, say("{heads} heads of {width}", heads=attention.num_heads, width=attention.d_head))


def _feed_forward(network: "nn.Module") -> Part:
    from largemodels.blocks import ACTIVATIONS

    name = next((name for name, function in ACTIVATIONS.items() if function is network.activation), "?")
    names = {"relu": "ReLU", "gelu": "GELU", "gelu_new": "GELU", "silu": "SiLU"}
    form = _with(say("feed-forward"), names.get(name, name))
    if network.gate is not None:
        form = _with(form, say("gated"))
    d_ff, d_model = network.up.weight.shape
    return Part("feed-forward", form, f"{d_model:,} → {d_ff:,} → {d_model:,}")


def _norm(norm: "nn.Module") -> Part:
    return Part("norm", type(norm).__name__)


def _inputs(model: "nn.Module", side: str) -> list[Part]:
    """What turns the tokens of one side into vectors; `side` is "source", "target" or, with one stack only, empty."""
    module = getattr(model, f"{side}_embedding", None) or getattr(model, "embedding", None) or model.encoder.embedding
    token = getattr(module, "token", module)
    sinusoids = getattr(model, "encoding", None)
    scaled = sinusoids is not None or getattr(module, "scale", 1) != 1
    form = say("token embedding × √d") if scaled else say("token embedding")
    parts = [Part("embedding", form, _times(token.weight.shape))]
    if (segment := getattr(module, "segment", None)) is not None and segment.num_embeddings > 1:
        parts.append(Part("embedding", say("+ segment"), _times(segment.weight.shape)))
    if sinusoids is not None:
        parts.append(Part("embedding", say("+ sines and cosines of the position"), _times(sinusoids.shape)))
    positions = getattr(module, "position", None) or getattr(model, f"{side}_positions" if side else "positions", None)
    if positions is not None:
        parts.append(_positions(positions))
    if getattr(module, "norm", None) is not None:
        parts.append(_norm(module.norm))
    if getattr(module, "projection", None) is not None:
        parts.append(
            Part("embedding", say("linear, to the width of the blocks"), _times(module.projection.weight.shape[::-1]))
        )
    return parts


def _positions(scheme: "nn.Module") -> Part:
    weight = getattr(scheme, "weight", None)
    size = "" if weight is None else _times(weight.shape)
    if hasattr(scheme, "num_buckets"):
        return Part("embedding", say("buckets of distances, for the scores"), size)
    name = type(scheme).__name__
    learned = name in ("Learned", "Embedding")
    form = say("+ learned table of positions") if learned else say("positions: {scheme}", scheme=name)
    return Part("embedding", form, size)


def _outputs(model: "nn.Module") -> list[Part]:
    """What turns the last vectors into logits."""
    head = model.head
    parts = []
    if hasattr(head, "transform"):
        parts += [Part("head", say("linear, GELU"), _times(head.transform.weight.shape[::-1])), _norm(head.norm)]
        head = head.output
    embeddings = {
        id(module.weight) for name, module in model.named_modules() if "embedding" in name and _has_weight(module)
    }
    form = say("output layer")
    if id(head.weight) in embeddings:
        form = _with(form, say("tied to the embeddings"))
    parts.append(Part("head", form, _times(head.weight.shape[::-1])))
    return parts


def _beside(model: "nn.Module") -> list[Part]:
    """The head for a pair of texts, if there is one."""
    head = getattr(model, "pair_head", None)
    if head is None:
        return []
    return [
        Part("head", say("of the first token: linear, tanh"), _times(head.pooler.weight.shape[::-1])),
        Part("head", say("output layer"), _times(head.output.weight.shape[::-1])),
    ]


def _has_weight(module: "nn.Module") -> bool:
    return getattr(module, "weight", None) is not None


def _times(shape) -> str:
    return " × ".join(f"{n:,}" for n in shape)


# --------------------------------------------------------------------------------------------------------- comparing


def changes(columns: list[Column], before: list[Column]) -> tuple[list[list[bool]], list[str]]:
    """Which parts of `columns` differ from those of `before`, and the forms that are gone. Sizes do not count.

    An encoder is compared with an encoder, a decoder with a decoder. A part that has only been given a further property
    ("self-attention", then "self-attention, scores not divided") is marked, and not gone.
    """
    old = {column.title: [part.form for part in column.parts] for column in before}
    new, lost = [], {}
    for column in columns:
        forms = [part.form for part in column.parts]
        blocks = SequenceMatcher(None, old.get(column.title, []), forms, autojunk=False).get_matching_blocks()
        same = {place for block in blocks for place in range(block.b, block.b + block.size)}
        kept = {place for block in blocks for place in range(block.a, block.a + block.size)}
        new.append([place not in same for place in range(len(forms))])
        for place, form in enumerate(old.get(column.title, [])):
            if place not in kept and not any(other.startswith(_with(form, "").rstrip()) for other in forms):
                lost.setdefault(form, {})[column.title] = None
    gone = [say("the {stack}", stack=title) for title in old if title not in {column.title for column in columns}]
    return new, gone + [say("{part} ({stacks})", part=form, stacks=listed(titles)) for form, titles in lost.items()]


# ----------------------------------------------------------------------------------------------------------- drawing


@style()
def architecture(
    model: "nn.Module", *, than: "nn.Module | None" = None, title: str = "", ax: "Axes | None" = None
) -> "Figure":
    """A model from its tokens (below) to its logits (above), one column for each stack.

    Args:
        model: a Transformer, BART, T5, BERT or GPT, of any size; on the meta device as well.
        than: another one. Parts that it does not have are framed and marked ◆; below stands what it had instead.
    """
    columns = outline(model)
    new, gone = changes(columns, outline(than)) if than is not None else ([[False] * len(c.parts) for c in columns], [])
    places = len(columns) + any(column.beside for column in columns)
    height, width = max(map(_height, columns)), COLUMN * places
    note = _note(model, than, gone, 62 * places)
    below = 0.2 * (note.count("\n") + 1) + 0.15 if note else 0.1
    ax = ax or new_axes(width + 0.4, height + below + 0.5)
    reading = []  # the heights of the decoder's cross-attention
    tops = [
        _draw_column(ax, column, iter(marks), COLUMN * (number + 0.5), reading)
        for number, (column, marks) in enumerate(zip(columns, new, strict=True))
    ]
    for y in reading:  # from the word "memory" above the encoder
        arrow = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0}
        begin, end = COLUMN / 2 + 0.3, COLUMN * 1.5 - WIDE / 2
        ax.plot([begin, COLUMN, COLUMN, end], [tops[0] + 0.1, tops[0] + 0.1, y, y], color=INK, linewidth=1.2, zorder=1)
        ax.annotate("", (end, y), (end - 0.12, y), arrowprops=arrow)
    ax.set(xlim=(-0.1, width + 0.1), ylim=(-0.1 - below, height + 0.3), aspect="equal")
    ax.set_title(title or type(model).__name__)
    ax.axis("off")
    if note:
        ax.text(0.1, -0.12, note, ha="left", va="top", fontsize=8, color=CHANGED)
    describe(ax, *map(_said, columns, new), note, title=title or type(model).__name__)
    return ax.figure


def _note(model: "nn.Module", than: "nn.Module | None", gone: list[str], width: int) -> str:
    """What the marks mean and what is gone, in lines of `width` characters."""
    if than is None:
        return ""
    name = type(than).__name__
    other = say("the other one") if type(than) is type(model) else say("the {model}", model=name)
    lost = wrapped(say("only in {other}: {parts}", other=other, parts=one_by_one(gone)), width) if gone else []
    mark = say("◆ not so in {other}", other=other)
    return " \n".join([mark, "\n".join(lost)]) if lost else mark  # read out, there is a space between the two


def _height(column: Column) -> float:
    """Of what `_draw_column` draws."""
    boxes = len(column.parts) - bool(column.variety) - len(column.beside)
    return boxes * (HEIGHT + GAP) + len(column.block) * (0.2 + GAP) + 1.05


def _draw_column(ax: "Axes", column: Column, marks: Iterator[bool], x: float, reading: list[float]) -> float:
    """Draw it around `x`, add the heights of its cross-attentions to `reading`, and return the height of its top."""
    from matplotlib.patches import FancyBboxPatch

    y = 0.0
    ax.text(x, y, say("tokens"), ha="center", va="center", fontsize=8.5, color=SOFT_INK)
    y += 0.15
    for part in column.inputs:
        y = _box(ax, part, next(marks), x, y)
    _line(ax, x, y, y + 0.15)
    y += 0.15
    bottom = y
    different = bool(column.variety) and next(marks)
    for sublayer in column.block:
        begin = y + GAP / 2
        if sublayer.norm_first:
            y = _box(ax, sublayer.norm, next(marks), x, y)
        if sublayer.reads_memory:
            reading.append(y + GAP + HEIGHT / 2)
        y = _box(ax, sublayer.part, next(marks), x, y)
        y = _plus(ax, x, y, begin)
        if not sublayer.norm_first:
            y = _box(ax, sublayer.norm, next(marks), x, y)
    _line(ax, x, y, y + GAP / 2 + 0.3)
    y += GAP / 2
    frame = {"boxstyle": "round,pad=0.0,rounding_size=0.12", "facecolor": "none", "edgecolor": SOFT_INK, "linewidth": 1}
    ax.add_patch(FancyBboxPatch((x - WIDE / 2 - 0.42, bottom), WIDE + 0.84, y - bottom, linestyle="--", **frame))
    times = f"× {column.times}" + (f"\n{'◆ ' * different}{column.variety}" if column.variety else "")
    look = {"fontsize": 8, "linespacing": 1.1, "color": CHANGED if different else INK}
    ax.text(x + 0.15, y + 0.03, times, ha="left", va="bottom", **look)
    y += 0.3  # room for the number of blocks
    top = _draw_head(ax, column.outputs, marks, x, y)
    if column.beside:
        ax.plot([x, x + COLUMN], [y, y], color=INK, linewidth=1.2, zorder=1)
        _draw_head(ax, column.beside, marks, x + COLUMN, y)
    ax.text(
        x - WIDE / 2 - 0.36,
        bottom + 0.06,
        column.title,
        ha="left",
        va="bottom",
        fontsize=9,
        rotation=90,
        color=SOFT_INK,
    )
    return top


def _draw_head(ax: "Axes", parts: list[Part], marks: Iterator[bool], x: float, y: float) -> float:
    """What stands on a stack, with the word for what comes out of it; returns the height of its top."""
    for part in parts:
        y = _box(ax, part, next(marks), x, y)
    _line(ax, x, y, y + GAP)
    end = say("logits") if parts and parts[-1].kind == "head" else say("memory")
    ax.text(x, y + GAP + 0.1, end, ha="center", va="center", fontsize=8.5, color=SOFT_INK)
    return y + GAP


def _box(ax: "Axes", part: Part, changed: bool, x: float, y: float) -> float:
    from matplotlib.patches import FancyBboxPatch

    _line(ax, x, y, y + GAP)
    y += GAP
    edge = {"edgecolor": CHANGED, "linewidth": 1.8} if changed else {"edgecolor": GREY, "linewidth": 0.8}
    shape = "round,pad=0.0,rounding_size=0.06"
    box = FancyBboxPatch((x - WIDE / 2, y), WIDE, HEIGHT, boxstyle=shape, facecolor=COLORS[part.kind], zorder=2, **edge)
    ax.add_patch(box)
    form = f"◆ {part.form}" if changed else part.form
    text = f"{form}\n{part.size}" if part.size else form
    size = min(7.6, 0.88 * WIDE / text_inches([form], 1))  # the axes are drawn a little smaller than in inches
    ax.text(x, y + HEIGHT / 2, text, ha="center", va="center", fontsize=size, linespacing=1.25, color=INK, zorder=3)
    return y + HEIGHT


def _plus(ax: "Axes", x: float, y: float, begin: float) -> float:
    """The sum at the end of a sublayer, and the way around it that began at the height `begin`."""
    _line(ax, x, y, y + GAP)
    centre, side = y + GAP + 0.1, x - WIDE / 2 - 0.2
    ax.plot([x, side, side, x - 0.1], [begin, begin, centre, centre], color=INK, linewidth=1.2, zorder=1)
    ax.text(
        x,
        centre,
        "+",
        ha="center",
        va="center",
        fontsize=9,
        color=INK,
        zorder=3,
        bbox={"boxstyle": "circle,pad=0.12", "facecolor": PAPER, "edgecolor": INK, "linewidth": 1},
    )
    return y + GAP + 0.2


def _line(ax: "Axes", x: float, low: float, high: float) -> None:
    ax.plot([x, x], [low, high], color=INK, linewidth=1.2, zorder=1)


def _said(column: Column, marks: list[bool]) -> str:
    mark = iter(marks)

    def said(parts: Iterable[Part]) -> str:
        names = (f"{part.form} {part.size}".strip() for part in parts)
        return listed(say("{part} (changed)", part=name) if next(mark) else name for name in names)

    steps = [said(column.inputs)]
    variety = said([Part("block", column.variety)]) if column.variety else ""
    block = said(part for sublayer in column.block for part in sublayer.parts)
    if variety:
        steps.append(say("{count} blocks ({variety}) of {parts}", count=column.times, variety=variety, parts=block))
    else:
        steps.append(say("{count} blocks of {parts}", count=column.times, parts=block))
    if column.outputs:
        steps.append(said(column.outputs))
    if column.beside:
        steps.append(say("beside them {parts}", parts=said(column.beside)))
    return say("{stack} from bottom to top: {steps}", stack=column.title, steps=say("; then ").join(steps))

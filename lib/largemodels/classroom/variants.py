"""The *predict* exercises with other numbers: for a class test, an examination, or another try.

``variant("1.4", "2026001")`` is the exercise 1.4 of the student 2026001; it shows its question, and its `check` compares
as the exercise does, with the same tolerance, and gives the same points. Numbers follow from the name alone.
``python -m largemodels variants roster.csv`` makes a sheet for each student, and the key.

A mistake is told by its place only: the messages of an exercise know its own numbers.
"""

import argparse
import html
import math
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..storage import write_whole
from .exercise import Exercise
from .exercises import exercises
from .report import Report

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A question with its numbers left open; `own` are those of the exercise, with which `answer` is its reference."""

    own: Numbers
    draw: Callable[[random.Random], Numbers]
    answer: Callable[..., tuple]
    text: str


@dataclass(frozen=True)
class Variant:
    """One exercise with the numbers of one student."""

    who: str
    numbers: Numbers
    text: str
    exercise: Exercise

    def check(self, answer: Any) -> Report:
        """The verdict, on the exercise's own scale; nothing is remembered."""
        return self.exercise.grade(answer)

    def __repr__(self) -> str:
        return f"{self.exercise.id} {self.exercise.title}, for {self.who}\n\n{self.text}"

    def _repr_markdown_(self) -> str:
        return f"**{self.exercise.id} {self.exercise.title}**, for {html.escape(self.who)}\n\n{self.text}"


def variant(exercise: str, who: str) -> Variant:
    """The exercise with the numbers that belong to `who`, a student number say; other numbers than in the notebook.

    Raises:
        ValueError: there is no variant of this exercise.
    """
    if exercise not in TEMPLATES:
        raise ValueError(f"exercise {exercise!r} has no variants; those with some are {', '.join(TEMPLATES)}")
    template = TEMPLATES[exercise]
    chance = random.Random(f"{exercise} {who}")  # a text as seed: the same on every machine
    while (numbers := template.draw(chance)) == template.own:
        pass
    return with_numbers(exercise, who, numbers)


def with_numbers(exercise: str, who: str, numbers: Numbers) -> Variant:
    template, own = TEMPLATES[exercise], exercises[exercise]
    changed = replace(
        own,
        reference=template.answer(**numbers),
        misconceptions=(),
        stages=tuple(replace(stage, look="", follows=None) for stage in own.stages),
        success="Right.",
    )
    return Variant(who, numbers, template.text.format(**numbers), changed)


# ---------------------------------------------------------------------------------------------------------- questions


def _by_hand(values: tuple, a: int, b: int) -> tuple:
    def mixed(weights: tuple) -> tuple:
        return tuple(sum(w * value[i] for w, value in zip(weights, values, strict=True)) for i in (0, 1))

    new = tuple(share / (1 + a + b) for share in (1, a, b))
    return mixed((0.90, 0.03, 0.07)), new, mixed(new)


def _two_masks(a: int, b: int, c: int, e: int) -> tuple:
    before = 1 / (1 + a), a / (1 + a)
    after, after_change = ((1 / (1 + a + b + last), a / (1 + a + b + last)) for last in (c, e))
    return after, before, after_change, before


def _reach(n: int, band: int, width: int, layers: int, text: int, wide: int) -> tuple:
    pairs = sum(min(row, band) for row in range(1, n + 1))
    return n * (n + 1) // 2, pairs, 1 + layers * (width - 1), math.ceil((text - 1) / (wide - 1))


def _block(d: int, heads: int, d_ff: int) -> tuple:
    attention, feed_forward = 4 * (d * d + d), 2 * d * d_ff + d_ff + d
    return attention, feed_forward, 2 * attention + feed_forward + 3 * 2 * d


def _spans(n: int, percent: int, mean: int) -> tuple:
    hidden = round(n * percent / 100)
    spans = round(hidden / mean)
    return hidden, spans, n - hidden + spans, hidden + spans + 1


def _draw_spans(chance: random.Random) -> Numbers:
    """So that nothing lies near a half, where rounding is a matter of taste."""
    while True:
        found = {"n": chance.randrange(200, 1000, 4), "percent": chance.choice((10, 15, 20, 25)), "mean": 3}
        hidden = found["n"] * found["percent"] / 100
        if all(abs(number % 1 - 0.5) > 0.1 for number in (hidden, round(hidden) / found["mean"])):
            return found


def _sizes(layers: int, d: int, heads: int, tokens: int, chain: tuple, table: tuple, p: float) -> tuple:
    kept = next(i for i in range(1, len(table) + 1) if sum(table[:i]) >= p - 1e-9)
    return 12 * layers * d * d, 2 * layers * d * tokens, math.prod(chain), kept


def _draw_two_masks(chance: random.Random) -> Numbers:
    a, b, c = chance.sample(range(2, 10), 3)
    return {"a": a, "b": b, "c": c, "e": c + chance.choice((8, 12, 16, 20))}


TEMPLATES: Mapping[str, Template] = {
    "1.3": Template(
        own={"values": ((1, 0), (0, 2), (4, 1)), "a": 2, "b": 5},
        draw=lambda chance: {
            "values": tuple((chance.randint(0, 5), chance.randint(0, 5)) for _ in range(3)),
            **dict(zip("ab", chance.sample(range(2, 8), 2), strict=True)),
        },
        answer=_by_hand,
        text="The weights of *Dogs* are 0.90, 0.03 and 0.07 on *Dogs*, *like*, *balls*. The three values are {values[0]}, "
        "{values[1]} and {values[2]}.\n\n1. What is z of *Dogs*, a pair of numbers?\n2. In another layer with d_k = 4 the "
        "scores q · k of *like* are 0, 2 ln {a} and 2 ln {b}. What are its three weights?\n3. With these weights and the "
        "same values, what is z of *like*?",
    ),
    "1.4": Template(
        own={"d": 100, "width": 16, "sd": 3},
        draw=lambda chance: {
            "d": chance.choice((25, 50, 64, 80, 128, 200, 256)),
            "width": chance.choice((8, 32, 64)),
            "sd": chance.choice((2, 4, 5)),
        },
        answer=lambda d, width, sd: (d, 1 / d, sd**2),
        text="The components of a query and a key are independent random numbers with mean 0. Predict three variances:"
        "\n\n1. of q · k, if all components have variance 1 and d_k = {d};\n2. of q · k / d_k in the same case;\n3. of "
        "q · k / √d_k, if d_k = {width} and the components of q have the standard deviation {sd}, those of k the standard "
        "deviation 1.",
    ),
    "1.9": Template(
        own={"d": 768, "one": 12, "other": 24},
        draw=lambda chance: {"d": chance.choice((384, 512, 576, 960, 1024, 1536)), "one": 8, "other": 16},
        answer=lambda d, one, other: (4 * (d * d + d),) * 2,
        text="How many parameters has a multi-head attention layer with d_model = {d}, with a bias in each of its "
        "projections? Once for {one} heads, once for {other}.",
    ),
    "2.3": Template(
        own={"a": 3, "b": 4, "c": 8, "e": 24},
        draw=_draw_two_masks,
        answer=_two_masks,
        text="The *second* of four words asks, and its scores, already scaled, for the four keys are 0, ln {a}, ln {b}, "
        "ln {c}. Give the weights of the first two keys under a causal mask,\n\n1. if the mask is 0/1 and multiplied to "
        "the weights *after* the softmax;\n2. if it is 0/−∞ and added *before* the softmax.\n\nThe fourth score becomes "
        "ln {e}. Give them again,\n\n3. with the 0/1 mask after the softmax;\n4. with the −∞ mask before it.",
    ),
    "2.7": Template(
        own={"n": 6, "band": 3, "width": 5, "layers": 4, "text": 1000, "wide": 100},
        draw=lambda chance: {
            "n": chance.randint(7, 12),
            "band": chance.randint(2, 5),
            "width": chance.randint(3, 9),
            "layers": chance.randint(2, 6),
            "text": chance.choice((500, 2000, 4096)),
            "wide": chance.choice((64, 128, 256)),
        },
        answer=_reach,
        text="1. How many pairs of a query and a key are visible under a causal mask of {n} positions?\n2. How many under a "
        "causal band of width {band}, again for {n} positions?\n3. Every layer has a band of width {width}. How many inputs "
        "can the output of position 100 know of after {layers} layers, its own included?\n4. A text has {text} positions, "
        "and every layer has a band of width {wide}. How many layers does it take until the last position can know of the "
        "first?",
    ),
    "3.2": Template(
        own={"d": 4, "column": 2, "position": 50, "width": 64},
        draw=lambda chance: {
            **dict(zip(("d", "column"), chance.choice(((4, 2), (8, 2), (8, 4), (8, 6))), strict=True)),
            "position": chance.choice((5, 20, 30, 40, 80)),
            "width": chance.choice((16, 32, 48, 128, 512)),
        },
        answer=lambda d, column, position, width: (
            position / 10_000 ** (column / d),
            2 * math.pi * 10_000 ** (column / d),
            width // 2,
        ),
        text="1. In an encoding with d = {d}, what is the *angle* (in radians) whose sine stands in column {column} at "
        "position {position}?\n2. After how many positions has this clock gone round once? (To the nearest whole number.)"
        "\n3. In an encoding with d = {width}, what is the dot product of the encoding of position 7 with itself?",
    ),
    "3.8": Template(
        own={"d": 768, "heads": 16, "width": 48, "positions": 2048, "clip": 20, "buckets": 64},
        draw=lambda chance: {
            "d": (heads := chance.choice((4, 8, 12))) * (width := chance.choice((32, 64, 80))),
            "heads": heads,
            "width": width,
            "positions": chance.choice((512, 1024, 4096)),
            "clip": chance.choice((8, 16, 32)),
            "buckets": chance.choice((16, 32, 128)),
        },
        answer=lambda d, heads, width, positions, clip, buckets: (
            positions * d,
            2 * (2 * clip + 1) * width,
            buckets * heads,
        ),
        text="A model has d_model = {d}, {heads} heads of width {width}, and reads up to {positions} tokens. How many "
        "parameters has\n\n1. a learned table of positions, added to the input;\n2. Shaw's scheme in one layer, with "
        "distances clipped at ±{clip}, its vectors shared by all heads;\n3. T5's scheme with {buckets} buckets?",
    ),
    "4.9": Template(
        own={"d": 512, "heads": 8, "d_ff": 2048},
        draw=lambda chance: {
            "d": (d := chance.choice((128, 256, 384, 640, 768, 1024))),
            "heads": 8,
            "d_ff": d * chance.choice((2, 3, 4)),
        },
        answer=_block,
        text="A Transformer has d_model = {d}, {heads} heads and d_ff = {d_ff}, and every linear layer has a bias. How many "
        "parameters has\n\n1. one multi-head attention;\n2. one position-wise feed-forward network;\n3. one decoder block, "
        "its norms included?",
    ),
    "5.1": Template(
        own={"n": 512, "percent": 15, "mean": 3},
        draw=_draw_spans,
        answer=_spans,
        text="A text of {n} tokens is prepared for T5: {percent} % of it are hidden, in spans of {mean} tokens on average."
        "\n\n1. How many tokens are hidden?\n2. In how many spans?\n3. How long is the source, sentinels included?\n4. How "
        "long is the target, sentinels included?\n\nNeither side has an end-of-text token here. Round each answer to the "
        "nearest whole number, and go on with the rounded one.",
    ),
    "6.2": Template(
        own={"filled": 103, "places": 128, "keep": 10, "exchange": 10, "vocabulary": 1500},
        draw=lambda chance: {
            "filled": 3 + 20 * chance.randint(2, 11),
            "places": 256,
            "keep": chance.choice((5, 20, 25)),
            "exchange": chance.choice((5, 20, 30)),
            "vocabulary": chance.choice((1000, 2000, 5000, 8000, 30000)),
        },
        answer=lambda filled, places, keep, exchange, vocabulary: (
            round(0.15 * (filled - 3)),
            0.1 * 0.15 * (filled - 3),
            (1 - keep / 100) * (1 - exchange / 100),
            math.log(vocabulary),
        ),
        text="1. A pair of texts fills {filled} of {places} places, the rest is padding: [CLS] a [SEP] b [SEP] [PAD] … How "
        "many tokens are selected, if it is exactly 15 % of those that may be?\n2. With BERT's usual shares, how many of "
        "these can the model *see as they are*, on average?\n3. A program does it differently. For each selected token it "
        "first draws whether to keep it ({keep} %). If not, it draws whether to exchange it ({exchange} %). Otherwise it is "
        "masked. What share of the selected tokens is masked, as a number between 0 and 1?\n4. A model that knows nothing "
        "gives each of {vocabulary} tokens the same probability. What is its loss?",
    ),
    "7.7": Template(
        own={
            "layers": 24,
            "d": 1024,
            "heads": 16,
            "tokens": 1000,
            "chain": (0.2, 0.6, 0.5),
            "table": (0.4, 0.3, 0.15, 0.1, 0.05),
            "p": 0.8,
        },
        draw=lambda chance: {
            "layers": chance.choice((12, 36, 48)),
            "d": chance.choice((768, 1280, 1600)),
            "heads": 16,
            "tokens": chance.choice((500, 1024, 2000)),
            "chain": tuple(chance.choice((0.1, 0.3, 0.4, 0.7, 0.9)) for _ in range(3)),
            "table": (0.45, 0.25, 0.15, 0.1, 0.05),
            "p": chance.choice((0.4, 0.6, 0.8, 0.9)),
        },
        answer=_sizes,
        text="1. A GPT-2 has {layers} blocks of width {d}, with {heads} heads. About how many parameters are in its blocks? "
        "(Leave out biases and norms.)\n2. How many numbers does its key-value cache hold after {tokens} tokens of one "
        "text?\n3. A model gives the three tokens of a text the conditional probabilities {chain[0]}, {chain[1]} and "
        "{chain[2]}. What is the probability of the text?\n4. The next token has the probabilities {table[0]}, {table[1]}, "
        "{table[2]}, {table[3]}, {table[4]}. How many tokens does a top-p of {p} keep?\n\nThe first two may be rounded: "
        "within one in a hundred is near enough.",
    ),
    "8.7": Template(
        own={"shots": 6},
        draw=lambda chance: {"shots": chance.choice((1, 2, 3, 4, 5, 7))},
        answer=lambda shots: (shots / 8, 2 / 11, 1 / 48),
        text="For the tasks of section 8.2 and a pupil who makes no mistake. Each answer is a share, a number between 0 and "
        "1:\n\n1. In how many *code* prompts with {shots} examples does the answer stand in the prompt?\n2. In how many "
        "*sort* prompts with **one** example is that example of the same kind as the word asked for?\n3. The examples of a "
        "*code* are shuffled as in section 8.6. A pupil who sees through this names one of the 48 made-up words at random. "
        "How often is it the right one? (To three places.)",
    ),
}


# -------------------------------------------------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("roster", type=Path, metavar="ROSTER", help="a table of the class, as for grading")
    parser.add_argument("--exercises", default=",".join(TEMPLATES), metavar="1.4,5.1", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("variants"), metavar="FOLDER", help="(default: %(default)s)")


def main(arguments: argparse.Namespace) -> int:
    from .grading.roster import read_roster
    from .grading.tables import write_table

    try:
        people = [person.number or person.name for person in read_roster(arguments.roster)]
        made = {who: [variant(id.strip(), who) for id in arguments.exercises.split(",")] for who in people}
        arguments.out.mkdir(parents=True, exist_ok=True)
        sheets = "\n\n---\n\n".join(_sheet(who, variants) for who, variants in made.items())
        write_whole(arguments.out / "sheets.md", f"{sheets}\n")
        answers = [(who, f"ex {v.exercise.id}", _plain(v.exercise.reference)) for who in made for v in made[who]]
        write_table(arguments.out / "key.csv", [("student", "exercise", "answer"), *answers], mark=True)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(made)} students: {arguments.out / 'sheets.md'}, and the answers in {arguments.out / 'key.csv'}")
    return 0


def _sheet(who: str, variants: list[Variant]) -> str:
    return "\n\n".join([f"# {who}", *(f"## {v.exercise.id} {v.exercise.title}\n\n{v.text}" for v in variants)])


def _plain(answer: Any) -> str:
    """Numbers with as many digits as anybody needs."""
    if isinstance(answer, tuple):
        return f"({', '.join(map(_plain, answer))})"
    return f"{answer:.6g}" if answer % 1 else f"{answer:.0f}"

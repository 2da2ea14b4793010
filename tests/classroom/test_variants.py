"""Other numbers, the same exercise: with its own numbers it is itself, and what it asks is right by another way."""

import csv
import math
import random
import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from largemodels.__main__ import OTHERS
from largemodels.classroom.exercises import exercises
from largemodels.classroom.variants import TEMPLATES, main, variant, with_numbers
from largemodels.masks import banded_causal_mask, causal_mask
from largemodels.positions import sinusoidal_encoding

WHO = [f"20260{i:02}" for i in range(12)]


def every(id):
    return [variant(id, who) for who in WHO]


def flat(value):
    return [number for part in value for number in flat(part)] if isinstance(value, tuple) else [value]


def test_every_prediction_has_variants():
    assert [*TEMPLATES] == [id for id, exercise in exercises.items() if exercise.kind == "predict"]


@pytest.mark.parametrize("id", TEMPLATES)
def test_with_its_own_numbers_it_is_the_exercise(id):
    own = with_numbers(id, "", TEMPLATES[id].own)
    assert flat(own.exercise.reference) == pytest.approx(flat(exercises[id].reference))
    assert exercises[id].grade(own.exercise.reference).passed


@pytest.mark.parametrize("id", TEMPLATES)
def test_each_has_numbers_of_their_own_and_full_points_for_the_right_answer(id):
    made = every(id)
    answers = [flat(one.exercise.reference) for one in made]
    assert len({str(answer) for answer in answers}) > 3
    for one, answer in zip(made, answers, strict=True):
        assert answer != pytest.approx(flat(exercises[id].reference))
        report = one.check(one.exercise.reference)
        assert (report.passed, report.points) == (True, exercises[id].points)
        report = one.check(exercises[id].reference)  # copied from the notebook
        assert not report.passed
        assert variant(id, one.who).text == one.text
    wrong = made[0].check(TEMPLATES[id].answer(**made[1].numbers)) if answers[0] != answers[1] else None
    assert wrong is None or wrong.status == "wrong"


@pytest.mark.parametrize("id", TEMPLATES)
def test_the_question_says_all_its_numbers(id):
    for one in every(id):
        assert "{" not in one.text
        told = re.findall(r"\d+(?:\.\d+)?", one.text)
        for value in one.numbers.values():
            assert {f"{number:g}" for number in flat(value)} <= {f"{float(number):g}" for number in told}


def test_attention_by_torch():
    for one in every("1.3"):
        values, a, b = (torch.tensor(one.numbers[name], dtype=torch.float64) for name in ("values", "a", "b"))
        new = (torch.stack([torch.zeros(()), 2 * a.log(), 2 * b.log()]) / math.sqrt(4)).softmax(0)
        dogs = torch.tensor([0.90, 0.03, 0.07], dtype=torch.float64) @ values
        assert flat(one.exercise.reference) == pytest.approx([*dogs.tolist(), *new.tolist(), *(new @ values).tolist()])
    for one in every("2.3"):
        a, b, c, e = (one.numbers[name] for name in "abce")
        expected = []
        for last in (c, e):
            scores = torch.tensor([1, a, b, last], dtype=torch.float64).log()
            hidden = ~causal_mask(4)[1]
            expected += scores.softmax(0)[:2].tolist()
            expected += scores.masked_fill(hidden, -math.inf).softmax(0)[:2].tolist()
        assert flat(one.exercise.reference) == pytest.approx(expected)


def test_variances_by_drawing():
    one = variant("1.4", "2026001")
    d, width, sd = (one.numbers[name] for name in ("d", "width", "sd"))
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(40_000, max(d, width), generator=generator) for _ in range(2))
    plain, scaled = (q[:, :d] * k[:, :d]).sum(1), sd * (q[:, :width] * k[:, :width]).sum(1) / math.sqrt(width)
    seen = [plain.var(), (plain / d).var(), scaled.var()]
    assert [float(value) for value in seen] == pytest.approx(one.exercise.reference, rel=0.05)


def test_parameters_by_counting_torchs_modules():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    with torch.device("meta"):
        for one in every("1.9"):
            d, heads = one.numbers["d"], (one.numbers["one"], one.numbers["other"])
            assert one.exercise.reference == tuple(count(nn.MultiheadAttention(d, n)) for n in heads)
        for one in every("4.9"):
            d, d_ff = one.numbers["d"], one.numbers["d_ff"]
            block = nn.TransformerDecoderLayer(d, 8, d_ff)
            feed_forward = count(block.linear1) + count(block.linear2)
            assert one.exercise.reference == (count(block.self_attn), feed_forward, count(block))


def test_reach_by_masks():
    for one in every("2.7"):
        n, band, width, layers = (one.numbers[name] for name in ("n", "band", "width", "layers"))
        causal, banded = causal_mask(n).sum().item(), banded_causal_mask(n, band).sum().item()
        step = banded_causal_mask(101, width).double()
        seen = (torch.linalg.matrix_power(step, layers)[100] > 0).sum().item()
        back, deep = one.numbers["text"] - 1, 0
        while back > 0:
            back, deep = back - (one.numbers["wide"] - 1), deep + 1
        assert one.exercise.reference == (causal, banded, seen, deep)


def test_clocks_by_the_library():
    for one in every("3.2"):
        d, column, position, width = (one.numbers[name] for name in ("d", "column", "position", "width"))
        angle, round_, product = one.exercise.reference
        encoding = sinusoidal_encoding(position + 1, d)[position]
        assert [math.sin(angle), math.cos(angle)] == pytest.approx(encoding[column : column + 2].tolist(), abs=1e-4)
        assert position * 2 * math.pi / angle == pytest.approx(round_)
        assert (sinusoidal_encoding(8, width)[7] ** 2).sum().item() == pytest.approx(product)


def test_spans_by_cutting_a_text():
    """Nothing lies near a half, so that both ways of rounding agree."""
    for one in every("5.1"):
        n, percent, mean = (one.numbers[name] for name in ("n", "percent", "mean"))
        hidden, spans, source, target = one.exercise.reference
        assert hidden == math.floor(n * percent / 100 + 0.5)
        assert spans == math.floor(hidden / mean + 0.5)
        sentinels = spans
        assert source + target == n + 2 * sentinels + 1
        assert target == hidden + sentinels + 1


def test_masking_by_drawing():
    for one in every("6.2")[:3]:
        keep, exchange = one.numbers["keep"] / 100, one.numbers["exchange"] / 100
        chance = random.Random(0)
        masked = sum(chance.random() >= keep and chance.random() >= exchange for _ in range(20_000)) / 20_000
        selected, visible, share, loss = one.exercise.reference
        assert masked == pytest.approx(share, abs=0.02)
        assert selected == 0.15 * (one.numbers["filled"] - 3) == pytest.approx(10 * visible)
        logits = torch.zeros(1, one.numbers["vocabulary"])
        assert nn.functional.cross_entropy(logits, torch.tensor([3])).item() == pytest.approx(loss, abs=1e-4)


def test_what_has_no_variants_is_named():
    with pytest.raises(ValueError, match=r"exercise '1\.1' has no variants; those with some are 1\.3, 1\.4"):
        variant("1.1", "ada")


def test_the_command_makes_sheets_and_a_key_that_the_checks_accept(tmp_path, capsys):
    roster = tmp_path / "roster.csv"
    roster.write_text("name,number\nAda Byron,2021001\n孔丘,\n", encoding="utf-8")
    arguments = SimpleNamespace(roster=roster, exercises="1.4, 5.1", out=tmp_path / "made")
    assert main(arguments) == 0
    sheets = (tmp_path / "made/sheets.md").read_text(encoding="utf-8")
    assert [*re.findall(r"^# (.*)$", sheets, re.MULTILINE)] == ["2021001", "孔丘"]
    with (tmp_path / "made/key.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        one = variant(row["exercise"].removeprefix("ex "), row["student"])
        assert one.text in sheets
        answer = tuple(float(number) for number in row["answer"].strip("()").split(", "))
        assert one.check(answer).passed
    arguments.exercises = "1.4,9.9"
    assert main(arguments) == 1
    assert "'9.9' has no variants" in capsys.readouterr().err
    assert "variants" in OTHERS

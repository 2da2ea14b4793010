"""Any honest way of writing a number, a letter or a table is read as what it means."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from largemodels.classroom import exercises
from largemodels.classroom.comparing import difference, told_apart, within
from largemodels.classroom.grading.protocol import Decoder, encode
from largemodels.classroom.reading import fitted, letter_in, number_in, plain

QUICK = settings(max_examples=60, deadline=None)


def travelled(value):
    """As it is compared when a class is graded: read in the student's process, sent, and taken apart again."""
    tree, blobs = encode(plain(value))
    data = iter(blobs)
    return Decoder(lambda length: next(data))(tree)


# ----------------------------------------------------------------------------------------------------------- numbers

WRITTEN = {
    0.75: [
        "3/4",
        " 3 / 4 ",
        "75 %",
        "75%",
        "7.5e-1",
        "7.5E-1",
        "０．７５",
        "７５％",
        ".75",
        "0,75",
        "+0.75",
        "¾",
        "750‰",
        "3∕4",
        "3 ÷ 4",
        "75 percent",
        "百分之75",
        "≈ 0.75",
    ],
    -0.5: ["-1/2", "−1/2", "–1/2", "-.5", "-50 %", "−0,5"],
    1.5: ["1 1/2", "1½", "１½", "1 ½", "1 1⁄2", "150 %"],
    -2.25: ["-2 1/4", "−2¼"],
    0.001: ["10⁻³", "10^-3", "1‰"],
    1e70: ["1e70", "10⁷⁰"],
    256: ["2⁸", "2^8", "2**8"],
    110_000_000: [
        "1.1e8",
        "1.1 亿",
        "1.1亿",
        "11000万",
        "110 million",
        "110M",
        "110,000,000",
        "110 000 000",
        "1.1×10^8",
        "1.1 × 10⁸",
        "1.1·10⁸",
        "1.1 ⋅ 10⁸",
    ],
    1_050_624: ["1,050,624", "1050624", "1 050 624", "1_050_624", "１０５０６２４", "1050624.0", "105.0624 万"],
    175_000_000_000: ["175B", "175 billion", "1750亿", "1.75 * 10**11"],
    0.0208: ["0.0208", "2.08 %", "2.08e-2"],
    1.125: ["1.125", "9/8", "112.5 %"],
    5: ["5", "5.", "５", "5/1"],
}


@pytest.mark.parametrize("number", WRITTEN)
def test_numbers_as_they_are_typed(number):
    for text in WRITTEN[number]:
        assert number_in(text) == pytest.approx(number, rel=1e-12), text
        assert difference(text, number) is None, text


@pytest.mark.parametrize(
    "text",
    [
        *("", "abc", "1/0", "3/4/5", "1..2", "--1", "C", "12 apples", "nan", "1e999999999", "9" * 200),
        *("3 4", "0.1 6", "1 3/2", "1/2²", "x²", "1e999", "10^999", "0^-1"),
    ],
)
def test_what_is_no_number_is_none(text):
    assert number_in(text) is None
    assert "expected a number" in difference(text, 1.5)


@QUICK
@given(st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**4))
def test_every_clothing_of_a_fraction_is_the_same_number(number):
    double = float(number)
    clothes = [
        *(
            number,
            double,
            Decimal(number.numerator) / Decimal(number.denominator),
            np.float64(double),
            np.array(double),
        ),
        *(
            torch.tensor(double, dtype=torch.float64),
            torch.tensor([double]),
            f"{number.numerator}/{number.denominator}",
        ),
        *(f"{100 * double:.15g} %", f"{double:.15e}", [double], (number,), np.array([[double]])),
    ]
    for value in clothes:
        assert difference(travelled(value), double) is None, value
        assert difference(travelled(value), torch.tensor(double)) is None, value
        assert within(1e-6 * (1 + abs(double)))(travelled(value), double) is None, value


@QUICK
@given(st.integers(min_value=-(10**20), max_value=10**20), st.sampled_from([-1, 1, 10, 1000]))
def test_whole_numbers_are_exact(number, off):
    for value in (number, Fraction(number), Decimal(number), f"{number:,}", str(number), [number]):
        assert difference(travelled(value), number) is None, value
        assert difference(travelled(number + off), number) is not None
    if abs(number) < 2**53:
        assert difference(travelled(float(number)), number) is None
        assert difference(travelled(float(number + off)), number) is not None
    if abs(number) < 2**62:
        table = torch.tensor([number, 0])
        assert difference(travelled([number, 0]), table) is None
        assert difference(travelled(np.array([number + off, 0])), table) is not None


@QUICK
@given(st.floats(allow_nan=False, width=32), st.floats(allow_nan=False, width=32))
def test_different_numbers_are_shown_differently(one, other):
    if one != other:
        assert len(set(told_apart(one, other))) == 2


def test_counts_are_shown_in_full():
    assert (
        exercises["4.9"].grade((1_050_624, 2_099_712, 4_204_453)).message.startswith("a decoder block: got 4,204,453.")
    )
    assert not exercises["4.9"].grade((1_050_700, 2_099_712, 4_204_032)).passed


def test_tolerances_are_not_narrower_than_the_statement():
    for weights in (
        (0.13, 0.25, 0.63),
        (0.12, 0.25, 0.62),
        (0.125, 0.25, 0.625),
        ("1/8", "2/8", "5/8"),
        (0.12, 0.25, 0.63),
    ):
        for like in (
            (2.63, 1.13),
            (2.62, 1.12),
            (2.65, 1.13),
            (2.6, 1.12),
            ("21/8", "9/8"),
            torch.tensor([2.625, 1.125]),
        ):
            assert exercises["1.3"].grade(((1.18, 0.13), weights, like)).passed


# ----------------------------------------------------------------------------------------------------------- letters


@pytest.mark.parametrize(
    "answer",
    [
        "C",
        "c",
        " C ",
        "C.",
        "c)",
        "(C)",
        "“C”",
        "Ｃ",
        "ｃ．",
        ["C"],
        ("c",),
        [["C"]],
        np.array("C"),
        np.array(["C"]),
        "**C**",
        "C:",
        "选 C",
        "我选C。",
        "答案：C",
        "C 项",
        "Answer: C",
        "option c",
    ],
)
def test_letters_as_they_are_typed(answer):
    assert letter_in(answer) == "C"
    assert exercises["1.5"].grade(answer).passed
    assert exercises["1.5"].grade(travelled(answer)).passed


@pytest.mark.parametrize(
    "answer", ["", "CD", "C or D", "不选 C", "选 C 或 D", "an answer", "3", 3, ["C", "D"], 1.5, {"C": 1}, "答案"]
)
def test_what_is_no_letter_is_told_which_there_are(answer):
    assert letter_in(answer) is None
    assert "choose one of the letters A, B, C, D, E" in exercises["1.5"].grade(answer).message


# ------------------------------------------------------------------------------------------------------------ tables


@QUICK
@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=4, max_side=4), elements=st.floats(-100, 100, width=32)))
def test_a_table_is_a_table_in_any_container(table):
    expected = torch.from_numpy(table.copy())
    flipped = np.ascontiguousarray(table[::-1])[::-1]  # the same numbers behind a negative stride
    rows = [torch.tensor(row) for row in table]
    for value in (
        table,
        table.tolist(),
        tuple(table),
        rows,
        np.asfortranarray(table),
        flipped,
        expected.double(),
        table.astype(">f4"),
    ):
        assert difference(travelled(value), expected) is None
    pair = tuple(expected)  # and where several values are expected, a tensor may hold them
    for value in (expected, table, rows, table.tolist()):
        assert difference(travelled(value), pair) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int32])
def test_a_table_may_have_any_type_of_number(dtype):
    assert difference(travelled(torch.tensor([1, 2, 4]).to(dtype)), torch.tensor([1.0, 2.0, 4.0])) is None
    assert difference(travelled(torch.tensor([1, 2, 4]).to(dtype)), torch.tensor([1, 2, 4])) is None


def test_a_long_list_travels():
    table = torch.randn(300, 200, generator=torch.Generator().manual_seed(0))
    assert difference(travelled(table.tolist()), table) is None
    assert difference(travelled(list(range(30_000))), tuple(range(30_000))) is None


def test_ragged_lists_are_named_as_lists():
    assert (
        difference(plain([[1.0, 2.0], [3.0]]), torch.ones(2, 2))
        == "expected a tensor of shape (2, 2), got a list of 2 values"
    )
    assert difference(plain([1.0, 2.0]), torch.ones(2, 2)) == "expected shape (2, 2), got (2,)"


def test_axes_of_length_one_are_not_forgiven():
    """Only a lone number may come with axes or without: elsewhere a lost axis is the mistake itself."""
    assert difference(3.0, torch.full((1,), 3.0)) is not None
    assert difference(torch.ones(3), torch.ones(1, 3)) is not None
    assert difference(torch.ones(1, 1), torch.tensor(1.0)) is None
    assert fitted((2.0,), 2.0) == 2.0


def test_not_a_number_is_no_number():
    for value in (math.nan, "nan", Decimal("NaN"), torch.tensor(math.nan), np.nan):
        assert difference(plain(value), 1.0)
    assert difference(torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan])) is None


SEVERAL = {
    "1.3": ((1.18, 0.13), (0.125, 0.25, 0.625), (2.625, 1.125)),
    "1.4": (100, 0.01, 9),
    "1.9": (2_362_368, 2_362_368),
    "2.3": ((1 / 16, 3 / 16), (1 / 4, 3 / 4), (1 / 32, 3 / 32), (1 / 4, 3 / 4)),
    "2.7": (21, 15, 17, 11),
    "3.2": (0.5, 628, 32),
    "3.8": (1_572_864, 3_936, 1_024),
    "4.9": (1_050_624, 2_099_712, 4_204_032),
}
KINDS = (
    *(float, Fraction, lambda x: Decimal(str(x)), np.float64, np.array, lambda x: torch.tensor(x, dtype=torch.float64)),
    *(str, lambda x: f"{Fraction(x).limit_denominator(10**6)}", lambda x: [x], lambda x: f"{x:,}"),
)


@pytest.mark.parametrize("id", SEVERAL)
@pytest.mark.parametrize("kind", KINDS)
def test_every_exercise_of_numbers_takes_every_kind_of_number(id, kind):
    def dressed(value, container):
        return container(dressed(v, container) for v in value) if isinstance(value, tuple) else kind(value)

    for container in (tuple, list):
        answer = dressed(SEVERAL[id], container)
        assert exercises[id].grade(answer).passed, answer
        assert exercises[id].grade(travelled(answer)).passed, answer


@pytest.mark.parametrize("id", [id for id in SEVERAL if id not in ("1.3", "2.3")])
def test_numbers_may_come_in_one_array_or_tensor(id):
    for whole in (np.array(SEVERAL[id], dtype=float), torch.tensor(SEVERAL[id], dtype=torch.float64)):
        assert exercises[id].grade(whole).passed
        assert exercises[id].grade(travelled(whole)).passed

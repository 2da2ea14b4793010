"""Corruptions by the slide's examples, by what can be rebuilt from them, and by their distributions."""

import doctest
import math
from collections import Counter
from itertools import combinations, pairwise, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from largemodels import denoising
from largemodels.denoising import (
    HIDDEN,
    PADDING,
    document_rotation,
    sentence_permutation,
    span_corruption,
    text_infilling,
    token_deletion,
    token_masking,
)

SLIDE = "A B C . D E .".split()
MASK, PAD, END = 1, 0, 2  # ids in batches; words are 10 … 99
SENTINELS = list(range(1000, 1300))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_fits(counts: Counter, probabilities: dict, tolerance=4.5):
    """Chi-square: (counts − expected)²/expected summed, in standard deviations from its mean; nothing else occurs."""
    n, degrees = sum(counts.values()), len(probabilities) - 1
    assert not counts.keys() - probabilities.keys()
    statistic = sum((counts[k] - n * p) ** 2 / (n * p) for k, p in probabilities.items())
    assert abs(statistic - degrees) < tolerance * math.sqrt(2 * degrees), (statistic, degrees)


def uniform(outcomes):
    outcomes = list(outcomes)
    return dict.fromkeys(outcomes, 1 / len(outcomes))


# ------------------------------------------------------------------------------------------------ the slide's examples


@pytest.mark.parametrize(
    ("corrupt", "source", "target"),
    [
        (lambda g: token_masking(SLIDE, 0.3, g), "A [MASK] C . [MASK] E .", SLIDE),
        (lambda g: token_deletion(SLIDE, 0.3, g), "A C . E .", [1, 4]),
        (lambda g: text_infilling(SLIDE, 0.3, g), "A [MASK] . D [MASK] E .", [2, 0]),
        (lambda g: sentence_permutation(SLIDE, g), "D E . A B C .", [2, 1]),
        (lambda g: document_rotation(SLIDE, g), "C . D E . A B", 5),
    ],
)
def test_examples_of_the_slide(corrupt, source, target):
    results = (corrupt(seeded(seed)) for seed in range(10_000))
    assert any(result.source == source.split() and result.target == target for result in results)


def test_example_of_the_t5_paper():
    """Figure 2 of arXiv 1910.10683."""
    text, sentinels = "Thank you for inviting me to your party last week".split(), ["<X>", "<Y>", "<Z>"]
    for seed in range(1000):
        source, target, _ = span_corruption(text, 0.3, seeded(seed), mean_length=1.5, sentinels=sentinels)
        if source == "Thank you <X> me to your party <Y> week".split():
            assert target == "<X> for inviting <Y> last <Z>".split()
            return
    raise AssertionError("never drawn")


def test_docstrings():
    assert doctest.testmod(denoising).failed == 0


# ---------------------------------------------------------------------------------------- nothing is lost: invariants


def rebuild(name, original, source, target, origin):
    """The original, from source and target alone; None where both leave a token open. One text, as lists."""
    if name == "masking":
        assert all(new in (old, MASK) for new, old in zip(source, target, strict=True))
        return target
    if name == "deletion":
        rest = iter(source)
        return [None if place in target else next(rest) for place in range(len(source) + len(target))]
    if name == "infilling":
        counts = iter(target)
        spans = [[None] * next(counts) if token == MASK else [token] for token in source]
        assert next(counts, None) is None
        return [token for span in spans for token in span]
    if name == "permutation":
        sentences, begin = {}, 0
        for number in target:
            # the last sentence of the original need not end with END
            end = begin
            while end < len(source) - 1 and source[end] != END and origin[end + 1] == origin[end] + 1:
                end += 1
            sentences[number] = source[begin : end + 1]
            begin = end + 1
        assert begin == len(source)
        assert sorted(sentences) == list(range(1, len(sentences) + 1))
        return [token for number in sorted(sentences) for token in sentences[number]]
    if name == "rotation":
        return source[target:] + source[:target]
    spans, key = {}, None
    for token in target:
        if token >= SENTINELS[0]:
            key = token
            spans[key] = []
        else:
            spans[key].append(token)
    used = SENTINELS[: len(spans)]
    assert list(spans) == used  # in their order, from the first
    assert spans.pop(used[-1]) == []  # the last sentinel ends the target
    assert [token for token in source if token >= SENTINELS[0]] == used[:-1]
    assert all(spans.values())
    return [token for item in source for token in (spans[item] if item >= SENTINELS[0] else [item])]


FUNCTIONS = {
    "masking": lambda x, rate, g: token_masking(x, rate, g, mask=MASK, pad=PAD),
    "deletion": lambda x, rate, g: token_deletion(x, rate, g, pad=PAD),
    "infilling": lambda x, rate, g: text_infilling(x, rate, g, mask=MASK, pad=PAD),
    "permutation": lambda x, rate, g: sentence_permutation(x, g, end=END, pad=PAD),
    "rotation": lambda x, rate, g: document_rotation(x, g, pad=PAD),
    "spans": lambda x, rate, g: span_corruption(x, rate, g, mean_length=2.5, sentinels=SENTINELS, pad=PAD),
}
texts = st.lists(st.lists(st.sampled_from([END, *range(10, 100)]), min_size=1, max_size=30), min_size=1, max_size=5)


def padded(rows):
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def without_padding(result, row, name):
    """Row `row` of a batch's result, as lists."""
    origin = [place for place in result.origin[row].tolist() if place != PADDING]
    source = result.source[row].tolist()
    assert set(source[len(origin) :]) <= {PAD}
    target = result.target[row].tolist()
    if name != "rotation":
        filling = PAD if name in ("masking", "spans") else -1
        target = [item for item in target if item != filling]
    return source[: len(origin)], target, origin


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=60, deadline=None)
@given(texts, st.floats(0, 1), st.integers(0, 1000))
def test_nothing_is_lost(name, rows, rate, seed):
    batch = padded(rows)
    before = batch.clone()
    result = FUNCTIONS[name](batch, rate, seeded(seed))
    assert batch.equal(before)
    again = FUNCTIONS[name](batch, rate, seeded(seed))
    assert all(one.equal(other) for one, other in zip(result, again, strict=True))
    assert result.mask.sum().item() == (result.origin != PADDING).sum().item()
    alone = FUNCTIONS[name](rows[0], rate, seeded(seed))
    assert type(alone.source) is list
    for text, (source, target, origin) in [
        *((text, without_padding(result, row, name)) for row, text in enumerate(rows)),
        (rows[0], alone),
    ]:
        # what is read is what stands at its origin, and no position is read twice
        assert len(source) == len(origin)
        for token, place in zip(source, origin, strict=True):
            assert token == text[place] if place >= 0 else place == HIDDEN
        read = [place for place in origin if place >= 0]
        assert len(set(read)) == len(read)
        rebuilt = rebuild(name, text, source, target, origin)
        assert len(rebuilt) == len(text)
        gaps = [place for place, token in enumerate(rebuilt) if token is None]
        assert all(new in (old, None) for new, old in zip(rebuilt, text, strict=True))
        # the exact share is hidden
        wanted = torch.tensor(rate * len(text), dtype=torch.double).round().int().item()
        if name in ("masking", "deletion", "infilling"):
            assert len(text) - len(read) == wanted
        elif name == "spans":
            assert len(text) - len(read) == min(wanted, len(text) - 1)
        else:
            assert sorted(read) == list(range(len(text)))
        if name in ("deletion", "infilling"):
            assert len(gaps) == wanted
        if name in ("infilling", "spans"):
            hidden = [place == HIDDEN for place in origin]
            assert not any(a and b for a, b in pairwise(hidden))  # spans never touch


def test_one_row_of_a_batch_is_one_text():
    """The same generator gives a text alone what it gives a batch of one."""
    text = torch.randint(10, 100, (1, 40), generator=seeded())
    text[0, [9, 17, 30]] = END
    for name, corrupt in FUNCTIONS.items():
        source, target, origin = corrupt(text, 0.3, seeded(5))
        alone = corrupt(text[0].tolist(), 0.3, seeded(5))
        assert source[0].tolist() == alone.source
        assert origin[0].tolist() == alone.origin
        assert target[0].tolist() == alone.target, name


# ------------------------------------------------------------------------------------------------------ distributions


@pytest.mark.parametrize("name", ["masking", "deletion"])
def test_every_choice_of_tokens_is_as_likely(name):
    batch = torch.arange(10, 16).repeat(30_000, 1)
    result = FUNCTIONS[name](batch, 1 / 3, seeded(1))
    kept = result.origin.tolist()
    chosen = Counter(tuple(sorted({*range(6)} - {*row})) for row in kept)
    assert_fits(chosen, uniform(combinations(range(6), 2)))


def test_lengths_of_spans_follow_poisson():
    """On long texts, where the one span that is cut in each hardly counts."""
    batch = torch.full((40, 3000), 10)
    lengths = text_infilling(batch, 0.3, seeded(2), mask=MASK, pad=PAD).target
    counts = Counter(min(length, 9) for length in lengths[lengths >= 0].tolist())
    poisson = {k: math.exp(-3) * 3**k / math.factorial(k) for k in range(9)}
    assert_fits(counts, poisson | {9: 1 - sum(poisson.values())})
    n = sum(counts.values())
    assert counts[0] / n == pytest.approx(math.exp(-3), abs=4 * math.sqrt(0.05 * 0.95 / n))  # 5 % are empty


@pytest.mark.parametrize("mean", [0.5, 1.0, 6.0])
def test_mean_length_is_what_was_asked_for(mean):
    lengths = text_infilling(torch.full((20, 4000), 10), 0.2, seeded(3), mean_length=mean, mask=MASK, pad=PAD).target
    lengths = lengths[lengths >= 0].double()
    assert lengths.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(mean / len(lengths)) + 0.01)


def test_masks_stand_anywhere():
    """Seven tokens, of which one is hidden by a span of its own: the mask is as likely in each of the seven gaps."""
    origin = text_infilling(torch.arange(10, 17).repeat(20_000, 1), 1 / 7, seeded(4), mask=MASK, pad=PAD).origin
    single = origin[(origin == HIDDEN).sum(1) == 1]
    assert_fits(Counter((single == HIDDEN).int().argmax(1).tolist()), uniform(range(7)))
    # and with one empty span: any two of the seven gaps, either of them the empty one
    double = origin[(origin == HIDDEN).sum(1) == 2]
    assert len(double) > 500
    assert_fits(Counter(tuple(row) for row in double.tolist()), uniform({tuple(row) for row in double.tolist()}))
    assert len({tuple(row) for row in double.tolist()}) == 7 * 6


def test_every_permutation_and_rotation_is_as_likely():
    sentences = torch.tensor([10, END, 11, 12, END, 13, 14, 15, END, 16]).repeat(30_000, 1)
    result = sentence_permutation(sentences, seeded(5), end=END)
    assert_fits(Counter(map(tuple, result.target.tolist())), uniform(permutations(range(1, 5))))
    rotated = document_rotation(torch.arange(10, 17).repeat(20_000, 1), seeded(6))
    assert_fits(Counter(rotated.target.tolist()), uniform(range(7)))


def test_every_way_to_place_spans_is_as_likely():
    """Brute force: seven tokens, three of them hidden in two spans that do not touch."""
    ways = []
    for hidden in combinations(range(7), 3):
        runs = sum(place - 1 not in hidden for place in hidden)
        if runs == 2:
            ways.append(hidden)
    origin = span_corruption(
        torch.arange(10, 17).repeat(40_000, 1), 3 / 7, seeded(7), mean_length=1.5, sentinels=SENTINELS
    ).origin
    assert_fits(Counter(tuple(sorted({*range(7)} - {*row})) for row in origin.tolist()), uniform(ways))


def test_lengths_of_t5():
    """The authors' code reads 568 tokens to fill 512 positions of source and 114 of target, each with an end of text."""
    source, target, origin = span_corruption(
        torch.randint(10, 100, (50, 568)), 0.15, seeded(8), sentinels=SENTINELS, pad=PAD
    )
    assert source.shape == (50, 511)
    assert target.shape == (50, 114)  # where theirs has the end of text, ours has the last sentinel
    assert ((origin == HIDDEN).sum(1) == 28).all()
    spans = (target < SENTINELS[0]).sum(1)
    assert (spans == 85).all()  # 15 % of 568, in 28 spans: 3.04 tokens each


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("rate", [-0.1, 1.01, float("nan")])
@pytest.mark.parametrize("corrupt", [token_masking, token_deletion, text_infilling, span_corruption])
def test_a_rate_is_a_share(corrupt, rate):
    with pytest.raises(ValueError, match=f"from 0 to 1, got {rate}"):
        corrupt(SLIDE, rate, seeded())


def test_extreme_rates():
    for corrupt in (token_masking, token_deletion, text_infilling, span_corruption):
        assert corrupt(SLIDE, 0, seeded()).source == SLIDE
    assert token_masking(SLIDE, 1, seeded()).source == ["[MASK]"] * 7
    assert token_deletion(SLIDE, 1, seeded())[:2] == ([], list(range(7)))
    assert text_infilling(SLIDE, 1, seeded())[:2] == (["[MASK]"], [7])
    source, target, _ = span_corruption(SLIDE, 1, seeded())
    assert len(source) - source.count("<extra_id_0>") - source.count("<extra_id_1>") == 1  # one token stays
    assert len([token for token in target if token in SLIDE]) == 6
    assert span_corruption(SLIDE, 0, seeded()).target == ["<extra_id_0>"]
    assert span_corruption(["A"], 0.5, seeded())[:2] == (["A"], ["<extra_id_0>"])


def test_a_span_longer_than_the_text_is_cut():
    source, target, _ = text_infilling(SLIDE, 0.6, seeded(), mean_length=1000)
    assert target == [4]
    assert source.count("[MASK]") == 1
    source, target, _ = span_corruption(SLIDE, 0.6, seeded(), mean_length=1000)
    assert len(target) == 6


def test_no_room_to_keep_spans_apart():
    for seed in range(50):
        source, target, _ = text_infilling(SLIDE, 0.8, seeded(seed), mean_length=0.3)  # 6 of 7 hidden: two gaps
        assert sum(target) == 6
        assert len(target) == source.count("[MASK]") <= 2


def test_one_sentence_stays_as_it_is():
    for text in (["A", "B", "."], ["A", "B"], ["."]):
        assert sentence_permutation(text, seeded()) == (text, [1], list(range(len(text))))


def test_ends_of_sentences():
    text = "A ! B ? C".split()
    drawn = {tuple(sentence_permutation(text, seeded(s), end={"!", "?"}).source) for s in range(100)}
    assert len(drawn) == 6
    assert ("C", "A", "!", "B", "?") in drawn


@pytest.mark.parametrize("name", FUNCTIONS)
def test_texts_without_tokens(name):
    with pytest.raises(ValueError, match="the text has no tokens"):
        FUNCTIONS[name]([], 0.3, seeded())
    with pytest.raises(ValueError, match="text 1 has no tokens"):
        FUNCTIONS[name](torch.tensor([[10, 11], [PAD, PAD]]), 0.3, seeded())
    for empty in (torch.zeros(0, 4, dtype=torch.long), torch.zeros(2, 0, dtype=torch.long)):
        with pytest.raises(ValueError, match="no tokens"):
            FUNCTIONS[name](empty, 0.3, seeded())


def test_other_bad_input():
    batch = torch.randint(10, 100, (4, 30))
    with pytest.raises(ValueError, match=r"4 spans need 5 sentinels.*but there are 4"):
        span_corruption(batch, 0.4, seeded(), sentinels=[1, 2, 3, 4])
    assert span_corruption(batch, 0.4, seeded(), sentinels=[1, 2, 3, 4, 5]).source.shape == (4, 22)
    with pytest.raises(ValueError, match="a mask is a token id, got '\\[MASK\\]'"):
        token_masking(batch, 0.4, seeded())
    with pytest.raises(ValueError, match="a mask is a token id, got '<extra_id_0>'"):
        span_corruption(batch, 0.4, seeded())
    with pytest.raises(ValueError, match=r"is a token id, got '\.'"):
        sentence_permutation(batch, seeded())
    with pytest.raises(ValueError, match="differ in length; give pad"):
        text_infilling(batch, 0.4, seeded(), mask=MASK)
    with pytest.raises(ValueError, match=r"\(batch, length\), got torch.int64 of shape \(30,\)"):
        token_deletion(batch[0], 0.4, seeded())
    with pytest.raises(ValueError, match=r"got torch\.float32"):
        token_deletion(batch.float(), 0.4, seeded())
    with pytest.raises(TypeError, match="got the string 'A B C'"):
        token_deletion("A B C", 0.4, seeded())
    for mean in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=f"above 0, got {mean}"):
            text_infilling(SLIDE, 0.3, seeded(), mean_length=mean)
    with pytest.raises(ValueError, match=r"at least 1, got 0.5"):
        span_corruption(SLIDE, 0.3, seeded(), mean_length=0.5)

"""Masking by its statistics and invariants; pairs against the documents they come from; the loss against plain torch."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from largemodels.bert import BERT, BERTConfig
from largemodels.losses import IGNORE
from largemodels.masked_lm import Masking, SentencePairs, pack, pretraining_loss
from largemodels.tokenizers import BPE, Characters, WordPiece, Words
from largemodels.training import train

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOKENIZER = Words([f"w{i}" for i in range(40)], special=SPECIAL, unknown="[UNK]")
PAD, UNK, CLS, SEP, MASK = range(5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some_texts(lengths, generator):
    """[CLS] words [SEP] and padding."""
    texts = [torch.randint(5, 45, (n,), generator=generator).tolist() for n in lengths]
    return pack(texts, TOKENIZER, length=max(lengths) + 4)[0]


def chi_square(counts, expected):
    """The sum of (counts − expected)²/expected, as standard deviations from its mean (for many degrees of freedom)."""
    degrees = len(counts) - 1
    return (((counts - expected) ** 2 / expected).sum().item() - degrees) / math.sqrt(2 * degrees)


# ------------------------------------------------------------------------------------------------------ masking


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0.01, 1), st.integers(0, 1000))
def test_invariants(lengths, rate, seed):
    tokens = some_texts(lengths, seeded(seed))
    before = tokens.clone()
    inputs, targets = Masking(TOKENIZER, rate)(tokens, seeded(seed))
    assert tokens.equal(before)
    selected = targets != IGNORE
    assert targets[selected].equal(tokens[selected])
    assert inputs[~selected].equal(tokens[~selected])
    assert not selected[tokens < 5].any()  # no [PAD], [CLS], [SEP]
    assert ((inputs >= 5) | (inputs == MASK))[selected].all()  # never replaced by another special token
    # the exact share of the tokens that are not special, in every text, and at least one
    assert selected.sum(1).tolist() == [max(1, round(torch.tensor(rate * n).round().item())) for n in lengths]
    # the exact shares of what happens to them
    n = int(selected.sum())
    masked = int((inputs == MASK).sum())
    changed = int(((inputs != tokens) & (inputs != MASK)).sum())
    assert masked == round(0.8 * n)
    assert changed <= round((0.8 + 0.1) * n) - masked


def test_80_10_10_and_uniform():
    """Over many draws: each position, and each token put in place of another, is as likely as any other."""
    masking, generator = Masking(TOKENIZER), seeded(1)
    tokens = torch.arange(5, 45).repeat(50, 1)
    where, put, kinds = torch.zeros(40), torch.zeros(45), torch.zeros(3)
    for _ in range(40):
        inputs, targets = masking(tokens, generator)
        selected = targets != IGNORE
        where += selected.sum(0)
        other = selected & (inputs != MASK) & (inputs != tokens)
        put += torch.bincount(inputs[other], minlength=45)
        kinds += torch.tensor([(inputs == MASK).sum(), other.sum(), (selected & (inputs == tokens)).sum()])
    n = kinds.sum()
    assert n == 40 * 50 * 6  # 15 % of 40
    assert kinds[0] == 0.8 * n
    # 10 % are exchanged; one in 40 of these draws the token that was there
    assert kinds[1] / n == pytest.approx(0.1 * 39 / 40, rel=0.02)
    assert kinds[2] / n == pytest.approx(0.1 + 0.1 / 40, rel=0.02)
    assert abs(chi_square(where, n / 40)) < 4
    assert put[:5].sum() == 0
    assert abs(chi_square(put[5:], put.sum() / 40)) < 4


def test_what_happens_does_not_depend_on_where():
    """The kept and exchanged ones are no more likely at the beginning: the order is drawn, not that of the text."""
    masking, generator, kept = Masking(TOKENIZER, 0.5), seeded(2), torch.zeros(40)
    tokens = torch.arange(5, 45).repeat(20, 1)
    for _ in range(100):
        inputs, targets = masking(tokens, generator)
        kept += ((targets != IGNORE) & (inputs != MASK)).sum(0)
    assert abs(chi_square(kept, kept.sum() / 40)) < 4


def test_static_repeats_and_dynamic_does_not():
    masking, tokens = Masking(TOKENIZER), some_texts([30] * 4, seeded())
    inputs, targets = masking.static(tokens, seeded(), copies=3)
    assert inputs.shape == targets.shape == (3, *tokens.shape)
    assert len({copy.numpy().tobytes() for copy in targets}) == 3
    generator = seeded()
    drawn = [masking(tokens, generator)[1] for _ in range(20)]
    assert len({copy.numpy().tobytes() for copy in drawn}) == 20
    assert masking(tokens, seeded(7))[0].equal(masking(tokens, seeded(7))[0])


def test_whole_words_wordpiece():
    tokenizer = WordPiece([*SPECIAL, "em", "##bed", "##ding", "##s", "a", "dog"])
    ids = tokenizer.encode("a dog embeddings dog a")
    tokens = pack([ids, ids[:3]], tokenizer, length=12)[0]
    masking, generator = Masking(tokenizer, 0.3, whole_words=True), seeded()
    word = torch.tensor([0, 1, 2, 2, 2, 2, 3, 4])
    seen = set()
    for _ in range(100):
        selected = masking.select(tokens, generator)[0, 1:9]
        assert not masking.select(tokens, generator)[tokens < 5].any()
        whole = {number for number in word.tolist() if selected[word == number].any()}
        assert all(selected[word == number].all() for number in whole)
        # words are taken until the share, 2 of 8 tokens, is reached
        sizes = [int((word == number).sum()) for number in whole]
        assert sum(sizes) >= 2 > sum(sizes) - max(sizes)
        seen |= whole
    assert seen == {0, 1, 2, 3, 4}


def test_whole_words_byte_level():
    tokenizer = BPE.train(["dogs, dogs dog"] * 9, 3, special=SPECIAL)
    tokens = torch.tensor([tokenizer.encode("dogs, dogs!")])
    words = Masking(tokenizer, whole_words=True)._words(tokens)[0].tolist()
    of_word = {}
    for token, number in zip(tokens[0].tolist(), words, strict=True):
        of_word[number] = of_word.get(number, "") + tokenizer.tokens[token]
    assert [*of_word.values()] == ["dogs", ",", "Ġdogs", "!"]


def test_bad_masking_is_refused_clearly():
    generator = seeded()
    with pytest.raises(ValueError, match=r"'\[MASK\]' is not a token"):
        Masking(Characters.train(["abc"]))
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1, got 15"):
        Masking(TOKENIZER, 15)
    with pytest.raises(ValueError, match="must sum to 1"):
        Masking(TOKENIZER, shares=(0.8, 0.1, 0.2))
    masking = Masking(TOKENIZER)
    with pytest.raises(ValueError, match="text 1 has no token to hide"):
        masking(torch.tensor([[CLS, 7, SEP], [CLS, SEP, PAD]]), generator)
    with pytest.raises(ValueError, match="0 … 44, got 7 … 45"):
        masking(torch.tensor([[7, 45]]), generator)
    with pytest.raises(ValueError, match=r"\(batch, length\), got torch.int64 of shape \(2,\)"):
        masking(torch.tensor([7, 8]), generator)


# -------------------------------------------------------------------------------------------------------- pairs

# Each token says where it comes from: 100·document + 10·sentence + place.
DOCUMENTS = [[[100 * d + 10 * s + p for p in range(3 + s)] for s in range(size)] for d, size in enumerate((4, 1, 3, 2))]


@pytest.mark.parametrize("length", [60, 7])
@pytest.mark.parametrize("task", ["next", "order"])
def test_pairs(task, length):
    pairs, labels = SentencePairs(DOCUMENTS, task)(400, length, seeded())
    assert labels.sum() == 200  # exactly half
    assert len(pairs) == 400
    for (first, second), label in zip(pairs, labels.tolist(), strict=True):
        assert first
        assert second
        assert len(first) + len(second) <= length
        if task == "order" and label:
            first, second = second, first
        i, j = first[0] // 100, second[0] // 100
        assert {token // 100 for token in first} == {i}  # neither text leaves its document
        assert {token // 100 for token in second} == {j}
        assert (i != j) == (task == "next" and label == 1)
        running = [token for sentence in DOCUMENTS[i] for token in sentence]
        end = running.index(first[-1]) + 1
        assert running[end - len(first) : end] == first
        assert end == len(running) or running[end] % 10 == 0  # it ends with a sentence
        assert second[0] % 10 == 0  # and the second begins with one
        if i == j:
            assert running[end : end + len(second)] == second


def test_every_place_is_as_likely():
    pairs, labels = SentencePairs(DOCUMENTS)(12_000, 40, seeded())
    follows = [second[0] for (_, second), label in zip(pairs, labels.tolist(), strict=True) if label == 0]
    counts = torch.tensor([follows.count(place) for place in (10, 20, 30, 210, 220, 310)]).float()
    assert counts.sum() == len(follows)
    assert abs(chi_square(counts, len(follows) / 6)) < 4
    starts = [second[0] for (_, second), label in zip(pairs, labels.tolist(), strict=True) if label == 1]
    assert {start // 100 for start in starts} == {0, 1, 2, 3}


def test_pairs_need_two_sentences():
    with pytest.raises(ValueError, match="pairs need a document of two sentences"):
        SentencePairs([[[1, 2]], [[3]]], "order")
    with pytest.raises(ValueError, match="a second document; got 1 documents with 2 sentences"):
        SentencePairs([[[1, 2], [3]]])
    with pytest.raises(ValueError, match='"next" or "order", got \'both\''):
        SentencePairs(DOCUMENTS, "both")
    assert SentencePairs([[[1, 2], [3]]], "order")(4, 8, seeded())[0][0] in [([1, 2], [3]), ([3], [1, 2])]


def test_pack():
    tokens, segments, mask = pack([([7, 8], [9]), [5, 6, 7, 8, 9, 10, 11]], TOKENIZER, length=8)
    assert tokens.tolist() == [[CLS, 7, 8, SEP, 9, SEP, PAD, PAD], [CLS, 5, 6, 7, 8, 9, 10, SEP]]
    assert segments.tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0] * 8]
    assert mask[:, 0, 0].tolist() == [[True] * 6 + [False] * 2, [True] * 8]
    with pytest.raises(ValueError, match=r"pair 0 has 3 \+ 3 tokens and needs 3 more .* cut it to length=8"):
        pack([([7, 8, 9], [9, 8, 7])], TOKENIZER, length=8)
    with pytest.raises(ValueError, match=r"'\[CLS\]' is not a token"):
        pack([[1]], Characters.train(["abc"]), length=8)


# --------------------------------------------------------------------------------------------------------- the loss


def a_batch(step, generator, size=8):
    pairs, labels = SentencePairs([[[5 + d, 6 + d], [7 + d, 8 + d, 9 + d]] for d in range(30)])(size, 9, generator)
    tokens, segments, mask = pack(pairs, TOKENIZER, length=12)
    inputs, targets = Masking(TOKENIZER)(tokens, generator)
    return {"inputs": inputs, "segments": segments, "mask": mask, "targets": targets, "pairs": labels}


def test_loss_at_the_selected_tokens_is_that_of_all_logits():
    torch.manual_seed(0)
    model = BERT(BERTConfig(45, max_length=12, d_model=16, num_layers=2, num_heads=2)).eval()
    batch = a_batch(0, seeded())
    total, count = pretraining_loss(model, batch)
    logits = model(batch["inputs"], batch["segments"], batch["mask"])
    expected = F.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten())
    pairs = model.pair_head(model.encoder(batch["inputs"], batch["segments"], batch["mask"]))
    torch.testing.assert_close(total / count, expected + F.cross_entropy(pairs, batch["pairs"]))
    assert count == (batch["targets"] != IGNORE).sum()
    without = {name: value for name, value in batch.items() if name != "pairs"}
    torch.testing.assert_close(pretraining_loss(model, without)[0] / count, expected)


def ragged_batch(size=6):
    """Texts of very different lengths, and so of very different numbers of selected tokens."""
    batch = a_batch(0, seeded(3), size=size)
    batch["targets"] = torch.randint(5, 45, batch["targets"].shape, generator=seeded(1))
    batch["targets"][torch.arange(12) >= torch.arange(2 * size, 0, -2)[:, None].clamp(max=11)] = IGNORE
    return batch


def test_loss_is_the_mean_of_tokens_plus_the_mean_of_pairs_and_a_sum_over_parts():
    torch.manual_seed(0)
    model = BERT(BERTConfig(45, max_length=12, d_model=16, num_layers=2, num_heads=2, init_std=0.3)).eval()
    batch = ragged_batch()
    total, count = pretraining_loss(model, batch)
    logits = model(batch["inputs"], batch["segments"], batch["mask"])
    pairs = model.pair_head(model.encoder(batch["inputs"], batch["segments"], batch["mask"]))
    mean = F.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten()) + F.cross_entropy(pairs, batch["pairs"])
    torch.testing.assert_close(total / count, mean)
    prepared = pretraining_loss.prepare(batch)
    parts = [pretraining_loss(model, {n: rows[part::2] for n, rows in prepared.items()}) for part in range(2)]
    assert parts[0][1] != parts[1][1]
    torch.testing.assert_close(sum(part for part, _ in parts), total)
    assert sum(number for _, number in parts) == count


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulated_parts_of_a_batch_with_pairs_learn_like_the_batch(accumulate):
    found = []
    for parts in (1, accumulate):
        torch.manual_seed(0)
        config = BERTConfig(45, max_length=12, d_model=16, num_layers=1, num_heads=2, dropout=0, attention_dropout=0)
        model = BERT(config)
        history = train(
            model,
            lambda step, generator: ragged_batch(),
            steps=3,
            learning_rate=1e-2,
            loss=pretraining_loss,
            accumulate=parts,
            progress=False,
            live_plot=False,
            bfloat16=False,
        )
        found.append((history.loss, history.tokens, history.gradient_norm))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1] == found[1][1]
    assert found[0][2] == pytest.approx(found[1][2], rel=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 32])
def test_half_of_the_pairs_as_nearly_as_can_be(count):
    pairs, generator = SentencePairs(DOCUMENTS), seeded(count)
    ones = [int(pairs(count, 20, generator)[1].sum()) for _ in range(200)]
    assert set(ones) == {count // 2, (count + 1) // 2}
    assert sum(ones) / 200 == pytest.approx(count / 2, abs=0.15)


@pytest.mark.slow
def test_a_small_bert_learns_both_tasks():
    """Sentences count upwards, so that a neighbour says what was hidden and a jump says that the texts do not belong together."""
    torch.manual_seed(0)
    model = BERT(
        BERTConfig(
            45, max_length=12, d_model=48, num_layers=2, num_heads=4, dropout=0, attention_dropout=0, init_std=0.1
        )
    )
    history = train(
        model,
        partial(a_batch, size=32),
        steps=500,
        learning_rate=3e-3,
        loss=pretraining_loss,
        progress=False,
        live_plot=False,
    )
    assert sum(history.loss[:10]) / 10 > 4
    batch = a_batch(0, seeded(5), size=100)
    x = model.encoder(batch["inputs"], batch["segments"], batch["mask"])
    selected = batch["targets"] != IGNORE
    assert (model.head(x[selected]).argmax(-1) == batch["targets"][selected]).float().mean() > 0.6
    assert (model.pair_head(x).argmax(-1) == batch["pairs"]).float().mean() > 0.8

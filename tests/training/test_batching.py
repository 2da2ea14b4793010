import pytest
import torch

from largemodels.losses import IGNORE
from largemodels.seeds import seed_of, seeded
from largemodels.training.batching import Epochs, pad_pairs


def test_pairs_become_tensors():
    source, target, mask, labels = pad_pairs([([5, 6, 7], [8]), ([5], [8, 9])], bos=1, eos=2, pad=0)
    assert source.tolist() == [[5, 6, 7, 2], [5, 2, 0, 0]]
    assert target.tolist() == [[1, 8, 0], [1, 8, 9]]
    assert labels.tolist() == [[8, 2, IGNORE], [8, 9, 2]]
    assert mask.shape == (2, 1, 1, 4)
    assert mask[:, 0, 0].tolist() == [[True] * 4, [True, True, False, False]]
    assert source.dtype == target.dtype == labels.dtype == torch.long


def test_padding_that_looks_like_a_word_is_still_padding():
    _, _, mask, labels = pad_pairs([([0, 0], [0]), ([0], [0, 0, 0])], bos=0, eos=0, pad=0)
    assert mask[:, 0, 0].tolist() == [[True, True, True], [True, True, False]]
    assert (labels != IGNORE).sum(dim=1).tolist() == [2, 4]


@pytest.mark.parametrize(("pair", "side"), [(([], [1]), "source"), (([1], []), "target")])
def test_an_empty_sentence_is_refused(pair, side):
    with pytest.raises(ValueError, match=f"pair 1 has an empty {side}"):
        pad_pairs([([1], [1]), pair], bos=1, eos=2)


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one pair"):
        pad_pairs([], bos=1, eos=2)


@pytest.mark.parametrize("kind", [tuple, torch.tensor])
def test_sentences_may_be_tensors(kind):
    pairs = [([5, 6, 7], [8]), ([5], [8, 9])]
    given = [(kind(read), kind(written)) for read, written in pairs]
    for one, other in zip(pad_pairs(given, bos=1, eos=2), pad_pairs(pairs, bos=1, eos=2), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("lengths", [None, [n % 13 for n in range(103)]])
def test_an_epoch_reads_everything_once(lengths):
    epochs = Epochs(103, 10, seed=1, lengths=lengths)
    assert epochs.steps == 10
    first, second = (torch.stack([epochs(step) for step in steps]) for steps in (range(10), range(10, 20)))
    for epoch in (first, second):
        assert epoch.shape == (10, 10)
        assert len(epoch.unique()) == 100
        assert epoch.min() >= 0
        assert epoch.max() < 103
    assert not torch.equal(first, second)
    assert set(first.flatten().tolist()) != set(second.flatten().tolist())  # nobody is left over for ever


@pytest.mark.parametrize("lengths", [None, [n % 13 for n in range(103)]])
def test_a_batch_is_a_function_of_seed_and_step(lengths):
    epochs = Epochs(103, 10, seed=1, lengths=lengths)
    batches = [epochs(step) for step in range(35)]
    for step in (34, 3, 17, 0, 29):
        assert torch.equal(epochs(step), batches[step])
        assert torch.equal(Epochs(103, 10, seed=1, lengths=lengths)(step), batches[step])
        assert not torch.equal(Epochs(103, 10, seed=2, lengths=lengths)(step), batches[step])


def test_sentences_of_one_length_are_read_together():
    lengths = torch.randint(1, 20, (1000,), generator=torch.Generator().manual_seed(0))
    together, mixed = Epochs(1000, 20, lengths=lengths.tolist()), Epochs(1000, 20)
    spread = [lengths[together(step)].max() - lengths[together(step)].min() for step in range(50)]
    assert max(spread) <= 2
    assert min(lengths[mixed(step)].max() - lengths[mixed(step)].min() for step in range(50)) > 8
    longest = [lengths[together(step)].max().item() for step in range(50)]
    assert longest != sorted(longest)  # short and long batches come in any order


@pytest.mark.parametrize(("arguments", "lengths"), [((3, 4), None), ((3, 0), None), ((3, 2), [1, 2])])
def test_epochs_that_cannot_be(arguments, lengths):
    with pytest.raises(ValueError, match=r"of 3 examples|num_examples=3"):
        Epochs(*arguments, lengths=lengths)


def test_seeds_of_neighbours_have_nothing_in_common():
    seeds = {seed_of(seed, step) for seed in range(50) for step in range(50)}
    assert len(seeds) == 2500
    noise = torch.stack([torch.randn(400, generator=seeded(0, step)) for step in range(30)])
    correlation = torch.corrcoef(noise) - torch.eye(30)
    assert correlation.abs().max() < 0.25  # 5 standard deviations of chance
    assert torch.equal(torch.randn(4, generator=seeded(7, 1)), torch.randn(4, generator=seeded(7, 1)))

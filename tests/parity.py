"""What the tests of parity with `transformers` have in common."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from largemodels.generation import beam_search, greedy
from largemodels.masks import padding_mask

# (our parameter, how to find the same numbers in theirs, their parameter)
Pair = tuple[nn.Parameter, Callable[[Tensor], Tensor], nn.Parameter]


def identity(tensor: Tensor) -> Tensor:
    return tensor


def same(ours: nn.Module, theirs: nn.Module) -> Iterator[Pair]:
    """The weight and, if there is one, the bias of two layers of the same layout."""
    yield ours.weight, identity, theirs.weight
    if isinstance(getattr(ours, "bias", None), nn.Parameter):
        yield ours.bias, identity, theirs.bias


def randomise(module: nn.Module, seed: int = 0, std: float = 0.25) -> nn.Module:
    """Large weights, so that attention is far from uniform and nothing can be forgotten.

    The factors of norms lie around 1: post-norm blocks with smaller ones forget what they read, layer by layer.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1)
    return module


def copy_weights(model: nn.Module, pairs: Iterable[Pair]) -> list[Pair]:
    """Give `model` their weights; every parameter of it must have its pair."""
    pairs = list(pairs)
    assert {our for our, _, _ in pairs} == set(model.parameters())
    with torch.no_grad():
        for our, part, their in pairs:
            our.copy_(part(their))
    return pairs


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in units of the largest number, or of 1/1000 where all are smaller (some should be 0)."""
    return (found - expected).abs().max().item() / max(expected.abs().max().item(), 1e-3)


def gradient_error(pairs: Iterable[Pair]) -> float:
    """The largest `relative_error` of the gradients; a parameter that neither side used has none."""
    errors = [0.0]
    for our, part, their in pairs:
        assert (our.grad is None) == (their.grad is None)
        if our.grad is not None:
            errors.append(relative_error(our.grad, part(their.grad)))
    return max(errors)


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


START, EOS = 2, 3


def train_to_reverse(model: nn.Module, vocab_size: int, steps: int = 60):
    """Train an encoder-decoder for a second: models with random weights generate the same token again and again."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        source = torch.randint(4, vocab_size, (32, 6))
        target = nn.functional.pad(source.flip(1), (1, 1), value=EOS)
        target[:, 0] = START
        loss = nn.functional.cross_entropy(model(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def assert_same_generation(model: nn.Module, theirs: nn.Module, pairs: Iterable[Pair], vocab_size: int):
    """An encoder-decoder finds the tokens and scores that `transformers` finds: greedily, with 3 beams and with 4."""
    train_to_reverse(model, vocab_size)
    with torch.no_grad():
        for our, part, their in pairs:
            part(their).copy_(our)
    source, mask = torch.randint(4, vocab_size, (4, 9)), padding_mask([9, 4, 1, 7], 9)
    ours = {"source": source, "mask": mask, "max_new_tokens": 12, "eos": EOS}
    inputs = {"input_ids": source, "attention_mask": mask[:, 0, 0].long(), "max_new_tokens": 12, "do_sample": False}
    # After its end a text is filled with eos here; forced_eos_token_id would end every text at the limit.
    inputs |= {"decoder_start_token_id": START, "eos_token_id": EOS, "pad_token_id": EOS, "forced_eos_token_id": None}

    tokens = greedy(model, START, **ours)
    assert torch.equal(tokens, theirs.generate(**inputs)[:, 1:])
    assert len(tokens.unique()) > 3
    for beams, length_penalty in ((3, 1.0), (4, 0.5)):
        found = beam_search(model, START, beams=beams, length_penalty=length_penalty, **ours)
        expected = theirs.generate(
            **inputs,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=length_penalty,
            early_stopping=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        assert torch.equal(found.tokens.flatten(0, 1), expected.sequences[:, 1:])
        torch.testing.assert_close(found.scores.flatten(), expected.sequences_scores, rtol=1e-4, atol=1e-4)


def assert_steps_are_the_whole(model: nn.Module, source: Tensor, target: Tensor, mask: Tensor):
    """With caches, piece by piece, as without, all at once."""
    with torch.no_grad():
        expected = model(source, target, mask)
        state = model.start(target.shape[1], source, mask)
        first = model.step(target[:, :5], state)
        rest = [model.step(piece, state) for piece in target[:, 5:].split([1, 1, 3, target.shape[1] - 10], dim=1)]
    ends = [4, 5, 6, 9, -1]
    torch.testing.assert_close(torch.stack([first, *rest], dim=1), expected[:, ends], rtol=1e-4, atol=1e-4)

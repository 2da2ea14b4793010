"""What the tests of parity with `transformers` have in common."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

# (our parameter, how to find the same numbers in theirs, their parameter)
Pair = tuple[nn.Parameter, Callable[[Tensor], Tensor], nn.Parameter]


def identity(tensor: Tensor) -> Tensor:
    return tensor


def same(ours: nn.Module, theirs: nn.Module) -> Iterator[Pair]:
    """The weight and, if there is one, the bias of two layers of the same layout."""
    yield ours.weight, identity, theirs.weight
    if getattr(ours, "bias", None) is not None:
        yield ours.bias, identity, theirs.bias


def randomise(module: nn.Module, seed: int = 0, std: float = 0.4) -> nn.Module:
    """Weights of order 1, so that attention is far from uniform and nothing can be forgotten."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
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

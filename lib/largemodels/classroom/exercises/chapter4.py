"""Exercises of chapter 4, the encoder-decoder."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import blocks
from ...attention import MultiHeadAttention
from ...generation import beam_search, greedy
from ...losses import IGNORE, cross_entropy
from ..exercise import Case, Exercise, Misconception, Stage
from ..ready_made import SMOOTHED


def _randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


# --------------------------------------------------------------------------------------------------- 4.1 shift right

_BOS, _EOS, _PAD = 1, 2, 0


def _labels(generator: torch.Generator, lengths: list[int]) -> Tensor:
    """Targets that end with EOS, `IGNORE` after the end."""
    rows = [torch.cat((torch.randint(3, 30, (n,), generator=generator), torch.tensor([_EOS]))) for n in lengths]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORE)


def _shift_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    yield Case("one length", (_labels(generator, [4 + seed % 3] * 2), _BOS, _PAD))
    yield Case("padding", (_labels(generator, [6, 3, 5]), _BOS, _PAD))
    yield Case("padding", (_labels(generator, [2, 7]), 40, 31))
    yield Case("padding", (_labels(generator, [0]), 50, 33))  # a sentence of no word: EOS alone
    yield Case("one length", (_labels(generator, [3, 3, 3, 3]), 35, 34))  # as many sentences as places


def _shift_with(
    *,
    shift: Callable = lambda labels, begin: torch.cat((begin, labels[:, :-1]), dim=1),
    fill: Callable = lambda tokens, bos, pad: tokens.masked_fill(tokens == IGNORE, pad),
) -> Callable:
    """The shift written out, with its move or its padding replaced."""

    def answer(labels, bos, pad):
        begin = torch.full_like(labels[:, :1], bos)
        return fill(shift(labels, begin), bos, pad)

    return answer


def _shift_in_place(labels, bos, pad):
    labels[:, 1:] = labels[:, :-1].clone()
    labels[:, 0] = bos
    return labels.masked_fill_(labels == IGNORE, pad)


def _shift_last_word(labels, bos, pad):
    rows = []
    for row in labels.tolist():
        words = [token for token in row if token != IGNORE]
        rows.append(([bos, *words[:-1]] + [pad] * len(row))[: len(row)])
    return torch.tensor(rows)


def _loop_shift(labels, bos, pad):
    rows = []
    for row in labels.tolist():
        rows.append([bos] + [pad if token == IGNORE else token for token in row[:-1]])
    return torch.tensor(rows)


def _rolled_shift(labels, bos, pad):
    shifted = labels.roll(1, dims=1)
    shifted[:, 0] = bos
    return torch.where(shifted < 0, pad, shifted)


SHIFT = Exercise(
    id="4.1",
    title="Teacher forcing is a shift",
    kind="implement",
    name="shift_right",
    minutes=10,
    stars=1,
    cases=_shift_cases,
    stages=(
        Stage("one length", "sentences of one length", 1, "what may the decoder have read when it predicts label 0?"),
        Stage("padding", "sentences of different lengths", 2, "no id below 0 may reach an embedding."),
    ),
    reference=_shift_with(),
    misconceptions=(
        Misconception(
            _shift_with(shift=lambda labels, begin: torch.cat((labels[:, 1:], begin), dim=1)),
            "You shifted to the left: at each position the decoder now reads the token *after* the one it is to predict.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, begin: labels),
            "Nothing is shifted: the decoder reads at each position the very token that it is to predict there, and will "
            "learn to copy.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, begin: torch.cat((begin, labels), dim=1)),
            "Your input is one longer than the labels. After the last label nothing is predicted, so it is not read either.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, begin: labels.roll(1, dims=1)),
            "`roll` brings the last column to the front: what a sentence ends with becomes the first thing the decoder "
            "reads. BOS belongs there.",
        ),
        Misconception(
            _shift_with(shift=lambda labels, begin: torch.cat((begin, labels[:, 1:]), dim=1)),
            "You replaced the first label by BOS and moved nothing: the decoder never reads the first word, and all others "
            "it reads too early.",
        ),
        Misconception(
            _shift_last_word,
            "You cut off the last *word* of each sentence, where the last *column* has to go: a short sentence keeps its EOS, "
            "and what follows it is padding.",
        ),
        Misconception(
            _shift_with(fill=lambda tokens, bos, pad: tokens),
            "There is a −100 left in your result. It means *no label here*; as a token to read it has no embedding.",
        ),
        Misconception(
            _shift_with(fill=lambda tokens, bos, pad: tokens.masked_fill(tokens == IGNORE, 0)),
            "You wrote 0 where the sentence is over. The number of the padding token is the argument `pad`.",
        ),
        Misconception(
            _shift_with(fill=lambda tokens, bos, pad: tokens.masked_fill(tokens == IGNORE, bos)),
            "You filled the ends of short sentences with BOS. They take the padding token.",
        ),
        Misconception(
            _shift_in_place,
            "Your function overwrites the labels that it was given, and the loss still needs them: make a new tensor.",
        ),
    ),
    alternatives=(_loop_shift, _rolled_shift),
    hints=(
        "Write the labels of a sentence of three words on paper, *w₁ w₂ w₃ EOS*, and under each what the decoder has read "
        "last when it predicts it.",
        "The result is as long as the labels. Which of them is read by nobody, and what is read before any of them? And what would "
        "a decoder make of −100?",
    ),
    success="Right. This one column makes all positions of a sentence trainable at the same time.",
)


# -------------------------------------------------------------------------------- 4.2 and 4.3 the loss of a translation


def _loss_cases(seed: int, *, smooth: bool = False) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    # labels of each sentence, and the size of the vocabulary; then as many sentences as labels as tokens, and one label
    for stage, lengths, vocabulary in (
        ("full", [5, 5], 9),
        ("full", [4, 4, 4, 4], 4),
        ("full", [1], 7),
        ("padded", [6, 2, 4], 9),
        ("padded", [3, 7], 8),
    ):
        labels = torch.randint(vocabulary, (len(lengths), max(lengths)), generator=generator)
        labels[0, 0] = 0  # an ordinary token, also where a label is missing
        if len(lengths) > 1:
            labels[1, 0] = vocabulary - 1
        labels[torch.arange(labels.shape[1]) >= torch.tensor(lengths)[:, None]] = IGNORE
        more = (round(0.12 + 0.3 * float(torch.rand((), generator=generator)), 2),) if smooth else ()
        yield Case(stage, (2 * _randn(generator, *labels.shape, vocabulary), labels, *more))


def _smooth_cases(seed: int) -> Iterator[Case]:
    yield from _loss_cases(seed, smooth=True)


def _reference_loss(logits, labels, epsilon=0.0):
    total, count = cross_entropy(logits, labels, label_smoothing=epsilon)
    return total / count


def _of_labels(numbers: Tensor, labels: Tensor) -> Tensor:
    """The number at each label, ``(batch, length)``; at the first token where there is none."""
    return numbers.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)


def _mean_over_labels(losses: Tensor, labels: Tensor) -> Tensor:
    counts = labels != IGNORE
    return (losses * counts).sum() / counts.sum()


def _loss_with(
    *,
    logs: Callable = lambda logits: logits.log_softmax(-1),
    mean: Callable = _mean_over_labels,
) -> Callable:
    """Cross-entropy with its logarithms or its mean replaced."""

    def answer(logits, labels):
        return mean(-_of_labels(logs(logits), labels), labels)

    return answer


def _mean_of_sentences(losses, labels):
    counts = labels != IGNORE
    return ((losses * counts).sum(1) / counts.sum(1)).mean()


def _loop_loss(logits, labels):
    losses = []
    for sentence, row in zip(logits, labels.tolist(), strict=True):
        for scores, label in zip(sentence, row, strict=True):
            if label >= 0:
                losses.append(torch.logsumexp(scores, 0) - scores[label])
    return sum(losses) / len(losses)


LOSS = Exercise(
    id="4.2",
    title="Padding teaches nothing",
    kind="implement",
    name="translation_loss",
    minutes=15,
    stars=1,
    cases=_loss_cases,
    stages=(
        Stage("full", "no padding", 1, "−log of the probability of each label, averaged."),
        Stage("padded", "with padding", 2, "by how many labels do you divide?"),
    ),
    reference=_reference_loss,
    ready_made=(),  # PyTorch's own takes a line and a half here, which is the half that matters
    misconceptions=(
        Misconception(
            lambda logits, labels: F.cross_entropy(logits.mT, labels.clamp(min=0), ignore_index=0),
            "You leave out the labels that are token 0. It is a token like any other here: a place without a label holds −100.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, labels: (losses * (labels != IGNORE)).mean()),
            "You left the padding out of the sum and still divide by *all* positions. The more padding, the smaller your "
            "loss: divide by the number of labels.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, labels: losses.mean()),
            "Padded positions count in your loss, as if token 0 were the label there.",
        ),
        Misconception(
            lambda logits, labels: -logits.log_softmax(-1).gather(-1, (labels % logits.shape[-1])[..., None]).mean(),
            "−100 has become a token in your loss: counted from the end of the vocabulary, or by a remainder.",
        ),
        Misconception(
            _loss_with(mean=_mean_of_sentences),
            "You average within each sentence first: a word of a short sentence weighs more than one of a long sentence. "
            "All labels of the batch count the same.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, labels: (losses * (labels != IGNORE)).sum()),
            "That is the sum over all labels; the mean is asked for.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, labels: (losses * (labels != IGNORE)).sum() / len(labels)),
            "You divide by the number of sentences. The mean is that of a *label*.",
        ),
        Misconception(
            _loss_with(logs=lambda logits: logits),
            "You took the logits for log-probabilities. They have to be normalised over the vocabulary first.",
        ),
        Misconception(
            _loss_with(logs=lambda logits: logits.softmax(-1)),
            "You averaged probabilities. The loss is the negative *logarithm* of the probability.",
        ),
        Misconception(
            _loss_with(logs=lambda logits: -logits.log_softmax(-1)),
            "The sign is wrong: a loss is −log p, and never negative.",
        ),
        Misconception(
            _loss_with(logs=lambda logits: logits.softmax(-1).log_softmax(-1)),
            "You took the softmax twice: the function that you used takes logits and does it itself.",
        ),
        Misconception(
            _loss_with(logs=lambda logits: logits.log_softmax(1)),
            "Your probabilities sum to 1 over the positions. They must sum to 1 over the vocabulary, the last axis.",
        ),
    ),
    alternatives=(
        _loop_loss,
        lambda logits, labels: F.cross_entropy(logits.flatten(0, 1), labels.flatten()),
        lambda logits, labels: F.cross_entropy(logits[labels >= 0], labels[labels >= 0]),
    ),
    hints=(
        "A boolean tensor picks: `logits[labels != -100]` has the shape (number of labels, vocabulary).",
        "`F.cross_entropy` wants the vocabulary on axis 1, and takes logits.",
    ),
    success="Right. Sum and number, and the division last: that is also how several machines agree on one mean.",
)


def _smooth_with(
    *,
    on_label: Callable = lambda epsilon, size: 1 - epsilon + epsilon / size,
    elsewhere: Callable = lambda epsilon, size: epsilon / size,
    mean: Callable = _mean_over_labels,
) -> Callable:
    """The smoothed loss with the probability that is asked for on the label, or elsewhere, replaced."""

    def answer(logits, labels, epsilon):
        size = logits.shape[-1]
        asked = torch.full_like(logits, elsewhere(epsilon, size))
        asked.scatter_(-1, labels.clamp(min=0)[..., None], on_label(epsilon, size))
        return mean(-(asked * logits.log_softmax(-1)).sum(-1), labels)

    return answer


def _two_parts(logits, labels, epsilon):
    logs = logits.log_softmax(-1)
    losses = -(1 - epsilon) * _of_labels(logs, labels) - epsilon * logs.mean(-1)
    return losses[labels != IGNORE].mean()


def _asked_of_pytorch(logits, labels, epsilon):
    """PyTorch's loss takes probabilities, too, and is a tool without its own smoothing."""
    counts, size = labels != IGNORE, logits.shape[-1]
    asked = (1 - epsilon) * F.one_hot(labels[counts], size) + epsilon / size
    return F.cross_entropy(logits[counts], asked)


SMOOTHING = Exercise(
    id="4.3",
    title="Label smoothing",
    kind="implement",
    name="smoothed_loss",
    minutes=20,
    stars=2,
    cases=_smooth_cases,
    stages=(
        Stage(
            "full", "no padding", 2, "the probabilities that you ask for must sum to 1: print them for one position."
        ),
        Stage("padded", "with padding", 1, "padding counts neither in the sum nor in the number."),
    ),
    reference=_reference_loss,
    ready_made=SMOOTHED,
    misconceptions=(
        *(
            Misconception(
                lambda logits, labels, epsilon, typed=typed: _two_parts(logits, labels, typed),
                "Your ε is 0.1, or another number that you typed, whatever is asked for. It is an argument.",
            )
            for typed in (0.1, 0.2, 0.05)
        ),
        Misconception(
            _smooth_with(
                on_label=lambda epsilon, size: 1 - epsilon, elsewhere=lambda epsilon, size: epsilon / (size - 1)
            ),
            "You spread ε over the *other* tokens. In the paper that the Transformer follows it is spread over the whole "
            "vocabulary, the label included.",
        ),
        Misconception(
            _smooth_with(on_label=lambda epsilon, size: 1 - epsilon),
            "The probabilities that you ask for sum to less than 1: the label gets its own share of ε as well.",
        ),
        Misconception(
            _smooth_with(on_label=lambda epsilon, size: 1 + epsilon / size),
            "The probabilities that you ask for sum to more than 1: what is spread evenly has to be taken off the label.",
        ),
        Misconception(
            _smooth_with(elsewhere=lambda epsilon, size: epsilon, on_label=lambda epsilon, size: 1),
            "Every token gets ε in your answer, so that V tokens share Vε. Together they have ε.",
        ),
        Misconception(
            _smooth_with(
                on_label=lambda epsilon, size: epsilon + (1 - epsilon) / size,
                elsewhere=lambda epsilon, size: (1 - epsilon) / size,
            ),
            "ε and 1 − ε are exchanged: nearly all of your probability is spread evenly.",
        ),
        Misconception(
            _smooth_with(on_label=lambda epsilon, size: 1 - epsilon, elsewhere=lambda epsilon, size: 0),
            "You only made the label less important, which scales the loss. The other tokens must get what it lost.",
        ),
        Misconception(
            _smooth_with(on_label=lambda epsilon, size: 1, elsewhere=lambda epsilon, size: 0),
            "ε makes no difference in your answer.",
        ),
        Misconception(
            _smooth_with(mean=lambda losses, labels: losses.mean()),
            "Padded positions count in your loss.",
        ),
        Misconception(
            _smooth_with(mean=lambda losses, labels: (losses * (labels != IGNORE)).mean()),
            "You left the padding out of the sum and still divide by all positions.",
        ),
    ),
    alternatives=(
        _two_parts,
        _asked_of_pytorch,
    ),
    hints=(
        "With V = 4 and ε = 0.2 the label is asked for with probability 0.85 and each other token with 0.05.",
        "Two sums are enough: one over the labels alone, one over the whole vocabulary. With which weights?",
    ),
    success="Right. A model that is asked for less than 1 has no reason to push a logit to infinity.",
)


# --------------------------------------------------------------------------------------------------------- 4.4 LayerNorm


def _norm_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    d = 5 + seed % 3
    plain = (torch.ones(d), torch.zeros(d))
    yield Case("normalise", (3 * _randn(generator, 2, 4, d) + 2, *plain, 1e-5))
    yield Case("normalise", (3 * _randn(generator, 1, 1, 4) + 2, torch.ones(4), torch.zeros(4), 1e-5))
    yield Case("normalise", (3 * _randn(generator, 3, 3, 3) + 2, torch.ones(3), torch.zeros(3), 1e-5))
    yield Case("gain and bias", (_randn(generator, 2, 3, d) - 1, _randn(generator, d), _randn(generator, d), 1e-5))
    x = _randn(generator, 3, 2, d)
    x[1, 0] = x[1, 0, 0]  # a position whose numbers are all the same
    yield Case("epsilon", (x, _randn(generator, d), _randn(generator, d), 0.5))


def _norm_with(
    *,
    mean: Callable = lambda x: x.mean(-1, keepdim=True),
    variance: Callable = lambda x: x.var(-1, keepdim=True, unbiased=False),
    root: Callable = lambda variance, eps: torch.sqrt(variance + eps),
    end: Callable = lambda x, gamma, beta: gamma * x + beta,
) -> Callable:
    """LayerNorm with one of its steps replaced."""

    def answer(x, gamma, beta, eps):
        return end((x - mean(x)) / root(variance(x), eps), gamma, beta)

    return answer


def _loop_norm(x, gamma, beta, eps):
    result = torch.empty_like(x)
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            row = x[b, i]
            mean = sum(row) / len(row)
            variance = sum((number - mean) ** 2 for number in row) / len(row)
            result[b, i] = (row - mean) / math.sqrt(variance + eps) * gamma + beta
    return result


LAYER_NORM = Exercise(
    id="4.4",
    title="LayerNorm",
    kind="implement",
    name="layer_norm",
    minutes=15,
    stars=1,
    cases=_norm_cases,
    stages=(
        Stage("normalise", "mean 0 and variance 1", 2, "print mean and variance of each position of your result."),
        Stage("gain and bias", "γ and β", 1, "γ multiplies, β is added, in this order."),
        Stage("epsilon", "ε", 1, "what happens to a position whose numbers are all the same?"),
    ),
    reference=lambda x, gamma, beta, eps: F.layer_norm(x, gamma.shape, gamma, beta, eps),
    ready_made=(
        "largemodels.blocks.LayerNorm",
        "largemodels.blocks.RMSNorm",
        *(f"torch.nn.{name}" for name in ("LayerNorm", "GroupNorm", "RMSNorm", "InstanceNorm1d", "BatchNorm1d")),
        *(
            f"{module}.{name}"
            for name in ("layer_norm", "group_norm", "rms_norm", "instance_norm", "batch_norm")
            for module in ("torch.nn.functional", "torch")
        ),
        *("torch.native_layer_norm", "torch.native_group_norm", "torch.native_batch_norm"),
    ),
    misconceptions=(
        Misconception(
            _norm_with(variance=lambda x: x.var(-1, keepdim=True)),
            "Your variance is divided by d − 1, as `torch.var` and `torch.std` do unless told otherwise. LayerNorm divides "
            "by d.",
        ),
        Misconception(
            _norm_with(
                mean=lambda x: x.mean(0, keepdim=True), variance=lambda x: x.var(0, keepdim=True, unbiased=False)
            ),
            "You normalise over the batch: sentences become dependent on each other. Normalise each position by itself.",
        ),
        Misconception(
            _norm_with(
                mean=lambda x: x.mean(1, keepdim=True), variance=lambda x: x.var(1, keepdim=True, unbiased=False)
            ),
            "You normalise over the positions of a sentence. Normalise the d numbers of each position, the last axis.",
        ),
        Misconception(
            _norm_with(
                mean=lambda x: x.mean((1, 2), keepdim=True),
                variance=lambda x: x.var((1, 2), keepdim=True, unbiased=False),
            ),
            "You normalise each sentence as a whole. Every position has a mean and a variance of its own.",
        ),
        Misconception(
            _norm_with(
                mean=lambda x: x.mean((0, 1), keepdim=True),
                variance=lambda x: x.var((0, 1), keepdim=True, unbiased=False),
            ),
            "You normalise each *feature* over all positions of the batch: that is batch normalisation.",
        ),
        Misconception(
            _norm_with(mean=lambda x: 0.0, variance=lambda x: x.square().mean(-1, keepdim=True)),
            "The mean is still in your result: that is RMSNorm, the norm of T5, which comes in chapter 5.",
        ),
        Misconception(
            _norm_with(root=lambda variance, eps: variance + eps),
            "You divide by the variance. Divide by its square root, so that the result has variance 1.",
        ),
        Misconception(
            _norm_with(end=lambda x, gamma, beta: gamma * (x + beta)),
            "Your γ multiplies β, too: first scale, then shift.",
        ),
        Misconception(
            _norm_with(end=lambda x, gamma, beta: x),
            "γ and β make no difference in your answer.",
        ),
        Misconception(
            _norm_with(end=lambda x, gamma, beta: beta * x + gamma),
            "γ and β are exchanged.",
        ),
        Misconception(
            _norm_with(root=lambda variance, eps: torch.sqrt(variance)),
            "Without ε a position whose numbers are all the same divides by zero.",
        ),
        Misconception(
            _norm_with(root=lambda variance, eps: torch.sqrt(variance) + eps),
            "Your ε stands outside the square root. It is added to the variance.",
        ),
    ),
    alternatives=(
        _loop_norm,
        lambda x, gamma, beta, eps: (
            (x - x.mean(-1, True)) * torch.rsqrt(x.var(-1, correction=0, keepdim=True) + eps) * gamma + beta
        ),
    ),
    hints=(
        "`x.mean(dim=-1, keepdim=True)` has the shape (batch, length, 1), which broadcasts against x.",
        "The variance is the mean of the squared differences from the mean.",
    ),
    success="Right. And no other position or sentence was looked at: it works for a batch of one, and in generation.",
)


# ------------------------------------------------------------------------------------------------- 4.5 a decoder block


def _block_weights(generator: torch.Generator, d: int, d_ff: int) -> dict[str, Tensor]:
    names = [f"{part}_{matrix}" for part in ("self", "cross") for matrix in "QKVO"]
    w = {name: _randn(generator, d, d) * 1.5 / d**0.5 for name in names}
    w["up"], w["down"] = _randn(generator, d, d_ff) / d**0.5, _randn(generator, d_ff, d) * 2 / d_ff**0.5
    return w


def _block_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    d = 6 + 2 * (seed % 2)
    for stage, target, source, lengths in (
        ("one word", 1, 3, (3, 3)),
        ("one word", 1, 1, (1,)),
        ("causal", 4, 4, (4, 4)),
        ("causal", 3, 2, (2, 2, 2)),
        ("padding", 5, 4, (4, 2)),
        ("padding", 1, 3, (2,)),
    ):
        mask = torch.arange(source) < torch.tensor(lengths)[:, None, None]  # (batch, 1, source)
        x = _randn(generator, len(lengths), target, d)
        memory = 2 * _randn(generator, len(lengths), source, d) + 1
        yield Case(stage, (x, memory, mask, _block_weights(generator, d, 3 * d)))


def _attend(x: Tensor, context: Tensor, mask: Tensor | None, w: dict[str, Tensor], part: str) -> Tensor:
    query, key, value = x @ w[f"{part}_Q"], context @ w[f"{part}_K"], context @ w[f"{part}_V"]
    scores = query @ key.mT / math.sqrt(x.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ value @ w[f"{part}_O"]


def _normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _block_with(
    *,
    causal: Callable = lambda n: torch.ones(n, n, dtype=torch.bool).tril(),
    before: Callable = _normed,
    after: Callable = lambda x: x,
    residual: Callable = lambda x, found: x + found,
    context: Callable = lambda x, memory: memory,
    context_mask: Callable = lambda mask, n: mask,
    order: tuple[str, ...] = ("self", "cross", "feed"),
    activation: Callable = torch.relu,
) -> Callable:
    """A pre-norm decoder block with one of its choices replaced."""

    def answer(x, memory, memory_mask, w):
        for part in order:
            y = before(x)
            if part == "self":
                found = _attend(y, y, causal(x.shape[1]), w, "self")
            elif part == "cross":
                found = _attend(y, context(y, memory), context_mask(memory_mask, x.shape[1]), w, "cross")
            else:
                found = activation(y @ w["up"]) @ w["down"]
            x = after(residual(x, found))
        return x

    return answer


def _block_side_by_side(x, memory, memory_mask, w):
    """Both attentions read the block's input."""
    y, n = _normed(x), x.shape[1]
    x = x + _attend(y, y, torch.ones(n, n).tril() == 1, w, "self") + _attend(y, memory, memory_mask, w, "cross")
    return x + torch.relu(_normed(x) @ w["up"]) @ w["down"]


def _residual_of_the_norm(x, memory, memory_mask, w):
    n = x.shape[1]
    y = _normed(x)
    y = _normed(y + _attend(y, y, torch.ones(n, n).tril() == 1, w, "self"))
    y = _normed(y + _attend(y, memory, memory_mask, w, "cross"))
    return y + torch.relu(y @ w["up"]) @ w["down"]


def _reference_block(x, memory, memory_mask, w):
    d, d_ff = w["up"].shape
    attention = partial(MultiHeadAttention, d, 1, bias=False)
    block = blocks.Block(
        attention(),
        blocks.FeedForward(d, d_ff, bias=False),
        partial(blocks.LayerNorm, d),
        cross_attention=attention(),
        causal=True,
    )
    layers = {"up": block.feed_forward.up, "down": block.feed_forward.down}
    for part, module in (("self", block.attention), ("cross", block.cross_attention)):
        for letter, name in (("Q", "query"), ("K", "key"), ("V", "value"), ("O", "output")):
            layers[f"{part}_{letter}"] = getattr(module, name)
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(w[name].T)
        return block(x, memory, context_mask=memory_mask[:, None])


def _word_by_word(x, memory, memory_mask, w):
    """Each position is computed from itself and those before it: causal without a mask."""
    rows = []
    for i in range(x.shape[1]):
        y = _normed(x[:, : i + 1])
        row = x[:, i : i + 1] + _attend(y[:, -1:], y, None, w, "self")
        row = row + _attend(_normed(row), memory, memory_mask, w, "cross")
        rows.append(row + torch.relu(_normed(row) @ w["up"]) @ w["down"])
    return torch.cat(rows, dim=1)


DECODER_BLOCK = Exercise(
    id="4.5",
    title="A decoder block",
    kind="implement",
    name="decoder_block",
    minutes=25,
    stars=2,
    cases=_block_cases,
    stages=(
        Stage("one word", "three sublayers, each with norm and residual", 2, "go through the three lines one by one."),
        Stage("causal", "no look ahead", 1, "who may attend to whom in self-attention, and who in cross-attention?"),
        Stage("padding", "a padded source", 1, "`memory_mask` is True where the source has a word."),
    ),
    reference=_reference_block,
    ready_made=(
        "largemodels.blocks.Block",
        "torch.nn.TransformerDecoderLayer",
        "torch.nn.TransformerEncoderLayer",
    ),
    misconceptions=(
        Misconception(
            _block_with(before=lambda x: x, after=_normed),
            "That is post-norm, the order of 2017: x = norm(x + sublayer(x)). This block is pre-norm, with the norm before "
            "the sublayer and nothing but a sum on the stream.",
        ),
        Misconception(
            _block_with(residual=lambda x, found: found),
            "The residual connections are missing: each sublayer's result is *added* to the stream.",
        ),
        Misconception(
            _block_with(before=lambda x: x),
            "There is no norm in your block: each sublayer reads norm(x).",
        ),
        Misconception(
            _residual_of_the_norm,
            "You add the sublayer's result to the *normed* stream. The sum takes x itself; only the sublayer reads norm(x).",
        ),
        Misconception(
            _block_with(order=("cross", "self", "feed")),
            "Your cross-attention comes before the self-attention. The decoder looks at its own words first.",
        ),
        Misconception(
            _block_side_by_side,
            "Both attentions read the input of your block. The second one reads what the first has left on the stream.",
        ),
        Misconception(
            _block_with(context=lambda x, memory: x, context_mask=lambda mask, n: torch.ones(n, n).tril() == 1),
            "Your cross-attention reads the target once more. Its keys and values come from `memory`.",
        ),
        Misconception(
            _block_with(context=lambda x, memory: _normed(memory)),
            "You normed the memory. The encoder did that already: the block's norms are for its own stream.",
        ),
        Misconception(
            _block_with(order=("self", "cross")),
            "The feed-forward network is missing.",
        ),
        Misconception(
            _block_with(activation=lambda x: x),
            "Your feed-forward network has no ReLU: two matrices in a row are one matrix.",
        ),
        Misconception(
            _block_with(causal=lambda n: None),
            "Your self-attention looks ahead: no mask keeps a position from seeing later words.",
        ),
        Misconception(
            _block_with(causal=lambda n: torch.ones(n, n).triu() == 1),
            "Your causal mask is transposed: each position sees itself and the words *after* it.",
        ),
        Misconception(
            _block_with(context_mask=lambda mask, n: mask & (torch.ones(n, mask.shape[-1]).tril() == 1)),
            "Your cross-attention has a causal mask. The source is known from the start: every word may be read at once.",
        ),
        Misconception(
            _block_with(context_mask=lambda mask, n: ~mask),
            "Your `memory_mask` is turned round: the decoder reads the source's padding and none of its words, or nothing at "
            "all, hence NaN. True means *may attend*.",
        ),
        Misconception(
            _block_with(context_mask=lambda mask, n: None),
            "Your cross-attention reads the source's padding: use `memory_mask`.",
        ),
    ),
    alternatives=(_word_by_word, _block_with()),
    hints=(
        "Three lines, all of the form `x = x + sublayer(norm(x))`.",
        "Which of the two attentions needs a causal mask, which needs `memory_mask`, and why does neither need both?",
    ),
    success="Right. Six of these, an encoder of the same parts without the middle line, and you have the model of 2017, but for "
    "its eight heads and the place of its norms.",
)


# ------------------------------------------------------------------------------------------- 4.6 and 4.7 generation


def _next_logits(tokens: list[int], w: dict[str, Tensor]) -> Tensor:
    """A tiny model that reads all tokens: what is further back fades. Logits of the next token, (vocabulary,)."""
    age = torch.arange(len(tokens) - 1, -1, -1)
    return (0.8**age @ w["embedding"][tokens]) @ w["head"]


class _TinyModel(nn.Module):
    """The same for `largemodels.generation`; its state is the texts themselves."""

    class State:
        def __init__(self):
            self.texts = None

        def repeat(self, n: int) -> None:
            self.texts = self.texts.repeat_interleave(n, dim=0)

        def reorder(self, rows: Tensor) -> None:
            self.texts = self.texts[rows]

    def __init__(self, w: dict[str, Tensor]):
        super().__init__()
        self.w = w

    def start(self, max_length, mask=None):
        return self.State()

    def step(self, tokens, state):
        state.texts = tokens if state.texts is None else torch.cat((state.texts, tokens), dim=1)
        return torch.stack([_next_logits(text, self.w) for text in state.texts.tolist()])


def _tiny_weights(generator: torch.Generator, vocabulary: int, scale: float) -> dict[str, Tensor]:
    return {"embedding": _randn(generator, vocabulary, 4), "head": scale * _randn(generator, 4, vocabulary)}


def _greedy_with(
    *,
    choose: Callable = lambda logits: int(logits.argmax()),
    read: Callable = lambda tokens: tokens,
    stop: Callable = lambda token, eos: token == eos,
    extra: int = 0,
    result: Callable = lambda tokens, eos: tokens[1:],
) -> Callable:
    """The greedy loop with one of its choices replaced."""

    def answer(w, bos, eos, limit):
        tokens = [bos]
        while len(tokens) - 1 < limit + extra:
            tokens.append(choose(_next_logits(read(tokens), w)))
            if stop(tokens[-1], eos):
                break
        return result(tokens, eos)

    return answer


def _greedy_cases(seed: int) -> Iterator[Case]:
    """Texts that end, and one that does not; in each the whole history matters."""
    generator = torch.Generator().manual_seed(seed)
    right, forgetful = _greedy_with(), _greedy_with(read=lambda tokens: tokens[-1:])
    for stage, bos, eos, limit, vocabulary in (
        ("ends", 1, 2, 8, 9),
        ("ends", 0, 3, 9, 8),
        ("ends", 4, 0, 7, 7),
        ("limit", 1, 2, 8, 9),
        ("limit", 3, 5, 6, 10),
    ):
        for _ in range(10_000):
            w = _tiny_weights(generator, vocabulary, 1.0)
            found = right(w, bos, eos, limit)
            fits = (found[-1] == eos and 4 <= len(found) < limit) if stage == "ends" else eos not in found
            if fits and len(set(found)) > 3 and found[:4] != forgetful(w, bos, eos, limit)[:4]:
                break
        yield Case(stage, (w, bos, eos, limit))
    for stage, at_once in (("ends", True), ("limit", False)):  # EOS before any word; room for a single token
        for _ in range(10_000):
            w = _tiny_weights(generator, 6, 1.0)
            if (right(w, 1, 2, 5)[0] == 2) == at_once:
                break
        yield Case(stage, (w, 1, 2, 5 if at_once else 1))


def _reference_greedy(w, bos, eos, limit):
    return greedy(_TinyModel(w), torch.tensor([[bos]]), max_new_tokens=limit, eos=eos)[0].tolist()


def _recursive_greedy(w, bos, eos, limit):
    def go_on(tokens):
        if len(tokens) > limit or (len(tokens) > 1 and tokens[-1] == eos):
            return tokens
        return go_on([*tokens, int(_next_logits(tokens, w).argmax())])

    return go_on([bos])[1:]


GREEDY = Exercise(
    id="4.6",
    title="The greedy loop",
    kind="implement",
    name="greedy_decode",
    minutes=15,
    stars=1,
    cases=_greedy_cases,
    stages=(
        Stage("ends", "texts that end with EOS", 2, "what is read in each step, and when is it over?"),
        Stage("limit", "a text that reaches the limit", 1, "at most `limit` new tokens."),
    ),
    reference=_reference_greedy,
    misconceptions=(
        Misconception(
            _greedy_with(stop=lambda token, eos: False),
            "Your loop runs on to the limit although the model has said EOS.",
        ),
        Misconception(
            _greedy_with(read=lambda tokens: tokens[-1:]),
            "You show the model only the last token. It needs all tokens so far, from BOS on.",
        ),
        Misconception(
            _greedy_with(read=lambda tokens: tokens[1:] or tokens),
            "You leave BOS out once there are words. In training every target began with it.",
        ),
        Misconception(
            _greedy_with(read=lambda tokens: tokens[:1]),
            "You show the model BOS alone in every step: the tokens that it chose must be read, too.",
        ),
        Misconception(
            _greedy_with(result=lambda tokens, eos: tokens),
            "BOS is part of your result. It was given, and only new tokens are to be returned.",
        ),
        Misconception(
            _greedy_with(result=lambda tokens, eos: [token for token in tokens[1:] if token != eos]),
            "EOS is missing from your result: it was chosen like any other token, and tells that the text is complete.",
        ),
        Misconception(
            _greedy_with(choose=lambda logits: int(logits.argmin())),
            "You choose the *least* probable token.",
        ),
        Misconception(
            _greedy_with(choose=lambda logits: int(torch.multinomial(logits.softmax(-1), 1))),
            "You draw the next token at random. Greedy takes the most probable one.",
        ),
        Misconception(
            _greedy_with(extra=1),
            "You write one token more than `limit` allows.",
        ),
        Misconception(
            _greedy_with(extra=-1),
            "You stop one token before `limit`. Did you count BOS?",
        ),
    ),
    alternatives=(_recursive_greedy, _greedy_with()),
    hints=(
        "Keep a list `tokens`, which begins as `[bos]`, and ask `next_logits(tokens, w)` in each step.",
        "Two things end the loop: EOS was chosen, or there are `limit` new tokens.",
    ),
    success="Right. A cache of keys and values makes each step cheaper; the loop remains the same.",
)


def _beam_with(
    *,
    begin: Callable = lambda bos, beams: [(0.0, [bos])],
    logs: Callable = lambda logits: logits.log_softmax(-1),
    add: Callable = lambda before, log: before + log,
    expand: Callable = lambda texts: texts,
    keep: Callable = lambda families, beams: sorted(chain(*families), key=lambda text: -text[0])[:beams],
    end: Callable = lambda texts: texts,
) -> Callable:
    """Beam search over texts ``(score, tokens)`` with one of its steps replaced; a family continues one text."""

    def answer(w, bos, beams, steps):
        texts = begin(bos, beams)
        for _ in range(steps):
            families = [
                [
                    (add(score, log), [*tokens, token])
                    for token, log in enumerate(logs(_next_logits(tokens, w)).tolist())
                ]
                for score, tokens in expand(texts)
            ]
            texts = keep(families, beams)
        texts = end(texts)
        return torch.tensor([tokens[1:] for _, tokens in texts]), torch.tensor([score for score, _ in texts])

    return answer


def _best_of_each_beam(families, beams):
    descending = [sorted(family, key=lambda text: -text[0]) for family in families]
    if len(families) == 1:  # the first step
        return descending[0][:beams]
    return sorted((family[0] for family in descending), key=lambda text: -text[0])


def _beam_cases(seed: int) -> Iterator[Case]:
    """Models for which a single beam, or one more than asked for, finds something else."""
    generator = torch.Generator().manual_seed(seed)
    for stage, bos, beams, steps, vocabulary in (
        ("two steps", 1, 2, 2, 7),
        ("two steps", 0, 3, 2, 5),
        ("more steps", 1, 3, 4, 7),
        ("more steps", 2, 4, 5, 6),
        ("more steps", 3, 1, 3, 8),
    ):
        for _ in range(1_000):
            w = _tiny_weights(generator, vocabulary, 0.8)
            right = _tensor_beam(w, bos, beams, steps)[0].tolist()
            others = (_tensor_beam(w, bos, n, steps)[0][:beams].tolist() for n in (beams + 1, 1))
            if beams == 1 or all(other != right[: len(other)] for other in others):
                break
        yield Case(stage, (w, bos, beams, steps))


def _reference_beam(w, bos, beams, steps):
    search = beam_search(_TinyModel(w), torch.tensor([[bos]]), max_new_tokens=steps, beams=beams, length_penalty=0.0)
    return search.tokens[0], search.scores[0]


def _tensor_beam(w, bos, beams, steps):
    texts, scores = [[bos]], torch.zeros(1)
    for _ in range(steps):
        logs = torch.stack([_next_logits(text, w) for text in texts]).log_softmax(-1)
        total = (scores[:, None] + logs).flatten()
        scores, chosen = total.topk(min(beams, len(total)))
        texts = [[*texts[i // logs.shape[1]], i % logs.shape[1]] for i in chosen.tolist()]
    return torch.tensor(texts)[:, 1:], scores


def _with_bos(w, bos, beams, steps):
    texts, scores = _tensor_beam(w, bos, beams, steps)
    return torch.cat((torch.full_like(texts[:, :1], bos), texts), dim=1), scores


BEAM = Exercise(
    id="4.7",
    title="Beam search",
    kind="implement",
    name="beam_decode",
    minutes=30,
    stars=3,
    cases=_beam_cases,
    stages=(
        Stage("two steps", "two beams, two steps", 2, "write down all candidates of the second step, and their sums."),
        Stage("more steps", "more beams and steps", 2, "which beginnings are kept after each step?"),
    ),
    reference=_reference_beam,
    misconceptions=(
        Misconception(
            _beam_with(begin=lambda bos, beams: [(0.0, [bos])] * beams),
            "All your beams are the same text. They began as copies of `[bos]`, and equal texts have equal best "
            "continuations: begin with one.",
        ),
        Misconception(
            _beam_with(expand=lambda texts: texts[:1]),
            "Only your best beam is continued, which is greedy with a list of runners-up. Every one of them goes on.",
        ),
        Misconception(
            _beam_with(keep=_best_of_each_beam),
            "Each of your beams goes on with its own best token. All continuations of all beams compete for the places: "
            "two may come from one beam, and none from another.",
        ),
        Misconception(
            _beam_with(add=lambda before, log: log),
            "You rank by the last token alone. A beginning counts with the *sum* of its log-probabilities.",
        ),
        Misconception(
            _beam_with(logs=lambda logits: logits),
            "You add up logits. They are comparable within one step, not between beams: normalise them first.",
        ),
        Misconception(
            _beam_with(logs=lambda logits: logits.softmax(-1)),
            "You add up probabilities. Probabilities multiply, so it is their logarithms that are added.",
        ),
        Misconception(
            _beam_with(keep=lambda families, beams: sorted(chain(*families), key=lambda text: text[0])[:beams]),
            "You keep the *worst* beginnings: log-probabilities are negative, and the largest is the best.",
        ),
        Misconception(
            _beam_with(end=lambda texts: texts[::-1]),
            "Your texts are right, but the best comes last. It belongs in the first row.",
        ),
        Misconception(
            _beam_with(end=lambda texts: [(score / (len(tokens) - 1), tokens) for score, tokens in texts]),
            "Your texts are right; your scores are divided by their length. The plain sums are asked for.",
        ),
        Misconception(
            lambda w, bos, beams, steps: tuple(kept[:beams] for kept in _tensor_beam(w, bos, beams + 1, steps)),
            "You keep one beginning too many in each step, and drop it at the end: it has pushed its way to the front.",
        ),
        Misconception(
            _with_bos,
            "`bos` is part of your texts. It was given, and only new tokens are to be returned.",
        ),
        Misconception(
            _beam_with(end=lambda texts: texts[:1]),
            "You return the best text only. All texts that were kept in the last step are asked for.",
        ),
    ),
    alternatives=(_tensor_beam, _beam_with()),
    hints=(
        "Keep a list of pairs (score, tokens), which begins as `[(0.0, [bos])]`. In each step make *all* continuations of "
        "*all* of them, then keep the best.",
        "Python compares pairs by their first entry. When all continuations of all beginnings stand in one sorted list, which end "
        "of it do you keep, and how much?",
    ),
    success="Right. With as many beams as there are texts it would be exhaustive search; with one it is greedy.",
)


# ------------------------------------------------------------------------------------- 4.8 repair the cross-attention


def _cross_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for i, (stage, target, source, lengths) in enumerate(
        (
            ("equal lengths", 4, 4, (4, 4)),
            ("equal lengths", 3, 3, (3, 3, 3)),
            ("equal lengths", 1, 1, (1,)),
            ("shape", 2, 5, (5, 5)),
            ("shape", 1, 3, (3,)),
            ("padding", 3, 6, (6, 3)),
            ("padding", 4, 4, (2,)),
        )
    ):
        d, batch = 5 + (seed + i) % 3, len(lengths)
        mask = torch.arange(source) < torch.tensor(lengths)[:, None, None]
        weights = [_randn(generator, d, d) * 1.5 / d**0.5 for _ in range(3)]
        yield Case(stage, (_randn(generator, batch, target, d), _randn(generator, batch, source, d), mask, *weights))


def _cross_with(
    *,
    sources: Callable = lambda x, memory: (x, memory, memory),
    score: Callable = lambda query, key: query @ key.mT,
    scale: Callable = lambda d: math.sqrt(d),
    hide: Callable = lambda scores, mask: scores.masked_fill(~mask, -math.inf),
    axis: int = -1,
) -> Callable:
    """Cross-attention with one of its choices replaced."""

    def answer(x, memory, memory_mask, w_query, w_key, w_value):
        for_query, for_key, for_value = sources(x, memory)
        query, key, value = for_query @ w_query, for_key @ w_key, for_value @ w_value
        scores = score(query, key) / scale(query.shape[-1])
        return hide(scores, memory_mask).softmax(axis) @ value

    return answer


def _given_cross(x, memory, memory_mask, w_query, w_key, w_value):
    query, key, value = memory @ w_query, x @ w_key, x @ w_value
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(~memory_mask.mT, -1e9).softmax(-1) @ value


def _reference_cross(x, memory, memory_mask, w_query, w_key, w_value):
    layer = MultiHeadAttention(len(w_query), 1, bias=False)
    with torch.no_grad():
        for linear, weight in ((layer.query, w_query), (layer.key, w_key), (layer.value, w_value)):
            linear.weight.copy_(weight.T)
        layer.output.weight.copy_(torch.eye(len(w_query)))
        return layer(x, memory, memory_mask[:, None])


def _loop_cross(x, memory, memory_mask, w_query, w_key, w_value):
    rows = []
    for sentence, read, seen in zip(x, memory, memory_mask, strict=True):
        words = read[seen[0]]  # without the padding
        for row in sentence:
            weights = (words @ w_key @ (row @ w_query) / len(row) ** 0.5).softmax(0)
            rows.append(weights @ words @ w_value)
    return torch.stack(rows).view(*x.shape)


REPAIR_CROSS = Exercise(
    id="4.8",
    title="Repair: who asks whom?",
    kind="repair",
    name="repaired_cross_attention",
    minutes=15,
    stars=2,
    cases=_cross_cases,
    stages=(
        Stage("shape", "one output for each target word", 1, "what does the shape of your result depend on?"),
        Stage("equal lengths", "the right numbers", 1, "who asks, who is asked, and who answers?"),
        Stage(
            "padding", "a padded source", 1, "`memory_mask` is (batch, 1, source): which axis of the scores is that?"
        ),
    ),
    reference=_reference_cross,
    given=_given_cross,
    misconceptions=(
        Misconception(
            _cross_with(sources=lambda x, memory: (x, memory, x)),
            "Queries and keys are right. The *values* still come from the target, so that the decoder reads its own words.",
        ),
        Misconception(
            _cross_with(sources=lambda x, memory: (x, x, memory)),
            "The keys still come from the target. A key belongs to what can be read, as the value does.",
        ),
        Misconception(
            _cross_with(sources=lambda x, memory: (x, x, x), hide=lambda scores, mask: scores),
            "All three come from the target now: that is self-attention, and nothing reaches the decoder from the encoder.",
        ),
        Misconception(
            _cross_with(sources=lambda x, memory: (memory, memory, memory)),
            "All three come from the memory now: that is the encoder's self-attention once more.",
        ),
        Misconception(
            _cross_with(hide=lambda scores, mask: scores),
            "The mask has gone: the decoder reads the source's padding.",
        ),
        Misconception(
            _cross_with(hide=lambda scores, mask: scores.masked_fill(mask, -math.inf)),
            "The mask is inverted: it is True where a source word *may* be read.",
        ),
        Misconception(
            _cross_with(axis=-2),
            "Your weights sum to 1 over the target words. Each target word shares out its attention over the source.",
        ),
        Misconception(
            _cross_with(scale=lambda d: 1.0),
            "The scale has gone: the scores are divided by √d.",
        ),
    ),
    alternatives=(_loop_cross, _cross_with()),
    hints=(
        "The decoder wants to know something. Who asks the question?",
        "Count rows: how many has the result, and how many should it have? What decides on the number of rows in attention?",
    ),
    success="Right. With x and memory exchanged, the encoder would have asked the decoder.",
)


# ---------------------------------------------------------------------------------------------------- 4.9 and 4.10

_D, _FF = 512, 2048
_ATTENTION = 4 * (_D * _D + _D)
_FEED_FORWARD = 2 * _D * _FF + _FF + _D
_NORM = 2 * _D

BLOCK_SIZES = Exercise(
    id="4.9",
    title="What does a block cost?",
    kind="predict",
    name="block_sizes",
    minutes=10,
    stars=1,
    stages=(
        Stage("attention", "multi-head attention", 1, "four matrices, four biases.", lambda v: v[0]),
        Stage("feed-forward", "the feed-forward network", 1, "up and down, each with its bias.", lambda v: v[1]),
        Stage("decoder block", "a decoder block", 1, "how many attentions, and how many norms?", lambda v: v[2]),
    ),
    reference=(_ATTENTION, _FEED_FORWARD, 2 * _ATTENTION + _FEED_FORWARD + 3 * _NORM),
    misconceptions=(
        Misconception(
            (3 * (_D * _D + _D), _FEED_FORWARD, 2 * _ATTENTION + _FEED_FORWARD + 3 * _NORM),
            "You counted queries, keys and values. The heads' results go through a fourth matrix, $W^O$.",
        ),
        Misconception(
            (8 * _ATTENTION, _FEED_FORWARD, 2 * _ATTENTION + _FEED_FORWARD + 3 * _NORM),
            "You counted the matrices once for each head. Heads share out the width: eight of 64 columns make one matrix.",
        ),
        Misconception(
            (4 * _D * _D, 2 * _D * _FF, 2 * 4 * _D * _D + 2 * _D * _FF),
            "The matrices are right; every linear layer here has a bias, too.",
        ),
        Misconception(
            (_ATTENTION, _D * _FF + _FF, 2 * _ATTENTION + _FEED_FORWARD + 3 * _NORM),
            "That is the way up. The feed-forward network also comes down again.",
        ),
        Misconception(
            (_ATTENTION, 2 * _D * _FF + 2 * _FF, 2 * _ATTENTION + _FEED_FORWARD + 3 * _NORM),
            "A bias is as wide as what its layer gives: 2048 on the way up, 512 on the way down.",
        ),
        Misconception(
            (_ATTENTION, _FEED_FORWARD, _ATTENTION + _FEED_FORWARD + 2 * _NORM),
            "That is an *encoder* block. The decoder's has a second attention, and a norm for it.",
        ),
        Misconception(
            (_ATTENTION, _FEED_FORWARD, 2 * _ATTENTION + _FEED_FORWARD),
            "The norms are missing: each of the three sublayers has one, with γ and β.",
        ),
        Misconception(
            (_ATTENTION, _FEED_FORWARD, 2 * _ATTENTION + _FEED_FORWARD + 3 * _D),
            "A norm has γ *and* β, 512 numbers each.",
        ),
    ),
    hints=(
        "A linear layer from m to n numbers has $m \\cdot n$ weights and n biases.",
        "A decoder block: two attentions, one feed-forward network, and three norms with two vectors each.",
    ),
    success="Right: two thirds of an encoder block are feed-forward, half of a decoder block.",
)

_MASK = {
    "A": "The mask makes training faster, since the scores above the diagonal need not be computed, nor their gradients.",
    "B": "Without it gradients of later words would reach earlier ones, and the optimisation would not converge.",
    "C": "Without it the attention weights would not sum to 1 over the words that exist in a batch of unequal sentences.",
    "D": "Without it each position reads the word that it is to predict, learns to copy it, and cannot generate.",
    "E": "Without it the decoder could see the padding of shorter sentences, and would learn to predict padding after every "
    "word.",
}

WHY_MASK = Exercise(
    id="4.10",
    title="Why a mask?",
    kind="choose",
    name="why_mask",
    minutes=5,
    stars=1,
    options=_MASK,
    stages=(
        Stage("choice", "the reason", 2, "in section 4.9 the loss fell to nearly nothing. Why is that no success?"),
    ),
    reference="D",
    misconceptions=(
        Misconception(
            "A", "A: a mask costs a little; at best a kernel can skip what is masked. It is not why it is there."
        ),
        Misconception(
            "B",
            "B: the loss without a mask did converge, and to less than with one. That was the problem, not the cure.",
        ),
        Misconception("C", "C: a softmax sums to 1 with and without a mask. It only has more or fewer terms."),
        Misconception(
            "E",
            "E: that is the padding mask's work. A target's padding comes *after* its words, and counts in no loss.",
        ),
    ),
    hints=("Compare what the decoder can read in training and in generation, at the same position.",),
    success="D. A model learns the easiest thing that lowers its loss; the mask takes the easy way away.",
)


EXERCISES = (
    SHIFT,
    LOSS,
    SMOOTHING,
    LAYER_NORM,
    DECODER_BLOCK,
    GREEDY,
    BEAM,
    REPAIR_CROSS,
    BLOCK_SIZES,
    WHY_MASK,
)

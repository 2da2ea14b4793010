"""Preferences: from *this answer is better than that one* to a model that gives such answers.

Two steps follow pre-training. *Supervised fine-tuning* shows the model prompts with good answers; its loss is the
usual one, on the answer's tokens only: `prompts_and_answers` makes such batches, `training.token_loss` learns from
them. *Direct preference optimisation* then needs no good answers, only pairs of which somebody preferred one:

    tokens, labels = prompts_and_answers(prompts, preferred)
    worse = prompts_and_answers(prompts, others)
    with torch.no_grad():  # once: the reference does not change
        margin = answer_log_probability(reference, tokens, labels) - answer_log_probability(reference, *worse)
    train(model, lambda step, generator: (tokens, labels, *worse, margin), loss=partial(dpo_loss, beta=0.1), ...)

`drift` measures how far the model has moved from where it began.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from largemodels.attention import at_least_float32
from largemodels.losses import IGNORE


def prompts_and_answers(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], *, pad: int = 0
) -> tuple[Tensor, Tensor]:
    """Each prompt with its answer as one text, for a model that reads from left to right.

    Args:
        prompts: token ids, at least one in each.
        answers: token ids, the end-of-text token included where the model is to learn to stop.
        pad: fills shorter texts, after their end, where no token that counts can see it.

    Returns:
        ``(tokens, labels)``, both ``(batch, length)``: what is read, and the token that follows, `IGNORE` wherever it
        does not belong to the answer.
    """
    if len(prompts) != len(answers):
        raise ValueError(f"each prompt needs an answer, got {len(prompts)} prompts and {len(answers)} answers")
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        if len(prompt) == 0 or len(answer) == 0:
            raise ValueError(f"text {number} has an empty {'answer' if len(prompt) else 'prompt'}; leave it out")
    texts = [torch.tensor([*prompt, *answer]) for prompt, answer in zip(prompts, answers, strict=True)]
    labels = [
        torch.tensor([*[IGNORE] * (len(prompt) - 1), *answer]) for prompt, answer in zip(prompts, answers, strict=True)
    ]
    tokens = pad_sequence([text[:-1] for text in texts], batch_first=True, padding_value=pad)
    return tokens, pad_sequence(labels, batch_first=True, padding_value=IGNORE)


def answer_log_probability(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """log P(answer | prompt) = Σₜ log p(yₜ | prompt, y₁ … yₜ₋₁), ``(batch,)``; see `prompts_and_answers`."""
    logits = at_least_float32(model(tokens))
    return -F.cross_entropy(logits.mT, labels, ignore_index=IGNORE, reduction="none").sum(dim=-1)


def dpo_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor, Tensor, Tensor, Tensor], *, beta: float
) -> tuple[Tensor, int]:
    """−log σ(β · (margin of the model − margin of the reference)), summed over the pairs, and how many these are.

    A margin is log P(preferred answer) − log P(the other one). The model begins as a copy of the reference, with a loss
    of ln 2 for each pair.
    Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7.

    Args:
        model: the one that learns.
        batch: tokens and labels of the preferred answers, tokens and labels of the others, and the margins that the
            reference gives, ``(batch,)``.
        beta: how much it costs to leave the reference: the larger, the closer the model stays.
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}; the smaller it is, the further the model may drift")
    preferred, preferred_labels, other, other_labels, reference_margin = batch
    margin = answer_log_probability(model, preferred, preferred_labels) - answer_log_probability(
        model, other, other_labels
    )
    return -F.logsigmoid(beta * (margin - reference_margin)).sum(), len(margin)


def drift(model: nn.Module, reference: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """Σₜ KL(model ‖ reference) of the next token, over each answer's positions: nats, ``(batch,)``, never below 0.

    If the answers were drawn from the model, the mean is an estimate without bias of the divergence KL(model ‖
    reference) between the two distributions over whole answers (the chain rule of relative entropy), with less variance
    than the mean of log P_model(answer) − log P_reference(answer).
    """
    ours, theirs = (at_least_float32(m(tokens)).log_softmax(dim=-1) for m in (model, reference))
    each = (ours.exp() * (ours - theirs)).sum(dim=-1)  # (batch, length)
    return each.masked_fill(labels == IGNORE, 0.0).sum(dim=-1)

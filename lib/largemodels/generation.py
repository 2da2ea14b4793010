"""Generation: text from a model, one token after the other, by `greedy` choice, by `sample` or by `beam_search`.

All three work with decoder-only models (the prompt is the beginning of the text) and with encoder-decoders (the
prompt is the token that starts every target, and there is a source to read). What they ask of a model is a `Writer`:

    state = model.start(max_length, ...)
    logits = model.step(tokens, state)

The state is a `stacks.DecoderState`: with its caches of keys and values a step costs one position, however long the
text has become. Everything runs without gradients and with dropout off; the model is left as it was found.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from largemodels.attention import at_least_float32
from largemodels.stacks import DecoderState, Stack

# When `weights_by_input` saves more time than its copies take.
FEWEST_TOKENS = 32
SMALLEST_COPY = 2**21  # numbers, 8 MB; the weights of a smaller model stay in the processor's cache from token to token
LARGEST_COPY = 2**28  # numbers, 1 GB; for a larger model memory matters more than time


class Writer(Protocol):
    """A model that writes one token after the other: `gpt.GPT`, and every `encoder_decoder.EncoderDecoder`."""

    def start(self, max_length: int, *inputs: Any, **options: Any) -> DecoderState:
        """An empty memory with room for `max_length` tokens.

        An encoder-decoder is also given the source and its mask, and reads them here, once; others perhaps a mask.
        """
        ...

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Reads the tokens that come next, ``(batch, new)``; logits of the token after the last, ``(batch, vocab_size)``."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """All parts of the model, as every `nn.Module` has them."""
        ...


def greedy(
    model: Writer,
    prompt: Tensor | int,
    *,
    source: Tensor | None = None,
    mask: Tensor | None = None,
    max_new_tokens: int,
    eos: int | None = None,
) -> Tensor:
    """Always the most probable next token.

    Args:
        model: the one that writes.
        prompt: token ids ``(batch, length)`` to go on from, or one token that begins every target.
        source: what an encoder-decoder reads, ``(batch, source)``.
        mask: ``(batch, 1, 1, length)``, True where the source (without a source: the prompt) holds a token. Shorter
            sources are padded after the last token, shorter prompts *before the first*: the next token follows.
        max_new_tokens: the limit.
        eos: the token that ends a text; without one, all run to the limit.

    Returns:
        The new tokens ``(batch, new)``. A text that has ended is followed by `eos` up to the length of the longest.

    Raises:
        ValueError: an empty prompt, a prompt padded on the wrong side, more positions than the model has, a limit
            below 1, a source where there is no encoder, or none where there is one, a model that computes NaN.
    """
    return _generate(model, prompt, source, mask, max_new_tokens, eos, choose=lambda logits: logits.argmax(dim=-1))


def sample(
    model: Writer,
    prompt: Tensor | int,
    *,
    source: Tensor | None = None,
    mask: Tensor | None = None,
    max_new_tokens: int,
    eos: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A next token drawn at random from `next_token_probabilities`; otherwise as `greedy`."""

    def choose(logits: Tensor) -> Tensor:
        probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)

    return _generate(model, prompt, source, mask, max_new_tokens, eos, choose)


def next_token_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Logits ``(..., vocab_size)`` to the probabilities that `sample` draws from, changed in this order.

    Args:
        logits: of the next token.
        temperature: divides the logits. Below 1 the probable becomes more probable; 0 leaves only the most probable.
        top_k: keep only the k most probable tokens. Source: Fan, Lewis & Dauphin 2018 (arXiv 1805.04833).
        top_p: keep only the most probable tokens that together reach the probability p; the one that crosses p is
            kept. Source: Holtzman et al. 2019 (arXiv 1904.09751), *nucleus sampling*.

    Raises:
        ValueError: a negative or infinite temperature, top_k below 1, top_p outside (0, 1], logits of which none is a
            finite number, or one is NaN or +∞.
    """
    if temperature < 0:
        raise ValueError(f"a temperature must not be negative, got {temperature}; 0 always takes the most probable")
    if not temperature < math.inf:
        raise ValueError(f"a temperature must be a finite number, got {temperature}; 1 leaves the probabilities alone")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must leave at least 1 token to choose from, got {top_k}; None leaves all")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be a probability in (0, 1], got {top_p}; 1 leaves all tokens")
    logits = at_least_float32(logits)  # else the probabilities of a large vocabulary do not sum to 1
    largest, most_probable = _largest(logits)
    if temperature < torch.finfo(torch.float32).tiny:  # 0, or so close to it that no number can be divided by it
        return nn.functional.one_hot(most_probable, logits.shape[-1]).to(logits.dtype)
    logits = (logits - largest.unsqueeze(-1)) / temperature  # the largest is 0: none becomes +∞
    if top_k is not None and top_k < logits.shape[-1]:
        smallest_kept = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < smallest_kept, -torch.inf)
    probabilities = logits.softmax(dim=-1)
    if top_p is not None and top_p < 1:
        descending, order = probabilities.sort(dim=-1, descending=True)
        before = descending.cumsum(dim=-1) - descending  # what the more probable tokens reach without this one
        crossed = before >= top_p
        crossed[..., :1] = False  # the first one stays, however small p is
        kept = descending.masked_fill(crossed, 0.0)
        probabilities = torch.zeros_like(kept).scatter(-1, order, kept)
        probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
    return probabilities


def _largest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits ``(..., vocab_size)`` to the largest and its token, ``(...)`` each.

    Raises:
        ValueError: it is no finite number. Among numbers of which one is NaN, NaN counts as the largest.
    """
    token = logits.argmax(dim=-1)
    largest = logits.gather(-1, token.unsqueeze(-1)).squeeze(-1)
    if not (finite := largest.isfinite()).all():
        raise ValueError(
            f"the most probable token must have a finite logit, got {largest[~finite][0].item()}: the model computes no "
            "probabilities; look for weights that are NaN, or for a mask that leaves no token"
        )
    return largest, token


class BeamStep(NamedTuple):
    """One step of a beam search: the best continuations of all beams, 2·beams of them, best first.

    Attributes:
        parent: ``(batch, 2·beams)``, the beam that each continues.
        token: ``(batch, 2·beams)``, the token it adds.
        log_probability: ``(batch, 2·beams)``, of the whole text up to and with this token.
        kept: ``(batch, beams)``, which of them are the beams of the next step.
    """

    parent: Tensor
    token: Tensor
    log_probability: Tensor
    kept: Tensor


class BeamSearch(NamedTuple):
    """What a beam search found, the best first, and how.

    Attributes:
        tokens: the new tokens ``(batch, beams, new)``; a text that has ended is followed by `eos`.
        scores: ``(batch, beams)``, log-probability / length^length_penalty; −∞ where fewer texts than beams exist.
        steps: the tree that was searched, one `BeamStep` for each token.
    """

    tokens: Tensor
    scores: Tensor
    steps: list[BeamStep]


def beam_search(
    model: Writer,
    prompt: Tensor | int,
    *,
    source: Tensor | None = None,
    mask: Tensor | None = None,
    max_new_tokens: int,
    eos: int | None = None,
    beams: int = 4,
    length_penalty: float = 1.0,
    patient: bool = False,
) -> BeamSearch:
    """Follow the `beams` most probable beginnings side by side, and return the best texts that end.

    A text ends with `eos` or at the limit. Its score is its log-probability / length^length_penalty: 0 prefers short
    texts, 1 compares the mean log-probability of a token, more prefers long ones. (Wu et al. 2016, arXiv 1609.08144,
    section 7, take ((5 + length) / 6)^α instead.) A sentence is done when its `beams` best finished texts all score
    at least what its best unfinished one would score if it ended now; with `patient`, only when not even one that goes
    on to the limit at no further cost would be better: slower, and never stops before a better text.

    The other arguments are those of `greedy`.
    """
    if not isinstance(beams, Integral) or beams < 1:
        raise ValueError(f"a beam search needs at least one beam, a whole number of them, got beams={beams}")
    if not math.isfinite(length_penalty):
        raise ValueError(
            f"length_penalty must be a finite number, got {length_penalty}; 0 compares the log-probabilities as they are"
        )
    with _generating(model, max_new_tokens):
        prompt, state = _start(model, prompt, source, mask, max_new_tokens, eos)
        batch, device = len(prompt), prompt.device
        logits = model.step(prompt, state)  # (batch, vocab_size)
        vocab_size = logits.shape[-1]
        if vocab_size < 2:
            raise ValueError("a vocabulary of one token leaves nothing to search")
        state.repeat(beams)
        logits = logits.repeat_interleave(beams, dim=0)  # (batch·beams, vocab_size)

        first_row = torch.arange(0, batch * beams, beams, device=device)[:, None]  # (batch, 1)
        # All beams begin as the same text: only the first counts, or all would stay the same.
        running_score = torch.full((batch, beams), -torch.inf, device=device)
        running_score[:, 0] = 0.0
        running = torch.zeros(batch, beams, 0, dtype=torch.long, device=device)
        ended_score = torch.full((batch, beams), -torch.inf, device=device)
        filler = 0 if eos is None else eos
        ended = torch.full((batch, beams, max_new_tokens), filler, device=device)
        done = torch.zeros(batch, 1, dtype=torch.bool, device=device)
        steps = []

        _largest(logits)  # must be finite, as in `_generate`
        for length in range(1, max_new_tokens + 1):
            log_probability = at_least_float32(logits).log_softmax(dim=-1).view(batch, beams, vocab_size)
            score = running_score.unsqueeze(-1) + log_probability  # (batch, beams, vocab_size)
            # Twice as many as there are beams: even if half of them end, enough go on.
            score, index = score.flatten(1).topk(2 * beams)  # (batch, 2·beams)
            parent, token = index // vocab_size, index % vocab_size
            text = torch.cat([_take(running, parent), token.unsqueeze(-1)], dim=-1)  # (batch, 2·beams, length)

            ends = token == eos if eos is not None else torch.zeros_like(token, dtype=torch.bool)
            running_score, kept = score.masked_fill(ends, -torch.inf).topk(beams)  # (batch, beams)
            steps.append(BeamStep(parent, token, score, kept))

            # Texts that end enter the list of the best, if they are among the first `beams` candidates.
            if length == max_new_tokens:
                ends = torch.ones_like(ends)
            new_score = (score / length**length_penalty)[:, :beams].masked_fill(~ends[:, :beams] | done, -torch.inf)
            new_text = nn.functional.pad(text[:, :beams], (0, max_new_tokens - length), value=filler)
            ended_score, best = torch.cat([ended_score, new_score], dim=1).topk(beams)
            ended = _take(torch.cat([ended, new_text], dim=1), best)

            running = _take(text, kept)
            final_length = max_new_tokens if patient and length_penalty > 0 else length
            done |= running_score[:, :1] / final_length**length_penalty <= ended_score[:, -1:]
            if length == max_new_tokens or done.all():
                break
            state.reorder((first_row + parent.gather(1, kept)).flatten())
            logits = model.step(running[:, :, -1].reshape(-1, 1), state)
    ended = ended.masked_fill(ended_score.isinf().unsqueeze(-1), filler)
    if eos is not None:  # the search may have gone on longer than the texts it found
        length = min(length, int((ended != eos).any(dim=1).any(dim=0).sum()) + 1)
    return BeamSearch(ended[:, :, :length], ended_score.clone(), [BeamStep(*map(torch.clone, step)) for step in steps])


def _take(texts: Tensor, index: Tensor) -> Tensor:
    """``(batch, n, length)`` and ``(batch, k)`` to the k chosen texts ``(batch, k, length)``."""
    return texts.gather(1, index.unsqueeze(-1).expand(-1, -1, texts.shape[-1]))


def _generate(
    model: Writer,
    prompt: Tensor | int,
    source: Tensor | None,
    mask: Tensor | None,
    max_new_tokens: int,
    eos: int | None,
    choose: Callable[[Tensor], Tensor],
) -> Tensor:
    """Step by step, `choose` turns logits ``(batch, vocab_size)`` into the next tokens ``(batch,)``."""
    with _generating(model, max_new_tokens):
        tokens, state = _start(model, prompt, source, mask, max_new_tokens, eos)
        ended = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        new: list[Tensor] = []
        for _ in range(max_new_tokens):
            logits = model.step(tokens, state)  # (batch, vocab_size)
            if not new:  # weights that are NaN show at once; to look again at each token would cost some per cent of it
                _largest(logits)
            chosen = choose(logits)  # (batch,)
            if eos is not None:
                chosen = chosen.masked_fill(ended, eos)
                ended |= chosen == eos
            new.append(chosen)
            if eos is not None and ended.all():
                break
            tokens = chosen[:, None]  # (batch, 1)
    return torch.stack(new, dim=1)  # (batch, new)


def _start(
    model: Writer,
    prompt: Tensor | int,
    source: Tensor | None,
    mask: Tensor | None,
    max_new_tokens: int,
    eos: int | None,
) -> tuple[Tensor, DecoderState]:
    """Check the arguments; the prompt as a tensor, and the model's state before it."""
    if not isinstance(max_new_tokens, Integral) or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be a whole number of at least 1, got {max_new_tokens}")
    if eos is not None and not isinstance(eos, Integral | Tensor):
        raise TypeError(
            f"eos must be the id of one token, got {eos!r}; of several give one, and cut the text at the others"
        )
    if hasattr(model, "encode") != (source is not None):
        raise ValueError(
            "this model has no encoder: give all of the text as the prompt, without a source"
            if source is not None
            else "this model has an encoder: give it a source to read, and begin the target with the prompt"
        )
    if isinstance(prompt, int):
        if source is None:
            raise ValueError(f"a prompt is a tensor of token ids (batch, length), got the number {prompt}")
        prompt = source.new_full((len(source), 1), prompt)
    if not isinstance(prompt, Tensor):
        raise TypeError(
            f"a prompt is a tensor of token ids (batch, length), got a {type(prompt).__name__}; use torch.tensor"
        )
    if source is not None and len(source) != len(prompt):
        raise ValueError(f"each source needs a prompt, got {len(source)} sources and {len(prompt)} prompts")
    if prompt.dim() != 2 or prompt.numel() == 0:
        raise ValueError(
            f"a prompt needs the shape (batch, length) and at least one token, got {tuple(prompt.shape)}; "
            "begin with the token that starts a text, if there is nothing else"
        )
    room = prompt.shape[1] + max_new_tokens - 1  # the last token is chosen, never read
    if source is not None:
        return prompt, model.start(room, source, mask)
    if mask is not None and not mask[..., -1].all():
        raise ValueError("shorter prompts must be padded before their first token, but this mask hides a last one")
    return prompt, model.start(room, mask)


@contextmanager
def _generating(model: Writer, max_new_tokens: int) -> Iterator[None]:
    """Dropout off, weights in the order that is fastest for one row, and afterwards each part of the model as it was.

    Inside, torch records nothing for gradients. Tensors that are made there can never be part of a backward pass: what
    is to be returned is made, or copied, outside.
    """
    modules = list(model.modules())
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        with weights_by_input(_worth_a_copy(modules, max_new_tokens)), torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def weights_by_input(layers: Iterable[nn.Linear]) -> Iterator[None]:
    """While a ``with`` block runs, the layers' weights ``(out, in)`` lie in memory as (in, out).

    A model writes one token at a time, and one row times a matrix takes the time of reading the matrix: on a CPU that
    is faster in this order, unless the row is longer than what comes out. (With many rows, as in training, the order
    does not matter.) The numbers are the same. They are copied, once for all tokens that are to come; the model's own
    parameters are not changed, and are put back at the end of the block, after an error, too.
    """
    own = [(layer, layer.weight) for layer in layers]
    try:
        for layer, weight in own:
            layer.weight = nn.Parameter(weight.detach().T.contiguous().T, requires_grad=False)
        yield
    finally:
        for layer, weight in own:
            layer.weight = weight


def _worth_a_copy(modules: list[nn.Module], max_new_tokens: int) -> list[nn.Linear]:
    """The layers that `weights_by_input` is to lay anew: all that gain and are read for each token, or none."""
    if max_new_tokens < FEWEST_TOKENS:
        return []
    encoders = [one for one in modules if isinstance(one, Stack) and not all(block.causal for block in one.blocks)]
    read_once = {part for encoder in encoders for part in encoder.modules()}
    layers = [one for one in modules if isinstance(one, nn.Linear) and one not in read_once and _gains_by_input(one)]
    return layers if SMALLEST_COPY <= sum(layer.weight.numel() for layer in layers) <= LARGEST_COPY else []


def _gains_by_input(layer: nn.Linear) -> bool:
    weight = layer.weight
    # A weight that someone has pruned, quantised or distributed is no plain parameter, and managed by others.
    plain = type(weight) is nn.Parameter and weight.device.type == "cpu" and weight.dtype == torch.float32
    return plain and weight.shape[0] >= weight.shape[1]

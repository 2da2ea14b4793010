"""Exercises of chapter 7, the GPT family."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import generation, preferences
from ...gpt import GPT, GPTConfig
from ...masks import banded_causal_mask, causal_mask
from ..comparing import within
from ..exercise import Case, Exercise, Misconception, Stage

# ------------------------------------------------------------------------------------------ 7.1 the next-token loss


def _loss_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def texts(lengths: list[int], vocab: int) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.tensor(lengths)
        longest = int(lengths.max())
        tokens = torch.randint(vocab, (len(lengths), longest), generator=generator)
        logits = 2 * torch.randn(len(lengths), longest, vocab, generator=generator)
        return logits, tokens, lengths

    yield Case("no padding", texts([6, 6], 7))
    yield Case("padding", texts([9, 3, 5 + seed % 3], 11))
    yield Case("padding", texts([2, 8], 5))


def _loss_with(
    *,
    shift: Callable = lambda logits, tokens: (logits[:, :-1], tokens[:, 1:]),
    counts: Callable = lambda place, lengths: place < lengths - 1,
    mean: Callable = lambda losses, real: losses[real].mean(),
) -> Callable:
    """The loss written out, with its shift, what counts as a target, or the mean replaced."""

    def answer(logits, tokens, lengths):
        predictions, targets = shift(logits, tokens)
        losses = -predictions.log_softmax(-1).gather(2, targets[:, :, None]).squeeze(2)
        real = counts(torch.arange(targets.shape[1]), lengths[:, None]).expand_as(targets)
        return mean(losses, real)

    return answer


def _reference_loss(logits, tokens, lengths):
    targets = tokens[:, 1:].masked_fill(torch.arange(1, tokens.shape[1]) >= lengths[:, None], -100)
    return F.cross_entropy(logits[:, :-1].mT, targets)


def _loop_loss(logits, tokens, lengths):
    total, count = torch.tensor(0.0), 0
    for b in range(len(tokens)):
        for t in range(lengths[b] - 1):
            total, count = total - logits[b, t].log_softmax(-1)[tokens[b, t + 1]], count + 1
    return total / count


LOSS = Exercise(
    id="7.1",
    title="The loss that trains every GPT",
    kind="implement",
    name="next_token_loss",
    minutes=20,
    stars=2,
    cases=_loss_cases,
    stages=(
        Stage("no padding", "texts of one length", 2, "which token is the logits at position t a prediction of?"),
        Stage("padding", "texts of different lengths", 2, "how many predictions does a text of n tokens make?"),
    ),
    reference=_reference_loss,
    misconceptions=(
        Misconception(
            _loss_with(shift=lambda logits, tokens: (logits, tokens), counts=lambda place, lengths: place < lengths),
            "You compare the logits at position t with token t, the token that the model has just *read*. The shift is "
            "missing: a model trained so learns to repeat, and its loss falls to nearly 0.",
        ),
        Misconception(
            _loss_with(shift=lambda logits, tokens: (logits[:, 1:], tokens[:, :-1])),
            "Your shift goes the wrong way: the logits at position t are compared with token t − 1, which the model has "
            "already seen.",
        ),
        Misconception(
            lambda logits, tokens, lengths: F.cross_entropy(logits[:, :-1].mT, tokens[:, 1:]),
            "Your mean runs over the padding, too. What stands after the end of a text is no target.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: (losses * real).sum() / real.numel()),
            "You leave the padding out of the sum but count it in the number you divide by. Divide by the number of real "
            "targets.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: ((losses * real).sum(1) / real.sum(1)).mean()),
            "You take the mean of each text first and then the mean of these. A token of a short text then weighs more than "
            "one of a long text; every target should count the same.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: losses[real].sum()),
            "You return the sum over the targets. Asked for is their mean.",
        ),
        Misconception(
            _loss_with(counts=lambda place, lengths: place < lengths),
            "Some of your targets are padding: the last token of a text has nothing after it, so a text of n tokens makes "
            "n − 1 predictions.",
        ),
        Misconception(
            _loss_with(mean=lambda losses, real: -losses[real].mean()),
            "The sign is turned: this is the mean log-probability. A loss is its negative.",
        ),
    ),
    alternatives=(_loop_loss, _loss_with()),
    hints=(
        "The last position of a text predicts nothing, and its first token is predicted by nobody.",
        "`logits[:, :-1]` and `tokens[:, 1:]` belong together. Then which of the targets are real?",
        "`F.cross_entropy` leaves out targets that are −100, and divides by the number of the others; it wants the "
        "vocabulary on axis 1.",
    ),
    success="Right. This one number, on enough text, is all of pre-training.",
)


# ------------------------------------------------------------------------------------------------ 7.2 three knobs


def _knob_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def logits(n: int) -> Tensor:
        return 1.5 * torch.randn(n, generator=generator)

    far_apart = torch.tensor([0.2, 3.5, -1.0, 0.7, 0.0]) + 0.1 * torch.rand(5, generator=generator)
    yield Case("temperature", (logits(6), 0.6, 6, 1.0))
    yield Case("temperature", (logits(7), 1.7, 7, 1.0))
    yield Case("top-k", (logits(9), 1.0, 3, 1.0))
    yield Case("top-k", (logits(8), 0.8, 2, 1.0))
    yield Case("top-p", (far_apart, 1.0, 5, 0.5))  # the favourite alone has more than p
    yield Case("top-p", (logits(12), 1.3, 12, 0.75))
    yield Case("top-p", (logits(11), 2.0, 6, 0.85))


def _knobs_with(
    *,
    soften: Callable = lambda logits, temperature: (logits / temperature).softmax(-1),
    keep: Callable = lambda sorted_p, p: sorted_p.cumsum(-1) - sorted_p < p,
    k: Callable = lambda k: k,
    after_k: Callable = lambda p: p / p.sum(),
    at_the_end: Callable = lambda p: p / p.sum(),
) -> Callable:
    """The three knobs written out, with one step replaced."""

    def answer(logits, temperature, top_k, top_p):
        p = soften(logits, temperature)
        p, order = p.sort(descending=True)
        p = after_k(torch.where(torch.arange(len(p)) < k(top_k), p, 0.0)) if top_k < len(logits) else p
        if top_p < 1:
            p = torch.where(keep(p, top_p), p, 0.0)
        return at_the_end(torch.zeros_like(p).scatter(-1, order, p))

    return answer


def _loop_knobs(logits, temperature, top_k, top_p):
    weights = [math.exp(x / temperature) for x in logits.tolist()]
    order = sorted(range(len(weights)), key=lambda i: -weights[i])[:top_k]
    total, reached, kept = sum(weights[i] for i in order), 0.0, {}
    for i in order:
        if reached >= top_p:
            break
        kept[i] = weights[i]
        reached += weights[i] / total
    return torch.tensor([kept.get(i, 0.0) / sum(kept.values()) for i in range(len(weights))])


KNOBS = Exercise(
    id="7.2",
    title="Temperature, top-k, top-p",
    kind="implement",
    name="draw_from",
    minutes=25,
    stars=3,
    cases=_knob_cases,
    stages=(
        Stage("temperature", "temperature", 1, "which comes first, the division or the softmax?"),
        Stage("top-k", "top-k", 1, "how many probabilities are not 0, and what is their sum?"),
        Stage("top-p", "top-p", 2, "print the sorted probabilities and what has been reached before each."),
    ),
    reference=generation.next_token_probabilities,
    misconceptions=(
        Misconception(
            _knobs_with(soften=lambda logits, temperature: logits.softmax(-1) / temperature),
            "You divide by the temperature *after* the softmax. Scaled to sum to 1, nothing of it remains: the temperature "
            "has no effect.",
        ),
        Misconception(
            _knobs_with(soften=lambda logits, temperature: logits.softmax(-1) / temperature, at_the_end=lambda p: p),
            "You divide by the temperature *after* the softmax, and your numbers no longer sum to 1.",
        ),
        Misconception(
            _knobs_with(soften=lambda logits, temperature: (logits * temperature).softmax(-1)),
            "You multiply by the temperature. A high temperature should make the table flatter; yours makes it steeper.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: (sorted_p.cumsum(-1) <= p) | (torch.arange(len(sorted_p)) == 0)),
            "You always keep the favourite, but among the others your top-p drops the token that crosses the threshold. "
            "It stays, too.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: sorted_p.cumsum(-1) <= p),
            "Your top-p drops the token that crosses the threshold. It has to stay: when the favourite alone has more than "
            "p, nothing at all would be left.",
        ),
        Misconception(
            _knobs_with(keep=lambda sorted_p, p: sorted_p >= p),
            "You keep the tokens that have a probability of p each. Top-p keeps the most probable ones until they have p "
            "*together*.",
        ),
        Misconception(
            _knobs_with(at_the_end=lambda p: p),
            "What is left after top-p does not sum to 1. Scale it at the end.",
        ),
        Misconception(
            _knobs_with(after_k=lambda p: p),
            "Your top-p measures against the whole vocabulary: either it comes before top-k, or what top-k has left is not "
            "scaled to sum to 1 before top-p looks at it.",
        ),
        Misconception(_knobs_with(k=lambda k: k + 1), "Your top-k leaves one token more than k."),
        Misconception(_knobs_with(k=lambda k: k - 1), "Your top-k leaves one token fewer than k."),
    ),
    alternatives=(_loop_knobs, _knobs_with()),
    hints=(
        "Sort the probabilities, cut, and bring what is left back into its places: `sort` also returns where everything "
        "came from.",
        "A token stays if the tokens *before* it, the more probable ones, have not yet reached p together.",
        "`p.cumsum(-1) - p` is what was reached before each token.",
    ),
    success="Right. Three knobs, one table: every text of every chatbot is drawn from something like it.",
)


# ---------------------------------------------------------------------------------------- 7.3 the mask of a chunk


def _chunk_cases(seed: int) -> Iterator[Case]:
    yield Case("first chunk", (0, 5 + seed % 3, 20))
    yield Case("second chunk", (6 + seed % 2, 4, 20))
    yield Case("second chunk", (9, 1, 30))
    yield Case("band", (7 + seed % 3, 5, 4))
    yield Case("band", (0, 8, 3))
    yield Case("band", (12, 2, 6))


def _chunk_with(
    *,
    first: Callable = lambda cached: cached,
    sees: Callable = lambda query, key, band: (key <= query) & (key > query - band),
) -> Callable:
    """The positions of the new tokens and their mask, with the first position or the rule replaced."""

    def answer(cached, new, band):
        query = torch.arange(first(cached), first(cached) + new)
        return query, sees(query[:, None], torch.arange(cached + new), band)

    return answer


def _reference_chunk(cached, new, band):
    return torch.arange(cached, cached + new), banded_causal_mask(cached + new, band)[cached:]


def _positions_restarted(cached, new, band):
    return torch.arange(new), _reference_chunk(cached, new, band)[1]


def _mask_of_the_first_chunk(cached, new, band):
    """tril without a diagonal: right for the first chunk, and for the second as if its tokens stood at the beginning."""
    return torch.arange(cached, cached + new), torch.ones(new, cached + new, dtype=torch.bool).tril().triu(1 - band)


def _only_the_new(cached, new, band):
    return torch.arange(cached, cached + new), banded_causal_mask(new, band)


def _everything_new(cached, new, band):
    positions, mask = _reference_chunk(cached, new, band)
    mask[:, cached:] = True
    return positions, mask


def _built_chunk(cached, new, band):
    old = torch.ones(new, cached, dtype=torch.bool)
    mask = torch.cat((old, causal_mask(new)), dim=1).triu(cached - band + 1)
    return torch.arange(new) + cached, mask


CHUNK = Exercise(
    id="7.3",
    title="The second chunk",
    kind="implement",
    name="chunk",
    minutes=20,
    stars=2,
    cases=_chunk_cases,
    stages=(
        Stage("first chunk", "nothing is cached yet", 1, "with an empty cache this is the causal mask of chapter 2."),
        Stage("second chunk", "some tokens are cached", 2, "the first new token has `cached` tokens before it."),
        Stage("band", "a layer with a band", 1, "with a band of 3 a query sees itself and the two before it."),
    ),
    reference=_reference_chunk,
    misconceptions=(
        Misconception(
            _chunk_with(first=lambda cached: 0),
            "Your positions start at 0 again, and the mask with them: the new tokens are treated as if nothing stood before "
            "them. The first of them has the position `cached`.",
        ),
        Misconception(
            _positions_restarted,
            "Your mask is right, but your positions start at 0 again. The first new token has the position `cached`: "
            "otherwise the model takes it for the first word of the text.",
        ),
        Misconception(
            _mask_of_the_first_chunk,
            "Your mask is right for the first chunk only. In the second, query i is token cached + i, and may see that many "
            "keys: the triangle starts `cached` columns further right.",
        ),
        Misconception(
            _only_the_new,
            "Your mask has one column for each *new* token. The keys are those of the cache and the new ones: cached + new.",
        ),
        Misconception(
            _everything_new,
            "Your new tokens see each other freely, later ones included. That is a leak: they are causal among themselves, "
            "too.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: key < query),
            "A query sees all keys before it, but not its own.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: (key <= query) & (key >= query - band)),
            "Your band is one too wide: a band of 3 means the query's own key and *two* before it.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: (key <= query) & (key > query - band + 1)),
            "Your band is one too narrow: the query's own key counts as one of the `band`.",
        ),
        Misconception(
            _chunk_with(sees=lambda query, key, band: key <= query),
            "Your mask ignores the band: keys further back than `band` must not be seen.",
        ),
        Misconception(
            lambda cached, new, band: (_reference_chunk(cached, new, band)[0], ~_reference_chunk(cached, new, band)[1]),
            "Your mask is upside down: True means *may attend*.",
        ),
        Misconception(
            lambda cached, new, band: (
                _reference_chunk(cached, new, band)[0],
                _reference_chunk(cached, new, band)[1].T,
            ),
            "Your mask is transposed: queries belong in the rows.",
        ),
    ),
    alternatives=(_built_chunk, _chunk_with()),
    hints=(
        "Write down for cached = 2 and new = 2 which of the four keys each of the two queries may see.",
        "Compare the position of each query, as a column, with the positions of all keys, as a row.",
    ),
    success="Right. With positions and mask of this form a prompt may come in one piece or in ten: the answer is the same.",
)


# ------------------------------------------------------------------------------------------- 7.4 repair the cache

_WIDTH, _VOCAB = 6, 11


def _cache_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, pieces in (("one piece", [5]), ("pieces", [4, 3]), ("pieces", [1, 1, 4, 2])):
        weights = torch.randn(3, _WIDTH, _WIDTH, generator=generator) / 2
        table = torch.randn(12, _WIDTH, generator=generator)
        text = torch.randn(sum(pieces), _WIDTH, generator=generator)
        yield Case(stage, (text, tuple(pieces), weights, table))


def _cached_with(
    *,
    position: Callable = lambda seen, n: torch.arange(seen, seen + n),
    sees: Callable = lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril(seen),
    remember: Callable = lambda old, new: torch.cat((old, new)),
    values: Callable = lambda old, new: torch.cat((old, new)),
) -> Callable:
    """One head that reads a text piece by piece, with positions, mask or memory replaced."""

    def answer(text, pieces, weights, table):
        keys = held = torch.zeros(0, text.shape[1])
        outputs, begin = [], 0
        for n in pieces:
            x = text[begin : begin + n] + table[position(begin, n)]
            query, key, value = (x @ w for w in weights)
            keys, held = remember(keys, key), values(held, value)
            scores = query @ keys.T / math.sqrt(text.shape[1])
            mask = sees(begin, n)[:, -len(keys) :]
            outputs.append(scores.masked_fill(~mask, -math.inf).softmax(-1) @ held)
            begin += n
        return torch.cat(outputs)

    return answer


def _reference_cached(text, pieces, weights, table):
    """Everything at once, without a cache."""
    query, key, value = ((text + table[: len(text)]) @ w for w in weights)
    return F.scaled_dot_product_attention(query[None], key[None], value[None], is_causal=True)[0]


def _numbered_cached(text, pieces, weights, table):
    """Every key and query knows its number, and a query sees the keys with numbers up to its own."""
    x = text + table[: len(text)]
    query, key, value = (x @ w for w in weights)
    number, outputs = torch.arange(len(text)), []
    for piece in number.split(list(pieces)):
        last = int(piece[-1]) + 1
        scores = query[piece] @ key[:last].T / math.sqrt(text.shape[1])
        later = number[:last] > piece[:, None]
        outputs.append(torch.where(later, -math.inf, scores).softmax(-1) @ value[:last])
    return torch.cat(outputs)


REPAIR_CACHE = Exercise(
    id="7.4",
    title="Repair: a text in pieces",
    kind="repair",
    name="repaired_reader",
    minutes=15,
    stars=2,
    cases=_cache_cases,
    stages=(
        Stage("one piece", "still right for a text in one piece", 1, "do not change what works."),
        Stage("pieces", "right for any pieces", 3, "print `begin`, the positions and the mask for each piece."),
    ),
    reference=_reference_cached,
    given=_cached_with(
        position=lambda seen, n: torch.arange(n), sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril()
    ),
    misconceptions=(
        Misconception(
            _cached_with(position=lambda seen, n: torch.arange(n)),
            "The mask is right now. The positions still restart at 0 with every piece.",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril()),
            "The positions are right now. The mask is still that of a first piece: its triangle has to start after the keys "
            "that were there before.",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool)),
            "Your tokens see everything, those that come after them in the same piece included.",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril(seen - 1)),
            "Your triangle is one column short: a token does not see itself. (The first of all sees nothing, hence NaN.)",
        ),
        Misconception(
            _cached_with(sees=lambda seen, n: torch.ones(n, seen + n, dtype=torch.bool).tril(seen + 1)),
            "Your triangle is one column too wide: each token sees the one after it.",
        ),
        Misconception(
            _cached_with(position=lambda seen, n: torch.full((n,), seen)),
            "All tokens of a piece get the position of its first one.",
        ),
        Misconception(
            _cached_with(position=lambda seen, n: torch.arange(seen + 1, seen + n + 1)),
            "Your positions are all one too large: the first token of the text has the position 0.",
        ),
    ),
    alternatives=(_cached_with(), _numbered_cached),
    hints=(
        "There are two mistakes. One piece hides both: try the text in two pieces and compare with one.",
        "Token `begin + i` of the text is row i of its piece. Which position is that, and how many keys may it see?",
        "`tril` takes a second argument: by how many columns the diagonal is moved to the right.",
    ),
    success="Right. Now the cache is what it should be: a way to compute the same numbers, and not another model.",
)


# ------------------------------------------------------------------------------------ 7.5 repair the initialisation


def _init_cases(seed: int) -> Iterator[Case]:
    for stage, layers in (("one block", 1), ("stack", 4 + seed % 5), ("stack", 12)):
        yield Case(stage, (layers, 0.02 if stage == "stack" else 0.5))


def _init_with(
    scale: Callable = lambda n: (2 * n) ** -0.5, small: tuple[str, ...] = ("attention output", "feed-forward down")
) -> Callable:
    def answer(num_layers, std):
        names = ("embedding", "query", "key", "value", "attention output", "feed-forward up", "feed-forward down")
        return {name: std * (scale(num_layers) if name in small else 1.0) for name in names}

    return answer


def _reference_init(num_layers, std):
    """What the library's initialisation multiplies each weight by, found by starting two models from one seed."""
    config = {"vocab_size": 4, "d_model": 4, "num_heads": 2, "max_length": 4, "num_layers": num_layers}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = GPT(GPTConfig(**config, scaled_init=False))
        torch.manual_seed(0)
        scaled = GPT(GPTConfig(**config))
    last, same = scaled.stack.blocks[-1], plain.stack.blocks[-1]
    ratio = {"embedding": (scaled.embedding.weight, plain.embedding.weight)}
    for name in ("query", "key", "value", "output"):
        label = "attention output" if name == "output" else name
        ratio[label] = (getattr(last.attention, name).weight, getattr(same.attention, name).weight)
    for name in ("up", "down"):
        ratio[f"feed-forward {name}"] = (
            getattr(last.feed_forward, name).weight,
            getattr(same.feed_forward, name).weight,
        )
    return {name: std * (one / other).mean().item() for name, (one, other) in ratio.items()}


REPAIR_INIT = Exercise(
    id="7.5",
    title="Repair: how small to begin",
    kind="repair",
    name="repaired_initial_std",
    minutes=10,
    stars=1,
    cases=_init_cases,
    stages=(
        Stage("one block", "a single block", 1, "one block adds *two* vectors to the stream."),
        Stage("stack", "a stack of blocks", 2, "the variance of a sum of n independent terms is n times that of one."),
    ),
    reference=_reference_init,
    given=_init_with(lambda n: n**-0.5),
    misconceptions=(
        Misconception(
            _init_with(lambda n: 1 / n),
            "You divide by N itself. It is the *variance* that grows with the number of terms; a standard deviation grows "
            "with its root.",
        ),
        Misconception(
            _init_with(lambda n: 1 / (2 * n)),
            "You divide by 2N. The number of terms is right, but a standard deviation grows with its root.",
        ),
        Misconception(
            _init_with(lambda n: 2 * n**-0.5),
            "Your factor is 2/√N. The 2 belongs to the number of terms, under the root.",
        ),
        Misconception(
            _init_with(lambda n: 0.5 * n**-0.5),
            "Your factor is 1/(2√N). The 2 belongs to the number of terms, under the root.",
        ),
        Misconception(
            _init_with(small=("attention output",)),
            "The feed-forward network writes into the stream, too, with its second matrix.",
        ),
        Misconception(
            _init_with(small=("feed-forward down",)),
            "The attention writes into the stream, too, with its output matrix.",
        ),
        Misconception(
            _init_with(small=("query", "key", "value", "attention output", "feed-forward up", "feed-forward down")),
            "Now all matrices of a block start smaller. Only those that write *into the residual stream* should.",
        ),
        Misconception(
            _init_with(lambda n: (2 * n) ** 0.5),
            "Your matrices start larger the deeper the model is: the root belongs below the line.",
        ),
    ),
    alternatives=(_init_with(lambda n: 1 / math.sqrt(n + n)), _init_with(lambda n: (0.5 / n) ** 0.5)),
    hints=(
        "How many vectors are added to the stream by N blocks?",
        "Each block adds two: one from the attention, one from the feed-forward network.",
    ),
    success="Right: √(2N). For GPT-2 xl with its 48 blocks that is a factor of nearly ten.",
)


# -------------------------------------------------------------------------------------------------------- 7.6 DPO


def _dpo_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def logs(n: int) -> tuple[Tensor, ...]:
        return tuple(-20 * torch.rand(n, generator=generator) - 5 for _ in range(4))

    start = logs(4)
    yield Case("at the start", (start[0], start[1], start[0], start[1], 0.3 + 0.1 * (seed % 4)))
    yield Case("one pair", (*logs(1), 0.5))
    yield Case("all pairs", (*logs(5), 0.1))
    yield Case("all pairs", (*logs(3), 1.7))


def _dpo_with(
    inside: Callable = lambda b, w, rb, rw: (b - rb) - (w - rw),
    outside: Callable = lambda margin, beta: -F.logsigmoid(beta * margin).mean(),
) -> Callable:
    return lambda better, worse, reference_better, reference_worse, beta: outside(
        inside(better, worse, reference_better, reference_worse), beta
    )


class _Table(torch.nn.Module):
    """A language model whose answers, one token long, have the log-probabilities that it is given."""

    def __init__(self, logs: Tensor):
        super().__init__()
        rest = torch.log1p(-logs.exp()).unsqueeze(-1)  # so that they are probabilities
        self.logs = torch.cat((logs.unsqueeze(-1), rest), dim=-1)  # (answers, 2): token 0 is the answer

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logs[tokens]


def _reference_dpo(better, worse, reference_better, reference_worse, beta):
    """The library's loss on a model that gives these log-probabilities."""
    n = len(better)
    model = _Table(torch.cat((better, worse)))
    answers = torch.zeros(n, 1, dtype=torch.long)
    prompts = torch.arange(2 * n)[:, None]
    batch = (prompts[:n], answers, prompts[n:], answers, reference_better - reference_worse)
    total, count = preferences.dpo_loss(model, batch, beta=beta)
    return total / count


def _bradley_terry(better, worse, reference_better, reference_worse, beta):
    rewards = [beta * (log - reference) for log, reference in ((better, reference_better), (worse, reference_worse))]
    return -torch.stack(rewards).log_softmax(0)[0].mean()


DPO = Exercise(
    id="7.6",
    title="Learning from a preference",
    kind="implement",
    name="preference_loss",
    minutes=20,
    stars=2,
    cases=_dpo_cases,
    stages=(
        Stage("at the start", "before any training", 1, "model and reference agree: each pair should cost ln 2."),
        Stage("one pair", "one pair", 2, "compute the four differences by hand."),
        Stage("all pairs", "the mean over pairs", 1, "σ and log act on each pair, and the mean comes last."),
    ),
    reference=_reference_dpo,
    misconceptions=(
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: b - w),
            "Your loss does not know the reference. Without it nothing holds the model near the language that it has "
            "learned; and before training a pair should cost ln 2, whatever its answers.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (w - rw) - (b - rb)),
            "The two answers are exchanged: your loss makes the *worse* one more probable.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: (b + rb) - (w + rw)),
            "The reference enters with the wrong sign. log(π/π_ref) is the *difference* log π − log π_ref, for both answers.",
        ),
        Misconception(
            _dpo_with(inside=lambda b, w, rb, rw: b / rb - w / rw),
            "You divide log-probabilities. The logarithm of a ratio is the *difference* of the logarithms.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -beta * F.logsigmoid(margin).mean()),
            "β stands outside the sigmoid, where it only scales the loss. It belongs inside: β · margin.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(margin / beta).mean()),
            "You divide the margin by β. It is multiplied.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -torch.sigmoid(beta * margin).mean()),
            "The logarithm is missing: this is minus the probability of the preference, and not −log of it.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: F.logsigmoid(beta * margin).mean()),
            "The sign is turned: this is the log-likelihood of the preferences. The loss is its negative.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(beta * margin).sum()),
            "You return the sum over the pairs. Asked for is the mean.",
        ),
        Misconception(
            _dpo_with(outside=lambda margin, beta: -F.logsigmoid(beta * margin.mean())),
            "You take the mean of the margins first. Every pair has a loss of its own, and the mean comes last.",
        ),
    ),
    alternatives=(_bradley_terry, _dpo_with()),
    hints=(
        "How much more probable has the better answer become, as a logarithm? And the worse one?",
        "`F.logsigmoid(x)` is log σ(x), without trouble for large negative x.",
    ),
    success="Right. One line in place of a reward model and a loop of reinforcement learning.",
)


# --------------------------------------------------------------------------------------------- 7.7 reading a number

READING = Exercise(
    id="7.7",
    title="Sizes in the head",
    kind="predict",
    name="gpt_numbers",
    minutes=15,
    stars=2,
    stages=(
        Stage(
            "blocks",
            "parameters of a stack",
            1,
            "4d² in the attention, 8d² in the feed-forward network.",
            lambda v: (v[0],),
            within(2e6),
        ),
        Stage(
            "cache",
            "numbers in a cache",
            1,
            "keys *and* values, in every layer, for every position.",
            lambda v: (v[1],),
            within(0.5),
        ),
        Stage(
            "probability",
            "a probability",
            1,
            "the loss of a text is −log of its probability.",
            lambda v: (v[2],),
            within(0.0005),
        ),
        Stage("kept", "tokens kept", 1, "what have the more probable tokens reached before each?", lambda v: (v[3],)),
    ),
    reference=(12 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.06, 3),
    misconceptions=(
        Misconception(
            (4 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.06, 3),
            "You counted the attention only. The feed-forward network has two matrices of d × 4d.",
        ),
        Misconception((12 * 1024**2, 2 * 24 * 1024 * 1000, 0.06, 3), "That is one block. The stack has 24."),
        Misconception(
            (6 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.06, 3),
            "Your block has 6d². Its feed-forward network is four times as wide inside: 2 · d · 4d.",
        ),
        Misconception(
            (12 * 24 * 1024**2, 24 * 1024 * 1000, 0.06, 3), "You counted the keys, or the values. A cache holds both."
        ),
        Misconception(
            (12 * 24 * 1024**2, 2 * 1024 * 1000, 0.06, 3), "That is the cache of one layer; every layer has its own."
        ),
        Misconception(
            (12 * 24 * 1024**2, 2 * 24 * 16 * 1024 * 1000, 0.06, 3),
            "You multiplied by the heads. All heads together are d_model wide.",
        ),
        Misconception(
            (12 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.12, 3),
            "You forgot a factor: all three conditional probabilities are multiplied.",
        ),
        Misconception(
            (12 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.4333, 3),
            "You took the mean of the three probabilities. A text has their product.",
        ),
        Misconception(
            (12 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.06, 2),
            "After two tokens 0.7 are reached, which is less than 0.8: the one that crosses the line is kept, too.",
        ),
        Misconception((12 * 24 * 1024**2, 2 * 24 * 1024 * 1000, 0.06, 1), "Only the favourite? It has 0.4 alone."),
    ),
    hints=(
        "The rule of thumb of section 7.9: 12 · layers · d².",
        "For the cache: 2 · layers · positions · d_model.",
        "The three probabilities are multiplied; the loss plays no part in it.",
    ),
    success="Right. With these four rules you can check most of what papers say about such models.",
)


# --------------------------------------------------------------------------------------------- 7.8 too good a loss

_TOO_GOOD = {
    "A": "The learning rate is very well chosen: keep it.",
    "B": "The text has been learned by heart, as happens with a small corpus.",
    "C": "The logits at each position are compared with the token that stands at that position.",
    "D": "The loss is averaged over the padding, too, which is easy to predict.",
    "E": "The temperature is too low.",
}

TOO_GOOD = Exercise(
    id="7.8",
    title="Too good to be true",
    kind="choose",
    name="why_so_good",
    minutes=5,
    stars=1,
    options=_TOO_GOOD,
    stages=(Stage("choice", "the reason", 2, "what would a model have to do to be right nearly always, and at once?"),),
    reference="C",
    misconceptions=(
        Misconception(
            "A",
            "A: no learning rate makes the next word of an unknown text certain. A loss near 0 on new text is a sign that the "
            "answer was visible.",
        ),
        Misconception(
            "B",
            "B: a text learned by heart would not help on held-out documents, and a hundred steps are too few for it.",
        ),
        Misconception(
            "D",
            "D: that mistake lowers the number, but pieces cut from one long stream have no padding at all; and sampling "
            "would still give words that follow each other.",
        ),
        Misconception("E", "E: a temperature changes what is drawn from the table, and no loss is computed with it."),
    ),
    hints=(
        "What does such a model write, when it is asked to go on? What has it learned to do with the last token?",
        "Section 2.1 tells of another model whose loss was too good to be true.",
    ),
    success="C. The shift was forgotten: the model has learned to repeat what it has just read, which any residual "
    "connection can do. A loss far below what the text allows is a fault until proved otherwise.",
)


EXERCISES = (LOSS, KNOBS, CHUNK, REPAIR_CACHE, REPAIR_INIT, DPO, READING, TOO_GOOD)

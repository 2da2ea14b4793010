"""Exercises of chapter 6, the BERT family."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import bert as library
from ...tokenizers.merging import merges
from ...tokenizers.merging import replace as library_merge
from ..comparing import shape_difference, within
from ..exercise import Case, Exercise, Misconception, Stage

IGNORE = -100

# ------------------------------------------------------------------------------------------------- 6.1 hide the tokens


def _hide_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage in ("targets", "mask", "others"):
        tokens = torch.randint(5, 50, (6, 31), generator=generator)
        tokens[:, 0], tokens[:, 9], tokens[:, -1] = 2, 3, 3
        tokens[1, 17:] = 0  # padding
        lots, first, second = torch.rand(3, 6, 31, generator=generator)
        lots, second = 0.2 * lots, second.square()  # so that many are selected, and many of them exchanged
        others = torch.randint(5, 50, (6, 31), generator=generator)
        yield Case(stage, (tokens, tokens < 5, lots, first, second, others, 4))


def _hide_with(
    *,
    select: Callable = lambda special, lots: ~special & (lots < 0.15),
    exchange: Callable = lambda masked, second: ~masked & (second < 0.5),
    share: float = 0.8,
    targets: Callable = lambda tokens, inputs, selected, masked: tokens.masked_fill(~selected, IGNORE),
) -> Callable:
    """The rule written out, with one of its parts replaced."""

    def answer(tokens, special, lots, first, second, others, mask):
        selected = select(special, lots)
        masked = selected & (first < share)
        exchanged = selected & exchange(masked, second)
        inputs = torch.where(exchanged, others, tokens.masked_fill(masked, mask))
        return inputs, targets(tokens, inputs, selected, masked)

    return answer


def _loop_hide(tokens, special, lots, first, second, others, mask):
    inputs, targets = tokens.clone(), torch.full_like(tokens, IGNORE)
    for b in range(tokens.shape[0]):
        for n in range(tokens.shape[1]):
            if special[b, n] or lots[b, n] >= 0.15:
                continue
            targets[b, n] = tokens[b, n]
            if first[b, n] < 0.8:
                inputs[b, n] = mask
            elif second[b, n] < 0.5:
                inputs[b, n] = others[b, n]
    return inputs, targets


def _indexed_hide(tokens, special, lots, first, second, others, mask):
    inputs, targets = tokens.clone(), torch.full_like(tokens, IGNORE)
    selected = (lots < 0.15).logical_and(special.logical_not())
    targets[selected] = tokens[selected]
    inputs[selected & (first < 0.8)] = mask
    exchanged = selected & (first >= 0.8) & (second < 0.5)
    inputs[exchanged] = others[exchanged]
    return inputs, targets


def _hide_in_place(tokens, special, lots, first, second, others, mask):
    inputs, targets = _hide_with()(tokens, special, lots, first, second, others, mask)
    tokens.copy_(inputs)
    return tokens, targets


HIDE = Exercise(
    id="6.1",
    title="Hide the tokens",
    kind="implement",
    name="hide",
    minutes=20,
    stars=2,
    cases=_hide_cases,
    stages=(
        Stage("targets", "what is to be predicted", 1, "−100 except at the selected tokens.", lambda v: v[1]),
        Stage("mask", "what the model reads", 1, "print `first` at the selected tokens, and what you did to them."),
        Stage("others", "the other tokens, too", 2, "of the selected tokens that are not masked, half are exchanged."),
    ),
    reference=_loop_hide,
    misconceptions=(
        Misconception(
            _hide_with(select=lambda special, lots: lots < 0.15),
            "You select 15 % of *all* tokens. [CLS], [SEP] and padding must never be selected: `special` says where they "
            "are.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: tokens),
            "Your targets are all tokens, so the model is also asked about those that it can see. Where nothing was "
            "selected, the target is −100.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: tokens.masked_fill(~masked, IGNORE)),
            "Your targets cover the masked tokens only. The selected tokens that stayed, or were exchanged, are to be "
            "predicted as well; otherwise the model may trust everything it can see.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: inputs.masked_fill(~selected, IGNORE)),
            "Your targets are what the model *reads*. It is to say what stood there before.",
        ),
        Misconception(
            _hide_with(targets=lambda tokens, inputs, selected, masked: tokens.masked_fill(~selected, 0)),
            "Your targets are 0 where nothing was selected; but 0 is a token, and it would be learned. −100 is the number "
            "that a loss ignores.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second: ~masked & (second < 0.1)),
            "You exchange a tenth of the tokens that are left over after masking, which is 2 % of the selected ones. 10 % of "
            "all selected tokens are *half* of those left over.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second: second < 0.5),
            "Your two draws are independent of each other: half of the tokens that were masked are exchanged after all. Only "
            "those that are not masked may be.",
        ),
        Misconception(
            _hide_with(select=lambda special, lots: ~special & (lots >= 0.15)),
            "You select 85 % of the tokens: those whose lot is *not* below 0.15.",
        ),
        Misconception(
            _hide_with(exchange=lambda masked, second: torch.zeros_like(masked)),
            "You mask and exchange nothing: the tokens of `others` never appear.",
        ),
        Misconception(
            _hide_with(share=1.0),
            "You mask every selected token. A fifth of them are not masked: `first` decides.",
        ),
        Misconception(_hide_in_place, "Your function overwrites `tokens`: the targets of the next epoch are lost."),
    ),
    alternatives=(_hide_with(), _indexed_hide),
    hints=(
        "Three masks of booleans: `selected`, then `masked` and `exchanged`, both parts of `selected` with nothing in common.",
        "`tokens.masked_fill(~selected, -100)` are the targets; `torch.where(exchanged, others, …)` puts in the others.",
    ),
    success="Right. One token in five that the model is asked about looks like any other, so it cannot rest when no [MASK] "
    "is near.",
)


# ----------------------------------------------------------------------------------------------- 6.2 what is expected

SHARES = Exercise(
    id="6.2",
    title="How many, and how often",
    kind="predict",
    name="shares",
    minutes=10,
    stars=1,
    stages=(
        Stage("selected", "selected tokens", 1, "which tokens may be selected at all?", lambda v: (v[0],)),
        Stage(
            "shown", "selected, yet visible", 1, "80 % are masked and 10 % exchanged.", lambda v: (v[1],), within(0.01)
        ),
        Stage(
            "wrong",
            "two draws",
            1,
            "80 %, 10 % and 10 % are parts of the same whole.",
            lambda v: (v[2],),
            within(0.006),
        ),
        Stage(
            "loss", "knowing nothing", 1, "−log of the probability of the right token.", lambda v: (v[3],), within(0.02)
        ),
    ),
    reference=(15, 1.5, 0.81, math.log(1500)),
    misconceptions=(
        Misconception(
            (19, 1.5, 0.81, 7.313),
            "You took 15 % of all 128 tokens. Padding, [CLS] and both [SEP] are never selected.",
        ),
        Misconception(
            (15.45, 1.5, 0.81, 7.313),
            "You left out the padding, but [CLS] and the two [SEP] are special tokens, too.",
        ),
        Misconception(
            (15, 3.0, 0.81, 7.313), "You counted the exchanged ones: those do not show the token that was there."
        ),
        Misconception((15, 10.0, 0.81, 7.313), "10 % of what? Of the *selected* tokens, which are 15."),
        Misconception(
            (15, 1.5, 0.8, 7.313),
            "The second draw is made only for the nine in ten that the first one did not keep: 10 % of 90 % are exchanged. "
            "What is left for the mask?",
        ),
        Misconception(
            (15, 1.5, 0.72, 7.313),
            "You multiplied 0.8 by 0.9. Here nobody draws the 80 %: masked is what is left over.",
        ),
        Misconception(
            (15, 1.5, 0.81, math.log2(1500)), "That is in bits. The losses of this course use the natural logarithm."
        ),
        Misconception((15, 1.5, 0.81, 1 / 1500), "That is the probability of the right token; the loss is −log of it."),
    ),
    hints=(
        "128 tokens less 25 of padding, one [CLS] and two [SEP].",
        "In 3., keep 10 %; of the other 90 %, exchange 10 %; mask the rest.",
    ),
    success="Right. 81, 9 and 10 is what several programs really do; nobody has noticed a difference, but now you know.",
)


# ------------------------------------------------------------------------------------------------- 6.3 a pair of texts


def _pair_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def text(n: int) -> Tensor:
        return torch.randint(5, 50, (n,), generator=generator)

    yield Case("tokens", (text(4), text(3), 2, 3))
    yield Case("segments", (text(3 + seed % 3), text(5), 2, 3))
    yield Case("segments", (text(6), text(1), 2, 3))


def _pair_with(
    *,
    tokens: Callable = lambda a, b, cls, sep: (cls, *a, sep, *b, sep),
    segments: Callable = lambda m, n: [0] * (m + 2) + [1] * (n + 1),
) -> Callable:
    def answer(first, second, cls, sep):
        ids = tokens(first.tolist(), second.tolist(), cls, sep)
        return torch.tensor(ids), torch.tensor(segments(len(first), len(second)))

    return answer


def _joined_pair(first, second, cls, sep):
    sep = torch.tensor([sep])
    tokens = torch.cat((torch.tensor([cls]), first, sep, second, sep))
    return tokens, (torch.arange(len(tokens)) > len(first) + 1).long()


PAIR = Exercise(
    id="6.3",
    title="Two texts as one",
    kind="implement",
    name="pair",
    minutes=10,
    stars=1,
    cases=_pair_cases,
    stages=(
        Stage("tokens", "the tokens", 1, "[CLS] first [SEP] second [SEP].", lambda v: v[0]),
        Stage("segments", "the segments", 2, "to which of the two texts does each special token belong?"),
    ),
    reference=_pair_with(),
    misconceptions=(
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + 1) + [1] * (n + 2)),
            "Your segments change one token too early: the first [SEP] closes the first text and belongs to it.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + 3) + [1] * n),
            "Your segments change one token too late: the first token of the second text has segment 0.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [1] * (m + 2) + [2] * (n + 1)),
            "Your segments count from 1. The table of segments has two rows, 0 and 1.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + n + 3)),
            "All your segments are 0: the model could not tell the second text from the first.",
        ),
        Misconception(
            _pair_with(segments=lambda m, n: [0] * (m + 2) + [1] * n + [0]),
            "Your last [SEP] has segment 0. It closes the second text.",
        ),
        Misconception(
            _pair_with(tokens=lambda a, b, cls, sep: (cls, *a, sep, *b), segments=lambda m, n: [0] * (m + 2) + [1] * n),
            "The [SEP] after the second text is missing.",
        ),
        Misconception(
            _pair_with(
                tokens=lambda a, b, cls, sep: (cls, *a, sep, cls, *b, sep),
                segments=lambda m, n: [0] * (m + 2) + [1] * (n + 2),
            ),
            "There is a [CLS] before each text. There is only one, and it stands for the whole pair.",
        ),
        Misconception(
            _pair_with(
                tokens=lambda a, b, cls, sep: (cls, *b, sep, *a, sep),
                segments=lambda m, n: [0] * (n + 2) + [1] * (m + 1),
            ),
            "The two texts are exchanged. (That is ALBERT's other label.)",
        ),
    ),
    alternatives=(_joined_pair, _pair_with()),
    hints=("Count: the first part has `len(first) + 2` tokens, the second `len(second) + 1`.",),
    success="Right. That one bit per token is all that tells the model where a text ends and the next one begins.",
)


# ------------------------------------------------------------------------------------------------ 6.4 three embeddings


def _embed_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(stage: str, length: int, width: int, scale: float) -> Case:
        tables = [scale * torch.randn(n, width, generator=generator) for n in (11, 2, 13)]
        tokens = torch.randint(11, (3, length), generator=generator)
        segments = (torch.arange(length) >= torch.tensor([[2], [3], [length]])).long()
        return Case(stage, (tokens, segments, *tables))

    yield case("shape", 5, 6, 1.0)
    yield case("values", 7, 6, 1.0)
    yield case("values", 9, 4, 2.0)


def _embed_with(
    *,
    position: Callable = lambda table, n: table[:n],
    segment: Callable = lambda table, segments: table[segments],
    norm: Callable = lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-12),
    before: Callable = lambda x: x,
) -> Callable:
    def answer(tokens, segments, token_table, segment_table, position_table):
        found = (
            token_table[tokens],
            segment(segment_table, segments),
            position(position_table, tokens.shape[1]).expand(*tokens.shape, -1),
        )
        return norm(sum(map(before, found)))

    return answer


def _one_hot_embed(tokens, segments, token_table, segment_table, position_table):
    x = F.one_hot(tokens, len(token_table)).float() @ token_table
    x = x + F.embedding(segments, segment_table) + position_table[torch.arange(tokens.shape[1])]
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-12).sqrt()


def _looked_up_embed(tokens, segments, token_table, segment_table, position_table):
    norm = torch.nn.LayerNorm(token_table.shape[1], eps=1e-12, elementwise_affine=False)
    place = torch.arange(tokens.shape[1]).expand_as(tokens)
    tables = ((token_table, tokens), (segment_table, segments), (position_table, place))
    return norm(torch.stack([F.embedding(ids, table) for table, ids in tables]).sum(0))


EMBED = Exercise(
    id="6.4",
    title="What, where, and in which text",
    kind="implement",
    name="embed",
    minutes=15,
    stars=2,
    cases=_embed_cases,
    stages=(
        Stage("shape", "shape", 1, "(batch, length, d_model).", compare=shape_difference),
        Stage("values", "sum and norm", 3, "print the three vectors of the first token, then their sum."),
    ),
    reference=_one_hot_embed,
    misconceptions=(
        Misconception(
            _embed_with(norm=lambda x: x),
            "The sum is right; the layer norm is missing. (In GPT there would be none at this place.)",
        ),
        Misconception(
            _embed_with(before=lambda x: F.layer_norm(x, x.shape[-1:])),
            "You normalise each of the three vectors, and perhaps the sum. There is one norm, after the sum.",
        ),
        Misconception(
            _embed_with(position=lambda table, n: table[1 : n + 1]),
            "Your positions start at 1. BERT's first token, [CLS], has row 0. (RoBERTa's has row 2: its padding takes row 1.)",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: table[1 - segments]),
            "Your two segments are exchanged.",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: table[0]),
            "All your tokens have segment 0: `segments` is never used.",
        ),
        Misconception(
            _embed_with(segment=lambda table, segments: table[segments.roll(1, dims=1)]),
            "Your segments are shifted by one token.",
        ),
        Misconception(
            _embed_with(position=lambda table, n: 0 * table[:n]),
            "Your positions are missing, so that the model would read a bag of words.",
        ),
        Misconception(
            _embed_with(norm=lambda x: F.layer_norm(x, x.shape[-2:])),
            "You normalise over the length *and* the width. Each token has a mean and a variance of its own.",
        ),
        Misconception(
            _embed_with(norm=lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)),
            "Your variance divides by d − 1, as `std` and `var` do unless told otherwise. A layer norm divides by d.",
        ),
    ),
    alternatives=(_embed_with(), _looked_up_embed),
    hints=(
        "Indexing a table with ids of shape (batch, length) gives (batch, length, d_model).",
        "`F.layer_norm(x, x.shape[-1:])` normalises each token for itself.",
    ),
    success="Right. What a token is, where it stands and to which text it belongs: after the sum nobody can take them apart "
    "any more, save the layers that follow.",
)


# ------------------------------------------------------------------------------------------------ 6.5 one for the text


def _pooled_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, batch, length, width in (("shape", 2, 4, 3), ("token", 3, 5, 4), ("token", 2, 7, 5)):
        yield Case(
            stage,
            (
                torch.randn(batch, length, width, generator=generator),
                torch.randn(width, width, generator=generator),
                torch.randn(width, generator=generator),
            ),
        )


def _pooled_with(
    token: Callable = lambda x: x[:, 0],
    squash: Callable = torch.tanh,
    linear: Callable = F.linear,
) -> Callable:
    return lambda x, weight, bias: squash(linear(token(x), weight, bias))


def _module_pooled(x, weight, bias):
    config = library.BERTConfig(2, d_model=x.shape[-1], num_heads=1)
    head = library.SentenceHead(config, 1).eval()
    with torch.no_grad():
        head.pooler.weight.copy_(weight)
        head.pooler.bias.copy_(bias)
        return torch.tanh(head.pooler(x[:, 0]))


POOLED = Exercise(
    id="6.5",
    title="One vector for the text",
    kind="implement",
    name="pooled",
    minutes=10,
    stars=1,
    cases=_pooled_cases,
    stages=(
        Stage("shape", "shape", 1, "one vector for each text of the batch.", compare=shape_difference),
        Stage("token", "the right token, the right layer", 2, "which token stands for the text?"),
    ),
    reference=_module_pooled,
    misconceptions=(
        Misconception(
            _pooled_with(token=lambda x: x[:, -1]),
            "You took the *last* token. GPT does so, whose last token alone has seen the whole text; BERT's [CLS] comes "
            "first. (And the last one may be padding.)",
        ),
        Misconception(
            _pooled_with(token=lambda x: x.mean(1)),
            "You took the mean of all tokens. It is often a good idea; BERT's pooler takes [CLS] alone.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x.amax(1)),
            "You took the largest number over all tokens. BERT's pooler takes [CLS] alone.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x[:, 1]),
            "You took the token *after* [CLS]: tokens count from 0.",
        ),
        Misconception(
            _pooled_with(token=lambda x: x[0]), "You took the first *text* of the batch instead of the first token."
        ),
        Misconception(_pooled_with(squash=lambda x: x), "The tanh is missing."),
        Misconception(
            _pooled_with(linear=lambda x, weight, bias: x @ weight + bias),
            "You multiplied by the weight as it is. `nn.Linear` stores it as (out, in), so it is x Wᵀ + b.",
        ),
        Misconception(_pooled_with(linear=lambda x, weight, bias: x @ weight.T), "The bias is missing."),
    ),
    alternatives=(_pooled_with(), lambda x, weight, bias: torch.tanh(x @ weight.T + bias)[:, 0]),
    hints=(
        "[CLS] is the first token of each text: `x[:, 0]`.",
        "`F.linear(x, weight, bias)` is what `nn.Linear` computes.",
    ),
    success="Right. [CLS] means nothing by itself; attention fills it with whatever the task needs to know about the text.",
)


# -------------------------------------------------------------------------------------------- 6.6 counting parameters


def _count_cases(seed: int) -> Iterator[Case]:
    yield Case("bert", (101 + seed % 7, 40, 24, 24, 3, False))
    yield Case("factorised", (201 + seed % 5, 30, 8, 36, 4, False))
    yield Case("shared", (151, 50, 12, 48, 5 + seed % 3, True))


def _count_with(
    *,
    token: Callable = lambda v, e, h: v * e,
    projection: Callable = lambda e, h: e * h + h if e != h else 0,
    length: Callable = lambda n: n,
    attention: Callable = lambda h: 4 * (h * h + h),
    feed_forward: Callable = lambda h: 2 * 4 * h * h + 4 * h + h,
    norms: int = 2,
    times: Callable = lambda layers, shared: 1 if shared else layers,
) -> Callable:
    def answer(vocab, positions, d_embedding, d_model, layers, shared):
        width = d_embedding
        embedding = token(vocab, width, d_model) + (length(positions) + 2) * width + 2 * width
        embedding += projection(width, d_model)
        block = attention(d_model) + feed_forward(d_model) + norms * 2 * d_model
        return embedding + times(layers, shared) * block

    return answer


def _library_count(vocab, positions, d_embedding, d_model, layers, shared):
    config = library.BERTConfig(
        vocab,
        max_length=positions,
        d_model=d_model,
        num_heads=1,
        num_layers=layers,
        d_embedding=None if d_embedding == d_model else d_embedding,
        share="all" if shared else "none",
    )
    return sum(p.numel() for p in library.BERTEncoder(config).parameters())


def _listed_count(vocab, positions, d_embedding, d_model, layers, shared):
    linear = [(d_model, d_model)] * 4 + [(d_model, 4 * d_model), (4 * d_model, d_model)]
    block = sum(n * m + m for n, m in linear) + 4 * d_model
    tables = sum(rows * d_embedding for rows in (vocab, positions, 2, 1, 1))  # the last two: the norm's γ and β
    bridge = 0 if d_embedding == d_model else (d_embedding + 1) * d_model
    return tables + bridge + block * (layers if not shared else 1)


COUNT = Exercise(
    id="6.6",
    title="Count an encoder",
    kind="implement",
    name="parameters",
    minutes=25,
    stars=2,
    cases=_count_cases,
    stages=(
        Stage("bert", "BERT", 2, "embeddings first: count them alone and compare with the library."),
        Stage("factorised", "narrow embeddings", 1, "which tables are narrow, and what brings them to d_model?"),
        Stage("shared", "shared blocks", 1, "how many different blocks are there?"),
    ),
    reference=_library_count,
    misconceptions=(
        Misconception(
            _count_with(times=lambda layers, shared: layers),
            "You count a shared block once for every layer. It is *one* block, used many times.",
        ),
        Misconception(
            _count_with(
                token=lambda v, e, h: v * h + (h * e if e != h else 0),
                projection=lambda e, h: e * h + h if e != h else 0,
            ),
            "Your factorisation has the wrong order: the wide table, vocabulary × d_model, is still there. The *narrow* one is "
            "as long as the vocabulary.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: 0),
            "You forgot what brings the narrow embeddings to d_model: a linear layer.",
        ),
        Misconception(
            _count_with(projection=lambda e, h: e * h if e != h else 0),
            "The layer from d_embedding to d_model has a bias, too.",
        ),
        Misconception(
            _count_with(attention=lambda h: 3 * (h * h + h)),
            "Your attention has three matrices. Besides W^Q, W^K and W^V there is W^O.",
        ),
        Misconception(
            _count_with(attention=lambda h: 4 * h * h, feed_forward=lambda h: 8 * h * h),
            "You left out the biases of the blocks: each linear layer has one.",
        ),
        Misconception(
            _count_with(feed_forward=lambda h: 4 * h * h + 4 * h),
            "Your feed-forward network goes up to 4·d_model, and does not come back.",
        ),
        Misconception(_count_with(norms=0), "The blocks' norms are missing: two in each, with γ and β."),
        Misconception(
            _count_with(norms=1), "Each block has two norms: after the attention and after the feed-forward network."
        ),
        Misconception(_count_with(length=lambda n: 0), "The table of positions is missing."),
    ),
    alternatives=(_count_with(), _listed_count),
    hints=(
        "Embeddings: vocabulary, positions and 2 segments, each d_embedding wide; a norm of 2·d_embedding; and, if the widths "
        "differ, a linear layer with its bias.",
        "A block: four matrices of the attention with biases; d_model → 4·d_model → d_model with biases; two norms.",
    ),
    success="Right. Now you can check any table of sizes, and find the ones that do not add up.",
)


# ------------------------------------------------------------------------------------- 6.7 repair: copies do not share


def _shared_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, layers in (("one", 1), ("many", 3), ("many", 4 + seed % 2)):
        yield Case(
            stage, (torch.randn(3, 4, generator=generator), 0.6 * torch.randn(4, 4, generator=generator), layers)
        )


def _shared_with(gather: Callable = sum) -> Callable:
    """The gradients of all the places where the matrix is used, put together by `gather`."""

    def answer(x, weight, layers):
        copies = [weight.clone().requires_grad_() for _ in range(layers)]
        for copy in copies:
            x = torch.tanh(x @ copy)
        x.sum().backward()
        return gather([copy.grad for copy in copies])

    return answer


def _reference_shared(x, weight, layers):
    shared = weight.clone().requires_grad_()
    for _ in range(layers):
        x = torch.tanh(x @ shared)
    return torch.autograd.grad(x.sum(), shared)[0]


def _functional_shared(x, weight, layers):
    def total(shared):
        y = x
        for _ in range(layers):
            y = torch.tanh(y @ shared)
        return y.sum()

    return torch.func.grad(total)(weight)


REPAIR_SHARING = Exercise(
    id="6.7",
    title="Repair: shared, or only alike",
    kind="repair",
    name="shared_gradient",
    minutes=15,
    stars=2,
    cases=_shared_cases,
    given=_shared_with(lambda gradients: gradients[0]),
    stages=(
        Stage(
            "one", "still right for one layer", 1, "with a single layer nothing is shared: do not change what works."
        ),
        Stage("many", "right for many layers", 2, "does a change of `blocks[0]` change `blocks[1]`?"),
    ),
    reference=_reference_shared,
    misconceptions=(
        Misconception(
            _shared_with(lambda gradients: gradients[-1]),
            "That is the gradient of the *last* layer alone. The matrix is used in all of them.",
        ),
        Misconception(
            _shared_with(lambda gradients: sum(gradients) / len(gradients)),
            "That is the *mean* over the layers. A parameter that is used several times collects the sum.",
        ),
        Misconception(
            lambda x, weight, layers: layers * _shared_with(lambda gradients: gradients[0])(x, weight, layers),
            "You multiply the gradient of one layer by their number. The layers see different inputs, so their gradients "
            "differ.",
        ),
        Misconception(
            lambda x, weight, layers: _reference_shared(x, weight, 1),
            "Your answer goes through one layer only.",
        ),
    ),
    alternatives=(_shared_with(), _functional_shared),
    hints=(
        "`clone` makes a new tensor each time. After the first step of an optimizer the copies would differ.",
        "Make one leaf, `weight.clone().requires_grad_()`, and put *it* into the list several times.",
    ),
    success="Right: by reference, not by value. Copies begin alike and part at the first step; ALBERT's blocks are one "
    "block.",
)


# ------------------------------------------------------------------------------------------- 6.8 the most frequent pair

Words = dict[tuple[str, ...], int]


def _words(*counted: tuple[str, int]) -> Words:
    return {tuple(word.split("+")): count for word, count in counted}


def _pair_choice_cases(seed: int) -> Iterator[Case]:
    n = 2 + seed % 4
    yield Case("counts", (_words(("l+o+w", n), ("l+o+t", n + 9), ("n+e+w", 3), ("l+o", 1), ("w+e+w+e", n + 3)),))
    yield Case(
        "counts", (_words(("es+t", 2), ("n+e+w", n + 5), ("s+e+w+e+r", 1), ("x+y", 1), ("x+y+z", 1), ("w+x+y", 1)),)
    )
    yield Case("inside", (_words(("a", 40), ("b", 40), ("c+d", 1), ("c+d+e", n), ("d+c", n)),))
    yield Case("ties", (_words(("t+u", 2 * n), ("s+z", 2 * n), ("s+b", 2 * n), ("u+a", n)),))
    yield Case("ties", (_words(("b+c+a", 6), (f"a+{'pqrstuvwxyz'[seed % 11]}", 6), ("c+b", 2)),))


def _pairs_of(words: Words) -> Iterator[tuple[tuple[str, str], int]]:
    for word, count in words.items():
        for pair in pairwise(word):
            yield pair, count


def _choice_with(key: Callable = lambda item: (-item[1], item[0]), weigh: Callable = lambda count: count) -> Callable:
    def answer(words):
        counts: Counter = Counter()
        for pair, count in _pairs_of(words):
            counts[pair] += weigh(count)
        return min(counts.items(), key=key)[0]

    return answer


def _across(words):
    running = [symbol for word, count in words.items() for _ in range(count) for symbol in word]
    counts = Counter(pairwise(running))
    return min(counts.items(), key=lambda item: (-item[1], item[0]))[0]


def _library_choice(words):
    symbols = sorted({symbol for word in words for symbol in word})
    spelled = [[symbols.index(symbol) for symbol in word] for word in words]
    a, b = next(merges(spelled, [*words.values()], lambda pair: len(symbols)))
    return symbols[a], symbols[b]


def _sorted_choice(words):
    counts: Words = {}
    for word, count in words.items():
        for i in range(len(word) - 1):
            counts[word[i : i + 2]] = counts.get(word[i : i + 2], 0) + count
    largest = max(counts.values())
    return sorted(pair for pair, count in counts.items() if count == largest)[0]


BEST_PAIR = Exercise(
    id="6.8",
    title="The most frequent pair",
    kind="implement",
    name="most_frequent_pair",
    minutes=15,
    stars=2,
    cases=_pair_choice_cases,
    stages=(
        Stage("counts", "the counts", 2, "print all pairs with their counts."),
        Stage(
            "inside", "inside words only", 1, "can a pair have its first half in one word and its second in the next?"
        ),
        Stage("ties", "equally frequent pairs", 1, "which of them is smaller, as Python compares tuples?"),
    ),
    reference=_library_choice,
    misconceptions=(
        Misconception(
            _choice_with(weigh=lambda count: 1),
            "You count each word once. A word that stands in the text ten times brings its pairs ten times.",
        ),
        Misconception(
            _across,
            "Your pairs reach from one word into the next. Merges stay inside words; otherwise 'of the' would become a token.",
        ),
        Misconception(
            _choice_with(key=lambda item: -item[1]),
            "Of equally frequent pairs you take the one that was met first. The order of the words is chance; take the "
            "smaller pair.",
        ),
        Misconception(
            _choice_with(key=lambda item: (-item[1], *(-ord(letter) for symbol in item[0] for letter in symbol))),
            "Of equally frequent pairs you take the larger one, the last in the alphabet.",
        ),
        Misconception(
            _choice_with(key=lambda item: (-len(item[0][0] + item[0][1]), -item[1], item[0])),
            "You look at the length of the pairs first. Only their counts matter.",
        ),
        Misconception(
            _choice_with(key=lambda item: (item[1], item[0])),
            "You took the *rarest* pair.",
        ),
    ),
    alternatives=(_choice_with(), _sorted_choice),
    hints=(
        "`zip(word, word[1:])` are the pairs of a word. Add the word's count to each, in a `Counter`.",
        "`min(counts, key=lambda pair: (-counts[pair], pair))` decides by the count first and by the pair itself second.",
    ),
    success="Right. Ties are common in small texts, and two programs that break them differently disagree on everything "
    "after.",
)


# ------------------------------------------------------------------------------------------------------- 6.9 merging


def _merge_cases(seed: int) -> Iterator[Case]:
    other = "xyz"[seed % 3]
    yield Case("once", (["n", "e", "w", "e", other], ("w", "e")))
    yield Case("often", (["e", "s", other, "e", "s", "e", "s"], ("e", "s")))
    yield Case("often", ([other, "t", "s", "e"], ("e", "s")))
    yield Case("overlap", (["a"] * (5 + seed % 2 * 2) + [other, "a", "a"], ("a", "a")))
    yield Case("whole", (["th", "e", "t", "h", "e", "xth", "e"], ("th", "e")))


def _merge_by_text(word, pair):
    return " ".join(word).replace(" ".join(pair), "".join(pair)).split(" ")


def _merge_with(step: Callable) -> Callable:
    """Walk through the word; `step` says how far to go after a merge, and when to stop merging."""

    def answer(word, pair):
        merged, i = [], 0
        while i < len(word):
            if tuple(word[i : i + 2]) == pair:
                merged.append("".join(pair))
                i += step(merged, pair)
            else:
                merged.append(word[i])
                i += 1
        return merged

    return answer


def _merge_from_right(word, pair):
    backwards = _merge_with(lambda merged, pair: 2)(word[::-1], pair[::-1])
    return [symbol if symbol != "".join(pair[::-1]) else "".join(pair) for symbol in backwards[::-1]]


def _merge_first(word, pair):
    for i in range(len(word) - 1):
        if (word[i], word[i + 1]) == pair:
            return [*word[:i], "".join(pair), *word[i + 2 :]]
    return list(word)


def _merge_in_place(word, pair):
    word[:] = _merge_with(lambda merged, pair: 2)(word, pair)
    return word


def _library_merge(word, pair):
    names = sorted({*word, *pair})
    ids = [names.index(symbol) for symbol in word]
    library_merge(ids, (names.index(pair[0]), names.index(pair[1])), len(names))
    return [*map([*names, "".join(pair)].__getitem__, ids)]


def _recursive_merge(word, pair):
    if len(word) < 2:
        return list(word)
    if (word[0], word[1]) == pair:
        return [word[0] + word[1], *_recursive_merge(word[2:], pair)]
    return [word[0], *_recursive_merge(word[1:], pair)]


def _either_order(word, pair):
    merged, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and {word[i], word[i + 1]} == {*pair}:
            merged.append("".join(word[i : i + 2]))
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


MERGE = Exercise(
    id="6.9",
    title="Merge the pair",
    kind="implement",
    name="merge",
    minutes=15,
    stars=2,
    cases=_merge_cases,
    stages=(
        Stage("once", "a pair that occurs once", 1, "the two symbols become one, and the others stay."),
        Stage("often", "a pair that occurs often, or not at all", 1, "first, then second; every time."),
        Stage("overlap", "occurrences that overlap", 1, "from the left: what is merged is used up."),
        Stage("whole", "whole symbols", 1, "'xth' is a symbol of its own, though it ends in 'th'."),
    ),
    reference=_library_merge,
    misconceptions=(
        Misconception(_merge_first, "You merge the first occurrence only. All of them have to be merged."),
        Misconception(
            _merge_with(lambda merged, pair: 1),
            "You go on by one symbol after a merge, so the second half of the pair appears once more.",
        ),
        Misconception(
            _merge_from_right, "You merge from the right. In 'aaa' the first two belong together, and one a is left."
        ),
        Misconception(
            _merge_by_text,
            "You replace in a joined text, where a symbol that *ends* like the first half looks just like it. Compare whole "
            "symbols.",
        ),
        Misconception(
            _either_order, "You merge the two symbols in either order. (w, e) and (e, w) are different pairs."
        ),
        Misconception(_merge_in_place, "Your function changes the list that it was given: it should return a new one."),
    ),
    alternatives=(_merge_with(lambda merged, pair: 2), _recursive_merge),
    hints=(
        "Walk with an index: if this symbol and the next are the pair, append the merged symbol and go on by *two*.",
        "`tuple(word[i : i + 2]) == pair` compares whole symbols, and is simply False at the last one.",
    ),
    success="Right. With 6.8 in a loop, that is the whole of training a byte-pair encoding.",
)


# ---------------------------------------------------------------------------------------------------- 6.10 what to choose

SIXTEEN = Exercise(
    id="6.10",
    title="A quarter of the parameters",
    kind="choose",
    name="quarter",
    minutes=5,
    stars=1,
    options={
        "A": "Nothing: a smaller model needs less memory and is faster in the same proportion.",
        "B": "The weights take less memory, but a sentence takes about as long as before.",
        "C": "It takes longer, since twelve layers have to wait for one and the same set of weights.",
        "D": "The weights take less memory, and so do the activations of training.",
        "E": "Nothing is saved: the optimizer keeps its numbers for each layer.",
    },
    stages=(Stage("choice", "what sharing saves", 2, "count the matrix products of one sentence."),),
    reference="B",
    misconceptions=(
        Misconception("A", "A: the memory is right. But each of the twelve layers still does its matrix products."),
        Misconception(
            "C", "C: layers wait for the layer before them anyway; reading the same weights again costs nothing extra."
        ),
        Misconception(
            "D",
            "D: the weights, yes. But going back through twelve layers needs what each of them computed, shared weights or "
            "not.",
        ),
        Misconception("E", "E: an optimizer keeps its numbers for each *parameter*, and a shared one is one."),
    ),
    hints=("How many matrix products does a sentence need in twelve layers, if all have the same weights?",),
    success="B. Parameters are what must be stored; operations are what must be done. ALBERT saves the first.",
)


EXERCISES = (HIDE, SHARES, PAIR, EMBED, POOLED, COUNT, REPAIR_SHARING, BEST_PAIR, MERGE, SIXTEEN)

"""Exercises of chapter 1, attention.

Inputs have components of order 1, so that scores are of order 1 too and a missing scale, mask or axis shows; all
lengths and widths differ, so that a wrong axis cannot hide.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import attention as library
from ...masks import causal_mask
from ..comparing import shape_difference, within
from ..exercise import Case, Exercise, Misconception, Stage


def _randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


def _weight(generator: torch.Generator, rows: int, columns: int) -> Tensor:
    """A matrix that maps vectors of order 1 to vectors of order 1.5."""
    return 1.5 * _randn(generator, rows, columns) / math.sqrt(rows)


# ---------------------------------------------------------------------------------------------- 1.1 three scores


def _score_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    # batch, queries, keys, d, hidden: all different, all lengths equal, and a single pair in a batch of one
    for batch, queries, keys, d, hidden in ((2, 3, 5, 4, 6), (3, 3, 3, 5, 5), (1, 1, 1, 3, 2)):
        for stage in ("dot", "bilinear", "additive"):
            query, key = _randn(generator, batch, queries, d), _randn(generator, batch, keys, d)
            matrices = (_weight(generator, d, d), _weight(generator, d, hidden), _weight(generator, d, hidden))
            yield Case(stage, (query, key, *matrices, _randn(generator, hidden)))


def _reference_scores(query: Tensor, key: Tensor, W: Tensor, W_q: Tensor, W_k: Tensor, v: Tensor) -> tuple:
    bilinear = library.BilinearScore(*W.shape)
    additive = library.AdditiveScore(len(W_q), len(W_k), len(v), bias=False)
    with torch.no_grad():
        bilinear.weight.copy_(W)
        additive.query.weight.copy_(W_q.T)
        additive.key.weight.copy_(W_k.T)
        additive.score.weight.copy_(v[None])
    return library.DotScore()(query, key), bilinear(query, key), additive(query, key)


def _scores_with(
    *,
    dot: Callable | None = None,
    bilinear: Callable | None = None,
    additive: Callable | None = None,
) -> Callable:
    """The reference with one of its three parts replaced: ``dot(q, k)``, ``bilinear(q, W, k)``, ``additive(a, b, v)``.

    `additive` receives the projected queries ``(batch, query, 1, hidden)`` and keys ``(batch, 1, key, hidden)``.
    """

    def answer(query, key, W, W_q, W_k, v):
        right = _reference_scores(query, key, W, W_q, W_k, v)
        projected = (query @ W_q).unsqueeze(2), (key @ W_k).unsqueeze(1)
        return (
            dot(query, key) if dot else right[0],
            bilinear(query, W, key) if bilinear else right[1],
            additive(*projected, v) if additive else right[2],
        )

    return answer


def _loop_scores(query, key, W, W_q, W_k, v):
    batch, num_queries, num_keys = len(query), query.shape[1], key.shape[1]
    dot, bilinear, additive = (torch.zeros(batch, num_queries, num_keys) for _ in range(3))
    for b in range(batch):
        for i in range(num_queries):
            for j in range(num_keys):
                q, k = query[b, i], key[b, j]
                dot[b, i, j] = q.dot(k)
                bilinear[b, i, j] = q @ W @ k
                additive[b, i, j] = v.dot(torch.tanh(q @ W_q + k @ W_k))
    return dot, bilinear, additive


def _einsum_scores(query, key, W, W_q, W_k, v):
    hidden = torch.tanh(
        torch.einsum("bqd,dh->bqh", query, W_q)[:, :, None] + torch.einsum("bkd,dh->bkh", key, W_k)[:, None]
    )
    return (
        torch.einsum("bqd,bkd->bqk", query, key),
        torch.einsum("bqd,de,bke->bqk", query, W, key),
        torch.einsum("bqkh,h->bqk", hidden, v),
    )


THREE_SCORES = Exercise(
    id="1.1",
    title="Three ways to score a pair",
    kind="implement",
    name="three_scores",
    minutes=15,
    stars=1,
    cases=_score_cases,
    stages=(
        Stage("dot", "the dot score", 1, "one number for each pair: which axes are summed?", lambda v: v[0]),
        Stage("bilinear", "the bilinear score", 1, "W stands between the query and the key.", lambda v: v[1]),
        Stage("additive", "the additive score", 2, "where does tanh go, and what does v do?", lambda v: v[2]),
    ),
    reference=_reference_scores,
    misconceptions=(
        Misconception(
            _scores_with(dot=lambda q, k: k @ q.transpose(1, 2)),
            "Your dot scores are transposed: they have one row per key. One row per *query* is needed.",
        ),
        Misconception(
            _scores_with(dot=lambda q, k: q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])),
            "Your dot scores are already divided by √d. The plain score is asked for; scaling comes in exercise 1.2.",
        ),
        Misconception(
            _scores_with(dot=lambda q, k: F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(1, 2)),
            "These are cosines: the lengths of query and key have been divided away. A dot product keeps them.",
        ),
        Misconception(
            _scores_with(dot=lambda q, k: (q @ k.transpose(1, 2)).softmax(-1)),
            "These are weights already: your dot scores have gone through a softmax. Scores are what comes before it.",
        ),
        Misconception(
            _scores_with(bilinear=lambda q, W, k: q @ W.T @ k.transpose(1, 2)),
            "Your bilinear score uses W transposed: the query must meet W's rows, the key its columns.",
        ),
        Misconception(
            _scores_with(bilinear=lambda q, W, k: (q @ W) @ (k @ W).transpose(1, 2)),
            "Your bilinear score applies W to the query and to the key. It appears only once in qᵀ W k.",
        ),
        Misconception(
            _scores_with(additive=lambda a, b, v: (a + b) @ v),
            "Your additive score has no tanh: without it the score splits into one part for the query and one for the "
            "key, and every query ranks the keys alike.",
        ),
        Misconception(
            _scores_with(additive=lambda a, b, v: torch.tanh((a + b) @ v)),
            "Your additive score takes tanh last. It belongs to the hidden layer, before v sums that layer up.",
        ),
        Misconception(
            _scores_with(additive=lambda a, b, v: (torch.tanh(a) + torch.tanh(b)) @ v),
            "Your additive score takes tanh of query and key separately. Add them first: only then do they interact.",
        ),
        Misconception(
            _scores_with(additive=lambda a, b, v: torch.tanh(a + b).sum(-1)),
            "Your additive score sums the hidden layer with equal weights. The vector v holds a weight for each unit.",
        ),
        Misconception(
            _scores_with(additive=lambda a, b, v: torch.relu(a + b) @ v),
            "Your additive score uses ReLU. Bahdanau's, and the one asked for, uses tanh.",
        ),
    ),
    alternatives=(_loop_scores, _einsum_scores),
    hints=(
        "For the dot score you need the product of every query with every key. `query @ key` does not fit; which "
        "axes of `key` have to change places?",
        "A bilinear score is a dot score after the query has been moved: $q^\\top W k = (W^\\top q) \\cdot k$.",
        "For the additive score give the projected queries the shape `(batch, query, 1, hidden)` and the projected keys "
        "`(batch, 1, key, hidden)`. What is the shape of their sum?",
    ),
    success="All three agree. The first two are matrix products; the third had to build a hidden vector for every pair, "
    "which is why large models do not use it.",
)


# ------------------------------------------------------------------------------ 1.2 scaled dot-product attention


def _attention_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def inputs(batch: int, queries: int, keys: int, d: int, d_value: int) -> tuple[Tensor, Tensor, Tensor]:
        shapes = (batch, queries, d), (batch, keys, d), (batch, keys, d_value)
        return tuple(_randn(generator, *shape) for shape in shapes)

    yield Case("weights", inputs(2, 3, 5, 6, 4))
    yield Case("weights", inputs(2, 4, 4, 9, 4))
    yield Case("weights", inputs(1, 1, 1, 3, 1))
    yield Case("output", inputs(2, 3, 5, 6, 4))
    yield Case("output", inputs(1, 1, 4, 5, 1))
    for size in ((2, 3, 5, 6, 4), (3, 4, 4, 8, 4)):
        mask = torch.rand(*size[:3], generator=generator) < 0.5
        mask[:, torch.arange(size[1]), torch.arange(size[1])] = True  # every query sees at least one key
        mask[:, 0, -1] = False  # and not every key
        yield Case("mask", (*inputs(*size), mask))
    yield Case("mask", (*inputs(1, 1, 1, 4, 1), torch.ones(1, 1, 1, dtype=torch.bool)))


def _attention_with(
    *,
    scores: Callable = lambda q, k: q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]),
    before: Callable = lambda scores, mask: scores.masked_fill(~mask, -math.inf),
    softmax: Callable = lambda scores: scores.softmax(-1),
    after: Callable = lambda weights, mask: weights,
) -> Callable:
    """Attention written out, with one of its steps replaced."""

    def answer(query, key, value, mask=None):
        mask = torch.ones((), dtype=torch.bool) if mask is None else mask
        weights = after(softmax(before(scores(query, key), mask)), mask)
        return weights @ value, weights

    return answer


def _attention_scaled_after(query, key, value, mask=None):
    weights = _attention_with(scores=lambda q, k: q @ k.transpose(1, 2))(query, key, value, mask)[1]
    weights = weights / math.sqrt(query.shape[-1])
    return weights @ value, weights


def _attention_in_place(query, key, value, mask=None):
    query /= math.sqrt(query.shape[-1])
    return _attention_with(scores=lambda q, k: q @ k.transpose(1, 2))(query, key, value, mask)


def _reference_attention(query, key, value, mask=None):
    return library.scaled_dot_product_attention(query, key, value, mask, return_weights=True)


def _loop_attention(query, key, value, mask=None):
    output, weights = torch.zeros(*query.shape[:2], value.shape[-1]), torch.zeros(*query.shape[:2], key.shape[1])
    for b in range(len(query)):
        for i in range(query.shape[1]):
            scores = torch.stack([query[b, i].dot(k) for k in key[b]]) / query.shape[-1] ** 0.5
            if mask is not None:
                scores[~mask[b, i]] = -1e9
            weights[b, i] = scores.exp() / scores.exp().sum()
            output[b, i] = sum(w * v for w, v in zip(weights[b, i], value[b], strict=True))
    return output, weights


def _einsum_attention(query, key, value, mask=None):
    scores = torch.einsum("bqd,bkd->bqk", query * query.shape[-1] ** -0.5, key)
    if mask is not None:
        scores = scores + torch.zeros_like(scores).masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=2)
    return torch.einsum("bqk,bkv->bqv", weights, value), weights


ATTENTION = Exercise(
    id="1.2",
    title="Scaled dot-product attention",
    kind="implement",
    name="attention",
    minutes=20,
    stars=2,
    cases=_attention_cases,
    stages=(
        Stage(
            "weights", "the attention weights", 2, "score, scale, softmax: print each and its shape.", lambda v: v[1]
        ),
        Stage(
            "output",
            "the weighted sum of the values",
            1,
            "each row of weights mixes the rows of `value`.",
            lambda v: v[0],
        ),
        Stage("mask", "the mask", 2, "the weights of a masked row: which are 0, and what is their sum?"),
    ),
    reference=_reference_attention,
    misconceptions=(
        Misconception(
            _attention_with(scores=lambda q, k: q @ k.transpose(1, 2)),
            "Your scores are not scaled. Their spread grows with the width of the query: which factor undoes that?",
        ),
        Misconception(
            _attention_with(scores=lambda q, k: q @ k.transpose(1, 2) / q.shape[-1]),
            "Your scores are divided by d_k. It is the *standard deviation* of a score that has to become 1.",
        ),
        Misconception(
            _attention_with(scores=lambda q, k: q @ k.transpose(1, 2) / math.sqrt(k.shape[-2])),
            "Your scores are divided by the root of the number of *keys*. The scale depends on the width of a key.",
        ),
        Misconception(
            _attention_with(scores=lambda q, k: q @ k.transpose(1, 2) * math.sqrt(q.shape[-1])),
            "Your scores are multiplied by √d_k, where they should be divided by it.",
        ),
        Misconception(
            _attention_with(softmax=lambda scores: scores.softmax(-2)),
            "These are the weights of a softmax over the queries: each column sums to 1. Each *query* has one unit of "
            "attention to share out. Which axis is that?",
        ),
        Misconception(
            _attention_with(softmax=lambda scores: scores.softmax(0)),
            "Your softmax runs over the batch: sentences that have nothing to do with each other share their attention.",
        ),
        Misconception(
            _attention_scaled_after,
            "You scale after the softmax: the rows no longer sum to 1. The scale has to act on the scores.",
        ),
        Misconception(
            _attention_with(softmax=lambda scores: scores.flatten(1).softmax(-1).view_as(scores)),
            "One softmax runs over all scores of a sentence: its whole table sums to 1. Each *row* has to, by itself.",
        ),
        Misconception(
            _attention_with(softmax=lambda scores: scores),
            "These are scores, positive and negative. The softmax is missing that turns each row into weights.",
        ),
        Misconception(
            _attention_with(scores=lambda q, k: k @ q.transpose(1, 2) / math.sqrt(q.shape[-1])),
            "Queries and keys are exchanged: your scores have one row per key, and the values no longer fit.",
        ),
        Misconception(
            _attention_with(before=lambda scores, mask: scores),
            "The mask makes no difference in your answer: forbidden keys still receive weight.",
        ),
        Misconception(
            _attention_with(before=lambda scores, mask: scores.masked_fill(mask, -math.inf)),
            "Your mask is inverted. In this course True means *may attend*.",
        ),
        Misconception(
            _attention_with(before=lambda scores, mask: scores, after=lambda weights, mask: weights * mask),
            "You mask after the softmax: the forbidden weights are 0, but the rows do not sum to 1 any more, since the "
            "forbidden keys took part in the sum. Mask the scores.",
        ),
        Misconception(
            _attention_with(before=lambda scores, mask: scores * mask),
            "You set forbidden *scores* to 0. exp(0) is 1, so these keys still get weight. Which score gives weight 0?",
        ),
        Misconception(
            _attention_in_place,
            "Your function divides the query in place (`/=`): whoever called it finds another query afterwards.",
        ),
        Misconception(
            _attention_with(after=lambda weights, mask: F.dropout(weights, 0.1)),
            "Some of your weights are 0 and the others are larger than they should be: dropout is left on.",
        ),
    ),
    alternatives=(_loop_attention, _einsum_attention),
    hints=(
        "Four steps: scores, mask, softmax, weighted sum. Print the shape after each.",
        "`key.transpose(-2, -1)` turns $(batch, key, d)$ into $(batch, d, key)$. The width $d_k$ is `query.shape[-1]`.",
        "`scores.masked_fill(~mask, -math.inf)` writes −∞ where the mask is False, and leaves `scores` alone.",
    ),
    success="Right, mask included. This function, with these few lines in this order, is in every model of this course.",
)


# ------------------------------------------------------------------------------------ 1.3 *Dogs like balls* by hand

_V = torch.tensor([[1.0, 0.0], [0.0, 2.0], [4.0, 1.0]])
_A = torch.tensor([[0.90, 0.03, 0.07], [0.02, 0.95, 0.03], [0.02, 0.01, 0.97]])


def _by_hand(
    A: Tensor = _A, V: Tensor = _V, row: int = 0, weights: tuple = (1 / 8, 2 / 8, 5 / 8)
) -> tuple[tuple, tuple, tuple]:
    """The three lines of the answer: z of Dogs, the new weights of like, z of like."""
    A, V, new = A.double(), V.double(), torch.tensor(weights, dtype=torch.float64)
    return tuple((A @ V)[row].tolist()), weights, tuple((new @ V).tolist())


BY_HAND = Exercise(
    id="1.3",
    title="Dogs like balls, by hand",
    kind="predict",
    name="by_hand",
    minutes=10,
    stars=1,
    stages=(
        Stage(
            "z_dogs",
            "z of *Dogs*",
            1,
            "the row of Dogs, times the values, column by column.",
            lambda v: v[0],
            within(0.005),
        ),
        Stage(
            "weights_like",
            "the weights of *like*",
            1,
            "divide the scores by √d_k first; exp(ln 5) is 5.",
            lambda v: v[1],
            within(0.005),
        ),
        # from weights that were rounded before: 4 · 0.005 and what the others add
        Stage("z_like", "z of *like*", 1, "the same weighted sum as for Dogs.", lambda v: v[2], within(0.03)),
    ),
    reference=_by_hand(),
    misconceptions=(
        Misconception(
            _by_hand(A=_A.T),
            "Your z of Dogs uses the *column* of Dogs, the attention that Dogs receives. Its own attention is its row.",
        ),
        Misconception(
            ((0.90 * 1 + 0.03 * 0 + 0.07 * 4,) * 2, *_by_hand()[1:]),
            "Both your components of z are equal: the second one needs the second column of V.",
        ),
        Misconception(
            _by_hand(weights=(1 / 30, 4 / 30, 25 / 30)),
            "Your weights of like leave out the scale: divide the scores by √d_k = 2 before exp.",
        ),
        Misconception(
            _by_hand(weights=(0.0, 2 / 7, 5 / 7)),
            "You gave the key with score 0 the weight 0. exp(0) is not 0.",
        ),
        Misconception(
            _by_hand(weights=(1.0, 2.0, 5.0)),
            "These are exp of the scaled scores. To become weights they must sum to 1.",
        ),
        Misconception(
            _by_hand(weights=(0.0, math.log(2) / math.log(10), math.log(5) / math.log(10))),
            "You divided the scores by their sum. A softmax takes exp of each score first.",
        ),
    ),
    hints=(
        "$z_{Dogs} = 0.90\\,v_1 + 0.03\\,v_2 + 0.07\\,v_3$. Do the first component of all three, then the second.",
        "$e^{2\\ln 2 / 2} = e^{\\ln 2} = 2$.",
    ),
    success="Right, and without a computer. Everything a model does in attention is this, many times over.",
)


# ------------------------------------------------------------------------------------ 1.4 the variance of a score

VARIANCE = Exercise(
    id="1.4",
    title="How large is a score?",
    kind="predict",
    name="variances",
    minutes=10,
    stars=2,
    stages=(
        Stage(
            "plain",
            "the variance of q·k",
            1,
            "how many terms are summed, and what is the variance of one?",
            lambda v: v[0],
        ),
        Stage(
            "without root",
            "the variance of q·k / d_k",
            1,
            "a factor c changes a variance by c².",
            lambda v: v[1],
            within(0.0005),
        ),
        Stage(
            "spread",
            "the variance with larger queries",
            1,
            "the variance of one product q·k is the product of the two variances; then sum, then scale.",
            lambda v: v[2],
        ),
    ),
    reference=(100, 0.01, 9),
    misconceptions=(
        Misconception(
            (10, 0.01, 9), "10 is the *standard deviation* of q·k for d_k = 100, √100. The variance is asked for."
        ),
        Misconception(
            (1, 0.01, 9), "A variance of 1 belongs to one product qᵢkᵢ. The score sums 100 independent ones."
        ),
        Misconception(
            (10_000, 0.01, 9), "You squared d_k: independent terms add their variances, they do not multiply them."
        ),
        Misconception(
            (100, 1, 9),
            "1 is what dividing by the *root* of d_k leaves, or what dividing the variance by d_k would. "
            "Dividing a variable by c divides its variance by c².",
        ),
        Misconception((100, 0.1, 9), "0.1 is the standard deviation of q·k / d_k. What is its variance?"),
        Misconception(
            (100, 0.01, 3), "3 is the standard deviation of the components of q, and of the scaled score too."
        ),
        Misconception((100, 0.01, 144), "144 is the variance before scaling. What does dividing by √16 leave of it?"),
        Misconception(
            (100, 0.01, 1), "Dividing by √d_k undoes the number of terms, but not the size of the queries themselves."
        ),
    ),
    hints=(
        "For independent variables with mean 0, $\\operatorname{Var}(q_i k_i) = \\operatorname{Var}(q_i)\\operatorname{Var}(k_i)$.",
        "The variance of a sum of independent terms is the sum of their variances; and "
        "$\\operatorname{Var}(cX) = c^2 \\operatorname{Var}(X)$.",
    ),
    success="Right. Only the root of d_k makes the variance 1, whatever the width; keeping q and k themselves of order 1 is "
    "the work of initialisation and layer norm.",
)


# ------------------------------------------------------------------------------------------------ 1.5 why √d_k

_WHY = {
    "A": "Without it the scores could be negative, and a softmax, which has to give weights between 0 and 1, would need "
    "positive numbers to divide by their sum.",
    "B": "Without it the weights of a row would sum to more than 1 in wide models, and the outputs would grow from layer "
    "to layer.",
    "C": "Without it the scores of wide vectors lie far apart, and the softmax is nearly one-hot: most queries get almost "
    "no gradient, a few get violent ones.",
    "D": "It makes queries and keys unit vectors, so that only their direction counts, and a long key cannot draw the "
    "attention of every query to itself.",
    "E": "It keeps the numbers small enough for half precision, in which the product of two matrices of width 512 or more "
    "would overflow.",
}

WHY_SCALE = Exercise(
    id="1.5",
    title="Why √d_k?",
    kind="choose",
    name="why_scale",
    minutes=5,
    stars=1,
    options=_WHY,
    stages=(Stage("choice", "the reason", 2, "look again at the measurements of section 1.5."),),
    reference="C",
    misconceptions=(
        Misconception("A", "A: exp makes any number positive, so a softmax takes negative scores without trouble."),
        Misconception(
            "B",
            "B: a softmax divides by the sum whatever the scores are. Its rows sum to 1 with and without the scale, and so "
            "an output is no longer than the longest value.",
        ),
        Misconception(
            "D", "D: that would be the cosine. √d_k is one constant for all pairs and leaves longer vectors longer."
        ),
        Misconception(
            "E",
            "E: half precision holds numbers up to 65,504, and scores with a standard deviation of √512 ≈ 23 are far from "
            "that. The trouble begins in the softmax, in any precision.",
        ),
    ),
    hints=(
        "Run the measurement of section 1.5 with and without the scale. Do not look at the mean of the gradients alone: "
        "what do most of the queries get?",
    ),
    success="C. The spread of q·k grows like √d_k, and a softmax of widely spread scores is nearly one-hot. Where one key is "
    "far ahead its derivative is nearly 0; where two are close to a tie it is large, and the long keys, which nothing "
    "divides, make it larger still on its way to the query.",
)


# ------------------------------------------------------------------------------------- 1.6 multi-head attention


def _parameters(generator: torch.Generator, d_model: int) -> dict[str, Tensor]:
    parameters = {}
    for name in "QKVO":
        parameters[f"W_{name}"] = _weight(generator, d_model, d_model)
        parameters[f"b_{name}"] = _randn(generator, d_model)
    return parameters


def _multi_head_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)

    def x(length: int) -> Tensor:
        return _randn(generator, 2, length, 12)

    parameters, other = _parameters(generator, 12), _parameters(generator, 8)
    yield Case("shape", (x(4), x(7), parameters, 3))
    yield Case("shape", (_randn(generator, 1, 1, 8), _randn(generator, 1, 1, 8), other, 2))
    sequence = x(5)
    yield Case("one head", (sequence, sequence, parameters, 1))
    yield Case("one head", (_randn(generator, 3, 5, 8), _randn(generator, 3, 6, 8), other, 1))
    yield Case("several heads", (sequence, sequence, parameters, 3))
    yield Case("several heads", (x(4), x(7), parameters, 2))
    yield Case(
        "several heads", (_randn(generator, 1, 4, 8), _randn(generator, 1, 4, 8), other, 4)
    )  # as many heads as words
    yield Case("causal", (sequence, sequence, parameters, 3, True))
    short = _randn(generator, 1, 1, 8)
    yield Case("causal", (short, short, other, 2, True))


def _reference_multi_head(x, context, parameters, num_heads, causal=False):
    layer = library.MultiHeadAttention(x.shape[-1], num_heads)
    with torch.no_grad():
        for name, linear in zip("QKVO", (layer.query, layer.key, layer.value, layer.output), strict=True):
            linear.weight.copy_(parameters[f"W_{name}"].T)
            linear.bias.copy_(parameters[f"b_{name}"])
    return layer(x, context, causal=causal)


def _split(x: Tensor, num_heads: int) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def _merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _multi_head_with(
    *,
    project: Callable = lambda x, p, name: x @ p[f"W_{name}"] + p[f"b_{name}"],
    split: Callable = _split,
    scores: Callable = lambda q, k: q @ k.transpose(-2, -1),
    scale: Callable = lambda d_model, d_head: math.sqrt(d_head),
    read: Callable = lambda x, context: (context, context),
    mask: Callable = lambda scores: scores.masked_fill(~causal_mask(scores.shape[-1]), -math.inf),
    softmax: Callable = lambda scores: scores.softmax(-1),
    weights_mask: Callable = lambda weights: weights,
    merge: Callable = _merge,
    output: Callable = lambda z, p: z @ p["W_O"] + p["b_O"],
) -> Callable:
    """Multi-head attention written out, with one of its steps replaced."""

    def answer(x, context, parameters, num_heads, causal=False):
        query = split(project(x, parameters, "Q"), num_heads)
        key, value = (
            split(project(source, parameters, name), num_heads)
            for source, name in zip(read(x, context), "KV", strict=True)
        )
        s = scores(query, key) / scale(x.shape[-1], x.shape[-1] // num_heads)
        weights = softmax(mask(s) if causal else s)
        weights = weights_mask(weights) if causal else weights
        return output(merge(weights @ value), parameters)

    return answer


def _multi_head_in_place(x, context, parameters, num_heads, causal=False):
    answer = _multi_head_with()(x, context, parameters, num_heads, causal)
    x += answer
    return answer


def _multi_head_batch_leak(x, context, parameters, num_heads, causal=False):
    """All sentences of the batch as one long sequence."""
    together = _multi_head_with()(
        x.reshape(1, -1, x.shape[-1]), context.reshape(1, -1, x.shape[-1]), parameters, num_heads, causal
    )
    return together.reshape(x.shape)


def _loop_multi_head(x, context, parameters, num_heads, causal=False):
    p, d_head = parameters, x.shape[-1] // num_heads
    heads = []
    for h in range(num_heads):
        part = slice(h * d_head, (h + 1) * d_head)
        q, k, v = (
            source @ p[f"W_{name}"][:, part] + p[f"b_{name}"][part]
            for source, name in ((x, "Q"), (context, "K"), (context, "V"))
        )
        scores = q @ k.mT / d_head**0.5
        if causal:
            scores = scores + torch.full(scores.shape[-2:], -math.inf).triu(1)
        heads.append(scores.softmax(-1) @ v)
    return torch.cat(heads, dim=-1) @ p["W_O"] + p["b_O"]


def _einsum_multi_head(x, context, parameters, num_heads, causal=False):
    p, d_head = parameters, x.shape[-1] // num_heads
    q, k, v = (
        torch.einsum("bnd,dhe->bnhe", source, p[f"W_{name}"].unflatten(1, (num_heads, d_head)))
        + p[f"b_{name}"].unflatten(0, (num_heads, d_head))
        for source, name in ((x, "Q"), (context, "K"), (context, "V"))
    )
    scores = torch.einsum("bqhe,bkhe->bhqk", q, k) * d_head**-0.5
    if causal:
        position = torch.arange(scores.shape[-1])
        scores = torch.where(position[:, None] >= position, scores, -1e9)
    z = torch.einsum("bhqk,bkhe->bqhe", scores.softmax(-1), v)
    return torch.einsum("bqhe,hed->bqd", z, p["W_O"].unflatten(0, (num_heads, d_head))) + p["b_O"]


MULTI_HEAD = Exercise(
    id="1.6",
    title="Multi-head attention",
    kind="implement",
    name="multi_head_attention",
    minutes=35,
    stars=3,
    cases=_multi_head_cases,
    stages=(
        Stage(
            "shape",
            "one output vector for each row of x",
            1,
            "the output has the shape of x, whatever the length of the context.",
            compare=shape_difference,
        ),
        Stage("one head", "with a single head", 1, "with num_heads=1 this is exercise 1.2 between projections."),
        Stage("several heads", "with several heads", 2, "follow one head: which columns of Q, K and V are its own?"),
        Stage("causal", "causal self-attention", 2, "with causal=True, position i attends to 0 … i."),
    ),
    reference=_reference_multi_head,
    ready_made=(
        "largemodels.attention.MultiHeadAttention",
        "largemodels.attention.scaled_dot_product_attention",
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
    misconceptions=(
        Misconception(
            _multi_head_with(scale=lambda d_model, d_head: 1.0),
            "Your scores are not scaled at all: divide them by the root of the width of one head.",
        ),
        Misconception(
            _multi_head_with(scale=lambda d_model, d_head: math.sqrt(d_model)),
            "You scale by √d_model. Each head's score sums only d_head products: its scale is √d_head.",
        ),
        Misconception(
            _multi_head_with(scale=lambda d_model, d_head: math.sqrt(d_model // d_head)),
            "You scale by the root of the *number* of heads. It is their width, √d_head, that the spread of a score grows with.",
        ),
        Misconception(
            _multi_head_with(read=lambda x, context: (x, x)),
            "The context makes no difference in your answer: keys and values are made from x, and must be made from what is "
            "read.",
        ),
        Misconception(
            _multi_head_with(read=lambda x, context: (context, x)),
            "Your values are made from x. The keys say where to look, and the values what is found there: both from the "
            "context.",
        ),
        Misconception(
            _multi_head_with(scores=lambda q, k: k @ q.transpose(-2, -1)),
            "Queries and keys are exchanged in your scores: row i must hold what *query* i thinks of each key.",
        ),
        Misconception(
            _multi_head_with(
                project=lambda x, p, name: x @ p[f"W_{(n := {'Q': 'K', 'K': 'Q'}.get(name, name))}"] + p[f"b_{n}"]
            ),
            "The queries are made with W_K and the keys with W_Q. Exchange the two projections.",
        ),
        Misconception(
            _multi_head_with(softmax=lambda scores: scores.softmax(-2)),
            "Your softmax runs over the queries: columns sum to 1. Each query shares out one unit among the *keys*.",
        ),
        Misconception(
            _multi_head_with(softmax=lambda scores: scores.softmax(1)),
            "Your softmax runs over the heads. Heads do not compete: each has its own unit of attention.",
        ),
        Misconception(
            _multi_head_with(mask=lambda s: s.masked_fill(causal_mask(s.shape[-1]), -math.inf)),
            "Your causal mask is inverted: each position sees only the future, and the last one nothing at all, hence NaN.",
        ),
        Misconception(
            _multi_head_with(mask=lambda s: s.masked_fill(causal_mask(s.shape[-1]).tril(-1), -math.inf)),
            "Your causal mask is inverted: each position sees itself and the future, but not the past.",
        ),
        Misconception(
            _multi_head_with(
                mask=lambda s: s,
                weights_mask=lambda w: w * causal_mask(w.shape[-1]),
            ),
            "You mask after the softmax: the rows no longer sum to 1, since future keys took part in the sum. Mask the "
            "scores.",
        ),
        *(
            Misconception(
                _multi_head_with(
                    mask=lambda s, hidden=hidden: s.masked_fill(~causal_mask(s.shape[-1]).tril(-1), hidden)
                ),
                "Your causal mask is off by one: a position may not even see itself, and the first one sees nothing.",
            )
            for hidden in (-math.inf, -1e9)
        ),
        Misconception(
            _multi_head_with(mask=lambda s: s + torch.full_like(s, -math.inf).triu(2)),
            "Your causal mask is off by one: each position still sees the next one, the very token it should predict.",
        ),
        Misconception(
            _multi_head_with(mask=lambda s: s),
            "causal=True makes no difference in your answer: the mask is ignored, and the future is visible.",
        ),
        Misconception(
            _multi_head_with(split=lambda x, h: x.reshape(len(x), h, x.shape[1], -1)),
            "Your heads are cut out of the wrong axis: reshaping straight to (batch, heads, length, d_head) deals out "
            "*positions* to heads. Cut the width into heads first, then exchange two axes.",
        ),
        Misconception(
            _multi_head_with(merge=lambda z: z.reshape(len(z), z.shape[2], -1)),
            "Your heads are merged without being brought back beside each other: positions of one head end up in one "
            "row. Which two axes have to be exchanged before the reshape?",
        ),
        Misconception(
            _multi_head_with(output=lambda z, p: z),
            "The output projection is missing: the heads are joined, but W_O never mixes them.",
        ),
        Misconception(
            _multi_head_with(project=lambda x, p, name: x @ p[f"W_{name}"], output=lambda z, p: z @ p["W_O"]),
            "The biases are missing: each of the four projections adds its own b.",
        ),
        Misconception(
            _multi_head_with(output=lambda z, p: z @ p["W_O"]),
            "The last projection has no bias: b_O is missing.",
        ),
        Misconception(
            _multi_head_with(output=lambda z, p: z @ p["W_O"].T + p["b_O"]),
            "W_O is used transposed. Here weights stand on the right: X @ W.",
        ),
        Misconception(
            _multi_head_in_place,
            "Your function changes its input x in place: whoever called it loses the original.",
        ),
        Misconception(
            _multi_head_batch_leak,
            "Sentences of the batch see each other: the answer for one depends on the others. Keep the batch axis apart.",
        ),
    ),
    alternatives=(_loop_multi_head, _einsum_multi_head),
    hints=(
        "Project first (four matrices, four biases), then cut. `x.unflatten(-1, (num_heads, d_head))` cuts the last axis.",
        "Attention works on the last two axes, so bring $(batch, length, heads, d_{head})$ to "
        "$(batch, heads, length, d_{head})$ with one transpose.",
        "On the way back undo the two steps, the last one first. Which axes must be neighbours before the heads can stand "
        "beside each other, and what is still missing then?",
    ),
    success="All of it: projections, heads, scale, softmax, mask, merge, output. You have written the layer on which the "
    "Transformer is built.",
)


# ------------------------------------------------------------------------------------------ 1.7 repair the merge


def _repair_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, batch, length, d_model, num_heads in (
        ("one head", 2, 5, 12, 1),
        ("one head", 1, 1, 6, 1),
        ("several heads", 2, 5, 12, 3),
        ("several heads", 1, 4, 8, 4),  # as many heads as words
        ("several heads", 3, 1, 6, 2),
        ("several heads", 2, 7, 12, 4),
    ):
        yield Case(stage, (_randn(generator, batch, length, d_model), _parameters(generator, d_model), num_heads))


def _self_attention(**changes: Callable) -> Callable:
    attend = _multi_head_with(**changes)
    return lambda x, parameters, num_heads: attend(x, x, parameters, num_heads)


REPAIR_MERGE = Exercise(
    id="1.7",
    title="Repair: the scrambled heads",
    kind="repair",
    name="repaired_self_attention",
    minutes=15,
    stars=2,
    cases=_repair_cases,
    stages=(
        Stage("one head", "still right with one head", 1, "with one head nothing was wrong: do not change what works."),
        Stage(
            "several heads",
            "right with several heads",
            2,
            "give the heads constant outputs 1, 2, 3 and print the merge.",
        ),
    ),
    reference=lambda x, parameters, num_heads: _reference_multi_head(x, x, parameters, num_heads),
    given=_self_attention(merge=lambda z: z.reshape(len(z), z.shape[2], -1)),
    misconceptions=(
        Misconception(
            _self_attention(merge=lambda z: z.transpose(2, 3).reshape(len(z), z.shape[2], -1)),
            "You exchanged length and d_head. It is heads and length that have to change places.",
        ),
        Misconception(
            _self_attention(merge=lambda z: z.permute(0, 2, 3, 1).flatten(2)),
            "The heads are interleaved: first number of each head, then the second of each. W_O expects head after head.",
        ),
        Misconception(
            _self_attention(merge=lambda z: z.flip(1).transpose(1, 2).flatten(2)),
            "The heads are joined in the opposite order: the first head must come first.",
        ),
        Misconception(
            _self_attention(
                split=lambda x, h: x.reshape(len(x), h, x.shape[1], -1),
                merge=lambda z: z.reshape(len(z), z.shape[2], -1),
            ),
            "You changed the *split* to match the faulty merge. Shapes agree again, but each head now sees some positions "
            "instead of some columns.",
        ),
        Misconception(
            _self_attention(merge=lambda z: z.mean(1).repeat(1, 1, z.shape[1])),
            "You average the heads. They are joined side by side, so that W_O can treat each one differently.",
        ),
    ),
    alternatives=(
        lambda x, parameters, num_heads: _loop_multi_head(x, x, parameters, num_heads),
        _self_attention(merge=lambda z: torch.cat(list(z.unbind(1)), dim=-1)),
    ),
    hints=(
        "`reshape` reads numbers in memory order. In $(batch, heads, length, d_{head})$, what comes after the last number "
        "of position 0 of head 0?",
        "Make `z = torch.arange(...)` of shape (1, 2, 3, 2) and look at `z.reshape(1, 3, 4)`.",
    ),
    success="Right. This mistake raises no error, and it trains: in the task of section 1.9 such a layer still learned "
    "both answers (with one seed). Only a comparison like this one finds it.",
)


# --------------------------------------------------------------------------------------- 1.8 one step with a cache


def _cache_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, batch, past, d, d_value in (
        ("cache", 2, 4, 6, 3),
        ("output", 2, 4, 6, 3),
        ("output", 4, 4, 4, 4),
        ("output", 1, 1, 5, 1),
        ("first", 2, 0, 6, 3),
        ("first", 1, 0, 3, 1),
    ):
        new = _randn(generator, batch, d), _randn(generator, batch, d), _randn(generator, batch, d_value)
        yield Case(stage, (*new, _randn(generator, batch, past, d), _randn(generator, batch, past, d_value)))


def _reference_step(query, key, value, cached_keys, cached_values):
    cache = library.KeyValueCache(cached_keys.shape[1] + 1)
    for keys, values in ((cached_keys, cached_values), (key[:, None], value[:, None])):
        all_keys, all_values = cache.append(keys[:, None], values[:, None])
    output = library.scaled_dot_product_attention(query[:, None, None], all_keys, all_values)
    return output[:, 0, 0], all_keys[:, 0].clone(), all_values[:, 0].clone()


def _attend_one(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    weights = (keys @ query[:, :, None] / math.sqrt(query.shape[-1])).softmax(1)  # (batch, key, 1)
    return (weights * values).sum(1)


def _step_with(
    *,
    attend: Callable = _attend_one,
    join: Callable = lambda past, new: torch.cat([past, new[:, None]], 1),
    seen: Callable = lambda cached, joined: joined,
) -> Callable:
    """One step, with the way it attends, joins, or chooses what to attend to replaced."""

    def answer(query, key, value, cached_keys, cached_values):
        keys, values = join(cached_keys, key), join(cached_values, value)
        return attend(query, seen(cached_keys, keys), seen(cached_values, values)), keys, values

    return answer


def _step_keys_as_values(query, key, value, cached_keys, cached_values):
    keys, values = torch.cat([cached_keys, key[:, None]], 1), torch.cat([cached_values, value[:, None]], 1)
    return _attend_one(query, keys, values), cached_keys, cached_values


CACHE_STEP = Exercise(
    id="1.8",
    title="One token more: a step with a key/value cache",
    kind="implement",
    name="cached_step",
    minutes=20,
    stars=2,
    cases=_cache_cases,
    stages=(
        Stage("cache", "the new cache", 1, "one more row than before, at the end.", lambda v: v[1:]),
        Stage("output", "the output", 2, "the new token attends to all keys so far, its own included."),
        Stage("first", "the first token of all", 1, "with an empty cache the only key is the token's own."),
    ),
    reference=_reference_step,
    ready_made=(
        "largemodels.attention.KeyValueCache",
        "largemodels.attention.scaled_dot_product_attention",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
    misconceptions=(
        Misconception(
            _step_with(seen=lambda cached, joined: cached),
            "The new token does not see itself: you attend before its own key has joined the cache.",
        ),
        Misconception(
            _step_with(join=lambda past, new: torch.cat([new[:, None], past], 1)),
            "The new key stands *first* in your cache. The output hides it, since attention has no order, but the next "
            "user of the cache will count positions.",
        ),
        Misconception(
            _step_with(join=lambda past, new: torch.cat([past[:, 1:], new[:, None]], 1)),
            "Your cache drops its oldest entry for every new one. It must grow by one.",
        ),
        Misconception(
            _step_keys_as_values,
            "You return the old cache: the next token would not know that this one was ever there.",
        ),
        Misconception(
            _step_with(
                attend=lambda q, k, v: ((k @ q[:, :, None]).softmax(1) * v).sum(1),
            ),
            "The scale is missing: a step with a cache divides by √d_k like any other attention.",
        ),
        Misconception(
            _step_with(attend=lambda q, k, v: ((k @ q[:, :, None] / math.sqrt(q.shape[-1])).softmax(0) * v).sum(1)),
            "Your softmax runs over the batch. Which axis holds the keys?",
        ),
        Misconception(
            _step_with(attend=lambda q, k, v: v.mean(1)),
            "Every value gets the same weight. Where do the query and the keys come in?",
        ),
    ),
    alternatives=(
        lambda query, key, value, cached_keys, cached_values: (
            _einsum_attention(
                query[:, None],
                torch.cat([cached_keys, key.unsqueeze(1)], 1),
                torch.cat([cached_values, value.unsqueeze(1)], 1),
            )[0].squeeze(1),
            torch.cat([cached_keys, key.unsqueeze(1)], 1),
            torch.cat([cached_values, value.unsqueeze(1)], 1),
        ),
        _step_with(join=lambda past, new: torch.hstack([past, new.unsqueeze(1)])),
    ),
    hints=(
        "`key[:, None]` has the shape $(batch, 1, d)$ and can be joined to the cache with `torch.cat(..., dim=1)`.",
        "With one query the scores are a single row per sentence. Your `attention` of exercise 1.2 does the rest.",
    ),
    success="Right. Each new token costs one row of scores instead of a whole matrix; chapter 7 measures what that saves.",
)


# -------------------------------------------------------------------------------------- 1.9 counting parameters

_WIDTH = 768
_ONE = _WIDTH * _WIDTH + _WIDTH  # a projection's matrix and bias

COUNT = Exercise(
    id="1.9",
    title="Counting parameters",
    kind="predict",
    name="parameter_counts",
    minutes=5,
    stars=1,
    stages=(
        Stage(
            "twelve", "d_model = 768, 12 heads", 1, "four projections, each with a matrix and a bias.", lambda v: v[0]
        ),
        Stage("twenty-four", "the same with 24 heads", 1, "what does cutting into more heads add?", lambda v: v[1]),
    ),
    reference=(4 * _ONE, 4 * _ONE),
    misconceptions=(
        Misconception((4 * _WIDTH**2,) * 2, "You counted the four matrices. Each projection also adds a bias."),
        Misconception(
            (3 * _ONE,) * 2,
            "You counted three projections. A fourth one, W_O, joins the heads at the end.",
        ),
        Misconception(
            (12 * 4 * _ONE, 24 * 4 * _ONE),
            "You gave every head full-width matrices. A head works on d_model / num_heads columns only.",
        ),
        Misconception(
            (4 * (_WIDTH * 64 + 64), 4 * (_WIDTH * 32 + 32)),
            "That is one head's share. There are num_heads of them.",
        ),
        Misconception(
            (4 * _ONE, 2 * 4 * _ONE),
            "The first is right. But twice as many heads are each half as wide: what does that leave in total?",
        ),
    ),
    hints=("A linear layer from $a$ to $b$ numbers has $ab + b$ parameters.",),
    success="Right: 2,362,368 both times. Heads cost no parameters; they divide the ones there are.",
)


EXERCISES = (
    THREE_SCORES,
    ATTENTION,
    BY_HAND,
    VARIANCE,
    WHY_SCALE,
    MULTI_HEAD,
    REPAIR_MERGE,
    CACHE_STEP,
    COUNT,
)

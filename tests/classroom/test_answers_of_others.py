"""Answers to exercises of chapters 5 to 8 that were written from their statements alone, in many styles.

Whoever wrote them had not seen the declarations: a right one passes whatever its style, a wrong one never does.
(Those to 5.9, 6.11, 6.12 and 7.9 come from whoever wrote the declarations.)
"""

import itertools
import math
import re
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from largemodels.classroom import exercises

RIGHT, WRONG = {}, {}  # id → label → answer


def right(id, label):
    return lambda answer: RIGHT.setdefault(id, {}).setdefault(label, answer)


def wrong(id, label):
    return lambda answer: WRONG.setdefault(id, {}).setdefault(label, answer)


# ---------------------------------------------------------------- 5.3 lengths of spans


@right("5.3", "a loop that counts down")
def _(draws, budget):
    out = []
    for d in draws:
        if budget <= 0:
            break
        d = min(d, budget)
        out.append(d)
        budget -= d
    return out


@right("5.3", "while with an index, a tuple")
def _(draws, budget):
    out, i = (), 0
    while sum(out) < budget:
        out += (min(draws[i], budget - sum(out)),)
        i += 1
    return out


@right("5.3", "NumPy's cumulative sum")
def _(draws, budget):
    ends = np.minimum(np.cumsum(draws), budget)
    begins = np.concatenate([[0], ends[:-1]])
    return (ends - begins)[begins < budget]


@right("5.3", "a tensor")
def _(draws, budget):
    ends = torch.tensor(draws).cumsum(0).clamp(max=budget)
    begins = F.pad(ends, (1, 0))[:-1]
    return (ends - begins)[begins < budget]


@right("5.3", "recursion")
def spans(draws, budget):
    if not budget:
        return []
    first = min(draws[0], budget)
    return [first, *spans(draws[1:], budget - first)]


@right("5.3", "itertools")
def _(draws, budget):
    sums = [0, *itertools.accumulate(draws)]
    return [min(d, budget - s) for d, s in zip(draws, sums, strict=False) if s < budget]


@wrong("5.3", "one more when the budget is exact")
def _(draws, budget):
    out = []
    for d in draws:
        if sum(out) + d > budget:
            out.append(budget - sum(out))
            break
        out.append(d)
    return out


@wrong("5.3", "the last one is dropped in place of cut")
def _(draws, budget):
    out = []
    for d in draws:
        if sum(out) + d > budget:
            break
        out.append(d)
    return out


@wrong("5.3", "the last one is not cut")
def _(draws, budget):
    out = []
    for d in draws:
        if sum(out) >= budget:
            break
        out.append(d)
    return out


@wrong("5.3", "spans of length 0 are skipped")
def _(draws, budget):
    out = []
    for d in draws:
        if budget == 0:
            break
        if d:
            out.append(min(d, budget))
            budget -= out[-1]
    return out


@wrong("5.3", "sorted")
def _(draws, budget):
    return sorted(spans(draws, budget))


@wrong("5.3", "do … while: the budget of 0 has a span")
def _(draws, budget):
    out, i = [], 0
    while True:
        out.append(min(draws[i], budget - sum(out)))
        i += 1
        if sum(out) == budget:
            return out


# ---------------------------------------------------------------- 5.4 span corruption


@right("5.4", "groupby")
def _(tokens, hidden, sentinels):
    source, target, names = [], [], iter(sentinels)
    for vanishes, group in itertools.groupby(zip(hidden, tokens, strict=True), key=lambda pair: bool(pair[0])):
        words = [word for _, word in group]
        if vanishes:
            name = next(names)
            source.append(name)
            target += [name, *words]
        else:
            source += words
    return source, [*target, next(names)]


@right("5.4", "looks back one place")
def _(tokens, hidden, sentinels):
    s, t, k = [], [], -1
    for i, token in enumerate(tokens):
        if hidden[i]:
            if i == 0 or not hidden[i - 1]:
                k += 1
                s.append(sentinels[k])
                t.append(sentinels[k])
            t.append(token)
        else:
            s.append(token)
    t.append(sentinels[k + 1])
    return s, t


@right("5.4", "NumPy objects")
def _(tokens, hidden, sentinels):
    hidden = np.array(hidden, dtype=bool)
    begins = hidden & ~np.concatenate([[False], hidden[:-1]])
    number = np.cumsum(begins) - 1
    source, target = [], []
    for i in range(len(tokens)):
        if begins[i]:
            source.append(sentinels[number[i]])
            target.append(sentinels[number[i]])
        (target if hidden[i] else source).append(tokens[i])
    return source, [*target, sentinels[int(begins.sum())]]


@right("5.4", "two calls of one helper, tuples")
def _(tokens, hidden, sentinels):
    def side(keep):
        out, used, before = [], 0, None
        for token, h in zip(tokens, hidden, strict=True):
            if h and not before:
                mine, used = sentinels[used], used + 1
                out.append(mine)
            if h == keep:
                out.append(token)
            before = h
        return out, used

    source, used = side(False)
    target, _ = side(True)
    return tuple(source), (*tuple(target), sentinels[used])


@right("5.4", "a while loop over spans")
def _(tokens, hidden, sentinels):
    i, n, source, target = 0, 0, [], []
    while i < len(tokens):
        if not hidden[i]:
            source += [tokens[i]]
            i += 1
            continue
        j = i
        while j < len(tokens) and hidden[j]:
            j += 1
        source += [sentinels[n]]
        target += [sentinels[n], *list(tokens[i:j])]
        n, i = n + 1, j
    return [source, [*target, sentinels[n]]]


@right("5.4", "a regular expression over a string of flags")
def _(tokens, hidden, sentinels):
    flags = "".join("x" if h else "." for h in hidden)
    source, target, end = [], [], 0
    matches = list(re.finditer("x+", flags))
    for name, m in zip(sentinels, matches, strict=False):
        source += [*tokens[end : m.start()], name]
        target += [name, *tokens[m.start() : m.end()]]
        end = m.end()
    return source + list(tokens[end:]), [*target, sentinels[len(matches)]]


def _t5(tokens, hidden, sentinels, last=True, per_token=False, in_target=True):
    source, target, n, before = [], [], 0, False
    for token, h in zip(tokens, hidden, strict=True):
        if h:
            if not before or per_token:
                source.append(sentinels[n])
                if in_target:
                    target.append(sentinels[n])
                n += 1
            target.append(token)
        else:
            source.append(token)
        before = h
    return source, target + ([sentinels[n]] if last else [])


wrong("5.4", "no last sentinel")(lambda t, h, s: _t5(t, h, s, last=False))
wrong("5.4", "a sentinel for each token")(lambda t, h, s: _t5(t, h, s, per_token=True))
wrong("5.4", "no sentinels in the target")(lambda t, h, s: _t5(t, h, s, in_target=False))
wrong("5.4", "exchanged")(lambda t, h, s: _t5(t, h, s)[::-1])
wrong("5.4", "the other tokens vanish")(lambda t, h, s: _t5(t, [not x for x in h], s))
wrong("5.4", "the target is the whole text")(lambda t, h, s: (_t5(t, h, s)[0], list(t)))


# ---------------------------------------------------------------- 5.7 what the decoder reads


@right("5.7", "cat")
def _(labels, family):
    start, pad = {"t5": (0, 0), "bart": (2, 1)}[family]
    first = torch.full((labels.shape[0], 1), start)
    shifted = torch.cat([first, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, pad)


@right("5.7", "roll")
def _(labels, family):
    out = labels.roll(1, dims=1)
    out[:, 0] = 0 if family == "t5" else 2
    out[out == -100] = 0 if family == "t5" else 1
    return out


@right("5.7", "lists of lists")
def _(labels, family):
    start, pad = (0, 0) if family == "t5" else (2, 1)
    return [[start] + [pad if x == -100 else x for x in row[:-1]] for row in labels.tolist()]


@right("5.7", "NumPy")
def _(labels, family):
    start, pad = (0, 0) if family == "t5" else (2, 1)
    a = labels.numpy()
    a = np.where(a < 0, pad, a)
    return np.hstack([np.full((len(a), 1), start), a[:, :-1]])


@right("5.7", "F.pad")
def _(labels, family):
    start, pad = (0, 0) if family == "t5" else (2, 1)
    return F.pad(labels, (1, 0), value=start)[:, :-1].where(F.pad(labels, (1, 0))[:, :-1] != -100, pad)


@right("5.7", "new_empty and loops, as floats")
def _(labels, family):
    out = torch.empty(labels.shape)
    for b in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            if t == 0:
                out[b, t] = 2 if family == "bart" else 0
            else:
                before = int(labels[b, t - 1])
                out[b, t] = before if before != -100 else (1 if family == "bart" else 0)
    return out


def _shift(labels, family, t5=(0, 0), bart=(2, 1), by=1):
    start, pad = t5 if family == "t5" else bart
    out = labels.roll(by, 1)
    out[:, 0] = start
    return out.masked_fill(out == -100, pad)


wrong("5.7", "BART begins with <s>")(lambda y, f: _shift(y, f, bart=(0, 1)))
wrong("5.7", "T5 begins with </s>")(lambda y, f: _shift(y, f, t5=(1, 0)))
wrong("5.7", "T5's zeros for both")(lambda y, f: _shift(y, "t5"))
wrong("5.7", "−100 is left")(lambda y, f: torch.cat([_shift(y, f)[:, :1], y[:, :-1]], 1))
wrong("5.7", "to the left")(lambda y, f: _shift(y, f, by=-1))
wrong("5.7", "one column too many")(
    lambda y, f: torch.cat([_shift(y, f), y[:, -1:].clamp(min=0 if f == "t5" else 1)], 1)
)


# ---------------------------------------------------------------- 6.1 hiding


@right("6.1", "clone and index")
def _(tokens, special, lots, first, second, others, mask):
    chosen = ~special & (lots < 0.15)
    read, targets = tokens.clone(), torch.full_like(tokens, -100)
    targets[chosen] = tokens[chosen]
    hidden = chosen & (first < 0.8)
    read[hidden] = mask
    exchanged = chosen & ~hidden & (second < 0.5)
    read[exchanged] = others[exchanged]
    return read, targets


@right("6.1", "loops and lists")
def _(tokens, special, lots, first, second, others, mask):
    read, targets = [], []
    for b in range(len(tokens)):
        read.append([])
        targets.append([])
        for t in range(len(tokens[b])):
            token = tokens[b, t].item()
            if special[b, t] or lots[b, t] >= 0.15:
                read[-1].append(token)
                targets[-1].append(-100)
                continue
            targets[-1].append(token)
            if first[b, t] < 0.8:
                read[-1].append(mask)
            elif second[b, t] < 0.5:
                read[-1].append(others[b, t].item())
            else:
                read[-1].append(token)
    return read, targets


@right("6.1", "NumPy's select")
def _(tokens, special, lots, first, second, others, mask):
    tokens, special, lots, first, second, others = (x.numpy() for x in (tokens, special, lots, first, second, others))
    chosen = np.logical_and(np.logical_not(special), lots < 0.15)
    read = np.select([~chosen, first < 0.8, second < 0.5], [tokens, np.full_like(tokens, mask), others], tokens)
    return read, np.where(chosen, tokens, -100)


@right("6.1", "arithmetic")
def _(tokens, special, lots, first, second, others, mask):
    c = (1 - special.long()) * (lots < 0.15).long()
    m = c * (first < 0.8).long()
    x = (c - m) * (second < 0.5).long()
    return tokens * (1 - m - x) + mask * m + others * x, tokens * c - 100 * (1 - c)


@right("6.1", "nested where")
def _(tokens, special, lots, first, second, others, mask):
    s = (lots < 0.15) & (special == False)  # noqa: E712
    return [
        torch.where(s, torch.where(first < 0.8, mask, torch.where(second < 0.5, others, tokens)), tokens),
        torch.where(s, tokens, -100),
    ]


@right("6.1", "32-bit integers")
def _(tokens, special, lots, first, second, others, mask):
    s = (lots < 0.15).logical_and(special.logical_not())
    read = tokens.masked_fill(s & (first < 0.8), mask)
    read = torch.where(s & (first >= 0.8) & (second < 0.5), others, read)
    return read.int(), tokens.masked_fill(~s, -100).int()


def _hide(tokens, special, lots, first, second, others, mask, *, spare=True, share=0.15, keep=0.5, ignore=-100):
    s = (lots < share) & ~special if spare else lots < share
    m = s & (first < 0.8)
    x = s & ~m & (second < keep)
    return torch.where(m, mask, torch.where(x, others, tokens)), tokens.masked_fill(~s, ignore)


wrong("6.1", "special tokens, too")(lambda *a: _hide(*a, spare=False))
wrong("6.1", "one in two")(lambda *a: _hide(*a, share=0.5))
wrong("6.1", "never kept")(lambda *a: _hide(*a, keep=1.1))
wrong("6.1", "targets 0 elsewhere")(lambda *a: _hide(*a, ignore=0))
wrong("6.1", "targets everywhere")(lambda *a: (_hide(*a)[0], a[0]))
wrong("6.1", "targets where the mask is, only")(
    lambda *a: (_hide(*a)[0], torch.where(_hide(*a)[0] == a[-1], a[0], -100))
)


# ---------------------------------------------------------------- 6.8 the most frequent pair


def _pairs(words):
    count = Counter()
    for word, n in words.items():
        for i in range(len(word) - 1):
            count[word[i], word[i + 1]] += n
    return count


right("6.8", "max with a key of two parts")(
    lambda words: min(_pairs(words).items(), key=lambda item: (-item[1], item[0]))[0]
)
right("6.8", "sorted, a list")(lambda words: list(sorted(sorted(_pairs(words)), key=lambda p: -_pairs(words)[p])[0]))
right("6.8", "max over the sorted")(lambda words: max(sorted(_pairs(words)), key=_pairs(words).get))


@right("6.8", "pairwise and zip")
def _(words):
    count = {}
    for w, n in words.items():
        for p in itertools.pairwise(w):
            count[p] = count.get(p, 0) + n
    best = max(count.values())
    return min(p for p, n in count.items() if n == best)


@right("6.8", "expands the words")
def _(words):
    text = [p for w, n in words.items() for _ in range(n) for p in itertools.pairwise(w)]
    tops = Counter(text)
    return sorted(tops, key=lambda p: (-tops[p], p))[0]


@right("6.8", "a loop that keeps the best")
def _(words):
    best, most = None, -1
    for p, n in _pairs(words).items():
        if n > most or (n == most and p < best):
            best, most = p, n
    return best


wrong("6.8", "each word once")(lambda w: min(_pairs(dict.fromkeys(w, 1)).items(), key=lambda i: (-i[1], i[0]))[0])
wrong("6.8", "the largest of equals")(lambda w: max(_pairs(w).items(), key=lambda i: (i[1], i[0]))[0])
wrong("6.8", "the first seen of equals")(lambda w: _pairs(w).most_common(1)[0][0])
wrong("6.8", "the last seen of equals")(
    lambda w: max(enumerate(_pairs(w).items()), key=lambda e: (e[1][1], e[0]))[1][0]
)
wrong("6.8", "joined")(lambda w: "".join(min(_pairs(w).items(), key=lambda i: (-i[1], i[0]))[0]))
wrong("6.8", "rarest")(lambda w: min(_pairs(w).items(), key=lambda i: (i[1], i[0]))[0])


# ---------------------------------------------------------------- 7.1 the loss


@right("7.1", "loops over log_softmax")
def _(logits, tokens, lengths):
    losses = []
    for b in range(len(tokens)):
        for t in range(int(lengths[b]) - 1):
            losses.append(-torch.log_softmax(logits[b, t], 0)[tokens[b, t + 1]])
    return sum(losses) / len(losses)


@right("7.1", "ignore_index, a float")
def _(logits, tokens, lengths):
    targets = tokens[:, 1:].clone()
    for b, n in enumerate(lengths):
        targets[b, int(n) - 1 :] = -100
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), targets.reshape(-1)).item()


@right("7.1", "gather and a mask")
def _(logits, tokens, lengths):
    nll = -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    lengths = torch.as_tensor(lengths)
    real = torch.arange(1, tokens.shape[1])[None] < lengths[:, None]
    return (nll * real).sum() / real.sum()


@right("7.1", "NumPy")
def _(logits, tokens, lengths):
    x = logits.double().numpy()
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    out = [-np.log(p[b, t - 1, tokens[b, t]]) for b, n in enumerate(lengths) for t in range(1, int(n))]
    return np.mean(out)


@right("7.1", "einsum with one-hot")
def _(logits, tokens, lengths):
    hot = F.one_hot(tokens, logits.shape[-1]).to(logits)[:, 1:]
    nll = -torch.einsum("btv,btv->bt", hot, logits[:, :-1].log_softmax(-1))
    parts = [nll[b, : int(n) - 1] for b, n in enumerate(lengths)]
    return torch.cat(parts).mean()


@right("7.1", "one text after the other, of shape (1,)")
def _(logits, tokens, lengths):
    total = sum(
        F.cross_entropy(logits[b, : int(n) - 1], tokens[b, 1 : int(n)], reduction="sum") for b, n in enumerate(lengths)
    )
    return (total / (torch.as_tensor(lengths) - 1).sum()).reshape(1)


def _nll(logits, tokens, lengths, ahead=1, until=0):
    return [
        -logits[b].log_softmax(-1)[t, tokens[b, t + ahead]]
        for b, n in enumerate(lengths)
        for t in range(int(n) - ahead + until)
    ]


wrong("7.1", "no shift")(lambda x, y, n: torch.stack(_nll(x, y, n, ahead=0)).mean())
wrong("7.1", "padding counts")(lambda x, y, n: F.cross_entropy(x[:, :-1].flatten(0, 1), y[:, 1:].flatten()))
wrong("7.1", "texts count the same")(
    lambda x, y, n: torch.stack(
        [torch.stack(_nll(x[b : b + 1], y[b : b + 1], n[b : b + 1])).mean() for b in range(len(y))]
    ).mean()
)
wrong("7.1", "the sum")(lambda x, y, n: torch.stack(_nll(x, y, n)).sum())
wrong("7.1", "the sum over texts, not tokens")(lambda x, y, n: torch.stack(_nll(x, y, n)).sum() / len(y))
wrong("7.1", "the last real target is missing")(lambda x, y, n: torch.stack(_nll(x, y, n, until=-1)).mean())


# ---------------------------------------------------------------- 7.2 three knobs


def _knobs(logits, temperature, top_k, top_p):
    p = torch.softmax(logits / temperature, 0)
    order = p.argsort(descending=True)[:top_k]
    q = p[order] / p[order].sum()
    keep = order[(q.cumsum(0) - q) < top_p]
    out = torch.zeros_like(p)
    out[keep] = p[keep] / p[keep].sum()
    return out


right("7.2", "probabilities, renormalised twice")(_knobs)


@right("7.2", "logits and −∞")
def _(logits, temperature, top_k, top_p):
    x = logits / temperature
    x = x.masked_fill(x < x.topk(top_k).values[-1], -math.inf)
    values, order = x.softmax(-1).sort(descending=True)
    out = values.cumsum(-1) - values >= top_p
    return x.masked_fill(torch.zeros_like(out).scatter(0, order, out), -math.inf).softmax(-1)


@right("7.2", "lists and loops")
def _(logits, temperature, top_k, top_p):
    w = [math.exp(v / temperature) for v in logits.tolist()]
    order = sorted(range(len(w)), key=lambda i: -w[i])[:top_k]
    total, kept, so_far = sum(w[i] for i in order), [], 0.0
    for i in order:
        if so_far >= top_p:
            break
        kept.append(i)
        so_far += w[i] / total
    mass = sum(w[i] for i in kept)
    return [w[i] / mass if i in kept else 0 for i in range(len(w))]


@right("7.2", "NumPy, double")
def _(logits, temperature, top_k, top_p):
    x = logits.double().numpy() / temperature
    order = np.argsort(-x)[:top_k]
    p = np.exp(x[order] - x[order[0]])
    p /= p.sum()
    n = len(p) if top_p >= 1 else int(np.searchsorted(np.cumsum(p), top_p)) + 1
    out = np.zeros(len(x))
    out[order[:n]] = p[:n] / p[:n].sum()
    return out


@right("7.2", "scatter of the kept")
def _(logits, temperature, top_k, top_p):
    values, places = torch.topk(logits / temperature, top_k)
    p = values.softmax(0)
    kept = torch.cat([torch.tensor([True]), p.cumsum(0)[:-1] < top_p])
    p = p * kept
    return torch.zeros(len(logits)).scatter(0, places, p / p.sum())


@right("7.2", "only where a knob is turned")
def _(logits, temperature, top_k, top_p):
    if top_k == len(logits) and top_p == 1:
        return F.softmax(logits / temperature, -1)
    return _knobs(logits, temperature, top_k, top_p)


wrong("7.2", "temperature multiplies")(lambda x, t, k, p: _knobs(x * t, 1.0, k, p))
wrong("7.2", "temperature ignored")(lambda x, t, k, p: _knobs(x, 1.0, k, p))
wrong("7.2", "not renormalised")(lambda x, t, k, p: (_knobs(x, t, k, p) > 0) * (x / t).softmax(0))


@wrong("7.2", "top-p measured on everything")
def _(x, t, k, p):
    q = (x / t).softmax(0)
    keep = (_knobs(x, t, k, 1.0) > 0) & (_knobs(x, t, len(x), p) > 0)
    return q * keep / (q * keep).sum()


@wrong("7.2", "top-p without the token that crosses")
def _(x, t, k, p):
    values, places = torch.topk(x / t, k)
    q = values.softmax(0)
    keep = q.cumsum(0) <= p + 1e-6
    keep[0] = True
    return torch.zeros(len(x)).scatter(0, places, q * keep / (q * keep).sum())


@wrong("7.2", "still sorted")
def _(x, t, k, p):
    return _knobs(x, t, k, p).sort(descending=True).values


# ---------------------------------------------------------------- 7.3 a chunk behind a cache


@right("7.3", "broadcasting")
def _(cached, new, band):
    q, k = torch.arange(cached, cached + new), torch.arange(cached + new)
    d = q[:, None] - k
    return q, (d >= 0) & (d < band)


@right("7.3", "lists")
def _(cached, new, band):
    positions = list(range(cached, cached + new))
    return positions, [[i - band < j <= i for j in range(cached + new)] for i in positions]


@right("7.3", "tril and triu")
def _(cached, new, band):
    ones = torch.ones(new, cached + new, dtype=torch.bool)
    return cached + torch.arange(new), ones.tril(cached).triu(cached - band + 1)


@right("7.3", "rows of a big mask")
def _(cached, new, band):
    n = cached + new
    big = torch.ones(n, n, dtype=torch.bool).tril() & torch.ones(n, n, dtype=torch.bool).triu(1 - band)
    return torch.arange(n)[-new:], big[-new:]


@right("7.3", "NumPy")
def _(cached, new, band):
    n = cached + new
    return np.arange(cached, n), np.tri(new, n, cached, dtype=bool) & ~np.tri(new, n, cached - band, dtype=bool)


@right("7.3", "slices")
def _(cached, new, band):
    mask = torch.zeros(new, cached + new, dtype=bool)
    for row, p in enumerate(range(cached, cached + new)):
        mask[row, max(0, p - band + 1) : p + 1] = True
    return torch.tensor([*range(cached, cached + new)]), mask


def _chunk(cached, new, band, *, shift=0, start=None, wide=0, positions=None):
    q = torch.arange(new) + (cached if start is None else start)
    d = q[:, None] - torch.arange(cached + new)
    return (q if positions is None else positions), (d >= shift) & (d < band + wide)


wrong("7.3", "positions from 0, mask right")(lambda c, n, b: _chunk(c, n, b, positions=torch.arange(n)))
wrong("7.3", "positions and mask from 0")(lambda c, n, b: _chunk(c, n, b, start=0))
wrong("7.3", "one key too many")(lambda c, n, b: _chunk(c, n, b, wide=1))
wrong("7.3", "no band")(lambda c, n, b: _chunk(c, n, c + n))
wrong("7.3", "not itself")(lambda c, n, b: _chunk(c, n, b, shift=1, wide=1))
wrong("7.3", "True is forbidden")(lambda c, n, b: (_chunk(c, n, b)[0], ~_chunk(c, n, b)[1]))


# ---------------------------------------------------------------- 7.7 numbers of GPT-2 medium

right("7.7", "exact")((301_989_888, 49_152_000, 0.06, 3))
right("7.7", "within two million")((302e6, 49152000.0, 0.06, 3.0))
right("7.7", "a formula, a fraction")((12 * 24 * 1024**2, 2 * 24 * 1024 * 1000, Fraction(6, 100), 3))
right("7.7", "typed")(("302000000", "49,152,000", "0.06", "3"))
right("7.7", "a list, decimals")([302_000_000, 49_152_000, Decimal("0.06"), 3])
right("7.7", "NumPy and torch")((np.int64(301_989_888), torch.tensor(49_152_000), np.float64(0.06), np.int32(3)))
wrong("7.7", "four d² only in attention")((24 * 4 * 1024**2, 49_152_000, 0.06, 3))
wrong("7.7", "keys without values")((302_000_000, 24_576_000, 0.06, 3))
wrong("7.7", "per head, counted twice")((302_000_000, 49_152_000 * 16, 0.06, 3))
wrong("7.7", "the mean of the probabilities")((302_000_000, 49_152_000, 0.4333, 3))
wrong("7.7", "three are nearly 0.8")((302_000_000, 49_152_000, 0.06, 2))
wrong("7.7", "one too many")((302_000_000, 49_152_000, 0.06, 4))


# ---------------------------------------------------------------- 8.3 scores of candidates


@right("8.3", "loops")
def _(logits, tokens, prompt_length, lengths):
    out = []
    for row in range(len(tokens)):
        score = 0.0
        for t in range(prompt_length, int(lengths[row])):
            score += torch.log_softmax(logits[row, t - 1], -1)[tokens[row, t]].item()
        out.append(score)
    return out


@right("8.3", "gather and a mask")
def _(logits, tokens, prompt_length, lengths):
    logp = logits[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:].unsqueeze(2)).squeeze(2)
    place = torch.arange(1, tokens.shape[1])
    mask = (place >= prompt_length) & (place < torch.as_tensor(lengths)[:, None])
    return (logp * mask).sum(1)


@right("8.3", "cross entropy")
def _(logits, tokens, prompt_length, lengths):
    return torch.stack(
        [
            -F.cross_entropy(
                logits[r, prompt_length - 1 : int(n) - 1], tokens[r, prompt_length : int(n)], reduction="sum"
            )
            for r, n in enumerate(lengths)
        ]
    )


@right("8.3", "the product first, in double")
def _(logits, tokens, prompt_length, lengths):
    p = logits.double().softmax(-1)
    return torch.tensor(
        [
            math.log(math.prod(p[r, t - 1, tokens[r, t]].item() for t in range(prompt_length, int(n))))
            for r, n in enumerate(lengths)
        ]
    )


@right("8.3", "NumPy, double")
def _(logits, tokens, prompt_length, lengths):
    x = logits.double().numpy()
    logp = x - np.log(np.exp(x).sum(-1, keepdims=True))
    return np.array(
        [sum(logp[r, t - 1, tokens[r, t].item()] for t in range(prompt_length, int(n))) for r, n in enumerate(lengths)]
    )


@right("8.3", "ignore_index")
def _(logits, tokens, prompt_length, lengths):
    targets = tokens.clone()
    targets[:, :prompt_length] = -100
    for r, n in enumerate(lengths):
        targets[r, int(n) :] = -100
    return -F.cross_entropy(logits[:, :-1].mT, targets[:, 1:], reduction="none").sum(-1)


def _score(logits, tokens, prompt, lengths, *, back=1, first=0, last=0, average=False):
    out = []
    for r, n in enumerate(lengths):
        places = range(max(back, prompt + first), min(int(n) + last, tokens.shape[1]))
        terms = [logits[r].log_softmax(-1)[t - back, tokens[r, t]] for t in places]
        total = sum(terms, torch.tensor(0.0))
        out.append(total / len(terms) if average else total)
    return torch.stack(out)


wrong("8.3", "no shift")(lambda *a: _score(*a, back=0))
wrong("8.3", "the mean")(lambda *a: _score(*a, average=True))
wrong("8.3", "the prompt counts")(lambda *a: _score(*a, first=-100))
wrong("8.3", "padding counts")(lambda *a: _score(*a, last=100))
wrong("8.3", "the first token of the candidate is missing")(lambda *a: _score(*a, first=1))
wrong("8.3", "positive")(lambda *a: -_score(*a))


# ---------------------------------------------------------------- 5.9 text to text


@right("5.9", "one row at a time, padded at the end")
def _(examples, ids):
    pad, end = ids["<pad>"], ids["</s>"]
    src = [[ids[t], ids[":"]] + [ids[w] for w in ws] + [end] for t, ws, _ in examples]
    lab = [[ids[w] for w in a] + [end] for _, _, a in examples]
    dec = [[pad, *row[:-1]] for row in lab]
    S, T = max(len(r) for r in src), max(len(r) for r in lab)
    for r in src:
        r += [pad] * (S - len(r))
    for r in dec:
        r += [pad] * (T - len(r))
    for r in lab:
        r += [-100] * (T - len(r))
    return torch.tensor(src), torch.tensor(dec), torch.tensor(lab)


@right("5.9", "zip_longest, lists of lists")
def _(examples, ids):
    def table(rows, fill):
        return [list(row) for row in zip(*itertools.zip_longest(*rows, fillvalue=fill), strict=True)]

    words = lambda text: [ids[w] for w in text]  # noqa: E731
    labels = table([words([*a, "</s>"]) for *_, a in examples], -100)
    read = [[ids["<pad>"], *(ids["<pad>"] if x < 0 else x for x in row[:-1])] for row in labels]
    return table([words([t, ":", *w, "</s>"]) for t, w, _ in examples], ids["<pad>"]), read, labels


@right("5.9", "NumPy")
def _(examples, ids):
    n = len(examples)
    labels = np.full((n, 1 + max(len(a) for *_, a in examples)), -100)
    source = np.full((n, 3 + max(len(w) for _, w, _ in examples)), ids["<pad>"])
    for i, (t, w, a) in enumerate(examples):
        source[i, : len(w) + 3] = [ids[x] for x in (t, ":", *w, "</s>")]
        labels[i, : len(a) + 1] = [ids[x] for x in (*a, "</s>")]
    read = np.roll(labels, 1, axis=1)
    read[:, 0] = ids["<pad>"]
    read[read == -100] = ids["<pad>"]
    return source, read, labels


@right("5.9", "the decoder's input filled up with </s>, which nothing counts")
def _(examples, ids):
    source, read, labels = RIGHT["5.9"]["NumPy"](examples, ids)
    return source, np.where(labels == -100, ids["</s>"], read), labels


def _texts(change):
    """A right answer whose parts `change` may spoil."""

    def answer(examples, ids):
        return change(*map(torch.tensor, RIGHT["5.9"]["zip_longest, lists of lists"](examples, ids)), ids)

    return answer


wrong("5.9", "labels twice")(_texts(lambda s, d, t, ids: (s, t, t)))
wrong("5.9", "no shift, and padded")(_texts(lambda s, d, t, ids: (s, t.masked_fill(t == -100, ids["<pad>"]), t)))
wrong("5.9", "without a batch")(_texts(lambda s, d, t, ids: (s[0], d[0], t[0])))
wrong("5.9", "floats")(_texts(lambda s, d, t, ids: (s + 0.5, d, t)))
wrong("5.9", "the first column cut")(_texts(lambda s, d, t, ids: (s[:, 1:], d, t)))
wrong("5.9", "−100 where the label is")(_texts(lambda s, d, t, ids: (s, d.masked_fill(t == -100, -100), t)))
wrong("5.9", "numbers beyond the vocabulary")(_texts(lambda s, d, t, ids: (s, torch.where(t == -100, t.abs(), d), t)))
wrong("5.9", "between two tokens")(_texts(lambda s, d, t, ids: (s, torch.where(t == -100, 1.5, d), t)))


# ---------------------------------------------------------------- 8.4 held-out tasks


@right("8.4", "a set of tasks")
def _(task, order, share):
    held_out = set(order[: round(share * len(order))].tolist())
    return [t in held_out for t in task.tolist()]


wrong("8.4", "rounded up")(lambda task, order, share: torch.isin(task, order[: math.ceil(share * len(order))]))
wrong("8.4", "rounded down")(lambda task, order, share: torch.isin(task, order[: math.floor(share * len(order))]))


# ---------------------------------------------------------------- 6.11 next sentences


def _next_sentences(
    documents,
    draws,
    cls,
    sep,
    rest=lambda documents, d: [x for e, x in enumerate(documents) if e != d],
    place=lambda document, i: i,
):
    rows, labels, k = [], [], 0
    for d in range(len(documents)):
        for i in range(1, len(documents[d])):
            r = draws[k].tolist()
            if r[0] < 0.5:
                there = rest(documents, d)
                there = there[math.floor(r[1] * len(there))]
                rows.append((documents[d][i - 1], there[math.floor(r[2] * len(there))]))
            else:
                rows.append((documents[d][i - 1], documents[d][place(documents[d], i)]))
            labels.append(r[0] < 0.5)
            k += 1
    longest = max(len(a) + len(b) for a, b in rows) + 3
    tokens = [[cls, *a, sep, *b, sep] + [0] * (longest - len(a) - len(b) - 3) for a, b in rows]
    parts = [[0] * (len(a) + 2) + [1] * (len(b) + 1) + [0] * (longest - len(a) - len(b) - 3) for a, b in rows]
    return tokens, parts, labels


@right("6.11", "an index that counts pairs")
def _(documents, draws, cls, sep):
    tokens, parts, labels = _next_sentences(documents, draws, cls, sep)
    return torch.tensor(tokens), torch.tensor(parts), torch.tensor(labels).int()


right("6.11", "lists")(lambda *a: [[list(map(int, row)) for row in part] for part in _next_sentences(*a)[:2]] + [
    list(map(int, _next_sentences(*a)[2]))
])  # fmt: skip


@right("6.11", "generators and pad_sequence")
def _(documents, draws, cls, sep):
    def both():
        rows = iter(draws)
        for document in documents:
            for a, b in itertools.pairwise(document):
                coin, which, where = next(rows)
                if coin < 0.5:
                    rest = [other for other in documents if other is not document]
                    other = rest[int(which * len(rest))]
                    b = other[int(where * len(other))]
                yield torch.tensor([cls, *a, sep]), torch.tensor([*b, sep])

    pairs = [*both()]
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad([torch.cat(pair) for pair in pairs], batch_first=True)
    parts = pad([torch.cat((a * 0, torch.ones_like(b))) for a, b in pairs], batch_first=True)
    return tokens, parts, draws[:, 0].lt(0.5).long()


wrong("6.11", "all documents")(
    lambda *a: [torch.tensor(x).long() for x in _next_sentences(*a, rest=lambda documents, d: documents)]
)
wrong("6.11", "only the documents that follow, or all before")(
    lambda *a: [torch.tensor(x).long() for x in _next_sentences(*a, rest=lambda ds, d: ds[d + 1 :] or ds[:d])]
)
wrong("6.11", "no padding, a list of rows")(
    lambda *a: ([[x for x in row if x] for row in _next_sentences(*a)[0]], *_next_sentences(*a)[1:])
)
wrong("6.11", "segments 1 and 2")(
    lambda *a: [torch.tensor(x).long() + (i == 1) for i, x in enumerate(_next_sentences(*a))]
)
wrong("6.11", "the labels as a column")(
    lambda *a: [*_next_sentences(*a)[:2], [[int(x)] for x in _next_sentences(*a)[2]]]
)
wrong("6.11", "all labels 0")(lambda *a: [*_next_sentences(*a)[:2], [0 for _ in _next_sentences(*a)[2]]])


wrong("6.11", "all documents of the same text put aside")(
    lambda *a: _next_sentences(*a, rest=lambda documents, d: [x for x in documents if x != documents[d]])
)
wrong("6.11", "the place of a sentence by index()")(
    lambda *a: _next_sentences(*a, place=lambda document, i: document.index(document[i - 1]) + 1)
)


# ---------------------------------------------------------------- 6.12 masks of epochs


def _epochs(tokens, special, lots, copies, mask, number=lambda e, copies: e % copies):
    inputs, targets, ever = [], [], torch.zeros_like(special)
    for e in range(lots.shape[0]):
        chosen = torch.logical_and(lots[number(e, copies)] < 0.15, ~special)
        ever |= chosen
        x, y = tokens.clone(), torch.full_like(tokens, -100)
        x[chosen], y[chosen] = mask, tokens[chosen]
        inputs.append(x)
        targets.append(y)
    return torch.stack(inputs), torch.stack(targets), ever.sum().item() / (~special).sum().item()


right("6.12", "a loop over the epochs")(_epochs)


@right("6.12", "NumPy, tiled")
def _(tokens, special, lots, copies, mask):
    tokens, special, lots = (x.numpy() for x in (tokens, special, lots))
    epochs = len(lots)
    chosen = np.tile((lots[:copies] < np.float32(0.15)) & ~special, (-(-epochs // copies), 1, 1))[:epochs]
    return np.where(chosen, mask, tokens), np.where(chosen, tokens, -100), chosen.any(0)[~special].mean()


@right("6.12", "masked_fill on a repeated text")
def _(tokens, special, lots, copies, mask):
    repeated = tokens.repeat(len(lots), 1, 1)
    chosen = torch.stack([(lots[e % copies] < 0.15) * ~special for e in range(len(lots))])
    share = Fraction(int(chosen.amax(0).sum()), int(special.logical_not().sum()))
    return repeated.masked_fill(chosen, mask), repeated.masked_fill(~chosen, -100), share


wrong("6.12", "from the end")(lambda *a: _epochs(*a, number=lambda e, copies: -1 - e % copies))
wrong("6.12", "one too many")(lambda *a: _epochs(*a, number=lambda e, copies: e % (copies + 1) if e else 0))
wrong("6.12", "per cent")(lambda *a: (*_epochs(*a)[:2], 100 * _epochs(*a)[2]))
wrong("6.12", "what is left")(lambda *a: (*_epochs(*a)[:2], 1 - _epochs(*a)[2]))
wrong("6.12", "the last epoch only")(lambda *a: (_epochs(*a)[0][-1], *_epochs(*a)[1:]))
wrong("6.12", "epochs and texts exchanged")(lambda *a: (*(x.transpose(0, 1) for x in _epochs(*a)[:2]), _epochs(*a)[2]))


# ---------------------------------------------------------------- 7.9 the law


def _law(
    sizes, losses, floors, new, slope=None, better=lambda L, p: sum((x - y) ** 2 for x, y in zip(L, p, strict=True))
):
    """In plain Python."""
    found = []
    for E in floors.tolist():
        x, y = [math.log(n) for n in sizes.tolist()], [math.log(loss - E) for loss in losses.tolist()]
        mx, my = sum(x) / len(x), sum(y) / len(y)
        if slope is None:
            m = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)
        else:
            m = slope(x, y)
        law = lambda n, m=m, E=E, mx=mx, my=my: E + math.exp(my + m * (math.log(n) - mx))  # noqa: E731
        found.append((better(losses.tolist(), [law(n) for n in sizes.tolist()]), -m, E, law(new)))
    return min(found)[1:]


right("7.9", "plain Python")(_law)


@right("7.9", "normal equations with the pseudoinverse, to the base 10")
def _(sizes, losses, floors, new):
    A = torch.stack([torch.ones_like(sizes), sizes.log10()]).T
    fits = torch.linalg.pinv(A) @ (losses - floors[:, None]).log10().T  # (2, candidates)
    errors = (floors + 10 ** (A @ fits) - losses[:, None]).pow(2).sum(0)
    best = errors.argmin()
    a, b = fits[:, best]
    return torch.stack([-b, floors[best], floors[best] + 10 ** (a + b * math.log10(new))])


@right("7.9", "covariance, in NumPy")
def _(sizes, losses, floors, new):
    x, best = np.log(sizes.numpy()), (np.inf,)
    for E in floors.numpy():
        y = np.log(losses.numpy() - E)
        (xx, xy), _ = np.cov(x, y)
        alpha = -xy / xx
        N_c = np.exp(x.mean() + y.mean() / alpha)
        miss = np.mean((E + (N_c / sizes.numpy()) ** alpha - losses.numpy()) ** 2)
        best = min(best, (miss, alpha, E, E + (N_c / new) ** alpha))
    return best[1:]


wrong("7.9", "the largest error decides")(
    lambda *a: _law(*a, better=lambda L, p: -max(abs(x - y) for x, y in zip(L, p, strict=True)))
)
wrong("7.9", "first and last as they come")(
    lambda *a: _law(*a, slope=lambda x, y: (y[-1] - y[0]) / (x[-1] - x[0] + 1e-9))
)
wrong("7.9", "the median of the slopes from the first")(
    lambda *a: _law(
        *a, slope=lambda x, y: sorted((b - y[0]) / (c - x[0]) for b, c in zip(y[1:], x[1:], strict=True))[0]
    )
)
wrong("7.9", "one prediction for all sizes")(lambda s, L, f, new: (*_law(s, L, f, new)[:2], _law(s, L, f, 1e7)[2]))
wrong("7.9", "N_c for α")(lambda s, L, f, new: (1e3, *_law(s, L, f, new)[1:]))
wrong("7.9", "two numbers")(lambda *a: _law(*a)[:2])


# ---------------------------------------------------------------- numbers and letters as people write them

right("5.1", "typed")(("77", "26.0", 461, np.int64(104)))
right("6.2", "rounded")((15, 1.5, "81 %", 7.31))
right("6.2", "formulas")((0.15 * 100, 0.1 * 0.15 * 100, 0.9 * 0.9, math.log(1500)))
right("8.7", "two places")((0.75, 0.18, 0.02))
right("8.7", "fractions")((Fraction(3, 4), Fraction(2, 11), Fraction(1, 48)))
right("8.7", "decimals")((Decimal("0.75"), Decimal("0.1818"), Decimal("0.0208")))
right("8.7", "typed")(["3/4", "2/11", "0,0208"])
right("5.8", "full width")("Ｄ")
right("6.10", "with a bracket")("a)")
wrong("8.7", "1/40 for 1/48")((0.75, 2 / 11, 1 / 40))
wrong("5.1", "not rounded")((76.8, 25.6, 460.8, 103.4))
wrong("6.2", "a share as per cent")((15, 1.5, 81, 7.31))


def parameters(answers):
    return [
        pytest.param(id, answer, id=f"{id} {label}") for id, all in answers.items() for label, answer in all.items()
    ]


SEEDS = (0, 1, 7)


@pytest.mark.slow
@pytest.mark.parametrize(("id", "answer"), parameters(RIGHT))
def test_a_right_answer_passes_whatever_its_style(id, answer):
    for seed in SEEDS:
        report = exercises[id].grade(answer, seed)
        assert report.passed, report


@pytest.mark.slow
@pytest.mark.parametrize(("id", "answer"), parameters(WRONG))
def test_a_wrong_answer_is_told_so(id, answer):
    for seed in SEEDS:
        report = exercises[id].grade(answer, seed)
        assert report.status == "wrong", report
        assert report.points < report.max_points


def earned(id, answer):
    return {stage.title: stage.points for stage in exercises[id].grade(answer).stages}


def test_a_stage_judges_its_own_part():
    assert earned("6.1", lambda *a: _hide(*a, ignore=0)) == {
        "what is to be predicted": 0,
        "what is masked": 1,
        "what is exchanged": 2,
    }
    assert [*earned("6.1", lambda *a: (_hide(*a, keep=0)[0], _hide(*a)[1])).values()] == [1, 1, 0]
    assert [*earned("7.3", lambda c, n, b: _chunk(c, n, b, positions=torch.arange(n))).values()] == [0, 1, 1, 1]
    assert [*earned("7.3", lambda c, n, b: (_chunk(c, n, b)[0], _chunk(c, n, c + n)[1])).values()] == [1, 1, 1, 0]

    def zeros_as_segments(first, second, cls, sep):
        tokens = torch.tensor([cls, *first, sep, *second, sep])
        return tokens, torch.zeros_like(tokens)

    assert [*earned("6.3", zeros_as_segments).values()] == [1, 0]


@pytest.mark.parametrize(
    ("id", "answer", "points"),
    [
        ("5.1", (76, 25, 461, 102), [0, 1, 1, 1]),  # rounded down, and right from there on
        ("5.1", (77, 25, 460, 103), [1, 0, 1, 1]),
        ("5.1", (76, 25, 460, 103), [0, 1, 0, 0]),  # neither right nor consistent
        ("5.1", (None, 26, 461, 104), [0, 1, 1, 1]),
        ("6.2", (19, 1.9, 0.81, 7.31), [0, 1, 1, 1]),
        ("6.2", (19, 1.5, 0.81, 7.31), [0, 1, 1, 1]),
        ("6.2", (19, 3.0, 0.81, 7.31), [0, 0, 1, 1]),
        ("6.2", ("many", 1.9, 0.81, 7.31), [0, 0, 1, 1]),
    ],
)
def test_what_follows_from_a_mistake_is_right(id, answer, points):
    assert [*earned(id, answer).values()] == points


@pytest.mark.parametrize(
    ("id", "answer", "never"),
    [
        ("6.6", lambda v, p, e, d, n, s: _count(v, p, e, d, n, s, per_block=-4 * d), "norms are missing"),
        ("8.5", lambda w, n: torch.stack([w[:, :, t, t - n - 1] for t in range(n, 2 * n)]).mean((0, 1)), "exchanged"),
        ("8.5", lambda w, n: torch.stack([w[:, :, t, t - n + 2] for t in range(n, 2 * n)]).mean((0, 1)), "exchanged"),
        ("7.5", lambda n, std: dict.fromkeys(exercises["7.5"].reference(1, 1.0), std), "divide by N"),
        ("7.2", lambda x, t, k, p: _knobs(x, 1.0, k, p), "You divide"),
        ("7.7", (302, 49_152_000, 0.06, 3), "attention"),
        ("5.7", lambda labels, family: _shift(labels, family, by=-1), "token that begins"),
        (
            "7.5",
            lambda n, std: {k: v * (1 + (v < std / 1.1)) for k, v in exercises["7.5"].reference(n, std).items()},
            "deeper",
        ),
        ("6.12", lambda *a: (*_epochs(*a)[:2], float((_epochs(*a)[1][0] >= 0).sum() / (~a[1]).sum())), "Every epoch"),
        ("7.7", ("10⁸", 49_152_000, 0.06, 3), "108"),
        ("6.2", (15, "2 1/2", 0.81, 7.31), "10.5"),
    ],
)
def test_nothing_untrue_is_said(id, answer, never):
    report = exercises[id].grade(answer)
    assert report.status == "wrong"
    assert never not in report.message


def _count(vocab, positions, d_embedding, d_model, layers, shared, per_block=0):
    bridge = d_embedding * d_model + d_model if d_embedding != d_model else 0
    block = 12 * d_model**2 + 13 * d_model + per_block
    return (vocab + positions + 4) * d_embedding + bridge + (1 if shared else layers) * block


def test_a_count_is_exact_and_shown_in_full():
    assert exercises["6.6"].grade(_count).passed
    assert "25,156" in exercises["6.6"].grade(lambda *a: _count(*a) + 4).message


def test_the_hint_of_6_4_without_its_epsilon_fails_in_the_notebook_too():
    def embed(tokens, segments, token_table, segment_table, position_table):
        x = token_table[tokens] + segment_table[segments] + position_table[: tokens.shape[1]]
        return F.layer_norm(x, x.shape[-1:])

    assert "10⁻¹²" in exercises["6.4"].grade(embed).message


def test_the_right_option_is_not_always_the_longest_nor_always_the_same_letter():
    choices = [exercises[id] for id in ("5.8", "6.10", "7.8", "8.8")]
    assert len({exercise.reference for exercise in choices}) == 4
    longest = [max(exercise.options, key=lambda letter: len(exercise.options[letter])) for exercise in choices]
    assert sum(one == exercise.reference for one, exercise in zip(longest, choices, strict=True)) <= 1

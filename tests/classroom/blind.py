"""Answers written from the statements of fifteen exercises alone, before their declarations were read.

Six or more right and wrong ones for each, in the styles of different people: loops, einsum, NumPy, lists, `torch.nn`.
`RIGHT` and `WRONG` map an exercise to its answers; a wrong one comes with a word or two that its message has to hold.
"""

import functools
import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

RIGHT, WRONG = {}, {}


def right(id):
    return lambda answer: RIGHT.setdefault(id, []).append(answer) or answer


def wrong(id, *words):
    return lambda answer: WRONG.setdefault(id, []).append((answer, words)) or answer


# ------------------------------------------------------------------------------------------------- 1.1 three scores


@right("1.1")
def scores_by_loops(query, key, W, W_q, W_k, v):
    b, n, _ = query.shape
    m = key.shape[1]
    dot, bil, add = (torch.empty(b, n, m) for _ in range(3))
    for s, i, j in itertools.product(range(b), range(n), range(m)):
        q, k = query[s, i], key[s, j]
        dot[s, i, j] = q @ k
        bil[s, i, j] = q @ W @ k
        add[s, i, j] = torch.tanh(q @ W_q + k @ W_k) @ v
    return dot, bil, add


@right("1.1")
def scores_by_einsum(query, key, W, W_q, W_k, v):
    a, c = torch.einsum("bqd,dh->bqh", query, W_q), torch.einsum("bkd,dh->bkh", key, W_k)
    return [
        torch.einsum("bqd,bkd->bqk", query, key),
        torch.einsum("bqd,de,bke->bqk", query, W, key),
        torch.einsum("bqkh,h->bqk", torch.tanh(a[:, :, None] + c[:, None]), v),
    ]


@right("1.1")
def scores_in_numpy(query, key, W, W_q, W_k, v):
    query, key, W, W_q, W_k, v = (t.numpy() for t in (query, key, W, W_q, W_k, v))
    dot = query @ np.swapaxes(key, 1, 2)
    bilinear = (query @ W) @ np.swapaxes(key, 1, 2)
    additive = (np.tanh((query @ W_q)[:, :, None, :] + (key @ W_k)[:, None, :, :]) * v).sum(-1)
    return dot, bilinear, additive


@right("1.1")
def scores_as_lists(query, key, W, W_q, W_k, v):
    return tuple(t.tolist() for t in scores_by_einsum(query, key, W, W_q, W_k, v))


@right("1.1")
def scores_stacked(query, key, W, W_q, W_k, v):
    return torch.stack(scores_by_loops(query, key, W, W_q, W_k, v))


@right("1.1")
def scores_in_double(query, key, W, W_q, W_k, v):
    query, key, W, W_q, W_k, v = (t.double().requires_grad_() for t in (query, key, W, W_q, W_k, v))
    dot = torch.bmm(query, key.mT)
    bilinear = torch.bmm(query, (W @ key.mT))
    u = torch.unsqueeze(query @ W_q, dim=-2) + torch.unsqueeze(key @ W_k, dim=-3)
    return dot, bilinear, torch.matmul(u.tanh(), v.unsqueeze(-1)).squeeze(-1)


@wrong("1.1", "transpose")
def bilinear_transposed(query, key, W, W_q, W_k, v):
    dot, _, additive = scores_by_einsum(query, key, W, W_q, W_k, v)
    return dot, query @ W.T @ key.mT, additive


@wrong("1.1", "tanh")
def additive_without_tanh(query, key, W, W_q, W_k, v):
    dot, bilinear, _ = scores_by_einsum(query, key, W, W_q, W_k, v)
    return dot, bilinear, ((query @ W_q).unsqueeze(2) + (key @ W_k).unsqueeze(1)) @ v


@wrong("1.1", "ReLU")
def additive_with_relu(query, key, W, W_q, W_k, v):
    dot, bilinear, _ = scores_by_einsum(query, key, W, W_q, W_k, v)
    return dot, bilinear, ((query @ W_q).unsqueeze(2) + (key @ W_k).unsqueeze(1)).relu() @ v


@wrong("1.1")
def scaled_scores(query, key, W, W_q, W_k, v):
    return tuple(t / math.sqrt(query.shape[-1]) for t in scores_by_einsum(query, key, W, W_q, W_k, v))


@wrong("1.1")
def key_by_query(query, key, W, W_q, W_k, v):
    return tuple(t.mT for t in scores_by_einsum(query, key, W, W_q, W_k, v))


@wrong("1.1")
def another_order(query, key, W, W_q, W_k, v):
    dot, bilinear, additive = scores_by_einsum(query, key, W, W_q, W_k, v)
    return dot, additive, bilinear


# ---------------------------------------------------------------------------------------------------- 1.2 attention


@right("1.2")
def attention_by_loops(query, key, value, mask=None):
    weights = torch.zeros(query.shape[0], query.shape[1], key.shape[1])
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            seen = [j for j in range(key.shape[1]) if mask is None or mask[b, i, j]]
            e = [math.exp(float(query[b, i] @ key[b, j]) / math.sqrt(query.shape[2])) for j in seen]
            for j, x in zip(seen, e, strict=True):
                weights[b, i, j] = x / sum(e)
    return torch.einsum("bqk,bkd->bqd", weights, value), weights


@right("1.2")
def attention_with_where(query, key, value, mask=None):
    s = torch.einsum("bqd,bkd->bqk", query, key) * query.size(-1) ** -0.5
    if mask is not None:
        s = torch.where(mask, s, torch.tensor(float("-inf")))
    w = F.softmax(s, dim=2)
    return [torch.bmm(w, value), w]


@right("1.2")
def attention_with_a_low_number(query, key, value, mask=None):
    s = query @ key.mT / np.sqrt(query.shape[-1])
    if mask is not None:
        s = s - 1e9 * (~mask).float()
    w = torch.exp(s - s.max(dim=-1, keepdim=True).values)
    w = w / w.sum(-1, keepdim=True)
    return w @ value, w


@right("1.2")
def attention_in_numpy(query, key, value, mask=None):
    q, k, v = (t.numpy().astype(np.float64) for t in (query, key, value))
    e = np.exp(q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5)
    if mask is not None:
        e = e * mask.numpy()
    w = e / e.sum(axis=-1, keepdims=True)
    return (w @ v, w)


@right("1.2")
def attention_per_sentence(query, key, value, mask=None):
    outs, ws = [], []
    for b, (q, k, v) in enumerate(zip(query, key, value, strict=True)):
        s = q @ k.T / q.shape[-1] ** 0.5
        if mask is not None:
            s[~mask[b]] = -torch.inf
        ws.append(nn.Softmax(dim=1)(s))
        outs.append(ws[-1] @ v)
    return torch.stack(outs), torch.stack(ws)


@right("1.2")
def attention_with_lists(query, key, value, mask=None):
    out, w = attention_with_where(query, key, value, mask)
    return out.tolist(), w.tolist()


@wrong("1.2", "number of *keys*")
def attention_scaled_by_length(query, key, value, mask=None):
    s = query @ key.mT / math.sqrt(key.shape[1])
    if mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    return s.softmax(-1) @ value, s.softmax(-1)


@wrong("1.2", "d")
def attention_divided_by_d(query, key, value, mask=None):
    s = query @ key.mT / query.shape[-1]
    if mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    return s.softmax(-1) @ value, s.softmax(-1)


@wrong("1.2", "order")
def attention_weights_first(query, key, value, mask=None):
    return attention_with_where(query, key, value, mask)[::-1]


@wrong("1.2", "forbidden *scores* to 0")
def attention_zero_scores(query, key, value, mask=None):
    s = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is not None:
        s = s * mask
    return s.softmax(-1) @ value, s.softmax(-1)


@wrong("1.2", "softmax")
def attention_over_everything(query, key, value, mask=None):
    s = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    w = s.flatten(1).softmax(-1).view_as(s)
    return w @ value, w


@wrong("1.2")
def attention_without_softmax(query, key, value, mask=None):
    s = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is not None:
        s = s.masked_fill(~mask, 0)
    return s @ value, s


# -------------------------------------------------------------------------------------------------- 1.8 cached step


@right("1.8")
def step_by_words(query, key, value, cached_keys, cached_values):
    keys = torch.cat((cached_keys, key.unsqueeze(1)), 1)
    values = torch.cat((cached_values, value.unsqueeze(1)), 1)
    out = torch.zeros(value.shape)
    for b in range(len(query)):
        scores = torch.tensor([float(query[b] @ k) for k in keys[b]]) / math.sqrt(query.shape[1])
        for w, v in zip(scores.softmax(0), values[b], strict=True):
            out[b] += w * v
    return out, keys, values


@right("1.8")
def step_by_einsum(query, key, value, cached_keys, cached_values):
    keys = torch.cat((cached_keys, key[:, None, :]), dim=-2)
    values = torch.cat((cached_values, value[:, None, :]), dim=-2)
    w = (torch.einsum("bd,bnd->bn", query, keys) / query.size(1) ** 0.5).softmax(1)
    return torch.einsum("bn,bnv->bv", w, values), keys, values


@right("1.8")
def step_filling(query, key, value, cached_keys, cached_values):
    b, n, d = cached_keys.shape
    keys, values = torch.empty(b, n + 1, d), torch.empty(b, n + 1, value.shape[1])
    keys[:, :n], keys[:, n] = cached_keys, key
    values[:, :n], values[:, n] = cached_values, value
    w = torch.softmax((keys * query[:, None]).sum(-1) * d**-0.5, -1)
    return [(w[..., None] * values).sum(1), keys, values]


@right("1.8")
def step_in_numpy(query, key, value, cached_keys, cached_values):
    q, k, v, ck, cv = (t.numpy() for t in (query, key, value, cached_keys, cached_values))
    ck, cv = np.concatenate([ck, k[:, None]], 1), np.concatenate([cv, v[:, None]], 1)
    e = np.exp((ck @ q[:, :, None])[..., 0] / math.sqrt(q.shape[1]))
    return ((e / e.sum(1, keepdims=True))[:, None] @ cv)[:, 0], ck, cv


@right("1.8")
def step_with_bmm(query, key, value, cached_keys, cached_values):
    keys = torch.hstack((cached_keys, key[:, None]))
    values = torch.hstack((cached_values, value[:, None]))
    scores = torch.bmm(query.unsqueeze(1), keys.mT) / torch.sqrt(torch.tensor(query.shape[-1]))
    return torch.bmm(F.softmax(scores, dim=-1), values).squeeze(1), keys, values


@right("1.8")
def step_stacked(query, key, value, cached_keys, cached_values):
    keys = torch.stack([*cached_keys.unbind(1), key], 1)
    values = torch.stack([*cached_values.unbind(1), value], 1)
    w = (query[:, None] @ keys.mT / math.sqrt(keys.shape[2])).softmax(2)
    return (w @ values)[:, 0, :], keys, values


@wrong("1.8", "itself")
def step_without_itself(query, key, value, cached_keys, cached_values):
    _, keys, values = step_by_einsum(query, key, value, cached_keys, cached_values)
    w = ((query[:, None] @ cached_keys.mT) / math.sqrt(query.shape[1])).softmax(-1)
    return (w @ cached_values)[:, 0], keys, values


@wrong("1.8")
def step_newest_first(query, key, value, cached_keys, cached_values):
    keys = torch.cat((key[:, None], cached_keys), 1)
    values = torch.cat((value[:, None], cached_values), 1)
    w = ((query[:, None] @ keys.mT) / math.sqrt(query.shape[1])).softmax(-1)
    return (w @ values)[:, 0], keys, values


@wrong("1.8", "d")
def step_unscaled(query, key, value, cached_keys, cached_values):
    _, keys, values = step_by_einsum(query, key, value, cached_keys, cached_values)
    return ((query[:, None] @ keys.mT).softmax(-1) @ values)[:, 0], keys, values


@wrong("1.8")
def step_with_an_extra_axis(query, key, value, cached_keys, cached_values):
    _, keys, values = step_by_einsum(query, key, value, cached_keys, cached_values)
    return ((query[:, None] @ keys.mT) / math.sqrt(query.shape[1])).softmax(-1) @ values, keys, values


@wrong("1.8")
def step_squeezing(query, key, value, cached_keys, cached_values):
    _, keys, values = step_by_einsum(query, key, value, cached_keys, cached_values)
    w = ((query[:, None] @ keys.mT) / math.sqrt(query.shape[1])).softmax(-1)
    return (w @ values).squeeze(), keys, values


@wrong("1.8")
def step_forgetting(query, key, value, cached_keys, cached_values):
    output, _, _ = step_by_einsum(query, key, value, cached_keys, cached_values)
    return output, cached_keys, cached_values


# ----------------------------------------------------------------------------------------------- 2.2 masked weights


@right("2.2")
def weights_by_rows(scores, mask):
    out = torch.zeros_like(scores)
    for b, q in itertools.product(range(scores.shape[0]), range(scores.shape[1])):
        seen = mask[b, q]
        if seen.any():
            out[b, q, seen] = scores[b, q, seen].softmax(0)
    return out


@right("2.2")
def weights_nan_to_num(scores, mask):
    return torch.where(mask, scores, -torch.inf).softmax(-1).nan_to_num(0.0)


@right("2.2")
def weights_numpy(scores, mask):
    s, m = scores.numpy().astype("float64"), mask.numpy()
    s = np.where(m, s, -np.inf)
    top = s.max(-1, keepdims=True)
    e = np.where(m, np.exp(np.where(m, s - np.where(np.isfinite(top), top, 0), -np.inf)), 0)
    total = e.sum(-1, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0)


@right("2.2")
def weights_by_hand(scores, mask):
    s = scores.masked_fill(~mask, -torch.inf)
    m = s.amax(-1, keepdim=True)
    m = torch.where(m.isinf(), torch.zeros_like(m), m)
    e = (s - m).exp()
    total = e.sum(-1, keepdim=True)
    return e / torch.where(total == 0, torch.ones_like(total), total)


@right("2.2")
def weights_any(scores, mask):
    seen = mask.any(-1, keepdim=True)
    filled = scores.masked_fill(~mask & seen, float("-inf")).masked_fill(~seen, 0.0)
    return filled.softmax(-1) * seen


@right("2.2")
def weights_log(scores, mask):
    s = scores.double().masked_fill(~mask, -math.inf)
    return (s - s.logsumexp(-1, keepdim=True)).exp().nan_to_num(nan=0.0).tolist()


@wrong("2.2", "NaN")
def weights_leave_nan(scores, mask):
    return scores.masked_fill(~mask, -torch.inf).softmax(-1)


@wrong("2.2")
def weights_times_mask(scores, mask):
    return scores.softmax(-1) * mask


@wrong("2.2")
def weights_overflow(scores, mask):
    e = scores.exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-9)


@wrong("2.2")
def weights_inverted(scores, mask):
    return scores.masked_fill(mask, -torch.inf).softmax(-1).nan_to_num()


@wrong("2.2", "each row has a scale of its own")
def weights_minus_a_hundred(scores, mask):
    return scores.masked_fill(~mask, -100).softmax(-1) * mask.any(-1, keepdim=True)


@wrong("2.2", "largest of the whole tensor")
def weights_one_maximum(scores, mask):
    e = (scores - scores.max()).exp() * mask
    return e / (e.sum(-1, keepdim=True) + 1e-20)


# --------------------------------------------------------------------------------------------------- 2.5 batch mask


@right("2.5")
def mask_by_loops(lengths, n, front=False):
    out = torch.zeros(len(lengths), 1, n, n, dtype=torch.bool)
    for b, words in enumerate(lengths.tolist()):
        first, end = (n - words, n) if front else (0, words)
        for i in range(n):
            for j in range(i + 1):
                out[b, 0, i, j] = first <= j < end
    return out


@right("2.5")
def mask_by_lists(lengths, n, front=False):
    pads = [[j < n - w if front else j >= w for j in range(n)] for w in lengths.tolist()]
    return [[[[j <= i and not pad[j] for j in range(n)] for i in range(n)]] for pad in pads]


@right("2.5")
def mask_numpy(lengths, n, front=False):
    words = np.arange(n) < lengths.numpy()[:, None]
    if front:
        words = words[:, ::-1]
    return np.tril(np.ones((n, n), bool))[None, None] & words[:, None, None, :]


@right("2.5")
def mask_flipped(lengths, n, front=False):
    words = torch.stack([torch.arange(n) < w for w in lengths])
    words = words.flip(-1) if front else words
    return words[:, None, None, :] & torch.ones(n, n).tril().bool()


@right("2.5")
def mask_multiplied(lengths, n, front=False):
    causal = torch.tril(torch.ones(n, n, dtype=torch.bool))
    j = torch.arange(n).expand(len(lengths), n)
    words = (j >= n - lengths.unsqueeze(1)) if front else (j < lengths.unsqueeze(1))
    return causal.reshape(1, 1, n, n) * words.reshape(-1, 1, 1, n)


@right("2.5")
def mask_logical(lengths, n, front=False):
    causal = ~torch.triu(torch.ones((n, n), dtype=torch.bool), diagonal=1)
    i = torch.arange(n)[None]
    words = torch.ge(i, n - lengths[:, None]) if front else torch.lt(i, lengths[:, None])
    return torch.logical_and(causal[None, None], words[:, None, None])


@wrong("2.5", "boolean")
def mask_of_floats(lengths, n, front=False):
    return mask_multiplied(lengths, n, front).float()


@wrong("2.5")
def mask_inverted(lengths, n, front=False):
    return ~mask_multiplied(lengths, n, front)


@wrong("2.5")
def mask_only_padding(lengths, n, front=False):
    return mask_multiplied(lengths, n, front) | torch.ones(n, n, dtype=torch.bool).triu(1)


@wrong("2.5", "front")
def mask_never_front(lengths, n, front=False):
    return mask_multiplied(lengths, n)


@wrong("2.5")
def mask_of_queries(lengths, n, front=False):
    words = mask_multiplied(lengths, n, front)[:, :, -1:]
    return words.mT & torch.ones(n, n, dtype=torch.bool).tril()


@wrong("2.5", "axis for the heads")
def mask_of_three_axes(lengths, n, front=False):
    return mask_multiplied(lengths, n, front)[:, 0]


# ------------------------------------------------------------------------------------------------------ 3.4 buckets


@right("3.4")
def buckets_by_python(back):
    def one(b):
        if b < 16:
            return max(b, 0)
        return min(31, 16 + math.floor(16 * math.log(b / 16) / math.log(8) + 1e-9))

    return torch.tensor([one(b) for b in back.flatten().tolist()]).reshape(back.shape)


@right("3.4")
def buckets_by_where(back):
    b = back.clamp(min=0)
    far = 16 + (torch.log(b.clamp(min=1).double() / 16) / math.log(8) * 16 + 1e-9).long()
    return torch.where(b < 16, b, far.clamp(max=31))


@right("3.4")
def buckets_by_edges(back):
    edges = [
        b
        for b in range(1, 129)
        if b <= 16 or buckets_by_python(torch.tensor(b)) != buckets_by_python(torch.tensor(b - 1))
    ]
    return torch.bucketize(back, torch.tensor(edges), right=True)


@right("3.4")
def buckets_numpy(back):
    b = np.maximum(back.numpy(), 0)
    far = 16 + np.floor(16 * np.log(np.maximum(b, 16) / 16) / np.log(8) + 1e-9).astype(int)
    return np.where(b < 16, b, np.minimum(far, 31))


@right("3.4")
def buckets_as_floats(back):
    return buckets_by_where(back).float()


@right("3.4")
def buckets_nested_lists(back):
    return buckets_by_python(back).tolist()


@wrong("3.4")
def buckets_unclamped(back):
    b = back.clamp(min=0)
    return torch.where(b < 16, b, 16 + (torch.log(b.clamp(min=1) / 16) / math.log(8) * 16).long())


@wrong("3.4")
def buckets_rounding(back):
    b = back.clamp(min=0)
    return torch.where(
        b < 16, b, (16 + (torch.log(b.clamp(min=1) / 16) / math.log(8) * 16).round().long()).clamp(max=31)
    )


@wrong("3.4")
def buckets_both_ways(back):
    return buckets_by_where(back.abs())


@wrong("3.4")
def buckets_of_thirty_two_linear(back):
    return back.clamp(0, 31)


@wrong("3.4")
def buckets_one_axis(back):
    return torch.tensor([int(buckets_by_python(b)) for b in back.flatten()])


@wrong("3.4")
def buckets_log2(back):
    b = back.clamp(min=0)
    return torch.where(b < 16, b, (16 + (torch.log2(b.clamp(min=1) / 16) / math.log(8) * 16).long()).clamp(max=31))


# -------------------------------------------------------------------------------------------------------- 3.6 ALiBi


@right("3.6")
def alibi_by_loops(num_heads, n):
    out = torch.full((num_heads, n, n), float("-inf"))
    for h in range(num_heads):
        for i in range(n):
            for j in range(i + 1):
                out[h, i, j] = -(2 ** (-8 * (h + 1) / num_heads)) * (i - j)
    return out


@right("3.6")
def alibi_numpy(num_heads, n):
    i, j = np.indices((n, n))
    slope = np.array([2.0 ** (-8 * h / num_heads) for h in range(1, num_heads + 1)])
    return np.where(j > i, -np.inf, -slope[:, None, None] * (i - j))


@right("3.6")
def alibi_stacked(num_heads, n):
    distance = (torch.arange(n).view(-1, 1) - torch.arange(n)).float()
    future = torch.ones(n, n).triu(1).bool()
    return torch.stack(
        [torch.where(future, -torch.inf, -distance / 2 ** (8 * h / num_heads)) for h in range(1, num_heads + 1)]
    )


@right("3.6")
def alibi_nested_lists(num_heads, n):
    return [
        [[-(2 ** (-8 * h / num_heads)) * (i - j) if j <= i else -math.inf for j in range(n)] for i in range(n)]
        for h in range(1, num_heads + 1)
    ]


@right("3.6")
def alibi_added(num_heads, n):
    slopes = torch.pow(torch.tensor(2.0), torch.arange(1, num_heads + 1) * (-8 / num_heads))
    bias = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    return slopes.reshape(-1, 1, 1) * bias.tril() + torch.full((n, n), -math.inf).triu(1)


@right("3.6")
def alibi_list_of_tensors(num_heads, n):
    return list(alibi_stacked(num_heads, n))


@wrong("3.6")
def alibi_positive(num_heads, n):
    return torch.where(alibi_stacked(num_heads, n).isinf(), -torch.inf, -alibi_stacked(num_heads, n))


@wrong("3.6", "above the diagonal is 0")
def alibi_without_infinity(num_heads, n):
    return alibi_stacked(num_heads, n).nan_to_num(neginf=0.0)


@wrong("3.6")
def alibi_from_zero(num_heads, n):
    slopes = 2.0 ** (-8 * torch.arange(num_heads) / num_heads)
    return (alibi_stacked(1, n) * 256) * slopes[:, None, None]


@wrong("3.6", "`//`")
def alibi_integer_division(num_heads, n):
    slopes = torch.tensor([2.0 ** -(8 // num_heads * h) for h in range(1, num_heads + 1)])
    return (alibi_stacked(1, n) * 256) * slopes[:, None, None]


@wrong("3.6")
def alibi_transposed(num_heads, n):
    return alibi_stacked(num_heads, n).mT


@wrong("3.6")
def alibi_one_slope(num_heads, n):
    return alibi_stacked(num_heads, n)[:1].expand(num_heads, n, n)


# -------------------------------------------------------------------------------------------------- 4.1 shift right


@right("4.1")
def shift_roll(labels, bos, pad):
    out = labels.roll(1, dims=1)
    out[:, 0] = bos
    out[out == -100] = pad
    return out


@right("4.1")
def shift_lists(labels, bos, pad):
    return [[bos] + [pad if t == -100 else t for t in row[:-1]] for row in labels.tolist()]


@right("4.1")
def shift_pad(labels, bos, pad):
    read = F.pad(labels, (1, -1), value=bos)
    return torch.where(read == -100, pad, read)


@right("4.1")
def shift_clone(labels, bos, pad):
    out = labels.clone()
    out[:, 1:] = labels[:, :-1]
    out[:, 0] = bos
    return out.masked_fill_(out == -100, pad)


@right("4.1")
def shift_numpy(labels, bos, pad):
    a = np.full_like(labels.numpy(), bos)
    a[:, 1:] = np.where(labels[:, :-1] == -100, pad, labels[:, :-1])
    return a


@right("4.1")
def shift_rows(labels, bos, pad):
    rows = [torch.cat([torch.tensor([bos]), row[:-1]]) for row in labels]
    return torch.stack([torch.tensor([pad if t == -100 else int(t) for t in row]) for row in rows])


@wrong("4.1")
def shift_left(labels, bos, pad):
    out = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], pad)], 1)
    return out.masked_fill(out == -100, pad)


@wrong("4.1", "−100")
def shift_keeps_minus_100(labels, bos, pad):
    return torch.cat([torch.full_like(labels[:, :1], bos), labels[:, :-1]], 1)


@wrong("4.1", "BOS")
def shift_replaces_first(labels, bos, pad):
    out = labels.masked_fill(labels == -100, pad)
    return torch.cat([torch.full_like(labels[:, :1], bos), out[:, 1:]], 1)


@wrong("4.1", "one longer")
def shift_longer(labels, bos, pad):
    out = torch.cat([torch.full_like(labels[:, :1], bos), labels], 1)
    return out.masked_fill(out == -100, pad)


@wrong("4.1")
def shift_rolls_bos_away(labels, bos, pad):
    out = labels.roll(1, dims=1)
    return out.masked_fill(out == -100, pad)


@wrong("4.1")
def shift_columns(labels, bos, pad):
    out = labels.roll(1, dims=0)
    out[0] = bos
    return out.masked_fill(out == -100, pad)


# --------------------------------------------------------------------------------------------- 4.2 translation loss


@right("4.2")
def loss_torch(logits, labels):
    return F.cross_entropy(logits.transpose(1, 2), labels)


@right("4.2")
def loss_python(logits, labels):
    log_p = logits.log_softmax(-1)
    found = [
        -log_p[b, t, labels[b, t]].item()
        for b in range(labels.shape[0])
        for t in range(labels.shape[1])
        if labels[b, t] != -100
    ]
    return sum(found) / len(found)


@right("4.2")
def loss_numpy(logits, labels):
    x, y = logits.double().numpy(), labels.numpy()
    x = x - x.max(-1, keepdims=True)
    log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
    keep = y != -100
    return -np.mean(log_p[keep, y[keep]])


@right("4.2")
def loss_module(logits, labels):
    return nn.CrossEntropyLoss(ignore_index=-100)(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


@right("4.2")
def loss_one_hot(logits, labels):
    keep = labels.ne(-100)
    one_hot = F.one_hot(labels.clamp(min=0), logits.shape[-1]) * keep[..., None]
    return -(one_hot * logits.log_softmax(-1)).sum() / keep.sum()


@right("4.2")
def loss_with_an_axis(logits, labels):
    keep = labels != -100
    picked = logits.logsumexp(-1) - logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (picked * keep).sum(dim=(0, 1), keepdim=True).reshape(1) / keep.sum()


@wrong("4.2", "mean")
def loss_sum(logits, labels):
    return F.cross_entropy(logits.mT, labels, reduction="sum")


@wrong("4.2")
def loss_mean_of_means(logits, labels):
    return torch.stack([F.cross_entropy(x, y) for x, y in zip(logits, labels, strict=True)]).mean()


@wrong("4.2")
def loss_over_all_places(logits, labels):
    return F.cross_entropy(logits.mT, labels, reduction="sum") / labels.numel()


@wrong("4.2")
def loss_minus_100_from_behind(logits, labels):
    return F.cross_entropy(logits.mT, labels.clamp(min=0))


@wrong("4.2")
def loss_of_probabilities(logits, labels):
    return F.cross_entropy(logits.softmax(-1).mT, labels)


@wrong("4.2")
def loss_positive(logits, labels):
    return -F.cross_entropy(logits.mT, labels)


# -------------------------------------------------------------------------------------------------- 4.7 beam search


def next_logits(tokens, w):
    age = torch.arange(len(tokens) - 1, -1, -1)
    return (0.8**age @ w["embedding"][tokens]) @ w["head"]


@right("4.7")
def beam_sorted(w, bos, beams, steps):
    texts = [([], 0.0)]
    for _ in range(steps):
        new = []
        for tokens, score in texts:
            log_p = next_logits([bos, *tokens], w).log_softmax(0)
            new += [([*tokens, t], score + float(p)) for t, p in enumerate(log_p)]
        texts = sorted(new, key=lambda pair: -pair[1])[:beams]
    return torch.tensor([t for t, _ in texts]), torch.tensor([s for _, s in texts])


@right("4.7")
def beam_topk(w, bos, beams, steps):
    texts, scores = torch.full((1, 1), bos), torch.zeros(1)
    for _ in range(steps):
        log_p = torch.stack([next_logits(t.tolist(), w).log_softmax(-1) for t in texts])
        total = (scores[:, None] + log_p).flatten()
        scores, index = total.topk(min(beams, len(total)))
        vocabulary = log_p.shape[1]
        texts = torch.cat([texts[index // vocabulary], (index % vocabulary)[:, None]], 1)
    return texts[:, 1:], scores


@right("4.7")
def beam_lists(w, bos, beams, steps):
    texts, scores = beam_sorted(w, bos, beams, steps)
    return texts.tolist(), scores.tolist()


@right("4.7")
def beam_tokens_best_of_each(w, bos, beams, steps):
    beam = [(0.0, (bos,))]
    for _ in range(steps):
        pool = []
        for s, t in beam:
            values, ids = next_logits(list(t), w).log_softmax(-1).sort(descending=True)
            pool.extend((s + v.item(), (*t, i.item())) for v, i in zip(values[:beams], ids[:beams], strict=True))
        pool.sort(key=lambda x: x[0], reverse=True)
        beam = pool[:beams]
    return torch.tensor([list(t[1:]) for _, t in beam]), torch.tensor([s for s, _ in beam])


@right("4.7")
def beam_numpy(w, bos, beams, steps):
    texts, scores = np.full((1, 1), bos), np.zeros(1)
    for _ in range(steps):
        log_p = np.array([next_logits(t.tolist(), w).log_softmax(-1).numpy() for t in texts])
        total = scores[:, None] + log_p
        best = np.argsort(-total, axis=None)[:beams]
        rows, columns = np.unravel_index(best, total.shape)
        texts, scores = np.concatenate([texts[rows], columns[:, None]], 1), total[rows, columns]
    return texts[:, 1:], scores


@right("4.7")
def beam_rescored(w, bos, beams, steps):
    def score(text):
        return sum(next_logits([bos, *text[:i]], w).log_softmax(-1)[t] for i, t in enumerate(text))

    texts = [[]]
    for _ in range(steps):
        every = [[*t, v] for t in texts for v in range(w["head"].shape[-1])]
        texts = sorted(every, key=score, reverse=True)[:beams]
    return [torch.tensor(texts), torch.stack([score(t) for t in texts])]


@wrong("4.7")
def beam_each_its_own(w, bos, beams, steps):
    """The best continuation of each beginning, never two of one."""
    first = next_logits([bos], w).log_softmax(-1).topk(beams)
    texts = [([t.item()], s.item()) for s, t in zip(*first, strict=True)]
    for _ in range(steps - 1):
        new = []
        for t, s in texts:
            p = next_logits([bos, *t], w).log_softmax(-1)
            new.append(([*t, p.argmax().item()], s + p.max().item()))
        texts = new
    texts.sort(key=lambda pair: -pair[1])
    return torch.tensor([t for t, _ in texts]), torch.tensor([s for _, s in texts])


@wrong("4.7", "bos")
def beam_with_bos(w, bos, beams, steps):
    texts, scores = beam_sorted(w, bos, beams, steps)
    return torch.cat([torch.full((len(texts), 1), bos), texts], 1), scores


@wrong("4.7")
def beam_worst_first(w, bos, beams, steps):
    return tuple(t.flip(0) for t in beam_sorted(w, bos, beams, steps))


@wrong("4.7")
def beam_of_logits(w, bos, beams, steps):
    texts = [([], 0.0)]
    for _ in range(steps):
        new = [([*t, i], s + x) for t, s in texts for i, x in enumerate(next_logits([bos, *t], w).tolist())]
        texts = sorted(new, key=lambda pair: -pair[1])[:beams]
    return torch.tensor([t for t, _ in texts]), torch.tensor([s for _, s in texts])


@wrong("4.7")
def beam_mean_score(w, bos, beams, steps):
    texts, scores = beam_sorted(w, bos, beams, steps)
    return texts, scores / steps


@wrong("4.7")
def beam_one_too_many(w, bos, beams, steps):
    texts, scores = beam_sorted(w, bos, beams + 1, steps)
    return texts[:beams], scores[:beams]


# ---------------------------------------------------------------------------------------------- 2.4 the slide's mask


@right("2.4")
def slide_tril(Q, K, V):
    d, m = Q.shape
    n = K.shape[1]
    A = K.T @ Q / math.sqrt(d)
    A = A + torch.full((n, m), -math.inf).tril(m - n - 1)
    W = A.softmax(dim=0)
    return V @ W, W


@right("2.4")
def slide_full_square_then_slice(Q, K, V):
    d, m = Q.shape
    n = K.shape[1]
    mask = torch.full((n, n), -math.inf).tril(-1)[:, n - m :]
    W = torch.softmax(K.T @ Q / d**0.5 + mask, dim=0)
    return V @ W, W


@right("2.4")
def slide_python_loops(Q, K, V):
    d, m, n, dv = len(Q), len(Q[0]), len(K[0]), len(V)
    q, k, v = Q.tolist(), K.tolist(), V.tolist()
    W = [[0.0] * m for _ in range(n)]
    for j in range(m):
        last = n - m + j
        s = []
        for i in range(last + 1):
            s.append(sum(k[c][i] * q[c][j] for c in range(d)) / math.sqrt(d))
        top = max(s)
        e = [math.exp(x - top) for x in s]
        for i in range(last + 1):
            W[i][j] = e[i] / sum(e)
    out = [[sum(v[r][i] * W[i][j] for i in range(n)) for j in range(m)] for r in range(dv)]
    return torch.tensor(out), torch.tensor(W)


@right("2.4")
def slide_numpy(Q, K, V):
    q, k, v = (np.asarray(t.detach(), dtype=np.float64) for t in (Q, K, V))
    d, m = q.shape
    n = k.shape[1]
    A = k.T @ q / np.sqrt(d)
    i, j = np.indices((n, m))
    A = np.where(i <= j + n - m, A, -np.inf)
    E = np.exp(A - A.max(axis=0, keepdims=True))
    W = E / E.sum(axis=0)
    return v @ W, W


@right("2.4")
def slide_rows_sdpa(Q, K, V):
    d, m = Q.shape
    n = K.shape[1]
    seen = torch.ones(m, n, dtype=torch.bool).tril(n - m)
    out = F.scaled_dot_product_attention(Q.T[None], K.T[None], V.T[None], attn_mask=seen)[0].T
    W = (Q.T @ K / math.sqrt(d)).masked_fill(~seen, -math.inf).softmax(-1).T
    return out, W


@right("2.4")
def slide_recursion(Q, K, V):
    # the last query sees everything; the others are the same exercise with one word less
    m = Q.shape[1]
    w = torch.softmax(K.T @ Q[:, -1:] / math.sqrt(Q.shape[0]), dim=0)
    o = V @ w
    if m == 1:
        return o, w
    o2, w2 = slide_recursion(Q[:, :-1], K[:, :-1], V[:, :-1])
    w2 = torch.cat([w2, w2.new_zeros(1, m - 1)], dim=0)
    return torch.cat([o2, o], dim=1), torch.cat([w2, w], dim=1)


@right("2.4")
def slide_renormalise(Q, K, V):
    n, m = K.shape[1], Q.shape[1]
    A = K.T @ Q / math.sqrt(Q.shape[0])
    A = torch.where(torch.ones(n, m).triu(m - n) == 1, A, -math.inf)
    E = torch.exp(A - A.max(0).values)
    W = E / E.sum(0, keepdim=True)
    return V @ W, W


@right("2.4")
def slide_pad_queries(Q, K, V):
    # fill Q with zeros in front to n words, do the square case, keep the last m columns
    d, m = Q.shape
    n = K.shape[1]
    full = torch.cat([torch.zeros(d, n - m, dtype=Q.dtype), Q], dim=1)
    A = K.T @ full / math.sqrt(d) + torch.full((n, n), -math.inf).tril(-1)
    W = A.softmax(dim=0)
    return (V @ W)[:, -m:], W[:, -m:]


def _ninf(n, m):
    return torch.full((n, m), -math.inf)


@wrong("2.4", "softmax runs along the rows")
def slide_softmax_dim1(Q, K, V):
    """Softmax over the queries."""
    n, m = K.shape[1], Q.shape[1]
    W = (K.T @ Q / math.sqrt(Q.shape[0]) + _ninf(n, m).tril(m - n - 1)).softmax(dim=1)
    return V @ W, W


@wrong("2.4", "zeros after the softmax")
def slide_mask_after_softmax(Q, K, V):
    """Hidden words set to 0 after softmax: columns do not sum to 1."""
    n, m = K.shape[1], Q.shape[1]
    W = (K.T @ Q / math.sqrt(Q.shape[0])).softmax(0).triu(m - n)
    return V @ W, W


@wrong("2.4")
def slide_weights_transposed(Q, K, V):
    """Weights with one row per query."""
    o, W = slide_tril(Q, K, V)
    return o, W.T


@wrong("2.4", "in another order")
def slide_swapped(Q, K, V):
    """Weights and output swapped."""
    o, W = slide_tril(Q, K, V)
    return W, o


@wrong("2.4", "`Q` in place")
def slide_inplace_Q(Q, K, V):
    """Values right, but the caller's Q is divided in place."""
    n, m = K.shape[1], Q.shape[1]
    Q /= math.sqrt(Q.shape[0])
    W = (K.T @ Q + _ninf(n, m).tril(m - n - 1)).softmax(0)
    return V @ W, W


@wrong("2.4")
def slide_drops_cache(Q, K, V):
    """Uses the last m keys only."""
    m = Q.shape[1]
    K, V = K[:, -m:], V[:, -m:]
    W = (K.T @ Q / math.sqrt(Q.shape[0]) + _ninf(m, m).tril(-1)).softmax(0)
    return V @ W, W


@wrong("2.4")
def slide_squeeze(Q, K, V):
    """Squeeze: loses the axis when m = 1."""
    o, W = slide_tril(Q, K, V)
    return o.squeeze(), W.squeeze()


# ----------------------------------------------------------------------------------------------- 3.1 a row of clocks


@right("3.1")
def clocks_slices(positions, d):
    f = 10000 ** (torch.arange(0, d, 2) / d)
    angle = positions[..., None] / f
    out = torch.empty(*positions.shape, d)
    out[..., 0::2] = torch.sin(angle)
    out[..., 1::2] = torch.cos(angle)
    return out


@right("3.1")
def clocks_loops(positions, d):
    out = []
    for row in positions.tolist():
        r = []
        for pos in row:
            v = []
            for i in range(d // 2):
                a = pos / 10000 ** (2 * i / d)
                v += [math.sin(a), math.cos(a)]
            r.append(v)
        out.append(r)
    return torch.tensor(out)


@right("3.1")
def clocks_numpy(positions, d):
    p = np.asarray(positions, dtype=np.float64)
    i = np.arange(d // 2)
    a = p[:, :, None] / np.power(10000.0, 2 * i / d)
    out = np.zeros((*p.shape, d))
    out[:, :, ::2], out[:, :, 1::2] = np.sin(a), np.cos(a)
    return out


@right("3.1")
def clocks_exp_log(positions, d):  # the form of the PyTorch tutorial
    div = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
    pe = torch.zeros(positions.size(0), positions.size(1), d)
    pe[:, :, 0::2] = torch.sin(positions.unsqueeze(-1).float() * div)
    pe[:, :, 1::2] = torch.cos(positions.unsqueeze(-1).float() * div)
    return pe


@right("3.1")
def clocks_polar(positions, d):
    w = torch.logspace(0, -4 * (d - 2) / d, d // 2, base=10.0, dtype=torch.float64)
    z = torch.polar(torch.ones_like(w).expand(*positions.shape, -1).contiguous(), positions[..., None] * w)
    return torch.view_as_real(z).flip(-1).flatten(-2).float()


@right("3.1")
def clocks_cos_as_shifted_sin(positions, d):
    c = torch.arange(d)
    w = 10000.0 ** (-(c // 2 * 2).double() / d)
    return torch.sin(positions[:, :, None].double() * w + (c % 2) * math.pi / 2).to(torch.float32)


@right("3.1")
def clocks_unique_table(positions, d):
    places, where = torch.unique(positions, return_inverse=True)
    table = torch.zeros(len(places), d)
    for r, p in enumerate(places.tolist()):
        for i in range(0, d, 2):
            table[r, i] = math.sin(p / 10000 ** (i / d))
            table[r, i + 1] = math.cos(p / 10000 ** (i / d))
    return F.embedding(where, table)


@right("3.1")
def clocks_interleave_index(positions, d):
    a = positions[..., None].double() / 10000 ** (2 * torch.arange(d // 2).double() / d)
    both = torch.cat([a.sin(), a.cos()], -1)
    order = torch.tensor(list(itertools.chain.from_iterable((i, i + d // 2) for i in range(d // 2))))
    return both[..., order].float()


@right("3.1")
def clocks_tuple_of_rows(positions, d):
    return tuple(clocks_slices(positions, d))


def _angles(positions, d):
    return positions[..., None].double() / 10000 ** (torch.arange(0, d, 2).double() / d)


def _inter(a):
    return torch.stack([a.sin(), a.cos()], -1).flatten(-2).float()


@wrong("3.1")
def clocks_start_plus_arange(positions, d):
    """First place plus 0, 1, 2, ...: wrong when the places do not go up by one."""
    p = positions[:, :1] + torch.arange(positions.shape[1])
    return _inter(_angles(p, d))


@wrong("3.1")
def clocks_base_1000(positions, d):
    """1000 for 10000."""
    return _inter(positions[..., None] / 1000 ** (torch.arange(0, d, 2) / d))


@wrong("3.1")
def clocks_integer_angle(positions, d):
    """// in the angle."""
    return _inter((positions[..., None] // 10000 ** (torch.arange(0, d, 2) / d)).float())


@wrong("3.1")
def clocks_table_of_length(positions, d):
    """Table of `length` rows only, places behind it clamped."""
    table = _inter(_angles(torch.arange(positions.shape[1])[None], d))[0]
    return table[positions.clamp(max=positions.shape[1] - 1)]


@wrong("3.1")
def clocks_zero_is_padding(positions, d):
    """Takes place 0 for padding and sets it to 0."""
    return _inter(_angles(positions, d)) * (positions != 0)[..., None]


@wrong("3.1", "`positions` in place")
def clocks_inplace(positions, d):
    """Subtracts the smallest place, in place."""
    positions -= positions.min()
    return _inter(_angles(positions, d))


@wrong("3.1")
def clocks_d_minus_2(positions, d):
    """Exponent runs to 1: 2i/(d-2) (right for d = 2)."""
    return _inter(positions[..., None] / 10000 ** (torch.arange(0, d, 2) / max(d - 2, 1)))


@wrong("3.1")
def clocks_squeeze(positions, d):
    """Squeeze: loses the axis of one text or one word."""
    return _inter(_angles(positions, d)).squeeze()


@wrong("3.1")
def clocks_stack_front(positions, d):
    """Stack in front, then reshape: numbers mixed among the texts."""
    a = _angles(positions, d)
    return torch.stack([a.sin(), a.cos()]).reshape(*positions.shape, d).float()


# ----------------------------------------------------------------------------------------------- 4.3 label smoothing


@right("4.3")
def smooth_q_tensor(logits, labels, epsilon):
    V = logits.shape[-1]
    keep = labels != -100
    lp = logits[keep].log_softmax(-1)
    y = labels[keep]
    q = torch.full_like(lp, epsilon / V)
    q[torch.arange(len(y)), y] += 1 - epsilon
    return -(q * lp).sum(-1).mean()


@right("4.3")
def smooth_pure_python(logits, labels, epsilon):
    total, count = 0.0, 0
    for text, labs in zip(logits.tolist(), labels.tolist(), strict=False):
        for z, y in zip(text, labs, strict=False):
            if y == -100:
                continue
            top = max(z)
            lse = top + math.log(sum(math.exp(x - top) for x in z))
            lp = [x - lse for x in z]
            V = len(z)
            for v in range(V):
                q = epsilon / V + (1 - epsilon if v == y else 0)
                total -= q * lp[v]
            count += 1
    return torch.tensor(total / count)


@right("4.3")
def smooth_python_float(logits, labels, epsilon):
    return smooth_pure_python(logits, labels, epsilon).item()


@right("4.3")
def smooth_transposed_ce(logits, labels, epsilon):
    hard = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=-100)
    soft = -torch.log_softmax(logits, 2).mean(2)
    m = (labels != -100).to(logits.dtype)
    return (((1 - epsilon) * hard + epsilon * soft) * m).sum() / m.sum()


@right("4.3")
def smooth_soft_targets(logits, labels, epsilon):
    keep = labels.ne(-100)
    V = logits.size(-1)
    q = F.one_hot(labels[keep], V).to(logits.dtype) * (1 - epsilon) + epsilon / V
    return F.cross_entropy(logits[keep], q)


@right("4.3")
def smooth_kl_plus_entropy(logits, labels, epsilon):
    keep = labels != -100
    V = logits.shape[-1]
    lp = F.log_softmax(logits[keep], -1)
    q = torch.zeros_like(lp).scatter_(1, labels[keep].unsqueeze(1), 1.0 - epsilon) + epsilon / V
    kl = F.kl_div(lp, q, reduction="batchmean")
    entropy = -torch.special.xlogy(q, q).sum() / len(q)
    return kl + entropy


@right("4.3")
def smooth_numpy(logits, labels, epsilon):
    z = np.asarray(logits.detach(), dtype=np.float64).reshape(-1, logits.shape[-1])
    y = np.asarray(labels).reshape(-1)
    z, y = z[y != -100], y[y != -100]
    z = z - z.max(1, keepdims=True)
    lp = z - np.log(np.exp(z).sum(1, keepdims=True))
    q = np.eye(z.shape[1])[y] * (1 - epsilon) + epsilon / z.shape[1]
    return -(q * lp).sum(1).mean()


@right("4.3")
def smooth_nll(logits, labels, epsilon):
    lp = F.log_softmax(logits.reshape(-1, logits.shape[-1]), dim=-1)
    y = labels.reshape(-1)
    nll = F.nll_loss(lp, y, ignore_index=-100, reduction="sum")
    smooth = -lp[y != -100].mean(dim=1).sum()
    return ((1 - epsilon) * nll + epsilon * smooth) / (y != -100).sum()


@wrong("4.3")
def smooth_mean_of_means(logits, labels, epsilon):
    """Mean of the means of the texts (nan for a text without labels)."""
    return torch.stack(
        [smooth_q_tensor(z[None], y[None], epsilon) for z, y in zip(logits, labels, strict=False)]
    ).mean()


@wrong("4.3")
def smooth_kl(logits, labels, epsilon):
    """KL divergence: entropy of q subtracted (right for epsilon = 0)."""
    keep = labels != -100
    V = logits.shape[-1]
    q = F.one_hot(labels[keep], V) * (1 - epsilon) + epsilon / V
    return F.kl_div(logits[keep].log_softmax(-1), q, reduction="batchmean")


@wrong("4.3", "`logits` in place")
def smooth_inplace_logits(logits, labels, epsilon):
    """Result right, but the caller's logits are changed."""
    with torch.no_grad():
        logits -= logits.max(dim=-1, keepdim=True).values
    return smooth_q_tensor(logits, labels, epsilon)


@wrong("4.3")
def smooth_label_zero_lost(logits, labels, epsilon):
    """Labels > 0 as mask: label 0 is lost."""
    return smooth_q_tensor(logits, torch.where(labels > 0, labels, -100), epsilon)


@wrong("4.3")
def smooth_shifted(logits, labels, epsilon):
    """Labels shifted once more."""
    return smooth_q_tensor(logits[:, :-1], labels[:, 1:], epsilon)


@wrong("4.3")
def smooth_log2(logits, labels, epsilon):
    """Logarithm to base 2."""
    return smooth_q_tensor(logits, labels, epsilon) / math.log(2)


@wrong("4.3", "share Vε")
def smooth_uniform_sum(logits, labels, epsilon):
    """Epsilon times the sum over the vocabulary."""
    keep = labels != -100
    lp = logits[keep].log_softmax(-1)
    return -((1 - epsilon) * lp.gather(1, labels[keep][:, None])[:, 0] + epsilon * lp.sum(1)).mean()


@wrong("4.3")
def smooth_V_is_length(logits, labels, epsilon):
    """V read off the wrong axis."""
    V = logits.shape[1]
    keep = labels != -100
    lp = logits[keep].log_softmax(-1)
    return -((1 - epsilon) * lp.gather(1, labels[keep][:, None])[:, 0] + epsilon / V * lp.sum(1)).mean()


# ------------------------------------------------------------------------------------- 7.10 three ways to keep score


@right("7.10")
def scores_where(after, alone, lengths):
    m = torch.arange(after.shape[1]) < lengths[:, None]
    a = torch.where(m, after, 0.0).sum(1)
    b = torch.where(m, alone, 0.0).sum(1)
    return a, a / lengths, a - b


@right("7.10")
def scores_lists(after, alone, lengths):
    s = [sum(x[:n]) for x, n in zip(after.tolist(), lengths.tolist(), strict=False)]
    b = [sum(x[:n]) for x, n in zip(alone.tolist(), lengths.tolist(), strict=False)]
    return s, [x / int(n) for x, n in zip(s, lengths, strict=False)], [x - y for x, y in zip(s, b, strict=False)]


@right("7.10")
def scores_cumsum(after, alone, lengths):
    last = (lengths - 1).unsqueeze(1)
    a = after.cumsum(1).gather(1, last).squeeze(1)
    b = alone.cumsum(1).gather(1, last).squeeze(1)
    return a, a / lengths, a - b


@right("7.10")
def scores_pad_sequence(after, alone, lengths):
    ns = lengths.tolist()

    def cut(x):
        return torch.nn.utils.rnn.pad_sequence([r[:n] for r, n in zip(x, ns, strict=False)], batch_first=True)

    a, b = cut(after), cut(alone)
    return a.sum(1), a.sum(1) / lengths, a.sum(1) - b.sum(1)


@right("7.10")
def scores_einsum_nan_to_num(after, alone, lengths):
    m = torch.arange(after.shape[1])[None, :] < lengths[:, None]

    def clean(x):
        return torch.nan_to_num(x.masked_fill(~m, 0.0))

    a = torch.einsum("rt,rt->r", clean(after), m.to(after.dtype))
    b = torch.einsum("rt,rt->r", clean(alone), m.to(alone.dtype))
    return a, a.div(lengths), a.sub(b)


@right("7.10")
def scores_index_add(after, alone, lengths):
    rows = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    cols = torch.cat([torch.arange(int(n)) for n in lengths])
    a = torch.zeros(len(lengths), dtype=after.dtype).index_add(0, rows, after[rows, cols])
    b = torch.zeros(len(lengths), dtype=alone.dtype).index_add(0, rows, alone[rows, cols])
    return a, a / lengths, a - b


@right("7.10")
def scores_split(after, alone, lengths):
    m = torch.arange(after.shape[1]) < lengths[:, None]
    a = [x.sum() for x in after[m].split(lengths.tolist())]
    b = [x.sum() for x in alone[m].split(lengths.tolist())]
    a, b = torch.stack(a), torch.stack(b)
    return [a, a / lengths, a - b]


@right("7.10")
def scores_log_of_product(after, alone, lengths):
    # back to probabilities and multiply, in float64 so that it does not underflow
    a, b = [], []
    for r, n in enumerate(lengths):
        a.append(after[r, :n].double().exp().prod().log())
        b.append(alone[r, :n].double().exp().prod().log())
    a, b = torch.stack(a).float(), torch.stack(b).float()
    return a, a / lengths, a - b


def _m710(x, lengths, shift=0):
    return torch.arange(x.shape[1]) < lengths[:, None] + shift


def _s710(x, lengths, shift=0):
    return torch.where(_m710(x, lengths, shift), x, 0.0).sum(1)


@wrong("7.10", "takes its length out already")
def scores_raise_per_token(after, alone, lengths):
    """Raise per token."""
    a = _s710(after, lengths)
    return a, a / lengths, (a - _s710(alone, lengths)) / lengths


@wrong("7.10", "ratio of probabilities")
def scores_ratio(after, alone, lengths):
    """Ratio of the log-probabilities."""
    a = _s710(after, lengths)
    return a, a / lengths, a / _s710(alone, lengths)


@wrong("7.10")
def scores_alone_unmasked(after, alone, lengths):
    """Mask forgotten for alone."""
    a = _s710(after, lengths)
    return a, a / lengths, a - alone.sum(1)


@wrong("7.10")
def scores_n_minus_1(after, alone, lengths):
    """Divided by lengths - 1."""
    a = _s710(after, lengths)
    return a, a / (lengths - 1).clamp(min=1), a - _s710(alone, lengths)


@wrong("7.10")
def scores_left_padded(after, alone, lengths):
    """Padding supposed to be on the left."""
    m = torch.arange(after.shape[1]) >= after.shape[1] - lengths[:, None]
    a, b = torch.where(m, after, 0.0).sum(1), torch.where(m, alone, 0.0).sum(1)
    return a, a / lengths, a - b


@wrong("7.10", "in another order")
def scores_order2(after, alone, lengths):
    """First and second swapped."""
    a = _s710(after, lengths)
    return a / lengths, a, a - _s710(alone, lengths)


@wrong("7.10")
def scores_broadcast_square(after, alone, lengths):
    """(endings, 1) / (endings,): a square."""
    a, _, r = scores_where(after, alone, lengths)
    return a, a[:, None] / lengths, r


@wrong("7.10")
def scores_inplace(after, alone, lengths):
    """Results right, but the caller's tensors are set to 0 in place."""
    m = _m710(after, lengths)
    after[~m] = 0
    alone[~m] = 0
    a, b = after.sum(1), alone.sum(1)
    return a, a / lengths, a - b


@wrong("7.10")
def scores_sorted(after, alone, lengths):
    """Sorted by length."""
    order = lengths.argsort(descending=True)
    return scores_where(after[order], alone[order], lengths[order])


@wrong("7.10")
def scores_perplexity(after, alone, lengths):
    """Perplexity for the second."""
    a = _s710(after, lengths)
    return a, (-a / lengths).exp(), a - _s710(alone, lengths)


# ------------------------------------------------------------------------------------------- 7.11 GPT-1 reads a task


@right("7.11")
def task_plain(text, answers, start, delimiter, extract, padding):
    rows = [[start, *text, delimiter, *a, extract] for a in answers] if answers else [[start, *text, extract]]
    longest = max(len(r) for r in rows)
    columns = torch.tensor([len(r) - 1 for r in rows])
    return torch.tensor([r + [padding] * (longest - len(r)) for r in rows]), columns


@right("7.11")
def task_star(text, answers, start, delimiter, extract, padding):
    rows = [(start, *text, delimiter, *a, extract) for a in answers] or [(start, *text, extract)]
    t = torch.tensor(list(zip(*itertools.zip_longest(*rows, fillvalue=padding), strict=False)))
    return t, torch.tensor([len(r) for r in rows]) - 1


@right("7.11")
def task_pad_sequence(text, answers, start, delimiter, extract, padding):
    tails = [[delimiter, *list(a)] for a in answers] if len(answers) > 0 else [[]]
    rows = [torch.tensor([start, *list(text), *t, extract]) for t in tails]
    return (
        torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding),
        torch.tensor([len(r) - 1 for r in rows]),
    )


@right("7.11")
def task_full(text, answers, start, delimiter, extract, padding):
    n = len(text)
    if not answers:
        return torch.tensor([[start, *text, extract]]), torch.tensor([n + 1])
    longest = max(map(len, answers))
    out = torch.full((len(answers), n + longest + 3), padding, dtype=torch.long)
    out[:, 0] = start
    out[:, 1 : n + 1] = torch.tensor(text, dtype=torch.long)
    out[:, n + 1] = delimiter
    col = torch.empty(len(answers), dtype=torch.long)
    for r, a in enumerate(answers):
        out[r, n + 2 : n + 2 + len(a)] = torch.tensor(a, dtype=torch.long)
        col[r] = n + 2 + len(a)
        out[r, col[r]] = extract
    return out, col


@right("7.11")
def task_numpy(text, answers, start, delimiter, extract, padding):
    rows = [np.concatenate([[start], text, [delimiter], a, [extract]]) for a in answers]
    if not rows:
        rows = [np.concatenate([[start], text, [extract]])]
    size = np.array([len(r) for r in rows])
    out = np.full((len(rows), size.max()), padding)
    for i, r in enumerate(rows):
        out[i, : len(r)] = r
    return out, size - 1


@right("7.11")
def task_F_pad(text, answers, start, delimiter, extract, padding):
    def one(middle):
        return torch.tensor([start, *text, *middle, extract], dtype=torch.int64)

    rows = [one([delimiter, *a]) for a in answers] if answers else [one([])]
    width = max(r.numel() for r in rows)
    tokens = torch.stack([F.pad(r, (0, width - r.numel()), value=padding) for r in rows])
    return tokens, torch.tensor([r.numel() for r in rows]).sub(1)


@right("7.11")
def task_masked_scatter(text, answers, start, delimiter, extract, padding):
    rows = [[start, *text, delimiter, *a, extract] for a in answers] if answers else [[start, *text, extract]]
    n = torch.tensor([len(r) for r in rows])
    mask = torch.arange(int(n.max())) < n[:, None]
    tokens = torch.full(mask.shape, padding)
    tokens[mask] = torch.tensor(list(itertools.chain.from_iterable(rows)))
    return tokens, mask.sum(1) - 1


@right("7.11")
def task_reduce(text, answers, start, delimiter, extract, padding):
    rows = [functools.reduce(lambda x, y: x + y, ([start], text, [delimiter], a, [extract])) for a in answers]
    rows = rows if rows else [functools.reduce(lambda x, y: x + y, ([start], text, [extract]))]
    w = functools.reduce(max, map(len, rows))
    return (
        torch.tensor([[r[c] if c < len(r) else padding for c in range(w)] for r in rows]),
        torch.tensor([len(r) - 1 for r in rows]),
    )


@right("7.11")
def task_list_pair_int32(text, answers, start, delimiter, extract, padding):
    t, c = task_plain(text, answers, start, delimiter, extract, padding)
    return [t.int(), c.int()]


def _fill(rows, padding):
    w = max(map(len, rows))
    return torch.tensor([r + [padding] * (w - len(r)) for r in rows])


def _cols(rows):
    return torch.tensor([len(r) - 1 for r in rows])


@wrong("7.11", "delimiter")
def task_empty_with_delimiter(text, answers, start, delimiter, extract, padding):
    """No answers: delimiter written nevertheless."""
    rows = [[start, *text, delimiter, *a, extract] for a in (answers or [[]])]
    return _fill(rows, padding), _cols(rows)


def _rows711(text, answers, start, delimiter, extract):
    return [[start, *text, delimiter, *a, extract] for a in answers] or [[start, *text, extract]]


@wrong("7.11", "Your rows are right")
def task_last_column(text, answers, start, delimiter, extract, padding):
    """Last column for all rows: padding counted."""
    rows = _rows711(text, answers, start, delimiter, extract)
    t = _fill(rows, padding)
    return t, torch.full((len(rows),), t.shape[1] - 1)


@wrong("7.11", "pad on the left")
def task_left_padding(text, answers, start, delimiter, extract, padding):
    """Padding in front, last column for all."""
    rows = _rows711(text, answers, start, delimiter, extract)
    w = max(map(len, rows))
    return torch.tensor([[padding] * (w - len(r)) + r for r in rows]), torch.full((len(rows),), w - 1)


@wrong("7.11", "`answers` in place")
def task_inplace_answers(text, answers, start, delimiter, extract, padding):
    """Result right, but extract is appended to the caller's answers."""
    for a in answers:
        a.append(extract)
    rows = [[start, *text, delimiter, *a] for a in answers] or [[start, *text, extract]]
    return _fill(rows, padding), _cols(rows)


@wrong("7.11")
def task_delimiter_extract_swapped(text, answers, start, delimiter, extract, padding):
    """Delimiter and extract swapped."""
    rows = _rows711(text, answers, start, extract, delimiter)
    return _fill(rows, padding), _cols(rows)


@wrong("7.11")
def task_cut_to_shortest(text, answers, start, delimiter, extract, padding):
    """Zip cuts to the shortest."""
    rows = _rows711(text, answers, start, delimiter, extract)
    return torch.tensor(list(zip(*zip(*rows, strict=False), strict=False))), _cols(rows)


@wrong("7.11")
def task_both_orders(text, answers, start, delimiter, extract, padding):
    """Both orders (as for similarity)."""
    rows = [[start, *x, delimiter, *y, extract] for a in answers for x, y in ((text, a), (a, text))] or [
        [start, *text, extract]
    ]
    return _fill(rows, padding), _cols(rows)


@wrong("7.11")
def task_duplicates_removed(text, answers, start, delimiter, extract, padding):
    """The same answer twice gives one row only."""
    rows = _rows711(text, [list(a) for a in dict.fromkeys(map(tuple, answers))], start, delimiter, extract)
    return _fill(rows, padding), _cols(rows)


@wrong("7.11")
def task_padding_zero(text, answers, start, delimiter, extract, padding):
    """Filled up with 0, not padding."""
    rows = _rows711(text, answers, start, delimiter, extract)
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(r) for r in rows], batch_first=True), _cols(rows)


@wrong("7.11")
def task_column_of_delimiter(text, answers, start, delimiter, extract, padding):
    """Column of the delimiter."""
    rows = _rows711(text, answers, start, delimiter, extract)
    return _fill(rows, padding), torch.full((len(rows),), len(text) + 1)

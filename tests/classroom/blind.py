"""Answers written from the statements of ten exercises alone, before their declarations were read.

Six right and six wrong ones for each, in the styles of different people: loops, einsum, NumPy, lists, `torch.nn`.
`RIGHT` and `WRONG` map an exercise to its answers; a wrong one comes with a word or two that its message has to hold.
"""

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

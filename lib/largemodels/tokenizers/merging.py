"""Learning a vocabulary by merging, the part that byte-pair encoding and WordPiece share.

Every word begins as a sequence of its characters (or bytes). Again and again the pair of neighbours that is most
frequent in the text becomes one new token. Counting all pairs anew for each merge would take hours; here a merge touches
only the words in which its pair occurs, and the most frequent pair is on top of a heap.

Source: Sennrich, Haddow & Birch 2016 (arXiv 1508.07909), section 3.2 and algorithm 1. Of equally frequent pairs the one
with the smaller ids is merged first, as in Hugging Face's `tokenizers`.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

Pair = tuple[int, int]


def merges(words: Sequence[list[int]], counts: Sequence[int], name: Callable[[Pair], int]) -> Iterator[Pair]:
    """The pairs of token ids to merge, one after the other, until no pair is left that occurs twice.

    Args:
        words: the different words as token ids; merged in place.
        counts: how often each occurs in the text.
        name: the id of the token that a pair becomes. Two pairs may become the same token: a + bc, ab + c.
    """
    pair_counts: Counter[Pair] = Counter()
    where: dict[Pair, set[int]] = defaultdict(set)  # the words that a pair occurs in, or has occurred in
    for number, (word, count) in enumerate(zip(words, counts, strict=True)):
        for pair in pairwise(word):
            pair_counts[pair] += count
            where[pair].add(number)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)

    while heap:
        negative, pair = heapq.heappop(heap)
        if pair_counts[pair] != -negative:  # out of date: it has become rarer, or has another entry
            if 0 < pair_counts[pair] < -negative:
                heapq.heappush(heap, (-pair_counts[pair], pair))
            continue
        if -negative < 2:
            return
        yield pair
        token = name(pair)
        changed: Counter[Pair] = Counter()
        for number in where.pop(pair):
            for other, change in replace(words[number], pair, token):
                changed[other] += change * counts[number]
                if change > 0:
                    where[other].add(number)
        for other, change in changed.items():
            pair_counts[other] += change
            if change > 0:
                heapq.heappush(heap, (-pair_counts[other], other))


def replace(word: list[int], pair: Pair, token: int) -> list[tuple[Pair, int]]:
    """Merge each occurrence of the pair in a word, from the left, in place; the pairs that vanish (−1) and appear (+1)."""
    before, i = word.copy(), 0
    while i < len(word) - 1:
        if (word[i], word[i + 1]) == pair:
            word[i : i + 2] = [token]
        i += 1
    if len(word) == len(before):
        return []
    return [(p, -1) for p in pairwise(before)] + [(p, 1) for p in pairwise(word)]

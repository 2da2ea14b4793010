"""Learning a vocabulary by merging, the part that byte-pair encoding and WordPiece share.

Every word begins as a sequence of its characters (or bytes). Again and again the pair of neighbours that is most
frequent in the text becomes one new token. Counting all pairs anew for each merge would take hours; here a merge touches
only the places where its pair stands, and the most frequent pair is on top of a heap.

Source: Sennrich, Haddow & Birch 2016 (arXiv 1508.07909), section 3.2 and algorithm 1. Of equally frequent pairs the one
with the smaller ids is merged first, as in Hugging Face's `tokenizers`.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

Pair = tuple[int, int]
END = -1  # of a word: no place


class Chain:
    """Words in which neighbours are merged without moving the others: each place knows the places before and after it.

    Attributes:
        tokens: the token at each place, None where it was merged into the one before it.
        before, after: the neighbouring place in the same word, or END.
    """

    def __init__(self, words: Iterable[Sequence[int]]):
        self.tokens: list[int | None] = []
        self.before: list[int] = []
        self.after: list[int] = []
        for word in words:
            first, last = len(self.tokens), len(self.tokens) + len(word) - 1
            self.tokens += word
            self.before += [place - 1 if place > first else END for place in range(first, last + 1)]
            self.after += [place + 1 if place < last else END for place in range(first, last + 1)]

    def pair(self, place: int) -> Pair | None:
        """The token at a place and the one after it; None at the end of a word, or where no token is any more."""
        if place == END or self.after[place] == END:
            return None
        left, right = self.tokens[place], self.tokens[self.after[place]]
        return None if left is None or right is None else (left, right)

    def merge(self, place: int, token: int) -> None:
        """The pair at a place becomes one token."""
        gone = self.after[place]
        self.tokens[place], self.tokens[gone] = token, None
        self.after[place] = self.after[gone]
        if self.after[place] != END:
            self.before[self.after[place]] = place


def merges(words: Sequence[Sequence[int]], counts: Sequence[int], name: Callable[[Pair], int]) -> Iterator[Pair]:
    """The pairs of token ids to merge, one after the other, until no pair is left that occurs twice.

    Args:
        words: the different words as token ids.
        counts: how often each occurs in the text.
        name: the id of the token that a pair becomes. Two pairs may become the same token: a + bc, ab + c.
    """
    chain = Chain(words)
    count_of = [count for word, count in zip(words, counts, strict=True) for _ in word]  # at each place of the chain
    pair_counts: Counter[Pair] = Counter()
    where: dict[Pair, list[int]] = defaultdict(list)  # the places at which a pair stands, or has stood
    for place in range(len(chain.tokens)):
        if (pair := chain.pair(place)) is not None:
            pair_counts[pair] += count_of[place]
            where[pair].append(place)
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
        for place in sorted(where.pop(pair)):  # from the left: in "aaa" the first two belong together
            if chain.pair(place) != pair:  # it has stood here
                continue
            around = chain.before[place], place, chain.after[place]
            for other in map(chain.pair, around):
                if other is not None:
                    changed[other] -= count_of[place]
            chain.merge(place, token)
            for new in around[:2]:
                if (other := chain.pair(new)) is not None:
                    changed[other] += count_of[place]
                    where[other].append(new)
        for other, change in changed.items():
            pair_counts[other] += change
            if change > 0:
                heapq.heappush(heap, (-pair_counts[other], other))

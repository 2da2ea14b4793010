"""The objectives that BERT and its variants are pre-trained with: which tokens to hide, and which pairs to judge.

*Masked language modelling* 掩码语言建模: 15 % of the tokens are selected. Of these 80 % become [MASK], 10 % another token,
and 10 % stay as they are; all of them are to be predicted, and no others. *Next-sentence prediction* 下句预测: does the
second text follow the first one, or does it come from elsewhere?

    pairs, labels = SentencePairs(documents)(32, 61, generator)     # 32 pairs of at most 61 tokens
    tokens, segments, mask = pack(pairs, tokenizer, length=64)      # and [CLS], [SEP], [SEP]
    inputs, targets = Masking(tokenizer)(tokens, generator)

Sources: Devlin et al. 2018 (arXiv 1810.04805), section 3.1 and appendix A, and the authors' create_pretraining_data.py;
dynamic masking: Liu et al. 2019 (arXiv 1907.11692), section 4.1; sentence order: Lan et al. 2019 (arXiv 1909.11942).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from largemodels.attention import at_least_float32
from largemodels.losses import IGNORE, cross_entropy
from largemodels.masks import padding_mask
from largemodels.tokenizers import Tokenizer

# ------------------------------------------------------------------------------------------------------- which tokens


class Masking:
    """``inputs, targets = masking(tokens, generator)``: hide some of the tokens, others in each call.

    In each text the selected share is exact, `rate` of its tokens that are not special (to the nearest whole number, and
    at least one); in a call the shares of what happens to the selected tokens are exact, too.

    Args:
        tokenizer: has the mask token; its special tokens are never selected, nor used in place of another token.
        rate: which share of the tokens is selected.
        shares: of the selected tokens: which become the mask token, any token, and stay; they sum to 1.
        whole_words: select words, with all their pieces. The last word selected may go beyond the exact share.
        mask: the name of the mask token.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        rate: float = 0.15,
        shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
        *,
        whole_words: bool = False,
        mask: str = "[MASK]",
    ):
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, got {rate}")
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"the three shares must not be negative and must sum to 1, got {shares}")
        self.rate, self.shares, self.whole_words, self.mask = rate, shares, whole_words, tokenizer.id(mask)
        self.maskable = torch.tensor([token not in tokenizer.special for token in tokenizer.tokens])  # (vocab_size,)
        self.begins_word = torch.tensor(tokenizer.begins_word())

    def __call__(self, tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``(batch, length)`` token ids to what the model reads and, at the selected tokens, what it is to predict."""
        self._check(tokens)
        selected = self.select(tokens, generator)  # (batch, length)
        new = tokens[selected]  # (number of selected tokens,)
        order = torch.randperm(len(new), generator=generator)
        masked = round(self.shares[0] * len(new))
        exchanged = round((self.shares[0] + self.shares[1]) * len(new))
        new[order[:masked]] = self.mask
        new[order[masked:exchanged]] = self._any_tokens(exchanged - masked, generator)
        return tokens.masked_scatter(selected, new), tokens.masked_fill(~selected, IGNORE)

    def static(self, tokens: Tensor, generator: torch.Generator, copies: int = 10) -> tuple[Tensor, Tensor]:
        """Hide once, as BERT did before its training began: inputs and targets ``(copies, batch, length)``.

        Epoch e then reads copy ``e % copies``: the same tokens are hidden again every `copies` epochs.
        """
        inputs, targets = self(tokens.repeat(copies, 1), generator)
        return inputs.view(copies, *tokens.shape), targets.view(copies, *tokens.shape)

    def select(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """``(batch, length)``, True where a token is selected."""
        maskable = self.maskable[tokens]
        budget = (self.rate * maskable.sum(1, keepdim=True)).round().clamp(min=1)  # (batch, 1)
        # The words in random order, each with all its tokens; special tokens come last.
        words = self._words(tokens)
        lots = torch.rand(tokens.shape, generator=generator).gather(1, words)
        order = lots.masked_fill(~maskable, 2.0).argsort(dim=1, stable=True)
        rank = order.argsort(dim=1)
        begin = torch.full_like(rank, tokens.shape[1]).scatter_reduce(1, words, rank, "amin").gather(1, words)
        return maskable & (begin < budget)

    def _words(self, tokens: Tensor) -> Tensor:
        """``(batch, length)``: the number of the word that each token belongs to."""
        if not self.whole_words:
            return torch.arange(tokens.shape[1]).expand_as(tokens)
        special = ~self.maskable[tokens]
        after_special = torch.cat((torch.ones_like(special[:, :1]), special[:, :-1]), dim=1)
        return (self.begins_word[tokens] | special | after_special).cumsum(1) - 1

    def _any_tokens(self, count: int, generator: torch.Generator) -> Tensor:
        """Tokens drawn from the vocabulary without the special ones; sometimes the right one is among them."""
        ids = self.maskable.nonzero().flatten()
        return ids[torch.randint(len(ids), (count,), generator=generator)]

    def _check(self, tokens: Tensor) -> None:
        if tokens.dim() != 2 or tokens.dtype != torch.long:
            raise ValueError(
                f"tokens must be whole numbers (batch, length), got {tokens.dtype} of shape {tuple(tokens.shape)}"
            )
        if tokens.numel() and not 0 <= tokens.min() <= tokens.max() < len(self.maskable):
            raise ValueError(
                f"token ids must lie in 0 … {len(self.maskable) - 1}, got {tokens.min().item()} … {tokens.max().item()}"
            )
        empty = ~self.maskable[tokens].any(1)
        if empty.any():
            raise ValueError(
                f"text {empty.nonzero()[0].item()} has no token to hide, only special ones; leave out texts with no words"
            )


# -------------------------------------------------------------------------------------------------------- which pairs

Text = list[int]  # token ids


class SentencePairs:
    """``pairs, labels = sentence_pairs(count, length, generator)``: pairs of texts to judge; in half of them label 1.

    Exactly half of an even number; of an odd number one more or one less than the rest, each as likely.

    A place between two sentences of a document is drawn, every place being as likely as any other. The first text ends
    there, the second one begins there. If the label is 1,

    * "next" (BERT): the second text begins at a sentence of *another* document instead;
    * "order" (ALBERT): the two texts are swapped.

    Args:
        documents: lists of sentences, which are lists of token ids. A document of one sentence has no place to draw, but
            may be the other document.
        task: "next" or "order".
    """

    def __init__(self, documents: Sequence[Sequence[Text]], task: str = "next"):
        if task not in ("next", "order"):
            raise ValueError(f'task must be "next" or "order", got {task!r}')
        self.documents, self.task = [[sentence for sentence in document if sentence] for document in documents], task
        starts = [(i, n) for i, document in enumerate(self.documents) for n in range(len(document))]
        self.starts = torch.tensor(starts).view(-1, 2)  # (sentences, 2): document, number of the sentence in it
        self.places = self.starts[self.starts[:, 1] > 0]
        if len(self.places) == 0 or (task == "next" and len(self.starts[:, 0].unique()) < 2):
            raise ValueError(
                'pairs need a document of two sentences and, for the task "next", a second document; got '
                f"{len(self.documents)} documents with {len(self.starts)} sentences in all"
            )

    def __call__(self, count: int, length: int, generator: torch.Generator) -> tuple[list[tuple[Text, Text]], Tensor]:
        """`count` pairs, of at most `length` tokens together; what is farthest from the place is cut off."""
        # 0, 1, 0, 1, … in random order; an odd number has one 0 more, or in half of the calls one 1 more.
        swapped = int(torch.randint(2, (), generator=generator)) if count % 2 else 0
        labels = ((torch.randperm(count, generator=generator) + swapped) % 2).tolist()
        places = self.places[torch.randint(len(self.places), (count,), generator=generator)].tolist()
        pairs = []
        for label, (i, place) in zip(labels, places, strict=True):
            j, start = i, place
            while label and self.task == "next" and j == i:
                j, start = self.starts[torch.randint(len(self.starts), (), generator=generator)].tolist()
            first = [token for sentence in self.documents[i][:place] for token in sentence]
            second = [token for sentence in self.documents[j][start:] for token in sentence]
            room = max(length // 2, length - len(second))  # for the first one
            first = first[-room:]
            second = second[: length - len(first)]
            pairs.append((second, first) if label and self.task == "order" else (first, second))
        return pairs, torch.tensor(labels)


def pack(texts: Sequence[Text | tuple[Text, Text]], tokenizer: Tokenizer, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Texts as [CLS] a [SEP], pairs of them as [CLS] a [SEP] b [SEP], filled up with [PAD].

    Args:
        texts: token ids, or pairs of them. A text that is too long is cut off at its end.
        tokenizer: has the four special tokens.
        length: of what the model reads, special tokens included.

    Returns:
        tokens ``(batch, length)``; segments ``(batch, length)``, 0 up to the first [SEP], then 1; and the mask of the
        padding, ``(batch, 1, 1, length)``.
    """
    cls, sep, pad = (tokenizer.id(name) for name in ("[CLS]", "[SEP]", "[PAD]"))
    tokens = torch.full((len(texts), length), pad)
    segments = torch.zeros_like(tokens)
    lengths = []
    for row, text in enumerate(texts):
        if isinstance(text, tuple):
            first, second = text
            if len(first) + len(second) + 3 > length:
                raise ValueError(
                    f"pair {row} has {len(first)} + {len(second)} tokens and needs 3 more for [CLS] and [SEP]; "
                    f"cut it to length={length}"
                )
            ids = [cls, *first, sep, *second, sep]
            segments[row, len(first) + 2 : len(ids)] = 1
        else:
            ids = [cls, *text[: length - 2], sep]
        tokens[row, : len(ids)] = torch.tensor(ids)
        lengths.append(len(ids))
    return tokens, segments, padding_mask(torch.tensor(lengths), length)


# ---------------------------------------------------------------------------------------------------------- the loss


class PretrainingLoss:
    """For `training.train`: the mean loss of a selected token, plus that of a pair where the batch has pairs.

    ``pretraining_loss(model, batch)`` gives the loss times the number of selected tokens, and that number. The head is
    asked about the selected tokens only: with 15 % of them, most of the work at the vocabulary is saved.

    A batch is a dictionary of inputs, segments, targets ``(batch, length)``, mask ``(batch, 1, 1, length)``, and
    perhaps pairs ``(batch,)``, the labels of `SentencePairs`.

    The two means have different denominators, and what is returned has one. So a pair counts as many times as there are
    selected tokens for each pair, *in the whole batch*: `prepare` writes this number beside every row before the batch
    is divided (among processes, say), and the parts then add up to the whole.
    """

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch with ``pair_weight``, ``(batch,)``: the number of selected tokens / the number of pairs."""
        if "pairs" not in batch:
            return batch
        per_pair = (batch["targets"] != IGNORE).sum() / len(batch["pairs"])
        return batch | {"pair_weight": per_pair.repeat(len(batch["pairs"]))}

    def __call__(self, model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        x = model.encoder(batch["inputs"], batch["segments"], batch["mask"])
        selected = batch["targets"] != IGNORE
        total, count = cross_entropy(model.head(x[selected]), batch["targets"][selected])
        if "pairs" in batch:
            weight = (batch if "pair_weight" in batch else self.prepare(batch))["pair_weight"]
            logits = at_least_float32(model.pair_head(x))
            total = total + (weight * nn.functional.cross_entropy(logits, batch["pairs"], reduction="none")).sum()
        return total, count


pretraining_loss = PretrainingLoss()

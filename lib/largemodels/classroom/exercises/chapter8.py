"""Exercises of chapter 8, in-context learning."""

import math
import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ... import induction
from ...corpora import tasks
from ..comparing import shape_difference, within
from ..exercise import Case, Exercise, Misconception, Stage

# ------------------------------------------------------------------------------------------- 8.1 a prompt without leaks


def _prompt_cases(seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    words = rng.sample(tasks.WORDS, 6)
    pairs = [(word, tasks.CHINESE[word]) for word in words[:5]]
    description = tasks.DESCRIPTIONS["translate"]
    yield Case("zero-shot", (description, pairs, words[5], 0))
    yield Case("zero-shot", ("", pairs, words[5], 0))
    yield Case("few-shot", (description, pairs, words[5], 2))
    yield Case("few-shot", ("", pairs, words[5], 3))
    yield Case("few-shot", (description, pairs, words[5], 5))  # all that there are
    yield Case("leak", (description, pairs, words[rng.randrange(2)], 2))
    yield Case("leak", (description, pairs, words[1], 3))
    yield Case("leak", (description, pairs, words[4], 2))  # further back than anything that is shown
    yield Case("leak", (description, pairs, words[3], 0))
    yield Case("leak", ("", pairs[:1], words[0], 1))  # nothing is left to show
    contains = [
        (f"{word}{end}", answer) for (word, answer), end in zip(pairs, ("s", "", "-house", "", ""), strict=True)
    ]
    yield Case("leak", (description, [*contains, pairs[0]], words[0], 3))  # other words that begin alike


def _prompt_with(
    *,
    choose: Callable = lambda pairs, question, shots: [pair for pair in pairs if pair[0] != question][:shots],
    line: str = "{} => {}",
    ask: Callable = lambda question, pairs: f"{question} =>",
    arrange: Callable = lambda description, examples, question: [description, *examples, question],
    keep_empty: bool = False,
    end: str = "",
) -> Callable:
    """A prompt written out, with one of its steps replaced."""

    def answer(description, pairs, question, shots):
        examples = [line.format(*pair) for pair in choose(pairs, question, shots)]
        lines = arrange(description, examples, ask(question, pairs))
        return "\n".join(one for one in lines if one or keep_empty) + end

    return answer


def _reference_prompt(description, pairs, question, shots):
    return tasks.prompt(description, [pair for pair in pairs if pair[0] != question][:shots], question)


def _looped_prompt(description, pairs, question, shots):
    text = f"{description}\n" if description else ""
    shown = 0
    for word, answer in pairs:
        if word == question or shown == shots:
            continue
        text += word + " => " + answer + "\n"
        shown += 1
    return text + question + " =>"


PROMPT = Exercise(
    id="8.1",
    title="A prompt that does not give itself away",
    kind="implement",
    name="few_shot_prompt",
    minutes=15,
    stars=1,
    cases=_prompt_cases,
    stages=(
        Stage("zero-shot", "no examples", 1, "print your text with `repr`: which lines, and what is at the very end?"),
        Stage(
            "few-shot", "examples between description and question", 1, "print your text beside that of section 8.1."
        ),
        Stage("leak", "the question among the pairs", 2, "let the question be the first of the pairs. What is shown?"),
    ),
    reference=_reference_prompt,
    misconceptions=(
        Misconception(
            _prompt_with(choose=lambda pairs, question, shots: pairs[:shots]),
            "Your prompt gives its own answer away: the word asked for stands among the examples, with its answer. The model "
            "only has to copy, and you would measure that.",
        ),
        Misconception(
            _prompt_with(choose=lambda pairs, question, shots: [pair for pair in pairs[:shots] if pair[0] != question]),
            "Nothing leaks, but where the question was among the first pairs your prompt has an example too few. Leave the "
            "question out *before* you count.",
        ),
        Misconception(
            _prompt_with(
                choose=lambda pairs, question, shots: [
                    pair for pair in pairs[: shots + (question in dict(pairs))] if pair[0] != question
                ]
            ),
            "Your prompt has an example too many where the question stands further back among the pairs. Leave it out first, "
            "and count then.",
        ),
        Misconception(
            _prompt_with(
                choose=lambda pairs, question, shots: [pair for pair in pairs if pair[0] != question][: shots + 1]
            ),
            "Your prompt has an example too many.",
        ),
        Misconception(
            _prompt_with(
                choose=lambda pairs, question, shots: [pair for pair in pairs if question not in pair[0]][:shots]
            ),
            "You also leave out words that only *contain* the question, as *dogs* contains *dog*. Compare whole words.",
        ),
        Misconception(
            _prompt_with(
                choose=lambda pairs, question, shots: [pair for pair in pairs if pair[0] != question][::-1][:shots]
            ),
            "Your examples come from the end of the pairs. Take the first ones, in their order.",
        ),
        Misconception(
            _prompt_with(line="{}=>{}", ask=lambda question, pairs: f"{question}=>"),
            "The spaces around your arrows are missing: `dog => 狗`.",
        ),
        Misconception(
            _prompt_with(ask=lambda question, pairs: question),
            "Your last line has no arrow. It looks like the others, up to the place where the answer belongs.",
        ),
        Misconception(
            lambda *arguments: _prompt_with()(*arguments).split("\n"),
            "You return a list of lines. Asked for is one text, its lines joined with line breaks.",
        ),
        Misconception(
            _prompt_with(ask=lambda question, pairs: f"{question} => {dict(pairs).get(question, '?')}"),
            "Your last line holds an answer (or a ?). It should end with the arrow: what follows is for the model to write.",
        ),
        Misconception(
            _prompt_with(arrange=lambda description, examples, question: [*examples, description, question]),
            "The description comes after your examples. It is the first line, so that the examples are read in its light.",
        ),
        Misconception(
            _prompt_with(arrange=lambda description, examples, question: [description, question, *examples]),
            "Your question stands before the examples. The model continues the *end* of the text, so the question is last.",
        ),
        Misconception(
            _prompt_with(end="\n"),
            "Your prompt ends with a line break. The model would go on from an empty line, and not from the arrow.",
        ),
        Misconception(
            _prompt_with(end=" "),
            "Your prompt ends with a space after the arrow. It is invisible, and yet a token: real models answer worse "
            "after it, since in their texts the space belongs to the word that follows.",
        ),
        Misconception(
            _prompt_with(keep_empty=True),
            "Without a description your prompt begins with an empty line. There should be no line at all.",
        ),
        Misconception(
            _prompt_with(line="{1} => {0}"),
            "Word and answer are exchanged in your examples: they show the task backwards.",
        ),
        Misconception(
            _prompt_with(choose=lambda pairs, question, shots: [pair for pair in pairs if pair[0] != question]),
            "You show all pairs. Only so many as `shots` says are wanted.",
        ),
    ),
    alternatives=(_looped_prompt, _prompt_with()),
    hints=(
        "First make the list of the pairs that may be shown, then take the first few of it.",
        "Put all lines into a list and join them at the end. Which of the lines may be missing?",
    ),
    success="Right. On real data the same leak hides better: a test question that stands, word for word, in the training set.",
)


# -------------------------------------------------------------------------------------------- 8.2 every line is a test


def _lines_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, batch, lines in (
        ("shape", 3, 4),
        ("lines", 40, 4),
        ("lines", 50, 7),
        ("lines", 1, 6),
        ("lines", 5, 5),
        ("lines", 4, 1),
    ):
        vocabulary = 5
        tokens = torch.randint(vocabulary, (batch, 1 + 2 * lines), generator=generator)
        logits = torch.randn(batch, 1 + 2 * lines, vocabulary, generator=generator)
        # The later the line, the more often its answer is the most probable next token; all else is noise.
        known = torch.rand(batch, lines, generator=generator) < torch.linspace(0.1, 0.9, lines)
        logits[:, 1::2].scatter_add_(2, tokens[:, 2::2, None], 20.0 * known[..., None])
        yield Case(stage, (logits, tokens))


def _accuracy_by_line(logits, tokens):
    return (logits[:, 1::2].argmax(-1) == tokens[:, 2::2]).double().mean(0)


def _looped_accuracy(logits, tokens):
    batch, length = tokens.shape
    accuracies = []
    for line in range(length // 2):
        right = sum(int(logits[b, 2 * line + 1].argmax() == tokens[b, 2 * line + 2]) for b in range(batch))
        accuracies.append(right / batch)
    return torch.tensor(accuracies)


def _shifted_accuracy(logits, tokens):
    right = (logits[:, :-1].argmax(-1) == tokens[:, 1:]).float()
    return right.mean(0)[1::2]


ACCURACY = Exercise(
    id="8.2",
    title="Every line is a test",
    kind="implement",
    name="accuracy_by_shots",
    minutes=15,
    stars=2,
    cases=_lines_cases,
    stages=(
        Stage(
            "shape",
            "one number for each line",
            1,
            "(lines,), where a text is 1 + 2·lines long.",
            compare=shape_difference,
        ),
        Stage(
            "lines", "the accuracy of each line", 3, "which logits are the model's answer to the question of line 1?"
        ),
    ),
    reference=_accuracy_by_line,
    misconceptions=(
        Misconception(
            lambda logits, tokens: (logits[:, 2::2].argmax(-1) == tokens[:, 2::2]).double().mean(0),
            "You compare each answer with the logits *at* the answer. Those predict the token after it; the answer is "
            "predicted one position earlier, at the arrow.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 1::2].argmax(-1) == tokens[:, 1::2]).double().mean(0),
            "You compare the prediction with the question itself, and not with the token that follows it.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, :-1:2].argmax(-1) == tokens[:, 1::2]).double().mean(0),
            "You test how well the *questions* are predicted. They are drawn at random; the answers are in the columns 2, 4, 6 …",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 1::2].argmax(-1) == tokens[:, 2::2]).double().mean(1),
            "You took the mean over the lines of a text, which gives a number for each text. Wanted is the mean over the "
            "texts, for each line.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 1::2].argmax(-1) == tokens[:, 2::2]).double().mean(),
            "You have one number for everything. How accuracy grows with the examples can only be seen line by line.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, :-1].argmax(-1) == tokens[:, 1:]).double().mean(0),
            "You have a number for every position. Half of them belong to the random questions: keep those of the answers.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 1::2].argmax(1) == 0).double().mean(-1),
            "Your argmax runs over the positions. The tokens to choose from are in the last axis.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 1::2].argmax(-1) == tokens[:, 2::2]).double().sum(0),
            "You counted the right answers. An accuracy is their share of all texts.",
        ),
        Misconception(
            lambda logits, tokens: _accuracy_by_line(logits, tokens).squeeze(),
            "`squeeze()` without an axis takes away every axis of length 1, and so the only one where there is one line.",
        ),
        Misconception(
            lambda logits, tokens: 100 * _accuracy_by_line(logits, tokens),
            "Those are per cent. A share is a number between 0 and 1.",
        ),
        Misconception(
            lambda logits, tokens: (
                _accuracy_by_line(logits, tokens).cumsum(0) / torch.arange(1, tokens.shape[1] // 2 + 1)
            ),
            "Your number for a line is the mean over this line and all before it. Each line has an accuracy of its own.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 3::2].argmax(-1) == tokens[:, 4::2]).double().mean(0),
            "Your first line is missing: it is answered after 0 examples.",
        ),
        Misconception(
            lambda logits, tokens: logits[:, 1::2].argmax(-1) == tokens[:, 2::2],
            "You say of each answer whether it is right. The mean over the texts is still to be taken.",
        ),
        Misconception(
            lambda logits, tokens: (
                logits[:, 1::2].softmax(-1).gather(2, tokens[:, 2::2, None])[..., 0].double().mean(0)
            ),
            "You took the mean *probability* of the answers. Asked for is how often the answer is the most probable token.",
        ),
        Misconception(
            lambda logits, tokens: (logits[:, 1::2].argmin(-1) == tokens[:, 2::2]).double().mean(0),
            "You take the *least* probable token.",
        ),
    ),
    alternatives=(_looped_accuracy, _shifted_accuracy),
    hints=(
        "The question of the first line is at position 1, since position 0 holds the description. Where is its answer?",
        "Logits at position t predict the token at t + 1. A slice may have a step: which positions does each side need?",
    ),
    success="Right: one pass through one text gives the accuracy after 0, 1, 2 … examples. That is how a causal model trains "
    "on all of them at once, too.",
)


# ------------------------------------------------------------------------------------------- 8.3 scores of candidates


def _score_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, prompt, lengths in (
        ("shape", 3, (5, 6)),
        ("one token", 2, (3, 3, 3)),
        ("several tokens", 3, (7, 4, 6)),
        ("several tokens", 4, (6, 9, 5, 7)),
        ("several tokens", 1, (3, 2)),
        ("several tokens", 2, (5,)),
        ("several tokens", 3, (5, 5)),
    ):
        longest = max(lengths)
        logits = 2 * torch.randn(len(lengths), longest, 7, generator=generator) + 1
        tokens = torch.randint(7, (len(lengths), longest), generator=generator)
        tokens[:, :prompt] = tokens[0, :prompt].clone()
        yield Case(stage, (logits, tokens, prompt, torch.tensor(lengths)))


def _scores_with(
    *,
    normalise: Callable = lambda logits: logits.log_softmax(-1),
    shift: int = 1,
    begin: Callable = lambda prompt: prompt,
    end: Callable = lambda lengths, longest: lengths,
    average: bool = False,
) -> Callable:
    """Scores of candidates in loops, with one of the steps replaced."""

    def answer(logits, tokens, prompt_length, lengths):
        values = normalise(logits)
        scores = []
        for row, length in enumerate(end(lengths, tokens.shape[1]).tolist()):
            found = [values[row, t - shift, tokens[row, t]] for t in range(begin(prompt_length), length)]
            score = torch.stack(found).sum() if found else torch.tensor(0.0)
            scores.append(score / len(found) if average else score)
        return torch.stack(scores)

    return answer


def _vectorised_scores(logits, tokens, prompt_length, lengths):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    place = torch.arange(1, tokens.shape[1])
    return (scores * ((place >= prompt_length) & (place < lengths[:, None]))).sum(-1)


def _cross_entropy_scores(logits, tokens, prompt_length, lengths):
    targets = tokens[:, 1:].clone()
    for row, length in enumerate(lengths.tolist()):
        targets[row, : prompt_length - 1] = targets[row, length - 1 :] = -100
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), targets, reduction="none")
    return -loss.sum(-1)


SCORES = Exercise(
    id="8.3",
    title="Which answer does the model believe?",
    kind="implement",
    name="candidate_scores",
    minutes=20,
    stars=3,
    cases=_score_cases,
    stages=(
        Stage("shape", "one score for each candidate", 1, "a tensor (candidates,).", compare=shape_difference),
        Stage("one token", "candidates of one token", 2, "which position predicts the first token after the prompt?"),
        Stage(
            "several tokens", "longer ones, with padding", 2, "write the positions that you use beside each candidate."
        ),
    ),
    reference=_vectorised_scores,
    misconceptions=(
        Misconception(
            _scores_with(shift=0),
            "You read each token's probability at its own position. There the model predicts the token *after* it: the "
            "shift by one is missing.",
        ),
        Misconception(
            _scores_with(normalise=lambda logits: logits),
            "You add logits. They are comparable within one position only; log-probabilities are comparable across "
            "positions and candidates.",
        ),
        Misconception(
            _scores_with(normalise=lambda logits: logits.softmax(-1)),
            "You add probabilities. The probability of a text is the *product* of its tokens', so their logarithms are added.",
        ),
        Misconception(
            _scores_with(normalise=lambda logits: logits.log_softmax(1)),
            "Your softmax runs over the positions. Probabilities sum to 1 over the vocabulary, the last axis.",
        ),
        Misconception(
            _scores_with(average=True),
            "You took the mean over a candidate's tokens. That is sometimes done, and it is another question: here the "
            "probability of the whole candidate is asked for.",
        ),
        Misconception(
            _scores_with(begin=lambda prompt: 1),
            "You count the prompt's tokens, too. The score is that of the candidate, *given* the prompt.",
        ),
        Misconception(
            _scores_with(begin=lambda prompt: prompt + 1),
            "Your scores leave out the candidate's first token. It stands at position `prompt_length`, counted from 0.",
        ),
        Misconception(
            _scores_with(end=lambda lengths, longest: torch.full_like(lengths, longest)),
            "You go on into the padding: shorter candidates are charged for tokens that are not theirs.",
        ),
        Misconception(
            lambda *arguments: -_vectorised_scores(*arguments),
            "The sign is wrong: this is a loss. The most believable candidate should have the *highest* score.",
        ),
        Misconception(
            lambda *arguments: _vectorised_scores(*arguments).squeeze(),
            "`squeeze()` without an axis takes away every axis of length 1, and so the only one where there is one "
            "candidate.",
        ),
        Misconception(
            _scores_with(end=lambda lengths, longest: lengths - 1),
            "Your scores leave out the candidate's last token. It stands at position `lengths[r] - 1`, and counts.",
        ),
        Misconception(
            lambda *arguments: _vectorised_scores(*arguments).exp(),
            "You return probabilities. Asked for are their logarithms.",
        ),
        Misconception(
            lambda *arguments: _vectorised_scores(*arguments).log_softmax(0),
            "You compare the candidates with each other, so that their probabilities sum to 1. Asked for is what the model "
            "gives each of them, among all texts that there are.",
        ),
        Misconception(
            lambda *arguments: _vectorised_scores(*arguments).argmax(),
            "You return the best candidate. Asked for are the scores of all.",
        ),
        Misconception(
            lambda *arguments: _vectorised_scores(*arguments).sum(),
            "You return one number. Each candidate has a score of its own.",
        ),
        Misconception(
            lambda logits, tokens, prompt_length, lengths: (
                _vectorised_scores(logits, tokens, prompt_length, lengths) / lengths
            ),
            "You divide by the length of the text. Asked for is the logarithm of the probability itself.",
        ),
        Misconception(
            _scores_with(normalise=lambda logits: logits.log_softmax(-1) / math.log(2)),
            "Your logarithms have the base 2. Asked for is the natural one, as `log_softmax` gives it.",
        ),
    ),
    alternatives=(_scores_with(), _cross_entropy_scores),
    hints=(
        "The candidate's tokens are at the positions `prompt_length`, …, `lengths[row] - 1`.",
        "The logits at a position are about the *next* token. At which position do you learn how probable the candidate's first "
        "token is?",
    ),
    success="Right. GPT-3 was tested on multiple-choice tasks like this, with a correction: on most of them the mean per "
    "token, on a few the difference from the answer's log-probability by itself.",
)


# --------------------------------------------------------------------------------------- 8.4 repair: what is held out


def _split_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    task = torch.arange(6).repeat_interleave(4)
    yield Case("in order", (task, torch.arange(6), 0.5))
    for num_tasks, share in ((8, 0.35), (8, 0.3), (10, 0.4)):  # 2.8, 2.4 and 4 tasks
        task = torch.arange(num_tasks).repeat(3)[torch.randperm(3 * num_tasks, generator=generator)]
        yield Case("mixed", (task, torch.randperm(num_tasks, generator=generator), share))
    task = torch.arange(5).repeat_interleave(torch.tensor([1, 4, 2, 0, 3]))  # of task 3 there is no prompt
    for share in (0.4, 0.0, 1.0):
        yield Case("mixed", (task, torch.randperm(5, generator=generator), share))
    yield Case("mixed", (torch.tensor([1]), torch.tensor([1, 0]), 0.5))


def _split_with(
    *,
    choose: Callable = lambda order, share: order[: round(share * len(order))],
    mark: Callable = lambda task, held_out, share: torch.isin(task, held_out),
) -> Callable:
    """A split of prompts by their tasks, with one of its two steps replaced."""

    def answer(task, order, share):
        return mark(task, choose(order, share), share)

    return answer


def _by_row(task, held_out, share):
    test = torch.zeros(len(task), dtype=torch.bool)
    test[held_out] = True
    return test


def _first_of_each(task, held_out, share):
    test = torch.zeros(len(task), dtype=torch.bool)
    for number in held_out.tolist():
        test[(task == number).nonzero()[0]] = True
    return test


def _looped_split(task, order, share):
    held_out = set(order[: round(share * len(order))].tolist())
    return torch.tensor([number in held_out for number in task.tolist()])


def _ranked_split(task, order, share):
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return rank[task] < round(share * len(order))


REPAIR_SPLIT = Exercise(
    id="8.4",
    title="Repair: a test that leaks",
    kind="repair",
    name="repaired_split",
    minutes=15,
    stars=2,
    cases=_split_cases,
    stages=(
        Stage("in order", "tasks in order", 1, "which *tasks* do the prompts belong to that you marked?"),
        Stage("mixed", "tasks mixed", 2, "is there a task with prompts on both sides?"),
    ),
    reference=_split_with(),
    given=_split_with(mark=_by_row),
    misconceptions=(
        Misconception(
            _split_with(mark=lambda task, held_out, share: ~torch.isin(task, held_out)),
            "Test and training are exchanged: True should mark the held-out tasks.",
        ),
        Misconception(
            _split_with(mark=lambda task, held_out, share: task < len(held_out)),
            "You hold out the tasks with the lowest numbers, whatever `order` says. In real data those are the oldest, or the "
            "easiest.",
        ),
        Misconception(
            _split_with(mark=lambda task, held_out, share: torch.arange(len(task)) < round(share * len(task))),
            "You hold out the first prompts. Their tasks have other prompts in training: the leak is still there.",
        ),
        Misconception(
            _split_with(choose=lambda order, share: order[len(order) - round(share * len(order)) :]),
            "You took the end of `order`. The tasks to hold out are its first ones.",
        ),
        Misconception(
            _split_with(mark=_first_of_each),
            "You mark one prompt of each held-out task. Its other prompts stay in training, and tell everything about it.",
        ),
        Misconception(
            _split_with(mark=lambda task, held_out, share: torch.isin(torch.arange(len(task)), held_out)),
            "You mark the prompts with the numbers of the held-out tasks. Ask of each prompt to which task it belongs.",
        ),
        Misconception(
            _split_with(mark=lambda task, held_out, share: task[:, None] == held_out),
            "You have a column for each held-out task. A prompt belongs to the test if it belongs to *any* of them.",
        ),
        Misconception(
            _split_with(mark=lambda task, held_out, share: torch.isin(task, held_out).nonzero()[:, 0]),
            "You return the numbers of the prompts. Asked for is a boolean for each prompt.",
        ),
        Misconception(
            _split_with(choose=lambda order, share: order[: int(share * len(order))]),
            "You cut the number of held-out tasks down to a whole number. It is rounded.",
        ),
        Misconception(
            _split_with(choose=lambda order, share: order[:1]),
            "You hold out a single task. `share` says which part of all tasks it should be.",
        ),
    ),
    alternatives=(_looped_split, _ranked_split),
    hints=(
        "`held_out` contains numbers of tasks. What does the faulty line use them for?",
        "Two prompts of one task: can the faulty line mark both? Make a `task` in which some numbers come twice and the prompts are "
        "not in their order, and look.",
    ),
    success="Right. A model that has met a task in training may remember it, and its score then says nothing about learning.",
)


# ---------------------------------------------------------------------------------------------- 8.5 induction score


def _weights(generator: torch.Generator, batch: int, heads: int, n: int) -> Tensor:
    scores = 2 * torch.randn(batch, heads, n, n, generator=generator)
    return scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -torch.inf).softmax(-1)


def _induction_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    yield Case("shape", (_weights(generator, 2, 3, 8), 4))
    # Heads that look nearly always at one place, the perfect one among them; the rest of their weight is spread.
    n = 4 + seed % 3
    t = torch.arange(2 * n)
    clear = 0.3 * _weights(generator, 2, 6, 2 * n)
    for head, back in enumerate((n - 1, n, 1, n + 1, n - 2, 0)):
        clear[:, head, t, (t - back).clamp(min=0)] += 0.7
    yield Case("clear heads", (clear, n))
    yield Case("any heads", (_weights(generator, 2, 3, 12), 6))
    yield Case("any heads", (_weights(generator, 3, 2, 14), 7))
    yield Case("any heads", (_weights(generator, 1, 4, 6), 3))
    yield Case("any heads", (_weights(generator, 2, 1, 4), 2))


def _induction_with(
    back: Callable = lambda n: n - 1, first: Callable = lambda n: n, last: int = 0, axis: int = 0
) -> Callable:
    """The score in a loop: the mean weight from each place of the second half to one `back` places before."""

    def answer(weights, n):
        weights = weights.mT if axis else weights
        places = range(first(n), 2 * n - last)
        return torch.stack([weights[:, :, t, max(0, t - back(n))] for t in places]).mean((0, 1))

    return answer


def _reference_induction(weights, n):
    tokens = torch.arange(n).repeat(2).expand(len(weights), -1)  # all different, and then all of them again
    return induction.induction_score(weights, tokens)


def _diagonal_induction(weights, n):
    return weights.diagonal(offset=1 - n, dim1=-2, dim2=-1)[..., 1:].mean((0, 2))


INDUCTION = Exercise(
    id="8.5",
    title="Find the induction heads",
    kind="implement",
    name="induction_scores",
    minutes=20,
    stars=3,
    cases=_induction_cases,
    stages=(
        Stage(
            "shape",
            "one number for each head",
            1,
            "(heads,): the mean over sentences and positions.",
            compare=shape_difference,
        ),
        Stage(
            "clear heads",
            "heads that look at one place",
            2,
            "draw the attention of one head, and mark where it should look.",
        ),
        Stage("any heads", "heads of every kind", 2, "which positions count, and how many are there?"),
    ),
    reference=_reference_induction,
    misconceptions=(
        Misconception(
            _induction_with(back=lambda n: n),
            "You look at the earlier occurrence *itself*. An induction head looks one further, at the token that followed it.",
        ),
        Misconception(
            _induction_with(back=lambda n: n + 1),
            "You look one place *before* the earlier occurrence. What followed it is on the other side.",
        ),
        Misconception(
            _induction_with(axis=1),
            "Queries and keys are exchanged: the query, in the rows, is the later of the two positions.",
        ),
        Misconception(
            lambda weights, n: (
                torch.stack([weights[:, :, t, t - n + 1] for t in range(n, 2 * n)]).sum(0).mean(0) / (2 * n)
            ),
            "You divide by all positions. In the first half no token has occurred before, so these positions do not count.",
        ),
        Misconception(
            lambda weights, n: torch.stack([weights[:, :, t, t - n + 1] for t in range(n - 1, 2 * n)]).mean((0, 1)),
            "You begin one position too early: the last token of the first half has not occurred before.",
        ),
        Misconception(
            _induction_with(first=lambda n: n + 1),
            "You begin one position too late: the first token of the second half has occurred before, like all the others.",
        ),
        Misconception(
            _induction_with(last=1),
            "You leave out the last position. What followed *its* earlier occurrence is the first token of the second half.",
        ),
        Misconception(
            _induction_with(back=lambda n: n - 2),
            "You look one place too far to the right: what followed the earlier occurrence stands *next* to it.",
        ),
        Misconception(
            lambda weights, n: _induction_with()(weights, n).squeeze(),
            "`squeeze()` without an axis takes away every axis of length 1, and so the only one where there is one head.",
        ),
        Misconception(
            lambda weights, n: n * _induction_with()(weights, n),
            "You add up over the positions of the second half. Asked for is the mean.",
        ),
        Misconception(
            lambda weights, n: len(weights) * _induction_with()(weights, n),
            "You add up over the batch. Asked for is the mean.",
        ),
        Misconception(
            lambda weights, n: _induction_with()(weights[:1], n),
            "You look at the first sequence of the batch only.",
        ),
        Misconception(
            lambda weights, n: torch.stack([weights[:, :, t, t - n + 1] for t in range(n, 2 * n)]).mean(),
            "You have one number for all heads. It is the heads that are to be told apart: keep their axis.",
        ),
        Misconception(
            lambda weights, n: torch.stack([weights[:, :, t, t - n + 1] for t in range(n, 2 * n)]).mean(0),
            "You have a number for each sentence and head. Wanted is the mean over the sentences as well.",
        ),
        Misconception(
            lambda weights, n: torch.stack([weights[:, :, t, t - n + 1] for t in range(n, 2 * n)]).mean((1, 2)),
            "You took the mean over the heads. It is the heads that are to be told apart: keep their axis.",
        ),
        Misconception(
            _induction_with(back=lambda n: 1),
            "You measure how much a head looks at the token just before. That is the *other* head of the pair.",
        ),
    ),
    alternatives=(_induction_with(), _diagonal_induction),
    hints=(
        "Write down the positions for n = 3. Where did the token at position 4 stand before, and what came after it there?",
        "There is one weight for each t of the second half. In which column does it stand, and over which axes of all that you "
        "have collected do you take the mean?",
    ),
    success="Right. A perfect induction head has 1, one that looks everywhere evenly about 1/(1.5 n).",
)


# ------------------------------------------------------------------------------------------------- 8.6 silence a head


def _silence_cases(seed: int) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(seed)
    for stage, d_model, heads, d_head, head in (
        ("shape", 6, 2, 4, 0),
        ("one head", 12, 3, 4, 1),
        ("one head", 10, 4, 5, 2),
        ("one head", 9, 2, 3, 0),
        ("one head", 6, 3, 2, 2),  # as wide as it is long
        ("one head", 5, 4, 1, 2),
        ("one head", 3, 1, 4, 0),
    ):
        yield Case(stage, (torch.randn(d_model, heads * d_head, generator=generator) + 1, head, heads))


def _silenced_with(columns: Callable) -> Callable:
    """W^O with the columns that ``columns(width, head, num_heads)`` names set to 0."""

    def answer(weight, head, num_heads):
        weight = weight.clone()
        weight[:, columns(weight.shape[1], head, num_heads)] = 0
        return weight

    return answer


def _own_columns(width, head, num_heads):
    d_head = width // num_heads
    return slice(head * d_head, (head + 1) * d_head)


def _silenced_rows(weight, head, num_heads):
    d_head = weight.shape[1] // num_heads
    weight = weight.clone()
    weight[head * d_head : (head + 1) * d_head] = 0
    return weight


def _silenced_in_place(weight, head, num_heads):
    weight[:, _own_columns(weight.shape[1], head, num_heads)] = 0
    return weight


def _masked_silence(weight, head, num_heads):
    others = (torch.arange(num_heads) != head).repeat_interleave(weight.shape[1] // num_heads)
    return weight * others


def _unflattened_silence(weight, head, num_heads):
    parts = [torch.zeros_like(part) if h == head else part for h, part in enumerate(weight.chunk(num_heads, dim=1))]
    return torch.cat(parts, dim=1)


SILENCE = Exercise(
    id="8.6",
    title="Silence a head",
    kind="implement",
    name="silenced",
    minutes=10,
    stars=2,
    cases=_silence_cases,
    stages=(
        Stage("shape", "the same shape", 1, "(d_model, heads · d_head), as it came.", compare=shape_difference),
        Stage(
            "one head", "one head says nothing", 2, "which numbers of the concatenated heads does a column multiply?"
        ),
    ),
    reference=_silenced_with(_own_columns),
    misconceptions=(
        Misconception(
            _silenced_rows,
            "You set *rows* to 0. A row makes one number of the output, out of all heads; a head is read by columns.",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: slice(head, None, num_heads)),
            "You set every `num_heads`-th column to 0. The heads lie beside each other, each with its columns in one block.",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: _own_columns(width, head - 1, num_heads)),
            "You silenced the head before. Heads count from 0.",
        ),
        Misconception(
            lambda weight, head, num_heads: weight - _silenced_with(_own_columns)(weight, head, num_heads),
            "You kept this head and silenced all others.",
        ),
        Misconception(
            _silenced_in_place,
            "You changed the weight that you were given: the model itself has lost its head. Work on a copy.",
        ),
        Misconception(
            lambda weight, head, num_heads: (
                _silenced_with(_own_columns)(weight, head, num_heads) * num_heads / (num_heads - 1)
            ),
            "The other heads have become louder, as dropout would make them. Here they should stay as they are.",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: head),
            "You set a single column to 0. A head has as many columns as it is wide.",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: _own_columns(width, head + 1, num_heads)),
            "You silenced the head after. Heads count from 0.",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: slice(head * num_heads, (head + 1) * num_heads)),
            "Your head is `num_heads` columns wide. How many columns are there, and for how many heads?",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: slice(head * (width // num_heads), None)),
            "You silenced all heads from this one on.",
        ),
        Misconception(
            _silenced_with(lambda width, head, num_heads: slice(0, (head + 1) * (width // num_heads))),
            "You silenced all heads up to this one.",
        ),
        Misconception(
            lambda weight, head, num_heads: torch.cat(
                [part for h, part in enumerate(weight.chunk(num_heads, dim=1)) if h != head] or [weight[:, :0]], dim=1
            ),
            "You took the head's columns out. The matrix keeps its shape: they stay, and say nothing.",
        ),
    ),
    alternatives=(_masked_silence, _unflattened_silence),
    hints=(
        "`nn.Linear` computes weight @ x. Which part of x comes from head number `head`?",
        "Which columns has head 0, and where do those of head 1 begin?",
    ),
    success="Right. This is *zero* ablation; putting the head's mean output in its place is gentler, and sometimes says "
    "something else.",
)


# ----------------------------------------------------------------------------------------------------- 8.7 and 8.8


def _worth(message: str, *, code: float = 6 / 8, sort: float = 2 / 11, shuffled: float = 1 / 48) -> Misconception:
    """What is answered by somebody who makes one mistake, and what to say to it."""
    return Misconception((code, sort, shuffled), message)


WORTH = Exercise(
    id="8.7",
    title="What examples are worth",
    kind="predict",
    name="worth",
    minutes=10,
    stars=2,
    stages=(
        Stage(
            "code",
            "a code",
            1,
            "what must be the case for the answer to stand in the prompt?",
            lambda v: v[0],
            within(0.005),
        ),
        Stage(
            "sort",
            "a sorting",
            1,
            "how many other words are there, and how many of the same kind?",
            lambda v: v[1],
            within(0.005),
        ),
        Stage(
            "shuffled",
            "shuffled examples",
            1,
            "among how many made-up words does the pupil choose, and how many of them are right?",
            lambda v: v[2],
            within(0.0015),
        ),
    ),
    reference=(6 / 8, 2 / 11, 1 / 48),
    misconceptions=(
        _worth("Only eight of the twelve words can be asked in a prompt, not all of them.", code=6 / 12),
        _worth("With six words shown two are left, and 48 made-up words to guess from, not two.", code=7 / 8),
        _worth("Six of eight words were shown. What if one of the other two is asked for?", code=1.0),
        _worth("So often the answer does *not* stand in the prompt.", code=2 / 8),
        _worth(
            "Six examples are shown, of the eight words that may be asked for: where is the six in your share?",
            code=1 / 8,
        ),
        _worth("You divide by the examples. Divide by the words that may be asked for.", code=1 / 6),
        _worth("Shares are asked for, as numbers between 0 and 1.", code=75),
        _worth(
            "The word asked for is not its own example: count the *other* words, and of its kind the other ones.",
            sort=3 / 12,
        ),
        _worth(
            "Of the same kind there are two others, yes; but among how many words was the example chosen?", sort=2 / 12
        ),
        _worth("The word asked for is no example of its own kind: two *others* are left of it.", sort=3 / 11),
        _worth("Two other words are of the kind that was asked for, and either would do.", sort=1 / 11),
        _worth("Two other words are of the kind that was asked for, and the word itself is no example.", sort=1 / 12),
        _worth("So often the example is of *another* kind.", sort=9 / 11),
        _worth("That is a guess among the sixteen letters. Asked for is the kind of the example.", sort=1 / 16),
        _worth("The sort has twelve words, and its question may be any of them: there are eleven others.", sort=2 / 7),
        _worth("Shares are asked for, as numbers between 0 and 1.", sort=18.18),
        _worth(
            "You choose among the answers shown. These come from other prompts, and so from other codes: the right word is "
            "no likelier to be among them than any other.",
            shuffled=1 / 8,
        ),
        _worth(
            "You leave out the eight words that are shown. They come from other codes: one of them may well be the right "
            "one.",
            shuffled=1 / 40,
        ),
        _worth("There are twelve words to ask for; the answer is one of the *made-up* ones.", shuffled=1 / 12),
        _worth("That is the letters' number. A code has 48 made-up words.", shuffled=1 / 16),
        _worth("Wrong examples do not make every answer wrong: by chance the right word may come up.", shuffled=0.0),
        _worth(
            "Nothing is left of the relation between words and answers, and copying no longer helps.", shuffled=6 / 8
        ),
        _worth("Shares are asked for, as numbers between 0 and 1.", shuffled=2.08),
        _worth("One in how many? Asked for is the share itself.", shuffled=48),
    ),
    hints=(
        "A code can be answered only where the very word was shown.",
        "For the sorting, think of the one example as drawn from all words but the one asked for.",
    ),
    success="Right. An accuracy means something only beside the best and the blindest pupil's.",
)

_RANDOM = {
    "A": "The model has learned nothing from the examples, and a zero-shot prompt would have done as well.",
    "B": "Examples can say which task is meant; that they taught the relation of reviews to labels is not shown.",
    "C": "The experiment must be wrong: a model whose examples carry random labels cannot reach 94 % in any task.",
    "D": "In-context learning never uses the labels of its examples, only their form.",
    "E": "The model has changed its weights while it read, so that it knows the right labels in spite of the wrong ones.",
}

RANDOM_LABELS = Exercise(
    id="8.8",
    title="Random labels, right answers",
    kind="choose",
    name="random_labels",
    minutes=5,
    stars=1,
    options=_RANDOM,
    stages=(
        Stage(
            "choice", "what follows", 2, "which of the statements is tested by this experiment, and which by another?"
        ),
    ),
    reference="B",
    misconceptions=(
        Misconception(
            "A",
            "A: that was not measured. Examples with random labels still show what is asked and how to answer; without any, "
            "that is missing.",
        ),
        Misconception(
            "C",
            "C: in section 8.6 the translation stayed right with shuffled examples. What is known beforehand needs no labels.",
        ),
        Misconception(
            "D", "D: the codes of section 8.6 fell to chance when their labels were shuffled. It depends on the task."
        ),
        Misconception(
            "E", "E: there is no gradient in a prompt; the fingerprint of the weights was the same before and after."
        ),
    ),
    hints=("Section 8.6 tells two things apart that an example can do.",),
    success="B. To show learning one needs a task that cannot be known beforehand, or labels that contradict what is known.",
)


EXERCISES = (PROMPT, ACCURACY, SCORES, REPAIR_SPLIT, INDUCTION, SILENCE, WORTH, RANDOM_LABELS)

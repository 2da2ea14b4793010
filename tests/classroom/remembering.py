"""Judge many answers of one exercise at little cost: what an answer gives for a case is computed once."""

import torch

from largemodels.classroom.exercise import Exercise, Outcome, call, seed_afresh
from largemodels.classroom.report import Report


class Remembering:
    """One exercise and the cases of one seed."""

    def __init__(self, exercise: Exercise, seed: int = 0):
        self.exercise, self.cases = exercise, exercise.cases_of(seed)
        # By identities; answer and case are kept, too, since what comes after them may lie at the same place in memory.
        self._known: dict[tuple[int, int], tuple] = {}

    def outcomes(self, answer) -> list[Outcome]:
        return self._run(answer, self.cases, 60.0)[0]

    def report(self, answer) -> Report:
        return self.judge(self.outcomes(answer))

    def judge(self, outcomes: list[Outcome]) -> Report:
        return self.exercise.judge(self.cases, outcomes, run=self._run)

    def _run(self, answer, cases, seconds):
        """As `exercise.run` without its walls, for answers that do no harm: a thread for each took a fifth of the time."""
        missing = [case for case in cases if (id(answer), id(case)) not in self._known]
        if missing:
            with torch.random.fork_rng(devices=[]):
                for case in missing:
                    seed_afresh()
                    self._known[id(answer), id(case)] = call(answer, case), answer, case
        return [self._known[id(answer), id(case)][0] for case in cases], True, ""

"""What the tests of the grader share."""

import contextlib
import itertools
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from largemodels.classroom.grading import jobs
from largemodels.classroom.grading.isolating import Isolation

sys.path.insert(0, str(Path(__file__).parent))
from classes import Grader


@pytest.fixture(scope="module")
def graders():
    """Each arrangement of walls, made when it is asked for; skipped where this machine has not got it."""
    made: dict[tuple, Grader] = {}

    def get(choice: str, **limits: float) -> Grader:
        key = choice, *limits.items()
        if key not in made:
            try:
                made[key] = Grader(choice, **limits)
            except ValueError as error:
                pytest.skip(str(error))
        return made[key]

    yield get
    for grader in made.values():
        grader.isolation.__exit__()


class LongLived(Isolation):
    """Its server outlives the thread that asks for it: bubblewrap ends with the thread that has started it."""

    starter = ThreadPoolExecutor(1)

    def _popen(self, *arguments, **options):
        return self.starter.submit(super()._popen, *arguments, **options).result()


class Servers:
    """Lends one class's server to the next, if its limits and walls are the same: to start one takes a second or two."""

    def __init__(self):
        self.idle: dict[tuple, list[Isolation]] = defaultdict(list)

    @contextlib.contextmanager
    def lend(self, limits, choice, *, again=False):
        isolation = LongLived(limits, choice, again=again)
        # What is hidden counts by what it takes from the readable: elsewhere nothing is readable anyway.
        kind = replace(limits, hidden=()), isolation.choice, *isolation.readable
        with contextlib.suppress(IndexError):
            kept = self.idle[kind].pop()
            isolation.__exit__()
            isolation, isolation.again = kept, again
        yield isolation
        self.idle[kind].append(isolation)


def sharing():
    """What is graded meanwhile shares servers, as the notebooks of a class do."""
    servers = Servers()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs, "Isolation", servers.lend)
        yield
    for isolation in itertools.chain(*servers.idle.values()):
        isolation.__exit__()


shared_servers = pytest.fixture(sharing, scope="module")  # by all classes of a module
own_servers = pytest.fixture(sharing)  # by those of one test

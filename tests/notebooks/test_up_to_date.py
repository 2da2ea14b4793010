"""Every notebook in the repository is what its text source makes."""

from largemodels.classroom.exercises import exercises
from largemodels.classroom.release import COURSE, stale


def test_no_notebook_is_stale():
    """If this fails: python -m largemodels release."""
    assert stale(COURSE, exercises) == []

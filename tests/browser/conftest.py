"""A browser, and JupyterLab started as `make lab` starts it: on a copy of the course, for a user without a past."""

import shutil
from pathlib import Path

import pytest
from serving import jupyterlab, opened

COURSE = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    """A copy, so that neither answers nor progress nor layouts end up in the checkout."""
    copy = tmp_path_factory.mktemp("browser") / "course"
    ignored = shutil.ignore_patterns(".venv*", ".git", ".progress", "workspaces", ".*_cache", "__pycache__", "tests")
    shutil.copytree(COURSE, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def lab(course, home):
    """The address of a JupyterLab on the copy, in English."""
    with jupyterlab(course, home, "en") as address:
        yield address


@pytest.fixture
def page(chromium, lab):
    """A fresh page."""
    with opened(chromium, lab) as page:
        yield page

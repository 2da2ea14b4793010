"""What holds for all tests."""

import gc
import os
import shutil

# Before anything imports torch: workers of two threads each on two cores wait for each other, not for the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

os.environ["LANGUAGE"] = "en"  # the commands speak the machine's language

import pytest
from hypothesis import settings

# The same examples for everybody, however slow the machine is. To look for others: --hypothesis-profile=default.
settings.load_profile("ci")

APART = "tests/notebooks/test_outputs.py"
TOGETHER = "tests/browser"  # one JupyterLab for all


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is loaded by then lives until the end. To search it for garbage again and again took an eighth of the time."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


def pytest_collection_modifyitems(items):
    """Those that take minutes begin, quick files end: at the end one worker would wait for the other.

    A browser, JupyterLab and its kernel are three more programs whose clocks no test holds: what they show is looked at
    once more before it counts as wrong (and the report says so).
    """
    for item in items:
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.flaky(reruns=1))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(APART), item.path not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of one file run on one worker, since they share servers; those of one file, of minutes each, on any.

    (xdist's own marks for groups do nothing under pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if nodeid.startswith(TOGETHER):
                return TOGETHER
            return nodeid if nodeid.startswith(APART) else nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _the_process_is_left_as_it_was():
    """Tests share a process: one that switches something off in it spoils all that follow, far from the cause."""
    before = switches()
    yield
    after = switches()
    if after != before:
        restore(before)
        pytest.fail(f"this test left the process changed: {before} is now {after}")


def switches() -> dict:
    import torch

    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "folder": os.getcwd(),
    }


def restore(before: dict) -> None:
    import torch

    torch.set_grad_enabled(before["gradients"])
    torch.set_default_dtype(before["dtype"])
    torch.use_deterministic_algorithms(before["deterministic"])
    torch.set_num_threads(before["threads"])
    os.chdir(before["folder"])


@pytest.fixture
def one_word(monkeypatch):
    """The course speaks a language without English words; see `one_word.py`."""
    from one_word import OneWord

    from largemodels import language

    spoken = OneWord()
    monkeypatch.setattr(language, "_catalogue", lambda code: spoken)
    with language.speaking("zh"):
        yield


BROWSERS = [
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
]
# Harmless on a desktop, needed in containers: they have no sandbox, no GPU and a small /dev/shm.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@pytest.fixture(scope="module")  # not longer: a worker can drive only one at a time
def chromium():
    """The browser of this machine; tests that ask for it are skipped where there is none."""
    programs = [os.environ.get("CHROME"), *map(shutil.which, BROWSERS)]
    program = next(filter(None, programs), None)
    if not program:
        pytest.skip("no browser: install Chromium or Chrome, or set CHROME to the path of one")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()

"""What holds for all tests."""

import os
import shutil

# Before anything imports torch: two workers of two threads each on two cores wait for each other, not for the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests of one file run on one worker, since they may share a server; those that stand `apart` on any."""
    for item in items:
        if not item.get_closest_marker("apart"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


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

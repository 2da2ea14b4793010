"""What the tests of the notebooks share."""

import os
import re
import subprocess
import sys
import tempfile

import pytest

from largemodels.classroom.release import kernel_environment


@pytest.fixture
def nbval(tmp_path):
    """Run a notebook again and compare each output with the stored one: returns a report of what differs, else "".

    All is compared but pictures and the outputs of cells tagged nbval-ignore-output. Each notebook is tested by a
    pytest of its own, so that these tests are distributed and reported like all others. Without `compare` it only has
    to run.
    """

    def run(path, compare=True):
        environment = kernel_environment(tempfile.mkdtemp(dir=tmp_path))
        # With CI set pytest repeats each failure in its summary; the report should be the same everywhere.
        unwanted = {name for name in environment if name.startswith("PYTEST_") or name in ("CI", "BUILD_NUMBER")}
        environment = {name: value for name, value in environment.items() if name not in unwanted}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # of all that is installed it needs one, below
        mode = "--nbval" if compare else "--nbval-lax"
        options = [mode, "--nbval-current-env", "--nbval-cell-timeout=600", "--color=no", "--no-header", "-q"]
        apart = [
            "-p",
            "nbval.plugin",
            "-p",
            "no:cacheprovider",
            "-o",
            "addopts=",
        ]  # from the settings of the tests at large
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *apart, os.fspath(path)],
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        return "" if done.returncode == 0 else re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)

    return run

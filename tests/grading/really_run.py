"""What a notebook's checks show when it is really run: every cell from top to bottom, by IPython itself."""

import contextlib
import io
import multiprocessing
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor

from largemodels import classroom
from largemodels.classroom import exercises

# A process for each notebook, so that what its cells change (autograd's switch, warnings, torch's types) ends with it.
# Where processes can be forked, they are forked from one that has read the library already.
PROCESSES = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    PROCESSES.set_forkserver_preload(["largemodels.classroom", "IPython.core.interactiveshell"])


def source(cell: dict) -> str:
    return "".join(cell["source"])


def shown(made: dict) -> dict[str, float]:
    """The points of each exercise that is checked: of a function the best, of a value the last."""
    with ProcessPoolExecutor(1, PROCESSES) as alone:
        points = alone.submit(points_of_each_check, made).result()
    return {id: worth[-1] if exercises[id].cases is None else max(worth) for id, worth in points.items()}


def points_of_each_check(made: dict) -> dict[str, list[float]]:
    """In the order of the checks; for a process that ends afterwards."""
    from IPython.core.interactiveshell import InteractiveShell

    shell, found = InteractiveShell.instance(), defaultdict(list)
    classroom.remember = lambda exercise, report: found[exercise.id].append(report.points)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for cell in made["cells"]:
            if cell["cell_type"] == "code":
                shell.run_cell(source(cell), store_history=False)  # goes on after an error
    return dict(found)

"""The same grades from a cluster, even if one of its workers is killed."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from classes import QUICK, RIGHT, UNSCALED, body, hand_in, only, solved

from largemodels.classroom.grading.command import grade_class

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_cluster_gives_the_same_grades_though_a_worker_is_killed(tmp_path):
    folder = tmp_path / "in"
    for i in range(12):
        code = "import time\ntime.sleep(0.5)\n" + (RIGHT, UNSCALED)[i % 2].replace("scores", f"scores{i}")
        hand_in(folder, f"student{i:02}", solved(e1_2=body("os._exit(0)") if i == 5 else code))
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        first = min(info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values())
        killed = []

        def kill() -> None:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not list((tmp_path / "dask").rglob("*.json")):
                time.sleep(0.01)
            os.kill(first, signal.SIGKILL)
            killed.append(len(list((tmp_path / "dask").rglob("*.json"))))

        killer = threading.Thread(target=kill)
        killer.start()
        address = cluster.scheduler_address
        students = grade_class(folder, tmp_path / "dask", only("1.2"), limits=QUICK, dask=address)
        killer.join()
    assert 0 < killed[0] < 12  # in the middle of it
    (tmp_path / "here" / ".results").mkdir(parents=True)
    seeds = tmp_path / "dask" / ".results" / "seeds.txt"
    (tmp_path / "here" / ".results" / "seeds.txt").write_bytes(seeds.read_bytes())
    grade_class(folder, tmp_path / "here", only("1.2"), limits=QUICK)
    assert (tmp_path / "dask" / "grades.csv").read_bytes() == (tmp_path / "here" / "grades.csv").read_bytes()
    assert [student.points("1.2") for student in students].count(5) == 6

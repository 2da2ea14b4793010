"""Each wall stops what it is there to stop, in every arrangement of walls; and what is not an answer's doing is not its zero."""

import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from largemodels.classroom.grading import isolating, judging, sandbox
from largemodels.classroom.grading.isolating import Cell, Interrupted, Isolation, Job

sys.path.insert(0, str(Path(__file__).parent))
from classes import QUICK, RIGHT, Grader, body, grade, hand_in, points, solved

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the walls of Linux")]
FILTERED = "bubblewrap", "kernel", "limits"
WALLED = "bubblewrap", "kernel"


@pytest.fixture(params=FILTERED)
def filtered(request, graders):
    grader = graders(request.param)
    yield grader
    assert grader(RIGHT).points == 5  # a neighbour, after every test
    assert [path.name for path in grader.isolation.scratch.iterdir() if path.is_dir()] == []


@pytest.fixture(params=WALLED)
def walled(request, graders):
    return graders(request.param)


# -------------------------------------------------------------------------------------------------------- system calls

IDLE = "os.sched_setscheduler(PID, os.SCHED_IDLE, os.sched_param(0))"
SLOWS_DOWN = [
    "os.setpriority(os.PRIO_PROCESS, PID, 19)",
    "os.setpriority(os.PRIO_USER, PID, 19)",
    IDLE,
    "os.sched_setparam(PID, os.sched_param(0))",
    "os.sched_setaffinity(PID, {0})",
    "import resource; resource.prlimit(PID, resource.RLIMIT_NOFILE, (8, 8))",
    "import ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
    "if l.syscall(251, 1, PID, 3 << 13): raise OSError(ctypes.get_errno(), 'ioprio_set')",
]


def test_nobody_is_slowed_down(filtered):
    assert (
        not_refused(filtered, [code.replace("PID", who) for code in SLOWS_DOWN for who in ("os.getppid()", "0")]) == {}
    )


def not_refused(grader: Grader, codes: list[str]) -> dict[str, str]:
    """Each in a cell of one notebook: those that the system did not refuse, and what they gave."""
    run = grader.isolation.run(Job(tuple(Cell(i, f"import os\n{code}") for i, code in enumerate(codes)), {}))
    assert run.fate is None, (run.fate, codes[run.in_cell or 0])
    said = {cell: f"{kind}: {message}" for cell, kind, message in run.errors}
    seen = {code: said.get(i, "nothing was raised") for i, code in enumerate(codes)}
    return {code: end for code, end in seen.items() if not re.search("PermissionError|Function not implemented", end)}


REACHES_BEYOND = [
    "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "import fcntl; fcntl.fcntl(0, fcntl.F_SETSIG, 9)",
    "import fcntl; fcntl.fcntl(0, 15, b'\\1\\0\\0\\0\\1\\0\\0\\0')",  # F_SETOWN_EX
    "import fcntl; fcntl.fcntl(os.open('.', 0), fcntl.F_NOTIFY, 1)",
    "import fcntl; fcntl.fcntl(os.open('.', 0), fcntl.F_SETLEASE, 0)",
    "import fcntl; fcntl.ioctl(0, 0x8901, b'\\1\\0\\0\\0')",  # FIOSETOWN
    "import fcntl; fcntl.ioctl(0, 0x8902, b'\\1\\0\\0\\0')",  # SIOCSPGRP
    "import fcntl; fcntl.ioctl(0, 0x5452, b'\\1\\0\\0\\0')",  # FIOASYNC
    "import fcntl; fcntl.ioctl(0, 0x5412, b'x')",  # TIOCSTI
    "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)",
    "import socket; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0])",
    "import ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
    "if l.prctl(1, 0) < 0: raise OSError(ctypes.get_errno(), 'prctl')",  # PR_SET_PDEATHSIG
    "import mmap; m = mmap.mmap(-1, 4096); m.madvise(100)",  # MADV_HWPOISON
    "os.memfd_create('x')",
    "os.setsid()",
    "os.setpgid(0, os.getppid())",
    "import ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
    "if l.unshare(0x10000000): raise OSError(ctypes.get_errno(), 'unshare')",
    "os.nice(1)",
    "os.chroot('.')",
    "os.mkfifo('x')",
    "os.setuid(1)",
    "os.chmod('.', 0o777)",
    "os.utime('.')",
    "os.setxattr('.', 'user.x', b'1')",
    "import signal; signal.pidfd_send_signal(0, 9)",
]


def test_what_reaches_beyond_the_process_is_refused(filtered):
    assert not_refused(filtered, REACHES_BEYOND) == {}


def test_a_process_that_kills_itself_is_told_from_one_that_is_killed(filtered):
    for code in ("os.kill(os.getpid(), 9)", "import signal; signal.raise_signal(9)"):
        verdict = filtered(body(code))
        assert (verdict.status, verdict.points) == ("wrong", 0)
        assert "ended the whole Python process (SIGSYS)" in verdict.message


HONEST = {
    "an event loop": "import asyncio; asyncio.run(asyncio.sleep(0.01))",
    "threads": "import concurrent.futures as c; list(c.ThreadPoolExecutor(8).map(abs, range(99)))",
    "torch's threads": "torch.set_num_threads(4); torch.randn(600, 600) @ torch.randn(600, 600); torch.set_num_threads(1)",
    "autograd": "x = torch.ones(3, requires_grad=True); x.pow(2).sum().backward()",
    "files": "torch.save(torch.ones(3), 'x.pt'); torch.load('x.pt'); os.rename('x.pt', 'y'); os.remove('y')",
    "temporary files": "import tempfile\nwith tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('a')\n"
    "with tempfile.NamedTemporaryFile() as f: f.write(b'x'); f.seek(0); f.read()",
    "pictures": "import matplotlib; matplotlib.use('Agg')\nimport matplotlib.pyplot as plt\n"
    "f, a = plt.subplots(); a.imshow([[1, 2]]); a.set_title('$x^2$'); f.savefig('x.png'); f.savefig('x.pdf'); plt.close()",
    "NumPy": "import numpy as np; np.linalg.eig(np.eye(3)); np.save('x.npy', np.ones(9)); np.load('x.npy', mmap_mode='r+')",
    "IPython": "from IPython.core.inputtransformer2 import TransformerManager; TransformerManager().transform_cell('%time x')",
    "clocks": "import time, datetime; time.sleep(0.01); datetime.datetime.now().astimezone(); os.cpu_count(); os.uname()",
    "alarms": "import signal, time; signal.signal(signal.SIGALRM, lambda *_: 0); signal.setitimer(0, 0.01); time.sleep(0.02)",
    "a database": "import sqlite3; sqlite3.connect('x.db').execute('create table a (b)')",
    "progress": "from tqdm.auto import tqdm; list(tqdm(range(3)))",
    "layers": "torch.nn.Transformer(16, 2, 1, 1, 32)(torch.randn(3, 2, 16), torch.randn(3, 2, 16))",
    "linear algebra": "torch.linalg.svd(torch.randn(9, 9)); torch.fft.fft(torch.randn(8)); torch.linalg.inv(torch.eye(3))",
    "safetensors": "from safetensors.torch import save_file, load_file; save_file({'a': torch.ones(2)}, 'x'); load_file('x')",
    "chance": "import random, secrets, uuid; random.seed(); secrets.token_hex(); uuid.uuid4()",
    "garbage": "import gc, weakref\nclass A: pass\na = A(); a.a = a; left = weakref.ref(a); del a; gc.collect()\n"
    "assert gc.isenabled() and left() is None",
    "use of memory": "import resource, psutil; resource.getrusage(0); psutil.virtual_memory()",
}


@pytest.mark.parametrize("choice", FILTERED)
def test_what_honest_answers_do_is_allowed(graders, choice):
    grader = graders(choice, cell_seconds=60.0)  # drawing the first picture looks all fonts up
    cells = [Cell(i, f"import os, torch, math\n{code}") for i, code in enumerate(HONEST.values())]
    run = grader.isolation.run(grader.judge.job((*cells, Cell(len(cells), RIGHT, asks=("1.2",))), ["1.2"]))
    assert run.fate is None, (run.fate, [*HONEST][run.in_cell or 0])
    assert {[*HONEST][cell]: message for cell, _, message in run.errors} == {}
    assert grader.judge.verdict("1.2", run.results[-1]).points == 5


# ------------------------------------------------------------------------------------------------------------- threads

BOMB = """
import threading, time
threading.stack_size(32_768)
n = 0
try:
    while n < 3_000: threading.Thread(target=time.sleep, args=(25,), daemon=True).start(); n += 1
except RuntimeError: pass
raise ValueError(n)
"""


def test_threads_are_few_and_nobody_else_lacks_them(filtered):
    assert f"ValueError: {QUICK.threads - 1}" in filtered(body(BOMB)).message
    again = "import threading\nfor _ in range(500):\n    t = threading.Thread(target=int); t.start(); t.join()\nraise ValueError('all')"
    assert "ValueError: all" in filtered(body(again)).message


def test_threads_are_counted_where_the_kernel_does_not_ask(tmp_path):
    """As on an old kernel, or where somebody listens already."""
    from largemodels.classroom.grading import watching

    running = len(os.listdir("/proc/self/task"))  # those that are not Python's, too
    limits = {"files": 9, "scratch": 9, "file": 9, "threads": running + 8}
    assert watching.excess(os.getpid(), tmp_path, limits) is None
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait)
    thread.start()
    try:
        message, _ = watching.excess(os.getpid(), tmp_path, limits | {"threads": 1})
        assert "threads" in message
    finally:
        wait.set()
        thread.join()


# --------------------------------------------------------------------------------------------------------------- files

FULL = f"it wrote more than {QUICK.scratch >> 20} MB"
DISK = {
    "deleted and open": (
        "held = []\nfor i in range(100):\n    f = open('x', 'wb'); f.write(b'a' * (2 << 20)); f.flush(); os.remove('x')\n"
        "    held.append(f)\nimport time; time.sleep(60)",
        FULL,
    ),
    "deleted and mapped": (
        "import mmap; held = []\nfor i in range(20):\n    f = os.open('x', os.O_RDWR | os.O_CREAT); os.write(f, b'a' * (8 << 20))\n"
        "    held.append(mmap.mmap(f, 4096)); os.close(f); os.remove('x')\nimport time; time.sleep(60)",
        FULL,
    ),
    "in a closed folder": (
        "os.mkdir('d', 0o300)\nfor i in range(40): open(f'd/{i}', 'wb').write(b'a' * (4 << 20))\nimport time; time.sleep(60)",
        "",
    ),
    "1,200 folders": ("for _ in range(1_200): os.mkdir('d'); os.chdir('d')\nimport time; time.sleep(60)", "deep"),
    "long folders": (
        "for _ in range(300): os.mkdir('d' * 250); os.chdir('d' * 250)\nimport time; time.sleep(60)",
        "looked into",
    ),
    "many files": ("for i in range(3_000): open(str(i), 'w').close()\nimport time; time.sleep(60)", "files"),
    "links": ("for i in range(3_000): os.symlink('/', str(i))\nimport time; time.sleep(60)", "files"),
}


@pytest.mark.parametrize("what", DISK)
def test_the_disk_is_bounded_whatever_hides_a_file(filtered, what):
    code, words = DISK[what]
    begun = time.monotonic()
    verdict = filtered(body(code))
    assert verdict.points == 0
    if what != "in a closed folder" or os.geteuid():  # root looks into it
        assert words in verdict.message, verdict.message
    assert "stopped: it" in verdict.message, verdict.message
    assert time.monotonic() - begun < 60


def test_closed_and_deep_folders_are_removed(tmp_path):
    deep = tmp_path / "scratch"
    deep.mkdir()
    here = os.getcwd()
    try:
        os.chdir(deep)
        for i in range(1_500):
            os.mkdir("d" * 200, 0o700)
            os.chdir("d" * 200)
            if i % 100 == 0:
                Path("file").write_text("x")
                os.mkdir("closed", 0o000)
                os.symlink(tmp_path, "link")
    finally:
        os.chdir(here)
    (tmp_path / "stays").write_text("x")
    sandbox.remove(deep)
    assert [path.name for path in tmp_path.iterdir()] == ["stays"]


def test_nothing_is_left_in_the_temporary_folder():
    with Isolation(QUICK) as isolation:
        place = isolation.scratch
        deep = "for _ in range(1_200): os.mkdir('d'); os.chdir('d')\nos._exit(0)"
        isolation.run(Job((Cell(1, "import os\n" + deep),), {}))
        isolation.server.kill()
    assert not place.exists()
    assert Path(tempfile.gettempdir()) in place.parents


def test_what_is_readable_is_named(walled):
    """Nothing but Python, its packages, the library and fonts; of the course not even what lies beside it."""
    course = sandbox.LIBRARY.parents[1]
    for place in sandbox.readable():
        for secret in (sandbox.SECRET, course / "solutions", course / "tests", Path.home(), Path("/usr/src/app")):
            assert not secret.is_relative_to(place), (place, secret)
            assert not place.is_relative_to(secret) or secret == Path.home(), (place, secret)
    read = "def see(p):\n    try: return os.listdir(p) and True\n    except OSError: return False\n"
    code = body(
        read + f"raise ValueError([see(p) for p in {['/usr', '/usr/bin', '/usr/src', '/etc', '/', str(course)]}])"
    )
    if walled.isolation.choice == "kernel":  # bubblewrap shows empty folders where there is something below
        assert "ValueError: [False, False, False, False, False, False]" in walled(code).message


def test_a_hidden_folder_within_a_readable_one(graders):
    """As the course under /usr, or submissions beside installed packages."""
    import jupytext

    secret = Path(jupytext.__file__).parent
    read = f"import tqdm\nraise ValueError(os.listdir({str(secret)!r}))"
    for choice in WALLED:
        graders(choice)
        hiding = Grader(choice, hidden=(str(secret),))
        with hiding.isolation:
            message = hiding(body(read)).message
            assert "PermissionError" in message or "FileNotFoundError" in message, message
            assert "jupytext" in message
            assert hiding(RIGHT).points == 5


# ---------------------------------------------------------------------------------------------- what is no answer's doing


def _kill_children(server: int, after: float, times: int = 1) -> threading.Thread:
    """Send SIGKILL to the process that runs an answer, as the kernel does when memory is short."""
    import psutil

    def kill() -> None:
        seen: set[int] = set()
        deadline = time.monotonic() + 60
        while len(seen) < times and time.monotonic() < deadline:
            time.sleep(after)
            with contextlib.suppress(psutil.Error):
                leaves = [p for p in psutil.Process(server).children(recursive=True) if not p.children()]
                for process in leaves:
                    if process.pid not in seen and process.cpu_times().system + process.cpu_times().user >= 0:
                        seen.add(process.pid)
                        process.kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


SLEEPS = "import time; time.sleep(3)\n" + RIGHT


@pytest.mark.parametrize("choice", FILTERED)
def test_a_process_killed_from_outside_is_not_judged(graders, choice):
    grader = graders(choice)
    assert grader(RIGHT).points == 5
    killer = _kill_children(grader.isolation.server.pid, 0.5)
    with pytest.raises(Interrupted, match=r"killed from outside \(SIGKILL\)|killed twice"):
        grader(SLEEPS)
    killer.join()
    assert grader(RIGHT).points == 5


def test_a_process_killed_from_outside_is_tried_again(tmp_path, monkeypatch):
    tries = []
    run = Isolation.run

    def killed_once(self, job):
        tries.append(self.again)
        if len(tries) == 1:
            raise Interrupted("it was killed from outside (SIGKILL)")
        return run(self, job)

    monkeypatch.setattr(Isolation, "run", killed_once)
    hand_in(tmp_path / "in", "ada", solved(e1_2=RIGHT))
    assert points(grade(tmp_path / "in", tmp_path / "out"), "ada") == 5
    assert tries[:2] == [True, False]


@pytest.mark.usefixtures("own_servers")
@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), MemoryError(), OSError(24, "Too many open files")]
)
def test_an_exception_of_the_graders_own_is_no_zero_and_not_kept(tmp_path, monkeypatch, error):
    def broken(self, exercise, result):
        raise error

    hand_in(tmp_path / "in", "ada", solved(e1_2=RIGHT))
    with monkeypatch.context() as patched:
        patched.setattr(judging.Judge, "_report", broken)
        verdict = grade(tmp_path / "in", tmp_path / "out")["ada"]["1.2"]
        assert verdict.status == "attention"
        assert type(error).__name__ in verdict.message
        assert "needs attention" in (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8-sig")
    assert points(grade(tmp_path / "in", tmp_path / "out"), "ada") == 5


def test_a_server_that_is_killed_again_and_again_costs_nobody_a_grade(tmp_path, monkeypatch):
    start, count = Isolation._start, []

    def start_and_die(self):
        start(self)
        count.append(self.server)
        if len(count) <= 2:
            os.killpg(self.server.pid, signal.SIGKILL)

    monkeypatch.setattr(Isolation, "_start", start_and_die)
    for student in ("ada", "bob", "eve"):
        hand_in(tmp_path / "in", student, solved(e1_2=RIGHT + f"\n# {student}"))
    verdicts = grade(tmp_path / "in", tmp_path / "out")
    assert [points(verdicts, student) for student in ("ada", "bob", "eve")] == [5, 5, 5]
    assert len(count) >= 3


def test_who_only_closes_the_connection_is_stopped(graders):
    """It is waited for; the walls have no part in that, so one arrangement is enough."""
    code = "import gc, socket, time\nfor s in gc.get_objects():\n    if type(s) is socket.socket: s.close()\ntime.sleep(1_000)"
    verdict = graders("auto")(body(code))
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert "closed its connection" in verdict.message


def test_the_first_thread_may_end_before_the_others(graders):
    code = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(500,)).start()\nctypes.CDLL(None).syscall(NR, 0)"
    number = sandbox.seccomp.ALLOWED["exit"][sandbox.seccomp.ARCHITECTURES[os.uname().machine][0]]
    verdict = graders("auto")(body(code.replace("NR", str(number))))
    assert (verdict.status, verdict.points) == ("wrong", 0)


def test_waiting_for_a_processor_is_not_waiting(monkeypatch):
    """The clock that stops code which sleeps does not count the time in which others have the processors."""
    clock = isolating._times((1.0, 5.0)), isolating._times((1.0, 0.0))
    assert clock[1][1] - clock[0][1] == pytest.approx(5, abs=0.5)
    now = [0.0, 0.0]
    allowance = isolating.Allowance(1.0, 4.0, lambda: tuple(now))
    now[:] = 0.9, 3.9
    assert allowance.left() > 0
    now[:] = 0.9, 4.1
    with pytest.raises(isolating.Waited):
        allowance.left()


def test_sixteen_workers_on_few_processors_change_no_grade(tmp_path):
    work = (
        "    import time; until = time.process_time() + 0.05\n    while time.process_time() < until: pass\n    weights"
    )
    for i in range(8):
        hand_in(tmp_path / "in", f"student{i}", solved(e1_2=RIGHT.replace("    weights", work, 1) + f"\n# {i}"))
    verdicts = grade(tmp_path / "in", tmp_path / "out", workers=16)
    assert [points(verdicts, student) for student in sorted(verdicts)] == [5] * 8

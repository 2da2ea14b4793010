"""Whatever one submission does, it costs that student's marks at most: the honest ones around it keep theirs."""

import errno
import os
import platform
import socket
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from largemodels.classroom import exercises
from largemodels.classroom.grading import sandbox
from largemodels.classroom.grading.isolating import Cell, Isolation, Job, Question
from largemodels.classroom.grading.judging import grade as grade_one

sys.path.insert(0, str(Path(__file__).parent))
from classes import QUICK, RIGHT, UNSCALED, body

pytestmark = pytest.mark.slow
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the walls of Linux")
TIERS = [
    pytest.param(
        "bubblewrap", marks=pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed")
    ),
    pytest.param(
        "kernel", marks=pytest.mark.skipif(not sandbox.landlock_version(), reason="the kernel has no Landlock")
    ),
]
WALLED = sandbox.choose() in ("bubblewrap", "kernel")
walled = pytest.mark.skipif(not WALLED, reason="this machine has neither bubblewrap nor Landlock")


@pytest.fixture(scope="module")
def grader(graders):
    return graders("auto")


@pytest.fixture(scope="module", params=TIERS)
def walls(request, graders):
    return graders(request.param)


WITHOUT = "limits", "process"


@pytest.mark.parametrize("choice", WITHOUT)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("while True: pass", "stopped after"),
        ("os._exit(0)", "ended the whole Python process"),
        ("print('a' * 100_000_000); raise ValueError('here')", "ValueError: here"),
        ("torch.allclose = torch.isclose = lambda *a, **k: True", ""),
        ("return torch.zeros(3_000, 3_000), query", "9,000,000 numbers"),
        ("raise ValueError('TOKEN_OF_THE_GRADER' in os.environ)", "ValueError: False"),
        ("raise ValueError([n for n in sys.modules if 'classroom.exercises' in n])", "ValueError: []"),
    ],
)
def test_a_machine_without_walls_still_grades(graders, choice, code, words, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_THE_GRADER", "secret")
    verdict = graders(choice)(body(code))
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert words in verdict.message


@pytest.mark.parametrize("choice", WITHOUT)
def test_a_machine_without_walls_grades_right_and_wrong_answers(graders, choice):
    assert graders(choice)(RIGHT).points == 5
    assert "not scaled" in graders(choice)(UNSCALED).message


def test_the_best_walls_of_the_machine_are_chosen(monkeypatch):
    there = {"bubblewrap": True, "landlock": 6}
    monkeypatch.setattr(sandbox, "has_bubblewrap", lambda: there["bubblewrap"])
    monkeypatch.setattr(sandbox, "landlock_version", lambda: there["landlock"])
    monkeypatch.setattr(sandbox.seccomp, "supported", lambda: True)
    assert sandbox.choose() == "bubblewrap"
    there["bubblewrap"] = False
    assert sandbox.choose() == "kernel"
    with pytest.raises(ValueError, match="no sandbox 'bubblewrap' here; choose from kernel"):
        sandbox.choose("bubblewrap")
    there["landlock"] = 0
    assert sandbox.choose() == ("limits" if hasattr(os, "fork") else "process")


@pytest.fixture(autouse=True)
def honest_neighbours(request):
    """After every test the same server grades a right and a wrong answer as before."""
    yield
    for name in ("grader", "walls"):
        if name in request.fixturenames:
            neighbours = request.getfixturevalue(name)
            assert (neighbours(RIGHT).status, neighbours(RIGHT).points) == ("passed", 5)
            assert "not scaled" in neighbours(UNSCALED).message


# ------------------------------------------------------------------------------------------------- ending and hanging


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("while True: pass", "stopped after"),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", "stopped after"),
        ("import time; time.sleep(1000)", "stopped after"),
        ("os._exit(0)", "ended the whole Python process"),
        ("sys.exit()", "SystemExit"),
        ("os.kill(os.getpid(), 9)", "ended the whole Python process"),
        ("os.abort()", "ended the whole Python process"),
        ("import ctypes; ctypes.string_at(0)", "ended the whole Python process"),
        ("def f(): f()\nf()", "RecursionError"),
        ("raise KeyboardInterrupt", ""),
    ],
)
def test_answers_that_end_or_never_end(grader, code, words):
    verdict = grader(body(code))
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert words in verdict.message


@pytest.mark.parametrize("code", ["while True: pass", "import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"])
def test_cells_that_end_or_never_end(grader, code):
    verdict = grader(f"{RIGHT}\n{code}")
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert "Cell 1" in verdict.message


@linux
def test_waiting_is_not_working(grader):
    """A busy machine makes an honest answer wait: what counts is the processor time that it uses itself."""
    wait = "    import time; time.sleep(0.25)\n    weights"  # ten calls: longer than the 2.25 seconds that they have
    assert grader(RIGHT.replace("    weights", wait, 1)).points == 5
    assert grader(f"{RIGHT}\nimport time; time.sleep({QUICK.cell_seconds + 1})").points == 5


def test_many_slow_cells_are_stopped_together():
    work = "import time\nuntil = time.process_time() + 1\nwhile time.process_time() < until: pass\nattention = len"
    cells = tuple(Cell(i, work) for i in range(100))
    with Isolation(replace(QUICK, cells_seconds=2.5)) as isolation:
        run = isolation.run(Job(cells, {"1.2": Question("attention", function=True)}))
    assert 1 <= run.in_cell <= 3
    assert "stopped after" in run.fate


@linux
@pytest.mark.parametrize("choice", ["bubblewrap", "kernel", "limits"])
@pytest.mark.parametrize(
    "code",
    [
        "return torch.ones(7_500_000_000)",
        "return bytearray(30 << 30)",
        "return bytearray(3 << 30)",
        "import mmap; mmap.mmap(-1, 3 << 30)",
        "global x\nx = globals().get('x', [0])\nwhile True: x = x + x",  # what it took stays taken at the next call
    ],
)
def test_more_memory_than_two_gigabytes_is_refused(graders, choice, code):
    # With the time that a real class has: on a busy machine pages come so slowly that a short one is up before.
    verdict = graders(choice, patience=sandbox.Limits().patience)(body(code))
    assert verdict.points == 0
    assert "emory" in verdict.message
    assert graders(choice)(RIGHT).points == 5


@walled
def test_a_fork_bomb_starts_nothing(walls):
    bomb = (
        "n = 0\nfor _ in range(50):\n    try:\n        os.fork(); n += 1\n    except OSError: pass\nraise ValueError(n)"
    )
    assert "ValueError: 0" in walls(body(bomb)).message


@walled
@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.Popen(['sleep', '100'])",
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=print).start()",
        "import ctypes; assert ctypes.CDLL(None).fork() < 0; os.fork()",
        "os.execv(sys.executable, [sys.executable])",
        "os.posix_spawn(sys.executable, [sys.executable], {})",
    ],
)
def test_no_process_is_started(walls, code):
    assert "PermissionError" in walls(body(code)).message


def test_a_thread_left_running_goes_with_its_process(grader):
    code = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()\n" + RIGHT
    before = threading.active_count()
    assert grader(code).points in (0, 5)  # right if it is quick enough beside its own thread
    assert threading.active_count() == before


def test_a_hundred_megabytes_of_output(grader):
    verdict = grader(
        RIGHT.replace("    weights", "    print('a' * 10_000_000)\n    weights", 1) + "print('b' * 100_000_000)"
    )
    assert verdict.points == 5
    assert len(verdict.printed) < 5_000
    assert grader("import os\nos.write(1, b'a' * 100_000_000); os.write(2, b'a' * 1_000)\n" + RIGHT).points == 5


# ----------------------------------------------------------------------------------------------------- forging verdicts


@pytest.mark.parametrize(
    "trick",
    [
        "torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True",
        "import builtins\nbuiltins.all = builtins.any = lambda *a: True\nbuiltins.isinstance = lambda *a: True",
        "torch.Tensor.__eq__ = lambda *a: True\ntorch.Tensor.__ne__ = lambda *a: False",
        "torch.Tensor.__sub__ = lambda a, b: a",
        "import sys\nfor n in [m for m in sys.modules if m.startswith('largemodels.classroom')]: sys.modules[n] = None",
        "import largemodels.classroom.comparing as c\nc.difference = c.plain = lambda *a: None",
        "import largemodels.classroom.exercise as e\ne.Exercise.judge = lambda *a, **k: e.Report('', 5, 5, 'passed', '')",
        "import atexit, os\natexit.register(os._exit, 0)",
        "import sys\nclass Hook:\n    def find_spec(self, *a): raise SystemExit\nsys.meta_path.insert(0, Hook())",
        "import json\njson.dumps = lambda *a, **k: '{\"points\": 5}'",
        "import torch.nn.functional as F\ntorch.manual_seed = lambda s: None",
        "torch.set_default_dtype(torch.float64)",
    ],
)
def test_patched_functions_do_not_make_a_wrong_answer_right(grader, trick):
    assert grader(f"{trick}\n{UNSCALED}").points <= 3  # what the unscaled answer may be worth at best
    assert grader(f"{trick}\n{UNSCALED}").status == "wrong"


FORGED = """
class Yes(torch.Tensor):
    __eq__ = __ne__ = __lt__ = lambda *a: True
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), keywords=None):
        return True if function.__name__ != "detach" else torch.zeros(2, 3, 4)
def attention(query, key, value, mask=None):
    yes = torch.zeros(2, 3, 4).as_subclass(Yes)
    return yes, torch.zeros(2, 3, 5).as_subclass(Yes)
"""


def test_a_subclass_that_is_equal_to_everything(grader):
    assert grader(FORGED).points == 0


def test_objects_that_pretend_to_be_numbers(grader):
    pretend = "class N(float):\n    __eq__ = lambda *a: True\nvariances = (N(1), N(2), N(3))"
    assert grader(pretend, "1.4").points == 0
    assert grader("class S(str):\n    strip = upper = lambda s: 'C'\nwhy_scale = S('A')", "1.5").points == 0


def test_frames_written_by_hand(grader):
    """An answer that finds the connection can send what it likes; it does not know what would be right."""
    write = """
import gc, socket, struct, json
for s in gc.get_objects():
    if type(s) is socket.socket:
        for header in ({"check": "1.2", "is": "function", "own": True}, HEADER):
            t = json.dumps(header).encode()
            s.sendall(struct.pack("!I", len(t)) + t)
"""
    for header in (
        {"value": {"tensor": "float32", "shape": [1 << 36]}, "error": None, "attempted": True, "changed": []},
        {"value": {"tensor": "float32", "shape": [-1]}, "error": None, "attempted": True, "changed": []},
        {"value": [[]] * 30_000, "error": None, "attempted": True, "changed": []},
        {"value": {"int": "9" * 5_000}, "error": None, "attempted": True, "changed": []},
        {"value": None, "error": None, "attempted": True, "changed": [99]},
        {"points": 5, "status": "passed"},
    ):
        verdict = grader(write.replace("HEADER", repr(header)) + UNSCALED)
        assert verdict.points == 0
        assert "99999" not in verdict.message  # not even to show what it was sent
    nothing = write.replace('"is": "function"', '"is": ""').replace("HEADER", "{}") + "os._exit(0)\n"
    assert grader("import os\n" + nothing + UNSCALED).points == 0
    flood = write.replace('s.sendall(struct.pack("!I", len(t)) + t)', "s.sendall(b'\\xff' * 1000)").replace(
        "HEADER", "{}"
    )
    assert grader(flood + UNSCALED).points == 0


# ----------------------------------------------------------------------------------------------- looking for the answer


SEARCH = """
import gc, sys
def found():
    names = [n for n in sys.modules if n.startswith("largemodels.classroom.exercises")]
    frame, depth = sys._getframe(), 0
    while frame:
        names += [n for n in frame.f_locals if n in ("reference", "expected", "misconceptions", "exercise")]
        frame = frame.f_back
    names += [type(o).__name__ for o in gc.get_objects() if type(o).__name__ in ("Exercise", "Misconception", "Judge")]
    return names
def attention(query, key, value, mask=None):
    raise ValueError(found())
"""


def test_neither_stack_nor_memory_holds_the_reference(grader):
    assert "ValueError: []" in grader(SEARCH).message


@walled
@pytest.mark.parametrize(
    "path",
    [
        sandbox.SECRET,
        sandbox.SECRET / "chapter1.py",
        sandbox.SECRET / "__pycache__",
        Path(__file__),
        Path(__file__).parents[2] / "solutions" / "01-attention.ipynb",
        "/etc/passwd",
        "/proc/1/environ",
        "/proc/self/mem",
        "/proc/self/environ",
        Path(__file__).parents[2] / "README.md",
        Path.home() / ".ssh",
    ],
)
def test_files_that_no_answer_may_read(walls, path):
    verdict = walls(body(f"p = {str(path)!r}\nraise ValueError(os.listdir(p) if os.path.isdir(p) else open(p).read())"))
    assert "PermissionError" in verdict.message or "FileNotFoundError" in verdict.message


@walled
def test_the_exercises_cannot_be_imported(walls):
    message = walls(body("import largemodels.classroom.exercises.chapter1 as c; raise ValueError(c.ATTENTION)")).message
    assert "ATTENTION" not in message.split("in the line")[0]
    assert any(name in message for name in ("PermissionError", "ModuleNotFoundError", "ImportError"))


@walled
def test_the_graders_environment_is_not_there(walls, monkeypatch):
    os.environ["TOKEN_OF_THE_GRADER"] = "secret"
    try:
        with Isolation(QUICK, walls.isolation.choice) as isolation:
            cells = (Cell(1, body("raise ValueError(sorted(os.environ))"), asks=("1.2",)),)
            message = grade_one(walls.judge, isolation.run, "1.2", cells).message
    finally:
        del os.environ["TOKEN_OF_THE_GRADER"]
    assert "OMP_NUM_THREADS" in message
    assert "TOKEN_OF_THE_GRADER" not in message


@linux
@pytest.mark.parametrize("choice", ["bubblewrap", "kernel", "limits"])
def test_no_open_file_is_inherited(graders, choice):
    code = """
found = []
for i in range(4, 1_000):
    try: found.append((i, os.fstat(i)))
    except OSError: pass
raise ValueError(found, *(os.fstat(i).st_rdev == os.stat("/dev/null").st_rdev for i in range(3)))
"""
    assert "([], True, True, True)" in graders(choice)(body(code)).message


# ------------------------------------------------------------------------------------------------------ reaching others


@walled
@pytest.mark.parametrize(
    "code",
    [
        "open(TARGET, 'w').write('10 points')",
        "os.remove(TARGET)",
        "os.chmod(TARGET, 0o777)",
        "os.utime(TARGET, (0, 0))",
        "os.rename(TARGET, TARGET + 'x')",
        "os.truncate(TARGET, 0)",
        "os.symlink(TARGET, 'here'); open('here', 'a').write('x')",
        "os.link(TARGET, 'here')",
        "os.mkdir(os.path.dirname(TARGET) + '/evil')",
        "open('/dev/shm/left', 'w').write('x')",
    ],
)
def test_nothing_outside_the_scratch_directory_can_be_changed(walls, code, tmp_path):
    target = tmp_path / "grades.csv"
    target.write_text("5")
    os.utime(target, (1_000_000, 1_000_000))
    message = walls(body(code.replace("TARGET", repr(str(target))))).message
    assert any(error in message for error in ("PermissionError", "FileNotFoundError", "OSError", "NotADirectory")), (
        message
    )
    assert target.read_text() == "5"
    assert target.stat().st_mtime == 1_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["grades.csv"]


@walled
def test_the_scratch_directory_is_ones_own(walls):
    """A file may be written and read; the next process does not see it."""
    leave = "open('left', 'w').write('here'); open('../left', 'w').write('here')"
    assert "PermissionError" in walls(body(leave)).message
    assert "ValueError: []" in walls(body("raise ValueError(os.listdir('.'))")).message
    assert "here" in walls(body("open('x', 'w').write('here'); raise ValueError(open('x').read())")).message


@walled
@pytest.mark.parametrize(
    "code",
    [
        "open('big', 'wb').write(b'a' * (17 << 20))",
        "for i in range(10_000): open(str(i), 'w')\nimport time; time.sleep(9)",
        "for i in range(10_000): open(str(i), 'wb').write(b'a' * (1 << 20))",
    ],
)
def test_the_disk_cannot_be_filled(walls, code):
    message = walls(body(code)).message
    assert "File too large" in message or "it wrote more than" in message


@walled
def test_the_disk_cannot_be_filled_behind_a_flood_of_messages(walls):
    """Word of one new cell after the other gives a process time, and does not distract from what it writes."""
    code = """
import gc, json, socket, struct, time
connection = next(s for s in gc.get_objects() if type(s) is socket.socket)
text = json.dumps({"cell": 7}).encode()
for i in range(100_000):
    connection.sendall(struct.pack("!I", len(text)) + text)
    if i < 2_000 and i % 10 == 0:
        open(str(i), "wb").write(b"a" * (1 << 20))
"""
    assert "it wrote more than" in walls(code).message


@walled
@pytest.mark.parametrize(
    "kind",
    ["socket.AF_INET, socket.SOCK_STREAM", "socket.AF_INET, socket.SOCK_DGRAM", "socket.AF_UNIX", "socket.AF_INET6"],
)
def test_there_is_no_network(walls, kind):
    assert "PermissionError" in walls(body(f"import socket; socket.socket({kind})")).message


@walled
@pytest.mark.parametrize("target", ["os.getppid()", "1", "-1", "0"])
def test_others_cannot_be_signalled(walls, target):
    assert "Error" in walls(body(f"os.kill({target}, 9)")).message
    assert walls.isolation.server.poll() is None


@walled
def test_limits_cannot_be_raised_and_the_server_not_traced(walls):
    assert (
        "Error"
        in walls(body("import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); raise SystemExit")).message
    )
    trace = "import ctypes; l = ctypes.CDLL(None); raise ValueError(l.ptrace(16, os.getppid(), 0, 0))"
    assert "ValueError: -1" in walls(body(trace)).message
    assert "Error" in walls(body("open(f'/proc/{os.getppid()}/mem', 'r+b')")).message


@walled
def test_every_system_call_that_is_not_on_the_list_is_refused(walls):
    """Asked for directly, past what Python would check first: whatever is not on the list, the numbers of calls that
    there are not yet among them."""
    column = sandbox.seccomp.ARCHITECTURES[platform.machine()][0]
    named = [numbers[column] for numbers in sandbox.seccomp.ALLOWED.values()]
    named += [numbers[column] for numbers, _ in sandbox.seccomp.ALLOWED_WITH.values()]
    named += [numbers[column] for numbers, _ in sandbox.seccomp.SIGNALS.values()]
    # 335 and 336 are for probes of the kernel's own, and end a process that calls them, before any filter.
    others = sorted({*range(600)} - {*named, sandbox.seccomp.PRLIMIT[column], 335, 336})
    assert len(others) > 400
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
got = dict()
for number in {others}:
    ctypes.set_errno(0)
    result = libc.syscall(number, *[ctypes.c_long(0)] * 6)
    got[number] = (result, ctypes.get_errno())
raise ValueError([(number, *seen) for number, seen in got.items() if seen not in ((-1, {errno.EPERM}), (-1, {errno.ENOSYS}))])
"""
    assert "ValueError: []" in walls(body(code)).message


@walled
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one table of system calls")
def test_the_second_table_of_system_calls_is_closed(walls):
    assert "SIGSYS" in walls(body("import ctypes; ctypes.CDLL(None).syscall(0x40000000 | 39)")).message


@linux
@pytest.mark.parametrize("choice", ["bubblewrap", "kernel", "limits"])
def test_few_files_can_be_open(graders, choice):
    code = "found = [open(os.devnull) for _ in range(200)]"
    assert "Too many open files" in graders(choice)(body(code)).message


@linux
def test_walls_that_cannot_be_built_are_nobodys_fault(monkeypatch):
    good = Isolation._config
    broken = {"limits": asdict(QUICK) | {"nonsense": 1}}
    monkeypatch.setattr(Isolation, "_config", lambda self, **place: good(self, **place) | broken)
    with Isolation(QUICK) as isolation, pytest.raises(RuntimeError, match="before the first cell"):
        isolation.run(Job((Cell(1, RIGHT),), {}))


def test_each_wall_is_there_that_is_reported(grader):
    verdict = grader(RIGHT)
    expected = {"bubblewrap": 4, "kernel": 3, "limits": 1, "process": 0}[grader.isolation.choice]
    assert len(verdict.walls) == expected


# ------------------------------------------------------------------------------------------------------- strange values


@pytest.mark.parametrize(
    "value",
    [
        "torch.zeros(1).expand(10**12)",
        "torch.zeros(3_000, 3_000)",
        "torch.zeros(2, 3, 5).to_sparse()",
        "torch.zeros(2, 3, 5, device='meta')",
        "torch.quantize_per_tensor(torch.zeros(2, 3, 5), 0.1, 0, torch.qint8)",
        "torch.full((2, 3, 5), float('nan'))",
        "torch.zeros(2, 3, 5, dtype=torch.complex64)",
        "torch.zeros(2, 3, 5, dtype=torch.bool)",
        "torch.zeros(2, 3, 5, dtype=torch.float8_e4m3fn)",
        "torch.zeros((2, 3, 5) + (1,) * 30)",
        "'a' * 10_000_000",
        "10 ** 4000",
        "object()",
        "lambda: 1",
        "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]",
        "{i: i for i in range(100_000)}",
        "float('nan')",
        "(x for x in range(3))",
    ],
)
def test_strange_values_are_wrong_and_harm_nobody(grader, value):
    verdict = grader(f"def attention(query, key, value, mask=None):\n    return {value}, {value}")
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert len(verdict.message) > 20


@pytest.mark.parametrize(
    "clothes", ["value.requires_grad_()", "value.double()", "value.mT.contiguous().mT", "value.numpy()"]
)
def test_right_numbers_in_other_clothes_are_right(grader, clothes):
    code = RIGHT.replace(
        "return weights @ value, weights", "value = weights @ value\n    return " + clothes + ", weights"
    )
    assert grader(code).points == 5


# ---------------------------------------------------------------------------------------- answers that know the grader


def test_an_answer_for_the_visible_cases_only(grader):
    visible = exercises["1.2"].cases_of(0)
    known = [float(case.arguments[0][0, 0, 0]) for case in visible]
    code = f"{RIGHT}\nright = attention\ndef attention(query, key, value, mask=None):\n"
    code += f"    seen = any(abs(query[0, 0, 0].item() - k) < 1e-6 for k in {known})\n"
    code += "    return right(query, key, value, mask) if seen else (value[:, :3] * 0, torch.zeros(2, 3, 5))"
    hidden = "(value[:, :3] * 0, torch.zeros(2, 3, 5))"
    telling = "(_ for _ in ()).throw(ValueError(query))"  # a message that would show a hidden case
    for verdict in (grader(code), grader(code.replace(hidden, telling))):
        assert verdict.points == 0
        assert "right on the cases that the notebook checks" in verdict.message
        assert "tensor" not in verdict.message


@pytest.mark.parametrize("rule", ["n[0] <= 3", "n[0] > 1", "n[0] <= 9"])
def test_answers_that_count_their_calls(grader, rule):
    code = f"{RIGHT}\nright, n = attention, [0]\ndef attention(query, key, value, mask=None):\n    n[0] += 1\n"
    code += f"    return right(query, key, value, mask) if {rule} else (value[:, :3] * 0, torch.zeros(2, 3, 5))"
    assert grader(code).status == "wrong"


READY_MADE = [
    "return torch.nn.functional.scaled_dot_product_attention(query, key, value, mask), query",
    "from torch.nn.functional import scaled_dot_product_attention as f; return f(query, key, value, mask), query",
    "from largemodels.attention import scaled_dot_product_attention as f; return f(query, key, value, mask, return_weights=True)",
    "import largemodels.attention as a\n"
    "try: return a.scaled_dot_product_attention(query, key, value, mask, return_weights=True)\nexcept BaseException: pass",
    "return getattr(torch._C._nn, 'scaled_dot_product_' + 'attention')(query, key, value, mask), query",
]


@pytest.mark.parametrize("code", READY_MADE)
def test_the_ready_made_answer_is_told(grader, code):
    verdict = grader(body(code))
    assert verdict.points == 0
    assert "which is what this exercise asks you to write" in verdict.message


def test_the_ready_made_answer_by_another_name_is_told(grader):
    code = "from largemodels.attention import scaled_dot_product_attention as attention"
    assert "asks you to write" in grader(code).message
    code = "import functools, largemodels.attention as a\nattention = functools.partial(a.scaled_dot_product_attention, return_weights=True)"
    assert "asks you to write" in grader(code).message


def test_the_notebook_says_the_same_of_ready_made_answers(tmp_path, monkeypatch):
    from largemodels.classroom import check

    monkeypatch.setenv("LARGEMODELS_PROGRESS", str(tmp_path))
    namespace: dict = {"__name__": "__main__"}
    for code in READY_MADE[:3]:
        exec(body(code), namespace)
        assert "which is what this exercise asks you to write" in check(namespace["attention"], "1.2").message
    exec("from largemodels.attention import scaled_dot_product_attention as attention", namespace)
    report = check(namespace["attention"], "1.2")
    assert (report.status, report.points) == ("wrong", 0)
    assert torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 2, 2)] * 3).shape == (1, 2, 2)


@pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="needs fork")
def test_a_server_that_is_killed_is_started_again(grader):
    assert grader(RIGHT).points == 5
    grader.isolation.server.kill()
    grader.isolation.server.wait()
    assert grader(RIGHT).points == 5

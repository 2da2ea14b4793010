"""What a process that runs students' code may do, enforced by the operating system.

Four kinds of wall, as many as the platform has:

*limits*      memory, size of a file, open files (``setrlimit``; Linux and, but for memory, macOS);
*seccomp*     no processes, sockets, signals to others … (`seccomp`; Linux);
*Landlock*    reading only what Python needs, writing only in a scratch directory (Linux 5.13 and newer);
*bubblewrap*  a file system, a network and process numbers of its own, where ``bwrap`` is installed (Linux).

Everywhere, Windows included, a process of its own, without the grader's environment, is stopped when its time is up.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import seccomp

LIBRARY = Path(__file__).parents[2]  # …/largemodels
SECRET = LIBRARY / "classroom" / "exercises"  # references, misconceptions, cases
Choice = Literal["auto", "bubblewrap", "kernel", "limits", "process"]


@dataclass(frozen=True)
class Limits:
    """What one exercise of one student may use."""

    memory: int = 2 << 30  # bytes, on top of Python and torch
    file: int = 16 << 20  # bytes of one file
    scratch: int = 64 << 20  # bytes of all files in the scratch directory
    files: int = 1_000  # in the scratch directory
    open_files: int = 128
    # Seconds of processor time, which do not run faster on a busy machine; `idle` times as many by the clock.
    cell_seconds: float = 10.0  # for running one cell
    cells_seconds: float = 60.0  # for running all cells that an answer needs
    patience: float = 2.0  # times the seconds that an exercise gives in the notebook, for all calls
    idle: float = 4.0


# ----------------------------------------------------------------------------------------------- what the platform has


@functools.cache
def has_bubblewrap() -> bool:
    """Whether ``bwrap`` is installed and works here; in some containers it may not make namespaces."""
    if not shutil.which("bwrap"):
        return False
    try:
        test = [*bubblewrap(Path("/nonexistent")), sys.executable, "-I", "-c", ""]
        return subprocess.run(test, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def landlock_version() -> int:
    """0 where the kernel has no Landlock."""
    if not sys.platform.startswith("linux"):
        return 0
    with suppress(AttributeError):
        return max(0, _libc().syscall(444, None, ctypes.c_size_t(0), 1))
    return 0


def choose(choice: Choice = "auto") -> Choice:
    """The strongest arrangement of walls that this machine has, or the one asked for.

    Raises:
        ValueError: it is not available here.
    """
    available = {
        "bubblewrap": has_bubblewrap(),
        "kernel": landlock_version() > 0 and seccomp.supported(),
        "limits": hasattr(os, "fork"),
        "process": True,
    }
    if choice == "auto":
        return next(name for name, there in available.items() if there)  # type: ignore[return-value]
    if not available.get(choice):
        raise ValueError(
            f"no sandbox {choice!r} here; choose from {', '.join(n for n, there in available.items() if there)}"
        )
    return choice


def environment(scratch: Path) -> dict[str, str]:
    """A few harmless variables; none of the grader's."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    here = str(scratch)
    return kept | one_thread | {"HOME": here, "TMPDIR": here, "TEMP": here, "MPLCONFIGDIR": here, "PATH": os.defpath}


def readable() -> list[Path]:
    """What Python, torch and the library are made of, without the exercises' declarations."""
    roots = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *packages())}
    roots |= {Path(place) for place in ("/usr", "/lib", "/lib64", "/bin") if os.path.exists(place)}
    roots = {root for root in roots if not any(parent in roots for parent in root.parents)}
    return sorted(roots if any(LIBRARY.is_relative_to(root) for root in roots) else {*roots, LIBRARY})


def packages() -> list[str]:
    """Where installed packages lie; the current folder, which Python also searches, is not among them."""
    return [place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]


def bubblewrap(scratch: Path) -> list[str]:
    """The command line that runs what follows it in bubblewrap."""
    command = (
        "bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL --clearenv --dev /dev --proc /proc".split()
    )
    for name, value in environment(scratch).items():
        command += ["--setenv", name, value]
    for place in readable():
        kind = ["--symlink", os.readlink(place)] if place.is_symlink() else ["--ro-bind", str(place)]
        command += [*kind, str(place)]
    command += ["--tmpfs", str(SECRET)]
    if scratch.is_dir():
        command += ["--bind", str(scratch), str(scratch)]
    return command


# ------------------------------------------------------------------------------------- inside, before any answer runs


def enclose(limits: dict, scratch: str, places: Iterable[str], choice: Choice) -> list[str]:
    """Close this process in for good, and say with which walls. `limits` are `Limits` as a dictionary."""
    walls = ["bubblewrap"] if choice == "bubblewrap" else []
    if hasattr(os, "fork") and choice != "process":  # first, since it reads /proc
        set_limits(Limits(**limits), alone=choice == "limits")
        walls.append("limits")
    if choice in ("bubblewrap", "kernel") and landlock_version():
        landlock([*places, "/dev/zero", "/dev/urandom"], [scratch, "/dev/null"])
        walls.append("Landlock")
    if choice in ("bubblewrap", "kernel") and seccomp.supported():
        seccomp.install()
        walls.append("seccomp")
    return walls


def set_limits(limits: Limits, *, alone: bool) -> None:
    """`alone`: no filter of system calls forbids new processes, so their number has to be limited."""
    import resource

    wanted = {"CORE": 0, "FSIZE": limits.file, "NOFILE": limits.open_files}
    if alone:
        wanted["NPROC"] = 0
    if sys.platform.startswith("linux"):  # macOS does not enforce this limit
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted["AS"] = pages * resource.getpagesize() + limits.memory
    for name, value in wanted.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


# Rights of Landlock (include/uapi/linux/landlock.h)
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, DEVICE_CONTROL = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL


def landlock(reading: Iterable[str], writing: Iterable[str]) -> None:
    """From here on only `reading` can be read, only `writing` written, no port connected or bound, for good.

    Raises:
        OSError: the kernel refused.
    """
    version = landlock_version()
    rights = (1 << 13) - 1
    rights |= sum(bit for bit, since in ((1 << 13, 2), (TRUNCATE, 3), (DEVICE_CONTROL, 5)) if version >= since)
    network = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0  # abstract sockets and signals
    attributes = (ctypes.c_uint64 * 3)(rights, network, scopes)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _system_call(444, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    allowed = [(place, EXECUTE | READ_FILE | READ_DIR) for place in reading] + [(place, rights) for place in writing]
    for place, allow in allowed:
        with suppress(FileNotFoundError):
            opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
            allow &= rights if os.path.isdir(place) else rights & OF_FILES
            rule = (ctypes.c_uint8 * 12).from_buffer_copy(
                allow.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder, signed=True)
            )
            _system_call(445, rules, 1, ctypes.byref(rule), 0)
            os.close(opened)
    no_new_privileges = 38
    _libc().prctl(no_new_privileges, 1, 0, 0, 0)
    _system_call(446, rules, 0)
    os.close(rules)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _system_call(number: int, *arguments) -> int:
    result = _libc().syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


def without(places: Iterable[Path], hidden: Path) -> list[Path]:
    """`places`, with each folder that holds `hidden` replaced by what else it holds: Landlock can only allow."""
    shown: list[Path] = []
    for place in places:
        if place == hidden:
            continue
        if hidden.is_relative_to(place):
            shown += without(sorted(place.iterdir()), hidden)
        else:
            shown.append(place)
    return shown

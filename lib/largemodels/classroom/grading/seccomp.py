"""The wall between a process and the kernel: a filter of system calls (Linux on x86-64 and ARM64).

It names what may be done; everything else is refused, whatever kernels will learn. The list was made by following what
Python, torch, NumPy, matplotlib, IPython and Transformers call while they compute, train, draw, save, load and wait
(``strace -f``), without what reaches beyond the process: starting processes and programs, sockets, signals to others,
priorities and processors, permissions, owners, mounts, limits. A call that can do both is allowed with some arguments.

The filter is a small program for the kernel's packet-filter machine (``man 2 seccomp``) and holds for good. It is made by
hand, and not with libseccomp, so that it stands on every Linux machine: pyseccomp only binds a library of the system.
"""

import ctypes
import errno
import os
import platform
import signal
import struct

# name: (number on x86-64, number on ARM64); None where the architecture has no such call
ALLOWED = {
    # files
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "open": (2, None),
    "openat": (257, 56),
    "close": (3, 57),
    "close_range": (436, 436),
    "lseek": (8, 62),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "flock": (73, 32),
    "fadvise64": (221, 223),
    "copy_file_range": (326, 285),
    "sendfile": (40, 71),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "umask": (95, 166),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd2": (290, 19),
    # memory
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "brk": (12, 214),
    "msync": (26, 227),
    "mincore": (27, 232),
    "mbind": (237, 235),
    "get_mempolicy": (239, 236),
    "membarrier": (324, 283),
    # itself
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getgroups": (115, 158),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "times": (100, 153),
    "getcpu": (309, 168),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getpriority": (140, 141),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "futex": (202, 98),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "arch_prctl": (158, None),
    "restart_syscall": (219, 128),
    "wait4": (61, 260),
    "waitid": (247, 95),
    # signals and time
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "pause": (34, None),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    # the connection to the grader, and pairs of one's own
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
}
# Allowed if each of these arguments has one of these values: name: (numbers, {argument: values})
ALLOWED_WITH = {
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, locks (also of open files), F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS;
    # not F_SETOWN, by which the kernel sends signals to others
    "fcntl": ((72, 25), {1: (*range(8), 36, 37, 38, 1030, 1032, 1034)}),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; not FIOSETOWN
    "ioctl": ((16, 29), {1: (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)}),
    "madvise": ((28, 233), {2: (*range(5), *range(8, 26))}),  # root can poison memory with others
    "prctl": ((157, 167), {0: (15, 16, 0x53564D41)}),  # the name of a thread, the name of some memory
    # AF_UNIX, SOCK_STREAM: event loops wake themselves up by a pair; one of datagrams could be sent to others
    "socketpair": ((53, 199), {0: (1,), 1: (1, 0x801, 0x80001, 0x80801)}),
}
SIGNALS = {"kill": ((62, 129), 1), "tgkill": ((234, 131), 2)}  # numbers, and which argument the signal is
CLONE, CLONE3 = (56, 220), (435, 435)
PRLIMIT = (302, 261)  # reading a limit is fine, setting one is not
NEWEST = 424  # from here on all architectures share their numbers, and C libraries know what to do without a call
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
CLONE_THREAD = 0x10000
CLONE_MORE = 0x7E02F000  # a namespace, a file for it, another parent, traced or suspended ones

LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # the machine's instructions
ALLOW, ASK, KILL, REFUSE = 0x7FFF0000, 0x7FC00000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE = 0, 4  # where a call's data lie
Code = list[tuple[int, int, int, int]]  # (instruction, jump if true, jump if false, constant)


def supported() -> bool:
    return platform.system() == "Linux" and platform.machine() in ARCHITECTURES


def _argument(index: int) -> int:
    """The lower half of a call's argument; both architectures are little-endian."""
    return 16 + 8 * index


def _beginning() -> Code:
    """Load the number of a call of this architecture."""
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, ARCHITECTURES[platform.machine()][1]),
        (RETURN, 0, 0, KILL),  # calls of another architecture have other numbers
        (LOAD, 0, 0, NUMBER),
        (JUMP_ABOVE, 0, 1, 0x40000000),  # x86-64 has a second table of numbers there
        (RETURN, 0, 0, KILL),
    ]


def _for_call(number: int | None, code: Code) -> Code:
    """`code`, which ends in a decision, for one call."""
    return [] if number is None else [(JUMP_EQUAL, 0, len(code), number), *code]


def _one_of(argument: int, values: tuple[int, ...]) -> Code:
    """Go on if an argument has one of these values; else refuse."""
    last = len(values)
    tests = [(JUMP_EQUAL, last - i, 0, value) for i, value in enumerate(values)]
    return [(LOAD, 0, 0, _argument(argument)), *tests, (RETURN, 0, 0, REFUSE | errno.EPERM)]


def program() -> Code:
    """The filter for this process."""
    column = ARCHITECTURES[platform.machine()][0]
    allow, refuse = (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE | errno.EPERM)
    code = _beginning()
    for numbers in ALLOWED.values():
        code += _for_call(numbers[column], [allow])
    for numbers, arguments in ALLOWED_WITH.values():
        tests = [step for argument, values in arguments.items() for step in _one_of(argument, values)]
        code += _for_call(numbers[column], [*tests, allow])
    for numbers, number_of_signal in SIGNALS.values():  # to itself; and a SIGKILL comes from outside, always
        which = [(LOAD, 0, 0, _argument(number_of_signal)), (JUMP_EQUAL, 0, 1, signal.SIGKILL), (RETURN, 0, 0, KILL)]
        code += _for_call(numbers[column], [*_one_of(0, (os.getpid(),)), *which, allow])
    thread = [(LOAD, 0, 0, _argument(0)), (JUMP_BITS, 2, 0, CLONE_MORE), (JUMP_BITS, 0, 1, CLONE_THREAD), allow, refuse]
    code += _for_call(CLONE[column], thread)
    address = [*_one_of(2, (0,)), (LOAD, 0, 0, _argument(2) + 4), (JUMP_EQUAL, 0, 1, 0), allow, refuse]
    code += _for_call(PRLIMIT[column], address)  # of the new limits: both halves 0, or there are some
    return [*code, (LOAD, 0, 0, NUMBER), (JUMP_ABOVE, 0, 1, NEWEST), (RETURN, 0, 0, REFUSE | errno.ENOSYS), refuse]


def asking() -> Code:
    """A filter that asks whoever listens (`Threads`) before a thread is started, and allows all else."""
    column = ARCHITECTURES[platform.machine()][0]
    ask = _for_call(CLONE[column], [(RETURN, 0, 0, ASK)])
    return [
        *_beginning(),
        *ask,
        *_for_call(CLONE3[column], [(RETURN, 0, 0, REFUSE | errno.ENOSYS)]),
        (RETURN, 0, 0, ALLOW),
    ]


def install(code: Code, *, listen: bool = False) -> int:
    """Put a filter round this process and all its threads, for good; with `listen`, return the file that is asked.

    Raises:
        OSError: the kernel has no such filters.
    """
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in code))
    described = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_filter, new_listener = 38, 1, 1 << 3
    seccomp = (317, 277)[ARCHITECTURES[platform.machine()][0]]
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    result = libc.syscall(seccomp, set_filter, new_listener if listen else 0, described)
    if result < 0:
        raise OSError(ctypes.get_errno(), "no filter of system calls")
    return result


class Threads:
    """Answers a process that asks, through the file that `install` gave, whether it may start one more thread."""

    RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1  # linux/seccomp.h

    def __init__(self, listener: int, process: int, most: int):
        self.listener, self.process, self.most = listener, process, most

    def answer(self) -> None:
        """Answer one question, if it still stands."""
        import fcntl  # not everywhere

        question = bytearray(80)
        try:
            fcntl.ioctl(self.listener, self.RECEIVE, question, True)
            (id,) = struct.unpack_from("Q", question)
            allowed = number_of_threads(self.process) < self.most
            answer = (id, 0, 0, self.CONTINUE) if allowed else (id, 0, -errno.EAGAIN, 0)
            fcntl.ioctl(self.listener, self.SEND, bytearray(struct.pack("QqiI", *answer)), True)
        except OSError:  # the process, or the thread that asked, is gone
            pass


def number_of_threads(process: int) -> int:
    with open(f"/proc/{process}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[17])

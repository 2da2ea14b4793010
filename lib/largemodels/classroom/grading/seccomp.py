"""The wall between a process and the kernel: a filter of system calls (Linux on x86-64 and ARM64).

What an answer has no honest use for is refused with EPERM: sockets, starting processes and programs, signals to
others, looking into others' memory, changing owners, permissions and time stamps, mounting, raising its own limits.
The filter is a small program for the kernel's packet-filter machine (``man 2 seccomp``) and holds for good.
"""

import ctypes
import errno
import os
import platform
import struct

# name: (number on x86-64, number on ARM64); None where the architecture has no such call
REFUSED = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setrlimit": (160, 164),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),  # it would open sockets past this filter
    "memfd_create": (319, 279),  # memory that no limit counts
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "userfaultfd": (323, 282),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "personality": (135, 92),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setgroups": (116, 159),
    "kcmp": (312, 272),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}
SIGNALS = {"kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130)}  # allowed to the process itself
CLONE, CLONE3 = (56, 220), (435, 435)
PRLIMIT = (302, 261)  # reading a limit is fine, setting one is not
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
CLONE_THREAD = 0x10000

LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # the machine's instructions
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE = 0, 4  # where a call's data lie


def _argument(index: int) -> int:
    """The lower half of a call's argument; both architectures are little-endian."""
    return 16 + 8 * index


def supported() -> bool:
    return platform.system() == "Linux" and platform.machine() in ARCHITECTURES


def program() -> bytes:
    """The filter for this process: (code, jump if true, jump if false, constant) in 8 bytes each."""
    column, architecture = ARCHITECTURES[platform.machine()]
    eperm, enosys = REFUSE | errno.EPERM, REFUSE | errno.ENOSYS
    code = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),  # calls of another architecture have other numbers
        (LOAD, 0, 0, NUMBER),
        (JUMP_ABOVE, 0, 1, 0x40000000),  # x86-64 has a second table of numbers there
        (RETURN, 0, 0, KILL),
    ]
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            code += [(JUMP_EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, eperm)]
    code += [(JUMP_EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, enosys)]  # the C library then uses clone
    code += [
        (JUMP_EQUAL, 0, 4, CLONE[column]),
        (LOAD, 0, 0, _argument(0)),
        (JUMP_BITS, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, ALLOW),  # threads are counted by a limit
        (RETURN, 0, 0, eperm),
    ]
    for numbers in SIGNALS.values():
        code += [
            (JUMP_EQUAL, 0, 4, numbers[column]),
            (LOAD, 0, 0, _argument(0)),
            (JUMP_EQUAL, 0, 1, os.getpid()),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, eperm),
        ]
    code += [
        (JUMP_EQUAL, 0, 6, PRLIMIT[column]),
        (LOAD, 0, 0, _argument(2)),
        (JUMP_EQUAL, 0, 3, 0),
        (LOAD, 0, 0, _argument(2) + 4),  # the address of the new limits: both halves 0, or there are some
        (JUMP_EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, eperm),
    ]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def install() -> None:
    """Put the filter round this process and all its threads, for good.

    Raises:
        OSError: the kernel has no such filters.
    """
    filters = ctypes.create_string_buffer(program())
    described = struct.pack("HxxxxxxQ", (len(filters) - 1) // 8, ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, described, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")

"""The limits that a script's process is held to by the kernel, for the rest of its life.

None of them needs any rights: they can only be given away, and none of them comes back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# Instructions and answers of the kernel's packet filter, see seccomp(2).
_LOAD = 0x20
_IF_EQUAL = 0x15
_IF_AT_LEAST = 0x35
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | 1
"""EPERM: a refused call is an error in the script and does not end the process."""

_NUMBER_AT = 0
_MACHINE_AT = 4
_X32 = 0x40000000
"""Numbers from here on are the calls of x86's other ABI."""

# What computing needs, once everything is loaded and every file is open: memory, time, and the two
# pipes. In order: read, write, mmap, mprotect, munmap, brk, rt_sigprocmask, rt_sigreturn, mremap,
# madvise, nanosleep, setitimer, getpid, exit, sigaltstack, gettid, futex, sched_yield,
# gettimeofday, getrusage, clock_gettime, clock_getres, clock_nanosleep, exit_group, getrandom,
# restart_syscall.
_X86_64 = (
    0, 1, 9, 10, 11, 12, 14, 15, 25, 28, 35, 38, 39, 60, 131, 186, 202, 24, 96, 98, 228, 229, 230,
    231, 318, 219,
)  # fmt: skip
_AARCH64 = (
    63, 64, 222, 226, 215, 214, 135, 139, 216, 233, 101, 103, 172, 93, 132, 178, 98, 124, 169, 165,
    113, 114, 115, 94, 278, 128,
)  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
"""The kernel's name for the machine, and the numbers of the calls there."""


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("first", ctypes.POINTER(_Instruction)))


_libc = ctypes.CDLL(None, use_errno=True)


def enter(memory_bytes: int) -> None:
    """Give away whatever a script needs not.

    Args:
        memory_bytes: address space on top of what is in use now.
    """
    with contextlib.suppress(OSError):
        # When the machine runs out of memory, this process is the one to go.
        Path("/proc/self/oom_score_adj").write_text("1000")
    _lower(resource.RLIMIT_AS, _address_space() + memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NPROC, 0)
    # No file, no socket, no pipe can be opened any more; those that are open stay.
    _lower(resource.RLIMIT_NOFILE, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _refuse_calls()


def end_with_parent() -> None:
    """End this process when the one ends that made it."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def end_after(limit_ms: int) -> None:
    """End this process when so much time has passed; 0 = not any more."""
    signal.setitimer(signal.ITIMER_REAL, limit_ms / 1000)


def _lower(limit: int, value: int) -> None:
    """Lower a limit for good; where that is forbidden, the other limits and the daemon remain."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(limit, (value, value))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _refuse_calls() -> None:
    """Have the kernel refuse all calls that computing does not need, on machines that we know."""
    known = _MACHINES.get(os.uname().machine)
    if known is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return
    machine, wanted = known
    steps = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_IF_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, len(wanted), 0, _X32),
        *((_IF_EQUAL, len(wanted) - place, 0, call) for place, call in enumerate(wanted)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(_Program(len(steps), program)))

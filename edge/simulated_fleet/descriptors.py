"""How many files may be open: enough for the connections that are wanted, or a word on what to raise.

No connection is made here.
"""

from __future__ import annotations

import resource

A_CONNECTION = 3
"""A socket, and the pair of sockets that its client wakes itself with."""
_BESIDES = 200
"""Python's own, the log, requests to the control plane, and some to spare."""


class TooFewDescriptors(Exception):
    """The system does not allow so many open files. Raise the limit, or ask for fewer sessions."""


def make_room(sessions: int) -> int:
    """Raise the soft limit as far as that many connections need it; returns what it is then.

    Raises:
        TooFewDescriptors: the hard limit is below that.
    """
    needed = sessions * A_CONNECTION + _BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return soft
    if hard != resource.RLIM_INFINITY and hard < needed:
        fit = max(0, (hard - _BESIDES) // A_CONNECTION)
        raise TooFewDescriptors(
            f"{sessions} sessions need {needed} open files, and the hard limit is {hard}: "
            f"raise it (`ulimit -Hn {needed}` as root, or LimitNOFILE= of the systemd unit), "
            f"or ask for --sessions {fit}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return needed

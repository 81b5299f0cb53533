"""Room for open files."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from edge.simulated_fleet.descriptors import TooFewDescriptors, make_room

TRY = """
import resource
from edge.simulated_fleet.descriptors import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4_000))
print(make_room(1_000), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_as_far_as_is_needed() -> None:
    """In a process of its own, so that this one keeps its limit."""
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, check=True)

    assert "3200 (3200, 4000)\n" == done.stdout


def test_a_hard_limit_is_named_with_what_fits_below_it() -> None:
    """And with what to type to raise it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("there is no limit here")
    with pytest.raises(TooFewDescriptors, match=rf"hard limit is {hard}.*ulimit -Hn.*--sessions"):
        make_room(hard)

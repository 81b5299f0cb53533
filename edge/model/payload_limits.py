"""How large payloads may be: from where on they lie in files, and what nobody may exceed.

Nothing is measured here.
"""

from __future__ import annotations

from typing import NamedTuple

KB = 1024


class PayloadLimits(NamedTuple):
    """Bytes of payloads as JSON, with Conductor's defaults."""

    task_file: int = 3_072 * KB
    """A task's input or output that is larger lies in a file."""
    task_most: int = 10_240 * KB
    """A task's input or output that is larger fails the task for good."""
    workflow_file: int = 5_120 * KB
    """A workflow's input or output that is larger lies in a file."""
    workflow_most: int = 10_240 * KB
    """A workflow's input or output that is larger fails the workflow."""
    variables_most: int = 256 * KB
    """All variables of an execution together."""

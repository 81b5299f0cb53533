"""The evaluators that tests share: the real ones, whose processes are started once for all of them.

A test about the evaluators themselves makes its own.
"""

from __future__ import annotations

import atexit

from edge.scripts import Evaluators

EVALUATORS = Evaluators()
atexit.register(EVALUATORS.close)

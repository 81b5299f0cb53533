"""Prints a file of pinned requirements without one of its packages.

Nothing is installed or resolved here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def without(package: str, text: str) -> str:
    """The text without the entry of a package; an entry goes on while its lines are indented."""
    return re.sub(rf"^{re.escape(package)}==.*\n(?:[ \t].*\n)*", "", text, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(without(sys.argv[1], Path(sys.argv[2]).read_text()))

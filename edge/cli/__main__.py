"""Makes ``python -m edge.cli`` the same as ``baton``.

Nothing else stands here.
"""

from edge.cli import main

main(prog_name="baton")

"""The device's own web pages: files only, handed out by the daemon under ``/``.

No Python logic stands here; what both faces share is in `sync.web`.
"""

from pathlib import Path

CONSOLE_FOLDER = Path(__file__).parent
"""Give this to `sync.web.pages.Pages`."""

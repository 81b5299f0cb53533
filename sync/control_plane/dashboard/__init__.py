"""The fleet's web pages: files only, handed out by the control plane under ``/``.

No Python logic stands here; what both faces share is in `sync.web`.
"""

from pathlib import Path

DASHBOARD_FOLDER = Path(__file__).parent
"""Give this to `sync.web.pages.Pages`."""

"""The tree as the tidiness tests see it: which files belong to the project, and their syntax.

No rule stands here.
"""

from __future__ import annotations

import ast
import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("edge", "sync", "devices", "workflows")
"""What is installed on a device."""

_UNTRACKED_FOLDERS = frozenset(
    {
        ".bench-peers",
        ".git",
        ".hypothesis",
        ".import_linter_cache",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".venv",
        "__pycache__",
        "dist",
    }
)
"""Left out where git cannot be asked, for example in an unpacked source distribution."""


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file of the project: what git tracks, or would if it were added."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        names = sorted(set(listing.stdout.decode().split("\0")) - {""})
        return tuple(ROOT / name for name in names if (ROOT / name).is_file())
    found: list[Path] = []
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in _UNTRACKED_FOLDERS]
        found += [Path(folder, name) for name in names]
    return tuple(sorted(found))


def shown(path: Path) -> str:
    """A path as people write it."""
    return path.relative_to(ROOT).as_posix()


@functools.cache
def text_of(path: Path) -> str | None:
    """The text of a file; None for pictures, models and the like."""
    content = path.read_bytes()
    if b"\0" in content[:8192]:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


@functools.cache
def python_files(*roots: str) -> tuple[Path, ...]:
    """Python files below folders of the project; all of them when none is named."""
    return tuple(
        path
        for path in files()
        if path.suffix == ".py" and (not roots or shown(path).split("/")[0] in roots)
    )


@functools.cache
def syntax_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    """``edge.store.outbox`` for the path of that module; a package's own name for its __init__."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


@functools.cache
def modules() -> dict[str, Path]:
    """The installed modules by name."""
    return {module_name(path): path for path in python_files(*PACKAGES)}


def imports_of(path: Path) -> set[str]:
    """Names that a file imports, anywhere in it: modules, and what is taken from them."""
    found: set[str] = set()
    for node in ast.walk(syntax_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def report(findings: list[str], rule: str) -> str:
    """What a failing test says: the rule, then a line for each place."""
    return "\n".join([rule, *(f"  {finding}" for finding in findings)])

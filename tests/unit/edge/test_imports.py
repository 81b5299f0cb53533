"""Libraries without some of their parts, each tried in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from edge import imports


def told(code: str) -> str:
    """What a program prints in a fresh process."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=True
    )
    return ended.stdout.strip()


def test_what_is_hidden_is_missing_only_inside() -> None:
    """A library that is hidden cannot be imported; afterwards it can."""
    code = (
        "from edge import imports\n"
        "with imports.without('click'):\n"
        "    try:\n"
        "        import click\n"
        "    except ImportError:\n"
        "        print('missing')\n"
        "import click\n"
        "print(click.__name__)\n"
    )

    assert "missing\nclick" == told(code)


def test_what_is_loaded_is_not_hidden() -> None:
    """Whoever has it keeps it."""
    with imports.without("sys"):
        import sys as again

    assert sys is again


def test_a_bare_package_gives_its_modules_and_stays_usable() -> None:
    """The server comes without its command line; what is imported of it later works."""
    code = (
        "import sys, edge.sockets\n"
        "import uvicorn, uvicorn.lifespan.off\n"
        "print('uvicorn.main' in sys.modules, uvicorn.Config.__module__)\n"
        "import uvicorn.main\n"
        "print(uvicorn.main.run.__name__)\n"
    )

    assert "False uvicorn.config\nrun" == told(code)


def test_a_package_that_is_loaded_already_is_taken() -> None:
    """It stays whole."""
    code = (
        "import uvicorn\n"
        "run = uvicorn.run\n"
        "import edge.sockets, uvicorn\n"
        "print(uvicorn.run is run)\n"
    )

    assert "True" == told(code)


def test_a_bare_package_that_does_not_load_is_forgotten() -> None:
    """Nothing half loaded stays behind."""
    code = (
        "import sys\n"
        "from edge import imports\n"
        "try:\n"
        "    with imports.bare('uvicorn'):\n"
        "        raise ValueError\n"
        "except ValueError:\n"
        "    print('uvicorn' in sys.modules)\n"
        "try:\n"
        "    with imports.bare('no_such_package'):\n"
        "        pass\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)\n"
    )

    assert "False\nno_such_package" == told(code)


def test_the_version_is_that_of_the_installation() -> None:
    """Read from the folder's name, it is what the standard library reads from its inside."""
    assert version("baton") == imports.installed("baton")
    assert "0+unknown" == imports.installed("nosuchthing")

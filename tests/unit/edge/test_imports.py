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


def test_a_late_module_runs_when_it_is_used() -> None:
    """Importing it, and asking whether it is there, does not run it; using it does, once."""
    code = (
        "import sys\n"
        "from edge import imports\n"
        "imports.lazily('http.client', 'calendar')\n"
        "import http.client, calendar\n"
        "print('email.parser' in sys.modules, hasattr(calendar, '__nothing__'))\n"
        "print(http.client.HTTPException.__name__, 'email.parser' in sys.modules)\n"
        "print(type(http.client).__name__, type(calendar).__name__)\n"
        "from calendar import monthrange\n"
        "print(monthrange(2024, 2)[1], type(calendar).__name__)\n"
    )

    assert "False False\nHTTPException True\nmodule _Late\n29 module" == told(code)


def test_a_late_module_that_fails_fails_again() -> None:
    """Each use tells why, and a name that it has not is told as of any module."""
    code = (
        "import sys, pathlib, tempfile\n"
        "from edge import imports\n"
        "folder = pathlib.Path(tempfile.mkdtemp())\n"
        "(folder / 'broken.py').write_text('raise ValueError(1)')\n"
        "(folder / 'empty.py').write_text('')\n"
        "sys.path.insert(0, str(folder))\n"
        "imports.lazily('broken', 'empty', 'sys', 'no_such_module')\n"
        "import broken, empty\n"
        "for module in (broken, broken, empty):\n"
        "    try:\n"
        "        module.value\n"
        "    except (ValueError, AttributeError) as error:\n"
        "        print(type(error).__name__)\n"
        "print('no_such_module' in sys.modules)\n"
    )

    assert "ValueError\nValueError\nAttributeError\nFalse" == told(code)


def test_a_late_module_and_many_threads() -> None:
    """Whoever comes while it runs waits until it is whole."""
    code = (
        "import threading\n"
        "from edge import imports\n"
        "imports.lazily('http.client')\n"
        "import http.client\n"
        "found = []\n"
        "def use():\n"
        "    found.append(http.client.responses[404] + http.client.HTTPSConnection.__name__)\n"
        "threads = [threading.Thread(target=use) for _ in range(20)]\n"
        "[one.start() for one in threads]\n"
        "[one.join() for one in threads]\n"
        "print(set(found), len(found))\n"
    )

    assert "{'Not FoundHTTPSConnection'} 20" == told(code)

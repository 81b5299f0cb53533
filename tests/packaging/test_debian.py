"""Wheel and Debian package hold what a device needs, where it looks for it, and nothing else."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.tidiness.tree import PACKAGES, ROOT, files, shown

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this very tree."""
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == built.returncode, f"{built.stdout}{built.stderr}\nRun make setup if it is missing."
    return folder


@pytest.fixture(scope="module")
def package(dist: Path) -> Path:
    """The Debian package, without the libraries that it would bring."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    made = subprocess.run(
        [ROOT / "packaging" / "debian" / "build.sh", dist, "--without-dependencies"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable},
    )
    assert 0 == made.returncode, made.stdout + made.stderr
    (found,) = dist.glob("*.deb")
    return found


@pytest.fixture(scope="module")
def entries(package: Path) -> Iterator[dict[str, tarfile.TarInfo]]:
    """What the package puts into the file system."""
    archive = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        yield {member.name.removeprefix("./"): member for member in tar}


def test_wheel_holds_the_packages_whole(dist: Path) -> None:
    """Schemas, pages, definitions and the model are in the wheel beside the code."""
    (wheel,) = dist.glob("*.whl")
    wanted = {shown(path) for path in files() if shown(path).split("/")[0] in PACKAGES}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert set() == wanted - held
    assert set() == {name for name in held if name.split("/")[0] not in PACKAGES}


def test_package_has_its_layout(entries: dict[str, tarfile.TarInfo]) -> None:
    """Program, units, users, folders, examples and pages are where Debian looks for them."""
    wanted = {
        "opt/baton/bin/baton",
        "opt/baton/bin/python3",
        "opt/baton/pyvenv.cfg",
        "usr/bin/baton",
        "usr/lib/systemd/system/baton.service",
        "usr/lib/systemd/system/baton-cloud.service",
        "usr/lib/sysusers.d/baton.conf",
        "usr/lib/tmpfiles.d/baton.conf",
        "etc/baton/baton.toml",
        "etc/baton/devices.toml",
        "etc/baton/cloud.toml",
        "opt/baton/share/doc/baton/index.md",
    }

    assert set() == wanted - set(entries)


def test_package_belongs_to_root_and_others_write_nothing(
    entries: dict[str, tarfile.TarInfo],
) -> None:
    """The daemon cannot change its own program, and what names secrets is not for everybody."""
    assert {"root"} == {entry.uname for entry in entries.values()}
    loose = [
        name
        for name, entry in entries.items()
        if not entry.issym() and entry.mode & (stat.S_IWGRP | stat.S_IWOTH)
    ]
    assert [] == loose
    assert {0o640} == {
        entry.mode
        for name, entry in entries.items()
        if name.startswith("etc/baton/") and entry.isfile()
    }


def test_environment_is_at_home_under_opt(package: Path, tmp_path: Path) -> None:
    """Nothing in the package names the folder that it was put together in."""
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    home = tmp_path / "opt" / "baton"

    assert "#!/opt/baton/bin/python3" == (home / "bin/baton").read_text().splitlines()[0]
    assert str((home / "bin/python3").readlink()).startswith("/usr/bin/python3.")
    assert "home = /usr/bin" in (home / "pyvenv.cfg").read_text()
    strangers = [
        path.relative_to(tmp_path).as_posix()
        for path in home.rglob("*")
        if path.is_file() and not path.is_symlink() and b"/tmp/deb." in path.read_bytes()
    ]
    assert [] == strangers


def test_package_is_precompiled(entries: dict[str, tarfile.TarInfo]) -> None:
    """The daemon cannot write beside its program, so a cold start must find it compiled."""
    sources = [name for name in entries if name.endswith("/edge/engine.py")]
    compiled = [name for name in entries if "/edge/__pycache__/engine." in name]

    assert 1 == len(sources)
    assert 1 == len(compiled)


def test_package_names_what_it_needs(package: Path) -> None:
    """It depends on the interpreter it was compiled for; edited configuration survives updates."""

    def field(name: str) -> str:
        command = ["dpkg-deb", "--field", str(package), name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def control(name: str) -> str:
        command = ["dpkg-deb", "--info", str(package), name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    series, following = sys.version_info.minor, sys.version_info.minor + 1
    interpreter = f"python3 (>= 3.{series}), python3 (<< 3.{following})"
    assert f"{interpreter}, libstdc++6, zlib1g" == field("Depends")
    assert "baton" == field("Package")
    examples = sorted((ROOT / "packaging" / "config").glob("*.toml"))
    assert [f"/etc/baton/{one.name}" for one in examples] == control("conffiles").split()
    for script in ("postinst", "prerm", "postrm"):
        assert control(script).startswith("#!/bin/sh\nset -e\n")

# SPDX-License-Identifier: MIT
"""The fixtures of the packaging tier: packages made once, and roots to install them in.

For the edit-test loop: WGTOOLS_PACKAGES=DIR keeps the bare system and the packages in DIR and
takes what it finds there, however old.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.roots import Root, fresh_root, make_base, why_not

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if HERE in item.path.parents and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("WGTOOLS_PACKAGES", "")
    return Path(kept) if kept else tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="session")
def base(place: Path) -> Path:
    found = place / "base"
    return found if found.exists() else make_base(found)


@pytest.fixture
def root(base: Path) -> Iterator[Root]:
    with fresh_root(base) as made:
        yield made


@pytest.fixture
def booted(base: Path) -> Iterator[Root]:
    with fresh_root(base, boot=True) as made:
        yield made


def build(kind: str, out: Path) -> Path:
    """What packaging/build makes; for the Python of the roots, which is the system's."""
    if out.exists():
        return out
    out.mkdir()
    done = subprocess.run(
        [ROOT / "packaging/build", kind, out],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable, "HOME": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return out


@pytest.fixture(scope="session")
def deb(place: Path) -> Path:
    return build("deb", place / "deb")


@pytest.fixture(scope="session")
def rpm(place: Path) -> Path:
    return build("rpm", place / "rpm")


@pytest.fixture(scope="session")
def pyz(place: Path) -> Path:
    return build("pyz", place / "pyz") / "wgtools.pyz"


@pytest.fixture(scope="session")
def source(place: Path) -> Path:
    (made,) = build("source", place / "source").iterdir()
    return made


@pytest.fixture(scope="session")
def sdist_and_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-c", "import sys; from hatchling.build import *; "
             "build_sdist(sys.argv[1]); build_wheel(sys.argv[1])", str(out)]  # fmt: skip
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def wheels(sdist_and_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip itself, all that is needed to build us, and to run us under the system's Python."""
    out = tmp_path_factory.mktemp("wheels")
    subprocess.run(["/usr/bin/python3", "-m", "venv", out / "venv"], check=True)
    (wheel,) = sdist_and_wheel.glob("*.whl")
    words = ["-m", "pip", "download", "-q", "--disable-pip-version-check", "--dest", str(out)]
    words += ["--only-binary", ":all:", "pip", "hatchling>=1.27", str(wheel)]
    subprocess.run([out / "venv/bin/python", *words], check=True)
    for sdist in sdist_and_wheel.glob("*.tar.gz"):
        shutil.copy(sdist, out)
    return out


@pytest.fixture(scope="session")
def inits(place: Path) -> Path:
    """OpenRC and runit, with what they need beyond a bare system; for roots only."""
    out = place / "inits"
    if not out.exists():
        out.mkdir()
        words = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root"]
        words += ["openrc", "insserv", "libeinfo1", "librc1"]
        words += ["runit", "runit-helper", "sysuser-helper"]
        subprocess.run(words, cwd=out, check=True, capture_output=True)
    return out

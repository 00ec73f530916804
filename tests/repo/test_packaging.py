# SPDX-License-Identifier: MIT
"""The wheel holds both import packages and its commands run from a clean environment."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--wheel-dir", out, ROOT),
    )
    (made,) = out.glob("wgtools-*.whl")
    return made


def test_wheel_holds_every_module(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        *(str(path.relative_to(ROOT)) for path in ROOT.glob("wgtools/**/*.py")),
        *(str(path.relative_to(ROOT / "backends")) for path in ROOT.glob("backends/**/*.py")),
        "wgtools/py.typed",
        "wgtools_backends/py.typed",
    }
    assert sources - names == set()
    assert not any(name.startswith("tests/") for name in names)


def test_installed_commands_make_keys(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "clean", symlinks=True, with_pip=False)
    python = tmp_path / "clean/bin/python"
    # The dependencies come from this environment: what is tested is the wheel itself.
    where = "import sysconfig; print(sysconfig.get_path('purelib'), end='')"
    site, ours = run(python, "-c", where).decode(), run(sys.executable, "-c", where).decode()
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"),
        *("--disable-pip-version-check", "--no-index", wheel),
    )
    Path(site, "dependencies.pth").write_text(ours)
    private = run(tmp_path / "clean/bin/wg", "genkey")
    public = run(tmp_path / "clean/bin/wg", "pubkey", stdin=private)
    assert len(public) == 45
    assert b"wgtools" in run(python, "-c", "import wgtools; print(wgtools.__file__)")


def test_make_install_honours_destdir_and_prefix(tmp_path: Path) -> None:
    run(
        *("make", "-C", ROOT, "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/wg"),
        f"PYTHON={sys.executable}",
    )
    assert {path.name for path in (tmp_path / "opt/wg/bin").iterdir()} >= {
        "wg",
        "wg-quick",
        "wgtools-engine",
    }

# SPDX-License-Identifier: MIT
"""The wheel holds both import packages and its commands run from a clean environment."""

import os
import runpy
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from wgtools.quick import engines

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


SHARED = {
    "share/man/man8": "man",
    "share/bash-completion/completions": "completions/bash",
    "share/zsh/site-functions": "completions/zsh",
    "share/fish/vendor_completions.d": "completions/fish",
}


def test_wheel_holds_manual_pages_and_completions(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    found = {name for name in archive.namelist() if ".data/" in name}
    for place, source in SHARED.items():
        for path in (ROOT / source).iterdir():
            (name,) = (name for name in found if name.endswith(f".data/data/{place}/{path.name}"))
            assert archive.read(name) == path.read_bytes()
            found.remove(name)
    assert found == set()


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


def make(*words: str) -> None:
    run("make", "-s", "-C", ROOT, *words, f"PYTHON={sys.executable}")


def test_make_install_honours_destdir_and_prefix(tmp_path: Path) -> None:
    elsewhere = "ZSHDIR=/usr/share/zsh/vendor-completions"
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/wg", elsewhere)
    assert {path.name for path in (tmp_path / "opt/wg/bin").iterdir()} == {
        "wg",
        "wg-quick",
        "wgtools-engine",
    }
    share = tmp_path / "opt/wg/share"
    assert {path.name for path in (share / "man/man8").iterdir()} == {
        "wg.8",
        "wg-quick.8",
        "wgtools-engine.8",
    }
    # Where it was told to, and there alone; pip's list knows of what pip left.
    assert (tmp_path / "usr/share/zsh/vendor-completions/_wg").exists()
    assert not (share / "zsh/site-functions/_wg").exists()
    (record,) = tmp_path.glob("opt/wg/lib/*/*/wgtools-*.dist-info/RECORD")
    assert "/share/" not in record.read_text()
    # And all of it goes again; what others put beside it stays.
    (share / "man/man8/other.8").touch()
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/wg", elsewhere)
    left = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert left == [share / "man/man8/other.8"]
    assert not list(tmp_path.rglob("wgtools*"))


def test_make_install_by_a_python_that_is_too_old_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install = runpy.run_path(str(ROOT / "packaging/install"))["main"]
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer; .* is 3\.10\n\nhint: "):
        install(str(tmp_path), "/usr")
    assert list(tmp_path.iterdir()) == []


INTRUDER = "import sys\nsys.stderr.write('a user came in')\n"


def test_installed_commands_load_nothing_of_the_users(tmp_path: Path) -> None:
    prefix = tmp_path / "opt wg"  # no Python looks there
    make("install", f"PREFIX={prefix}")
    (tmp_path / "sitecustomize.py").write_text(INTRUDER)
    (tmp_path / "wgtools.py").write_text(INTRUDER)
    for command in ("wg", "wg-quick", "wgtools-engine"):
        done = subprocess.run(
            [prefix / "bin" / command, "--help"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "sage: " in done.stdout + done.stderr
        assert "a user came in" not in done.stderr
    # The one that was installed, though this environment has another.
    (where,) = prefix.glob("lib/*/site-packages/wgtools/__init__.py")
    with where.open("a") as file:
        file.write("__version__ = 'of PREFIX'\n")
    assert b"wgtoolsof PREFIX" in run(prefix / "bin/wg", "--version")


SUDO = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
FIRST = """\
import os, sys
from wgtools.cli.wg_quick import main
os.getuid = lambda: 1
sys.argv[0] = sys.argv[1]
del sys.argv[1]
main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="what sudo runs asks again whether it is root")
@pytest.mark.parametrize("kind", ["installed", "checkout"])
def test_what_sudo_runs_loads_nothing_of_the_users(tmp_path: Path, kind: str) -> None:
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    (tmp_path / "sitecustomize.py").write_text("open('here', 'a').write('x')\n")
    # The second knows nothing of this environment: PYTHONPATH alone tells it where we are.
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
    script = Path(sys.executable).parent / "wg-quick"
    done = subprocess.run(
        [sys.executable if kind == "installed" else base, "-c", FIRST, script, "up", "nosuch9"],
        capture_output=True,
        text=True,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}:{tmp_path}",
        },
        cwd=tmp_path,
        check=False,
    )
    assert "wg-quick: `/etc/wireguard/nosuch9.conf' does not exist" in done.stderr
    assert (tmp_path / "here").read_text() == "x"  # the first process; not the second


def test_the_engine_is_started_isolated() -> None:
    argv, shown = engines.userspace_command({})
    assert argv[1] == "-I"
    done = subprocess.run([*argv, "--help"], capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, shown) == (0, "wgtools-engine")
    assert "sage: wgtools-engine" in done.stdout + done.stderr

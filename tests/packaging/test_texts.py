# SPDX-License-Identifier: MIT
"""Units, scripts and recipes, as far as their own tools can tell."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

import wgtools

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = PACKAGING / "systemd"
EXPOSURE = 2.0  # at most


def run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_engine_is_hardly_exposed() -> None:
    unit = UNITS / "wgtools-engine@.service"
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"exposure level for .*: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= EXPOSURE, told


def test_units_are_in_order(tmp_path: Path) -> None:
    """In a root where the commands they name are; systemd's own units are the machine's."""
    for directory in ("usr/bin", "etc/systemd/system", "lib/systemd"):
        (tmp_path / directory).mkdir(parents=True)
    shutil.copytree("/lib/systemd/system", tmp_path / "lib/systemd/system", symlinks=True)
    for command in ("wg-quick", "wgtools-engine"):
        (tmp_path / "usr/bin" / command).write_text("#!/bin/sh\n")
        (tmp_path / "usr/bin" / command).chmod(0o755)
    for unit in UNITS.iterdir():
        shutil.copy(unit, tmp_path / "etc/systemd/system")
    names = "wgtools-engine@wg0.service", "wg-quick@wg0.service", "wg-quick.target"
    told = run("systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *names)
    ours = [line for line in told.splitlines() if "wg" in line]
    assert ours == []


def test_unit_of_wg_quick_keeps_its_contract() -> None:
    """What people's drop-ins and `systemctl` habits rely on."""
    text = (UNITS / "wg-quick@.service").read_text()
    for line in (
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStart=/usr/bin/wg-quick up %i",
        "ExecStop=/usr/bin/wg-quick down %i",
        "ExecReload=/usr/bin/wg-quick reload %i",
        "Environment=WG_ENDPOINT_RESOLUTION_RETRIES=infinity",
        "PartOf=wg-quick.target",
        "After=network-online.target nss-lookup.target",
    ):
        assert f"\n{line}\n" in text
    assert re.search(r"^WantedBy=.*\bmulti-user\.target\b", text, re.MULTILINE)


SCRIPTS = [
    *PACKAGING.glob("runit/**/run"),
    *PACKAGING.glob("runit/*/finish"),
    *PACKAGING.glob("runit/*/check"),
    *PACKAGING.glob("openrc/*"),
    PACKAGING / "build",
    PACKAGING / "debian/tests/tunnel",
]


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(PACKAGING))) for p in SCRIPTS]
)
def test_shell_scripts(path: Path) -> None:
    run("sh", "-n", path)
    # OpenRC sets and reads variables of its own: unused and unassigned are not mistakes there.
    words = ["-s", "sh", "-e", "SC2034,SC2154"] if path.parent.name == "openrc" else []
    run("shellcheck", *words, path)
    assert path.stat().st_mode & 0o111


def test_pkgbuild() -> None:
    path = PACKAGING / "arch/PKGBUILD"
    run("bash", "-n", path)
    # makepkg sets and reads its variables, and stops at what fails.
    run("shellcheck", "-s", "bash", "-e", "SC2034,SC2154,SC2164", path)
    told = run("bash", "-ec", f'. "{path}"; echo "$pkgver ${{pkgname[*]}}"; declare -F')
    assert told.startswith(f"{wgtools.__version__} wgtools wgtools-compat\n")
    assert {"build", "package_wgtools", "package_wgtools-compat"} <= set(told.split())


def test_recipes_ask_for_what_the_project_needs() -> None:
    project = tomllib.loads((PACKAGING.parent / "pyproject.toml").read_text())["project"]
    needed = [
        text.partition(";")[0] for text in project["dependencies"] if "!= 'linux'" not in text
    ]
    assert len(needed) >= 5
    for text in needed:
        name, _, least = text.strip().partition(">=")
        assert f"python3-{name} (>= {least})" in (PACKAGING / "debian/rules").read_text()
        assert f"python3-{name} >= {least}\n" in (PACKAGING / "rpm/wgtools.spec").read_text()
        assert f"'python-{name}>={least}'" in (PACKAGING / "arch/PKGBUILD").read_text()


def test_one_version_everywhere() -> None:
    version = wgtools.__version__
    assert f"wgtools ({version}-1)" in (PACKAGING / "debian/changelog").read_text().splitlines()[0]
    assert f"upstream {version}}}" in (PACKAGING / "rpm/wgtools.spec").read_text()


def test_packages_hold_what_git_tracks_and_nothing_else(tmp_path: Path) -> None:
    """Not the configuration with its key that somebody left in the checkout."""
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    for name in ("packaging/build", "wgtools/__init__.py"):
        path = checkout / name
        path.parent.mkdir(parents=True)
        shutil.copy(ROOT / name, path)
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", checkout, *words], check=True)
    (checkout / "wg0.conf").write_text("[Interface]\nPrivateKey = hush\n")
    build: list[str | Path] = [checkout / "packaging/build", "source", out]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "packaging/build: left out, as git does not track it: wg0.conf\n"
    (made,) = out.iterdir()
    with tarfile.open(made) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"packaging/build", "wgtools/__init__.py"} == {n for n in files if "." in n or "/" in n}

    # Where git will not tell, everything is not what is meant.
    shutil.rmtree(checkout / ".git")
    (checkout / ".git").touch()
    made.unlink()
    assert subprocess.run(build, capture_output=True, check=False).returncode != 0
    assert list(out.iterdir()) == []

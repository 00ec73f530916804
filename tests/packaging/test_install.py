# SPDX-License-Identifier: MIT
"""Each package installed in a bare root, and used there as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT
from tests.packaging.roots import Root
from tests.packaging.walk import COMPLETIONS, PAGES, holds_pages_and_completions, walk

ALIEN = "import sys\nsys.stderr.write('a user came in')\n"


def debs(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.glob("*.deb")) if "dbgsym" not in path.name]


# ------------------------------------------------------------------ Debian


def test_debian_source_package_is_clean(deb: Path) -> None:
    (changes,) = deb.glob("*.changes")
    assert list(deb.glob("*.dsc"))
    assert list(deb.glob("*.orig.tar.gz"))
    words = ["lintian", "--allow-root", "--fail-on", "error", str(changes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_debian_packages(deb: Path, root: Root) -> None:
    main, compat = sorted(debs(deb), key=lambda path: "compat" in path.name)
    root.copy(main, compat)
    root.run(f"dpkg -i /var/tmp/{main.name}")
    assert root.call("command -v wg").returncode != 0
    walk(root, wg="wgtools-wg", wg_quick="wgtools-wg-quick")
    assert root.run("stat -c %a /etc/wireguard") == "700\n"
    # What it tells to type is there to be typed: only the names of its own.
    assert "Usage: wgtools-wg SUBCOMMAND" in root.run("wgtools-wg --help")
    root.run("wgtools-wg-quick up wg7")
    assert "wgtools-wg-quick down wg7" in root.call("wgtools-wg-quick up wg7").stderr
    root.run("wgtools-wg-quick down wg7")
    root.run(f"dpkg -i /var/tmp/{compat.name}")
    walk(root)
    assert root.run("dpkg-query -S /usr/bin/wg").startswith("wgtools-compat:")
    for page in ("wg", "wg-quick", "wgtools-engine"):
        root.run(f"zcat /usr/share/man/man8/{page}.8.gz > /dev/null")
    root.run("wg-quick up wg7; ls /run/wgtools/wg7.lock; dpkg --purge wgtools-compat wgtools")
    # No lock stays, nor anything else but what takes down the tunnel that is up.
    (left,) = root.run("ls -A /run/wgtools").split()
    assert left.startswith("wg7@")
    root.run("ip link delete wg7; rm -r /run/wgtools")
    assert root.call("ls /usr/lib/wgtools /usr/libexec/wgtools").stdout == ""
    # The tunnel's file is the user's, and stays.
    root.run("test -s /etc/wireguard/wg7.conf")


def test_debian_compat_takes_the_place_of_wireguard_tools(deb: Path, root: Root) -> None:
    """Both are to be had, never both at once."""
    root.run(
        """mkdir -p /var/tmp/t/DEBIAN /var/tmp/t/usr/bin
        printf 'Package: wireguard-tools\nVersion: 1.0.20210914-1\nArchitecture: all\n' \
            > /var/tmp/t/DEBIAN/control
        printf 'Maintainer: nobody <nobody@localhost>\nDescription: stands in for the real\n' \
            >> /var/tmp/t/DEBIAN/control
        echo original > /var/tmp/t/usr/bin/wg
        dpkg-deb --build /var/tmp/t /var/tmp/wt.deb; dpkg -i /var/tmp/wt.deb"""
    )
    main, compat = sorted(debs(deb), key=lambda path: "compat" in path.name)
    root.copy(main, compat)
    root.run(f"dpkg -i /var/tmp/{main.name}")  # beside it
    assert root.run("cat /usr/bin/wg") == "original\n"
    root.run(f"dpkg -i /var/tmp/{compat.name}")  # in its place
    assert len(root.run("wg genkey")) == 45
    assert root.call("dpkg -s wireguard-tools").returncode != 0
    refused = root.call("dpkg -i /var/tmp/wt.deb")
    assert "conflict" in refused.stderr
    assert len(root.run("wg genkey")) == 45
    # And back again.
    root.run("dpkg -r wgtools-compat; dpkg -i /var/tmp/wt.deb")
    assert root.run("cat /usr/bin/wg; wgtools-wg --version").startswith("original\n")


# ------------------------------------------------------------------ RPM


def test_rpm_packages(rpm: Path, root: Root) -> None:
    """Installed, checked and removed by rpm, in a root that is a Debian otherwise."""
    made = [path for path in sorted(rpm.glob("*.rpm")) if ".src." not in path.name]
    main, compat = sorted(made, key=lambda path: "compat" in path.name)
    assert list(rpm.glob("*.src.rpm"))
    asked = ["rpm", "-qp", "--qf", "[%{CONFLICTNAME} ][%{PROVIDENAME} ]", str(compat)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert told.split().count("wireguard-tools") == 2
    root.copy(main, compat)
    install = "rpm --force-debian --nodeps"  # what they need is Debian's here, unknown to rpm
    root.run(f"{install} -i /var/tmp/{main.name}")
    assert root.call("command -v wg").returncode != 0
    walk(root, wg="wgtools-wg", wg_quick="wgtools-wg-quick")
    root.run(f"{install} -i /var/tmp/{compat.name}")
    walk(root)
    assert root.run("rpm -qf --qf '%{NAME}' /usr/bin/wg") == "wgtools-compat"
    assert root.run("rpm -V --nodeps wgtools wgtools-compat") == ""
    root.run(f"{install} -e wgtools-compat; test ! -e /usr/bin/wg")
    root.run("ls /run/wgtools/wg7.lock")
    root.run(f"{install} -e wgtools; test ! -e /usr/lib/wgtools; test -s /etc/wireguard/wg7.conf")
    root.run("test ! -e /run/wgtools")
    listed = subprocess.run(
        ["rpm", "-qplv", str(main)], capture_output=True, text=True, check=True
    ).stdout
    assert "drwx------" in next(line for line in listed.splitlines() if "/etc/wireguard" in line)


# ------------------------------------------------------------------ one file


def test_one_file(pyz: Path, root: Root) -> None:
    root.copy(pyz)
    root.run("cp /var/tmp/wgtools.pyz /usr/local/bin/wgtools.pyz")
    walk(root, wg="wgtools.pyz", wg_quick="wgtools.pyz wg-quick")
    root.run("wgtools.pyz up wg7; wgtools.pyz show wg7; wgtools.pyz down wg7")
    # It is told to type what is there, and both commands' verbs are known.
    again = root.call("wgtools.pyz up wg7; wgtools.pyz up wg7")
    assert "type: wgtools.pyz down wg7" in again.stderr
    root.run("wgtools.pyz down wg7; wgtools.pyz --version; wgtools.pyz --help")
    unknown = root.call("wgtools.pyz start wg7")
    assert unknown.returncode == 1
    assert unknown.stderr.endswith("wgtools.pyz: there is no verb `start'\n")
    assert "ln -s /usr/local/bin/wgtools.pyz " in unknown.stderr
    for command in ("wg", "wg-quick", "wgtools-engine"):
        root.run(f"ln -s wgtools.pyz /usr/local/bin/{command}")
    walk(root)
    (one,) = root.run("ls /var/cache/wgtools").split()
    assert root.run(f"stat -c '%a %U' /var/cache/wgtools /var/cache/wgtools/{one}") == (
        "700 root\n700 root\n"
    )
    assert root.run("wgtools-engine --version").startswith("wgtools-engine v")


def test_one_file_trusts_no_place_of_others(pyz: Path, root: Root) -> None:
    root.copy(pyz)
    at = "/var/tmp/wgtools.pyz"
    # Somebody was there first: another place is taken, and nothing of theirs is loaded.
    root.run("mkdir /var/cache/wgtools; chown nobody /var/cache/wgtools")
    assert len(root.run(f"{at} genkey")) == 45
    assert root.run("ls -A /var/cache/wgtools") == ""
    root.run("test -d /run/wgtools")
    root.run("rm -r /run/wgtools; ln -s /tmp /run/wgtools; chmod 777 /root")
    refused = root.call(f"{at} genkey")
    assert refused.returncode == 1
    assert "/var/cache/wgtools belongs to somebody else" in refused.stderr
    assert "/run/wgtools belongs to somebody else" in refused.stderr
    assert "others can write to /root" in refused.stderr
    assert root.run("ls /tmp") == ""
    root.run("chown root /var/cache/wgtools; chmod 770 /var/cache/wgtools")
    assert "open to others" in root.call(f"{at} genkey").stderr
    root.run("chmod 700 /var/cache/wgtools")
    assert len(root.run(f"{at} genkey")) == 45


def test_one_file_without_a_place_says_what_to_do(pyz: Path, root: Root) -> None:
    root.copy(pyz)
    line = "XDG_CACHE_HOME=/proc/none setpriv --reuid 65534 --clear-groups /var/tmp/wgtools.pyz"
    done = root.call(f"{line} wg show")
    assert done.returncode == 1
    assert "there is no place to unpack it in: /proc/none: " in done.stderr
    assert done.stderr.endswith(
        "\nhint: set XDG_CACHE_HOME to a directory of your own that programs can be run from\n"
    )


def test_one_file_says_what_it_needs_of_python(pyz: Path, root: Root) -> None:
    root.copy(pyz)
    none = root.call("PATH=/nowhere /var/tmp/wgtools.pyz genkey")
    said = "wgtools.pyz: there is no python3 here: install Python, 3.11 or newer\n"
    assert (none.returncode, none.stderr) == (127, said)
    # As with Debian's python3-minimal.
    lacking = "import sys, runpy; sys.modules['json'] = None; sys.argv = ['wgtools.pyz', 'genkey']"
    run = "runpy.run_path('/var/tmp/wgtools.pyz', run_name='__main__')"
    part = root.call(f'python3 -I -c "{lacking}; {run}"')
    assert part.returncode == 1
    assert part.stderr.startswith("wgtools.pyz: this Python lacks its own module `json'\nhint: ")


def test_one_file_loads_nothing_of_the_callers(pyz: Path, root: Root) -> None:
    root.copy(pyz)
    root.run("mkdir /tmp/p; cat > /tmp/p/sitecustomize.py", stdin=ALIEN)
    root.run("cp /tmp/p/sitecustomize.py /tmp/p/wgtools.py; cp /tmp/p/wgtools.py /tmp/p/json.py")
    done = root.call("cd /tmp/p; PYTHONPATH=/tmp/p /var/tmp/wgtools.pyz wg genkey")
    assert (done.returncode, len(done.stdout)) == (0, 45)
    assert "a user came in" not in done.stderr


def test_one_file_for_a_user(pyz: Path, root: Root) -> None:
    root.copy(pyz)
    root.run("chmod 755 /var/tmp/wgtools.pyz; useradd -m somebody")
    script = "umask 022; for i in 1 2 3 4; do /var/tmp/wgtools.pyz genkey & done; wait"
    made = root.run(f"su somebody -c '{script}'")  # all at once, and all find it whole
    assert len(made.split()) == 4
    left = root.run("ls -A /home/somebody/.cache/wgtools").split()
    assert len(left) == 1
    assert root.run("stat -c %a /home/somebody/.cache/wgtools") == "700\n"


# ------------------------------------------------------------------ pip, pipx, uv


@pytest.mark.parametrize("kind", ["wgtools-*.whl", "wgtools-*.tar.gz"])
def test_pip(kind: str, wheels: Path, root: Root) -> None:
    root.copy(*wheels.glob("*.whl"), *wheels.glob("*.tar.gz"))
    root.run("python3 -m venv --without-pip /opt/wgtools")
    root.run(
        "/opt/wgtools/bin/python $(echo /var/tmp/pip-*.whl)/pip install -q --no-index"
        f" --disable-pip-version-check --find-links /var/tmp /var/tmp/{kind}"
    )
    walk(root, wg="/opt/wgtools/bin/wg", wg_quick="/opt/wgtools/bin/wg-quick")
    holds_pages_and_completions(root, "/opt/wgtools")


@pytest.mark.parametrize("tool", ["pipx", "uv"])
def test_pipx_and_uv(tool: str, sdist_and_wheel: Path, tmp_path: Path) -> None:
    (wheel,) = sdist_and_wheel.glob("*.whl")
    place = tmp_path / "tools"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip = [place / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([str(word) for word in (*pip, tool)], check=True)
    environment = os.environ | {
        "PIPX_HOME": str(tmp_path / "home"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "share/man"),
        "UV_TOOL_DIR": str(tmp_path / "home"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NATIVE_TLS": "1",
    }
    words = [place / "bin" / tool, *(("tool",) if tool == "uv" else ()), "install", wheel]
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "bin").iterdir()} == {
        "wg",
        "wg-quick",
        "wgtools-engine",
    }
    made = subprocess.run([tmp_path / "bin/wg", "genkey"], capture_output=True, check=True).stdout
    assert len(made) == 45
    (share,) = (path for path in tmp_path.glob("home/**/share") if (path / "man").is_dir())
    for shell, where in COMPLETIONS.items():
        for file in (ROOT / "completions" / shell).iterdir():
            assert (share.parent / where / file.name).read_bytes() == file.read_bytes()
    # `man` looks in DIR/share/man for each DIR/bin of PATH, and there pipx links them.
    look = ["man", "-w"] if tool == "pipx" else ["man", "-M", str(share / "man"), "-w"]
    paths = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    for name, text in PAGES.items():
        told = subprocess.run(
            [*look, name.removesuffix(".8")],
            env=os.environ | paths,
            capture_output=True,
            text=True,
            check=True,
        )
        found = Path(told.stdout.strip())
        assert found.is_relative_to(tmp_path)
        assert found.read_bytes() == text
    shutil.rmtree(tmp_path / "home")


# ------------------------------------------------------------------ under systemd


def test_units_under_systemd(deb: Path, booted: Root) -> None:
    root = booted
    root.copy(*debs(deb))
    root.run("until systemctl is-system-running | grep -qE 'running|degraded'; do :; done")
    root.run("dpkg -i /var/tmp/*.deb")
    root.run("systemctl start wgtools-engine@wg7")
    assert root.run("wg show wg7") == "interface: wg7\n"
    pid = root.run("systemctl show -p MainPID --value wgtools-engine@wg7").strip()
    status = root.run(f"cat /proc/{pid}/status")
    assert "CapBnd:\t0000000000001c00" in status  # of NET: bind service, broadcast, admin
    assert "Seccomp:\t2" in status
    root.run("ip link set wg7 up; wg set wg7 listen-port 443 fwmark 7")
    assert "443" in root.run("wg show wg7 listen-port")
    root.run("systemctl stop wgtools-engine@wg7")
    assert "wg7" not in root.run("ip link show")

    conf = "/etc/wireguard/wg8.conf"
    root.run(
        f"umask 077; printf '[Interface]\\nPrivateKey = %s\\nAddress = 10.9.8.1/24\\n' "
        f'"$(wg genkey)" > {conf}'
    )
    root.run("systemctl enable --now wg-quick@wg8")
    before = root.run("wg show wg8 public-key; ip -o link show wg8")
    root.run(f"echo 'Address = 10.9.9.1/24' >> {conf}; systemctl reload wg-quick@wg8")
    assert "10.9.9.1/24" in root.run("ip address show wg8")
    assert root.run("wg show wg8 public-key; ip -o link show wg8") == before
    root.run("systemctl stop wg-quick.target wg-quick@wg8")
    assert "wg8" not in root.run("ip link show")
    assert root.run("systemctl show -p Result --value wg-quick@wg8") == "success\n"

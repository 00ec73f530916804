# SPDX-License-Identifier: MIT
"""The skeleton of a FreeBSD port: its rc.d script run against stubs, its lists against the tree.

The stubs are what rc.subr(8), wg, wg-quick and lockf(1) are documented to do, as far as
the script relies on it.  That the real ones do so can only be seen on FreeBSD.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import wgtools

ROOT = Path(__file__).parents[2]
PORT = ROOT / "packaging" / "freebsd"
SCRIPT = PORT / "files" / "wireguard.in"

RC_SUBR = r"""
load_rc_config() { [ "$1" = wireguard ] || exit 99; . "$HERE/rc.conf"; }
warn() { echo "WARNING: $*" >&2; }
checkyesno() { eval "_value=\$$1"; case $_value in [Yy][Ee][Ss]) return 0;; esac; return 1; }
run_rc_command() {
    _verb=${1#one}
    case " start stop restart ${extra_commands} " in *" $_verb "*) ;; *) return 64;; esac
    if [ "$_verb" = "$1" ] && ! checkyesno "$rcvar"; then
        echo "Cannot '$_verb' $name. Set $rcvar to YES." >&2
        return 1
    fi
    if [ "$_verb" = restart ]; then run_rc_command onestop && run_rc_command onestart; return; fi
    eval "\$${_verb}_cmd"
}
"""

# An interface is up when there is a file of its name; what must fail is in `broken`.
WG = r"""#!/bin/sh
[ "$1" = show ] && [ -e "$HERE/up/$2" ]
"""

WG_QUICK = r"""#!/bin/sh
echo "$1 $2 DNS=$WG_QUICK_DNS" >>"$HERE/log"
grep -qx "$1 $2" "$HERE/broken" && { echo "wg-quick: broken" >&2; exit 1; }
name=${2##*/} name=${name%.conf}
[ -z "$SLOW" ] || sleep "$SLOW"
case $1 in
up) mkdir "$HERE/up/$name" || exit 1 ;;
down) rmdir "$HERE/up/$name" || exit 1 ;;
esac
"""

# lockf(1): 75, EX_TEMPFAIL, when it cannot have the lock in time; closed in the child.
LOCKF = r"""#!/bin/sh
[ "$1 $2" = "-k -t" ] || exit 64
seconds=$3 file=$4
shift 4
echo "$file" >>"$HERE/locks"
exec flock -o -w "$seconds" -E 75 "$file" "$@"
"""


class Host:
    """A directory with the script, its configuration and everything it calls."""

    def __init__(self, here: Path) -> None:
        self.here = here
        (here / "bin").mkdir()
        (here / "up").mkdir()
        text = SCRIPT.read_text().replace("/etc/rc.subr", f"{here}/rc.subr")
        self.script = here / "wireguard"
        self.script.write_text(text.replace("%%PREFIX%%", str(here)))
        (here / "rc.subr").write_text(RC_SUBR)
        for name, content in (("wg", WG), ("wg-quick", WG_QUICK), ("lockf", LOCKF)):
            (here / "bin" / name).write_text(content)
            (here / "bin" / name).chmod(0o755)
        self.broken = here / "broken"
        self.broken.touch()
        self.configure("wg0 office")

    def configure(self, interfaces: str, *more: str, enable: str = "YES") -> None:
        lines = (
            f'wireguard_enable="{enable}"',
            f'wireguard_interfaces="{interfaces}"',
            f'wireguard_lock_dir="{self.here}"',
            *more,
        )
        (self.here / "rc.conf").write_text("\n".join(lines) + "\n")

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        path = f"{self.here}/bin:/usr/bin:/bin"
        return subprocess.Popen(
            ["sh", self.script, *words],
            env={"HERE": str(self.here), "PATH": path, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def service(self, *words: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    @property
    def up(self) -> set[str]:
        return {path.name for path in (self.here / "up").iterdir()}

    @property
    def log(self) -> list[str]:
        """`VERB NAME` of every wg-quick so far."""
        log = self.here / "log"
        text = log.read_text() if log.exists() else ""
        return [line.partition(" DNS=")[0] for line in text.splitlines()]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# ------------------------------------------------------------------ the script


@pytest.mark.parametrize("command", [["sh", "-n"], ["busybox", "sh", "-n"], ["shellcheck"]])
def test_script_is_clean(command: list[str]) -> None:
    program = shutil.which(command[0])
    assert program, f"{command[0]} is missing; .ci/run installs it"
    done = subprocess.run(
        [program, *command[1:], SCRIPT], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_are_started_in_order_and_stopped_in_the_opposite(host: Host) -> None:
    assert host.service("start") == (0, "", "")
    assert host.up == {"wg0", "office"}
    assert host.service("stop") == (0, "", "")
    assert host.up == set()
    assert host.log == ["up wg0", "up office", "down office", "down wg0"]


def test_one_by_name(host: Host) -> None:
    assert host.service("start", "office")[0] == 0
    assert host.up == {"office"}
    assert host.service("start", "wg0", "third")[0] == 0
    assert host.service("stop", "third")[0] == 0
    assert host.up == {"office", "wg0"}


def test_started_twice_is_started(host: Host) -> None:
    host.service("start")
    assert host.service("start") == (0, "wg0 is already up.\noffice is already up.\n", "")
    assert host.log == ["up wg0", "up office"]


def test_stopping_what_is_not_up_clears_what_it_left_behind(host: Host) -> None:
    assert host.service("stop") == (0, "office is not up.\nwg0 is not up.\n", "")
    assert host.log == ["down office", "down wg0"]


def test_restart(host: Host) -> None:
    host.service("start", "wg0")
    assert host.service("restart", "wg0")[0] == 0
    assert host.log == ["up wg0", "down wg0", "up wg0"]


def test_reload_ends_no_session(host: Host) -> None:
    host.service("start")
    assert host.service("reload") == (0, "", "")
    assert host.log[2:] == ["reload wg0", "reload office"]


def test_reload_of_what_is_not_up_is_told(host: Host) -> None:
    host.service("start", "office")
    code, _, err = host.service("reload")
    assert code == 1
    assert "wg0 is not up" in err
    assert host.log[1:] == ["reload office"]


@pytest.mark.parametrize("verb", ["start", "stop", "reload"])
def test_one_that_fails_keeps_no_other_from_its_turn(host: Host, verb: str) -> None:
    if verb != "start":
        host.service("start")
    word = {"start": "up", "stop": "down", "reload": "reload"}[verb]
    host.broken.write_text(f"{word} wg0\n{word} office\n")
    code, _, err = host.service(verb)
    assert code == 1
    assert err.count("wg-quick: broken") == 2
    assert f"WARNING: cannot {verb} wg0" in err
    assert f"WARNING: cannot {verb} office" in err


def test_status(host: Host) -> None:
    host.service("start", "wg0")
    assert host.service("status") == (1, "wg0 is up.\noffice is not up.\n", "")
    assert host.service("status", "wg0") == (0, "wg0 is up.\n", "")


def test_path_of_a_configuration_stands_for_its_name(host: Host) -> None:
    host.configure("/usr/local/vpn/home.conf")
    assert host.service("start")[0] == 0
    assert host.up == {"home"}
    assert host.service("status")[0] == 0
    assert host.service("stop")[0] == 0
    assert host.log == ["up /usr/local/vpn/home.conf", "down /usr/local/vpn/home.conf"]
    assert {Path(line).name for line in (host.here / "locks").read_text().split()} == {
        "wireguard.home.lock"
    }


def test_environment_reaches_wg_quick(host: Host) -> None:
    more = 'wireguard_env="WG_QUICK_DNS=none WG_ENDPOINT_RESOLUTION_RETRIES=infinity"'
    host.configure("wg0", more)
    host.service("start")
    assert (host.here / "log").read_text() == "up wg0 DNS=none\n"


def test_not_enabled_it_does_nothing_but_when_forced(host: Host) -> None:
    host.configure("wg0", enable="NO")
    code, _, err = host.service("start")
    assert code == 1
    assert "wireguard_enable" in err
    assert host.up == set()
    assert host.service("onestart")[0] == 0
    assert host.up == {"wg0"}


def test_nothing_to_do_is_told(host: Host) -> None:
    host.configure("")
    code, _, err = host.service("start")
    assert code == 0
    assert "wireguard_interfaces names none" in err
    assert host.service("stop") == (0, "", "")
    assert host.service("status")[0] == 1


def test_two_at_once_take_turns(host: Host) -> None:
    first = host.start("start", "wg0", SLOW="0.3")
    second = host.start("start", "wg0", SLOW="0.3")
    for process in (first, second):
        process.communicate(timeout=30)
        assert process.returncode == 0  # whoever came second found it up
    assert host.up == {"wg0"}


def test_one_that_waits_too_long_for_another_gives_up(host: Host) -> None:
    host.configure("wg0", 'wireguard_lock_timeout="0"')
    lock = host.here / "wireguard.wg0.lock"
    with subprocess.Popen(["flock", lock, "cat"], stdin=subprocess.PIPE) as holder:
        while subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0:
            pass
        code, _, err = host.service("start")
        holder.communicate()
    assert code == 1
    assert "WARNING: cannot start wg0" in err
    assert host.log == []


def test_module_is_never_unloaded() -> None:
    assert not re.search(r"\bkldunload\b|\bkldload\b", SCRIPT.read_text())


def test_rcorder_keywords() -> None:
    head = dict(re.findall(r"^# ([A-Z]+): (.*)$", SCRIPT.read_text(), re.MULTILINE))
    assert head["PROVIDE"] == "wireguard"
    assert "NETWORKING" in head["REQUIRE"].split()
    assert head["KEYWORD"] == "shutdown"


# ------------------------------------------------------------------ the port


def variables() -> dict[str, str]:
    text = (PORT / "Makefile").read_text().replace("\\\n", " ")
    found = re.findall(r"^([A-Z_]+)=[ \t]*(.*?)[ \t]*(?:#.*)?$", text, re.MULTILINE)
    return {name: " ".join(value.split()) for name, value in found}


def test_port_is_of_this_version_and_of_these_commands() -> None:
    port = variables()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert port["DISTVERSION"] == wgtools.__version__
    assert port["COMMANDS"].split() == list(project["scripts"])
    assert port["USE_RC_SUBR"] == SCRIPT.stem
    assert len(port["COMMENT"]) <= 70  # Porter's Handbook 5.5
    assert port["COMMENT"][-1] != "."


def test_port_has_the_dependencies_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {
        re.split(r"[<>=; ]", line)[0] for line in project["dependencies"] if "'linux'" not in line
    } | {"netifaces-plus"}
    needed -= {"pyroute2"}
    names = {"netifaces-plus": "netifaces", "pydantic": "pydantic2"}
    wanted = {names.get(name, name) for name in needed}
    depends = variables()["RUN_DEPENDS"]
    assert set(re.findall(r"\$\{PYTHON_PKGNAMEPREFIX\}([a-z0-9]+)>=", depends)) == wanted


def test_pages_and_completions_come_with_the_wheel_and_not_twice() -> None:
    """`autoplist` lists what the wheel puts below PREFIX, with .gz behind manual pages."""
    assert {"autoplist", "pep517"} <= set(variables()["USE_PYTHON"].split())
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert set(shared.values()) == {  # hier(7), and where the ports of the shells look
        "share/man/man8",
        "share/bash-completion/completions",
        "share/zsh/site-functions",
        "share/fish/vendor_completions.d",
    }
    assert "INSTALL_MAN" not in (PORT / "Makefile").read_text()
    assert (PORT / "pkg-plist").read_text() == "@dir(root,wheel,0700) etc/wireguard\n"


def test_makefile_has_tabs_where_make_wants_them() -> None:
    for line in (PORT / "Makefile").read_text().splitlines():
        assert not line.startswith(" "), line
    assert all(len(line) <= 80 for line in (PORT / "pkg-descr").read_text().splitlines())


def test_what_root_runs_is_isolated() -> None:
    """docs/decisions/0040: the recipe of a package sets the shebang."""
    text = (PORT / "Makefile").read_text()
    (expression,) = re.findall(r"-e '(1s[^']+)' \$\{STAGEDIR\}", text)
    done = subprocess.run(
        ["sed", "-e", expression.replace("$$", "$")],
        input="#!/usr/local/bin/python3.11\nimport sys\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "#!/usr/local/bin/python3.11 -I\nimport sys\n"
    assert os.access(SCRIPT, os.R_OK)

# SPDX-License-Identifier: MIT
"""What bash, zsh and fish offer for TAB, in the real shells.

`wg` here is a script that prints names and keys, odd ones among them, and notes how it
was called; one test at the end has the real one.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.completions.terminal import SHELLS, Shell, why_not
from tests.repo.vocabulary import ROOT, codes, constant, modules, of_up, own_verbs
from wgtools.cli import quick_verbs, views, wg, wg_quick
from wgtools.conf import arguments

KEYS = {
    "SHbkhiSX5fdB55d/X7ngku+SaC2Dpk+D3c30Mhg90EE=",
    "FkL5w3u+fcjROJGrXgxoencB26JRRvhG/XbSeuM7W3I=",
}
KEY, OTHER = sorted(KEYS, reverse=True)
WG = f"""\
#!/bin/sh
echo "$*" >> "$HOME/calls"
case "$*" in
"show interfaces") echo 'wg0 office * -n $(touch${{IFS}}owned) od;touch owned;d' ;;
"show wg0 peers") echo {KEY}; echo {OTHER} ;;
'show od;touch peers') echo {KEY} ;;
esac
"""
ODD = "od;touch"  # that name holds a blank, which no interface has: it counts as two
INTERFACES = {"wg0", "office"}


def completed(shell: Shell, line: str) -> str:
    """The line after TAB; fish leaves no blank behind `=`, which every key ends in."""
    after = shell.press_tab(line)[0]
    return f"{after} " if shell.kind == "fish" and after.endswith("=") else after


def settings(table: dict[bytes, object]) -> set[str]:
    return {word.decode() for word in table}


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A directory that every user may read, with completions and programs in it."""
    directory = Path(tempfile.mkdtemp(prefix="completions"))
    directory.chmod(0o755)
    shutil.copytree(ROOT / "completions", directory / "completions")
    programs = directory / "bin"
    programs.mkdir()
    (programs / "wg").write_text(WG)
    for name in ("wg-quick", "wgtools-engine"):
        (programs / name).write_text('#!/bin/sh\necho "$0 $*" >> "$HOME/calls"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def started(kind: str, public: Path, **options: object) -> Shell:
    if lacking := why_not(kind):
        pytest.skip(lacking)
    home = Path(tempfile.mkdtemp(dir=public))
    home.chmod(0o777)
    given = {"completions": public / "completions", "programs": public / "bin", **options}
    return Shell(kind, home, **given)  # type: ignore[arg-type]  # passed on as they came


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, public: Path) -> Iterator[Shell]:
    with started(request.param, public) as shell:
        yield shell


# wg


def test_verbs_without_starting_anything(shell: Shell) -> None:
    calls = shell.home / "calls"
    calls.unlink(missing_ok=True)
    assert shell.offered("wg ") == settings(dict(wg._VERBS))
    assert shell.offered("wg-quick ") == {*quick_verbs.VERBS, *wg_quick._VERBS}
    assert not calls.exists()
    shell.offered("wg show ")
    assert calls.exists()  # it would have been seen


def test_a_verb_is_completed(shell: Shell) -> None:
    assert shell.press_tab("wg sy")[0] == "wg syncconf "
    assert shell.press_tab("wg-quick rel")[0] == "wg-quick reload "


def test_fields(shell: Shell) -> None:
    for which in ("wg0", "all"):
        assert shell.offered(f"wg show {which} ") == {*views.FIELDS}
    assert shell.offered("wg show interfaces ") == set()
    assert shell.press_tab("wg show wg0 lat")[0] == "wg show wg0 latest-handshakes "


@pytest.mark.parametrize("verb", ["showconf", "set", "setconf", "addconf", "syncconf"])
def test_interfaces(shell: Shell, verb: str) -> None:
    offered = shell.offered(f"wg {verb} ")
    assert offered >= INTERFACES
    assert not offered & {"all", "interfaces"}
    assert shell.press_tab(f"wg {verb} of")[0] == f"wg {verb} office "


def test_what_show_can_show(shell: Shell) -> None:
    assert shell.offered("wg show ") >= {*INTERFACES, "all", "interfaces"}


def test_settings_in_their_places(shell: Shell) -> None:
    assert shell.offered("wg set wg0 ") == settings(dict(arguments._DEVICE))
    of_peer = {*settings(dict(arguments._PEER)), "remove"}
    assert shell.offered(f"wg set wg0 listen-port 1 peer {KEY} ") == of_peer
    line = f"wg set wg0 peer {KEY} remove allowed-ips 10.0.0.0/8,fd00::/8 endpoint [::1]:5 "
    assert shell.offered(line) == {"preshared-key", "persistent-keepalive", "peer"}
    assert shell.press_tab("wg set wg0 fwmark o")[0] == "wg set wg0 fwmark off "
    assert shell.press_tab("wg set wg0 li")[0] == "wg set wg0 listen-port "


def test_keys_of_peers(shell: Shell) -> None:
    assert shell.offered("wg set wg0 peer ") == KEYS
    assert completed(shell, "wg set wg0 peer Fk") == f"wg set wg0 peer {OTHER} "
    second = f"wg set wg0 peer {KEY} endpoint [2001:db8::1]:51820 peer "
    assert completed(shell, second + "F") == f"{second}{OTHER} "
    assert shell.press_tab("wg set office peer ")[0] == "wg set office peer "


def test_files_of_keys_and_configurations(shell: Shell) -> None:
    (shell.here / "an odd name.key").touch()
    for line in (
        "wg setconf wg0 ",
        "wg set wg0 private-key ",
        f"wg set wg0 peer {KEY} preshared-key ",
    ):
        after, _ = shell.press_tab(line + "an")
        assert after == line + "an\\ odd\\ name.key "
    (shell.here / "an odd name.key").unlink()


def test_options_of_wg(shell: Shell) -> None:
    known = {word.decode() for word in (*wg._HELP, *wg._VERSION)} - {"help", "version"}
    offered = shell.offered("wg -") | shell.offered("wg --")
    assert offered == known


def test_a_name_is_quoted_and_never_run(shell: Shell) -> None:
    after, _ = shell.press_tab("wg show od")
    assert after == r"wg show od\;touch "
    offered = shell.offered("wg show ")
    assert {word.replace("\\", "") for word in offered} >= {"$(touch${IFS}owned)", ODD}
    calls = shell.home / "calls"
    assert completed(shell, r"wg set od\;touch peer ") == rf"wg set od\;touch peer {KEY} "
    assert "show od;touch peers" in calls.read_text()
    for line in (
        "wg-quick down ",
        "wg set $(touch${IFS}owned) peer ",
        "wg set `touch${IFS}owned` peer ",
    ):
        shell.offered(line)
    assert not (shell.here / "owned").exists()


def test_behind_other_words_and_within_quotes(shell: Shell) -> None:
    for before in ("sudo ", "sudo -u root ", "WG_HIDE_KEYS=never ", "true; ", "true | "):
        assert shell.press_tab(f"{before}wg show off")[0] == f"{before}wg show office "
        line = f"{before}wg set wg0 peer Fk"
        assert completed(shell, line) == f"{before}wg set wg0 peer {OTHER} "
        assert shell.press_tab(f"{before}wg-quick do")[0] == f"{before}wg-quick down "
    assert shell.press_tab('wg show "off')[0] == 'wg show "office" '
    assert completed(shell, 'wg set "wg0" peer S') == f'wg set "wg0" peer {KEY} '


# wg-quick and the engine


def test_running_interfaces(shell: Shell) -> None:
    for verb in ("down", "save", "reload", "status"):
        assert shell.offered(f"wg-quick {verb} ") >= INTERFACES
        assert shell.press_tab(f"wg-quick {verb} off")[0] == f"wg-quick {verb} office "
        assert shell.offered(f"wg-quick {verb} wg0 ") == set()
        assert not any(";" in word for word in shell.offered(f"wg-quick {verb} "))


@pytest.mark.parametrize("verb", ["up", *quick_verbs.VERBS])
def test_options_of_wg_quick(shell: Shell, verb: str) -> None:
    known = of_up() if verb == "up" else {*own_verbs()[verb], "--help"}
    offered = {word.partition("=")[0] for word in shell.offered(f"wg-quick {verb} --")}
    assert offered == known


def test_options_with_values(shell: Shell) -> None:
    line = "wg-quick up --engine="
    assert shell.press_tab(line + "em")[0] == line + "embedded "
    offered = {word.removeprefix("--engine=") for word in shell.offered(line)}
    assert offered == {"auto", "kernel", "embedded", "wireguard-go"}
    line = "wg-quick check --ignore="
    offered = {word.removeprefix("--ignore=") for word in shell.offered(line)}
    assert offered == codes()
    assert shell.press_tab(line + "wor")[0] == line + "world-readable "


def test_options_of_the_engine(shell: Shell) -> None:
    (module,) = modules("wgtools/daemon/main.py")
    text = {constant(node) for node in ast.walk(module)}
    known = {word for word in text if word.startswith("--") and word[2:].isalpha()}
    assert {word for word in shell.offered("wgtools-engine --")} == known
    assert shell.press_tab("wgtools-engine --fo")[0] == "wgtools-engine --foreground "


# A host of its own: /etc/wireguard

_HOST = """
mount -t tmpfs -o mode=$1 etc /etc/wireguard && cd /etc/wireguard || exit
touch home.conf office.conf notes.txt 'a b.conf' 'x$(touch owned).conf' much-too-long-a-name.conf
cd "$HOME/here" && shift && exec "$@"
"""


def on_a_host(kind: str, public: Path, mode: str, *words: str) -> Shell:
    if os.geteuid() != 0:
        pytest.skip("mount namespaces need root")
    Path("/etc/wireguard").mkdir(mode=0o700, exist_ok=True)
    before = ("unshare", "--mount", "sh", "-c", _HOST, "sh", mode, *words)
    return started(kind, public, before=before)


@pytest.mark.parametrize("kind", SHELLS)
def test_names_of_configurations(kind: str, public: Path) -> None:
    with on_a_host(kind, public, "0700") as shell:
        for verb in ("up", "plan", "strip", "up --strict", "plan --json", "check home"):
            assert {"home", "office"} <= shell.offered(f"wg-quick {verb} ")
            assert shell.press_tab(f"wg-quick {verb} off")[0] == f"wg-quick {verb} office "
        offered = shell.offered("wg-quick up ")
        assert offered == {"home", "office"}
        assert not (shell.here / "owned").exists()
        (shell.here / "here.conf").touch()
        assert shell.press_tab("wg-quick up ./he")[0] == "wg-quick up ./here.conf "
        assert shell.press_tab("wg-quick check he")[0] == "wg-quick check here.conf "


@pytest.mark.parametrize("kind", SHELLS)
def test_no_noise_where_configurations_cannot_be_listed(kind: str, public: Path) -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with on_a_host(kind, public, "0700", *nobody) as shell:
        for verb in ("up", "plan", "strip"):
            after, shown = shell.press_tab(f"wg-quick {verb} ")
            assert after == f"wg-quick {verb} "
            assert not any(letter.isalpha() for letter in shown), shown


# The rest


def test_bash_without_its_library(public: Path) -> None:
    with started("bash", public, library=False) as shell:
        assert shell.offered("wg set wg0 peer ") == KEYS
        (shell.here / "here.conf").touch()
        assert shell.press_tab("wg setconf wg0 he")[0] == "wg setconf wg0 here.conf "
        assert shell.press_tab("wg-quick up ./he")[0] == "wg-quick up ./here.conf "


@pytest.mark.parametrize("kind", SHELLS)
def test_under_the_names_that_packages_give(kind: str, public: Path, tmp_path: Path) -> None:
    """Beside wireguard-tools: a file for each command, of its name, and no `wg` of ours."""
    programs, files = tmp_path / "bin", tmp_path / "completions"
    shutil.copytree(public / "completions", files)
    programs.mkdir()
    before, behind = {"bash": ("", ""), "zsh": ("_", ""), "fish": ("", ".fish")}[kind]
    for name in ("wg", "wg-quick"):
        shutil.copy(public / "bin" / name, programs / f"wgtools-{name}")
        file = files / kind / f"{before}{name}{behind}"
        file.rename(file.with_name(f"{before}wgtools-{name}{behind}"))
    with started(kind, public, programs=programs, completions=files) as shell:
        assert completed(shell, "wgtools-wg set wg0 peer S") == f"wgtools-wg set wg0 peer {KEY} "
        assert completed(shell, "wgtools-wg-quick down o") == "wgtools-wg-quick down office "


@pytest.mark.parametrize("kind", SHELLS)
def test_nothing_is_said_when_wg_fails(kind: str, public: Path, tmp_path: Path) -> None:
    (tmp_path / "wg").write_text("#!/bin/sh\necho Operation not permitted >&2\nexit 1\n")
    (tmp_path / "wg").chmod(0o755)
    with started(kind, public, programs=tmp_path) as shell:
        after, shown = shell.press_tab("wg showconf ")
        assert after == "wg showconf "
        assert "permitted" not in shown


@pytest.mark.parametrize("kind", SHELLS)
def test_with_the_real_commands(kind: str, public: Path) -> None:
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("an interface needs root and /dev/net/tun")
    bin = Path(sys.executable).parent
    begin = f'mount -t tmpfs run /run && wgtools-engine wg7 && wg set wg7 peer {KEY} && exec "$@"'
    isolated = ("--net", "--mount", "--pid", "--fork", "--kill-child")
    before = ("unshare", *isolated, "sh", "-c", begin, "sh")
    with started(kind, public, programs=bin, before=before) as shell:
        assert shell.press_tab("wg show w")[0] == "wg show wg7 "
        assert completed(shell, "wg set wg7 peer ") == f"wg set wg7 peer {KEY} "


@pytest.mark.parametrize("kind", SHELLS)
def test_the_files_are_correct(kind: str) -> None:
    if lacking := why_not(kind):
        pytest.skip(lacking)
    for file in sorted((ROOT / "completions" / kind).iterdir()):
        done = subprocess.run([kind, "-n", file], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), file


def test_make_install_puts_them_where_shells_look(tmp_path: Path) -> None:
    words = ["make", "-s", "-C", str(ROOT), "install-data", f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    subprocess.run(words, check=True, umask=0o077)
    share = tmp_path / "usr/share"
    for directory, names in {
        "bash-completion/completions": ("wg", "wg-quick", "wgtools-engine"),
        "zsh/site-functions": ("_wg", "_wg-quick", "_wgtools-engine"),
        "fish/vendor_completions.d": ("wg.fish", "wg-quick.fish", "wgtools-engine.fish"),
        "man/man8": ("wg.8", "wg-quick.8", "wgtools-engine.8"),
    }.items():
        for name in names:
            assert (share / directory / name).stat().st_mode & 0o777 == 0o644

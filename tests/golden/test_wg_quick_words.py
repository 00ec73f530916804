# SPDX-License-Identifier: MIT
"""What wg-quick says before it touches anything: usage, hints, mistakes; and how light it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "wg-quick"
HEAVY = {
    *("asyncio", "dataclasses", "enum", "logging", "pydantic", "pyroute2", "re", "rich", "socket"),
    *("subprocess", "typer", "typing", "contextlib", "functools", "ipaddress", "pathlib"),
}
PROBE = """
from wgtools.cli.wg_quick import main
sys.argv = ["wg-quick", *sys.argv[1:]]
main()
sys.stderr.write("\\n".join(["MODULES", *sys.modules]))
"""


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


def modules_after(*words: str) -> set[str]:
    script = f"import sys; sys.path[:0] = {sys.path!r}\n{PROBE}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, *words], capture_output=True, text=True, check=True
    )
    return set(done.stderr.partition("MODULES\n")[2].split())


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["help"], 0),
        (["-h"], 0),
        (["--help"], 0),
        ([], 1),
        (["up"], 1),
        (["UP", "wg0"], 1),
        (["--version"], 1),
        (["up", "a", "b"], 1),
    ],
)
def test_usage(words: list[str], status: int) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    first = "Usage: wg-quick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]"
    assert done.stderr.splitlines()[0] == first


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["start", "wg0"], "wg-quick: there is no verb `start'"),
        (["up"], "wg-quick: up takes one name, of an interface or of a file"),
        (["down", "wg0", "wg1"], "wg-quick: down takes one name, of an interface or of a file"),
    ],
)
def test_below_the_usage_stands_what_was_wrong(words: list[str], last: str) -> None:
    assert run(*words).stderr.splitlines()[-1] == last


def test_a_file_that_is_called_wrongly_is_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    assert "hint: rename it to home.conf" in run("strip", "./home", cwd=tmp_path).stderr


def test_a_bare_file_name_is_told_apart_from_a_name(tmp_path: Path) -> None:
    (tmp_path / "nosuch9.conf").touch()
    done = run("strip", "nosuch9.conf", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "wg-quick: `/etc/wireguard/nosuch9.conf.conf' does not exist\n\n"
        "hint: to use the file in this directory, type ./nosuch9.conf\n"
    )
    done = run("strip", "nosuch9", cwd=tmp_path)
    assert "type ./nosuch9.conf\n" in done.stderr


def test_a_long_name_is_taken_as_a_path_and_says_so() -> None:
    done = run("strip", "a" * 16)
    assert done.stderr.startswith(f"wg-quick: `{'a' * 16}' does not exist\n\nhint: ")
    assert "at most 15 characters" in done.stderr


def test_a_path_with_a_long_name_says_so_too() -> None:
    done = run("strip", f"./{'a' * 16}.conf")
    assert done.stderr == (
        f"wg-quick: `./{'a' * 16}.conf' does not exist\n\n"
        f"hint: `{'a' * 16}' is too long for the name of an interface: 15 characters at most\n"
    )


def test_an_empty_word() -> None:
    assert run("strip", "").stderr.startswith("wg-quick: `' does not exist\n")


@pytest.mark.parametrize("name", ["wg0", "wg0.CONF", ".conf", "a b.conf", f"{'a' * 16}.conf"])
def test_a_file_must_be_called_after_an_interface(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    done = run("strip", f"./{name}", cwd=tmp_path)
    message = "wg-quick: The config file must be a valid interface name, followed by .conf\n"
    assert (done.returncode, done.stderr.startswith(message)) == (1, True)


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "wg0.conf").mkdir()
    done = run("strip", "./wg0.conf", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is a directory" in done.stderr


def test_strip_never_minds_save_config(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "wg0.conf").write_text("[Interface]\nSaveConfig = maybe\nListenPort = 5\n")
    done = run("strip", "./wg0.conf", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[Interface]\nListenPort = 5\n\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="as anybody else wg-quick would ask sudo")
def test_a_bad_save_config_keeps_its_first_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "wgt9.conf").write_text("[Interface]\nSaveConfig = maybe\n")
    for verb in ("up", "down", "save"):
        done = run(verb, "./wgt9.conf", cwd=tmp_path)
        assert done.returncode == 1
        first, empty, place = done.stderr.splitlines()[:3]
        assert first == "wg-quick: `maybe' is neither true nor false"
        assert empty == ""
        assert place.startswith(f"{tmp_path}/wgt9.conf:2:14: ")


@pytest.mark.parametrize(
    "words", [["help"], ["up"], ["strip", "nosuch9"], ["up", "nosuch9"]], ids=" ".join
)
def test_words_alone_load_nothing_heavy(words: list[str]) -> None:
    loaded = modules_after(*words)
    assert "wgtools.cli.wg_quick" in loaded
    assert loaded & HEAVY == set()


def test_strip_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "wg0.conf").write_text("[Interface]\nAddress = 10.0.0.1/24\nPostUp = true\n")
    loaded = modules_after("strip", str(tmp_path / "wg0.conf"))
    assert "wgtools.conf.quickfile" in loaded
    assert loaded & HEAVY == set()


MISTYPED = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.mark.skipif(os.geteuid() != 0, reason="as anybody else wg-quick would ask sudo")
@pytest.mark.parametrize(
    "lines",
    [
        f"PrivateKey{MISTYPED}",
        f"PrivatKey = {MISTYPED}",
        f"Privat {MISTYPED}",
        f'PrivateKey = "{MISTYPED}"',
        f"PrivateKey = {MISTYPED[:43]}",
        f"Address = {MISTYPED}",
        f"MTU = {MISTYPED}",
        f"Table = {MISTYPED}",
        f"SaveConfig = {MISTYPED}",
        f"FwMark = {MISTYPED}",
        f"ListenPort = {MISTYPED}",
        f"[Peer]\nPrivateKey = {MISTYPED}",
        f"[Peer]\nAllowedIPs = {MISTYPED}",
        f"[Peer]\nEndpoint = {MISTYPED}",
        f"[{MISTYPED}]",
        MISTYPED,
    ],
)
def test_no_mistake_shows_a_key(tmp_path: Path, lines: str) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "wgt9.conf").write_text(f"[Interface]\n{lines}\n")
    done = run("up", "./wgt9.conf", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path}/wgt9.conf:" in done.stderr
    assert MISTYPED[:20] not in done.stderr
    assert MISTYPED[20:40] not in done.stderr

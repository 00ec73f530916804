# SPDX-License-Identifier: MIT
"""`wg-quick check`, to the letter: its text, its JSON, its exit status, and on a terminal.

`tests/golden/quick_check` holds the file and what is said of it; after a deliberate change of
words, run `wg-quick check --ignore world-readable wg0.conf > wg0.txt` there, with --json for
wg0.json, and read the difference.
"""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from wgtools.cli import quick_check

HERE = Path(__file__).parent / "quick_check"
QUICK = str(Path(sys.executable).with_name("wg-quick"))
CHECK = [QUICK, "check", "--ignore", "world-readable"]
GOOD = (
    "[Interface]\nPrivateKey = SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs=\n"
    "Address = 10.0.0.1/24\nListenPort = 51820\n"
)


def check(*words: str, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHECK, *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_text() -> None:
    done = check("wg0.conf")
    assert done.stdout == (HERE / "wg0.txt").read_text()
    assert (done.returncode, done.stderr) == (1, "")


def test_the_json_says_the_same() -> None:
    done = check("--json", "wg0.conf")
    assert done.stdout == (HERE / "wg0.json").read_text()
    record = json.loads(done.stdout)
    assert next(iter(record)) == "format_version"
    text = (HERE / "wg0.txt").read_text()
    for finding in record["files"][0]["findings"]:
        assert f"{finding['message']} [{finding['code']}]" in text
        assert finding["hint"] in text


@pytest.mark.parametrize(
    ("more", "status"),
    [("", 0), ("MTU = 1280\nMTU = 1281\n", 2), ("MTU = 1\n", 1)],
    ids=["clean", "warning", "error"],
)
def test_exit_statuses(tmp_path: Path, more: str, status: int) -> None:
    path = tmp_path / "wg0.conf"
    path.touch(mode=0o600)
    path.write_text(GOOD + more)
    assert check(str(path)).returncode == status
    assert check(str(path), str(HERE / "wg0.conf")).returncode == 1


def test_a_file_that_is_roots_says_who_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def closed(*_words: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(quick_check, "open", closed, raising=False)
    assert quick_check.run([str(tmp_path / "wg0.conf")], as_json=False, ignore=[]) == 1
    said = capfd.readouterr().out
    assert "cannot be read: Permission denied [unreadable]" in said
    assert "remedy: only root may: run this as root" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch.conf"], "nosuch.conf: error: cannot be read: No such file or directory"),
        ([str(HERE)], f"remedy: name the files in it: wg-quick check {HERE}/*.conf"),
        ([], "hint: wg-quick check --help tells what can be given"),
        (["--nonsense"], "hint: wg-quick check --help tells what can be given"),
    ],
)
def test_what_goes_wrong_is_told_with_status_1(words: list[str], said: str) -> None:
    done = check(*words)
    assert said in done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("verb", ["plan", "reload", "check", "status"])
def test_help_fits_80_columns_and_speaks_no_python(verb: str) -> None:
    done = subprocess.run(
        [QUICK, verb, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "INTERFACE" in done.stdout or "FILE" in done.stdout
    assert "Exit" in done.stdout
    assert "[[" not in done.stdout
    assert not re.search(r"<\w+|\bstr\b", done.stdout)


def on_a_terminal(**env: str) -> str:
    master, slave = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | env
    with subprocess.Popen([*CHECK, "wg0.conf"], cwd=HERE, stdout=slave, env=environment) as process:
        os.close(slave)
        text = b""
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # how a terminal says that nobody is left on the other side
                break
            if not piece:
                break
            text += piece
        process.wait(30)
    os.close(master)
    return text.decode().replace("\r\n", "\n")


def test_on_a_terminal_the_same_text_in_colour() -> None:
    text = on_a_terminal(TERM="xterm-256color")
    assert "\x1b[1;31m" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == (HERE / "wg0.txt").read_text()


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_is_honoured(env: dict[str, str]) -> None:
    text = on_a_terminal(**{"TERM": "xterm-256color", **env})
    assert text == (HERE / "wg0.txt").read_text()


@pytest.mark.parametrize(
    "verb", [["check", "wg0.conf"], ["check", "--json", "wg0.conf"], ["status"]]
)
def test_what_cannot_be_written_is_told(verb: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [QUICK, *verb], cwd=HERE, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == "wg-quick: writing to standard output: No space left on device\n"
    assert done.returncode == 1

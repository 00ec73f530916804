# SPDX-License-Identifier: MIT
"""What people see in addition, and how `wg` dies: needs terminals, but no namespaces."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tty
from pathlib import Path

import pytest

WG = Path(sys.executable).parent / "wg"


def stderr_of(*argv: str | Path, terminal: bool) -> str:
    """What the command says, its stderr being a terminal or a pipe."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    if terminal:
        tty.setraw(writer)
    environ = {**os.environ, "WG_ENDPOINT_RESOLUTION_RETRIES": "0"}
    done = subprocess.run([WG, *argv], stderr=writer, env=environ, check=False)
    said = os.read(reader, 1 << 16).decode()
    os.close(reader)
    os.close(writer)
    assert done.returncode == 1
    return said


@pytest.mark.parametrize(
    ("text", "fixed", "further"),
    [
        (
            "[Interface]\n  Address = 10.0.0.1/24\n",
            "Line unrecognized: `Address=10.0.0.1/24'\nConfiguration parsing error\n",
            "{file}:2:3: that is a setting of wg-quick; "
            "`wg-quick strip` prints the file without them\n",
        ),
        (
            "[Peer]\nListenPort=5\n",
            "Line unrecognized: `ListenPort=5'\nConfiguration parsing error\n",
            "{file}:2:1: this setting belongs under [Interface]\n",
        ),
        (
            "[Interface]\n\nListenPort =  x y\n",
            "Servname not supported for ai_socktype: `xy'\nConfiguration parsing error\n",
            "{file}:3:15\n",
        ),
        (
            "[Interface]\n[Peer]\n# no key\n",
            "A peer is missing a public key\nInvalid configuration\n",
            "{file}:2: give this [Peer] a `PublicKey = ...` line\n",
        ),
    ],
)
def test_place_and_hint_on_a_terminal_only(
    tmp_path: Path, text: str, fixed: str, further: str
) -> None:
    file = tmp_path / "wg0.conf"
    file.write_text(text)
    assert stderr_of("setconf", "wgt0", file, terminal=False) == fixed
    assert stderr_of("setconf", "wgt0", file, terminal=True) == fixed + further.format(file=file)


@pytest.mark.parametrize(
    ("words", "fixed", "further"),
    [
        (
            ("set", "wgt0", "pear", "x"),
            "Invalid argument: pear\n",
            "words that can stand here: listen-port, fwmark, private-key, peer\n",
        ),
        (
            ("set", "wgt0", "peer", "abc"),
            "Key is not the correct length or format: `abc'\n",
            "a public key is 44 characters of base64, the last of them =\n",
        ),
        (
            ("set", "wgt0", "private-key", "/no/such"),
            "fopen: No such file or directory\n",
            "the file that was named is /no/such\n",
        ),
        (
            ("setconf", "wgt0", "/no/such"),
            "fopen: No such file or directory\n",
            "the file that was named is /no/such\n",
        ),
    ],
)
def test_mistyped_arguments(words: tuple[str, ...], fixed: str, further: str) -> None:
    assert stderr_of(*words, terminal=False) == fixed
    assert stderr_of(*words, terminal=True) == fixed + further


def test_a_full_disk_is_told_to_people_only() -> None:
    """`wg genkey > key` leaves an empty file there, with the exit status that C `wg` has."""
    for terminal, told in ((False, b""), (True, b"standard output: No space left on device\n")):
        reader, writer = pty.openpty() if terminal else os.pipe()
        if terminal:
            tty.setraw(writer)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([WG, "genkey"], stdout=full, stderr=writer, check=False)
        assert done.returncode == 0
        os.write(writer, b"end")
        said = b""
        while not said.endswith(b"end"):  # a terminal hands over each write by itself
            said += os.read(reader, 1 << 16)
        assert said == told + b"end"
        os.close(reader)
        os.close(writer)


def test_interrupt_kills_without_a_word() -> None:
    with subprocess.Popen(
        [WG, "pubkey"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        # It reads its stdin only once it runs: a full pipe drains, then we know.
        process.stdin.write(b"5xOv8xoeXty874Ler/3ZrMurMzgi3CY/MKPxQroT3sY=" + b"\n" * (1 << 18))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
        assert process.stderr.read() == b""


def test_no_standard_streams_at_all() -> None:
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", str(WG)]
    assert subprocess.run([*closing, "genkey"], check=False).returncode == 0
    assert subprocess.run([*closing, "pubkey"], check=False).returncode == 1
    assert subprocess.run([*closing, "nonsense"], check=False).returncode == 1


def test_as_a_module_it_is_the_same_command() -> None:
    command = [sys.executable, "-m", "wgtools", "genkey", "superfluous"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Usage: ")


@pytest.mark.parametrize(
    ("settings", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),  # no-color.org: present and not empty
        ({"NO_COLOR": "1", "WG_COLOR_MODE": "always"}, True),
        ({"WG_COLOR_MODE": "never"}, False),
    ],
    ids=str,
)
def test_no_color_counts_unless_told_always(settings: dict[str, str], coloured: bool) -> None:
    script = (
        "from wgtools.cli import show; from wgtools.model import Device\n"
        "print(repr(show._pretty(Device('wg0'))))"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "WG_COLOR_MODE")}
    reader, writer = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", script], stdout=writer, env={**clean, **settings}, check=True
    )
    said = os.read(reader, 1 << 16).decode()
    os.close(reader)
    os.close(writer)
    assert "wg0" in said
    assert ("x1b[" in said) == coloured

# SPDX-License-Identifier: MIT
"""What README claims and names is so."""

import json
import re
from pathlib import Path

import pytest

import wgtools
from wgtools import ipc, library
from wgtools.errors import NoSuchInterface
from wgtools.keys import Key
from wgtools.model import Device, DeviceChange, PeerChange
from wgtools.testing.memory_backend import MemoryBackend

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PERFORMANCE = (ROOT / "docs/performance.md").read_text()
PEER = Key.from_base64(b"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
FILE = "[Interface]\nAddress = 10.0.0.1/24\n[Peer]\nPublicKey = " + PEER.base64() + "\n"
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.]*\d)")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The rows below the head, cell by cell."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


@pytest.mark.parametrize("vectors", ["wg", "wg_quick"])
def test_counts_of_recorded_cases(vectors: str) -> None:
    cases = json.loads((ROOT / f"tests/vectors/{vectors}.json").read_text())["cases"]
    command = vectors.replace("_", "-")
    assert re.search(rf"\b{len(cases)}(?: recorded cases)? of `{command}`", README)


def test_every_file_and_folder_named_is_there() -> None:
    code = re.findall(r"`((?:wgtools|backends|docs|tests|packaging|man)/[\w/.*-]+)", README)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert len(code) > 10
    assert len(links) > 3
    named = [path.rstrip("/") for path in (*code, *links)]
    assert [path for path in named if not [*ROOT.glob(path)]] == []


def test_where_things_are_is_told_with_whole_paths() -> None:
    rows = table(section("Where things are"))
    assert len(rows) > 8
    for _, where in rows:
        paths = re.findall(r"`([^`]+)`", where) + re.findall(r"\]\(([^)]+)\)", where)
        assert paths, where
        assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?make ([a-z]+)", README)) - {"network"} <= targets


def test_picture_shows_the_demo_and_fetches_nothing() -> None:
    svg = (ROOT / "docs/demo/demo.svg").read_text()
    for shown in ("wg-quick", "latest", "handshake", "transfer"):
        assert shown in svg
    assert "url(http" not in svg
    assert "@import" not in svg


def figure(cell: str) -> str:
    """The last number of a cell, names of programs aside."""
    numbers: list[str] = NUMBER.findall(re.sub("`[^`]*`", "", cell))
    return numbers[-1].replace(",", "") if numbers else ""


def span(number: str) -> tuple[float, float]:
    """What may have been rounded to it."""
    half = 0.5 * 10.0 ** -len(number.partition(".")[2])
    return float(number) - half, float(number) + half


def test_what_it_costs_was_measured() -> None:
    """Each figure is one of docs/performance.md, rounded at most; each ratio is that of its row."""
    measured = [float(number.replace(",", "")) for number in NUMBER.findall(PERFORMANCE)]
    rows = table(section("What it costs"))
    assert len(rows) >= 6
    for what, *cells in rows:
        ours, theirs, ratio = map(figure, cells)
        for number in filter(None, (ours, theirs)):
            low, high = span(number)
            assert [one for one in measured if low <= one <= high], f"{what}: {number}"
        if ratio:
            (a, b), (c, d), (low, high) = span(ours), span(theirs), span(ratio)
            assert (low <= b / c and a / d <= high) or (low <= d / a and c / b <= high), what


class Leaving(MemoryBackend):
    """Shakes hands at every look, and is taken away after some waiting."""

    looks = waits = 0

    def get(self, name: str) -> Device:
        if self.waits > 3:
            raise NoSuchInterface("No such device")
        self.looks += 1
        device = super().get(name)
        for peer in device.peers:
            peer.handshake_sec = self.looks
        return device

    def wait(self, _: float) -> None:
        self.waits += 1


def test_the_example_of_the_library_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```$", README)
    (tmp_path / "wg0.conf").write_text(FILE)
    backend = Leaving("wg0")
    backend.set("wg0", DeviceChange(peers=[PeerChange(PEER)]))
    monkeypatch.setattr(ipc, "backends", lambda: (backend,))
    monkeypatch.setattr(ipc, "_load", lambda _: backend)
    monkeypatch.setattr(library.watch, "__kwdefaults__", {"seconds": 1.0, "sleep": backend.wait})
    exec(compile(code.replace("/etc/wireguard", str(tmp_path)), "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert f"wg0 {PEER.base64()}" in said
    if ".watch(" in code:
        assert f"handshake {PEER.base64()}" in said
    used = set(re.findall(r"wgtools\.([a-zA-Z]\w*)", code))
    assert {"read", "interfaces", "device", "change", "watch"} <= used <= set(wgtools.__all__)
    (peer,) = MemoryBackend.get(backend, "wg0").peers
    assert peer.keepalive == 25
    assert len(code.splitlines()) <= 11  # ten, and an empty one

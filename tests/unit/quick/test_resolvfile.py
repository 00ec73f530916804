# SPDX-License-Identifier: MIT
"""The managed block of /etc/resolv.conf: what is in force, and the way back to the byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wgtools.quick.apply import NotInForce
from wgtools.quick.dns import resolvfile
from wgtools.quick.dns.resolvfile import Contents

BEFORE = b"# mine\nnameserver 192.0.2.1\nsearch lan\noptions edns0"


def in_force(data: bytes | None) -> list[str]:
    lines = (data or b"").decode().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def with_words(data: bytes | None, **words: str) -> bytes | None:
    for name, text in words.items():
        contents = Contents(data)
        contents.put(name, text.split())
        data = contents.render()
    return data


def without(data: bytes | None, *names: str) -> bytes | None:
    for name in names:
        contents = Contents(data)
        contents.take(name)
        data = contents.render()
    return data


def test_servers_of_the_tunnel_are_the_only_ones() -> None:
    data = with_words(BEFORE, wg0="10.0.0.53 fd00::53 corp.example ~ad.example")
    assert in_force(data) == [
        "nameserver 10.0.0.53",
        "nameserver fd00::53",
        "search corp.example",
        "options edns0",
    ]


def test_search_domains_alone_go_in_front_of_what_was_searched() -> None:
    data = with_words(BEFORE, wg0="corp.example lan")
    assert in_force(data) == ["search corp.example lan", "nameserver 192.0.2.1", "options edns0"]


def test_the_newest_tunnel_wins_and_they_may_leave_in_any_order() -> None:
    data = with_words(BEFORE, wg0="10.0.0.53 a.example", wg1="10.1.0.53")
    assert in_force(data)[0] == "nameserver 10.1.0.53"
    assert in_force(without(data, "wg1"))[:2] == ["nameserver 10.0.0.53", "search a.example"]
    assert in_force(without(data, "wg0"))[0] == "nameserver 10.1.0.53"
    assert without(data, "wg0", "wg1") == without(data, "wg1", "wg0") == BEFORE


def test_what_others_add_meanwhile_stays() -> None:
    data = with_words(BEFORE, wg0="10.0.0.53")
    assert data is not None
    assert without(b"# top\n" + data + b"\n# end\n", "wg0") == b"# top\n" + BEFORE + b"\n# end\n"


@given(
    st.none() | st.text("#nameservdohc .1\n\r\t", max_size=60).map(str.encode) | st.binary(),
    st.permutations(["wg0", "-x", "a+b="]),
)
@example(b"#wg-quick# nameserver 192.0.2.1\n", ["wg0", "-x", "a+b="])
def test_the_file_comes_back_to_the_byte(before: bytes | None, names: list[str]) -> None:
    data = with_words(before, **{"wg0": "1.1.1.1 x", "-x": "y", "a+b=": "::1"})
    assert without(data, *names) == before


def test_add_and_remove_go_through_a_link_and_keep_the_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "resolv.conf"
    real.write_bytes(BEFORE)
    real.chmod(0o664)
    link.symlink_to(real)
    resolvfile.add("wg0", ["10.0.0.53"], [], str(link))
    assert resolvfile.holds("wg0", str(link))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o664
    resolvfile.remove("wg0", str(link))
    assert real.read_bytes() == BEFORE
    assert not resolvfile.holds("wg0", str(link))
    resolvfile.remove("wg0", str(link))
    assert sorted(tmp_path.iterdir()) == [real, link]


def test_a_file_that_was_not_there_goes_again(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    resolvfile.add("wg0", ["10.0.0.53"], [], str(path))
    assert path.stat().st_mode & 0o777 == 0o644
    resolvfile.remove("wg0", str(path))
    assert not path.exists()


def test_a_write_in_place_that_was_cut_short_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolvfile, "DIRECTORY", str(tmp_path / "run"))
    path = tmp_path / "resolv.conf"
    path.write_bytes(with_words(BEFORE, wg0="10.0.0.53") or b"")
    monkeypatch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        resolvfile._write_in_place(str(path), BEFORE)
    monkeypatch.undo()
    monkeypatch.setattr(resolvfile, "DIRECTORY", str(tmp_path / "run"))
    assert path.read_bytes() != BEFORE
    resolvfile._recover(str(path))
    assert path.read_bytes() == BEFORE
    assert list((tmp_path / "run").iterdir()) == []


def test_nowhere_to_write_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotInForce, match="not in force") as caught:
        resolvfile.add("wg0", ["10.0.0.53"], [], str(tmp_path / "no" / "resolv.conf"))
    assert "systemd-resolved" in caught.value.hint

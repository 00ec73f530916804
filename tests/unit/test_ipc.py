# SPDX-License-Identifier: MIT
"""Who is asked about which name (WG_COMPAT 11)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from wgtools import ipc
from wgtools.errors import NoSuchInterface
from wgtools.model import DeviceChange
from wgtools.testing.memory_backend import MemoryBackend

if TYPE_CHECKING:
    from wgtools.ipc import Backend


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A platform with both kinds of devices; the names of backends as they are loaded."""
    seen: list[str] = []
    known = {
        "wgtools_backends.linux": MemoryBackend("kernel0", "both0", ""),
        "wgtools_backends.uapi": MemoryBackend("user0", "both0"),
    }

    def load(module: str) -> Backend:
        seen.append(module.rpartition(".")[2])
        return known[module]

    monkeypatch.setattr(ipc, "_load", load)
    monkeypatch.setattr(sys, "platform", "linux")
    return seen


def test_kernel_devices_come_first_and_names_in_both_come_twice(loaded: list[str]) -> None:
    assert ipc.list_devices() == ["kernel0", "both0", "user0", "both0"]


def test_a_daemon_wins_and_the_kernel_is_not_even_loaded(loaded: list[str]) -> None:
    ipc.set("both0", DeviceChange(listen_port=7))
    assert ipc.get("both0").listen_port == 7
    assert ipc.get("user0").name == "user0"
    assert set(loaded) == {"uapi"}


def test_who_exists_is_asked_of_the_daemons_first(loaded: list[str]) -> None:
    assert ipc.exists("both0")
    assert set(loaded) == {"uapi"}
    assert ipc.exists("kernel0")
    assert not ipc.exists("nosuch0")


def test_the_kernel_gets_what_no_daemon_has(loaded: list[str]) -> None:
    ipc.set("kernel0", DeviceChange(listen_port=7))
    assert ipc.get("kernel0").listen_port == 7
    with pytest.raises(NoSuchInterface):
        ipc.get("nosuch0")
    assert "linux" in loaded


def test_who_may_not_see_the_daemons_is_told_so_first(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryBackend, "hidden", "/var/run/wireguard", raising=False)
    for act in (lambda: ipc.get("nosuch0"), lambda: ipc.set("nosuch0", DeviceChange())):
        with pytest.raises(NoSuchInterface) as caught:
            act()
        assert caught.value.hint == "/var/run/wireguard is closed to this user: run this as root"


def test_without_kernel_devices_it_is_always_a_daemon(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ipc.list_devices() == ["user0", "both0"]
    with pytest.raises(NoSuchInterface):
        ipc.get("kernel0")
    assert set(loaded) == {"uapi"}


@pytest.mark.parametrize("module", ["wgtools_backends.uapi", "wgtools_backends.linux"])
def test_every_name_in_the_table_is_a_backend(module: str) -> None:
    backend = ipc._load(module)
    assert all(callable(getattr(backend, verb)) for verb in ("list", "exists", "get", "set"))


@pytest.mark.parametrize(
    ("platform", "module"),
    [
        ("linux", "wgtools_backends.linux"),
        ("freebsd", "wgtools_backends.freebsd"),  # since Python 3.14
        ("freebsd13", "wgtools_backends.freebsd"),
        ("openbsd7", "wgtools_backends.openbsd"),
        ("netbsd10", "wgtools_backends.netbsd"),
        ("win32", "wgtools_backends.windows"),
        ("darwin", None),
    ],
)
def test_each_system_has_its_backend_and_loads_only_that(
    platform: str, module: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def load(name: str) -> Backend:
        seen.append(name)
        return MemoryBackend()

    monkeypatch.setattr(ipc, "_load", load)
    monkeypatch.setattr(sys, "platform", platform)
    ipc.list_devices()
    assert sorted(seen) == sorted(filter(None, [module, "wgtools_backends.uapi"]))

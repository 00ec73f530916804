# SPDX-License-Identifier: MIT
"""wgtools: WireGuard's `wg` and `wg-quick`, and a WireGuard engine, in Python.

    import wgtools

    file = wgtools.read("/etc/wireguard/wg0.conf")
    for name in wgtools.interfaces():
        for peer in wgtools.device(name).peers:
            print(peer.public_key.base64(), peer.endpoint, peer.rx_bytes)
    for event in wgtools.watch("wg0"):
        print(event.what, event.public_key.base64())

Importing this package costs nothing: no name here pulls in another module until
it is asked for.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "AllowedIP",
    "ConfigError",
    "Device",
    "DeviceChange",
    "Endpoint",
    "Event",
    "HostPort",
    "Key",
    "NoSuchInterface",
    "Peer",
    "PeerChange",
    "WgError",
    "change",
    "device",
    "interfaces",
    "read",
    "watch",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.errors import ConfigError, NoSuchInterface, WgError
    from wgtools.keys import Key
    from wgtools.library import Event, change, device, interfaces, read, watch
    from wgtools.model import (
        AllowedIP,
        Device,
        DeviceChange,
        Endpoint,
        HostPort,
        Peer,
        PeerChange,
    )

_HOMES = {
    **dict.fromkeys(("ConfigError", "NoSuchInterface", "WgError"), "errors"),
    **dict.fromkeys(("Event", "change", "device", "interfaces", "read", "watch"), "library"),
    "Key": "keys",
}


if not TYPE_CHECKING:  # or it would accept any name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = f"{__name__}.{_HOMES.get(name, 'model')}"
        return getattr(__import__(home, fromlist=[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

# SPDX-License-Identifier: MIT
"""How a device looks: rows for scripts, indented text for people.

Text in, nothing out: `show` prints it.  Every byte is WG_COMPAT 8's.  Colour belongs to
the pretty form alone, and so does hiding keys.
"""

from __future__ import annotations

from wgtools.errors import WgError

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.keys import Key
    from wgtools.model import Device, Peer

__all__ = ["FIELDS", "UnknownField", "field", "pretty"]

_NONE = "(none)"


class UnknownField(WgError):
    """No such column."""


def field(device: Device, name: str, *, named: bool) -> str:
    """The rows of one field, or `dump`; `named` puts the device before each.

    Raises UnknownField.
    """
    rows = _ROWS.get(name)
    if rows is None:
        raise UnknownField(f"Invalid parameter: `{name}'")
    before = f"{device.name}\t" if named else ""
    return "".join([f"{before}{row}\n" for row in rows(device)])


def _key(key: Key | None) -> str:
    return _NONE if key is None else key.base64()


def _mark(fwmark: int) -> str:
    return f"{fwmark:#x}" if fwmark else "off"


def _networks(peer: Peer, separator: str) -> str:
    return separator.join(map(str, peer.allowed_ips)) or _NONE


def _per_peer(column: Callable[[Peer], str]) -> Callable[[Device], list[str]]:
    def rows(device: Device) -> list[str]:
        return [f"{peer.public_key.base64()}\t{column(peer)}" for peer in device.peers]

    return rows


def _dump(device: Device) -> list[str]:
    rows = [
        f"{_key(device.private_key)}\t{_key(device.public_key)}"
        f"\t{device.listen_port}\t{_mark(device.fwmark)}"
    ]
    rows += [
        f"{peer.public_key.base64()}\t{_key(peer.preshared_key)}\t{peer.endpoint or _NONE}"
        f"\t{_networks(peer, ',')}\t{peer.handshake_sec}\t{peer.rx_bytes}\t{peer.tx_bytes}"
        f"\t{peer.keepalive or 'off'}"
        for peer in device.peers
    ]
    return rows


_ROWS: dict[str, Callable[[Device], list[str]]] = {
    "public-key": lambda device: [_key(device.public_key)],
    "private-key": lambda device: [_key(device.private_key)],
    "listen-port": lambda device: [str(device.listen_port)],
    "fwmark": lambda device: [_mark(device.fwmark)],
    "peers": lambda device: [peer.public_key.base64() for peer in device.peers],
    "preshared-keys": _per_peer(lambda peer: _key(peer.preshared_key)),
    "endpoints": _per_peer(lambda peer: str(peer.endpoint or _NONE)),
    "allowed-ips": _per_peer(lambda peer: _networks(peer, " ")),
    "latest-handshakes": _per_peer(lambda peer: str(peer.handshake_sec)),
    "transfer": _per_peer(lambda peer: f"{peer.rx_bytes}\t{peer.tx_bytes}"),
    "persistent-keepalive": _per_peer(lambda peer: str(peer.keepalive or "off")),
    "dump": _dump,
}
FIELDS = tuple(_ROWS)


class _Palette:
    """The codes in use, or none of them."""

    __slots__ = ("bold", "cyan", "green", "red", "reset", "yellow")

    def __init__(self, colour: bool) -> None:
        self.reset = "\x1b[0m" if colour else ""
        self.bold = "\x1b[1m" if colour else ""
        self.red = "\x1b[31m" if colour else ""
        self.green = "\x1b[32m" if colour else ""
        self.yellow = "\x1b[33m" if colour else ""
        self.cyan = "\x1b[36m" if colour else ""


def pretty(device: Device, *, now: int, colour: bool, hide_keys: bool) -> str:
    """One device for people, peers by latest handshake."""
    # C `wg` paints always and strips codes afterwards, a name's own among them.
    strip = not colour and "\x1b" in device.name
    text = _pretty(device, _Palette(colour or strip), now, hide_keys)
    return _without_codes(text) if strip else text


def _pretty(device: Device, paint: _Palette, now: int, hide_keys: bool) -> str:
    bold, reset, green, yellow = paint.bold, paint.reset, paint.green, paint.yellow
    parts = [f"{reset}{green}{bold}interface{reset}: {green}{device.name}{reset}\n"]
    parts += [f"  {bold}{label}{reset}: {value}\n" for label, value in _settings(device, hide_keys)]
    # Never heard of goes last; sorting is stable, so ties keep the device's order.
    for peer in sorted(device.peers, key=lambda p: (-p.handshake_sec, -p.handshake_nsec)):
        key = peer.public_key.base64()
        parts.append(f"\n{yellow}{bold}peer{reset}: {yellow}{key}{reset}\n")
        parts += [
            f"  {bold}{label}{reset}: {value}\n"
            for label, value in _peer_settings(peer, paint, now, hide_keys)
        ]
    return "".join(parts)


def _secret(key: Key, hide_keys: bool) -> str:
    return "(hidden)" if hide_keys else key.base64()


def _settings(device: Device, hide_keys: bool) -> list[tuple[str, str]]:
    found = []
    if device.public_key is not None:
        found.append(("public key", device.public_key.base64()))
    if device.private_key is not None:
        found.append(("private key", _secret(device.private_key, hide_keys)))
    if device.listen_port:
        found.append(("listening port", str(device.listen_port)))
    if device.fwmark:
        found.append(("fwmark", f"{device.fwmark:#x}"))
    return found


def _peer_settings(peer: Peer, paint: _Palette, now: int, hide_keys: bool) -> list[tuple[str, str]]:
    found = []
    if peer.preshared_key is not None:
        found.append(("preshared key", _secret(peer.preshared_key, hide_keys)))
    if peer.endpoint is not None:
        found.append(("endpoint", str(peer.endpoint)))
    networks = _networks(peer, ", ")
    if paint.cyan:
        networks = networks.replace("/", f"{paint.cyan}/{paint.reset}")
    found.append(("allowed ips", networks))
    if peer.handshake_sec:
        found.append(("latest handshake", _ago(now - peer.handshake_sec, paint)))
    if peer.rx_bytes or peer.tx_bytes:
        received, sent = _size(peer.rx_bytes, paint), _size(peer.tx_bytes, paint)
        found.append(("transfer", f"{received} received, {sent} sent"))
    if peer.keepalive:
        found.append(("persistent keepalive", f"every {_time(peer.keepalive, paint)}"))
    return found


def _ago(seconds: int, paint: _Palette) -> str:
    if seconds == 0:
        return "Now"
    if seconds < 0:
        remark = "System clock wound backward; connection problems may ensue."
        return f"({paint.red}{remark}{paint.reset})"
    return _time(seconds, paint) + " ago"


_SPANS = (("year", 365 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def _time(seconds: int, paint: _Palette) -> str:
    parts = []
    for unit, span in _SPANS:
        number, seconds = divmod(seconds, span)
        if number:
            plural = "" if number == 1 else "s"
            parts.append(f"{number} {paint.cyan}{unit}{plural}{paint.reset}")
    return ", ".join(parts)


def _size(count: int, paint: _Palette) -> str:
    shown, unit = str(count), "B"
    for power, larger in enumerate(("KiB", "MiB", "GiB", "TiB"), 1):
        if count >= 1024**power:
            shown, unit = f"{count / 1024**power:.2f}", larger
    return f"{shown} {paint.cyan}{unit}{paint.reset}"


def _without_codes(text: str) -> str:
    """Take out every ESC [ up to and including the next ASCII letter."""
    first, *rest = text.split("\x1b[")
    kept = [first]
    for piece in rest:
        end = next((i for i, c in enumerate(piece) if c.isascii() and c.isalpha()), len(piece))
        kept.append(piece[end + 1 :])
    return "".join(kept)

# SPDX-License-Identifier: MIT
"""A device as a configuration file, the text of `wg showconf` (WG_COMPAT 9).

What `wgconf.parse` accepts.  Editing a file somebody else wrote is `document`'s business.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.model import Device, Peer

__all__ = ["write"]


def write(device: Device) -> str:
    """The file, keys in plain sight."""
    lines = ["[Interface]"]
    if device.listen_port:
        lines.append(f"ListenPort = {device.listen_port}")
    if device.fwmark:
        lines.append(f"FwMark = {device.fwmark:#x}")
    if device.private_key is not None:
        lines.append(f"PrivateKey = {device.private_key.base64()}")
    lines.append("\n")
    return "\n".join(lines) + "\n".join([_peer(peer) for peer in device.peers])


def _peer(peer: Peer) -> str:
    lines = ["[Peer]", f"PublicKey = {peer.public_key.base64()}"]
    if peer.preshared_key is not None:
        lines.append(f"PresharedKey = {peer.preshared_key.base64()}")
    if peer.allowed_ips:
        lines.append(f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}")
    if peer.endpoint is not None:
        lines.append(f"Endpoint = {peer.endpoint}")
    if peer.keepalive:
        lines.append(f"PersistentKeepalive = {peer.keepalive}")
    lines.append("")
    return "\n".join(lines)

# SPDX-License-Identifier: MIT
"""Fuzz targets: what the kernel says over netlink.

The kernel is no attacker, but it has versions: whatever comes is read or refused with a
WgError, never with a traceback.
"""

from __future__ import annotations

from wgtools.daemon.tun import linux
from wgtools.errors import WgError
from wgtools.quick import rtnetlink
from wgtools_backends.linux import dump, netlink


def replies(data: bytes) -> None:
    """A read of a generic netlink socket: dumps, errors, families, links."""
    spans = []
    try:
        for message in netlink.split(data):
            kind, _, _, _, start, end = message
            if kind in (2, 3):
                netlink.error_number(data, start, end)
                netlink.explanation(data, message)
                continue
            spans.append((data, start, end))
            netlink.family_number(data, start, end)
            netlink.link_name(data, start, end, kind=b"wireguard")
    except WgError:
        pass
    for some in (spans, [(data, 0, len(data))]):
        try:
            device = dump.device(b"wg0", some, zone_of=lambda index: str(index) * (index < 3))
        except WgError:
            continue
        assert all(0 <= net.length <= 255 for peer in device.peers for net in peer.allowed_ips)


def ears(data: bytes) -> None:
    """What the daemon and wg-quick hear from rtnetlink."""
    linux._messages(data)
    rtnetlink.decode_rule(data, 4)

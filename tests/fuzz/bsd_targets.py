# SPDX-License-Identifier: MIT
"""Fuzz targets: what the kernels of the BSDs answer.

As for netlink: whatever comes is read or refused with a WgError.
"""

from __future__ import annotations

from wgtools.errors import WgError
from wgtools_backends.freebsd import codec, nvlist


def freebsd(data: bytes) -> None:
    """A name/value list, as one and as a device."""
    try:
        packed = nvlist.pack(nvlist.unpack(data))
    except WgError:
        pass
    else:
        assert nvlist.pack(nvlist.unpack(packed)) == packed
    try:
        device = codec.device("wg0", data, zone_of=lambda index: str(index) * (index < 3))
    except WgError:
        return
    for peer in device.peers:
        assert all(net.length <= len(net.address) * 8 for net in peer.allowed_ips)

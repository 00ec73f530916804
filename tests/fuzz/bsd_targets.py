# SPDX-License-Identifier: MIT
"""Fuzz targets: what the kernels of the BSDs and of Windows answer.

As for netlink: whatever comes is read or refused with a WgError.
"""

from __future__ import annotations

from wgtools.errors import WgError
from wgtools.model import Device
from wgtools_backends.freebsd import codec, nvlist
from wgtools_backends.netbsd import codec as netbsd_codec
from wgtools_backends.openbsd import codec as openbsd_codec
from wgtools_backends.openbsd.layout import of
from wgtools_backends.windows import codec as windows_codec


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


def openbsd(data: bytes) -> None:
    """Structures, in whichever of the two layouts uses them up."""
    try:
        layout = openbsd_codec.layout_of(data, of("7.4"))
        device = openbsd_codec.device(b"wg0", data, layout, zone_of=str)
    except WgError:
        return
    _sound(device)


def netbsd(data: bytes) -> None:
    """A property list."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        state = netbsd_codec.state(b"wg0", text, public_key=bytes, zone_of=str)
    except WgError:
        return
    _sound(state.device)
    assert len(state.names) == len(state.device.peers)


def windows(data: bytes) -> None:
    """Structures of wireguard-nt."""
    try:
        _sound(windows_codec.device("wg0", data))
    except WgError:
        return


def _sound(device: Device) -> None:
    for peer in device.peers:
        assert all(0 <= net.length <= len(net.address) * 8 for net in peer.allowed_ips)

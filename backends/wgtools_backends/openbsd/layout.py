# SPDX-License-Identifier: MIT
"""Where OpenBSD's structures have their fields, for each kind of machine and kernel.

Pure, and no codec: sizes and offsets only (BSD_IPC 5.2, compiled).  Since OpenBSD 7.4 a
peer has a description; the numbers of the calls did not change with it, so a reader with
the wrong layout is told nothing.  Hence two layouts, and `of` to choose by the release.
"""

from __future__ import annotations

from wgtools_backends.bsd import layout as machines

__all__ = ["CLASSIC", "DESCRIBED", "PeerLayout", "of", "release_number"]

_FIRST_DESCRIBED = (7, 4)  # if_wg.h 1.5, June 2023
_UNHEARD_OF = (99, 0)


class PeerLayout:
    """struct wg_data_io, wg_interface_io, wg_peer_io and wg_aip_io of one kind of kernel on
    one kind of machine."""

    __slots__ = ("data_io", "described", "interface", "network", "peer", "slack")

    def __init__(self, *, described: bool, machine: machines.Layout = machines.NATIVE) -> None:
        self.described = described
        self.data_io = machine.struct("16sWW")  # name, size, interface: not FreeBSD's order
        wide, aligned = machine.word == 8, machine.align8 == 8
        # flags, port, rtable, public, private, peers_count
        self.interface = machine.struct("BxHi32s32sW" + ("4x" if aligned and not wide else ""))
        # flags, protocol_version, public, psk, keepalive, endpoint, tx, rx, last handshake in
        # seconds and nanoseconds, [description,] aips_count.
        nanoseconds = "q" if wide else "i4x" if aligned else "i"
        description = "64x" if described else ""
        self.peer = machine.struct(f"ii32s32sH2x28sQQq{nanoseconds}{description}W")
        self.network = machine.struct("B3xi16s")  # family, cidr, address
        # On 32-bit ARM allowed IPs begin before the end of the structure, which the kernel
        # counts whole where it reckons sizes.
        self.slack = -self.peer.size % machine.align8


CLASSIC = PeerLayout(described=False)  # OpenBSD 6.8 to 7.3
DESCRIBED = PeerLayout(described=True)


def release_number(release: str) -> tuple[int, int]:
    """`7.4` as numbers that compare; what is no release of OpenBSD counts as a new one."""
    major, _, minor = release.partition(".")
    digit = minor[:1]  # after 6.9 came 7.0
    if not (major.isascii() and major.isdigit() and digit.isascii() and digit.isdigit()):
        return _UNHEARD_OF
    return int(major[:4]), int(digit)


def of(release: str) -> tuple[PeerLayout, PeerLayout]:
    """The layouts to try on a kernel that calls itself `release`, the likelier first."""
    described = release_number(release) >= _FIRST_DESCRIBED
    return (DESCRIBED, CLASSIC) if described else (CLASSIC, DESCRIBED)

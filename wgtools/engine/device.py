# SPDX-License-Identifier: MIT
"""Engine: one WireGuard device as a value that is told things and asked for things.

The facade of the package: every public call of the contract in docs/architecture.md
arrives here.  No clock, no chance, no socket.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from wgtools.engine.events import Drop, Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.engine.events import Address, Buffer, Now, Sticky
    from wgtools.model import Device, DeviceChange

__all__ = ["Engine"]


class Engine:
    """One WireGuard device.

    `entropy(n)` returns n random bytes and is the only source of chance.  `mtu` is the
    inner MTU (padding never grows a packet past it).  An engine starts up; one whose
    interface is down is made with `up=False`.
    """

    counters: Counter[Drop]  # everything that was thrown away, by reason

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        *,
        mtu: int = 1420,
        up: bool = True,
        coalesce_udp: bool = False,
    ) -> None:
        self.counters = Counter()

    def configure(self, change: DeviceChange, now: Now) -> None:
        """Apply a change, all of it or nothing.

        Raises EngineError for a caller's mistake: an endpoint that is a HostPort or not a
        numeric address (an IPv6 zone must be a number: `fe80::1%3`), a number out of range.
        """
        raise NotImplementedError

    def snapshot(self, name: str = "") -> Device:
        """What `wg show` sees.  IPv6 zones are numbers."""
        raise NotImplementedError

    def set_mtu(self, mtu: int) -> None:
        """The interface's MTU has changed."""
        raise NotImplementedError

    def bring_up(self, now: Now) -> None:
        """The interface is up: persistent keepalives start.  Harmless when already up."""
        raise NotImplementedError

    def bring_down(self, now: Now) -> None:
        """The interface is down: timers stop, sessions and staged packets are forgotten."""
        raise NotImplementedError

    def datagrams_received(
        self, data: Buffer, size: int, address: Address, sticky: Sticky, now: Now
    ) -> None:
        """One buffer of UDP payload from `address`: datagrams of `size` bytes, the last
        perhaps shorter.  `sticky` comes back with every answer to that address."""
        raise NotImplementedError

    def frame_received(self, frame: bytearray | memoryview, now: Now) -> None:
        """One read of the TUN: a 10-byte virtio_net_hdr, an IP packet or super-packet, and
        16 spare bytes that belong to `frame` but not to the packet.  The frame is
        overwritten."""
        raise NotImplementedError

    def timer_due(self, now: Now) -> None:
        """Do whatever has come due.  Early or late is harmless."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """When to call `timer_due`, on the clock of `now.mono`; None if nothing waits."""
        raise NotImplementedError

    def outgoing(self) -> Outgoing:
        """Everything to be sent since the last call; empty when called twice."""
        return Outgoing()

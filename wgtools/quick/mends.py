# SPDX-License-Identifier: MIT
"""The steps of `reload`: what differs, and the way back; and those for a device's own part.

Values, as quick/steps.py's; quick/mender.py carries them out, quick/reload.py orders
them.  A `Mend` pairs a step with the one that takes it back, since here an undo is
rarely a removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.keys import KEY_SIZE, Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.quick import drift, live, steps
from wgtools.quick.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgtools.model import Device, Peer
    from wgtools.quick.live import Reading

__all__ = [
    "AddressOff",
    "Amend",
    "Begin",
    "DropGuard",
    "Mend",
    "Rebuild",
    "Routes",
    "RoutesOff",
    "RoutesOn",
    "SetMTU",
    "device_steps",
    "leaving_steps",
    "mark_step",
    "routes_steps",
]

_NO_KEY = Key(bytes(KEY_SIZE))

Routes = tuple[tuple[str, int], ...]  # (network, table)


class Mend(Step):
    """A step, and the one that takes it back."""

    do: Step
    back: Step | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        return self.do.shown

    @property
    def undo(self) -> Step | None:
        return self.back

    @property
    def optional(self) -> bool:
        return self.do.optional

    @property
    def atomic(self) -> bool:
        return self.do.atomic


class Amend(Step):
    """What of the device differs, in one change.  Never shown: it holds keys."""

    name: str
    change: DeviceChange

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg syncconf {self.name} /dev/fd/63",)


class AddressOff(Step):
    name: str
    address: str

    @property
    def shown(self) -> tuple[str, ...]:
        family = 6 if ":" in self.address else 4
        return (f"ip -{family} address delete {self.address} dev {self.name}",)


class SetMTU(Step):
    name: str
    mtu: int

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"ip link set mtu {self.mtu} dev {self.name}",)


class RoutesOn(Step):
    """Those of them that are not there."""

    name: str
    routes: Routes

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(_route_words("add", self.name, route) for route in self.routes)


class RoutesOff(Step):
    name: str
    routes: Routes

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(_route_words("delete", self.name, route) for route in self.routes)


class Rebuild(Step):
    """First to be noted and so last to be undone: what undoing the rest may not bring back.

    The kernel drops routes with the last address of a family, and guards are made for
    the addresses there are.
    """

    name: str
    routes: Routes
    firewall: steps.AddFirewall | None = None


class DropGuard(Step):
    """The nftables table of one family; the other's stays."""

    name: str
    family: int

    @property
    def shown(self) -> tuple[str, ...]:
        return ("nft -f /dev/fd/63",)


class Begin(Step):
    """Nothing; there for its undo."""


def _route_words(verb: str, name: str, route: tuple[str, int]) -> str:
    network, table = route
    family = 6 if ":" in network else 4
    more = "" if table == drift.MAIN else f" table {table}"
    return f"ip -{family} route {verb} {network} dev {name}{more}"


def mark_step(name: str, now: int, wanted: int | None) -> list[Step]:
    if wanted is None or wanted == now:
        return []
    return [Mend(steps.SetMark(name, wanted), steps.SetMark(name, now))]


def routes_steps(name: str, routes: Iterable[tuple[str, int]], *, on: bool) -> list[Step]:
    some = tuple(sorted(routes))
    if not some:
        return []
    return (
        [Mend(RoutesOn(name, some), RoutesOff(name, some))]
        if on
        else [Mend(RoutesOff(name, some), RoutesOn(name, some))]
    )


def device_steps(name: str, reading: Reading) -> list[Step]:
    """Keys, port, and the peers that stay or come; those that go wait for the end."""
    now, wanted = reading.live, reading.wanted
    forward, back = DeviceChange(), DeviceChange()
    for one in drift.device_differences(now, wanted):
        if one.subject == "private key":
            forward.private_key = wanted.change.private_key
            back.private_key = now.device.private_key or _NO_KEY
        elif one.subject == "listen port":
            forward.listen_port, back.listen_port = (
                wanted.change.listen_port,
                now.device.listen_port,
            )
    running = {peer.public_key: peer for peer in now.device.peers}
    in_file = drift.merged(wanted.change.peers)
    for one in drift.peer_differences(now.device, wanted):
        key = Key.from_base64(one.name.encode())
        if one.action == drift.REMOVE:
            # What it loses to others comes back with their undo.
            back.peers.append(_restored(running[key], {"allowed ips"}))
            continue
        fields = {each.name for each in one.fields}
        forward.peers.append(_change(in_file[key], fields, reading))
        back.peers.append(
            _restored(running[key], fields) if key in running else PeerChange(key, remove=True)
        )
    back.peers.sort(key=lambda peer: not peer.remove)  # first those that came
    if forward == DeviceChange():
        return []
    return [Mend(Amend(name, forward), Amend(name, back))]


def leaving_steps(name: str, reading: Reading) -> list[Step]:
    device: Device = reading.live.device
    gone = {
        one.name
        for one in drift.peer_differences(device, reading.wanted)
        if one.action == drift.REMOVE
    }
    if not gone:
        return []
    peers = [peer for peer in device.peers if peer.public_key.base64() in gone]
    everything = {"preshared key", "endpoint", "allowed ips", "persistent keepalive"}
    forward = DeviceChange(peers=[PeerChange(peer.public_key, remove=True) for peer in peers])
    back = DeviceChange(peers=[_restored(peer, everything) for peer in peers])
    return [Mend(Amend(name, forward), Amend(name, back))]


def _change(wanted: PeerChange, fields: set[str], reading: Reading) -> PeerChange:
    """Only what differs: a peer keeps its session through all of it."""
    key = wanted.public_key
    change = PeerChange(key)
    if "preshared key" in fields:
        change.preshared_key = wanted.preshared_key or _NO_KEY
    if "endpoint" in fields:
        change.endpoint = live.first(reading.wanted.endpoints[key], wanted.endpoint)
    if "persistent keepalive" in fields:
        change.keepalive = wanted.keepalive or 0
    if "allowed ips" in fields:
        owned = drift.owners(reading.wanted.change.peers)
        change.replace_allowed_ips = True
        change.allowed_ips = [AllowedIP.parse(n) for n, owner in owned.items() if owner == key]
    return change


def _restored(peer: Peer, fields: set[str]) -> PeerChange:
    change = PeerChange(peer.public_key)
    if "preshared key" in fields:
        change.preshared_key = peer.preshared_key or _NO_KEY
    if "endpoint" in fields:
        change.endpoint = peer.endpoint
    if "persistent keepalive" in fields:
        change.keepalive = peer.keepalive
    if "allowed ips" in fields:
        change.replace_allowed_ips = True
        change.allowed_ips = list(peer.allowed_ips)
    return change

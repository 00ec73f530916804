# SPDX-License-Identifier: MIT
"""`reload` on FreeBSD, OpenBSD and macOS: keys, port and peers of a running interface.

Sessions of peers that stay go on.  What stands around WireGuard - addresses, MTU, routes,
name servers - is left as it is, and told when a change would want more of it; on Linux
quick/reload.py mends that too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools import ipc
from wgtools.conf import diff
from wgtools.errors import WgError
from wgtools.model import DeviceChange
from wgtools.quick import drift, files, live
from wgtools.quick.interrupts import interrupts
from wgtools.quick.lock import exclusive
from wgtools.quick.systems.here import host_of
from wgtools.quick.systems.up import judged
from wgtools.resolve import Resolver, resolve

if TYPE_CHECKING:
    from wgtools.model import Device
    from wgtools.quick.drift import Difference, Wanted
    from wgtools.quick.files import Target
    from wgtools.quick.updown import Talk

__all__ = ["reload"]


def reload(target: Target, talk: Talk) -> list[Difference]:
    """What was changed.  Raises WgError."""
    name = target.name
    config = files.load(target)
    host = host_of(target, config, talk)
    checked = judged(config, host.system, host.facts)
    for warning in checked.warnings:
        talk.warn(warning)
    known, remarks = live.endpoints(live.Subject(target, config, checked, None))
    for remark in remarks:
        talk.warn(remark)
    with interrupts.noted(), exclusive(name):
        real = host.real_name(name)
        if not real or not ipc.exists(real):
            hint = f"to bring it up, type: wg-quick up {name}"
            raise WgError(f"`{name}' is not up", hint=hint)
        device = ipc.get(real)
        wanted = drift.Wanted(
            change=checked.change,
            endpoints={key: frozenset(found) for key, found in known.items()},
            addresses=(),
            mtu=None,
            routing=None,
            hooks=" ".join(h.text.lower() for some in config.hooks.values() for h in some),
            own=drift.own_key(device, checked.change),
        )
        for remark in drift.remarks(wanted.own):
            talk.warn(remark)
        found = differences(device, wanted)
        if found:
            change = smallest(device, wanted, found)
            resolve(change, Resolver(talk.say, sleep=interrupts.sleep))
            talk.echo(f"wg syncconf {real} {target.path}")
            ipc.set(real, change)
            _tell_of_routes(device, wanted, name, talk)
    return found


def differences(device: Device, wanted: Wanted) -> list[Difference]:
    """Between a device and its file; what lies around it is not looked at."""
    now = drift.Live(device, 0, frozenset(), frozenset(), (), None, None)
    return [*drift.device_differences(now, wanted), *drift.peer_differences(device, wanted)]


def smallest(device: Device, wanted: Wanted, found: list[Difference]) -> DeviceChange:
    """The change that mends just these: nothing is said of a peer that is as it should be."""
    file = wanted.change
    fields = {each.name: {field.name for field in each.fields} for each in found}
    peers = diff.difference(DeviceChange(peers=[*file.peers]), device).peers
    kept = [peer for peer in peers if peer.public_key.base64() in fields]
    for peer in kept:
        if "endpoint" not in fields[peer.public_key.base64()]:
            peer.endpoint = None  # the peer may have moved
    return DeviceChange(
        private_key=file.private_key,
        listen_port=file.listen_port or None,
        fwmark=file.fwmark,
        replace_peers=not file.peers,
        peers=kept,
    )


def _tell_of_routes(device: Device, wanted: Wanted, name: str, talk: Talk) -> None:
    before = {drift.canonical(n) for peer in device.peers for n in peer.allowed_ips}
    after = {drift.canonical(n) for peer in wanted.change.peers for n in peer.allowed_ips}
    if before != after:
        text = "routes stay as they are, and allowed IPs are no longer the same"
        talk.warn(WgError(text, hint=f"wg-quick down {name}, then wg-quick up {name}"))

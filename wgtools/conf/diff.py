# SPDX-License-Identifier: MIT
"""From what a file says to what must be sent: setconf and syncconf (WG_COMPAT 7).

`replacing` makes the file the whole truth.  `difference` is the gentle form: peers
that stay keep their sessions, because they are not removed first.
"""

from __future__ import annotations

from wgtools.keys import KEY_SIZE, Key
from wgtools.model import DeviceChange, PeerChange

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.model import Device, Peer

__all__ = ["difference", "replacing"]

_ZERO = Key(bytes(KEY_SIZE))


def replacing(wanted: DeviceChange) -> DeviceChange:
    """The change that leaves the device with `wanted` and nothing else."""
    return DeviceChange(
        private_key=wanted.private_key or _ZERO,
        listen_port=wanted.listen_port or 0,
        fwmark=wanted.fwmark or 0,
        replace_peers=True,
        peers=wanted.peers,
    )


def difference(wanted: DeviceChange, running: Device) -> DeviceChange:
    """The change that takes `running` to `wanted` without disturbing peers in both.

    Peers of `wanted` are amended in place.  A key that the device reports more than
    once counts as the file's only in its last entry; the others are removed, before the
    file's peer is sent again.  Of a key's entries in the file the first is amended.
    """
    change = replacing(wanted)
    if not wanted.peers or not running.peers:
        return change
    change.replace_peers = False
    in_file: dict[bytes, PeerChange] = {}
    for peer in wanted.peers:
        in_file.setdefault(bytes(peer.public_key), peer)
    last = {bytes(peer.public_key): peer for peer in running.peers}
    gone = []
    for peer_now in running.peers:
        name = bytes(peer_now.public_key)
        kept = in_file.get(name)
        if kept is not None and last[name] is peer_now:
            _clear_what_is_not_given(kept, peer_now)
        else:
            gone.append(name)
    gone.sort(reverse=True)
    removals = [PeerChange(Key(name), remove=True) for name in gone]
    change.peers = removals + wanted.peers
    return change


def _clear_what_is_not_given(wanted: PeerChange, running: Peer) -> None:
    if wanted.preshared_key is None and running.preshared_key is not None:
        wanted.preshared_key = _ZERO
    if wanted.keepalive is None and running.keepalive:
        wanted.keepalive = 0

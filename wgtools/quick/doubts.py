# SPDX-License-Identifier: MIT
"""What comes up, but can hardly be meant: told by `up`, without a place, in passing.  Pure.

Not the linter: `check` finds more, takes longer, and points at the line.
"""

from __future__ import annotations

from wgtools.errors import ConfigError, WgError

__all__ = ["Doubt", "doubts", "left_out"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.conf.quickfile import QuickFile
    from wgtools.model import AllowedIP, Device, DeviceChange


class Doubt(ConfigError):
    """A warning about something that the linter has words of its own for."""


def doubts(config: QuickFile, change: DeviceChange) -> list[ConfigError]:
    """In the order in which a person would look for them."""
    found: list[ConfigError] = []
    hooks = " ".join(hook.text for kind in config.hooks.values() for hook in kind)
    if change.private_key is None and "private-key" not in hooks.lower():
        hint = "make one with: wg genkey"
        text = "there is no PrivateKey, and without one no session begins"
        found.append(Doubt(text, file=config.name, hint=hint))
    shared = _shared(change)
    if shared:
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        text = f"{shared[0]}{more}: allowed IPs of two peers, and only the later gets them"
        hint = f"to see where, type: wg-quick check {config.name}"
        found.append(Doubt(text, file=config.name, hint=hint))
    return found


def _shared(change: DeviceChange) -> list[AllowedIP]:
    """Networks that one peer takes from another."""
    owners: dict[tuple[int, int, int], int] = {}
    found = []
    for number, peer in enumerate(change.peers):
        for network in peer.allowed_ips or ():
            if network.remove:
                continue
            size = len(network.address)
            prefix = int.from_bytes(network.address, "big") >> (size * 8 - network.length)
            if owners.setdefault((size, network.length, prefix), number) != number:
                found.append(network)
    return found


def left_out(device: Device, change: DeviceChange) -> list[WgError]:
    """What is to be said of a configured device that has not all peers: one was itself."""
    running = {peer.public_key for peer in device.peers}
    if all(peer.public_key in running for peer in change.peers):
        return []
    from wgtools.quick import drift

    return drift.remarks(drift.own_key(device, change))

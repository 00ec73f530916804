# SPDX-License-Identifier: MIT
"""Which peer owns an address: longest prefix wins (whitepaper section 2).

A dictionary for each prefix length in use, asked from the longest to the shortest: a lookup
costs as many questions as there are different lengths, whatever the number of entries.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["AllowedIPs"]

Owner = TypeVar("Owner")


class AllowedIPs(Generic[Owner]):
    """Networks of both families, each owned by one peer."""

    __slots__ = ("_networks", "_owned", "_steps")

    def __init__(self) -> None:
        # By address size: {shift: {address >> shift: owner}}, and its items, longest first.
        self._networks: dict[int, dict[int, dict[int, Owner]]] = {4: {}, 16: {}}
        self._steps: dict[int, list[tuple[int, dict[int, Owner]]]] = {4: [], 16: []}
        # A peer's networks in the order they were given to it, as `wg show` lists them.
        self._owned: dict[Owner, dict[tuple[bytes, int], None]] = {}

    def lookup(self, address: bytes) -> Owner | None:
        """The owner of the most specific network that holds `address`."""
        value = int.from_bytes(address, "big")
        for shift, table in self._steps[len(address)]:
            owner = table.get(value >> shift)
            if owner is not None:
                return owner
        return None

    def insert(self, address: bytes, length: int, owner: Owner) -> None:
        """Give a network to `owner`, taking it from whoever had it.  Host bits are ignored."""
        network, size, shift, prefix = _network(address, length)
        table = self._networks[size].get(shift)
        if table is None:
            table = self._networks[size][shift] = {}
            self._reorder(size)
        previous = table.get(prefix)
        if previous is not None:
            self._owned[previous].pop((network, length), None)
        table[prefix] = owner
        self._owned.setdefault(owner, {})[network, length] = None

    def remove(self, address: bytes, length: int, owner: Owner) -> None:
        """Take a network from `owner`, if it has it."""
        network, size, shift, prefix = _network(address, length)
        table = self._networks[size].get(shift, {})
        if table.get(prefix) is owner:
            self._delete(size, shift, prefix)
            self._owned[owner].pop((network, length), None)

    def remove_all(self, owner: Owner) -> None:
        """Take every network from `owner`."""
        for address, length in self._owned.pop(owner, {}):
            _, size, shift, prefix = _network(address, length)
            self._delete(size, shift, prefix)

    def of(self, owner: Owner) -> list[tuple[bytes, int]]:
        """The networks of `owner`: (address, length), oldest first."""
        return list(self._owned.get(owner, ()))

    def _delete(self, size: int, shift: int, prefix: int) -> None:
        table = self._networks[size][shift]
        del table[prefix]
        if not table:
            del self._networks[size][shift]
            self._reorder(size)

    def _reorder(self, size: int) -> None:
        self._steps[size] = sorted(self._networks[size].items())


def _network(address: bytes, length: int) -> tuple[bytes, int, int, int]:
    """(address without host bits, its size, bits to shift out, what remains)."""
    size = len(address)
    shift = size * 8 - length
    prefix = int.from_bytes(address, "big") >> shift
    return (prefix << shift).to_bytes(size, "big"), size, shift, prefix

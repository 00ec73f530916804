# SPDX-License-Identifier: MIT
"""How many handshakes may cost us work: per source, and in all.

A token bucket kept as one number, the moment at which it will be full again (the generic
cell rate algorithm).  Memory is bounded and every question costs the same, whatever the
addresses claim to be.
"""

from __future__ import annotations

from wgtools.engine.constants import (
    HANDSHAKES_PER_SECOND,
    LIMIT_BURST,
    LIMIT_PER_SECOND,
    LIMIT_SOURCES,
)

__all__ = ["LoadMeter", "ProvedLimiter", "SourceLimiter", "source_of"]

_GENERATION = 1.0  # seconds; longer than any bucket needs to fill


def source_of(host: bytes) -> bytes:
    """Who counts as one source: an IPv4 address, or the /64 an IPv6 host can choose from."""
    return host[:8]


def _site_of(source: bytes) -> bytes:
    """Who could have many sources: an IPv4 /24, or the /48 that one IPv6 site gets."""
    return source[:3] if len(source) == 4 else source[:6]


class SourceLimiter:
    """A token bucket for each source, forgotten within two seconds of silence."""

    __slots__ = ("_interval", "_new", "_old", "_slack", "_turned")

    def __init__(self, rate: float = LIMIT_PER_SECOND, burst: int = LIMIT_BURST) -> None:
        self._interval = 1.0 / rate
        self._slack = (burst - 1) / rate
        self._new: dict[bytes, float] = {}
        self._old: dict[bytes, float] = {}
        self._turned = 0.0

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def has_room(self, source: bytes, mono: float) -> bool:
        """Whether `source` is known or can be added to those that are."""
        self._turn(mono)
        return len(self._new) < LIMIT_SOURCES or source in self._new

    def _turn(self, mono: float) -> None:
        if mono - self._turned >= _GENERATION:
            stale = mono - self._turned >= 2 * _GENERATION
            self._old, self._new = {} if stale else self._new, {}
            self._turned = mono

    def allow(self, source: bytes, mono: float) -> bool:
        """Take one token, if there is one.  When too many sources are known, there is none."""
        self._turn(mono)
        full_at = self._new.get(source) or self._old.get(source, mono)
        if full_at - mono > self._slack:
            return False
        if len(self._new) >= LIMIT_SOURCES and source not in self._new:
            return False
        self._new[source] = max(full_at, mono) + self._interval
        return True


class ProvedLimiter:
    """A token bucket for each source that has proved its address.

    The owner of one /48 can prove 65,536 of them.  When there are more than we remember,
    newcomers share a bucket with their site, and if even sites are too many, one with all:
    who has filled the memory with his own is then alone with himself for as long as can be.
    """

    __slots__ = ("_all", "_sites", "_sources")

    def __init__(self) -> None:
        self._sources = SourceLimiter()
        self._sites = SourceLimiter()
        self._all = SourceLimiter(HANDSHAKES_PER_SECOND, burst=HANDSHAKES_PER_SECOND)

    def allow(self, source: bytes, mono: float) -> bool:
        """Take one token, if there is one."""
        if self._sources.has_room(source, mono):
            return self._sources.allow(source, mono)
        site = _site_of(source)
        if self._sites.has_room(site, mono):
            return self._sites.allow(site, mono)
        return self._all.allow(b"", mono)


class LoadMeter:
    """Whether more handshakes come than we care to compute.

    Counts only those that were taken up without proof of address, and forgets: a busy
    second is over one second after its end.
    """

    __slots__ = ("_heavy_until", "_limiter")

    def __init__(self, rate: float = HANDSHAKES_PER_SECOND) -> None:
        self._limiter = SourceLimiter(rate, burst=int(rate))
        self._heavy_until = float("-inf")

    def is_heavy(self, mono: float) -> bool:
        return mono < self._heavy_until

    def admit(self, mono: float) -> bool:
        """Count one; False if that was one too many, and load begins or goes on."""
        if self.is_heavy(mono):
            return False
        if self._limiter.allow(b"", mono):
            return True
        self._heavy_until = mono + 1.0  # as every implementation: load lasts a second
        return False

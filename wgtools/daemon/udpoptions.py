# SPDX-License-Identifier: MIT
"""What each system calls the socket options of UDP that we would like to have.

Numbers, and no socket.  The rule: a number of one system is never tried on another, where
it means something else: Linux's IP_PKTINFO is FreeBSD's IP_RETOPTS, which would put IP
options into every datagram.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from socket import IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET

__all__ = ["OPTIONS", "UDPOptions", "options_of"]

_Setting = tuple[int, int, int]  # level, option, value

_SOL_UDP = 17


@dataclass(frozen=True, slots=True)
class UDPOptions:
    """0 stands for what a system has not."""

    mark: int = 0
    probe_mark: _Setting | None = None  # harmless, and refused to those who may not mark
    four: tuple[_Setting, ...] = ()  # what an IPv4 socket is opened with
    six: tuple[_Setting, ...] = ()
    pktinfo4: int = 0  # a struct in_pktinfo comes in and answers
    address4: int = 0  # so does a struct in_addr
    pktinfo6: int = 0
    gro: int = 0
    segment: int = 0
    receive_buffer: int = 0  # past the limit that others are held to
    send_buffer: int = 0


# linux/in.h, linux/in6.h, linux/udp.h, asm-generic/socket.h.  Path MTU is found inside the
# tunnel: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER are 0, big datagrams are cut on the way.
_LINUX = UDPOptions(
    mark=36,
    probe_mark=(SOL_SOCKET, 36, 0),
    four=((IPPROTO_IP, 8, 1), (IPPROTO_IP, 10, 0)),
    six=((IPPROTO_IPV6, 49, 1), (IPPROTO_IPV6, 23, 0)),
    pktinfo4=8,
    pktinfo6=50,
    gro=104,
    segment=103,
    receive_buffer=33,
    send_buffer=32,
)

# netinet/in.h, netinet6/in6.h, sys/socket.h of each.  IP_RECVDSTADDR and IP_SENDSRCADDR
# are one number; IPV6_RECVPKTINFO is 36, on macOS 61.
_FREEBSD = UDPOptions(
    mark=0x1015,  # SO_USER_COOKIE, for ipfw
    probe_mark=(SOL_SOCKET, 0x1015, 0),
    four=((IPPROTO_IP, 7, 1),),
    six=((IPPROTO_IPV6, 36, 1),),
    address4=7,
    pktinfo6=46,
)
_OPENBSD = UDPOptions(
    mark=0x1021,  # SO_RTABLE: no probe, as 0 is a table like others and not that of our caller
    four=((IPPROTO_IP, 7, 1),),
    six=((IPPROTO_IPV6, 36, 1),),
    address4=7,
    pktinfo6=46,
)
_MACOS = UDPOptions(
    four=((IPPROTO_IP, 26, 1),),
    six=((IPPROTO_IPV6, 61, 1),),
    pktinfo4=26,
    pktinfo6=46,
)

_SYSTEMS = {"linux": _LINUX, "freebsd": _FREEBSD, "openbsd": _OPENBSD, "darwin": _MACOS}


def options_of(platform: str) -> UDPOptions:
    """Those of a `sys.platform`; none for a system that we know nothing of."""
    for prefix, options in _SYSTEMS.items():
        if platform.startswith(prefix):
            return options
    return UDPOptions()


OPTIONS = options_of(sys.platform)

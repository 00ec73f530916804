# SPDX-License-Identifier: MIT
"""Socket addresses as the BSDs have them: the first byte is the length (BSD_IPC 1.4).

Pure: the number of AF_INET6 is an argument, since each system has its own, and callables
turn the zones of IPv6 addresses into numbers and back.
"""

from __future__ import annotations

from struct import Struct

from wgtools.inet import PORT_MAX, ntop, scoped
from wgtools.model import Endpoint, HostPort

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AF_INET", "SIZE4", "SIZE6", "pack", "unpack"]

AF_INET = 2  # sys/socket.h of all of them

_SOCKADDR4 = Struct("=BB2s4s8x")  # sockaddr_in; the port is in network order
_SOCKADDR6 = Struct("=BB2sI16sI")  # sockaddr_in6; flowinfo, address, scope in host order
SIZE4, SIZE6 = _SOCKADDR4.size, _SOCKADDR6.size


def pack(endpoint: Endpoint | HostPort, *, inet6: int, scope_of: Callable[[str], int]) -> bytes:
    """The 16 or 28 bytes of an endpoint.  Raises ValueError for one that is not numeric or
    whose port does not fit."""
    if isinstance(endpoint, HostPort):
        raise ValueError("an endpoint must be resolved before it is set")
    packed, scope = scoped(endpoint.host, scope_of)
    if not 0 <= endpoint.port <= PORT_MAX:
        raise ValueError(f"a port is at most {PORT_MAX}, not {endpoint.port}")
    port = endpoint.port.to_bytes(2, "big")
    if len(packed) == 4:
        return _SOCKADDR4.pack(SIZE4, AF_INET, port, packed)
    if not 0 <= scope <= 0xFFFFFFFF:
        raise ValueError(f"not the number of an interface: {endpoint.host}")
    return _SOCKADDR6.pack(SIZE6, inet6, port, 0, packed, scope)


def unpack(data: bytes, *, inet6: int, zone_of: Callable[[int], str]) -> Endpoint | None:
    """The endpoint in `data`; None if it is of another family or not of 16 to 28 bytes.

    As C `wg` has it, the length byte says nothing, and an IPv6 address whose tail is
    missing ends in zeros.
    """
    if not SIZE4 <= len(data) <= SIZE6:
        return None
    if data[1] == AF_INET:
        _, _, port, address = _SOCKADDR4.unpack_from(data)
        return Endpoint(ntop(address), int.from_bytes(port, "big"))
    if data[1] != inet6:
        return None
    _, _, port, _, address, scope = _SOCKADDR6.unpack(data.ljust(SIZE6, b"\0"))
    host = ntop(address)
    if scope:
        # Link-local unicast and multicast show a name, as getnameinfo(3) has it.
        local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
        local = local or (address[0] == 0xFF and address[1] & 0x0F == 2)
        host += "%" + ((local and zone_of(scope)) or str(scope))
    return Endpoint(host, int.from_bytes(port, "big"))

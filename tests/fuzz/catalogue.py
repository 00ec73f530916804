# SPDX-License-Identifier: MIT
"""All fuzz targets by name, and for each what to begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.fuzz import (
    bsd_targets,
    life_targets,
    netlink_targets,
    network_targets,
    shell_targets,
    text_targets,
)
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.uapi.server import get_reply
from wgtools_backends.freebsd import codec as freebsd
from wgtools_backends.linux import codec, netlink
from wgtools_backends.netbsd import proplib
from wgtools_backends.openbsd import codec as openbsd
from wgtools_backends.openbsd.layout import CLASSIC, DESCRIBED
from wgtools_backends.windows import codec as windows

_KEY = Key(bytes(range(1, 33)))


@dataclass(frozen=True, slots=True)
class Target:
    """A function that raises for a fault, its seeds, and words worth putting in."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = ()


def _stories() -> tuple[bytes, ...]:
    """Any bytes are a story; long ones are the better ones."""
    random = Random(51820)
    return tuple(random.randbytes(length) for length in (50, 100, 200, 400, 800, 1600))


def _change() -> DeviceChange:
    networks = [AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("fd00::/64")]
    peers = [
        PeerChange(
            Key(bytes([n]) * 32),
            preshared_key=_KEY,
            endpoint=endpoint,
            keepalive=25,
            replace_allowed_ips=True,
            allowed_ips=networks,
        )
        for n, endpoint in ((1, Endpoint("192.0.2.1", 1)), (2, Endpoint("2001:db8::1", 2)))
    ]
    return DeviceChange(private_key=_KEY, listen_port=1, fwmark=2, replace_peers=True, peers=peers)


_FILE = b"""[Interface]
PrivateKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=
Address = 10.0.0.1/24, fd00::1/64
ListenPort = 51820
FwMark = 0x10
DNS = 192.0.2.53, example.org
MTU = 1420
Table = auto
PostUp = echo %i
SaveConfig = true

# a friend
[Peer]
PublicKey = QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=
PresharedKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=
AllowedIPs = 10.0.0.2/32, +fd00::2/128
Endpoint = [2001:db8::1]:51820
PersistentKeepalive = off
"""
_FILE_WORDS = (
    *(b"[Interface]\n", b"[Peer]\n", b"PublicKey=", b"AllowedIPs=", b"Endpoint=", b"off", b"-"),
    *(b"Address=", b"0x", b"/33", b"::/129", b"%", b"#", b"\r\n", b"\0", b"\xff", b"name:service"),
)
_WORDS = b"\0".join(
    (
        *(b"listen-port", b"1", b"fwmark", b"off", b"private-key", b"/dev/null", b"peer"),
        *(b"QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=", b"preshared-key", b"k", b"endpoint"),
        *(b"192.0.2.1:1", b"persistent-keepalive", b"25", b"allowed-ips", b"10.0.0.0/8,+::/0"),
        b"remove",
    )
)
_UAPI_WORDS = (
    *(b"set=1\n", b"get=1\n\n", b"\n\n", b"public_key=" + b"0b" * 32 + b"\n", b"remove=true\n"),
    *(b"allowed_ip=-::/0\n", b"endpoint=[fe80::1%9]:1\n", b"errno=0\n\n", b"errno=-9", b"9" * 30),
    *(b"private_key=" + b"00" * 32 + b"\n", b"update_only=true\n", b"replace_peers=true\n"),
)


def _uapi_request() -> bytes:
    key = b"0b" * 32
    return (
        b"set=1\nprivate_key=%s\nlisten_port=1\nfwmark=2\nreplace_peers=true\npublic_key=%s\n"
        b"preshared_key=%s\nendpoint=192.0.2.1:5\npersistent_keepalive_interval=7\n"
        b"replace_allowed_ips=true\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\nprotocol_version=1\n\n"
        b"get=1\n\n"
    ) % (key, b"0c" * 32, key)


def _uapi_reply() -> bytes:
    from wgtools.engine.device import Engine
    from wgtools.engine.events import Now
    from wgtools.testing.entropy import FakeEntropy

    engine = Engine(FakeEntropy(3))
    engine.configure(_change(), Now(0.0, 0))
    return b"".join(get_reply(engine.snapshot()))


def _dumps() -> tuple[bytes, ...]:
    """Requests have the shape of replies; that is good enough to begin with."""
    payloads = codec.change_payloads(b"wg0", _change(), scope_of=lambda _zone: 0)
    messages = tuple(netlink.message(40, 2, 1, payload) for payload in payloads)
    error = netlink.message(2, 0x300, 1, b"\xea\xff\xff\xff" + bytes(16) + b"\x08\0\x01\0no\0\0")
    link = netlink.message(16, 0, 1, bytes(16) + b"\x08\0\x03\0wg0\0")
    return (*messages, *payloads, error, link, error + link)


def _structures() -> tuple[bytes, ...]:
    """Requests of OpenBSD have the form of its replies."""
    return tuple(
        openbsd.change_bytes(_change(), layout, scope_of=int) for layout in (CLASSIC, DESCRIBED)
    )


def _change_of_windows() -> DeviceChange:
    change = _change()
    change.fwmark = None
    return change


def _properties() -> tuple[bytes, ...]:
    networks: list[proplib.Value] = [{"family": 2, "cidr": 8, "ip": bytes(4)}]
    peers: list[proplib.Value] = [
        {"public_key": bytes(_KEY), "name": "a", "allowedips": networks, "endpoint": bytes(16)}
    ]
    reply: dict[str, proplib.Value] = {"private_key": bytes(_KEY), "listen_port": 1, "peers": peers}
    return (proplib.dump(reply).encode(),)


def _lists() -> tuple[bytes, ...]:
    """Requests have the shape of replies here too."""
    request = freebsd.request(_change(), scope_of=lambda _zone: 0)
    # A list in a list and what else libnv knows: `a: {b: "c"}`, then two texts.
    inner = b"\x04\x02\0" + b"\x02" + bytes(7) + bytes(8) + b"b\0c\0" + b"\xff\1\0" + bytes(17)
    texts = b"\x0a\x02\0" + b"\x04" + bytes(7) + b"\x02" + bytes(7) + b"d\0x\0y\0"
    rest = inner + texts
    nested = b"\x05\x02\0" + b"\x01" + bytes(7) + bytes(8) + b"a\0"
    header = b"\x6c" + bytes(10)
    nested += header + len(rest).to_bytes(8, "little") + rest
    return request, header + len(nested).to_bytes(8, "little") + nested


TARGETS: dict[str, Target] = {
    "network": Target(network_targets.network, _stories()),
    "tun": Target(network_targets.tun, _stories()),
    "sockets": Target(shell_targets.sockets, _stories()),
    "life": Target(life_targets.life, _stories()),
    "uapi_server": Target(text_targets.uapi_server, (b"\7" + _uapi_request(),), _UAPI_WORDS),
    "control": Target(text_targets.control, (_uapi_request() * 3,), _UAPI_WORDS),
    "uapi_client": Target(text_targets.uapi_client, (b"\7" + _uapi_reply(),), _UAPI_WORDS),
    "configuration": Target(text_targets.configuration, (_FILE, _FILE * 2), _FILE_WORDS),
    "schema": Target(text_targets.schema, (_FILE,), _FILE_WORDS),
    "words": Target(text_targets.words, (_WORDS,), (b"\0", b"peer", b"allowed-ips", b"remove")),
    "netlink": Target(netlink_targets.replies, _dumps()),
    "freebsd": Target(bsd_targets.freebsd, _lists()),
    "openbsd": Target(bsd_targets.openbsd, _structures()),
    "netbsd": Target(bsd_targets.netbsd, _properties(), (b"<dict>", b"</dict>", b"<integer>")),
    "windows": Target(
        bsd_targets.windows, (windows.change_bytes(_change_of_windows(), scope_of=int),)
    ),
    "ears": Target(netlink_targets.ears, _dumps()),
}

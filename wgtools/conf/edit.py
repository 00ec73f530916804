# SPDX-License-Identifier: MIT
"""Editing a file that somebody wrote, so that it says what is running now.

Lines that already say it stay as they are; a changed value keeps its line's spelling,
spacing and comment; what is new goes below its like; what is gone takes only its own
lines.  Comments, order, host names of endpoints, hooks and everything unknown survive.

Pure: bytes in, bytes out.  `worth_keeping` says whether a file has anything that a
file written from scratch would lose.
"""

from __future__ import annotations

from wgtools.conf import values, wgconf
from wgtools.conf.document import Document, Line
from wgtools.conf.writer import write
from wgtools.errors import ConfigError
from wgtools.inet import pton
from wgtools.model import AllowedIP, Device, HostPort

__all__ = ["edited", "worth_keeping"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import Peer, PeerChange

_SPACE = b" \t\r\v\f"
_HOOKS = (b"preup", b"postup", b"predown", b"postdown")


def _key(raw: bytes) -> bytes:
    return raw.partition(b"#")[0].partition(b"=")[0].strip(_SPACE).lower()


def _value(raw: bytes) -> bytes:
    head, equals, tail = raw.partition(b"#")[0].partition(b"=")
    return (tail if equals else head).strip(_SPACE)


def _with_value(raw: bytes, value: bytes) -> bytes:
    """The line with another value; spacing and comment stay."""
    body, mark, comment = raw.partition(b"#")
    head, _, old = body.partition(b"=")
    lead = old[: len(old) - len(old.lstrip(_SPACE))]
    trail = old[len(old.rstrip(_SPACE)) :] if old.strip(_SPACE) else b""
    return head + b"=" + lead + value + trail + mark + comment


def worth_keeping(document: Document) -> bool:
    """Whether the file holds comments, or endpoints by name."""
    for line in document.lines:
        key = _key(line.raw)
        if b"#" in line.raw and key not in _HOOKS:
            return True
        if key == b"endpoint" and _host_name(_value(line.raw)):
            return True
    return False


def _host_name(value: bytes) -> bool:
    try:
        return HostPort.parse(value).numeric() is None
    except ConfigError:
        return False


class _Section:
    """A header (or none, at the top) and the lines up to the next one's leading comments."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines

    @property
    def kind(self) -> bytes:
        """`[interface]`, `[peer]`, or empty."""
        headers = [key for key in map(_key, self.lines) if key.startswith(b"[")]
        return headers[0] if headers else b""

    def find(self, key: bytes) -> list[int]:
        return [i for i, raw in enumerate(self.lines) if _key(raw) == key]

    def insert(self, raw: bytes, after: bytes = b"") -> None:
        """A new line: behind the last line with that key, else behind the last setting."""
        spots = self.find(after) if after else []
        if not spots:
            spots = [i for i, line in enumerate(self.lines) if _key(line)]
        at = max(spots, default=-1) + 1
        end = b"\r" if at and self.lines[at - 1].endswith(b"\r") else b""
        self.lines.insert(at, raw + end)

    def read(self) -> PeerChange | None:
        """What a peer's section says; None if wg(8) would not accept it."""
        document = Document(b"\n".join(self.lines))
        try:
            peers = wgconf.parse(document).peers
        except ConfigError:
            return None
        return peers[0] if peers else None


def _sections(document: Document) -> list[_Section]:
    """The file cut before each header, and before the comments right above it."""
    sections = [_Section([])]
    for line in document.lines:
        if _key(line.raw).startswith(b"["):
            lines = sections[-1].lines
            cut = len(lines)
            while cut and lines[cut - 1].lstrip(_SPACE).startswith(b"#"):
                cut -= 1
            if not any(map(_key, lines)):
                cut = 0
            sections.append(_Section(lines[cut:]))
            del lines[cut:]
        sections[-1].lines.append(line.raw)
    return sections


def edited(
    document: Document, device: Device, *, addresses: list[str], dns: list[str], mtu: int
) -> bytes:
    """The file brought to the running state; an MTU only where the file has one."""
    sections = _sections(document)
    interface = [section for section in sections if section.kind == b"[interface]"]
    if not interface:
        interface = [_Section([b"[Interface]"])]
        sections.insert(0, interface[0])
    _list(interface, "Address", addresses, _network)
    _list(interface, "DNS", dns, bytes)
    if any(section.find(b"mtu") for section in interface):
        _scalar(interface, "MTU", str(mtu), int)
    _device(interface, device)
    _peers(sections, device)
    result = Document(b"", document.name)
    result.lines = [Line(0, raw) for section in sections for raw in section.lines]
    result.newline_at_end = True
    return result.to_bytes()


def _device(interface: list[_Section], device: Device) -> None:
    port = str(device.listen_port) if device.listen_port else None
    _scalar(interface, "ListenPort", port, int)
    mark = f"{device.fwmark:#x}" if device.fwmark else None
    _scalar(interface, "FwMark", mark, values.fwmark)
    if device.private_key is not None:  # a file never loses its key
        _scalar(interface, "PrivateKey", device.private_key.base64(), values.key)


def _network(word: bytes) -> object:
    """An address in its one spelling; the word itself if it is none that we know."""
    host, _, length = word.partition(b"/")
    packed = pton(host.decode("latin-1"))
    if packed is None or not (length or b"0").isdigit():
        return word
    # int() balks at thousands of digits, and four are too many.
    return packed, int(length.lstrip(b"0")[:4] or b"0") if length else len(packed) * 8


def _same(raw: bytes, value: str | None, meaning: Callable[[bytes], object]) -> bool:
    """Whether two spellings mean the same; an absent value means zero."""
    try:
        return meaning(raw) == meaning(b"0" if value is None else value.encode())
    except (ConfigError, ValueError):
        return False


def _scalar(
    sections: list[_Section], spelled: str, value: str | None, meaning: Callable[[bytes], object]
) -> None:
    """Make the last line of that key mean `value` (None: nothing), and leave it if it does."""
    key = spelled.lower().encode()
    places = [(section, i) for section in sections for i in section.find(key)]
    if places:
        section, last = places[-1]
        raw = section.lines[last]
        if _same(_value(raw), value, meaning):
            return
        if value is not None:
            section.lines[last] = _with_value(raw, value.encode())
            return
        for owner, i in reversed(places):
            del owner.lines[i]
    elif value is not None:
        sections[0].insert(f"{spelled} = {value}".encode())


def _list(
    sections: list[_Section], spelled: str, wanted: list[str], meaning: Callable[[bytes], object]
) -> None:
    """Make all lines of that key together hold `wanted`, each item once."""
    key = spelled.lower().encode()
    missing = {meaning(word.encode()): word for word in wanted}
    owner = sections[0]
    for section in sections:
        for i in reversed(section.find(key)):
            words = _value(section.lines[i]).replace(b",", b" ").split()
            kept = [word for word in words if meaning(word) in missing]
            if not kept:
                del section.lines[i]
            elif kept != words:
                section.lines[i] = _with_value(section.lines[i], b", ".join(kept))
            owner = section if kept else owner
            for word in kept:
                missing.pop(meaning(word), None)
    for new in missing.values():
        owner.insert(f"{spelled} = {new}".encode("utf-8", "surrogateescape"), after=key)


def _peers(sections: list[_Section], device: Device) -> None:
    """Sections of peers that are gone go; those that stay are amended; new ones come last."""
    running = {bytes(peer.public_key): peer for peer in device.peers}
    for section in [section for section in sections if section.kind == b"[peer]"]:
        said = section.read()
        peer = running.pop(bytes(said.public_key), None) if said else None
        if said is None or peer is None:
            sections.remove(section)
        else:
            _amend(section, said, peer)
    if running and sections and sections[-1].lines and sections[-1].lines[-1].strip(_SPACE):
        sections[-1].lines.append(b"")
    if running:
        text = write(Device("", peers=[*running.values()])).removeprefix("[Interface]\n\n")
        sections.append(_Section(text.rstrip("\n").encode().split(b"\n")))


def _amend(section: _Section, said: PeerChange, peer: Peer) -> None:
    here = [section]
    shared = peer.preshared_key.base64() if peer.preshared_key else None
    if said.preshared_key != peer.preshared_key:
        _scalar(here, "PresharedKey", shared, values.key)
    if {*map(_masked, said.allowed_ips)} != {*map(_masked, peer.allowed_ips)}:
        for i in reversed(section.find(b"allowedips")[1:]):
            del section.lines[i]
        networks = ", ".join(map(str, peer.allowed_ips))
        _scalar(here, "AllowedIPs", networks or None, bytes)
    named = isinstance(said.endpoint, HostPort) and said.endpoint.numeric() is None
    if peer.endpoint and not named:
        _scalar(here, "Endpoint", str(peer.endpoint), _endpoint)
    keepalive = str(peer.keepalive) if peer.keepalive else None
    if (said.keepalive or 0) != peer.keepalive:
        _scalar(here, "PersistentKeepalive", keepalive, values.keepalive)


def _endpoint(raw: bytes) -> object:
    return HostPort.parse(raw).numeric()


def _masked(network: AllowedIP) -> tuple[int, int, int]:
    """Length and network bits: a file may have host bits where a device has none."""
    spare = len(network.address) * 8 - network.length
    return len(network.address), network.length, int.from_bytes(network.address, "big") >> spare

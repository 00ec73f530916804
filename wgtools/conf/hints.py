# SPDX-License-Identifier: MIT
"""What to tell a person whose configuration line was not understood.

Only for terminals: scripts see the fixed text alone (docs/decisions/0003).
"""

from __future__ import annotations

__all__ = ["hint"]

_INTERFACE = (b"listenport", b"fwmark", b"privatekey")
_PEER = (b"publickey", b"presharedkey", b"allowedips", b"endpoint", b"persistentkeepalive")
_QUICK = (
    b"address",
    b"dns",
    b"mtu",
    b"table",
    b"preup",
    b"postup",
    b"predown",
    b"postdown",
    b"saveconfig",
)
_STARTS = (
    (b"\xef\xbb\xbf", "the file begins with a byte-order mark: save it as UTF-8 without one"),
    (b";", "comments begin with #"),
    (b"[", "sections are [Interface] and [Peer]; a name can stand behind a #"),
)


def hint(text: bytes) -> str:
    """One sentence about a line without blanks and comments, or ""."""
    for start, advice in _STARTS:
        if text.startswith(start):
            return advice
    name, _, value = text.partition(b"=")
    name = name.lower()
    if name in _QUICK:
        return "that is a setting of wg-quick; `wg-quick strip` prints the file without them"
    section = "[Interface]" if name in _INTERFACE else "[Peer]" if name in _PEER else ""
    if section and value:
        return f"this setting belongs under {section}"
    return "expected KEY = VALUE" if not value else ""

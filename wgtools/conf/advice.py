# SPDX-License-Identifier: MIT
"""What to do about a line of a wg-quick file, and wg(8)'s fixed words in ones that say more.

For `check`, `up` and `wgtools.read`; conf/hints.py is for `wg`, which has fewer sections to
know.  Loaded for mistakes alone.  Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BOM",
    "NO_BOM",
    "PLAINLY",
    "SETTINGS",
    "advice_on",
    "lacks_equals",
    "plainly",
    "remedy",
    "similar",
    "spelled_out",
]

BOM = b"\xef\xbb\xbf"
NO_BOM = "save it as UTF-8 without one"

SETTINGS = {
    "[interface]": (
        *("PrivateKey", "ListenPort", "FwMark", "Address", "DNS", "MTU", "Table"),
        *("PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"),
    ),
    "[peer]": ("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"),
}
A_NETWORK = "write IP/LENGTH: 10.0.0.2/32"
# wg(8)'s fixed words (WG_COMPAT 17) -> what they mean
PLAINLY = {
    "Servname not supported": ("`{}' is not a port", "a port is a number from 0 to 65535"),
    "Unable to parse IP address": ("`{}' is not an IP address", A_NETWORK),
    "AllowedIP is not in the": ("`{}' is not a network", A_NETWORK),
    "Unable to find port of": ("`{}' has no port", "write HOST:PORT: vpn.example.org:51820"),
    "Unable to find matching": (
        "`{}' has no closing ]",
        "write [ADDRESS]:PORT: [2001:db8::1]:51820",
    ),
    "Fwmark is neither": ("`{}' is not a mark", "write off or a number up to 0xffffffff"),
    "Persistent keepalive interval": ("`{}' is not an interval", "off, or 1 to 65535 seconds"),
}


def plainly(message: str, hint: str, written: str) -> tuple[str, str]:
    """wg(8)'s message and what to do, in words that say more.  `written` is the line from the
    mistake on."""
    quoted = message.partition("`")[2].removesuffix("'")
    words = written.partition("#")[0].partition(",")[0].split()
    for start, (said, advice) in PLAINLY.items():
        if not message.startswith(start):
            continue
        if advice == A_NETWORK and not quoted:
            return "there is no network here", "take out the comma, or the line"
        if advice == A_NETWORK and len(words) > 1:
            return said.format(" ".join(words)), "put a comma between two networks"
        return said.format(quoted), hint or advice
    return message, hint


def remedy(message: str, row: bytes, before: Iterable[bytes]) -> str:
    """What to do about a line that wg(8)'s reader refused; "" if nothing is better known than
    what is said of it there.  `before` are the lines above it."""
    for start, (_, advice) in PLAINLY.items():
        if message.startswith(start):
            return advice
    text = row.partition(b"#")[0].decode("utf-8", "replace").strip()
    name, equals, value = (part.strip() for part in text.partition("="))
    if not message.startswith("Line unrecognized") or row.startswith(BOM):
        return ""
    if name.startswith("["):
        return similar(name, ("[Interface]", "[Peer]"))
    if not equals or not value:
        return spelled_out(name) if not equals or lacks_equals(name, value) else ""
    headers = [line.partition(b"#")[0].strip() for line in before]
    header = next((line for line in reversed(headers) if line.startswith(b"[")), b"")
    if not header:
        return "put a line [Interface] above it"
    return advice_on(name, header.decode("utf-8", "replace").lower())


def lacks_equals(name: str, value: str) -> bool:
    """Whether the `=` is only the end of a key: `PrivateKey: ...=`, with nothing behind it."""
    return not value and len(name.replace(":", " ").split()) > 1


def spelled_out(text: str) -> str:
    """How to write a line that has no `=`.  Not its value: that may be a key."""
    if text.startswith(("//", ";", "--", "/*", "!", "%")):
        return "a comment begins with #"
    word = text.replace(":", " ").split(maxsplit=1)[0] if text.strip(": ") else ""
    known = {name.lower(): name for names in SETTINGS.values() for name in names}
    if word.lower() in known:
        return f"write {known[word.lower()]} = VALUE"
    if word.lower() in ("interface", "peer"):
        return f"write [{word.title()}]"
    return "write KEY = VALUE"


def similar(name: str, choices: Iterable[str]) -> str:
    import difflib  # only for mistakes: `up` comes here too

    lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f"did you mean {lower[close[0]]}?" if close else ""


def advice_on(name: str, header: str) -> str:
    """A setting of the other section, or one that is spelled almost so."""
    for other, names in SETTINGS.items():
        if other != header and name.lower() in (n.lower() for n in names):
            return f"{name} belongs under {other.title()}"
    if close := similar(name, SETTINGS.get(header, ())):
        return close
    for other, names in SETTINGS.items():
        if close := similar(name, names):
            return f"{close} That belongs under {other.title()}"
    return f"there are: {', '.join(SETTINGS.get(header, ()))}"

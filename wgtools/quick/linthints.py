# SPDX-License-Identifier: MIT
"""Words of quick/lint.py for what is misspelt, or said by wg(8) in fewer.  Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PLAINLY", "SETTINGS", "advice_on", "similar"]

SETTINGS = {
    "[interface]": (
        *("PrivateKey", "ListenPort", "FwMark", "Address", "DNS", "MTU", "Table"),
        *("PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"),
    ),
    "[peer]": ("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"),
}
# wg(8)'s fixed words (WG_COMPAT 17) -> what they mean
PLAINLY = {
    "Servname not supported": ("`{}' is not a port", "a port is a number from 0 to 65535"),
    "Unable to parse IP address": ("`{}' is not an IP address", "write IP/LENGTH: 10.0.0.2/32"),
    "AllowedIP is not in the": ("`{}' is not a network", "write IP/LENGTH: 10.0.0.2/32"),
    "Unable to find port of": ("`{}' has no port", "write HOST:PORT: vpn.example.org:51820"),
    "Unable to find matching": (
        "`{}' has no closing ]",
        "write [ADDRESS]:PORT: [2001:db8::1]:51820",
    ),
    "Fwmark is neither": ("`{}' is not a mark", "write off or a number up to 0xffffffff"),
    "Persistent keepalive interval": ("`{}' is not an interval", "off, or 1 to 65535 seconds"),
}


def similar(name: str, choices: Iterable[str]) -> str:
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

# SPDX-License-Identifier: MIT
"""`wg-quick status [NAME]`: one screen about what quick/status.py saw.

Exit status (docs/decisions/0023): 0, or 1 when the named interface is not up.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from wgtools.cli import paper, quick_plan, streams
from wgtools.errors import WgError
from wgtools.quick import files, status
from wgtools.quick.refusals import not_wireguard

if TYPE_CHECKING:
    from wgtools.cli.paper import Row
    from wgtools.model import Device, Peer
    from wgtools.quick.status import Status

__all__ = ["ago", "run", "size"]

_ALIVE = 180  # seconds; whitepaper 6.1, REJECT_AFTER_TIME: no session is older
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MOST = 8  # differences shown here; `plan` shows all


def run(word: str, *, as_json: bool) -> int:
    name = files.locate(word).name if "/" in word else word
    found = [status.look(one) for one in ([name] if name else status.names())]
    if name and not found[0].up and found[0].journal in ("none", "unknown"):
        raise _not_up(word, name)
    if as_json:
        paper.emit_json({"interfaces": [_record(one) for one in found]})
    elif not found:
        paper.show([[("nothing is up", "")]])
    else:
        now = streams.now()
        rows: list[Row] = []
        for one in found:
            rows += [[]] if rows else []
            rows += _rows(one, now)
        paper.show(rows)
    return 1 if name and not found[0].up else 0


def _not_up(word: str, name: str) -> WgError:
    """What to type can only be told of what would work."""
    if status.is_another_kind(name):
        return not_wireguard(name, there=True)
    with contextlib.suppress(PermissionError):
        try:
            files.locate(word)
        except WgError as error:
            text = f"`{name}' is not up, and {error.message}"
            return WgError(text, hint=f"{error.hint}; to see what is up, type: wg-quick status")
    return WgError(f"`{name}' is not up", hint=f"to bring it up, type: wg-quick up {word}")


def _rows(one: Status, now: int) -> list[Row]:
    rows: list[Row] = [[(one.name, "bold"), ("  ", ""), _up(one)]]
    rows.append(_line("file", [(one.file or "none is known", "")]))
    if one.engine is not None:
        rows.append(_line("engine", [(_engine(one), "")]))
    rows.append(_line("journal", [_journal(one)]))
    if one.up:
        rows.append(_line("drift", [_drift(one)]))
    differences = one.differences or []
    rows += [[("   ", ""), *row] for row in quick_plan.difference_rows(differences[:_MOST])]
    if len(differences) > _MOST:
        rows.append([(f"     and {len(differences) - _MOST} more: {_typed('plan', one)}", "dim")])
    rows += [[("  ", ""), *row] for row in quick_plan.remark_rows(one.remarks)]
    if one.device is not None:
        device = one.device
        port = f", port {device.listen_port}" if device.listen_port else ""
        rows.append(_line("peers", [(f"{len(device.peers)}{port}", "")]))
        recent = sorted(device.peers, key=lambda p: -p.handshake_sec)
        silent = next((peer for peer in recent if _is_silent(peer)), None)
        for peer in recent:
            rows += _peer(peer, now)
            if peer is silent:
                rows += _silence(device)
    return rows


def _line(label: str, value: Row) -> Row:
    return [(f"  {label:<9}", "dim"), *value]


def _up(one: Status) -> tuple[str, str]:
    if one.up:
        return "up", "bold green"
    if one.journal == "left behind":
        return "gone, but not cleaned up", "bold red"
    return "down; nothing is left but the record of it", "bold"


def _engine(one: Status) -> str:
    engine = one.engine
    if engine is None or engine.kind == "kernel":
        return "the kernel's"
    pid = f", pid {engine.pid}" if engine.pid else ""
    if engine.kind == "embedded":
        return f"embedded ({engine.program}{pid})"
    if engine.kind == "unknown":
        return f"unknown: a userspace program that cannot be seen from here{pid}"
    return f"{engine.program} (userspace{pid})"


def _typed(verb: str, one: Status) -> str:
    return streams.spelled(f"wg-quick {verb} {one.name}")


def _journal(one: Status) -> tuple[str, str]:
    steps = f"{one.undo_steps} step" + ("" if one.undo_steps == 1 else "s")
    if one.journal == "kept":
        return f"in order: `down' has {steps} to undo", ""
    if one.journal == "left behind":
        return f"{steps} left behind; to clean up: {_typed('down', one)}", "bold red"
    if one.journal == "record only":
        return f"has nothing to undo; goes with the next `up', or: {_typed('down', one)}", "dim"
    if one.journal == "unknown":
        return "only root can read it", "dim"
    return "none: it was brought up by another program", "yellow"


def _drift(one: Status) -> tuple[str, str]:
    if one.differences is None:
        return "cannot be told", "dim"
    if not one.differences:
        return "none: as the file says", "green"
    number = len(one.differences)
    what = f"{number} difference" + ("" if number == 1 else "s")
    return f"{what}; to bring it to its file: {_typed('reload', one)}", "yellow"


def _peer(peer: Peer, now: int) -> list[Row]:
    """Two lines: with its key, one would not fit a terminal of 80 columns."""
    age = now - peer.handshake_sec
    style = "green" if peer.handshake_sec and age < _ALIVE else "yellow"
    said = f"handshake {ago(age)}" if peer.handshake_sec else "no handshake yet"
    traffic = f"{size(peer.rx_bytes)} in, {size(peer.tx_bytes)} out"
    return [
        [(f"    {peer.public_key.base64()}", "")],
        [(f"      {said}", style), (f", {traffic}, {peer.endpoint or 'no endpoint'}", "")],
    ]


def _is_silent(peer: Peer) -> bool:
    """Whether it was spoken to and has never said a word."""
    return bool(peer.tx_bytes and not peer.rx_bytes and not peer.handshake_sec)


def _silence(device: Device) -> list[Row]:
    """What to look at, once for all such peers: WireGuard itself never answers a stranger."""
    own = device.public_key
    rows: list[Row] = [[("      no answer: is the endpoint right, and UDP let through?", "yellow")]]
    if own is not None:
        text = f"      if so, it needs PublicKey = {own.base64()}"
        rows.append([(text, "yellow")])
    return rows


def ago(seconds: int) -> str:
    """About how long ago, in one unit."""
    for unit, span in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * span:
            return f"{seconds // span} {unit} ago"
    return f"{seconds} s ago" if seconds >= 0 else "in the future"


def size(count: int) -> str:
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def _record(one: Status) -> dict[str, Any]:
    engine, device = one.engine, one.device
    return {
        "interface": one.name,
        "up": one.up,
        "file": one.file or None,
        "engine": {"kind": engine.kind, "program": engine.program, "pid": engine.pid}
        if engine
        else None,
        "journal": {"state": one.journal, "steps": one.undo_steps},
        "differences": None
        if one.differences is None
        else quick_plan.difference_records(one.differences),
        "remarks": [{"message": each.message, "hint": each.hint} for each in one.remarks],
        "listen_port": device.listen_port if device else None,
        "peers": [_peer_record(peer) for peer in device.peers] if device else None,
    }


def _peer_record(peer: Peer) -> dict[str, Any]:
    return {
        "public_key": peer.public_key.base64(),
        "endpoint": str(peer.endpoint) if peer.endpoint else None,
        "allowed_ips": [str(network) for network in peer.allowed_ips],
        "latest_handshake": peer.handshake_sec or None,
        "received": peer.rx_bytes,
        "sent": peer.tx_bytes,
    }

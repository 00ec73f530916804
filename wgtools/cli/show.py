# SPDX-License-Identifier: MIT
"""`wg show`: which devices, and in which of the views (WG_COMPAT 8)."""

from __future__ import annotations

from wgtools import ipc
from wgtools.cli import streams, views
from wgtools.errors import AccessError, UsageError, WgError

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.model import Device

__all__ = ["show"]

_HELP = (b"-h", b"--help", b"help")


def show(program: str, words: list[bytes]) -> int:
    """Print one device, all of them, or their names."""
    usage = f"Usage: {program} show [NAME | all | interfaces] [{' | '.join(views.FIELDS)}]"
    if len(words) > 2 or (len(words) == 2 and words[0] == b"interfaces"):
        raise UsageError(usage)
    if len(words) == 1 and words[0] in _HELP:
        streams.err(usage)
        return 0
    which = words[0] if words else b"all"
    field = streams.text(words[1]) if len(words) == 2 else None
    if which == b"interfaces":
        return _interfaces()
    try:
        return _all(field) if which == b"all" else _one(streams.text(which), field)
    except views.UnknownField as error:
        streams.err(error.message)
        raise UsageError(usage) from error


def _interfaces() -> int:
    names = _list()
    if names:
        streams.out(" ".join(names) + "\n")
    return 0


def _one(name: str, field: str | None) -> int:
    try:
        device = ipc.get(name)
    except AccessError as error:
        raise WgError(f"Unable to access interface: {error.message}", hint=error.hint) from error
    streams.out(_pretty(device) if field is None else views.field(device, field, named=False))
    return 0


def _all(field: str | None) -> int:
    names = _list()
    readable = not names
    for number, name in enumerate(names, 1):
        try:
            device = ipc.get(name)
        except AccessError as error:
            streams.err(f"Unable to access interface {name}: {error.message}")
            streams.explain("", error.hint)
            continue
        readable = True
        if field is None:
            streams.out(_pretty(device) + ("\n" if number < len(names) else ""))
        else:
            streams.out(views.field(device, field, named=True))
    return 0 if readable else 1


def _list() -> list[str]:
    try:
        return ipc.list_devices()
    except AccessError as error:
        raise WgError(f"Unable to list interfaces: {error.message}", hint=error.hint) from error


def _pretty(device: Device) -> str:
    return views.pretty(
        device,
        now=streams.now(),
        colour=_wants_colour(),
        hide_keys=streams.setting(b"WG_HIDE_KEYS") != b"never",
    )


def _wants_colour() -> bool:
    mode = streams.setting(b"WG_COLOR_MODE")
    if mode in (b"always", b"never"):
        return mode == b"always"
    return streams.is_terminal() and not streams.setting(b"NO_COLOR")  # no-color.org

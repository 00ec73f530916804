# SPDX-License-Identifier: MIT
"""What the running interface would say as a file (WG_QUICK_COMPAT section 6).

`compose` is pure: the device, what the file had, and three facts about the host make
the text.  Writing it is quick/files.py's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.conf.quickfile import HOOKS
from wgtools.conf.writer import write
from wgtools.quick.plan import split_dns

if TYPE_CHECKING:
    from wgtools.conf.quickfile import QuickFile
    from wgtools.model import Device

__all__ = ["compose"]

_SPELLED = {"preup": "PreUp", "postup": "PostUp", "predown": "PreDown", "postdown": "PostDown"}


def compose(
    config: QuickFile, device: Device, *, addresses: list[str], servers: list[str], mtu: int
) -> bytes:
    """The whole file: wg-quick's keys first, then what `wg showconf` prints."""
    _, domains = split_dns(value.text for value in config.dns)
    lines = [f"Address = {address}" for address in addresses]
    lines += [f"DNS = {word}" for word in (*servers, *domains)]
    if config.mtu is not None:
        lines.append(f"MTU = {mtu}")
    if config.table is not None:
        lines.append(f"Table = {config.table.text}")
    if config.saves:
        lines.append("SaveConfig = true")
    for kind in HOOKS:
        lines += [f"{_SPELLED[kind]} = {hook.text}" for hook in config.hooks[kind]]
    head, _, rest = write(device).partition("\n")
    return "\n".join([head, *lines, rest]).encode("utf-8", "surrogateescape")

# SPDX-License-Identifier: MIT
"""What the running interface would say as a file (WG_QUICK_COMPAT section 6).

A file with comments, or with endpoints by name, is edited (conf/edit.py), so that it
keeps them and its order.  Any other is written as the original writes it.  Pure: the
device, the file and three facts about the host make the text; writing it is
quick/files.py's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.conf.edit import edited, worth_keeping
from wgtools.conf.quickfile import HOOKS, SPELLED
from wgtools.conf.writer import write
from wgtools.quick.plan import split_dns

if TYPE_CHECKING:
    from wgtools.conf.document import Document
    from wgtools.conf.quickfile import QuickFile
    from wgtools.model import Device

__all__ = ["saved"]


def saved(
    document: Document,
    config: QuickFile,
    device: Device,
    *,
    addresses: list[str],
    servers: list[str],
    mtu: int,
) -> bytes:
    """The new content.  Without `servers` (nobody could say) the file's own stay."""
    written, domains = split_dns(value.text for value in config.dns)
    dns = [*(servers or written), *domains]
    if worth_keeping(document):
        return edited(document, device, addresses=addresses, dns=dns, mtu=mtu)
    return _composed(config, device, addresses, dns, mtu)


def _composed(
    config: QuickFile, device: Device, addresses: list[str], dns: list[str], mtu: int
) -> bytes:
    """The whole file: wg-quick's keys first, then what `wg showconf` prints."""
    lines = [f"Address = {address}" for address in addresses]
    lines += [f"DNS = {word}" for word in dns]
    if config.mtu is not None:
        lines.append(f"MTU = {mtu}")
    if config.table is not None:
        lines.append(f"Table = {config.table.text}")
    if config.saves:
        lines.append("SaveConfig = true")
    for kind in HOOKS:
        lines += [f"{SPELLED[kind]} = {hook.text}" for hook in config.hooks[kind]]
    head, _, rest = write(device).partition("\n")
    return "\n".join([head, *lines, rest]).encode("utf-8", "surrogateescape")

# SPDX-License-Identifier: MIT
"""What to do when Linux refuses a step: by the step and the errno.  Pure.

Not the place for what the door to the system knows better: that writes its own hint.
Nothing loads this before something is wrong.
"""

from __future__ import annotations

import errno

from wgtools.quick import steps

__all__ = ["remedy"]

_OURS = (
    *(steps.MakeLink, steps.DeleteLink, steps.AddAddress, steps.LinkUp),
    *(steps.AddRoutes, steps.AddRule, steps.DeleteRule),
)
_TAKEN = (
    "another interface or the local network has that route (ip route shows whose): "
    "take the network out of the allowed IPs, or write Table = off"
)


def remedy(step: steps.Step, number: int) -> str:
    """One sentence, or nothing."""
    if number == errno.EPERM and isinstance(step, _OURS):
        return "this needs CAP_NET_ADMIN; in a container: --cap-add NET_ADMIN"
    if number == errno.EEXIST and isinstance(step, steps.AddRoutes):
        return _TAKEN
    if number == errno.EEXIST and isinstance(step, steps.AddAddress):
        return "the interface has it already, by another line or a hook: once is enough"
    return ""

# SPDX-License-Identifier: MIT
"""What FreeBSD, OpenBSD and NetBSD have in common: `layout` and `sockaddr` are pure bytes,
`control` is the socket on which ioctls are made.  No backend of its own; the rule is that
nothing here knows one system from another except by what it is told.
"""

from __future__ import annotations

__all__: list[str] = []

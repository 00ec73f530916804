# SPDX-License-Identifier: MIT
"""WireGuard itself: bytes, time and chance in; bytes, deadlines and events out.

`wgtools.engine.device.Engine` is the whole of it for a caller; `wgtools.engine.events`
holds what goes in and comes out.  Nothing in this package knows a socket, a clock or a
random source (docs/architecture.md, "The engine's contract").
"""

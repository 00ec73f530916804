# SPDX-License-Identifier: MIT
"""wgtools: WireGuard's `wg` and `wg-quick`, and a WireGuard engine, in Python.

Importing this package costs nothing: no name here pulls in another module until
it is asked for.
"""

__version__ = "0.1.0"

# SPDX-License-Identifier: MIT
"""What `down` and `save` refuse, in the same words on every system.

Apart from updown.py and systems/verbs.py, so that both say it and neither pays for it:
nothing here is loaded before something is wrong.
"""

from __future__ import annotations

from wgtools.errors import ConfigError, WgError
from wgtools.quick.check import ConfigErrors

__all__ = ["bad_save_config", "not_wireguard"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.conf.quickfile import Value


def bad_save_config(word: Value, file: str) -> ConfigErrors:
    """SaveConfig is the one word of a file that these verbs must understand."""
    message = f"`{word.text}' is neither true nor false"
    return ConfigErrors([ConfigError(message, file=file, line=word.line, column=word.column)])


def not_wireguard(name: str, *, there: bool) -> WgError:
    other = "it is there, but of another kind" if there else ""
    hint = other or "it is not up; to see what is, type: wg-quick status"
    return WgError(f"`{name}' is not a WireGuard interface", hint=hint)

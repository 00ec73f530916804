# SPDX-License-Identifier: MIT
"""Errors of Windows as the project's own.

Pure: numbers in, AccessError out.  Python maps Windows's error numbers to errnos only on
Windows, and not these; the few that matter are in a table.
"""

from __future__ import annotations

from errno import EACCES, EBUSY, EINVAL, EIO, ENODEV, ENOMEM, EOPNOTSUPP

from wgtools.errors import AccessError, NoSuchInterface

__all__ = [
    "ERROR_ACCESS_DENIED",
    "ERROR_BROKEN_PIPE",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_MORE_DATA",
    "ERROR_NO_MORE_ITEMS",
    "ERROR_PIPE_BUSY",
    "Win32Error",
    "translated",
]

# winerror.h
ERROR_INVALID_FUNCTION = 1
ERROR_FILE_NOT_FOUND = 2
ERROR_PATH_NOT_FOUND = 3
ERROR_ACCESS_DENIED = 5
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_NOT_SUPPORTED = 50
ERROR_INVALID_PARAMETER = 87
ERROR_BROKEN_PIPE = 109
ERROR_PIPE_BUSY = 231
ERROR_MORE_DATA = 234
ERROR_NO_MORE_ITEMS = 259
ERROR_NO_SUCH_DEVICE = 433
ERROR_NOT_FOUND = 1168

_ABSENT = (
    ERROR_FILE_NOT_FOUND,
    ERROR_PATH_NOT_FOUND,
    ERROR_NO_SUCH_DEVICE,
    ERROR_NOT_FOUND,
)
_ADMINISTRATOR = "this needs the rights of an administrator: run it from an elevated prompt"
_KNOWN = {
    ERROR_ACCESS_DENIED: (EACCES, "Permission denied", _ADMINISTRATOR),
    ERROR_INVALID_FUNCTION: (EOPNOTSUPP, "Operation not supported", ""),
    ERROR_NOT_SUPPORTED: (EOPNOTSUPP, "Operation not supported", ""),
    ERROR_NOT_ENOUGH_MEMORY: (ENOMEM, "Not enough space", ""),
    ERROR_INVALID_PARAMETER: (EINVAL, "Invalid argument", ""),
    ERROR_PIPE_BUSY: (EBUSY, "Device or resource busy", "another program is talking to it"),
    ERROR_MORE_DATA: (EBUSY, "Device or resource busy", "the device grew at each reading"),
}


class Win32Error(Exception):
    """A call into Windows failed; `code` is what GetLastError said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def translated(error: Win32Error) -> AccessError:
    """The project's own error for one of Windows."""
    if error.code in _ABSENT:
        hint = "`wg show interfaces` lists the interfaces there are"
        return NoSuchInterface("No such device", errno=ENODEV, hint=hint)
    number, message, hint = _KNOWN.get(error.code, (EIO, "Input/output error", ""))
    return AccessError(message, errno=number, hint=hint or f"Windows says: error {error.code}")

# SPDX-License-Identifier: MIT
"""Unpack a cpio archive in the current directory: `python3 cpio.py FILE`.

What rpm2cpio gives, in a root that has no cpio: the "new ASCII" format.
"""

import os
import stat
import sys


def main(path: str) -> None:
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while True:
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at = at + 110 + name_size + 3 & ~3
        if name == "TRAILER!!!":
            return
        place(name.removeprefix("./").lstrip("/"), mode, data[at : at + size])
        at = at + size + 3 & ~3


def place(name: str, mode: int, contents: bytes) -> None:
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    if stat.S_ISDIR(mode):
        os.makedirs(name, exist_ok=True)
    elif stat.S_ISLNK(mode):
        os.symlink(contents.decode(), name)
        return
    else:
        with open(name, "wb") as file:
            file.write(contents)
    os.chmod(name, stat.S_IMODE(mode))


if __name__ == "__main__":
    main(sys.argv[1])

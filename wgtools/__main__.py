# SPDX-License-Identifier: MIT
"""`python -m wgtools` is `wg`."""

from wgtools.cli.wg import main

if __name__ == "__main__":
    raise SystemExit(main())

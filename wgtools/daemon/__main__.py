# SPDX-License-Identifier: MIT
"""`python -m wgtools.daemon` is `wgtools-engine`: how wg-quick starts it without a PATH."""

import sys

from wgtools.daemon.main import main

if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""What is in `inside` only runs in the machine that test_machine.py starts."""

import os

collect_ignore = [] if os.environ.get("WGTOOLS_KERNEL_DEVICES") else ["inside"]

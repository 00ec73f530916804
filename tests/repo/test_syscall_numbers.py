# SPDX-License-Identifier: MIT
"""Our table of system call numbers is the one in the kernel's headers."""

import re
import shutil
import subprocess

import pytest

from wgtools.daemon.confine.numbers import ARCHITECTURES

HEADERS = {
    "x86_64": "#include <asm/unistd_64.h>",
    # The generic header leaves fstat and its like to each architecture; AArch64 has them.
    "aarch64": "#define __BITS_PER_LONG 64\n#define __ARCH_WANT_NEW_STAT\n"
    "#include <asm-generic/unistd.h>",
}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_are_those_of_the_headers(machine: str) -> None:
    ours = ARCHITECTURES[machine].numbers
    source = HEADERS[machine] + "".join(f"\nours {name} __NR_{name}" for name in ours)
    done = subprocess.run(
        ["gcc", "-E", "-P", "-"], input=source, capture_output=True, text=True, check=False
    )
    if "No such file" in done.stderr:
        pytest.skip("this machine has the headers of another architecture")
    found = re.findall(r"^ours (\w+) (\d+)$", done.stdout, re.MULTILINE)
    assert {name: int(number) for name, number in found} == ours

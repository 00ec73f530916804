# SPDX-License-Identifier: MIT
"""Every bug that others have already paid for has a test with its number.

`p` numbers: the 24 items of the pains study (a Rust engine's changelog and audit);
`a` numbers: the 31 items of the anchors study: 1 to 18 about the engine, to 23 about the
shell around it, to 31 about the tools.
"""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_item_has_its_test() -> None:
    named = {
        number
        for path in TESTS.rglob("test_*.py")
        for numbers in re.findall(r"^ *def test_((?:[pa]\d+_)+)", path.read_text(), re.M)
        for number in numbers.split("_")
    }
    wanted = {f"p{i}" for i in range(1, 25)} | {f"a{i}" for i in range(1, 32)}
    assert wanted - named == set()

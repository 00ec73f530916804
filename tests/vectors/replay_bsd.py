# SPDX-License-Identifier: MIT
"""Replays recordings of the BSDs' WireGuard calls: python tests/vectors/replay_bsd.py FILE...

Takes any file of the formats of freebsd_vectors.json, freebsd_malformed.json and
openbsd_vectors.json, whatever its cases are called, and runs our codecs and our `wg`
over every case in it.  What cannot be understood counts as failed.  Exit status 1 if
anything failed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

if not __package__:
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

_MODULES = {"freebsd": "tests.vectors.replay_freebsd", "openbsd": "tests.vectors.replay_openbsd"}


def system(document: Any) -> str:
    """Whose calls a document records; empty if that cannot be seen."""
    if not isinstance(document, dict):
        return ""
    cases = [case for value in document.values() if isinstance(value, list) for case in value]
    if not cases or not all(isinstance(case, dict) for case in cases):
        return ""
    if any("openbsd" in key for case in cases for key in case):
        return "openbsd"
    if any("verdict" in case or "libnv" in str(sorted(case)) for case in cases):
        return "freebsd"
    # A name/value list begins with its magic, a struct of OpenBSD with small flags.
    lists = any(str(case.get("packed_hex")).startswith("6c") for case in cases)
    return "freebsd" if lists or any("nvlist_spec" in case for case in cases) else "openbsd"


def replay(document: Any) -> tuple[int, list[str]]:
    """How many cases passed, and a line about each that did not."""
    name = _MODULES.get(system(document), "")
    if not name or importlib.util.find_spec(name) is None:
        return 0, ["not a recording that this program understands"]
    passed, failures = importlib.import_module(name).run(document)
    return passed, failures or ([] if passed else ["no case in it"])


def main(files: list[str]) -> int:
    passed = failed = 0
    for file in files:
        try:
            document = json.loads(Path(file).read_text())
        except (OSError, ValueError) as error:
            good, bad = 0, [str(error)]
        else:
            good, bad = replay(document)
        for line in bad:
            print(f"{file}: {line}")
        passed += good
        failed += len({line.partition(": ")[0] for line in bad})
    if not files:
        print("usage: replay_bsd.py FILE...")
        return 2
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: MIT
"""What `import wgtools` offers: the reference is current, and no signature changes in silence."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api", ROOT / "docs/api.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_docstrings_say(api: ModuleType) -> None:
    remedy = "run: .venv/bin/python docs/api.py --write"
    assert (ROOT / "docs/api.md").read_text() == api.reference(), remedy


def test_a_signature_does_not_change_without_a_line_in_the_changelog(api: ModuleType) -> None:
    newest = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    words = f"(signatures {api.fingerprint()})"
    remedy = f"tell what changed for programs in CHANGELOG.md, in a line that ends in {words}"
    assert words in newest, remedy


def test_every_public_thing_says_what_it_is(api: ModuleType) -> None:
    silent = [
        line
        for line in api.reference().splitlines()
        if line.startswith("- `") and line.endswith("`")
    ]
    assert silent == []


def test_a_changed_signature_changes_the_fingerprint(
    api: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = api.fingerprint()
    monkeypatch.setattr("wgtools.library.read", lambda path, strict: None)
    assert api.fingerprint() != before

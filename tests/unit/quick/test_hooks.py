# SPDX-License-Identifier: MIT
"""A hook that fails is found again."""

from pathlib import Path

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.quick.apply import CommandFailed
from wgtools.quick.hooks import environment, run_hook

FILE = """\
[Interface]
PostUp = true
PreDown = test %i = up
PostUp = test %i = up # or not
"""


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        ("PostUp", "test wg0 = up # or not", "{}:4"),
        ("PreDown", "test wg0 = up", "{}:3"),
        ("PostDown", "exit 1", "{}"),
    ],
)
def test_a_failing_hook_has_its_place(tmp_path: Path, kind: str, text: str, place: str) -> None:
    path = tmp_path / "wg0.conf"
    path.write_text(FILE)
    with pytest.raises(CommandFailed) as caught:
        run_hook(text, kind, {"INTERFACE": "wg0", "CONFIG_FILE": str(path)})
    assert caught.value.message == f"{kind} hook: exit status 1"
    where = place.format(path)
    expected = f"the hook stands in {where}; if it may fail, end it with: || true"
    assert caught.value.hint == expected


def test_a_failing_hook_whose_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "wg0.conf"
    with pytest.raises(CommandFailed) as caught:
        run_hook("exit 3", "PostUp", {"INTERFACE": "wg0", "CONFIG_FILE": str(path)})
    assert caught.value.exit_code == 3
    assert caught.value.hint.startswith(f"the hook stands in {path};")


@pytest.mark.parametrize(
    ("mode", "wg", "is_searched"),
    [(0o755, True, True), (0o775, True, True), (0o755, False, False), (0o1777, True, False)],
)
def test_hooks_find_our_wg_but_not_what_anybody_put_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, wg: bool, is_searched: bool
) -> None:
    """wgtools.pyz started in /tmp: a hook's misspelt program would be sought there, as root."""
    if wg:
        (tmp_path / "wg").write_text("")
    tmp_path.chmod(mode)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "wg-quick")])
    env = environment(QuickFile(Document(FILE.encode())), "wg0", "/etc/wireguard/wg0.conf")
    assert env["PATH"] == "/usr/bin:/bin" + (f":{tmp_path}" if is_searched else "")

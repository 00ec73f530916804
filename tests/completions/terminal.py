# SPDX-License-Identifier: MIT
"""Shells on a pseudo-terminal, with our completions loaded as an installed system has them.

Not here: what should be offered (`test_completions.py`).  The rule: a real shell, a real
TAB key.  A key of ours, C-x C-l, makes the shell write down its line; where it
answers, all keys before it have been worked off.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time
from pathlib import Path

__all__ = ["SHELLS", "Shell", "why_not"]

SHELLS = ("bash", "zsh", "fish")
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
_NOTE = b"\x18\x0c"  # C-x C-l
_PATIENCE = 20.0

_RC = {
    "bash": r"""
PS1='> '
{library}
for file in {completions}/bash/*; do . "$file"; done
bind 'set show-all-if-ambiguous on'
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set completion-display-width 0'
bind 'set enable-bracketed-paste off'
note() {{ printf '%s' "$READLINE_LINE" > ~/note.new; mv ~/note.new ~/note; }}
bind -x '"\C-x\C-l": note'
touch ~/ready
""",
    "zsh": r"""
PS1='> '
fpath=({completions}/zsh $fpath)
autoload -Uz compinit
compinit -u -d {home}/zcompdump
setopt auto_list no_list_ambiguous no_list_beep no_beep no_prompt_sp no_auto_menu
zstyle ':completion:*' list-prompt ''
LISTMAX=1000
note() {{ print -rn -- "$BUFFER" > ~/note.new; mv ~/note.new ~/note }}
zle -N note
bindkey '^X^L' note
touch ~/ready
""",
    "fish": r"""
function fish_prompt; printf '> '; end
function fish_greeting; end
set -g fish_autosuggestion_enabled 0
set -g fish_complete_path {completions}/fish $__fish_data_dir/completions
function note
    printf '%s' (commandline) > ~/note.new
    complete -C (commandline -c) | string replace -r '\t.*' '' > ~/offered
    mv ~/note.new ~/note
end
bind \cx\cl note
touch ~/ready
""",
}


def why_not(shell: str) -> str:
    """What this machine lacks; empty if nothing."""
    if shutil.which(shell) is None:
        return f"{shell} is not installed"
    if shell == "bash" and not BASH_COMPLETION.exists():
        return "bash-completion is not installed"
    return ""


class Shell:
    """One interactive shell; a context manager that ends it."""

    def __init__(
        self,
        kind: str,
        home: Path,
        *,
        completions: Path,
        programs: Path,
        before: tuple[str, ...] = (),
        library: bool = True,
    ) -> None:
        """`programs` comes first in PATH; `before` is put in front of the shell's own words.

        `library` is bash-completion, which ours can do without.
        """
        self.kind = kind
        self.home = home  # our own notes; the shell works in a directory within
        self.here = home / "here"
        self._before = before
        self._completions = completions
        self._path = f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"
        self._library = f". {BASH_COMPLETION}" if library else ""
        self._pid, self._terminal = -1, -1

    def __enter__(self) -> Shell:
        rc = _RC[self.kind].format(
            completions=self._completions, home=self.home, library=self._library
        )
        (self.home / ".zshrc").write_text(rc)
        self.here.mkdir(mode=0o755)
        words = {
            "bash": ["bash", "--noprofile", "--rcfile", str(self.home / ".zshrc"), "-i"],
            "zsh": ["zsh", "-d", "-i"],
            "fish": ["fish", "--no-config", "-i", "-C", f"source {self.home}/.zshrc"],
        }[self.kind]
        environment = {
            "PATH": self._path,
            "HOME": str(self.home),
            "ZDOTDIR": str(self.home),
            "XDG_DATA_HOME": str(self.home),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }
        argv = [*self._before, *words]
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(self.here)
            os.execvpe(argv[0], argv, environment)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 100, 200, 0, 0))
        self._until("ready")
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def press_tab(self, line: str) -> tuple[str, str]:
        """(the line after TAB, what the terminal showed meanwhile).  The line is cleared."""
        self._type(line.encode())
        before, _ = self._note()
        assert before == line
        self._type(b"\t")
        after, shown = self._note()
        self._type(b"\x15")  # C-u
        self._note()
        return after, _without_codes(shown).replace(line, " ").replace(after, " ")

    def offered(self, line: str) -> set[str]:
        """The words that the shell shows for TAB, or the one that it completes to."""
        if self.kind == "fish":  # its pager comes when it likes; `complete -C` is what it shows
            self._type(line.encode())
            self._note()
            self._type(b"\x15")
            return {*(self.home / "offered").read_text().splitlines()}
        after, shown = self.press_tab(line)
        if after != line and after.endswith((" ", "=")):
            return {after.split()[-1]}
        # zsh puts what a word means behind it; what all have in common was typed for us.
        words = {w for row in shown.splitlines() for w in row.partition(" -- ")[0].split()}
        return words - {">", after.removeprefix(line)}

    def _type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def _note(self) -> tuple[str, str]:
        (self.home / "note").unlink(missing_ok=True)
        self._type(_NOTE)
        shown = self._until("note")
        return (self.home / "note").read_text(), shown

    def _until(self, file: str) -> str:
        """Read the terminal until the shell has made the file."""
        shown = b""
        deadline = time.monotonic() + _PATIENCE
        while not (self.home / file).exists():
            assert time.monotonic() < deadline, (
                f"{self.kind} said: {shown.decode(errors='replace')}"
            )
            shown += self._read(0.02)
        return (shown + self._read(0)).decode(errors="replace")

    def _read(self, patience: float) -> bytes:
        data = b""
        while select.select([self._terminal], [], [], patience)[0]:
            patience = 0
            try:
                piece = os.read(self._terminal, 1 << 16)
            except OSError:  # the shell is gone
                break
            data += piece
        return data


def _without_codes(shown: str) -> str:
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()=>].?)", " ", shown)

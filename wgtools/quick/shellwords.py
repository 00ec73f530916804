# SPDX-License-Identifier: MIT
"""Which programs a shell line would start, as far as its text tells.

For the linter: it would rather say nothing than something wrong.  Words that the shell
would expand, keywords, functions and builtins are passed over.  Pure.
"""

from __future__ import annotations

import re
import shlex

__all__ = ["programs"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYWORDS = _words("! { } if then else elif fi while until do done time coproc")
# After these the line is no simple list of commands any more.
_BEYOND = _words("for case select function in esac [[ ((")
_BUILTINS = _words(
    ": . [ alias bg break builtin cd command continue declare dirs disown echo enable eval exec"
    " exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd"
    " printf pushd pwd read readarray readonly return set shift shopt source suspend test times"
    " trap true type typeset ulimit umask unalias unset wait caller compgen complete compopt"
)
_SEPARATORS = frozenset({";", "&", "&&", "||", "|", "|&", "\n"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_PLAIN = re.compile(r"[\w./+@:-]+")


def programs(line: str) -> list[tuple[str, int]]:
    """(word, offset in the line) of each program that is named outright."""
    if "<<" in line or "$(" in line or "`" in line or "()" in line:
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters = "#"
    try:
        words = list(lexer)
    except ValueError:
        return []
    found: list[tuple[str, int]] = []
    at_start, position = True, 0
    redirected = False
    for word in words:
        offset = line.find(word, position)
        position = max(position, offset + len(word))
        if word in _BEYOND:
            break
        if word in _SEPARATORS or word in ("(", ")"):
            at_start = True
        elif set(word) <= set("<>&|"):
            redirected = True
        elif redirected:
            redirected = False
        elif at_start and word not in _KEYWORDS and not _ASSIGNMENT.match(word):
            at_start = False
            if _PLAIN.fullmatch(word) and word not in _BUILTINS and offset >= 0:
                found.append((word, offset))
    return found

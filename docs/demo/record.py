#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Record `make demo` in a real pseudo-terminal and draw it as the README's picture.

    .venv/bin/python docs/demo/record.py        # writes docs/demo/demo.svg

What the picture shows is what the terminal received: nothing is typed in by hand.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS, ROWS = 92, 200
# The picture stands alone: no fonts are fetched when somebody looks at it.
FONT = re.compile(r"@font-face \{.*?\}\s*", re.S)
THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [
        *((22, 27, 34), (255, 123, 114), (63, 185, 80), (210, 153, 34)),
        *((88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)),
    ],
)


def record(command: list[str]) -> str:
    """Everything `command` wrote to its terminal."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    subprocess.run(["stty", "cols", str(COLUMNS), "rows", str(ROWS)], stdin=slave, check=True)
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    heard = io.BytesIO()
    try:
        while data := os.read(master, 65536):
            heard.write(data)
    except OSError:  # EIO: the last writer has closed the terminal
        pass
    if child.wait() != 0:
        sys.exit(heard.getvalue().decode(errors="replace"))
    return heard.getvalue().decode().replace("\r\n", "\n")


def main() -> None:
    shown = record([sys.executable, str(HERE / "demo.py")])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("$ make demo\n" + shown.rstrip("\n")))
    svg = console.export_svg(title="make demo", theme=THEME, unique_id="demo")
    (HERE / "demo.svg").write_text(FONT.sub("", svg))


if __name__ == "__main__":
    main()

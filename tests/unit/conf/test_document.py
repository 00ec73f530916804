# SPDX-License-Identifier: MIT
"""A document written unchanged is the same bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf.document import Document


@given(st.binary())
def test_unchanged_is_the_same_bytes(data: bytes) -> None:
    assert Document(data).to_bytes() == data


def test_lines_are_numbered_from_one_and_end_at_lf_only() -> None:
    document = Document(b"a\r\nb\x0bc\x85\n\nd", "wg0.conf")
    assert [(line.number, line.raw) for line in document.lines] == [
        (1, b"a\r"),
        (2, b"b\x0bc\x85"),
        (3, b""),
        (4, b"d"),
    ]
    assert not document.newline_at_end


def test_a_changed_line_changes_nothing_else() -> None:
    document = Document(b"a\nb\nc\n")
    document.lines[1].raw = b"B"
    assert document.to_bytes() == b"a\nB\nc\n"


def test_column_counts_bytes_from_one() -> None:
    (line,) = Document("ä = b".encode()).lines
    assert line.column(b"b") == 6
    assert line.column(b"x") == 0
    assert line.column(b"") == 0

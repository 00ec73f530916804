# SPDX-License-Identifier: MIT
"""The base of steps and facts behaves as a frozen dataclass would."""

from __future__ import annotations

import pytest

from wgtools.quick.steps import DeleteLink, DeleteRule, RemoveDNS, Route, Rule, Step


def test_fields_by_place_and_by_name_with_defaults() -> None:
    assert Rule(4, 9) == Rule(family=4, priority=9, mark=0)
    assert Route("::/0").table is None
    assert Rule(4, 9).as_dict() == {"family": 4, "priority": 9, "mark": 0}


def test_equal_only_within_a_class() -> None:
    left: Step = DeleteLink("wg0")
    right: Step = RemoveDNS("wg0")
    assert left != right
    assert len({left, right, DeleteLink("wg0")}) == 2


def test_repr_names_the_fields() -> None:
    assert repr(DeleteRule(Rule(6, 1))) == "DeleteRule(rule=Rule(family=6, priority=1, mark=0))"


@pytest.mark.parametrize("words", [(), (4,), (4, 9, 0, 1)])
def test_wrong_number_of_fields(words: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="Rule takes family, priority, mark"):
        Rule(*words)


def test_unknown_and_repeated_names() -> None:
    with pytest.raises(TypeError):
        Rule(4, 9, color=1)  # type: ignore[call-arg]  # the point of the test
    with pytest.raises(TypeError):
        Rule(4, 9, family=4)  # type: ignore[misc]  # the point of the test


def test_no_field_changes() -> None:
    with pytest.raises(AttributeError, match="Rule does not change"):
        Rule(4, 9).mark = 5  # type: ignore[misc]  # the point of the test

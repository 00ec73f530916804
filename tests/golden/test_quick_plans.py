# SPDX-License-Identifier: MIT
"""Plans for FreeBSD, OpenBSD and macOS, step by step, from faked facts of a host.

The files in quick_plans/ were written by hand, before there was anything to compare
them with: what is shown for each step of `up`, what its undo shows, and `down` of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.errors import WgError
from wgtools.quick import systems
from wgtools.quick.steps import Step
from wgtools.quick.systems import facts
from wgtools.quick.systems.actions import Command, Destroy
from wgtools.quick.systems.forecast import foresee, real_name
from wgtools.quick.systems.macos import Service
from wgtools.quick.systems.openbsd import description
from wgtools.quick.systems.up import judged

Json = Any

HERE = Path(__file__).parent / "quick_plans"
PLATFORMS = {"FreeBSD": "freebsd14", "OpenBSD": "openbsd7", "macOS": "darwin"}
KEYS = {
    "@key": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",  # that of wireguard.com
    "@one": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    "@two": "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
    "@three": "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=",
}


class FakeFacts:
    """Answers from a table; by default one Ethernet with an IPv4 gateway."""

    def __init__(self, given: Json) -> None:
        self._interfaces = {"em0": {"mtu": 1500}} | given.get("interfaces", {})
        self._gateways = given.get("gateways", {"4": ["em0", "192.0.2.1"]})
        self._routes = given.get("routes", {})
        self._given = given

    def interfaces(self) -> tuple[facts.Interface, ...]:
        return tuple(
            facts.Interface(name, each["mtu"], True, each.get("description", ""))
            for name, each in self._interfaces.items()
        )

    def interface(self, name: str) -> facts.Interface | None:
        return next((each for each in self.interfaces() if each.name == name), None)

    def addresses(self, interface: str) -> tuple[facts.Address, ...]:
        texts = self._interfaces.get(interface, {}).get("addresses", [])
        return tuple(facts.Address(a, int(b)) for a, b in (text.split("/") for text in texts))

    def default_gateway(self, family: int) -> facts.Gateway | None:
        found = self._gateways.get(str(family))
        return facts.Gateway(*found) if found else None

    def route_to(self, address: str) -> facts.Path | None:
        if address in self._routes:
            return facts.Path(*self._routes[address])
        gateway = self.default_gateway(6 if ":" in address else 4)
        return facts.Path(gateway.interface, gateway.address) if gateway else None

    def networks(self, interface: str) -> tuple[str, ...]:
        return ()

    def fib(self) -> int:
        return int(self._given.get("fib", 0))

    def fibs(self) -> int:
        return int(self._given.get("fibs", 1))

    def jail(self) -> facts.Jail | None:
        found = self._given.get("jail")
        return facts.Jail(*found) if found else None

    def running(self, program: str) -> bool:
        return program in self._given.get("running", [])


def cases() -> list[Any]:
    found = []
    for path in sorted(HERE.glob("*.json")):
        file = json.loads(path.read_text())
        for case in file["cases"]:
            whole = {"system": file["system"], "engine": file.get("engine", "")} | case
            found.append(pytest.param(whole, id=f"{path.stem}-{case['id']}"))
    return found


def config_of(case: Json) -> QuickFile:
    text = "\n".join(case["config"]) + "\n"
    for word, key in KEYS.items():
        text = text.replace(word, key)
    return QuickFile(Document(text.encode(), "case.conf"))


def told(step: Step) -> list[str]:
    return [*step.shown] or [f"{type(step).__name__} {getattr(step, 'name', '')}".strip()]


def steps_of(case: Json, config: QuickFile) -> list[Step]:
    host = FakeFacts(case.get("facts", {}))
    words = systems.of(PLATFORMS[case["system"]])
    return foresee(
        words,
        config,
        judged(config, words, host),
        host,
        name=case.get("name", "wg0"),
        program=case["engine"],
        method=case.get("dns", "none"),
        services=[Service(n, tuple(s), tuple(d)) for n, s, d in case.get("services", [])],
    )


@pytest.mark.parametrize("case", [c for c in cases() if "up" in c.values[0]])
def test_plan(case: Json) -> None:
    config = config_of(case)
    steps = steps_of(case, config)
    undos = [step.undo for step in steps]
    shown = [
        [line, None if undo is None else "; ".join(told(undo))]
        for step, undo in zip(steps, undos, strict=True)
        for line in told(step)
    ]
    assert shown == case["up"]

    feeds = {step.shown[0]: step.feed for step in steps if isinstance(step, Command) and step.feed}
    assert feeds == case.get("feed", {})

    words = systems.of(PLATFORMS[case["system"]])
    name = case.get("name", "wg0")
    engine = bool(case["engine"])
    parts = words.down(
        config,
        name,
        real_name(words, FakeFacts(case.get("facts", {})), name, engine=engine),
        undos=[undo for undo in undos if undo is not None],
        userspace=engine,
        save=bool(config.saves),
    )
    assert [[line for step in part for line in told(step)] for part in parts] == case["down"]


@pytest.mark.parametrize("case", [c for c in cases() if "refused" in c.values[0]])
def test_refusal(case: Json) -> None:
    config = config_of(case)
    with pytest.raises(WgError) as caught:
        steps_of(case, config)
    assert caught.value.message == case["refused"]
    inner = getattr(caught.value, "errors", [caught.value])[0]
    assert inner.hint
    assert case.get("hint", inner.hint) == inner.hint


def test_every_system_has_plans_and_they_are_many() -> None:
    systems_seen = {case.values[0]["system"] for case in cases()}
    assert systems_seen == set(PLATFORMS)
    assert len(cases()) >= 30


def test_a_dead_interface_is_not_destroyed_and_its_rest_is_undone() -> None:
    case = next(c.values[0] for c in cases() if "full-tunnel-with-dns-through" in c.id)
    config = config_of(case)
    undos = [undo for undo in (step.undo for step in steps_of(case, config)) if undo]
    words = systems.of("openbsd7")
    before, teardown, _ = words.down(config, "wg0", "", undos=undos, userspace=False, save=True)
    assert before == []
    assert not any(isinstance(step, Destroy) for step in teardown)
    assert len(teardown) == len(undos) - 1


def test_openbsd_finds_the_interface_by_its_description() -> None:
    assert description("office") == "wg-quick: office"


def test_other_systems_are_told_that_wg_works() -> None:
    with pytest.raises(WgError, match="netbsd10"):
        systems.of("netbsd10")

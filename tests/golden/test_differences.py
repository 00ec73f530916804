# SPDX-License-Identifier: MIT
"""The deliberate differences from C `wg` (docs/decisions/0003), and what must never happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Case = dict[str, Any]
Run = Callable[[Case], Case]

KEY = "2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM="
HEX = "d8c33a529ef382b2011971d5e405bf1e28e60c0158e63dc1d86fbd238ca46593"
FOREVER = {"WG_ENDPOINT_RESOLUTION_RETRIES": "infinity"}
BAD_PORTS = ["65536", "70000", "4294967296", "-1", "-4294967295", "99999999999999999999"]


def case(*argv: str, **more: Any) -> Case:
    return {
        "argv": list(argv),
        "stdin": None,
        "env": {},
        "files": {},
        "iface": "wgt0",
        "uapi_get_reply": None,
        **more,
    }


def outcome(result: Case) -> tuple[int, str, str, list[str]]:
    return result["exit"], result["stdout"], result["stderr"], result["uapi_set_requests"]


@pytest.mark.parametrize("port", BAD_PORTS)
def test_listen_port_out_of_range_is_refused(run_wg: Run, port: str) -> None:
    message = f"Servname not supported for ai_socktype: `{port}'\n"
    got = run_wg(case("set", "wgt0", "listen-port", port))
    assert outcome(got) == (1, "", message, [])
    conf = {"conf": f"[Interface]\nListenPort = {port}\n"}
    got = run_wg(case("setconf", "wgt0", "conf", files=conf))
    assert outcome(got) == (1, "", message + "Configuration parsing error\n", [])


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "v4.test", "nosuch.test"])
@pytest.mark.parametrize("port", BAD_PORTS)
def test_endpoint_port_out_of_range_is_refused_at_once(run_wg: Run, host: str, port: str) -> None:
    text = f"{host}:{port}"
    got = run_wg(case("set", "wgt0", "peer", KEY, "endpoint", text, env=FOREVER))
    message = f"Servname not supported for ai_socktype: `{text}'\n"
    assert outcome(got) == (1, "", message, [])


@pytest.mark.parametrize("length", ["288", "256", "33", "4294967328", "18446744073709551648"])
def test_daemon_prefix_length_is_not_taken_modulo_256(run_wg: Run, length: str) -> None:
    reply = f"public_key={HEX}\nallowed_ip=10.0.0.1/{length}\nerrno=0\n\n"
    got = run_wg(case("show", "wgt0", "allowed-ips", uapi_get_reply=reply))
    assert outcome(got) == (1, "", "Unable to access interface: Protocol error\n", [])


@pytest.mark.parametrize("verb", ["setconf", "addconf", "syncconf"])
def test_directory_is_no_configuration(run_wg: Run, verb: str) -> None:
    got = run_wg(case(verb, "wgt0", "conf", files={"conf": {"dir": True}}))
    assert outcome(got) == (1, "", "fopen: Is a directory\n", [])


UNRESOLVED = [
    f"public_key={HEX}\nendpoint={endpoint}\nerrno=0\n\n"
    for endpoint in ("nosuch.test:1", "192.0.2.1:http-nosuch", "192.0.2.1:65536")
]


@pytest.mark.parametrize("reply", UNRESOLVED)
@pytest.mark.parametrize("field", [[], ["dump"], ["endpoints"], ["peers"]])
def test_daemon_endpoint_that_does_not_resolve(run_wg: Run, reply: str, field: list[str]) -> None:
    got = run_wg(case("show", "wgt0", *field, uapi_get_reply=reply))
    assert outcome(got) == (1, "", "Unable to access interface: Unknown error -101\n", [])


def test_show_all_goes_on_after_a_daemon_endpoint_that_does_not_resolve(run_wg: Run) -> None:
    good = {"name": "wgt1", "get_reply": "listen_port=7\nerrno=0\n\n"}
    bad = case("show", "all", "listen-port", uapi_get_reply=UNRESOLVED[0], sockets=[good])
    message = "Unable to access interface wgt0: Unknown error -101\n"
    assert outcome(run_wg(bad)) == (0, "wgt1\t7\n", message, [])


NOT_UTF8 = {"b64": "/w=="}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("env", [{}, C_LOCALE, {"LC_ALL": "C.UTF-8"}])
def test_bytes_come_out_as_they_came_in(run_wg: Run, env: dict[str, str]) -> None:
    got = run_wg({**case("set", "wgt0", "peer"), "env": env, "argv": ["set", "wgt0", NOT_UTF8]})
    assert got["stderr"] == {"b64": "SW52YWxpZCBhcmd1bWVudDog/wo="}  # ... \xff\n
    reply = "listen_port=7\nerrno=0\n\n"
    got = run_wg(case("show", "wg\u00fc", iface="wg\u00fc", uapi_get_reply=reply, env=env))
    assert outcome(got) == (0, "interface: wg\u00fc\n  listening port: 7\n", "", [])


def test_a_hanging_daemon_that_sent_rubbish_is_not_waited_for(run_wg: Run) -> None:
    # The blank line keeps the fake daemon's connection open behind the bad line.
    got = run_wg(case("show", "wgt0", "dump", uapi_get_reply="rubbish\n\n"))
    assert outcome(got) == (1, "", "Unable to access interface: Protocol error\n", [])


def test_closed_stdout(run_wg: Run) -> None:
    reply = "listen_port=7\nerrno=0\n\n"
    for argv in (["genkey"], ["show", "wgt0"], ["--version"], ["showconf", "wgt0"]):
        got = run_wg(case(*argv, uapi_get_reply=reply, stdout_to="closed"))
        assert outcome(got) == (0, "", "", [])

# SPDX-License-Identifier: MIT
"""The models of a wg-quick file."""

from __future__ import annotations

import json
import traceback

import pytest
from pydantic import ValidationError

from wgtools.conf.schema import InterfaceSection, PeerSection, WgQuickFile
from wgtools.errors import ConfigError
from wgtools.keys import Key

PRIVATE, PUBLIC, SHARED = (Key(bytes([n]) * 32).base64() for n in (1, 2, 3))
TEXT = f"""\
[Interface]
PrivateKey = {PRIVATE}
ListenPort = 51820
FwMark = 51820
Address = 10.0.0.1/24, fd00::1/64
DNS = 10.0.0.53, corp.example
MTU = 1400
Table = off
PreUp = one && two # three
PostDown = a
PostDown = b
SaveConfig = true

[Peer]
PublicKey = {PUBLIC}
PresharedKey = {SHARED}
AllowedIPs = 10.0.0.0/8, fd00::/64
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25

[Peer]
PublicKey = {SHARED}
"""


def test_text_and_model_say_the_same() -> None:
    assert WgQuickFile.from_text(TEXT).to_text() == TEXT


def test_json_has_the_names_of_the_file_and_no_secret() -> None:
    text = WgQuickFile.from_text(TEXT).model_dump_json(by_alias=True)
    record = json.loads(text)
    assert record["Interface"]["MTU"] == 1400
    assert record["Peer"][0]["AllowedIPs"] == ["10.0.0.0/8", "fd00::/64"]
    assert PRIVATE not in text
    assert PRIVATE not in repr(WgQuickFile.from_text(TEXT))


def test_json_can_be_read_back() -> None:
    record = {"Interface": {"Address": ["10.0.0.1/24"], "FwMark": "0xca6c"}}
    file = WgQuickFile.model_validate_json(json.dumps(record))
    assert file.to_text() == "[Interface]\nFwMark = 51820\nAddress = 10.0.0.1/24\n"


def test_schema_names_every_key_of_the_grammar() -> None:
    schema = json.dumps(WgQuickFile.model_json_schema())
    for key in ("PrivateKey", "ListenPort", "FwMark", "Address", "DNS", "MTU", "Table", "PreUp"):
        assert f'"{key}"' in schema
    for key in ("SaveConfig", "PublicKey", "PresharedKey", "AllowedIPs", "Endpoint"):
        assert f'"{key}"' in schema


@pytest.mark.parametrize(
    "values",
    [
        {"mtu": 67},
        {"listen_port": 65536},
        {"address": ["10.0.0.1/33"]},
        {"private_key": "x" * 44},
        {"post_up": ["a\nb"]},
        {"nonsense": 1},
        {"fwmark": "0x100000000"},
    ],
    ids=str,
)
def test_interface_refuses(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        InterfaceSection.model_validate(values)
    assert "x" * 44 not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["host", "[::1]", ""])
def test_peer_refuses_an_endpoint_without_host_and_port(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        PeerSection.model_validate({"PublicKey": PUBLIC, "Endpoint": endpoint})


def test_host_bits_of_allowed_ips_mean_nothing() -> None:
    peer = PeerSection.model_validate({"PublicKey": PUBLIC, "AllowedIPs": ["10.0.0.9/24"]})
    assert str(peer.allowed_ips[0]) == "10.0.0.0/24"


def test_assignment_is_checked() -> None:
    file = WgQuickFile.from_text(TEXT)
    with pytest.raises(ValidationError):
        file.interface.mtu = 1
    file.interface.mtu = 1300
    assert "MTU = 1300\n" in file.to_text()


def test_mistakes_of_the_wg_part_know_their_place() -> None:
    with pytest.raises(ConfigError) as caught:
        WgQuickFile.from_text("[Interface]\nBogus = 1\n", "wg0.conf")
    assert caught.value.where == "wg0.conf:2:1"


NEARLY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBm!="  # a key with one character wrong


@pytest.mark.parametrize(
    ("lines", "where", "hint"),
    [
        ("[Interface]\n[Peer]\nEndpoint = 192.0.2.1", "wg0.conf:3:12", "write HOST:PORT"),
        ("[Interface]\nAdress = 10.0.0.1", "wg0.conf:2:1", "did you mean Address?"),
        ("[Interface]\nMTU = 1420\nDNS: 10.0.0.53", "wg0.conf:3:1", "write DNS = VALUE"),
    ],
)
def test_mistakes_of_the_wg_part_have_a_remedy(lines: str, where: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        WgQuickFile.from_text(lines, "wg0.conf")
    assert (caught.value.where, caught.value.hint[: len(hint)]) == (where, hint)


@pytest.mark.parametrize(
    "document",
    [
        {"interface": {"private_key": NEARLY}},
        {"interface": {"PrivatKey": NEARLY}},
        {"interface": {"PrivateKey": [NEARLY]}},
        {"interface": NEARLY},
        {"interface": {"fwmark": NEARLY, "mtu": NEARLY, "address": [NEARLY]}},
        {"peer": [{"preshared_key": NEARLY}]},
        {"peer": [{"public_key": NEARLY, "endpoint": NEARLY, "allowed_ips": [NEARLY]}]},
        {"peer": NEARLY},
        {"Bogus": NEARLY},
        NEARLY,
    ],
    ids=str,
)
def test_no_form_of_an_error_shows_a_key(document: object) -> None:
    with pytest.raises(ValidationError) as caught:
        WgQuickFile.model_validate(document)
    _says_nothing(caught.value)
    with pytest.raises(ValidationError) as caught:
        WgQuickFile.model_validate_json(json.dumps(document))
    _says_nothing(caught.value)


def test_what_is_no_json_is_not_shown_either() -> None:
    with pytest.raises(ValidationError) as caught:
        WgQuickFile.model_validate_json(f"PrivateKey = {NEARLY}")
    _says_nothing(caught.value)


def test_an_assignment_does_not_show_a_key_either() -> None:
    section = InterfaceSection()
    with pytest.raises(ValidationError) as caught:
        section.private_key = NEARLY  # type: ignore[assignment]  # what is to be refused
    _says_nothing(caught.value)
    with pytest.raises(ValidationError) as caught:
        InterfaceSection(private_key=NEARLY)  # type: ignore[arg-type]  # the same
    _says_nothing(caught.value)


def _says_nothing(error: ValidationError) -> None:
    shown = [str(error), repr(error), repr(error.errors()), error.json(), repr(error.args)]
    shown += ["".join(traceback.format_exception(error))]
    assert all(NEARLY[:30] not in text for text in shown)
    assert all(each["loc"] is not None and each["msg"] for each in error.errors())

# SPDX-License-Identifier: MIT
"""A wg-quick file as pydantic models, for programs that import wgtools.

    file = WgQuickFile.from_text(open("/etc/wireguard/wg0.conf").read())
    file.interface.mtu = 1400
    schema = WgQuickFile.model_json_schema()

No verb of `wg` or `wg-quick` imports this (docs/decisions/0001): those work on the text
itself and keep its comments; a model does not.  Field names in JSON are the file's
own.  Keys are checked, and shown only to who asks for them.
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_pascal
from pydantic_core import InitErrorDetails, PydanticCustomError

from wgtools.conf import wgconf
from wgtools.conf.advice import remedy
from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.conf.redact import HIDDEN, hide_key, without_keys
from wgtools.errors import ConfigError, InvalidKey
from wgtools.keys import Key
from wgtools.model import HostPort

if TYPE_CHECKING:
    from wgtools.model import PeerChange

__all__ = ["InterfaceSection", "PeerSection", "WgQuickFile"]

_KEY_PATTERN = r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"  # base64 of 32 bytes, canonical


def _public(text: str) -> str:
    try:
        Key.from_base64(text.encode())
    except InvalidKey as error:
        raise ValueError(error.message) from error
    return text


def _secret(secret: SecretStr) -> SecretStr:
    _public(secret.get_secret_value())
    return secret


def _endpoint(text: str) -> str:
    try:
        HostPort.parse(text.encode())
    except ConfigError as error:
        raise ValueError(error.message) from error
    return text


def _number(value: Any) -> Any:
    """A mark as files have it: a number, 0x…, or off."""
    if isinstance(value, str):
        return 0 if value.lower() == "off" else int(value, 0)
    return value


PublicKey = Annotated[str, AfterValidator(_public), Field(pattern=_KEY_PATTERN)]
SecretKey = Annotated[SecretStr, AfterValidator(_secret)]
Endpoint = Annotated[
    str, AfterValidator(_endpoint), Field(examples=["vpn.example.org:51820", "[2001:db8::1]:51820"])
]
Mark = Annotated[int, BeforeValidator(_number), Field(ge=0, lt=2**32)]
Hook = Annotated[str, Field(examples=["iptables -A FORWARD -i %i -j ACCEPT"])]


_NAMES = {"allowed_ips": "AllowedIPs", "fwmark": "FwMark", "mtu": "MTU", "dns": "DNS"}


class _Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=lambda name: _NAMES.get(name, to_pascal(name)),
        populate_by_name=True,
        extra="forbid",
        validate_assignment=True,
        hide_input_in_errors=True,  # an input may be a key
    )

    @model_validator(mode="wrap")
    @classmethod
    def _hide_inputs(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """What `hide_input_in_errors` leaves open: errors() and json()."""
        try:
            return handler(value)
        except ValidationError as error:
            raise _without_inputs(error) from None

    @classmethod
    def model_validate_json(cls, *args: Any, **kwargs: Any) -> Self:
        """Also for a text that is no JSON, which no validator sees."""
        try:
            return super().model_validate_json(*args, **kwargs)
        except ValidationError as error:
            raise _without_inputs(error) from None


def _without_inputs(error: ValidationError) -> ValidationError:
    details = [
        InitErrorDetails(
            type=PydanticCustomError(each["type"], without_keys(each["msg"])),
            loc=tuple(without_keys(x) if isinstance(x, str) else x for x in each["loc"]),
            input=HIDDEN,
        )
        for each in error.errors(include_url=False, include_context=False)
    ]
    return ValidationError.from_exception_data(error.title, details, hide_input=True)


class PeerSection(_Section):
    """[Peer]"""

    public_key: PublicKey
    preshared_key: SecretKey | None = None
    allowed_ips: list[IPv4Network | IPv6Network] = Field(default_factory=list)
    endpoint: Endpoint | None = None
    persistent_keepalive: Annotated[int, Field(ge=0, le=65535)] = 0

    @field_validator("allowed_ips", mode="before")
    @classmethod
    def _host_bits_mean_nothing(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [_network(item) if isinstance(item, str) else item for item in value]


def _network(text: str) -> IPv4Network | IPv6Network:
    kind = IPv6Network if ":" in text else IPv4Network
    return kind(text, strict=False)


class InterfaceSection(_Section):
    """[Interface]"""

    private_key: SecretKey | None = None
    listen_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    fwmark: Mark | None = None
    address: list[IPv4Interface | IPv6Interface] = Field(default_factory=list)
    dns: list[str] = Field(default_factory=list, description="name servers and search domains")
    mtu: Annotated[int, Field(ge=68, le=65535)] | None = None
    table: str = Field(default="auto", description="auto, off, a number, or a name of rt_tables")
    pre_up: list[Hook] = Field(default_factory=list)
    post_up: list[Hook] = Field(default_factory=list)
    pre_down: list[Hook] = Field(default_factory=list)
    post_down: list[Hook] = Field(default_factory=list)
    save_config: bool = False

    @field_validator("pre_up", "post_up", "pre_down", "post_down", "dns")
    @classmethod
    def _one_line_each(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if any("\n" in text for text in value):
            raise ValueError(f"{info.field_name}: a value is one line")
        return value


class WgQuickFile(_Section):
    """A whole file."""

    interface: InterfaceSection = Field(default_factory=InterfaceSection)
    peer: list[PeerSection] = Field(default_factory=list)

    @classmethod
    def from_text(cls, text: str, name: str = "") -> WgQuickFile:
        """Raises ConfigError (with its place) or pydantic.ValidationError."""
        quick = QuickFile(Document(text.encode("utf-8", "surrogateescape"), name))
        try:
            change = wgconf.parse(quick.wg_document())
        except ConfigError as error:
            lines = quick.wg_document().lines
            above = [line.raw for line in lines if line.number < error.line]
            row = next((line.raw for line in lines if line.number == error.line), b"")
            error.hint = remedy(error.message, row, above) or error.hint
            hide_key(error)
            raise
        interface: dict[str, Any] = {
            "address": [value.text for value in quick.addresses],
            "dns": [value.text for value in quick.dns],
            "mtu": quick.mtu.text if quick.mtu else None,
            "table": quick.table.text if quick.table else "auto",
            "save_config": quick.save_config.text if quick.save_config else False,
            "listen_port": change.listen_port,
            "fwmark": change.fwmark,
            "private_key": change.private_key.base64() if change.private_key else None,
        }
        for kind, field in (("preup", "pre_up"), ("postup", "post_up")):
            interface[field] = [hook.text for hook in quick.hooks[kind]]
        for kind, field in (("predown", "pre_down"), ("postdown", "post_down")):
            interface[field] = [hook.text for hook in quick.hooks[kind]]
        peers = [_peer(peer) for peer in change.peers]
        return cls.model_validate({"interface": interface, "peer": peers})

    def to_text(self) -> str:
        """The file, keys in plain sight."""
        blocks = [("[Interface]", self.interface), *(("[Peer]", peer) for peer in self.peer)]
        return "\n".join("\n".join([header, *_lines(section), ""]) for header, section in blocks)


def _peer(peer: PeerChange) -> dict[str, Any]:
    endpoint = peer.endpoint
    text = (
        endpoint.text.decode("utf-8", "surrogateescape") if isinstance(endpoint, HostPort) else None
    )
    return {
        "public_key": peer.public_key.base64(),
        "preshared_key": peer.preshared_key.base64() if peer.preshared_key else None,
        "allowed_ips": [str(network) for network in peer.allowed_ips],
        "endpoint": text,
        "persistent_keepalive": peer.keepalive or 0,
    }


_SEVERAL_LINES = ("pre_up", "post_up", "pre_down", "post_down")


def _lines(section: _Section) -> list[str]:
    lines = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value == field.get_default(call_default_factory=True):
            continue
        key = field.alias
        if name in _SEVERAL_LINES:
            lines += [f"{key} = {hook}" for hook in value]
        elif isinstance(value, list):
            lines.append(f"{key} = {', '.join(map(str, value))}")
        elif isinstance(value, SecretStr):
            lines.append(f"{key} = {value.get_secret_value()}")
        else:
            lines.append(f"{key} = {str(value).lower() if value is True else value}")
    return lines

"""Sections of the receivers of alerts: one for each command of `ember bridge`."""

from __future__ import annotations

import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from stream.templates import fault

from ._base import Names, Section, Table

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = ("alertname", "key", "topic")
_MAIL_ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
_ADDRESS = re.compile(r"https?://[^/@\s]+(/[^?#\s]*)?")


def _sound_template(value: str) -> str:
    if sentence := fault(value):
        raise ValueError(sentence)
    return value


def _labels(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _LABEL.fullmatch(name) or name in _RESERVED:
            raise ValueError(
                f"expected names of labels other than {', '.join(_RESERVED)}, not {name!r}"
            )
    return value


def _address(url: str) -> str:
    # Credentials have settings of their own: in an address they would end up in logs.
    if not _ADDRESS.fullmatch(url):
        raise ValueError(
            f"expected addresses such as `http://host:9093`, without user or query, not {url!r}"
        )
    return url.rstrip("/")


def _secret_address(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not re.fullmatch(r"https?://\S+", url.get_secret_value()):
        raise ValueError("expected an address that begins with http:// or https://")
    return url


Template = Annotated[str, AfterValidator(_sound_template)]
Labels = Annotated[Table, AfterValidator(_labels)]
Address = Annotated[str, AfterValidator(_address)]
SecretAddress = Annotated[SecretStr, AfterValidator(_secret_address)]


class TlsFields(Section):
    """Settings of everything that is asked over a network."""

    ca_location: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; unset: the system's."
    )
    timeout_seconds: float = Field(
        default=10.0, ge=0.1, le=60, description="Longest wait for an answer."
    )


class ReceiverSection(TlsFields):
    """Settings that every receiver has."""

    source: Literal["triggers", "incidents"] = Field(
        default="triggers",
        description="Topics to read: `triggers`, an alert for each key; or `incidents`, one for "
        "keys that fire together (`ember incidents`).",
    )
    max_alerts: int = Field(
        default=10_000,
        ge=1,
        description="Most alerts that may fire at a time; further ones are counted and left out.",
    )


class HttpFields(TlsFields):
    """Settings of everything that is asked by HTTP."""

    proxy: SecretAddress = Field(
        default=SecretStr(""),
        description="Address of a proxy, `http://user:password@host:3128`. Empty: that of the "
        "variables `http_proxy`, `https_proxy` and `no_proxy`.",
    )
    proxy_file: Path | None = Field(default=None, description="File that holds the address.")


class HttpReceiverSection(ReceiverSection, HttpFields):
    """Settings of the receivers that are asked by HTTP."""


class CredentialsFields(HttpFields):
    """Settings of what accepts basic authentication or a bearer token."""

    username: str = Field(default="", description="User of its basic authentication.")
    password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    token: SecretStr = Field(
        default=SecretStr(""), description="Bearer token, in place of user and password."
    )
    token_file: Path | None = Field(default=None, description="File that holds the token.")

    @model_validator(mode="after")
    def _one_kind_of_credentials(self) -> Self:
        if self.token.get_secret_value() and self.username:
            raise ValueError("`token` and `username` are both set; keep one of them")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("`username` and `password` need each other")
        return self


class CredentialsSection(HttpReceiverSection, CredentialsFields):
    """Settings of the receivers that accept basic authentication or a bearer token."""


class GroupFields(Section):
    """Settings of the receivers that get one message for several alerts."""

    group_by: Names = Field(
        default=("alertname", "topic", "incident"),
        description="Labels whose values are the same in all alerts of a message, where they have "
        "them; `...`: all of them, a message for each alert.",
    )
    group_wait_seconds: float = Field(
        default=30.0, ge=0, description="Time for which the first message of a group gathers."
    )
    group_interval_seconds: float = Field(
        default=300.0, ge=0, description="Least time between two messages of a group."
    )


class AlertmanagerSection(CredentialsSection):
    """Alertmanager that `ember bridge alertmanager` sends alerts to."""

    urls: Names = Field(
        default=("http://localhost:9093",),
        min_length=1,
        description="Addresses of Alertmanager; of every member when it is a cluster.",
    )
    labels: Labels = Field(
        default={"severity": "warning"},
        description="Labels added to every alert, beside `alertname`, `key` and `topic`.",
    )
    resend_seconds: float = Field(
        default=60.0,
        ge=1,
        description="Interval at which firing alerts are sent again. Alertmanager resolves an "
        "alert that the bridge has not sent for four intervals.",
    )
    port: int = Field(
        default=6065,
        ge=0,
        le=65535,
        description="Port of the bridge's own metrics and health, at `http.host`; 0: any free "
        "port.",
    )

    @field_validator("urls")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address(url) for url in value)


class WebhookSection(CredentialsSection, GroupFields):
    """Address that `ember bridge webhook` sends Alertmanager's webhook payload to."""

    url: SecretAddress = Field(
        default=SecretStr(""),
        description="Address of the receiver. It may have a query, and is kept secret.",
    )
    url_file: Path | None = Field(default=None, description="File that holds the address.")
    labels: Labels = Field(
        default={"severity": "warning"},
        description="Labels added to every alert, beside `alertname`, `key` and `topic`.",
    )
    port: int = Field(
        default=6064, ge=0, le=65535, description="Port of this bridge's metrics and health."
    )


class SlackSection(HttpReceiverSection, GroupFields):
    """Slack channel that `ember bridge slack` writes to."""

    webhook_url: SecretAddress = Field(
        default=SecretStr(""),
        description="Address of an incoming webhook. Slack gives it no way to change a message: "
        "every change is a new one.",
    )
    webhook_url_file: Path | None = Field(default=None, description="File that holds the address.")
    token: SecretStr = Field(
        default=SecretStr(""),
        description="Bot token (`xoxb-...`, scope `chat:write`), in place of a webhook: the first "
        "message of a group is kept up to date, and its thread has the changes.",
    )
    token_file: Path | None = Field(default=None, description="File that holds the token.")
    channel: str = Field(default="", description="Id of the channel; only with a token.")
    api_url: Address = Field(
        default="https://slack.com/api", description="Address of Slack's API; only with a token."
    )
    title: Template = Field(
        default="{alertname} on {topic}: {firing} firing, {resolved} resolved",
        description="Template of a message's title.",
    )
    text: Template = Field(
        default="{summary} (since {started})", description="Template of an alert's line."
    )
    port: int = Field(
        default=6063, ge=0, le=65535, description="Port of this bridge's metrics and health."
    )

    @model_validator(mode="after")
    def _one_way_to_write(self) -> Self:
        token, url = self.token.get_secret_value(), self.webhook_url.get_secret_value()
        if token and url:
            raise ValueError("`token` and `webhook_url` are both set; keep one of them")
        if bool(token) != bool(self.channel):
            raise ValueError("`token` and `channel` need each other")
        return self


class PagerdutySection(HttpReceiverSection):
    """PagerDuty service that `ember bridge pagerduty` sends events to."""

    routing_key: SecretStr = Field(
        default=SecretStr(""), description="Integration key of an Events API v2 integration."
    )
    routing_key_file: Path | None = Field(default=None, description="File that holds the key.")
    url: Address = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="Address of the Events API; in Europe `https://events.eu.pagerduty.com/v2/"
        "enqueue`.",
    )
    severity: Literal["critical", "error", "warning", "info"] = Field(
        default="error",
        description="Severity of an event; an incident has that of its class.",
    )
    summary: Template = Field(default="{summary}", description="Template of an event's summary.")
    port: int = Field(
        default=6062, ge=0, le=65535, description="Port of this bridge's metrics and health."
    )


class EmailSection(ReceiverSection):
    """Mailbox that `ember bridge email` sends a digest to."""

    smtp_host: str = Field(default="", description="Mail server.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls: the connection must turn to TLS. tls: it begins with TLS (port "
        "465). none: it is not encrypted.",
    )
    username: str = Field(default="", description="User of the mail server; empty: no login.")
    password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    sender: str = Field(default="", description="Address that mails come from.")
    recipients: Names = Field(default=(), description="Addresses that mails go to.")
    interval_seconds: float = Field(
        default=900.0,
        ge=1,
        description="Time between two digests, at whole multiples since midnight UTC. Where "
        "nothing began or ended, there is none.",
    )
    subject: Template = Field(
        default="Ember: {began} began, {firing} firing, {resolved} resolved",
        description="Template of a digest's subject.",
    )
    text: Template = Field(
        default="{summary} (since {started})",
        description="Template of an alert's line.",
    )
    port: int = Field(
        default=6061, ge=0, le=65535, description="Port of this bridge's metrics and health."
    )

    @field_validator("sender")
    @classmethod
    def _sender_address(cls, value: str) -> str:
        if value and not _MAIL_ADDRESS.fullmatch(parseaddr(value)[1]):
            raise ValueError("expected an address such as `ember@example.com` or `Ember <...>`")
        return value

    @field_validator("recipients")
    @classmethod
    def _mail_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if not _MAIL_ADDRESS.fullmatch(address):
                raise ValueError(f"expected addresses such as `team@example.com`, not {address!r}")
        return value

    @model_validator(mode="after")
    def _login(self) -> Self:
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("`username` and `password` need each other")
        if self.username and self.security == "none":
            raise ValueError("a password must not travel unencrypted; expected `security` starttls")
        return self

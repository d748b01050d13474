"""The `[alertmanager]` section: target of `ember bridge alertmanager`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ._base import Names, Section, Table

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = ("alertname", "key", "topic")


class AlertmanagerSection(Section):
    """Alertmanager that `ember bridge alertmanager` sends triggers to."""

    urls: Names = Field(
        default=("http://localhost:9093",),
        min_length=1,
        description="Addresses of Alertmanager; of every member when it is a cluster.",
    )
    username: str = Field(default="", description="User of its basic authentication.")
    password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    token: SecretStr = Field(
        default=SecretStr(""), description="Bearer token, in place of user and password."
    )
    token_file: Path | None = Field(default=None, description="File that holds the token.")
    ca_location: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; unset: the system's."
    )
    labels: Table = Field(
        default={"severity": "warning"},
        description="Labels added to every alert, beside `alertname`, `key` and `topic`.",
    )
    link: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="Link of an alert (its `generatorURL`); `{key}`, `{topic}` and `{alertname}` "
        "are filled in. Empty: no link.",
    )
    resend_seconds: float = Field(
        default=60.0,
        ge=1,
        description="Interval at which firing alerts are sent again. Alertmanager resolves an "
        "alert that the bridge has not sent for four intervals.",
    )
    max_alerts: int = Field(
        default=10_000,
        ge=1,
        description="Most alerts that may fire at a time; further ones are counted and left out.",
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
        for url in value:
            if not re.fullmatch(r"https?://[^/@\s]+(/[^?#\s]*)?", url):
                raise ValueError(
                    "expected addresses such as `http://host:9093`, without user or query, "
                    f"not {url!r}"
                )
        return tuple(url.rstrip("/") for url in value)

    @field_validator("labels")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _LABEL.fullmatch(name) or name in _RESERVED:
                raise ValueError(
                    f"expected names of labels other than {', '.join(_RESERVED)}, not {name!r}"
                )
        return value

    @model_validator(mode="after")
    def _one_kind_of_credentials(self) -> Self:
        if self.token.get_secret_value() and self.username:
            raise ValueError("`token` and `username` are both set; keep one of them")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("`username` and `password` need each other")
        return self

"""The `[console]` section: pages and API of `ember console`."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from ._base import Names, Section, Table


class ConsoleSection(Section):
    """Pages and HTTP API of `ember console`."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(
        default=6058, ge=0, le=65535, description="Port to listen on; 0: any free port."
    )
    hours: float = Field(
        default=24.0, gt=0, le=744, description="Hours to keep, by event time, and to read first."
    )
    memory_mib: int = Field(
        default=512,
        ge=16,
        le=1_048_576,
        description="Most MiB of scored rows; beyond it the oldest are dropped and counted.",
    )
    hosts: Names = Field(
        default=(),
        description="Names by which browsers may ask for the console, beside its own address. A "
        "request by another name is refused.",
    )
    user: str = Field(
        default="", max_length=256, description="Name of the person that `token` stands for."
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token with which `user` may write; empty: nobody may.",
    )
    token_file: Path | None = Field(default=None, description="File that holds the token.")
    user_header: str = Field(
        default="",
        description="Header in which a proxy that signs people in names the user, such as "
        "X-Forwarded-Email.",
    )
    trusted_proxies: Names = Field(
        default=(),
        description="Addresses or networks of the proxies whose `user_header` is believed.",
    )
    workers: Names = Field(
        default=(),
        description="Addresses of the workers for the health page, such as http://worker-0:6066.",
    )
    links: Table = Field(
        default_factory=dict,
        description="Links of the page by name, such as grafana=https://grafana.example.org.",
    )
    what_if_seconds: float = Field(
        default=120.0, gt=0, description="Longest time of one replay of the what-if page."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)  # its error names the text
        return value

    @field_validator("links")
    @classmethod
    def _web_links(cls, value: dict[str, str]) -> dict[str, str]:
        for name, address in value.items():
            if not address.startswith(("https://", "http://")):
                raise ValueError(f"link {name!r} is no http or https address: {address!r}")
        return value

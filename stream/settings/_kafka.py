"""The `[kafka]` section, by Ember's names and by Kafka's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ._base import Section

_KAFKA_NAMES: dict[str, str] = {
    "bootstrap.servers": "bootstrap_servers",
    "group.id": "group",
    "client.id": "client_id",
    "group.instance.id": "instance_id",
    "fetch.max.bytes": "fetch_max_bytes",
    "replication.factor": "replication_factor",
    "session.timeout.ms": "session_timeout_seconds",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",  # librdkafka's spelling
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "sasl.password.file": "sasl_password_file",
    "sasl.oauthbearer.token.endpoint.url": "sasl_oauth_token_url",
    "sasl.oauthbearer.client.id": "sasl_oauth_client_id",
    "sasl.oauthbearer.client.secret": "sasl_oauth_client_secret",
    "sasl.oauthbearer.client.secret.file": "sasl_oauth_client_secret_file",
    "sasl.oauthbearer.scope": "sasl_oauth_scope",
    "ssl.ca.location": "ssl_ca_location",
    "ssl.certificate.location": "ssl_certificate_location",
    "ssl.key.location": "ssl_key_location",
    "ssl.key.password": "ssl_key_password",
    "ssl.key.password.file": "ssl_key_password_file",
}


def plain_names(section: dict[str, Any]) -> dict[str, Any]:
    """Return a `[kafka]` table with Ember's names.

    Accepts `"security.protocol"`, `security.protocol` (in TOML a table in a table) and
    `security_protocol`; milliseconds become seconds. Unknown names stay, for the validation.
    """
    flat: dict[str, Any] = {}

    def flatten(prefix: str, table: dict[str, Any]) -> None:
        for name, value in table.items():
            path = f"{prefix}{name}"
            if isinstance(value, dict):
                flatten(f"{path}.", value)
                continue
            # Environment variables and TOML keys may write Kafka's dots as underscores.
            dotted = path.replace("_", ".")
            if path in KafkaSection.model_fields or dotted not in _KAFKA_NAMES:
                flat[path] = value
            else:
                flat[_KAFKA_NAMES[dotted]] = _seconds(value) if dotted.endswith(".ms") else value

    flatten("", section)
    return flat


def _seconds(milliseconds: Any) -> Any:
    try:
        return float(milliseconds) / 1000
    except (TypeError, ValueError):
        return milliseconds  # the validation of the field reports it


class KafkaSection(Section):
    """Kafka cluster. Kafka's dotted names are accepted, for example `security.protocol`."""

    bootstrap_servers: str = Field(
        default="localhost:9092",
        min_length=1,
        description="Brokers, `host:port` with commas between.",
    )
    group: str = Field(
        default="ember",
        min_length=1,
        description="Consumer group, and prefix of the internal topics.",
    )
    client_id: str = Field(default="ember", description="Client name in the broker's logs.")
    instance_id: str = Field(
        default="",
        description="Static membership: name of this worker that stays the same over restarts (in "
        "Kubernetes the pod's name). Empty: dynamic membership.",
    )
    session_timeout_seconds: float = Field(
        default=12.0,
        ge=6,
        le=1800,
        description="Time without a heartbeat after which the group declares a worker dead.",
    )
    fetch_max_bytes: int = Field(
        default=52_428_800, ge=1024, description="Most bytes in one answer of a broker."
    )
    replication_factor: int = Field(
        default=-1, ge=-1, description="Replicas of topics Ember creates; -1: the broker's default."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Protocol of connections to the brokers."
    )
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        default="", description="SASL mechanism, required with SASL_PLAINTEXT and SASL_SSL."
    )
    sasl_username: str = Field(default="", description="User of the SASL mechanism.")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    sasl_password_file: Path | None = Field(
        default=None, description="File that holds the password."
    )
    sasl_oauth_token_url: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="OAUTHBEARER: endpoint that issues tokens for client id and secret.",
    )
    sasl_oauth_client_id: str = Field(default="", description="Client id at that endpoint.")
    sasl_oauth_client_secret: SecretStr = Field(
        default=SecretStr(""), description="Secret of that client."
    )
    sasl_oauth_client_secret_file: Path | None = Field(
        default=None, description="File that holds the client's secret."
    )
    sasl_oauth_scope: str = Field(default="", description="Scope of the token; empty: none.")
    sasl_oauth_token_file: Path | None = Field(
        default=None,
        description="OAUTHBEARER: file with a token that another program renews, in place of an "
        "endpoint.",
    )
    ssl_ca_location: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; unset: the system's."
    )
    ssl_certificate_location: Path | None = Field(
        default=None, description="PEM file of this client's certificate."
    )
    ssl_key_location: Path | None = Field(
        default=None, description="PEM file of this client's key."
    )
    ssl_key_password: SecretStr = Field(default=SecretStr(""), description="Password of that key.")
    ssl_key_password_file: Path | None = Field(
        default=None, description="File that holds the key's password."
    )

    @property
    def servers(self) -> list[str]:
        """Brokers as a list of `host:port`."""
        return [part.strip() for part in self.bootstrap_servers.split(",") if part.strip()]

    @model_validator(mode="before")
    @classmethod
    def _accept_kafka_names(cls, data: Any) -> Any:
        return plain_names(data) if isinstance(data, dict) else data

    @field_validator("bootstrap_servers", mode="before")
    @classmethod
    def _join(cls, value: Any) -> Any:
        # TOML users write a list; librdkafka and aiokafka take one string.
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("bootstrap_servers")
    @classmethod
    def _ports(cls, value: str) -> str:
        for part in value.split(","):
            scheme, is_address, rest = part.strip().partition("://")
            if is_address:
                raise ValueError(
                    f"expected `host:port` without `{scheme}://`, for example "
                    f"`{rest.strip('/') or 'kafka-1:9092'}`; TLS and SASL are set by "
                    "`security_protocol`"
                )
            host, _, port = part.strip().rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
                raise ValueError("every broker is `host:port`, for example `kafka-1:9092`")
        return value

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> Self:
        if not self.security_protocol.startswith("SASL_"):
            # Without it the broker would be asked without a login, and refuse or not answer.
            logins = ("sasl_mechanism", "sasl_username", "sasl_oauth_token_url")
            unused = [name for name in logins if getattr(self, name)]
            if self.sasl_oauth_token_file is not None:
                unused.append("sasl_oauth_token_file")
            if unused:
                raise ValueError(
                    f"`{unused[0]}` is set, but the protocol {self.security_protocol} has no "
                    "login. Expected `security_protocol` SASL_SSL or SASL_PLAINTEXT"
                )
        if self.security_protocol.startswith("SASL_"):
            required: dict[str, object] = {"sasl_mechanism": self.sasl_mechanism}
            if self.sasl_mechanism == "OAUTHBEARER":
                if self.sasl_oauth_token_file is None:
                    required["sasl_oauth_token_url"] = self.sasl_oauth_token_url
                    required["sasl_oauth_client_id"] = self.sasl_oauth_client_id
                    secret = self.sasl_oauth_client_secret.get_secret_value()
                    required["sasl_oauth_client_secret"] = secret
            else:
                required["sasl_username"] = self.sasl_username
                required["sasl_password"] = self.sasl_password.get_secret_value()
            missing = [name for name, value in required.items() if not value]
            if missing:
                names = ", ".join(f"`{name}`" for name in missing)
                raise ValueError(f"The protocol {self.security_protocol} also needs {names}")
        return self

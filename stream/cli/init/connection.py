"""Cluster of `ember init`: options on the command line, and what the settings file gets of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter
from pydantic import SecretStr

from stream.cli.options import ClusterOptions
from stream.settings import KafkaSection, Settings


@dataclass(frozen=True)
class SecurityOptions:
    """Login and encryption of the cluster; they are written into the settings file.

    Attributes:
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Default:
            kafka.security_protocol.
        sasl_mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
        sasl_username: User of the SASL mechanism.
        sasl_password_file: File that holds the password; or set EMBER_KAFKA__SASL_PASSWORD.
        ssl_ca_location: PEM file of the authorities to trust.
        ssl_certificate_location: PEM file of this client's certificate.
        ssl_key_location: PEM file of this client's key.
    """

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    sasl_username: str | None = None
    sasl_password_file: Path | None = None
    ssl_ca_location: Path | None = None
    ssl_certificate_location: Path | None = None
    ssl_key_location: Path | None = None


SecurityArgs = Annotated[SecurityOptions, Parameter(name="*")]

_OF_A_WORKER: Final = {"group", "client_id", "instance_id"}
REGISTRY: Final = ("schema_registry_url", "schema_registry_username")


def load_cluster(cluster: ClusterOptions, security: SecurityOptions, registry: str) -> Settings:
    """Return the settings of the cluster: of flags, environment and a settings file.

    Args:
        cluster: Cluster of the command line.
        security: Login and encryption of the command line.
        registry: Address of the schema registry; empty: that of the settings.
    """
    return cluster.settings(kafka=asdict(security), input={"schema_registry_url": registry or None})


def kafka_table(settings: Settings, group: str) -> dict[str, Any]:
    """Return `[kafka]` of the settings file; secrets stay where they are.

    Args:
        settings: Settings of the cluster.
        group: Consumer group.
    """
    table: dict[str, Any] = {}
    for name in KafkaSection.model_fields:
        value = getattr(settings.kafka, name)
        is_set = name in settings.kafka.model_fields_set or name == "bootstrap_servers"
        if not is_set or value is None or name in _OF_A_WORKER or isinstance(value, SecretStr):
            continue
        table[name] = str(value) if isinstance(value, Path) else value
    return {**table, "group": group}


def secrets_of(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the secrets that the settings file does not get, by section."""
    secrets: dict[str, dict[str, str]] = {}
    for section in ("kafka", "input"):
        table = getattr(settings, section)
        for name in type(table).model_fields:
            value = getattr(table, name)
            # One that was read from a file has the file's name in the settings.
            is_inline = getattr(table, f"{name}_file", None) is None
            if is_inline and isinstance(value, SecretStr) and value.get_secret_value():
                secrets.setdefault(section, {})[name] = value.get_secret_value()
    return secrets

"""Security settings of a connection in aiokafka's words, and sentences for refused connections."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from aiokafka.helpers import create_ssl_context

from stream.errors import UserError
from stream.settings import KafkaSection

from .oauth import AsyncTokens, TokenSource


def security(kafka: KafkaSection) -> dict[str, Any]:
    """Return the security keywords of aiokafka's clients.

    Args:
        kafka: Settings of the connection.

    Raises:
        UserError: If a certificate or key cannot be read.
    """
    keywords: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.security_protocol.startswith("SASL_"):
        keywords["sasl_mechanism"] = kafka.sasl_mechanism
        if kafka.sasl_mechanism == "OAUTHBEARER":
            keywords["sasl_oauth_token_provider"] = AsyncTokens(TokenSource(kafka))
        else:
            keywords["sasl_plain_username"] = kafka.sasl_username
            keywords["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    if kafka.security_protocol.endswith("SSL"):
        try:
            keywords["ssl_context"] = create_ssl_context(
                cafile=_path(kafka.ssl_ca_location),
                certfile=_path(kafka.ssl_certificate_location),
                keyfile=_path(kafka.ssl_key_location),
                password=kafka.ssl_key_password.get_secret_value() or None,
            )
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                "The TLS files cannot be used. Expected readable PEM files under `[kafka]` "
                f"ssl_ca_location, ssl_certificate_location, ssl_key_location. Received: {error}.",
                exit_code=2,
            ) from error
    return keywords


def login_refused(mechanism: str, username: str, reason: str) -> str:
    """Return the sentence for credentials that a broker does not accept."""
    return (
        "The broker refused the login. Expected credentials it knows. Received: "
        f"sasl_mechanism={mechanism!r}, sasl_username={username!r} ({reason}). "
        "Check kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password (or its file)."
    )


def not_safe(reason: str) -> str:
    """Return the sentence for a broker whose certificate is not trusted."""
    return (
        "The connection is not safe. Expected a certificate of the broker that "
        f"kafka.ssl_ca_location vouches for, with the broker's name in it. Received: {reason}."
    )


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)

"""A mail server with STARTTLS and logins, and a certificate for it."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(folder: Path) -> Path:
    """A PEM file with a certificate of 127.0.0.1, which signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class FakeSmtp(ThreadingTCPServer):
    """Answers a command with `answers`, or as a server that is well does."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, pem: Path, *, tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tls = tls
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(pem)
        self.answers: dict[str, str] = {}
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[list[str]] = []
        self.logins: list[tuple[str, bool]] = []

    @property
    def port(self) -> int:
        return self.socket.getsockname()[1]


class _Handler(StreamRequestHandler):
    server: FakeSmtp
    encrypted = False

    def handle(self) -> None:
        if self.server.tls:
            self.encrypt()
        self.say("220 mail")
        to: list[str] = []
        while line := self.rfile.readline().decode().strip():
            command = line.split(":")[0].split()[0].upper()
            if command in self.server.answers:
                self.say(self.server.answers[command])
                continue
            answers: dict[str, Callable[[], None]] = {
                "STARTTLS": self.start_tls,
                "DATA": lambda: self.data(to),
                "QUIT": lambda: self.say("221 bye"),
            }
            if command == "EHLO":
                self.say("250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN")
            elif command == "AUTH":
                self.server.logins.append(
                    (base64.b64decode(line.split()[2]).decode(), self.encrypted)
                )
                self.say("235 welcome")
            elif command in answers:
                answers[command]()
            else:
                if command == "RCPT":
                    to.append(line)
                self.say("250 ok")

    def start_tls(self) -> None:
        self.say("220 go on")
        self.encrypt()

    def encrypt(self) -> None:
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.encrypted = True

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def data(self, to: list[str]) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            assert len(line) <= 1_000, "RFC 5321, 4.5.3.1.6"
            lines.append(line[1:] if line.startswith(b"..") else line)
        if "." in self.server.answers:
            self.say(self.server.answers["."])
            return
        raw = b"".join(lines)
        self.server.raw.append(raw)
        self.server.mails.append(cast("EmailMessage", message_from_bytes(raw, policy=default)))
        self.server.recipients.append(list(to))
        self.say("250 queued")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
        self.wfile.flush()

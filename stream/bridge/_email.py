"""E-mail: a digest every few minutes with the alerts that began, go on, and ended."""

from __future__ import annotations

import hashlib
import html
import smtplib
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import partial

import structlog

from stream.settings import EmailSection
from stream.templates import cut, fill, one_line

from ._alerts import Alert, AlertTable
from ._http import NotAcceptedError, Result, UnavailableError, hide, tls_context
from ._messages import counts_of, fields_of
from ._receiver import Receiver, require

log = structlog.stdlib.get_logger("ember")

_SUBJECT_CHARACTERS = 200
_LINE_CHARACTERS = 1_000
_SHOWN_ALERTS = 200
_TOO_LARGE = 552


class Email(Receiver):
    """A mailbox.

    Args:
        settings: Section `email`.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every attempt.

    Raises:
        UserError: If there is no server or address, or the authorities cannot be read.
    """

    name = "email"
    keeps_short = True
    repeats = False

    def __init__(
        self,
        settings: EmailSection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        super().__init__(settings, link, clock, on_result)
        self._settings = settings
        require(
            self.name,
            smtp_host=settings.smtp_host,
            sender=settings.sender,
            recipients=settings.recipients,
        )
        self._context = tls_context(settings, self.name)
        self._next_digest: float | None = None  # seconds since the epoch

    def send(self, table: AlertTable, now: datetime) -> None:
        """Send a digest if one is due; see `Receiver.send`."""
        self._begin_turn()
        interval = self._settings.interval_seconds
        # At whole intervals of the clock on the wall, however often the bridge starts anew.
        following = (now.timestamp() // interval + 1) * interval
        if self._next_digest is None:
            self._next_digest = following
        if now.timestamp() < self._next_digest:
            return
        unsent = list(table.unsent)
        self.overdue = len(unsent)
        if unsent and not self._may_send:
            return
        if not unsent or self._attempt(partial(self._deliver, self._mail(table, now)), unsent):
            for alert in unsent:
                table.sent(alert)
            self.overdue = 0
            self._next_digest = following

    def _mail(self, table: AlertTable, now: datetime) -> EmailMessage:
        """Return the digest. A header cannot be injected: its values are one line."""
        alerts = sorted(table, key=lambda alert: alert.starts)
        ended = [alert for alert in alerts if alert.ends is not None]
        firing = [alert for alert in alerts if alert.ends is None]
        parts = {
            "Began": [a for a in firing if not a.is_sent and not a.acknowledged],
            "Goes on": [a for a in firing if a.is_sent and not a.acknowledged],
            "Acknowledged": [alert for alert in firing if alert.acknowledged],
            "Ended": ended,
        }
        mail = EmailMessage(policy=SMTP)
        subject = fill(self._settings.subject, counts_of(alerts), one_line)
        mail["Subject"] = cut(one_line(subject), _SUBJECT_CHARACTERS)
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.recipients)
        mail["Date"] = format_datetime(now)
        mail["Auto-Submitted"] = "auto-generated"
        # The same after a restart: a mailbox may drop a digest that comes twice.
        news = [f"{a.fingerprint}{a.starts}{a.ends}" for a in alerts if a.unsent is not None]
        digest = hashlib.blake2b("\0".join(news).encode(), digest_size=12).hexdigest()
        domain = parseaddr(self._settings.sender)[1].rpartition("@")[2]
        mail["Message-ID"] = f"<{digest}.ember@{domain}>"
        mail.set_content(self._text(parts))
        mail.add_alternative(self._html(parts), subtype="html")
        return mail

    def _text(self, parts: dict[str, list[Alert]]) -> str:
        lines = []
        for title, alerts in parts.items():
            if alerts:
                lines += [f"{title}: {len(alerts):,}", ""]
                lines += [f"  {line}" for line in self._lines(alerts, _plain_value)]
                lines.append("")
        return "\n".join(lines)

    def _html(self, parts: dict[str, list[Alert]]) -> str:
        texts = []
        for title, alerts in parts.items():
            if alerts:
                items = "".join(f"<li>{line}</li>" for line in self._lines(alerts, _html_value))
                texts.append(f"<h3>{title}: {len(alerts):,}</h3><ul>{items}</ul>")
        return f'<html><head><meta charset="utf-8"></head><body>{"".join(texts)}</body></html>'

    def _lines(self, alerts: Sequence[Alert], escape: Callable[[str], str]) -> list[str]:
        lines = []
        for alert in alerts[:_SHOWN_ALERTS]:
            values = fields_of(alert, self._link)
            template = self._settings.text + (" {link}" if values["link"] else "")
            note = f" ({escape(alert.acknowledged)})" if alert.acknowledged else ""
            lines.append(fill(template, values, escape) + note)
        if len(alerts) > _SHOWN_ALERTS:
            lines.append(f"And {len(alerts) - _SHOWN_ALERTS:,} more.")
        return lines

    def _deliver(self, mail: EmailMessage) -> None:
        """Hand the mail to the server.

        Raises:
            NotAcceptedError: If the server refuses this mail.
            UnavailableError: If it should be tried again later.
        """
        try:
            with self._connect() as server:
                if self._settings.username:
                    password = self._settings.password.get_secret_value()
                    server.login(self._settings.username, password)
                refused = server.send_message(mail, to_addrs=list(self._settings.recipients))
        except smtplib.SMTPDataError as error:
            raise self._about_mail(error, is_final=error.smtp_code >= 500) from None
        except smtplib.SMTPSenderRefused as error:
            raise self._about_mail(error, is_final=error.smtp_code == _TOO_LARGE) from None
        except smtplib.SMTPRecipientsRefused as error:
            reasons = {code for code, _ in error.recipients.values()}
            raise UnavailableError(f"no recipient is accepted: {sorted(reasons)}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise UnavailableError(self._reason(error)) from None
        if refused:
            log.error("recipients refused", receiver=self.name, recipients=sorted(refused))

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        host, port, seconds = settings.smtp_host, settings.smtp_port, settings.timeout_seconds
        # Not the fully qualified name: looking it up may take minutes.
        name = socket.gethostname()
        if settings.security == "tls":
            return smtplib.SMTP_SSL(host, port, name, timeout=seconds, context=self._context)
        server = smtplib.SMTP(host, port, name, timeout=seconds)
        if settings.security == "starttls":
            try:
                server.starttls(context=self._context)
            except BaseException:
                server.close()
                raise
        return server

    def _about_mail(
        self, error: smtplib.SMTPResponseException, *, is_final: bool
    ) -> NotAcceptedError | UnavailableError:
        sentence = self._reason(error)
        return NotAcceptedError(sentence) if is_final else UnavailableError(sentence)

    def _reason(self, error: Exception) -> str:
        return hide(_reason(error), [self._settings.password.get_secret_value()])


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return one_line(f"{error.smtp_code} {plain}")
    return one_line(str(error)) or type(error).__name__


def _plain_value(value: str) -> str:
    return cut(one_line(value), _LINE_CHARACTERS)


def _html_value(value: str) -> str:
    return html.escape(_plain_value(value))

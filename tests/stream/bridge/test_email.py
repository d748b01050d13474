"""The digest by e-mail: what began, goes on and ended, to a server that asks for TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.control import Acknowledgement
from stream.settings import Settings, SettingsError
from tests.serving import serving
from tests.stream.bridge.fake_smtp import FakeSmtp, certificate
from tests.stream.bridge.fakes import incident, trigger
from tests.stream.bridge.receiving import Receiving
from tests.stream.bridge.test_orders import orders, silence


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("mail"))


@pytest.fixture
def smtp(pem: Path) -> Iterator[FakeSmtp]:
    with serving(FakeSmtp(pem)) as server:
        yield server


def receiving_at(smtp: FakeSmtp, pem: Path, link: str = "", **more: object) -> Receiving:
    section = {
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp.port,
        "sender": "Ember <ember@plant.example>",
        "recipients": ["a@plant.example", "b@plant.example"],
        "ca_location": pem,
        "timeout_seconds": 5,
    }
    return Receiving("email", link, **{**section, **more})


def text_of(smtp: FakeSmtp, number: int = -1) -> str:
    body = smtp.mails[number].get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_digest_has_three_parts(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem, "https://a.example/d?key={key}")
    receiving.write(trigger("a"), trigger("b"))
    receiving.run(899.0)
    assert smtp.mails == []
    receiving.run(901.0)
    receiving.write(
        *(trigger("a", resolved=True), trigger("c"), trigger("short")),
        trigger("short", resolved=True),
    )
    receiving.run(1_801.0)
    assert text_of(smtp).split("\n\n") == [
        "Began: 1",
        "  c behaves unlike itself (since 2026-01-31 00:00 UTC) https://a.example/d?key=c",
        "Goes on: 1",
        "  b behaves unlike itself (since 2026-01-31 00:00 UTC) https://a.example/d?key=b",
        "Ended: 2",
        (
            "  a behaves unlike itself (since 2026-01-31 00:00 UTC) https://a.example/d?key=a\n"
            "  short behaves unlike itself (since 2026-01-31 00:00 UTC) "
            "https://a.example/d?key=short\n"
        ),
    ]
    mail = smtp.mails[-1]
    assert mail["Subject"] == "Ember: 1 began, 2 firing, 2 resolved"
    assert mail["To"] == "a@plant.example, b@plant.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert len(smtp.recipients[-1]) == 2
    assert mail["Message-ID"] != smtp.mails[0]["Message-ID"]
    assert mail["Message-ID"].endswith("@plant.example>")


def test_an_acknowledged_alert_is_told_with_who_works_on_it(smtp: FakeSmtp, pem: Path) -> None:
    """And one that came and went in silence is not told at all."""
    receiving = receiving_at(smtp, pem, text="{key}")
    receiving.write(trigger("a"))
    receiving.run(901.0)
    (alert,) = receiving.table
    receiving.orders = orders(
        Acknowledgement(event=alert.fingerprint), silence(1_000.0, keys=("hushed",))
    )
    receiving.write(trigger("hushed"))
    receiving.run(950.0)
    receiving.write(trigger("hushed", resolved=True), trigger("b"))
    receiving.run(1_801.0)
    assert text_of(smtp).split("\n\n") == [
        "Began: 1",
        "  b",
        "Acknowledged: 1",
        "  a (acknowledged by ann, 2026-01-31 00:00 UTC)\n",
    ]
    assert smtp.mails[-1]["Subject"] == "Ember: 1 began, 2 firing, 0 resolved"


def test_without_news_there_is_no_mail_nor_after_a_restart(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem)
    receiving.write(trigger("a"))
    receiving.run(901.0)
    receiving.start()
    receiving.run(9_000.0)
    assert len(smtp.mails) == 1
    receiving.write(trigger("a", resolved=True))
    receiving.start()
    receiving.run(10_000.0)
    assert len(smtp.mails) == 2
    assert "Ended: 1" in text_of(smtp)


def test_incidents_beyond_the_budget_of_pages_are_in_the_digest(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem, text="{class} {key}: {summary}")
    receiving.write(
        incident("firing", "info", page=False), incident("firing", "critical", name="2")
    )
    receiving.run(901.0)
    assert "Began: 2" in text_of(smtp)
    assert "info host-0: 3 keys fire together" in text_of(smtp)


def test_a_password_travels_encrypted(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem, username="ember", password="s3cret")
    receiving.write(trigger("a"))
    receiving.run(901.0)
    assert smtp.logins == [("\0ember\0s3cret", True)]


def test_tls_from_the_first_byte(pem: Path) -> None:
    with serving(FakeSmtp(pem, tls=True)) as smtp:
        receiving = receiving_at(smtp, pem, security="tls", username="ember", password="s3cret")
        receiving.write(trigger("a"))
        receiving.run(901.0)
        assert smtp.logins == [("\0ember\0s3cret", True)]
        assert len(smtp.mails) == 1


def test_restarts_do_not_put_the_digest_off(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem)
    receiving.write(trigger("a"))
    for _ in range(4):
        receiving.run(receiving.now + 300.0)
        receiving.start()
    assert len(smtp.mails) == 1


def test_a_server_without_tls_gets_nothing(smtp: FakeSmtp, pem: Path) -> None:
    smtp.answers["STARTTLS"] = "454 not now"
    receiving = receiving_at(smtp, pem, username="ember", password="s3cret")
    receiving.write(trigger("a"))
    receiving.run(950.0)
    assert set(receiving.results) == {"failed"}
    assert smtp.logins == smtp.mails == []


def test_an_unknown_certificate_is_not_trusted(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem, ca_location=None)
    receiving.write(trigger("a"))
    receiving.run(901.0)
    assert "certificate" in receiving.receiver.trouble.lower()
    assert smtp.mails == []


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("MAIL", "451 busy"),
        ("RCPT", "550 no such user"),
        (".", "452 full"),
        ("EHLO", "421 closing"),
        ("AUTH", "535 wrong password"),
    ],
)
def test_a_failure_is_tried_again(smtp: FakeSmtp, pem: Path, command: str, answer: str) -> None:
    receiving = receiving_at(smtp, pem, username="ember", password="s3cret")
    smtp.answers[command] = answer
    receiving.write(trigger("a"))
    receiving.run(1_000.0)
    assert set(receiving.results) == {"failed"}
    assert 3 <= len(receiving.results) <= 8
    assert receiving.receiver.overdue == 1
    assert "s3cret" not in receiving.receiver.trouble
    assert receiving.committed.offset == 0
    smtp.answers.clear()
    receiving.run(1_100.0)
    assert len(smtp.mails) == 1
    assert receiving.committed.offset == 1


def test_a_refused_mail_does_not_keep_the_next(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem)
    smtp.answers["."] = "554 looks like spam"
    receiving.write(trigger("a"))
    receiving.run(901.0)
    assert receiving.results == ["refused"]
    smtp.answers.clear()
    receiving.write(trigger("b"))
    receiving.run(2_000.0)
    assert "Began: 1" in text_of(smtp)


def test_a_storm_is_a_mail_of_bounded_size(smtp: FakeSmtp, pem: Path) -> None:
    receiving = receiving_at(smtp, pem)
    receiving.write(*(trigger(f"host-{n}") for n in range(5_000)))
    receiving.run(901.0)
    assert "Began: 5,000" in text_of(smtp)
    assert "And 4,800 more." in text_of(smtp)
    assert len(smtp.raw[0]) < 200_000


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(max_size=600)
    | st.sampled_from(
        [
            "a\r\nBcc: victim@example.com\r\n\r\nHello",
            "a\nSubject: other",
            "</li><script>alert(1)</script>",
            "\u2028Bcc: x@y\u2029\x85",
            ".\r\nMAIL FROM:<x@y>",
        ]
    )
)
def test_no_key_injects_a_header_or_markup(pem: Path, key: str) -> None:
    with serving(FakeSmtp(pem)) as smtp:
        subject = "{began} of {labels} {key} began"
        receiving = receiving_at(smtp, pem, security="none", subject=subject, text="{key}")
        receiving.write(trigger(key, topic=key), trigger("b"))
        receiving.run(901.0)
        assert receiving.results == ["accepted"]
        (mail,) = smtp.mails
        assert set(mail.keys()) == {
            *("Subject", "From", "To", "Date", "Auto-Submitted", "Message-ID"),
            *("MIME-Version", "Content-Type"),
        }
        assert len(mail.keys()) == 8
        assert mail["To"] == "a@plant.example, b@plant.example"
        assert len(smtp.recipients[0]) == 2
        body = mail.get_body(("html",))
        assert body is not None
        assert "<script" not in body.get_content()
        assert body.get_content().count("<li>") == 2


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"recipients": "team"}, "team@example.com"),
        ({"recipients": "a@b\nBcc: c@d"}, "team@example.com"),
        ({"sender": "nobody"}, "ember@example.com"),
        ({"username": "me"}, "need each other"),
        ({"username": "me", "password": "p", "security": "none"}, "unencrypted"),
        ({"subject": "{key"}, "stands alone"),
    ],
)
def test_settings_are_checked(section: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.load(email=section)

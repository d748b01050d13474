"""Log lines: form, secrets, repeats."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from pydantic import SecretStr

from stream.observe.logs import RepeatFilter, configure


class Terminal(io.StringIO):
    """Text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_off_a_terminal_from_both_kinds_of_logger() -> None:
    """Each line is one object, with the same fields for every logger."""
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger("ember").info("checkpoint", rows=3)
    logging.getLogger("aiokafka.conn").error("Lost %s", "broker-1")
    logging.getLogger("aiokafka.conn").info("chatter")
    first, second = lines(stream)
    assert (first["event"], first["rows"], first["level"]) == ("checkpoint", 3, "info")
    assert (second["event"], second["logger"]) == ("Lost broker-1", "aiokafka.conn")
    assert set(second) == {"event", "level", "logger", "timestamp"}


def test_pretty_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets pretty lines, without colours where NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    configure(stream=stream)
    structlog.get_logger("ember").warning("careful")
    assert "\x1b[" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    configure(stream=stream)
    structlog.get_logger("ember").warning("careful")
    assert "careful" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


def test_secrets_are_masked() -> None:
    """Secrets are masked by type, by name, within tables, and in texts."""
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger("ember").info(
        "connect",
        sasl_password="hunter2",
        value=SecretStr("hunter2"),
        options={"api_key": "hunter2", "group": "ember"},
        keys=5,
    )
    logging.getLogger("x").warning("refused: password=hunter2 user=me")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert lines(stream)[0]["keys"] == 5
    assert "user=me" in text
    assert '"group": "ember"' in text


SPELLINGS = (
    "password=hunter2",
    "sasl_password=hunter2",
    "sasl_plain_password='hunter2'",
    "sasl.oauthbearer.client.secret=hunter2",
    "EMBER_KAFKA__SASL_PASSWORD=hunter2",
    "client_secret = hunter2",
    "secret_access_key: hunter2",
    "apiKey:hunter2",
    "X-Api-Key: hunter2",
    "KafkaSection(group='ember', sasl_password='hunter2, and more hunter2', servers=3)",
    "{'password': 'hunter2', 'group': 'ember'}",
    """{'password': "it's hunter2"}""",
    r"""{'password': 'it\'s hunter2'}""",
    "{'password': b'a hunter2'}",
    '{"token": "hunter2"}',
    r'{"body": "{\"token\": \"a hunter2\"}"}',
    "credentials=('ember', 'hunter2')",
    "password => hunter2",
    "Authorization: Bearer hunter2",
    "authorization: Basic hunter2==",
    "{'Authorization': 'Bearer hunter2'}",
    "[('Authorization', 'Bearer hunter2')]",
    "sent Bearer eyJhbGciOiJIUzI1NiJ9.hunter2.c2ln",
    "https://ember:hunter2@registry.example/schemas",
    "/path?access_token=hunter2&more",
    "password='cut, hunter2",
)
"""Forms of a secret in a text."""


@pytest.mark.parametrize("form", ["json", "pretty"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_secrets_are_masked_however_they_are_written(
    spelling: str, form: Literal["json", "pretty"]
) -> None:
    """Secrets are masked in message, field, list, repr, exception and its cause."""

    class Thing:
        def __repr__(self) -> str:
            return f"Thing({spelling})"

    stream = io.StringIO()
    configure(stream=stream, format=form)
    log = structlog.get_logger("ember")
    log.warning(spelling, text=spelling, many=["fine", (spelling, 1)], thing=Thing())
    logging.getLogger("x").warning("of the library: %s", spelling)
    for logger in (log, logging.getLogger("x")):
        try:
            try:
                raise KeyError(spelling)
            except KeyError as error:
                raise ValueError(spelling) from error
        except ValueError:
            logger.exception("failed")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert text.count("**********") >= 9
    assert "ValueError" in text
    assert "fine" in text


@pytest.mark.parametrize(
    "words",
    [
        "token bucket is empty: 5 left",
        "password refused",
        "the secret of it",
        "max_tokens=100 token_count=7",
        "bearer authentication is required",
        "sasl_password_file=/run/secrets/kafka token_url=https://id.example/token",
        "http://127.0.0.1:6066/metrics, user@example.com",
    ],
)
def test_ordinary_words_are_left_alone(words: str) -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logging.getLogger("x").warning(words)
    assert lines(stream)[0]["event"] == words


@pytest.mark.parametrize(
    "value",
    [
        [{"sasl_password": "hunter2"}],
        ({"nested": [{"api_key": "hunter2"}]},),
        [SecretStr("hunter2")],
        [("sasl.password", "hunter2"), (b"authorization", b"Bearer hunter2")],
    ],
)
@pytest.mark.parametrize("form", ["json", "pretty"])
def test_secrets_are_masked_within_lists(value: object, form: Literal["json", "pretty"]) -> None:
    stream = io.StringIO()
    configure(stream=stream, format=form)
    structlog.get_logger("ember").info("settings", value=value)
    assert "hunter2" not in stream.getvalue()
    assert "**********" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "pretty", "auto"])
def test_tracebacks_have_no_variables(form: Literal["json", "pretty", "auto"]) -> None:
    """A frame of a client holds its password, which must not reach a terminal either."""
    stream = Terminal()
    configure(stream=stream, format=form)
    secret = "".join(["hunt", "er2"])
    try:
        raise ValueError(len(secret))
    except ValueError:
        structlog.get_logger("ember").exception("failed")
        logging.getLogger("x").exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("ValueError: 7") == 2


def test_exceptions_stay_on_one_line() -> None:
    """A traceback is a field."""
    stream = io.StringIO()
    configure(stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    [line] = lines(stream)
    assert "ValueError: broken" in str(line["exception"])


def test_repeats_are_shown_a_few_times_and_then_counted() -> None:
    """Repeats are limited per period, logger, level and text; info is never held back."""
    now = 0.0
    stream = io.StringIO()
    configure(stream=stream)
    [handler] = logging.getLogger().handlers
    handler.filters[:] = [RepeatFilter(10.0, clock=lambda: now)]
    log = structlog.get_logger("ember")
    for offset in range(20):
        log.warning("refused", offset=offset)
        logging.getLogger("x").warning("refused at %d", offset)
        log.info("fine")
    log_lines = lines(stream)
    assert sum(line["event"] == "refused" for line in log_lines) == 5
    assert sum(line["logger"] == "x" for line in log_lines) == 5
    assert sum(line["event"] == "fine" for line in log_lines) == 20
    now = 10.0
    log.warning("refused", offset=20)
    logging.getLogger("x").warning("refused at %d", 20)
    assert [line["repeats"] for line in lines(stream)[-2:]] == [15, 15]


def test_repeats_are_forgotten_in_bounds() -> None:
    """Texts that always differ do not fill the memory."""
    limit = RepeatFilter(10.0, clock=lambda: 0.0)
    for number in range(3_000):
        record = logging.LogRecord("x", logging.ERROR, "", 0, f"text {number}", None, None)
        assert limit.filter(record)
    assert len(limit._seen) <= 1_000

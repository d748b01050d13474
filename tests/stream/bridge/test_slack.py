"""Slack: what a channel shows, whatever keys are called and whatever the API answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import UserError
from stream.settings import Settings, SettingsError
from tests.serving import serving
from tests.stream.bridge.fake_apis import FakeSlack, texts
from tests.stream.bridge.fakes import incident, trigger
from tests.stream.bridge.receiving import Receiving


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with serving(FakeSlack()) as server:
        yield server


def by_token(slack: FakeSlack, link: str = "", **more: object) -> Receiving:
    token = {"token": slack.TOKEN, "channel": slack.CHANNEL, "api_url": f"{slack.url}/api"}
    return Receiving("slack", link, **{**token, **more})


def by_webhook(slack: FakeSlack, **more: object) -> Receiving:
    return Receiving("slack", webhook_url=f"{slack.url}/services/T0/B0/s3cret", **more)


def test_a_storm_is_one_message_that_is_kept_up_to_date(slack: FakeSlack) -> None:
    receiving = by_token(slack)
    receiving.write(*(trigger(f"host-{n}") for n in range(1_000)))
    receiving.run(60.0)
    (message,) = slack.first
    assert "1,000 firing, 0 resolved" in texts(message)
    assert "And 980 more." in texts(message)
    receiving.write(*(trigger(f"host-{n}", resolved=True) for n in range(999)))
    receiving.run(400.0)
    (message,) = slack.first
    assert "1 firing, 999 resolved" in texts(message)
    (reply,) = slack.replies
    assert not reply["reply_broadcast"]
    receiving.write(trigger("host-999", resolved=True))
    receiving.run(1_000.0)
    assert len(slack.first) == 1
    assert "\N{WHITE HEAVY CHECK MARK}" in slack.first[0]["text"]
    assert receiving.receiver.threads == {}
    receiving.write(trigger("host-7"))
    receiving.run(2_000.0)
    assert len(slack.first) == 2


def test_an_alert_that_joins_is_shown_in_the_channel(slack: FakeSlack) -> None:
    receiving = by_token(slack)
    receiving.write(trigger("a"))
    receiving.run(60.0)
    receiving.write(trigger("b"))
    receiving.run(400.0)
    (reply,) = slack.replies
    assert reply["reply_broadcast"]
    assert "b behaves unlike itself" in texts(reply)
    assert "a behaves unlike itself" not in texts(reply)


def test_a_restart_answers_the_same_message_and_repeats_nothing(slack: FakeSlack) -> None:
    receiving = by_token(slack)
    receiving.write(trigger("a"), trigger("b"))
    receiving.run(60.0)
    requests = len(slack.posts)
    receiving.start()
    receiving.run(1_000.0)
    assert len(slack.posts) == requests
    receiving.write(trigger("a", resolved=True), trigger("b", resolved=True))
    receiving.start()
    receiving.run(2_000.0)
    assert len(slack.first) == len(slack.replies) == 1


def test_a_webhook_gets_each_change_as_a_message(slack: FakeSlack) -> None:
    receiving = by_webhook(slack)
    receiving.write(trigger("a"))
    receiving.run(60.0)
    receiving.write(trigger("b"), trigger("a", resolved=True))
    receiving.run(400.0)
    first, second = map(texts, slack.posts)
    assert "a behaves unlike itself" in first
    assert "1 firing, 1 resolved" in second


@pytest.mark.parametrize("status", [429, 500, 503, 403, 404, 410, 302])
def test_an_outage_loses_nothing(slack: FakeSlack, status: int) -> None:
    receiving = by_token(slack)
    slack.status = status
    receiving.write(trigger("a"))
    receiving.run(200.0)
    assert str(status) in receiving.receiver.trouble
    assert receiving.receiver.overdue == 1
    assert receiving.committed.offset == 0
    expected = "limited" if status == 429 else "failed"
    assert set(receiving.results) == {expected}
    assert len(receiving.results) < 12
    receiving.start()
    slack.status = 200
    receiving.run(300.0)
    assert len(slack.first) == 1
    assert receiving.committed.offset == 1


@pytest.mark.parametrize("error", ["invalid_auth", "channel_not_found", "ratelimited", "fatal"])
def test_an_error_of_the_settings_or_of_slack_is_waited_for(slack: FakeSlack, error: str) -> None:
    receiving = by_token(slack)
    slack.error = error
    receiving.write(trigger("a"))
    receiving.run(100.0)
    assert receiving.receiver.trouble == error
    slack.error = ""
    receiving.run(200.0)
    assert len(slack.first) == 1


def test_a_refused_message_does_not_keep_the_others(slack: FakeSlack) -> None:
    receiving = by_token(slack, group_by="key")
    slack.answer = lambda body: 400 if "bad" in body["text"] + str(body) else 200
    receiving.write(trigger("bad"), trigger("good"))
    receiving.run(60.0)
    assert receiving.results.count("refused") == 1
    assert ["good behaves" in texts(message) for message in slack.first] == [True]
    assert receiving.committed.offset == 2


def test_the_wait_that_slack_asks_for_is_kept(slack: FakeSlack) -> None:
    receiving = by_token(slack)
    slack.status, slack.headers = 429, {"Retry-After": "120"}
    receiving.write(trigger("a"))
    receiving.run(149.0)
    assert len(slack.seen) == 1
    slack.status, slack.headers = 200, {}
    receiving.run(151.0)
    assert len(slack.first) == 1


def test_a_removed_message_is_written_anew(slack: FakeSlack) -> None:
    receiving = by_token(slack)
    receiving.write(trigger("a"))
    receiving.run(60.0)
    slack.messages.clear()
    receiving.write(trigger("b"))
    receiving.run(400.0)
    assert len(slack.first) == 1


def test_each_incident_is_a_message_with_its_own_thread(slack: FakeSlack) -> None:
    receiving = by_token(slack, text="{key} {class}: {summary}")
    receiving.write(
        *(incident("firing", "warning", name=str(n)) for n in range(3)),
        incident("firing", "info", name="digest", page=False),
    )
    receiving.run(60.0)
    assert len(slack.first) == 3
    assert "host-0 warning: 3 keys fire together" in texts(slack.first[0])
    receiving.write(incident("updated", "critical", name="1"))
    receiving.run(400.0)
    (reply,) = slack.replies
    assert "host-0 critical" in texts(reply)
    receiving.write(incident("updated", "critical", name="digest"))  # it pages now
    receiving.run(800.0)
    assert len(slack.first) == 4


HOSTILE = st.text(max_size=600) | st.sampled_from(
    [
        "<!channel>",
        "<https://evil.example|details>",
        "{key}{summary}" * 50,
        "{key.__class__.__mro__}",
        "&" * 500,
        "\u202egnp.exe\r\n*bold*",
    ]
)


@settings(max_examples=25, deadline=None)
@given(HOSTILE, st.booleans())
def test_no_key_mentions_anybody_nor_breaks_a_limit(key: str, linked: bool) -> None:
    # The fixture would be shared by all examples.
    with serving(FakeSlack()) as slack:
        link = "https://a.example/d?key={key}" if linked else ""
        receiving = by_token(slack, link, group_by="key", text="{key}: {summary} {channels}")
        receiving.write(*(trigger(key + str(n)) for n in range(3)), trigger(key))
        receiving.run(31.0)
        assert receiving.results == ["accepted"] * 4
        for message in slack.first:
            shown = texts(message)
            assert "<!" not in shown
            assert "<https://evil" not in shown
            assert all(tag.startswith("https://a.example/") for tag in shown.split("<")[1:])


def test_the_secret_is_in_no_message_of_an_error(
    slack: FakeSlack, capsys: pytest.CaptureFixture[str]
) -> None:
    receiving = by_webhook(slack)
    receiving.write(trigger("a"))
    for slack.status in (500, 302, 400):
        receiving.run(receiving.now + 60.0)
    captured = capsys.readouterr()
    assert "s3cret" not in captured.out + captured.err + receiving.receiver.trouble
    assert "s3cret" not in repr(receiving.section)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"webhook_url": "hooks.slack.com/s3cret"}, r"begins with http.*\(secret\)"),
        ({"webhook_url": "https://a/b", "token": "x", "channel": "C"}, "keep one of them"),
        ({"token": "x"}, "need each other"),
        ({"text": "{key.__class__}"}, "A brace stands alone"),
        ({"title": "{nonsense}"}, "is no field"),
    ],
)
def test_settings_are_checked(section: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.load(slack=section)


def test_without_an_address_it_does_not_start() -> None:
    with pytest.raises(UserError, match=r"EMBER_SLACK__WEBHOOK_URL") as caught:
        Receiving("slack")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("*a*", "\N{ASTERISK OPERATOR}a\N{ASTERISK OPERATOR}"),
        ("`a`", "\N{MODIFIER LETTER GRAVE ACCENT}a\N{MODIFIER LETTER GRAVE ACCENT}"),
        ("~a~", "\N{TILDE OPERATOR}a\N{TILDE OPERATOR}"),
        ("_a_", "\N{MODIFIER LETTER LOW MACRON}a\N{MODIFIER LETTER LOW MACRON}"),
        ("http://evil.example/a", "http:\N{WORD JOINER}//evil.example/a"),
        ("disk_io_ms", "disk_io_ms"),
    ],
)
def test_the_name_of_a_key_is_no_markup(slack: FakeSlack, key: str, shown: str) -> None:
    link = "https://a.example/d_/_?key={key}"
    receiving = by_token(slack, link, text="{key} is odd {link}")
    receiving.write(trigger(key))
    receiving.run(60.0)
    (section,) = (b for b in slack.first[0]["blocks"] if b["type"] == "section")
    assert section["text"]["verbatim"]
    assert f"{shown} is odd <https://a.example/d_/_?key=" in section["text"]["text"]


def test_the_link_of_an_incident_shows_its_first_key(slack: FakeSlack) -> None:
    receiving = by_token(slack, "https://a.example/d?key={key}")
    receiving.write(incident("firing", "warning"))
    receiving.run(60.0)
    assert "https://a.example/d?key=host-0" in texts(slack.first[0])

"""Remarks on documents that do less, or more, than their author may expect."""

from __future__ import annotations

import pytest

from stream.cli.control import show
from stream.cli.control.remarks import remarks_of
from stream.cli.control.show import _line
from stream.control.files import parse
from stream.settings import Settings

TIME = "2026-11-30T12:00:00Z"
ONCE = "[[calendar]]\nname='a'\nzone='UTC'\nwindows=[{{begin='{}',end='{}'}}]"
WEEKLY = "[[calendar]]\nname='a'\nzone='UTC'\nweekly=['sat 22:00-02:00']"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("[[rule]]\nname='a'\nkeys=['a']\nignore=true", []),
        ("[[rule]]\nname='a'\nchannels=['cpu']\nignore=true", []),
        ("[[rule]]\nname='a'\nkeys=['a', '*']\nignore=true", ["ignores_all"]),
        ("[[silence]]\nname='a'\nuntil=2026-11-30T13:00:00+01:00", ["ended_silence"]),
        ("[[silence]]\nname='a'\nuntil=2026-11-30T13:00:01+01:00", []),
        ("[[silence]]\nname='a'\nuntil=2020-01-01T00:00:00Z", ["ended_silence"]),
        (ONCE.format("2026-01-01", "2026-01-02"), ["ended_calendar"]),
        (ONCE.format("2026-11-30T10:00", "2026-11-30T11:45"), ["ended_calendar"]),
        (ONCE.format("2026-11-30T10:00", "2026-11-30T11:46"), []),
        (WEEKLY, []),
    ],
)
def test_documents_that_do_less_or_more_are_named(text: str, kinds: list[str]) -> None:
    remarks = remarks_of(parse(text, "ops.toml", "ada", TIME), TIME)
    assert [each.kind for each in remarks] == kinds


def test_a_calendar_whose_windows_are_not_known_for_long_is_named() -> None:
    (document,) = parse(WEEKLY, "ops.toml", "ada", TIME)
    assert document.body.until == "2028-01-04T12:00:00Z"
    assert not remarks_of([document], "2027-12-05T11:00:00Z")
    (remark,) = remarks_of([document], "2027-12-05T13:00:00Z")
    assert remark.kind == "calendar_horizon"
    assert "known until 2028-01-04T12:00:00Z" in remark.sentence()


def test_patterns_are_listed_as_words() -> None:
    (document,) = parse("[[rule]]\nname='a'\nkeys=['b', 'c']\nignore=true", "x", "ada", TIME)
    assert "keys=b,c ignore=True" in _line(document).plain


@pytest.mark.parametrize(("topics", "words"), [({"g-control": 1}, "has no"), ({}, "not there yet")])
def test_a_topic_that_is_missing_is_told_from_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, topics: dict[str, int], words: str
) -> None:
    monkeypatch.setattr(show.clients, "fetch_metadata", lambda _: None)
    monkeypatch.setattr(show.clients, "partition_counts", lambda _: topics)
    settings = Settings.model_validate({"kafka": {"group": "g"}, "control": {"enabled": True}})
    assert words in show._no_documents(settings)


def test_a_calendar_is_one_short_line() -> None:
    (document,) = parse(WEEKLY, "x", "ada", TIME)
    words = _line(document).plain.split("Z  ", 1)[1]
    assert words == "weekly=sat 22:00-02:00 zone=UTC until=2028-01-04T12:00:00Z"

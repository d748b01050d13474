"""Documents in TOML files."""

from __future__ import annotations

import msgspec
import pytest

from stream.control import ControlError, Rule, Silence
from stream.control.files import parse, render, same

TIME = "2026-11-30T12:00:00Z"
FEEDBACK = "[[feedback]]\nname='a'\nevent='a'\nkey='a'\ntopic='a'\n"
WINDOW = "[[calendar]]\nname='a'\nwindows=[{begin=2026-12-05T"
TEXT = """
[[rule]]
name = "disk"
reason = "backups fill it \\u007f"
keys = ["db-*"]
channels = ["disk.used"]
direction = "above"
usual_range = [0, 95.5]
limit = { above = 98, for = "10m" }

[[rule]]
name = "batch"
keys = ["batch-*", 'rack\\xff7']
ignore = true

[[silence]]
name = "move"
keys = ["web-7"]
until = 2026-12-01T06:00:00+01:00

[[calendar]]
name = "patches"
zone = "Europe/Berlin"
weekly = ["sat 22:00-02:00"]
windows = [{ begin = "2026-12-01T00:00:00Z", end = 2026-12-01T02:00:00Z }]

[[feedback]]
name = "e1"
event = "e1"
verdict = "false-alarm"
key = "web-7"
topic = "metrics"

[[acknowledgement]]
name = "a1"
event = "f00d"
"""


def test_a_file_gives_documents_and_documents_give_it_back() -> None:
    documents = parse(TEXT, "ops.toml", "ada", TIME)
    kinds = ["rule", "rule", "silence", "calendar", "feedback", "acknowledgement"]
    assert [each.kind for each in documents] == kinds
    assert {(each.author, each.time, each.source) for each in documents} == {
        ("ada", TIME, "ops.toml")
    }
    disk, batch, move = (each.body for each in documents[:3])
    assert isinstance(disk, Rule)
    assert (disk.direction, disk.usual_range) == ("above", (0.0, 95.5))
    assert isinstance(batch, Rule)
    assert batch.keys == ("batch-*", r"rack\xff7")
    assert isinstance(move, Silence)
    assert move.until == "2026-12-01T06:00:00+01:00"
    assert parse(render(documents), "ops.toml", "ada", TIME) == documents


def test_author_time_and_file_make_no_other_document() -> None:
    first, second = parse(TEXT, "ops.toml", "ada", TIME)[:2]
    again = parse(TEXT, "ops.toml", "bob", "2026-12-01T00:00:00Z")[0]
    assert same(first, again)
    assert not same(first, second)
    assert same(first, parse(TEXT, "other.toml", "ada", TIME)[0])
    assert not same(first, msgspec.structs.replace(first, reason="another"))


def test_a_calendar_is_renewed_before_its_windows_are_not_known() -> None:
    """The same file does nothing for half of its horizon."""
    text = "[[calendar]]\nname='a'\nzone='Europe/Berlin'\nweekly=['sun 01:00-03:00']"
    (first,) = parse(text, "ops.toml", "ada", "2026-11-30T12:00:00Z")
    for later, is_same in (("2027-06-17T12:00:00Z", True), ("2027-06-19T12:00:00Z", False)):
        (again,) = parse(text, "ops.toml", "bob", later)
        assert again.body.times != first.body.times
        assert same(first, again) is is_same
    moved = [(begin + 3600, end + 3600) for begin, end in first.body.times[40:]]
    body = msgspec.structs.replace(first.body, times=(*first.body.times[:40], *moved))
    assert not same(msgspec.structs.replace(first, body=body), first)  # zone rules have changed


def test_a_name_that_would_break_its_line_stays_in_it() -> None:
    (document,) = parse('[[rule]]\nname = "a"\nignore = true', "x", "eve\nrule = 1", TIME)
    assert len(parse(render([document]), "x", "ada", TIME)) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[rule]", "not valid TOML"),
        ("[[law]]\nname = 'a'", "'law'"),
        ("[rule]\nname = 'a'", "no document"),
        ("rule = 3", "no document"),
        ("rule = [3]", "no name"),
        ("[[rule]]\nignore = true", "no name"),
        ("[[rule]]\nname = 3", "no name"),
        ("[[rule]]\nname = 'a'\nreason = 3", "reason"),
        ("[[rule]]\nname = 'a'\nignored = true", "ignored"),
        ("[[rule]]\nname = 'a'\nkeys = 'web'", "array"),
        ("[[rule]]\nname = 'a'", "changes nothing"),
        ("[[rule]]\nname = 'a/b'\nignore = true", "`name`"),
        ("[[silence]]\nname = 'a'\nuntil = 2026-12-01", "`until`"),
        ("[[silence]]\nname='a'\nuntil=2026-12-01T06:00:00Z\nkeys=['[a']", "`keys`: A pattern"),
        ('[[rule]]\nname="a\\nb"\nignore=true', "rule/a\\nb cannot be used"),
        ("[[rule]]\nname='a'\ndirection='up'", "which is one of above, below, both"),
        (FEEDBACK + "verdict='great'", "which is one of false-alarm, normal-now, real"),
        (FEEDBACK + "verdict='normal now'", "'normal now' - at `$.verdict`, which is one of"),
        ("[[calendar]]\nname='a'", "Expected `file`"),
        (
            "[[calendar]]\nname='a'\nfiles='a.ics'",
            "calendar: keys, topics, file, windows, weekly, zone, grace,",
        ),
        ("[[calendar]]\nname='a'\nfile=3", "names no file"),
        ("[[calendar]]\nname='a'\nfile='a.ics'\nical='x'", "`ical` beside it"),
        (WINDOW + "20:00:00, end=2026-12-06T06:00:00}]", "or the `zone` of the calendar"),
        (WINDOW + "20:00:00Z, end=2026-12-06T06:00:00}]", "`windows[0].end` has no offset"),
        (WINDOW + "20:00:00Z, end='soon'}]", "`windows[0].end` is no time"),
        (WINDOW + "20:00:00Z, end=2026-12-05}]\nzone='Mars'", "`zone` is no time zone"),
        ("[[rule]]\nname='a'\nignore=true\n[[rule]]\nname='a'\nweight=0.5", "rule/a"),
    ],
)
def test_a_mistake_is_one_sentence(text: str, word: str) -> None:
    with pytest.raises(ControlError) as error:
        parse(text, "ops.toml", "ada", TIME)
    assert word in error.value.message

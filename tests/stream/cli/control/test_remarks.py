"""Remarks on documents that do less, or more, than their author may expect."""

from __future__ import annotations

import pytest

from stream.cli.control.remarks import remarks_of
from stream.cli.control.show import _line
from stream.control.files import parse

TIME = "2026-11-30T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("[[rule]]\nname='a'\nkeys=['a']\nignore=true", []),
        ("[[rule]]\nname='a'\nchannels=['cpu']\nignore=true", []),
        ("[[rule]]\nname='a'\nkeys=['a', '*']\nignore=true", ["ignores_all"]),
        ("[[silence]]\nname='a'\nuntil=2026-11-30T13:00:00+01:00", ["ended_silence"]),
        ("[[silence]]\nname='a'\nuntil=2026-11-30T13:00:01+01:00", []),
        ("[[silence]]\nname='a'\nuntil=2020-01-01T00:00:00Z", ["ended_silence"]),
        ("[[calendar]]\nname='a'\nzone='UTC'\nwindows=[{begin='2026-01-01',end='2026-01-02'}]", []),
    ],
)
def test_documents_that_do_less_or_more_are_named(text: str, kinds: list[str]) -> None:
    remarks = remarks_of(parse(text, "ops.toml", "ada", TIME), TIME)
    assert [each.kind for each in remarks if each.kind != "idle_kind"] == kinds


def test_kinds_that_do_not_act_are_named_once_each() -> None:
    windows = "zone='UTC'\nwindows=[{begin='2026-01-01',end='2026-01-02'}]\n"
    text = f"[[calendar]]\nname='a'\n{windows}[[calendar]]\nname='b'\n{windows}"
    (remark,) = remarks_of(parse(text, "ops.toml", "ada", TIME), TIME)
    assert remark.source == "[[calendar]]"
    assert "is followed, and does not act in this version" in remark.sentence()


def test_patterns_are_listed_as_words() -> None:
    (document,) = parse("[[rule]]\nname='a'\nkeys=['b', 'c']\nignore=true", "x", "ada", TIME)
    assert "keys=b,c ignore=True" in _line(document).plain

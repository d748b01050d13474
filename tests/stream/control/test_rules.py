"""Rules: the names they are for, and what their checks refuse."""

from __future__ import annotations

import msgspec
import pytest

from stream.control.rules import Limit, Rule, validate

CHANNELS = ("cpu", "disk_used", "disk_free", "a[0]")


def test_patterns_choose_keys_topics_and_channels():
    rule = Rule(keys=("web-*", "db-1"), topics=("metrics",), channels=("disk_*", "a[0]"))
    assert rule.is_for_key("metrics", "web-7")
    assert rule.is_for_key("metrics", "db-1")
    assert not rule.is_for_key("metrics", "db-12")
    assert not rule.is_for_key("metrics", "WEB-7")
    assert not rule.is_for_key("logs", "web-7")
    # A name with brackets is also itself.
    assert rule.channel_indices(CHANNELS) == [1, 2, 3]
    assert Rule().channel_indices(CHANNELS) == [0, 1, 2, 3]


def test_a_limit_reads_for_as_a_duration():
    rule = msgspec.toml.decode(b'limit = { above = 95, for = "10m" }', type=Rule)
    assert rule.limit == Limit(above=95.0, for_="10m")
    assert rule.limit.for_us == 600_000_000
    assert msgspec.json.encode(rule) == b'{"kind":"rule","limit":{"above":95.0,"for":"10m"}}'


@pytest.mark.parametrize(
    "text",
    [
        "ignore = true",
        'direction = "above"',
        "min_deviation = 5",
        "min_relative_deviation = 0.2",
        "usual_range = [0, 100]",
        "limit = { below = 1 }",
        "sensitivity = 2",
        "weight = 0.5",
    ],
)
def test_each_kind_of_rule_is_valid(text):
    assert validate(msgspec.toml.decode(text, type=Rule)) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "changes nothing"),
        ("ignore = true\nkeys = []", "patterns for its keys"),
        ('ignore = true\nchannels = [""]', "patterns for its channels"),
        (f'ignore = true\ntopics = ["{"x" * 501}"]', "too long"),
        ('ignore = true\nkeys = ["web", "[abc"]', "`keys`: A pattern has a `[` without"),
        (f"ignore = true\nkeys = {['a'] * 101}", "at most 100. Received: 101."),
        ('ignore = true\nchannels = ["a[]"]', "Received: 'a[]'"),
        ("min_deviation = -1", "is a size"),
        ("min_relative_deviation = nan", "is a size"),
        ("usual_range = [2, 1]", "do not fall"),
        ("usual_range = [0, inf]", "do not fall"),
        ("limit = {}", "needs a bound"),
        ("limit = { above = inf }", "needs a bound"),
        ("limit = { above = 1, below = 2 }", "within this limit"),
        ('limit = { above = 1, for = "soon" }', "is a duration"),
        ("sensitivity = 0", "factor on the alert budget"),
        ("sensitivity = nan", "factor on the alert budget"),
        ("weight = -1", "how unusual"),
        ("weight = 11", "how unusual"),
    ],
)
def test_a_wrong_rule_gets_one_sentence(text, problem):
    assert problem in validate(msgspec.toml.decode(text, type=Rule))


@pytest.mark.parametrize("text", ["ignored = true", 'direction = "up"', "limit = { over = 1 }"])
def test_unknown_words_are_refused(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(text, type=Rule)

"""Names of channels: any name works with any codec."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.codecs import make_codec
from stream.codecs._channels import parse_selector
from stream.errors import UserError
from stream.records import Decoded
from tests.conftest import examples
from tests.contract.test_codecs import NAMES, Message, build, rows

PARTS = st.sampled_from(["a", "b", "cpu", "values", "ts", "host", "0", "é", '"', "\\", "\x7f", "/"])
LIKELY = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
ANY = st.one_of(LIKELY, st.text(max_size=8), st.just('cpu.usage_user{cpu="cpu-total"}'))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    channels=st.lists(ANY, min_size=1, max_size=4, unique=True),
    key=st.sampled_from(["", "host", "tags.host", 'labels["a.b"]', "values.a"]),
    time=st.sampled_from(["ts", "a.ts", "values.ts", "values"]),
)
def test_any_name_makes_a_codec(name: str, channels: list[str], key: str, time: str) -> None:
    """Nothing but a sentence for the user may end a start."""
    codec = build(name, channels, key=key, time=time)
    assert len(codec.decode([Message(b"k", b'{"ts":1,"cpu":2}')]).keys) <= 1


def decode_slowly(codec: Any, messages: list[Message]) -> Decoded:
    """Decode without the typed shapes: each record by the one reader of nested records."""
    codec._layouts, codec._preferred = [], None
    return codec.decode(messages)


LEAVES: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([1.5, 1e200, "2.5", "n/a", "broken", 10**400]),
)
TREES: Any = st.recursive(
    LEAVES, lambda inner: st.dictionaries(LIKELY, inner, max_size=4) | st.lists(inner, max_size=2)
)
RECORDS: Any = st.fixed_dictionaries(
    {"ts": st.just(1_700_000_000)},
    optional={
        "values": st.dictionaries(LIKELY, TREES, max_size=4) | LEAVES,
        "a": TREES,
        "cpu": TREES,
        "a.b": TREES,
        "host": st.just("h"),
        "b": st.dictionaries(LIKELY, TREES, max_size=2),
    },
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=st.lists(RECORDS, min_size=1, max_size=5),
    channels=st.lists(LIKELY, min_size=1, max_size=4, unique=True),
    key=st.sampled_from(["host", "a.host", "values.host"]),
    values=st.sampled_from(["values", "", "a", "a.b"]),
    escaped=st.booleans(),
)
def test_the_fast_reading_is_the_slow_one(
    records: list[Any], channels: list[str], key: str, values: str, escaped: bool
) -> None:
    """Typed shapes give what the reader of nested records gives, or leave the record to it."""
    messages = [
        Message(b"k", json.dumps(record, ensure_ascii=escaped).encode()) for record in records
    ]

    def codec() -> Any:
        return make_codec("json", channels, key=key, values=values)

    fast, slow = codec().decode(messages), decode_slowly(codec(), messages)
    assert [r[:2] for r in rows(fast) if isinstance(r[0], int)] == [r[:2] for r in rows(slow)]
    assert fast.values.tobytes() == slow.values.tobytes()
    assert fast.bad_values == slow.bad_values
    assert [r[:2] for r in fast.rejected] == [r[:2] for r in slow.rejected]


@pytest.mark.parametrize("channels", [["c"], ["a.b"], ["a.b", "c"], ["a.b.c", "c"], ["a", "c"]])
def test_every_place_of_a_channel_is_read_alike(channels: list[str]) -> None:
    """Both readers take the same one of several places of a channel."""
    options: list[list[Any]] = [
        [{}, {"a": {"b": 1}}, {"a": {"b": {"c": 2}}}, {"a": {"b.c": 3}}, {"a": 4}],
        [{}, {"a.b": 5}, {"a.b": {"c": 6}}, {"a.b.c": 7}],
        [{}, {"c": 8}],
    ]
    parts = [{k: v for part in parts for k, v in part.items()} for parts in product(*options)]
    # Values in the object of the channels differ from those beside it.
    inner_parts = json.loads(
        re.sub(r"\d", lambda digit: str(int(digit[0]) * 10), json.dumps(parts))
    )
    records = [*parts, *({**outer, "values": inner} for outer in parts for inner in inner_parts)]
    messages = [Message(b"k", json.dumps({"ts": 1, **record}).encode()) for record in records]
    fast = make_codec("json", channels)
    # The shape that is tried first depends on the records before.
    for order in (messages, messages[::-1], sorted(messages)):
        slow = decode_slowly(make_codec("json", channels), order)
        assert rows(fast.decode(order)) == rows(slow)


@pytest.mark.parametrize(
    ("channel", "labels"),
    [
        ('up{job="a"}', {"job": "a"}),
        ('up{job="a",}', {"job": "a"}),
        ('up{ job = "a" , k="}" }', {"job": "a", "k": "}"}),
        (
            r'up{path="C:\\",q="say \"hi\"",n="a\nb"}',
            {"path": "C:\\", "q": 'say "hi"', "n": "a\nb"},
        ),
        ('up{host.name="a",größe="1"}', {"host.name": "a", "größe": "1"}),
    ],
)
def test_a_selector_has_labels(channel: str, labels: dict[str, str]) -> None:
    assert parse_selector(channel) == ("up", labels)


@pytest.mark.parametrize("channel", ["up", "up{}", 'up{job="a}', "up{job=a}", "{", "a}b{", ""])
def test_other_names_stand_for_themselves(channel: str) -> None:
    assert parse_selector(channel) == (channel, {})


def test_a_channel_with_quotes_is_read_by_json() -> None:
    """The name of a Prometheus selector is a field's name like any other."""
    name = 'cpu.usage_user{cpu="cpu-total"}'
    codec = make_codec("json", [name, "mem"])
    value = json.dumps({"ts": 1, "values": {name: 2.5, "mem": 1}}).encode()
    plain = b'{"ts":1,"values":{"mem":3}}'
    decoded = codec.decode([Message(b"k", value), Message(b"k", plain)])
    np.testing.assert_array_equal(decoded.values, [[2.5, 1.0], [np.nan, 3.0]])


@pytest.mark.parametrize("name", ["json", "avro"])
def test_two_channels_of_one_field_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"input\.fields"):
        build(name, ["a", "b"], fields={"b": "a"})

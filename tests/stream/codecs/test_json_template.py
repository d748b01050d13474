"""Messages read by templates: the outcome of each is that of the typed decoder, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream.codecs import Codec, _json_templates, _reader, make_codec
from stream.codecs._json_template import Template
from stream.codecs._reader import CompiledReader, load
from stream.records import Decoded
from tests.conftest import examples

CHANNELS = ("cpu", "mem.used", "disk")


class Message(NamedTuple):
    key: bytes | None
    value: bytes | None
    timestamp: int = 1_700_000_000_000
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


@pytest.fixture(autouse=True, scope="module")
def reader() -> Iterator[CompiledReader]:
    """Compiled code at hand, a template after every slice, and no pauses."""
    ready = CompiledReader(load, lambda: None)
    ready.load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json_templates, "compiled_reader", ready)
        patch.setattr(_json_templates, "_LEARN_AFTER", 1)
        patch.setattr(_json_templates, "_MOST_DOUBLINGS", 0)
        yield ready


class Counting:
    """The compiled function, and the messages that it has read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.read = self.tried = 0
        original = Template.read

        def read(template: Template, *arguments: Any) -> Any:
            group, others = original(template, *arguments)
            self.read += 0 if group is None else len(group.indices)
            self.tried += len(arguments[-1])
            return group, others

        patch.setattr(Template, "read", read)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


def plain_codec(**options: Any) -> Codec:
    """Codec that has no templates."""
    codec: Any = make_codec("json", CHANNELS, **options)
    codec._templates.read = lambda raws: ([], range(len(raws)))
    return codec  # type: ignore[no-any-return]


def content(decoded: Decoded) -> tuple[Any, ...]:
    return (
        decoded.keys,
        decoded.time_us.tobytes(),
        decoded.values.tobytes(),
        decoded.values.shape,
        decoded.message.tolist(),
        decoded.rejected,
        decoded.bad_values,
        (decoded.time_us.dtype, decoded.values.dtype, decoded.message.dtype),
    )


def check(first: Sequence[Message], then: Sequence[Message], **options: Any) -> Decoded:
    """Decode `then` by templates of `first`, and without any."""
    codec = make_codec("json", CHANNELS, **options)
    for message in first:
        codec.decode([message])
    decoded = codec.decode(then)
    assert content(decoded) == content(plain_codec(**options).decode(then))
    return decoded


# -- numbers -------------------------------------------------------------------------------------

ODD = """
0 -0 0.0 -0.0 -0e1 00 01 1. .5 - + +1 1e 1e+ 1e5 1E-5 1e+05 0e0 1e22 1e23 1e64 1e65 1e-64 1e-65
1e308 1e309 NaN Infinity -Infinity nan null true false [] {} 9007199254740993 9007199254740992.5
9007199254740993.0 18446744073709551616 999999999999999999 1000000000000000000
99999999999999999999 0.00000000000000000001234 1e99999999999999999999 1_000 0x10 1.5.5 --1 1-1 1,5
2.2250738585072011e-308
"""

digits = st.text("0123456789", min_size=1, max_size=25)
written = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.17e}".format),
    st.floats(-1e9, 1e9).map("{:.3f}".format),
    st.floats(-1e15, 1e15).map(repr),
    st.integers(-(2**64), 2**64).map(str),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), digits, digits),
    st.builds("{}.{}e{}".format, digits, digits, st.integers(-400, 400)),
    # Halfway between two floats, and beside it.
    st.builds(
        lambda half, shift, beside: f"{(2 * half + 1) * 5**shift * 10 + beside}e-{shift + 1}",
        st.integers(2**52, 2**53),
        st.integers(0, 9),
        st.integers(-1, 1),
    ),
    st.sampled_from(ODD.split()),
)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.tuples(written, written, written), min_size=1, max_size=20),
    st.sampled_from(["auto", "s", "ms", "us", "ns", "iso8601"]),
)
def test_numbers_are_those_of_the_typed_decoder(
    rows: list[tuple[str, str, str]], time_unit: str
) -> None:
    """Whatever they are, and whatever stands where a number stood."""
    form = '{{"x":{2},"ts":{0},"values":{{"cpu":{1},"disk": 3}}}}'
    then = [Message(b"k", form.format(*row).encode()) for row in rows]
    check([Message(b"k", form.format(1, 2, 3).encode())], then, time_unit=time_unit)


def test_odd_numbers_are_those_of_the_typed_decoder(counting: Counting) -> None:
    """All of them, in fields that are read as channels, as time and as nothing."""
    form = '{{"x":{2},"ts":{0},"values":{{"cpu":{1},"disk": 3}}}}'
    rows = []
    for odd in ODD.split():
        rows += [(odd, "1", "1"), ("1", odd, "1"), ("1", "1", odd)]
    then = [Message(b"k", form.format(*row).encode()) for row in rows]
    check([Message(b"k", form.format(1, 2, 3).encode())], then)
    assert 40 < counting.read < len(then) - 40


def test_numbers_that_are_hard_to_round(counting: Counting) -> None:
    """Many digits, halves between two floats, and numbers just beside a half."""
    rng = Random(5)
    numbers = []
    for _ in range(20_000):
        numbers.append(f"{rng.randrange(10**16, 10**19)}e{rng.randint(-64, 64)}")
        half, shift = 2 * rng.randrange(2**52, 2**53) + 1, rng.randint(0, 3)
        numbers.append(f"{half * 5**shift * 2**shift}e-{shift}")
        numbers.append(f"{half * 5**shift + rng.randint(-1, 1)}.0e{rng.randint(-3, 3)}")
    then = [Message(b"k", b'{"ts":1,"values":{"cpu":%s}}' % number.encode()) for number in numbers]
    codec = make_codec("json", CHANNELS)
    codec.decode(then[:1])
    decoded = codec.decode(then)
    expected = np.array([float(number) for number in numbers])
    assert decoded.values[:, 0].tobytes() == expected.tobytes()
    assert counting.read > 50_000


def test_numbers_that_people_write_are_read_by_the_template(counting: Counting) -> None:
    rng = np.random.default_rng(7)
    forms = (repr, "{:.2f}".format, "{:.17g}".format, "{:.6e}".format, "{:.0f}".format)
    then = [
        Message(b"k", b'{"ts":%d,"values":{"cpu":%s}}' % (1_700_000_000 + n, form(x).encode()))
        for n, x in enumerate(rng.standard_normal(400).tolist())
        for form in forms
    ]
    assert len(check([Message(b"k", b'{"ts":1,"values":{"cpu":1}}')], then)) == 2_000
    assert counting.read == 2_000


# -- texts and shapes ----------------------------------------------------------------------------

ODD_TEXTS = (
    *(b"", b"web-1", b'a"b', b"a\\", b'\\"', b"\\u00e9", "é".encode(), b"\xff", b"\xed\xa0\x80"),
    *(b"2026-01-31T00:00:00Z", b"2026-01-31 00:00", b"31.01.2026", b"17", b"1700000000"),
    *(b"\x00ember.meta", b"k" * 513, b"a\nb", b'","cpu":1,"x":"'),
)

texts = st.one_of(
    st.text(max_size=5).map(lambda text: text.encode(errors="replace")),
    st.binary(max_size=4),
    st.sampled_from(ODD_TEXTS),
)
SHAPES = (
    b'{"host":"$","ts":#,"values":{"cpu":#,"mem.used":#,"disk":#}}',
    b'{ "values" : {"cpu":# ,"mem":{"used":#}}, "ts":"$", "tags":{"host":"$"},"name":"$" }\n',
    b'{"ts":#,"host":#,"cpu":#,"mem":{"used":#,"free":[#,#,"$"]},"disk":null}',
    b'{"cpu":true,"cpu":#,"host":"$","ts":#,"tags":{"host":#},"name":"$","disk":false}',
    b'{"values":{"cpu":#,"ts":#},"ts":null,"host":{"a":#}}',
    b'{"values":{"cpu":#,"cpu":#,"host":"$"},"ts":#}',
    b'{"values":{},"ts":#}',
    b'{"values":"$","ts":#,"cpu":#}',
    b'{"ts":#.5,"values":{"cpu":1#}}',
    b'[{"ts":#,"values":{"cpu":#}}]',
    b"{}",
)


USUAL = st.sampled_from([b"1", b"-2.5", b"1700000000", b"1700000000.25", b"-9999"])
USUAL_TEXTS = st.sampled_from([b"web-1", b"web-2", b"2026-01-31T00:00:00Z"])


@st.composite
def values(draw: st.DrawFn) -> bytes | None:
    """A message of one of the shapes, now and then with something else in a place."""
    is_usual = draw(st.booleans())
    number = USUAL if is_usual else written.map(str.encode)
    text = USUAL_TEXTS if is_usual else texts
    parts = []
    for byte in draw(st.sampled_from(SHAPES)):
        character = bytes([byte])
        place = {b"#": number, b"$": text}.get(character)
        parts.append(character if place is None else draw(place))
    value = b"".join(parts)
    how = draw(st.integers(0, 19))
    if how == 0:
        begin = draw(st.integers(0, len(value)))
        return value[:begin] + draw(st.binary(max_size=2)) + value[begin + 1 :]
    return None if how == 1 else value


keys = st.sampled_from([None, b"", b"k", b"\x00ember.meta", b"k" * 600])
slices = st.lists(st.builds(Message, keys, values()), min_size=1, max_size=12)


@settings(max_examples=examples(100), deadline=None)
@given(
    first=slices,
    then=slices,
    key=st.sampled_from(["", "host", 'tags.host + "/" + name', "values.host", "tags"]),
    key_from=st.sampled_from(["kafka", "record", "auto"]),
    options=st.sampled_from(
        [
            {},
            {"time": ""},
            {"time_unit": "iso8601"},
            {"time": "values.ts"},
            {"values": "."},
            {"missing": ("-9999",)},
            {"max_message_bytes": 60},
            {"fields": {"cpu": "mem.free", "disk": "cpu"}},
            {"time_format": "%Y%m%d", "time_zone": "Europe/Berlin"},
        ]
    ),
)
def test_messages_are_those_of_the_typed_decoder(
    first: list[Message],
    then: list[Message],
    key: str,
    key_from: Any,
    options: dict[str, Any],
) -> None:
    """Of any shape, key and setting, in any company."""
    options = {**options, "key": key, "key_from": key_from if key else "kafka"}
    check(first, then, **options)
    check(then, then, **options)


@pytest.mark.parametrize("end", [b"", b"}", b" ", b"1", b"\n{}", b"\x00"])
def test_bytes_behind_a_record_are_not_of_its_template(end: bytes) -> None:
    good = b'{"ts":1,"values":{"cpu":2}}'
    check([Message(b"k", good)], [Message(b"k", good + end), Message(b"k", good[:-1] + end)])


def test_odd_texts_are_those_of_the_typed_decoder(counting: Counting) -> None:
    """As key, as time and as nothing, and with every byte in a text."""
    form = b'{"host":"%s","ts":"%s","x":"%s","values":{"cpu":2}}'
    good = b"2026-01-31T00:00:00Z"
    odd_texts = [*ODD_TEXTS, *(bytes([byte]) for byte in range(256))]
    rows = [
        row for odd in odd_texts for row in ((odd, good, b""), (b"a", odd, b""), (b"a", good, odd))
    ]
    for part in (rows, [row for row in rows if all(text.isascii() for text in row)]):
        then = [Message(None, form % row) for row in part]
        check([Message(None, form % (b"a", good, b"b"))], then, key="host")
    assert counting.read > 400


def test_shapes_that_take_turns_have_a_template_each(counting: Counting) -> None:
    shapes = [b'{"ts":1,"values":{"%s":2}}' % name for name in (b"cpu", b"disk", b"mem.used")]
    messages = [Message(b"k", shape) for shape in shapes]
    decoded = check(messages * 3, messages * 8)
    assert decoded.message.tolist() == list(range(24))
    assert counting.read >= 24


def test_templates_that_read_too_little_are_left_alone_for_longer_and_longer(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the messages are of a known shape again."""
    monkeypatch.setattr(_json_templates, "_MOST_DOUBLINGS", 8)
    codec: Any = make_codec("json", CHANNELS)
    known = [Message(b"k", b'{"ts":1,"values":{"cpu":2}}')] * 10
    for number in range(2_000):
        codec.decode([Message(b"k", b'{"ts":1,"values":{"cpu":2},"x%d":3}' % number)])
    assert counting.tried < 8 * 2_000 / 100
    assert counting.read == 0
    for _ in range(600):
        codec.decode(known)
    assert counting.read > 1_000


def test_a_template_is_made_again_for_no_message_that_it_cannot_read(counting: Counting) -> None:
    good, odd = (b'{"ts":1,"values":{"cpu":%s}}' % x for x in (b"2", b"123456789012345678901"))
    codec: Any = make_codec("json", CHANNELS)
    for value in (good, odd, good, odd, good):
        codec.decode([Message(b"k", value)])
    assert len(codec._templates._templates) == 1
    assert counting.read == 2


@pytest.mark.parametrize(
    "value",
    [
        b'{"ts":1,"values":{"cpu":2},"x":"\\u0020"}',
        b'{"ts":{"a":1},"values":{"cpu":2}}',
        b'{"ts":true,"values":{"cpu":2}}',
        b'{"ts":1,"values":{"cpu":2},"x":[' + b"1," * 1_024 + b"1]}",
        b'{"ts":1,"values":{"cpu":2},"x":"' + b"1" * 65_536 + b'"}',
    ],
)
def test_messages_that_are_no_template(value: bytes, counting: Counting) -> None:
    check([Message(b"k", value)], [Message(b"k", value)])
    assert counting.read == 0


def test_a_refused_time_is_shown_as_it_was_written() -> None:
    rows = [b"99999999999999999", b"1.5", b"1700000000", b"-1e18"]
    then = [Message(b"k", b'{"ts":%s,"values":{"cpu":2}}' % time) for time in rows]
    decoded = check(then[2:3], then, time_unit="s")
    assert "99999999999999999" in decoded.rejected[0].detail
    assert "np." not in decoded.rejected[0].detail


def test_the_payload_of_json_schema_is_read_the_same(counting: Counting) -> None:
    body = json.dumps({"ts": 1_700_000_000_000, "values": {"cpu": 0.5, "disk": 2}}).encode()
    codec = make_codec("json_schema", CHANNELS)
    framed = [Message(b"k", b"\x00\x00\x00\x00\x07" + body)] * 3
    assert content(codec.decode(framed)) == content(codec.decode(framed))
    assert counting.read == 3


# -- the compiled function -----------------------------------------------------------------------


def no_scan(*_: Any) -> None:
    """Stand for the compiled function."""


def test_it_is_prepared_once_enough_messages_have_come() -> None:
    steps: list[str] = []

    def make() -> Any:
        steps.append("load")
        return no_scan

    holder = CompiledReader(make, lambda: steps.append("compile"), from_messages=100)
    assert holder.scan_for(100) is None
    holder.wait()
    assert steps == []
    assert holder.scan_for(1) is None or steps
    holder.wait()
    assert holder.scan_for(1) is no_scan
    assert steps == ["compile", "load"]


def test_what_cannot_be_compiled_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reader, "_PROGRAM", "raise SystemExit('no room')")
    holder = CompiledReader(load, _reader.compile_beside, from_messages=0)
    with capture_logs() as logs:
        holder.scan_for(1)
        holder.wait()
        assert holder.scan_for(1) is None
    [log] = logs
    assert log["event"] == "JSON is read without compiled code, which takes longer"
    assert log["detail"].endswith("ended with exit code 1: no room")


def test_another_process_compiles_it() -> None:
    _reader.compile_beside()

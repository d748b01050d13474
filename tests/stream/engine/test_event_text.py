"""Texts of explanations: the bytes of the structs that describe them."""

from __future__ import annotations

from math import isnan
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from stream.engine.event_text import ChannelText
from stream.engine.explanation import Explanation
from stream.records import TopChannel, encode_part

NUMBERS = st.floats(width=64) | st.just(float("nan")) | st.integers(-9, 9).map(float)
CHANNEL = st.tuples(st.text(max_size=7), NUMBERS, NUMBERS, st.floats(0.0, 1.0), NUMBERS, NUMBERS)


def of_struct(name: str, value: float, expected: float, share: float, *ends: Any) -> TopChannel:
    return TopChannel(
        name,
        None if isnan(value) else value,
        None if isnan(expected) else expected,
        share,
        "above" if isnan(value) or value >= expected else "below",
        *ends,
    )


@given(st.lists(CHANNEL, max_size=5), st.booleans())
def test_the_json_is_that_of_the_structs(channels: list[Any], has_range: bool) -> None:
    columns = [list(column) for column in zip(*channels, strict=True)] or [[]] * 6
    names, values, expected, shares, low, high = columns
    order = list(range(len(names)))
    ends = (low, high) if has_range else ([UNSET] * len(names),) * 2
    structs = zip(names, values, expected, shares, *ends, strict=True)
    explanation = Explanation(order, shares, values, expected, *(ends if has_range else ()))
    text = ChannelText(names).of(explanation)
    assert bytes(text.top_channels) == encode_part([of_struct(*each) for each in structs])
    assert ChannelText(names).of(explanation) is text


def test_a_clause_names_channel_value_expectation_and_share() -> None:
    nan = float("nan")
    explanation = Explanation(
        [2, 0, 1, 0], [0.5, 0.3, 0.196, 0.004], [12345.678, nan, 0.1, 1.0], [1.5, 2.0, nan, 1.0]
    )
    assert ChannelText(["a %", 'b"', "c"]).of(explanation).parts == [
        "c 1.235e+04 (expected 1.5, 50 %)",
        "a % missing (expected 2, 30 %)",
        'b" 0.1 (expected missing, 20 %)',
    ]

"""Texts as numbers, or as no value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.cells import NO_VALUE, number_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("21.5", 21.5),
        ("-1e-3", -1e-3),
        ("+.5", 0.5),
        ("7.", 7.0),
        (" 21.5\t", 21.5),
        ("\u00a021.5\u202f", 21.5),
        ("1e999", math.inf),
        ("-1e999", -math.inf),
    ],
)
def test_a_text_is_read_as_float_does(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text", [*sorted(NO_VALUE), "NaN", "NULL", " - ", "\u00a0", "N/A", "+Inf", "-infinity", "INF"]
)
def test_some_words_mean_no_value(text: str) -> None:
    number = number_of(text)
    assert number is not None
    assert math.isnan(number)


@pytest.mark.parametrize("text", ["1_000", "0x10", "21,5", "1 000", "abc", "on", "1.2.3", "٫"])
def test_other_texts_are_no_numbers(text: str) -> None:
    assert number_of(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives_its_text(number: float) -> None:
    assert number_of(repr(number)) == number

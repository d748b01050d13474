"""The table of numbers: what a cell is read as, in files and in records."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.cells import MISSING_WORDS, NumberReader, Unreadable, cells_of, leaves


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (3, 3.0),
        (-0.5, -0.5),
        (True, 1.0),
        (False, 0.0),
        (Decimal("1.25"), 1.25),
        (np.int32(7), 7.0),
        (np.bool_(True), 1.0),
        ("21.5", 21.5),
        (" 21.5\t", 21.5),
        ("\u00a0 21.5", 21.5),
        ("21.5\u202f", 21.5),
        ("\ufeff21.5", 21.5),
        ("\u22125", -5.0),
        ("+.5e-3", 0.0005),
        ("1 234.5", 1234.5),
        ("1\u202f234\u202f567", 1234567.0),
        ("1\u00a0234,5", 1234.5),
        ("1'234.50", 1234.5),
        ("1,234.5", 1234.5),
        ("-1,234,567", -1234567.0),
        ("TRUE", 1.0),
        ("false", 0.0),
        ("Yes", 1.0),
        ("off", 0.0),
    ],
)
def test_numbers(cell: Any, expected: float) -> None:
    assert NumberReader().read(cell) == expected


@pytest.mark.parametrize(
    "cell", [None, math.nan, math.inf, "-inf", "1e999", *sorted(MISSING_WORDS)]
)
def test_missing(cell: Any) -> None:
    assert math.isnan(NumberReader().read(cell))
    if isinstance(cell, str):
        assert math.isnan(NumberReader(decimal=",").read(f" {cell.upper()}\u00a0"))


@pytest.mark.parametrize(
    "cell",
    [
        "six",
        "1_000",
        "12%",
        "21,5",
        "1,234",
        "1.234,5",
        "1,23,456",
        "0x1f",
        "2026-01-31",
        [1],
        {},
        b"1",
        10**400,
    ],
)
def test_unreadable(cell: Any) -> None:
    with pytest.raises(Unreadable, match="Expected a number"):
        NumberReader().read(cell)


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1,234", 1234.0, 1.234),
        ("1.234", 1.234, 1234.0),
        ("21,5", None, 21.5),
        ("-0,25e3", None, -250.0),
        ("1.234,5", None, 1234.5),
        ("1.234.567", None, 1234567.0),
        ("1 234,5", None, 1234.5),
        ("1 234.5", 1234.5, None),
        ("7", 7.0, 7.0),
    ],
)
def test_decimal_sign(text: str, point: float | None, comma: float | None) -> None:
    for decimal, expected in ((".", point), (",", comma)):
        reader = NumberReader(decimal=decimal)  # type: ignore[arg-type]
        if expected is None:
            with pytest.raises(Unreadable):
                reader.read(text)
        else:
            assert reader.read(text) == expected
    assert NumberReader(decimal=",").read(1.234) == 1.234  # a number has no sign to mistake


def test_further_words_and_numbers_mean_missing() -> None:
    reader = NumberReader(missing=("-9999", "Sensor Off"))
    cells = (-9999, -9999.0, "-9999.00", " sensor off ")
    assert all(math.isnan(reader.read(cell)) for cell in cells)
    assert reader.read(-9998) == -9998.0
    kept = reader.without_missing(np.array([1.0, -9999.0, np.inf]))
    np.testing.assert_array_equal(kept, [1.0, np.nan, np.nan])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_python_writes_is_read_exactly(number: float) -> None:
    assert NumberReader().read(str(number)) == number
    assert NumberReader(decimal=",").read(f"{number:.25f}".replace(".", ",")) == float(
        f"{number:.25f}"
    )


def test_nested_objects_and_arrays_have_dotted_paths() -> None:
    record = {"ts": 1, "values": {"cpu": 2, "values": {"x": 3}}, "env": {"in": {"t": 4}}, "l": [5]}
    assert dict(leaves(record)) == {"ts": 1, "cpu": 2, "values.x": 3, "env.in.t": 4, "l.0": 5}
    assert dict(leaves({"m": {"cpu": 1}}, values="m")) == {"cpu": 1}
    signal = list(range(65))
    assert dict(leaves({"signal": signal})) == {"signal": signal}


def test_of_two_cells_of_one_name_the_nearer_one_counts() -> None:
    record = {"ts": 1, "a.b": 2, "a": {"b": 3}, "x": 4, "values": {"x": 5, "ts": 6, "c": {"d": 7}}}
    assert cells_of(record, outer=("ts",)) == {"ts": 1, "a.b": 2, "x": 5, "c.d": 7}
    assert cells_of({"values": {"c": {"d": 7}, "c.d": 8}}) == {"c.d": 8}

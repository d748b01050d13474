"""Formulas of computed channels: grammar, values, and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ember_core.rows import Formula, FormulaError
from ember_core.rows.evaluate import evaluate

COLUMNS = {
    "errors": np.array([1.0, 0.0, np.nan, 4.0]),
    "requests": np.array([2.0, 0.0, 5.0, 1e-300]),
    "a b": np.array([-1.0, 2.0, 3.0, 1e300]),
}


def value(text: str) -> list[float]:
    return evaluate(Formula(text), COLUMNS).tolist()


def test_precedence_is_that_of_arithmetic() -> None:
    for text, plain in (
        ("errors + 2 * requests", "e + 2 * r"),
        ("(errors + 2) * requests", "(e + 2) * r"),
        ("errors - requests - 1", "e - r - 1"),
        ("8 / requests / 2", "8 / r / 2"),
        ("-errors * -2e0 + +.5", "-e * -2e0 + .5"),
        ("max(errors, requests, 1) - min(errors, 1)", "max(e, r, 1) - min(e, 1)"),
        (
            "abs(errors - 3) * sqrt(requests) + log(errors)",
            "abs(e - 3) * math.sqrt(r) + math.log(e)",
        ),
    ):
        expected = eval(
            plain, {"e": 1.0, "r": 2.0, "max": max, "min": min, "abs": abs, "math": math}
        )
        assert value(text)[0] == expected, text


def test_what_is_no_number_is_missing() -> None:
    """A division by zero, a missing operand, a result too large for a record."""
    assert np.isnan(value("errors / requests")[1:]).tolist() == [True, True, True]
    assert np.isnan(value("log(`a b`)")[0])
    assert np.isnan(value("`a b` * 1")[3])
    assert np.isnan(value("max(errors, 1)")[2])


def test_names_are_plain_or_quoted() -> None:
    formula = Formula('cpu.usage_user + `http{code="5"}` / "x y" * \'it\\\'s\' - max')
    assert formula.names == ("cpu.usage_user", 'http{code="5"}', "x y", "it's", "max")


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "1 + 2", "a +", "a b", "(a", "a)", "a $ b", "f(a)", "abs()", "abs(a, b)"),
        *("a ** b", "a // b", "`a", "a.b()", "__import__('os')", "a if b else c", "1a"),
        *("(" * 200 + "a" + ")" * 200, "a" + "+a" * 2000),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)

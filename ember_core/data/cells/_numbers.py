"""Numbers, booleans and missing values."""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._unreadable import Unreadable

Decimal = Literal["", ".", ","]

# fmt: off
MISSING_WORDS = frozenset((
    # Empty cells, dashes and dots of people and spreadsheets.
    "", "-", "--", "---", "–", "—", "?", "??", "???", ".", "..", "...", "…", "*",
    # Words of languages, databases and readers of tables.
    "na", "n/a", "n.a.", "n.a", "<na>", "nan", "-nan", "+nan", "nat", "null", "(null)", "<null>",
    "none", "nil", "\\n", "undefined", "undef", "missing", "empty", "void", "(blank)", "blank",
    # Infinities have no place in a statistic.
    "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "∞", "-∞", "1.#inf", "-1.#inf",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "nan(ind)", "-nan(ind)", "1.#nan",
    # Errors of spreadsheets.
    "#n/a", "#n/a n/a", "#na", "#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!",
    # States of historians, building automation and collectors.
    "bad", "bad input", "bad data", "bad value", "no data", "nodata", "no_data", "no value",
    "no result", "i/o timeout", "io timeout", "timeout", "comm fail", "not connect", "scan off",
    "pt created", "calc failed", "shutdown", "configure", "invalid", "invalid data", "error",
    "err", "fault", "unknown", "unavailable", "not available", "out of service", "offline",
))
# fmt: on
"""Words that mean "no value" in a channel, in lower case: any case is read."""

PLAIN_MISSING_WORDS = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "none", "\\n")
)
"""Those of `MISSING_WORDS` by which programs write a cell that is empty, and nothing else."""

TRUE_WORDS = frozenset(("true", "yes", "on", "t", "y"))
"""Words read as 1, in lower case."""

FALSE_WORDS = frozenset(("false", "no", "off", "f", "n"))
"""Words read as 0, in lower case."""

TRUTH_LETTERS = frozenset(word for word in TRUE_WORDS | FALSE_WORDS if len(word) == 1)
"""Truth words of one letter: in a column of nothing else, one alone has some other meaning."""

INVISIBLE = "\ufeff\u200b\u2060\u200e\u200f"
"""Characters without width, which `str.strip` leaves in place."""

_BLANKS = "[ '\u2019\u00a0\u202f\u2009\u2007]"
_BLANK_GROUPS = re.compile(rf"([-+]?\d{{1,3}}(?:{_BLANKS}\d{{3}})+)([.,]\d*)?([eE][-+]?\d+)?")
_COMMA_GROUPS = re.compile(r"([-+]?\d{1,3}(?:,\d{3})+)(\.\d*)?([eE][-+]?\d+)?")
_DOT_GROUPS = re.compile(r"([-+]?\d{1,3}(?:\.\d{3})+)(,\d*)?([eE][-+]?\d+)?")
_COMMA_DECIMAL = re.compile(r"[-+]?(?:\d+,\d*|,\d+|\d+)(?:[eE][-+]?\d+)?")


class NumberReader:
    """Reader of the cells of a channel.

    Args:
        decimal: Decimal sign of numbers in text; empty: a point, and a comma never alone.
        missing: Further words and numbers that mean "no value", such as `-9999`.
    """

    def __init__(self, decimal: Decimal = "", missing: Iterable[str] = ()) -> None:
        self.decimal = decimal
        self.missing = tuple(missing)
        words = {word.strip().lower() for word in self.missing}
        self._words = MISSING_WORDS | words
        numbers = {float(word) for word in words if _is_plain(word)}
        self.missing_numbers = np.array(sorted(numbers), dtype=np.float64)
        self._numbers = frozenset(numbers)
        self._untold = PLAIN_MISSING_WORDS | words

    def read(self, value: Any) -> float:
        """Return the number in a cell, NaN where it is missing.

        Raises:
            Unreadable: If the cell is neither.
        """
        kind = type(value)
        if kind is str:
            return self.text(value)
        if value is None:
            return math.nan
        if not isinstance(value, (int, float, decimal.Decimal, np.number, np.bool_)):
            raise Unreadable("a number", value)
        try:
            number = float(value)
        except OverflowError:
            raise Unreadable("a number within 1e308", value) from None
        except ValueError:  # a signalling NaN
            return math.nan
        return self._present(number)

    def text(self, text: str) -> float:
        """Return the number in a text, NaN where it means a missing one.

        Raises:
            Unreadable: If the text is neither.
        """
        bare = text.strip()
        if bare[:1] in INVISIBLE or bare[-1:] in INVISIBLE:
            bare = bare.strip(INVISIBLE).strip()
        if self.decimal != ",":
            try:
                number = float(bare)
            except ValueError:
                pass
            else:
                # Python reads 1_000, which no other reader of tables does.
                if "_" not in bare:
                    return self._present(number)
        word = bare.lower()
        if word in self._words:
            return math.nan
        if word in TRUE_WORDS:
            return 1.0
        if word in FALSE_WORDS:
            return 0.0
        plain = self._plain(bare.replace("\u2212", "-"))
        if plain is None:
            raise Unreadable("a number", text)
        return self._present(float(plain))

    def is_told(self, value: Any) -> bool:
        """Test for a missing value that a report should mention: neither empty nor asked for."""
        if isinstance(value, str):
            return value.strip().strip(INVISIBLE).lower() not in self._untold
        return isinstance(value, float) and math.isinf(value)

    def without_missing(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an array of numbers with NaN for infinities and the numbers of `missing`."""
        bad = np.isinf(values)
        if len(self.missing_numbers):
            bad |= np.isin(values, self.missing_numbers)
        return np.where(bad, np.nan, values) if bad.any() else values

    def _present(self, number: float) -> float:
        return math.nan if number in self._numbers or not math.isfinite(number) else number

    def _plain(self, text: str) -> str | None:
        """Return the text as Python's `float` reads it; None where it is no number."""
        if _is_plain(text) and self.decimal != ",":
            return text
        if match := _BLANK_GROUPS.fullmatch(text):
            integer_part = "".join(c for c in match[1] if c in "+-0123456789")
            fraction = match[2] or ""
            if fraction[:1] == "," and self.decimal == ".":
                return None
            if fraction[:1] == "." and self.decimal == ",":
                return None
            # Groups by blanks leave no other meaning to a comma.
            return integer_part + fraction.replace(",", ".") + (match[3] or "")
        if self.decimal == ",":
            if match := _DOT_GROUPS.fullmatch(text):
                fraction = (match[2] or "").replace(",", ".")
                return match[1].replace(".", "") + fraction + (match[3] or "")
            return text.replace(",", ".") if _COMMA_DECIMAL.fullmatch(text) else None
        match = _COMMA_GROUPS.fullmatch(text)
        if match and (self.decimal == "." or match[2] or match[1].count(",") > 1):
            return match[1].replace(",", "") + (match[2] or "") + (match[3] or "")
        return None


_reader = NumberReader()


def number_of(text: str) -> float | None:
    """Return the number in a text by the table's defaults: NaN if missing, None if unreadable.

    Examples:
        >>> number_of("21.5"), number_of("\u00a01e3 "), number_of("n/a"), number_of("0x10")
        (21.5, 1000.0, nan, None)
    """
    try:
        return _reader.text(text)
    except Unreadable:
        return None


def _is_plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text

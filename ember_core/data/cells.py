"""Meaning of a cell: a number, or no value. Files and the stream's records read it alike."""

from __future__ import annotations

import math
import re

NO_VALUE = frozenset(
    (
        *("", "-", "--", ".", "?", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "+nan"),
        *("1.#qnan", "-1.#ind", "null", "none", "nil", "undefined"),
    )
)
"""Texts that mean "no value", in lower case; any case and surrounding spaces are accepted."""

_INFINITE = re.compile(r"[-+]?(?:inf|infinity|∞)")


def number_of(text: str) -> float | None:
    """Read the number in a text, as Python's `float` does but for underscores.

    Spaces around it are dropped, no-break spaces too.

    Returns:
        The number; infinite where it is too large for a float. NaN where the text says that there
        is no value, or that it is infinite. None where the text is no number.

    Examples:
        >>> number_of("21.5"), number_of("\\u00a01e3 "), number_of("n/a"), number_of("0x10")
        (21.5, 1000.0, nan, None)
    """
    try:
        number = float(text)
    except ValueError:
        return math.nan if text.strip().lower() in NO_VALUE else None
    if "_" in text:
        return None
    if math.isinf(number) and _INFINITE.fullmatch(text.strip().lower()):
        return math.nan
    return number

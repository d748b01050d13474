"""Values of formulas, on NumPy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core import ops

from .formula import Formula, Node

_LARGEST = 1e150
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "log": ops.wide_log,
    "sqrt": np.sqrt,
    "min": lambda *arrays: reduce(np.minimum, arrays),
    "max": lambda *arrays: reduce(np.maximum, arrays),
}


def evaluate(formula: Formula, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return a formula's value for each row; NaN where an operand is missing.

    A division by zero, and whatever else is no finite number of a size that a record may hold, is
    missing too.

    Args:
        formula: The formula.
        columns: Values by the name of the channel, `(R,)` each.
    """
    with np.errstate(all="ignore"):
        value = _value(formula.root, columns)
        return np.where(np.abs(value) <= _LARGEST, value, np.nan)


def _value(node: Node, columns: Mapping[str, NDArray[np.float64]]) -> Any:
    if node[0] == "number":
        return node[1]
    if node[0] == "channel":
        return columns[node[1]]
    return _OPERATIONS[node[0]](*(_value(argument, columns) for argument in node[1:]))

"""Fast forms of stages for several rows a key, by the name of the stage they replace.

Each has the bits of its plain form; one test holds every entry of the table to it.
`exponential_series` stands apart: it is equal to the windows' steps up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .decide import decide_packed
from .liquid import PackedLiquid

KERNELS: Final[Mapping[str, Callable[..., Any]]] = {
    "decide": decide_packed,
    "liquid": PackedLiquid,
}
"""Kernels of the tail and motor neuron together, and of the liquid cell."""

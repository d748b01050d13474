"""Fast forms of stages for several rows a key, by the name of the stage they replace.

Each has the bits of its plain form; one test holds every entry of the table to it.
`exponential_series` stands apart: it is equal to the windows' steps up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .decide import decide_packed
from .decide_groups import decide_groups_packed
from .liquid import PackedLiquid
from .tail import follow_tail_packed

KERNELS: Final[Mapping[str, Callable[..., Any]]] = {
    "decide": decide_packed,
    "decide_groups": decide_groups_packed,
    "liquid": PackedLiquid,
    "tail": follow_tail_packed,
}
"""Kernels of tail and motor neuron together, of the group motor neuron, the liquid cell, and the
tail alone."""

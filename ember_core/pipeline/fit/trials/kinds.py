"""Faults of a stated kind and size, put into rows of one channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW, HIGH = 0.05, 0.95
"""Quantiles of a key's values between which the usual range of a channel lies."""
USUAL_DEVIATIONS: Final = 3.3
"""Deviations of normal noise that such a range is wide."""
SIZES: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0)
"""Sizes of faults, in usual ranges."""
STILL: Final = 0.5
"""Share of equal neighbours from which a channel stands still by itself."""


@dataclass(frozen=True)
class Habits:
    """Usual values of a channel of a key.

    Attributes:
        low: What 1 in 20 values is below.
        high: What 1 in 20 values is above.
        size: Usual range: from low to high; of a channel that seldom moves, as wide as its
            deviations say; 0 where it is constant.
        lowest: Smallest value.
        still: Share of values that are equal to the one before.
    """

    low: float
    high: float
    size: float
    lowest: float
    still: float

    @classmethod
    def of(cls, values: Floats) -> Habits:
        """Return the habits of values, `(T,)`; NaN where missing."""
        x = values[np.isfinite(values)]
        if len(x) < 2:
            return cls(0.0, 0.0, 0.0, 0.0, 1.0)
        low, high = (float(q) for q in np.quantile(x, [LOW, HIGH]))
        size = high - low if high > low else USUAL_DEVIATIONS * float(np.std(x))
        return cls(low, high, size, float(x.min()), float(np.mean(x[1:] == x[:-1])))

    @property
    def is_away_from_zero(self) -> bool:
        """True where 0 is well outside the usual range."""
        return self.low > 0.25 * self.size > 0.0


class Place(NamedTuple):
    """Rows that a fault is put into, and what it is made from.

    Attributes:
        values: The channel's values, `(H,)`; those of the fault come out in the same shape.
        before: Last value before them.
        elsewhere: The channel's values at another time, `(H,)`.
        habits: Its habits.
        sign: Direction, 1.0 or -1.0.
        noise: Draws of a normal distribution, `(H,)`.
    """

    values: Floats
    before: float
    elsewhere: Floats
    habits: Habits
    sign: float
    noise: Floats


def _spike(place: Place, amount: float) -> Floats:
    out = place.values.copy()
    out[0] += place.sign * amount
    return out


def _shift(place: Place, amount: float) -> Floats:
    return place.values + place.sign * amount


def _drift(place: Place, amount: float) -> Floats:
    ramp = np.linspace(0.0, 1.0, len(place.values) + 1)[1:]
    return place.values + place.sign * amount * ramp


def _noise(place: Place, amount: float) -> Floats:
    out = place.values + amount / USUAL_DEVIATIONS * place.noise
    return np.abs(out) if place.habits.lowest >= 0.0 else out


def _frozen(place: Place, _amount: float) -> Floats:
    return np.full_like(place.values, place.before)


def _zero(place: Place, _amount: float) -> Floats:
    return np.zeros_like(place.values)


def _elsewhere(place: Place, _amount: float) -> Floats:
    return place.elsewhere.copy()


@dataclass(frozen=True)
class Kind:
    """Kind of fault.

    Attributes:
        change: Function of a place and an amount, that gives the values at fault.
        is_sized: True where it has a size.
        rows: Rows that it lasts; 0: as long as a fault of the trial does.
        suits: Function of habits: true where it would show in such a channel.
        needs_others: True where it is one of several channels together.
    """

    change: Callable[[Place, float], Floats]
    is_sized: bool = True
    rows: int = 0
    suits: Callable[[Habits], bool] = lambda habits: habits.size > 0.0
    needs_others: bool = False


KINDS: Final[dict[str, Kind]] = {
    "spike of one row": Kind(_spike, rows=1),
    "level shift": Kind(_shift),
    "slow drift": Kind(_drift),
    "more noise": Kind(_noise),
    "frozen value": Kind(_frozen, is_sized=False, suits=lambda h: h.size > 0.0 and h.still < STILL),
    "drop to zero": Kind(_zero, is_sized=False, suits=lambda h: h.is_away_from_zero),
    "broken correlation": Kind(
        _elsewhere,
        is_sized=False,
        suits=lambda h: h.size > 0.0 and h.still < STILL,
        needs_others=True,
    ),
}


def sign_of(sign: float, habits: Habits, values: Any, amount: float) -> float:
    """Return a direction; upwards where a value would get below 0 that never was."""
    falls = np.nanmin(values, initial=np.inf) - amount
    return 1.0 if habits.lowest >= 0.0 > falls else sign

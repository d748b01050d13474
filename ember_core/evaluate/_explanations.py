"""Quality of explanations: the ranked channels against those at fault."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hit_rate(ranking: ArrayLike, true: Collection[int], at: float = 1.0) -> float:
    """HitRate@P: share of the true channels among the first `floor(P n)` ranked ones.

    With `n` true channels, `at = 1.0` looks at as many ranked channels as are true, `at = 1.5` at
    half as many again (Su et al., KDD 2019, section 5.5).

    Args:
        ranking: Channels, the most blamed first, each once; shape `(C,)` or fewer.
        true: Channels that were at fault; at least one.
        at: Number of ranked channels to look at, as a multiple of the true ones.

    Returns:
        Share in [0, 1].

    Raises:
        ValueError: If no channel is true, a channel is ranked twice, or `at` is not positive.

    Examples:
        >>> hit_rate([4, 0, 2, 1], {0, 2})
        0.5
        >>> hit_rate([4, 0, 2, 1], {0, 2}, at=1.5)
        1.0
    """
    ranked = _ranked(ranking, true)
    if at <= 0.0:
        raise ValueError(f"Some channels must be looked at. Expected at > 0. Received: at={at}.")
    # 1.5 * 2 may be 2.9999999999999996 for other multiples: the floor is of the intended product.
    looked = math.floor(at * len(true) + 1e-9)
    return len(set(ranked[:looked].tolist()) & set(true)) / len(true)


def hit_in_first(ranking: ArrayLike, true: Collection[int], first: int = 3) -> bool:
    """Test whether one of the first ranked channels was at fault.

    Args:
        ranking: See `hit_rate`.
        true: See `hit_rate`.
        first: Number of ranked channels to look at.

    Raises:
        ValueError: As `hit_rate` does, or if `first` is less than 1.
    """
    ranked = _ranked(ranking, true)
    if first < 1:
        raise ValueError(
            f"Some channels must be looked at. Expected first >= 1. Received: {first=}."
        )
    return bool(set(ranked[:first].tolist()) & set(true))


def chance_in_first(channels: int, true: int, first: int = 3) -> float:
    """Probability that a random ranking has a true channel among its first.

    Args:
        channels: Number of channels.
        true: Number of channels at fault.
        first: Number of ranked channels to look at.

    Examples:
        >>> round(chance_in_first(4, 1, first=3), 3)
        0.75
    """
    return 1.0 - math.comb(channels - true, first) / math.comb(channels, min(first, channels))


def _ranked(ranking: ArrayLike, true: Collection[int]) -> NDArray[np.int64]:
    ranked = np.asarray(ranking, dtype=np.int64)
    if ranked.ndim != 1 or len(np.unique(ranked)) != ranked.size:
        raise ValueError(
            "A ranking names each channel once. Expected shape (C,) without repetition. "
            f"Received: ranking={ranked.tolist()}."
        )
    if not true:
        raise ValueError("An explanation is held against the truth. Expected a true channel.")
    return ranked

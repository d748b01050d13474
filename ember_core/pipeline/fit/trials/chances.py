"""Chances of counts, by which a trial tells bad luck from a worse model."""

from __future__ import annotations

from math import comb, exp, sqrt


def poisson_most(mean: float) -> int:
    """Return the count that a Poisson number exceeds in less than one case of a hundred.

    Args:
        mean: Mean of the number.

    Examples:
        >>> poisson_most(0.0), poisson_most(1.2), poisson_most(10_000.0)
        (0, 4, 10234)
    """
    if mean > 500.0:  # the sum would underflow, and a normal distribution is as good
        return round(mean + 2.33 * sqrt(mean)) + 1
    term = total = exp(-mean)
    count = 0
    while 1.0 - total >= 0.01:
        count += 1
        term *= mean / count
        total += term
    return count


def sign_chance(worse: int, better: int) -> float:
    """Return the chance of at least so many worse ones, if worse and better are equally likely.

    Args:
        worse: Number of worse ones.
        better: Number of better ones.

    Examples:
        >>> sign_chance(5, 0), sign_chance(0, 0)
        (0.03125, 1.0)
    """
    total = worse + better
    return float(sum(comb(total, k) for k in range(worse, total + 1)) / 2**total)

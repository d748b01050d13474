"""Data of the keys of one profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ember_core.data.sources import Dataset
from stream.key_patterns import KeyPatterns


def of_profile(dataset: Dataset, patterns: Sequence[str], pattern: str) -> Dataset | None:
    """Return the data of the keys of a profile, with the channels that these have.

    Args:
        dataset: The data.
        patterns: Patterns of all profiles, in their order.
        pattern: That of the profile; empty: the keys that none of them fits.

    Returns:
        The data; None where there is no such key.
    """
    number = patterns.index(pattern) if pattern else len(patterns)
    number_of = KeyPatterns(patterns, len(patterns)).find(dataset.keys).tolist()
    tables = tuple(table for table, i in zip(dataset.tables, number_of, strict=True) if i == number)
    if not tables:
        return None
    valued = np.zeros(len(dataset.channels), bool)
    for table in tables:
        valued |= np.isfinite(table.values).any(axis=0)
    names = [name for name, is_there in zip(dataset.channels, valued, strict=True) if is_there]
    return replace(dataset, tables=tables).select(names)

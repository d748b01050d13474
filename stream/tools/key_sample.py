"""Sample of the stream keys of a history."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import Dataset, Remark


class KeySample:
    """A number of keys, chosen by a hash: the same ones of the same keys, in whatever order.

    Keys are shown as they appear. Those that a later key pushes out were chosen for a while; a key
    that belongs to the sample is chosen from its first record on.

    Args:
        size: Number of keys; 0: all of them.

    Examples:
        >>> sample = KeySample(2)
        >>> sum(sample.choose([b"web-1", b"web-2", b"web-3"]).tolist())
        2
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._chosen: list[tuple[bytes, bytes]] = []
        self._known: dict[bytes, bool] = {}
        self.seen = 0
        """Different keys so far, where a sample is taken."""

    def choose(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which of these keys belong to the sample, by all that were shown so far."""
        if not self._size:
            return np.ones(len(keys), np.bool_)
        for key in dict.fromkeys(keys):
            if key not in self._known:
                self._add(key)
        return np.fromiter((self._known[key] for key in keys), np.bool_, len(keys))

    def _add(self, key: bytes) -> None:
        self.seen += 1
        bisect.insort(self._chosen, (hashlib.blake2b(key, digest_size=8).digest(), key))
        self._known[key] = True
        if len(self._chosen) > self._size:
            _, pushed_out = self._chosen.pop()
            self._known[pushed_out] = False

    def remarks(self, source: str) -> tuple[Remark, ...]:
        """Return a remark on the keys that were left out."""
        if not self._size or self.seen <= self._size:
            return ()
        text = (
            f"{self._size:,} of {self.seen:,} keys were chosen (--keys); the others are new ones "
            "to the model"
        )
        return (Remark("key_sample", text, source),)


def sampled(dataset: Dataset, size: int) -> Dataset:
    """Return the data of a number of keys, chosen by a hash; 0: of all."""
    sample = KeySample(size)
    sample.choose(dataset.keys)
    # Once more, now that all are known.
    is_chosen = sample.choose(dataset.keys).tolist()
    tables = tuple(table for table, is_in in zip(dataset.tables, is_chosen, strict=True) if is_in)
    has_remark = any(remark.kind == "key_sample" for remark in dataset.remarks)
    remarks = () if has_remark else sample.remarks("")
    return replace(dataset, tables=tables, remarks=(*dataset.remarks, *remarks))

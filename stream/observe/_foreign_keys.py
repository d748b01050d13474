"""Watch over the first records of a worker: does the model know any of their keys?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from stream.key_difference import key_difference

RECORDS = 1_000
"""Samples after which keys that are all unknown are told."""
_KEYS = 300

_log = structlog.stdlib.get_logger("ember")


class ForeignKeys:
    """Tells once where a model knows none of the keys: all of them warm up like new ones.

    Args:
        known: Keys of the model, at least one.
    """

    def __init__(self, known: Collection[bytes]) -> None:
        self._known = frozenset(known)
        self._seen: dict[bytes, None] = {}
        self._records = 0

    def settled(self, topic: str, keys: Sequence[bytes]) -> bool:
        """Take note of the keys of some samples.

        Args:
            topic: Their topic.
            keys: Key of each sample.

        Returns:
            Whether the question is settled: a key is known, or the difference was told.
        """
        distinct = dict.fromkeys(keys)
        # One known key is enough: a fleet grows, and the new ones warm up as they should.
        if not self._known.isdisjoint(distinct):
            return True
        self._records += len(keys)
        if len(self._seen) < _KEYS:
            self._seen |= distinct
        if self._records < RECORDS:
            return False
        difference = key_difference(self._seen, self._known)
        _log.warning(
            "keys_unknown",
            topic=topic,
            records=self._records,
            model_keys=len(self._known),
            differs=difference.what or "unknown",
            detail=f"The model knows none of the keys, so that all of them warm up like new ones. "
            f"The difference: {difference.sentence}",
        )
        return True

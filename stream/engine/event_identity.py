"""Fingerprints of the usual labels of an event, with the fixed parts of the hash made once."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from stream.records import length_prefix


def fingerprint_of(alert: str, key: str, topic: str) -> str:
    """Return `fingerprint` of the labels `alertname`, `key` and `topic`.

    Args:
        alert: Name of the alert.
        key: Text of the key.
        topic: Topic of the key.

    Returns:
        16 hex digits.
    """
    prefix, suffix = _fixed_parts(alert, topic)
    word = key.encode()
    parts = prefix, length_prefix(len(word)), word, suffix
    return hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()


@lru_cache(maxsize=256)
def _fixed_parts(alert: str, topic: str) -> tuple[bytes, bytes]:
    """Return the bytes before and after the text of the key, in the order of the labels' names."""
    return _joined("alertname", alert, "key"), _joined("topic", topic)


def _joined(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"".join(length_prefix(len(word)) + word for word in encoded)

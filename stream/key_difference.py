"""Difference between the keys of records and those of a model, where none is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from .keys import quoted

_SEEN = 300
"""Keys of records that are compared."""
_KNOWN = 20_000
"""Keys of the model that are reduced; all of them are looked up as they are."""
_FRAMED = re.compile(rb"\0.{4}", re.DOTALL)  # magic byte and schema id of a schema registry


class KeyDifference(NamedTuple):
    """Difference between keys of records and keys of the model.

    Attributes:
        what: Name of the difference, such as `quotes`; empty where there is no common trait.
        sentence: The difference in one sentence, with an example of each side.
    """

    what: str
    sentence: str


def key_difference(seen: Iterable[bytes], known: Collection[bytes]) -> KeyDifference:
    """Find the difference between keys of records and the keys of a model.

    Args:
        seen: Keys of records, none of which the model knows.
        known: Keys of the model, at least one.

    Examples:
        >>> key_difference([b'"web-1"'], [b"web-1"]).what
        'quotes'
    """
    first, every = list(dict.fromkeys(seen))[:_SEEN], frozenset(known)
    sorted_keys = sorted(every)  # so that the example does not depend on the order of a set
    # One step after the other, so that the sentence names a single difference where one is enough.
    for what, words, reduce in _STEPS:
        if pair := _meeting(first, sorted_keys, every, reduce):
            return KeyDifference(what, f"{words}: {_pair(*pair)}.")
    if pair := _inside(first, sorted_keys):
        return KeyDifference("prefix or suffix", f"one holds the other: {_pair(*pair)}.")
    if pair := _meeting(first, sorted_keys, every, _reduced_all):
        words = "quotes, case, separators, port or domain differ together"
        return KeyDifference("several", f"{words}: {_pair(*pair)}.")
    binary = [key for key in first if not _is_text(key)]
    if binary and all(map(_is_text, sorted_keys)):
        words = f"the records' are binary ({len(binary[0])} bytes), the model's are text"
        return KeyDifference("binary", f"{words}: {_pair(binary[0], sorted_keys[0])}.")
    return KeyDifference("", f"nothing is alike: {_pair(first[0], sorted_keys[0])}.")


def _pair(seen: bytes, known: bytes) -> str:
    return f"records have {quoted(seen)}, the model {quoted(known)}"


def _meeting(
    seen: list[bytes],
    known: list[bytes],
    every: frozenset[bytes],
    reduce: Callable[[bytes], bytes],
) -> tuple[bytes, bytes] | None:
    """Return the first pair of keys that are one when one or both are reduced."""
    for key in seen:
        if reduce(key) in every:
            return key, reduce(key)
    reduced = {reduce(key): key for key in reversed(known[:_KNOWN])}
    for key in seen:
        if reduce(key) and reduce(key) in reduced:
            return key, reduced[reduce(key)]
    return None


def _inside(seen: list[bytes], known: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return the first pair of which one begins or ends with the other, at a border of words."""
    for key in seen:
        for candidate in known[:_SEEN]:
            long, short = (key, candidate) if len(key) > len(candidate) else (candidate, key)
            border = not long[len(short) :][:1].isalnum() or not long[: -len(short)][-1:].isalnum()
            if short and border and (long.startswith(short) or long.endswith(short)):
                return key, candidate
    return None


def _unquoted(key: bytes) -> bytes:
    try:
        value = json.loads(key)
    except ValueError:
        return key.strip(b"\"'")
    return str(value).encode() if isinstance(value, (str, int)) else key


def _only_value(key: bytes) -> bytes:
    """Return the only value of a JSON object such as {"host": "web-1"}."""
    try:
        value = json.loads(key)
    except ValueError:
        return key
    if isinstance(value, dict) and len(value) == 1:
        return str(next(iter(value.values()))).encode()
    return key


def _unframed(key: bytes) -> bytes:
    text = _FRAMED.sub(b"", key, count=1) if _FRAMED.match(key) else key
    # Avro writes the length of a text before it, doubled.
    return text[1:] if text[:1] and text is not key and text[0] == 2 * (len(text) - 1) else text


def _number(key: bytes) -> bytes:
    """Return a number of 4 or 8 bytes as digits, as Kafka's serialisers write it."""
    # Four or eight letters are a name, not a number.
    if len(key) in (4, 8) and not _is_text(key):
        return str(int.from_bytes(key, "big", signed=True)).encode()
    return key


def _without_port(key: bytes) -> bytes:
    return re.sub(rb":\d{1,5}$", b"", key)


def _without_domain(key: bytes) -> bytes:
    return key if re.fullmatch(rb"[\d.:]+", key) else key.partition(b".")[0]


def _separated(key: bytes) -> bytes:
    return re.sub(rb"[\s_.\-/:|]+", b"-", key)


def _without_zeros(key: bytes) -> bytes:
    return re.sub(rb"(?<!\d)0+(?=\d)", b"", key)


def _reduced_all(key: bytes) -> bytes:
    for reduce in (_unframed, _number, _only_value, _unquoted, bytes.strip, bytes.lower):
        key = reduce(key)
    return _separated(_without_domain(_without_port(_without_zeros(key))))


def _is_text(key: bytes) -> bool:
    try:
        return key.decode().isprintable()
    except UnicodeDecodeError:
        return False


_STEPS: tuple[tuple[str, str, Callable[[bytes], bytes]], ...] = (
    ("quotes", "the quotes of JSON", _unquoted),
    ("object", "a JSON object around it", _only_value),
    ("spaces", "spaces or zero bytes around it", lambda key: key.strip(b" \t\r\n\0")),
    ("case", "upper and lower case", bytes.lower),
    ("port", "the port", _without_port),
    ("domain", "the domain", _without_domain),
    ("separators", "the separators", _separated),
    ("zeros", "leading zeros", _without_zeros),
    ("framing", "the frame of a schema registry", _unframed),
    ("number", "a number in binary", _number),
)

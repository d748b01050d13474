"""Text as numbers: how long, of what characters, and hashed words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BASICS = ("chars", "words", "word_chars", "digits", "upper", "spaces", "marks")


def text_basics(texts: Sequence[str]) -> NDArray[np.float64]:
    """Lengths and shares of each text.

    Args:
        texts: `n` texts.

    Returns:
        float64 `(n, 7)`: characters, words, mean characters of a word, and of all characters the
        shares that are digits, upper case, white space and punctuation; 0 for an empty text.

    Examples:
        >>> text_basics(["Disk 7 full!"]).round(2).tolist()
        [[12.0, 3.0, 3.33, 0.08, 0.08, 0.17, 0.08]]
    """
    out = np.zeros((len(texts), len(BASICS)))
    for row, text in zip(out, texts, strict=True):
        if not text:
            continue
        words = text.split()
        chars = len(text)
        spaces = sum(map(str.isspace, text))
        letters = sum(map(str.isalnum, text))
        row[:] = (
            chars,
            len(words),
            (chars - spaces) / max(len(words), 1),
            sum(map(str.isdigit, text)) / chars,
            sum(map(str.isupper, text)) / chars,
            spaces / chars,
            (chars - spaces - letters) / chars,
        )
    return out


def stable_hash(text: str, seed: int = 0) -> int:
    """A hash of 64 bits that is the same in every process and on every machine.

    BLAKE2b of the UTF-8 text with the seed as salt (Python's own `hash` of text is salted anew
    in every process).

    Examples:
        >>> stable_hash("db-1") == stable_hash("db-1"), stable_hash("db-1") == stable_hash("db-2")
        (True, False)
    """
    salt = (seed % 2**64).to_bytes(8, "little")
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "little")


def hashed(words: Sequence[Sequence[str]], width: int, seed: int = 0) -> NDArray[np.float64]:
    """Words by the hashing trick (Weinberger et al. 2009): each adds 1 or -1 to one column.

    Args:
        words: Words of each of `n` rows.
        width: Columns `K`.
        seed: Seed of the hash.

    Returns:
        float64 `(n, K)`.
    """
    cache: dict[str, tuple[int, float]] = {}
    out = np.zeros((len(words), width))
    for row, of_row in zip(out, words, strict=True):
        for word in of_row:
            if word not in cache:
                value = stable_hash(word, seed)
                cache[word] = (value >> 1) % width, 1.0 if value & 1 else -1.0
            column, sign = cache[word]
            row[column] += sign
    return out


def n_grams(text: str) -> list[str]:
    """Words in lower case, and pairs of words that follow each other."""
    words = re.findall(r"\w+", text.lower())
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def hashed_text(texts: Sequence[str], width: int, seed: int = 0) -> NDArray[np.float64]:
    """Words and pairs of words of each text, hashed, each row of length 1 (or 0 if empty).

    Args:
        texts: n texts.
        width: Columns K.
        seed: Seed of the hash.

    Returns:
        float64 `(n, K)`.
    """
    out = hashed([n_grams(text) for text in texts], width, seed)
    length = np.sqrt((out**2).sum(axis=1, keepdims=True))
    out /= np.maximum(length, 1e-300)
    return out

r"""Stream keys as text that people can read, copy and give back.

A key is bytes. Its text is the key itself where that is ordinary UTF-8. Every other byte is written
`\xNN`: bytes that are no UTF-8, control characters, line separators and marks that turn the reading
direction. A backslash stays, unless the text after it would read as such a byte: then it is `\x5c`.
So no two keys have the same text.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]"
    r"|\\(?=x[0-9A-Fa-f]{2})"
)
"""Characters to escape; the last range stands for bytes that are no UTF-8."""
_ESCAPED = re.compile(rb"\\x([0-9A-Fa-f]{2})")


def key_text(key: bytes) -> str:
    r"""Return the text of a key; `key_of` is the inverse.

    Examples:
        >>> print(key_text(b"rack\xff7"), key_text(b"two\nlines"), key_text(rb"DOMAIN\host"))
        rack\xff7 two\x0alines DOMAIN\host
        >>> print(key_text(rb"C:\x64"))
        C:\x5cx64
    """
    return _UNSAFE.sub(_escape, key.decode("utf-8", "surrogateescape"))


def key_of(text: str) -> bytes:
    r"""Return the key of a text.

    Examples:
        >>> key_of(r"rack\xff7")
        b'rack\xff7'
    """
    # A shell hands over bytes that are no UTF-8 as surrogates.
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), raw)


def quoted(key: bytes) -> str:
    r"""Quote a key for a sentence.

    Examples:
        >>> print(quoted(b"rack\xff7"))
        'rack\xff7'
    """
    return f"'{key_text(key)}'"


def _escape(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))

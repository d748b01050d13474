"""Keys as text: one form each, that every command reads back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.keys import key_of, key_text, quoted

_NASTY = st.lists(
    st.sampled_from([b"\\", b"x", b"4", b"1", b"\\x41", b"\xff", b"\n", b"\xc3", b"\xa9", b"\x00"]),
    max_size=12,
).map(b"".join)


@given(st.binary(max_size=64) | _NASTY | st.text(max_size=32).map(str.encode))
@example(b"\\x41")
@example(b"\\\xff")
@example("\u202e\u2028\ufeff".encode())
def test_every_key_comes_back_from_its_text(key: bytes) -> None:
    """So no two keys share a text; nothing in it acts on a terminal."""
    text = key_text(key)
    assert key_of(text) == key
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)
    assert key_text(key_of(text)) == text
    text.encode()  # no lone surrogates


@given(st.binary(max_size=64) | _NASTY)
def test_a_shell_may_hand_over_the_bytes_themselves(key: bytes) -> None:
    """As Python decodes arguments; only an escape in them is read as one."""
    argument = key.decode("utf-8", "surrogateescape")
    assert key_of(argument) == key or b"\\x" in key


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"web-1", "web-1"),
        ("größe, 東京, 👩‍🔧".encode(), "größe, 東京, 👩‍🔧"),
        (rb"DOMAIN\host", r"DOMAIN\host"),
        (rb"C:\new\x", r"C:\new\x"),
        (rb"C:\x64", r"C:\x5cx64"),
        (b"rack\xff7", r"rack\xff7"),
        (bytes(range(0xF0, 0x100)), "".join(f"\\x{n:02x}" for n in range(0xF0, 0x100))),
        (b"a\x1b[31m\n\x00", r"a\x1b[31m\x0a\x00"),
        ("\u202e".encode(), r"\xe2\x80\xae"),
    ],
)
def test_the_text_of_a_key(key: bytes, text: str) -> None:
    """Ordinary UTF-8 stays as it is, backslashes too."""
    assert key_text(key) == text
    assert quoted(key) == f"'{text}'"

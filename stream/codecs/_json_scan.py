"""Compiled reader of JSON messages of one shape: their numbers, and the places of their texts.

It takes what it is certain of and nothing else. A message is of the shape if its bytes are those of
the template, with numbers where the template has numbers and texts where it has texts. A number is
taken where its nearest float64 is certain: by one quotient or product of two exact numbers, or by
the product of its digits and 128 bits of a power of ten (Eisel and Lemire, "Number parsing at a
gigabyte per second").

All compiled functions are in this file: Numba looks at one file to tell if its code is still valid.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ember_core.pipeline.compiled.compiler import compiled

NUMBER: Final = 0
TEXT: Final = 1
NOWHERE: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""Place of a number that cannot be read."""

_MOST_WHOLE_DIGITS = 18  # of an int64
_MOST_DIGITS = 19  # of a uint64
_MOST_POWER = 64
_EXACT_POWER = 22  # the largest power of ten that is a float64
_EXACT_WHOLE = np.uint64(1 << 53)

_U0, _U1, _U3, _U9, _U10, _U48 = (np.uint64(n) for n in (0, 1, 3, 9, 10, 48))
_U32, _LOW_HALF = np.uint64(32), np.uint64(0xFFFF_FFFF)
_ALL_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_NEAR_CARRY = np.uint64(0x1FF)  # bits below the 55 that decide the rounding
_HIDDEN_BIT = np.uint64(1 << 52)


def _power_of_five(exponent: int) -> int:
    """Return the first 128 bits of a power of five, as Eisel and Lemire's proof has them.

    A negative power with at most 27 digits is rounded up: products with it are then exact where
    the quotient is. All others are cut off.
    """
    power: int = 5 ** abs(exponent)
    if exponent >= 0:
        shift = 128 - power.bit_length()
        return power << shift if shift >= 0 else power >> -shift
    if exponent >= -27:
        return (1 << (power.bit_length() + 127)) // power + 1
    quotient = (1 << (2 * power.bit_length() + 128)) // power
    return quotient >> (quotient.bit_length() - 128)


_FIVES = [_power_of_five(exponent) for exponent in range(-_MOST_POWER, _MOST_POWER + 1)]
_FIVES_HIGH = np.array([power >> 64 for power in _FIVES], dtype=np.uint64)
_FIVES_LOW = np.array([power & 0xFFFF_FFFF_FFFF_FFFF for power in _FIVES], dtype=np.uint64)
_TENS = np.array([10.0**exponent for exponent in range(_EXACT_POWER + 1)])


@compiled
def wide_product(a: Any, b: Any) -> Any:
    """Return the upper and the lower 64 bits of the product of two uint64."""
    a_high, a_low, b_high, b_low = a >> _U32, a & _LOW_HALF, b >> _U32, b & _LOW_HALF
    lowest, cross = a_low * b_low, a_high * b_low
    middle = (lowest >> _U32) + (cross & _LOW_HALF) + a_low * b_high
    high = a_high * b_high + (cross >> _U32) + (middle >> _U32)
    return high, (middle << _U32) | (lowest & _LOW_HALF)


@compiled
def nearest_float(digits: Any, power: Any) -> Any:
    """Return the float64 nearest to `digits * 10**power`, and whether that is certain.

    Args:
        digits: uint64.
        power: int64 from -64 to 64: no outcome is subnormal or infinite.
    """
    if digits <= _EXACT_WHOLE and -_EXACT_POWER <= power <= _EXACT_POWER:
        exact = np.float64(digits)
        return (exact / _TENS[-power] if power < 0 else exact * _TENS[power]), True
    if digits == _U0:
        return 0.0, True
    normal, zeros = digits, 0
    for step in (32, 16, 8, 4, 2, 1):
        if normal >> np.uint64(64 - step) == _U0:
            normal <<= np.uint64(step)
            zeros += step
    row = power + _MOST_POWER
    high, low = wide_product(normal, _FIVES_HIGH[row])
    if high & _NEAR_CARRY == _NEAR_CARRY:
        carry, _ = wide_product(normal, _FIVES_LOW[row])
        low += carry
        if carry > low:
            high += _U1
        if low == _ALL_ONES:
            return 0.0, False
    top = np.int64(high >> np.uint64(63))
    shift = np.uint64(top + 9)
    mantissa = high >> shift
    exponent = ((217_706 * power) >> 16) + 63 + top - zeros
    # A number between two floats, exactly: to the even one. Only small powers can be.
    is_tie = low <= _U1 and -4 <= power <= 23 and mantissa & _U3 == _U1
    if is_tie and (mantissa << shift) == high:
        mantissa &= ~_U1
    mantissa = (mantissa + (mantissa & _U1)) >> _U1
    if mantissa >= _HIDDEN_BIT << _U1:
        mantissa = _HIDDEN_BIT
        exponent += 1
    bits = np.int64(mantissa & ~_HIDDEN_BIT) | ((exponent + 1023) << 52)
    return np.int64(bits).view(np.float64), True


@compiled
def read_number(text: Any, begin: Any, end: Any) -> Any:
    """Read a number of JSON.

    Args:
        text: uint8, the text.
        begin: uint64, the place of its first byte.
        end: uint64, the end of the message.

    Returns:
        The place behind it, or `NOWHERE` where it is no number or not certain; the float64; the
        int64 where the number is whole; and whether it is, as written.
    """
    cursor = begin
    is_negative = cursor < end and text[cursor] == 45
    if is_negative:
        cursor += _U1
    digits, first, scale, power, is_whole = _U0, cursor, np.int64(0), np.int64(0), True
    while cursor < end:
        digit = np.uint64(text[cursor]) - _U48
        if digit > _U9:
            break
        digits = digits * _U10 + digit
        cursor += _U1
    count = np.int64(cursor - first)
    if count == 0 or (count > 1 and text[first] == 48):
        return NOWHERE, 0.0, 0, False
    if cursor < end and text[cursor] == 46:
        is_whole = False
        cursor += _U1
        point = cursor
        while cursor < end:
            digit = np.uint64(text[cursor]) - _U48
            if digit > _U9:
                break
            digits = digits * _U10 + digit
            cursor += _U1
        scale = np.int64(cursor - point)
        count += scale
        if scale == 0:
            return NOWHERE, 0.0, 0, False
    if count > _MOST_DIGITS:  # zeros in front do not count
        part_index = first
        while count > 0 and (text[part_index] == 48 or text[part_index] == 46):
            if text[part_index] == 48:
                count -= 1
            part_index += _U1
        if count > _MOST_DIGITS:
            return NOWHERE, 0.0, 0, False
    if cursor < end and (text[cursor] == 101 or text[cursor] == 69):
        is_whole = False
        cursor += _U1
        is_small = cursor < end and text[cursor] == 45
        if cursor < end and (is_small or text[cursor] == 43):
            cursor += _U1
        part_index = cursor
        while cursor < end and 48 <= text[cursor] <= 57 and power < 1_000:
            power = power * 10 + (np.int64(text[cursor]) - 48)
            cursor += _U1
        if cursor == part_index:
            return NOWHERE, 0.0, 0, False
        if is_small:
            power = -power
    if is_whole:
        if count > _MOST_WHOLE_DIGITS:
            return NOWHERE, 0.0, 0, False
        integer_value = np.int64(digits)
        if is_negative:
            integer_value = -integer_value
        return cursor, np.float64(integer_value), integer_value, True
    power -= scale
    if power < -_MOST_POWER or power > _MOST_POWER:
        return NOWHERE, 0.0, 0, False
    number, is_certain = nearest_float(digits, power)
    if not is_certain:
        return NOWHERE, 0.0, 0, False
    return cursor, (-number if is_negative else number), 0, False


@compiled
def scan(
    text: Any,
    begins: Any,
    ends: Any,
    highest: Any,
    literals: Any,
    literal_ends: Any,
    kinds: Any,
    columns: Any,
    spans: Any,
    time_slot: Any,
    matches: Any,
    values: Any,
    float_times: Any,
    whole_times: Any,
    is_whole_time: Any,
    span_begins: Any,
    span_ends: Any,
) -> None:
    """Read `n` messages of a template with `S` slots.

    Args:
        text: uint8, the messages.
        begins: `(n,)` first byte of each message.
        ends: `(n,)` end of each.
        highest: Highest byte taken in a text: 127, or 255 where all of `text` is known as UTF-8.
        literals: uint8, the bytes between the slots, joined.
        literal_ends: `(S + 1,)` ends of the literals in `literals`.
        kinds: `(S,)` `NUMBER` or `TEXT`.
        columns: `(S,)` column that a number is for; -1 for none.
        spans: `(S,)` column of the spans that a slot is for; -1 for none.
        time_slot: Slot of a number that is the event time; -1 for none.
        matches: `(n,)`, gets whether a message was read.
        values: `(n, C)`, gets the numbers.
        float_times: `(n,)`, gets the time where it is no whole number.
        whole_times: `(n,)` int64, gets the time where it is.
        is_whole_time: `(n,)`, gets which of the two.
        span_begins: `(n, P)`, gets the first byte of slots.
        span_ends: `(n, P)`, gets their ends.
    """
    # Places are unsigned: a signed one could count from the end, which costs a test a byte.
    slots = kinds.size
    for row in range(begins.size):
        cursor, end = np.uint64(begins[row]), np.uint64(ends[row])
        part_index, is_match = _U0, True
        for slot in range(slots + 1):
            length = np.uint64(literal_ends[slot]) - part_index
            if cursor + length > end:
                is_match = False
                break
            difference = np.uint8(0)
            for i in range(length):  # without a branch, so that many bytes go at once
                difference |= text[cursor + i] ^ literals[part_index + i]
            if difference:
                is_match = False
                break
            cursor += length
            part_index += length
            if slot == slots:
                break
            begin = cursor
            if kinds[slot] == TEXT:
                while cursor < end:
                    byte = text[cursor]
                    if byte == 34 or byte == 92 or byte < 32 or byte > highest:
                        break
                    cursor += _U1
            else:
                cursor, number, integer_value, is_whole = read_number(text, begin, end)
                if cursor == NOWHERE or (spans[slot] >= 0 and not is_whole):
                    is_match = False
                    break
                if columns[slot] >= 0:
                    values[row, columns[slot]] = number
                if slot == time_slot:
                    float_times[row] = number
                    whole_times[row] = integer_value
                    is_whole_time[row] = is_whole
            if spans[slot] >= 0:
                span_begins[row, spans[slot]] = begin
                span_ends[row, spans[slot]] = cursor
        matches[row] = is_match and cursor == end

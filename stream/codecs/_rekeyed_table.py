"""Re-keyed records of the same channels, written and read as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

_ANY_TIME: Final = -(2**62)
"""Time that is written in eight bytes, as all of them are here."""

_CELL: Final = np.dtype([("mark", "u1"), ("number", ">f8")])
"""Number of an array: MessagePack's mark of a float64, then the number."""


class RekeyedTable:
    """Layout of the records of some channels: bytes that all have, and places of the rest.

    Args:
        channels: Channels, in the order of the values.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        encode = msgspec.msgpack.encode
        width = len(channels)
        head: dict[str, Any] = {"channels": list(channels), "ts": _ANY_TIME}
        example = encode({**head, "values": [0.5] * width})
        size = len(example)
        self._time = slice(len(encode(head)) - 8, len(encode(head)))
        self._first = size - width * _CELL.itemsize
        self._example: NDArray[np.uint8] = np.frombuffer(example, np.uint8)
        self._record = np.dtype(
            {
                "names": ["ts", "values"],
                "formats": [">i8", (_CELL, (width,))],
                "offsets": [self._time.start, self._first],
                "itemsize": size,
            }
        )

    def encode(self, time_us: NDArray[np.int64], values: NDArray[np.float64]) -> list[bytes]:
        """Return the values of records that have all channels.

        Args:
            time_us: `(n,)` event times.
            values: `(n, width)`.
        """
        size = self._record.itemsize
        rows = np.empty((len(time_us), size), np.uint8)
        rows[:] = self._example
        records = rows.view(self._record)[:, 0]
        records["ts"] = time_us
        records["values"]["number"] = values
        text = rows.tobytes()
        return [text[at : at + size] for at in range(0, len(text), size)]

    def decode(self, raws: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Return times `(n,)` and values `(n, width)`; None where a record has another layout.

        Args:
            raws: Values of the records.
        """
        size = self._record.itemsize
        if set(map(len, raws)) != {size}:
            return None
        rows = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), size)
        records = rows.view(self._record)[:, 0]
        time, first, example = self._time, self._first, self._example
        cells = records["values"]
        if (
            (rows[:, : time.start] != example[: time.start]).any()
            or (rows[:, time.stop : first] != example[time.stop : first]).any()
            or (cells["mark"] != example[first]).any()
        ):
            return None
        return records["ts"].astype(np.int64), cells["number"].astype(np.float64)

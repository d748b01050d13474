"""One column of a table as columns of numbers, each kind by its own block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.nn import Module

from ._encoders import Encoder, HashEncoder, OneHotEncoder, TargetEncoder
from ._read import Values
from ._scalers import Imputer, Scaler
from ._texts import BASICS, hashed_text, text_basics
from ._times import COMPONENTS, CYCLES, components, cyclical

Matrix = NDArray[np.float64]


class Block(Module):
    """The base of blocks.

    Attributes:
        column: Name of the column it reads.
    """

    column: str

    def names(self) -> list[str]:
        """Names of the columns it makes, `(K,)`."""
        raise NotImplementedError

    def forward(self, values: Values) -> Matrix:
        """The column as numbers without gaps, `(n, K)`."""
        return self.carry(None, values)[1]

    def carry(self, last: Any, values: Values) -> tuple[Any, Matrix]:
        """The next rows of a series: what to carry on, and the numbers."""
        raise NotImplementedError


class NumberBlock(Block):
    """Numbers or booleans: filled, scaled, and if asked for a column that says where gaps were."""

    def __init__(
        self, column: str, imputer: Imputer, scaler: Scaler | None = None, *, indicate: bool = False
    ) -> None:
        self.column = column
        self.imputer = imputer
        self.scaler = scaler
        self.indicate = indicate

    def names(self) -> list[str]:
        """The column's own name."""
        return [self.column, f"{self.column}_missing"] if self.indicate else [self.column]

    def carry(self, last: Any, values: Values) -> tuple[Any, Matrix]:
        """See `Block.carry`; `last` is the imputer's."""
        numbers = values.as_numbers().numbers
        assert numbers is not None
        last, filled = self.imputer.carry(last, numbers[:, None])
        out = filled if self.scaler is None else self.scaler(filled)
        if self.indicate:
            out = np.concatenate([out, np.isnan(numbers)[:, None]], axis=1)
        return last, out


class CategoryBlock(Block):
    """Categories by an encoder."""

    def __init__(self, column: str, encoder: Encoder | HashEncoder) -> None:
        self.column = column
        self.encoder = encoder

    def names(self) -> list[str]:
        """A name per category, hash column, or the column's own."""
        if isinstance(self.encoder, HashEncoder):
            return [f"{self.column}_hash{k}" for k in range(self.encoder.width)]
        if isinstance(self.encoder, OneHotEncoder):
            last = ["missing"] if self.encoder.missing else []
            return [f"{self.column}_{level}" for level in [*(self.encoder.levels or ()), *last]]
        if isinstance(self.encoder, TargetEncoder):
            return [f"{self.column}_target"]
        return [self.column]

    def carry(self, last: Any, values: Values) -> tuple[Any, Matrix]:
        """See `Block.carry`; nothing is carried."""
        try:
            return last, self.encoder(values.texts())
        except ValueError as error:
            raise ValueError(f"Column {self.column!r}: {error}") from None


class TimeBlock(Block):
    """Times by their place in day, week, month and year, and by their components."""

    def __init__(
        self,
        column: str,
        *,
        cycles: bool = True,
        imputer: Imputer | None = None,
        scaler: Scaler | None = None,
    ) -> None:
        self.column = column
        self.cycles = cycles
        self.imputer = imputer
        self.scaler = scaler

    def names(self) -> list[str]:
        """Sine and cosine of each cycle, then the components."""
        names = [f"{self.column}_{wave}_{c}" for c in CYCLES for wave in ("sin", "cos")]
        parts = [f"{self.column}_{part}" for part in COMPONENTS]
        return (names if self.cycles else []) + (parts if self.imputer is not None else [])

    def carry(self, last: Any, values: Values) -> tuple[Any, Matrix]:
        """See `Block.carry`; nothing is carried."""
        times = values.as_times().time_us
        assert times is not None
        blocks = [cyclical(times)] if self.cycles else []
        if self.imputer is not None:
            parts = self.imputer(components(times))
            blocks.append(parts if self.scaler is None else self.scaler(parts))
        return last, np.concatenate(blocks, axis=1)


class TextBlock(Block):
    """Text by lengths and shares, and by hashed words; missing text is empty text."""

    def __init__(
        self,
        column: str,
        *,
        basics: bool = True,
        scaler: Scaler | None = None,
        width: int = 0,
    ) -> None:
        self.column = column
        self.basics = basics
        self.scaler = scaler
        self.width = width

    def names(self) -> list[str]:
        """The basics' names, then the hash columns."""
        names = [f"{self.column}_{name}" for name in BASICS] if self.basics else []
        return names + [f"{self.column}_words{k}" for k in range(self.width)]

    def carry(self, last: Any, values: Values) -> tuple[Any, Matrix]:
        """See `Block.carry`; nothing is carried."""
        column = values.as_texts()
        texts = [*column.distinct, ""]
        blocks = []
        if self.basics:
            features = text_basics(texts)
            blocks.append(features if self.scaler is None else self.scaler(features))
        if self.width:
            blocks.append(hashed_text(texts, self.width))
        return last, np.concatenate(blocks, axis=1)[column.codes]

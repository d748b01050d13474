"""Plan of the rows of a model: the columns that samples give, and the fields these need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ember_core.rows import RecipeChannel, RowRecipe

from .layout import NEVER, WindowSpec, engine_fields

_BEGIN_NEVER = ("max_time", "counter_time")


@dataclass(frozen=True)
class RowPlan:
    """Recipe of the model's channels together with the windows.

    Attributes:
        channels: The model's channels, `C` of them.
        window: Windows that make rows of samples.
        recipe: How the channels come from the samples; None: as they stand there.
    """

    channels: tuple[str, ...]
    window: WindowSpec
    recipe: RowRecipe | None = None

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the columns of a decoded sample, `S` of them."""
        return self.channels if self.recipe is None else self.recipe.sources

    @cached_property
    def sampled(self) -> tuple[RecipeChannel, ...]:
        """Channels that come from samples, `A` of them."""
        if self.recipe is None:
            return tuple(RecipeChannel(name, name) for name in self.channels)
        return self.recipe.sampled

    @cached_property
    def uses(self) -> tuple[str, ...]:
        """Use of each sampled channel; the window decides only where the recipe does not."""
        by_name = dict(self.window.aggregates)
        uses = []
        for channel in self.sampled:
            use = channel.use
            if use == "value" and self.window.mode == "time":
                use = by_name.get(channel.name, self.window.aggregate)
            uses.append("last" if use == "value" else use)
        return tuple(uses)

    @property
    def is_plain(self) -> bool:
        """True where a row has the values of one sample, as they are."""
        return self.recipe is None and self.window.mode == "count"

    @staticmethod
    def begin(fields: dict[str, Any]) -> None:
        """Set the fields of new keys that do not begin at zero."""
        for name in _BEGIN_NEVER:
            if name in fields:
                fields[name][...] = NEVER

    def new_fields(self, keys: int) -> dict[str, Any]:
        """Return the fields that rows are made with, as new keys have them."""
        own_fields = engine_fields(len(self.sampled), self.window, self.uses)
        fields = {f.name: np.zeros((keys, *f.shape), dtype=f.dtype) for f in own_fields}
        fields |= {name: np.zeros(keys, dtype=np.int64) for name in ("rows", "last_time")}
        self.begin(fields)
        return fields

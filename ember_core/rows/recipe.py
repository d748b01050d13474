"""Recipe of a model's channels: which samples they come from, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from .formula import Formula
from .uses import DIFFERENCES, USES_TEXT, is_use


@dataclass(frozen=True)
class RecipeChannel:
    """One channel of a row.

    Attributes:
        name: Name of the channel.
        source: Name in the records; empty where it is computed.
        use: `value` (the window's own aggregate), or an aggregate.
        compute: Formula over other channels; empty where it comes from the records.
        hidden: True where only formulas read it.

    Raises:
        ValueError: If it has neither a source nor a formula, or an unknown use.
    """

    name: str
    source: str = ""
    use: str = "value"
    compute: str = ""
    hidden: bool = False

    def __post_init__(self) -> None:
        """Refuse a channel that cannot be made."""
        if not self.name or bool(self.source) == bool(self.compute):
            raise ValueError(
                "A channel comes from a source or is computed. Expected a name and one of both. "
                f"Received: {self}."
            )
        if not is_use(self.use):
            raise ValueError(
                f"There is no such use of a channel. Expected value, {USES_TEXT}. "
                f"Received: use={self.use!r} of channel {self.name!r}."
            )

    @cached_property
    def formula(self) -> Formula | None:
        """The formula, parsed; None where the channel comes from the records."""
        return Formula(self.compute) if self.compute else None

    @property
    def is_counter(self) -> bool:
        """True where the channel is a difference of samples: a rate, or a change."""
        return self.use in DIFFERENCES

    @property
    def is_plain(self) -> bool:
        """True where the channel is that of the records, as it stands there."""
        return self.source == self.name and self.use == "value" and not self.hidden

    @property
    def text(self) -> str:
        """The channel as people read it, also its identity.

        Examples:
            >>> RecipeChannel("bytes", "bytes_total", "rate").text
            'bytes = rate of bytes_total'
        """
        if self.compute:
            return f"{self.name} = {self.compute}"
        if self.is_plain:
            return self.name
        if self.use == "value":
            return f"{self.name} = {self.source}"
        suffix = "" if self.name == self.source else f" of {self.source}"
        return f"{self.name} = {self.use}{suffix}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, without those that are the defaults."""
        default = {"source": "", "use": "value", "compute": "", "hidden": False}
        return {name: v for name, v in asdict(self).items() if v != default.get(name)}


@dataclass(frozen=True)
class RowRecipe:
    """Recipe of all channels of a model, those first that come from the records.

    Attributes:
        channels: The channels; formulas read those before them.
        gap_seconds: Longest time between two samples of a counter that give a rate; 0: any.

    Raises:
        ValueError: If a name occurs twice, a formula reads an unknown channel, or none is left.
    """

    channels: tuple[RecipeChannel, ...]
    gap_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse recipes that make no rows."""
        known_names: dict[str, None] = {}
        for channel in self.channels:
            if channel.name in known_names:
                raise ValueError(
                    f"Two channels have one name. Expected different names. Received: "
                    f"{channel.name!r} twice. Rename one of them."
                )
            for name in channel.formula.names if channel.formula else ():
                if name not in known_names:
                    examples = ", ".join(list(known_names)[:8])
                    raise ValueError(
                        f"The formula of {channel.name!r} reads a channel that is not there. "
                        f"Expected some of: {examples}. Received: {name!r}."
                    )
            known_names[channel.name] = None
        if not self.names:
            raise ValueError("The recipe leaves no channel. Expected one or more.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the model's channels, in column order."""
        return tuple(channel.name for channel in self.channels if not channel.hidden)

    @cached_property
    def sampled(self) -> tuple[RecipeChannel, ...]:
        """Channels that come from the records."""
        return tuple(channel for channel in self.channels if channel.source)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names that are read from the records, in column order."""
        return tuple(dict.fromkeys(channel.source for channel in self.sampled))

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """Text of each of the model's channels: state of a key is kept only where all are equal."""
        hidden = {channel.name: channel.text for channel in self.channels if channel.hidden}
        texts = []
        for channel in self.channels:
            read = channel.formula.names if channel.formula else ()
            origins = ", ".join(hidden[name] for name in read if name in hidden)
            if not channel.hidden:
                texts.append(f"{channel.text} where {origins}" if origins else channel.text)
        return tuple(texts)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for `model.json`."""
        channels = [channel.as_json() for channel in self.channels]
        return {"channels": channels, "gap_seconds": self.gap_seconds}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Make a recipe from `as_json`."""
        channels: Iterable[Mapping[str, Any]] = values["channels"]
        return cls(
            tuple(RecipeChannel(**channel) for channel in channels), float(values["gap_seconds"])
        )

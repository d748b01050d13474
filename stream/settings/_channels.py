"""Rules of the channels: `[[channels]]`, each a table of its own."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ember_core.rows import USES_TEXT, Formula, FormulaError, is_use

from ._base import Section


class ChannelRule(BaseModel):
    """One rule: how the channels of a pattern are used, or a channel that is computed."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    match: str = Field(
        default="",
        description="Pattern of the channels' names in the records: `*` is any text, `?` any "
        "character. Without `{` it also stands for the name before the labels.",
    )
    use: str = Field(
        default="",
        description=f"`value`, `ignore`, or an aggregate: {USES_TEXT}. Empty: `rate` for counters "
        "that training recognises, else `value`.",
    )
    rename: str = Field(
        default="",
        description="New name; a `*` in it is what the same `*` of `match` stands for.",
    )
    name: str = Field(default="", description="Name of a computed channel.")
    compute: str = Field(
        default="",
        description="Formula of a computed channel, over channels after their rules: + - * /, "
        "brackets, numbers, min, max, abs, log, sqrt. Other names than plain ones stand in "
        "backquotes.",
    )

    @field_validator("use")
    @classmethod
    def _known_use(cls, value: str) -> str:
        if value and value != "ignore" and not is_use(value):
            raise ValueError(f"`use` is value, ignore, {USES_TEXT}, not {value!r}")
        return value

    @field_validator("compute")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            return Formula(value).text if value else value
        except FormulaError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.match) == bool(self.compute):
            raise ValueError("a rule has either `match` or `compute`")
        if self.compute and (not self.name or self.use or self.rename):
            raise ValueError("a rule with `compute` has `name` beside it, and nothing else")
        if self.match and self.name:
            raise ValueError("a rule with `match` has `rename`, not `name`")
        if self.rename.count("*") > self.match.count("*"):
            raise ValueError("`rename` has more `*` than `match`")
        return self

    @property
    def settings(self) -> dict[str, str]:
        """Keys of the rule that are set."""
        return {key: value for key, value in self.model_dump().items() if value}


class ChannelsSection(Section):
    """Rules of the channels, written as `[[channels]]`; for each channel the first one counts."""

    rules: tuple[ChannelRule, ...] = Field(
        default=(),
        description="Rules of the channels, `[[channels]]` each: the first that matches a channel "
        "counts. Training writes them into the bundle, and the stream goes by the bundle.",
    )

    @field_validator("rules", mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

"""The `[control]` section: documents of operators that running workers follow."""

from __future__ import annotations

from pydantic import Field, field_validator

from ._base import Section
from ._topics import name_fault


class ControlSection(Section):
    """Rules, feedback, calendars and silences that operators write while the service runs."""

    enabled: bool = Field(
        default=False,
        description="Follow the documents of the control topic; `ember control` writes them.",
    )
    topic: str = Field(
        default="<group>-control",
        description="Compacted topic of the documents; `<group>` stands for `kafka.group`.",
    )

    @field_validator("topic")
    @classmethod
    def _legal_topic(cls, value: str) -> str:
        if fault := name_fault(value.replace("<group>", "group")):
            raise ValueError(fault)
        return value

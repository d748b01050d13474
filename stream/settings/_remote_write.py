"""The `[remote_write]` section: scored rows as series of Prometheus."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from stream.key_patterns import bracket_fault

from ._base import Names
from ._receivers import Address, CredentialsFields, Labels

_OWN_LABELS: Final = ("channel",)


class RemoteWriteSection(CredentialsFields):
    """Store that `ember remote-write` sends the scores of keys to, as series."""

    url: Address = Field(
        default="http://localhost:9090/api/v1/write",
        description="Address that takes remote-write. Prometheus and VictoriaMetrics: "
        "`/api/v1/write`; Mimir: `/api/v1/push`.",
    )
    tenant: str = Field(
        default="", description="Tenant of Mimir, as the header `X-Scope-OrgID`; empty: none."
    )
    keys: Names = Field(
        default=(),
        description="Patterns of keys that are always written, with `*`, `?` and `[abc]`. Keys in "
        "an alert are written beside them.",
    )
    before_seconds: float = Field(
        default=3_600.0,
        ge=0,
        le=172_800,
        description="Time before an alert from which the rows of its key are written too. "
        "Prometheus needs an `out_of_order_time_window` of at least as long.",
    )
    after_seconds: float = Field(
        default=3_600.0,
        ge=0,
        description="Time after the end of an alert until which its key is written.",
    )
    step_seconds: float = Field(
        default=1.0,
        ge=0.001,
        description="Time of which one row of a key is written: the first one.",
    )
    memory_mib: int = Field(
        default=256,
        ge=1,
        description="Memory for rows of keys that are not written yet, in MiB. The oldest rows "
        "leave first, and are counted.",
    )
    max_series: int = Field(
        default=100_000,
        ge=1,
        description="Most series at a time: five for each key, and four more for each of its "
        "channels. Keys that find no room are left out, and counted.",
    )
    samples_per_request: int = Field(
        default=5_000, ge=100, le=100_000, description="Most samples in a request."
    )
    samples_per_second: float = Field(
        default=100_000.0, gt=0, description="Most samples a second, on average."
    )
    labels: Labels = Field(
        default={},
        description="Labels added to every series, beside `key`, `topic`, `channel` and those of "
        "`incidents.key_pattern`.",
    )
    port: int = Field(
        default=6059, ge=0, le=65535, description="Port of the metrics and health of the process."
    )

    @field_validator("keys")
    @classmethod
    def _sound_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if sentence := bracket_fault(value):
            raise ValueError(sentence.removesuffix("."))
        return value

    @field_validator("labels")
    @classmethod
    def _other_labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name in _OWN_LABELS or name.startswith("__"):
                raise ValueError(f"{name!r} is a label that series have already")
        return value

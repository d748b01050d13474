"""Sections of detection: `[model]`, `[alerts]` and `[output]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stream.durations import seconds_of
from stream.key_patterns import bracket_fault
from stream.templates import LINK_FIELDS
from stream.templates import fault as template_fault

from ._base import Section, split_list, split_table
from ._topics import name_fault

_WEEK_SECONDS = 604_800.0
_PERIOD_SECONDS = {
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": _WEEK_SECONDS,
    "month": 2_629_746.0,
    "year": 31_556_952.0,
}


def _bundle_path(value: Any) -> Any:
    """Convert to a path, except an https address: a path would lose one of its slashes."""
    if not isinstance(value, str) or value.startswith("https://"):
        return value
    if "://" in value:
        raise ValueError("expected a folder or an https address")
    return Path(value)


BundlePath = Annotated[Path | str, BeforeValidator(_bundle_path)]


def _profile_bundles(value: Any) -> Any:
    """Refuse addresses: the folders of a table are not fetched."""
    table = split_table(value)
    if isinstance(table, dict):
        for pattern, folder in table.items():
            if "://" in str(folder):
                raise ValueError(f"expected a folder for {pattern!r}, not an address")
    return table


ProfileBundles = Annotated[dict[str, Path], BeforeValidator(_profile_bundles)]


class ModelSection(Section):
    """Model bundles and warm-up of unknown keys."""

    path: BundlePath = Field(
        default=Path("model"),
        description="Folder of the model bundle, or its https address. An address needs `sha256`; "
        "the bundle is fetched once, into `state.directory`.",
    )
    profiles: ProfileBundles = Field(
        default={},
        description="Bundles of some keys, by a pattern of the key: `*`, `?`, `[abc]`, letter by "
        "letter. The first pattern that fits decides. With `path` each is a folder; keys that no "
        "pattern fits have the bundle of `path`, and without one they count as `no_profile`. With "
        "`topic` each is a name such as `db`, whose bundle comes by the topic `<topic>-db`; other "
        "keys have that of `topic`.",
    )
    topic: str = Field(
        default="",
        description="Compacted topic that brings the bundle, in the place of `path`; `<group>` "
        "stands for `kafka.group`. Usual: `<group>-model`. `ember model deploy` writes it, and all "
        "workers of the group follow it. Empty: the bundle is that of `path`.",
    )
    sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="Expected digest of the bundle, as `ember model show` prints it; empty: any.",
    )
    public_key: Path | None = Field(
        default=None,
        description="PEM file of the Ed25519 public key that verifies the bundle's signature "
        "(`ember model sign`, extra `signatures`); unset: no signature is required.",
    )
    shadow: Path | None = Field(
        default=None,
        description="Folder of a candidate bundle that scores the same records without events; "
        "`ember model shadow` compares it. Costs as much as the model itself.",
    )
    shadow_profile: str = Field(
        default="",
        description="Pattern of `profiles` whose keys the candidate scores; empty: those that no "
        "pattern fits.",
    )
    warmup_rows: int | None = Field(
        default=None,
        ge=0,
        description="Rows before a key that is not in the bundle is scored. Unset: 30, or 500 "
        "where the bundle has fewer than three keys to tell from.",
    )
    alarm_warmup_rows: int | None = Field(
        default=None,
        ge=0,
        description="Rows before a key that is not in the bundle may alarm. Unset: as soon as it "
        "is scored, or 2,000 where the bundle has fewer than three keys to tell from.",
    )

    compiled: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: the model scores by compiled stages as soon as their machine code is "
        "there, by the plain ones until then; both give the same bits. off: by the plain ones.",
    )

    @model_validator(mode="after")
    def _an_address_needs_a_digest(self) -> Self:
        if isinstance(self.path, str) and not self.sha256:
            raise ValueError("An address in `path` also needs `sha256`")
        return self

    @field_validator("topic")
    @classmethod
    def _legal_topic(cls, value: str) -> str:
        if value and (fault := name_fault(value.replace("<group>", "group"))):
            raise ValueError(fault)
        return value

    @property
    def other_keys(self) -> Path | str | None:
        """Bundle of the keys that no pattern of `profiles` fits; None: they have no model.

        With `topic` its newest bundle stands in the place of this one.
        """
        if "*" in self.profiles:
            return None
        has_path = bool(self.topic) or "path" in self.model_fields_set
        return self.path if has_path or not self.profiles else None

    @field_validator("profiles")
    @classmethod
    def _patterns_that_fit(cls, value: dict[str, Path]) -> dict[str, Path]:
        patterns = list(value)
        if "" in patterns:
            raise ValueError("a pattern is empty, and fits no key")
        if fault := bracket_fault(patterns):
            raise ValueError(fault.removesuffix("."))
        if "*" in patterns[:-1]:
            behind = patterns[patterns.index("*") + 1]
            raise ValueError(
                f"`*` fits every key, so that {behind!r} behind it never does; put it last"
            )
        return value

    @model_validator(mode="after")
    def _profiles_fit_the_rest(self) -> Self:
        names = [str(name) for name in self.profiles.values()] if self.topic else []
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or names.count(name) > 1:
                raise ValueError(
                    "With `topic` the bundle of a profile comes by a topic of its own. Expected "
                    f"a different name for each, such as `db`. Received: {name!r}"
                )
        if self.shadow_profile and self.shadow_profile not in self.profiles:
            raise ValueError(
                "`shadow_profile` names no profile. Expected one of the patterns of `profiles`. "
                f"Received: shadow_profile={self.shadow_profile!r}"
            )
        if self.shadow and not self.shadow_profile and self.other_keys is None:
            raise ValueError(
                "`shadow` is a candidate for the keys of no profile, which have no model. Expected "
                "`shadow_profile`, one of the patterns of `profiles`"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_the_bundle(self) -> Self:
        for other in ("path", "sha256"):
            if self.topic and getattr(self, other) and other in self.model_fields_set:
                raise ValueError(
                    f"Both `topic` and `{other}` say which model is in service. Expected one of "
                    "them: with a topic, the newest bundle of it is. Take the other out"
                )
        return self


class AlertsSection(Section):
    """Thresholds and budget of alerts."""

    anomaly_severity: float = Field(
        default=3.0,
        ge=0,
        le=12,
        description="Severity (-log10 of the probability) of an anomaly event.",
    )
    budget: str | None = Field(
        default=None,
        description="Pages accepted per key and time, for example `1/month` or `2/day`; unset: as "
        "trained. `ember model show` prints the threshold in force, and the pages to expect.",
    )
    evidence_rows: float = Field(
        default=0.5,
        gt=0,
        description="Time constant of the motor neuron's evidence, in rows. When set, it replaces "
        "the model's own, for which the on-threshold was calibrated.",
    )
    refractory_rows: int | None = Field(
        default=None,
        ge=0,
        description="Rows after an episode in which no new one fires; unset: as trained.",
    )
    missing_channels: bool = Field(
        default=True,
        description="Tell when a channel of a key stops coming: a trigger once it is missing for "
        "more than `window.max_gap` rows and six times as long as usual, another when it returns.",
    )
    max_alert_age: str = Field(
        default="1h",
        description="Events about older records, by Kafka's timestamp at the time of sending, "
        "carry the header `ember.backlog`: to be kept, but not to page anybody (s, m, h, d).",
    )

    link: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="Link of an alert, in every message of a bridge; `{key}`, `{topic}` and "
        "`{alertname}` are filled in. Empty: no link.",
    )

    pages: str | None = Field(
        default=None,
        description="Incidents that may page in the whole fleet and time, for example `5/day`: the "
        "most improbable ones. The others wait in the digest by e-mail. Unset: all page.",
    )

    @field_validator("budget", "pages")
    @classmethod
    def _rate(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # The lazy group leaves the plural's "s" out: "2/days" is "2/day".
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+?)s?", value.strip())
        if match is None or match[2] not in _PERIOD_SECONDS or float(match[1]) <= 0:
            periods = ", ".join(_PERIOD_SECONDS)
            raise ValueError(f"expected NUMBER/PERIOD above zero, with a period of {periods}")
        return f"{match[1]}/{match[2]}"

    @field_validator("link")
    @classmethod
    def _fields_of_link(cls, value: str) -> str:
        if fault := template_fault(value, LINK_FIELDS):
            raise ValueError(f"it cannot be filled in: {fault}")
        return value

    @field_validator("max_alert_age")
    @classmethod
    def _age(cls, value: str) -> str:
        if seconds_of(value) is None:
            raise ValueError("expected a length of time, for example `1h` (s, m, h, d)")
        return value

    @property
    def max_age_seconds(self) -> float:
        """`max_alert_age`, in seconds."""
        return seconds_of(self.max_alert_age) or 0.0

    @property
    def budget_per_week(self) -> float | None:
        """Pages accepted per key and week; None: as trained."""
        return None if self.budget is None else _per_week(self.budget)

    @property
    def pages_per_week(self) -> float | None:
        """Incidents of the whole fleet that may page in a week; None: all."""
        return None if self.pages is None else _per_week(self.pages)


def _per_week(rate: str) -> float:
    """Return a rate such as `2/day` for a week."""
    number, _, period = rate.partition("/")
    return float(number) * _WEEK_SECONDS / _PERIOD_SECONDS[period]


OutputKind = Literal["anomalies", "triggers", "incidents", "dead_letters", "scores"]
"""Kind of an output topic."""


def _scored_keys(value: Any) -> Any:
    """Split patterns, as an environment variable has them, and refuse those that cannot be."""
    if value in ("off", "all"):
        return value
    patterns = split_list(value)
    if not isinstance(patterns, list | tuple) or not all(isinstance(p, str) for p in patterns):
        raise ValueError("expected `off`, `all`, or a list of patterns such as `web-*`")
    if not patterns or not all(patterns):
        raise ValueError(
            "expected one pattern at least; `off` writes no scores, `all` those of all"
        )
    if bracket_fault(patterns):
        raise ValueError("expected a `]` for each `[` of a pattern; `[[]` is the bracket itself")
    return tuple(patterns)


ScoredKeys = Annotated[Literal["off", "all"] | tuple[str, ...], BeforeValidator(_scored_keys)]


class OutputSection(Section):
    """Output topics. `<input>` stands for the input topic."""

    anomalies: str = Field(
        default="<input>.anomalies", min_length=1, description="Topic of anomalies."
    )
    triggers: str = Field(
        default="<input>.triggers", min_length=1, description="Topic of triggers."
    )
    incidents: str = Field(
        default="<input>.incidents",
        min_length=1,
        description="Topic of incidents, which `ember incidents` writes.",
    )
    dead_letters: str = Field(
        default="<input>.dead-letters", min_length=1, description="Topic of refused messages."
    )
    scores: ScoredKeys = Field(
        default="off",
        description="Keys whose scored rows are written, with the usual band of each channel: "
        "`off`, `all`, or patterns of keys such as `web-*`. It needs the extra `scores`.",
    )
    scores_topic: str = Field(
        default="<input>.scores", min_length=1, description="Topic of scored rows."
    )
    scores_retention_seconds: float = Field(
        default=86_400.0,
        gt=0,
        allow_inf_nan=False,
        description="Time for which scored rows stay: retention of their topic when it is made.",
    )

    @field_validator("anomalies", "triggers", "incidents", "dead_letters", "scores_topic")
    @classmethod
    def _legal(cls, value: str) -> str:
        if fault := name_fault(value.replace("<input>", "input")):
            raise ValueError(fault)
        return value

    @property
    def scored_keys(self) -> tuple[str, ...]:
        """Patterns of the keys whose scored rows are written; empty: none."""
        if isinstance(self.scores, tuple):
            return self.scores
        return ("*",) if self.scores == "all" else ()

    def topic(self, kind: OutputKind, input_topic: str) -> str:
        """Return the name of an output topic of an input topic."""
        template: str = self.scores_topic if kind == "scores" else getattr(self, kind)
        return template.replace("<input>", input_topic)

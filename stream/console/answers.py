"""Answers of the HTTP API. The OpenAPI document is made from these types.

Times are microseconds since the epoch. A number that is unknown is null.
"""

from __future__ import annotations

from typing import Any

import msgspec

Numbers = list[float | None]


class ErrorAnswer(msgspec.Struct):
    """Refused request."""

    error: str


class StatusAnswer(msgspec.Struct):
    """State of the stream and of this console, and what the caller may do.

    `reading` is `starting`, `reading`, `running` or `waiting`; `trouble` says what it waits for.
    """

    stream: str
    version: str
    now_us: int
    last_us: int
    keys: int
    firing: int
    channels: list[str]
    scores: bool
    coverage: float | None
    can_write: bool
    user: str | None
    csrf: str
    hours: float
    links: dict[str, str]
    demo: bool
    reading: str
    trouble: str


class KeyRow(msgspec.Struct):
    """A key of the list, by its newest row."""

    key: str
    last_us: int
    severity: float
    worst: float
    evidence: float
    threshold: float
    firing: bool
    channel: str | None
    partition: int


class KeysAnswer(msgspec.Struct):
    """Keys, a page of them."""

    total: int
    keys: list[KeyRow]


class FleetAnswer(msgspec.Struct):
    """Heat map; `cells` is base64 of a byte for each key and column, key by key.

    `row_seconds` is the usual time between two rows of a key.
    """

    begin_us: int
    step_us: int
    columns: int
    total: int
    keys: list[str]
    firing: list[int]
    row_seconds: float | None
    cells: str


class ChannelShare(msgspec.Struct):
    """A channel of an episode."""

    name: str
    share: float | None
    value: float | None
    expected: float | None
    low: float | None
    high: float | None
    direction: str | None


class EpisodeAnswer(msgspec.Struct, tag_field="kind", tag="trigger"):
    """An episode: a trigger that fires or has fired.

    `row_seconds` is the usual time between two rows of its key.
    """

    id: str
    key: str
    status: str
    starts_us: int
    ends_us: int | None
    severity: float
    peak: float
    row_seconds: float | None
    threshold: float
    channels: list[ChannelShare]
    reason: str
    summary: str
    description: str
    incident: str | None
    alert: str
    rules: list[str]
    acknowledged: Any
    feedback: Any
    silenced: Any


class AnomalyAnswer(EpisodeAnswer, tag_field="kind", tag="anomaly"):
    """An improbable row, in the form of an episode."""


class IncidentMember(msgspec.Struct):
    """A key of an incident."""

    key: str
    since_us: int
    margin: float
    alert: str


class IncidentChannel(msgspec.Struct):
    """A channel of an incident, and its share over all keys."""

    name: str
    share: float


class IncidentAnswer(msgspec.Struct, tag_field="kind", tag="incident"):
    """Keys that fire together."""

    id: str
    status: str
    starts_us: int
    ends_us: int | None
    severity: float
    severity_class: str
    page: bool
    summary: str
    description: str
    member_count: int
    firing_count: int
    members: list[IncidentMember]
    top_channels: list[IncidentChannel]
    is_storm: bool
    reason: str


class KeyAnswer(msgspec.Struct):
    """One key; `row_seconds` is the usual time between two of its rows."""

    key: str
    channels: list[str]
    first_us: int
    last_us: int
    rows: int
    row_seconds: float | None
    firing: bool
    episodes: list[EpisodeAnswer]
    documents: list[Any]
    partition: int


class ChannelSeries(msgspec.Struct):
    """Values of a channel and its usual band, one for each point."""

    value: Numbers
    usual: Numbers
    lower: Numbers
    upper: Numbers
    contribution: Numbers
    value_min: Numbers
    value_max: Numbers


class SeriesAnswer(msgspec.Struct):
    """Scored rows of a key; `step_us` 0: every row, else each point is a bin of that width."""

    key: str
    begin_us: int
    end_us: int
    step_us: int
    time_us: list[int]
    score: Numbers
    severity: Numbers
    evidence: Numbers
    threshold: Numbers
    firing: list[int]
    channels: dict[str, ChannelSeries]


class EventsAnswer(msgspec.Struct):
    """Episodes, anomalies and incidents, the newest first."""

    events: list[EpisodeAnswer | AnomalyAnswer | IncidentAnswer]
    next_us: int | None


class IncidentsAnswer(msgspec.Struct):
    """Incidents, the newest first."""

    incidents: list[IncidentAnswer]


class ControlAnswer(msgspec.Struct):
    """Documents in force, and how they came to be."""

    enabled: bool
    documents: list[Any]
    history: list[Any]


class Undo(msgspec.Struct):
    """Request that takes a write back."""

    method: str
    path: str
    body: Any


class WriteAnswer(msgspec.Struct):
    """Document that was written or removed, and the way back."""

    document: Any
    removed: str | None
    undo: Undo


class ConsoleHealth(msgspec.Struct):
    """This console."""

    memory_mib: float
    bound_mib: float
    rows: int
    taken: int
    dropped: int
    late: int
    lag: int | None
    reading: str
    trouble: str


class WorkerHealth(msgspec.Struct):
    """A worker, as its own endpoints have it."""

    address: str
    phase: str | None = None
    records_per_second: float | None = None
    lag: int | None = None
    checkpoint_age_seconds: float | None = None
    model: str | None = None
    candidate: str | None = None
    partitions: int | None = None
    error: str | None = None


class HealthAnswer(msgspec.Struct):
    """Workers, this console, and the model in service."""

    workers: list[WorkerHealth]
    console: ConsoleHealth
    model: dict[str, Any] | None


class Neuron(msgspec.Struct):
    """An input or a neuron."""

    id: str
    label: str


class Layer(msgspec.Struct):
    """Neurons of a layer."""

    name: str
    neurons: list[Neuron]


class Synapse(msgspec.Struct, rename={"source": "from", "target": "to"}):
    """A synapse with its weight; `sign` 1 excites, -1 inhibits."""

    source: str
    target: str
    sign: int
    weight: float


class NetworkAnswer(msgspec.Struct):
    """Wiring of the liquid network, from the inputs to the motor neurons.

    `severity_unit` is `day` where severity 2 means once in 100 days, and `row` where it means one
    row in 100. `row_seconds` is the usual time between two rows of a key in the model's history.
    """

    layers: list[Layer]
    synapses: list[Synapse]
    channels: list[str]
    model: str
    sha256: str
    severity_unit: str
    row_seconds: float | None


class ActivationsAnswer(msgspec.Struct):
    """Neurons after a row, its inputs, and the forecast of the next row."""

    time_us: int
    model: str
    activations: dict[str, float | None]
    forecast: dict[str, float | None]


class WhatIfAnswer(msgspec.Struct):
    """Episodes of a replay without a change and with it; ids of those that are gone or new."""

    seconds: float
    rows: int
    keys: int
    before: list[EpisodeAnswer]
    after: list[EpisodeAnswer]
    gone: list[str]
    new: list[str]
    pages_before: int
    pages_after: int


class CancelAnswer(msgspec.Struct):
    """End of a replay, if one ran."""

    cancelled: bool

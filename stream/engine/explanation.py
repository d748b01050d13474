"""Explanations of rows: the channels that make them improbable, and the evidence that spoke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ember_core.pipeline import Decision, Observation, Pipeline, channel_weights
from ember_core.pipeline.evidence import statistic_name
from stream.records import Evidence, rfc3339

SHOWN: Final = 5
"""Channels named in an event."""
EXPLAINED: Final = 2.0
"""Severity from which a row has shares of its channels: one row in a hundred of a key has it."""
_RANGE = 3.0
"""Usual sizes to each side of a usual value: nearly all rows of training lie between."""


@dataclass
class Explanation:
    """Explanation of one row: channels by falling share.

    Attributes:
        channel: Index of each.
        share: Its share.
        value: Its value, NaN where missing.
        expected: Its usual value.
        low: Lower end of the usual range; empty where it is unknown.
        high: Its upper end.
        evidence: Evidence that a page rests on.
        text: Texts of events about it, once one is made; see `event_text`.
    """

    channel: list[int]
    share: list[float]
    value: list[float]
    expected: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    evidence: Evidence | None = None
    text: Any = field(default=None, repr=False, compare=False)


def explain_channels(
    channels: Sequence[str],
    observation: Observation,
    index: Any,
    values: Any,
    shares: Any,
    decision: Decision,
    decided: Any,
) -> list[Explanation]:
    """Explain rows of a model with channel evidence.

    The channel that leads the page comes first, then the others by their severity. Where all
    channels together lead it, they come by their shares in the free energy.

    Args:
        channels: Names of the channels.
        observation: Rows observed.
        index: Those that are explained, `(B,)`.
        values: Values of their records, `(B, C)`, NaN where missing.
        shares: Share of each channel in the free energy, `(B, C)`.
        decision: Decisions on rows.
        decided: Indices of the rows among these, `(B,)`.
    """
    severities, lead = decision.severities[decided], decision.lead[decided]
    weight = channel_weights(severities, lead, shares)
    order = np.argsort(-weight, axis=1, kind="stable")[:, :SHOWN]
    usual = (observation.usual.values(index, sizes) for sizes in (0.0, -_RANGE, _RANGE))
    columns = [np.take_along_axis(x, order, axis=1).tolist() for x in (weight, values, *usual)]
    spoken = _evidence(channels, observation, index, severities, lead, decision.raised[decided])
    rows = zip(order.tolist(), *columns, strict=True)
    return [Explanation(*(*row, shown)) for row, shown in zip(rows, spoken, strict=True)]


def channel_shares(
    pipeline: Pipeline, observation: Observation, index: Any, decision: Decision, decided: Any
) -> Any:
    """Return the share of each channel in rows, `(B, C)`, float64, by which events name channels.

    With joint evidence alone that is the free energy, computed once more for each channel. So only
    rows of severity `EXPLAINED` and more, and those of an episode, have shares; others are NaN.

    Args:
        pipeline: Pipeline of the model.
        observation: Rows observed.
        index: Those that are explained, `(B,)`.
        decision: Decisions on rows.
        decided: Indices of the rows among these, `(B,)`.
    """
    if observation.usual is None:
        is_explained = decision.severity[decided] >= EXPLAINED
        is_explained |= (decision.firing | decision.resolves)[decided]
        shares = np.full((len(index), len(pipeline.config.channels)), np.nan)
        rows = np.flatnonzero(is_explained)
        if rows.size:
            shares[rows] = pipeline.explain(observation.visible[index[rows]])
        return shares
    severities, lead = decision.severities[decided], decision.lead[decided]
    shares = np.zeros((lead.size, severities.shape[1] - 1))
    by_all = np.flatnonzero(lead == shares.shape[1])  # the others have shares of their own
    if by_all.size:
        shares[by_all] = pipeline.explain(observation.visible[index[by_all]])
    return channel_weights(severities, lead, shares)


def _evidence(
    channels: Sequence[str],
    observation: Observation,
    index: Any,
    severities: Any,
    lead: Any,
    raised: Any,
) -> list[Evidence]:
    """Return the evidence of the leading group of each row."""
    times, intervals = observation.time_us[index], observation.interval[index]
    began_us = times - (np.maximum(raised, 0.0) * intervals * 1e6).astype(np.int64)
    statistics = observation.channel_statistics.severity(index)
    out = []
    for i, group in enumerate(lead.tolist()):
        is_joint = group >= len(channels)
        out.append(
            Evidence(
                kind="joint" if is_joint else "channel",
                channel=None if is_joint else channels[group],
                statistic=(
                    "all channels together"
                    if is_joint
                    else statistic_name(statistics[i], group, len(channels))
                ),
                severity=float(severities[i, group]),
                since=rfc3339(int(began_us[i])),
            )
        )
    return out

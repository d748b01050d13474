"""OpenTelemetry metrics as the collector's Kafka exporter writes them, protobuf or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from ember_core.data.cells import TimeReader
from stream.records import Message, Reason, Temporality

from . import _otlp_json, _otlp_proto
from ._base import Reading
from ._channels import ChannelIndex, SeriesIndex
from ._key import KeyExpression, walk
from ._otlp_distributions import Distribution, split_statistic
from ._otlp_points import Point, start_us_of
from ._refused import Refused
from ._samples import EventTime, Sample, SampleCodec
from ._wire import WireError

_NANOSECONDS = TimeReader("ns")
_USUAL_STATISTICS = ("count", "sum", "mean", "p50", "p99")
"""Statistics of a distribution that are found as channels; a summary brings its quantiles."""


class OtlpCodec(SampleCodec):
    """Codec of gauges, sums, histograms, exponential histograms and summaries.

    The channel is the metric's name, or `name{attribute="value"}`. Each point is one sample. A
    point without a value is left out: it has the flag, or NaN, which Prometheus writes in its
    place. Channels of a distribution have its name and a statistic: `http.duration.count`, `.sum`,
    `.mean`, `.min`, `.max` and quantiles such as `.p50` and `.p99`; also `_count` and `_sum`. A
    summary's quantile is `name{quantile="0.99"}`, too. A cumulative distribution has count and
    sum only. The key expression reads `resource` and `attributes` (objects), `scope` and `name`.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        reading: Sizes, and readers of numbers and times.
        encoding: `auto` tells JSON from protobuf by the first byte: no protobuf begins with `{`.
    """

    _tells_counters = True

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        reading: Reading,
        *,
        encoding: Literal["auto", "json", "proto"] = "auto",
    ) -> None:
        super().__init__(channels, key, reading)
        self._index: ChannelIndex = ChannelIndex(channels)
        self._encoding = encoding
        # Statistics that channels ask for, by metric: their names, and those of the channels.
        self._statistics: dict[str, dict[str, str]] = {}
        for name in self._index.names:
            if split := split_statistic(name):
                self._statistics.setdefault(split[0], {})[name] = split[1]

    def watch(self, index: SeriesIndex) -> None:
        """Read every measurement; see `SampleCodec.watch`."""
        self._index = index

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        if self._encoding == "json" or (self._encoding == "auto" and value.lstrip()[:1] == b"{"):
            return list(self._convert(_otlp_json.read_points(value, self._wants)))
        if not value:
            raise Refused(Reason.NOT_JSON, "The value is empty. Expected OTLP metrics.")
        try:
            return list(self._convert(_otlp_proto.read_points(value, self._wants)))
        except WireError as error:
            detail = f"The value is no OTLP metrics in protobuf: {error}."
            raise Refused(Reason.NOT_JSON, detail) from None

    def _wants(self, metric: str) -> bool:
        return self._index.knows(metric) or metric in self._statistics

    def _convert(self, points: Iterator[Point | Distribution]) -> Iterator[Sample]:
        for point in points:
            if isinstance(point, Distribution):
                yield from self._distribution(point)
                continue
            if point.value is None:
                continue
            attributes = point.attributes()
            column = self._index.find(point.metric, attributes)
            if column is None:
                continue
            yield self._sample(point, attributes, column, point.value, point.temporality)

    def _distribution(self, point: Distribution) -> Iterator[Sample]:
        statistics = self._statistics.get(point.metric, {})
        if isinstance(self._index, SeriesIndex):
            names = _USUAL_STATISTICS[:2] if point.quantiles else _USUAL_STATISTICS
            statistics = {f"{point.metric}.{name}": name for name in names}
        summary = point.quantiles and self._index.knows(point.metric)
        if point.count is None or not (statistics or summary):
            return
        attributes = point.attributes()
        for name, statistic in statistics.items():
            column = self._index.find(name, attributes)
            if column is None:
                continue
            try:
                result = point.statistic(statistic)
            except Refused as refused:
                sample = self._sample(point, attributes, column, None, Temporality.GAUGE)
                sample.cells.bad.append((column, refused))
                yield sample
            else:
                if result is not None:
                    yield self._sample(point, attributes, column, *result)
        for quantile, value in point.quantiles if summary else ():
            labels = {**attributes, "quantile": f"{quantile:g}"}
            column = self._index.find(point.metric, labels)
            if column is not None:
                yield self._sample(point, attributes, column, value, Temporality.GAUGE)

    def _sample(
        self,
        point: Point | Distribution,
        attributes: dict[str, Any],
        column: int,
        value: Any,
        temporality: Temporality,
    ) -> Sample:
        cells = self._cells()
        cells.read(column, value, f"metric {point.metric}")
        time_ns = point.time_ns or None  # protobuf writes a missing time as 0
        return Sample(
            EventTime(time_ns, _NANOSECONDS, f"metric {point.metric}, timeUnixNano"),
            cells,
            _resolver(point, attributes),
            temporality,
            start_us_of(point.start_ns),
        )


def _resolver(
    point: Point | Distribution, attributes: dict[str, Any]
) -> Callable[[tuple[str, ...]], Any]:
    record = {
        "resource": point.resource,
        "attributes": attributes,
        "scope": point.scope,
        "name": point.metric,
    }
    return partial(walk, record)

"""Metrics of the keyed state: keys, bytes, evictions and recovery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from ._metric_set import MetricSet

_EVICTIONS = ("memory", "disk", "ttl")
_RESTORED = ("accepted", "stale", "damaged")


class StateMetrics(MetricSet):
    """Metrics of the state that a worker holds."""

    def _channel_label(self, channel: str) -> str:
        """Return the label of a channel; a label needs a bound."""
        raise NotImplementedError

    def _channel_labels(self) -> tuple[str, ...]:
        """Return all labels of channels."""
        raise NotImplementedError

    def _define_state(self) -> None:
        """Create the metrics, and show known label values before anything has happened."""
        self._keys = self._gauge("ember_active_keys", "Stream keys in memory.")
        self._profile_keys = self._gauge(
            "ember_profile_keys",
            "Keys in memory by the pattern of model.profiles; `<other>`: none fits.",
            "profile",
        )
        self._known_keys = self._gauge(
            "ember_known_keys", "Keys in memory whose scales came with the model."
        )
        self._missing_channels = self._gauge(
            "ember_missing_channels",
            "Keys in memory whose channel has stopped coming, by channel.",
            "channel",
        )
        self._alarmed = self._gauge(
            "ember_alarmed_keys", "Keys in memory that are firing or stale, by reason.", "reason"
        )
        self._state_bytes = self._gauge("ember_state_bytes", "Bytes of the keys' rows in memory.")
        self._disk_bytes = self._gauge(
            "ember_state_disk_bytes",
            "Bytes of evicted rows on disk, limited by state.max_disk_bytes.",
        )
        self._max_keys = self._gauge("ember_state_max_keys", "Most keys in memory: state.max_keys.")
        self._in_flight = self._gauge("ember_events_in_flight", "Events not yet acknowledged.")
        self._evictions = self._counter(
            "ember_state_evictions",
            "Keys evicted: from memory to disk, forgotten on disk, or forgotten by ttl.",
            "reason",
        )
        self._returned = self._counter("ember_state_returned_keys", "Keys restored from disk.")
        self._restored = self._counter(
            "ember_restored_rows", "Changelog rows read at recovery, by result.", "result"
        )
        self._read_moves: Callable[[], tuple[int, int, int, int]] | None = None
        self._moves = (0, 0, 0, 0)
        self._read_missing: Callable[[], Mapping[str, int]] = dict
        self._read_profiles: Callable[[], Mapping[str, int]] = dict
        for reason in _EVICTIONS:
            self._evictions.labels(reason)
        for result in _RESTORED:
            self._restored.labels(result)
        self._profile_keys.labels("<other>")
        for reason in ("evidence", "stale"):
            self._alarmed.labels(reason)
        for channel in self._channel_labels():
            self._missing_channels.labels(channel)

    def restored(self, accepted: int, stale: int, damaged: int) -> None:
        """Count changelog rows that were read back."""
        for result, number in zip(_RESTORED, (accepted, stale, damaged), strict=True):
            self._restored.labels(result).inc(number)

    def watch(
        self,
        *,
        keys: Callable[[], float],
        missing: Callable[[], Mapping[str, int]],
        flagged: Callable[[Literal["firing", "stale", "known"]], float],
        state_bytes: Callable[[], float],
        disk_bytes: Callable[[], float],
        in_flight: Callable[[], float],
        moved: Callable[[], tuple[int, int, int, int]],
        max_keys: int,
        profiles: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """Register the functions that are called at every scrape.

        Args:
            keys: Keys in memory.
            missing: Keys that lack a channel, by channel.
            flagged: Keys in an episode, keys that are silent, or keys that the model knows.
            state_bytes: Bytes of rows in memory.
            disk_bytes: Bytes of rows on disk.
            in_flight: Events not yet acknowledged.
            moved: Totals of keys evicted to disk, restored from it, forgotten for lack of space,
                and forgotten by ttl.
            max_keys: Most keys in memory.
            profiles: Keys in memory by the pattern of their profile.
        """
        self._read_moves, self._read_profiles = moved, profiles
        self._read_missing = missing
        self._keys.set_function(keys)
        self._known_keys.set_function(lambda: flagged("known"))
        self._alarmed.labels("evidence").set_function(lambda: flagged("firing"))
        self._alarmed.labels("stale").set_function(lambda: flagged("stale"))
        self._state_bytes.set_function(state_bytes)
        self._disk_bytes.set_function(disk_bytes)
        self._in_flight.set_function(in_flight)
        self._max_keys.set(max_keys)

    def render(self) -> bytes:
        """Render the metrics in Prometheus' text format."""
        if self._read_moves is not None:
            # The engine keeps totals; a counter of prometheus_client takes increments only.
            previous, self._moves = self._moves, self._read_moves()
            evicted, returned, forgotten, expired = np.subtract(self._moves, previous).tolist()
            self._evictions.labels("memory").inc(evicted)
            self._evictions.labels("disk").inc(forgotten)
            self._evictions.labels("ttl").inc(expired)
            self._returned.inc(returned)
        for profile, keys in self._read_profiles().items():
            self._profile_keys.labels(profile).set(keys)
        missing = dict.fromkeys(self._channel_labels(), 0)
        for channel, keys in self._read_missing().items():
            missing[self._channel_label(channel)] += keys
        for name, keys in missing.items():
            self._missing_channels.labels(name).set(keys)
        return super().render()

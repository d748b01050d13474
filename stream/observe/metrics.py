"""Every metric of a worker.

Base units; `_total` for counters; no label has the stream key or anything else without a bound.
Known label values are shown as zeros from the start, so that `rate()` sees the first increase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import Info

from stream.types import TP

from ._control_metrics import ControlMetrics
from ._event_metrics import EventMetrics
from ._learn_metrics import LearnMetrics
from ._rekey_metrics import RekeyMetrics
from ._state_metrics import StateMetrics

_RELOADS = ("applied", "unchanged", "refused")
PHASES = (
    *("waiting", "learning", "unfit", "joining", "recovering", "running"),
    *("stopping", "failed"),
)
WORKER_UP = (
    "ember_worker_up",
    "1 for a worker of this host that answered, else 0; only on the page of all workers.",
    "worker",
)


class Metrics(RekeyMetrics, EventMetrics, StateMetrics, LearnMetrics, ControlMetrics):
    """Metrics of one worker. Every update is per fetch or rarer, never per record.

    Args:
        topics: Topics that the engine reads.
        rekeyed: Input topics that are re-keyed first; empty: there are none.
        version: Version of the distribution.
        backend: Array backend: numpy, torch or mlx.
        model: Name and version of the model.
        channels: The model's channels; those after the first 50 are counted as `other`.
        threshold: Severity of an anomaly; an edge of the severity's histogram.
        process: Add CPU, memory and file descriptors of the process.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        rekeyed: Sequence[str] = (),
        version: str = "",
        backend: str = "numpy",
        model: str = "",
        channels: Sequence[str] = (),
        threshold: float = 3.0,
        process: bool = True,
    ) -> None:
        super().__init__(process=process)
        self._build = Info(
            "ember_build", "Version, backend and model of this worker.", registry=self.registry
        )
        self._about = {"version": version, "backend": backend}
        self.model(model)
        self._define_records(topics, threshold)
        self._define_rekeying(rekeyed)
        self._define_events(channels)
        self._define_state()
        self._define_worker()
        self._define_learning()
        self._define_control()

    def _define_worker(self) -> None:
        """Create the metrics of phases, assignments, checkpoints and reloads."""
        self._partitions = self._gauge("ember_partitions", "Assigned partitions, by role.", "role")
        self._phase = self._gauge(
            "ember_phase", "1 for the current phase of the worker, else 0.", "phase"
        )
        self._commits = self._counter(
            "ember_commits", "Checkpoints made durable; one that fails ends the process."
        )
        self._checkpoint_rows = self._counter(
            "ember_checkpoint_rows", "Rows written by checkpoints."
        )
        self._reloads = self._counter(
            "ember_reloads", "Reloads of settings and model, by result.", "result"
        )
        self._ignored_bundles = self._counter(
            "ember_model_bundles_ignored",
            "Bundles of the model topic that were not taken: not whole, or not signed.",
        )
        self._models = self._gauge(
            "ember_models",
            "Models that score, by the kind of their stages; plain ones take longer.",
            "kind",
        )
        self._rebalances = self._counter("ember_rebalances", "Assignments received from the group.")
        for role in ("active", "standby"):
            self._partitions.labels(role)
        for phase in PHASES:
            self._phase.labels(phase)
        for kind in ("compiled", "plain"):
            self._models.labels(kind)
        for result in _RELOADS:
            self._reloads.labels(result)

    def model(self, name: str) -> None:
        """Set name and version of the model in use."""
        self._build.info({**self._about, "model": name})

    def watch_models(self, by_kind: Callable[[], tuple[int, int]]) -> None:
        """Register a function called at every scrape: models by compiled stages, and by plain."""
        self._models.labels("compiled").set_function(lambda: by_kind()[0])
        self._models.labels("plain").set_function(lambda: by_kind()[1])

    def reloaded(self, result: str) -> None:
        """Count a reload of settings and model: `applied`, `unchanged` or `refused`."""
        self._reloads.labels(result).inc()

    def bundle_ignored(self) -> None:
        """Count a bundle of the model topic that was not taken."""
        self._ignored_bundles.inc()

    def assigned(self, active: Sequence[TP], standby: Sequence[TP]) -> None:
        """Set the partitions of a new assignment; lags of others disappear."""
        self._rebalances.inc()
        self._partitions.labels("active").set(len(active))
        self._partitions.labels("standby").set(len(standby))
        self._own({(topic, partition) for topic, partition in active})

    def phase(self, phase: str) -> None:
        """Set the worker's phase, one of `PHASES`."""
        for name in PHASES:
            self._phase.labels(name).set(name == phase)

    def checkpointed(self, seconds: float, stalled: float, rows: int) -> None:
        """Count a durable checkpoint.

        Args:
            seconds: Duration of the whole checkpoint.
            stalled: Time for which the stream waited for it.
            rows: Rows written.
        """
        self._commits.inc()
        self._duration.labels("checkpoint").observe(seconds)
        self._duration.labels("checkpoint_stall").observe(stalled)
        self._checkpoint_rows.inc(rows)

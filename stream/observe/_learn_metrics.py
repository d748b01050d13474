"""Metrics of the training by the workers."""

from __future__ import annotations

from ._metric_set import MetricSet

STAGES = ("standby", "idle", "waiting", "reading", "training", "judging", "publishing")
RESULTS = ("published", "refused", "outdated", "failed")


class LearnMetrics(MetricSet):
    """Metrics of `learn.enabled`."""

    def _define_learning(self) -> None:
        """Create the metrics, and show known label values before anything has happened."""
        self._learn_stage = self._gauge(
            "ember_learn_stage",
            "1 for the current stage of the training in this worker, else 0. Exactly one worker of "
            "a group is in another stage than standby.",
            "stage",
        )
        self._learn_progress = self._gauge(
            "ember_learn_progress_ratio", "Share of the current stage that is done."
        )
        self._trainings = self._counter(
            "ember_learn_trainings",
            "Trainings that ended, by result: outdated ones found a model that was published "
            "meanwhile.",
            "result",
        )
        self._failures = self._gauge(
            "ember_learn_failures", "Trainings of this worker that failed one after the other."
        )
        self._held_back = self._gauge(
            "ember_learn_candidate_refused",
            "1 while the last candidate is refused by the gate and no model was published since.",
        )
        for stage in STAGES:
            self._learn_stage.labels(stage)
        for result in RESULTS:
            self._trainings.labels(result)

    def learning(self, stage: str, share: float) -> None:
        """Set the stage of the training, one of `STAGES`, and the share of it that is done."""
        for name in STAGES:
            self._learn_stage.labels(name).set(name == stage)
        self._learn_progress.set(share)
        if stage == "standby":
            self._failures.set(0)

    def trained(self, result: str) -> None:
        """Count a training that ended, by one of `RESULTS`."""
        self._trainings.labels(result).inc()
        if result == "failed":
            self._failures.inc()
        else:
            self._failures.set(0)

    def candidate_refused(self, *, refused: bool) -> None:
        """Set whether the last candidate is refused."""
        self._held_back.set(refused)

"""What is shown of a training by the workers: metrics, probes, logs."""

from __future__ import annotations

from typing import get_args

import structlog

from stream.learn import report
from stream.observe import Health, LearnObserver, Metrics
from stream.observe._learn_metrics import RESULTS, STAGES


class Clock:
    """Time that only this test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def observer() -> tuple[LearnObserver, Metrics, Health, Clock]:
    clock = Clock()
    metrics, health = Metrics(["t"], process=False), Health(0.0)
    return LearnObserver(metrics, health, clock=clock), metrics, health, clock


def test_stages_and_results_are_those_of_the_trainer() -> None:
    assert get_args(report.Stage) == STAGES
    assert report.RESULTS == RESULTS


def test_readyz_says_how_far_it_is_and_does_not_fail_by_it() -> None:
    seen, metrics, health, _ = observer()
    assert "learning" not in health.ready(1.0).body()["checks"]  # type: ignore[operator]
    before = health.ready(1.0).ok
    seen.progress("waiting", "history 5 h of 1 d", 0.0)
    (check,) = [c for c in health.ready(1.0).checks if c.name == "learning"]
    assert check.ok
    assert check.detail == "waiting: history 5 h of 1 d"
    assert health.ready(1.0).ok == before
    seen.progress("training", "liquid", 0.25)
    assert [c.detail for c in health.ready(1.0).checks][-1] == "training: liquid, 25 %"
    text = metrics.render().decode()
    assert 'ember_learn_stage{stage="training"} 1.0' in text
    assert 'ember_learn_stage{stage="waiting"} 0.0' in text
    assert "ember_learn_progress_ratio 0.25" in text


def test_a_stage_is_logged_once_and_then_each_minute() -> None:
    seen, _, _, clock = observer()
    with structlog.testing.capture_logs() as lines:
        for share in range(10):
            seen.progress("training", "liquid", share / 10)
        clock.now = 61.0
        seen.progress("training", "scores", 0.9)
        seen.progress("publishing", "the model is published", 0.0)
    assert [(line["stage"], line["percent"]) for line in lines] == [
        ("training", 0),
        ("training", 90),
        ("publishing", 0),
    ]


def test_failures_are_counted_until_one_succeeds_or_another_worker_trains() -> None:
    seen, metrics, _, _ = observer()
    for end in (lambda: seen.ended("published", ""), lambda: seen.progress("standby", "", 0.0)):
        seen.ended("failed", "exit code -9")
        seen.ended("failed", "exit code -9")
        assert "ember_learn_failures 2.0" in metrics.render().decode()
        end()
        assert "ember_learn_failures 0.0" in metrics.render().decode()


def test_a_refusal_is_a_metric_and_one_warning() -> None:
    seen, metrics, _, _ = observer()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):  # each look at the topic
            seen.held_back(("It pages too often.",), digest="abc")
        seen.ended("refused", "It pages too often.")
    assert [line["event"] for line in lines] == ["learn_refused", "learn_ended"]
    assert all(line["log_level"] == "warning" for line in lines)
    text = metrics.render().decode()
    assert "ember_learn_candidate_refused 1.0" in text
    assert 'ember_learn_trainings_total{result="refused"} 1.0' in text
    seen.held_back(())
    assert "ember_learn_candidate_refused 0.0" in metrics.render().decode()

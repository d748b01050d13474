"""The worker's phase, and the reasons for which it waits."""

from __future__ import annotations

from stream.kafka.lifecycle import Lifecycle, Phase
from stream.observer import Observer


class Reports(Observer):
    def __init__(self) -> None:
        self.phases: list[tuple[str, str]] = []

    def phase(self, phase: str, detail: str) -> None:
        self.phases.append((phase, detail))


def running() -> tuple[Lifecycle, Reports]:
    reports = Reports()
    lifecycle = Lifecycle(reports)
    lifecycle.run(3)
    reports.phases.clear()
    return lifecycle, reports


def test_each_transition_is_reported_under_its_name() -> None:
    reports = Reports()
    lifecycle = Lifecycle(reports)
    lifecycle.wait("no broker")
    lifecycle.refuse_model("no channels")
    lifecycle.join("group g")
    lifecycle.recover("900 records to go")
    lifecycle.run(3)
    lifecycle.stop()
    lifecycle.fail("fenced")
    assert reports.phases == [
        ("waiting", "no broker"),
        ("unfit", "no channels"),
        ("joining", "group g"),
        ("recovering", "900 records to go"),
        ("running", "3 partitions"),
        ("stopping", ""),
        ("failed", "fenced"),
    ]
    assert lifecycle.phase is Phase.FAILED
    assert not lifecycle.at_work


def test_it_waits_until_the_last_reason_is_gone() -> None:
    lifecycle, reports = running()
    lifecycle.hold("schemas", "in-0: no schema")
    lifecycle.hold("cluster", "no broker")
    lifecycle.hold("schemas", "")
    lifecycle.hold("cluster", "")
    assert reports.phases == [
        ("waiting", "in-0: no schema"),
        ("waiting", "in-0: no schema; no broker"),
        ("waiting", "no broker"),
        ("running", "3 partitions"),
    ]


def test_without_a_reason_nothing_is_reported() -> None:
    lifecycle, reports = running()
    lifecycle.hold("cluster", "")
    assert reports.phases == []


def test_reasons_end_with_the_assignment() -> None:
    lifecycle, reports = running()
    lifecycle.hold("cluster", "no broker")
    lifecycle.join("again")
    assert not lifecycle.at_work
    lifecycle.hold("cluster", "no broker")
    lifecycle.run(2)
    assert reports.phases[1:] == [("joining", "again"), ("running", "2 partitions")]

"""The live table and the report."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stream.demo.evaluation import Alarm
from stream.demo.faults import Kind
from stream.demo.fleet import START_US
from stream.demo.link import Received
from stream.demo.report import RunData, as_table, make_report
from stream.demo.scenario import Scenario
from stream.demo.view import BARS, BUCKETS, render, sparkline

INTERVAL = 10_000_000


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """A small scenario, played to its end."""
    scenario = Scenario(3, keys=37, history_rows=211, live_rows=331, faults_per_kind=2)
    while not scenario.over:
        scenario.play(17)
    return scenario


@pytest.fixture
def alarms(scenario) -> list[Alarm]:
    """Every second fault caught, and one false alarm."""
    alarms = [
        Alarm(
            key=f.name,
            time_us=START_US + (f.onset + 1) * INTERVAL,
            top=(f.channel_name,),
            stale=f.kind is Kind.SILENT,
            explanation=f"{f.channel_name} is odd",
            received_at=30.0 + i,
        )
        for i, f in enumerate(scenario.faults)
        if i % 2
    ]
    return [*alarms, Alarm(scenario.faults[0].name, START_US, ("cpu",))]


def text(renderable) -> str:
    """Render as a wide terminal would show it."""
    console = Console(width=150, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()


def test_a_sparkline_shows_the_latest_at_the_right():
    """Each bucket of time has one bar, from empty to full."""
    line = sparkline(
        [(0, 12.0), (INTERVAL * 5 * 3, 6.0), (-(10**12), 12.0)], INTERVAL * 16, INTERVAL
    )
    assert len(line) == BUCKETS
    assert line[-1] == BARS[4]
    assert line[-4] == BARS[-1]
    assert set(line[:-4]) | set(line[-3:-1]) == {BARS[0]}


def test_the_report_counts_by_kind(scenario, alarms):
    """The report has catches, false alarms, the first catch, and the baseline."""
    run_data = RunData(
        alarms=alarms,
        evaluated=scenario.faults,
        records=20_000,
        live_seconds=10.0,
        injected_at=29.5,
        anomalies=17,
        triggers=19,
        training_seconds=3.0,
    )
    report = make_report(scenario, run_data)
    assert report.faults_injected == 12
    assert report.faults_caught == 6
    assert report.false_triggers == 1
    assert report.false_triggers_per_10000 == 0.5
    assert report.seconds_to_first_catch == 1.5
    assert report.records_per_second == 2000
    assert sum(kind["caught"] for kind in report.by_kind.values()) == 6
    assert all(kind["injected"] == 2 for kind in report.by_kind.values())
    assert report.z_score["false_triggers"] <= 1
    assert len(report.z_score["missed_kinds"]) >= 2
    rendered = text(as_table(report))
    assert "0.50 in 10,000 records" in rendered
    assert "First catch after 1.5 s" in rendered


def test_faults_cut_short_do_not_count(scenario, alarms):
    """Unfinished faults count neither as injected nor as caught."""
    evaluated = scenario.faults[:3]
    report = make_report(scenario, RunData(alarms, evaluated, 10_000, 10.0, 29.5, 0, 0, 3.0))
    assert report.faults_injected == 3
    assert report.faults_caught == 1


def test_the_live_table_names_faults_and_reasons(scenario, alarms):
    """Keys in trouble come first, then healthy ones; every fault has its alarm."""
    received = Received(alarms=alarms, state={scenario.faults[1].name: "firing"})
    now_us = START_US + scenario.fleet.row * INTERVAL
    received.severity["db-002"] = [(now_us - INTERVAL, 5.0)]
    rendered = text(render(scenario, received, "host/here", "a headline"))
    assert "a headline" in rendered
    assert "host/here" in rendered
    for fault in scenario.faults:
        assert fault.name in rendered
    assert rendered.count("after 2 rows") == 6
    assert rendered.count("missed") == 6
    assert "1 false triggers" in rendered
    assert "anomalous" in rendered
    assert f"{scenario.faults[1].channel_name or ''} is odd" in rendered

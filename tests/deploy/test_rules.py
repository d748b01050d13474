"""Recording and alert rules: they parse, they fire, and somebody says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.promql import (
    DEPLOY,
    ROOT,
    RULES,
    RUNBOOKS,
    alerts,
    asked,
    complaints,
    exposed,
    rules,
)

SCENARIOS = DEPLOY / "prometheus" / "tests" / "alerts.yml"
WANTED = {  # what an operator may rely on being there
    *("EmberDown", "EmberEventDelayHigh", "EmberStalled", "EmberConsumerLagGrowing"),
    *("EmberDeadLetterRateHigh", "EmberAnomalyStorm", "EmberAnomalySilence"),
    "EmberStateEvictionsHigh",
}


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_promtool_accepts_the_rules(promtool: str) -> None:
    done = run(promtool, "check", "rules", "--lint-fatal", *RULES)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_fault_fires_its_alert_and_no_other(promtool: str) -> None:
    """`promtool test rules`: made-up series in, alerts out; a healthy worker gives none."""
    done = run(promtool, "test", "rules", SCENARIOS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_in_a_scenario() -> None:
    text = SCENARIOS.read_text(encoding="utf-8")
    assert set(re.findall(r'alertname="(\w+)"', text)) == set(alerts())
    assert set(alerts()) >= WANTED


def test_configurations_are_accepted(promtool: str, amtool: str) -> None:
    """Prometheus' and Alertmanager's own checks."""
    done = run(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    done = run(amtool, "check-config", DEPLOY / "alertmanager" / "alertmanager.yml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_what_is_there(rule: dict[str, str]) -> None:
    """Every metric and label exists in a worker; counters are taken over time."""
    assert complaints(rule["expr"]) == []


def test_complaints_are_made() -> None:
    """The check above can fail."""
    assert complaints("sum(rate(ember_records_total[5m]))") == []
    assert complaints("ember_record_total")
    assert complaints('rate(ember_records_total{key="a"}[5m])')
    assert complaints("sum(ember_records_total)")
    with pytest.raises(ValueError, match="expected type"):
        asked("rate(ember_records_total)")


@pytest.mark.parametrize("name", alerts())
def test_alerts_say_what_to_do(name: str) -> None:
    """Severity, sentences, and a runbook that explains this very expression."""
    alert = alerts()[name]
    assert re.fullmatch(r"Ember[A-Z]\w+", name)
    assert alert["labels"]["severity"] in ("page", "warning", "info")
    notes = alert["annotations"]
    assert {"summary", "description", "runbook_url"} == set(notes)
    assert notes["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
    page = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n\n{notes['summary']}.")
    assert f"Severity: {alert['labels']['severity']}." in page
    expression = re.search(r"```promql\n(.*?)```", page, re.DOTALL)
    assert expression is not None
    assert expression[1].split() == alert["expr"].split()
    for part in ("Meaning", "Impact", "Diagnosis", "Fix"):
        assert f"\n## {part}\n" in page


def test_every_runbook_has_its_alert() -> None:
    """And the list of them is complete."""
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(alerts())
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w+)\.md\)", index) == list(alerts())


def test_documents_name_metrics_that_exist() -> None:
    """In the runbooks and in docs/, `ember_...` in code is a metric, or PromQL over metrics."""
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed()} | set(exposed())
    unknown = set()
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8")
        for code in re.findall(r"`([^`]+)`", text):
            names = set(re.findall(r"(?<![\w:])ember_(?!(?:core|ml)\b)[a-z_]+(?![\w:])", code))
            unknown |= {f"{page.name}: {name}" for name in names - families}
    assert not unknown

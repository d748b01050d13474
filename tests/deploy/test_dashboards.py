"""Dashboards: what Grafana's own linter asks for, and that every metric in them exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promql import DEPLOY, KEY_SERIES, asked, complaints

GRAFANA = DEPLOY / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FILES}
UNITS = {"short", "none", "s", "bytes", "Bps", "cps", "percentunit"}
ALERTS = "ALERTS"  # of rules that look at all workers: those have no instance


def panels(name: str) -> list[dict[str, Any]]:
    """Panels that show something."""
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


QUERIES = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name in DASHBOARDS
    for panel in panels(name)
    for target in panel["targets"]
] + [
    pytest.param(note["expr"], id=f"{name}: {note['name']}")
    for name, board in DASHBOARDS.items()
    for note in board["annotations"]["list"]
]


def test_there_are_five() -> None:
    assert set(DASHBOARDS) == {"overview", "pipeline", "model", "keys", "key"}


def test_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    """`make docs` would change nothing."""
    command = [sys.executable, GRAFANA / "generate.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in FILES:
        made = (tmp_path / path.name).read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == made, "out of date: run `make docs`"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_found_and_not_be_edited(name: str) -> None:
    """Fixed uid, tags, links to the others, variables: data source, then job and worker or key."""
    board = DASHBOARDS[name]
    assert board["uid"] == f"ember-{name}"
    assert board["title"].startswith("Ember / ")
    assert board["editable"] is False
    assert board["tags"] == ["ember-stream"] == board["links"][0]["tags"]
    assert board["schemaVersion"] >= 36
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    of_workers, of_key = ["job", "instance", "topic"], ["topic", "key", "channel"]
    assert list(variables) == ["datasource", *(of_key if name == "key" else of_workers)]
    assert variables["datasource"]["type"] == "datasource"
    for variable in list(variables.values())[1:]:
        if name == "key" and variable["name"] != "channel":  # one series a line
            assert (variable["multi"], variable["includeAll"]) == (False, False)
        else:
            assert (variable["multi"], variable["allValue"]) == (True, ".+")
        metric = re.match(r"label_values\((\w+)", variable["query"]["query"])
        assert metric is not None
        assert complaints(f"increase({metric[1]}[1m])") == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_explain_themselves(name: str) -> None:
    """A title, a sentence, a unit, at least one query, ids of their own, no overlap."""
    shown = panels(name)
    ids = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in shown:
        assert panel["title"]
        assert re.search(r"[.]$", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("query", QUERIES)
def test_queries_ask_for_what_is_there(query: str) -> None:
    """PromQL that parses, over metrics and labels of a worker; counters are taken over time."""
    assert complaints(query) == []


@pytest.mark.parametrize("query", QUERIES)
def test_queries_follow_the_variables(query: str) -> None:
    """Of this job and these workers, or of one key; ranges follow the scrape interval or hours."""
    for selector in asked(query):
        if selector.metric in KEY_SERIES:
            assert {"topic", "key"} <= selector.labels
            continue
        assert "job" in selector.labels
        of_all = selector.metric == ALERTS
        of_all |= selector.metric.startswith(("ember_bridge_", "ember_incidents_"))
        assert "instance" in selector.labels or of_all
    for span in re.findall(r"\[([^\]]+)\]", query):
        assert span in ("$__rate_interval", "30m", "1h", "6h")


def test_no_panel_shows_keys() -> None:
    """Bounded: whatever is grouped by has a bound."""
    for name in DASHBOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                for group in re.findall(r"by \(([^)]*)\)", target["expr"]):
                    assert "key" not in group


def test_a_band_is_filled_between_its_bounds() -> None:
    """The looks of lines name queries that are there."""
    for panel in panels("key"):
        legends = {target["legendFormat"] for target in panel["targets"]}
        for look in panel["fieldConfig"]["overrides"]:
            assert look["matcher"]["options"] in legends
            for each in look["properties"]:
                if each["id"] == "custom.fillBelowTo":
                    assert each["value"] in legends
    channel = panels("key")[0]
    assert channel["repeat"] == "channel"
    assert "fillBelowTo" in json.dumps(channel["fieldConfig"]["overrides"])


def test_provisioning_fits_the_dashboards() -> None:
    """The data source has the uid the variable begins with; the folder is not for editing."""
    path = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((path / "datasources" / "prometheus.yml").read_text())["datasources"]
    for board in DASHBOARDS.values():
        assert board["templating"]["list"][0]["current"]["value"] == source["uid"]
    (provider,) = yaml.safe_load((path / "dashboards" / "ember.yml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/etc/grafana/dashboards"

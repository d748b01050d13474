"""Dashboard of one key: its channels in their usual bands, its evidence, its episodes."""

from __future__ import annotations

from typing import Any

from dashboard import SOURCE, Dashboard, Panel, variable

KEY = 'topic="$topic", key="$key"'
CHANNEL = f'{KEY}, channel="$channel"'

_EPISODES = {
    "name": "Episodes",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": f"ember_firing{{{KEY}}} == 1",
    "titleFormat": "Episode of {{key}}",
    "step": "15s",
}


def _line(name: str, **custom: Any) -> dict[str, Any]:
    """Return the look of one line of a panel."""
    color = custom.pop("color", None)
    properties = [{"id": f"custom.{key}", "value": value} for key, value in custom.items()]
    if color:
        properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": color}})
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


_BAND = (
    _line("value", color="blue", lineWidth=2, fillOpacity=0),
    _line("usual", color="green", lineWidth=1, fillOpacity=0),
    _line("upper", color="green", lineWidth=0, fillOpacity=15, fillBelowTo="lower"),
    _line("lower", color="green", lineWidth=0, fillOpacity=0),
)
"""Looks of a channel: the band is the filled space between two lines that are not drawn."""

ONE_KEY = Dashboard(
    "ember-key",
    "Ember / One key",
    "Values of one key in their usual bands, its severity, and its evidence beside the threshold. The series come from `ember remote-write`: of keys that its patterns choose, and of keys in an alert with the hour before it. Red regions are episodes.",
    {
        "Channels": [
            Panel(
                "$channel",
                "Value, and the band in which 95 in 100 usual values lie at this time of day and week. No band: the model does not know the usual value yet.",
                "none",
                [
                    (f"ember_{name}{{{CHANNEL}}}", name)
                    for name in ("lower", "upper", "usual", "value")
                ],
                width=24,
                lines=_BAND,
                repeat="channel",
            ),
        ],
        "Judgement": [
            Panel(
                "Evidence",
                "The key fires when its evidence reaches the threshold, and resolves below a lower one.",
                "none",
                [
                    (f"ember_evidence{{{KEY}}}", "evidence"),
                    (f"ember_threshold{{{KEY}}}", "threshold"),
                ],
                lines=(
                    _line("evidence", color="orange", lineWidth=2),
                    _line("threshold", color="red", lineWidth=1, fillOpacity=0),
                ),
            ),
            Panel(
                "Severity",
                "How improbable each row is: 3 is one row in a thousand.",
                "none",
                [(f"ember_severity{{{KEY}}}", "severity")],
            ),
            Panel(
                "Score",
                "Free energy of each row: the higher, the more improbable. Comparable within this key only.",
                "none",
                [(f"ember_score{{{KEY}}}", "score")],
            ),
            Panel(
                "In an episode",
                "1 from firing to resolved, as the trigger topic has it.",
                "none",
                [(f"ember_firing{{{KEY}}}", "firing")],
            ),
        ],
    },
    variables=[
        variable("topic", "Topic", "label_values(ember_severity, topic)", is_one=True),
        variable("key", "Key", 'label_values(ember_severity{topic="$topic"}, key)', is_one=True),
        variable("channel", "Channel", f"label_values(ember_value{{{KEY}}}, channel)"),
    ],
    annotations=[_EPISODES],
)

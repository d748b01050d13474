"""Is the fleet being watched, and what is said about it?"""

from __future__ import annotations

from dashboard import TOPIC, WHO, Dashboard, Panel, quantile, rate

OVERVIEW = Dashboard(
    "ember-overview",
    "Ember / Overview",
    "Is the fleet being watched, and what is said about it?",
    {
        "Now": [
            Panel(
                "Workers running",
                "Workers that read, of those that answer. Fewer than there should be: see the phases below.",
                "short",
                [(f'sum(ember_phase{{{WHO}, phase="running"}})', "")],
                "stat",
                4,
            ),
            Panel(
                "Records",
                "Messages consumed a second, all workers.",
                "cps",
                [(rate("ember_records_total", where=TOPIC), "")],
                "stat",
                4,
            ),
            Panel(
                "Delay, 99 %",
                "Age of samples when they are judged. The promise is 0.2 s from the topic; the rest is waiting before it.",
                "s",
                [(quantile(0.99, "ember_event_delay_seconds", where=TOPIC), "")],
                "stat",
                4,
                steps=(1, 15),
            ),
            Panel(
                "Lag",
                "Messages that wait in the input topics.",
                "short",
                [(f"sum(ember_consumer_lag_records{{{TOPIC}}})", "")],
                "stat",
                4,
                steps=(100_000, 1_000_000),
            ),
            Panel(
                "Keys firing",
                "Stream keys in an episode at this moment: firing sent, resolved not yet.",
                "short",
                [(f'sum(ember_alarmed_keys{{{WHO}, reason="evidence"}})', "")],
                "stat",
                4,
            ),
            Panel(
                "Alerts about Ember",
                "Alert rules that fire: about the service, not the fleet. Each has a runbook.",
                "short",
                [
                    (
                        'count(ALERTS{job=~"$job", alertname=~"Ember.+", alertstate="firing"}) '
                        "or vector(0)",
                        "",
                    )
                ],
                "stat",
                4,
                steps=(1, 2),
            ),
        ],
        "Flow": [
            Panel(
                "Records",
                "What comes in, what is scored, what is refused. Scored is less where samples are gathered into intervals or keys warm up.",
                "cps",
                [
                    (rate("ember_records_total", where=TOPIC), "consumed"),
                    (rate("ember_windows_scored_total", where=TOPIC), "rows scored"),
                    (rate("ember_records_rejected_total", where=TOPIC), "refused"),
                ],
            ),
            Panel(
                "Delay",
                "Age of samples when they are judged, by topic. Lag makes it grow; so do late producers and wrong clocks.",
                "s",
                [
                    (quantile(0.5, "ember_event_delay_seconds", "topic", TOPIC), "50 % {{topic}}"),
                    (quantile(0.99, "ember_event_delay_seconds", "topic", TOPIC), "99 % {{topic}}"),
                ],
            ),
            Panel(
                "Lag",
                "Messages that wait, by topic. Growing: more comes in than goes through.",
                "short",
                [(f"sum by (topic) (ember_consumer_lag_records{{{TOPIC}}})", "{{topic}}")],
            ),
            Panel(
                "Phases",
                "What the workers are doing. All should be running.",
                "short",
                [(f"sum by (phase) (ember_phase{{{WHO}}})", "{{phase}}")],
                stacked=True,
            ),
        ],
        "What is said": [
            Panel(
                "Anomalies",
                "Events on the anomaly topic a minute, by whole severity (-log10 of the probability).",
                "short",
                [(f"60 * {rate('ember_anomalies_total', 'severity')}", "{{severity}}")],
                stacked=True,
            ),
            Panel(
                "Triggers",
                "Events on the trigger topic a minute: episodes that begin and end, keys that fall silent.",
                "short",
                [
                    (
                        f"60 * {rate('ember_triggers_total', 'status, reason')}",
                        "{{status}}, {{reason}}",
                    )
                ],
            ),
        ],
    },
)

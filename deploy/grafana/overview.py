"""Dashboard of the whole service: workers, records, delay, and events."""

from __future__ import annotations

from dashboard import TOPIC, WHO, Dashboard, Panel, quantile, rate

OVERVIEW = Dashboard(
    "ember-overview",
    "Ember / Overview",
    "Is the fleet being watched, and is it healthy?",
    {
        "Now": [
            Panel(
                "Workers running",
                "Workers in the phase running. When some are missing, see the phases below.",
                "short",
                [(f'sum(ember_phase{{{WHO}, phase="running"}})', "")],
                "stat",
                4,
            ),
            Panel(
                "Records",
                "Messages consumed per second, all workers.",
                "cps",
                [(rate("ember_records_total", where=TOPIC), "")],
                "stat",
                4,
            ),
            Panel(
                "Delay, 99 %",
                "Age of samples when they are scored. The objective is 0.2 s from the topic on; the rest is time before it.",
                "s",
                [(quantile(0.99, "ember_event_delay_seconds", where=TOPIC), "")],
                "stat",
                4,
                steps=(1, 15),
            ),
            Panel(
                "Lag",
                "Messages in the input topics still to be read.",
                "short",
                [(f"sum(ember_consumer_lag_records{{{TOPIC}}})", "")],
                "stat",
                4,
                steps=(100_000, 1_000_000),
            ),
            Panel(
                "Keys firing",
                "Stream keys in an open episode: a firing trigger was sent, the resolved one not yet.",
                "short",
                [(f'sum(ember_alarmed_keys{{{WHO}, reason="evidence"}})', "")],
                "stat",
                4,
            ),
            Panel(
                "Alerts about Ember",
                "Firing alert rules about the service, not the fleet. Each has a runbook.",
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
        "Throughput": [
            Panel(
                "Records",
                "Messages consumed, rows scored, and messages refused. Fewer rows are scored where samples are windowed by time or keys warm up.",
                "cps",
                [
                    (rate("ember_records_total", where=TOPIC), "consumed"),
                    (rate("ember_windows_scored_total", where=TOPIC), "rows scored"),
                    (rate("ember_records_rejected_total", where=TOPIC), "refused"),
                ],
            ),
            Panel(
                "Delay",
                "Age of samples when they are scored, by topic. Lag, late producers and wrong clocks make it grow.",
                "s",
                [
                    (quantile(0.5, "ember_event_delay_seconds", "topic", TOPIC), "50 % {{topic}}"),
                    (quantile(0.99, "ember_event_delay_seconds", "topic", TOPIC), "99 % {{topic}}"),
                ],
            ),
            Panel(
                "Lag",
                "Messages still to be read, by topic. It grows when the input exceeds the throughput.",
                "short",
                [
                    (f"sum by (topic) (ember_consumer_lag_records{{{TOPIC}}})", "{{topic}}"),
                    (
                        f"sum by (topic) (ember_rekey_lag_records{{{TOPIC}}})",
                        "{{topic}}, to re-key",
                    ),
                ],
            ),
            Panel(
                "Phases",
                "Workers by phase. All should be running.",
                "short",
                [(f"sum by (phase) (ember_phase{{{WHO}}})", "{{phase}}")],
                stacked=True,
            ),
        ],
        "Events": [
            Panel(
                "Anomalies",
                "Events on the anomaly topic per minute, by whole severity (-log10 of the probability).",
                "short",
                [(f"60 * {rate('ember_anomalies_total', 'severity')}", "{{severity}}")],
                stacked=True,
            ),
            Panel(
                "Triggers",
                "Events on the trigger topic per minute: episodes that start and end, keys that fall silent.",
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

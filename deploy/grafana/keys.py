"""Dashboard of keys in trouble: their number, not their names."""

from __future__ import annotations

from dashboard import BRIDGE, WHO, Dashboard, Panel, rate

KEYS = Dashboard(
    "ember-keys",
    "Ember / Keys in trouble",
    "Number of keys in trouble, over time, and their channels. The names of the keys are on the "
    "trigger topic (ember tail triggers): no metric has the key as a label, so that a million keys "
    "cost no more than ten.",
    {
        "Now": [
            Panel(
                "Firing",
                "Keys in an open episode.",
                "short",
                [(f'sum(ember_alarmed_keys{{{WHO}, reason="evidence"}})', "")],
                "stat",
                6,
            ),
            Panel(
                "Share of the fleet firing",
                "More than a few percent point to one common cause rather than to many faults.",
                "percentunit",
                [
                    (
                        f'sum(ember_alarmed_keys{{{WHO}, reason="evidence"}})'
                        f" / (sum(ember_active_keys{{{WHO}}}) > 0)",
                        "",
                    )
                ],
                "stat",
                6,
                steps=(0.02, 0.1),
            ),
            Panel(
                "Silent",
                "Keys that have sent nothing for window.stale_intervals of their usual intervals.",
                "short",
                [(f'sum(ember_alarmed_keys{{{WHO}, reason="stale"}})', "")],
                "stat",
                6,
            ),
            Panel(
                "Episodes started, last hour",
                "Firing triggers.",
                "short",
                [(f'sum(increase(ember_triggers_total{{{WHO}, status="firing"}}[1h]))', "")],
                "stat",
                6,
            ),
        ],
        "Over time": [
            Panel(
                "Keys firing and silent",
                "A step points to a common cause; a slow rise to keys that do not recover.",
                "short",
                [(f"sum by (reason) (ember_alarmed_keys{{{WHO}}})", "{{reason}}")],
            ),
            Panel(
                "Episodes started and ended",
                "Triggers per hour, by status and reason.",
                "short",
                [
                    (
                        f"3600 * {rate('ember_triggers_total', 'status, reason')}",
                        "{{status}}, {{reason}}",
                    )
                ],
            ),
            Panel(
                "Duration of episodes",
                "Event time from firing to resolved, of episodes that ended in the last six hours.",
                "s",
                [
                    (
                        f"histogram_quantile({q}, sum by (le) "
                        f"(increase(ember_episode_duration_seconds_bucket{{{WHO}}}[6h])))",
                        f"{q * 100:g} %",
                    )
                    for q in (0.5, 0.9)
                ],
            ),
            Panel(
                "Top channels",
                "Firing triggers of the last six hours, by the channel with the largest share; the ten most frequent.",
                "short",
                [
                    (
                        "topk(10, sum by (channel) (increase("
                        f'ember_top_channels_total{{{WHO}, kind="trigger"}}[6h])))',
                        "{{channel}}",
                    )
                ],
                "bargauge",
            ),
        ],
        "Sent to receivers, where `ember bridge` runs": [
            Panel(
                "Firing alerts",
                "Open alerts of the bridges, summed over the receivers. Fewer than keys firing above: the others are backlog or withheld.",
                "short",
                [(f"sum(ember_bridge_firing_alerts{{{BRIDGE}}})", "")],
                "stat",
                8,
            ),
            Panel(
                "Unsent alerts",
                "Alerts that a receiver should have accepted by now, or not since they changed. While this lasts, nobody is paged.",
                "short",
                [(f"sum(ember_bridge_unsent_alerts{{{BRIDGE}}})", "")],
                "stat",
                8,
                steps=(1, 100),
            ),
            Panel(
                "Lag of the bridge",
                "Triggers on the trigger topic still to be read.",
                "short",
                [(f"sum(ember_bridge_lag_records{{{BRIDGE}}})", "")],
                "stat",
                8,
                steps=(1_000, 10_000),
            ),
            Panel(
                "Triggers, by outcome",
                "Triggers per hour. Backlog: too old to page anybody. Withheld: beyond max_alerts of the receiver.",
                "short",
                [
                    (
                        f"3600 * {rate('ember_bridge_triggers_total', 'outcome', BRIDGE)}",
                        "{{outcome}}",
                    )
                ],
            ),
            Panel(
                "Requests to receivers",
                "Requests per second, by result. Requests that failed or were limited are sent again, refused ones are not.",
                "cps",
                [(rate("ember_bridge_requests_total", "result", BRIDGE), "{{result}}")],
            ),
            Panel(
                "Silenced alerts",
                "Firing alerts that a silence is for, summed over the receivers.",
                "short",
                [(f"sum(ember_bridge_silenced_alerts{{{BRIDGE}}})", "")],
            ),
            Panel(
                "Planned work",
                "Rows per second of keys under planned work, and in the grace after it. They do not fire.",
                "cps",
                [(rate("ember_planned_rows_total", "phase"), "{{phase}}")],
            ),
        ],
        "Incidents, where `ember incidents` runs": [
            Panel(
                "Open incidents",
                "Incidents that are not resolved.",
                "short",
                [(f"sum(ember_incidents_open{{{BRIDGE}}})", "")],
                "stat",
                8,
            ),
            Panel(
                "New incidents, by decision",
                "Incidents per hour. Digest: alerts.pages was used up.",
                "short",
                [
                    (
                        f"3600 * {rate('ember_incidents_decisions_total', 'decision', BRIDGE)}",
                        "{{decision}}",
                    )
                ],
                "timeseries",
                8,
            ),
            Panel(
                "Messages about incidents",
                "Messages per hour, by status.",
                "short",
                [
                    (
                        f"3600 * {rate('ember_incidents_messages_total', 'status', BRIDGE)}",
                        "{{status}}",
                    )
                ],
                "timeseries",
                8,
            ),
        ],
    },
)

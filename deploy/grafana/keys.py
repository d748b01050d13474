"""How many keys are in trouble; which ones, the trigger topic says."""

from __future__ import annotations

from dashboard import BRIDGE, WHO, Dashboard, Panel, rate

KEYS = Dashboard(
    "ember-keys",
    "Ember / Keys in trouble",
    "How many keys, since when, and which channels. Which keys they are is on the trigger topic "
    "(ember tail triggers): no metric has the key as a label, so that a million keys cost no more "
    "than ten.",
    {
        "Now": [
            Panel(
                "Firing",
                "Keys in an episode at this moment.",
                "short",
                [(f'sum(ember_alarmed_keys{{{WHO}, reason="evidence"}})', "")],
                "stat",
                6,
            ),
            Panel(
                "Share of the fleet firing",
                "More than a few in a hundred is rather a common cause than many faults.",
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
                "Keys that have sent nothing for many of their usual intervals.",
                "short",
                [(f'sum(ember_alarmed_keys{{{WHO}, reason="stale"}})', "")],
                "stat",
                6,
            ),
            Panel(
                "Episodes begun, last hour",
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
                "A step is a common cause; a slow rise is keys that do not come back.",
                "short",
                [(f"sum by (reason) (ember_alarmed_keys{{{WHO}}})", "{{reason}}")],
            ),
            Panel(
                "Episodes begun and ended",
                "Triggers an hour, by status and reason.",
                "short",
                [
                    (
                        f"3600 * {rate('ember_triggers_total', 'status, reason')}",
                        "{{status}}, {{reason}}",
                    )
                ],
            ),
            Panel(
                "How long episodes last",
                "Event time from firing to resolved, of those that ended in the last six hours.",
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
        "Told to Alertmanager, where `ember bridge alertmanager` runs": [
            Panel(
                "Alerts that fire",
                "Episodes the bridge keeps alive in Alertmanager. Fewer than fire above: the rest is backlog or withheld.",
                "short",
                [(f"sum(ember_bridge_firing_alerts{{{BRIDGE}}})", "")],
                "stat",
                8,
            ),
            Panel(
                "Not told",
                "Alerts that no Alertmanager has taken yet, or not again. For minutes: nobody is paged.",
                "short",
                [(f"sum(ember_bridge_unsent_alerts{{{BRIDGE}}})", "")],
                "stat",
                8,
                steps=(1, 100),
            ),
            Panel(
                "Triggers to be read",
                "The bridge's lag on the trigger topic.",
                "short",
                [(f"sum(ember_bridge_lag_records{{{BRIDGE}}})", "")],
                "stat",
                8,
                steps=(1_000, 10_000),
            ),
            Panel(
                "What became of triggers",
                "Triggers an hour. Backlog is too old to tell; withheld is beyond alertmanager.max_alerts.",
                "short",
                [
                    (
                        f"3600 * {rate('ember_bridge_triggers_total', 'outcome', BRIDGE)}",
                        "{{outcome}}",
                    )
                ],
            ),
            Panel(
                "Requests to Alertmanager",
                "A second, by result. Anything but accepted keeps the alerts waiting; they are sent again.",
                "cps",
                [(rate("ember_bridge_requests_total", "result", BRIDGE), "{{result}}")],
            ),
        ],
    },
)

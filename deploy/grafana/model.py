"""Does the model still fit?"""

from __future__ import annotations

from dashboard import TOPIC, WHO, Dashboard, Panel, quantile, rate

MODEL = Dashboard(
    "ember-model",
    "Ember / Model",
    "Does the model still fit the fleet?",
    {
        "Fit": [
            Panel(
                "Model in use",
                "Version, backend and bundle of each worker.",
                "short",
                [(f"count by (model, version, backend) (ember_build_info{{{WHO}}})", "")],
                "table",
                8,
            ),
            Panel(
                "Score",
                "Quantiles of the RBM free energy. A slow rise is drift; a step is a change of the telemetry, or of the model.",
                "none",
                [
                    (quantile(q, "ember_score", where=TOPIC), f"{q * 100:g} %")
                    for q in (0.1, 0.5, 0.9, 0.99)
                ],
                width=16,
            ),
            Panel(
                "Rows beyond severity 2",
                "Share of the scored rows. Severity is calibrated: one in a hundred is expected.",
                "percentunit",
                [
                    (
                        "1 - "
                        + rate("ember_severity_bucket", "topic", f'{TOPIC}, le="2.0"')
                        + f" / ({rate('ember_severity_count', 'topic', TOPIC)} > 0)",
                        "{{topic}}",
                    )
                ],
            ),
            Panel(
                "Severity",
                "Rows a second by severity: how improbable the fleet finds itself.",
                "cps",
                [(rate("ember_severity_bucket", "le", TOPIC), "{{le}}")],
                "heatmap",
            ),
        ],
        "Input": [
            Panel(
                "Values filled in",
                "Missing channel values for each sample: carried forward, or set to the key's mean.",
                "short",
                [
                    (
                        rate("ember_missing_values_total", "topic", TOPIC)
                        + f" / ({rate('ember_samples_total', 'topic', TOPIC)} > 0)",
                        "{{topic}}",
                    )
                ],
            ),
            Panel(
                "Warming up",
                "Share of messages of keys that are not scored yet, being too new to the model.",
                "percentunit",
                [
                    (
                        rate("ember_record_outcomes_total", "topic", f'{TOPIC}, outcome="warming"')
                        + f" / ({rate('ember_records_total', 'topic', TOPIC)} > 0)",
                        "{{topic}}",
                    )
                ],
            ),
            Panel(
                "Top channels of anomalies",
                "Anomalies a minute, by the channel with the largest share; the ten most frequent. One alone: a unit or a producer changed.",
                "short",
                [
                    (
                        "60 * topk(10, "
                        + rate("ember_top_channels_total", "channel", f'{WHO}, kind="anomaly"')
                        + ")",
                        "{{channel}}",
                    )
                ],
                width=24,
            ),
        ],
        "Memory of keys": [
            Panel(
                "Keys",
                "Stream keys in memory, and how many may be held.",
                "short",
                [
                    (f"sum(ember_active_keys{{{WHO}}})", "keys"),
                    (f"sum(ember_state_max_keys{{{WHO}}})", "limit"),
                ],
                width=8,
            ),
            Panel(
                "State",
                "Bytes that the keys' rows take in memory, and on disk beyond state.max_keys.",
                "bytes",
                [
                    (f"sum by (instance) (ember_state_bytes{{{WHO}}})", "{{instance}}"),
                    (f"sum by (instance) (ember_state_disk_bytes{{{WHO}}})", "disk {{instance}}"),
                ],
                width=8,
            ),
            Panel(
                "Evictions",
                "Keys a second that leave memory for the disk, come back, or are forgotten on it.",
                "cps",
                [
                    (rate("ember_state_evictions_total", "reason"), "out of {{reason}}"),
                    (rate("ember_state_returned_keys_total"), "back"),
                ],
                width=8,
            ),
        ],
    },
)

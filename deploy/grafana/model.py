"""Dashboard of the model's fit."""

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
                "Quantiles of the RBM free energy. A slow rise is drift; a step is a change of the telemetry or of the model.",
                "none",
                [
                    (quantile(q, "ember_score", where=TOPIC), f"{q * 100:g} %")
                    for q in (0.1, 0.5, 0.9, 0.99)
                ],
                width=16,
            ),
            Panel(
                "Rows beyond severity 2",
                "Share of the scored rows. Severity is calibrated: one row in a hundred is expected.",
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
                "Rows per second, by severity.",
                "cps",
                [(rate("ember_severity_bucket", "le", TOPIC), "{{le}}")],
                "heatmap",
            ),
        ],
        "Input": [
            Panel(
                "Missing values",
                "Missing channel values per sample, carried forward or set to the key's mean.",
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
                "Share of messages whose key is not scored yet, because the model does not know it.",
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
                "Anomalies per minute, by the channel with the largest share; the ten most frequent. A single channel points to a changed unit or producer.",
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
        "Training": [
            Panel(
                "Training by the workers",
                "Workers by stage (learn.enabled). One worker of a group is not in standby.",
                "short",
                [(f"sum by (stage) (ember_learn_stage{{{WHO}}})", "{{stage}}")],
                width=8,
                stacked=True,
            ),
            Panel(
                "Progress of the stage",
                "Share of reading or training that is done.",
                "percentunit",
                [(f"max(ember_learn_progress_ratio{{{WHO}}})", "done")],
                width=8,
            ),
            Panel(
                "Trainings",
                "Trainings in an hour, by result, and whether the last candidate is refused.",
                "short",
                [
                    (
                        f"sum by (result) (increase(ember_learn_trainings_total{{{WHO}}}[1h]))",
                        "{{result}}",
                    ),
                    (f"max(ember_learn_candidate_refused{{{WHO}}})", "candidate refused"),
                ],
                width=8,
            ),
        ],
        "State of keys": [
            Panel(
                "Keys",
                "Stream keys in memory, and the limit state.max_keys.",
                "short",
                [
                    (f"sum(ember_active_keys{{{WHO}}})", "keys"),
                    (f"sum(ember_state_max_keys{{{WHO}}})", "limit"),
                ],
                width=8,
            ),
            Panel(
                "State",
                "Bytes of the keys' rows in memory, and of evicted rows on disk.",
                "bytes",
                [
                    (f"sum by (instance) (ember_state_bytes{{{WHO}}})", "{{instance}}"),
                    (f"sum by (instance) (ember_state_disk_bytes{{{WHO}}})", "disk {{instance}}"),
                ],
                width=8,
            ),
            Panel(
                "Evictions",
                "Keys per second that are evicted to disk, restored from it, or forgotten.",
                "cps",
                [
                    (rate("ember_state_evictions_total", "reason"), "evicted: {{reason}}"),
                    (rate("ember_state_returned_keys_total"), "restored"),
                ],
                width=8,
            ),
        ],
    },
)

"""Dashboard of the pipeline, stage by stage."""

from __future__ import annotations

from dashboard import TOPIC, WHO, Dashboard, Panel, quantile, rate

DURATION = "ember_process_duration_seconds"

PIPELINE = Dashboard(
    "ember-pipeline",
    "Ember / Pipeline",
    "Stage by stage: input, output, duration, and the cost of the state.",
    {
        "Decode": [
            Panel(
                "Messages and samples",
                "A message may hold several samples, or none when it is refused.",
                "cps",
                [
                    (rate("ember_records_total", where=TOPIC), "messages"),
                    (rate("ember_samples_total", where=TOPIC), "samples"),
                ],
                width=8,
            ),
            Panel(
                "Refused, by reason",
                "Messages per second that do not reach the model. ember tail dead-letters shows them.",
                "cps",
                [(rate("ember_records_rejected_total", "reason", TOPIC), "{{reason}}")],
                width=8,
                stacked=True,
            ),
            Panel(
                "Dead letters, by outcome",
                "written; cut: too large; coordinates: beyond dead_letters.max_per_second; dropped or failed: lost.",
                "cps",
                [(rate("ember_dead_letters_total", "outcome"), "{{outcome}}")],
                width=8,
            ),
        ],
        "Engine": [
            Panel(
                "Messages, by outcome",
                "scored; warming: key not scored yet; windowed: in an open interval; late; repeated: absorbed before.",
                "cps",
                [(rate("ember_record_outcomes_total", "outcome", TOPIC), "{{outcome}}")],
                width=8,
                stacked=True,
            ),
            Panel(
                "Time of a worker, by stage",
                "Share of one core per stage. When the sum is near 1, the worker is saturated: add another.",
                "percentunit",
                [
                    (
                        f"sum by (stage) (rate({DURATION}_sum"
                        f'{{{WHO}, stage=~"decode|engine|checkpoint_stall"}}[$__rate_interval]))'
                        f" / scalar(count(ember_build_info{{{WHO}}}))",
                        "{{stage}}",
                    )
                ],
                width=8,
                stacked=True,
            ),
            Panel(
                "Duration, 99 %",
                "Duration of one slice (decode, engine) and of one checkpoint. A slice should block the event loop for at most 0.05 s.",
                "s",
                [
                    (
                        quantile(0.99, DURATION, "stage", f'{WHO}, stage!="recovery"'),
                        "{{stage}}",
                    )
                ],
                width=8,
            ),
        ],
        "Events and lag": [
            Panel(
                "Events in flight",
                "Events sent and not yet acknowledged. At 20,000 the worker pauses reading.",
                "short",
                [(f"sum by (instance) (ember_events_in_flight{{{WHO}}})", "{{instance}}")],
                width=8,
            ),
            Panel(
                "Lag, by partition",
                "The twenty largest. A single one points to a hot key, or to a producer with an uneven partitioner.",
                "short",
                [
                    (
                        f"topk(20, sum by (topic, partition) (ember_consumer_lag_records{{{TOPIC}}}))",
                        "{{topic}}-{{partition}}",
                    ),
                    (
                        f"topk(20, sum by (topic, partition) (ember_rekey_lag_records{{{TOPIC}}}))",
                        "{{topic}}-{{partition}}, to re-key",
                    ),
                ],
                width=8,
            ),
            Panel(
                "Age of the newest event",
                "Current time minus the largest event time. It grows while no records arrive.",
                "s",
                [
                    (
                        f"time() - max by (topic) (ember_last_event_timestamp_seconds{{{TOPIC}}})",
                        "{{topic}}",
                    )
                ],
                width=8,
            ),
        ],
        "State": [
            Panel(
                "Checkpoints",
                "Checkpoints per minute, by worker. If there are none while records are read, see EmberCheckpointsStopped.",
                "short",
                [(f"60 * {rate('ember_commits_total', 'instance')}", "{{instance}}")],
                width=8,
            ),
            Panel(
                "Rows to the changelog",
                "Rows written per second: keys that changed between two checkpoints.",
                "cps",
                [(rate("ember_checkpoint_rows_total"), "rows")],
                width=8,
            ),
            Panel(
                "Bytes to the changelog",
                "Rows per second times the bytes of a row.",
                "Bps",
                [
                    (
                        f"{rate('ember_checkpoint_rows_total')} * sum(ember_state_bytes{{{WHO}}})"
                        f" / sum(ember_active_keys{{{WHO}}})",
                        "bytes",
                    )
                ],
                width=8,
            ),
            Panel(
                "Partitions",
                "Assigned partitions, by role. A change of the sum is a rebalance.",
                "short",
                [(f"sum by (role) (ember_partitions{{{WHO}}})", "{{role}}")],
                width=8,
            ),
            Panel(
                "Rebalances",
                "Assignments received in the last half hour.",
                "short",
                [
                    (
                        f"sum by (instance) (increase(ember_rebalances_total{{{WHO}}}[30m]))",
                        "{{instance}}",
                    )
                ],
                width=8,
            ),
            Panel(
                "Recovered rows",
                "Changelog rows per second at recovery: accepted; stale: older than the state; damaged.",
                "cps",
                [(rate("ember_restored_rows_total", "result"), "{{result}}")],
                width=8,
            ),
        ],
        "Process": [
            Panel(
                "CPU",
                "Cores used by each worker, at most one.",
                "short",
                [(rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
                width=8,
            ),
            Panel(
                "Resident memory",
                "Resident memory of each worker, and its part for state.",
                "bytes",
                [
                    (f"sum by (instance) (process_resident_memory_bytes{{{WHO}}})", "{{instance}}"),
                    (f"sum by (instance) (ember_state_bytes{{{WHO}}})", "state {{instance}}"),
                ],
                width=8,
            ),
            Panel(
                "Uptime",
                "Time since the process started. A sawtooth is a worker that restarts.",
                "s",
                [
                    (
                        f"time() - max by (instance) (process_start_time_seconds{{{WHO}}})",
                        "{{instance}}",
                    )
                ],
                width=8,
            ),
        ],
    },
)

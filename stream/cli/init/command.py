"""`ember init`: look at a topic or a file, and write settings that fit."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ember_core.data.cells import TimeReader
from stream.cli.destinations import require_file
from stream.cli.options import ClusterArgs, ClusterOptions
from stream.cli.output import print_json
from stream.errors import UserError
from stream.preflight import require_sound
from stream.settings import Settings, name_fault
from stream.types import CodecName, KeyFrom

from .ask import Questions, is_terminal
from .connection import SecurityArgs, SecurityOptions, kafka_table, load_cluster, secrets_of
from .records import Wishes, plan_records
from .report import as_json, print_plan
from .source import is_table
from .tables import plan_table
from .toml import render

DEFAULT_OUT = Path("ember.toml")


def init(
    source: str,
    /,
    *,
    out: Annotated[Path, Parameter(allow_leading_hyphen=True)] = DEFAULT_OUT,
    print_: Annotated[bool, Parameter(name="--print")] = False,
    force: bool = False,
    yes: bool = False,
    codec: CodecName | None = None,
    key: str = "",
    key_from: KeyFrom | None = None,
    time: str = "",
    time_zone: str = "",
    interval_seconds: float | None = None,
    topic: str = "",
    group: str = "",
    registry: str = "",
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
    security: SecurityArgs = SecurityOptions(),
) -> None:
    """Look at a topic or a file, and write an ember.toml that fits its records.

    The file has a comment on every choice, and a line for each channel. Nothing is changed in the
    cluster. On a terminal it asks what the records cannot tell; elsewhere flags say it.

    Args:
        source: Topic (kafka:NAME), dump of one (kcat -C -J), file with a record a line, or table
            (.csv, .parquet).
        out: Settings file to write; - prints it.
        print_: Print the settings in place of writing them.
        force: Replace a file that is there.
        yes: Ask nothing: take what the records suggest.
        codec: Format of the values. Default: the codec that reads most records.
        key: Stream key: a field such as tags.host, several joined by +, or kafka for the Kafka key.
            Default: by the records, see docs/start.md.
        key_from: Origin of the stream key. Default: record with --key.
        time: Field of the event time. Default: the likeliest.
        time_zone: Time zone of times without an offset, such as Europe/Berlin.
        interval_seconds: Length of a row, in seconds. Default: the usual time between two records.
        topic: Input topic, where a file does not name it. Default: telemetry.
        group: Consumer group. Default: ember- and the topic.
        registry: Address of the schema registry (avro, protobuf).
        json: Print the choices as one JSON object.
        cluster: Kafka cluster.
        security: Login and encryption of the cluster.
    """
    to_stdout = print_ or str(out) == "-"
    if not to_stdout and out.exists() and not force:
        raise UserError(
            f"{out} is there already. Expected a new file. Received: --out {out}. Replace it with "
            "--force, write another with --out, or look with --print.",
            exit_code=2,
        )
    if not to_stdout:
        require_file("--out", out)
    _check(time_zone, interval_seconds, topic)
    questions = Questions(enabled=not (yes or json) and is_terminal())
    settings = load_cluster(cluster, security, registry)
    if is_table(source):
        _refuse_for_tables({"--codec": codec, "--key-from": key_from, "--registry": registry})
        plan = plan_table(
            source,
            questions,
            key=key,
            time=time,
            zone=time_zone,
            topic=topic,
            interval_seconds=interval_seconds,
        )
    else:
        wishes = Wishes(codec, key, key_from, time, time_zone, interval_seconds, topic)
        plan = plan_records(source, settings, wishes, questions)
    first_topic = plan.input["topics"][0]
    if not group and to_stdout:
        questions = Questions(enabled=False)  # a look at the settings needs no name of the group
    group = group or questions.text("Consumer group", f"ember-{first_topic}")
    plan = replace(plan, kafka=kafka_table(settings, group))
    text = render(plan)
    _require_valid(text, settings)
    if to_stdout:
        sys.stdout.write(text)
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{out} cannot be written: {error.strerror or error}.") from None
    if json and not to_stdout:
        print_json(as_json(plan, out))
    else:
        print_plan(plan, None if to_stdout else out, to_stderr=to_stdout)


def _check(time_zone: str, interval_seconds: float | None, topic: str) -> None:
    """Refuse values that the settings would not take, before anything is read."""
    try:
        TimeReader(zone=time_zone)
    except ValueError as error:
        raise UserError(f"{error} Received: --time-zone {time_zone}.", exit_code=2) from None
    if interval_seconds is not None and not interval_seconds > 0:
        raise UserError(
            "Rows need an interval. Expected --interval-seconds above 0. Received: "
            f"--interval-seconds {interval_seconds:g}.",
            exit_code=2,
        )
    if topic and (fault := name_fault(topic)):
        raise UserError(f"{fault}. Received: --topic {topic}.", exit_code=2)


def _refuse_for_tables(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value:
            raise UserError(
                f"A table has columns, not records. Expected none of --codec, --key-from and "
                f"--registry. Received: {name} {value}.",
                exit_code=2,
            )


def _require_valid(text: str, settings: Settings) -> None:
    """Check that the settings can be loaded, before they are written."""
    sections = tomllib.loads(text)
    sections["channels"] = {"rules": sections.get("channels", [])}
    for section, secrets in secrets_of(settings).items():
        sections[section] = {**sections[section], **secrets}
    require_sound(Settings.model_validate(sections))

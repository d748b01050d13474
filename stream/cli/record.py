"""`ember record`: the samples of a topic, written to a file."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ember_core.data.sources import DataOptions, Remark
from stream.errors import UserError
from stream.tools.record_schemes import record_schemes
from stream.tools.record_source import RecordSource
from stream.tools.recording import column_names, recorder
from stream.types import CodecName

from .data_options import RecordArgs, RecordOptions, codec_of, has_scheme
from .destinations import require_file
from .options import ClusterArgs, ClusterOptions
from .output import message, print_json, print_remarks
from .reading_progress import reading_progress


def record(
    data: str,
    out: Path,
    /,
    *,
    records: RecordArgs = RecordOptions(),
    channels: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    codec: CodecName | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Write the samples of a topic to a file, which is trained on and scored as the topic is.

    Records are read as the service reads them, by the settings of the input. Each sample is one
    line: time, stream key, and the channels under the names that the stream has them by.

    Args:
        data: kafka:TOPIC, kcat:FILE (the lines of kcat -C -J) or prometheus:URL.
        out: File to write, .parquet or .jsonl.
        records: Records of topics, and series of prometheus:URL.
        channels: Patterns of the channels to write, as a,b*,c. Default: all.
        drop: Patterns of the channels to leave out, as a,b*,c.
        codec: Format of the records. Default: input.codec.
        force: Replace a file that is there already.
        json: Print the summary as one JSON object.
        cluster: Kafka cluster and settings.
    """
    require_file("out", out)
    if out.exists() and not force:
        raise UserError(
            f"{out} is there already. Expected a new file. Received: {out}. Replace it with "
            "--force, or choose another name.",
            exit_code=2,
        )
    start_seconds = time.perf_counter()
    settings = cluster.settings(input={"codec": codec_of([data], codec)})
    options = DataOptions(channels=channels, drop=drop)
    reading = records.reading()
    with reading_progress() as progress:
        schemes = record_schemes(lambda: settings, replace(reading, progress=progress), options)
        if not has_scheme(data, schemes):
            raise UserError(
                "Only records can be written to a file. Expected kafka:TOPIC, kcat:FILE or "
                f"prometheus:URL. Received: {data}.",
                exit_code=2,
            )
        scheme, _, address = data.partition(":")
        source = schemes[scheme](address, options)
        assert isinstance(source, RecordSource)
        rows, keys, has_kinds = 0, set[bytes](), False
        names: tuple[str, ...] = ()
        with recorder(out) as write:
            for chunk in source.chunks():
                write(chunk)
                rows += len(chunk.time_us)
                keys |= set(chunk.keys)
                names = chunk.channels
                has_kinds |= chunk.temporality is not None and bool(chunk.temporality.any())
    remarks = list(source.remarks)
    if has_kinds:
        text = (
            "a file does not say which values are sums of OpenTelemetry: name them with --rate "
            "where they are not recognised, or train on the topic itself"
        )
        remarks.append(Remark("kinds_lost", text, str(out)))
    print_remarks(remarks)
    time_name, key_name = column_names(names)
    columns = f"--time {time_name} --key {key_name}"
    summary = {
        "out": str(out),
        "rows": rows,
        "keys": len(keys),
        "channels": len(names),
        "bytes": out.stat().st_size,
        "seconds": round(time.perf_counter() - start_seconds, 3),
        "columns": columns,
        "remarks": [remark.as_json() for remark in remarks],
    }
    config = "" if cluster.config is None else f" --config {shlex.quote(str(cluster.config))}"
    if json:
        print_json(summary)
        return
    message(
        f"{out}: {rows:,} rows of {len(keys):,} keys, {len(names):,} channels, in "
        f"{summary['seconds']:.1f} s. Train on it with: ember train {shlex.quote(str(out))} "
        f"{columns}{config} --out model"
    )

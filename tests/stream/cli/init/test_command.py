"""`ember init` as a command: files, tables, flags, questions and wrong input."""

from __future__ import annotations

import gzip
import io
import json
import random
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from stream import cli
from stream.cli.init import command
from stream.cli.init.toml import quoted
from stream.settings import Settings
from tests.serving import serving
from tests.stream.cli.init.programs import (
    by_host,
    by_nothing,
    influx,
    readings,
    telegraf,
    write_dump,
)


def written() -> dict[str, Any]:
    return tomllib.loads(Path("ember.toml").read_text())


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["init", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_file_that_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    dump = write_dump(Path("dump.jsonl"), readings(by_host))
    Path("ember.toml").write_text("# mine\n")
    code, _, err = run(capsys, dump)
    assert code == 2
    assert "ember.toml is there already" in err
    assert Path("ember.toml").read_text() == "# mine\n"
    for arguments in (("--print",), ("--out", "-")):
        code, out, err = run(capsys, dump, *arguments)
        assert code == 0
        assert tomllib.loads(out)["input"]["codec"] == "json"
        assert "Next: ember train kcat:dump.jsonl" in err
    assert run(capsys, dump, "--force")[0] == 0
    assert written()["input"]["codec"] == "json"


def test_flags_decide(capsys: pytest.CaptureFixture[str]) -> None:
    values = Path("values.lp")
    values.write_bytes(b"\n".join(line.value for line in influx(by_nothing)))
    flags = "--key tags.host+name --interval-seconds 30 --topic plant --group g --codec influx"
    assert run(capsys, values, *flags.split())[0] == 0
    assert written()["input"] == {
        "topics": ["plant"],
        "codec": "influx",
        "key": "tags.host+name",
        "key_from": "record",
    }
    assert written()["window"]["interval_seconds"] == 30
    assert written()["kafka"]["group"] == "g"


def test_the_cluster_is_that_of_the_flags_and_of_a_settings_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password stays where it is."""
    dump = write_dump(Path("dump.jsonl"), readings(by_host))
    Path("cluster.toml").write_text(
        '[kafka]\n"bootstrap.servers" = "k:1"\n"security.protocol" = "SASL_SSL"\n'
        '"sasl.mechanism" = "PLAIN"\n"sasl.username" = "me"\n"sasl.password" = "secret"\n'
        '[input]\ncodec = "otlp"\nkey = "x"\n'
    )
    code, out, _ = run(capsys, dump, "--config", "cluster.toml", "--bootstrap", "k:2", "--print")
    assert code == 0
    assert "secret" not in out
    assert tomllib.loads(out)["kafka"] == {
        "bootstrap_servers": "k:2",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "me",
        "group": "ember-metrics",
    }
    assert "key" not in tomllib.loads(out)["input"]
    Path("ember.toml").write_text(out)
    monkeypatch.setenv("EMBER_KAFKA__SASL_PASSWORD", "secret")
    assert Settings.load().kafka.sasl_username == "me"


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json"])
def test_records_of_a_file(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line, the same packed, and one JSON list over many lines."""
    records = [json.loads(line.value) for line in readings(by_nothing)]
    path = Path(f"records.{ending}")
    lines = "\n".join(map(json.dumps, records)).encode()
    if ending == "json":
        path.write_text(json.dumps(records, indent=1))
    else:
        path.write_bytes(gzip.compress(lines) if ending.endswith("gz") else lines)
    code, out, _ = run(capsys, path)
    assert code == 0
    assert f"Next: ember train lines:{path} --out model" in out
    assert written()["input"]["key"] == "device"


@pytest.mark.parametrize("ending", ["csv", "parquet", "csv.gz"])
def test_a_table_has_columns(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    noise = random.Random(1)
    frame = pd.DataFrame(
        {
            "ts": [t for t in pd.date_range("2026-03-01", periods=300, freq="5min") for _ in "ab"],
            "machine": ["m-a", "m-b"] * 300,
            "temp": [noise.random() for _ in range(600)],
            "served_total": [n // 2 * 3 + noise.randrange(3) for n in range(600)],
            "note": ["fine"] * 600,
        }
    )
    path = Path(f"history.{ending}")
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    code, out, _ = run(capsys, path, "--topic", "plant")
    assert code == 0
    assert f"Next: ember train {path} --key machine --out model" in out
    assert "a row of a key every 300 s" in out
    assert written()["input"] == {"topics": ["plant"], "codec": "json"}
    assert written()["window"] == {"mode": "count"}
    assert written()["channels"] == [{"match": "served_total", "use": "rate"}]
    assert "note" in Path("ember.toml").read_text()


def test_a_table_takes_no_flags_of_records(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.csv").write_text("ts,x\n1,2\n")
    code, _, err = run(capsys, "a.csv", "--codec", "json")
    assert code == 2
    assert "A table has columns" in err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number, other text, nothing, and the end of the input."""
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    values = Path("values.jsonl")
    lines = [json.loads(line.value) for line in readings(by_nothing)]
    for number, line in enumerate(lines):
        line["line"] = "north" if number % 2 else "south"
        line["windmill"] = line.pop("device")
    values.write_text("\n".join(map(json.dumps, lines)))
    for answers, key, topic, group in (
        ("plant\n\ng\n", "windmill", "plant", "g"),
        ("plant\n", "windmill", "plant", "ember-plant"),
        ("\nwindmill + line\n\n", "windmill + line", "telemetry", "ember-telemetry"),
        ("\n2\n\n", "line", "telemetry", "ember-telemetry"),
    ):
        monkeypatch.setattr(sys, "stdin", _Terminal(answers))
        assert run(capsys, values, "--force")[0] == 0
        assert written()["input"]["key"] == key
        assert written()["input"]["topics"] == [topic]
        assert written()["kafka"]["group"] == group
    # The host of Telegraf is no question, though there are other tags.
    dump = write_dump(Path("dump.jsonl"), telegraf(by_nothing))
    monkeypatch.setattr(sys, "stdin", _Terminal("g\n"))
    assert run(capsys, dump, "--force")[0] == 0
    assert written()["kafka"]["group"] == "g"
    monkeypatch.setattr(sys, "stdin", _Terminal("plant\n"))
    assert run(capsys, values, "--force", "--yes")[0] == 0
    assert written()["input"]["topics"] == ["telemetry"]


def test_without_a_terminal_it_never_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Unread(io.StringIO):
        def readline(self, *_: Any) -> str:
            raise AssertionError("the input was read")

    monkeypatch.setattr(sys, "stdin", _Unread())
    values = Path("values.lp")
    values.write_bytes(b"\n".join(line.value for line in influx(by_nothing)))
    assert run(capsys, values)[0] == 0


def _file(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


WRONG: dict[str, tuple[Any, str]] = {
    "nothing there": (lambda: "none.jsonl", "none.jsonl is not there. Expected a topic"),
    "a directory": (lambda: str(Path.cwd()), "is a directory. Expected a topic"),
    "empty": (lambda: _file("a.jsonl", b""), "a.jsonl is empty"),
    "empty lines": (lambda: _file("a.jsonl", b"\n\n"), "holds no records"),
    "garbage": (lambda: _file("a.bin", random.Random(1).randbytes(9_000)), "No codec reads"),
    "packed": (lambda: _file("a.bin", b"\x1f\x8b\x08" + bytes(range(90))), "compressed with gzip"),
    "words": (lambda: _file("a.txt", b"plain words\nand more\n"), "No codec reads"),
    "a damaged file": (lambda: _file("a.jsonl.gz", b"\x1f\x8b\x08no"), "cannot be read"),
    "texts only": (lambda: _file("a.jsonl", b'{"ts":1764000000,"a":"x"}\n'), "have no number"),
    "Avro": (
        lambda: _file("a.avro", b"\x00\x00\x00\x00\x01\x0cpump-1\x00\x00\x00\x00\x00\x00\x0c@"),
        "--registry URL",
    ),
    "a table without numbers": (
        lambda: _file("a.csv", b"ts,b\n1764000000,x\n"),
        "no numeric channel",
    ),
    "a table without rows": (lambda: _file("a.csv", b"ts,b\n"), "no rows"),
    "an empty table": (lambda: _file("a.csv", b""), "is empty"),
    "a table without a time": (lambda: _file("a.csv", b"a,b\n1,2\n"), "--time COL"),
    "no Parquet": (lambda: _file("a.parquet", b"PAR1 not"), "a.parquet"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_a_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, expected = WRONG[name]
    code, out, err = run(capsys, make())
    assert code != 0
    assert expected in err
    assert "Expected" in err
    assert "Received" in err
    assert out == ""
    assert err.count("\n") == 1
    assert not Path("ember.toml").exists()


def test_wrong_flags_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    dump = write_dump(Path("dump.jsonl"), readings(by_host))
    for flags, expected in (
        ("--codec influx", "The codec influx reads none of the records"),
        ("--key nothing", "No record gives a stream key by 'nothing'"),
        ("--key a..b", "cannot be read at character"),
        ("--time nothing", "no field 'nothing'"),
        ("--time-zone Mars/Base", "time zone"),
        ("--interval-seconds 0", "interval-seconds"),
        ("--out none/ember.toml", "cannot be written"),
        ("--topic a/b --force", "no name of a Kafka topic"),
    ):
        source = dump
        if "--topic" in flags:
            source = Path("values.jsonl")
            source.write_bytes(b"\n".join(line.value for line in readings(by_nothing)))
        code, _, err = run(capsys, source, *flags.split())
        assert code != 0, flags
        assert expected in err
        assert "Traceback" not in err
        assert not Path("ember.toml").exists()


def test_foreign_names_reach_neither_comments_nor_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = 'a "b"\n[kafka]\nx = 1 \x1b[31m\x7f'
    records = [{"ts": 1_764_000_000 + n, "host": "h", name: n % 7 / 3} for n in range(50)]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, records)))
    code, out, err = run(capsys, "a.jsonl", "--group", "g")
    assert code == 0
    assert "\x1b[31m" not in out + err
    assert written()["kafka"]["group"] == "g"
    assert cli.main(["config", "check"]) == 0


@pytest.mark.parametrize("value", ["a", 'q"\\', "\x7f\n", ["a", "b"], True, 1.5, 3, 2.0])
def test_values_are_read_again(value: Any) -> None:
    assert tomllib.loads(f"x = {quoted(value)}")["x"] == value


class _Registry(BaseHTTPRequestHandler):
    """Registry with one schema."""

    schema: ClassVar[dict[str, Any]] = {
        "type": "record",
        "name": "Reading",
        "fields": [
            {"name": "measured_at", "type": "long"},
            {"name": "device", "type": "string"},
            {"name": "pressure", "type": "double"},
        ],
    }

    def do_GET(self) -> None:
        body = json.dumps({"schema": json.dumps(self.schema)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_records_of_a_registry(capsys: pytest.CaptureFixture[str]) -> None:
    fastavro = pytest.importorskip("fastavro")
    schema = fastavro.parse_schema(_Registry.schema)
    lines = []
    for n in range(100):
        body = io.BytesIO()
        record = {"measured_at": (1_764_000_000 + n // 5) * 1000, "device": f"pump-{n % 5}"}
        fastavro.schemaless_writer(body, schema, {**record, "pressure": n % 7 / 3})
        value = (b"\0\0\0\0\7" + body.getvalue()).hex()
        line = {"topic": "readings", "partition": 0, "offset": n, "ts": 1_764_000_000_000 + 200 * n}
        lines.append(json.dumps({**line, "key": None, "payload_hex": value}))
    Path("dump.jsonl").write_text("\n".join(lines))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Registry)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        assert run(capsys, "dump.jsonl", "--registry", url)[0] == 0
    assert written()["input"] == {
        "topics": ["readings"],
        "codec": "avro",
        "time": "measured_at",
        "key": "device",
        "key_from": "record",
        "schema_registry_url": url,
    }
    code, _, err = run(capsys, "dump.jsonl", "--registry", "http://127.0.0.1:1", "--force")
    assert code == 1
    assert "look whether http://127.0.0.1:1 answers" in err

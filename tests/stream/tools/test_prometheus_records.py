"""Series of a Prometheus as records, from a server that answers as one."""

from __future__ import annotations

import base64
import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ember_core.data.sources import DataOptions
from stream.cli import main
from stream.cli.data_options import RecordOptions, read_data
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.prometheus_records import PrometheusRecords, SeriesQuery
from stream.tools.topic_records import Period
from tests.serving import serving

BEGIN = 1_767_225_600
JOB = '{job="node"}'
SERIES = [
    {"__name__": name, "instance": f"web-{host}", "job": "node", "mode": mode}
    for host in (1, 2)
    for name, mode in (("load", ""), ("cpu_seconds_total", "idle"), ("cpu_seconds_total", "user"))
]


@dataclass
class Fake:
    """What the server was asked, and the answers that it gives first."""

    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failures: list[tuple[int, Any]] = field(default_factory=list)
    series: Sequence[dict[str, str]] = tuple(SERIES)
    most_points: int = 11_000

    def answer(self, form: dict[str, str]) -> tuple[int, Any]:
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        points = math.floor((end - start) / step) + 1
        if self.failures:
            return self.failures.pop(0)
        if points > self.most_points:
            error = "query processing would load too many samples into memory"
            return 422, {"status": "error", "errorType": "execution", "error": error}
        times = [start + step * number for number in range(points)]
        result = [
            {
                "metric": {name: value for name, value in series.items() if value},
                "values": [[time, str(self.value(n, time))] for time in times],
            }
            for n, series in enumerate(self.series)
        ]
        return 200, {"status": "success", "data": {"resultType": "matrix", "result": result}}

    @staticmethod
    def value(number: int, time: float) -> float:
        return (number + 1) * (time - BEGIN)


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = dict(urllib.parse.parse_qsl(body))
            fake.asked.append(form)
            fake.headers.append(dict(self.headers))
            code, content = fake.answer(form)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code if self.path == "/api/v1/query_range" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def records(url: str, seconds: int, pauses: list[float] | None = None, **more: Any) -> Any:
    period = Period(BEGIN * 1000, (BEGIN + seconds) * 1000)
    series = SeriesQuery(**{"query": JOB, "step_seconds": 60.0, **more})
    sleep = [].append if pauses is None else pauses.append
    return PrometheusRecords(url, series, 15.0, period, sleep)


def test_values_are_records_of_the_codec_in_the_order_of_time(fake: Fake, url: str) -> None:
    found = list(records(url, 120))
    assert [record.timestamp // 1000 - BEGIN for record in found] == [0] * 6 + [60] * 6
    value = json.loads(found[7].value)
    assert value == {
        "name": "cpu_seconds_total",
        "labels": {k: v for k, v in SERIES[1].items() if v},
        "timestamp": "2026-01-01T00:01:00Z",
        "value": "120.0",
    }
    assert fake.asked[0]["query"] == JOB


def test_long_periods_are_asked_for_by_the_hour_at_multiples_of_the_step(
    fake: Fake, url: str
) -> None:
    found = records(url, 3 * 3600 + 30)
    found._begin_ms += 7_000
    times = sorted({record.timestamp for record in found})
    assert times == list(range((BEGIN + 60) * 1000, (BEGIN + 3 * 3600 + 1) * 1000, 60_000))
    spans = [float(form["end"]) - float(form["start"]) for form in fake.asked]
    assert spans == [3540.0, 3540.0, 3540.0]


def test_a_server_that_refuses_so_much_is_asked_for_less(fake: Fake, url: str) -> None:
    fake.most_points = 20
    assert len({record.timestamp for record in records(url, 3600)}) == 60
    fake.most_points = 0
    with pytest.raises(UserError, match="refuses to answer: HTTP 422, query processing would load"):
        list(records(url, 3600))


def test_failures_that_pass_are_waited_for(fake: Fake, url: str) -> None:
    pauses: list[float] = []
    fake.failures = [(502, b""), (429, {"error": "slow down"})]
    assert len(list(records(url, 60, pauses))) == 6
    assert pauses == [1.0, 4.0]
    fake.failures = [(500, {"error": "no disk"})] * 9
    with pytest.raises(UserError, match=r"does not answer.*Received: HTTP 500, no disk\."):
        list(records(url, 60))
    with pytest.raises(UserError, match=r"does not answer.*refused"):
        list(records("http://127.0.0.1:1", 60))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ((400, {"error": "parse error"}), "refuses the query.*HTTP 400, parse error"),
        ((401, b"no"), "refuses the query.*HTTP 401"),
        ((200, b"<html>"), "does not answer as Prometheus does.*<html>"),
        ((200, {"status": "success"}), "does not answer as Prometheus does"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    fake: Fake, url: str, failure: tuple[int, Any], expected: str
) -> None:
    fake.failures = [failure]
    with pytest.raises(UserError, match=expected):
        list(records(url, 60))


def test_results_of_functions_have_no_names(fake: Fake, url: str) -> None:
    fake.series = [{"instance": "web-1"}]
    with pytest.raises(UserError, match="have no names"):
        list(records(url, 60))


def test_a_login_and_a_tenant_are_sent_and_not_shown(fake: Fake, url: str) -> None:
    login = url.replace("http://", "http://me:s%40fe@")
    found = records(login, 60, headers=(("X-Scope-OrgID", "team"),))
    assert len(list(found)) == 6
    assert found.name == url
    expected = base64.b64encode(b"me:s@fe").decode()
    assert fake.headers[0]["Authorization"] == f"Basic {expected}"
    sent = {name.lower(): value for name, value in fake.headers[0].items()}
    assert sent["x-scope-orgid"] == "team"


def test_channels_keys_and_rows_are_those_of_the_topic(url: str) -> None:
    """Names have the labels that tell series apart; the key is the instance unless told."""
    known = Settings.load(input={"codec": "prometheus"}, window={"interval_seconds": 60})
    options = RecordOptions(
        since="2026-01-01T00:00:00+00:00", until="2026-01-01T00:03:00+00:00", query=JOB, step="1m"
    )
    data = read_data([f"prometheus:{url}"], DataOptions(), lambda: known, options.reading())
    assert data.keys == (b"web-1", b"web-2")
    assert data.channels == (
        'cpu_seconds_total{mode="idle"}',
        'cpu_seconds_total{mode="user"}',
        "load",
    )
    assert data.tables[1].values.tolist() == [[0, 0, 0], [300, 360, 240], [600, 720, 480]]


def test_wrong_use_is_said_before_anything_is_asked(
    fake: Fake, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        "Expected --query with a selector": (f"prometheus:{url}",),
        "Expected prometheus:URL": ("prometheus:prom:9090", "--query", "up"),
        "Expected --step like": (f"prometheus:{url}", "--query", "up", "--step", "often"),
        "Expected NAME: VALUE": (f"prometheus:{url}", "--query", "up", "--header", "x"),
    }
    for expected, words in cases.items():
        assert main(["train", *words, "--out", "model"]) == 2
        assert re.search(expected, capsys.readouterr().err)
    assert not fake.asked

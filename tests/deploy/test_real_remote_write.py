"""A real Prometheus takes the series of `ember remote-write`: the hour before an alert too."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from stream.bridge import RESULTS
from stream.observe import BridgeHealth, RemoteWriteMetrics
from stream.remote_write import OUTCOMES, READ, probe
from stream.scores import encode
from stream.settings import Settings
from stream.testing import EmbeddedBroker
from tests.deploy.test_dashboards import panels
from tests.deploy.test_real_prometheus import free_port
from tests.stream.bridge.fakes import trigger
from tests.stream.remote_write.running import value_of, writing
from tests.stream.remote_write.scored import SECOND_US, scored

pytestmark = [pytest.mark.slow, pytest.mark.broker]

PARTITIONS = 3
MINUTE_US = 60 * SECOND_US
_PATIENCE_SECONDS = 60.0


def until(what: str, holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.2)
    return found


class Store:
    """A Prometheus that takes remote-write."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: Any) -> Any:
        url = f"{self.address}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def samples(self, selector: str) -> dict[str, list[tuple[float, float]]]:
        """Samples as they are stored, of the last two hours, by the text of the other labels."""
        answer = self.get("/api/v1/query", query=f"{selector}[2h]")
        return {
            each["metric"].get("channel", ""): [(t, float(v)) for t, v in each["values"]]
            for each in answer["data"]["result"]
        }


@contextmanager
def prometheus_with(program: str, folder: Path, *flags: str, window: str = "") -> Iterator[Store]:
    folder.mkdir()
    text = f"storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n" if window else "{}\n"
    (folder / "prometheus.yml").write_text(text)
    port = free_port()
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            found = Store(port)
            until("Prometheus", found.is_ready)
            yield found
        finally:
            process.terminate()
            process.wait()


class Written:
    """A fleet of which one key fires, and the process that writes it."""

    def __init__(self, broker: EmbeddedBroker, store: Store, **own: Any) -> None:
        self.settings = Settings.load(
            kafka={"bootstrap_servers": broker.bootstrap},
            input={"topics": "telemetry"},
            output={"scores": "all"},
            incidents={"key_pattern": "{site}-{host}"},
            remote_write={"url": f"{store.address}/api/v1/write", "step_seconds": 30, **own},
        )
        self.metrics = RemoteWriteMetrics(READ, OUTCOMES, RESULTS, process=False)
        self.health = BridgeHealth(time.monotonic())
        self.now_us = int(time.time()) * SECOND_US // MINUTE_US * MINUTE_US
        self.bootstrap = broker.bootstrap

    def rows(self, first_minute: int, last_minute: int) -> None:
        """Send a row a minute of three keys; minutes are counted from now."""
        keys = [b"berlin-1", b"berlin-2", b"paris-1"]
        batches = [
            scored(keys, [self.now_us + minute * MINUTE_US] * len(keys))
            for minute in range(first_minute, last_minute + 1)
        ]
        records = [Send(None, encode(batch), partition=0) for batch in batches]
        kafka_client.produce(self.bootstrap, "telemetry.scores", records)

    def fires(self, key: str, minute: int) -> None:
        starts = datetime.fromtimestamp((self.now_us + minute * MINUTE_US) / 1e6, UTC).isoformat()
        body = trigger(key, starts=starts)
        kafka_client.produce(
            self.bootstrap, "telemetry.triggers", [Send(key.encode(), body, partition=0)]
        )

    def running(self) -> AbstractContextManager[None]:
        return writing(self.settings, self.metrics, self.health)

    def value(self, name: str) -> float:
        return value_of(self.metrics, name)


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({"telemetry.scores": PARTITIONS, "telemetry.triggers": PARTITIONS}) as it:
        yield it


def test_the_hour_before_an_alert_is_there(
    prometheus: str, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    receiver = "--web.enable-remote-write-receiver"
    with prometheus_with(prometheus, tmp_path / "p", receiver, window="3h") as store:
        # The scores of the present are there before anybody asks for those of the hour before.
        written = Written(broker, store, keys="paris-*", before_seconds=3_600)
        written.rows(-90, -11)
        with written.running():
            until("the key of the pattern", lambda: store.samples('ember_value{key="paris-1"}'))
            assert store.samples('ember_value{key="berlin-1"}') == {}
            written.fires("berlin-1", -10)
            written.rows(-10, -5)
            selector = 'ember_value{key="berlin-1",site="berlin",host="1",topic="telemetry"}'
            newest = (written.now_us - 5 * MINUTE_US) / 1e6

            def arrived() -> Any:
                samples = store.samples(selector)
                return samples if samples and samples["cpu"][-1][0] == newest else None

            samples = until("the rows of the alert", arrived)
            until("the end", lambda: written.value("ember_remote_write_waiting_samples") == 0)
        minutes = [round((t * 1e6 - written.now_us) / MINUTE_US) for t, _ in samples["cpu"]]
        assert minutes == list(range(-70, -4))  # the hour before -10, and what came since
        assert set(samples) == {"cpu", "disk", "latency"}
        assert store.samples('ember_value{key="berlin-2"}') == {}
        bands = {
            name: store.samples(f'ember_{name}{{key="berlin-1"}}')["cpu"][0][1]
            for name in ("value", "usual", "lower", "upper")
        }
        assert bands["usual"] == bands["value"] + 0.5
        assert (bands["lower"], bands["upper"]) == (bands["usual"] - 1, bands["usual"] + 1)
        # Nothing is known of the usual value of the last channel: no series, no zeros.
        assert set(store.samples('ember_usual{key="berlin-1"}')) == {"cpu", "disk"}
        assert len(store.samples('ember_evidence{key="berlin-1"}')[""]) == 66
        assert written.value('ember_remote_write_samples_total{outcome="refused"}') == 0
        for title, query in dashboard_queries("telemetry", "berlin-1", "cpu").items():
            at = (written.now_us - 5 * MINUTE_US) / 1e6
            assert store.get("/api/v1/query", query=query, time=at)["data"]["result"], title


def dashboard_queries(topic: str, key: str, channel: str) -> dict[str, str]:
    """Queries of the dashboard `One key` with its variables filled in."""
    values = {"topic": topic, "key": key, "channel": channel}
    return {
        f"{panel['title']} {target['refId']}": re.sub(
            r"\$(\w+)", lambda match: values[match[1]], target["expr"]
        )
        for panel in panels("key")
        for target in panel["targets"]
    }


def test_a_restart_sends_what_is_missing(
    prometheus: str, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """An alert after the restart has its hour before, which was read before the restart."""
    receiver = "--web.enable-remote-write-receiver"
    with prometheus_with(prometheus, tmp_path / "p", receiver, window="3h") as store:
        written = Written(broker, store, keys="paris-*", before_seconds=1_800)
        written.rows(-60, -20)
        with written.running():
            until("the key of the pattern", lambda: store.samples('ember_value{key="paris-1"}'))
        written.fires("berlin-2", -15)
        written.rows(-19, -12)
        with written.running():
            newest = (written.now_us - 12 * MINUTE_US) / 1e6

            def arrived() -> Any:
                samples = store.samples('ember_severity{key="berlin-2"}')
                return samples if samples and samples[""][-1][0] == newest else None

            samples = until("the rows of the alert", arrived)[""]
        minutes = [round((t * 1e6 - written.now_us) / MINUTE_US) for t, _ in samples]
        assert minutes == list(range(-45, -11))


def test_without_a_window_the_past_is_refused_and_the_present_is_not(
    prometheus: str, broker: EmbeddedBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One refused sample takes no other along, and the log says what to set."""
    receiver = "--web.enable-remote-write-receiver"
    with prometheus_with(prometheus, tmp_path / "p", receiver) as store:
        written = Written(broker, store, keys="paris-*", before_seconds=7_200)
        written.rows(-110, -11)
        with written.running():
            until("the key of the pattern", lambda: store.samples('ember_value{key="paris-1"}'))
            written.fires("berlin-1", -10)
            written.rows(-10, -5)
            newest = (written.now_us - 5 * MINUTE_US) / 1e6

            def arrived() -> Any:
                samples = store.samples('ember_value{key="berlin-1"}')
                return samples if samples and samples["cpu"][-1][0] == newest else None

            samples = until("the newest row", arrived)["cpu"]
        assert written.value('ember_remote_write_samples_total{outcome="refused"}') > 0
        # Prometheus takes what is less than an hour older than its newest sample.
        assert len(samples) > 40
        said = capsys.readouterr()
        assert "`out_of_order_time_window` of 3h" in said.out + said.err


def test_the_doctor_knows_the_window(prometheus: str, tmp_path: Path) -> None:
    """By two samples: a Prometheus as it comes refuses the older one."""
    receiver = "--web.enable-remote-write-receiver"
    now_us = time.time_ns() // 1_000
    for folder, flags, window, outcome, words in (
        ("none", [], "", "unreachable", "--web.enable-remote-write-receiver"),
        ("now", [receiver], "", "out_of_order", "`out_of_order_time_window` of 2h"),
        ("all", [receiver], "2h", "accepted", ""),
    ):
        with prometheus_with(prometheus, tmp_path / folder, *flags, window=window) as store:
            settings = Settings.load(remote_write={"url": f"{store.address}/api/v1/write"})
            answer = probe(settings, now_us)
            assert answer.outcome == outcome
            assert words in answer.error
            assert probe(settings, now_us + 60 * SECOND_US).outcome == outcome  # and again


def test_without_its_settings_prometheus_says_what_to_do(
    prometheus: str, broker: EmbeddedBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with prometheus_with(prometheus, tmp_path / "p") as store:
        written = Written(broker, store, keys="paris-*")
        written.rows(-3, -1)

        def receiver() -> str:
            checks = written.health.ready(time.monotonic()).checks
            return next(check.detail for check in checks if check.name == "receiver")

        with written.running():
            until("the refusal", lambda: "--web.enable-remote-write-receiver" in receiver())
        assert written.value("ember_remote_write_waiting_samples") > 0

"""One page for all workers of a host."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.http_client import bearer
from stream.observe import Health, HostMetrics, HttpServer, Metrics
from stream.observe import host as host_module
from stream.observe.host import merge


def worker(records: int) -> Metrics:
    metrics = Metrics(["telemetry"], process=False)
    empty = np.zeros(0, dtype=np.int64)
    metrics.consumed(
        "telemetry", messages=records, counts={}, time_us=empty, now_seconds=0.0, seconds=0.003
    )
    return metrics


def test_every_sample_says_whose_it_is_and_none_is_lost() -> None:
    """Each family appears once, with the samples of all workers unchanged."""
    pages = [worker(n).render().decode() for n in (5, 7)]
    merged = merge([*pages, None]).decode()
    for name in ("ember_records_total", "ember_process_duration_seconds"):
        assert merged.count(f"# TYPE {name} ") == 1
    values = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(merged)
        for sample in family.samples
    }
    for number, page in enumerate(pages):
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = {**sample.labels, "worker": str(number)}
                assert values.pop((sample.name, tuple(sorted(labels.items())))) == sample.value
    answered = {
        number: values.pop(("ember_worker_up", (("worker", str(number)),))) for number in range(3)
    }
    assert answered == {0: 1, 1: 1, 2: 0}
    assert values == {}


def fetch(url: str, authorization: str = "") -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=10
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""


@pytest.fixture
async def two() -> AsyncIterator[list[HttpServer]]:
    servers = [HttpServer(worker(n), Health(0.0), port=0, token="sesame é") for n in (5, 7)]
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.stop()


async def test_it_asks_the_workers_and_asks_for_their_token(two: list[HttpServer]) -> None:
    workers = [f"http://127.0.0.1:{server.port}" for server in two]
    host = HostMetrics("127.0.0.1", 0, workers, "sesame é")

    right = bearer("sesame é")

    def get(path: str, authorization: str) -> tuple[int, str]:
        return fetch(f"http://127.0.0.1:{host.port}{path}", authorization)

    try:
        status, text = await asyncio.to_thread(get, "/metrics", right)
        assert status == 200
        for number, records in enumerate((5.0, 7.0)):
            assert f'ember_records_total{{topic="telemetry",worker="{number}"}} {records}' in text
        for wrong in ("Bearer wrong", "Bearer sesame \xe9", "Basic sesame", ""):
            assert (await asyncio.to_thread(get, "/metrics", wrong))[0] == 401
        assert (await asyncio.to_thread(get, "/other", right))[0] == 404
        await two[1].stop()
        status, text = await asyncio.to_thread(get, "/metrics", right)
        assert status == 200
        assert 'ember_worker_up{worker="0"} 1.0' in text
        assert 'ember_worker_up{worker="1"} 0.0' in text
        await two[0].stop()
        status, text = await asyncio.to_thread(get, "/metrics", right)
        assert status == 200
        assert text.splitlines()[2:] == [f'ember_worker_up{{worker="{n}"}} 0.0' for n in (0, 1)]
    finally:
        await asyncio.to_thread(host.close)


@contextlib.contextmanager
def says(answer: bytes | None) -> Iterator[str]:
    """Address of a server that sends these bytes and hangs up; None: it sends nothing."""
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                if answer is None:
                    released.wait()
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        released.set()
        thread.join()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 503 no\r\n\r\n",
        OK + b"Content-Length: 100\r\n\r\nember_phase 1\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"\r\n\xff",
        OK + b"\r\n<html>{{{",
    ],
    ids=["silence", "nothing", "no HTTP", "refusal", "cut", "chunks", "no UTF-8", "no metrics"],
)
def test_what_does_not_answer_as_a_worker_is_down(
    answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is served all the same."""
    monkeypatch.setattr(host_module, "_TIMEOUT_SECONDS", 0.2)
    with says(answer) as url, contextlib.closing(HostMetrics("127.0.0.1", 0, [url])) as host:
        status, text = fetch(f"http://127.0.0.1:{host.port}/metrics")
    assert status == 200
    assert text.splitlines()[2:] == ['ember_worker_up{worker="0"} 0.0']


def test_who_connects_and_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "_CLIENT_SECONDS", 0.1)
    with (
        contextlib.closing(HostMetrics("127.0.0.1", 0, [])) as host,
        socket.create_connection(("127.0.0.1", host.port), timeout=60) as silent,
    ):
        assert silent.recv(1) == b""


@pytest.mark.parametrize("address", ["::1", "::"])
def test_it_listens_on_ipv6(address: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with contextlib.closing(HostMetrics(address, 0, ["http://127.0.0.1:1"])) as host:
        status, text = fetch(f"http://[::1]:{host.port}/metrics")
    assert status == 200
    assert 'ember_worker_up{worker="0"} 0.0' in text


def test_a_taken_port_is_an_error() -> None:
    with contextlib.closing(HostMetrics("127.0.0.1", 0, [])) as host, pytest.raises(OSError):
        HostMetrics("127.0.0.1", host.port, [])

"""One page for all workers of a host."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.observe import Health, HostMetrics, HttpServer, Metrics
from stream.observe.host import merge


def worker(records: int) -> Metrics:
    metrics = Metrics(["telemetry"], process=False)
    nothing = np.zeros(0, dtype=np.int64)
    metrics.consumed(
        "telemetry", messages=records, counts={}, time_us=nothing, now_seconds=0.0, seconds=0.003
    )
    return metrics


def test_every_sample_says_whose_it_is_and_none_is_lost() -> None:
    """Families once, samples of all, values as they were."""
    pages = [worker(n).render().decode() for n in (5, 7)]
    whole = merge([*pages, None]).decode()
    assert whole.endswith("# worker 2 did not answer\n")
    for name in ("ember_records_total", "ember_process_duration_seconds"):
        assert whole.count(f"# TYPE {name} ") == 1
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(whole)
        for sample in family.samples
    }
    for number, page in enumerate(pages):
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = {**sample.labels, "worker": str(number)}
                assert found.pop((sample.name, tuple(sorted(labels.items())))) == sample.value
    assert found == {}


@pytest.fixture
async def two() -> AsyncIterator[list[HttpServer]]:
    servers = [HttpServer(worker(n), Health(0.0), port=0, token="sesame") for n in (5, 7)]
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.stop()


async def test_it_asks_the_workers_and_asks_for_their_token(two: list[HttpServer]) -> None:
    import asyncio

    workers = [f"http://127.0.0.1:{server.port}" for server in two]
    host = HostMetrics("127.0.0.1", 0, workers, "sesame")

    def get(path: str, token: str) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{host.port}{path}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, ""

    try:
        status, text = await asyncio.to_thread(get, "/metrics", "sesame")
        assert status == 200
        for number, records in enumerate((5.0, 7.0)):
            assert f'ember_records_total{{topic="telemetry",worker="{number}"}} {records}' in text
        assert (await asyncio.to_thread(get, "/metrics", "wrong"))[0] == 401
        assert (await asyncio.to_thread(get, "/other", "sesame"))[0] == 404
        await two[1].stop()
        status, text = await asyncio.to_thread(get, "/metrics", "sesame")
        assert status == 200
        assert "# worker 1 did not answer" in text
    finally:
        await asyncio.to_thread(host.close)

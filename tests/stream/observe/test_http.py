"""The port for metrics and probes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from stream.errors import UserError
from stream.observe import Health, HttpServer, Metrics


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """Server on a free port; its clock shows 5."""
    server = HttpServer(
        Metrics(["telemetry"], process=False),
        Health(0.0),
        info=lambda: {"version": "1"},
        port=0,
        clock=lambda: 5.0,
    )
    await server.start()
    yield server
    await server.stop()


async def get(server: HttpServer, path: str) -> tuple[int, str, str]:
    url = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_metrics_are_in_prometheus_text_format(server: HttpServer) -> None:
    """Content type and content."""
    status, kind, text = await get(server, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert 'ember_records_total{topic="telemetry"} 0.0' in text


async def test_probes_answer_with_their_checks(server: HttpServer) -> None:
    """Probes answer 200 or 503, with the reason in the body."""
    status, kind, text = await get(server, "/livez")
    assert (status, kind.partition(";")[0]) == (200, "application/json")
    assert '"event_loop"' in text
    status, _, text = await get(server, "/readyz")
    assert status == 503
    assert "the group has assigned none yet" in text
    status, _, text = await get(server, "/startupz")
    assert (status, '"failing"' in text) == (503, True)


async def test_a_token_guards_everything_but_the_probes() -> None:
    """Prometheus sends the token; without it only the probes answer."""
    server = HttpServer(Metrics([], process=False), Health(0.0), port=0, token="sesame é")
    await server.start()
    base = f"http://127.0.0.1:{server.port}"
    try:
        async with aiohttp.ClientSession() as session:
            for path in ("/metrics", "/info", "/unknown"):
                for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
                    async with session.get(base + path, headers=header) as answer:
                        assert answer.status == 401
                        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            async with session.get(base + "/livez") as answer:
                assert answer.status in (200, 503)
            right = {"Authorization": "bearer sesame é"}
            async with session.get(base + "/metrics", headers=right) as answer:
                assert answer.status == 200
            async with session.post(base + "/metrics", headers=right) as answer:
                assert answer.status == 405
    finally:
        await server.stop()


async def test_a_token_that_is_no_text_is_a_wrong_one() -> None:
    server = HttpServer(Metrics([], process=False), Health(0.0), port=0, token="sesame é")
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /info HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame \xe9\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop()


async def test_info_and_unknown_paths(server: HttpServer) -> None:
    """The body is that of the application; other paths are 404."""
    assert (await get(server, "/info"))[2] == '{"version": "1"}'
    assert (await get(server, "/"))[0] == 404


async def test_a_taken_port_is_one_sentence(server: HttpServer) -> None:
    """The error names the setting, and no task or socket remains."""
    second_server = HttpServer(Metrics([], process=False), Health(0.0), port=server.port)
    with pytest.raises(UserError, match=rf"http\.port={server.port}"):
        await second_server.start()
    await second_server.stop()


async def test_stop_twice_and_the_heart_stops() -> None:
    """No task survives."""
    server = HttpServer(Metrics([], process=False), Health(0.0), port=0)
    await server.start()
    await server.stop()
    await server.stop()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "ember-heartbeat"] == []


async def test_a_reload_needs_a_token_and_answers_with_what_came_of_it() -> None:
    """Without a token, any web page in a browser on this host could reload."""
    worked = True

    async def reload() -> tuple[bool, dict[str, str]]:
        return worked, {"result": "applied" if worked else "refused"}

    for token in ("", "sesame"):
        health, metrics = Health(0.0), Metrics([], process=False)
        server = HttpServer(metrics, health, port=0, token=token, reload=reload)
        await server.start()
        url = f"http://127.0.0.1:{server.port}/reload"
        try:
            async with aiohttp.ClientSession() as session:
                async with session.post(url) as answer:
                    assert answer.status == (401 if token else 403)
                if not token:
                    continue
                right = {"Authorization": f"Bearer {token}"}
                async with session.get(url, headers=right) as answer:
                    assert answer.status == 405
                async with session.post(url, headers=right) as answer:
                    assert (answer.status, await answer.json()) == (200, {"result": "applied"})
                worked = False
                async with session.post(url, headers=right) as answer:
                    assert (answer.status, await answer.json()) == (409, {"result": "refused"})
        finally:
            await server.stop()


async def test_the_comparison_is_shown_where_there_is_one(server: HttpServer) -> None:
    status, _, text = await get(server, "/shadow")
    assert status == 404
    assert "model.shadow is not set" in text
    server._shadow = lambda: {"rows": 7}
    status, _, text = await get(server, "/shadow")
    assert (status, text) == (200, '{"rows": 7}')

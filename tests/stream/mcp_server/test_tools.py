"""Tools of `ember mcp`, asked by the SDK's own client, over a console that is filled."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="mcp is not installed")
import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from stream.console.app import make_app
from stream.console.console import Console
from stream.errors import UserError
from stream.mcp_server import ConsoleApi, make_server, serve
from stream.mcp_server._serve import READING, WRITING
from stream.settings import Settings
from tests.stream.console.filled import END_US, TOKEN, USER, filled_console

SOURCES = str(Path(__file__).resolve().parents[3])
HOUR_US = 3_600_000_000


@contextmanager
def address_of(console: Console) -> Iterator[str]:
    """A console on a port of its own."""
    config = uvicorn.Config(
        make_app(console), host="127.0.0.1", port=0, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with address_of(filled_console(keys=53, hours=1.0)) as found:
        yield found


@asynccontextmanager
async def client_of(address: str, token: str = "") -> AsyncIterator[Client]:
    async with Client(make_server(ConsoleApi(address, token), writes=bool(token))) as client:
        yield client


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(name, arguments)
    assert not answer.is_error, answer.content
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content


async def refusal(client: Client, name: str, **arguments: Any) -> str:
    answer = await client.call_tool(name, arguments)
    assert answer.is_error
    return " ".join(part.text for part in answer.content if part.type == "text")


async def test_only_reading_tools_are_there_unless_asked_for_more(address: str) -> None:
    async with client_of(address) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == set(READING)
        for tool in tools.values():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is True
            assert tool.description
    async with client_of(address, TOKEN) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {*READING, *WRITING}
        assert not any(tools[name].annotations.read_only_hint for name in WRITING)


async def test_alerts_have_their_reasons(address: str) -> None:
    async with client_of(address) as client:
        answer = await call(client, "what_fires")
    assert answer["keys"] == 53
    assert answer["firing_keys"] == len({each["key"] for each in answer["alerts"]}) == 3
    assert {each["key"] for each in answer["alerts"]} == {"web-001", "web-002", "cache-005"}
    for alert in answer["alerts"]:
        assert alert["status"] == "firing"
        assert alert["channels"][0]["name"] == "cpu"
        low, high = alert["channels"][0]["usual_range"]
        assert low <= high
        assert alert["began"].endswith("Z")


async def test_episodes_of_a_key_and_keys_by_pattern(address: str) -> None:
    async with client_of(address) as client:
        answer = await call(client, "episodes", key="web-001")
        assert [each["key"] for each in answer["episodes"]] == ["web-001"]
        found = await call(client, "find_keys", pattern="pump-*", limit=3)
        assert len(found["keys"]) == 3
        assert found["total"] == 10
        assert all(each["key"].startswith("pump-") for each in found["keys"])
        firing = await call(client, "find_keys", firing=True)
        assert firing["total"] == 3


async def test_a_series_is_a_few_numbers(address: str) -> None:
    async with client_of(address) as client:
        answer = await call(client, "key_series", key="web-001", hours=1)
        one = await call(client, "key_series", key="web-001", channels=["cpu"])
        assert set(one["channels"]) == {"cpu"}
        assert len(str(answer)) < 6_000
    cpu = answer["channels"]["cpu"]
    assert cpu["least"] <= cpu["mean"] <= cpu["greatest"]
    # The fault is in the last nine rows, far above the band.
    assert cpu["outside_band"][-1]["points"] >= 8
    assert cpu["greatest_departure"]["band_widths"] > 1
    assert answer["firing"][-1]["points"] == 8
    assert answer["severity"]["greatest"] > 5
    assert answer["coverage"] == 0.95


async def test_the_summary_is_that_of_the_rows(address: str) -> None:
    series = ConsoleApi(address).get(
        "/api/keys/web-001/series", begin_us=END_US - HOUR_US, end_us=END_US, points=2_000
    )
    async with client_of(address) as client:
        cpu = (await call(client, "key_series", key="web-001"))["channels"]["cpu"]
    rows = series["channels"]["cpu"]
    triples = list(zip(rows["value"], rows["lower"], rows["upper"], strict=True))
    outside = sum(not lower <= value <= upper for value, lower, upper in triples)
    assert cpu["points"] == len(triples)
    assert cpu["share_outside_band"] == pytest.approx(outside / len(triples), abs=1e-3)
    assert cpu["mean"] == pytest.approx(sum(rows["value"]) / len(triples), rel=1e-4)


async def test_incidents_and_documents(address: str) -> None:
    async with client_of(address) as client:
        answer = await call(client, "incidents", status="")
        assert answer["incidents"]
        assert answer["incidents"][0]["first_keys"]
        documents = await call(client, "documents")
        assert documents["total"] == len(documents["documents"])


async def test_what_if_names_the_pages_that_are_gone() -> None:
    """The difference is listed, not all pages; nothing is written."""
    with address_of(filled_console(keys=53, hours=1.0)) as address:
        question = {"pattern": "*", "hours": 1, "rules": [{"channels": ["cpu"], "ignore": True}]}
        async with client_of(address) as client:
            before = await call(client, "documents")
            answer = await call(client, "what_if", **question)
            assert await call(client, "documents") == before
    assert answer["gone_total"] == len(answer["gone"]) > 0
    assert answer["pages_before"] - answer["pages_after"] == answer["gone_total"]
    assert all(page["key"] and page["began"] for page in answer["gone"])


async def test_mistakes_are_sentences(address: str) -> None:
    async with client_of(address) as client:
        assert "There is no such key" in await refusal(client, "key_series", key="nobody")
        assert "ISO 8601" in await refusal(client, "key_series", key="web-001", until="soon")
        assert "limit" in await refusal(client, "what_fires", limit=0)
        assert "what_if" in await refusal(client, "what_if", hours=1, budget="much")
    async with client_of("http://127.0.0.1:9") as client:
        assert "Start it, or name another address" in await refusal(client, "what_fires")


async def test_writes_are_documents_with_a_way_back() -> None:
    with address_of(filled_console(keys=17, hours=0.5)) as address:
        async with client_of(address, TOKEN) as client:
            event = (await call(client, "what_fires"))["alerts"][0]["event"]
            given = await call(
                client, "give_feedback", event=event, verdict="false-alarm", note="a test run"
            )
            assert given["written"]["author"] == USER
            name = given["written"]["document"]
            assert name.startswith("feedback/")
            documents = (await call(client, "documents"))["documents"]
            assert name in [each["document"] for each in documents]
            silenced = await call(
                client, "silence", keys=["web-*"], minutes=30, reason="maintenance"
            )
            await call(client, "acknowledge", event=event, note="I look at it")
            for document in (name, silenced["written"]["document"]):
                removed = await call(client, "remove_document", document=document)
                assert removed["removed"] == document
            left = [each["document"] for each in (await call(client, "documents"))["documents"]]
            assert name not in left
            assert "There is no such event" in await refusal(
                client, "give_feedback", event="none", verdict="real", note=""
            )


async def test_a_wrong_token_writes_nothing() -> None:
    with address_of(filled_console(keys=17, hours=0.5)) as address:
        async with client_of(address, "wrong") as client:
            text = await refusal(client, "silence", keys=["*"], minutes=5, reason="x")
            assert "Nobody answers for this write" in text


async def test_over_stdio_as_an_assistant_starts_it(address: str, tmp_path: Path) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "stream.cli", "mcp", "--url", address],
        cwd=str(tmp_path),
        env={"PYTHONPATH": SOURCES},
    )
    async with Client(stdio_client(parameters)) as client:
        assert (await call(client, "what_fires"))["firing_keys"] == 3


def test_writing_needs_a_token() -> None:
    with pytest.raises(UserError, match=r"console\.token"):
        serve(Settings(), writes=True)
    with pytest.raises(UserError, match="http"):
        serve(Settings(), "localhost:6058")


def test_a_missing_package_is_one_sentence(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['mcp'] = None\n"
        "from stream.cli import main; sys.exit(main(['mcp']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "extra `mcp`" in done.stderr
    assert "Traceback" not in done.stderr

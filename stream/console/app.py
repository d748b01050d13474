"""Web application of the console: API, live events and the files of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from stream.observe import ConsoleMetrics

from . import network, reading, what_if, writing
from .answers import ErrorAnswer
from .console import Console
from .endpoint import Endpoint, as_json
from .guard import GuardMiddleware
from .live import Live
from .openapi import openapi

STATIC: Final = Path(__file__).parent / "static"
_PAGES: Final = ("/", "/keys", "/keys/{key:path}", "/incidents", "/what-if", "/network", "/health")
_NO_PAGES: Final = ("/api/", "/static/")


def endpoints() -> tuple[Endpoint, ...]:
    """Return all endpoints of the API."""
    return (*reading.ENDPOINTS, *network.ENDPOINTS, *writing.ENDPOINTS, *what_if.ENDPOINTS)


def make_app(console: Console, more: Sequence[Endpoint] = ()) -> Starlette:
    """Return the application of a console.

    Args:
        console: The console.
        more: Endpoints beside those of every console.
    """
    live = Live(console)
    if console.replayer is not None:
        console.replayer.on_step = live.step
    api = (*endpoints(), *more)
    document = openapi(api)

    async def openapi_document(request: Request) -> Response:
        return as_json(document)

    async def ready(request: Request) -> Response:
        is_ready = console.reading.phase == "running"
        return PlainTextResponse(console.reading.phase, 200 if is_ready else 503)

    metrics = ConsoleMetrics()

    def render_metrics() -> bytes:
        with console.store.locked() as store:
            scores = store.scores
            metrics.state(
                size=store.nbytes,
                keys=len(store.table),
                lag=console.reading.lag,
                invalid=console.reading.invalid,
                read=scores.taken,
                dropped=scores.dropped,
                late=scores.late,
            )
        return metrics.render()

    async def get_metrics(request: Request) -> Response:
        return Response(await run_in_threadpool(render_metrics), media_type=CONTENT_TYPE_LATEST)

    routes: list[BaseRoute] = [
        *(endpoint.route(console) for endpoint in api),
        Route("/api/stream", live.stream),
        Route("/api/openapi.json", openapi_document),
        Route("/healthz", _alive),
        Route("/readyz", ready),
        Route("/metrics", get_metrics),
        Mount("/static", StaticFiles(directory=STATIC)),
        *(Route(path, _page) for path in _PAGES),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(GuardMiddleware, guard=console.guard)],
        exception_handlers={HTTPException: _refused},
    )


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _page(request: Request, status: int = 200) -> Response:
    return FileResponse(STATIC / "index.html", status, headers={"Cache-Control": "no-cache"})


async def _refused(request: Request, error: Exception) -> Response:
    """Answer a request without an endpoint: a browser gets the page, which says so itself."""
    assert isinstance(error, HTTPException)
    is_page = "text/html" in request.headers.get("accept", "")
    if error.status_code == 404 and is_page and not request.url.path.startswith(_NO_PAGES):
        return await _page(request, 404)
    sentences = {404: "There is nothing here.", 405: "This method cannot be used here."}
    text = sentences.get(error.status_code, f"{error.detail}.")
    return as_json(ErrorAnswer(text), error.status_code)

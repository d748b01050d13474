"""HTTP server of `/metrics`, `/livez`, `/readyz`, `/startupz`, `/info`, `/shadow` and `/reload`.

Only `POST /reload` changes anything; it requires the token. The server starts before the worker, so
that it answers while the worker recovers its state or waits for the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from stream.errors import UserError

from ._metric_set import MetricSet
from .health import Health, Report

_TICK_SECONDS = 1.0
_PROBES = ("/livez", "/readyz", "/startupz")


class HttpServer:
    """Server of metrics and probes, and the heartbeat that `/livez` reports.

    Args:
        metrics: Metrics of `/metrics`.
        health: State from which the probes are answered.
        info: Function that returns the body of `/info`; called at every request.
        shadow: Function that returns the body of `/shadow`, or None without a candidate.
        reload: Function that reloads settings and model; returns success and the body of the
            answer. None: there is no `/reload`.
        host: Address to listen on.
        port: Port to listen on; 0: any free port.
        token: Bearer token required by all endpoints except the probes; empty: none.
        clock: Monotonic clock, the same as that of `health`.
    """

    def __init__(
        self,
        metrics: MetricSet,
        health: Health,
        *,
        info: Callable[[], Mapping[str, Any]] = dict,
        shadow: Callable[[], Mapping[str, Any] | None] = lambda: None,
        reload: Callable[[], Awaitable[tuple[bool, Mapping[str, Any]]]] | None = None,
        host: str = "127.0.0.1",
        port: int = 6066,
        token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._info = info
        self._shadow = shadow
        self._reload = reload
        self._host = host
        self._port = port
        self._token = token.encode()
        self._clock = clock
        self._runner: web.AppRunner | None = None
        self._heart: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        if self._runner is None or not self._runner.addresses:
            return self._port
        port: int = self._runner.addresses[0][1]
        return port

    def application(self) -> web.Application:
        """Return the application with its routes; tests run it without a port."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/info", self._get_info)
        app.router.add_get("/shadow", self._get_shadow)
        if self._reload is not None:
            app.router.add_post("/reload", self._post_reload)
        reports = (self._health.live, self._health.ready, self._health.started)
        for path, report in zip(_PROBES, reports, strict=True):
            app.router.add_get(path, self._probe(report))
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Require the token, except of probes: the kubelet sends none, and they disclose little."""
        if self._token and request.path not in _PROBES:
            scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
            # aiohttp decodes bytes that are not UTF-8 to surrogates.
            received = credentials.strip().encode("utf-8", "surrogateescape")
            is_valid = hmac.compare_digest(received, self._token)
            if scheme.lower() != "bearer" or not is_valid:
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="ember"'})
        return await handler(request)

    async def start(self) -> None:
        """Start to listen.

        Raises:
            UserError: If the address is in use, or is not one of this host.
        """
        runner = web.AppRunner(self.application(), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise UserError(
                f"The address for metrics and health cannot be listened on: {error.strerror}. "
                f"Received: http.host={self._host!r}, http.port={self._port}. Choose another one "
                "(0: any free port)."
            ) from None
        self._runner = runner
        self._heart = asyncio.create_task(self._beat(), name="ember-heartbeat")

    async def stop(self) -> None:
        """Stop listening; no-op when not started."""
        if self._heart is not None:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
            self._heart = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _beat(self) -> None:
        while True:
            self._health.tick(self._clock())
            await asyncio.sleep(_TICK_SECONDS)

    def _probe(
        self, report: Callable[[float], Report]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            result = report(self._clock())
            return web.json_response(result.body(), status=200 if result.ok else 503)

        return answer

    async def _get_metrics(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=self._metrics.render(), headers=headers)

    async def _get_shadow(self, request: web.Request) -> web.Response:
        comparison = self._shadow()
        if comparison is None:
            raise web.HTTPNotFound(text="There is no candidate: model.shadow is not set.\n")
        return web.json_response(dict(comparison))

    async def _post_reload(self, request: web.Request) -> web.Response:
        if not self._token:  # else any web page in a browser on this host could reload the worker
            raise web.HTTPForbidden(text="Set http.token, or send the process SIGHUP.\n")
        assert self._reload is not None
        applied, result = await self._reload()
        return web.json_response(dict(result), status=200 if applied else 409)

    async def _get_info(self, request: web.Request) -> web.Response:
        return web.json_response(dict(self._info()))

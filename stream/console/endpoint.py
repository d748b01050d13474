"""One endpoint of the API: its types, its checks, and its run beside the event loop."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from stream.control import ControlError
from stream.errors import UserError
from stream.kafka.control_topic.publisher import OutdatedError

from .answers import ErrorAnswer
from .console import Console
from .guard import RefusedError
from .views import NotKnownError

MOST_BODY_BYTES: Final = 262_144


@dataclass(frozen=True)
class Call:
    """Request of an endpoint, once it is checked.

    Attributes:
        console: The console.
        query: Query or body, of the endpoint's type.
        path: Parts of the path by name, decoded.
        user: Name of the caller; None for an unknown one.
        csrf: Token that this caller's writes need.
    """

    console: Console
    query: Any
    path: dict[str, str]
    user: str | None
    csrf: str


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes:
        method: HTTP method.
        path: Path, with names in braces.
        query: Type of the query, or of the body of a POST.
        answer: Type of the answer.
        run: Function that answers, in a thread.
        summary: Sentence for the OpenAPI document.
        changes: Whether a request other than GET changes something, and so needs a user.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    query: type[msgspec.Struct]
    answer: Any
    run: Callable[[Call], Any]
    summary: str
    changes: bool = True

    @property
    def writes(self) -> bool:
        """True for an endpoint that changes something, and so needs a user."""
        return self.changes and self.method != "GET"

    def route(self, console: Console) -> Route:
        """Return the route of a console."""

        async def answer(request: Request) -> Response:
            return await self._answer(console, request)

        return Route(self.path, answer, methods=[self.method])

    async def _answer(self, console: Console, request: Request) -> Response:
        try:
            user = console.guard.user_of(request)
            if self.writes:
                console.guard.require_writer(user)
            if self.method != "GET":
                console.guard.require_own_page(request, user)
            call = Call(
                console,
                await self._query(request),
                {n: urllib.parse.unquote(str(v)) for n, v in request.path_params.items()},
                user,
                console.guard.csrf_of(user),
            )
            return as_json(await run_in_threadpool(self.run, call))
        except RefusedError as error:
            return as_json(ErrorAnswer(str(error)), error.status)
        except NotKnownError as error:
            return as_json(ErrorAnswer(str(error)), 404)
        except UserError as error:
            return as_json(ErrorAnswer(error.message), _status_of(error))

    async def _query(self, request: Request) -> Any:
        """Return query or body of the endpoint's type.

        Raises:
            RefusedError: If it is of another.
        """
        is_body = self.method == "POST"
        try:
            if is_body:
                return msgspec.json.decode(await _body(request), type=self.query)
            return msgspec.convert(dict(request.query_params), self.query, strict=False)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
            part = "body" if is_body else "query"
            raise RefusedError(
                f"The {part} cannot be used. Expected what /api/openapi.json says of {self.path}. "
                f"Received: {error}.",
                400,
            ) from None


def _status_of(error: UserError) -> int:
    """Return the HTTP status of a user's mistake, of a conflict, or of an absent broker."""
    if isinstance(error, ControlError) or error.exit_code == 2:
        return 400
    return 409 if isinstance(error, OutdatedError) else 503


def as_json(answer: Any, status: int = 200) -> Response:
    """Return an answer as JSON; numbers that are not finite are null."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


async def _body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        RefusedError: If it is too large.
    """
    parts = bytearray()
    try:
        async for part in request.stream():
            parts += part
            if len(parts) > MOST_BODY_BYTES:
                raise RefusedError(
                    f"The body is too large. Expected at most {MOST_BODY_BYTES:,} bytes.", 413
                )
    except ClientDisconnect:
        raise RefusedError("The body was not sent to its end.", 400) from None
    return bytes(parts)

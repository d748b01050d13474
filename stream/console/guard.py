"""Guard of the console: who asks, by which name, and what browsers may do with the answers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import urllib.parse
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.settings import ConsoleSection

from .answers import ErrorAnswer

CSRF_HEADER: Final = "X-Ember-CSRF"
_MOST_USER: Final = 256
_SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class RefusedError(Exception):
    """A request that is refused; the message is a sentence.

    Args:
        message: The sentence.
        status: HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """Rules about callers.

    A write needs a user. A token names one, and so does a proxy that signs people in, whose header
    is believed from its own address only.

    Args:
        section: Settings of the console.
    """

    def __init__(self, section: ConsoleSection) -> None:
        self._token = section.token.get_secret_value().encode()
        self._token_user = section.user or "console"
        self._header = section.user_header
        self._proxies = [ipaddress.ip_network(text) for text in section.trusted_proxies]
        self._names = {"localhost", section.host.lower(), *(h.lower() for h in section.hosts)}
        self._secret = secrets.token_bytes(32)

    def user_of(self, request: Request) -> str | None:
        """Return the name of the caller; None for an unknown one."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self._token and scheme.lower() == "bearer":
            is_it = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)
            return self._token_user if is_it else None
        if self._header and request.client is not None and self._is_proxy(request.client.host):
            user = request.headers.get(self._header, "").strip()
            return user if 0 < len(user) <= _MOST_USER and user.isprintable() else None
        return None

    def csrf_of(self, user: str | None) -> str:
        """Return the token that a user's writes need: other sites cannot read it."""
        return hmac.new(self._secret, (user or "").encode(), hashlib.sha256).hexdigest()

    def require_writer(self, user: str | None) -> None:
        """Refuse a write that nobody answers for.

        Raises:
            RefusedError: With the reason.
        """
        if user is None:
            if not self._token and not (self._header and self._proxies):
                raise RefusedError(
                    "This console is read-only. Expected console.token, or console.user_header "
                    "with console.trusted_proxies. Received: neither. Set one of them.",
                    403,
                )
            raise RefusedError(
                "Nobody answers for this write. Expected `Authorization: Bearer TOKEN`, or the "
                "header of a trusted proxy. Received: neither, or another token.",
                403,
            )

    def require_own_page(self, request: Request, user: str | None) -> None:
        """Refuse a request that another site may have sent in the name of a user.

        Raises:
            RefusedError: With the reason.
        """
        origin = request.headers.get("origin", "")
        if origin and urllib.parse.urlsplit(origin).netloc != request.headers.get("host", ""):
            raise RefusedError("Another site sent this write. Send it from the console.", 403)
        csrf_token = request.headers.get(CSRF_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(csrf_token, self.csrf_of(user).encode()):
            raise RefusedError(
                f"The write has no valid {CSRF_HEADER}. Expected `csrf` of /api/status. Received: "
                "another. Ask for it again: a restart makes a new one.",
                403,
            )

    def is_known_host(self, host: str) -> bool:
        """Return True if a request may ask for the console by this name.

        A page of another site could point its own name at this address (DNS rebinding). An address
        in numbers cannot be pointed elsewhere.

        Args:
            host: Header `Host`.
        """
        try:
            name = urllib.parse.urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            name = host.rpartition(":")[0] or host
            return name.lower() in self._names
        return True

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


class GuardMiddleware:
    """Refuses unknown names, leaves paths of the API undecoded, and adds the headers of security.

    Args:
        app: Application.
        guard: Guard.
    """

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY.items():
                    headers[name] = value
                if scope["path"].startswith("/api/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        path = bytes(scope.get("raw_path") or b"").partition(b"?")[0]
        if path.startswith(b"/api/"):
            # A key may have slashes: parts of the path are decoded after they are taken apart.
            scope = {**scope, "path": path.decode("ascii", "replace")}
        host = Headers(scope=scope).get("host", "")
        if not self._guard.is_known_host(host):
            await _refuse(send_guarded)
            return
        await self._app(scope, receive, send_guarded)


async def _refuse(send: Any) -> None:
    body = msgspec.json.encode(
        ErrorAnswer(
            "The console is not known by this name. Expected its address, or a name in "
            "console.hosts. Add the name there."
        )
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})

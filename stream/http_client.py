"""HTTP client for requests with credentials, which it sends to no other address."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import Any


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that refuses redirects: urllib would send `Authorization` to other hosts too."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ):
        cause = f"{msg}, to {newurl}: redirects are not followed"
        raise urllib.error.HTTPError(req.full_url, code, cause, headers, fp)


def opener(context: ssl.SSLContext | None = None, proxy: str = "") -> urllib.request.OpenerDirector:
    """Return an opener that follows no redirect; its `HTTPError` names the new address.

    Args:
        context: Context with the trusted authorities; None: those of the system.
        proxy: Address of a proxy; empty: that of the environment, if there is one.
    """
    proxies = {"http": proxy, "https": proxy} if proxy else None
    return urllib.request.build_opener(
        _NoRedirects(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.ProxyHandler(proxies),
    )


def bearer(token: str) -> str:
    """Return the `Authorization` header of a token, as http.client must be passed it.

    http.client encodes headers as Latin-1; the bytes it sends are then UTF-8.
    """
    return f"Bearer {token}".encode().decode("latin-1")

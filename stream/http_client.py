"""HTTP requests of ours that carry credentials: these go to the address they are meant for only."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import Any


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib takes `Authorization` along, to other hosts and from https to http too."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ):
        why = f"{msg}, to {newurl}: redirects are not followed"
        raise urllib.error.HTTPError(req.full_url, code, why, headers, fp)


def opener(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """Opens requests and follows no redirect: the answer is an `HTTPError` that says whereto.

    Args:
        context: Whom to trust; None: those this system trusts.
    """
    return urllib.request.build_opener(_NoRedirects(), urllib.request.HTTPSHandler(context=context))


def bearer(token: str) -> str:
    """The `Authorization` of a token, such that http.client, which writes Latin-1, sends UTF-8."""
    return f"Bearer {token}".encode().decode("latin-1")

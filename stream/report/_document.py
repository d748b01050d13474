"""HTML document around a body: its style, and a policy that allows no loading."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from ._words import esc


def document(title: str, body: str, script: str = "") -> str:
    """Return the whole page.

    Args:
        title: Title of the page.
        body: HTML of the body, with all text of the data escaped.
        script: The one script that may run; empty: none may.
    """
    css = files(__package__).joinpath("report.css").read_text("utf-8")
    # The policy allows this one script and no loading, whatever the data contain.
    policy, element = "default-src 'none'; style-src 'unsafe-inline'", ""
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
        element = f"<script>{script}</script>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(title)}</title><style>{css}</style></head>"
        f"<body>{body}{element}</body></html>\n"
    )

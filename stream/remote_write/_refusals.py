"""Refusals of stores, as sentences that say what to do."""

from __future__ import annotations

import math
import re

from stream.settings import RemoteWriteSection

_TOO_OLD = re.compile(r"out of order|out of bounds|too old|too far in the past", re.IGNORECASE)
_TWICE = re.compile(r"duplicate sample|duplicate timestamp", re.IGNORECASE)
_NOT_ENABLED = re.compile(r"remote write receiver", re.IGNORECASE)
_NO_TENANT = re.compile(r"no org id|X-Scope-OrgID", re.IGNORECASE)


def advice(error: str, settings: RemoteWriteSection) -> str:
    """Return the sentences for a refusal; empty where it is none that is known.

    Args:
        error: Status and answer of the store.
        settings: Section of the settings.
    """
    if _NOT_ENABLED.search(error):
        return (
            "Prometheus takes no remote-write. Expected it to be started with "
            f"--web.enable-remote-write-receiver. Received: {error}."
        )
    if _TOO_OLD.search(error):
        hours = math.ceil(settings.before_seconds / 3_600) + 1
        return (
            "The store takes no samples from the time before an alert. Expected an "
            f"`out_of_order_time_window` of {hours}h under `storage.tsdb` in prometheus.yml "
            f"(Mimir: a limit of the tenant). Received: {error}. Set it, or set "
            "remote_write.before_seconds = 0."
        )
    if _TWICE.search(error):
        return (
            "The store has another value for the same series and time. Expected one group that "
            f"writes these series. Received: {error}. Give each writer a label of its own in "
            "remote_write.labels."
        )
    if _NO_TENANT.search(error):
        return f"Mimir asks for a tenant. Expected remote_write.tenant. Received: {error}."
    if error.startswith("404 "):
        return (
            "The address takes no remote-write. Expected /api/v1/write, or /api/v1/push of Mimir, "
            f"in remote_write.url. Received: {error}."
        )
    return ""

"""Tools that read: alerts, episodes, keys, series, incidents, documents, and what-if questions."""

from __future__ import annotations

import urllib.parse
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ._api import ConsoleApi, ConsoleError
from ._series import summarise
from ._text import document_answer, episode_answer, incident_answer, number, short, time_text

Key = Annotated[str, Field(description="Key as the other tools write it.", max_length=8_192)]
Limit = Annotated[int, Field(ge=1, le=100, description="Most items to return.")]
Hours = Annotated[float, Field(gt=0, le=744, description="Hours to look back on.")]
Pattern = Annotated[
    str, Field(max_length=512, description="Pattern of keys with `*`, `?` and `[abc]`.")
]

_POINTS: Final = 2_000
_LISTED: Final = 20
_MICROS: Final = 1_000_000


class ReadingTools:
    """Tools that change nothing.

    The docstrings of the methods are what an assistant reads about them.

    Args:
        api: API of the console.
    """

    def __init__(self, api: ConsoleApi) -> None:
        self._api = api

    def what_fires(self, limit: Limit = 20) -> dict[str, Any]:
        """List the alerts that fire now and why: channels, values, usual ranges, newest first."""
        status = self._api.get("/api/status")
        events = self._api.get("/api/events", kind="trigger", status="firing", limit=limit)
        return {
            "now": time_text(status["now_us"]),
            "newest_row": time_text(status["last_us"]),
            "stream": status["stream"],
            "keys": status["keys"],
            "firing_keys": status["firing"],
            "alerts": [episode_answer(event) for event in events["events"][:limit]],
            "more": len(events["events"]) > limit or events["next_us"] is not None,
        }

    def find_keys(
        self,
        pattern: Pattern = "*",
        channel: Annotated[str, Field(max_length=512, description="Leading channel.")] = "",
        firing: Annotated[bool, Field(description="Only keys with an open episode.")] = False,
        sort: Literal["severity", "key", "evidence", "last"] = "severity",
        limit: Limit = 20,
    ) -> dict[str, Any]:
        """List keys by pattern, the most severe first, with their evidence beside the threshold."""
        answer = self._api.get(
            "/api/keys",
            pattern=pattern,
            channel=channel,
            firing="1" if firing else "",
            sort=sort,
            limit=limit,
        )
        keys = [
            {
                "key": row["key"],
                "firing": row["firing"],
                "severity": number(row["severity"]),
                "worst_of_the_hour": number(row["worst"]),
                "evidence": number(row["evidence"]),
                "threshold": number(row["threshold"]),
                "leading_channel": row["channel"],
                "last_row": time_text(row["last_us"]),
            }
            for row in answer["keys"]
        ]
        return {"total": answer["total"], "keys": keys}

    def episodes(self, key: Key, hours: Hours = 24.0, limit: Limit = 20) -> dict[str, Any]:
        """List the episodes of one key, newest first, with channels, reasons and documents.

        The hours end at the newest row of the stream.
        """
        since_us = self._api.get("/api/status")["last_us"] - round(hours * 3_600 * _MICROS)
        answer = self._api.get("/api/events", kind="trigger", key=key, limit=limit)
        recent = [
            event
            for event in answer["events"]
            if (event["ends_us"] or event["starts_us"]) >= since_us or event["ends_us"] is None
        ]
        return {"key": key, "episodes": [episode_answer(event) for event in recent[:limit]]}

    def key_series(
        self,
        key: Key,
        hours: Hours = 1.0,
        until: Annotated[
            str, Field(description="End as ISO 8601, such as 2026-01-31T12:00:00Z; empty: now.")
        ] = "",
        channels: Annotated[
            list[str], Field(max_length=64, description="Channels; none: all.")
        ] = [],  # noqa: B006  # pydantic copies it
    ) -> dict[str, Any]:
        """Summarise the values of one key: least, greatest, mean, and when they left the band.

        Times outside the usual band are spans. A departure is in widths of the band, above it or,
        if negative, below it. The band has the share of usual values that `coverage` says.
        """
        status = self._api.get("/api/status")
        end_us = _micros(until) if until else int(status["last_us"]) + 1
        series = self._api.get(
            f"/api/keys/{_quoted(key)}/series",
            begin_us=max(0, end_us - round(hours * 3_600 * _MICROS)),
            end_us=end_us,
            points=_POINTS,
            channels=",".join(channels),
        )
        return {"coverage": status["coverage"], **summarise(series)}

    def incidents(
        self, status: Literal["", "firing", "resolved"] = "firing", limit: Limit = 20
    ) -> dict[str, Any]:
        """List incidents: keys that fire together, with the first keys and leading channels."""
        answer = self._api.get("/api/incidents", status=status, limit=limit)
        return {
            "incidents": [incident_answer(incident, _LISTED) for incident in answer["incidents"]]
        }

    def documents(self) -> dict[str, Any]:
        """List the documents of operators in force: rules, silences, calendars and feedback."""
        answer = self._api.get("/api/control")
        documents = answer["documents"]
        return {
            "enabled": answer["enabled"],
            "total": len(documents),
            "documents": [document_answer(document) for document in documents[:100]],
        }

    def what_if(
        self,
        keys: Annotated[
            list[Key], Field(max_length=200, description="Keys to replay; none: by pattern.")
        ] = [],  # noqa: B006
        pattern: Pattern = "*",
        hours: Annotated[float, Field(gt=0, le=168, description="Hours to replay.")] = 24.0,
        budget: Annotated[
            str, Field(max_length=64, description="Pages accepted per key, such as 2/week.")
        ] = "",
        evidence_rows: Annotated[
            float | None, Field(gt=0, description="Setting alerts.evidence_rows.")
        ] = None,
        rules: Annotated[
            list[dict[str, Any]],
            Field(max_length=50, description="Rules as in rules.toml: keys, channels, ignore, ..."),
        ] = [],  # noqa: B006
        without: Annotated[
            list[str], Field(max_length=50, description="Documents to leave out: rule/NAME.")
        ] = [],  # noqa: B006
    ) -> dict[str, Any]:
        """Replay the records of some keys with other rules, budget or evidence; nothing changes.

        The answer has the pages as they came and as they would have come, and those that are gone
        or new. It takes up to minutes.
        """
        body: dict[str, Any] = {
            "keys": keys,
            "pattern": pattern,
            "hours": hours,
            "budget": budget or None,
            "evidence": evidence_rows,
            "rules": rules,
            "without": without,
        }
        answer = self._api.post("/api/what-if", body)
        gone_ids, new_ids = set(answer["gone"]), set(answer["new"])
        return {
            "keys": answer["keys"],
            "rows": answer["rows"],
            "pages_before": answer["pages_before"],
            "pages_after": answer["pages_after"],
            "gone": [_brief(page) for page in answer["before"] if page["id"] in gone_ids][:_LISTED],
            "gone_total": len(gone_ids),
            "new": [_brief(page) for page in answer["after"] if page["id"] in new_ids][:_LISTED],
            "new_total": len(new_ids),
        }


def _brief(episode: dict[str, Any]) -> dict[str, Any]:
    leading = episode["channels"][0]["name"] if episode["channels"] else None
    return {
        "key": episode["key"],
        "alert": episode["alert"],
        "began": time_text(episode["starts_us"]),
        "ended": time_text(episode["ends_us"]),
        "peak": number(episode["peak"]),
        "leading_channel": leading,
        "summary": short(episode["summary"]),
    }


def _quoted(key: str) -> str:
    return urllib.parse.quote(key, safe="")


def _micros(text: str) -> int:
    """Return a time in microseconds since the epoch.

    Raises:
        ConsoleError: If it is none.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConsoleError(
            "The time is not understood. Expected ISO 8601, such as 2026-01-31T12:00:00Z. "
            f"Received: until={text[:64]!r}."
        ) from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return round(aware.timestamp() * _MICROS)

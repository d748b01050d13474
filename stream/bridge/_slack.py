"""Slack: an incoming webhook, or a bot's messages that are kept up to date, with threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from stream.http_client import bearer
from stream.settings import SlackSection
from stream.templates import cut, fill, one_line

from ._alerts import Alert
from ._groups import Group
from ._http import Endpoint, NotAcceptedError, Result, UnavailableError
from ._messages import counts_of, fields_of
from ._receiver import GroupReceiver, require

# Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
_HEADER_CHARACTERS = 150
_SECTION_CHARACTERS = 3_000
_SHOWN_ALERTS = 20
_VALUE_CHARACTERS = 400

_REFUSED = frozenset(
    {
        *("invalid_arguments", "invalid_blocks", "invalid_blocks_format", "invalid_json"),
        *("json_not_object", "msg_too_long", "msg_blocks_too_long", "no_text"),
    }
)
"""Errors of the API that are about the message; all others pass, or are about the settings."""
_UNCHANGEABLE = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"}
)
"""Errors of a message that somebody has removed, or that may not be changed any more."""
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_LIMITED_SECONDS = 30.0
_LOOK_ALIKE = str.maketrans(
    {
        "*": "\N{ASTERISK OPERATOR}",
        "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
        "~": "\N{TILDE OPERATOR}",
    }
)
_EDGE = re.compile(r"(?<!\w)_|_(?!\w)")
_NO_SCHEME = ":\N{WORD JOINER}//"
"""Text that looks like `://` and begins no address."""


class _GoneError(UnavailableError):
    """The first message of a group cannot be changed: a new one takes its place."""


class Slack(GroupReceiver):
    """A Slack channel.

    Args:
        settings: Section `slack`.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.

    Raises:
        UserError: If there is no address, or the authorities cannot be read.
    """

    name = "slack"

    def __init__(
        self,
        settings: SlackSection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        super().__init__(settings, link, clock, on_result)
        self._settings = settings
        token = settings.token.get_secret_value()
        url = settings.webhook_url.get_secret_value()
        require(self.name, webhook_url=url or token)
        self._webhook = Endpoint(url, settings, self.name) if url else None
        headers = {"Authorization": bearer(token)}
        self._post, self._update = (
            Endpoint(f"{settings.api_url}/chat.{method}", settings, self.name, headers)
            for method in ("postMessage", "update")
        )

    def _notify(self, group: Group) -> None:
        state = self._message(group, group.alerts)
        if self._webhook is not None:
            # It cannot change a message: a later one has the changes only.
            self._webhook.post(state if group.is_new else self._message(group, group.unsent))
            return
        thread = self.threads.get(group.id)
        if thread is not None:
            try:
                self._change(group, thread, state)
            except _GoneError:
                del self.threads[group.id]
            else:
                return
        answer = self._call(self._post, state)
        self.threads[group.id] = str(answer.get("ts", ""))

    def _change(self, group: Group, thread: str, state: dict[str, Any]) -> None:
        """Bring the first message of a group up to date, and answer it with the changes."""
        self._call(self._update, {**state, "ts": thread})
        is_joined = any(not alert.is_sent for alert in group.unsent)
        reply = self._message(group, group.unsent)
        self._call(self._post, {**reply, "thread_ts": thread, "reply_broadcast": is_joined})

    def _call(self, endpoint: Endpoint, message: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the API, which says its errors in an answer with status 200."""
        body = endpoint.post({"channel": self._settings.channel, **message}).body
        try:
            answer = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise UnavailableError("the answer is not that of Slack's API") from None
        if answer.get("ok") is True:
            return answer
        error = str(answer.get("error", "no reason"))
        if error in _UNCHANGEABLE:
            raise _GoneError(error)
        if error in _REFUSED:
            raise NotAcceptedError(error)
        limited = error in _LIMITED
        raise UnavailableError(
            error, limited=limited, retry_after=_LIMITED_SECONDS if limited else 0.0
        )

    def _message(self, group: Group, alerts: Sequence[Alert]) -> dict[str, Any]:
        """Return text and blocks of a message about some alerts of a group."""
        values = {
            **fields_of(group.alerts[0], self._link),
            **counts_of(group.alerts),
            "labels": ", ".join(group.labels.values()),
        }
        if len(group.alerts) > 1 and "key" not in group.labels:
            values["key"] = f"{len(group.alerts):,} keys"
        sign = "\N{WHITE HEAVY CHECK MARK}" if group.is_over else "\N{LARGE RED CIRCLE}"
        title = f"{sign} {fill(self._settings.title, values, _escape)}"
        sections = _sections([self._line(alert) for alert in alerts[:_SHOWN_ALERTS]])
        if len(alerts) > _SHOWN_ALERTS:
            sections.append(f"And {len(alerts) - _SHOWN_ALERTS:,} more.")
        header = {"type": "plain_text", "text": _cut(title, _HEADER_CHARACTERS), "emoji": False}
        blocks: list[dict[str, Any]] = [{"type": "header", "text": header}]
        # Verbatim: Slack makes no links of addresses and names that it finds by itself.
        blocks += [
            {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
            for text in sections
        ]
        return {
            "text": _cut(title, _SECTION_CHARACTERS),
            "blocks": blocks,
            "unfurl_links": False,
            "unfurl_media": False,
        }

    def _line(self, alert: Alert) -> str:
        values = fields_of(alert, self._link)
        sign = "\N{LARGE RED CIRCLE}" if alert.ends is None else "\N{WHITE HEAVY CHECK MARK}"
        link = f"<{_escape_link(values['link'])}>" if values["link"] else ""
        escaped = {name: _escape(value) for name, value in values.items()} | {"link": link}
        text = f"{sign} {fill(self._settings.text, escaped, str)}"
        if alert.acknowledged:
            text += f" ({_escape(alert.acknowledged)})"
        if values["link"]:
            suffix = f" <{_escape_link(values['link'])}|details>"
            if len(suffix) < _SECTION_CHARACTERS // 2:
                return _cut(text, _SECTION_CHARACTERS - len(suffix)) + suffix
        return _cut(text, _SECTION_CHARACTERS)


def _sections(lines: Sequence[str]) -> list[str]:
    """Join lines to texts that fit into a section each."""
    texts: list[str] = []
    for line in lines:
        if texts and len(texts[-1]) + 1 + len(line) <= _SECTION_CHARACTERS:
            texts[-1] += f"\n{line}"
        else:
            texts.append(line)
    return texts


def _escape_all(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escape(value: str) -> str:
    """Escape a value: a key must not mention anybody (`<!channel>`), be bold, or pass for a link.

    Slack has no escape for the signs of its markup. So they become signs that look the same; an
    underscore within a word is no markup, and stays.
    """
    plain = cut(one_line(value), _VALUE_CHARACTERS).translate(_LOOK_ALIKE)
    return _escape_all(
        _EDGE.sub("\N{MODIFIER LETTER LOW MACRON}", plain).replace("://", _NO_SCHEME)
    )


def _escape_link(address: str) -> str:
    return _escape_all(address.replace("|", "%7C"))


def _cut(text: str, most: int) -> str:
    """Cut an escaped text, not in the middle of an entity."""
    return text if len(text) <= most else re.sub(r"&\w*$", "", text[: most - 3]) + "..."

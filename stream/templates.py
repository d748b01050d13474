"""Templates of messages: text with `{name}` in it, and nothing else that is special.

The values come from telemetry, and anybody may choose a key. So a template is filled in one pass: a
value is escaped, never read as a template, and has no attributes that a template could ask for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping

FIELDS = frozenset(
    {
        *("alertname", "key", "topic", "channel", "status", "reason", "severity", "class"),
        *("summary", "description", "channels", "explain", "link", "started", "ended"),
        *("firing", "began", "resolved", "labels"),
    }
)
"""Names that a template of a message may use."""

LINK_FIELDS = ("key", "topic", "alertname")
"""Names that the template of a link may use."""
_FIELD = re.compile(r"\{([a-z_]*)\}")
_CONTROL = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


def fault(template: str, names: Collection[str] = FIELDS) -> str:
    """Return the fault of a template as a sentence without its full stop; empty for a good one.

    Args:
        template: Text with `{name}` in it.
        names: Names that it may use.

    Examples:
        >>> fault("{key} since {started}")
        ''
        >>> fault("{key.__class__}")
        'a brace stands alone in it; expected fields such as `{key}`'
    """
    unknown = sorted({match[1] for match in _FIELD.finditer(template)} - set(names))
    if unknown:
        return f"`{{{unknown[0]}}}` is no field of it; expected some of {', '.join(sorted(names))}"
    if re.search(r"[{}]", _FIELD.sub("", template)):
        return "a brace stands alone in it; expected fields such as `{key}`"
    return ""


def fill(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """Return a template with its fields filled in; a field without a value is empty.

    Args:
        template: Template without a `fault`.
        values: Values by name.
        escape: Function that makes a value safe where the text goes.
    """
    return _FIELD.sub(lambda match: escape(values.get(match[1], "")), template)


def one_line(text: str) -> str:
    r"""Return a text as one line, without characters that no reader sees.

    Examples:
        >>> one_line("rack 7\r\nBcc: a@b")
        'rack 7 Bcc: a@b'
    """
    plain = "".join(" " if unicodedata.category(c) in _CONTROL else c for c in text)
    return " ".join(plain.split())


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters; a cut one ends with three dots.

    Examples:
        >>> cut("memory", 6), cut("memory", 5)
        ('memory', 'me...')
    """
    return text if len(text) <= most else text[: most - 3] + "..."

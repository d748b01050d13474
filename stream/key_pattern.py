"""Patterns of keys such as `{site}-{host}`, which give a key labels."""

from __future__ import annotations

import re

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class KeyPattern:
    """A pattern of keys.

    A field is everything up to the next character of the pattern; the last one takes the rest. So
    a match takes linear time, whatever the key.

    Args:
        pattern: Text with `{name}` in it; empty: no key has labels.

    Raises:
        ValueError: If it is no pattern.

    Examples:
        >>> KeyPattern("{site}-{host}").labels("berlin-web-7")
        {'site': 'berlin', 'host': 'web-7'}
        >>> KeyPattern("{site}-{host}").labels("web7")
        {}
    """

    def __init__(self, pattern: str) -> None:
        self.names = tuple(_FIELD.findall(pattern))
        literals = _FIELD.split(pattern)[::2]
        if pattern and not self.names:
            raise ValueError("expected a pattern with fields, for example `{site}-{host}`")
        if len(set(self.names)) < len(self.names):
            raise ValueError("expected each name once in the pattern")
        if any(not literal for literal in literals[1:-1]):
            raise ValueError("expected a character between two fields, as in `{site}-{host}`")
        if re.search(r"[{}]", "".join(literals)):
            raise ValueError("a brace stands alone; expected fields such as `{site}`")
        text = re.escape(literals[0]) if literals else ""
        for name, literal in zip(self.names, literals[1:], strict=True):
            field = f"[^{re.escape(literal[0])}]+" if literal else ".+"
            text += f"(?P<{name}>{field}){re.escape(literal)}"
        self._match = re.compile(text, re.DOTALL).fullmatch

    def labels(self, key: str) -> dict[str, str]:
        """Return the labels of a key; none if it is not of this pattern."""
        match = self._match(key) if self.names else None
        return {} if match is None else match.groupdict()

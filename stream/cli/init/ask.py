"""Questions of `ember init` on a terminal; elsewhere each has its answer already."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stream.cli.output import clean, message


class Questions:
    """Questions to the user, on stderr.

    Args:
        enabled: False takes every default without a question.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    @property
    def enabled(self) -> bool:
        """True where somebody is asked."""
        return self._enabled

    def text(self, question: str, default: str) -> str:
        """Ask for a text; an empty answer takes the default."""
        if not self._enabled:
            return default
        answer = self._read(f"{question} [{clean(default)}]: ")
        return answer or default

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """Ask for one of some options, by its number or as it stands; others are taken too.

        Args:
            question: The question.
            options: Options, which a number selects.
            default: Option that an empty answer takes.
        """
        if not self._enabled:
            return default
        message(question)
        for number, option in enumerate(options, 1):
            message(f"  {number}  {clean(option)}")
        answer = self._read(f"Number, or another field [{clean(default)}]: ")
        if answer.isdecimal() and 1 <= int(answer) <= len(options):
            return options[int(answer) - 1]
        return answer or default

    def _read(self, prompt: str) -> str:
        # On stderr, since stdout may be the settings; `input` would take stdout.
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:  # the end of the input answers this question and all others
            self._enabled = False
            message("")
        return line.strip()


def is_terminal() -> bool:
    """Tell if somebody can be asked: input and messages are a terminal's."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

"""The `ember` command with waits shorter than a user's, for the embedded broker only.

There a worker that starts again waits out nearly the whole session of the one before it, also of
one that has left the group in order; and while no records come, each answer to a fetch is held
back for as long as a consumer allows.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Final

from aiokafka.consumer.fetcher import Fetcher

from stream.cli import main
from stream.kafka.config import WorkerConfig
from stream.settings import Settings

SESSION_SECONDS: Final = 2.5
FETCH_WAIT_MS: Final = 50

_from_settings = WorkerConfig.from_settings
_make_fetcher = Fetcher.__init__


def _shorter(settings: Settings) -> WorkerConfig:
    return replace(_from_settings(settings), session_timeout_seconds=SESSION_SECONDS)


def _answered_sooner(fetcher: Fetcher, *args: Any, **more: Any) -> None:
    _make_fetcher(fetcher, *args, **{**more, "fetch_max_wait_ms": FETCH_WAIT_MS})


def shorten_fetches() -> None:
    """Let every consumer of this process ask for answers soon."""
    Fetcher.__init__ = _answered_sooner


if __name__ == "__main__":
    shorten_fetches()
    WorkerConfig.from_settings = _shorter  # type: ignore[assignment,method-assign]
    sys.exit(main())

"""The `ember` command with group sessions shorter than the settings allow.

Only for the embedded broker: there a worker that starts again waits out nearly the whole session
of the one before it, also of one that has left the group in order.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Final

from stream.cli import main
from stream.kafka import WorkerConfig
from stream.settings import Settings

SECONDS: Final = 2.5

_from_settings = WorkerConfig.from_settings


def _shorter(settings: Settings) -> WorkerConfig:
    return replace(_from_settings(settings), session_timeout_seconds=SECONDS)


if __name__ == "__main__":
    WorkerConfig.from_settings = _shorter  # type: ignore[assignment,method-assign]
    sys.exit(main())

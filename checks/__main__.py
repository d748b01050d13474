"""`python -m checks language` and `python -m checks structure`."""

from __future__ import annotations

import signal
import sys

from checks.command import main

if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # ends quietly where a pager or `head` has read enough
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())

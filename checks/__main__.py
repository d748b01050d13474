"""`python -m checks language` and `python -m checks structure`."""

from __future__ import annotations

import sys

from checks.command import main

if __name__ == "__main__":
    sys.exit(main())

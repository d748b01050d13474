"""`python -m stream.testing`: an embedded broker in the foreground."""

from __future__ import annotations

import sys

from stream.testing.embedded_broker import main

if __name__ == "__main__":
    sys.exit(main())

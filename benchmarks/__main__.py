"""`python -m benchmarks NAME --json`."""

from __future__ import annotations

import os
import sys

from benchmarks.frame import main
from benchmarks.processes import ONE_THREAD

if __name__ == "__main__":
    for name, value in ONE_THREAD.items():  # before NumPy is imported, or it is not heard
        os.environ.setdefault(name, value)
    sys.exit(main())

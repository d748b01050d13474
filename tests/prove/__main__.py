"""`python -m tests.prove NAME`: a long proof, its result one JSON line; exit code 1: refuted."""

from __future__ import annotations

import os
import sys

from tests.prove.frame import main

if __name__ == "__main__":
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets belongs to a seed too
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.prove", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())

"""The demo without the console needs no extra: it is the first thing that anybody runs."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
for name in ("pyarrow", "starlette", "uvicorn"):
    sys.modules[name] = None
import stream.demo.run
"""


def test_it_is_imported_where_no_extra_is_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

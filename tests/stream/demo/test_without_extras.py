"""The demo without the console needs no extra: it is the first thing that anybody runs."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
for name in ("pyarrow", "starlette", "uvicorn"):
    sys.modules[name] = None
import stream.demo.run
from stream.cli import main
main(["demo", "--console", "--seconds", "30"])
"""


def test_it_is_imported_where_no_extra_is_installed_and_the_console_asks_for_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "pip install 'ember-anomaly[console]'" in " ".join(done.stderr.split())

"""A peer's process: `python -m benchmarks.peers NAME JOB`."""

from __future__ import annotations

import importlib
import json
import sys

from benchmarks.peers import PEERS, Job

if __name__ == "__main__":
    peer = PEERS[sys.argv[1]]
    module, _, function = peer.function.partition(":")
    getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)(
        Job(**json.loads(sys.argv[2]))
    )

"""Compile the stages, and keep the machine code for other processes.

`python -m ember_core.pipeline.compiled` compiles them for both kinds of evidence. An image does it
when it is built; a worker does it in a process beside it, with `--stdin`, for its own models.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys

from ember_core.pipeline.config import PipelineConfig
from ember_core.pipeline.pipeline import Pipeline

from .cache import remove_older
from .compiler import FOLDER, KEEPS_CODE
from .warm import warm_up

_NICE = 10  # the worker beside it comes first


def main() -> None:
    """Compile for the pipelines of the input, or for those of each arrangement."""
    parser = argparse.ArgumentParser(prog="python -m ember_core.pipeline.compiled")
    parser.add_argument("--stdin", action="store_true", help="read pickled pipelines")
    if not KEEPS_CODE:
        sys.exit(f"No file can be written to {str(FOLDER)!r}. Set NUMBA_CACHE_DIR to a folder.")
    pipelines: list[Pipeline]
    if parser.parse_args().stdin:
        os.nice(_NICE)
        pipelines = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our own parent
    else:
        kinds = ("joint", "channels+joint")
        pipelines = [Pipeline(PipelineConfig(channels=("x",), evidence=kind)) for kind in kinds]
    for pipeline in pipelines:
        warm_up(pipeline)
    remove_older(FOLDER)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.ordinary write DIR`: a fleet as CSV files."""

from __future__ import annotations

import argparse
from pathlib import Path

from .variants import TUNING_SEEDS, VARIANTS, make
from .write import write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ordinary", description=__doc__)
    parser.add_argument("verb", choices=["write"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, default="minute")
    parser.add_argument("--seed", type=int, default=TUNING_SEEDS[0])
    options = parser.parse_args()
    write(make(options.variant, options.seed), options.folder)


if __name__ == "__main__":
    main()

"""The frame of the long proofs: their claims, their options, and what a result looks like.

A proof is a module with `add_options(parser)` and `run(options) -> figures`; it raises `Refuted`
when its claim does not hold, with what was seen and how to see it again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from benchmarks.frame import RESULTS, pick, save, settings
from benchmarks.machine import describe

FOLDER: Final = RESULTS / "prove"
ROOT: Final = RESULTS.parents[1]


class Proof(NamedTuple):
    """Where a proof lives, and what it claims."""

    module: str
    claim: str


PROOFS: Final[Mapping[str, Proof]] = {
    "simulation": Proof(
        "tests.prove.simulation",
        "No schedule of deaths, suspensions, rebalances, lost answers and compaction loses, repeats"
        " or mixes anything; each known bug is found",
    ),
    "mutants": Proof(
        "tests.prove.mutants",
        "A change to a statement of the checkpoint code is noticed, or is explained",
    ),
    "series": Proof(
        "tests.prove.series",
        "Events, state and counts of a disturbed service on a real Kafka are those of one run that"
        " nothing disturbed",
    ),
    "fuzz": Proof(
        "tests.prove.fuzz",
        "No bytes crash a codec, the settings or the loading of a bundle, or take more memory than"
        " they should",
    ),
    "reading": Proof(
        "tests.prove.reading",
        "Rows that training makes of a file of records are the samples that the stream decodes",
    ),
    "functions": Proof(
        "tests.prove.functions",
        "Every float32 has the same exponential, logarithm and hyperbolic tangent on every machine",
    ),
    "soak": Proof(
        "tests.prove.soak",
        "Under steady load memory stays flat, lag bounded and the log without warnings",
    ),
}


class Refuted(Exception):
    """A claim does not hold.

    Args:
        what: What was seen, and how to see it again.
        figures: What is known all the same.
    """

    def __init__(self, what: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.figures = dict(figures or {})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one proof, or list them.

    Args:
        arguments: What follows `python -m tests.prove`; None takes the process's own.

    Returns:
        0 it holds, 1 it does not, 2 wrong use.
    """
    picked = pick("proof", "tests.prove", PROOFS, arguments)
    if isinstance(picked, int):
        return picked
    name, module, parser, words = picked
    parser.add_argument("--seed", type=int, default=1, help="all chance follows from it")
    parser.add_argument(
        "--save",
        nargs="?",
        const=name,
        metavar="FILE",
        help=f"keep the result in {FOLDER.relative_to(ROOT)}/FILE.json",
    )
    module.add_options(parser)
    options = parser.parse_args(words)
    started = time.monotonic()
    refuted = ""
    try:
        figures = module.run(options)
    except Refuted as error:
        figures, refuted = error.figures, str(error)
        print(f"{name} does not hold: {error}", file=sys.stderr)
    result = {
        "proof": name,
        "holds": not refuted,
        **({"refuted": refuted} if refuted else {}),
        **figures,
        "settings": settings(options),
        "machine": describe(),
        "seconds": round(time.monotonic() - started, 1),
    }
    if options.save:
        print(f"kept in {save(options.save, result, FOLDER)}", file=sys.stderr)
    print(json.dumps(result))
    return 1 if refuted else 0

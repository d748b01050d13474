"""AWS's Random Cut Forest, run by Java on records from stdin, where there is Java and Maven."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.kafka_jars import KafkaUnavailableError, java
from benchmarks.maven import MavenError, fetched

Floats = NDArray[np.float64]

ARTEFACT: Final = "software.amazon.randomcutforest:randomcutforest-core"
VERSION: Final = "4.3.0"
TREES: Final = 30
SAMPLE: Final = 256
SHINGLE: Final = 4  # records looked at together; ASD VUS-PR .22, one alone .17
WIDEST: Final = 100  # numbers looked at together; wider records one by one: they take too long
LEARNT: Final = 4_000  # of wider ones, the last records of training it is fed
_SECONDS: Final = 900.0

_PROGRAM: Final = """\
import com.amazon.randomcutforest.RandomCutForest;
import java.io.BufferedReader;
import java.io.InputStreamReader;

public class CutForest {
    public static void main(String[] words) throws Exception {
        int dimensions = Integer.parseInt(words[0]);
        int shingle = Integer.parseInt(words[4]);
        RandomCutForest forest = RandomCutForest.builder()
            .dimensions(dimensions * shingle).shingleSize(shingle).internalShinglingEnabled(true)
            .numberOfTrees(Integer.parseInt(words[1])).sampleSize(Integer.parseInt(words[2]))
            .randomSeed(Long.parseLong(words[3])).parallelExecutionEnabled(false).build();
        BufferedReader rows = new BufferedReader(new InputStreamReader(System.in), 1 << 20);
        StringBuilder scores = new StringBuilder();
        for (String line = rows.readLine(); line != null; line = rows.readLine()) {
            String[] cells = line.split(",");
            double[] row = new double[dimensions];
            for (int i = 0; i < dimensions; i++) row[i] = Double.parseDouble(cells[i]);
            scores.append(forest.getAnomalyScore(row)).append('\\n');
            forest.update(row);
        }
        System.out.print(scores);
    }
}
"""


class CutForestUnavailableError(RuntimeError):
    """This machine cannot run Random Cut Forest; the text says why."""


class CutForest:
    """Random Cut Forest, 30 trees of 256 records, that learns every record once it is scored.

    Args:
        seed: Seed of the cuts.

    Raises:
        CutForestUnavailableError: If Java, its compiler, Maven or the jars are missing.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._classes = _compiled()
        self._train: Floats = np.empty((0, 0))

    def fit(self, train: Floats) -> None:
        """Keep the records: the forest is fed from there at every scoring."""
        self._train = train if SHINGLE * train.shape[1] <= WIDEST else train[-LEARNT:]

    def score(self, test: Floats) -> Floats:
        """Score of each record before it is learnt, after those kept, shape `(T,)`."""
        rows = np.concatenate([self._train, test])
        center = np.nanmean(self._train, axis=0)
        rows = np.where(np.isfinite(rows), rows, center)
        text = "\n".join(",".join(map(repr, row)) for row in rows.tolist())
        width = rows.shape[1]
        shingle = SHINGLE if SHINGLE * width <= WIDEST else 1
        words = [str(n) for n in (width, TREES, SAMPLE, self.seed, shingle)]
        process = subprocess.run(
            [java(), "-Xmx1g", "-cp", self._classes, "CutForest", *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        return np.array(process.stdout.split(), dtype=np.float64)[len(self._train) :]


def _compiled() -> str:
    """Class path with the compiled program and its jars."""
    try:
        jars = fetched(f"randomcutforest-{VERSION}", (f"{ARTEFACT}:{VERSION}",))
        runs = java()
    except (MavenError, KafkaUnavailableError) as error:
        raise CutForestUnavailableError(str(error)) from error
    compiler = shutil.which("javac") or str(Path(runs).with_name("javac"))
    if not Path(compiler).is_file():
        raise CutForestUnavailableError("no Java compiler (javac)")
    if not (jars / "CutForest.class").is_file():
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "CutForest.java"
            source.write_text(_PROGRAM)
            words = [compiler, "-cp", str(jars / "*"), "-d", str(jars), str(source)]
            process = subprocess.run(words, capture_output=True, text=True, check=False)
        if process.returncode:
            raise CutForestUnavailableError(
                f"javac: {(process.stderr or 'no output').strip()[:200]}"
            )
    return os.pathsep.join((str(jars), str(jars / "*")))

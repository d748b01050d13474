"""A sample of every long proof, and that none of them is blind."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Record
from tests.prove import frame, functions, mutate, page, releases, series, soak, truth
from tests.prove.frame import ROOT, Refuted


def prove(*words: str) -> dict[str, Any]:
    """Run one as its users do, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.prove", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["holds"], result["refuted"]
    assert done.returncode == 0
    return result


def test_without_a_name_all_claims_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main([]) == 0
    said = capsys.readouterr().out
    assert all(name in said and proof.claim in said for name, proof in frame.PROOFS.items())


def test_an_unknown_name_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["serie"]) == 2
    assert "'serie'" in capsys.readouterr().err


# -- samples


def test_sample_of_the_simulation() -> None:
    result = prove("simulation", "--schedules", "30", "--bugs", "")
    assert result["schedules"] == 30


@pytest.mark.parametrize("words", [(), ("--compiled",)])
def test_sample_of_the_functions(words: tuple[str, ...]) -> None:
    result = prove("functions", "--every", "499", *words)
    assert all(values >= 2_000_000 for values in result["values"].values())


@pytest.mark.parametrize("compiled", [False, True])
def test_a_function_with_another_last_bit_is_seen(
    monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    exact = functions.FUNCTIONS["log"]
    wrong = exact._replace(exact=lambda x: np.nextafter(exact.exact(x), np.float32(np.inf)))
    monkeypatch.setitem(functions.FUNCTIONS, "log", wrong)
    options = SimpleNamespace(functions="log", every=997, seed=1, compiled=compiled)
    with pytest.raises(Refuted, match=r"log of .* differ"):
        functions.run(options)


def test_sample_of_reading() -> None:
    result = prove("reading", "--cases", "100")
    assert result["values"] >= 100


def test_sample_of_fuzzing() -> None:
    result = prove("fuzz", "--inputs", "7000", "--settings", "200", "--bundles", "100")
    assert result["inputs"] >= 7_300
    assert result["past_the_first_stage"] >= 0.3


@pytest.mark.slow
def test_sample_of_the_mutants() -> None:
    files = ("--files", "kafka/protocol/checkpoint.py,kafka/protocol/positions.py")
    result = prove("mutants", *files, "--sample", "6", "--schedules", "30")
    assert result["mutants"] == 6


@pytest.mark.kafka
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.usefixtures("real_kafka", "shared_data")
def test_sample_of_the_series() -> None:
    """Of one guarantee, which the seed of the tests chooses: both would take minutes."""
    guarantee = random.choice(("at_least_once", "exactly_once"))
    few = "--keys 60 --rows 200 --kills 2 --joins 1 --broker-restarts 1 --stops 1"
    result = prove("series", "--guarantee", guarantee, "--per-second", "600", *few.split())
    assert result["guarantee"] == guarantee
    assert result["disturbances"]["kill"] == 2
    assert result["disturbances"]["cleaned_records"] > 0
    assert result["events"] >= truth.LEAST_EVENTS
    assert result["rows"] == 60


@pytest.mark.kafka
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.usefixtures("real_kafka", "shared_data")
def test_sample_of_the_series_with_re_keying() -> None:
    """Keyless partitions, kills, and a second worker: each record is re-keyed and absorbed once."""
    few = "--keys 60 --rows 200 --kills 2 --joins 1 --broker-restarts 0 --stops 0 --rekeyed 8"
    guarantee = random.choice(("at_least_once", "exactly_once"))
    result = prove("series", "--guarantee", guarantee, "--per-second", "600", *few.split())
    assert result["rekeyed_records"] > 9_000
    assert result["outcomes"]["late"] < result["outcomes"]["scored"]
    assert "duplicate" not in result["outcomes"]
    assert result["events"] >= truth.LEAST_EVENTS
    assert result["rows"] == 60


@pytest.mark.kafka
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.usefixtures("real_kafka", "shared_data")
def test_sample_of_the_series_with_changes_of_rules() -> None:
    """Rules change under a worker that is killed, and while nobody works."""
    few = "--keys 60 --rows 200 --kills 1 --joins 0 --broker-restarts 0 --stops 0 --rules 3"
    guarantee = random.choice(("at_least_once", "exactly_once"))
    result = prove("series", "--guarantee", guarantee, "--per-second", "600", *few.split())
    assert result["disturbances"]["change_rules"] == 3
    assert result["changes_noted"] >= 4 * 3
    assert result["events"] >= truth.LEAST_EVENTS


@pytest.mark.kafka
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.usefixtures("real_kafka", "shared_data")
def test_sample_of_the_series_with_upgrades() -> None:
    """A group goes to today's release and back, worker by worker, under load and with a kill."""
    known = ["git", "-C", str(ROOT), "cat-file", "-e", f"{releases.LAST}^{{commit}}"]
    if subprocess.run(known, capture_output=True, check=False).returncode:
        pytest.skip("this clone does not hold the release before: fetch its history")
    few = "--keys 60 --rows 200 --kills 1 --joins 0 --broker-restarts 0 --stops 0 --upgrades 2"
    guarantee = random.choice(("at_least_once", "exactly_once"))
    result = prove("series", "--guarantee", guarantee, "--per-second", "200", *few.split())
    assert result["disturbances"]["upgrade"] == 2
    assert result["restarts_by_itself"] == 0
    assert result["events"] >= truth.LEAST_EVENTS


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.usefixtures("real_kafka")
def test_sample_of_the_soak() -> None:
    """Too short to say anything of memory: that is the long run's."""
    short = "--minutes 0.3 --warm-up-minutes 0.1 --every 1 --keys 200 --measure-seconds 8"
    result = prove("soak", *short.split(), "--most-mib-a-minute", "1000")
    assert result["records"] > 5_000
    assert result["per_second"] == pytest.approx(result["most_per_second"] / 2, abs=1)


# -- none is blind


def _event(kind: str, name: str, body: bytes = b"{}", key: bytes = b"k") -> Record:
    return Record(0, 0, 0, key, body, [("ce_id", name.encode())])


EVENTS = [(f"id-{n}", b"{}") for n in range(truth.LEAST_EVENTS)]
META = {"absorbed": 6, "first_offset": 0, "counts": {"scored": 7}}
TRUTH = truth.Truth({("anomaly", b"k"): EVENTS}, {(0, b"k"): b"row"}, {0: META})


def _compare(
    events: list[tuple[str, bytes]], row: bytes = b"row", exactly_once: bool = True, **meta: Any
) -> dict[str, int]:
    published = {"anomaly": [_event("anomaly", *event) for event in events]}
    changelog = {(0, b"k"): row, (0, truth.META_KEY): json.dumps({**META, **meta}).encode()}
    return truth.compare(TRUTH, published, changelog, exactly_once=exactly_once)


def test_what_is_equal_is_taken() -> None:
    assert _compare(EVENTS)["repeated_events"] == 0
    assert _compare([*EVENTS, EVENTS[3]], exactly_once=False)["repeated_events"] == 1


@pytest.mark.parametrize(
    ("seen", "more", "says"),
    [
        (EVENTS[1:], {}, "missing"),
        ([*EVENTS, ("id-x", b"{}")], {}, "not of the backtest"),
        ([(EVENTS[0][0], b"{ }"), *EVENTS[1:]], {}, "missing"),
        ([*EVENTS, EVENTS[3]], {}, "twice"),
        (EVENTS[::-1], {}, "order"),
        (EVENTS, {"row": b"wor"}, "rows of state differ"),
        (EVENTS, {"absorbed": 5}, "absorbed"),
        (EVENTS, {"counts": {"scored": 6}}, "counts"),
    ],
)
def test_what_differs_is_seen(seen: Any, more: dict[str, Any], says: str) -> None:
    with pytest.raises(Refuted, match=says):
        _compare(seen, **more)


def test_too_few_events_show_nothing() -> None:
    few = truth.Truth({("anomaly", b"k"): EVENTS[:5]}, {}, {})
    published = [_event("anomaly", *event) for event in EVENTS[:5]]
    with pytest.raises(Refuted, match="too few"):
        truth.compare(few, {"anomaly": published}, {}, exactly_once=True)


def test_a_table_without_a_result_says_how_to_make_one() -> None:
    assert 'ARGS="mutants --save"' in page.part("survivors", {})
    found = {"proof": "mutants", "survivors": {"a -> b": "Nothing comes of it."}}
    assert "| a -> b | Nothing comes of it. |" in page.part("survivors", {"mutants": found})


def test_a_table_says_of_which_commit_a_result_is() -> None:
    """Those kept before results said so have none."""
    fuzz = {"proof": "fuzz", "holds": True, "inputs": 7, "past_the_first_stage": 0.5, "seconds": 7}
    found = {
        "old": {**fuzz, "machine": {}},
        "new": {**fuzz, "machine": {"commit": f"{'ab' * 20} dirty"}},
        "simulation": {**fuzz, "proof": "simulation", "schedules": 1, "deaths": 2, "violations": 0}
        | {"machine": {"commit": "cd" * 20}, "settings": {"processes": 2}},
    }
    lines = page.part("proofs", found).splitlines()[2:]
    assert [line.split(" | ")[2].partition("; 7 s")[2] for line in lines] == [
        "",
        "; at `ababababab`, changed",
        "; at `cdcdcdcdcd`",
    ]


class _Cluster:
    """One whose workers do nothing; `gone` of its ten records fall to the cleaner."""

    def __init__(self, gone: int) -> None:
        self.records = [(0, n) for n in range(10)]
        self.gone = gone

    def changelog_records(self) -> set[tuple[int, int]]:
        found = set(self.records)
        self.records, self.gone = self.records[self.gone :], 0
        return found

    def worker(self, name: str) -> Any:
        return _worker([])

    def goes_on(self) -> None: ...
    def caught_up(self) -> None: ...
    def dismiss(self, worker: Any) -> None: ...
    def until(self, what: str, holds: Any) -> None: ...


def _worker(words: list[str], alive: bool = True) -> Any:
    """One that says `words` once it is woken."""
    said: list[str] = []

    def wake(number: int) -> None:
        said.extend(words if number == signal.SIGCONT else [])

    return SimpleNamespace(
        said=lambda text: sum(text in line for line in said),
        signal=wake,
        service=SimpleNamespace(process=object(), alive=lambda: alive),
        **dict.fromkeys(("kill", "start", "stop"), lambda: None),
        folder=Path("nowhere"),
    )


@pytest.mark.parametrize(
    ("words", "alive", "fenced"),
    [(["This worker is fenced: x."], False, 1), (["Out of memory"], False, 0), ([], True, 0)],
)
@pytest.mark.parametrize("gone", [0, 3])
def test_a_suspended_workers_end_is_told_by_its_words(
    words: list[str], alive: bool, fenced: int, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was cleaned away by what is no longer there."""
    now = itertools.count()
    monkeypatch.setattr(
        series, "time", SimpleNamespace(sleep=lambda _: None, monotonic=now.__next__)
    )
    monkeypatch.setattr(series, "a_moment", lambda *_: None)
    options = argparse.Namespace(keys=1, rows=1, rekeyed=0)
    fleet = SimpleNamespace(sends=lambda: iter(()))
    one = series.Series(_Cluster(gone), fleet, random.Random(1), options)  # type: ignore[arg-type]
    one.first = _worker(words, alive)
    one.suspend()
    assert one.done["zombies_that_ended_themselves"] == (not alive)
    assert one.done["zombies_that_were_fenced"] == fenced
    assert one.done["cleaned_records"] == gone


CODE = '''
class Account:
    def __init__(self):
        self.total = 0

    async def pay(self, amount):
        """Pay."""
        if amount < 0 or self.closed:
            raise ValueError("no")
        await self.check(amount)
        self.log(amount)
        self.total = self.total + 1
        log.info("paid")
'''


def test_mutants_change_one_thing_each(tmp_path: Path) -> None:
    """Statements, order, conditions, bounds, numbers; not what is only told, nor what begins."""
    path = tmp_path / "account.py"
    path.write_text(CODE)
    changes = [mutant.name.partition(":")[2] for mutant in mutate.mutants(path)]
    pay = "Account.pay: "
    assert set(changes) == {
        pay + "`raise ValueError('no')` -> `pass`",
        pay + "`if amount < 0 or self.closed:; await self.check(amount)` -> `swapped`",
        pay + "`amount < 0 or self.closed` -> `not (amount < 0 or self.closed)`",
        pay + "`amount < 0 or self.closed` -> `amount < 0 and self.closed`",
        pay + "`amount < 0` -> `amount <= 0`",
        pay + "`if amount < 0 or self.closed:` -> `if amount < 1 or self.closed:`",
        pay + "`await self.check(amount)` -> `pass`",
        pay + "`await self.check(amount); self.log(amount)` -> `swapped`",
        pay + "`self.log(amount)` -> `pass`",
        pay + "`self.total = self.total + 1` -> `pass`",
        pay + "`self.total + 1` -> `self.total - 1`",
        pay + "`self.total = self.total + 1` -> `self.total = self.total + 2`",
    }
    sources = [mutant.source for mutant in mutate.mutants(path)]
    assert len(set(sources)) == len(sources)
    assert all("log.info" in source and "self.total = 0" in source for source in sources)


@pytest.mark.parametrize(
    ("growth", "lag", "warnings", "says"),
    [(2.0, 0, [], "MiB"), (0.0, 10**9, [], "behind"), (0.0, 0, ["{}"], "1 warnings")],
)
def test_a_soak_is_refuted(growth: float, lag: int, warnings: list[str], says: str) -> None:
    looks = [soak.Look(10.0 * n, 100 + growth * n / 6, lag) for n in range(60)]
    options = argparse.Namespace(warm_up_minutes=1.0, most_mib_a_minute=1.0)
    with pytest.raises(Refuted, match=says):
        soak.judged(looks, warnings, {}, options, 1000.0)
    calm = [soak.Look(10.0 * n, 100.0, 5) for n in range(60)]
    assert soak.judged(calm, [], {}, options, 1000.0)["resident_mib_a_minute"] == 0.0

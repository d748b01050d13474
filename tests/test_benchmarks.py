"""The frame of the benchmarks; how quick anything is, is not tested."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks import checkpoint_share, evidence, frame, latency, performance_page, recovery
from benchmarks.engine_bench import Bench, Wire, batches
from benchmarks.fleet import Fleet
from benchmarks.latency import Load, quantiles
from benchmarks.local_copies import copy, restore
from benchmarks.machine import commit, describe
from benchmarks.model import measure
from benchmarks.peers import PEERS, Peer, compare, lacking
from benchmarks.processes import Child
from benchmarks.progress import Sample, rate_between, reached, read_samples
from benchmarks.stages import Stages
from benchmarks.wire_formats import FORMATS
from benchmarks.worker import parse_metrics, settings_file, stage_shares
from ember_core.pipeline import FleetModel
from stream.codecs import make_codec
from stream.engine import Engine, Limits
from stream.settings import Settings

KEYS, CHANNELS = 13, 3


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(KEYS, CHANNELS, kinds=5)


@pytest.fixture(scope="module")
def model(fleet: Fleet) -> FleetModel:
    return fleet.model(rows=150, epochs=1)


def test_without_a_name_all_benchmarks_are_listed(capsys):
    assert frame.main([]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("throughput", "model", "skew", "latency", "quality"))


def test_an_unknown_name_is_one_sentence_and_wrong_use(capsys):
    assert frame.main(["thruput", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "thruput" in said.err
    assert "throughput" in said.err


def test_the_result_is_the_last_line_and_names_settings_and_machine(capsys):
    words = "--json --keys 13 --channels 3 --kinds 5 --rows 150 --batches 7,11 --seconds 0.1"
    assert frame.main(["model", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["benchmark"] == "model"
    assert set(result["batches"]) == {"7", "11"}
    assert result["microseconds_per_record"] == result["batches"]["11"]["microseconds_per_record"]
    assert result["settings"]["keys"] == KEYS
    assert result["machine"].keys() == describe().keys()


def test_skew_gives_the_ratios_to_even_keys(capsys):
    words = "--json --keys 13 --channels 3 --kinds 5 --rows 150 --batch 7 --seconds 0.05"
    words += " --partitions 3 --few 2"
    assert frame.main(["skew", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    took = result["microseconds_per_record"]
    assert result["ratios"] == {
        name: round(took[name] / took["even"], 2) for name in ("zipf", "hot")
    }
    took = result["partitions"]["microseconds_per_record"]
    assert result["partitions"]["ratios"] == {
        name: round(took[name] / took["one"], 2) for name in ("together", "one_by_one")
    }


def test_evidence_gives_the_ratios_to_joint_evidence(capsys):
    words = "--json --batch 20 --channels 3 --kinds 5 --rows 300 --turns 3"
    assert frame.main(["evidence", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["must"] == {"ratio": 1.5, "row_bytes": 4096}
    for shape, took in result["microseconds_per_record"].items():
        assert result["ratios"][shape] == round(took["channels+joint"] / took["joint"], 2)
    assert "rows of one key" in evidence.page(result)


def test_records_compares_wide_and_long_formats(capsys):
    words = "--json --keys 13 --channels 3 --kinds 5 --rows 150 --seconds 0.05"
    words += " --rekeyed-records 0"
    assert frame.main(["records", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["formats"].keys() == FORMATS.keys()
    assert all(figures["scored"] for figures in result["formats"].values())
    assert result["samples_to_json"].keys() == FORMATS.keys() - {"json"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_has_its_values_in_every_format(name):
    wire_format, channels = FORMATS[name], ("cpu", "memory", "disk")
    row = (b"web-1", 1_700_000_000_000_000, channels, (0.5, -1.25, 3e9))
    key_from = "record" if wire_format.key else "kafka"
    codec = make_codec(wire_format.codec, channels, key=wire_format.key, key_from=key_from)
    decoded = codec.decode([Wire(b"web-1", value, 0, 0) for value in wire_format.messages(row)])
    assert not decoded.rejected
    assert set(decoded.keys) == {b"web-1"}
    assert set(decoded.time_us.tolist()) == {row[1]}
    assert np.nansum(decoded.values, axis=0).tolist() == list(row[3])


def test_records_spread_over_partitions_are_scored_as_in_one(fleet, model):
    block = next(fleet.rounds(1, 1_700_000_000_000_000))
    for one_by_one in (False, True):
        bench = Bench(model, fleet, 3, one_by_one=one_by_one)
        bench.step(*block)
        found = [bench.engine.meta(("telemetry", p)).counts for p in range(3)]
        assert sum(counts["scored"] for counts in found) == KEYS
        assert all(counts["scored"] for counts in found)


def test_memory_counts_every_key_and_its_rows(capsys):
    words = "--json --keys 211 --channels 3 --kinds 5 --rows 150 --rounds 2"
    assert frame.main(["memory", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["keys"] == 211
    assert result["slab_mib"] == round(211 * result["row_bytes"] / 2**20, 1)
    assert result["resident_mib"] > result["grown_mib"] >= 0


def test_a_change_of_model_needs_room_for_the_rows_twice(capsys):
    words = "--json --keys 20011 --channels 3 --kinds 5 --rows 150 --rounds 1 --second change"
    assert frame.main(["memory", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["change_mib"] > 0.9 * result["slab_mib"]
    assert result["change_mib"] > result["after_change_mib"]


@pytest.mark.slow
def test_scale_follows_what_grows(capsys):
    """More channels and neurons make longer rows; no worker is asked for."""
    words = "--json --keys 11,23 --channels 2,3 --hidden 8,13 --workers= --kinds 3 --rows 150"
    assert frame.main(["scale", *words.split(), "--seconds", "0.02"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["keys"].keys() == {"11", "23"}
    assert result["workers"] == {}
    for axis in ("channels", "hidden"):
        small, large = result[axis].values()
        assert small["row_bytes"] < large["row_bytes"]
    drawn = performance_page.PARTS["performance-scale"](result)
    assert drawn.count("\n") == 2 + 6


def test_what_a_peer_counted_is_held_against_what_it_read():
    def said(records: int, read: int) -> str:
        return json.dumps({"counted": {"keys": 3, "records": records, "read": read}})

    compare("quix", f"[1, 2, 3]\n{said(7, 7)}\n")
    with pytest.raises(frame.BenchmarkError, match="did not count"):
        compare("quix", said(6, 7))
    with pytest.raises(frame.BenchmarkError, match="did not count"):
        compare("quix", "[1, 2, 3]")


@pytest.mark.parametrize("name", performance_page.PARTS)
def test_what_was_not_measured_says_how_to(name, tmp_path):
    assert "--save" in performance_page.part(name, tmp_path)


def test_a_peer_that_is_missing_is_a_line_and_no_ratio():
    result = {
        "records_per_second": 1000,
        "peers": {"quix": 100},
        "ratios": {"quix": 10.0, "rcf": None},
        "left_out": {"rcf": "no Java"},
    }
    table = performance_page.PARTS["performance-throughput"](result)
    assert "| 100 | 10.00 |" in table
    assert "- (no Java) | - |" in table


def test_delays_become_quantiles():
    assert quantiles([0.1] * 99 + [0.9])["p50_seconds"] == 0.1
    with pytest.raises(frame.BenchmarkError, match="No alert"):
        quantiles([])


def test_twice_the_keys_of_memory_are_all_remembered(capsys):
    words = "--json --keys 7000 --max-keys 3000 --channels 3 --sample 500"
    assert frame.main(["eviction", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["active_keys"] == 3000
    assert result["evicted"] >= 7000 - 3000
    assert result["returned"] > 0
    assert result["forgotten"] == 0
    assert result["keys_that_went_on"] == 500
    assert "| rows put away | " in performance_page.PARTS["performance-eviction"](result)


def test_a_recovery_is_a_table_also_without_its_peer():
    load = {
        "rows_per_second_without": 1_000,
        "rows_per_second": 950,
        "checkpoint_share": 0.05,
        "rows_a_checkpoint": 700,
        "checkpoint_seconds": 0.25,
        "longest_pause_seconds": 0.003,
        "longest_turn_seconds": 0.07,
        "longest_turn_seconds_without": 0.02,
    }
    result = {
        "keys": 7_000,
        "row_bytes": 1_512,
        "recovery_seconds": 0.5,
        "keys_per_second": 14_000,
        "kafka_streams": {"records": 7_004, "seconds": 1.0, "records_per_second": 7_004},
        "local_disk": {"recovery_seconds": 0.1, "keys_per_second": 70_000},
        "load": {"7000": load},
    }
    drawn = performance_page.PARTS["performance-recovery"](result)
    assert "| Kafka Streams, the same changelog into RocksDB | 1.0 | 7,004 |" in drawn
    result["kafka_streams"] = {"left_out": "no Java"}
    assert "left out (no Java)" in performance_page.PARTS["performance-recovery"](result)
    drawn = performance_page.PARTS["performance-recovery-checkpoints"](result)
    assert "| **share of checkpoints** | **5.0%** |" in drawn
    assert "| longest copy of what a checkpoint writes, ms | 3 |" in drawn
    assert "with a checkpoint on its way, ms | 70 |" in drawn
    del load["longest_turn_seconds"]  # results kept before it was measured
    drawn = performance_page.PARTS["performance-recovery-checkpoints"](result)
    assert "with a checkpoint on its way, ms | - |" in drawn


async def test_turns_of_the_loop_are_told_apart_by_checkpoints(monkeypatch):
    """Also one in which a checkpoint begins and ends."""
    now = [0.0]
    monkeypatch.setattr(checkpoint_share.time, "perf_counter", lambda: now[0])
    turns = checkpoint_share.LoopTurns()
    watching = asyncio.ensure_future(turns.watch())
    await asyncio.sleep(0)
    for seconds, during in ((2.0, False), (7.0, True), (5.0, False), (3.0, True)):
        with turns.checkpoint() if during else contextlib.nullcontext():
            now[0] += seconds
        await asyncio.sleep(0)
    assert turns.longest == {False: 5.0, True: 7.0}
    turns.begin()
    assert turns.longest == {False: 0.0, True: 0.0}
    watching.cancel()
    await asyncio.wait({watching})


def test_copies_on_local_disk_bring_every_key_back(tmp_path):
    fleet = Fleet(700, 3)
    model = fleet.model(rows=200, epochs=1)
    engine, copied = (Engine(model, limits=Limits(max_keys=700)) for _ in range(2))
    engine.attach(("telemetry", 0))
    recovery._step(engine, ("telemetry", 0), fleet, np.arange(700), 0)
    engine.take_dirty(("telemetry", 0))
    assert asyncio.run(copy(engine, tmp_path))["mib"] > 0
    asyncio.run(restore(copied, tmp_path, "telemetry", 1))
    for key in fleet.keys:
        assert copied.row(("telemetry", 0), key) == engine.row(("telemetry", 0), key) is not None


def test_a_benchmark_that_fails_ends_with_one_and_says_why(capsys):
    assert frame.main(["throughput", "--peers", "flink"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "flink" in said.err


def test_save_writes_the_whole_result(tmp_path):
    path = frame.save("model", {"benchmark": "model", "figure": 1.5}, tmp_path / "results")
    assert json.loads(path.read_text()) == {"benchmark": "model", "figure": 1.5}


def test_a_result_says_of_which_commit_it_is(tmp_path, monkeypatch):
    """And whether the tree was still that; kept results do not change it."""
    if shutil.which("git") is None:
        pytest.skip("there is no Git")

    def git(*words: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert commit(tmp_path) == ""
    git("init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "Begin")
    head = git("rev-parse", "HEAD")
    (tmp_path / "benchmarks").mkdir()
    frame.save("model", {}, tmp_path / "benchmarks" / "results")
    assert commit(tmp_path) == head
    (tmp_path / "code.py").write_text("a = 2\n")
    assert commit(tmp_path) == f"{head} dirty"
    inner = tmp_path / "unpacked"
    inner.mkdir()
    assert commit(inner) == ""
    monkeypatch.setenv("PATH", str(inner))
    assert commit(tmp_path) == ""


def test_settings_leave_out_where_the_result_goes():
    given = argparse.Namespace(json=True, save=False, records=7)
    assert frame.settings(given) == {"records": 7}


def test_a_rate_leaves_out_both_ends_of_a_run():
    samples = [Sample(0.0, 0, 1.0), Sample(5.0, 10, 2.0), Sample(13.0, 90, 6.0), Sample(99.0, 100)]
    rate = rate_between(samples, 100)
    assert rate is not None
    assert rate == pytest.approx((10.0, 8.0, 50_000.0))


def test_a_moment_between_two_samples_is_on_a_straight_line():
    samples = [Sample(1.0, 0), Sample(3.0, 20, 4.0)]
    assert reached(samples, 15) == pytest.approx((2.5, 15, 3.0))
    assert reached(samples, 21) is None
    assert rate_between(samples[:1], 20) is None


def test_only_a_reporters_lines_are_samples():
    text = 'loading\n[1.5, 3, 0.5]\n{"no": 1}\n[2.5, 7, 0.7]\n[3.5, '
    assert read_samples(text) == [Sample(1.5, 3, 0.5), Sample(2.5, 7, 0.7)]


def test_a_stage_does_not_count_what_another_counts():
    class Machine:
        def outer(self) -> int:
            return self.inner() + 1

        def inner(self) -> int:
            return sum(range(1000))

    machine, stages = Machine(), Stages()
    stages.watch(machine, "outer", "outer")
    stages.watch(machine, "inner", "inner")
    with stages.measure("all"):
        assert machine.outer() == sum(range(1000)) + 1
    assert set(stages.seconds) == {"all", "outer", "inner"}
    assert all(seconds >= 0 for seconds in stages.seconds.values())
    with pytest.raises(AttributeError):
        stages.watch(machine, "absent", "x")


def test_records_of_a_fleet_are_read_back_exactly(fleet):
    block = next(fleet.rounds(1, 1_700_000_000_000_000))
    records = list(fleet.encoded(block))
    wires = [Wire(key, value, 0, i) for i, (key, value) in enumerate(records)]
    decoded = make_codec("json", fleet.channels).decode(wires)
    assert decoded.rejected == []
    assert decoded.keys == [fleet.keys[k] for k in block.key.tolist()]
    assert np.array_equal(decoded.values, block.values)
    assert np.array_equal(decoded.time_us, block.time_us)


def test_every_round_has_every_key_once_and_later_than_before(fleet):
    last = np.full(KEYS, -1)
    for block in fleet.rounds(4, 1_700_000_000_000_000):
        assert sorted(block.key.tolist()) == list(range(KEYS))
        assert (block.time_us > last[block.key]).all()
        last[block.key] = block.time_us


def test_the_same_seed_gives_the_same_records():
    one, other = (next(Fleet(KEYS, CHANNELS, kinds=5).rounds(1, 0)) for _ in range(2))
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.key, other.key)


def test_the_model_knows_all_keys_and_scores_their_first_rows(fleet, model):
    assert model.keys == fleet.keys
    bench = Bench(model, fleet)
    block = next(fleet.rounds(1, 1_700_000_000_000_000))
    for part in batches(block, 5):
        bench.step(*part)
    assert bench.engine.meta(("telemetry", 0)).counts == {"scored": KEYS}


def test_stages_add_up_to_the_step(fleet, model):
    found = measure(model, fleet, 11, 0.1)
    assert {"observe: liquid", "RBM", "slots", "decide", "scatter"} <= found["stages"].keys()


def test_a_loads_records_are_known_by_their_event_times(fleet, monkeypatch):
    """The number of an alert's record says when it was handed over."""
    now = [5.0]
    monkeypatch.setattr(latency.time, "monotonic", lambda: now[0])
    load = Load(fleet, fleet.rounds(10**9, 1_700_000_000_000_000), 0.5)
    load.prepare(3 * KEYS)
    sent = []
    for count in (7, KEYS, 0, 11):
        sent += [(now[0], Wire(key, value, 0, 0)) for key, value in load.take(count)]
        now[0] += 1.0
    times = make_codec("json", fleet.channels).decode([wire for _, wire in sent]).time_us
    for number, time_us in enumerate(times.tolist()):
        assert load.number(time_us) == number
        assert load.handed_over(number) == sent[number][0]
    assert load.number(1_699_999_999_000_000) < 0


def test_the_workers_settings_file_is_valid(tmp_path):
    path = tmp_path / "ember.toml"
    path.write_text(settings_file("127.0.0.1:9", "telemetry", tmp_path / "m", "g", 1.5, 7))
    settings = Settings.load(path)
    assert settings.kafka.group == "g"
    assert list(settings.input.topics) == ["telemetry"]
    assert settings.checkpoint.interval_seconds == 1.5
    assert settings.model.path == tmp_path / "m"


def test_metrics_are_read_by_name_and_labels():
    text = '# HELP a b\na_total 3.0\nb_sum{stage="step"} 1e-05\nb_sum{stage="checkpoint"} 2.5\n'
    found = parse_metrics(text)
    assert found == {
        "a_total": 3.0,
        'b_sum{stage="step"}': 1e-05,
        'b_sum{stage="checkpoint"}': 2.5,
    }
    assert stage_shares({}, {"process_cpu_seconds_total": 7.0})["cpu_seconds"] == 7.0


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_is_a_function_of_its_module(name):
    module, _, function = PEERS[name].function.partition(":")
    path = Path(frame.__file__).parent / "peers" / f"{module}.py"
    assert f"def {function}(job: Job)" in path.read_text()


def test_a_peer_says_what_it_lacks():
    assert lacking(Peer("m:f", "x", ("json", "no_such_package"))) == ["no_such_package"]


def test_a_child_that_fails_is_reported_with_its_last_words(tmp_path):
    with (
        Child(["benchmarks.peers", "no_such_peer", "{}"], tmp_path, "peer") as child,
        pytest.raises(frame.BenchmarkError, match="no_such_peer"),
    ):
        child.finished(60)


def test_a_child_does_not_outlive_its_block(tmp_path):
    with Child(["http.server", "0", "--bind", "127.0.0.1"], tmp_path, "server") as child:
        pid = child.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_the_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=Path(frame.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "throughput" in done.stdout


def test_the_library_is_measured_beside_its_peers(capsys):
    """Outputs are compared before anything is timed; both RBMs become about as good."""
    for package in ("torch", "ncps", "sklearn"):
        pytest.importorskip(package)
    words = "--json --parts cfc,rbm --keys 37 --neurons 13 --motors 2 --hidden 11 --epochs 2"
    assert frame.main(["library", *words.split(), "--turns", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["ratios"].keys() == {"cfc_step_vs_ncps", "rbm_vs_sklearn"}
    assert result["cfc"]["largest_difference"] < 1e-5
    quality = result["rbm"]["quality"]
    assert quality["ours"]["reconstruction_error"] == pytest.approx(
        quality["sklearn"]["reconstruction_error"], rel=0.2
    )
    assert frame.main(["library", "--parts", "cfg"]) == 1


def test_the_kept_run_on_an_accelerator_gave_numpys_scores_and_triggers():
    """A GPU is no part of any test: what was measured on one is kept."""
    path = frame.RESULTS / "gpu.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["pipeline"]["largest_relative_difference"] < 1e-5
    assert result["pipeline"]["same_triggers"]
    assert result["device"] in performance_page.part("performance-gpu")

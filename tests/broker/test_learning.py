"""Workers that train the model themselves: from an empty model topic to events, and later on.

The trainer, its worker and its broker may end at any moment: there is one model, and never half.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from ember_core.data.sources import Dataset, KeyTable
from ember_core.pipeline.fit import Verdict
from stream.cli import main
from stream.configure import bundle_source
from stream.errors import UserError
from stream.event_times import parse_time
from stream.kafka.client.seat import Seat
from stream.kafka.model_topic.catalogue import Catalogue
from stream.kafka.model_topic.decision import Decision
from stream.kafka.model_topic.publisher import OutdatedError, publish
from stream.kafka.model_topic.source import BundleSource
from stream.learn.gate import Candidate
from stream.learn.process import Job
from stream.learn.report import Outcome
from stream.settings import KafkaSection, Settings
from stream.tools.trainer.episodes import told_incidents
from stream.tools.trainer.history_length import NoHistoryError, history_seconds
from stream.tools.trainer.training import run
from tests.broker.conftest import Broker
from tests.broker.test_model_topic import config_of, manifest_of
from tests.e2e.service import Service, wait_until
from tests.stream.engine.conftest import save_two_models
from tests.stream.test_told_episodes import END, LAST, START, event, window

pytestmark = pytest.mark.broker

HOSTS, ROWS, INTERVAL = 3, 400, 10
BEGIN = int(time.time()) - ROWS * INTERVAL


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of the same channels."""
    return save_two_models(tmp_path_factory.mktemp("bundles"))


def sends(begin: int, end: int, spike_from: int | None = None) -> list[Send]:
    """Rows of some hosts; from a row on one of them is far from what it was."""
    chance = random.Random(begin)
    found = []
    for row in range(begin, end):
        for host in range(HOSTS):
            wave = math.sin(0.2 * row) + 0.1 * chance.gauss(0, 1)
            values = {"cpu": 40 + wave, "load": 2 * wave + chance.random()}
            if spike_from is not None and row >= spike_from and host == 0:
                values = {name: value + 500 for name, value in values.items()}
            at = BEGIN + INTERVAL * row
            value = json.dumps({"ts": at, "values": values}).encode()
            found.append(Send(b"host-%d" % host, value, at * 1000, host % 2))
    return found


class Site:
    """A topic without a model, and the settings of workers that train one."""

    def __init__(self, broker: Broker, folder: Path, **learn: str) -> None:
        self.broker, self.folder = broker, folder
        self.topic, self.group = broker.topic("in", 2), broker.name("g")
        if not broker.real:  # it makes no topics when asked
            names = [f"{self.topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
            names.append(f"{self.group}-state-{self.topic}-changelog")
            broker.create(dict.fromkeys(names, 2) | {f"{self.group}-model": 1})
        self.config = folder / "ember.toml"
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in learn.items())
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{self.group}"\n'
            f"session_timeout_seconds = 6\n"
            f'[input]\ntopics = ["{self.topic}"]\nstart = "earliest"\n'
            f'[model]\ntopic = "<group>-model"\n[learn]\nenabled = true\n{lines}'
            "[checkpoint]\ninterval_seconds = 0.3\n[http]\nport = 0\n"
            "[window]\nstale_intervals = 0\n"
            "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
        )

    @property
    def settings(self) -> Settings:
        """Settings of the workers."""
        return Settings.load(self.config)

    def worker(self, name: str = "a") -> Service:
        """Another worker, which is not started yet."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Service(folder, self.config, embedded=not self.broker.real)

    def history(self, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
        """Return the lines of `ember model history`."""
        capsys.readouterr()
        assert main(["model", "history", "--config", str(self.config), "--json"]) == 0
        lines: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["bundles"]
        return lines

    def alarmed(self) -> set[bytes | None]:
        """Keys with triggers so far."""
        return {record.key for record in self.broker.consume_all(f"{self.topic}.triggers")}


def says(worker: Service, *words: str) -> Callable[[], bool]:
    """Return a condition: a line of the log has all of these words."""
    return lambda: any(
        all(word in line for word in words) for line in worker.log.read_text().splitlines()
    )


def more_ended(worker: Service, number: int) -> bool:
    """Tell if more than so many trainings have ended."""
    return worker.log.read_text().count('"learn_ended"') > number


def trainer_of(worker: Service) -> int | None:
    """Process that trains beside a worker; None where there is none."""
    assert worker.process is not None
    pid = worker.process.pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline")
            if command.exists() and b"stream.tools.trainer" in command.read_bytes():
                return int(child)
    return None


@pytest.mark.slow
def test_a_group_without_a_model_trains_one_and_goes_to_work(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It waits for history, says how much there is, trains, and gives the alert of a fault."""
    site = Site(broker, tmp_path, min_history="8m")
    broker.produce(site.topic, sends(0, 40))
    with site.worker() as worker:
        wait_until("the wait", says(worker, "learn", "history 5 min of 8 min"), worker)
        assert site.history(capsys) == []
        broker.produce(site.topic, sends(40, ROWS))
        wait_until("the model", says(worker, "learn_ended", "published"), worker)
        wait_until("work", says(worker, "Running with 2 input partition"), worker)
        broker.produce(site.topic, sends(ROWS, ROWS + 60, spike_from=ROWS))
        wait_until("an alert", lambda: b"host-0" in site.alarmed(), worker)
        assert worker.stop() == 0
    [line] = site.history(capsys)
    assert line["state"] == "in service"
    assert line["note"] == "trained by a worker"
    assert line["decision"]["accepted"]
    assert line["training"]["keys"] == HOSTS
    with site.worker("again") as worker:  # a restart does not train again
        wait_until("the plan", says(worker, '"idle"', "a model is in service"), worker)
        assert worker.stop() == 0
    assert len(site.history(capsys)) == 1


@pytest.mark.slow
@pytest.mark.kafka
def test_a_trainer_that_is_killed_leaves_no_half_of_a_model(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At any moment of its life, also while it publishes; the worker starts another one."""
    site = Site(kafka, tmp_path, min_history="1m")
    kafka.produce(site.topic, sends(0, ROWS))
    chance = random.Random(7)
    with site.worker() as worker:
        for kill in range(2):
            wait_until("a trainer", lambda: trainer_of(worker) is not None, worker)
            time.sleep(chance.uniform(0.0, 3.0))
            trainer = trainer_of(worker)
            if trainer is None:
                break  # it was faster
            with contextlib.suppress(ProcessLookupError):
                os.kill(trainer, signal.SIGKILL)
            wait_until("its end", partial(more_ended, worker, kill), worker)
        wait_until("the model", says(worker, "learn_ended", "published"), worker)
        wait_until("work", says(worker, "Running with 2 input partition"), worker)
        assert worker.stop() == 0
    assert [line["state"] for line in site.history(capsys)] == ["in service"]


@pytest.mark.slow
@pytest.mark.kafka
def test_another_worker_takes_the_seat_of_one_that_is_killed(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two workers, one of which trains; it is killed while it does. There is one model, for both.

    On a real broker, as the groups of the embedded one do not bear two workers at once.
    """
    site = Site(kafka, tmp_path, min_history="1m")
    workers = [site.worker(name) for name in ("a", "b")]
    with workers[0], workers[1]:
        for worker in workers:
            wait_until("the wait", says(worker, "no model is in topic"), worker)
        kafka.produce(site.topic, sends(0, ROWS))
        holder: list[Service] = []

        def one_trains() -> bool:
            holder[:] = [w for w in workers if says(w, '"learn"', '"reading"')()]
            return bool(holder)

        wait_until("a training", one_trains, workers[0])
        [killed] = holder
        [other] = [worker for worker in workers if worker is not killed]
        trainer = trainer_of(killed)
        killed.kill()
        wait_until("the model", says(other, "Running with 2 input partition"), other)
        assert trainer is None or not Path(f"/proc/{trainer}").exists()
        assert other.stop() == 0
    assert [line["state"] for line in site.history(capsys)] == ["in service"]


@pytest.mark.slow
@pytest.mark.kafka
def test_a_broker_that_is_killed_while_a_worker_trains_costs_no_model(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process fails or waits, and there is one whole model in the end."""
    if kafka.server is None:
        pytest.skip("needs a broker of its own")
    site = Site(kafka, tmp_path, min_history="1m")
    kafka.produce(site.topic, sends(0, ROWS))
    with site.worker() as worker:
        wait_until("a training", says(worker, '"learn"', '"reading"'), worker)
        time.sleep(random.Random(3).uniform(0.0, 3.0))
        kafka.server.restart(kill=True)
        wait_until("work", says(worker, "Running with 2 input partition"), worker)
        assert worker.stop() == 0
    assert [line["state"] for line in site.history(capsys)] == ["in service"]


@pytest.mark.slow
def test_it_trains_again_by_the_schedule_and_workers_take_it(
    embedded: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(embedded, tmp_path, min_history="1m", every="4s")
    embedded.produce(site.topic, sends(0, ROWS))
    with site.worker() as worker:
        wait_until("work", says(worker, "Running with 2 input partition"), worker)
        embedded.produce(site.topic, sends(ROWS, ROWS + 30))
        wait_until("another model", says(worker, '"reload"', '"applied"'), worker)
        assert worker.stop() == 0
    states = [line["state"] for line in site.history(capsys)]
    assert states[0] == "in service"
    assert len(states) > 1


async def test_one_member_has_the_seat_and_another_takes_it_over(broker: Broker) -> None:
    topic = broker.topic("model", 1)
    settings = config_of(broker).client_settings()
    seats: dict[str, bool] = {}
    changed = asyncio.Event()

    def member(name: str) -> asyncio.Task[None]:
        def on_change(held: bool) -> None:
            seats[name] = held
            changed.set()

        seat = Seat(settings, broker.name("seat"), topic, 6.0, on_change)
        return asyncio.create_task(seat.keep())

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                changed.clear()
                await changed.wait()

    first = member("first")
    await until(lambda: seats.get("first", False))
    second = member("second")
    if broker.real:  # the embedded broker does not bear two at once, and says nothing of it
        await asyncio.sleep(1)
        assert seats == {"first": True}  # the seat stays where it is
    first.cancel()
    await asyncio.wait({first})
    await until(lambda: seats.get("second", False))
    assert seats == {"first": False, "second": True}
    second.cancel()
    await asyncio.wait({second})


async def test_a_trainer_that_was_overtaken_publishes_nothing(
    broker: Broker,
    bundles: list[Path],
) -> None:
    """Compare and set: whoever began before the newest publication comes too late."""
    config = config_of(broker)
    one, two = (manifest_of(folder) for folder in bundles)
    accepted = Decision(manifest=two, accepted=True)
    await publish(config, one, bundles[0], after=-1)
    source = BundleSource(config, None, None)
    newest = (await source.read()).newest_offset
    for after in (-1, newest + 1):
        with pytest.raises(OutdatedError, match="Another model was published"):
            await publish(config, two, bundles[1], decision=accepted, after=after)
    catalogue = await source.read()
    assert [p.manifest for p in catalogue.newest_first()] == [one]
    assert catalogue.decisions() == []
    await publish(config, two, bundles[1], decision=accepted, after=newest)
    assert [p.manifest for p in (await source.read()).newest_first()] == [two, one]


async def test_a_refused_candidate_is_in_no_service_until_somebody_wants_it(
    broker: Broker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    bundles: list[Path],
) -> None:
    site = Site(broker, tmp_path)
    config = config_of(broker)
    config = type(config).from_settings(site.settings)
    one, two = (manifest_of(folder) for folder in bundles)
    refused = Decision(
        manifest=two, accepted=False, reasons=("It pages too often.",), figures={"pages": 9.0}
    )
    source = BundleSource(config, None, None)
    await publish(config, one, bundles[0])
    await publish(config, two, bundles[1], decision=refused, after=None)
    bundle = await source.newest()
    assert bundle is not None
    assert bundle.manifest == one

    def ember(*words: str) -> str:
        capsys.readouterr()
        code = main([*words, "--config", str(site.config)])
        captured = capsys.readouterr()
        assert not code, captured.err
        return captured.out

    text = await asyncio.to_thread(ember, "model", "history")
    assert "held back" in text
    assert "refused: It pages too often." in text
    assert "pages 9" in text
    catalogue: Catalogue = await source.read()
    assert catalogue.held_back() is not None
    await asyncio.to_thread(ember, "model", "rollback", two.digest[:9], "--note", "it is right")
    bundle = await source.newest()
    assert bundle is not None
    assert (bundle.manifest.digest, bundle.manifest.note) == (two.digest, "it is right")
    assert (await source.read()).held_back() is None


@pytest.mark.slow
def test_what_the_gate_refuses_leaves_the_model_in_service(
    embedded: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One training after the other: published, refused, and overtaken by somebody's rollback."""
    site = Site(embedded, tmp_path, min_history="1m")
    embedded.produce(site.topic, sends(0, ROWS))
    settings = site.settings
    stages: list[str] = []
    candidates: list[Candidate] = []

    def train(name: str, after: int, verdict: Verdict) -> Outcome:
        def gate(candidate: Candidate) -> Verdict:
            candidates.append(candidate)
            return verdict

        job = Job(settings, after, after >= 0, tmp_path / name)
        return run(job, lambda progress: stages.append(progress.stage), gate)

    def newest() -> int:
        return asyncio.run(bundle_source(settings).read()).newest_offset

    accepted, refused = Verdict(True, [], {}), Verdict(False, ["It pages too often."], {"pages": 9})
    assert train("one", -1, accepted).result == "published"
    offset = newest()
    embedded.produce(site.topic, sends(ROWS, ROWS + 50))
    outcome = train("two", offset, refused)
    assert (outcome.result, outcome.detail) == ("refused", "It pages too often.")
    assert newest() == offset
    assert train("three", offset - 1, accepted).result == "outdated"
    states = [(line["state"], line["decision"]["accepted"]) for line in site.history(capsys)]
    assert states == [("held back", False), ("in service", True)]
    assert list(dict.fromkeys(stages)) == ["reading", "training", "judging", "publishing"]
    first, second, _ = candidates
    assert (first.in_service, first.since_us) == (None, None)
    assert second.in_service is not None
    assert second.since_us is not None


def test_episodes_of_the_triggers_are_left_out_of_a_training(
    broker: Broker, tmp_path: Path
) -> None:
    """Those of keys that are gone, of false alarms and of other programs are none."""
    site = Site(broker, tmp_path)
    topic = f"{site.topic}.triggers"
    if broker.real:
        broker.create({topic: 2})
    firing, resolved = event(key="host-0"), event("resolved", key="host-0")
    others = [event(key="gone"), event(key="host-1", annotations={"feedback": "normal"})]
    values = [json.dumps(each).encode() for each in (firing, *others, resolved)]
    broker.produce(topic, [Send(b"k", value) for value in (b"no event", *values)])
    tables = []
    for host in range(2):
        times = np.array([parse_time(START), LAST])
        nothing = np.zeros(2, np.bool_)
        values_of = np.ones((2, 1))
        tables.append(KeyTable(b"host-%d" % host, times, None, values_of, nothing, None))
    dataset = Dataset(("cpu",), tuple(tables), divided=False)
    assert told_incidents(site.settings, dataset, 0) == [window("host-0", START, END)]
    elsewhere = site.settings.model_copy(update={"kafka": KafkaSection(bootstrap_servers="x:1")})
    assert told_incidents(elsewhere, dataset, 0) == []


def test_the_length_of_a_history_is_that_of_its_event_times(broker: Broker, tmp_path: Path) -> None:
    """Kafka's timestamps may all be those of a load; one wrong clock makes no history longer."""
    site = Site(broker, tmp_path)
    settings = site.settings
    with pytest.raises(NoHistoryError, match="there is no record yet"):
        history_seconds(settings, 0)
    now_ms = round(time.time() * 1000)
    loaded = [send._replace(timestamp_ms=now_ms) for send in sends(0, 200)]
    wrong = json.dumps({"ts": BEGIN - 10**8, "values": {"cpu": 1.0}}).encode()
    broker.produce(site.topic, [Send(b"host-0", wrong, now_ms, 0), *loaded])
    seconds = history_seconds(settings, now_ms - 60_000)
    assert 0.8 * 200 * INTERVAL < seconds <= 200 * INTERVAL
    missing = settings.model_copy(
        update={"input": settings.input.model_copy(update={"topics": (broker.name("none"),)})}
    )
    with pytest.raises((NoHistoryError, UserError), match="does not exist yet"):
        history_seconds(missing, 0)

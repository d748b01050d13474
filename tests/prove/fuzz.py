"""Seeded random inputs for everything that reads bytes from outside.

Valid inputs are changed within their structure, so that most get past the first stage of reading
(JSON, protobuf, Avro, TOML, digest) and are refused, or taken, further in. Nothing may be raised
but what is promised; what comes out must keep its promises; memory must stay where it was.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from random import Random
from typing import Any, Final

import msgspec

from stream.codecs import CODECS, load_compiled_reader
from stream.records import TIME_MAX_US, TIME_MIN_US, Reason
from tests.contract.test_codecs import (
    AVRO_SCHEMA,
    CHANNELS,
    NEEDS,
    T0,
    Message,
    build,
    check,
    rows,
    write,
)

from . import fuzz_files, wire
from .frame import Refuted
from .mutators import as_json, bitten, leaf, mutated

FETCH: Final = 16
"""Messages decoded in one call."""
FIRST_STAGE: Final = frozenset({Reason.NOT_JSON, Reason.EMPTY, Reason.TOO_LARGE, Reason.TOO_DEEP})
"""Refusals of what could not even be parsed."""
MOST_GROWTH_MIB: Final = 200
LEAST_DEEP: Final = 0.3
KEYS: Final = ("", "host", 'tags.host + "/" + name', 'labels["i"]', 'resource["host"]')
_HEADER: Final = b"\x00\x00\x00\x00\x07"
_PROTOBUF_HEADER: Final = _HEADER + b"\x00"
_WIRE: Final = ("otlp", "otlp_proto", "protobuf")
"""Codecs of protobuf messages."""
UNITS: Final = ("auto", "s", "ms", "us", "ns", "iso8601")


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many."""
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all codecs")
    parser.add_argument("--settings", type=int, default=50_000, help="settings files")
    parser.add_argument("--bundles", type=int, default=20_000, help="model bundles")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Throw them at it.

    Raises:
        Refuted: At the first that does not end as it should.
    """
    figures: dict[str, Any] = {}
    load_compiled_reader()  # so that JSON is read by templates where it can be
    names = [name for name in CODECS if find_spec(NEEDS.get(name, "json"))]
    each = -(-options.inputs // len(names))
    targets: list[tuple[str, Callable[[], Target], int]] = [
        *((f"codec {name}", lambda name=name: CodecTarget(name), each) for name in names),
        ("settings", fuzz_files.SettingsTarget, options.settings),
        ("bundles", fuzz_files.BundleTarget, options.bundles),
    ]
    total = 0
    for name, make, count in targets:
        if not count:
            continue
        figures[name] = _one(name, make(), count, options.seed)
        total += figures[name]["inputs"]
        print(f"{name}: {figures[name]}", file=sys.stderr)
    codecs = [f for name, f in figures.items() if name.startswith("codec")]
    return {
        "inputs": total,
        "past_the_first_stage": round(
            sum(f["inputs"] * f["past_the_first_stage"] for f in codecs)
            / max(1, sum(f["inputs"] for f in codecs)),
            3,
        ),
        "targets": figures,
    }


class Target:
    """Something that reads bytes."""

    def feed(self, rng: Random) -> tuple[int, int, Counter[str]]:
        """Make some inputs and let them be read.

        Returns:
            Inputs, those past the first stage, and how they ended.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Clean up."""


def _one(name: str, target: Any, count: int, seed: int) -> dict[str, Any]:
    """Feed one target; every seed stands for a few inputs."""
    ends: Counter[str] = Counter()
    inputs = deep = 0
    began = time.monotonic()
    target.feed(Random("first"))  # what is loaded once is not growth
    before = _peak_mib()
    turn = 0
    try:
        while inputs < count:
            turn_seed = f"{name}/{seed}/{turn}"
            turn += 1
            try:
                some, past, how = target.feed(Random(turn_seed))
            except Exception as error:
                raise Refuted(
                    f"{name}: seed {turn_seed!r} raised {type(error).__name__}: {error}."
                ) from error
            inputs, deep = inputs + some, deep + past
            ends.update(how)
            if turn % 200 == 0 and _peak_mib() - before > MOST_GROWTH_MIB:
                raise Refuted(f"{name}: {_peak_mib() - before:.0f} MiB more by {turn_seed!r}.")
    finally:
        target.close()
    share = deep / inputs
    if share < LEAST_DEEP:
        raise Refuted(f"{name}: only {share:.0%} of the inputs came past the first stage.")
    return {
        "inputs": inputs,
        "past_the_first_stage": round(share, 3),
        "ends": dict(ends.most_common()),
        "growth_mib": round(_peak_mib() - before, 1),
        "inputs_per_second": round(inputs / max(1e-9, time.monotonic() - began)),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class CodecTarget(Target):
    """One codec, with keys and units of all kinds; its promises are those of the contract."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._codecs = {
            (key, unit): build(name, key=key, time_unit=unit) for key in KEYS for unit in UNITS
        }
        self._seeds = [
            self._seed(T0 // 1000 * 1000 + i * 1_000_000, {channel: 1.5 + i})
            for i, channel in enumerate(CHANNELS)
        ]
        if name != "prometheus":
            values = {"cpu": 0.25, "mem.used": 3.0, "disk": -1e9}
            self._seeds += [self._seed(T0 // 1000 * 1000, values), self._seed(TIME_MAX_US, values)]
        self._turns = 0

    def _seed(self, time_us: int, values: dict[str, float]) -> Any:
        """A valid message, as a tree where it has one."""
        raw = write(self.name, min(time_us, TIME_MAX_US - 1), values)
        if self.name in ("otlp", "otlp_proto"):
            return wire.parsed(raw)
        if self.name == "protobuf":
            return wire.parsed(raw[len(_PROTOBUF_HEADER) :])
        if self.name == "avro":
            return {"ts": time_us // 1000, "host": "web-1", "values": dict(values)}
        if self.name == "influx":
            return {"tags": {"host": "web-1"}, "fields": dict(values), "time": time_us * 1000}
        tree = msgspec.json.decode(raw.removeprefix(_HEADER))
        if self.name in ("json", "json_schema"):
            tree["host"] = "web-1"
        return tree

    def feed(self, rng: Random) -> tuple[int, int, Counter[str]]:
        key, unit = rng.choice(KEYS), rng.choice(UNITS)
        codec = self._codecs[key, unit]
        fetch = [self._message(rng) for _ in range(FETCH)]
        decoded = codec.decode(fetch)
        check(decoded, FETCH)
        assert all(TIME_MIN_US <= t < TIME_MAX_US for t in decoded.time_us.tolist())
        refused = Counter(r.reason for r in decoded.rejected)
        shallow = sum(n for reason, n in refused.items() if reason in FIRST_STAGE)
        self._turns += 1
        if self._turns % 64 == 0:  # neighbours do not matter
            fresh = [build(self.name, key=key, time_unit=unit) for _ in fetch]
            alone = [row for i, m in enumerate(fetch) for row in rows(fresh[i].decode([m]), i)]
            assert sorted(rows(decoded), key=repr) == sorted(alone, key=repr)
        ends = Counter({str(reason): n for reason, n in refused.items()})
        ends["taken"] = FETCH - sum(refused.values())
        return FETCH, FETCH - shallow, ends

    def _message(self, rng: Random) -> Message:
        chance = rng.random()
        key = b"k" if chance < 0.5 else (None if chance < 0.9 else rng.randbytes(3))
        return Message(key, self._value(rng))

    def _value(self, rng: Random) -> bytes | None:
        seed = rng.choice(self._seeds)
        how = rng.random()
        if how < 0.01:
            return None
        if how < 0.04:
            return rng.randbytes(int(rng.random() * 60))
        if how < 0.10:
            return self._encoded(seed)
        if self.name in _WIRE:
            whole = self._encoded(wire.mutated(seed, rng))
        elif self.name == "avro":
            whole = _avro(mutated(seed, rng, _avro_leaf))
        else:
            whole = self._encoded(mutated(seed, rng, leaf))
        return bitten(whole, rng) if how > 0.8 else whole

    def _encoded(self, seed: Any) -> bytes:
        if self.name in _WIRE:
            header = _PROTOBUF_HEADER if self.name == "protobuf" else b""
            return header + wire.encoded(seed)
        if self.name == "json_schema":
            return _HEADER + as_json(seed)
        if self.name == "influx":
            return _line(seed)
        return _avro(seed) if self.name == "avro" else as_json(seed)


def _line(tree: Any) -> bytes:
    """Line protocol of a tree of tags, fields and time; of anything else, its text."""
    if not isinstance(tree, dict):
        return as_json(tree)
    parts = [tree.get("tags"), tree.get("fields")]
    tags, fields = (
        ",".join(
            f"{name}={value!r}" if name in CHANNELS else f"{name}={value}"
            for name, value in part.items()
        )
        if isinstance(part, dict)
        else str(part)
        for part in parts
    )
    return f"mem,{tags} {fields} {tree.get('time')}".encode(errors="surrogatepass")


def _avro_leaf(rng: Random) -> Any:
    return rng.choice((None, 0, 2**62, -(2**62), 1.5, float("nan"), "", "x" * 50, "1e5", True, {}))


def _avro(record: Any) -> bytes:
    """In Confluent's wire format; what the schema does not allow is replaced by the header only."""
    import fastavro

    body = io.BytesIO(b"\x00\x00\x00\x00\x07")
    body.seek(5)
    try:
        fastavro.schemaless_writer(body, fastavro.parse_schema(AVRO_SCHEMA), record)
    except Exception:
        body.write(b"\x02\x00")
    return body.getvalue()

"""One reading contract: rows that training makes of lines are the samples that the stream decodes.

Random lines of JSON, or of a topic's dump, with random times, numbers, words and nesting, are read
as a file by `ember_core.data.sources` and as messages by the JSON codec, under the same settings.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from ember_core.data.cells import FALSE_WORDS, MISSING_WORDS, TRUE_WORDS
from ember_core.data.sources import DataError, DataOptions, Dataset, read
from stream.codecs import make_codec
from stream.records import MAX_ABS_VALUE

from .frame import Refuted

KEY: Final = b"dev-1"
ZONES: Final = ("", "", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
FORMATS: Final = ("%d/%m/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%m-%d-%y %H.%M")
MISSING: Final = ((), (), ("-9999",), ("-9999", "sensor off"))
NAMES: Final = ("temp", "hum", "env.temp", "cpu", "load.1", "état", 'q"uote', "door open")
WORDS: Final = tuple(sorted(MISSING_WORDS | TRUE_WORDS | FALSE_WORDS))


class Message(NamedTuple):
    """A message of a topic."""

    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class Case(NamedTuple):
    """Lines, and the settings under which they are read."""

    lines: list[str]
    is_dump: bool
    options: DataOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long."""
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--cases", type=int, default=0, help="end after so many; 0: by time alone")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Read random lines in both ways.

    Raises:
        Refuted: At the first that is not read alike.
    """
    end = time.monotonic() + 60.0 * options.minutes
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="ember-prove-") as folder:
        while time.monotonic() < end and (not options.cases or counts["cases"] < options.cases):
            seed = f"{options.seed}/{counts['cases']}"
            case = make_case(Random(seed))
            try:
                counts.update(check(case, Path(folder)))
            except Exception as error:
                raise Refuted(
                    f"seed {seed!r}: {error}\n" + "\n".join(case.lines), counts
                ) from error
            counts["cases"] += 1
    if counts["rows"] < counts["cases"]:
        raise Refuted("Most files were refused: nothing was compared.", counts)
    return dict(counts)


def check(case: Case, folder: Path) -> Counter[str]:
    """Read a case in both ways, and compare.

    Raises:
        AssertionError: If a row differs.
    """
    path = folder / "dev-1.jsonl"
    path.write_text("\n".join(case.lines) + "\n", encoding="utf-8")
    try:
        dataset = read([path], case.options)
    except DataError:
        return Counter(refused_files=1)
    (table,) = dataset.tables
    assert table.key == KEY
    rows = sorted(_trained(dataset), key=repr)
    samples = sorted(_decoded(case, dataset.channels), key=repr)
    assert rows == samples, f"{case.options}: trained on {rows}, decoded {samples}"
    return Counter(rows=len(rows), values=sum(len(row) - row.count(None) - 1 for row in rows))


def _trained(dataset: Dataset) -> list[tuple[float | None, ...]]:
    """Return the rows with a usable value: time and channels, None where missing."""
    (table,) = dataset.tables
    values = np.where(np.abs(table.values) <= MAX_ABS_VALUE, table.values, np.nan)
    usable = ~np.isnan(values).all(axis=1)
    return [
        (time_us, *_plain(row))
        for time_us, row in zip(
            table.time_us[usable].tolist(), values[usable].tolist(), strict=True
        )
    ]


def _decoded(case: Case, channels: tuple[str, ...]) -> list[tuple[float | None, ...]]:
    options = case.options
    unit: Any = options.time_unit
    codec = make_codec(
        "json",
        channels,
        time_unit=unit,
        time_format=options.time_format,
        time_zone=options.time_zone,
        decimal=options.decimal,
        missing=options.missing,
    )
    payloads = [json.loads(line)["payload"] if case.is_dump else line for line in case.lines]
    decoded = codec.decode([Message(KEY, payload.encode()) for payload in payloads])
    return [
        (time_us, *_plain(row))
        for time_us, row in zip(decoded.time_us.tolist(), decoded.values.tolist(), strict=True)
    ]


def _plain(row: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in row]


def make_case(rng: Random) -> Case:
    """Make lines of one device, with the settings of their times and numbers."""
    time_format = rng.choice(FORMATS) if rng.random() < 0.2 else ""
    unit: Any = "auto" if rng.random() < 0.8 else rng.choice(("s", "ms", "us", "ns", "excel"))
    decimal: Any = rng.choice(("", "", ".", ","))
    options = DataOptions(
        time="ts",
        time_unit=unit,
        time_format=time_format,
        time_zone=rng.choice(ZONES),
        decimal=decimal,
        missing=rng.choice(MISSING),
    )
    names = rng.sample(NAMES, rng.randint(1, 4))
    nested = rng.random() < 0.5
    is_dump = rng.random() < 0.4
    form = rng.randrange(20)
    moment = datetime(rng.randint(1971, 2039), rng.randint(1, 12), rng.randint(1, 28), 4)  # noqa: DTZ001
    lines = []
    for i in range(rng.randint(1, 7)):
        moment += timedelta(seconds=rng.choice((1, 10, 300)))
        cell = _time(rng, moment, options, form)
        values: dict[str, Any] = {}
        for name in names:
            if rng.random() < 0.85:
                _put(values, name, _cell(rng), as_path=rng.random() < 0.5)
        record: dict[str, Any] = {"ts": cell, "note": "x"}
        record |= {"values": values} if nested else values
        line = json.dumps(record, ensure_ascii=rng.random() < 0.5)
        if is_dump:
            dumped = {"topic": "t", "partition": i % 2, "offset": i, "ts": 1, "key": KEY.decode()}
            line = json.dumps({**dumped, "payload": line})
        lines.append(line)
    return Case(lines, is_dump, options)


def _put(values: dict[str, Any], name: str, cell: Any, *, as_path: bool) -> None:
    """Set a cell by its name, or as a member of an object or an array."""
    head, dot, tail = name.partition(".")
    if not dot or not as_path or isinstance(values.get(head, {}), list):
        values[name] = cell
    elif tail.isdigit():
        values[head] = [None] * int(tail) + [cell]
    else:
        values.setdefault(head, {})[tail] = cell


def _time(rng: Random, moment: datetime, options: DataOptions, form: int) -> Any:
    if options.time_format:
        return moment.strftime(options.time_format)
    seconds = (moment - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001
    if options.time_unit != "auto":
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
        if options.time_unit == "excel":
            return 25_569 + seconds / 86_400
        number = seconds * per_second[options.time_unit]
        return rng.choice((number, float(number), str(number), f" {number}"))
    aware = moment.replace(tzinfo=UTC)
    elsewhere = aware.astimezone(timezone(timedelta(hours=5, minutes=30)))
    forms: tuple[Any, ...] = (
        seconds, seconds * 1000, str(seconds), seconds * 10**6, seconds + 0.25,
        f"{moment}", aware.isoformat(), f"{moment.isoformat()}Z", elsewhere.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S +0100}", f"{moment:%Y/%m/%d %H:%M}", f"{moment:%d.%m.%Y %H:%M}",
        int(f"{moment:%Y%m%d%H%M%S}"), f"{moment:%Y%m%d%H%M}", f"{moment:%Y%m%dT%H%M%SZ}",
        f"{moment:%d %b %Y %H:%M:%S,125}", f"{moment:%a, %d %b %Y %H:%M:%S} GMT",
        f"{moment:%b %d, %Y %I:%M %p}", f"{moment:%Y-%m-%dT%H:%M:60Z}", f"{moment:%Y-%m-%d} 24:00",
    )  # fmt: skip
    return forms[form if rng.random() < 0.9 else rng.randrange(len(forms))]


def _cell(rng: Random) -> Any:
    number = rng.choice((rng.randint(-5, 5), rng.uniform(-1e3, 1e3), rng.gauss(0, 1) * 1e160))
    how = rng.random()
    if how < 0.45:
        return number
    if how < 0.55:
        return rng.choice((True, False, None, -9999, -9999.0, 10**400, 2**63, 1e150, 1.1e150))
    if how < 0.65:
        return (
            rng.choice(("", " ", "\u00a0", "\ufeff"))
            + str(number)
            + rng.choice(("", " ", "\u202f"))
        )
    if how < 0.75:
        return rng.choice((f"{number:,.2f}", f"{number:.2f}".replace(".", ","), "1 234.5", "1,234"))
    if how < 0.9:
        word = rng.choice(WORDS)
        return rng.choice((word, word.upper(), word.title(), f" {word}"))
    return rng.choice(
        ("six", "1_000", "12%", "0x1f", "-9999", "Sensor Off", [], {}, [1, "x"], "1e999")
    )

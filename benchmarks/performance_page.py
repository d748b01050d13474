"""Tables and curves of docs/performance.md, made of kept results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import evidence, scores
from benchmarks.frame import RESULTS
from benchmarks.markdown import table
from benchmarks.peers import PEERS

Result = Mapping[str, Any]

_AXES: Final = {"keys": "keys", "channels": "channels", "hidden": "neurons"}


def part(name: str, folder: Path = RESULTS) -> str:
    """One part of the page, from the result of the benchmark it belongs to."""
    benchmark = name.removeprefix("performance-").partition("-")[0]
    path = folder / f"{benchmark}.json"
    if not path.is_file():
        return f"Not measured yet: `python -m benchmarks {benchmark} --save` does it.\n"
    result = json.loads(path.read_text(encoding="utf-8"))
    return PARTS[name](result) + "\n" + _machine(result)


def _throughput(result: Result) -> str:
    rows = [("**one worker, whole model**", f"{result['records_per_second']:,}", "1")]
    for name, peer in PEERS.items():
        ratio = result["ratios"].get(name)
        speed = result["peers"].get(name)
        reason = result["left_out"].get(name, "not asked for")
        if ratio is None:
            rows.append((peer.help, f"- ({reason})", "-"))
        else:
            rows.append((peer.help, f"{speed:,}", f"{ratio:.2f}"))
    return table(("", "records/s", "worker over it"), rows)


def _model(result: Result) -> str:
    sizes = list(result["batches"])
    batches = [result["batches"][size] for size in sizes]
    stages = sorted(
        {name for batch in batches for name in batch["stages"]}, key=_place(batches[-1]["stages"])
    )
    rows = [("decode JSON", *(f"{batch['decode']:.2f}" for batch in batches))]
    rows += [
        (name, *(f"{batch['stages'].get(name, 0.0):.2f}" for batch in batches)) for name in stages
    ]
    events = (f"{batch['events_per_1000']:.1f}" for batch in batches)
    total = (f"**{batch['microseconds_per_record']:.2f}**" for batch in batches)
    rows += [("**the step, without timers**", *total), ("events in 1,000 records", *events)]
    return table(("microseconds a record", *(f"batches of {size}" for size in sizes)), rows)


def _place(stages: Mapping[str, float]) -> Callable[[str], float]:
    return lambda name: -stages.get(name, 0.0)


def _skew(result: Result) -> str:
    names = {"even": "even", "zipf": "Zipf 1.2", "hot": "one hot key"}
    rows = [
        (names[name], f"{microseconds:.2f}", f"{result['ratios'].get(name, 1.0):.2f}")
        for name, microseconds in result["microseconds_per_record"].items()
    ]
    keys = table(("keys", "microseconds a record", "over even"), rows)
    spread = result.get("partitions")  # results kept before it was measured have none
    return f"{keys}\n{_partitions(spread)}" if spread else keys


def _partitions(spread: Result) -> str:
    partitions, records = spread["partitions"], spread["records_per_partition"]
    names = {
        "one": f"{partitions * records} records of one partition",
        "together": f"{records} each of {partitions} partitions, as a worker takes them",
        "one_by_one": "the same, a step for each partition",
    }
    rows = [
        (names[name], f"{microseconds:.2f}", f"{spread['ratios'].get(name, 1.0):.2f}")
        for name, microseconds in spread["microseconds_per_record"].items()
    ]
    return table(("partitions", "microseconds a record", "over one partition"), rows)


def _latency(result: Result) -> str:
    rows = [
        (
            f"{load} %",
            f"{figures['records_per_second']:,}",
            *(f"{1000 * figures[f'{q}_seconds']:.0f}" for q in ("p50", "p99", "max")),
            *(
                f"{100 * figures['cpu_shares'][process]:.0f} %"
                for process in ("worker", "broker", "producer")
            ),
        )
        for load, figures in result["loads"].items()
    ]
    head = "load", "records/s", "p50, ms", "p99, ms", "longest, ms", "worker", "broker", "producer"
    return table(head, rows)


def _memory(result: Result) -> str:
    ratios = result["ratios"]
    rows = [
        ("rows", f"{result['slab_mib']:,.0f}", "1"),
        ("all that grew", f"{result['grown_mib']:,.0f}", f"{ratios['grown_to_slab']:.2f}"),
        ("the process", f"{result['resident_mib']:,.0f}", f"{ratios['resident_to_slab']:.2f}"),
    ]
    head = f"{result['keys']:,} keys of {result['row_bytes']:,} bytes", "MiB", "over the rows"
    return table(head, rows)


def _recovery(result: Result) -> str:
    """Seconds until the state is back, beside Kafka Streams."""
    local, peer = result["local_disk"], result["kafka_streams"]
    rows = [
        (
            "from the changelog",
            f"{result['recovery_seconds']:.1f}",
            f"{result['keys_per_second']:,}",
        ),
        (
            "from copies on local disk",
            f"{local['recovery_seconds']:.1f}",
            f"{local['keys_per_second']:,}",
        ),
    ]
    if "left_out" in peer:
        rows.append((f"Kafka Streams: left out ({peer['left_out']})", "-", "-"))
    else:
        rows.append(
            (
                "Kafka Streams, the same changelog into RocksDB",
                f"{peer['seconds']:.1f}",
                f"{peer['records_per_second']:,}",
            )
        )
    head = f"{result['keys']:,} keys of {result['row_bytes']:,} bytes", "seconds", "keys/s"
    return table(head, rows)


_PAUSES: Final = {
    "longest_pause_seconds": "longest copy of what a checkpoint writes, ms",
    "longest_turn_seconds": "longest turn of the event loop with a checkpoint on its way, ms",
    "longest_turn_seconds_without": "longest turn without one: a step of 4,096 records, ms",
}


def _checkpoints(result: Result) -> str:
    """Tabulate the cost of checkpoints every two seconds at full load."""
    loads = result["load"].values()
    rows = [
        ("rows/s without", *(f"{load['rows_per_second_without']:,}" for load in loads)),
        ("rows/s with", *(f"{load['rows_per_second']:,}" for load in loads)),
        ("**share of checkpoints**", *(f"**{load['checkpoint_share']:.1%}**" for load in loads)),
        ("rows a checkpoint", *(f"{load['rows_a_checkpoint']:,}" for load in loads)),
        (
            "seconds until one is in the log",
            *(f"{load['checkpoint_seconds']:.2f}" for load in loads),
        ),
        *(
            (text, *(f"{1000 * load[name]:.0f}" if name in load else "-" for load in loads))
            for name, text in _PAUSES.items()
        ),
    ]
    return table(("", *(f"{int(keys):,} keys" for keys in result["load"])), rows)


def _eviction(result: Result) -> str:
    """Twice as many keys as memory holds."""
    rows = [
        ("MiB of the rows that memory holds", f"{result['slab_bytes'] / 2**20:,.0f}"),
        ("MiB of the process when they were all there", f"{_mib(result, '_when_full')}"),
        ("MiB of the process at the end", f"{_mib(result, '')}"),
        ("rows put away", f"{result['evicted']:,}"),
        ("rows brought back", f"{result['returned']:,}"),
        ("keys forgotten", f"{result['forgotten']:,}"),
        ("MiB on disk", f"{result['disk_bytes'] / 2**20:,.0f}"),
        ("rows/s while all keys are new, and while all return", _pair(result["rows_per_second"])),
        (
            "keys compared, and found as if never put away",
            _pair((result["keys_compared"], result["keys_that_went_on"])),
        ),
    ]
    head = f"{result['keys']:,} keys, `max_keys = {result['max_keys']:,}`", ""
    return table(head, rows)


def _mib(result: Result, when: str) -> str:
    return f"{result['resident_bytes' + when] / 2**20:,.0f}"


def _pair(numbers: Iterable[int]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)


_OF_WORKERS: Final[Mapping[str, str]] = {
    "records_per_second": "records/s",
    "on_cores_of_their_own": "on cores of their own",
    "cpu_us_per_record": "processor time a record, us",
    "broker_cpu_us_per_record": "of the broker, us",
}


def _scale(result: Result) -> str:
    rows = [
        (
            _AXES[axis],
            f"{int(number):,}",
            f"{figures['microseconds_per_record']:.2f}",
            f"{figures['bytes_per_key']:,}",
            f"{figures['row_bytes']:,}",
        )
        for axis in _AXES
        for number, figures in result[axis].items()
    ]
    text = table(("dimension", "to", "microseconds a record", "bytes a key", "of a row"), rows)
    workers = result["workers"]
    columns = [name for name in _OF_WORKERS if all(name in figures for figures in workers.values())]
    head = "workers", *(_OF_WORKERS[name] for name in columns)
    of_each = [(n, *(f"{figures[name]:,}" for name in columns)) for n, figures in workers.items()]
    return text + ("\n" + table(head, of_each) if workers else "")


def _gpu(result: Result) -> str:
    """Rows a second by batch size, on the device and on the quicker of NumPy and PyTorch here."""
    rates = {
        "CfC step": result["cfc"]["rows_per_second"],
        "a record's whole way, rows there": result["pipeline"]["rows_per_second"]["kept"],
        "the same, rows sent and scores fetched": result["pipeline"]["rows_per_second"]["fed"],
        "RBM training": result["rbm"]["rows_per_second"],
        "liquid training by gradients": result["liquid"]["rows_per_second"],
    }
    rows = []
    for task, speeds_of_task in rates.items():
        *host_speeds, device = speeds_of_task.values()
        for size, device_speed in device.items():
            best = max(host_speed[size] for host_speed in host_speeds)
            rows.append(
                (
                    task,
                    f"{int(size):,}",
                    f"{best:,}",
                    f"{device_speed:,}",
                    f"{device_speed / best:.1f}",
                )
            )
    speeds = table(("what", "rows at once", "processor", result["device"], "times"), rows)
    pipeline = result["pipeline"]
    triggers = "the same" if pipeline["same_triggers"] else "other"
    return (
        f"{speeds}\nIt pays from {pipeline['pays_from']['fed']:,} rows at once. Scores differ from "
        f"NumPy's by {pipeline['largest_relative_difference']:.1e} of their size (of 1 nat where "
        "they are smaller) at most, with "
        f"{triggers} triggers.\n"
    )


def _machine(result: Result) -> str:
    machine = result["machine"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}, Kafka {machine['kafka']}, "
        f"NumPy {machine['packages']['numpy']}; one thread of BLAS, broker and producer on the same"
        " machine.\n"
    )


PARTS: Final[Mapping[str, Callable[[Result], str]]] = {
    "performance-throughput": _throughput,
    "performance-model": _model,
    "performance-skew": _skew,
    "performance-evidence": evidence.page,
    "performance-scores": scores.page,
    "performance-latency": _latency,
    "performance-memory": _memory,
    "performance-recovery": _recovery,
    "performance-recovery-checkpoints": _checkpoints,
    "performance-eviction": _eviction,
    "performance-scale": _scale,
    "performance-gpu": _gpu,
}


def curves(folder: Path = RESULTS) -> str:
    """Microseconds a record over keys, channels and neurons, as SVG."""
    path = folder / "scale.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    panels = [
        _panel(60 + 260 * i, label, _points(result.get(axis, {})))
        for i, (axis, label) in enumerate(_AXES.items())
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 240" font-family="sans-serif" '
        'font-size="11" role="img">\n<title>Microseconds a record as keys, channels and neurons '
        'grow</title>\n<rect width="820" height="240" fill="white"/>\n'
        + "".join(panels)
        + "</svg>\n"
    )


def _points(found: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(float(n), float(figures["microseconds_per_record"])) for n, figures in found.items()]


def _panel(left: int, label: str, points: Sequence[tuple[float, float]]) -> str:
    """Draw one curve: the dimension on a logarithmic axis, microseconds from zero."""
    width, top, bottom = 200, 30, 190
    parts = [
        f'<path d="M{left} {top}V{bottom}H{left + width}" fill="none" stroke="#666"/>\n',
        f'<text x="{left + width / 2:g}" y="228" text-anchor="middle">{label}</text>\n',
        f'<text x="{left}" y="18">microseconds a record</text>\n',
    ]
    if points:
        low, high = math.log(points[0][0]), math.log(points[-1][0])
        most = 1.1 * max(y for _, y in points)
        pixels = [
            (
                left + width * (math.log(x) - low) / max(high - low, 1e-9),
                bottom - (bottom - top) * y / most,
            )
            for x, y in points
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#c2410c" stroke-width="2"/>\n')
        for (x, y), (n, cost) in zip(pixels, points, strict=True):
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#c2410c"/>\n',
                f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{cost:.1f}</text>\n',
                f'<text x="{x:.1f}" y="206" text-anchor="middle">{n:,.0f}</text>\n',
            ]
    return "".join(parts)

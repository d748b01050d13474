"""`ember state clock`: clocks of the partitions, and their reset."""

from __future__ import annotations

import time

from stream.keys import key_text
from stream.tools.clocks import PartitionClock, read_clocks, reset_clocks

from .options import InputTopicArgs, InputTopicOptions
from .output import message, print_json
from .state import open_log, require_yes, time_text

_SHOWN_KEYS = 8


def clock(
    *,
    reset: bool = False,
    yes: bool = False,
    json: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    """Print the clock of each partition, and the keys that are ahead of this machine's clock.

    A key is silent, or forgotten, by the clock of its partition. With --reset, clocks and keys that
    are ahead are set back to the newest time that is not: a key that is ahead would be late, and a
    silent one of such a partition would not be told. Keys keep what they have learnt. Stop all
    workers of the group first.

    Args:
        reset: Set back times that are ahead; without --yes the command only prints it.
        yes: Carry out the reset.
        json: Print one JSON object per partition.
        source: Input topic.
    """
    log = open_log(source)
    if reset and yes:
        log.require_idle()  # before reading: a worker that stops writes a last checkpoint
    clocks = list(read_clocks(log, int(time.time() * 1e6)))
    for partition_clock in clocks:
        _print(partition_clock, as_json=json)
    if not reset:
        return
    wrong_clocks = [entry for entry in clocks if entry.is_ahead]
    if not wrong_clocks:
        message("No clock is ahead. There is nothing to do.")
        return
    keys = sum(len(entry.ahead) for entry in wrong_clocks)
    require_yes(f"{len(wrong_clocks)} partitions and {keys:,} keys would be set back.", yes=yes)
    log.require_idle()
    written = reset_clocks(log, wrong_clocks)
    message(f"Done: {written:,} records written. The next start goes on from here.")


def _print(entry: PartitionClock, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "topic": entry.topic,
                "partition": entry.partition,
                "clock": time_text(entry.clock_us),
                "keys": len(entry.state.rows),
                "ahead": entry.is_ahead,
                "keys_ahead": [key_text(key) for key in entry.ahead],
            }
        )
        return
    line = f"{entry.topic}-{entry.partition}: {time_text(entry.clock_us) or 'no record yet'}"
    if entry.clock_us > entry.latest_us:
        line += ", ahead of this machine"
    if entry.ahead:
        names = ", ".join(map(key_text, entry.ahead[:_SHOWN_KEYS]))
        hidden = len(entry.ahead) - _SHOWN_KEYS
        line += f"; keys ahead: {names}" + (f" and {hidden:,} more" if hidden > 0 else "")
    print(line)

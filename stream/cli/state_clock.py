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
        reset: Set back what is ahead; without --yes the command only prints it.
        yes: Carry out the reset.
        json: Print one JSON object per partition.
        source: Input topic.
    """
    log = open_log(source)
    if reset and yes:
        log.require_idle()  # before reading: a worker that stops writes a last checkpoint
    clocks = list(read_clocks(log, int(time.time() * 1e6)))
    for each in clocks:
        _print(each, as_json=json)
    if not reset:
        return
    ahead = [each for each in clocks if each.is_ahead]
    if not ahead:
        message("No clock is ahead. There is nothing to do.")
        return
    keys = sum(len(each.ahead) for each in ahead)
    require_yes(f"{len(ahead)} partitions and {keys:,} keys would be set back.", yes=yes)
    log.require_idle()
    written = reset_clocks(log, ahead)
    message(f"Done: {written:,} records written. The next start goes on from here.")


def _print(each: PartitionClock, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "topic": each.topic,
                "partition": each.partition,
                "clock": time_text(each.clock_us),
                "keys": len(each.state.rows),
                "ahead": each.is_ahead,
                "keys_ahead": [key_text(key) for key in each.ahead],
            }
        )
        return
    line = f"{each.topic}-{each.partition}: {time_text(each.clock_us) or 'no record yet'}"
    if each.clock_us > each.latest_us:
        line += ", ahead of this machine"
    if each.ahead:
        names = ", ".join(map(key_text, each.ahead[:_SHOWN_KEYS]))
        more = len(each.ahead) - _SHOWN_KEYS
        line += f"; keys ahead: {names}" + (f" and {more:,} more" if more > 0 else "")
    print(line)

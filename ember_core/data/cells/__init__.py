r"""Cells: the one table of numbers, times, missing values and nested paths.

Files (`ember train`, `backtest`, `replay`) and records on a topic (`stream.codecs`) are read by it.

| cell | read as |
| --- | --- |
| integer, float, decimal | the number |
| `true`, `false` | 1 and 0 |
| text of a number, with spaces or no-break spaces around it | the number |
| groups of three digits: `1 234.5`, `1'234.5`, `1,234.5`, `1,234,567` | the number |
| `21,5`; `1.234,5` | a number with `decimal = ","`, else unreadable |
| `1,234` | 1234 with `decimal = "."`, 1.234 with `decimal = ","`, else unreadable |
| text `true`, `false`, `yes`, `no`, `on`, `off`, `t`, `f`, `y`, `n` | 1 and 0 |
| null, NaN, infinity, one of `MISSING_WORDS`, one of the words or numbers of `missing` | missing |
| anything else | unreadable: a missing value that is counted and told |
| object, array | their members, by dotted paths: `env.temp`, `cores.0` |

| time | read as |
| --- | --- |
| number, also as text | by `unit`; `auto`: s below 1e11, ms below 1e14, us below 1e17, else ns |
| 8, 12 or 14 digits, years 1900 to 2100 (`auto`) | YYYYMMDD, with HHMM or HHMMSS behind it |
| number with `unit = "excel"` | days since 30 December 1899 |
| ISO 8601; also a space for `T`, slashes, one digit for month or day, ` +0100`, ` UTC` | the time |
| `31.01.2026 10:00`, `31 Jan 2026 10:00`, `Jan 31, 2026 10:00 AM`, RFC 2822 | the time |
| `31/01/2026`, `01-31-2026` | by `format`, or by `day_first`; else unreadable |
| 23:59:60; 24:00 | the next second; the next midnight |
| no offset | local time of `zone`, UTC by default; of an hour that comes twice the first |

Examples:
    >>> number = NumberReader(missing=("-9999",))
    >>> [number.read(cell) for cell in (True, "\u00a021.5", "n/a", -9999, None)]
    [1.0, 21.5, nan, nan, nan]
    >>> time = TimeReader(zone="Europe/Berlin")
    >>> time.read("2026-01-31 01:00") == time.read("2026-01-31T00:00Z") == time.read(1769817600)
    True
    >>> dict(leaves({"ts": 1, "values": {"cpu": 2}, "env": {"temp": 3}}))
    {'ts': 1, 'cpu': 2, 'env.temp': 3}
"""

from ._epochs import EARLIEST_US as EARLIEST_US
from ._epochs import LATEST_US as LATEST_US
from ._epochs import is_date_number as is_date_number
from ._numbers import FALSE_WORDS as FALSE_WORDS
from ._numbers import MISSING_WORDS as MISSING_WORDS
from ._numbers import PLAIN_MISSING_WORDS as PLAIN_MISSING_WORDS
from ._numbers import TRUE_WORDS as TRUE_WORDS
from ._numbers import TRUTH_LETTERS as TRUTH_LETTERS
from ._numbers import Decimal as Decimal
from ._numbers import NumberReader as NumberReader
from ._numbers import number_of as number_of
from ._paths import cells_of as cells_of
from ._paths import leaves as leaves
from ._time_text import order_of as order_of
from ._times import TimeReader as TimeReader
from ._times import TimeUnit as TimeUnit
from ._times import is_missing_time as is_missing_time
from ._unreadable import Unreadable as Unreadable
from ._zones import offsets as offsets
from ._zones import zone_of as zone_of

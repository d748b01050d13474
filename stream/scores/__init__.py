"""Messages of the scores topic: scored rows, with the usual band of each channel.

One message holds rows of one partition as an Arrow IPC stream: a schema and one record batch. Any
Arrow library reads it. Extra `scores`.
"""

from __future__ import annotations

from .batch import CHANNEL_COLUMNS as CHANNEL_COLUMNS
from .batch import ROW_COLUMNS as ROW_COLUMNS
from .batch import ScoreBatch as ScoreBatch
from .message import ScoresError as ScoresError
from .message import decode as decode
from .message import encode as encode
from .message import require_arrow as require_arrow

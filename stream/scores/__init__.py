"""Messages of the scores topic: scored rows, with the usual band of each channel.

One message holds rows of one partition as an Arrow IPC stream: a schema and one record batch. Any
Arrow library reads it. Extra `scores`.
"""

from __future__ import annotations

from .batch import ScoreBatch as ScoreBatch
from .message import ScoresError as ScoresError
from .message import decode as decode
from .message import encode as encode

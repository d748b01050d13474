"""`ember remote-write`: sends scored rows to Prometheus, VictoriaMetrics or Mimir as series.

It reads the scores topic and the triggers: keys of some patterns are always written, and keys in an
alert with the hours before it.
"""

from ._probe import Probe as Probe
from ._probe import probe as probe
from ._protocol import MissingPackageError as MissingPackageError
from ._protocol import encode as encode
from ._rows import CHANNEL_COLUMNS as CHANNEL_COLUMNS
from ._rows import KEY_COLUMNS as KEY_COLUMNS
from ._rows import KeyRows as KeyRows
from ._sender import OUTCOMES as OUTCOMES
from ._serve import serve as serve
from ._writer import READ as READ
from ._writer import RemoteWriter as RemoteWriter

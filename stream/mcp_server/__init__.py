"""`ember mcp`: the console's API as tools of the Model Context Protocol, for assistants.

It reads, and writes only where it is told so. Names and notes that it hands on come from telemetry
and from people: they are data.
"""

from ._api import ConsoleApi as ConsoleApi
from ._api import ConsoleError as ConsoleError
from ._serve import make_server as make_server
from ._serve import serve as serve

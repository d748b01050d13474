"""Codecs: Kafka messages decoded into columns of samples, one codec per telemetry format.

Examples:
    >>> from types import SimpleNamespace
    >>> from stream.codecs import encode_json, make_codec
    >>> channels = ["cpu", "memory"]
    >>> codec = make_codec("json", channels)
    >>> value = encode_json(b"web-1", 1_700_000_000_000_000, channels, [0.25, float("nan")])
    >>> value
    b'{"key":"web-1","ts":1700000000000,"values":{"cpu":0.25}}'
    >>> decoded = codec.decode([SimpleNamespace(key=b"web-1", value=value)])
    >>> decoded.keys, decoded.time_us.tolist(), decoded.values.tolist(), decoded.rejected
    ([b'web-1'], [1700000000000000], [[0.25, nan]], [])
"""

from ._base import Codec as Codec
from ._discover import ChannelFinder as ChannelFinder
from ._encode import encode_json as encode_json
from ._fields import FieldFinder as FieldFinder
from ._guess import Guess as Guess
from ._guess import guess_format as guess_format
from ._key import KeyExpression as KeyExpression
from ._make import CODECS as CODECS
from ._make import contested as contested
from ._make import make_codec as make_codec
from ._reader import load_compiled_reader as load_compiled_reader
from ._registry import RegistryUnavailable as RegistryUnavailable
from ._rekeyed import RekeyedCodec as RekeyedCodec
from ._rekeyed import rekeyed_json as rekeyed_json

"""The engine: state of every key in slabs, one vectorised step per batch. Pure.

No event loop, no Kafka, no clock, no metrics: time enters as event times, offsets as arrays.
"""

from __future__ import annotations

from stream.engine.adopt import HEAD_BYTES as HEAD_BYTES
from stream.engine.adopt import Description as Description
from stream.engine.adopt import describe as describe
from stream.engine.adopt import offset_in as offset_in
from stream.engine.engine import Engine as Engine
from stream.engine.graves import ABSORBED_HEADER as ABSORBED_HEADER
from stream.engine.graves import Gone as Gone
from stream.engine.graves import Graves as Graves
from stream.engine.graves import gone_by as gone_by
from stream.engine.graves import number_in as number_in
from stream.engine.judge import Judge as Judge
from stream.engine.judge import judge_of as judge_of
from stream.engine.layout import RowLayout as RowLayout
from stream.engine.layout import WindowSpec as WindowSpec
from stream.engine.meta import META_KEY as META_KEY
from stream.engine.meta import Fate as Fate
from stream.engine.meta import MetaRow as MetaRow
from stream.engine.result import TP as TP
from stream.engine.result import DirtyRows as DirtyRows
from stream.engine.result import Fetch as Fetch
from stream.engine.result import LoadReport as LoadReport
from stream.engine.result import ScoreColumns as ScoreColumns
from stream.engine.result import StepResult as StepResult
from stream.engine.shadow import EDGES as EDGES
from stream.engine.shadow import Comparison as Comparison
from stream.engine.shadow import check_candidate as check_candidate
from stream.engine.snapshot import RowBlock as RowBlock
from stream.engine.snapshot import Walk as Walk
from stream.engine.step import Limits as Limits

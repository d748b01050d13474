"""The engine: state of every key in slabs, one vectorised step per batch. Pure.

No event loop, no Kafka, no clock, no metrics: time enters as event times, offsets as arrays.
"""

from __future__ import annotations

from stream.types import TP as TP

from .detailed_scores import DetailedScores as DetailedScores
from .engine import Engine as Engine
from .profiled import ProfiledEngine as ProfiledEngine
from .profiled_partitions import OTHER_KEYS as OTHER_KEYS
from .profiles import Profiles as Profiles
from .profiles import same_profiles as same_profiles
from .profiles import version_of as version_of
from .result import DirtyRows as DirtyRows
from .result import ScoreColumns as ScoreColumns
from .result import SliceOffsets as SliceOffsets
from .result import StepResult as StepResult
from .rows import RowMaker as RowMaker
from .rows import Samples as Samples
from .shadow import EDGES as EDGES
from .shadow import Comparison as Comparison
from .shadow import check_candidate as check_candidate
from .state.layout import RowLayout as RowLayout
from .state.layout import WindowSpec as WindowSpec
from .state.merge import LoadReport as LoadReport
from .state.meta import META_KEY as META_KEY
from .state.meta import MetaRow as MetaRow
from .state.meta import Outcome as Outcome
from .state.migration import HEAD_BYTES as HEAD_BYTES
from .state.migration import Description as Description
from .state.migration import alerts_of as alerts_of
from .state.migration import describe as describe
from .state.migration import descriptions_of as descriptions_of
from .state.migration import layout_of as layout_of
from .state.migration import offset_in as offset_in
from .state.model_version import ModelVersion as ModelVersion
from .state.model_version import model_version_of as model_version_of
from .state.row_plan import RowPlan as RowPlan
from .state.snapshot import RowBlock as RowBlock
from .state.snapshot import SnapshotScan as SnapshotScan
from .state.tombstones import ABSORBED_HEADER as ABSORBED_HEADER
from .state.tombstones import Tombstone as Tombstone
from .state.tombstones import TombstoneIndex as TombstoneIndex
from .state.tombstones import number_in as number_in
from .state.tombstones import tombstone_of as tombstone_of
from .step import Limits as Limits

AnyEngine = Engine | ProfiledEngine
"""Engine of one model, or of several by profile."""

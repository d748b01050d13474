"""The Kafka edge: Faust with a transport of whole fetches and a store of slabs.

`Worker` runs one engine; everything else is what it is made of. The protocol classes (ledger,
outbox, checkpoint, changelog, resume, group) know no Kafka: a simulation can drive them.
"""

from __future__ import annotations

from ._changelog import Changelog as Changelog
from ._checkpoint import Checkpoint as Checkpoint
from ._checkpoint import CheckpointError as CheckpointError
from ._config import WorkerConfig as WorkerConfig
from ._dead_letters import DeadLetters as DeadLetters
from ._group import GroupView as GroupView
from ._ledger import Ledger as Ledger
from ._outbox import Outbox as Outbox
from ._ports import TP as TP
from ._ports import Administration as Administration
from ._ports import FencedError as FencedError
from ._ports import Membership as Membership
from ._ports import Observer as Observer
from ._ports import Outgoing as Outgoing
from ._ports import RefusedError as RefusedError
from ._ports import Silent as Silent
from ._ports import TopicFacts as TopicFacts
from ._processor import Processor as Processor
from ._resume import Facts as Facts
from ._resume import Start as Start
from ._resume import resume as resume
from ._spill_file import SpillFiles as SpillFiles

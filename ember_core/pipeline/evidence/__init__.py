"""Evidence by channel: its usual value at this time of the week, and its departure from it."""

from .channel_evidence import ChannelEvidence as ChannelEvidence
from .curves import SeverityCurves as SeverityCurves
from .joint_evidence import JointEvidence as JointEvidence
from .signals import Sides as Sides
from .signals import by_side as by_side
from .signals import statistic_name as statistic_name
from .transforms import Transforms as Transforms

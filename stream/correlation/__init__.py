"""Incidents: keys that fire together, from their triggers.

Pure: times, triggers and settings come in as arguments, and messages come out. `stream.bridge` has
the process that reads and writes them.
"""

from .body import IncidentBody as IncidentBody
from .body import read_incident as read_incident
from .correlator import Correlator as Correlator
from .correlator import Message as Message
from .correlator import Rules as Rules
from .page_budget import PageBudget as PageBudget
from .replay import Summary as Summary
from .replay import Told as Told
from .replay import replay as replay
from .replay import summarise as summarise
from .trigger import read_trigger as read_trigger

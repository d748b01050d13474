"""Usual values of every channel, learnt from a fleet's history."""

from .evidence import ChannelFit as ChannelFit
from .evidence import fit_channels as fit_channels
from .new_keys import Spans as Spans

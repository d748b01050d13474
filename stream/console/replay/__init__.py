"""Replays of the input topic by the real engine, in a process of their own.

Reading goes on meanwhile, and a replay that takes too long or is not wanted any more is killed.
"""

from __future__ import annotations

from ._process import Replayer as Replayer
from ._task import ActivationsTask as ActivationsTask
from ._task import WhatIfTask as WhatIfTask
from ._task import decode_task as decode_task

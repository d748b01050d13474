"""Model of the settings, and replays of keys through it."""

from __future__ import annotations

import base64
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from stream.configure import load_models
from stream.engine import Profiles
from stream.settings import Settings

from .replay import ActivationsTask, Replayer
from .views import NotKnownError

_MODEL_SECONDS: Final = 60.0
_REPLAYED_KEYS: Final = 8
_NEW_ROWS_SECONDS: Final = 30.0
"""Age from which a replay is made anew for a time after its last row."""


class Models:
    """Model of the settings, read at the first question, and again after a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: FleetModel | Profiles | None = None
        self._read_at = float("-inf")

    def of(self, settings: Settings, key: bytes | None = None) -> FleetModel:
        """Return the model that judges a key.

        Args:
            settings: Settings of the service.
            key: Stream key; None: any, by the first of several profiles.

        Raises:
            UserError: If it cannot be read.
            NotKnownError: If no model judges the key.
        """
        with self._lock:
            if self._model is None or time.monotonic() - self._read_at > _MODEL_SECONDS:
                self._model = load_models(settings)
                self._read_at = time.monotonic()
            models = self._model
        if not isinstance(models, Profiles):
            return models
        model = models.models[0] if key is None else models.model_of(key)
        if model is None:
            raise NotKnownError("No model judges this key: no pattern of model.profiles fits it.")
        return model


@dataclass(frozen=True)
class Activations:
    """Replayed rows of a key.

    Attributes:
        read_at: Time of the replay, on the monotonic clock.
        time_us: Event times, `(n,)`.
        basis: Neurons after each row, then its inputs, `(n, H + I)`.
        forecast: Forecast of the next row, `(n, C)`.
        channels: Names of the channels.
        neurons: Number of neurons, `H`.
    """

    read_at: float
    time_us: NDArray[np.int64]
    basis: NDArray[np.float32]
    forecast: NDArray[np.float32]
    channels: list[str]
    neurons: int


class ActivationCache:
    """Replays of the keys that were asked for last."""

    def __init__(self) -> None:
        self._replays: OrderedDict[bytes, Activations] = OrderedDict()

    def of(self, task: ActivationsTask, time_us: int, replayer: Replayer) -> Activations:
        """Return the replay of a key; one that is too old for a time is made anew.

        Args:
            task: Replay of the key.
            time_us: Event time that is asked for.
            replayer: Runner of replays.

        Raises:
            RefusedError: If another replay runs.
            UserError: If the replay fails.
        """
        replay = self._replays.get(task.key)
        if replay is None or not _reaches(replay, time_us):
            replay = _decoded(replayer.run(task))
            self._replays[task.key] = replay
        self._replays.move_to_end(task.key)
        while len(self._replays) > _REPLAYED_KEYS:
            self._replays.popitem(last=False)
        return replay


def _reaches(replay: Activations, time_us: int) -> bool:
    is_past = bool(len(replay.time_us)) and time_us <= int(replay.time_us[-1])
    return is_past or time.monotonic() - replay.read_at < _NEW_ROWS_SECONDS


def _decoded(plain: dict[str, Any]) -> Activations:
    width, channels = plain["neurons"] + plain["inputs"], plain["channels"]
    arrays = {name: base64.b64decode(plain[name]) for name in ("time_us", "basis", "forecast")}
    return Activations(
        read_at=time.monotonic(),
        time_us=np.frombuffer(arrays["time_us"], np.int64),
        basis=np.frombuffer(arrays["basis"], np.float32).reshape(-1, width),
        forecast=np.frombuffer(arrays["forecast"], np.float32).reshape(-1, len(channels)),
        channels=channels,
        neurons=plain["neurons"],
    )

"""Rows and steps of the keys of one profile, within an engine of several."""

from __future__ import annotations

from ember_core.pipeline import FleetModel
from stream.engine.state.meta import MetaRow
from stream.engine.state.model_version import FormerModel
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.types import TP

from .admission import Admitted
from .engine import Engine
from .loading import ChangelogLoader
from .result import StepResult


class _RowLoader(ChangelogLoader):
    """Loader of a lane; the engine of all lanes goes on with the meta row and describes rows."""

    def continue_with(self, meta: MetaRow) -> None:
        """Leave the meta row as it was read."""

    def describe_rows(self, meta: MetaRow) -> None:
        """Leave the description as it is."""


class Lane(Engine):
    """Engine of the keys of one profile. Its meta rows are those of the engine of all profiles."""

    def _use(self, model: FleetModel, store: Store) -> None:
        super()._use(model, store)
        self._loader = _RowLoader(store, model.sha256)

    @property
    def store(self) -> Store:
        """Rows of its keys."""
        return self._store

    @property
    def rows(self) -> FormerModel:
        """Layout and model of its rows."""
        return self._loader.rows()

    def part(self, tp: TP) -> Partition:
        """Return its part of a partition that is attached."""
        return self._parts[tp[0], tp[1]]

    def own(self, tp: TP) -> None:
        """Mark migrated rows of a partition as to be written."""
        self._store.slab.mark_migrated_dirty(self.part(tp).number)

    def absorb(self, admitted: Admitted) -> StepResult:
        """Absorb its samples of a slice; nothing is counted."""
        return self._stepper.step(admitted)

    def has_idle_keys(self, tp: TP, clock_us: int) -> bool:
        """Return whether keys become idle before the clock of a partition reaches a time."""
        return self._stepper.has_idle_keys(self.part(tp), clock_us)

    def tell_idle(self, tp: TP, clock_us: int) -> StepResult:
        """Find the keys that are idle by a clock which no record has moved."""
        return self._stepper.tell_silence(self.part(tp), clock_us)

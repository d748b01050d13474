"""Motor neuron over groups of evidence: the channels one by one, and all of them together.

It fires once per episode, for the group that leads it. What it has paged it grows used to
(*habituation*): the same group pages again only when it is clearly worse. Another group that joins
a running episode late is an *update*, a page within the episode. A channel that stays high is
*accepted* in the end, so that no alarm lasts for ever.

All rules but the firing itself compare severities with the on-threshold: a group is *raised* when
its severity reaches the on-threshold less `off_below`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

ACCEPTED_ROWS = 24
"""Rows for which a group is raised, at the least, before it is accepted."""
NEVER = -1e9
"""Effective severity of a group that is left out."""
LN2 = float(np.log(2.0))


class GroupFiring(NamedTuple):
    """Pages and ends of episodes on rows, shape `(B,)` each.

    Attributes:
        fires: True where an episode begins: a page.
        resolves: True where it ends.
        updates: True where another group joins late: a page within the episode.
        lead: Group of the page, int64; on other rows the one with the largest evidence.
    """

    fires: Any
    resolves: Any
    updates: Any
    lead: Any


class GroupMotor(Stage):
    """Untrained motor neuron over the severities of groups; the last group is the joint one.

    Args:
        n_groups: Number of groups `G`: the channels, then the joint one.
        on: Severity at which it fires.
        off_below: A severity that is less than this below `on` counts as raised.
        refractory_rows: Rows after a resolve in which it does not fire.
        habituation_half_life: Half-life of habituation, in usual intervals.
        margin: Severity by which a group has to exceed its paged one to page again at once.
        habituation_most: Largest habituation of a group that is not raised, in severity. While one
            is raised there is no limit: a slow average stays high for hours after its cause. The
            joint group has none.
        escalation: Severity above `on` at which a group that joins late is a page of its own.
        joining_rows: Rows from a page in which groups that would be one of their own belong to it.
        calm_rows: Rows in a row without a holding group after which it resolves.
        accept_intervals: Usual intervals for which a channel is raised until it is accepted; no
            row counts as more than a 24th of them.
        return_intervals: Usual intervals for which an accepted channel is not raised until it
            counts again.

    Attributes:
        is_channel: Buffer `(G,)`, bool: false for the joint group.
    """

    is_channel: Any

    def __init__(
        self,
        n_groups: int,
        on: float = 1.0,
        *,
        off_below: float = 0.5,
        refractory_rows: int = 10,
        habituation_half_life: float = 10_080.0,
        margin: float = 0.3,
        habituation_most: float = 1.0,
        escalation: float = 0.5,
        joining_rows: int = 30,
        calm_rows: int = 10,
        accept_intervals: float = 360.0,
        return_intervals: float = 60.0,
    ) -> None:
        super().__init__()
        if off_below <= 0.0 or habituation_half_life <= 0.0 or calm_rows < 1 or n_groups < 1:
            raise ValueError(
                "The motor neuron cannot run so. Expected off_below > 0, "
                "habituation_half_life > 0, calm_rows >= 1 and n_groups >= 1. Received: "
                f"off_below={off_below}, habituation_half_life={habituation_half_life}, "
                f"calm_rows={calm_rows}, n_groups={n_groups}."
            )
        self.n_groups, self.on = n_groups, float(on)
        self.off_below, self.refractory_rows = float(off_below), int(refractory_rows)
        self.habituation_half_life, self.margin = float(habituation_half_life), float(margin)
        self.habituation_most, self.escalation = float(habituation_most), float(escalation)
        self.joining_rows, self.calm_rows = int(joining_rows), int(calm_rows)
        self.accept_intervals = float(accept_intervals)
        self.return_intervals = float(return_intervals)
        self.register_buffer("is_channel", ops.arange(n_groups, dtype="int32") < n_groups - 1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "n_groups": self.n_groups,
            "on": self.on,
            "off_below": self.off_below,
            "refractory_rows": self.refractory_rows,
            "habituation_half_life": self.habituation_half_life,
            "margin": self.margin,
            "habituation_most": self.habituation_most,
            "escalation": self.escalation,
            "joining_rows": self.joining_rows,
            "calm_rows": self.calm_rows,
            "accept_intervals": self.accept_intervals,
            "return_intervals": self.return_intervals,
        }

    @property
    def off(self) -> float:
        """Severity below which no group holds an episode open."""
        return self.on - self.off_below

    @property
    def longest_step(self) -> float:
        """Usual intervals that one row counts as at most, towards acceptance and return."""
        return self.accept_intervals / ACCEPTED_ROWS

    def state_fields(self) -> tuple[StateField, ...]:
        """Episode, rest, and what each group has shown of late."""
        role, groups = Role.DECIDED, (self.n_groups,)
        feedback = "reserved: added to the on-threshold, nothing writes it yet"
        return (
            StateField("evidence", "<f4", (), "largest severity less habituation", role),
            # An episode goes on under another model: it is the operator's, not the model's.
            StateField("firing", "<u1", (), "1 while an episode is open", role | Role.MEASURED),
            StateField("refractory", "<i4", (), "rows until it may fire again", role),
            StateField("feedback", "<f4", (), feedback, role),
            StateField("calm", "<i4", (), "rows of the open episode without a holding group", role),
            StateField("paged", "<i4", (), "rows since the last page of the open episode", role),
            StateField("joined", "<u1", groups, "1: part of a page of the last episode", role),
            StateField("habituation", "<f4", groups, "severity that it has grown used to", role),
            StateField("raised", "<f4", groups, "usual intervals for which it is raised", role),
            StateField("lowered", "<f4", groups, "usual intervals since it was raised", role),
        )

    def accepted(self, state: State) -> Any:
        """Return the groups that count no longer, `(B, G)`, bool; never the joint one."""
        return (state["raised"] > self.accept_intervals) & self.is_channel

    def decay(self, elapsed: Any) -> Any:
        """Return the share of habituation that is left after usual intervals, `(B,)`, float32."""
        return ops.exact_exp(elapsed * (-LN2 / self.habituation_half_life))

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, GroupFiring]:
        """Decide one row per key by the severities of its groups.

        Args:
            state: Fields of this stage before the rows, `(B, ...)`.
            x: Severities `(B, G)`, float32, NaN-free.
            observation: Columns of the rows: `hold` `(B, G)`, severities by which an episode goes
                on; `may_fire` `(B,)`; `elapsed` `(B,)`, usual intervals since the key's row before.

        Returns:
            Fields of this stage after the rows, and the triggers of the rows.
        """
        level = self.on - self.off_below
        is_raised = x >= level
        times = self._times(state, is_raised, observation.elapsed)
        accepted = self.accepted(times)
        decayed = state["habituation"] * self.decay(observation.elapsed)[:, None]
        habituation = ops.where(is_raised, decayed, ops.minimum(decayed, self.habituation_most))
        effective = ops.where(accepted, NEVER, x - habituation)
        evidence = ops.max(effective, axis=1)
        threshold = self.on + state["feedback"]

        is_open = state["firing"] > 0
        may_fire = observation.may_fire
        fires = ~is_open & (state["refractory"] <= 0) & may_fire & (evidence >= threshold)
        is_member = is_open[:, None] & (state["joined"] > 0)
        lead = ops.argmax(effective, axis=1)
        updates = is_open & may_fire & (state["paged"] >= self.joining_rows)
        if bool(ops.any(updates)):
            late = ops.where(is_member, NEVER, effective)
            updates = updates & (ops.max(late, axis=1) >= threshold + self.escalation)
            lead = ops.where(updates, ops.argmax(late, axis=1), lead)

        is_page = fires | updates
        holds = ops.any((observation.hold >= level) & ~accepted, axis=1) | is_page
        calm = (state["calm"] + 1) * (is_open & ~holds)
        resolves = is_open & (calm >= self.calm_rows)
        firing = (is_open & ~resolves) | fires
        paged = (state["paged"] + 1) * (firing & ~is_page)
        # A page takes in what rises with it: a fault reaches some channels after others.
        is_joining = (firing & (paged <= self.joining_rows))[:, None]
        # A group that would not be a page of its own has not been told: it may still be one.
        is_told = (effective >= threshold[:, None] + self.escalation) & is_joining
        groups = ops.arange(self.n_groups, dtype="int64", like=x)
        is_lead = is_page[:, None] & (groups[None, :] == lead[:, None])
        is_member = (is_member & firing[:, None]) | is_told | is_lead
        refractory = ops.maximum(state["refractory"] - 1, 0) * ~resolves
        return (
            {
                "evidence": evidence,
                "firing": ops.astype(firing, "uint8"),
                "refractory": ops.astype(refractory + self.refractory_rows * resolves, "int32"),
                "feedback": state["feedback"],
                "calm": ops.astype(calm * firing, "int32"),
                "paged": ops.astype(paged, "int32"),
                "joined": ops.astype(is_member, "uint8"),
                "habituation": self._habituate(
                    habituation, x, is_raised & (is_member | resolves[:, None])
                ),
                **times,
            },
            GroupFiring(fires, resolves, updates, lead),
        )

    def _times(self, state: State, is_raised: Any, elapsed: Any) -> State:
        """Return how long groups are raised, and how long they have not been."""
        step = ops.minimum(elapsed, self.longest_step)[:, None]
        lowered = (state["lowered"] + step) * ~is_raised
        raised = (state["raised"] + step * is_raised) * (lowered < self.return_intervals)
        return {"raised": raised, "lowered": lowered}

    def _habituate(self, habituation: Any, x: Any, used_to: Any) -> Any:
        """Return the habituation after the row.

        A group whose severity creeps up within another's episode must not grow used to itself
        before it pages, so that only the groups that joined do; the others at the episode's end.
        """
        used_to = used_to & self.is_channel
        level = x - self.on + self.margin
        return ops.where(used_to, ops.maximum(habituation, level), habituation)

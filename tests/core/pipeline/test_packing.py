"""Several rows a key at once: the order of rows, and the bits of one row at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ember_core.pipeline import (
    MotorNeuron,
    PackedRows,
    Pipeline,
    PipelineConfig,
    Tail,
)
from tests.conftest import examples
from tests.core.conftest import CHANNELS, ROW_US, START, fit, history, signal

QUICK = settings(
    max_examples=examples(12),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # examples are seeds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WHO = st.lists(st.integers(0, 12), min_size=1, max_size=70)


@given(who=WHO)
def test_each_key_keeps_its_order_and_a_turn_has_a_key_once(who):
    who = np.array(who)
    packed, keys, order = PackedRows.of(who)
    assert sorted(order.tolist()) == list(range(who.size))
    assert (who[order] == keys[packed.key]).all()
    for key in set(who.tolist()):
        assert order[keys[packed.key] == key].tolist() == np.flatnonzero(who == key).tolist()
    for begin, n in packed.spans():
        assert packed.key[begin : begin + n].tolist() == list(range(n))
    assert packed.sizes == sorted(packed.sizes, reverse=True)
    assert who[order[packed.last_rows]].tolist() == keys.tolist()


@given(who=WHO, n=st.integers(1, 4))
def test_rows_earlier_are_the_keys_own(who, n):
    packed, _, _ = PackedRows.of(np.array(who))
    later = packed.step >= n
    assert (packed.key[packed.earlier(n)] == packed.key[later]).all()
    assert (packed.step[packed.earlier(n)] == packed.step[later] - n).all()


@given(who=WHO)
def test_recurrences_are_those_of_each_key_alone(who):
    """Averages, sums, counts and maxima: the same operations in the same order."""
    packed, keys, _ = PackedRows.of(np.array(who))
    rng = np.random.default_rng(len(who))
    x, share, start = (
        rng.standard_normal((n, 3)).astype(np.float32)
        for n in (packed.row_count, packed.row_count, packed.key_count)
    )
    whole, first = rng.integers(0, 99, packed.row_count), rng.integers(0, 99, packed.key_count)
    after, departure = packed.ewma(start, x, share)
    faded = packed.decayed_sum(start, x, share)
    added, top = (packed.accumulate(op, first, whole) for op in (np.add, np.maximum))
    scanned = packed.scan(lambda s, x: {"s": s["s"] * x}, {"s": start}, x)["s"]
    for k in range(keys.size):
        average, total, product = start[k], start[k], start[k]
        count, most = first[k], first[k]
        for i in np.flatnonzero(packed.key == k).tolist():
            assert (departure[i] == x[i] - average).all()
            average = average + share[i] * (x[i] - average)
            total = share[i] * (total + x[i])
            product, count, most = product * x[i], count + whole[i], max(most, whole[i])
            for got, expected in ((after, average), (faded, total), (scanned, product)):
                assert got[i].tobytes() == expected.tobytes()
            assert (added[i], top[i]) == (count, most)


def test_nobody_has_no_rows():
    packed, keys, order = PackedRows.of(np.zeros(0, dtype=np.int64))
    assert (packed.row_count, packed.key_count, keys.size, order.size) == (0, 0, 0, 0)


def beginnings(model, keys):
    """State of keys in turn known and new, `(keys, ...)`."""
    pick = [n % 3 for n in range(keys)]  # two known keys, and a new one
    return {
        name: np.stack([model.new_state[name][0] if n == 2 else value[n] for n in pick])
        for name, value in model.key_state.items()
    }


def fleet_rows(keys, rows, seed):
    """Rows of several keys as they arrive: gaps, faults, missing channels, steps of any length."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(keys, 0.4))
    who = rng.choice(keys, rows, p=share)
    values = signal(rows, 0)[np.arange(rows)] + 0.0
    values[rng.random(rows) < 0.05] *= 40.0
    values[rng.random(values.shape) < 0.1] = np.nan
    time_us = START + np.cumsum(rng.exponential(ROW_US, rows)).astype(np.int64) + 1
    return who, values, time_us


@pytest.fixture(scope="module", params=["exponential", "dilated", "hop"])
def model(request):
    """New keys warm up within a test; tails follow; motor neurons fire."""
    made = fit(history((150, 140)), windows=request.param, residuals=(1, 2))
    made.configure(warmup_score=9, warmup_alarm=17)
    made.pipeline.tail = Tail(made.pipeline.tail.floor, half_life_rows=30, freeze_rows=5)
    made.pipeline.motor = MotorNeuron(on=1.5, off=1.1, time_constant_rows=2.0, refractory_rows=3)
    return made


@QUICK
@given(seed=st.integers(0, 2**32 - 1), keys=st.sampled_from([1, 2, 7, 31]))
def test_rows_in_turns_have_the_bits_of_rows_one_at_a_time(model, seed, keys):
    """Observation, score, decision and every field of the state, of known and of new keys."""
    pipeline = model.pipeline
    who, values, time_us = fleet_rows(keys, 150, seed)
    packed, names, order = PackedRows.of(who)
    states = {n: v[names] for n, v in beginnings(model, keys).items()}
    seen = pipeline.observe(states, values[order], time_us[order], packed)
    score = pipeline.score(seen.visible)
    chosen = np.flatnonzero(seen.scored)
    warm, inner, at = PackedRows.of(packed.key[chosen])
    chosen = chosen[at]
    decision = pipeline.decide(
        {n: v[inner] for n, v in states.items()},
        score[chosen],
        seen.may_fire[chosen],
        seen.learning[chosen],
        warm,
    )
    place = {int(i): n for n, i in enumerate(chosen)}
    for k in range(packed.key_count):
        state = {n: v[k : k + 1].copy() for n, v in states.items()}
        for i in np.flatnonzero(packed.key == k).tolist():
            at_i = slice(order[i], order[i] + 1)
            state, one, alone, said = pipeline.step(state, values[at_i], time_us[at_i])
            for name in ("visible", "z", "expected", "scored", "may_fire", "learning", "interval"):
                got = np.ascontiguousarray(getattr(seen, name)[i])
                assert got.tobytes() == getattr(one, name).tobytes(), name
            assert score[i].tobytes() == alone.tobytes()
            assert (i in place) == bool(one.scored[0])
            if i in place:
                for name in ("severity", "evidence", "firing", "fires", "resolves"):
                    got = getattr(decision, name)[place[i]]
                    assert got.tobytes() == getattr(said, name).tobytes(), name
        for name, value in seen.state.items():
            assert value[k : k + 1].tobytes() == state[name].tobytes(), name
        if k in inner:
            own = int(np.flatnonzero(inner == k)[0])
            for name, value in decision.state.items():
                assert value[own : own + 1].tobytes() == state[name].tobytes(), name


def test_the_rows_above_fire_and_resolve(model):
    """The equality is about something."""
    said = set()
    for seed in range(5):
        _, values, time_us = fleet_rows(1, 300, seed)
        got = model.pipeline(values, time_us, {n: v[:1] for n, v in model.key_state.items()})
        said |= set(got["trigger"].tolist())
    assert said == {-1, 0, 1}


def test_a_pipeline_that_is_refined_anew_uses_its_new_weights():
    """What the loop over packed has prepared goes with the weights it was made of."""
    pipeline = Pipeline(PipelineConfig(channels=CHANNELS, hidden=8, rbm_hidden=5))
    values, time_us = signal(20), START + ROW_US * np.arange(20)
    before = pipeline(values, time_us)["state"]["liquid"]
    pipeline.liquid.load_state_dict(
        {n: 0.5 * x if n == "synapses" else x for n, x in pipeline.liquid.state_dict().items()}
    )
    after = pipeline(values, time_us)["state"]["liquid"]
    one = pipeline.initial_state(1)
    for t in range(20):
        one, *_ = pipeline.step(one, values[t : t + 1], time_us[t : t + 1])
    assert (after != before).any()
    assert after.tobytes() == one["liquid"].tobytes()

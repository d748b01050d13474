"""Pictures of a model at work: train on a month, score a week, see the fault and its reasons.

Needs the extra `plots`. In a notebook, end a cell with `plots.series(scored)` instead of saving it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ember_core import PipelineConfig, Series, fit_pipeline, plots, score_series

rng = np.random.default_rng(0)
n = 5_760  # 40 days of a row every ten minutes
time = pd.date_range("2026-01-01", periods=n, freq="10min", tz="UTC")
day = 2.0 * np.pi * np.arange(n) / 144.0
frame = pd.DataFrame({"requests": 300.0 + 120.0 * np.sin(day) + 12.0 * rng.standard_normal(n)})
frame["cpu"] = 8.0 + 0.15 * frame["requests"] + 1.5 * rng.standard_normal(n)
frame["memory"] = 40.0 + 2.0 * np.cos(day) + 0.6 * rng.standard_normal(n)
frame.loc[5_200:5_217, "cpu"] += 25.0  # a process runs wild for three hours

past, later = frame[:4_608], frame[4_608:]
config = PipelineConfig(tuple(frame.columns), evidence="channels+joint")
model = fit_pipeline([Series("web-1", time[:4_608], past)], config, budget_per_week=1)
scored = score_series(model, later, time[4_608:], key="web-1")

fired = int(np.flatnonzero(scored.trigger > 0)[0])
pictures = {
    "series": plots.series(scored, title="web-1"),
    "score": plots.score(scored, title="web-1"),
    "contributions": plots.contributions(scored),
    "reasons": plots.contributions(scored, fired),
    "activations": plots.activations(
        scored.activation, scored.time_us, wiring=model.pipeline.liquid.wiring
    ),
    "energy": plots.energy(scored.score, model=model),
    "wiring": plots.wiring(model.pipeline.liquid.wiring, dark=True),
}
for name, figure in pictures.items():
    figure.savefig(f"{name}.png", dpi=80)

leader = scored.channels[int(scored.contribution[fired].argmax())]
outside = (scored.value < scored.lower) | (scored.value > scored.upper)
calm = ~scored.firing
print(f"fired at {time[4_608:][fired]:%Y-%m-%d %H:%M} because of {leader}")
print(f"rows inside their band while calm: {100 * (1 - outside[calm].mean()):.0f} %")
print("saved:", ", ".join(f"{name}.png" for name in pictures))

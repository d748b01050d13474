"""The pipeline on a DataFrame: train on its first part, score the rest, list the triggers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ember_core import PipelineConfig, Series, fit_pipeline

rng = np.random.default_rng(0)
n = 4_000
frame = pd.DataFrame({"time": pd.date_range("2026-01-01", periods=n, freq="min", tz="UTC")})
frame["cpu"] = 50 + 20 * np.sin(np.arange(n) / 60) + rng.standard_normal(n)
frame["latency"] = 3 * frame["cpu"] + rng.standard_normal(n)
frame.loc[3_500:3_519, "latency"] = 150.0  # a sensor sticks

channels = ["cpu", "latency"]
past, later = frame[:3_000], frame[3_000:]
history = Series("web-1", past["time"], past[channels])
model = fit_pipeline([history], PipelineConfig(tuple(channels)), budget_per_week=1)
result = model.pipeline.forward(later[channels], later["time"], model.key_state)

scored = later.assign(severity=result["severity"], trigger=result["trigger"])
print(scored.loc[scored["trigger"] == 1, ["time", "latency", "severity"]].to_string(index=False))
model.save("model")
print("saved: model/model.json, model/model.safetensors")

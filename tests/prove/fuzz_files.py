"""Inputs that are files: settings and model bundles."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import safetensors.numpy

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline
from ember_core.serialize import ARRAYS_FILE, CARD_FILE, BundleError, load_bundle
from stream.settings import Settings, SettingsError, json_schema

from .mutators import as_json, bitten, leaf, mutated

_MEMORY: Final = Path("/dev/shm")


def _scratch() -> Path:
    return Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))


class SettingsTarget:
    """`Settings.load`: file, environment and flags; only sentences may come of it."""

    def __init__(self) -> None:
        self._folder = _scratch()
        self._file = self._folder / "ember.toml"
        schema = json_schema()
        self._tree: dict[str, Any] = {}
        for section, reference in schema["properties"].items():
            described = schema["$defs"][reference["$ref"].rpartition("/")[2]]
            self._tree[section] = {
                key: field["default"]
                for key, field in described["properties"].items()
                if field.get("default") is not None
            }
        for name in [n for n in os.environ if n.upper().startswith("EMBER_")]:
            del os.environ[name]

    def feed(self, rng: Random) -> tuple[int, int, Counter[str]]:
        sections = rng.sample(list(self._tree), 2)
        tree = {s: dict(rng.sample(list(self._tree[s].items()), 1)) for s in sections}
        text = _toml(mutated(tree, rng)).encode("utf-8", "surrogatepass")
        self._file.write_bytes(bitten(text, rng) if rng.random() < 0.25 else text)
        section = rng.choice(sections)
        name = f"EMBER_{section}__{rng.choice([*self._tree[section], 'x'])}".upper()
        flags = {}
        if rng.random() < 0.3:
            os.environ[name] = rng.choice(
                ("", "1", "-1", "a,b", "[1", "nan", "true", "é", "1" * 99)
            )
        if rng.random() < 0.2:
            flags[f"{section}__{rng.choice(list(self._tree[section]))}"] = leaf(rng)
        try:
            Settings.load(self._file, **flags)
        except SettingsError as error:
            said = str(error)
            assert said, "an error without a sentence"
            shallow = "is not valid TOML" in said
            return 1, not shallow, Counter({"no TOML" if shallow else "refused": 1})
        finally:
            os.environ.pop(name, None)
        return 1, 1, Counter({"taken": 1})

    def close(self) -> None:
        shutil.rmtree(self._folder)


def _toml(tree: Any) -> str:
    """TOML of what JSON holds, as far as there is any."""
    if not isinstance(tree, dict):
        return f"x = {_value(tree)}\n"
    plain = [f"{_name(k)} = {_value(v)}\n" for k, v in tree.items() if not isinstance(v, dict)]
    tables = [
        f"[{_name(section)}]\n"
        + "".join(f"{_name(key)} = {_value(value)}\n" for key, value in table.items())
        for section, table in tree.items()
        if isinstance(table, dict)
    ]
    return "".join([*plain, *tables])


def _name(key: Any) -> str:
    text = str(key)
    return text if text.isascii() and text.replace("_", "a").isalnum() else json.dumps(text)


def _value(value: Any) -> str:
    if value is None:
        return '""'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_name(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        # Deeper lists than a parser takes are another reader's affair.
        return json.dumps(value) if len(str(value)) < 200 else "[[[[1]]]]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value) if not isinstance(value, int) or value < 2**70 else str(value)[:200]


class BundleTarget:
    """`FleetModel.load`: a damaged card, damaged arrays, or both with a digest that fits."""

    def __init__(self) -> None:
        self._folder = _scratch()
        rng = np.random.default_rng(1)
        values = rng.normal(size=(300, 2)).cumsum(axis=0)
        series = [Series(b"a", np.arange(300, dtype=np.int64) * 10_000_000, values)]
        fit_pipeline(series, PipelineConfig(channels=("x", "y")), epochs=1).save(self._folder)
        self._card_file, self._arrays_file = self._folder / CARD_FILE, self._folder / ARRAYS_FILE
        self._card = json.loads(self._card_file.read_bytes())
        self._data = self._arrays_file.read_bytes()
        self._arrays = safetensors.numpy.load(self._data)

    def feed(self, rng: Random) -> tuple[int, int, Counter[str]]:
        how = rng.random()
        card, data = self._card, self._data
        if how < 0.45:
            card = self._with(mutated({k: v for k, v in card.items() if k != "sha256"}, rng), data)
        elif how < 0.75:
            data = self._other_arrays(rng)
            card = self._with(card, data)
        elif how < 0.9:  # the header of the arrays
            data = bitten(self._data[:4_000], rng) + self._data[4_000:]
            card = self._with(card, data)
        raw = as_json(card)
        self._card_file.write_bytes(bitten(raw, rng) if how >= 0.9 else raw)
        self._arrays_file.write_bytes(data)
        try:
            load_bundle(self._folder)
        except BundleError:
            return 1, 0, Counter({"no bundle": 1})
        try:
            FleetModel.load(self._folder, backend="numpy")
        except BundleError:
            return 1, 1, Counter({"no model": 1})
        return 1, 1, Counter({"taken": 1})

    def _with(self, card: Any, data: bytes) -> Any:
        """The card with the digest of these arrays."""
        if isinstance(card, dict):
            return {**card, "sha256": hashlib.sha256(data).hexdigest()}
        return card

    def _other_arrays(self, rng: Random) -> bytes:
        arrays = dict(self._arrays)
        name = rng.choice(sorted(arrays))
        value = arrays[name]
        chance = rng.random()
        if chance < 0.2:
            del arrays[name]
        elif chance < 0.4:
            arrays[name] = value.astype(rng.choice((np.float64, np.int8, np.float16, np.bool_)))
        elif chance < 0.6:
            arrays[name] = np.zeros((*value.shape, 1 + int(rng.random() * 3)), value.dtype)
        elif chance < 0.8:
            arrays[name] = value.reshape(-1)[: value.size // 2].copy()
        else:
            fill = rng.choice((np.nan, np.inf, 1e30, -1.0))
            with np.errstate(all="ignore"):
                arrays[name] = np.full(value.shape, fill).astype(value.dtype)
        return safetensors.numpy.save(arrays)

    def close(self) -> None:
        shutil.rmtree(self._folder)

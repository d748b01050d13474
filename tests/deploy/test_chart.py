"""The chart's values against the service and the release; no Helm is needed for it."""

from __future__ import annotations

import json
import re
import tomllib
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from ember_core.distribution import NAME
from stream.kafka.config import WorkerConfig
from stream.settings import Settings
from stream.settings._kafka import _KAFKA_NAMES
from stream.tools import supervisor
from tests.deploy.promql import DEPLOY, ROOT

CHART = DEPLOY / "helm" / NAME
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DECLARED = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
UNITS = {"Mi": 2**20, "Gi": 2**30}


def accepted(section: str, *names: str, value: object = "x") -> bool:
    """Whether the schema takes this setting; several names are a table in a table."""
    values = deepcopy(VALUES)
    table = values["settings"].setdefault(section, {})
    for name in names[:-1]:
        table = table.setdefault(name, {})
    table[names[-1]] = value
    return jsonschema.Draft7Validator(SCHEMA).is_valid(values)


def secrets() -> list[tuple[str, ...]]:
    """Every setting that is a secret, under each of its names."""
    found: list[tuple[str, ...]] = []
    for section, field in Settings.model_fields.items():
        for name, each in field.annotation.model_fields.items():
            if each.annotation is SecretStr:
                found.append((section, name))
                dotted = [dot for dot, plain in _KAFKA_NAMES.items() if plain == name]
                for other in dotted if section == "kafka" else ():
                    found += [(section, other), (section, *other.split("."))]
    return found


def test_the_values_are_those_of_the_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)
    assert set(VALUES) | {"global"} == set(SCHEMA["properties"])


def test_every_section_of_the_settings_may_be_set() -> None:
    named = SCHEMA["properties"]["settings"]["propertyNames"]["enum"]
    assert sorted(named) == sorted(Settings.model_fields)


@pytest.mark.parametrize("setting", secrets(), ids=".".join)
def test_no_secret_gets_into_a_config_map(setting: tuple[str, ...]) -> None:
    """Under none of its names; the file that holds it is fine."""
    assert not accepted(*setting)
    section, *names = setting
    if len(names) == 1:
        joint = "." if "." in names[0] else "_"
        assert accepted(section, f"{names[0]}{joint}file")


def test_what_the_chart_sets_cannot_be_set_beside_it() -> None:
    """A variable of the container beats the file: it would be ignored without a word."""
    texts = [
        (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8"),
        *(path.read_text(encoding="utf-8") for path in (CHART / "templates").glob("*.yaml")),
    ]
    found = {name for text in texts for name in re.findall(r"EMBER_(\w+__\w+)", text)}
    found -= {"MODEL__PATH"}  # refused by the template, where there is a volume
    assert found
    for name in found:
        section, key = name.lower().split("__")
        assert key in Settings.model_fields[section].annotation.model_fields
        assert not accepted(section, key), name
    assert not accepted("http", "port", value=6066)  # where the probes ask
    assert accepted("model", "path", value="https://models.example/fleet")


def test_the_default_image_is_the_one_a_release_pushes() -> None:
    """Name and tag; the chart's name and versions are those of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert DECLARED["name"] == NAME
    assert DECLARED["appVersion"] == DECLARED["version"] == project["version"]
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    release = yaml.safe_load(text)["jobs"]["image"]
    (push,) = [s for s in release["steps"] if "build-push-action" in s.get("uses", "")]
    (named,) = [s for s in release["steps"] if s.get("id") == "name"]
    assert push["with"]["tags"] == "${{ steps.name.outputs.image }}:${{ steps.name.outputs.tag }}"
    assert f'image=ghcr.io/${{GITHUB_REPOSITORY_OWNER,,}}/{NAME}"' in named["run"]
    assert 'tag=${GITHUB_REF_NAME#v}"' in named["run"]
    owner = DECLARED["home"].removeprefix("https://github.com/").partition("/")[0]
    assert VALUES["image"] == {
        **VALUES["image"],
        "repository": f"ghcr.io/{owner}/{NAME}",
        "tag": "",
    }


def test_a_worker_has_time_to_stop_wherever_it_runs() -> None:
    """The checkpoint, half as long for the copy, and three producers, one after the other."""
    patience = WorkerConfig.__dataclass_fields__["shutdown_timeout_seconds"].default
    assert isinstance(patience, float)
    worst = patience + patience / 2 + 3 * patience
    given = [float(VALUES["terminationGracePeriodSeconds"]), supervisor._STOP_SECONDS]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    given.append(float(compose["services"]["worker"]["stop_grace_period"].removesuffix("s")))
    docs = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    said = re.findall(r"(?:--stop-timeout |TimeoutStopSec=)(\d+)", docs)
    assert len(said) == 2
    assert min(given + [float(each) for each in said]) > worst
    assert float(said[1]) > supervisor._STOP_SECONDS  # systemd waits for the parent


def size(text: str) -> float:
    return float(text[:-2]) * UNITS[text[-2:]]


def test_memory_and_disk_are_enough_for_the_keys() -> None:
    """The sums in values.yaml, with what a million keys were measured to take."""
    path = ROOT / "benchmarks" / "results" / "memory.json"
    measured = json.loads(path.read_text(encoding="utf-8"))
    settings = Settings(state=VALUES["settings"]["state"]).state
    rows = settings.max_keys * measured["bytes_per_key"]
    other = 300 * 2**20
    assert rows + other <= size(VALUES["resources"]["requests"]["memory"])
    assert 2 * rows + other <= size(VALUES["resources"]["limits"]["memory"])
    disk = settings.max_disk_bytes + 2 * settings.max_keys * measured["row_bytes"]
    assert disk <= size(VALUES["stateSizeLimit"])

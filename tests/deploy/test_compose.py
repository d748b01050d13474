"""Compose file and image, as far as that can be told without a container engine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.kafka_jars import VERSION as KAFKA_VERSION
from ember_core.distribution import NAME
from stream.cli import build
from stream.console.guard import Guard
from stream.settings import Settings
from tests.deploy.promql import DEPLOY, ROOT

COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
LOCK = DEPLOY / "docker" / "requirements.txt"
LOCK_BUILD = DEPLOY / "docker" / "requirements-build.txt"
TEXT = COMPOSE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith(NAME)}


def program(name: str) -> Path:
    """A tool of the test environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"{name} is not installed in this environment")
    return path


def filled(text: str) -> str:
    """A value with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_compose_file_follows_the_specification() -> None:
    command = [program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_has_nothing_to_say() -> None:
    command = [program("hadolint"), DOCKERFILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_pinned_and_kept_small(name: str) -> None:
    """A version for every image; what is not Kafka's may write nowhere but where it must."""
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$|:local$", service["image"])
    assert "container_name" not in service
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    if not service["image"].startswith("apache/kafka"):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for needed, how in service.get("depends_on", {}).items():
        once = "restart" not in SERVICES[needed]
        expected = "service_completed_successfully" if once else "service_healthy"
        assert how["condition"] == expected
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in TEXT


def test_kafka_is_the_one_the_tests_run_on() -> None:
    for name in ("kafka", "topics"):
        assert SERVICES[name]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def commands() -> list[list[str]]:
    """What our containers run."""
    found = []
    for service in OURS.values():
        if "entrypoint" in service:
            lines = filled(service["command"][0]).splitlines()
            found += [shlex.split(line)[1:] for line in lines if line.startswith("ember ")]
        else:
            found.append([filled(part) for part in service["command"]])
    return found


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[0])
def test_containers_run_commands_that_are_there(command: list[str]) -> None:
    called, *_ = build().parse_args(command, exit_on_error=False, print_error=False)
    assert callable(called)


@pytest.mark.parametrize("name", OURS)
def test_containers_are_given_settings_that_are_there(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of the image too; a misspelt one is a mistake, not a surprise."""
    monkeypatch.chdir(tmp_path)
    image = dict(re.findall(r"(EMBER_\w+)=(\S+)", DOCKERFILE.read_text(encoding="utf-8")))
    for variable, value in {**image, **OURS[name]["environment"]}.items():
        monkeypatch.setenv(variable, filled(str(value)))
    settings = Settings.load()
    assert settings.http.host == "0.0.0.0"
    assert settings.kafka.servers == ["kafka:19092"]
    (listener,) = re.findall(r"PLAINTEXT://(kafka:\d+)", TEXT)
    assert settings.kafka.servers == [listener]
    assert f"EXPOSE {settings.http.port}" in DOCKERFILE.read_text(encoding="utf-8")


def test_the_console_is_reached_and_written_by_its_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the names that a browser on this host uses; the workers have the names of compose."""
    monkeypatch.chdir(tmp_path)
    service = OURS["console"]
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, filled(str(value)))
    settings = Settings.load()
    section = settings.console
    (port,) = service["ports"]
    address, published, inner = filled(port).split(":")
    assert (address, int(inner), section.host) == ("127.0.0.1", section.port, "0.0.0.0")
    guard = Guard(section)
    assert guard.is_known_host(f"localhost:{published}")
    assert not guard.is_known_host("elsewhere.example")
    assert f"#token={section.token.get_secret_value()}" in TEXT
    assert (section.user, settings.control.enabled) == ("operator", True)
    project = yaml.safe_load(TEXT)["name"]
    replicas = int(filled(SERVICES["worker"]["deploy"]["replicas"]))
    assert section.workers == tuple(
        f"http://{project}-worker-{n + 1}:{settings.http.port}" for n in range(replicas)
    )
    worker = SERVICES["worker"]["environment"]
    assert (worker["EMBER_CONTROL__ENABLED"], worker["EMBER_OUTPUT__SCORES"]) == ("true", "all")


def test_state_has_a_place_that_can_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root is read-only: a volume or a tmpfs, in the compose file and as the docs run it."""
    image = dict(re.findall(r"(EMBER_\w+)=(\S+)", DOCKERFILE.read_text(encoding="utf-8")))
    variables = {**image, **SERVICES["worker"]["environment"]}
    inside = Path(variables["EMBER_STATE__DIRECTORY"])
    assert any(inside.is_relative_to(each) for each in SERVICES["worker"]["tmpfs"])

    docs = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +docker (run .*)$", docs, re.MULTILINE)
    assert "--read-only" in command
    mounts = [each.split(":") for each in re.findall(r"-v (\S+)", command)]
    writable = {mount[1] for mount in mounts if mount[2:] != ["ro"]}
    state = Path(image["EMBER_STATE__DIRECTORY"])
    assert str(state) in writable
    # A new volume belongs to whom the folder in the image does.
    owned = re.findall(r"--owner ember --group ember (.*)", DOCKERFILE.read_text(encoding="utf-8"))
    assert str(state) in owned[0].split()
    (work,) = re.findall(r"^WORKDIR (/var\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    model = Path(work) / Settings().model.path
    assert str(model) in {mount[1] for mount in mounts}


def test_every_variable_is_explained() -> None:
    """.env.example holds each, with the default of the compose file."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert given == dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))


def test_the_image_runs_as_nobody_special() -> None:
    """Two stages, a user by number, a health check that does not ask for the broker."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert text.count("\nFROM python:${PYTHON}") == 2
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "/livez" in text.partition("HEALTHCHECK")[2]
    for line in re.findall(r"pip (?:install|wheel) .*", text):
        ours = " ." in line and "--no-build-isolation" in line
        assert "--require-hashes" in line or "--no-index" in line or ours, line
        assert "pip wheel" not in line or "--no-build-isolation" in line, line
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8")
    kept = [line[1:] for line in ignored.splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)
    assert sorted(" ".join(copied).split()) == sorted(kept)


def locked(path: Path) -> dict[str, str]:
    """Versions by name, each with hashes."""
    lines = path.read_text(encoding="utf-8")
    for block in re.split(r"\n(?=\S)", lines):
        if "==" in block.splitlines()[0]:
            assert "--hash=sha256:" in block
    found = re.findall(r"^([\w.-]+)==([\w.+!]+)", lines, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVICE = [
    *PROJECT["project"]["dependencies"],
    *(
        e
        for x in ("avro", "otel", "signatures", "console", "remote-write")
        for e in PROJECT["project"]["optional-dependencies"][x]
    ),
]
BUILDS = [*PROJECT["build-system"]["requires"], *PROJECT["dependency-groups"]["build"]]


@pytest.mark.parametrize(
    ("path", "entries"), [(LOCK, SERVICE), (LOCK_BUILD, BUILDS)], ids=["service", "build"]
)
def test_locked_packages_are_those_that_are_asked_for(path: Path, entries: list[str]) -> None:
    """Dependencies and the extras of the service, and what builds: as pyproject allows."""
    versions = locked(path)
    for entry in entries:
        wanted = Requirement(entry)
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), entry
    asking = re.findall(r"([\w-]+) \(pyproject\.toml", path.read_text(encoding="utf-8"))
    assert set(asking) == {NAME}


def test_what_is_built_by_hand_has_the_name_of_the_distribution() -> None:
    """The command in the Dockerfile, those in the docs, and the compose file's project."""
    docs = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    texts = DOCKERFILE.read_text(encoding="utf-8") + docs
    assert set(re.findall(r"docker build .*-t (\S+) \.", texts)) == {NAME}
    assert re.findall(r"docker run .* (\S+)$", docs, re.MULTILINE) == [NAME]
    assert yaml.safe_load(TEXT)["name"] == NAME
    assert {service["image"] for service in OURS.values()} == {f"{NAME}:local"}


def test_what_is_not_proven_names_what_differs_from_the_tests() -> None:
    """Prometheus and Alertmanager are others in the compose file than in the tests."""
    docs = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    unproven = docs.partition("## Not proven yet")[2]
    for name in ("prometheus", "alertmanager"):
        version = SERVICES[name]["image"].partition(":v")[2]
        assert version in unproven


def test_workflows_run_what_was_looked_at() -> None:
    """Actions by commit, with the version beside it; no credentials left in the checkout."""
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        for used in re.findall(r"uses: (.*)", text):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")
        assert re.search(r"^permissions:( {}|\n  contents: read)$", text, re.MULTILINE)

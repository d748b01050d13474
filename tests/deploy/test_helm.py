"""The chart, rendered by Helm: lint, schema of the values, and what must be in it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ember_core.distribution import NAME
from stream.cli import build
from stream.settings import Settings
from tests.deploy.promql import DEPLOY, alerts

CHART = DEPLOY / "helm" / NAME
MODEL = "model.volume.persistentVolumeClaim.claimName=fleet"
PEERS = "networkPolicy.from[0].namespaceSelector.matchLabels.name=monitoring"
EVERYTHING = ",".join(
    [
        PEERS,
        *(
            f"{part}.enabled=true"
            for part in (
                *("serviceMonitor", "prometheusRule", "dashboards"),
                *("autoscaling", "networkPolicy", "podDisruptionBudget", "bridge"),
            )
        ),
    ]
)
KUBERNETES = "1.31.0"


def run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False)


def template(helm: str, *sets: str, model: str | None = MODEL) -> subprocess.CompletedProcess[str]:
    given = sets if model is None else (model, *sets)
    flags = [flag for value in given for flag in ("--set", value)]
    return run(helm, "template", "fleet", str(CHART), "--kube-version", KUBERNETES, *flags)


def rendered(helm: str, *sets: str, model: str | None = MODEL) -> dict[str, dict[str, Any]]:
    """What would be installed, by kind; the ConfigMap of the dashboards as `Dashboards`."""
    done = template(helm, *sets, model=model)
    assert done.returncode == 0, done.stderr
    found = {}
    for each in yaml.safe_load_all(done.stdout):
        kind = "Dashboards" if each["metadata"]["name"].endswith("-dashboards") else each["kind"]
        assert kind not in found
        found[kind] = each
    return found


def worker(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The one container."""
    (container,) = found["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("sets", [MODEL, f"{MODEL},{EVERYTHING}"])
def test_helm_lint_has_nothing_to_say(helm: str, sets: str) -> None:
    done = run(helm, "lint", "--strict", str(CHART), "--set", sets)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_workers_keep_their_names_and_are_asked_how_they_are(helm: str) -> None:
    """Static membership by pod name; alive is not ready; nothing restarts for the broker."""
    found = rendered(helm)
    assert set(found) == {
        *("StatefulSet", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget"),
    }
    spec = found["StatefulSet"]["spec"]
    assert spec["replicas"] == 2
    assert spec["serviceName"] == found["Service"]["metadata"]["name"]
    assert found["Service"]["spec"]["clusterIP"] == "None"
    container = worker(found)
    env = {each["name"]: each for each in container["env"]}
    path = env["EMBER_KAFKA__INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.name"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "startupProbe" not in container
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    labels = spec["template"]["metadata"]["labels"].items()
    for selector in (spec["selector"], found["PodDisruptionBudget"]["spec"]["selector"]):
        assert selector["matchLabels"].items() <= labels


def test_a_worker_may_do_little(helm: str) -> None:
    """No root, no writing, no privileges, no token, and time to stop."""
    found = rendered(helm)
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    own = worker(found)["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["mountPath"]: mount for mount in worker(found)["volumeMounts"]}
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    assert writable == {"/tmp", "/var/lib/ember/state"}
    user = re.search(r"USER (\d+)", (DEPLOY / "docker" / "Dockerfile").read_text())
    assert user is not None
    assert pod["securityContext"]["runAsUser"] == int(user[1])


def test_settings_are_those_of_the_service(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rendered ember.toml and the container's variables are read by the service itself."""
    found = rendered(
        helm,
        "settings.input.topics={cpu,disk}",
        "settings.input.max_message_bytes=4194304",
        "settings.input.fields.latency=p99 <ms>",
        "settings.alerts.budget=2/day",
        "settings.checkpoint.interval_seconds=1.5",
        "settings.kafka.security_protocol=SASL_SSL",
        "settings.kafka.sasl_mechanism=SCRAM-SHA-512",
        "settings.kafka.sasl_username=ember",
        f"settings.kafka.sasl_password_file={tmp_path / 'password'}",
        "secretName=ember-kafka",
    )
    (tmp_path / "password").write_text("hunter2\n")
    path = tmp_path / "ember.toml"
    path.write_text(found["ConfigMap"]["data"]["ember.toml"])
    for variable in worker(found)["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "fleet-0"))
    settings = Settings.load(path)
    assert settings.input.topics == ("cpu", "disk")
    assert settings.input.max_message_bytes == 4_194_304
    assert settings.input.fields == {"latency": "p99 <ms>"}
    assert settings.checkpoint.interval_seconds == 1.5
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"
    assert settings.kafka.instance_id == "fleet-0"
    assert settings.state.standby_replicas == 1
    assert str(settings.model.path) in {m["mountPath"] for m in worker(found)["volumeMounts"]}
    assert "/run/secrets/ember" in {m["mountPath"] for m in worker(found)["volumeMounts"]}


def test_keda_scales_by_lag_within_bounds(helm: str) -> None:
    """A trigger for each topic; the number of workers is KEDA's alone, and never zero."""
    found = rendered(
        helm, EVERYTHING, "settings.input.topics={cpu,disk}", "autoscaling.maxReplicas=8"
    )
    assert "replicas" not in found["StatefulSet"]["spec"]
    spec = found["ScaledObject"]["spec"]
    assert spec["scaleTargetRef"]["name"] == found["StatefulSet"]["metadata"]["name"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 8)
    triggers = [trigger["metadata"] for trigger in spec["triggers"]]
    assert [trigger["topic"] for trigger in triggers] == ["cpu", "disk"]
    for trigger in triggers:
        assert all(isinstance(value, str) for value in trigger.values())
        assert trigger["consumerGroup"] == "ember"
        assert trigger["allowIdleConsumers"] == "false"


def test_monitoring_is_that_of_the_repository(helm: str) -> None:
    """The same rules and dashboards, and the job's name that the rules ask for."""
    found = rendered(helm, EVERYTHING)
    groups = found["PrometheusRule"]["spec"]["groups"]
    named = {rule["alert"]: rule for g in groups for rule in g["rules"] if "alert" in rule}
    assert named == alerts()
    boards = found["Dashboards"]["data"]
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        assert json.loads(boards[f"ember-{path.name}"]) == json.loads(path.read_text())
    (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
    assert {"targetLabel": "job", "replacement": "ember"} in endpoint["relabelings"]
    ports = {port["name"] for port in found["Service"]["spec"]["ports"]}
    assert endpoint["port"] in ports


def test_the_bridge_is_a_deployment_of_its_own(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As little rights, the same settings, and none of the workers' selectors finds it."""
    found = rendered(
        helm,
        *("bridge.enabled=true", "bridge.replicas=2", "serviceMonitor.enabled=true"),
        "settings.alertmanager.urls={http://a:9093,http://b:9093}",
        "settings.alertmanager.labels.severity=page",
        f"settings.alertmanager.token_file={tmp_path / 'token'}",
        *("secretName=ember-kafka", "networkPolicy.enabled=true", PEERS),
    )
    workers, bridge = found["StatefulSet"]["spec"], found["Deployment"]["spec"]
    assert bridge["replicas"] == 2
    pod = bridge["template"]["spec"]
    for same in ("securityContext", "automountServiceAccountToken", "serviceAccountName"):
        assert pod[same] == workers["template"]["spec"][same]
    (container,) = pod["containers"]
    assert container["securityContext"] == worker(found)["securityContext"]
    assert container["image"] == worker(found)["image"]
    called, *_ = build().parse_args(container["args"], exit_on_error=False, print_error=False)
    assert callable(called)
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"

    labels = bridge["template"]["metadata"]["labels"].items()
    assert bridge["selector"]["matchLabels"].items() <= labels
    for theirs in (workers["selector"]["matchLabels"], found["Service"]["spec"]["selector"]):
        assert not theirs.items() <= labels
    both = found["NetworkPolicy"]["spec"]["podSelector"]["matchExpressions"]
    for pod_labels in (dict(labels), workers["template"]["metadata"]["labels"]):
        assert all(pod_labels[each["key"]] in each["values"] for each in both)
    (endpoint,) = found["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert {"targetLabel": "job", "replacement": "ember-bridge"} in endpoint["relabelings"]
    assert found["PodMonitor"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert endpoint["port"] in {port["name"] for port in container["ports"]}

    (tmp_path / "token").write_text("hunter2")
    path = tmp_path / "ember.toml"
    path.write_text(found["ConfigMap"]["data"]["ember.toml"])
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = Settings.load(path).alertmanager
    assert settings.urls == ("http://a:9093", "http://b:9093")
    assert settings.labels == {"severity": "page"}
    assert settings.token.get_secret_value() == "hunter2"
    assert settings.port == container["ports"][0]["containerPort"]


def test_every_receiver_is_a_deployment_that_starts(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a selector and a command of its own; the health probe finds its port."""
    receivers = ["alertmanager", "webhook", "slack", "pagerduty", "email"]
    done = template(
        helm,
        *("incidents.enabled=true", "remoteWrite.enabled=true"),
        *("bridge.enabled=true", f"bridge.receivers={{{','.join(receivers)}}}"),
        f"settings.slack.webhook_url_file={tmp_path / 'url'}",
    )
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    selectors = [json.dumps(each["spec"]["selector"]) for each in deployments]
    assert len(set(selectors)) == len(receivers) + 2
    (tmp_path / "url").write_text("https://hooks.slack.com/services/T/B/x")
    path = tmp_path / "ember.toml"
    (settings_map,) = [each for each in objects if each["kind"] == "ConfigMap"]
    path.write_text(settings_map["data"]["ember.toml"])
    sections = [*receivers, "incidents", "remote_write"]
    for deployment, section in zip(deployments, sections, strict=True):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        command = ["bridge", section] if section in receivers else [section.replace("_", "-")]
        assert container["args"][: len(command)] == command
        called, *_ = build().parse_args(container["args"], exit_on_error=False, print_error=False)
        assert callable(called)
        for variable in container["env"]:
            monkeypatch.setenv(variable["name"], variable["value"])
        assert getattr(Settings.load(path), section).port == 6066


@pytest.mark.parametrize(
    "wrong",
    [
        "replicas=none",
        "replica=3",
        "autoscaling.minReplicas=0",
        "terminationGracePeriodSeconds=30",
        "settings.kafka.sasl_password=hunter2",
        "settings.alertmanager.token=hunter2",
        "settings.pagerduty.routing_key=hunter2",
        "settings.slack.webhook_url=https://hooks.slack.com/hunter2",
        "settings.webhook.url=https://hooks.example/hunter2",
        "bridge.receivers={pager}",
        "bridge.replicas=0",
        "settings.nonsense.a=1",
        "settings.console.token=hunter2",
        "settings.console.port=80",
        "console.replicas=2",
        "console.hosts=ember.example.org",
        "settings.kafka.sasl.password=hunter2",
        "stateSizeLimit=much",
        "settings.input.topics=cpu",
    ],
)
def test_wrong_values_are_refused(helm: str, wrong: str) -> None:
    """By the schema, before anything is installed."""
    done = template(helm, wrong)
    assert done.returncode != 0
    assert "schema" in done.stderr


@pytest.mark.parametrize(
    ("model", "sets", "said"),
    [
        (None, "replicas=2", "There is no model. Expected model.volume"),
        (MODEL, "settings.model.path=/models/fleet", "There are two models."),
        (MODEL, "settings.model.topic=fleet-model", "There are two models."),
        (
            MODEL,
            "networkPolicy.enabled=true",
            "would let everybody in. Expected networkPolicy.from",
        ),
        (
            MODEL,
            "serviceMonitor.enabled=true,settings.http.token_file=/run/secrets/ember/token",
            "Prometheus would be refused. Expected serviceMonitor.tokenSecret",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused(
    helm: str, model: str | None, sets: str, said: str
) -> None:
    done = template(helm, sets, model=model)
    assert done.returncode != 0
    assert said in done.stderr


def test_profiles_name_their_folders_in_the_volume(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rendered(helm, "settings.model.profiles.db-*=/var/lib/ember/model/db")
    path = tmp_path / "ember.toml"
    path.write_text(found["ConfigMap"]["data"]["ember.toml"])
    for variable in worker(found)["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "fleet-0"))
    model = Settings.load(path).model
    assert model.profiles == {"db-*": Path("/var/lib/ember/model/db")}
    assert model.other_keys is None


def test_a_model_may_come_by_kafka(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rendered(helm, "settings.model.topic=<group>-model", model=None)
    path = tmp_path / "ember.toml"
    path.write_text(found["ConfigMap"]["data"]["ember.toml"])
    for variable in worker(found)["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "fleet-0"))
    settings = Settings.load(path)
    assert settings.model_topic == f"{settings.kafka.group}-model"


def test_a_model_may_have_an_address(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing overrides it, and no volume is asked for."""
    address = "https://models.example/fleet/7"
    sets = (f"settings.model.path={address}", f"settings.model.sha256={'0' * 64}")
    found = rendered(helm, *sets, model=None)
    path = tmp_path / "ember.toml"
    path.write_text(found["ConfigMap"]["data"]["ember.toml"])
    for variable in worker(found)["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "fleet-0"))
    settings = Settings.load(path)
    assert settings.model.path == address
    writable = {m["mountPath"] for m in worker(found)["volumeMounts"] if not m.get("readOnly")}
    assert str(settings.state.directory) in writable  # where it is fetched to
    volumes = found["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    assert "model" not in {volume["name"] for volume in volumes}


def test_the_packaged_chart_is_whole(helm: str, tmp_path: Path) -> None:
    """Rules and dashboards are links in the repository, and files in the package."""
    command = [DEPLOY.parent / ".ci" / "release", "chart", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob(f"{NAME}-*.tgz")
    flags = ("--kube-version", KUBERNETES, "--set", f"{MODEL},{EVERYTHING}")
    packed = run(helm, "template", "fleet", str(package), *flags)
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout == template(helm, EVERYTHING).stdout


def test_a_scrape_brings_the_token(helm: str) -> None:
    found = rendered(
        helm,
        *("serviceMonitor.enabled=true", "bridge.enabled=true", "secretName=ember"),
        "settings.http.token_file=/run/secrets/ember/token",
        "serviceMonitor.tokenSecret.name=ember",
    )
    endpoints = [
        *found["ServiceMonitor"]["spec"]["endpoints"],
        *found["PodMonitor"]["spec"]["podMetricsEndpoints"],
    ]
    assert len(endpoints) == 2
    for endpoint in endpoints:
        assert endpoint["authorization"] == {"credentials": {"name": "ember", "key": "token"}}


def test_volumes_and_variables_of_ones_own_reach_workers_and_bridge(helm: str) -> None:
    found = rendered(
        helm,
        "bridge.enabled=true",
        *("extraEnv[0].name=SSL_CERT_FILE", "extraEnv[0].value=/etc/own/ca.pem"),
        *("extraVolumes[0].name=own", "extraVolumes[0].configMap.name=own"),
        *("extraVolumeMounts[0].name=own", "extraVolumeMounts[0].mountPath=/etc/own"),
    )
    for kind in ("StatefulSet", "Deployment"):
        pod = found[kind]["spec"]["template"]["spec"]
        assert {"name": "own", "configMap": {"name": "own"}} in pod["volumes"]
        (container,) = pod["containers"]
        assert {"name": "own", "mountPath": "/etc/own"} in container["volumeMounts"]
        assert {"name": "SSL_CERT_FILE", "value": "/etc/own/ca.pem"} in container["env"]


@pytest.mark.parametrize(
    "sets", [MODEL, f"{EVERYTHING},incidents.enabled=true,console.enabled=true"]
)
@pytest.mark.parametrize("version", ["1.25", "1.31", "1.37"])
def test_objects_are_what_kubernetes_expects(helm: str, version: str, sets: str) -> None:
    """Of its own kinds, strictly: a field that it does not know is a mistake."""
    schemas = pytest.importorskip("kubernetes_validate")
    kinds = set()
    for each in yaml.safe_load_all(template(helm, sets).stdout):
        if each["apiVersion"].partition("/")[0] in ("monitoring.coreos.com", "keda.sh"):
            continue  # whose schemas are not at hand
        schemas.validate(each, version, strict=True)
        kinds.add(each["kind"])
    assert {"StatefulSet", "Service", "ConfigMap", "ServiceAccount"} <= kinds
    if sets is not MODEL:
        assert {"Deployment", "NetworkPolicy"} <= kinds

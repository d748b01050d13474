"""The console in the chart: its Deployment, Service, policy, and the settings that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from stream.cli import build
from stream.console.app import make_app
from stream.console.console import Console
from stream.console.guard import Guard
from stream.console.store import Store
from stream.settings import Settings
from tests.deploy.test_helm import PEERS, template


def test_the_console_has_a_service_and_the_rights_of_a_worker(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process; it knows the names it is asked by, and where the workers are."""
    done = template(
        helm,
        *("console.enabled=true", "console.hosts={ember.example.org}", "replicas=3"),
        *("serviceMonitor.enabled=true", "networkPolicy.enabled=true", PEERS),
        "console.from[0].namespaceSelector.matchLabels.name=ingress",
        f"settings.console.token_file={tmp_path / 'token'}",
        *("settings.console.user=operations", "secretName=ember-secrets"),
    )
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(by_name) == len(objects)
    name, workers = "fleet-ember-anomaly-console", "fleet-ember-anomaly"
    deployment = by_name["Deployment", name]["spec"]
    stateful = by_name["StatefulSet", workers]["spec"]
    assert deployment["replicas"] == 1
    pod, worker_pod = deployment["template"]["spec"], stateful["template"]["spec"]
    for same in ("securityContext", "automountServiceAccountToken", "serviceAccountName"):
        assert pod[same] == worker_pod[same]
    (container,), (worker_container,) = pod["containers"], worker_pod["containers"]
    assert container["securityContext"] == worker_container["securityContext"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {"/tmp"}
    assert "/run/secrets/ember" in mounts
    called, *_ = build().parse_args(container["args"], exit_on_error=False, print_error=False)
    assert callable(called)

    (tmp_path / "token").write_text("hunter2")
    path = tmp_path / "ember.toml"
    path.write_text(by_name["ConfigMap", workers]["data"]["ember.toml"])
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = Settings.load(path)
    section = settings.console
    assert section.port == container["ports"][0]["containerPort"]
    assert (section.token.get_secret_value(), section.user) == ("hunter2", "operations")
    assert section.workers == tuple(f"http://{workers}-{n}.{workers}:6066" for n in range(3))
    guard = Guard(section)
    for host in (f"{name}:6058", f"{name}.default.svc:6058", "ember.example.org", "10.0.0.7:6066"):
        assert guard.is_known_host(host)
    assert not guard.is_known_host("elsewhere.example.org")
    assert settings.state.directory.is_relative_to("/tmp")
    assert str(settings.model.path) in mounts

    with TestClient(
        make_app(Console(settings, Store(1 << 20, 1.0), guard)), base_url="http://10.0.0.7:6066"
    ) as client:
        assert client.get(container["livenessProbe"]["httpGet"]["path"]).status_code == 200
        assert client.get(container["readinessProbe"]["httpGet"]["path"]).status_code == 503

    labels = deployment["template"]["metadata"]["labels"].items()
    service = by_name["Service", name]["spec"]
    assert service["ports"] == [{"name": "http", "port": 6058, "targetPort": "http"}]
    policy = by_name["NetworkPolicy", name]["spec"]
    for selector in (service["selector"], policy["podSelector"]["matchLabels"]):
        assert selector.items() <= labels
    others = by_name["Service", workers]["spec"]["selector"]
    for theirs in (stateful["selector"]["matchLabels"], others):
        assert not theirs.items() <= labels
    named = [peer["namespaceSelector"]["matchLabels"] for peer in policy["ingress"][0]["from"]]
    assert named == [{"name": "monitoring"}, {"name": "ingress"}]
    # It asks the workers how they are, so their policy lets it in.
    peers = by_name["NetworkPolicy", workers]["spec"]["ingress"][0]["from"]
    selectors = [peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer]
    assert [selector.items() <= labels for selector in selectors] == [True]
    monitor = by_name["PodMonitor", name]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= labels
    assert {"targetLabel": "job", "replacement": "ember-console"} in (
        monitor["podMetricsEndpoints"][0]["relabelings"]
    )
